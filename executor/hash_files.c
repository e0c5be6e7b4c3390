/* SPDX-License-Identifier: Apache-2.0 */
/* Walking a tree for hashFiles(), as @actions/glob walks it. */
#include "executor/hash_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strvec.h"
#include "workflows/glob.h"

#define LIMIT_HASH_FILES    1000000
#define LIMIT_HASH_FILES_MS 120000
#define FOLLOW_OPTION	    "--follow-symbolic-links"

/* A place still to be looked at. */
struct pending {
	char *path; /* relative to the root, "" for itself */
	size_t level;
	unsigned char type; /* DT_*, as the folder said */
};

struct folder_id {
	dev_t dev;
	ino_t ino;
};

struct walk {
	int root;
	bool follows;
	int64_t timeout_ms, deadline_ms;
	size_t entries, entries_max;
	struct glob **globs;
	size_t globs_len, globs_alloc;
	struct pending *stack;
	size_t stack_len, stack_alloc;
	struct folder_id *chain; /* folders above the current place, to see a loop */
	size_t chain_len, chain_alloc;
	struct sha256 *all, *one;
	size_t files;
	struct err *err;
};

static void walk_done(struct walk *w)
{
	for (size_t i = 0; i < w->globs_len; i++)
		glob_free(w->globs[i]);
	for (size_t i = 0; i < w->stack_len; i++)
		free(w->stack[i].path);
	free(w->globs);
	free(w->stack);
	free(w->chain);
	sha256_free(w->all);
	sha256_free(w->one);
}

/* ---- patterns ---- */

/* Makes an absolute pattern relative; NULL when it is about something else. */
static const char *pattern_relative(const char *s, const char *root_path)
{
	size_t len = root_path ? strlen(root_path) : 0;

	if (*s == '~' && (s[1] == '/' || s[1] == '\0'))
		return NULL;
	if (*s != '/')
		return s;
	while (len > 0 && root_path[len - 1] == '/')
		len--;
	if (!root_path || strncmp(s, root_path, len) != 0)
		return NULL;
	if (s[len] == '\0')
		return ".";
	if (s[len] != '/')
		return NULL;
	for (s += len; *s == '/'; s++)
		;
	return *s ? s : ".";
}

static int pattern_add(struct walk *w, const char *line, const char *root_path)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	struct glob_error why;
	struct glob *g = NULL;
	const char *s = line;
	bool negated = false;

	for (; *s == '!' || *s == ' '; s++)
		negated ^= *s == '!';
	s = pattern_relative(s, root_path);
	if (!s)
		return 0;
	strbuf_addf(&sb, "%s%s", negated ? "!" : "", s);
	if (glob_path_compile(sb.buf, sb.len, &g, &why) < 0)
		return err_set(
			w->err, ERR_INPUT, "hashFiles: '%.100s': %s", line, why.msg);
	GROW(w->globs, w->globs_alloc, w->globs_len + 1);
	w->globs[w->globs_len++] = g;
	return 0;
}

static char *trimmed(const char *s, size_t len)
{
	while (len > 0 && strchr(" \t\r", *s)) {
		s++;
		len--;
	}
	while (len > 0 && strchr(" \t\r", s[len - 1]))
		len--;
	return xstrndup(s, len);
}

static int patterns_read(struct walk *w, const char *text, const char *root_path)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		_cleanup_free_ char *line = trimmed(text, len);

		if (*line && *line != '#' && pattern_add(w, line, root_path) < 0)
			return -1;
		text += len + (text[len] == '\n');
	}
	return 0;
}

/* The last pattern that matches decides. */
static bool is_selected(const struct walk *w, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = w->globs_len; i-- > 0;)
		if (glob_path_match_tree(w->globs[i], path, len, false))
			return !glob_is_negated(w->globs[i]);
	return false;
}

static bool may_hold(const struct walk *w, const char *dir)
{
	size_t len = strlen(dir);

	for (size_t i = 0; i < w->globs_len; i++) {
		const struct glob *g = w->globs[i];

		if (!glob_is_negated(g) &&
			(glob_path_match_tree(g, dir, len, true) ||
				glob_path_may_match_below(g, dir, len)))
			return true;
	}
	return false;
}

/* ---- the walk ---- */

