/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers of an image, by libarchive. A root file system is full of links that lead
 * "out" by their text (/var/run -> /run), and later layers go through them. So each name's
 * folder is resolved here, link by link, with the image's root as '/'; what comes out holds
 * no link any more and is opened beneath the root with none allowed.
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/archive-internal.h"

#define BLOCK	     (64 * 1024)
#define PATH_LEN_MAX 4096
#define LINKS_MAX    40
#define SAID_MAX     (64 * KiB)
#define ID_MAX	     65534
#define WHITEOUT     ".wh."
#define OPAQUE	     ".wh..wh..opq"

static int fault(struct archive *a, struct err *err, const char *what)
{
	const char *why = archive_error_string(a);

	return err_set(
		err, ERR_INPUT, "%s: %.150s", what, why ? why : "the archive is damaged");
}

static void reader_freep(struct archive **a)
{
	if (*a)
		(void)archive_read_free(*a); /* read only */
}

static int reader_open(int fd, struct archive **ret, struct err *err)
{
	struct archive *a = archive_read_new();

	if (!a)
		abort(); /* no memory */
	*ret = a;
	(void)archive_read_support_format_tar(a);
	(void)archive_read_support_format_empty(a);
	(void)archive_read_support_filter_gzip(a);
	(void)archive_read_support_filter_zstd(a);
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, "cannot read the layer");
	if (archive_read_open_fd(a, fd, BLOCK) < ARCHIVE_WARN)
		return fault(a, err, "cannot read the layer");
	return 0;
}

/* The name as a clean relative path, heap; NULL with *ERR clear: the root itself. */
static char *clean_name(const char *name, struct err *err)
{
	size_t n;

	if (!name || !name[0] || strlen(name) > PATH_LEN_MAX) {
		(void)err_set(err, ERR_INPUT, "an entry has no usable name");
		return NULL;
	}
	while (name[0] == '.' && name[1] == '/')
		name += 2 + strspn(name + 2, "/");
	n = strlen(name);
	while (n > 0 && name[n - 1] == '/')
		n--;
	if (n == 0 || (n == 1 && name[0] == '.')) {
		if (name[0] == '/')
			(void)err_set(err, ERR_INPUT, "an entry is named '/'");
		return NULL;
	}
	{
		_cleanup_free_ char *copy = xstrndup(name, n);

		if (path_is_clean(copy))
			return take_ptr(copy);
		(void)err_set(err, ERR_INPUT, "'%.150s' leads out of the image", name);
		return NULL;
	}
}

/* ---- folders, with the image's root as '/' ----------------------------------------- */

/* Takes the first component off *REST into *RET; false: there is none. */
static bool next_part(char **rest, char **ret)
{
	char *at = *rest + strspn(*rest, "/");
	size_t n = strcspn(at, "/");

	if (!n)
		return false;
	*ret = at;
	*rest = at[n] ? at + n + 1 : at + n;
	at[n] = '\0';
	return true;
}

static void drop_last(struct strbuf *path)
{
	const char *slash = path->len ? strrchr(path->buf, '/') : NULL;

	strbuf_truncate(path, slash ? (size_t)(slash - path->buf) : 0);
}

/*
 * DIR (clean) as a path without a link in it, in OUT; parts that are not there yet stand
 * for themselves. Nobody but us changes the tree meanwhile, and should somebody: the
 * result is opened with no link allowed.
 */
static int resolve(
	const struct layers *l, const char *dir, struct strbuf *out, struct err *err)
{
	_cleanup_free_ char *todo = xstrdup(dir);
	char *rest = todo, *part;
	int links = 0;

	while (next_part(&rest, &part)) {
		char target[PATH_LEN_MAX];
		size_t before = out->len;
		ssize_t n;
		char *joined;

		if (str_eq(part, "."))
			continue;
		if (str_eq(part, "..")) {
			drop_last(out); /* of '/' it is '/' */
			continue;
		}
		strbuf_addf(out, "%s%s", out->len ? "/" : "", part);
		if (out->len > PATH_LEN_MAX)
			return err_set(err, ERR_LIMIT, "a path of the image is too long");
		n = readlinkat(l->root, out->buf, target, sizeof(target) - 1);
		if (n < 0)
			continue; /* no link, or not there */
		if (++links > LINKS_MAX)
			return err_set(err, ERR_INPUT, "'%.150s': too many links", dir);
		target[n] = '\0';
		strbuf_truncate(out, target[0] == '/' ? 0 : before);
		joined = xasprintf("%s/%s", target, rest);
		free(todo);
		todo = rest = joined;
	}
	return 0;
}

