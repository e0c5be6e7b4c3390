/* SPDX-License-Identifier: Apache-2.0 */
/* Findings of our own (--rules all): jobs that cannot run, trust given away. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "workflows/expr.h"
#include "workflows/lint-internal.h"
#include "workflows/parse-internal.h"

static const struct expr_rules any_rules = { NULL,
	EXPR_FN_STATUS | EXPR_FN_JOB_STATUS | EXPR_FN_HASHFILES };

/* ---- a job that can never run ----------------------------------------------------- */

enum fact_kind { FACT_IS, FACT_IS_NOT, FACT_STARTS };

/* One thing that must hold: `github.ref == 'refs/heads/main'`. */
struct fact {
	enum fact_kind kind;
	const char *subject; /* its source, without case */
	const char *value;
};

#define FACTS_MAX 16

struct facts {
	struct fact items[FACTS_MAX];
	size_t len;
	bool has_status; /* a status function: a skipped need does not skip it */
};

static const char *source_of(struct arena *a, const char *text, const struct expr_node *n)
{
	char *s = arena_strndup(a, text + n->offset, n->len);
	char *to = s;

	for (const char *from = s; *from; from++)
		if (*from != ' ')
			*to++ = (char)tolower((unsigned char)*from);
	*to = '\0';
	return s;
}

static const char *literal(const struct expr_node *n)
{
	return n->kind == EXPR_NODE_LITERAL && value_kind_of(n->value) == VALUE_STRING
		       ? value_str(n->value)
		       : NULL;
}

static void add_fact(struct facts *f, struct arena *a, const char *text,
	const struct expr_node *subject, const struct expr_node *value,
	enum fact_kind kind)
{
	if (f->len == FACTS_MAX || !literal(value) ||
		(subject->kind != EXPR_NODE_INDEX && subject->kind != EXPR_NODE_CONTEXT))
		return;
	f->items[f->len++] = (struct fact){ kind, source_of(a, text, subject),
		arena_strdup(a, literal(value)) };
}

/* What is joined by && must all hold. */
static void collect(
	struct facts *f, struct arena *a, const char *text, const struct expr_node *n)
{
	if (n->kind == EXPR_NODE_CALL && n->children_len == 2 &&
		strcasecmp(n->name, "startsWith") == 0)
		add_fact(f, a, text, n->children[0], n->children[1], FACT_STARTS);
	if (n->kind != EXPR_NODE_OPERATOR)
		return;
	if (strcmp(n->name, "&&") == 0) {
		for (size_t i = 0; i < n->children_len; i++)
			collect(f, a, text, n->children[i]);
	} else if (strcmp(n->name, "==") == 0 || strcmp(n->name, "!=") == 0) {
		enum fact_kind kind = n->name[0] == '=' ? FACT_IS : FACT_IS_NOT;

		add_fact(f, a, text, n->children[0], n->children[1], kind);
		add_fact(f, a, text, n->children[1], n->children[0], kind);
	}
}

static int collect_inner(const char *inner, size_t len, size_t offset, void *data)
{
	const char **ret = data;

	(void)offset;
	(void)len;
	*ret = inner;
	return 0;
}

static void facts_of(struct lint *l, const struct job *job, struct facts *f)
{
	const struct yaml_node *n = yaml_get(job->node, "if");
	_cleanup_(expr_freep) struct expr *e = NULL;
	const char *text;
	struct expr_error error;
	size_t len;

	*f = (struct facts){ .len = 0 };
	if (!yaml_is_scalar(n))
		return;
	text = n->str;
	len = n->str_len;
	if (has_template(n)) {
		if (!str_starts(n->str, "${{") || !str_ends(n->str, "}}") ||
			strstr(n->str + 3, "${{") ||
			template_each(n->str, n->str_len, collect_inner, &text, &error) <
				0)
			return;
		len = n->str_len - 5;
	}
	if (l->expr_nodes > LIMIT_EXPR_NODES ||
		expr_compile(text, len, &any_rules, &e, &error) < 0)
		return;
	l->expr_nodes += expr_size(e);
	f->has_status = expr_calls_status(e);
	collect(f, l->arena, text, expr_root(e));
}

static bool starts(const char *s, const char *prefix)
{
	return strncasecmp(s, prefix, strlen(prefix)) == 0;
}

