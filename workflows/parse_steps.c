/* SPDX-License-Identifier: Apache-2.0 */
/* Steps with their ids, and the matrix as far as it is written out. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "workflows/parse-internal.h"

struct step_ids {
	struct names taken;
	struct names bases; /* of generated ids: the last number given */
};

/* ---- ids -------------------------------------------------------------------------- */

/* What the id of a step without one is made of, as GitHub names it. */
static const char *base_of(struct parser *p, const struct step *s)
{
	const struct yaml_node *node = yaml_get(s->node, "uses");
	struct uses u;

	switch (s->kind) {
	case STEP_RUN:
		return "run";
	case STEP_WAIT:
		return "wait";
	case STEP_WAIT_ALL:
		return "wait-all";
	case STEP_CANCEL:
		return "cancel";
	case STEP_PARALLEL:
		return "parallel";
	case STEP_USES:
		break;
	}
	if (!yaml_is_scalar(node))
		return "run";
	u = uses_parse(node->str, p->arena);
	if (u.kind == USES_DOCKER)
		return u.path;
	if (u.kind == USES_REMOTE)
		return arena_printf(p->arena, "%s/%s", u.owner, u.repo);
	return u.kind == USES_INVALID ? "run" : "self";
}

#define ID_MAX 99

static void generate_id(struct parser *p, struct step_ids *ids, struct step *s)
{
	char *base = arena_printf(p->arena, "__%.*s", ID_MAX - 2, base_of(p, s));
	const char *id = base;
	struct name_entry *e;
	bool is_new;

	for (char *c = base; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
			*c = '_';
	e = names_add(&ids->bases, p->arena, base, 1, &is_new);
	for (size_t n = e->value;; n++) {
		if (n > 1)
			id = arena_printf(p->arena, "%.*s_%zu", ID_MAX - 8, base, n);
		names_add(&ids->taken, p->arena, id, 0, &is_new);
		if (is_new) {
			e->value = n + 1;
			break;
		}
	}
	s->id = id;
	s->is_generated = true;
}

static void take_id(struct parser *p, struct step_ids *ids, struct step *s)
{
	const struct yaml_node *n = yaml_get(s->node, "id");
	const char *problem;
	bool is_new;

	if (!yaml_is_scalar(n) || n->str_len == 0 || has_template(n))
		return;
	s->id = yaml_text(n, p->arena);
	problem = id_problem(s->id);
	if (problem) {
		diag_hint(parse_error(p, n->mark, "bad-id",
				  "'%.60s' cannot be the id of a step", s->id),
			"%s", problem);
		return;
	}
	names_add(&ids->taken, p->arena, s->id, n->mark.line, &is_new);
	if (!is_new)
		diag_hint(parse_error(p, n->mark, "duplicate-id",
				  "step id '%s' is already taken in this job", s->id),
			"first at line %u; ids are compared without case",
			names_find(&ids->taken, s->id, strlen(s->id))->value);
}

/* ---- what a step does ------------------------------------------------------------- */

static bool kind_of(const struct yaml_node *n, enum step_kind *ret)
{
	static const struct {
		const char *key;
		enum step_kind kind;
	} keys[] = { { "run", STEP_RUN }, { "uses", STEP_USES }, { "wait", STEP_WAIT },
		{ "wait-all", STEP_WAIT_ALL }, { "cancel", STEP_CANCEL },
		{ "parallel", STEP_PARALLEL } };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (yaml_get(n, keys[i].key)) {
			*ret = keys[i].kind;
			return true;
		}
	return false;
}

static void check_uses(struct parser *p, const struct step *s)
{
	const struct yaml_node *n = yaml_get(s->node, "uses");

	if (!yaml_is_scalar(n) || n->str_len == 0 || has_template(n))
		return;
	if (uses_parse(n->str, p->arena).kind == USES_INVALID)
		diag_hint(parse_error(p, n->mark, "bad-uses",
				  "'%.80s' does not name an action", n->str),
			"write OWNER/REPO[/PATH]@REF, ./PATH or docker://IMAGE");
}

static void check_target(struct parser *p, const struct step_ids *ids,
	const struct step *s, const struct yaml_node *n)
{
	const char *text = yaml_text(n, p->arena);
	const struct name_entry *e = names_find(&ids->taken, text, strlen(text));

	if (!yaml_is_scalar(n) || n->str_len == 0)
		return;
	if (s->id && strcasecmp(s->id, text) == 0)
		(void)parse_error(
			p, n->mark, "unknown-step", "step '%s' names itself", s->id);
	else if (str_starts(text, "__"))
		(void)parse_error(p, n->mark, "bad-id",
			"'%.60s': ids that start with '__' are "
			"reserved",
			text);
	else if (!e)
		diag_hint(parse_error(p, n->mark, "unknown-step",
				  "there is no step '%.60s' before this one", text),
			"name the 'id' of an earlier step");
}

static void check_targets(
	struct parser *p, const struct step_ids *ids, const struct step *s)
{
	const struct yaml_node *n =
		yaml_get(s->node, s->kind == STEP_WAIT ? "wait" : "cancel");

	if (yaml_is_scalar(n))
		check_target(p, ids, s, n);
	for (size_t i = 0; yaml_is(n, YAML_SEQUENCE) && i < n->len; i++)
		check_target(p, ids, s, n->items[i]);
}

static void parse_list(struct parser *p, struct step_ids *ids,
	const struct yaml_node *list, struct step **ret, size_t *ret_len, bool is_nested);

static void parse_step(
	struct parser *p, struct step_ids *ids, struct step *s, bool is_nested)
{
	const struct yaml_node *all;

	take_id(p, ids, s);
	switch (s->kind) {
	case STEP_RUN:
		break;
	case STEP_USES:
		check_uses(p, s);
		break;
	case STEP_WAIT:
	case STEP_CANCEL:
		check_targets(p, ids, s);
		break;
	case STEP_WAIT_ALL:
		all = yaml_get(s->node, "wait-all");
		if (yaml_is(all, YAML_BOOL) && !all->boolean)
			(void)parse_error(p, all->mark, "unknown-value",
				"'wait-all' must be true or left empty");
		break;
	case STEP_PARALLEL:
		if (!is_nested)
			parse_list(p, ids, yaml_get(s->node, "parallel"), &s->members,
				&s->members_len, true);
		break;
	}
}

static void parse_list(struct parser *p, struct step_ids *ids,
	const struct yaml_node *list, struct step **ret, size_t *ret_len, bool is_nested)
{
	struct step *steps;
	size_t n = 0;

	if (!yaml_is(list, YAML_SEQUENCE))
		return;
	if (list->len > LIMIT_STEPS) {
		(void)parse_error(p, list->mark, "limit", "a job has more than %d steps",
			LIMIT_STEPS);
		return;
	}
	steps = arena_alloc(p->arena, (list->len + 1) * sizeof(*steps));
	for (size_t i = 0; i < list->len; i++) {
		struct step *s = &steps[n];

		if (!kind_of(list->items[i], &s->kind))
			continue;
		s->node = list->items[i];
		parse_step(p, ids, s, is_nested);
		n++;
	}
	*ret = steps;
	*ret_len = n;
}

static void generate_ids(
	struct parser *p, struct step_ids *ids, struct step *steps, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!steps[i].id)
			generate_id(p, ids, &steps[i]);
		generate_ids(p, ids, steps[i].members, steps[i].members_len);
	}
}