static int push(struct walk *w, char *path, size_t level, unsigned char type)
{
	if (++w->entries > w->entries_max) {
		free(path);
		return err_set(w->err, ERR_LIMIT,
			"hashFiles: more than %zu files and folders", w->entries_max);
	}
	GROW(w->stack, w->stack_alloc, w->stack_len + 1);
	w->stack[w->stack_len++] = (struct pending){ path, level, type };
	return 0;
}

static int check_time(struct walk *w)
{
	if (clock_boot_ms() < w->deadline_ms)
		return 0;
	return err_set(w->err, ERR_TIMEOUT, "hashFiles: no end after %lld seconds",
		(long long)(w->timeout_ms / 1000));
}

static int hash_open_file(struct walk *w, int fd, const char *path)
{
	uint8_t digest[SHA256_LEN];
	char buf[65536];
	ssize_t n;

	while ((n = fd_read_full(fd, buf, sizeof(buf))) > 0) {
		sha256_add(w->one, buf, (size_t)n);
		if (check_time(w) < 0)
			return -1;
	}
	if (n < 0)
		return err_sys(w->err, "hashFiles: cannot read '%s'", path);
	sha256_end(w->one, digest);
	sha256_add(w->all, digest, sizeof(digest));
	w->files++;
	return 0;
}

struct child {
	char *name;
	unsigned char type;
};

static int child_order(const void *a, const void *b)
{
	return strcmp(((const struct child *)a)->name, ((const struct child *)b)->name);
}

struct children {
	struct child *v;
	size_t len, alloc;
};

static void children_done(struct children *c)
{
	for (size_t i = 0; i < c->len; i++)
		free(c->v[i].name);
	free(c->v);
}

static void cleanup_closedirp(DIR **d)
{
	if (*d)
		(void)closedir(*d); /* nothing was written */
}