static bool contradict(const struct fact *a, const struct fact *b)
{
	if (strcmp(a->subject, b->subject) != 0)
		return false;
	if (a->kind > b->kind) {
		const struct fact *swap = a;

		a = b;
		b = swap;
	}
	if (a->kind == FACT_IS && b->kind == FACT_IS)
		return strcasecmp(a->value, b->value) != 0;
	if (a->kind == FACT_IS && b->kind == FACT_IS_NOT)
		return strcasecmp(a->value, b->value) == 0;
	if (a->kind == FACT_IS && b->kind == FACT_STARTS)
		return !starts(a->value, b->value);
	if (a->kind == FACT_STARTS && b->kind == FACT_STARTS)
		return !starts(a->value, b->value) && !starts(b->value, a->value);
	return false;
}

static const struct fact *find_conflict(
	const struct facts *mine, const struct facts *theirs)
{
	for (size_t i = 0; i < mine->len; i++)
		for (size_t k = 0; k < theirs->len; k++)
			if (contradict(&mine->items[i], &theirs->items[k]))
				return &theirs->items[k];
	return NULL;
}

/* All that must have succeeded before JOB: its needs, and theirs. */
static size_t ancestors(struct lint *l, const struct job *job, bool *seen, size_t *list)
{
	size_t len = 0;

	memset(seen, 0, l->w->jobs_len * sizeof(*seen));
	for (size_t at = 0;; at++) {
		for (size_t i = 0; i < job->needs_len; i++)
			if (!seen[job->needs[i].job]) {
				seen[job->needs[i].job] = true;
				list[len++] = job->needs[i].job;
			}
		if (at == len)
			return len;
		job = &l->w->jobs[list[at]];
	}
}

/* Pairs of facts that are compared in all: a chain of many jobs has the square of them. */
#define PAIRS_MAX 500000

static void check_never_runs(struct lint *l)
{
	size_t n = l->w->jobs_len, pairs = 0;
	struct facts *all = arena_alloc(l->arena, (n + 1) * sizeof(*all));
	bool *seen = arena_alloc(l->arena, (n + 1) * sizeof(*seen));
	size_t *list = arena_alloc(l->arena, (n + 1) * sizeof(*list));

	for (size_t i = 0; i < n; i++)
		facts_of(l, &l->w->jobs[i], &all[i]);
	for (size_t i = 0; i < n; i++) {
		const struct job *job = &l->w->jobs[i];
		size_t len = all[i].has_status || all[i].len == 0
				     ? 0
				     : ancestors(l, job, seen, list);

		for (size_t k = 0; k < len && pairs < PAIRS_MAX; k++) {
			const struct job *need = &l->w->jobs[list[k]];
			const struct fact *f = find_conflict(&all[i], &all[list[k]]);

			pairs += all[i].len * all[list[k]].len + 1;
			if (!f)
				continue;
			diag_hint(lint_add(l, yaml_get(job->node, "if")->mark,
					  "job-never-runs",
					  "job '%s' can never run: its need is skipped "
					  "whenever this holds",
					  job->id),
				"'%s' (line %u) wants %s: drop the need", need->id,
				yaml_get(need->node, "if")->mark.line, f->value);
			break;
		}
	}
}

/* ---- trust ------------------------------------------------------------------------ */

static bool is_commit(const char *ref)
{
	return strlen(ref) == 40 && strspn(ref, "0123456789abcdefABCDEF") == 40;
}

static bool is_branch_name(const char *ref)
{
	static const char *const names[] = { "main", "master", "develop", "trunk",
		"HEAD" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(ref, names[i]) == 0)
			return true;
	return false;
}

static void check_pinned(struct lint *l, const struct yaml_node *n)
{
	struct uses u;

	if (!yaml_is_scalar(n) || has_template(n))
		return;
	u = uses_parse(n->str, l->arena);
	if (u.kind != USES_REMOTE || is_commit(u.ref))
		return;
	diag_hint(lint_add(l, n->mark, "unpinned-action",
			  is_branch_name(u.ref) ? "'%.60s' is a branch: whoever pushes "
						  "to it runs code with "
						  "your secrets"
						: "'%.60s' can be moved: whoever moves "
						  "it runs code with your "
						  "secrets",
			  u.ref),
		"pin a commit: %.*s@<40 hex digits>", (int)strcspn(n->str, "@"), n->str);
}

