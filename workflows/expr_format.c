/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format(): its pattern is checked as a whole first; arguments that it does not use are
 * not evaluated; the length is counted before anything is built.
 */
#include <string.h>

#include "base/mem.h"
#include "workflows/expr-internal.h"
#include "workflows/fold.h"

struct format {
	const char *s;
	size_t len, at;
};

struct segment {
	const char *s; /* literal text, */
	size_t len;
	int argument; /* or the number of an argument; -1 for text */
};

/* "{N}" at f->at: reads N. */
static int format_argument(struct format *f, struct segment *seg)
{
	size_t at = f->at + 1;
	int n = 0;

	if (at >= f->len || f->s[at] < '0' || f->s[at] > '9')
		return -1;
	for (; at < f->len && f->s[at] >= '0' && f->s[at] <= '9'; at++) {
		n = n * 10 + (f->s[at] - '0');
		if (n > 255)
			return -1;
	}
	if (at >= f->len || f->s[at] != '}')
		return -1;
	f->at = at + 1;
	seg->argument = n;
	return 1;
}

/* 1 a segment, 0 the end, -1 a brace that means nothing. */
static int format_next(struct format *f, struct segment *seg)
{
	size_t from = f->at, n = 0;
	char c;

	if (f->at >= f->len)
		return 0;
	while (from + n < f->len && f->s[from + n] != '{' && f->s[from + n] != '}')
		n++;
	seg->s = f->s + from;
	seg->len = n;
	seg->argument = -1;
	f->at = from + n;
	if (n > 0)
		return 1;
	c = f->s[from];
	if (from + 1 < f->len && f->s[from + 1] == c) {
		seg->len = 1;
		f->at = from + 2;
		return 1;
	}
	return c == '{' ? format_argument(f, seg) : -1;
}

struct format_args {
	struct text *texts; /* one for each argument */
	bool *is_known;
	size_t len;
};

static void format_args_done(struct format_args *args)
{
	for (size_t i = 0; i < args->len; i++)
		text_done(&args->texts[i]);
	free(args->texts);
	free(args->is_known);
}

/* Checks the whole pattern before any argument is evaluated. */
static int format_check(struct eval *ev, const struct text *pattern, size_t args)
{
	struct format f = { pattern->s, pattern->len, 0 };
	struct segment seg;
	int r;

	while ((r = format_next(&f, &seg)) > 0)
		if (seg.argument >= 0 && (size_t)seg.argument >= args)
			return err_set(ev->err, ERR_INPUT,
				"format: '{%d}' has no argument in '%.*s'; %zu given",
				seg.argument, expr_shown(pattern->s, pattern->len, 80),
				pattern->s, args);
	if (r < 0)
		return err_set(ev->err, ERR_INPUT,
			"format: a lone '%c' in '%.*s'; write '%c%c' for the character, "
			"'{0}' for an argument",
			f.s[f.at], expr_shown(pattern->s, pattern->len, 80), pattern->s,
			f.s[f.at], f.s[f.at]);
	return 0;
}

static int format_evaluate(
	struct eval *ev, const struct node *n, struct format_args *args, size_t i)
{
	if (args->is_known[i])
		return 0;
	args->is_known[i] = true;
	return eval_text(ev, node_child(n, i + 1), &args->texts[i]);
}

/* Evaluates what is used, and counts before anything is built. */
static int format_measure(struct eval *ev, const struct node *n,
	const struct text *pattern, struct format_args *args, size_t *ret_len,
	size_t *ret_bytes)
{
	struct format f = { pattern->s, pattern->len, 0 };
	size_t bytes = 26;
	struct segment seg;

	*ret_len = 0;
	while (format_next(&f, &seg) > 0) {
		if (seg.argument >= 0) {
			if (format_evaluate(ev, n, args, (size_t)seg.argument) < 0)
				return -1;
			seg.s = args->texts[seg.argument].s;
			seg.len = args->texts[seg.argument].len;
		}
		bytes += 2 * fold_utf16_len(seg.s, seg.len);
		*ret_len += seg.len;
		if (bytes > ev->max)
			break;
	}
	*ret_bytes = bytes;
	return eval_charge(ev, bytes);
}

static void format_args_init(struct format_args *args, size_t len)
{
	static const struct text empty = TEXT_INIT;

	args->len = len;
	args->texts = xcalloc(len + 1, sizeof(*args->texts));
	args->is_known = xcalloc(len + 1, sizeof(*args->is_known));
	for (size_t i = 0; i < len; i++)
		args->texts[i] = empty;
}

int expr_fn_format(struct eval *ev, const struct node *n, struct result *ret)
{
	_cleanup_(text_done) struct text pattern = TEXT_INIT;
	_cleanup_(format_args_done) struct format_args args = { NULL, NULL, 0 };
	struct format f;
	struct segment seg;
	size_t len = 0;
	char *to;

	if (eval_text(ev, node_child(n, 0), &pattern) < 0)
		return -1;
	if (format_check(ev, &pattern, n->pub.children_len - 1) < 0)
		return -1;
	format_args_init(&args, n->pub.children_len - 1);
	if (format_measure(ev, n, &pattern, &args, &len, &ret->bytes) < 0)
		return -1;
	ret->v = value_new_blank(len);
	to = ret->v->text;
	f = (struct format){ pattern.s, pattern.len, 0 };
	while (format_next(&f, &seg) > 0) {
		if (seg.argument >= 0) {
			seg.s = args.texts[seg.argument].s;
			seg.len = args.texts[seg.argument].len;
		}
		memcpy(to, seg.s, seg.len);
		to += seg.len;
	}
	return 0;
}
