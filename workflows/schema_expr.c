/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions where they stand: their syntax, and what they may name there. */
#include "workflows/schema.h"

#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"

static const char *const context_names[SCOPE_CONTEXT_COUNT] = { "github", "inputs",
	"vars", "needs", "strategy", "matrix", "secrets", "steps", "job", "runner", "env",
	"jobs" };

const char *const *scope_contexts(
	unsigned scope, const char *buf[SCOPE_CONTEXT_COUNT + 1])
{
	size_t n = 0;

	for (unsigned i = 0; i < SCOPE_CONTEXT_COUNT; i++)
		if (scope & (1u << i))
			buf[n++] = context_names[i];
	buf[n] = NULL;
	return buf;
}

unsigned scope_of_name(const char *context)
{
	for (unsigned i = 0; i < SCOPE_CONTEXT_COUNT; i++)
		if (strcasecmp(context_names[i], context) == 0)
			return 1u << i;
	return 0;
}

/* ---- words and places ------------------------------------------------------------- */

void schema_place_words(const struct schema_place *p, struct strbuf *out)
{
	if (!p->owner)
		strbuf_adds(out, "the file");
	else if (strcmp(p->owner, "workflow") == 0 || strcmp(p->owner, "action") == 0)
		strbuf_addf(out, "the %s", p->owner);
	else
		strbuf_addf(out, "%s %s", strchr("aeiou", p->owner[0]) ? "an" : "a",
			p->owner);
	if (p->key)
		strbuf_addf(out, "'s '%s'", p->key);
}

struct expr_check {
	const struct yaml_doc *doc;
	struct diagnostics *diags;
	const struct schema_place *place;
	size_t base;   /* offset of the expression in it */
	size_t *nodes; /* of all expressions of the file */
	size_t found;
};

static struct diag *expr_error_at(const struct expr_check *c, struct mark mark,
	const char *code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static struct diag *expr_error_at(const struct expr_check *c, struct mark mark,
	const char *code, const char *fmt, ...)
{
	struct diag *d;
	va_list ap;

	va_start(ap, fmt);
	d = diag_vadd(c->diags, c->doc->file, mark, SEVERITY_ERROR, code, fmt, ap);
	va_end(ap);
	return d;
}

static struct mark expr_mark(const struct expr_check *c, size_t offset, size_t len)
{
	if (diagnostics_is_full(c->diags)) /* a search for nothing */
		return c->place->node->mark;
	return yaml_mark_at(c->doc, c->place->node, c->base + offset, len);
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
static void context_not_here(
	struct expr_check *c, const struct expr_node *n, const struct expr_node *parent)
{
	const struct schema_place *p = c->place;
	const struct expr_node *whole = parent ? parent : n;
	const char *secret = secret_name(n, parent);
	struct strbuf place = STRBUF_INIT, names = STRBUF_INIT;
	struct diag *d;

	schema_place_words(p, &place);
	d = expr_error_at(c, expr_mark(c, whole->offset, whole->len), "context-not-here",
		"context '%s' is not available in %s", n->name, place.buf);
	allowed_names(p->scope, &names);
	if (secret && p->def && (p->def->flags & SCHEMA_EXPRESSION))
		diag_hint(d, "set env: %s: ${{ secrets.%s }} on the job, test env.%s",
			secret, secret, secret);
	else if (names.len)
		diag_hint(d, "available here: %s", names.buf);
	strbuf_done(&place);
	strbuf_done(&names);
}

static void context_error(
	struct expr_check *c, const struct expr_node *n, const struct expr_node *parent)
{
	const char *list[SCOPE_CONTEXT_COUNT + 1];
	struct diag *d;

	c->found++;
	if (scope_of_name(n->name)) {
		context_not_here(c, n, parent);
		return;
	}
	d = expr_error_at(c, expr_mark(c, n->offset, n->len), "unknown-context",
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
	diag_hint(expr_error_at(c, expr_mark(c, n->offset, n->len), "function-not-here",
			  "function '%s' is not available in %s", n->name, place.buf),
		strcasecmp(n->name, "hashFiles") == 0 ? "only steps can use it"
						      : "only an 'if' can use it");
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
			(void)expr_error_at(c, expr_mark(c, n->offset, n->len),
				"expression", "'%s' takes no arguments here", n->name);
		}
	}
}

static void check_tree(
	struct expr_check *c, const struct expr_node *n, const struct expr_node *parent)
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
	if (*c->nodes > LIMIT_EXPR_NODES) /* told below, once */
		return;
	if (expr_compile(text, len, &all, &e, &error) < 0) {
		c->found++;
		(void)expr_error_at(c, expr_mark(c, error.offset, error.len),
			"expression", "%s", error.msg);
		return;
	}
	*c->nodes += expr_size(e);
	if (*c->nodes > LIMIT_EXPR_NODES) {
		c->found++;
		diag_hint(expr_error_at(c, c->place->node->mark, "limit",
				  "the expressions of the file up to here have more than "
				  "%d parts",
				  LIMIT_EXPR_NODES),
			"split the file, or hand values over in 'env'");
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
		(void)expr_error_at(c,
			yaml_mark_at(c->doc, c->place->node, offset >= 3 ? offset - 3 : 0,
				len + 5),
			"expression", "there is nothing between '${{' and '}}'");
		return 0;
	}
	if (trimmed_is(inner, len, "insert")) {
		if (c->place->def == NULL && c->place->scope) /* a key */
			return 0;
		c->found++;
		diag_hint(expr_error_at(c, expr_mark(c, 0, len), "expression",
				  "'insert' can only be a key of a mapping"),
			"write: ${{ insert }}: ${{ fromJSON(...) }}");
		return 0;
	}
	check_expr(c, inner, len, offset);
	return 0;
}

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