static void forget_parent(struct layers *l)
{
	if (l->parent >= 0)
		(void)close(l->parent);
	l->parent = -1;
	free(take_ptr(l->parent_name));
}

/*
 * The folder PATH lies in, lent until the next call; with MAKE made where it is missing.
 * *RET_PATH is PATH without a link on its way, heap. -1 with errno ENOENT: not there.
 */
static int open_parent(
	struct layers *l, const char *path, bool make, char **ret_path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dir =
		slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup("");
	_cleanup_(strbuf_done) struct strbuf real = STRBUF_INIT;
	int fd;

	if (resolve(l, dir, &real, err) < 0) {
		errno = ELOOP;
		return -1;
	}
	*ret_path = real.len ? xasprintf("%s/%s", real.buf, path_base(path))
			     : xstrdup(path_base(path));
	if (l->parent >= 0 && str_eq(l->parent_name, real.len ? real.buf : ""))
		return l->parent;
	if (make && real.len && path_mkdirs(l->root, real.buf, 0755, err) < 0)
		return -1;
	fd = real.len ? path_open(l->root, real.buf, O_RDONLY | O_DIRECTORY, 0,
				PATH_NO_SYMLINKS, err)
		      : openat(l->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	forget_parent(l);
	l->parent = fd;
	l->parent_name = xstrdup(real.len ? real.buf : "");
	return fd;
}

/* What stands at NAME makes way, a folder with all that is in it. */
static int make_way(struct layers *l, int parent, const char *name, struct err *err)
{
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0
				       : err_sys(err, "cannot look at '%.150s'", name);
	if (!S_ISDIR(st.st_mode))
		return unlinkat(parent, name, 0) < 0
			       ? err_sys(err, "cannot replace '%.150s'", name)
			       : 0;
	return path_remove_tree(parent, name, err);
}

/* ---- whiteouts --------------------------------------------------------------------- */

static int clear_folder(int parent, struct err *err)
{
	int copy = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;
	int rc = 0;

	if (!d)
		return err_sys(err, "cannot read a folder of the image");
	while (rc == 0 && (e = readdir(d)))
		if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
			rc = path_remove_tree(parent, e->d_name, err);
	(void)closedir(d); /* read only */
	return rc;
}

static int whiteout(struct layers *l, const char *path, struct err *err)
{
	const char *name = path_base(path), *hidden = name + strlen(WHITEOUT);
	_cleanup_free_ char *real = NULL;
	struct err none = ERR_INIT;
	int parent;

	if (!str_starts(name, WHITEOUT))
		return 0;
	if (!str_eq(name, OPAQUE) && str_starts(name, WHITEOUT WHITEOUT))
		return 0; /* aufs' own notes */
	if (!hidden[0] || str_eq(hidden, ".") || str_eq(hidden, ".."))
		return err_set(err, ERR_INPUT, "'%.150s' takes nothing away", path);
	parent = open_parent(l, path, false, &real, &none);
	if (parent < 0)
		return 0; /* from a folder that no layer has */
	if (str_eq(name, OPAQUE))
		return clear_folder(parent, err);
	return make_way(l, parent, hidden, err);
}

static int each_whiteout(struct layers *l, int fd, struct err *err)
{
	_cleanup_(reader_freep) struct archive *a = NULL;
	struct archive_entry *e;
	int64_t seen = 0;
	int rc;

	if (reader_open(fd, &a, err) < 0)
		return -1;
	while ((rc = archive_read_next_header(a, &e)) != ARCHIVE_EOF) {
		struct err bad = ERR_INIT;
		_cleanup_free_ char *path = NULL;

		if (rc < ARCHIVE_WARN)
			return fault(a, err, "cannot read the layer");
		if (++seen > l->max_entries)
			return err_set(err, ERR_LIMIT,
				"the image has more than %" PRId64 " entries",
				l->max_entries);
		path = clean_name(archive_entry_pathname(e), &bad);
		if (path && whiteout(l, path, err) < 0)
			return -1;
		forget_parent(l); /* it may be gone */
	}
	return 0;
}

/* ---- entries ----------------------------------------------------------------------- */

static int write_blocks(
	struct layers *l, struct archive *a, const char *path, int fd, struct err *err)
{
	int64_t end = 0;

	for (;;) {
		const void *block;
		size_t size;
		la_int64_t at;
		int rc = archive_read_data_block(a, &block, &size, &at);

		if (rc == ARCHIVE_EOF)
			break;
		if (rc < ARCHIVE_WARN)
			return fault(a, err, path);
		if (at < 0 || at > l->max_bytes)
			return err_set(
				err, ERR_LIMIT, "'%.100s' has a hole too large", path);
		if (at + (int64_t)size > end)
			end = at + (int64_t)size;
		if (l->bytes + end > l->max_bytes)
			return err_set(err, ERR_LIMIT,
				"'%.100s': more than %lld MiB come out", path,
				l->max_bytes / MiB);
		if (fd_pwrite_all(fd, block, size, at) < 0)
			return err_sys(err, "cannot write '%.150s'", path);
	}
	l->bytes += end;
	return 0;
}

static int add_file(struct layers *l, struct archive *a, struct archive_entry *e,
	int parent, const char *path, struct err *err)
{
	const char *name = path_base(path);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = archive_entry_mtime(e) } };
	_cleanup_close_ int fd = -1;

	if (archive_entry_size_is_set(e) && archive_entry_size(e) > l->max_bytes)
		return err_set(err, ERR_LIMIT, "'%.100s': more than %lld MiB come out",
			path, l->max_bytes / MiB);
	if (make_way(l, parent, name, err) < 0)
		return -1;
	fd = openat(
		parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "cannot create '%.150s'", path);
	if (write_blocks(l, a, path, fd, err) < 0)
		return -1;
	if (fchmod(fd, archive_entry_perm(e) & 0777) < 0 || futimens(fd, times) < 0)
		return err_sys(err, "cannot set the mode of '%.150s'", path);
	l->files++;
	return 0;
}

