/* SPDX-License-Identifier: Apache-2.0 */
/* One walk over a tree and its definition; the table says what is right. */
#include "workflows/schema.h"

#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"

static const char *const context_names[SCOPE_CONTEXT_COUNT] = { "github", "inputs", "vars",
	"needs", "strategy", "matrix", "secrets", "steps", "job", "runner", "env", "jobs" };

const char *const *scope_contexts(unsigned scope, const char *buf[SCOPE_CONTEXT_COUNT + 1])
{
	size_t n = 0;

	for (unsigned i = 0; i < SCOPE_CONTEXT_COUNT; i++)
		if (scope & (1u << i))
			buf[n++] = context_names[i];
	buf[n] = NULL;
	return buf;
}

unsigned scope_functions(unsigned scope)
{
	return (scope & SCOPE_FN_STATUS ? EXPR_FN_STATUS : 0) |
		(scope & SCOPE_FN_JOB_STATUS ? EXPR_FN_JOB_STATUS : 0) |
		(scope & SCOPE_FN_HASHFILES ? EXPR_FN_HASHFILES : 0);
}

unsigned scope_of_name(const char *context)
{
	for (unsigned i = 0; i < SCOPE_CONTEXT_COUNT; i++)
		if (strcasecmp(context_names[i], context) == 0)
			return 1u << i;
	return 0;
}

/* ---- the walk --------------------------------------------------------------------- */

struct walk {
	const struct yaml_doc *doc; /* NULL: nothing is checked, only visited */
	struct diagnostics *diags;
	void (*fn)(const struct schema_place *p, void *data);
	void *data;
	bool is_too_deep;
};

/* Where the walk is; copied on the way down. */
struct at {
	unsigned scope;
	unsigned depth;
	const char *owner;	/* noun of the nearest named thing above */
	const char *owner_name; /* its key: 'lint' of job 'lint' */
	const char *key;	/* below the owner */
	const char *name;	/* the key right above */
};

static void walk_node(struct walk *w, const struct yaml_node *n,
	const struct schema_def *def, struct at at);

