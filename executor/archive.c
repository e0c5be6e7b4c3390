/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Archives in and out, by libarchive. Only tar and zip, plain, gzip or zstd, are ever
 * enabled: most of the library's history of holes is in the other formats. Unpacking
 * trusts no name: each is checked, opened beneath the destination without following any
 * link, and made new.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/archive-internal.h"
#include "executor/helper-internal.h"

#define BLOCK	     (64 * 1024)
#define RATIO_FREE   (64 * MiB) /* so much may come out of anything */
#define PATH_LEN_MAX 4096
#define DEPTH_MAX    128

static int fault(struct archive *a, struct err *err, const char *what)
{
	const char *why = archive_error_string(a);

	return err_set(err, archive_errno(a) == ENOSPC ? ERR_SYS : ERR_INPUT,
		"%s: %.150s", what, why ? why : "the archive is damaged");
}

/* ---- unpack ---- */

struct unpack {
	struct archive *in;
	int dir;
	int64_t max_bytes, max_entries, max_ratio;
	int64_t bytes, entries, files;
	int strip;
	mode_t mode_mask;
	bool with_links;
};

/* The name beneath the destination; NULL with *ERR clear: nothing of it is left (strip). */
static char *clean_name(const struct unpack *u, const char *name, struct err *err)
{
	_cleanup_free_ char *copy = NULL;
	char *p;
	size_t n;

	if (!name || !name[0] || strlen(name) > PATH_LEN_MAX) {
		(void)err_set(err, ERR_INPUT, "an entry has no usable name");
		return NULL;
	}
	if (strchr(name, '\\') || (name[0] && name[1] == ':')) {
		(void)err_set(err, ERR_INPUT,
			"'%.150s': backslashes and drives are refused", name);
		return NULL;
	}
	copy = xstrdup(name);
	p = copy;
	while (p[0] == '.' && p[1] == '/')
		p += 2;
	n = strlen(p);
	while (n > 0 && p[n - 1] == '/')
		p[--n] = '\0';
	if (n == 0 || strcmp(p, ".") == 0)
		return NULL; /* the root itself */
	if (!path_is_clean(p)) {
		(void)err_set(err, ERR_INPUT, "'%.150s' leads out of the folder", name);
		return NULL;
	}
	for (int i = 0; i < u->strip; i++) {
		p = strchr(p, '/');
		if (!p)
			return NULL;
		p++;
	}
	return xstrdup(p);
}