static int add_folder(struct layers *l, struct archive_entry *e, int parent,
	const char *path, struct err *err)
{
	mode_t mode = archive_entry_perm(e) & 03777;
	const char *name = path_base(path);
	struct stat st;

	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		!S_ISDIR(st.st_mode) && make_way(l, parent, name, err) < 0)
		return -1;
	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "cannot create '%.150s'", path);
	/* Entries may come into it yet, and a later layer's. */
	if ((mode & 0700) != 0700)
		(void)strvec_pushf(&l->closed, "%o %s", (unsigned)mode, path);
	if (fchmodat(parent, name, mode | 0700, 0) < 0)
		return err_sys(err, "cannot set the mode of '%.150s'", path);
	return 0;
}

static int add_link(struct layers *l, struct archive_entry *e, int parent,
	const char *path, struct err *err)
{
	const char *target = archive_entry_symlink(e);

	if (!target || !target[0] || strlen(target) >= PATH_LEN_MAX)
		return err_set(err, ERR_INPUT, "'%.100s' is a link to nowhere", path);
	if (make_way(l, parent, path_base(path), err) < 0)
		return -1;
	/* Its text is the image's matter: nobody follows it but inside. */
	if (symlinkat(target, parent, path_base(path)) < 0)
		return err_sys(err, "cannot create '%.150s'", path);
	return 0;
}

static int add_name(
	struct layers *l, struct archive_entry *e, const char *path, struct err *err)
{
	struct err none = ERR_INIT;
	_cleanup_free_ char *from = clean_name(archive_entry_hardlink(e), &none);
	_cleanup_free_ char *real = NULL, *real_from = NULL;
	_cleanup_close_ int source = -1;
	struct stat st;
	int parent = from ? open_parent(l, from, false, &real_from, &none) : -1;

	if (parent < 0 ||
		fstatat(parent, path_base(from), &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT,
			"'%.100s' is a link to no file of the image", path);
	source = fcntl(parent, F_DUPFD_CLOEXEC, 3);
	if (source < 0)
		return err_sys(err, "cannot open the folder of '%.100s'", from);
	parent = open_parent(l, path, true, &real, err);
	if (parent < 0)
		return -1;
	if (str_eq(real, real_from))
		return 0;
	if (make_way(l, parent, path_base(path), err) < 0)
		return -1;
	if (linkat(source, path_base(from), parent, path_base(path), 0) < 0)
		return err_sys(err, "cannot create '%.150s'", path);
	l->files++;
	return 0;
}

static int write_owners(struct layers *l, struct err *err)
{
	if (l->said.len && l->owners >= 0 &&
		fd_write_all(l->owners, l->said.buf, l->said.len) < 0)
		return err_sys(err, "cannot write down the owners");
	strbuf_clear(&l->said);
	return 0;
}

/* Whom PATH belongs to; root's only where an earlier layer may have said otherwise. */
static int note_owner(
	struct layers *l, struct archive_entry *e, const char *path, struct err *err)
{
	long long uid = archive_entry_uid(e), gid = archive_entry_gid(e);

