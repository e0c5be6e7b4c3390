/* SPDX-License-Identifier: Apache-2.0 */
/* Prepared roots under their digests, and the names that lead to them. */
#include "executor/rootstore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strvec.h"

#define INFO_MAX   (64 * KiB)
#define OWNERS_MAX ((size_t)(512 * MiB))
#define SUFFIX	   ".json"
#define STAGE_TRIES 8

static bool is_digest(const char *hex)
{
	return strlen(hex) == 64 && strspn(hex, "0123456789abcdef") == 64;
}

static int read_info(int roots, const char *file, struct json **ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_(json_freep) struct json *j = NULL;

	if (fd_read_file(roots, file, INFO_MAX, &text, err) < 0 ||
		json_parse(text.buf, text.len, &j, err) < 0)
		return -1;
	if (!is_digest(json_get_str(j, "digest", "")))
		return err_set(err, ERR_INPUT, "'%s' names no root", file);
	*ret = take_ptr(j);
	return 0;
}

int rootstore_find(int roots, const char *name, struct json **ret, struct err *err)
{
	_cleanup_free_ char *file = xasprintf("%s" SUFFIX, name);
	struct err why = ERR_INIT;

	if (!path_is_name(name))
		return err_set(err, ERR_INPUT, "'%.60s' is no name of an image", name);
	if (read_info(roots, file, ret, &why) == 0)
		return 0;
	if (why.code == ERR_NOT_FOUND)
		return err_set(err, ERR_NOT_FOUND,
			"there is no image '%s'; make it: sluice image build %s", name,
			name);
	if (err)
		*err = why;
	return -1;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in the store that end so, in their order; with "" those that begin with a dot. */
static int list_names(int roots, const char *suffix, struct strvec *out, struct err *err)
{
	int fd = openat(roots, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!d)
		return err_sys(err, "cannot read '" ROOTSTORE_DIR "'");
	while ((e = readdir(d))) {
		bool is_hidden = e->d_name[0] == '.';

		if (is_hidden == !*suffix && path_is_name(e->d_name + is_hidden) &&
			str_ends(e->d_name, suffix))
			(void)strvec_push(out, e->d_name);
	}
	(void)closedir(d); /* read only */
	if (out->len)
		qsort(out->v, out->len, sizeof(*out->v), by_text);
	return 0;
}

int rootstore_list(int roots, struct json **ret, struct err *err)
{
	_cleanup_(strvec_done) struct strvec names = STRVEC_INIT;
	_cleanup_(json_freep) struct json *list = json_new_array();

	if (list_names(roots, SUFFIX, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.len; i++) {
		struct json *one = NULL;

		if (read_info(roots, names.v[i], &one, err) < 0)
			return -1;
		json_push(list, one);
	}
	*ret = take_ptr(list);
	return 0;
}

/* ---- using one ---------------------------------------------------------------------- */

static int read_lock(int fd)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_SETLK, &lock);
}