static int list_folder(struct walk *w, int fd, const char *path, struct children *ret)
{
	_cleanup_(cleanup_closedirp) DIR *d = fdopendir(fd);
	struct dirent *e;

	if (!d) {
		int r = err_sys(w->err, "hashFiles: cannot list '%s'", path);

		(void)close(fd); /* the error stands already */
		return r;
	}
	while ((errno = 0, e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (w->entries + ret->len >= w->entries_max)
			return err_set(w->err, ERR_LIMIT,
				"hashFiles: more than %zu files and folders",
				w->entries_max);
		GROW(ret->v, ret->alloc, ret->len + 1);
		ret->v[ret->len].name = xstrdup(e->d_name);
		ret->v[ret->len++].type = e->d_type;
	}
	if (errno != 0)
		return err_sys(w->err, "hashFiles: cannot list '%s'", path);
	if (ret->len > 1)
		qsort(ret->v, ret->len, sizeof(*ret->v), child_order);
	return 0;
}

/* A folder among those above it: a link led back. */
static bool is_loop(struct walk *w, const struct stat *st, size_t level)
{
	if (w->chain_len > level)
		w->chain_len = level;
	for (size_t i = 0; i < w->chain_len; i++)
		if (w->chain[i].dev == st->st_dev && w->chain[i].ino == st->st_ino)
			return true;
	GROW(w->chain, w->chain_alloc, w->chain_len + 1);
	w->chain[w->chain_len++] = (struct folder_id){ st->st_dev, st->st_ino };
	return false;
}

/* Takes FD. Puts what is in the folder on the stack, last name first. */
static int descend(struct walk *w, int fd, const struct stat *st, const struct pending *p)
{
	_cleanup_(children_done) struct children children = { NULL, 0, 0 };

	if (!may_hold(w, p->path) || is_loop(w, st, p->level)) {
		(void)close(fd); /* nothing was written */
		return 0;
	}
	if (list_folder(w, fd, p->path, &children) < 0)
		return -1;
	for (size_t i = children.len; i-- > 0;) {
		const struct child *c = &children.v[i];
		char *path = *p->path ? xasprintf("%s/%s", p->path, c->name)
				      : xstrdup(c->name);

		if (push(w, path, p->level + 1, c->type) < 0)
			return -1;
	}
	return 0;
}

static int open_place(struct walk *w, const struct pending *p, bool is_link)
{
	struct err why = ERR_INIT;
	int fd;

	if (!*p->path)
		return openat(w->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = path_open(w->root, p->path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0,
		is_link || w->follows || p->level == 0 ? 0 : PATH_NO_SYMLINKS, &why);
	errno = why.sys;
	return fd;
}

/* Gone, or a link (perhaps put there this moment) that leads nowhere or out. */
static bool is_left_out(int sys)
{
	return sys == ENOENT || sys == ENOTDIR || sys == ELOOP || sys == EXDEV;
}

/* What the folder did not say, or said of a link: 0 for nothing that can be hashed. */
static unsigned char place_type(struct walk *w, const struct pending *p)
{
	struct stat st;

	if (p->type != DT_UNKNOWN)
		return p->type;
	if (fstatat(w->root, *p->path ? p->path : ".", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return IFTODT(st.st_mode);
}

static int visit(struct walk *w, const struct pending *p)
{
	unsigned char type = place_type(w, p);
	bool is_link = type == DT_LNK;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (type != DT_REG && type != DT_DIR && !is_link)
		return 0;
	if (type == DT_REG && !is_selected(w, p->path))
		return 0;
	fd = open_place(w, p, is_link);
	if (fd < 0 && (is_link || is_left_out(errno)))
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(w->err, "hashFiles: cannot open '%s'", p->path);
	if (S_ISDIR(st.st_mode))
		return is_link && !w->follows ? 0 : descend(w, take_fd(&fd), &st, p);
	if (!S_ISREG(st.st_mode) || !is_selected(w, p->path))
		return 0;
	return hash_open_file(w, fd, p->path);
}

static int walk_from(struct walk *w, const char *base)
{
	size_t entries = w->entries;

	w->chain_len = 0;
	if (push(w, xstrdup(base), 0, DT_UNKNOWN) < 0)
		return -1;
	w->entries = entries;
	while (w->stack_len > 0) {
		struct pending p = w->stack[--w->stack_len];
		int r = check_time(w) < 0 ? -1 : visit(w, &p);

		free(p.path);
		if (r < 0)
			return -1;
	}
	return 0;
}

/* A search folder among ALL that BASE lies in, or BASE itself in DONE. */
static bool is_covered(const struct walk *w, size_t at, const char *base)
{
	for (size_t i = 0; i < w->globs_len; i++) {
		const char *other = glob_path_base(w->globs[i]);
		size_t len = strlen(other);

		if (glob_is_negated(w->globs[i]) || i == at)
			continue;
		if (strcmp(other, base) == 0) {
			if (i < at)
				return true;
			continue;
		}
		if (len == 0 || (strncmp(other, base, len) == 0 && base[len] == '/'))
			return true;
	}
	return false;
}

static int patterns_all(struct walk *w, const struct hash_files_options *opt,
	const char *const *patterns, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (i == 0 && strcmp(patterns[0], FOLLOW_OPTION) == 0) {
			w->follows = true;
			continue;
		}
		if (i == 0 && strncmp(patterns[0], "--", 2) == 0)
			return err_set(w->err, ERR_INPUT,
				"hashFiles: unknown option '%.60s'; there is '%s'",
				patterns[0], FOLLOW_OPTION);
		if (patterns_read(w, patterns[i], opt->root_path) < 0)
			return -1;
	}
	return 0;
}

int hash_files_in(int root, const struct hash_files_options *opt,
	const char *const *patterns, size_t len, struct strbuf *out, struct err *err)
{
	_cleanup_(walk_done) struct walk w = { .root = root, .err = err };
	uint8_t digest[SHA256_LEN];
	char hex[SHA256_HEX_MAX];

	w.timeout_ms = opt->timeout_ms > 0 ? opt->timeout_ms : LIMIT_HASH_FILES_MS;
	w.deadline_ms = clock_boot_ms() + w.timeout_ms;
	w.entries_max = opt->entries_max > 0 ? opt->entries_max : LIMIT_HASH_FILES;
	w.all = sha256_new();
	w.one = sha256_new();
	if (patterns_all(&w, opt, patterns, len) < 0)
		return -1;
	for (size_t i = 0; i < w.globs_len; i++) {
		const char *base = glob_path_base(w.globs[i]);

		if (glob_is_negated(w.globs[i]) || is_covered(&w, i, base))
			continue;
		if (walk_from(&w, base) < 0)
			return -1;
	}
	if (w.files == 0)
		return 0;
	sha256_end(w.all, digest);
	hex_encode(digest, sizeof(digest), hex);
	strbuf_adds(out, hex);
	return 0;
}

int hash_files(int root, const char *const *patterns, size_t len, struct strbuf *out,
	struct err *err)
{
	static const struct hash_files_options defaults = { NULL, 0, 0 };

	return hash_files_in(root, &defaults, patterns, len, out, err);
}
