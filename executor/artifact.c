/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files an artifact has, and their way into the store and out again. Paths are those
 * of a folder that a step wrote: opened beneath ROOT, regular files only, symlinks followed
 * only as far as they stay beneath it.
 */
#include "executor/artifact.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "base/strvec.h"
#include "executor/blob.h"
#include "workflows/glob.h"

#define LINK_DIRS_MAX 256

/* ---- which files ---- */

struct picked {
	char *path;
	mode_t mode;
};

struct picker {
	int root;
	bool hidden;
	struct glob **globs;
	size_t globs_len;
	struct picked *files;
	size_t len, alloc;
	struct strvec dirs; /* still to be looked at */
	struct {
		dev_t dev;
		ino_t ino;
	} links[LINK_DIRS_MAX]; /* folders reached through a symlink: each once */
	size_t links_len;
};

static void picker_done(struct picker *p)
{
	for (size_t i = 0; i < p->globs_len; i++)
		glob_free(p->globs[i]);
	for (size_t i = 0; i < p->len; i++)
		free(p->files[i].path);
	free(p->globs);
	free(p->files);
	strvec_done(&p->dirs);
}

/* The last pattern that names it or a folder above it decides. */
static bool is_selected(const struct picker *p, const char *path, bool is_dir)
{
	bool selected = false;

	for (size_t i = 0; i < p->globs_len; i++)
		if (glob_path_match_tree(p->globs[i], path, strlen(path), is_dir))
			selected = !glob_is_negated(p->globs[i]);
	return selected;
}

static bool may_hold_some(const struct picker *p, const char *dir)
{
	if (is_selected(p, dir, true))
		return true;
	for (size_t i = 0; i < p->globs_len; i++)
		if (!glob_is_negated(p->globs[i]) &&
			glob_path_may_match_below(p->globs[i], dir, strlen(dir)))
			return true;
	return false;
}

static bool seen_link(struct picker *p, const struct stat *st)
{
	for (size_t i = 0; i < p->links_len; i++)
		if (p->links[i].dev == st->st_dev && p->links[i].ino == st->st_ino)
			return true;
	if (p->links_len == LINK_DIRS_MAX)
		return true;
	p->links[p->links_len].dev = st->st_dev;
	p->links[p->links_len++].ino = st->st_ino;
	return false;
}

static int pick(struct picker *p, const char *path, struct err *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st, link;

	if (fstatat(p->root, path, &link, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* gone meanwhile */
	/* A link that leads nowhere or out of the root is left out, as a dead one is. */
	fd = path_open(p->root, path, O_PATH, 0, 0, NULL);
	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	if (S_ISDIR(st.st_mode)) {
		if (may_hold_some(p, path) &&
			!(S_ISLNK(link.st_mode) && seen_link(p, &st)))
			(void)strvec_push(&p->dirs, path);
		return 0;
	}
	if (!S_ISREG(st.st_mode) || !is_selected(p, path, false))
		return 0;
	if (p->len == ARTIFACT_FILES_MAX)
		return err_set(err, ERR_LIMIT, "an artifact holds at most %d files",
			ARTIFACT_FILES_MAX);
	GROW(p->files, p->alloc, p->len + 1);
	p->files[p->len].path = xstrdup(path);
	p->files[p->len++].mode = st.st_mode & 0777;
	return 0;
}

static int pick_below(struct picker *p, const char *dir, struct err *err)
{
	int fd = path_open(p->root, *dir ? dir : ".", O_RDONLY | O_DIRECTORY, 0, 0, err);
	DIR *d;
	struct dirent *e;
	int result = 0;

	if (fd < 0)
		return err_wrap(err, "'%s'", dir);
	d = fdopendir(fd);
	if (!d) {
		(void)close(fd); /* nothing was opened on it */
		return err_sys(err, "cannot list '%s'", dir);
	}
	while (result == 0 && (e = readdir(d)) != NULL) {
		_cleanup_free_ char *path = NULL;

		if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
			continue;
		if (!p->hidden && e->d_name[0] == '.')
			continue;
		path = *dir ? path_join(dir, e->d_name) : xstrdup(e->d_name);
		result = pick(p, path, err);
	}
	(void)closedir(d); /* read only */
	return result;
}

static int compile_patterns(struct picker *p, const struct json *list, struct err *err)
{
	struct glob_error why = { 0, "" };

	p->globs = xcalloc(json_count(list) + 1, sizeof(struct glob *));
	for (size_t i = 0; i < json_count(list); i++) {
		const char *text = json_as_str(json_at(list, i), "");

		/* "." is the whole root; the compiler wants a name. */
		if (str_eq(text, "") || str_eq(text, "."))
			text = "**";
		if (glob_path_compile(text, strlen(text), &p->globs[p->globs_len], &why) <
			0)
			return err_set(
				err, ERR_INPUT, "the pattern '%s': %s", text, why.msg);
		p->globs_len++;
	}
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct picked *)a)->path, ((const struct picked *)b)->path);
}

