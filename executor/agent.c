/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of the agent. The far end (serve_*) runs in the job's outer user namespace and
 * sees files that steps made: it opens beneath descriptors, never through a symlink in the
 * last component, never anything but regular files and folders. The near end turns the
 * loop while it waits.
 */
#include "executor/agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/artifact.h"
#include "executor/hash_files.h"
#include "executor/helper.h"
#include "executor/walk.h"

#define AGENT_FILES_MAX 16

/* ---- the far end ---- */

struct server {
	int chan;
	const int *dirs;
	uid_t uid; /* of the job, in the outer namespace */
	gid_t gid;
	const char *workspace, *workspace_rel;
};

typedef int serve_fn(struct server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err);

static int dir_of(const struct server *s, const struct json *head, int *ret,
	struct err *err)
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

static int give(const struct server *s, int fd, struct err *err)
{
	return fchown(fd, s->uid, s->gid) < 0 ? err_sys(err, "cannot give a file away") : 0;
}

static int open_dir(int dir, const char *path, int *ret, struct err *err)
{
	if (!path_ok(path))
		return err_set(err, ERR_INPUT, "'%s' is not a path beneath", path);
	*ret = path_open(dir, path, O_RDONLY | O_DIRECTORY, 0, 0, err);
	return *ret < 0 ? -1 : 0;
}

/* Like path_mkdirs, and what was made belongs to the job. */
static int make_dirs(const struct server *s, int dir, const char *path, struct err *err)
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

static int serve_mkdirs(struct server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	int dir = -1;

	return dir_of(s, m->head, &dir, err) < 0 ? -1 :
						   make_dirs(s, dir, path_of(m->head), err);
}

static int serve_is_dir(struct server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	_cleanup_close_ int fd = -1;
	int dir = -1;

	return dir_of(s, m->head, &dir, err) < 0 ? -1 :
						   open_dir(dir, path_of(m->head), &fd, err);
}

static int write_one(const struct server *s, const struct json *item, const char *data,
	size_t len, struct json *answer, struct err *err)
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
	fd = path_open(dir, path, O_WRONLY | O_CREAT | O_EXCL, 0600, PATH_NO_SYMLINKS, err);
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

