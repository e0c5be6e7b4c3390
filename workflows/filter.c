/* SPDX-License-Identifier: Apache-2.0 */
/* Events against the filters of `on:`, with the reason in words. */
#include "workflows/filter.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "workflows/fold.h"
#include "workflows/glob.h"

/* So many names of a list stand in a reason, the rest is "...". */
#define REASON_NAMES 6

static const char *const list_names[] = {
	[FILTER_BRANCHES] = "branches",
	[FILTER_BRANCHES_IGNORE] = "branches-ignore",
	[FILTER_TAGS] = "tags",
	[FILTER_TAGS_IGNORE] = "tags-ignore",
	[FILTER_PATHS] = "paths",
	[FILTER_PATHS_IGNORE] = "paths-ignore",
};

const char *filter_list_name(enum filter_list which)
{
	return list_names[which];
}

const char *const *filter_list_of(const struct filter_rules *r, enum filter_list which)
{
	switch (which) {
	case FILTER_BRANCHES:
		return r->branches;
	case FILTER_BRANCHES_IGNORE:
		return r->branches_ignore;
	case FILTER_TAGS:
		return r->tags;
	case FILTER_TAGS_IGNORE:
		return r->tags_ignore;
	case FILTER_PATHS:
		return r->paths;
	case FILTER_PATHS_IGNORE:
		return r->paths_ignore;
	case FILTER_LIST_COUNT:
		break;
	}
	return NULL;
}

const char *const *filter_default_types(const char *event)
{
	static const char *const pull_request[] = { "opened", "synchronize", "reopened",
		NULL };

	if (strcmp(event, "pull_request") == 0 ||
		strcmp(event, "pull_request_target") == 0)
		return pull_request;
	return NULL;
}

static size_t list_len(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

/* ---- checking ---- */

typedef void finding_fn(const struct filter_finding *finding, void *data);

struct check {
	finding_fn *fn;
	void *data;
	size_t found;
};

static void report(struct check *k, enum filter_list list, size_t index, size_t offset,
	const char *msg)
{
	struct filter_finding f = { .list = list, .index = index, .offset = offset };

	(void)snprintf(f.msg, sizeof(f.msg), "%s", msg); /* both are ERR_MSG_MAX */
	k->found++;
	k->fn(&f, k->data);
}

static void check_list(
	struct check *k, const struct filter_rules *r, enum filter_list list)
{
	const char *const *patterns = filter_list_of(r, list);
	bool has_positive = false;
	size_t bad = 0;

	for (size_t i = 0; patterns && patterns[i]; i++) {
		struct glob *g = NULL;
		struct glob_error error;

		if (glob_compile(patterns[i], strlen(patterns[i]), &g, &error) < 0) {
			report(k, list, i, error.offset, error.msg);
			bad++;
			continue;
		}
		has_positive = has_positive || !glob_is_negated(g);
		glob_free(g);
	}
	if (list_len(patterns) > 0 && !has_positive && bad == 0)
		report(k, list, 0, 0,
			"patterns with '!' alone match nothing; put one without '!' "
			"before them, "
			"such as '**', or use the -ignore form");
}

size_t filter_check(const struct filter_rules *r, finding_fn *fn, void *data)
{
	static const enum filter_list pairs[][2] = {
		{ FILTER_BRANCHES, FILTER_BRANCHES_IGNORE },
		{ FILTER_TAGS, FILTER_TAGS_IGNORE },
		{ FILTER_PATHS, FILTER_PATHS_IGNORE },
	};
	struct check k = { fn, data, 0 };

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		char msg[ERR_MSG_MAX];

		check_list(&k, r, pairs[i][0]);
		check_list(&k, r, pairs[i][1]);
		if (!filter_list_of(r, pairs[i][0]) || !filter_list_of(r, pairs[i][1]))
			continue;
		(void)snprintf(msg, sizeof(msg), /* short words */
			"'%s' and '%s' cannot both be given; exclude with '!' in '%s'",
			list_names[pairs[i][0]], list_names[pairs[i][1]],
			list_names[pairs[i][0]]);
		report(&k, pairs[i][1], 0, 0, msg);
	}
	return k.found;
}

/* ---- matching ---- */

struct match {
	const struct filter_rules *rules;
	const struct filter_event *event;
	struct strbuf *reason; /* never NULL here */
	struct err *err;
};

