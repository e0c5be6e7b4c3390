/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole trees: remove and copy. Strangers make these trees, so they may be as deep as the
 * disk allows, hold links to anywhere and change while we walk. Nothing here recurses,
 * and the number of open descriptors does not grow with the depth.
 */
#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path-internal.h"
#include "base/strbuf.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static void closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

static bool is_dots(const char *name)
{
	return str_eq(name, ".") || str_eq(name, "..");
}

/* DIR of an owned descriptor; the descriptor is gone in any case. */
static DIR *stream_of(int fd)
{
	DIR *d = fdopendir(fd);

	if (!d) {
		int sys = errno;

		(void)close(fd);
		errno = sys;
	}
	return d;
}

/* ---- opening one folder without leaving the mount ---- */

static int open_without_openat2(int dir, const char *name)
{
	_cleanup_close_ int fd =
		openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct statx parent, self;

	if (fd < 0)
		return -1;
	if (statx(dir, "", AT_EMPTY_PATH, STATX_MNT_ID, &parent) < 0 ||
		statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &self) < 0)
		return -1;
	if (parent.stx_dev_major != self.stx_dev_major ||
		parent.stx_dev_minor != self.stx_dev_minor ||
		(parent.stx_mask & self.stx_mask & STATX_MNT_ID &&
			parent.stx_mnt_id != self.stx_mnt_id)) {
		errno = EXDEV;
		return -1;
	}
	return take_fd(&fd);
}

static int open_same_mount(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};
	int fd;

	if (path_is_walk_forced())
		return open_without_openat2(dir, name);
	fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		return open_without_openat2(dir, name);
	return fd;
}

/* chmod of what an O_PATH descriptor holds; no name is looked up twice. */
static int chmod_path_fd(int fd, mode_t mode)
{
	char proc[64];

	if (syscall(SYS_fchmodat2, fd, "", mode, AT_EMPTY_PATH) == 0)
		return 0;
	(void)snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd); /* before Linux 6.6 */
	return chmod(proc, mode);
}

/* Opens a folder to empty it; one of ours that forbids that is made to allow it. */
static int open_to_empty(int dir, const char *name)
{
	_cleanup_close_ int fd = open_same_mount(dir, name);
	_cleanup_close_ int locked = -1;
	struct stat st;

	if (fd < 0 && errno == EACCES) {
		locked = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (locked < 0)
			return -1;
		if (chmod_path_fd(locked, 0700) < 0) {
			errno = EACCES;
			return -1;
		}
		fd = open_same_mount(dir, name);
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if ((st.st_mode & 0700) != 0700 && st.st_uid == geteuid())
		(void)fchmod(fd, 0700); /* else the first unlink says why not */
	return take_fd(&fd);
}

/* ---- remove ---- */

#define STREAMS_MAX 32 /* of the innermost levels; outer ones are opened again */
#define RETRIES_MAX 16

struct level {
	char *name; /* in its parent */
	dev_t dev;
	ino_t ino;
	DIR *stream; /* NULL when closed to save descriptors */
	unsigned retries;
};

struct removal {
	int parent; /* of the top level; borrowed */
	struct level *levels;
	size_t len, alloc;
};

static void level_pop(struct removal *r)
{
	struct level *l = &r->levels[--r->len];

	closedirp(&l->stream);
	free(l->name);
}

static void removal_done(struct removal *r)
{
	while (r->len > 0)
		level_pop(r);
	free(r->levels);
}

static int level_push(struct removal *r, int dir, const char *name)
{
	struct level l = { NULL, 0, 0, NULL, 0 };
	int fd = open_to_empty(dir, name);
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0) {
		(void)close(fd);
		return -1;
	}
	l.stream = stream_of(fd);
	if (!l.stream)
		return -1;
	l.name = xstrdup(name);
	l.dev = st.st_dev;
	l.ino = st.st_ino;
	GROW(r->levels, r->alloc, r->len + 1);
	r->levels[r->len++] = l;
	if (r->len > STREAMS_MAX) {
		struct level *outer = &r->levels[r->len - 1 - STREAMS_MAX];

		closedirp(&outer->stream);
		outer->stream = NULL;
	}
	return 0;
}

/*
 * Opens the level above the innermost again, by the innermost's "..": if somebody moved it
 * meanwhile that is another folder, which the device and inode tell.
 */
static int reopen_parent(struct removal *r, struct err *err)
{
	struct level *inner = &r->levels[r->len - 1];
	struct level *outer = &r->levels[r->len - 2];
	int fd = openat(dirfd(inner->stream), "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_sys(err, "cannot go back to '%s'", outer->name);
		cleanup_closep(&fd);
		return -1;
	}
	if (st.st_dev != outer->dev || st.st_ino != outer->ino) {
		(void)close(fd);
		return err_set(err, ERR_CONFLICT, "'%s' was moved while it was removed",
			inner->name);
	}
	outer->stream = stream_of(fd);
	if (!outer->stream)
		return err_sys(err, "cannot read '%s'", outer->name);
	return 0;
}