int rootstore_open(
	int roots, const char *hex, struct rootstore_root *ret, struct err *err)
{
	_cleanup_(rootstore_close) struct rootstore_root r = ROOTSTORE_ROOT_INIT;
	_cleanup_close_ int dir = -1;
	char path[80];

	if (!is_digest(hex))
		return err_set(err, ERR_INPUT, "'%.70s' is no digest of a root", hex);
	(void)snprintf(path, sizeof(path), "sha256/%s", hex);
	dir = path_open(roots, path, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
	if (dir < 0)
		return err_wrap(err, "the root %.12s", hex);
	r.lock = path_open(dir, "lock", O_RDONLY, 0, PATH_NO_SYMLINKS, err);
	r.owners = path_open(dir, "owners", O_RDONLY, 0, PATH_NO_SYMLINKS, err);
	r.tree = path_open(dir, "root", O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
	if (r.lock < 0 || r.owners < 0 || r.tree < 0)
		return err_wrap(err, "the root %.12s", hex);
	if (read_lock(r.lock) < 0)
		return err_set(err, ERR_CONFLICT, "the root %.12s is being removed", hex);
	*ret = (struct rootstore_root){ take_fd(&r.tree), take_fd(&r.owners),
		take_fd(&r.lock) };
	return 0;
}

void rootstore_close(struct rootstore_root *root)
{
	cleanup_closep(&root->tree);
	cleanup_closep(&root->owners);
	cleanup_closep(&root->lock);
	*root = (struct rootstore_root)ROOTSTORE_ROOT_INIT;
}

bool rootstore_is_owned(const struct rootstore_root *root)
{
	struct stat tree, lock;

	return fstat(root->tree, &tree) == 0 && fstat(root->lock, &lock) == 0 &&
	       tree.st_uid == 0 && lock.st_uid == 0;
}

/* ---- making one --------------------------------------------------------------------- */

/* Whoever makes or removes a folder of these names holds it locked. */
#define NEW ".new-"
#define OLD ".old-"
#define TAR ".tar-"

/* The folder NAME, locked by us alone; -1 with ERR_CONFLICT: by another, or gone since. */
static int lock_folder(int roots, const char *name, struct err *err)
{
	_cleanup_close_ int fd = path_open(
		roots, name, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
	struct stat ours, now;

	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_set(err, ERR_CONFLICT, "'%s' is in use", name)
			       : err_sys(err, "cannot lock '%s'", name);
	/* Between the two somebody may have taken it for a leftover. */
	if (fstat(fd, &ours) < 0 || fstatat(roots, name, &now, AT_SYMLINK_NOFOLLOW) < 0 ||
		ours.st_ino != now.st_ino || ours.st_dev != now.st_dev)
		return err_set(err, ERR_CONFLICT, "'%s' has been removed", name);
	return take_fd(&fd);
}

int rootstore_stage(int roots, char name[ROOTSTORE_STAGE_MAX], int *ret, struct err *err)
{
	struct err why = ERR_INIT;

	for (int i = 0; i < STAGE_TRIES; i++) {
		_cleanup_free_ char *random = crypto_random_hex(8);

		err_clear(&why);
		(void)snprintf(name, ROOTSTORE_STAGE_MAX, NEW "%s", random);
		if (mkdirat(roots, name, 0755) < 0 || fchmodat(roots, name, 0755, 0) < 0)
			return err_sys(err, "cannot make a folder in '" ROOTSTORE_DIR "'");
		*ret = lock_folder(roots, name, &why);
		if (*ret >= 0)
			return 0;
		if (why.code != ERR_CONFLICT)
			break;
	}
	if (err)
		*err = why;
	return -1;
}

char *rootstore_stage_tar(const char *stage)
{
	return xasprintf(TAR "%s.tar", stage + strlen(NEW));
}

static void sweep_folder(int roots, const char *name)
{
	struct err err = ERR_INIT;
	_cleanup_close_ int fd = lock_folder(roots, name, &err);

	if (fd >= 0 && path_remove_tree(roots, name, &err) < 0)
		log_warnx("'%s/%s' stays: %s", ROOTSTORE_DIR, name, err.msg);
}

/* ".tar-X.tar" belongs to ".new-X". */
static void sweep_tar(int roots, const char *name)
{
	_cleanup_free_ char *stage = xasprintf(
		NEW "%.*s", (int)strcspn(name + strlen(TAR), "."), name + strlen(TAR));

	if (faccessat(roots, stage, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		(void)unlinkat(roots, name, 0); /* not ours to remove: it stays */
}

void rootstore_sweep(int roots)
{
	_cleanup_(strvec_done) struct strvec names = STRVEC_INIT;

	if (list_names(roots, "", &names, NULL) < 0)
		return;
	strvec_foreach (name, &names)
		if (str_starts(*name, NEW) || str_starts(*name, OLD))
			sweep_folder(roots, *name);
	strvec_foreach (name, &names)
		if (str_starts(*name, TAR))
			sweep_tar(roots, *name);
}

/* One record "UID GID PATH". What a later layer took away is not there any more. */
static int give_one(
	int tree, const char *record, uid_t first_uid, gid_t first_gid, struct err *err)
{
	char *at = NULL;
	unsigned long uid = strtoul(record, &at, 10), gid;
	_cleanup_close_ int fd = -1;

	gid = strtoul(*at ? at + 1 : at, &at, 10);
	if (*at != ' ' || uid > 65535 || gid > 65535 || !path_is_clean(at + 1))
		return err_set(err, ERR_INPUT, "'%.100s' names no owner", record);
	fd = path_open(tree, at + 1, O_PATH | O_NOFOLLOW, 0, 0, NULL);
	if (fd < 0)
		return 0;
	if (fchownat(fd, "", first_uid + (uid_t)uid, first_gid + (gid_t)gid,
		    AT_EMPTY_PATH) < 0)
		return err_sys(err, "cannot give '%.100s' to %lu", at + 1, uid);
	return 0;
}

int rootstore_give(int tree, int owners, uid_t uid, gid_t gid, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	if (lseek(owners, 0, SEEK_SET) < 0)
		return err_sys(err, "cannot read 'owners'");
	if (fd_read_to_end(owners, OWNERS_MAX, &text, err) < 0)
		return -1;
	for (size_t at = 0; at < text.len; at += strlen(text.buf + at) + 1)
		if (give_one(tree, text.buf + at, uid, gid, err) < 0)
			return -1;
	return 0;
}

int rootstore_own(int stage, struct err *err)
{
	_cleanup_close_ int tree = path_open(
		stage, "root", O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
	_cleanup_close_ int owners =
		path_open(stage, "owners", O_RDONLY, 0, PATH_NO_SYMLINKS, err);

	if (tree < 0 || owners < 0)
		return -1;
	return rootstore_give(tree, owners, 0, 0, err);
}

static int make_lock(int stage, struct err *err)
{
	_cleanup_close_ int fd = path_open(
		stage, "lock", O_WRONLY | O_CREAT | O_EXCL, 0644, PATH_NO_SYMLINKS, err);

	if (fd < 0)
		return -1;
	/* Whoever runs jobs must be able to lock it, whatever our umask. */
	return fchmod(fd, 0644) < 0 ? err_sys(err, "cannot open 'lock' to all") : 0;
}

int rootstore_publish(
	int roots, const char *stage, const struct json *info, struct err *err)
{
	const char *hex = json_get_str(info, "digest", "");
	_cleanup_free_ char *file =
		xasprintf("%s" SUFFIX, json_get_str(info, "name", ""));
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_close_ int dir = -1;
	char path[80];
	struct stat st;

	if (!is_digest(hex))
		return err_set(err, ERR_BUG, "a root without a digest");
	dir = path_open(roots, stage, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
	if (dir < 0 || make_lock(dir, err) < 0)
		return -1;
	if (path_mkdirs(roots, "sha256", 0755, err) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "sha256/%s", hex);
	if (fstatat(roots, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		/* It is there: what is prepared is never changed. */
		if (path_remove_tree(roots, stage, err) < 0)
			return -1;
	} else if (syncfs(dir) < 0 || renameat(roots, stage, roots, path) < 0) {
		return err_sys(err, "cannot name the root '%.12s'", hex);
	}
	json_write(info, JSON_WRITE_PRETTY, &text);
	return fd_replace_file(roots, file, text.buf, text.len, 0644, 0, err);
}

/* Is the digest still another name's? */
static bool is_named(int roots, const char *hex)
{
	_cleanup_(json_freep) struct json *list = NULL;

	if (rootstore_list(roots, &list, NULL) < 0)
		return true; /* in doubt it stays */
	for (size_t i = 0; i < json_count(list); i++)
		if (str_eq(json_get_str(json_at(list, i), "digest", ""), hex))
			return true;
	return false;
}

int rootstore_remove(int roots, const char *name, struct err *err)
{
	_cleanup_free_ char *file = xasprintf("%s" SUFFIX, name);
	_cleanup_(json_freep) struct json *info = NULL;
	_cleanup_close_ int lock = -1, dir = -1;
	char path[96], gone[ROOTSTORE_STAGE_MAX];
	struct err why = ERR_INIT;
	const char *hex;

	if (rootstore_find(roots, name, &info, err) < 0)
		return -1;
	hex = json_get_str(info, "digest", "");
	(void)snprintf(path, sizeof(path), "sha256/%s/lock", hex);
	lock = path_open(roots, path, O_RDWR, 0, PATH_NO_SYMLINKS, NULL);
	if (lock >= 0 && fd_lock(lock) != 1)
		return err_set(err, ERR_CONFLICT, "a job uses the image '%s'", name);
	if (unlinkat(roots, file, 0) < 0)
		return err_sys(err, "cannot remove '%s'", file);
	if (is_named(roots, hex))
		return 0;
	(void)snprintf(path, sizeof(path), "sha256/%s", hex);
	(void)snprintf(gone, sizeof(gone), OLD "%.12s", hex);
	dir = lock_folder(roots, path, &why); /* so that nobody else takes it for a leftover */
	if (dir < 0 && why.code == ERR_CONFLICT)
		return err_set(err, ERR_CONFLICT, "the image '%s' is being removed", name);
	if (renameat(roots, path, roots, gone) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "cannot remove '%s'", path);
	return path_remove_tree(roots, gone, err);
}