static void because(struct match *m, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void because(struct match *m, const char *fmt, ...)
{
	va_list ap;

	if (m->reason->len > 0)
		strbuf_adds(m->reason, "; ");
	va_start(ap, fmt);
	strbuf_vaddf(m->reason, fmt, ap);
	va_end(ap);
}

static void add_names(struct match *m, const char *const *names)
{
	for (size_t i = 0; names[i]; i++) {
		strbuf_adds(m->reason, i == 0 ? ": " : ", ");
		strbuf_adds(m->reason, i < REASON_NAMES ? names[i] : "...");
		if (i >= REASON_NAMES)
			break;
	}
}

/* A refusal that ends with the names of a list. */
static bool no_among(struct match *m, const char *const *names)
{
	add_names(m, names);
	return false;
}

static int compile_list(struct match *m, enum filter_list which, struct glob_list **ret)
{
	const char *const *patterns = filter_list_of(m->rules, which);
	struct glob_error error;
	size_t bad = 0;

	if (glob_list_compile(patterns, list_len(patterns), ret, &bad, &error) == 0)
		return 0;
	return err_set(m->err, ERR_INPUT, "%s: '%.80s': %s", list_names[which],
		patterns[bad], error.msg);
}

/* Patterns and names together were more than may be compared. -1, or R. */
static int unless_spent(
	struct match *m, enum filter_list which, const struct glob_list *l, int r)
{
	if (!glob_list_is_spent(l))
		return r;
	return err_set(m->err, ERR_LIMIT,
		"%s: so many patterns cannot be compared with so many names; make the list "
		"shorter, or its patterns begin with a folder",
		list_names[which]);
}

static bool type_matches(struct match *m)
{
	const char *const *types = m->rules->types, *action = m->event->action;
	bool is_default = !types;

	if (is_default)
		types = filter_default_types(m->rules->event);
	if (!types || !action)
		return true;
	for (size_t i = 0; types[i]; i++)
		if (fold_equal(types[i], strlen(types[i]), action, strlen(action)))
			return true;
	because(m, "type '%s' is not among the %stypes", action,
		is_default ? "default " : "");
	return no_among(m, types);
}

static bool workflow_matches(struct match *m)
{
	const char *const *names = m->rules->workflows, *name = m->event->workflow;

	if (!names || !name)
		return true;
	for (size_t i = 0; names[i]; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	because(m, "workflow '%s' is not among the workflows", name);
	return no_among(m, names);
}

/* NAME against one list, of either form. 1 holds, 0 not, -1 error. */
static int name_matches(struct match *m, enum filter_list which, bool is_ignore,
	const char *kind, const char *name)
{
	_cleanup_(glob_list_freep) struct glob_list *l = NULL;
	const char *const *patterns = filter_list_of(m->rules, which);
	size_t at;
	bool is_selected;

	if (compile_list(m, which, &l) < 0)
		return -1;
	is_selected = glob_list_selects(l, name, strlen(name), &at);
	if (unless_spent(m, which, l, 0) < 0)
		return -1;
	if (is_ignore) {
		if (is_selected)
			because(m, "%s '%s' matches %s: %s", kind, name,
				list_names[which], patterns[at]);
		else
			because(m, "%s '%s' is not among %s", kind, name,
				list_names[which]);
		return !is_selected;
	}
	if (is_selected) {
		because(m, "%s '%s' matches %s: %s", kind, name, list_names[which],
			patterns[at]);
		return 1;
	}
	if (patterns[at]) {
		because(m, "%s '%s' is excluded by %s: %s", kind, name, list_names[which],
			patterns[at]);
		return 0;
	}
	because(m, "%s '%s' matches none of %s", kind, name, list_names[which]);
	return no_among(m, patterns);
}

/* Both forms of a kind of name; 1 too when neither is given. */
static int both_match(struct match *m, enum filter_list positive, enum filter_list ignore,
	const char *kind, const char *name)
{
	int r = 1;

	if (filter_list_of(m->rules, positive))
		r = name_matches(m, positive, false, kind, name);
	if (r > 0 && filter_list_of(m->rules, ignore))
		r = name_matches(m, ignore, true, kind, name);
	return r;
}

static int push_ref_matches(struct match *m)
{
	const struct filter_event *e = m->event;
	const struct filter_rules *r = m->rules;
	bool has_branches = r->branches || r->branches_ignore;
	bool has_tags = r->tags || r->tags_ignore;

	if (e->ref_kind == FILTER_REF_BRANCH && e->ref) {
		if (!has_branches && has_tags) {
			because(m, "only tags are named, and '%s' is a branch", e->ref);
			return 0;
		}
		return both_match(
			m, FILTER_BRANCHES, FILTER_BRANCHES_IGNORE, "branch", e->ref);
	}
	if (e->ref_kind == FILTER_REF_TAG && e->ref) {
		if (!has_tags && has_branches) {
			because(m, "only branches are named, and '%s' is a tag", e->ref);
			return 0;
		}
		return both_match(m, FILTER_TAGS, FILTER_TAGS_IGNORE, "tag", e->ref);
	}
	return 1;
}

static int ref_matches(struct match *m)
{
	const struct filter_event *e = m->event;

	if (strcmp(e->event, "workflow_run") == 0)
		return !e->head ? 1
				: both_match(m, FILTER_BRANCHES, FILTER_BRANCHES_IGNORE,
					  "head branch", e->head);
	if (e->base)
		return both_match(m, FILTER_BRANCHES, FILTER_BRANCHES_IGNORE,
			"base branch", e->base);
	return push_ref_matches(m);
}

static int paths_positive(struct match *m)
{
	_cleanup_(glob_list_freep) struct glob_list *l = NULL;
	const struct filter_event *e = m->event;
	size_t at;

	if (compile_list(m, FILTER_PATHS, &l) < 0)
		return -1;
	for (size_t i = 0; i < e->files_len; i++) {
		if (!glob_list_selects(l, e->files[i], strlen(e->files[i]), &at))
			continue;
		because(m, "changed path '%s' matches paths: %s", e->files[i],
			m->rules->paths[at]);
		return 1;
	}
	because(m, "no changed path (of %zu) matches paths", e->files_len);
	return unless_spent(m, FILTER_PATHS, l, no_among(m, m->rules->paths));
}

static int paths_ignore(struct match *m)
{
	_cleanup_(glob_list_freep) struct glob_list *l = NULL;
	const struct filter_event *e = m->event;

	if (compile_list(m, FILTER_PATHS_IGNORE, &l) < 0)
		return -1;
	for (size_t i = 0; i < e->files_len; i++) {
		if (glob_list_selects(l, e->files[i], strlen(e->files[i]), NULL))
			continue;
		if (unless_spent(m, FILTER_PATHS_IGNORE, l, 0) < 0)
			return -1;
		because(m, "changed path '%s' is not among paths-ignore", e->files[i]);
		return 1;
	}
	because(m, "every changed path matches paths-ignore");
	return no_among(m, m->rules->paths_ignore);
}

static int paths_match(struct match *m)
{
	const struct filter_rules *r = m->rules;
	int answer = 1;

	if ((!r->paths && !r->paths_ignore) || m->event->ref_kind == FILTER_REF_TAG)
		return 1;
	if (!m->event->files_known) {
		because(m, "the changed paths are unknown or too many to look at");
		return 1;
	}
	if (r->paths)
		answer = paths_positive(m);
	if (answer > 0 && r->paths_ignore)
		answer = paths_ignore(m);
	return answer;
}

static int match_all(struct match *m)
{
	int r;

	if (strcmp(m->rules->event, m->event->event) != 0) {
		because(m, "the workflow waits for '%s', not for '%s'", m->rules->event,
			m->event->event);
		return 0;
	}
	if (m->event->is_delete) {
		because(m, "the push removes '%s'",
			m->event->ref ? m->event->ref : "its ref");
		return 0;
	}
	if (!type_matches(m) || !workflow_matches(m))
		return 0;
	r = ref_matches(m);
	return r > 0 ? paths_match(m) : r;
}

int filter_match(const struct filter_rules *r, const struct filter_event *e, bool *ret,
	struct strbuf *reason, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf words = STRBUF_INIT;
	struct match m = { r, e, &words, err };
	int answer = match_all(&m);

	if (answer < 0)
		return -1;
	if (words.len == 0)
		because(&m, "event '%s' starts it", e->event);
	if (reason)
		strbuf_add(reason, words.buf, words.len);
	*ret = answer > 0;
	return 0;
}