#define FORMAT_VALUES_MAX 254 /* of 255 arguments, the text itself is one */

static int count_inner(const char *inner, size_t len, size_t offset, void *data)
{
	size_t *n = data;

	(void)inner;
	(void)len;
	(void)offset;
	return ++*n > FORMAT_VALUES_MAX ? -1 : 0;
}

static bool has_too_many(const char *s, size_t len)
{
	struct expr_error error;
	size_t n = 0;

	/* None is shorter than `${{a}}`. */
	return len / 6 > FORMAT_VALUES_MAX &&
	       template_each(s, len, count_inner, &n, &error) < 0 &&
	       n > FORMAT_VALUES_MAX;
}

bool schema_text_is_too_long(const char *text, size_t len)
{
	return is_too_long(text, len) || has_too_many(text, len);
}

size_t schema_check_scalar_expr(const struct yaml_doc *doc, const struct schema_place *p,
	size_t *nodes, struct diagnostics *d)
{
	struct expr_check c = { .doc = doc, .diags = d, .place = p, .nodes = nodes };
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
		(void)expr_error_at(&c, yaml_mark_at(doc, p->node, at, len - at),
			"expression-not-here", "an expression is not allowed in %s%s",
			p->def ? "" : "a key of ", place.buf);
		strbuf_done(&place);
		return 1;
	}
	if (is_too_long(s, len)) {
		(void)expr_error_at(&c, p->node->mark, "limit",
			"text with expressions is limited to %d characters",
			LIMIT_EXPR_LEN);
		return 1;
	}
	if (has_too_many(s, len)) {
		diag_hint(expr_error_at(&c, p->node->mark, "limit",
				  "one text can hold %d expressions", FORMAT_VALUES_MAX),
			"hand values over in 'env'");
		return 1;
	}
	if (template_each(s, len, check_inner, &c, &error) < 0) {
		c.found++;
		(void)expr_error_at(&c,
			yaml_mark_at(doc, p->node, error.offset, error.len), "expression",
			"%s", error.msg);
	}
	return c.found;
}