static struct diag *error_at(struct walk *w, struct mark mark, const char *code,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static struct diag *error_at(struct walk *w, struct mark mark, const char *code,
	const char *fmt, ...)
{
	struct diag *d;
	va_list ap;

	if (!w->doc)
		return NULL;
	va_start(ap, fmt);
	d = diag_vadd(w->diags, w->doc->file, mark, SEVERITY_ERROR, code, fmt, ap);
	va_end(ap);
	return d;
}

static bool is_article_an(const char *noun)
{
	return strchr("aeiou", noun[0]) != NULL;
}

/* "job 'lint'", "a step", "'concurrency' of job 'x'" */
static void add_where(const struct at *at, struct strbuf *out)
{
	if (at->key)
		strbuf_addf(out, "'%s' of ", at->key);
	if (!at->owner)
		strbuf_adds(out, "the file");
	else if (at->owner_name)
		strbuf_addf(out, "%s '%.60s'", at->owner, at->owner_name);
	else if (strcmp(at->owner, "workflow") == 0 || strcmp(at->owner, "action") == 0)
		strbuf_addf(out, "the %s", at->owner);
	else
		strbuf_addf(out, "%s %s", is_article_an(at->owner) ? "an" : "a", at->owner);
}

void schema_place_words(const struct schema_place *p, struct strbuf *out)
{
	if (!p->owner)
		strbuf_adds(out, "the file");
	else if (strcmp(p->owner, "workflow") == 0 || strcmp(p->owner, "action") == 0)
		strbuf_addf(out, "the %s", p->owner);
	else
		strbuf_addf(out, "%s %s", is_article_an(p->owner) ? "an" : "a", p->owner);
	if (p->key)
		strbuf_addf(out, "'s '%s'", p->key);
}

static void expected_kinds(unsigned kinds, struct strbuf *out)
{
	bool is_first = true;

	for (unsigned k = YAML_BOOL; k <= YAML_MAPPING; k++) {
		if (!(kinds & (1u << k)))
			continue;
		strbuf_addf(out, "%s%s", is_first ? "" : " or ",
			yaml_kind_name((enum yaml_kind)k));
		is_first = false;
	}
	if (is_first)
		strbuf_adds(out, "empty");
}

static void add_subject(const struct at *at, struct strbuf *out)
{
	if (at->name && (!at->key || strcmp(at->name, at->key) != 0)) {
		strbuf_addf(out, "'%.60s'", at->name);
		if (at->key)
			strbuf_addf(out, " in '%s'", at->key);
	} else if (at->key)
		strbuf_addf(out, "'%s'", at->key);
	else {
		add_where(at, out);
		return;
	}
}

static void add_type_hint(struct diag *d, const struct yaml_node *n,
	const struct schema_def *def)
{
	if (n->kind == YAML_STRING && n->quoted && (def->kinds & (KIND_BOOL | KIND_NUMBER)))
		diag_hint(d, "write it without quotes");
	else if (n->kind == YAML_STRING && def->kinds == KIND_BOOL)
		diag_hint(d, "write true or false");
	else if (n->kind == YAML_NULL && def->kinds == KIND_MAP)
		diag_hint(d, "fill it, or leave the key out");
	else if (yaml_is_scalar(n) && n->kind != YAML_NULL && def->kinds == KIND_SEQ)
		diag_hint(d, "write a list: [%.40s]", n->str);
}

static void type_error(struct walk *w, const struct yaml_node *n,
	const struct schema_def *def, const struct at *at)
{
	struct strbuf subject = STRBUF_INIT, kinds = STRBUF_INIT;
	struct diag *d;

	add_subject(at, &subject);
	expected_kinds(def->kinds, &kinds);
	if (n->kind == YAML_NULL)
		d = error_at(w, n->mark, "wrong-type", "%s is empty: it must be %s",
			subject.buf, kinds.buf);
	else if (yaml_is_scalar(n) && n->kind != YAML_STRING)
		d = error_at(w, n->mark, "wrong-type", "%s must be %s, not %s '%.40s'",
			subject.buf, kinds.buf, yaml_kind_name(n->kind) + 2, n->str);
	else if (n->kind == YAML_STRING)
		d = error_at(w, n->mark, "wrong-type", "%s must be %s, not %s", subject.buf,
			kinds.buf, n->quoted ? "a string in quotes" : "text");
	else
		d = error_at(w, n->mark, "wrong-type", "%s must be %s, not %s", subject.buf,
			kinds.buf, yaml_kind_name(n->kind));
	add_type_hint(d, n, def);
	strbuf_done(&subject);
	strbuf_done(&kinds);
}

/* ---- expressions ------------------------------------------------------------------ */

struct expr_check {
	struct walk *w;
	const struct schema_place *place;
	const char *text; /* of the whole scalar */
	size_t base;	  /* offset of the expression in it */
	size_t found;
};

static struct mark expr_mark(const struct expr_check *c, size_t offset, size_t len)
{
	return yaml_mark_at(c->w->doc, c->place->node, c->base + offset, len);
}

static void allowed_names(unsigned scope, struct strbuf *out)
{
	const char *names[SCOPE_CONTEXT_COUNT + 1];

	scope_contexts(scope, names);
	for (size_t i = 0; names[i]; i++)
		strbuf_addf(out, "%s%s", i ? ", " : "", names[i]);
}

/* NAME of `secrets.NAME`, or NULL. */
static const char *secret_name(const struct expr_node *n, const struct expr_node *parent)
{
	if (strcasecmp(n->name, "secrets") != 0 || !parent ||
		parent->children[1]->kind != EXPR_NODE_LITERAL ||
		value_kind_of(parent->children[1]->value) != VALUE_STRING)
		return NULL;
	return value_str(parent->children[1]->value);
}

/* PARENT is the index that N is the object of, or NULL: both are underlined. */
static void context_not_here(struct expr_check *c, const struct expr_node *n,
	const struct expr_node *parent)
{
	const struct schema_place *p = c->place;
	const struct expr_node *whole = parent ? parent : n;
	const char *secret = secret_name(n, parent);
	struct strbuf place = STRBUF_INIT, names = STRBUF_INIT;
	struct diag *d;

	schema_place_words(p, &place);
	d = error_at(c->w, expr_mark(c, whole->offset, whole->len), "context-not-here",
		"context '%s' is not available in %s", n->name, place.buf);
	allowed_names(p->scope, &names);
	if (secret && p->def && (p->def->flags & SCHEMA_EXPRESSION))
		diag_hint(d, "set env: %s: ${{ secrets.%s }} on the job, test env.%s", secret,
			secret, secret);
	else if (names.len)
		diag_hint(d, "available here: %s", names.buf);
	strbuf_done(&place);
	strbuf_done(&names);
}

static void context_error(struct expr_check *c, const struct expr_node *n,
	const struct expr_node *parent)
{
	const char *list[SCOPE_CONTEXT_COUNT + 1];
	struct diag *d;

	c->found++;
	if (scope_of_name(n->name)) {
		context_not_here(c, n, parent);
		return;
	}
	d = error_at(c->w, expr_mark(c, n->offset, n->len), "unknown-context",
		"there is no context '%.60s'", n->name);
	diag_nearest(d, n->name, scope_contexts(SCOPE_CONTEXTS, list));
	if (d && !d->hint)
		diag_hint(d, "text stands in single quotes: '%.60s'", n->name);
}

static void function_error(struct expr_check *c, const struct expr_node *n)
{
	struct strbuf place = STRBUF_INIT;

	schema_place_words(c->place, &place);
	c->found++;
	diag_hint(error_at(c->w, expr_mark(c, n->offset, n->len), "function-not-here",
			  "function '%s' is not available in %s", n->name, place.buf),
		strcasecmp(n->name, "hashFiles") == 0 ? "only steps can use it" :
							"only an 'if' can use it");
	strbuf_done(&place);
}

static bool is_status_function(const char *name)
{
	return strcasecmp(name, "success") == 0 || strcasecmp(name, "failure") == 0 ||
		strcasecmp(name, "always") == 0 || strcasecmp(name, "cancelled") == 0;
}

static void check_call(struct expr_check *c, const struct expr_node *n)
{
	unsigned scope = c->place->scope;

	if (strcasecmp(n->name, "hashFiles") == 0) {
		if (!(scope & SCOPE_FN_HASHFILES))
			function_error(c, n);
	} else if (is_status_function(n->name)) {
		if (!(scope & (SCOPE_FN_STATUS | SCOPE_FN_JOB_STATUS)))
			function_error(c, n);
		else if (n->children_len > 0 && !(scope & SCOPE_FN_JOB_STATUS)) {
			c->found++;
			(void)error_at(c->w, expr_mark(c, n->offset, n->len), "expression",
				"'%s' takes no arguments here", n->name);
		}
	}
}

static void check_tree(struct expr_check *c, const struct expr_node *n,
	const struct expr_node *parent)
{
	if (n->kind == EXPR_NODE_CONTEXT && !(c->place->scope & scope_of_name(n->name)))
		context_error(c, n, parent);
	if (n->kind == EXPR_NODE_CALL)
		check_call(c, n);
	for (size_t i = 0; i < n->children_len; i++)
		check_tree(c, n->children[i],
			n->kind == EXPR_NODE_INDEX && i == 0 ? n : NULL);
}

/* TEXT stands between the braces, or is the whole of an `if`. */
static void check_expr(struct expr_check *c, const char *text, size_t len, size_t base)
{
	static const struct expr_rules all = { NULL,
		EXPR_FN_STATUS | EXPR_FN_JOB_STATUS | EXPR_FN_HASHFILES };
	_cleanup_(expr_freep) struct expr *e = NULL;
	struct expr_error error;

	c->base = base;
	if (expr_compile(text, len, &all, &e, &error) < 0) {
		c->found++;
		(void)error_at(c->w, expr_mark(c, error.offset, error.len), "expression",
			"%s", error.msg);
		return;
	}
	check_tree(c, expr_root(e), NULL);
}

static bool is_blank(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r\n", s[i]))
			return false;
	return true;
}

static bool trimmed_is(const char *s, size_t len, const char *word)
{
	while (len && strchr(" \t\r\n", *s)) {
		s++;
		len--;
	}
	while (len && strchr(" \t\r\n", s[len - 1]))
		len--;
	return len == strlen(word) && memcmp(s, word, len) == 0;
}

static int check_inner(const char *inner, size_t len, size_t offset, void *data)
{
	struct expr_check *c = data;

	c->base = offset;
	if (is_blank(inner, len)) {
		c->found++;
		(void)error_at(c->w, yaml_mark_at(c->w->doc, c->place->node,
					     offset >= 3 ? offset - 3 : 0, len + 5),
			"expression", "there is nothing between '${{' and '}}'");
		return 0;
	}
	if (trimmed_is(inner, len, "insert")) {
		if (c->place->def == NULL && c->place->scope) /* a key */
			return 0;
		c->found++;
		diag_hint(error_at(c->w, expr_mark(c, 0, len), "expression",
				  "'insert' can only be a key of a mapping"),
			"write: ${{ insert }}: ${{ fromJSON(...) }}");
		return 0;
	}
	check_expr(c, inner, len, offset);
	return 0;
}

/*
 * GitHub turns text with expressions into one call of format(), and its 21,000 characters
 * count for that call.
 */
static bool is_too_long(const char *s, size_t len)
{
	size_t n = strlen("format('')");

	if (len < LIMIT_EXPR_LEN / 2)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (((unsigned char)s[i] & 0xc0) == 0x80)
			continue;
		n += 1 + (s[i] == '\'' || s[i] == '{' || s[i] == '}');
	}
	return n > LIMIT_EXPR_LEN;
}