/* The innermost level is empty: go up and take it away. */
static int remove_emptied(struct removal *r, struct err *err)
{
	struct level *l = &r->levels[r->len - 1];
	int dir = r->parent;

	if (r->len > 1) {
		if (!r->levels[r->len - 2].stream && reopen_parent(r, err) < 0)
			return -1;
		dir = dirfd(r->levels[r->len - 2].stream);
	}
	if (unlinkat(dir, l->name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
		if ((errno == ENOTEMPTY || errno == EEXIST) &&
			l->retries++ < RETRIES_MAX) {
			rewinddir(l->stream); /* something was added behind us */
			return 0;
		}
		return err_sys(err, "cannot remove folder '%s'", l->name);
	}
	level_pop(r);
	return 0;
}

static int remove_entry(struct removal *r, const struct dirent *e, struct err *err)
{
	int dir = dirfd(r->levels[r->len - 1].stream);

	/* Most are files, and most folders are not known to be empty: ask in that order. */
	if (e->d_type != DT_DIR && unlinkat(dir, e->d_name, 0) == 0)
		return 0;
	if (e->d_type != DT_DIR && errno != EISDIR && errno != EPERM)
		return errno == ENOENT ? 0
				       : err_sys(err, "cannot remove '%s'", e->d_name);
	if (level_push(r, dir, e->d_name) == 0 || errno == ENOENT)
		return 0;
	/* It was a file after all, or became one. */
	if ((errno == ENOTDIR || errno == ELOOP) && unlinkat(dir, e->d_name, 0) == 0)
		return 0;
	return err_sys(err, "cannot remove '%s'", e->d_name);
}

static int remove_levels(struct removal *r, struct err *err)
{
	while (r->len > 0) {
		struct level *l = &r->levels[r->len - 1];
		struct dirent *e;

		errno = 0;
		e = readdir(l->stream);
		if (!e && errno)
			return err_sys(err, "cannot read folder '%s'", l->name);
		if (e && is_dots(e->d_name))
			continue;
		if ((e ? remove_entry(r, e, err) : remove_emptied(r, err)) < 0)
			return -1;
	}
	return 0;
}

/* DIR/NAME as a folder to work in and a last component; NAME may hold slashes. */
static int open_parent_of(
	int dir, const char *name, int *ret_fd, const char **ret_base, struct err *err)
{
	const char *base = path_base(name);
	_cleanup_free_ char *parent = xstrndup(name, (size_t)(base - name));

	if (*base == '\0' || is_dots(base))
		return err_set(
			err, ERR_BUG, "'%s' is not a name that can be removed", name);
	*ret_fd = openat(dir, *parent ? parent : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*ret_fd < 0)
		return err_sys(err, "cannot open the folder of '%s'", name);
	*ret_base = base;
	return 0;
}

int path_remove_tree(int dir, const char *name, struct err *err)
{
	_cleanup_close_ int parent = -1;
	_cleanup_(removal_done) struct removal r = { -1, NULL, 0, 0 };
	const char *base = NULL;

	if (open_parent_of(dir, name, &parent, &base, err) < 0)
		return -1;
	r.parent = parent;
	if (level_push(&r, parent, base) < 0) {
		if (errno == ENOENT)
			return 0;
		if ((errno == ENOTDIR || errno == ELOOP) &&
			unlinkat(parent, base, 0) == 0)
			return 0;
		return err_sys(err, "cannot remove '%s'", name);
	}
	if (remove_levels(&r, err) < 0)
		return err_wrap(err, "cannot remove '%s'", name);
	return 0;
}

/* ---- copy ---- */

struct copied {
	char *path; /* of a folder, relative to both roots; "." is the root */
	mode_t mode;
	struct timespec times[2];
};

struct copy {
	int src, dst;
	struct stat dst_stat;
	/* In the order found: a queue, and read backwards a list of what is to be finished. */
	struct copied *folders;
	size_t len, alloc;
};

static void copy_done(struct copy *c)
{
	for (size_t i = 0; i < c->len; i++)
		free(c->folders[i].path);
	free(c->folders);
}

static void copy_queue(struct copy *c, char *path, const struct stat *st)
{
	GROW(c->folders, c->alloc, c->len + 1);
	c->folders[c->len++] = (struct copied){ path, st->st_mode & 01777,
		{ st->st_atim, st->st_mtim } };
}

static int copy_by_hand(int in, int out)
{
	char buf[64 * 1024];
	ssize_t n;

	while ((n = fd_read_full(in, buf, sizeof(buf))) > 0)
		if (fd_write_all(out, buf, (size_t)n) < 0)
			return -1;
	return n < 0 ? -1 : 0;
}

/* Shares the blocks where the file system can, else lets the kernel copy. */
static int copy_bytes(int in, int out)
{
	ssize_t n;

	if (ioctl(out, FICLONE, in) == 0)
		return 0;
	do
		n = copy_file_range(in, NULL, out, NULL, 1 << 30, 0);
	while (n > 0 || (n < 0 && errno == EINTR));
	if (n == 0 || (errno != EXDEV && errno != EINVAL && errno != ENOSYS &&
			      errno != EOPNOTSUPP && errno != EPERM))
		return n == 0 ? 0 : -1;
	return copy_by_hand(in, out); /* both positions are where it stopped */
}

static int copy_file(int from, int to, const char *name, struct err *err)
{
	const int how = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	_cleanup_close_ int in = openat(from, name, how);
	_cleanup_close_ int out = -1;
	struct stat st;

	if (in < 0 || fstat(in, &st) < 0)
		return err_sys(err, "cannot read '%s'", name);
	if (!S_ISREG(st.st_mode)) /* swapped since it was listed */
		return err_set(
			err, ERR_CONFLICT, "'%s' changed while it was copied", name);
	out = openat(
		to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (out < 0)
		return err_sys(err, "cannot create '%s'", name);
	if (copy_bytes(in, out) < 0)
		return err_sys(err, "cannot copy '%s'", name);
	/* No set-id bits: the copy may belong to somebody else than the original. */
	if (fchmod(out, st.st_mode & 0777) < 0)
		return err_sys(err, "cannot set the mode of '%s'", name);
	if (futimens(out, (struct timespec[2]){ st.st_atim, st.st_mtim }) < 0)
		return err_sys(err, "cannot set the time of '%s'", name);
	return 0;
}

static int copy_symlink(int from, int to, const char *name, struct err *err)
{
	char target[4096 + 1];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return err_sys(err, "cannot read symlink '%s'", name);
	target[n] = '\0';
	if (symlinkat(target, to, name) < 0)
		return err_sys(err, "cannot create symlink '%s'", name);
	return 0;
}

static int copy_entry(struct copy *c, int from, int to, const char *path,
	const char *name, struct err *err)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "cannot stat '%s'", name);
	if (S_ISREG(st.st_mode))
		return copy_file(from, to, name, err);
	if (S_ISLNK(st.st_mode))
		return copy_symlink(from, to, name, err);
	if (!S_ISDIR(st.st_mode))
		return 0; /* sockets, FIFOs and devices mean nothing in a copy */
	if (st.st_dev == c->dst_stat.st_dev && st.st_ino == c->dst_stat.st_ino)
		return err_set(err, ERR_INPUT, "the copy would hold itself");
	if (mkdirat(to, name, 0700) < 0)
		return err_sys(err, "cannot make folder '%s'", name);
	copy_queue(c, str_eq(path, ".") ? xstrdup(name) : path_join(path, name), &st);
	return 0;
}

