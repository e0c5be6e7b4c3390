/* SPDX-License-Identifier: Apache-2.0 */
/* One walk over a tree and its definition; the table says what is right. */
#include "workflows/schema.h"

#include <string.h>
#include <strings.h>

/* ---- the walk --------------------------------------------------------------------- */

struct walk {
	const struct yaml_doc *doc; /* NULL: nothing is checked, only visited */
	struct diagnostics *diags;
	void (*fn)(const struct schema_place *p, void *data);
	void *data;
	bool is_too_deep;
	size_t expr_nodes; /* of all expressions so far */
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

static struct diag *error_at(
	struct walk *w, struct mark mark, const char *code, const char *fmt, ...)
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
		strbuf_addf(
			out, "%s %s", is_article_an(at->owner) ? "an" : "a", at->owner);
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

static void add_type_hint(
	struct diag *d, const struct yaml_node *n, const struct schema_def *def)
{
	if (n->kind == YAML_STRING && n->quoted &&
		(def->kinds & (KIND_BOOL | KIND_NUMBER)))
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
		d = error_at(w, n->mark, "wrong-type", "%s must be %s, not %s",
			subject.buf, kinds.buf,
			n->quoted ? "a string in quotes" : "text");
	else
		d = error_at(w, n->mark, "wrong-type", "%s must be %s, not %s",
			subject.buf, kinds.buf, yaml_kind_name(n->kind));
	add_type_hint(d, n, def);
	strbuf_done(&subject);
	strbuf_done(&kinds);
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
		d = error_at(
			w, n->mark, "unknown-event", "there is no event '%.60s'", n->str);
		diag_nearest(d, n->str, def->values);
		return;
	}
	add_subject(at, &subject);
	d = error_at(w, n->mark, "unknown-value", "'%.60s' is no value for %s", n->str,
		subject.buf);
	for (size_t i = 0; d && def->values[i]; i++)
		strbuf_addf(&names, "%s%s", i ? ", " : "", def->values[i]);
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
			(void)schema_check_scalar_expr(
				w->doc, p, &w->expr_nodes, w->diags);
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
		(void)error_at(
			w, n->mark, "empty-value", "%s must not be empty", subject.buf);
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

static const struct schema_prop *find_prop(
	const struct schema_prop *props, const char *key)
{
	for (; props && props->key; props++)
		if (props->key[0] == key[0] && strcmp(props->key, key) == 0)
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
#define KEYS_MAX     96

/* The keys of all shapes still possible, for "did you mean". */
static void known_keys(const struct schema_def *def,
	const struct schema_def *const *shapes, size_t shapes_len,
	const char *names[KEYS_MAX + 1])
{
	size_t n = 0;

	for (const struct schema_prop *p = def->props; p && p->key && n < KEYS_MAX; p++)
		names[n++] = p->key;
	for (size_t i = 0; i < shapes_len; i++)
		for (const struct schema_prop *p = shapes[i]->props;
			p->key && n < KEYS_MAX; p++)
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

	if (!w->doc || diagnostics_is_full(w->diags)) { /* no words for nobody */
		(void)error_at(w, key->mark, "unknown-key", "one more");
		return;
	}
	known_keys(def, shapes, shapes_len, names);
	add_where(at, &where);
	if (def->props && find_prop(def->props, "push") &&
		find_prop(def->props, "release"))
		d = error_at(w, key->mark, "unknown-event", "there is no event '%.60s'",
			key->str);
	else if (shapes_len > 0 && schema_prop(def, key->str)) {
		const char *mine = required_key(shapes[0]),
			   *its = tells_apart(def, key->str);

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
	} else
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
static bool is_misspelled(
	const struct yaml_node *map, const struct schema_prop *props, const char *key)
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
		(void)error_at(
			w, map->mark, "missing-key", "%s has no '%s'", where.buf, p->key);
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
		(void)schema_check_scalar_expr(w->doc, &p, &w->expr_nodes, w->diags);
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
		(void)error_at(
			w, n->mark, "missing-key", "%s needs %s", where.buf, def->one_of);
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
			walk_value(
				w, &n->pairs[i], def->value ? def->value : &any_def, at);
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