size_t schema_check_scalar_expr(const struct yaml_doc *doc, const struct schema_place *p,
	struct diagnostics *d)
{
	struct walk w = { .doc = doc, .diags = d };
	struct expr_check c = { .w = &w, .place = p, .text = p->node->str };
	const char *s = p->node->str;
	size_t len = p->node->str_len;
	bool has_braces = strstr(s, "${{") != NULL;
	struct expr_error error;

	if (!has_braces) {
		if (p->def && (p->def->flags & SCHEMA_EXPRESSION) && !is_blank(s, len) &&
			p->node->kind != YAML_NULL)
			check_expr(&c, s, len, 0);
		return c.found;
	}
	if (!p->scope) {
		struct strbuf place = STRBUF_INIT;
		size_t at = (size_t)(strstr(s, "${{") - s);

		schema_place_words(p, &place);
		(void)error_at(&w, yaml_mark_at(doc, p->node, at, len - at),
			"expression-not-here", "an expression is not allowed in %s%s",
			p->def ? "" : "a key of ", place.buf);
		strbuf_done(&place);
		return 1;
	}
	if (is_too_long(s, len)) {
		(void)error_at(&w, p->node->mark, "limit",
			"text with expressions is limited to %d characters", LIMIT_EXPR_LEN);
		return 1;
	}
	if (template_each(s, len, check_inner, &c, &error) < 0) {
		c.found++;
		(void)error_at(&w, yaml_mark_at(doc, p->node, error.offset, error.len),
			"expression", "%s", error.msg);
	}
	return c.found;
}