void parse_steps(struct parser *p, struct job *job)
{
	struct step_ids ids = { 0 };

	parse_list(p, &ids, yaml_get(job->node, "steps"), &job->steps, &job->steps_len,
		false);
	/* Given ids come first, whatever their place. */
	generate_ids(p, &ids, job->steps, job->steps_len);
}

/* ---- strategy --------------------------------------------------------------------- */

static bool is_vector(const struct yaml_node *matrix, size_t i)
{
	const char *key = matrix->pairs[i].key->str;

	return strcmp(key, "include") != 0 && strcmp(key, "exclude") != 0;
}

static void check_exclude(
	struct parser *p, const struct names *vectors, const struct yaml_node *filter)
{
	if (!yaml_is(filter, YAML_MAPPING))
		return;
	if (filter->len == 0)
		(void)parse_error(p, filter->mark, "empty-value",
			"an 'exclude' entry must not be empty");
	for (size_t i = 0; i < filter->len; i++) {
		const struct yaml_node *key = filter->pairs[i].key;

		if (!has_template(key) && !names_find(vectors, key->str, key->str_len))
			diag_hint(
				parse_error(p, key->mark, "matrix-exclude",
					"'exclude' names '%.60s', which is no key of the "
					"matrix",
					key->str),
				"only values listed in the matrix itself can be "
				"excluded");
	}
}

void parse_strategy(struct parser *p, const struct yaml_node *strategy)
{
	const struct yaml_node *matrix = yaml_get(strategy, "matrix");
	const struct yaml_node *include = yaml_get(matrix, "include");
	const struct yaml_node *exclude = yaml_get(matrix, "exclude");
	struct names vectors = NAMES_INIT;

	if (!yaml_is(matrix, YAML_MAPPING))
		return;
	for (size_t i = 0; i < matrix->len; i++) {
		const struct yaml_node *v = matrix->pairs[i].value;

		if (has_template(matrix->pairs[i].key))
			return;
		if (!is_vector(matrix, i))
			continue;
		names_add(
			&vectors, p->arena, matrix->pairs[i].key->str, (uint32_t)i, NULL);
		if (yaml_is(v, YAML_SEQUENCE) && v->len == 0)
			(void)parse_error(p, v->mark, "empty-value",
				"matrix key '%.60s' has no values",
				matrix->pairs[i].key->str);
	}
	if (vectors.len == 0 &&
		!(include && (include->kind != YAML_SEQUENCE || include->len)))
		(void)parse_error(p, matrix->mark, "empty-value",
			"the matrix has neither a key with values nor 'include'");
	for (size_t i = 0; yaml_is(exclude, YAML_SEQUENCE) && i < exclude->len; i++)
		check_exclude(p, &vectors, exclude->items[i]);
}
