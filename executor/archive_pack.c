/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing what the patterns of actions/upload-artifact select. Files are opened beneath
 * the root; a link counts when it leads to a regular file within.
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strvec.h"
#include "executor/archive-internal.h"
#include "executor/helper-internal.h"
#include "workflows/glob.h"

#define CHUNK	     (256 * 1024)
#define PATTERNS_MAX 256
#define DEPTH_MAX    128

struct pack {
	struct glob *patterns[PATTERNS_MAX];
	size_t patterns_len;
	bool with_hidden;
	int root;
	struct archive *out;
	char *base; /* dropped from the names: "" or "a/b/" */
	int64_t files, bytes, max_bytes, max_files;
	struct strbuf path;
	char *buf;
};

static int add_pattern(struct pack *p, const char *text, size_t len, struct err *err)
{
	struct glob_error bad;

	while (len > 0 && (*text == ' ' || *text == '\t'))
		text++, len--;
	while (len > 0 && strchr(" \t\r", text[len - 1]))
		len--;
	if (len == 0 || *text == '#')
		return 0;
	if (p->patterns_len == PATTERNS_MAX)
		return err_set(err, ERR_LIMIT, "more than %d patterns", PATTERNS_MAX);
	if (glob_path_compile(text, len, &p->patterns[p->patterns_len], &bad) < 0)
		return err_set(err, ERR_INPUT, "the pattern '%.*s': %s",
			len > 100 ? 100 : (int)len, text, bad.msg);
	p->patterns_len++;
	return 0;
}

static int read_patterns(struct pack *p, const struct json *paths, struct err *err)
{
	for (size_t i = 0; i < json_count(paths); i++) {
		const char *text = json_as_str(json_at(paths, i), "");

		while (*text) {
			size_t n = strcspn(text, "\n");

			if (add_pattern(p, text, n, err) < 0)
				return -1;
			text += n + (text[n] == '\n');
		}
	}
	return 0;
}

/* The last that matches decides. */
static bool is_selected(const struct pack *p, const char *path, size_t len)
{
	for (size_t i = p->patterns_len; i-- > 0;) {
		if (glob_path_match_tree(p->patterns[i], path, len, false))
			return !glob_is_negated(p->patterns[i]);
	}
	return false;
}

static bool may_be_below(const struct pack *p, const char *dir, size_t len)
{
	for (size_t i = 0; i < p->patterns_len; i++) {
		if (!glob_is_negated(p->patterns[i]) &&
			(glob_path_may_match_below(p->patterns[i], dir, len) ||
				glob_path_match_tree(p->patterns[i], dir, len, true)))
			return true;
	}
	return false;
}

/* ---- the root of the archive ---- */

static size_t common_folders(const char *a, const char *b)
{
	size_t common = 0;

	for (size_t i = 0;; i++) {
		bool end_a = a[i] == '\0' || a[i] == '/',
		     end_b = b[i] == '\0' || b[i] == '/';

		if (end_a && end_b)
			common = i;
		if (a[i] != b[i] || a[i] == '\0')
			return common;
	}
}

