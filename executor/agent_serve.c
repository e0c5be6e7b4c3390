/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The far end of the agent: in the job's outer user namespace, among files that steps
 * made. It opens beneath descriptors, never through a symlink in the last component, never
 * anything but regular files and folders.
 */
#include "executor/agent-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/agent.h"
#include "executor/artifact.h"
#include "executor/blob.h"
#include "executor/hash_files.h"
#include "executor/helper.h"
#include "executor/rootstore.h"
#include "executor/walk.h"

typedef int serve_fn(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err);

static int dir_of(
	const struct agent_server *s, const struct json *head, int *ret, struct err *err)
{
	int64_t i = json_get_int(head, "dir", -1);

	if (i < 0 || i >= DIRS || s->dirs[i] < 0)
		return err_set(err, ERR_UNSUPPORTED, "this job has no such directory");
	*ret = s->dirs[i];
	return 0;
}

static const char *path_of(const struct json *head)
{
	const char *path = json_get_str(head, "path", "");

	return *path ? path : ".";
}

static bool path_ok(const char *path)
{
	return str_eq(path, ".") || path_is_clean(path);
}

static int give(const struct agent_server *s, int fd, struct err *err)
{
	return fchown(fd, s->uid, s->gid) < 0 ? err_sys(err, "cannot give a file away")
					      : 0;
}

static int open_dir(int dir, const char *path, int *ret, struct err *err)
{
	if (!path_ok(path))
		return err_set(err, ERR_INPUT, "'%s' is not a path beneath", path);
	*ret = path_open(dir, path, O_RDONLY | O_DIRECTORY, 0, 0, err);
	return *ret < 0 ? -1 : 0;
}

/* Like path_mkdirs, and what was made belongs to the job. */
static int make_dirs(
	const struct agent_server *s, int dir, const char *path, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(path);

	if (str_eq(path, "."))
		return 0;
	if (!path_is_clean(path))
		return err_set(err, ERR_INPUT, "'%s' is not a path beneath", path);
	for (char *slash = strchr(copy, '/');; slash = strchr(slash + 1, '/')) {
		_cleanup_close_ int fd = -1;
		struct stat st;

		if (slash)
			*slash = '\0';
		fd = path_open(dir, copy, O_RDONLY | O_DIRECTORY, 0, 0, NULL);
		if (fd < 0) {
			if (path_mkdirs(dir, copy, 0755, err) < 0)
				return -1;
			fd = path_open(dir, copy, O_RDONLY | O_DIRECTORY, 0,
				PATH_NO_SYMLINKS, err);
			if (fd < 0 || fstat(fd, &st) < 0 || give(s, fd, err) < 0)
				return -1;
		}
		if (!slash)
			return 0;
		*slash = '/';
	}
}

static int serve_mkdirs(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	int dir = -1;

	return dir_of(s, m->head, &dir, err) < 0
		       ? -1
		       : make_dirs(s, dir, path_of(m->head), err);
}

static int serve_is_dir(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	_cleanup_close_ int fd = -1;
	int dir = -1;

	return dir_of(s, m->head, &dir, err) < 0
		       ? -1
		       : open_dir(dir, path_of(m->head), &fd, err);
}

static int write_one(const struct agent_server *s, const struct json *item,
	const char *data, size_t len, struct json *answer, struct err *err)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *parent = NULL;
	const char *path = path_of(item);
	struct json *id = NULL;
	struct stat st;
	int dir = -1;

	if (dir_of(s, item, &dir, err) < 0)
		return -1;
	if (!path_is_clean(path))
		return err_set(err, ERR_INPUT, "'%s' is not a path beneath", path);
	if (strrchr(path, '/')) {
		parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));
		if (make_dirs(s, dir, parent, err) < 0)
			return -1;
	}
	fd = path_open(
		dir, path, O_WRONLY | O_CREAT | O_EXCL, 0600, PATH_NO_SYMLINKS, err);
	if (fd < 0)
		return -1;
	if (fd_write_all(fd, data, len) < 0 ||
		fchmod(fd, (mode_t)json_get_int(item, "mode", 0644)) < 0 ||
		fstat(fd, &st) < 0)
		return err_sys(err, "cannot write '%s'", path);
	if (give(s, fd, err) < 0)
		return -1;
	id = json_new_object();
	json_set_int(id, "dev", (int64_t)st.st_dev);
	json_set_int(id, "ino", (int64_t)st.st_ino);
	json_push(answer, id);
	return 0;
}