static int copy_folder(struct copy *c, const char *path, struct err *err)
{
	_cleanup_(closedirp) DIR *stream = NULL;
	_cleanup_close_ int to = -1;
	struct dirent *e;
	int from =
		path_open(c->src, path, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);

	if (from < 0)
		return -1;
	stream = stream_of(from);
	if (!stream)
		return err_sys(err, "cannot read folder '%s'", path);
	to = path_open(c->dst, path, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
	if (to < 0)
		return -1;
	while ((errno = 0, e = readdir(stream)) != NULL) {
		if (is_dots(e->d_name))
			continue;
		if (copy_entry(c, dirfd(stream), to, path, e->d_name, err) < 0)
			return err_wrap(err, "'%s'", path);
	}
	return errno ? err_sys(err, "cannot read folder '%s'", path) : 0;
}

/* Modes last and inside out: a folder that may not be written was still to be filled. */
static int finish_folder(struct copy *c, const struct copied *f, struct err *err)
{
	_cleanup_close_ int fd = path_open(
		c->dst, f->path, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);

	if (fd < 0)
		return -1;
	if (fchmod(fd, f->mode) < 0 || futimens(fd, f->times) < 0)
		return err_sys(err, "cannot set the mode of '%s'", f->path);
	return 0;
}

int path_copy_tree(int src, int dst, struct err *err)
{
	_cleanup_(copy_done) struct copy c = { .src = src, .dst = dst };
	struct stat st;

	if (fstat(src, &st) < 0 || fstat(dst, &c.dst_stat) < 0)
		return err_sys(err, "cannot stat a folder to copy");
	copy_queue(&c, xstrdup("."), &st);
	for (size_t i = 0; i < c.len; i++)
		if (copy_folder(&c, c.folders[i].path, err) < 0)
			return -1;
	for (size_t i = c.len; i-- > 1;) /* the root's own mode is the caller's affair */
		if (finish_folder(&c, &c.folders[i], err) < 0)
			return -1;
	return 0;
}
