/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text with `${{ }}` in it, and the values of `if:`. GitHub turns text around expressions
 * into one call of format(); its limits on such a call are kept, so that a long script
 * with an expression in it is refused here as there.
 */
#include <string.h>

#include "base/mem.h"
#include "workflows/expr-internal.h"
#include "workflows/fold.h"

#define FORMAT_ARGUMENTS_MAX 254 /* of 255, the text itself is one */

struct piece {
	size_t offset, len; /* of what stands between the braces, or of plain text */
	bool is_expr;
	struct expr *expr;
};

struct template
{
	char *text;
	size_t len;
	struct piece *pieces;
	size_t pieces_len, pieces_alloc;
	size_t exprs;
	bool is_implicit; /* a condition without a status function */
};

/* ---- scanning ---- */

static size_t open_at(const char *text, size_t len, size_t from)
{
	const char *at = from < len ? memmem(text + from, len - from, "${{", 3) : NULL;

	return at ? (size_t)(at - text) : len;
}

/* The place of the `}}` for braces opened before FROM, or LEN. Quotes are looked at. */
static size_t close_at(const char *text, size_t len, size_t from)
{
	bool in_string = false;

	for (size_t i = from; i + 1 < len; i++) {
		if (text[i] == '\'')
			in_string = !in_string;
		else if (!in_string && text[i] == '}' && text[i + 1] == '}')
			return i;
	}
	return len;
}

/* The next piece from *AT on: 1, or 0 at the end, or -1 with *ERROR. */
static int piece_next(const char *text, size_t len, size_t *at, struct piece *ret,
	struct expr_error *error)
{
	size_t open = open_at(text, len, *at), close;

	if (*at >= len)
		return 0;
	if (open > *at) {
		ret->is_expr = false;
		ret->offset = *at;
		ret->len = open - *at;
		*at = open;
		return 1;
	}
	close = close_at(text, len, open + 3);
	if (close == len)
		return expr_fail(error, open, 3, "'${{' without its '}}'");
	ret->is_expr = true;
	ret->offset = open + 3;
	ret->len = close - ret->offset;
	*at = close + 2;
	return 1;
}

bool template_has_expr(const char *text, size_t len)
{
	return open_at(text, len, 0) < len;
}

int template_each(const char *text, size_t len,
	int (*fn)(const char *inner, size_t inner_len, size_t offset, void *data),
	void *data, struct expr_error *error)
{
	struct piece piece = { 0 };
	size_t at = 0;
	int r;

	while ((r = piece_next(text, len, &at, &piece, error)) > 0)
		if (piece.is_expr &&
			fn(text + piece.offset, piece.len, piece.offset, data) < 0)
			return -1;
	return r;
}

/* ---- compiling ---- */

void template_free(struct template *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->pieces_len; i++)
		expr_free(t->pieces[i].expr);
	free(t->pieces);
	free(t->text);
	free(t);
}

static bool is_blank(const char *s, size_t len)
{
	fold_trim(&s, &len);
	return len == 0;
}

static int piece_compile(struct template *t, struct piece *piece, unsigned depth,
	const struct expr_rules *rules, struct expr_error *error)
{
	const char *inner = t->text + piece->offset;

	if (is_blank(inner, piece->len))
		return expr_fail(error, piece->offset, piece->len,
			"an expression is missing between '${{' and '}}'");
	if (expr_compile_within(inner, piece->len, rules, depth, &piece->expr, error) ==
		0)
		return 0;
	if (error)
		error->offset += piece->offset;
	return -1;
}

/* How long GitHub's format('...{0}...', a) for the whole text would be. */
static size_t format_length(const struct template *t)
{
	size_t total = strlen("format('')"), number = 0;

	for (size_t i = 0; i < t->pieces_len; i++) {
		const struct piece *p = &t->pieces[i];
		const char *s = t->text + p->offset;
		size_t inner_len = p->len;

		total += fold_utf16_len(s, p->len);
		if (p->is_expr) {
			const char *inner = s;

			fold_trim(&inner, &inner_len);
			total -= p->len - inner_len; /* blanks around it are dropped */
			total += strlen(", {}") + (number >= 100	 ? 3
							  : number >= 10 ? 2
									 : 1);
			number++;
			continue;
		}
		for (size_t k = 0; k < p->len; k++) /* these are doubled */
			total += s[k] == '\'' || s[k] == '{' || s[k] == '}';
	}
	return total;
}

static int template_check_format(const struct template *t, struct expr_error *error)
{
	if (t->exprs == 0 || t->pieces_len == 1)
		return 0;
	if (t->exprs > FORMAT_ARGUMENTS_MAX)
		return expr_fail(error, 0, t->len, "more than %d expressions in one text",
			FORMAT_ARGUMENTS_MAX);
	if (format_length(t) > LIMIT_EXPR_LEN)
		return expr_fail(error, 0, t->len,
			"text with an expression in it is longer than %d characters; "
			"hand the value over in 'env' and keep the text free of '${{'",
			LIMIT_EXPR_LEN);
	return 0;
}

static struct template *template_new(const char *text, size_t len)
{
	struct template *t = xcalloc(1, sizeof(*t));

	t->text = xmalloc(len + 1);
	if (len > 0)
		memcpy(t->text, text, len);
	t->text[len] = '\0';
	t->len = len;
	return t;
}

static void piece_push(struct template *t, const struct piece *piece)
{
	GROW(t->pieces, t->pieces_alloc, t->pieces_len + 1);
	t->pieces[t->pieces_len++] = *piece;
	t->exprs += piece->is_expr;
}

int template_compile(const char *text, size_t len, const struct expr_rules *rules,
	struct template **ret, struct expr_error *error)
{
	_cleanup_(template_freep) struct template *t = template_new(text, len);
	struct piece piece = { 0 };
	unsigned depth = LIMIT_EXPR_DEPTH;
	size_t at = 0;
	int r;