/* ---- scalars ---------------------------------------------------------------------- */

static bool in_list(const char *s, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(s, *list) == 0)
			return true;
	return false;
}

static void value_error(struct walk *w, const struct yaml_node *n,
	const struct schema_def *def, const struct at *at)
{
	struct strbuf subject = STRBUF_INIT, names = STRBUF_INIT;
	struct diag *d;

	if (def->values == schema_event_names) {
		d = error_at(w, n->mark, "unknown-event", "there is no event '%.60s'", n->str);
		diag_nearest(d, n->str, def->values);
		return;
	}
	add_subject(at, &subject);
	for (size_t i = 0; def->values[i]; i++)
		strbuf_addf(&names, "%s%s", i ? ", " : "", def->values[i]);
	d = error_at(w, n->mark, "unknown-value", "'%.60s' is no value for %s", n->str,
		subject.buf);
	diag_nearest(d, n->str, def->values);
	if (d && !d->hint)
		diag_hint(d, "one of: %s", names.buf);
	strbuf_done(&subject);
	strbuf_done(&names);
}

static void check_scalar(struct walk *w, const struct yaml_node *n,
	const struct schema_def *def, const struct at *at, const struct schema_place *p)
{
	bool has_braces = n->kind == YAML_STRING && strstr(n->str, "${{");

	if (has_braces || (def->flags & SCHEMA_EXPRESSION)) {
		if (n->kind == YAML_STRING || (def->flags & SCHEMA_EXPRESSION))
			(void)schema_check_scalar_expr(w->doc, p, w->diags);
		if (has_braces)
			return;
	}
	/* A list of constants binds strings alone: read-all, or a mapping. */
	if (!(def->kinds & KIND_STRING)) {
		if (!(def->kinds & (1u << n->kind)))
			type_error(w, n, def, at);
		return;
	}
	if ((def->kinds & (1u << n->kind)) && n->kind != YAML_STRING)
		return;
	if (def->values && !in_list(n->str, def->values))
		value_error(w, n, def, at);
	else if ((def->flags & SCHEMA_NON_EMPTY) &&
		(n->kind == YAML_NULL || n->str_len == 0)) {
		struct strbuf subject = STRBUF_INIT;

		add_subject(at, &subject);
		(void)error_at(w, n->mark, "empty-value", "%s must not be empty",
			subject.buf);
		strbuf_done(&subject);
	}
}