static int serve_put(struct server *s, struct chan_msg *m, struct json *answer,
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
static int read_one(const struct server *s, const struct json *item, struct strbuf *body,
	struct err *err)
{
	_cleanup_close_ int fd = -1;
	const char *path = path_of(item);
	int64_t dev = json_get_int(item, "dev", 0), ino = json_get_int(item, "ino", 0);
	size_t max = (size_t)json_get_int(item, "max", 0);
	struct stat st;
	int dir = -1;

	if (dir_of(s, item, &dir, err) < 0)
		return -1;
	fd = path_open(dir, path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0, PATH_NO_SYMLINKS,
		err);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot look at '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT, "'%s' is no longer a regular file", path);
	if (ino && ((uint64_t)st.st_ino != (uint64_t)ino || (uint64_t)st.st_dev != (uint64_t)dev))
		return err_set(err, ERR_INPUT, "'%s' was replaced by another file", path);
	return fd_read_to_end(fd, max, body, err);
}

static int serve_get(struct server *s, struct chan_msg *m, struct json *answer,
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
		if (json_get_bool(item, "unlink", false) && dir_of(s, item, &dir, NULL) == 0)
			(void)unlinkat(dir, path_of(item), 0); /* goes with temp/ otherwise */
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

static int serve_clear(struct server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	int dir = -1, fd = -1;

	if (dir_of(s, m->head, &dir, err) < 0 || open_dir(dir, path_of(m->head), &fd, err) < 0)
		return -1;
	return clear_dir(fd, err);
}

/* ---- giving a tree to the job and moving it ---- */

static int give_entry(int dir, const char *rel, const char *name, const struct stat *st,
	void *data, struct err *err)
{
	const struct server *s = data;

	/* A pack that is hard-linked with the mirror stays the service's: it is readable, and
	 * giving it away would let the job write into the mirror. */
	if (S_ISREG(st->st_mode) && st->st_nlink > 1)
		return 0;
	if (fchownat(dir, name, s->uid, s->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "cannot give '%s' to the job", rel);
	return 0;
}

static int give_tree(struct server *s, int fd, struct err *err)
{
	return walk_tree(fd, give_entry, s, err) < 0 ? -1 : give(s, fd, err);
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

static int serve_adopt(struct server *s, struct chan_msg *m, struct json *answer,
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

static int serve_copy(struct server *s, struct chan_msg *m, struct json *answer,
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

static int serve_open(struct server *s, struct chan_msg *m, struct json *answer,
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

static int serve_hash(struct server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	_cleanup_(strvec_done) struct strvec patterns = STRVEC_INIT;
	_cleanup_close_ int root = -1;
	const struct json *list = json_get(m->head, "patterns");
	struct hash_files_options opt = { .root_path = s->workspace };

	for (size_t i = 0; i < json_count(list); i++)
		(void)strvec_push(&patterns, json_as_str(json_at(list, i), ""));
	if (s->dirs[DIR_TREE] >= 0 ?
			open_dir(s->dirs[DIR_TREE], ".", &root, err) < 0 :
			open_dir(s->dirs[DIR_WORK], s->workspace_rel, &root, err) < 0)
		return -1;
	return hash_files_in(root, &opt, (const char *const *)patterns.v, patterns.len, body,
		err);
}

static int serve_pack(struct server *s, struct chan_msg *m, struct json *answer,
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

static int serve_unpack(struct server *s, struct chan_msg *m, struct json *answer,
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

static int serve_store(struct server *s, struct chan_msg *m, struct json *answer,
	struct strbuf *body, int *ret_fd, struct err *err)
{
	char hex[SHA256_HEX_MAX];

	if (artifact_store_put(s->dirs[DIR_STORE], m->body.buf, m->body.len, hex, err) < 0)
		return -1;
	json_set_str(answer, "sha256", hex);
	return 0;
}

static const struct {
	const char *op;
	serve_fn *fn;
} agent_ops[] = {
	{ "put", serve_put },	    { "get", serve_get },     { "mkdirs", serve_mkdirs },
	{ "is_dir", serve_is_dir }, { "clear", serve_clear }, { "adopt", serve_adopt },
	{ "copy", serve_copy },	    { "open", serve_open },   { "hash", serve_hash },
	{ "pack", serve_pack },	    { "unpack", serve_unpack }, { "store", serve_store },
};

static int serve_one(struct server *s, struct chan_msg *m)
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

static int agent_main(void *data)
{
	struct server *s = data;

	(void)umask(022); /* what it makes, the job and its helpers may read */
	for (;;) {
		_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;

		if (chan_recv(s->chan, &m, NULL) <= 0 || serve_one(s, &m) < 0)
			return 0;
	}
}

/* ---- the near end ---- */

struct agent {
	pid_t pid;
	int pidfd, chan;
	int64_t seq;
	bool is_busy;
};

int agent_start(struct jobrun *job, struct err *err)
{
	bool is_self = job->opt->ids.how == SANDBOX_IDMAP_SELF;
	int pair[2] = { -1, -1 }, rw[DIRS];
	struct server s = { .dirs = job->dirs, .workspace = job->workspace,
		.workspace_rel = job->workspace_rel };
	struct sandbox_agent a = { .fn = agent_main, .data = &s, .rw = rw };
	struct agent *agent;
	int result;

	if (chan_pair(pair, err) < 0)
		return -1;
	s.chan = pair[1];
	s.uid = s.gid = is_self ? 0 : 1;
	for (int i = 0; i < DIRS; i++)
		if (job->dirs[i] >= 0)
			rw[a.rw_len++] = job->dirs[i];
	/* What it copies actions from; Landlock looks at paths, not at who opened them. */
	if (job->opt->actions_dir >= 0) {
		a.ro = &job->opt->actions_dir;
		a.ro_len = 1;
	}
	a.keep = &pair[1];
	a.keep_len = 1;
	agent = xcalloc(1, sizeof(*agent));
	result = sandbox_agent(job->sandbox, &a, &agent->pid, &agent->pidfd, err);
	(void)close(pair[1]); /* the agent has its own */
	if (result < 0) {
		(void)close(pair[0]); /* nobody is there */
		free(agent);
		return err_wrap(err, "cannot start the job's agent");
	}
	agent->chan = pair[0];
	job->agent = agent;
	return 0;
}

void agent_stop(struct jobrun *job)
{
	struct agent *a = job->agent;

	if (!a)
		return;
	job->agent = NULL;
	(void)close(a->chan); /* its end of file ends the agent */
	if (a->is_busy)
		(void)fd_pidfd_signal(a->pidfd, SIGKILL);
	while (waitpid(a->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	(void)close(a->pidfd); /* reaped */
	free(a);
}

struct waiting {
	struct chan_msg *to;
	struct loop_source *source;
	bool is_done;
	int result;
	struct err err;
};

static void on_answer(struct loop *l, int fd, uint32_t events, void *data)
{
	struct waiting *w = data;
	int got = chan_recv(fd, w->to, &w->err);

	if (got == 0)
		(void)err_set(&w->err, ERR_BUG, "the job's agent ended");
	w->result = got == 1 ? 0 : -1;
	w->is_done = true;
	loop_remove(w->source);
}

static int call(struct jobrun *job, struct json *head, const void *body, size_t len, int fd,
	struct chan_msg *ret, struct err *err)
{
	struct agent *a = job->agent;
	struct chan_msg own = CHAN_MSG_INIT;
	struct waiting w = { .to = ret ? ret : &own };
	int result = -1;

	if (!a || a->is_busy)
		return err_set(err, ERR_UNAVAILABLE, "the job's agent is not there");
	json_set_int(head, "seq", ++a->seq);
	if (chan_send(a->chan, head, body, len, &fd, fd >= 0 ? 1 : 0, err) < 0)
		return err_wrap(err, "the job's agent");
	a->is_busy = true;
	w.source = loop_add_fd(job->loop, a->chan, EPOLLIN, on_answer, &w);
	job_wait(job, &w.is_done);
	if (!w.is_done) {
		loop_remove(w.source);
		return err_set(err, ERR_UNAVAILABLE, "the job has broken");
	}
	a->is_busy = false;
	if (w.result < 0) {
		if (err)
			*err = w.err;
	} else {
		result = helper_answer_err(w.to->head, err);
	}
	chan_msg_done(&own);
	return result;
}

static struct json *head_for(const char *op, enum job_dir dir, const char *path)
{
	struct json *head = json_new_object();

	json_set_str(head, "op", op);
	json_set_int(head, "dir", (int64_t)dir);
	json_set_str(head, "path", path);
	return head;
}

static int simple(struct jobrun *job, const char *op, enum job_dir dir, const char *path,
	struct err *err)
{
	_cleanup_(json_freep) struct json *head = head_for(op, dir, path);

	return call(job, head, NULL, 0, -1, NULL, err);
}

int agent_mkdirs(struct jobrun *job, enum job_dir dir, const char *path, struct err *err)
{
	return simple(job, "mkdirs", dir, path, err);
}

int agent_is_dir(struct jobrun *job, enum job_dir dir, const char *path, struct err *err)
{
	return simple(job, "is_dir", dir, path, err);
}

int agent_clear(struct jobrun *job, enum job_dir dir, const char *path, struct err *err)
{
	return simple(job, "clear", dir, path, err);
}

int agent_adopt(struct jobrun *job, const char *from, enum job_dir dir, const char *path,
	bool merge, struct err *err)
{
	_cleanup_(json_freep) struct json *head = head_for("adopt", dir, path);

	json_set_str(head, "from", from);
	json_set_bool(head, "merge", merge);
	return call(job, head, NULL, 0, -1, NULL, err);
}

int agent_copy(struct jobrun *job, int tree, enum job_dir dir, const char *path,
	struct err *err)
{
	_cleanup_(json_freep) struct json *head = head_for("copy", dir, path);

	return call(job, head, NULL, 0, tree, NULL, err);
}

int agent_open(struct jobrun *job, enum job_dir dir, const char *path, int *ret,
	struct err *err)
{
	_cleanup_(json_freep) struct json *head = head_for("open", dir, path);
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	int fd;

	if (call(job, head, NULL, 0, -1, &m, err) < 0)
		return -1;
	fd = chan_msg_take_fd(&m, 0);
	if (fd < 0)
		return err_set(err, ERR_BUG, "the agent sent no file");
	*ret = fd;
	return 0;
}

int agent_put(struct jobrun *job, struct agent_file *files, size_t len, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(strbuf_done) struct strbuf body = STRBUF_INIT;
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct json *list = json_new_array();
	int result;

	json_set_str(head, "op", "put");
	json_set(head, "files", list);
	for (size_t i = 0; i < len; i++) {
		struct json *item = json_new_object();

		json_set_int(item, "dir", (int64_t)files[i].dir);
		json_set_str(item, "path", files[i].path);
		json_set_int(item, "mode", files[i].mode);
		json_set_int(item, "len", (int64_t)files[i].len);
		json_push(list, item);
		strbuf_add(&body, files[i].data ? files[i].data : "", files[i].len);
	}
	result = call(job, head, body.buf, body.len, -1, &m, err);
	explicit_bzero(body.buf, body.len); /* scripts may hold secrets */
	if (result < 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		const struct json *id = json_at(json_get(m.head, "files"), i);

		files[i].dev = (uint64_t)json_get_int(id, "dev", 0);
		files[i].ino = (uint64_t)json_get_int(id, "ino", 0);
	}
	return 0;
}

int agent_get(struct jobrun *job, struct agent_file *files, size_t len, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct json *list = json_new_array();
	size_t at = 0;

	json_set_str(head, "op", "get");
	json_set(head, "files", list);
	for (size_t i = 0; i < len; i++) {
		struct json *item = json_new_object();

		json_set_int(item, "dir", (int64_t)files[i].dir);
		json_set_str(item, "path", files[i].path);
		json_set_int(item, "dev", (int64_t)files[i].dev);
		json_set_int(item, "ino", (int64_t)files[i].ino);
		json_set_int(item, "max", (int64_t)files[i].max);
		json_set_bool(item, "unlink", files[i].unlink);
		json_push(list, item);
	}
	if (call(job, head, NULL, 0, -1, &m, err) < 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		const struct json *item = json_at(json_get(m.head, "files"), i);
		size_t n = (size_t)json_get_int(item, "len", 0);
		const char *code = json_get_str(item, "code", NULL);

		if (n > m.body.len - at)
			return err_set(err, ERR_BUG, "the agent's answer is short");
		strbuf_add(&files[i].text, m.body.buf + at, n);
		at += n;
		if (code)
			(void)err_set(&files[i].err, helper_err_code(code), "%s",
				json_get_str(item, "message", ""));
	}
	return 0;
}

int agent_hash(struct jobrun *job, const char *const *patterns, size_t len,
	struct strbuf *out, struct err *err)
{
	_cleanup_(json_freep) struct json *head = head_for("hash", DIR_WORK, "");
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct json *list = json_new_array();

	json_set(head, "patterns", list);
	for (size_t i = 0; i < len; i++)
		json_push_str(list, patterns[i]);
	if (call(job, head, NULL, 0, -1, &m, err) < 0)
		return -1;
	strbuf_add(out, m.body.buf, m.body.len);
	return 0;
}

static int with_result(struct jobrun *job, const char *op, const struct json *request,
	struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_clone(request);
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;

	json_set_str(head, "op", op);
	if (call(job, head, NULL, 0, -1, &m, err) < 0)
		return -1;
	*ret = json_share(json_get(m.head, "result"));
	return 0;
}

int agent_pack(struct jobrun *job, const struct json *request, struct json **ret,
	struct err *err)
{
	return with_result(job, "pack", request, ret, err);
}

int agent_unpack(struct jobrun *job, const struct json *request, struct json **ret,
	struct err *err)
{
	return with_result(job, "unpack", request, ret, err);
}

int agent_store(struct jobrun *job, const char *data, size_t len, char *hex, struct err *err)
{
	_cleanup_(json_freep) struct json *head = head_for("store", DIR_STORE, "");
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	const char *digest;

	if (call(job, head, data, len, -1, &m, err) < 0)
		return -1;
	digest = json_get_str(m.head, "sha256", "");
	if (strlen(digest) != SHA256_HEX_MAX - 1)
		return err_set(err, ERR_BUG, "the agent sent no digest");
	memcpy(hex, digest, SHA256_HEX_MAX);
	return 0;
}

/* ---- places ---- */

static bool is_beneath(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (!path[n] || path[n] == '/');
}

int agent_place(const struct jobrun *job, const char *inside, enum job_dir *ret_dir,
	char **ret_path, struct err *err)
{
	/* The longest prefix first. */
	static const struct {
		const char *prefix;
		enum job_dir dir;
	} places[] = {
		{ INSIDE_TEMP, DIR_TEMP },	 { INSIDE_ACTIONS, DIR_ACTIONS },
		{ INSIDE_WORK, DIR_WORK },	 { INSIDE_HOME, DIR_HOME },
		{ INSIDE_TOOL, DIR_TOOL },	 { "/var/tmp", DIR_VARTMP },
		{ "/tmp", DIR_TMP },
	};
	_cleanup_free_ char *joined = NULL, *path = NULL;

	if (inside[0] == '/')
		joined = xstrdup(inside);
	else if (inside[0] == '~' && (inside[1] == '/' || !inside[1]))
		joined = xasprintf("%s%s", INSIDE_HOME, inside + 1);
	else
		joined = path_join(job->workspace, inside);
	path = path_normalise(joined);
	if (job->dirs[DIR_TREE] >= 0 && is_beneath(path, job->workspace)) {
		size_t n = strlen(job->workspace);

		*ret_dir = DIR_TREE;
		*ret_path = xstrdup(path[n] ? path + n + 1 : "");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		size_t n = strlen(places[i].prefix);

		if (!is_beneath(path, places[i].prefix))
			continue;
		*ret_dir = places[i].dir;
		*ret_path = xstrdup(path[n] ? path + n + 1 : "");
		return 0;
	}
	return err_set(err, ERR_INPUT, "'%s' is outside the job's folders", inside);
}
