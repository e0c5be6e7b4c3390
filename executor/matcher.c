/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of the runner's IssueMatcher.cs: what a definition may say, and the loop. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "executor/matcher.h"

#define OVERRUNS_MAX 3 /* then the matcher is taken away */

/* What a pattern takes from its groups, in the order of `names`. */
enum field { FROM_PATH, FILE_NAME, LINE, COLUMN, SEVERITY, CODE, MESSAGE, FIELDS };

static const char *const names[FIELDS] = { "fromPath", "file", "line", "column",
	"severity", "code", "message" };
/* As issues name them: "line" is the line of output there. */
static const char *const answers[FIELDS] = { "fromPath", "file", "line_number", "column",
	"severity", "code", "message" };

struct pattern {
	void *regex;
	int group[FIELDS]; /* -1: none */
	bool is_loop;
};

/* What a multi-line match has found so far. */
struct found {
	bool is_running;
	char *value[FIELDS]; /* NULL: not yet */
};

struct matcher {
	char *owner;
	char *severity;	 /* default, or NULL */
	char *from_path; /* default, or NULL */
	struct pattern patterns[MATCHER_PATTERNS];
	size_t patterns_len;
	struct found state[MATCHER_PATTERNS]; /* after pattern i */
	int overruns;
};

struct matcher_set {
	const struct matcher_regex_ops *ops;
	struct matcher *list[MATCHER_OWNERS]; /* last added first */
	size_t len;
};

static void found_clear(struct found *f)
{
	for (size_t i = 0; i < FIELDS; i++)
		free(f->value[i]);
	*f = (struct found){ false, { NULL } };
}

static void matcher_reset(struct matcher *m)
{
	for (size_t i = 0; i < MATCHER_PATTERNS; i++)
		found_clear(&m->state[i]);
}

static void matcher_free(const struct matcher_regex_ops *ops, struct matcher *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->patterns_len; i++)
		ops->free(m->patterns[i].regex);
	matcher_reset(m);
	free(m->owner);
	free(m->severity);
	free(m->from_path);
	free(m);
}

struct matcher_set *matcher_set_new(const struct matcher_regex_ops *ops)
{
	struct matcher_set *set = xcalloc(1, sizeof(*set));

	set->ops = ops;
	return set;
}

void matcher_set_free(struct matcher_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->len; i++)
		matcher_free(set->ops, set->list[i]);
	free(set);
}

size_t matcher_set_count(const struct matcher_set *set)
{
	return set->len;
}

static void remove_at(struct matcher_set *set, size_t i)
{
	matcher_free(set->ops, set->list[i]);
	set->len--;
	memmove(&set->list[i], &set->list[i + 1], (set->len - i) * sizeof(set->list[0]));
}

bool matcher_set_remove(struct matcher_set *set, const char *owner)
{
	for (size_t i = 0; i < set->len; i++) {
		if (strcasecmp(set->list[i]->owner, owner) == 0) {
			remove_at(set, i);
			return true;
		}
	}
	return false;
}

/* ---- definitions ---- */

static int read_group(const struct json *def, const char *name, int *ret, struct err *err)
{
	const struct json *v = json_get(def, name);
	int64_t n = json_as_int(v, -1);
	long long parsed;

	*ret = -1;
	if (!v || json_is(v, JSON_KIND_NULL))
		return 0;
	/* The runner's reader takes "1" for 1. */
	if (json_is(v, JSON_KIND_STRING) &&
		str_to_int(json_as_str(v, ""), 0, 999, &parsed) == 0)
		n = parsed;
	if (n < 0 || n >= MATCHER_GROUPS)
		return err_set(err, ERR_INPUT,
			"'%s' must be the number of a group, 0 to %d", name,
			MATCHER_GROUPS - 1);
	*ret = (int)n;
	return 0;
}

static int read_pattern(const struct matcher_set *set, const struct json *def,
	struct pattern *ret, struct err *err)
{
	const struct json *regexp = json_get(def, "regexp");
	const char *text = json_as_str(regexp, "");

	if (!json_is(regexp, JSON_KIND_STRING) || !text[0])
		return err_set(err, ERR_INPUT, "a pattern has no 'regexp'");
	if (json_str_len(regexp) > MATCHER_REGEX_MAX)
		return err_set(err, ERR_LIMIT, "a 'regexp' has more than %d bytes",
			MATCHER_REGEX_MAX);
	ret->is_loop = json_get_bool(def, "loop", false);
	for (size_t i = 0; i < FIELDS; i++) {
		if (read_group(def, names[i], &ret->group[i], err) < 0)
			return -1;
	}
	return set->ops->compile(text, json_str_len(regexp), &ret->regex, err);
}