static int serve_put(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	const struct json *files = json_get(m->head, "files");
	struct json *ids = json_new_array();
	size_t at = 0;

	json_set(answer, "files", ids);
	for (size_t i = 0; i < json_count(files); i++) {
		const struct json *item = json_at(files, i);
		size_t len = (size_t)json_get_int(item, "len", 0);

		if (len > m->body.len - at)
			return err_set(err, ERR_BUG, "the content of a file is missing");
		if (write_one(s, item, m->body.buf + at, len, ids, err) < 0)
			return -1;
		at += len;
	}
	return 0;
}

/*
 * A command file is read only if it is still the inode we made: a step may have put a link
 * to something else in its place (SECURITY FS04, FS05).
 */
static int read_one(const struct agent_server *s, const struct json *item,
	struct strbuf *body, struct err *err)
{
	_cleanup_close_ int fd = -1;
	const char *path = path_of(item);
	int64_t dev = json_get_int(item, "dev", 0), ino = json_get_int(item, "ino", 0);
	size_t max = (size_t)json_get_int(item, "max", 0);
	struct stat st;
	int dir = -1;

	if (dir_of(s, item, &dir, err) < 0)
		return -1;
	fd = path_open(
		dir, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0, PATH_NO_SYMLINKS, err);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot look at '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT, "'%s' is no longer a regular file", path);
	if (ino && ((uint64_t)st.st_ino != (uint64_t)ino ||
			   (uint64_t)st.st_dev != (uint64_t)dev))
		return err_set(err, ERR_INPUT, "'%s' was replaced by another file", path);
	return fd_read_to_end(fd, max, body, err);
}

static int serve_get(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	const struct json *files = json_get(m->head, "files");
	struct json *list = json_new_array();

	json_set(answer, "files", list);
	for (size_t i = 0; i < json_count(files); i++) {
		const struct json *item = json_at(files, i);
		struct json *entry = json_new_object();
		struct err why = ERR_INIT;
		size_t before = body->len;
		int dir = -1;

		json_push(list, entry);
		if (read_one(s, item, body, &why) < 0) {
			strbuf_truncate(body, before);
			json_set_str(entry, "code", err_code_name(why.code));
			json_set_str(entry, "message", why.msg);
		} else if (body->len > CHAN_BODY_MAX - (1u << 20)) {
			strbuf_truncate(body, before);
			json_set_str(entry, "code", err_code_name(ERR_LIMIT));
			json_set_str(entry, "message", "the command files are too large");
		}
		json_set_int(entry, "len", (int64_t)(body->len - before));
		if (json_get_bool(item, "unlink", false) &&
			dir_of(s, item, &dir, NULL) == 0)
			(void)unlinkat(
				dir, path_of(item), 0); /* goes with temp/ otherwise */
	}
	return 0;
}

/* Removes the entries of an open folder, which is closed. */
static int clear_dir(int fd, struct err *err)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;
	int result = 0;

	if (!d) {
		(void)close(fd); /* nothing was opened on it */
		return err_sys(err, "cannot list a folder");
	}
	while (result == 0 && (errno = 0, e = readdir(d)) != NULL) {
		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		result = path_remove_tree(dirfd(d), e->d_name, err);
	}
	(void)closedir(d); /* read only */
	return result;
}

static int serve_clear(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	const struct json *dirs = json_get(m->head, "dirs");
	struct json *left = json_new_array();

	json_set(answer, "left", left);
	for (size_t i = 0; i < json_count(dirs); i++) {
		int64_t dir = json_as_int(json_at(dirs, i), -1);
		struct err why = ERR_INIT;
		struct json *entry;
		int fd = -1;

		if (dir < 0 || dir >= DIRS)
			return err_set(err, ERR_BUG, "there is no such folder");
		if (s->dirs[dir] < 0 || (open_dir(s->dirs[dir], ".", &fd, &why) == 0 &&
						clear_dir(fd, &why) == 0))
			continue;
		entry = json_new_object();
		json_set_int(entry, "dir", dir);
		json_set_str(entry, "message", why.msg);
		json_push(left, entry);
	}
	return 0;
}