/* Least common folder of what the patterns that add things name. */
static char *find_base(const struct pack *p)
{
	_cleanup_free_ char *base = NULL;
	struct stat st;

	for (size_t i = 0; i < p->patterns_len; i++) {
		const char *at = glob_path_base(p->patterns[i]);

		if (glob_is_negated(p->patterns[i]))
			continue;
		if (!base)
			base = xstrdup(at);
		else
			base[common_folders(base, at)] = '\0';
	}
	/* A single file is named by its name alone. */
	if (base && base[0] && fstatat(p->root, base, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		!S_ISDIR(st.st_mode)) {
		char *slash = strrchr(base, '/');

		*(slash ? slash : base) = '\0';
	}
	return base && base[0] ? xasprintf("%s/", base) : xstrdup("");
}

/* ---- files ---- */

static int out_fault(struct pack *p, struct err *err)
{
	const char *why = archive_error_string(p->out);

	return err_set(err, ERR_SYS, "cannot write the archive: %.150s",
		why ? why : "no reason");
}

static int add_bytes(struct pack *p, int fd, int64_t size, struct err *err)
{
	/* Exactly the size in the header, whatever the file does meanwhile. */
	while (size > 0) {
		size_t want = size < CHUNK ? (size_t)size : CHUNK;
		ssize_t n = fd_read_full(fd, p->buf, want);

		if (n < 0)
			return err_sys(err, "cannot read '%.150s'", p->path.buf);
		memset(p->buf + n, 0, want - (size_t)n);
		if (archive_write_data(p->out, p->buf, want) != (la_ssize_t)want)
			return out_fault(p, err);
		size -= (int64_t)want;
	}
	return 0;
}

static int add_file(struct pack *p, struct err *err)
{
	_cleanup_close_ int fd =
		path_open(p->root, p->path.buf, O_RDONLY | O_NONBLOCK, 0, 0, NULL);
	struct archive_entry *e;
	struct stat st;
	size_t skip = strlen(p->base);
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0; /* a link to nowhere or out, a pipe, a device */
	p->bytes += st.st_size;
	if (p->bytes > p->max_bytes || ++p->files > p->max_files)
		return err_set(err, ERR_LIMIT,
			"the archive would hold more than %lld MiB or %" PRId64 " files",
			p->max_bytes / MiB, p->max_files);
	e = archive_entry_new();
	archive_entry_set_pathname(
		e, p->path.buf + (strncmp(p->path.buf, p->base, skip) == 0 ? skip : 0));
	archive_entry_set_filetype(e, AE_IFREG);
	archive_entry_set_perm(e, st.st_mode & 0111 ? 0755 : 0644);
	archive_entry_set_size(e, st.st_size);
	archive_entry_set_mtime(e, st.st_mtime, 0);
	rc = archive_write_header(p->out, e) < ARCHIVE_WARN
		     ? out_fault(p, err)
		     : add_bytes(p, fd, st.st_size, err);
	archive_entry_free(e);
	return rc;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int list_names(int dir, struct strvec *ret, struct err *err)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!d)
		return err_sys(err, "cannot read a folder");
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			strvec_push(ret, e->d_name);
	}
	(void)closedir(d); /* only read */
	qsort(ret->v, ret->len, sizeof(*ret->v),
		compare_names); /* the same archive each time */
	return 0;
}

static int add_folder(struct pack *p, int dir, int depth, struct err *err);