/* What the runner insists on, so that a match can be told. */
static int check_patterns(const struct matcher *m, struct err *err)
{
	const struct pattern *last = &m->patterns[m->patterns_len - 1];

	for (size_t i = 0; i < m->patterns_len; i++) {
		const struct pattern *p = &m->patterns[i];

		if (p->is_loop && (p != last || m->patterns_len == 1))
			return err_set(err, ERR_INPUT,
				"only the last pattern of a multiline matcher may set 'loop'");
		for (size_t f = 0; f < FIELDS; f++) {
			for (size_t j = 0; j < i && p->group[f] >= 0; j++) {
				if (m->patterns[j].group[f] >= 0)
					return err_set(err, ERR_INPUT,
						"the property '%s' is set twice",
						names[f]);
			}
		}
	}
	if (last->is_loop && last->group[MESSAGE] < 0)
		return err_set(
			err, ERR_INPUT, "the pattern with 'loop' must set 'message'");
	for (size_t i = 0; i < m->patterns_len; i++) {
		if (m->patterns[i].group[MESSAGE] >= 0)
			return 0;
	}
	return err_set(err, ERR_INPUT, "at least one pattern must set 'message'");
}

static int check_severity(const char *s, struct err *err)
{
	static const char *const known[] = { "error", "warning", "notice" };

	if (!s || !s[0])
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcasecmp(s, known[i]) == 0)
			return 0;
	}
	return err_set(
		err, ERR_INPUT, "'%.40s' is no severity: error, warning or notice", s);
}

static int read_matcher(const struct matcher_set *set, const struct json *def,
	struct matcher *m, struct err *err)
{
	const char *owner = json_get_str(def, "owner", "");
	const char *severity = json_get_str(def, "severity", NULL);
	const char *from = json_get_str(def, "fromPath", NULL);
	const struct json *patterns = json_get(def, "pattern");

	if (!owner[0])
		return err_set(err, ERR_INPUT, "a matcher has no 'owner'");
	if (json_count(patterns) == 0 || json_count(patterns) > MATCHER_PATTERNS)
		return err_set(err, ERR_INPUT, "matcher '%.60s' needs 1 to %d patterns",
			owner, MATCHER_PATTERNS);
	if (check_severity(severity, err) < 0)
		return -1;
	m->owner = xstrdup(owner);
	m->severity = severity && severity[0] ? xstrdup(severity) : NULL;
	m->from_path = from && from[0] ? xstrdup(from) : NULL;
	for (size_t i = 0; i < json_count(patterns); i++) {
		if (read_pattern(set, json_at(patterns, i), &m->patterns[i], err) < 0)
			return err_wrap(err, "matcher '%.60s'", owner);
		m->patterns_len++;
	}
	return check_patterns(m, err) < 0 ? err_wrap(err, "matcher '%.60s'", owner) : 0;
}

static int put(struct matcher_set *set, struct matcher *m, struct err *err)
{
	(void)matcher_set_remove(set, m->owner); /* most are new */
	if (set->len == MATCHER_OWNERS)
		return err_set(
			err, ERR_LIMIT, "more than %d problem matchers", MATCHER_OWNERS);
	memmove(&set->list[1], &set->list[0], set->len * sizeof(set->list[0]));
	set->list[0] = m;
	set->len++;
	return 0;
}

static int read_all(struct matcher_set *set, const struct json *defs,
	struct matcher **fresh, struct err *err)
{
	size_t n = json_count(defs);

	if (n == 0 || n > MATCHER_OWNERS)
		return err_set(err, ERR_INPUT, "the file has no 'problemMatcher' list");
	for (size_t i = 0; i < n; i++) {
		fresh[i] = xcalloc(1, sizeof(**fresh));
		if (read_matcher(set, json_at(defs, i), fresh[i], err) < 0)
			return -1;
		for (size_t j = 0; j < i; j++) {
			if (strcasecmp(fresh[i]->owner, fresh[j]->owner) == 0)
				return err_set(err, ERR_INPUT,
					"the owner '%.60s' is there twice",
					fresh[i]->owner);
		}
	}
	return 0;
}

int matcher_set_add(struct matcher_set *set, const char *json, size_t len,
	struct json **ret_owners, struct err *err)
{
	struct matcher *fresh[MATCHER_OWNERS] = { NULL };
	_cleanup_(json_freep) struct json *doc = NULL;
	_cleanup_(json_freep) struct json *owners = json_new_array();
	int rc;

	if (len > MATCHER_FILE_MAX)
		return err_set(err, ERR_LIMIT, "the file has more than %d KiB",
			MATCHER_FILE_MAX / 1024);
	if (len >= 3 && memcmp(json, "\xef\xbb\xbf", 3) == 0)
		json += 3, len -= 3;
	if (json_parse(json, len, &doc, err) < 0)
		return -1;
	rc = read_all(set, json_get(doc, "problemMatcher"), fresh, err);
	for (size_t i = 0; rc == 0 && i < MATCHER_OWNERS && fresh[i]; i++) {
		json_push_str(owners, fresh[i]->owner);
		rc = put(set, fresh[i], err);
		if (rc == 0)
			fresh[i] = NULL;
	}
	for (size_t i = 0; i < MATCHER_OWNERS; i++)
		matcher_free(set->ops, fresh[i]);
	if (rc == 0)
		*ret_owners = take_ptr(owners);
	return rc;
}