/* The folder PATH lies in, made where it is missing, never through a link. */
static int open_parent(const struct unpack *u, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *parent =
		slash ? xstrndup(path, (size_t)(slash - path)) : NULL;

	if (!parent)
		return openat(u->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (path_mkdirs(u->dir, parent, 0755, err) < 0)
		return -1;
	return path_open(
		u->dir, parent, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
}

static int check_size(struct unpack *u, const char *path, int64_t end, struct err *err)
{
	int64_t in = archive_filter_bytes(u->in, -1);

	if (u->bytes + end > u->max_bytes)
		return err_set(err, ERR_LIMIT, "'%.100s': more than %lld MiB come out",
			path, u->max_bytes / MiB);
	if (u->bytes + end > RATIO_FREE && (u->bytes + end) / (in + 1) > u->max_ratio)
		return err_set(err, ERR_LIMIT,
			"'%.100s': more than %" PRId64
			" times the archive's size comes out",
			path, u->max_ratio);
	return 0;
}

static int write_blocks(struct unpack *u, const char *path, int fd, struct err *err)
{
	int64_t end = 0;

	for (;;) {
		const void *block;
		size_t size;
		la_int64_t at;
		int rc = archive_read_data_block(u->in, &block, &size, &at);

		if (rc == ARCHIVE_EOF)
			break;
		if (rc < ARCHIVE_WARN)
			return fault(u->in, err, path);
		if (at < 0 || at > u->max_bytes)
			return err_set(
				err, ERR_LIMIT, "'%.100s' has a hole too large", path);
		if (at + (int64_t)size > end)
			end = at + (int64_t)size;
		if (check_size(u, path, end, err) < 0)
			return -1;
		if (fd_pwrite_all(fd, block, size, at) < 0)
			return err_sys(err, "cannot write '%.150s'", path);
	}
	u->bytes += end;
	return 0;
}

static int unpack_file(
	struct unpack *u, struct archive_entry *e, const char *path, struct err *err)
{
	mode_t mode = archive_entry_perm(e) & u->mode_mask & 0777;
	_cleanup_close_ int parent = open_parent(u, path, err);
	_cleanup_close_ int fd = -1;
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

	if (parent < 0)
		return -1;
	if (archive_entry_size_is_set(e) &&
		check_size(u, path, archive_entry_size(e), err) < 0)
		return -1;
	fd = openat(parent, path_base(path), flags, 0600);
	if (fd < 0 && errno == EEXIST && unlinkat(parent, path_base(path), 0) == 0)
		fd = openat(parent, path_base(path), flags,
			0600); /* the last of a name wins */
	if (fd < 0)
		return err_sys(err, "cannot create '%.150s'", path);
	if (write_blocks(u, path, fd, err) < 0)
		return -1;
	if (fchmod(fd, mode ? mode | 0200 : 0644) < 0)
		return err_sys(err, "cannot set the mode of '%.150s'", path);
	u->files++;
	return 0;
}

/* Whether a link at PATH to TARGET stays beneath the root, by its text. */
bool archive_link_stays(const char *path, const char *target)
{
	int depth = 0;

	if (!target || !target[0] || target[0] == '/')
		return false;
	for (const char *p = path; *p; p++)
		depth += *p == '/';
	while (*target) {
		size_t n = strcspn(target, "/");

		if (n == 2 && memcmp(target, "..", 2) == 0)
			depth--;
		else if (n > 0 && !(n == 1 && target[0] == '.'))
			depth++;
		if (depth < 0)
			return false;
		target += n + (target[n] == '/');
	}
	return true;
}

static int unpack_link(
	struct unpack *u, struct archive_entry *e, const char *path, struct err *err)
{
	const char *target = archive_entry_symlink(e);
	_cleanup_close_ int parent = -1;

	if (!target || !target[0] || strlen(target) > PATH_LEN_MAX ||
		(!u->with_links && !archive_link_stays(path, target)))
		return err_set(err, ERR_INPUT,
			"'%.100s' is a link that leads out of the folder", path);
	parent = open_parent(u, path, err);
	if (parent < 0)
		return -1;
	if (symlinkat(target, parent, path_base(path)) < 0 &&
		(errno != EEXIST || unlinkat(parent, path_base(path), 0) < 0 ||
			symlinkat(target, parent, path_base(path)) < 0))
		return err_sys(err, "cannot create '%.150s'", path);
	return 0;
}

/* A second name of a file that this archive, or an earlier one, brought. */
static int unpack_hardlink(
	struct unpack *u, struct archive_entry *e, const char *path, struct err *err)
{
	struct err none = ERR_INIT;
	_cleanup_free_ char *target = clean_name(u, archive_entry_hardlink(e), &none);
	_cleanup_close_ int from = -1;
	_cleanup_close_ int to = -1;
	struct stat st;

	if (target)
		from = open_parent(u, target, &none);
	if (from < 0 || fstatat(from, path_base(target), &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT,
			"'%.100s' is a link to no file of the archive", path);
	to = open_parent(u, path, err);
	if (to < 0)
		return -1;
	if (linkat(from, path_base(target), to, path_base(path), 0) < 0)
		return err_sys(err, "cannot create '%.150s'", path);
	u->files++;
	return 0;
}

static int unpack_entry(struct unpack *u, struct archive_entry *e, struct err *err)
{
	const char *name = archive_entry_pathname(e);
	struct err bad = ERR_INIT;
	_cleanup_free_ char *path = clean_name(u, name, &bad);

	if (++u->entries > u->max_entries)
		return err_set(err, ERR_LIMIT,
			"the archive has more than %" PRId64 " entries", u->max_entries);
	if (!path) {
		if (bad.code && err)
			*err = bad;
		return bad.code ? -1 : 0;
	}
	if (archive_entry_is_encrypted(e))
		return err_set(err, ERR_INPUT, "'%.150s' is encrypted", path);
	if (archive_entry_hardlink(e))
		return unpack_hardlink(u, e, path, err);
	switch (archive_entry_filetype(e)) {
	case AE_IFREG:
		return unpack_file(u, e, path, err);
	case AE_IFDIR:
		return path_mkdirs(u->dir, path, 0755, err);
	case AE_IFLNK:
		return unpack_link(u, e, path, err);
	default:
		return err_set(err, ERR_INPUT, "'%.150s' is a device or a pipe", path);
	}
}

static struct archive *reader_new(void)
{
	struct archive *a = archive_read_new();

	if (!a)
		abort(); /* no memory */
	(void)archive_read_support_format_tar(
		a); /* what the build lacks shows when it is met */
	(void)archive_read_support_format_zip(a);
	(void)archive_read_support_filter_gzip(a);
	(void)archive_read_support_filter_zstd(a);
	return a;
}

static int unpack_all(struct unpack *u, int fd, struct err *err)
{
	struct archive_entry *e;
	int rc = archive_read_open_fd(u->in, fd, BLOCK);

	if (rc < ARCHIVE_WARN)
		return fault(u->in, err, "cannot read the archive");
	while ((rc = archive_read_next_header(u->in, &e)) != ARCHIVE_EOF) {
		if (rc < ARCHIVE_WARN)
			return fault(u->in, err, "cannot read the archive");
		if (unpack_entry(u, e, err) < 0)
			return -1;
	}
	return 0;
}

static int64_t limit_of(const struct json *head, const char *key, int64_t max)
{
	int64_t v = json_get_int(head, key, max);

	return v > 0 && v < max ? v : max;
}

int archive_unpack_to(int fd, int dir, int64_t max_bytes, struct err *err)
{
	struct unpack u = { .dir = dir,
		.max_bytes = max_bytes,
		.max_entries = LIMIT_ARCHIVE_ENTRIES,
		.max_ratio = LIMIT_ARCHIVE_RATIO,
		.mode_mask = 0755 };
	int rc;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, "cannot read the archive");
	u.in = reader_new();
	rc = unpack_all(&u, fd, err);
	(void)archive_read_free(u.in); /* read only */
	return rc;
}

int archive_op_unpack(struct helper_request *r, struct err *err)
{
	const char *path = json_get_str(r->head, "path", "");
	struct unpack u = { .dir = -1,
		.max_bytes = limit_of(r->head, "max_bytes", LIMIT_ARTIFACT_SIZE),
		.max_entries = limit_of(r->head, "max_entries", LIMIT_ARCHIVE_ENTRIES),
		.max_ratio = limit_of(r->head, "max_ratio", LIMIT_ARCHIVE_RATIO),
		.strip = (int)limit_of(r->head, "strip", 64),
		.mode_mask = (mode_t)json_get_int(r->head, "mode_mask", 0755),
		.with_links = json_get_bool(r->head, "links", false) };
	int rc;

	u.strip = json_get_int(r->head, "strip", 0) > 0 ? u.strip : 0;
	if (path[0] && strcmp(path, ".") != 0) {
		if (!path_is_clean(path))
			return err_set(err, ERR_INPUT,
				"'%.100s' is no path in the folder", path);
		if (path_mkdirs(r->fds[1], path, 0755, err) < 0)
			return -1;
		u.dir = path_open(r->fds[1], path, O_RDONLY | O_DIRECTORY, 0,
			PATH_NO_SYMLINKS, err);
	} else {
		u.dir = openat(r->fds[1], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (u.dir < 0)
		return err_sys(err, "cannot open the folder to unpack to");
	u.in = reader_new();
	rc = unpack_all(&u, r->fds[0], err);
	(void)archive_read_free(u.in); /* read only */
	(void)close(u.dir);	       /* a folder */
	json_set_int(r->answer, "files", u.files);
	json_set_int(r->answer, "bytes", u.bytes);
	return rc;
}
