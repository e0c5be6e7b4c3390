/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command files; rules and words of the runner's FileCommandManager.cs (Linux: lines end
 * with LF alone, a CR belongs to the line).
 */
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "executor/envfile.h"

struct text {
	const char *p, *end;
};

struct line {
	const char *p;
	size_t len;
	bool is_ended; /* by an LF; the last line of a file may not be */
};

static bool next_line(struct text *t, struct line *ret)
{
	const char *lf;

	if (t->p == t->end)
		return false;
	lf = memchr(t->p, '\n', (size_t)(t->end - t->p));
	ret->p = t->p;
	ret->len = (size_t)((lf ? lf : t->end) - t->p);
	ret->is_ended = lf != NULL;
	t->p = lf ? lf + 1 : t->end;
	return true;
}

/* The runner reads the file as text, which takes a byte order mark off. */
static struct text text_of(const char *data, size_t len)
{
	if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		return (struct text){ data + 3, data + len };
	return (struct text){ data, data + len };
}

/* As much of the line as a message holds. */
static int shown(size_t len)
{
	return len > 120 ? 120 : (int)len;
}

struct pair {
	const char *name, *value;
	size_t name_len, value_len;
};

/* NAME<<DELIM: the value is what stands between this line and the delimiter's. */
static int read_heredoc(struct text *t, const struct line *line, const char *mark,
	struct pair *ret, struct err *err)
{
	const char *delim = mark + 2;
	size_t delim_len = line->len - (size_t)(delim - line->p);
	const char *value_end = t->p;
	struct line l;

	ret->name = line->p;
	ret->name_len = (size_t)(mark - line->p);
	if (ret->name_len == 0 || delim_len == 0)
		return err_set(err, ERR_INPUT,
			"Invalid format '%.*s'. Name must not be empty and delimiter must "
			"not be empty",
			shown(line->len), line->p);
	ret->value = t->p;
	for (;;) {
		if (!next_line(t, &l))
			return err_set(err, ERR_INPUT,
				"Invalid value. Matching delimiter not found '%.*s'",
				shown(delim_len), delim);
		if (l.len == delim_len && memcmp(l.p, delim, delim_len) == 0)
			break;
		if (!l.is_ended)
			return err_set(err, ERR_INPUT,
				"Invalid value. EOF marker missing new line.");
		value_end = l.p + l.len;
	}
	ret->value_len = (size_t)(value_end - ret->value);
	return 0;
}

/* The pair that starts with LINE. */
static int read_pair(
	struct text *t, const struct line *line, struct pair *ret, struct err *err)
{
	const char *equals = memchr(line->p, '=', line->len);
	const char *mark = memmem(line->p, line->len, "<<", 2);

	if (mark && (!equals || mark < equals))
		return read_heredoc(t, line, mark, ret, err);
	if (!equals)
		return err_set(err, ERR_INPUT, "Invalid format '%.*s'", shown(line->len),
			line->p);
	ret->name = line->p;
	ret->name_len = (size_t)(equals - line->p);
	ret->value = equals + 1;
	ret->value_len = line->len - ret->name_len - 1;
	return 0;
}

static int give(const struct pair *p, size_t max_value, envfile_pair_fn *fn, void *ctx,
	struct err *err)
{
	_cleanup_free_ char *name = NULL;
	_cleanup_free_ char *value = NULL;

	if (memchr(p->name, '\0', p->name_len) || memchr(p->value, '\0', p->value_len))
		return err_set(err, ERR_INPUT, "Invalid value. '%.*s' holds a NUL byte",
			(int)strnlen(p->name, (size_t)shown(p->name_len)), p->name);
	if (p->name_len + p->value_len > max_value)
		return err_set(err, ERR_LIMIT, "'%.*s' has %zu bytes, more than %zu",
			shown(p->name_len), p->name, p->value_len, max_value);
	name = xstrndup(p->name, p->name_len);
	value = xstrndup(p->value, p->value_len);
	return fn(name, value, p->value_len, ctx, err);
}

int envfile_parse(const char *data, size_t len, size_t max_value, envfile_pair_fn *fn,
	void *ctx, struct err *err)
{
	struct text t = text_of(data, len);
	size_t pairs = 0;
	struct line line;

	while (next_line(&t, &line)) {
		struct pair pair = { 0 };

		if (line.len == 0)
			continue;
		if (read_pair(&t, &line, &pair, err) < 0)
			return -1;
		if (++pairs > LIMIT_ENV_KEYS)
			return err_set(err, ERR_LIMIT, "more than %d values in one file",
				LIMIT_ENV_KEYS);
		if (give(&pair, max_value, fn, ctx, err) < 0)
			return -1;
	}
	return 0;
}

/* Here the runner reads lines as .NET does: CR, LF and CR LF all end one. */
int envfile_parse_paths(const char *data, size_t len, struct strvec *ret, struct err *err)
{
	struct text t = text_of(data, len);
	size_t entries = 0;

	while (t.p < t.end) {
		const char *stop = t.p;
		_cleanup_free_ char *entry = NULL;

		while (stop < t.end && *stop != '\n' && *stop != '\r')
			stop++;
		len = (size_t)(stop - t.p);
		entry = xstrndup(t.p, len);
		t.p = stop < t.end ? stop + 1 : stop;
		if (len == 0)
			continue;
		if (strlen(entry) != len)
			return err_set(err, ERR_INPUT, "'%.*s' holds a NUL byte",
				shown(strlen(entry)), entry);
		if (++entries > LIMIT_ENV_KEYS)
			return err_set(err, ERR_LIMIT, "more than %d entries in one file",
				LIMIT_ENV_KEYS);
		if (len > LIMIT_ENV_VALUE)
			return err_set(err, ERR_LIMIT,
				"an entry has %zu bytes, more than %lld", len,
				(long long)LIMIT_ENV_VALUE);
		strvec_push_take(ret, take_ptr(entry));
	}
	return 0;
}

void envfile_path_add(struct strvec *paths, const char *entry)
{
	size_t n = 0;

	for (size_t i = 0; i < paths->len; i++) {
		if (str_eq(paths->v[i], entry))
			free(paths->v[i]);
		else
			paths->v[n++] = paths->v[i];
	}
	if (paths->len > 0)
		paths->v[n] = NULL;
	paths->len = n;
	strvec_push(paths, entry);
}

char *envfile_path_join(const struct strvec *paths, const char *old)
{
	struct strbuf out = STRBUF_INIT;

	for (size_t i = paths->len; i-- > 0;) {
		strbuf_adds(&out, paths->v[i]);
		if (i > 0 || (old && old[0]))
			strbuf_addc(&out, ':');
	}
	if (old)
		strbuf_adds(&out, old);
	return strbuf_take(&out);
}