/* ---- giving a tree to the job and moving it ---- */

static int give_entry(int dir, const char *rel, const char *name, const struct stat *st,
	void *data, struct err *err)
{
	const struct agent_server *s = data;

	/* A pack that is hard-linked with the mirror stays the service's: it is readable, and
	 * giving it away would let the job write into the mirror. */
	if (S_ISREG(st->st_mode) && st->st_nlink > 1)
		return 0;
	if (fchownat(dir, name, s->uid, s->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "cannot give '%s' to the job", rel);
	return 0;
}

static int give_tree(struct agent_server *s, int fd, struct err *err)
{
	return walk_tree(fd, give_entry, s, err) < 0 ? -1 : give(s, fd, err);
}

static int serve_give(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	_cleanup_close_ int fd = -1;
	int dir = -1;

	if (dir_of(s, m->head, &dir, err) < 0 ||
		open_dir(dir, path_of(m->head), &fd, err) < 0)
		return -1;
	return give_tree(s, fd, err);
}

/* Moves one entry of the stage to its place, or enters a folder that is there already. */
static int move_entry(int dir, const char *rel, const char *name, const struct stat *st,
	void *data, struct err *err)
{
	int to = *(int *)data;
	_cleanup_close_ int parent = -1;
	_cleanup_free_ char *up = NULL;
	const char *slash = strrchr(rel, '/');
	struct stat old;

	up = slash ? xstrndup(rel, (size_t)(slash - rel)) : xstrdup(".");
	parent = path_open(to, up, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
	if (parent < 0)
		return -1;
	if (fstatat(parent, name, &old, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(st->st_mode) && S_ISDIR(old.st_mode))
			return 0;
		if (path_remove_tree(parent, name, err) < 0)
			return -1;
	}
	if (renameat(dir, name, parent, name) < 0)
		return err_sys(err, "cannot move '%s' to its place", rel);
	return 1;
}

static int serve_adopt(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	_cleanup_close_ int from = -1, to = -1;
	const char *name = json_get_str(m->head, "from", "");
	const char *path = path_of(m->head);
	int dir = -1, again;

	if (!path_is_name(name) || dir_of(s, m->head, &dir, err) < 0 ||
		make_dirs(s, dir, path, err) < 0 || open_dir(dir, path, &to, err) < 0 ||
		open_dir(s->dirs[DIR_STAGE], name, &from, err) < 0)
		return -1;
	if (!json_get_bool(m->head, "merge", false)) {
		again = fcntl(to, F_DUPFD_CLOEXEC, 3);
		if (again < 0)
			return err_sys(err, "cannot clear the folder");
		if (clear_dir(again, err) < 0)
			return -1;
	}
	if (give_tree(s, from, err) < 0 || walk_tree(from, move_entry, &to, err) < 0)
		return -1;
	return path_remove_tree(s->dirs[DIR_STAGE], name, err);
}

static int serve_copy(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	_cleanup_close_ int to = -1;
	const char *path = path_of(m->head);
	int dir = -1;

	if (m->fds_len != 1)
		return err_set(err, ERR_BUG, "no folder came with the request");
	if (dir_of(s, m->head, &dir, err) < 0 || make_dirs(s, dir, path, err) < 0 ||
		open_dir(dir, path, &to, err) < 0 ||
		path_copy_tree(m->fds[0], to, err) < 0)
		return -1;
	return give_tree(s, to, err);
}

static int serve_own(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	int dir = -1;

	if (m->fds_len != 1)
		return err_set(err, ERR_BUG, "no owners came with the request");
	return dir_of(s, m->head, &dir, err) < 0
		       ? -1
		       : rootstore_give(dir, m->fds[0], s->uid, s->gid, err);
}

static int serve_open(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	_cleanup_close_ int fd = -1;
	const char *path = path_of(m->head);
	struct stat st;
	int dir = -1;

	if (dir_of(s, m->head, &dir, err) < 0)
		return -1;
	fd = path_open(dir, path, O_RDONLY | O_NONBLOCK, 0, 0, err);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT, "'%s' is not a regular file", path);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* ---- hashing, artifacts, the store ---- */

static int serve_hash(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	_cleanup_(strvec_done) struct strvec patterns = STRVEC_INIT;
	_cleanup_close_ int root = -1;
	const struct json *list = json_get(m->head, "patterns");
	struct hash_files_options opt = { .root_path = s->workspace };

	for (size_t i = 0; i < json_count(list); i++)
		(void)strvec_push(&patterns, json_as_str(json_at(list, i), ""));
	if (s->dirs[DIR_TREE] >= 0
			? open_dir(s->dirs[DIR_TREE], ".", &root, err) < 0
			: open_dir(s->dirs[DIR_WORK], s->workspace_rel, &root, err) < 0)
		return -1;
	return hash_files_in(
		root, &opt, (const char *const *)patterns.v, patterns.len, body, err);
}

static int serve_pack(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	_cleanup_(json_freep) struct json *result = NULL;
	_cleanup_close_ int root = -1;
	int dir = -1;

	if (dir_of(s, m->head, &dir, err) < 0 ||
		open_dir(dir, path_of(m->head), &root, err) < 0)
		return -1;
	if (artifact_pack(root, s->dirs[DIR_STORE], m->head, &result, err) < 0)
		return -1;
	json_set(answer, "result", take_ptr(result));
	return 0;
}

static int serve_unpack(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	_cleanup_(json_freep) struct json *result = NULL;
	_cleanup_close_ int root = -1;
	const char *path = path_of(m->head);
	int dir = -1;

	if (dir_of(s, m->head, &dir, err) < 0 || make_dirs(s, dir, path, err) < 0 ||
		open_dir(dir, path, &root, err) < 0 ||
		artifact_unpack(root, s->dirs[DIR_STORE],
			json_get_str(m->head, "sha256", ""), s->uid, s->gid, &result,
			err) < 0)
		return -1;
	json_set(answer, "result", take_ptr(result));
	return 0;
}

static int serve_store(struct agent_server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	char hex[SHA256_HEX_MAX];

	if (blob_put(s->dirs[DIR_STORE], m->body.buf, m->body.len, hex, err) < 0)
		return -1;
	json_set_str(answer, "sha256", hex);
	return 0;
}

static const struct {
	const char *op;
	serve_fn *fn;
} agent_ops[] = {
	{ "put", serve_put },
	{ "get", serve_get },
	{ "mkdirs", serve_mkdirs },
	{ "is_dir", serve_is_dir },
	{ "clear", serve_clear },
	{ "give", serve_give },
	{ "adopt", serve_adopt },
	{ "copy", serve_copy },
	{ "own", serve_own },
	{ "open", serve_open },
	{ "hash", serve_hash },
	{ "pack", serve_pack },
	{ "unpack", serve_unpack },
	{ "store", serve_store },
};

static int serve_one(struct agent_server *s, struct chan_msg *m)
{
	_cleanup_(json_freep) struct json *answer = json_new_object();
	_cleanup_(strbuf_done) struct strbuf body = STRBUF_INIT;
	_cleanup_close_ int fd = -1;
	struct err err = ERR_INIT;
	int64_t seq = json_get_int(m->head, "seq", 0);
	int result = -1;
	size_t i;

	json_set_str(answer, "op", "answer");
	json_set_int(answer, "seq", seq);
	json_set_bool(answer, "ok", true);
	for (i = 0; i < ARRAY_SIZE(agent_ops); i++)
		if (str_eq(agent_ops[i].op, chan_msg_op(m)))
			break;
	if (i == ARRAY_SIZE(agent_ops))
		(void)err_set(&err, ERR_BUG, "the agent knows no '%s'", chan_msg_op(m));
	else
		result = agent_ops[i].fn(s, m, answer, &body, &fd, &err);
	if (result < 0) {
		json_free(answer);
		answer = helper_answer_fault(seq, &err);
		strbuf_clear(&body);
	}
	return chan_send(s->chan, answer, body.buf, body.len, &fd, fd >= 0 ? 1 : 0, NULL);
}

int agent_serve(void *data)
{
	struct agent_server *s = data;

	(void)prctl(PR_SET_NAME, "sluice-agent");
	(void)umask(022); /* what it makes, the job and its helpers may read */
	for (;;) {
		_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;

		if (chan_recv(s->chan, &m, NULL) <= 0 || serve_one(s, &m) < 0)
			return 0;
	}
}