static void walk_scalar(struct walk *w, const struct yaml_node *n,
	const struct schema_def *def, const struct at *at)
{
	struct schema_place p = { n, def, at->scope, at->owner, at->key, at->name };

	if (w->fn)
		w->fn(&p, w->data);
	if (w->doc)
		check_scalar(w, n, def, at, &p);
}

/* ---- mappings --------------------------------------------------------------------- */

static const struct schema_def any_def = { .kinds = KIND_ANY, .value = &any_def };

static const struct schema_prop *find_prop(const struct schema_prop *props, const char *key)
{
	for (; props && props->key; props++)
		if (strcmp(props->key, key) == 0)
			return props;
	return NULL;
}

const struct schema_prop *schema_prop(const struct schema_def *def, const char *key)
{
	const struct schema_prop *p = find_prop(def->props, key);

	for (size_t i = 0; !p && def->variants && def->variants[i]; i++)
		p = find_prop(def->variants[i]->props, key);
	return p;
}

#define VARIANTS_MAX 8
#define KEYS_MAX 96

/* The keys of all shapes still possible, for "did you mean". */
static void known_keys(const struct schema_def *def, const struct schema_def *const *shapes,
	size_t shapes_len, const char *names[KEYS_MAX + 1])
{
	size_t n = 0;

	for (const struct schema_prop *p = def->props; p && p->key && n < KEYS_MAX; p++)
		names[n++] = p->key;
	for (size_t i = 0; i < shapes_len; i++)
		for (const struct schema_prop *p = shapes[i]->props; p->key && n < KEYS_MAX;
			p++)
			names[n++] = p->key;
	names[n] = NULL;
}

/* The key by which a shape is known: 'run' of a run step. */
static const char *required_key(const struct schema_def *shape)
{
	for (const struct schema_prop *p = shape->props; p->key; p++)
		if (p->is_required)
			return p->key;
	return shape->props[0].key;
}

static const char *tells_apart(const struct schema_def *def, const char *key)
{
	for (size_t i = 0; def->variants[i]; i++)
		if (find_prop(def->variants[i]->props, key))
			return required_key(def->variants[i]);
	return key;
}