	while ((r = piece_next(t->text, len, &at, &piece, error)) > 0)
		piece_push(t, &piece);
	if (r < 0)
		return -1;
	if (t->pieces_len > 1)
		depth--; /* format() around it takes a level */
	for (size_t i = 0; i < t->pieces_len; i++)
		if (t->pieces[i].is_expr &&
			piece_compile(t, &t->pieces[i], depth, rules, error) < 0)
			return -1;
	if (template_check_format(t, error) < 0)
		return -1;
	*ret = take_ptr(t);
	return 0;
}

size_t template_expr_count(const struct template *t)
{
	return t->exprs;
}

const struct expr *template_expr(const struct template *t, size_t i, size_t *ret_offset)
{
	for (size_t k = 0; k < t->pieces_len; k++) {
		if (!t->pieces[k].is_expr || i-- > 0)
			continue;
		if (ret_offset)
			*ret_offset = t->pieces[k].offset;
		return t->pieces[k].expr;
	}
	return NULL;
}

bool template_is_typed(const struct template *t)
{
	return t->pieces_len == 1 && t->exprs == 1;
}

/* ---- running ---- */

static int piece_eval(const struct template *t, const struct piece *piece,
	const struct expr_env *env, struct value **ret, struct err *err)
{
	const char *inner = t->text + piece->offset;
	size_t len = piece->len;

	if (expr_eval(piece->expr, env, ret, err) == 0)
		return 0;
	fold_trim(&inner, &len);
	return err_wrap(err, "'%.*s'", expr_shown(inner, len, 60), inner);
}

int template_run(const struct template *t, const struct expr_env *env, struct value **ret,
	struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
	size_t max = env->memory_max > 0 ? env->memory_max : LIMIT_EXPR_MEMORY;

	if (template_is_typed(t))
		return piece_eval(t, &t->pieces[0], env, ret, err);
	for (size_t i = 0; i < t->pieces_len; i++) {
		const struct piece *piece = &t->pieces[i];
		struct value *v = NULL;

		if (!piece->is_expr) {
			strbuf_add(&out, t->text + piece->offset, piece->len);
			continue;
		}
		if (piece_eval(t, piece, env, &v, err) < 0)
			return -1;
		value_to_text(v, &out);
		value_unref(v);
		if (eval_string_bytes(out.buf, out.len) > max)
			return err_set(err, ERR_LIMIT,
				"the text needs more than %zu KiB of memory", max / 1024);
	}
	*ret = value_new_strn(out.buf, out.len);
	return 0;
}

static int error_to_err(
	const struct expr_error *error, const char *text, size_t len, struct err *err)
{
	size_t at = error->offset < len ? error->offset : 0;
	size_t line = 1, from = 0;

	for (size_t i = 0; i < at; i++)
		if (text[i] == '\n') {
			line++;
			from = i + 1;
		}
	if (line > 1)
		return err_set(err, ERR_INPUT, "%s (line %zu, character %zu)", error->msg,
			line, at - from + 1);
	return err_set(err, ERR_INPUT, "%s (character %zu)", error->msg, at + 1);
}

int template_eval(const char *text, size_t len, const struct expr_rules *rules,
	const struct expr_env *env, struct value **ret, struct err *err)
{
	_cleanup_(template_freep) struct template *t = NULL;
	struct expr_error error;

	if (!template_has_expr(text, len)) {
		*ret = value_new_strn(len > 0 ? text : "", len);
		return 0;
	}
	if (template_compile(text, len, rules, &t, &error) < 0)
		return error_to_err(&error, text, len, err);
	return template_run(t, env, ret, err);
}

/* ---- conditions ---- */

int condition_compile(const char *text, size_t len, const struct expr_rules *rules,
	struct template **ret, struct expr_error *error)
{
	_cleanup_(template_freep) struct template *t = NULL;
	struct piece whole = { 0, len, true, NULL };

	if (template_has_expr(text, len)) {
		if (template_compile(text, len, rules, &t, error) < 0)
			return -1;
	} else {
		t = template_new(text, len);
		if (!is_blank(text, len)) {
			piece_push(t, &whole);
			if (expr_compile(t->text, len, rules, &t->pieces[0].expr, error) <
				0)
				return -1;
		}
	}
	t->is_implicit = true;
	for (size_t i = 0; i < t->pieces_len; i++)
		if (t->pieces[i].is_expr && expr_calls_status(t->pieces[i].expr))
			t->is_implicit = false;
	*ret = take_ptr(t);
	return 0;
}

int condition_run(
	const struct template *t, const struct expr_env *env, bool *ret, struct err *err)
{
	struct value *v = NULL;

	if (t->is_implicit && !env->status)
		return err_set(err, ERR_BUG, "a condition needs the status functions");
	if (t->is_implicit && !env->status("success", NULL, 0, env->data)) {
		if (env->trace && template_is_typed(t))
			eval_trace_open(env->trace, t->pieces[0].expr);
		*ret = false;
		return 0;
	}
	if (t->pieces_len == 0) {
		*ret = true;
		return 0;
	}
	if (template_run(t, env, &v, err) < 0)
		return -1;
	*ret = value_truthy(v);
	value_unref(v);
	return 0;
}

int condition_eval(const char *text, size_t len, const struct expr_rules *rules,
	const struct expr_env *env, bool *ret, struct err *err)
{
	_cleanup_(template_freep) struct template *t = NULL;
	struct expr_error error;

	if (condition_compile(text, len, rules, &t, &error) < 0)
		return error_to_err(&error, text, len, err);
	return condition_run(t, env, ret, err);
}