/* ---- lines ---- */

/* Without colours: ESC [ digits and semicolons, and an m. */
static void strip_colours(const char *line, size_t len, struct strbuf *out)
{
	for (size_t i = 0; i < len;) {
		const char *esc = memchr(line + i, '\033', len - i);
		size_t n = esc ? (size_t)(esc - line) : len;

		strbuf_add(out, line + i, n - i);
		i = n;
		if (i + 1 < len && line[i + 1] == '[') {
			i += 2;
			while (i < len &&
				((line[i] >= '0' && line[i] <= '9') || line[i] == ';'))
				i++;
			if (i < len && line[i] == 'm')
				i++;
		} else if (i < len) {
			strbuf_addc(out, line[i++]);
		}
	}
}

/* What pattern P found in LINE, on top of what came before. */
static void found_add(struct found *f, const struct found *before,
	const struct pattern *p, const char *line, const struct matcher_span *spans,
	size_t n)
{
	struct found now = { true, { NULL } };

	for (size_t i = 0; i < FIELDS; i++) {
		int g = p->group[i];

		if (before && before->value[i])
			now.value[i] = xstrdup(before->value[i]);
		else if (g >= 0 && (size_t)g < n && spans[g].start != SIZE_MAX)
			now.value[i] = xstrndup(
				line + spans[g].start, spans[g].end - spans[g].start);
	}
	found_clear(f);
	*f = now;
}

static struct json *issue_of(const struct matcher *m, const struct found *f)
{
	struct json *o = json_new_object();

	json_set_str(o, "owner", m->owner);
	for (size_t i = 0; i < FIELDS; i++) {
		if (f->value[i] && f->value[i][0])
			json_set_str(o, answers[i], f->value[i]);
	}
	if (!json_get(o, "severity"))
		json_set_str(o, "severity", m->severity ? m->severity : "error");
	if (!json_get(o, "fromPath") && m->from_path)
		json_set_str(o, "fromPath", m->from_path);
	return o;
}

enum outcome { OUT_NONE, OUT_ISSUE, OUT_OVERRUN };

/*
 * Last pattern first, so that a line can end one match and not begin the same again. A
 * loop keeps what came before its last pattern as long as that goes on matching.
 */
static enum outcome match_line(const struct matcher_set *set, struct matcher *m,
	const char *line, size_t len, struct found *ret)
{
	struct matcher_span spans[MATCHER_GROUPS];

	for (size_t i = m->patterns_len; i-- > 0;) {
		struct found *before = i ? &m->state[i - 1] : NULL;
		const struct pattern *p = &m->patterns[i];
		bool is_last = i == m->patterns_len - 1;
		int n;

		if (before && !before->is_running)
			continue;
		n = set->ops->match(p->regex, line, len, spans, MATCHER_GROUPS);
		if (n < 0)
			return OUT_OVERRUN;
		if (n > 0 && is_last) {
			struct found kept = { false, { NULL } };

			found_add(ret, before, p, line, spans, (size_t)n);
			if (before && p->is_loop) {
				kept = *before;
				*before = (struct found){ false, { NULL } };
			}
			matcher_reset(m);
			if (before)
				*before = kept;
			return OUT_ISSUE;
		}
		if (n > 0)
			found_add(&m->state[i], before, p, line, spans, (size_t)n);
		else
			found_clear(is_last ? (before ? before : &m->state[i])
					    : &m->state[i]);
	}
	return OUT_NONE;
}

struct json *matcher_set_line(
	struct matcher_set *set, const char *line, size_t len, struct json *dropped)
{
	_cleanup_(strbuf_done) struct strbuf plain = STRBUF_INIT;
	struct found found = { false, { NULL } };
	struct json *issue = NULL;

	if (len > MATCHER_LINE_MAX)
		return NULL;
	strip_colours(line, len, &plain);
	for (size_t i = 0; i < set->len && !issue;) {
		struct matcher *m = set->list[i];
		enum outcome out = match_line(set, m, plain.buf, plain.len, &found);

		if (out == OUT_OVERRUN && ++m->overruns >= OVERRUNS_MAX) {
			json_push_str(dropped, m->owner);
			remove_at(set, i);
			continue;
		}
		if (out == OUT_ISSUE) {
			issue = issue_of(m, &found);
			for (size_t j = 0; j < set->len; j++) {
				if (j != i)
					matcher_reset(set->list[j]);
			}
		}
		i++;
	}
	found_clear(&found);
	return issue;
}