/* Starts at what each positive pattern names before its first wildcard. */
static int pick_all(struct picker *p, struct err *err)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->globs_len; i++) {
		const char *base = glob_path_base(p->globs[i]);
		const char *name = path_base(base);

		if (glob_is_negated(p->globs[i]))
			continue;
		if (!*base)
			(void)strvec_push(&p->dirs, "");
		else if ((p->hidden || name[0] != '.') && pick(p, base, err) < 0)
			return -1;
		while (p->dirs.len) {
			_cleanup_free_ char *dir = p->dirs.v[--p->dirs.len];

			p->dirs.v[p->dirs.len] = NULL;
			if (pick_below(p, dir, err) < 0)
				return -1;
		}
		/* A folder behind a link may be needed again by the next pattern. */
		p->links_len = 0;
	}
	if (p->len == 0)
		return 0;
	qsort(p->files, p->len, sizeof(*p->files), by_path);
	for (size_t i = 0; i < p->len; i++) {
		if (kept && str_eq(p->files[kept - 1].path, p->files[i].path))
			free(p->files[i].path);
		else
			p->files[kept++] = p->files[i];
	}
	p->len = kept;
	return 0;
}

/* Bytes of the longest common folder of A and B, both without a '/' at the end. */
static size_t common_dir(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t i = 0, last = 0;

	for (; i < a_len && i < b_len && a[i] == b[i]; i++)
		if (a[i] == '/')
			last = i;
	if ((i == a_len || a[i] == '/') && (i == b_len || b[i] == '/'))
		return i;
	return last;
}

/*
 * As actions/upload-artifact: one search path that is itself the one file found: its
 * folder; else the least common folder of all search paths.
 */
static char *root_of(const struct picker *p)
{
	const char *first = NULL;
	size_t len = 0, positive = 0;

	for (size_t i = 0; i < p->globs_len; i++) {
		const char *base = glob_path_base(p->globs[i]);

		if (glob_is_negated(p->globs[i]))
			continue;
		if (positive++ == 0) {
			first = base;
			len = strlen(base);
		} else {
			len = common_dir(first, len, base, strlen(base));
		}
	}
	if (!first)
		return xstrdup("");
	/* The common folder of several may itself be a file: two equal patterns. */
	if (p->len >= 1 && strlen(p->files[0].path) == len &&
		strncmp(p->files[0].path, first, len) == 0) {
		while (len > 0 && first[len - 1] != '/')
			len--;
		if (len)
			len--;
	}
	return xstrndup(first, len);
}

static int pack_file(struct picker *p, int store, const struct picked *f, size_t skip,
	uint64_t *left, struct json *files, struct err *err)
{
	_cleanup_close_ int fd = -1;
	struct json *entry;
	char hex[SHA256_HEX_MAX];
	uint64_t size;
	struct stat st;

	fd = path_open(p->root, f->path, O_RDONLY | O_NONBLOCK, 0, 0, err);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(
			err, ERR_CONFLICT, "'%s' changed while it was read", f->path);
	if (blob_put_file(store, fd, *left, hex, &size, err) < 0)
		return err_wrap(err, "'%s'", f->path);
	*left -= size;
	entry = json_new_object();
	json_set_str(entry, "path", f->path + skip);
	json_set_int(entry, "size", (int64_t)size);
	json_set_int(entry, "mode", f->mode & 0100 ? 0755 : 0644);
	json_set_str(entry, "sha256", hex);
	json_push(files, entry);
	return 0;
}

int artifact_pack(int root, int store, const struct json *request, struct json **ret,
	struct err *err)
{
	_cleanup_(picker_done) struct picker p = { .root = root, .dirs = STRVEC_INIT };
	_cleanup_(json_freep) struct json *manifest = json_new_object();
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_free_ char *top = NULL;
	struct json *files = json_new_array(), *result;
	int64_t max = json_get_int(request, "max", 0);
	uint64_t all = max > 0 ? (uint64_t)max : (uint64_t)LIMIT_ARTIFACT_SIZE,
		 left = all;
	char hex[SHA256_HEX_MAX];
	size_t skip;