static void unknown_key(struct walk *w, const struct yaml_node *key, const struct at *at,
	const struct schema_def *def, const struct schema_def *const *shapes,
	size_t shapes_len)
{
	const char *names[KEYS_MAX + 1];
	struct strbuf where = STRBUF_INIT, all = STRBUF_INIT;
	struct diag *d;

	known_keys(def, shapes, shapes_len, names);
	add_where(at, &where);
	if (def->props && find_prop(def->props, "push") && find_prop(def->props, "release"))
		d = error_at(w, key->mark, "unknown-event", "there is no event '%.60s'",
			key->str);
	else if (schema_prop(def, key->str)) {
		const char *mine = required_key(shapes[0]), *its = tells_apart(def, key->str);

		if (strcmp(its, key->str) == 0)
			(void)error_at(w, key->mark, "unknown-key",
				"%s has both '%s' and '%s': it can be one of them only",
				where.buf, mine, its);
		else
			(void)error_at(w, key->mark, "unknown-key",
				"'%.60s' goes with '%s', but %s has '%s'", key->str, its,
				where.buf, mine);
		strbuf_done(&where);
		return;
	}
	else
		d = error_at(w, key->mark, "unknown-key", "unknown key '%.60s' in %s",
			key->str, where.buf);
	diag_nearest(d, key->str, names);
	if (d && !d->hint && !(def->props && def->props[0].key == NULL)) {
		size_t n = 0;

		while (names[n])
			n++;
		for (size_t i = 0; i < n && n <= 20; i++)
			strbuf_addf(&all, "%s%s", i ? ", " : "", names[i]);
		if (all.len)
			diag_hint(d, "there are: %s", all.buf);
	}
	strbuf_done(&where);
	strbuf_done(&all);
}

/* An unknown key that is surely the missing one misspelled: it has been told. */
static bool is_misspelled(const struct yaml_node *map, const struct schema_prop *props,
	const char *key)
{
	const char *const names[] = { key, NULL };

	for (size_t i = 0; i < map->len && i < KEYS_MAX; i++)
		if (!find_prop(props, map->pairs[i].key->str) &&
			str_nearest(map->pairs[i].key->str, names))
			return true;
	return false;
}

static void check_required(struct walk *w, const struct yaml_node *map,
	const struct schema_prop *props, const struct at *at)
{
	for (const struct schema_prop *p = props; p && p->key; p++) {
		struct strbuf where = STRBUF_INIT;

		if (!p->is_required || yaml_get(map, p->key) ||
			is_misspelled(map, props, p->key))
			continue;
		add_where(at, &where);
		(void)error_at(w, map->mark, "missing-key", "%s has no '%s'", where.buf,
			p->key);
		strbuf_done(&where);
	}
}

static bool is_template_key(const struct yaml_node *key)
{
	return strstr(key->str, "${{") != NULL;
}

static void walk_key(struct walk *w, const struct yaml_node *key, const struct at *at)
{
	struct schema_place p = { key, NULL, at->scope, at->owner, at->key, at->name };

	if (!is_template_key(key))
		return;
	if (w->fn)
		w->fn(&p, w->data);
	if (w->doc)
		(void)schema_check_scalar_expr(w->doc, &p, w->diags);
}

static void walk_value(struct walk *w, const struct yaml_pair *pair,
	const struct schema_def *def, struct at at)
{
	at.name = pair->key->str;
	if (!at.key)
		at.key = pair->key->str;
	walk_node(w, pair->value, def, at);
}

/* Leaves in SHAPES those that have KEY; 0 when none has, and then SHAPES is as before. */
static bool narrow(const struct schema_def **shapes, size_t *len, const char *key,
	const struct schema_prop **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < *len; i++) {
		const struct schema_prop *p = find_prop(shapes[i]->props, key);

		if (!p)
			continue;
		if (n == 0)
			*ret = p;
		shapes[n++] = shapes[i];
	}
	if (n == 0)
		return false;
	*len = n;
	return true;
}