static bool is_privileged(const struct workflow *w)
{
	return workflow_find_trigger(w, "pull_request_target") ||
	       workflow_find_trigger(w, "workflow_run");
}

/* Code of the pull request's head, in a run that has the secrets. */
static void check_checkout(struct lint *l, const struct step *s)
{
	const struct yaml_node *uses = yaml_get(s->node, "uses");
	const struct yaml_node *ref = yaml_get(yaml_get(s->node, "with"), "ref");

	if (!yaml_is_scalar(uses) || !str_starts(uses->str, "actions/checkout@") ||
		!yaml_is_scalar(ref))
		return;
	if (strstr(ref->str, "pull_request.head") ||
		strstr(ref->str, "github.head_ref") ||
		strstr(ref->str, "workflow_run.head"))
		diag_hint(lint_add(l, ref->mark, "stranger-checkout",
				  "code of a stranger is checked out where secrets are"),
			"build it in 'on: pull_request', hand on artifacts");
}

static void check_trust(struct lint *l, const struct step *steps, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		check_pinned(l, yaml_get(steps[i].node, "uses"));
		if (is_privileged(l->w))
			check_checkout(l, &steps[i]);
		check_trust(l, steps[i].members, steps[i].members_len);
	}
}

static bool speaks_of_deploy(const char *s)
{
	for (; s && *s; s++)
		if (strncasecmp(s, "deploy", 6) == 0)
			return true;
	return false;
}

static void check_deploy(struct lint *l, const struct job *job)
{
	const struct yaml_node *name = yaml_get(job->node, "name");

	if (job->uses || yaml_get(job->node, "environment") ||
		(!speaks_of_deploy(job->id) &&
			!(yaml_is_scalar(name) && speaks_of_deploy(name->str))))
		return;
	/* One that tells about a deploy, or checks it, is not one. */
	if (speaks_of_deploy(job->id) ? strncasecmp(job->id, "deploy", 6) != 0 : true)
		return;
	diag_hint(lint_add(l, job->key->mark, "deploy-without-environment",
			  "job '%s' deploys without an environment: no gate, no record",
			  job->id),
		"add: environment: NAME");
}

/* ---- versions that lost their zero ------------------------------------------------ */

static void check_numbers(struct lint *l, const struct yaml_node *n)
{
	struct strbuf text = STRBUF_INIT;
	size_t len;

	if (!n)
		return;
	for (size_t i = 0; i < n->len && n->kind == YAML_SEQUENCE; i++)
		check_numbers(l, n->items[i]);
	for (size_t i = 0; i < n->len && n->kind == YAML_MAPPING; i++)
		check_numbers(l, n->pairs[i].value);
	if (n->kind != YAML_NUMBER)
		return;
	len = n->str_len;
	if (len >= 4 && n->str[len - 1] == '0' && memchr(n->str, '.', len) &&
		n->str[len - 2] != '.')
		number_to_text(n->number, &text);
	if (text.len > 0)
		diag_hint(lint_add(l, n->mark, "number-text", "%s is the number %s",
				  n->str, text.buf),
			"for the text write '%s' in quotes", n->str);
	strbuf_done(&text);
}

static void check_step_numbers(struct lint *l, const struct step *steps, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		check_numbers(l, yaml_get(steps[i].node, "with"));
		check_numbers(l, yaml_get(steps[i].node, "env"));
		check_step_numbers(l, steps[i].members, steps[i].members_len);
	}
}

void lint_own(struct lint *l)
{
	check_numbers(l, yaml_get(l->w->root, "env"));
	check_never_runs(l);
	for (size_t i = 0; i < l->w->jobs_len; i++) {
		const struct job *job = &l->w->jobs[i];

		check_pinned(l, job->uses);
		check_trust(l, job->steps, job->steps_len);
		check_numbers(l, yaml_get(yaml_get(job->node, "strategy"), "matrix"));
		check_numbers(l, yaml_get(job->node, "env"));
		check_numbers(l, yaml_get(job->node, "with"));
		check_step_numbers(l, job->steps, job->steps_len);
		check_deploy(l, job);
	}
}