	json_set_int(manifest, "version", 1);
	json_set_str(manifest, "name", json_get_str(request, "name", ""));
	json_set(manifest, "files", files);
	p.hidden = json_get_bool(request, "hidden", false);
	if (compile_patterns(&p, json_get(request, "patterns"), err) < 0 ||
		pick_all(&p, err) < 0)
		return -1;
	if (p.len == 0)
		return err_set(err, ERR_NOT_FOUND, "no file matches");
	top = root_of(&p);
	skip = *top ? strlen(top) + 1 : 0;
	for (size_t i = 0; i < p.len; i++)
		if (pack_file(&p, store, &p.files[i], skip, &left, files, err) < 0)
			return -1;
	json_write(manifest, 0, &text);
	if (text.len > ARTIFACT_MANIFEST_MAX)
		return err_set(err, ERR_LIMIT, "the list of files is too long");
	if (blob_put(store, text.buf, text.len, hex, err) < 0)
		return -1;
	result = json_new_object();
	json_set_str(result, "sha256", hex);
	json_set_int(result, "size", (int64_t)(all - left));
	json_set_int(result, "files", (int64_t)p.len);
	json_set_str(result, "root", top);
	*ret = result;
	return 0;
}

/* ---- out of the store ---- */

static int read_manifest(
	int store, const char *sha256, struct json **ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_close_ int fd = -1;
	char hex[SHA256_HEX_MAX];

	if (blob_open(store, sha256, &fd, err) < 0 ||
		fd_read_to_end(fd, ARTIFACT_MANIFEST_MAX, &text, err) < 0)
		return -1;
	if (!str_eq(crypto_sha256_hex(text.buf, text.len, hex), sha256))
		return err_set(err, ERR_CORRUPT, "the manifest in the store is damaged");
	return json_parse(text.buf, text.len, ret, err);
}

/* Parents of PATH beneath ROOT for UID:GID; symlinks that are there are not followed. */
static int make_parents(int root, const char *path, uid_t uid, gid_t gid, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(path);

	for (char *slash = strchr(copy, '/'); slash; slash = strchr(slash + 1, '/')) {
		_cleanup_close_ int fd = -1;

		*slash = '\0';
		fd = path_open(
			root, copy, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, NULL);
		if (fd < 0) {
			if (path_mkdirs(root, copy, 0755, err) < 0)
				return -1;
			fd = path_open(root, copy, O_RDONLY | O_DIRECTORY, 0,
				PATH_NO_SYMLINKS, err);
			if (fd < 0)
				return -1;
			if (fchown(fd, uid, gid) < 0)
				return err_sys(err, "cannot give '%s' to the job", copy);
		}
		*slash = '/';
	}
	return 0;
}

static int unpack_file(int root, int store, const struct json *entry, uid_t uid,
	gid_t gid, struct err *err)
{
	_cleanup_close_ int from = -1, to = -1, parent = -1;
	_cleanup_free_ char *up = NULL;
	const char *path = json_get_str(entry, "path", "");
	const char *name = path_base(path);
	const char *digest = json_get_str(entry, "sha256", "");
	char hex[SHA256_HEX_MAX];
	uint64_t size;

	if (!path_is_clean(path))
		return err_set(err, ERR_INPUT, "'%s' is not a path beneath", path);
	if (blob_open(store, digest, &from, err) < 0 ||
		make_parents(root, path, uid, gid, err) < 0)
		return -1;
	up = name > path ? xstrndup(path, (size_t)(name - path - 1)) : xstrdup(".");
	parent = path_open(root, up, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
	if (parent < 0)
		return -1;
	/* What is there is replaced, never written through. */
	if (unlinkat(parent, name, 0) < 0 && errno != ENOENT)
		return err_sys(err, "cannot replace '%s'", path);
	to = path_open(
		parent, name, O_WRONLY | O_CREAT | O_EXCL, 0600, PATH_NO_SYMLINKS, err);
	if (to < 0)
		return -1;
	if (blob_copy(from, to, (uint64_t)LIMIT_ARTIFACT_SIZE, hex, &size, err) < 0)
		return err_wrap(err, "'%s'", path);
	if (!str_eq(hex, digest))
		return err_set(err, ERR_CORRUPT, "'%s' is damaged in the store", path);
	if (fchmod(to, json_get_int(entry, "mode", 0644) & 0100 ? 0755 : 0644) < 0 ||
		fchown(to, uid, gid) < 0)
		return err_sys(err, "cannot give '%s' to the job", path);
	return 0;
}

int artifact_unpack(int root, int store, const char *sha256, uid_t uid, gid_t gid,
	struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *manifest = NULL;
	const struct json *files;
	struct json *result;
	int64_t size = 0;

	if (read_manifest(store, sha256, &manifest, err) < 0)
		return -1;
	files = json_get(manifest, "files");
	if (json_count(files) > ARTIFACT_FILES_MAX)
		return err_set(err, ERR_LIMIT, "the artifact has too many files");
	for (size_t i = 0; i < json_count(files); i++) {
		if (unpack_file(root, store, json_at(files, i), uid, gid, err) < 0)
			return -1;
		size += json_get_int(json_at(files, i), "size", 0);
	}
	result = json_new_object();
	json_set_int(result, "files", (int64_t)json_count(files));
	json_set_int(result, "size", size);
	*ret = result;
	return 0;
}