static void walk_shapes(struct walk *w, const struct yaml_node *n,
	const struct schema_def *def, struct at at)
{
	const struct schema_def *shapes[VARIANTS_MAX];
	bool has_template = false;
	size_t len = 0;

	while (def->variants[len]) {
		shapes[len] = def->variants[len];
		len++;
	}
	for (size_t i = 0; i < n->len; i++) {
		const struct yaml_node *key = n->pairs[i].key;
		const struct schema_prop *p = NULL;

		if (is_template_key(key)) {
			has_template = true;
			walk_key(w, key, &at);
			walk_value(w, &n->pairs[i], &any_def, at);
		} else if (narrow(shapes, &len, key->str, &p))
			walk_value(w, &n->pairs[i], p->def, at);
		else
			unknown_key(w, key, &at, def, shapes, len);
	}
	if (has_template || !w->doc)
		return;
	if (len == 1)
		check_required(w, n, shapes[0]->props, &at);
	else {
		struct strbuf where = STRBUF_INIT;

		add_where(&at, &where);
		(void)error_at(w, n->mark, "missing-key", "%s needs %s", where.buf,
			def->one_of);
		strbuf_done(&where);
	}
}

static void walk_mapping(struct walk *w, const struct yaml_node *n,
	const struct schema_def *def, struct at at)
{
	bool has_template = false;

	if (def->variants) {
		walk_shapes(w, n, def, at);
		return;
	}
	for (size_t i = 0; i < n->len; i++) {
		const struct yaml_node *key = n->pairs[i].key;
		const struct schema_prop *p = find_prop(def->props, key->str);

		if (is_template_key(key)) {
			has_template = true;
			walk_key(w, key, &at);
			walk_value(w, &n->pairs[i], def->value ? def->value : &any_def, at);
		} else if (p)
			walk_value(w, &n->pairs[i], p->def, at);
		else if (def->value) {
			if (key->str_len == 0)
				(void)error_at(w, key->mark, "empty-value",
					"a key must not be empty");
			walk_value(w, &n->pairs[i], def->value, at);
		} else if (def->kinds == KIND_ANY)
			walk_value(w, &n->pairs[i], &any_def, at);
		else
			unknown_key(w, key, &at, def, NULL, 0);
	}
	if (w->doc && !has_template)
		check_required(w, n, def->props, &at);
}

static void walk_node(struct walk *w, const struct yaml_node *n,
	const struct schema_def *def, struct at at)
{
	if (def->flags & SCHEMA_SCOPE)
		at.scope = def->scope;
	if (def->noun) {
		at.owner = def->noun;
		at.owner_name = def->flags & SCHEMA_NAMED ? at.name : NULL;
		at.key = NULL;
	}
	if (n->is_lost)
		return;
	if (yaml_is_scalar(n)) {
		walk_scalar(w, n, def, &at);
		return;
	}
	if (++at.depth > SCHEMA_DEPTH_MAX) {
		if (!w->is_too_deep)
			(void)error_at(w, n->mark, "limit",
				"values nested deeper than %d levels", SCHEMA_DEPTH_MAX);
		w->is_too_deep = true;
		return;
	}
	if (!(def->kinds & (1u << n->kind))) {
		if (w->doc)
			type_error(w, n, def, &at);
		return;
	}
	if (n->kind == YAML_MAPPING) {
		walk_mapping(w, n, def, at);
		return;
	}
	for (size_t i = 0; i < n->len; i++)
		walk_node(w, n->items[i], def->item ? def->item : &any_def, at);
}

int schema_check(const struct yaml_doc *doc, const struct yaml_node *node,
	const struct schema_def *def, struct diagnostics *d)
{
	struct walk w = { .doc = doc, .diags = d };
	size_t before = d->len + d->dropped;

	walk_node(&w, node, def, (struct at){ 0 });
	return d->len + d->dropped > before ? -1 : 0;
}

void schema_each_scalar(const struct yaml_node *node, const struct schema_def *def,
	const char *key, void (*fn)(const struct schema_place *p, void *data), void *data)
{
	struct walk w = { .fn = fn, .data = data };

	walk_node(&w, node, def, (struct at){ .key = key, .name = key });
}