	if (!uid && !gid && l->count == 0)
		return 0;
	/* Ids beyond what a job has are nobody's. */
	strbuf_addf(&l->said, "%lld %lld %s", uid < 0 || uid > ID_MAX ? ID_MAX : uid,
		gid < 0 || gid > ID_MAX ? ID_MAX : gid, path);
	strbuf_add(&l->said, "", 1);
	return l->said.len > SAID_MAX ? write_owners(l, err) : 0;
}

static int add_entry(
	struct layers *l, struct archive *a, struct archive_entry *e, struct err *err)
{
	struct err bad = ERR_INIT;
	_cleanup_free_ char *path = clean_name(archive_entry_pathname(e), &bad);
	_cleanup_free_ char *real = NULL;
	int parent, rc;

	if (++l->entries > l->max_entries)
		return err_set(err, ERR_LIMIT,
			"the image has more than %" PRId64 " entries", l->max_entries);
	if (!path) {
		if (bad.code && err)
			*err = bad;
		return bad.code ? -1 : 0;
	}
	if (str_starts(path_base(path), WHITEOUT))
		return 0;
	if (archive_entry_hardlink(e))
		return add_name(l, e, path, err);
	switch (archive_entry_filetype(e)) {
	case AE_IFREG:
	case AE_IFDIR:
	case AE_IFLNK:
		break;
	default:
		l->left_out++; /* a device, a pipe, a socket */
		return 0;
	}
	parent = open_parent(l, path, true, &real, err);
	if (parent < 0)
		return -1;
	if (archive_entry_filetype(e) == AE_IFREG)
		rc = add_file(l, a, e, parent, real, err);
	else if (archive_entry_filetype(e) == AE_IFDIR)
		rc = add_folder(l, e, parent, real, err);
	else
		rc = add_link(l, e, parent, real, err);
	return rc < 0 ? -1 : note_owner(l, e, real, err);
}

int layers_add(struct layers *l, int fd, struct err *err)
{
	_cleanup_(reader_freep) struct archive *a = NULL;
	struct archive_entry *e;
	int rc;

	if (l->count && each_whiteout(l, fd, err) < 0)
		return -1;
	if (reader_open(fd, &a, err) < 0)
		return -1;
	while ((rc = archive_read_next_header(a, &e)) != ARCHIVE_EOF) {
		if (rc < ARCHIVE_WARN)
			return fault(a, err, "cannot read the layer");
		if (add_entry(l, a, e, err) < 0)
			return -1;
	}
	forget_parent(l);
	l->count++;
	return 0;
}

int layers_finish(struct layers *l, struct err *err)
{
	forget_parent(l);
	/* From the end: a folder below is set before the one above is closed to us. */
	for (size_t i = l->closed.len; i-- > 0;) {
		char *path = NULL;
		unsigned long mode = strtoul(l->closed.v[i], &path, 8);
		_cleanup_close_ int fd = path_open(l->root, path + 1,
			O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, NULL);

		/* What a later layer took away is not there any more. */
		if (fd >= 0 && fchmod(fd, (mode_t)mode) < 0)
			return err_sys(err, "cannot set the mode of '%.150s'", path + 1);
	}
	return write_owners(l, err);
}

void layers_done(struct layers *l)
{
	forget_parent(l);
	strvec_done(&l->closed);
	strbuf_done(&l->said);
}

int64_t layers_look(int fd, const char *const *names, struct err *err)
{
	_cleanup_(reader_freep) struct archive *a = NULL;
	struct archive_entry *e;
	int64_t found = 0;
	int rc;

	if (reader_open(fd, &a, err) < 0)
		return -1;
	for (int64_t n = 0; (rc = archive_read_next_header(a, &e)) != ARCHIVE_EOF; n++) {
		_cleanup_free_ char *path = NULL;

		if (rc < ARCHIVE_WARN)
			return fault(a, err, "cannot read the archive");
		if (n > LIMIT_ARCHIVE_ENTRIES)
			return err_set(err, ERR_LIMIT,
				"the archive has more than %d entries",
				LIMIT_ARCHIVE_ENTRIES);
		path = clean_name(archive_entry_pathname(e), NULL);
		for (size_t i = 0; path && names[i]; i++)
			if (str_eq(path, names[i]))
				found |= 1LL << i;
	}
	return found;
}