static int add_name(struct pack *p, int dir, const char *name, int depth, struct err *err)
{
	struct stat st;
	_cleanup_close_ int fd = -1;

	if ((name[0] == '.' && !p->with_hidden) ||
		fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (!S_ISDIR(st.st_mode))
		return is_selected(p, p->path.buf, p->path.len) ? add_file(p, err) : 0;
	if (depth >= DEPTH_MAX || !may_be_below(p, p->path.buf, p->path.len))
		return 0;
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? err_sys(err, "cannot open '%.150s'", p->path.buf)
				       : 0;
	return add_folder(p, fd, depth + 1, err);
}

static int add_folder(struct pack *p, int dir, int depth, struct err *err)
{
	struct strvec names = STRVEC_INIT;
	size_t at = p->path.len;
	int rc = list_names(dir, &names, err);

	for (size_t i = 0; rc == 0 && i < names.len; i++) {
		strbuf_addf(&p->path, "%s%s", at ? "/" : "", names.v[i]);
		rc = add_name(p, dir, names.v[i], depth, err);
		strbuf_truncate(&p->path, at);
	}
	strvec_done(&names);
	return rc;
}

/* ---- the archive ---- */

static const struct {
	const char *name;
	int (*format)(struct archive *);
	int (*filter)(struct archive *);
} formats[] = {
	{ "zip", archive_write_set_format_zip, NULL },
	{ "tar.zst", archive_write_set_format_pax_restricted,
		archive_write_add_filter_zstd },
	{ "tar.gz", archive_write_set_format_pax_restricted,
		archive_write_add_filter_gzip },
	{ "tar", archive_write_set_format_pax_restricted, NULL },
};

static int open_out(struct pack *p, const struct json *head, int fd, struct err *err)
{
	const char *name = json_get_str(head, "format", "zip");
	int64_t level = json_get_int(head, "level", -1);
	size_t i = 0;
	char text[8];

	while (i < ARRAY_SIZE(formats) && strcmp(formats[i].name, name) != 0)
		i++;
	if (i == ARRAY_SIZE(formats))
		return err_set(err, ERR_INPUT,
			"'%.40s' is no format: zip, tar, tar.gz or tar.zst", name);
	p->out = archive_write_new();
	if (!p->out)
		abort(); /* no memory */
	if (formats[i].format(p->out) < ARCHIVE_WARN ||
		(formats[i].filter && formats[i].filter(p->out) < ARCHIVE_WARN))
		return out_fault(p, err);
	(void)snprintf(
		text, sizeof(text), "%d", level >= 0 && level <= 9 ? (int)level : 6);
	if (level >= 0 && i != 3) /* a level nobody knows is the default */
		(void)archive_write_set_option(p->out, NULL, "compression-level", text);
	(void)archive_write_set_bytes_in_last_block(p->out, 1); /* no padding to 10 KiB */
	return archive_write_open_fd(p->out, fd) < ARCHIVE_WARN ? out_fault(p, err) : 0;
}

static int digest(int fd, struct json *answer, struct err *err)
{
	_cleanup_(sha256_freep) struct sha256 *sha = sha256_new();
	_cleanup_free_ char *buf = xmalloc(CHUNK);
	uint8_t out[SHA256_LEN];
	char hex[SHA256_HEX_MAX];
	int64_t size = 0;
	ssize_t n;

	while ((n = pread(fd, buf, CHUNK, size)) > 0) {
		sha256_add(sha, buf, (size_t)n);
		size += n;
	}
	if (n < 0)
		return err_sys(err, "cannot read the archive back");
	sha256_end(sha, out);
	hex_encode(out, sizeof(out), hex);
	json_set_str(answer, "sha256", hex);
	json_set_int(answer, "size", size);
	return 0;
}

static int run(struct pack *p, struct helper_request *r, struct err *err)
{
	if (read_patterns(p, json_get(r->head, "paths"), err) < 0)
		return -1;
	p->base =
		json_get_bool(r->head, "strip_common", true) ? find_base(p) : xstrdup("");
	if (open_out(p, r->head, r->fds[1], err) < 0 ||
		add_folder(p, p->root, 0, err) < 0)
		return -1;
	if (archive_write_close(p->out) < ARCHIVE_WARN)
		return out_fault(p, err);
	return digest(r->fds[1], r->answer, err);
}

int archive_op_pack(struct helper_request *r, struct err *err)
{
	int64_t max = json_get_int(r->head, "max_bytes", LIMIT_ARTIFACT_SIZE);
	struct pack p = { .root = r->fds[0],
		.with_hidden = json_get_bool(r->head, "hidden", false),
		.max_bytes =
			max > 0 && max < LIMIT_ARTIFACT_SIZE ? max : LIMIT_ARTIFACT_SIZE,
		.max_files = LIMIT_ARCHIVE_ENTRIES,
		.path = STRBUF_INIT,
		.buf = xmalloc(CHUNK) };
	int rc = run(&p, r, err);

	if (p.out)
		(void)archive_write_free(p.out); /* closed above when all went well */
	for (size_t i = 0; i < p.patterns_len; i++)
		glob_free(p.patterns[i]);
	strbuf_done(&p.path);
	free(p.base);
	free(p.buf);
	json_set_int(r->answer, "files", p.files);
	json_set_int(r->answer, "bytes", p.bytes);
	json_set_bool(r->answer, "empty", p.files == 0);
	return rc;
}
