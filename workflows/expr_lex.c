/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expression text to tokens, one at a time. Whether a token may follow the one before is
 * decided here, by a table; that the brackets pair is left to the parser.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "workflows/expr-internal.h"
#include "workflows/fold.h"

#define AFTER(kind) (1u << (kind))

/* Where an operand may begin, and what ends one. */
#define AT_START                                                       \
	(AFTER(TOKEN_NONE) | AFTER(TOKEN_COMMA) | AFTER(TOKEN_GROUP) | \
		AFTER(TOKEN_CALL) | AFTER(TOKEN_INDEX) | AFTER(TOKEN_OPERATOR))
#define AFTER_REFERENCE                                                      \
	(AFTER(TOKEN_CLOSE) | AFTER(TOKEN_INDEX_CLOSE) | AFTER(TOKEN_STAR) | \
		AFTER(TOKEN_PROPERTY) | AFTER(TOKEN_NAME))
#define AFTER_OPERAND (AFTER_REFERENCE | AFTER(TOKEN_LITERAL))

static const unsigned legal_after[] = {
	[TOKEN_END] = AFTER_OPERAND | AFTER(TOKEN_NONE),
	[TOKEN_GROUP] = AT_START,
	[TOKEN_CALL] = AFTER(TOKEN_FUNCTION),
	[TOKEN_CLOSE] = AFTER_OPERAND | AFTER(TOKEN_CALL),
	[TOKEN_INDEX] = AFTER_REFERENCE,
	[TOKEN_INDEX_CLOSE] = AFTER_OPERAND,
	[TOKEN_COMMA] = AFTER_OPERAND,
	[TOKEN_DOT] = AFTER_REFERENCE,
	[TOKEN_STAR] = AFTER(TOKEN_INDEX) | AFTER(TOKEN_DOT),
	[TOKEN_OPERATOR] =
		AFTER_OPERAND, /* `!` is the other way round, see token_check */
	[TOKEN_LITERAL] = AT_START,
	[TOKEN_PROPERTY] = AFTER(TOKEN_DOT),
	[TOKEN_FUNCTION] = AT_START,
	[TOKEN_NAME] = AT_START,
};

int expr_fail(struct expr_error *error, size_t offset, size_t len, const char *fmt, ...)
{
	va_list ap;

	if (!error)
		return -1;
	error->offset = offset;
	error->len = len > 0 ? len : 1;
	va_start(ap, fmt);
	(void)vsnprintf(
		error->msg, sizeof(error->msg), fmt, ap); /* cut if it is too long */
	va_end(ap);
	return -1;
}

enum {
	CLASS_LETTER = 1 << 0, /* and '_' */
	CLASS_DIGIT = 1 << 1,
	CLASS_DASH = 1 << 2,
	CLASS_MARK = 1 << 3, /* ends a word */
	CLASS_SPACE = 1 << 4,
	CLASS_WIDE = 1 << 5, /* a byte of a character beyond ASCII */
};

static const unsigned char classes[256] = {
	['a' ... 'z'] = CLASS_LETTER,
	['A' ... 'Z'] = CLASS_LETTER,
	['_'] = CLASS_LETTER,
	['0' ... '9'] = CLASS_DIGIT,
	['-'] = CLASS_DASH,
	['\0'] = CLASS_MARK,
	['('] = CLASS_MARK,
	[')'] = CLASS_MARK,
	['['] = CLASS_MARK,
	[']'] = CLASS_MARK,
	[','] = CLASS_MARK,
	['.'] = CLASS_MARK,
	['!'] = CLASS_MARK,
	['>'] = CLASS_MARK,
	['<'] = CLASS_MARK,
	['='] = CLASS_MARK,
	['&'] = CLASS_MARK,
	['|'] = CLASS_MARK,
	['\t' ... '\r'] = CLASS_SPACE,
	[' '] = CLASS_SPACE,
	[0x80 ... 0xff] = CLASS_WIDE,
};

static unsigned class_of(char c)
{
	return classes[(unsigned char)c];
}

static bool is_digit(char c)
{
	return class_of(c) == CLASS_DIGIT;
}

bool expr_is_keyword(const char *s, size_t len)
{
	if (len == 0 || class_of(s[0]) != CLASS_LETTER)
		return false;
	for (size_t i = 1; i < len; i++)
		if (!(class_of(s[i]) & (CLASS_LETTER | CLASS_DIGIT | CLASS_DASH)))
			return false;
	return true;
}

/* Bytes of white space at AT, 0 if there is none. */
static size_t space_at(const struct lexer *lx, size_t at)
{
	size_t bytes;

	if (at >= lx->len)
		return 0;
	if (class_of(lx->text[at]) != CLASS_WIDE)
		return class_of(lx->text[at]) == CLASS_SPACE;
	return fold_is_space(fold_decode(lx->text + at, lx->len - at, &bytes)) ? bytes
									       : 0;
}

static size_t skip_space(const struct lexer *lx, size_t at)
{
	size_t bytes;

	while ((bytes = space_at(lx, at)) > 0)
		at += bytes;
	return at;
}

static bool is_boundary(const struct lexer *lx, size_t at)
{
	unsigned class = class_of(lx->text[at]);

	return (class & (CLASS_MARK | CLASS_SPACE)) ||
	       (class == CLASS_WIDE && space_at(lx, at) > 0);
}

/* The end of the run of characters that starts at AT and meets no boundary. */
static size_t word_end(const struct lexer *lx, size_t at, bool dots)
{
	for (at++; at < lx->len; at++)
		if (is_boundary(lx, at) && !(dots && lx->text[at] == '.'))
			break;
	return at;
}

int expr_shown(const char *s, size_t len, size_t max)
{
	if (len > max)
		for (len = max; len > 0 && ((unsigned char)s[len] & 0xC0) == 0x80; len--)
			;
	return (int)len;
}

static int lex_string(struct lexer *lx, struct token *t)
{
	const char *s = lx->text + lx->at;
	size_t left = lx->len - lx->at, end = 1, quotes = 0, n = 0;

	for (;; end++) {
		if (end >= left)
			return expr_fail(lx->error, lx->at, left,
				"text starts with ' and never ends");
		if (s[end] != '\'')
			continue;
		if (end + 1 >= left || s[end + 1] != '\'')
			break;
		quotes++;
		end++;
	}
	t->kind = TOKEN_LITERAL;
	t->len = end + 1;
	t->value = value_new_blank(end - 1 - quotes);
	for (size_t i = 1; i < end; i++) {
		t->value->text[n++] = s[i];
		if (s[i] == '\'')
			i++;
	}
	return 0;
}

static int lex_number(struct lexer *lx, struct token *t)
{
	const char *s = lx->text + lx->at;
	double n;

	t->len = word_end(lx, lx->at, true) - lx->at;
	n = number_from_text(s, t->len);
	if (isnan(n))
		return expr_fail(lx->error, lx->at, t->len, "'%.*s' is not a number",
			expr_shown(s, t->len, 60), s);
	t->kind = TOKEN_LITERAL;
	t->value = value_new_number(n);
	return 0;
}

static int lex_operator(struct lexer *lx, struct token *t)
{
	static const struct {
		const char *text;
		enum operator op;
	} operators[] = {
		{ "!=", OPERATOR_NE },
		{ ">=", OPERATOR_GE },
		{ "<=", OPERATOR_LE },
		{ "==", OPERATOR_EQ },
		{ "&&", OPERATOR_AND },
		{ "||", OPERATOR_OR },
		{ "!", OPERATOR_NOT },
		{ ">", OPERATOR_GT },
		{ "<", OPERATOR_LT },
	};
	const char *s = lx->text + lx->at;

	for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
		const char *text = operators[i].text;

		if (s[0] != text[0] ||
			(text[1] && (lx->len - lx->at < 2 || s[1] != text[1])))
			continue;
		t->kind = TOKEN_OPERATOR;
		t->op = operators[i].op;
		t->len = text[1] ? 2 : 1;
		return 0;
	}
	return expr_fail(lx->error, lx->at, 1, "unexpected '%c'; %s '%c%c'", *s,
		*s == '=' ? "to compare, write" : "the operator is", *s, *s);
}

/* Words that stand for values; with case, as GitHub has them. */
static struct value *word_value(const char *s, size_t len)
{
	static const struct {
		const char *word;
		const struct value *constant;
		double number;
	} words[] = {
		{ "null", &value_null, 0 },
		{ "true", &value_true, 0 },
		{ "false", &value_false, 0 },
		{ "NaN", NULL, NAN },
		{ "Infinity", NULL, INFINITY },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strlen(words[i].word) != len || memcmp(words[i].word, s, len) != 0)
			continue;
		if (words[i].constant)
			return value_ref((struct value *)words[i].constant);
		return value_new_number(words[i].number);
	}
	return NULL;
}

static int lex_word(struct lexer *lx, struct token *t)
{
	const char *s = lx->text + lx->at;
	size_t end = word_end(lx, lx->at, false), next;

	t->len = end - lx->at;
	if (s[0] == '"')
		return expr_fail(lx->error, lx->at, t->len,
			"text takes single quotes, not double ones");
	if (!expr_is_keyword(s, t->len))
		return expr_fail(lx->error, lx->at, t->len, "unexpected '%.*s'",
			expr_shown(s, t->len, 60), s);
	if (lx->last == TOKEN_DOT) {
		t->kind = TOKEN_PROPERTY;
		return 0;
	}
	t->value = word_value(s, t->len);
	if (t->value) {
		t->kind = TOKEN_LITERAL;
		return 0;
	}
	next = skip_space(lx, end);
	t->kind = next < lx->len && lx->text[next] == '(' ? TOKEN_FUNCTION : TOKEN_NAME;
	return 0;
}

static int lex_token(struct lexer *lx, struct token *t)
{
	static const struct {
		char c;
		enum token_kind kind;
	} marks[] = {
		{ '(', TOKEN_GROUP },
		{ ')', TOKEN_CLOSE },
		{ '[', TOKEN_INDEX },
		{ ']', TOKEN_INDEX_CLOSE },
		{ ',', TOKEN_COMMA },
		{ '*', TOKEN_STAR },
	};
	char c = lx->text[lx->at];

	t->len = 1;
	if (class_of(c) == CLASS_LETTER)
		return lex_word(lx, t);
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		if (marks[i].c != c)
			continue;
		t->kind = marks[i].kind;
		if (c == '(' && lx->last == TOKEN_FUNCTION)
			t->kind = TOKEN_CALL;
		return 0;
	}
	if (c == '\'')
		return lex_string(lx, t);
	if (c == '.' && !(AT_START & AFTER(lx->last))) {
		t->kind = TOKEN_DOT;
		return 0;
	}
	if (c == '.' || c == '-' || c == '+' || is_digit(c))
		return lex_number(lx, t);
	if (c != '\0' && strchr("!><=&|", c))
		return lex_operator(lx, t);
	return lex_word(lx, t);
}

static int token_check(struct lexer *lx, const struct token *t)
{
	bool is_not = t->kind == TOKEN_OPERATOR && t->op == OPERATOR_NOT;
	unsigned legal = is_not ? AT_START : legal_after[t->kind];

	if (legal & AFTER(lx->last))
		return 0;
	if (t->kind == TOKEN_END)
		return expr_fail(lx->error, lx->len > 0 ? lx->len - 1 : 0, 1,
			"the expression ends too early");
	return expr_fail(lx->error, t->offset, t->len, "unexpected '%.*s'%s",
		expr_shown(lx->text + t->offset, t->len, 60), lx->text + t->offset,
		t->kind == TOKEN_LITERAL || t->kind == TOKEN_NAME ||
				t->kind == TOKEN_FUNCTION
			? "; is an operator missing before it?"
			: "");
}

int lexer_next(struct lexer *lx, struct token *ret)
{
	struct token t = { .kind = TOKEN_END };

	lx->at = skip_space(lx, lx->at);
	t.offset = lx->at;
	if (lx->at < lx->len && lex_token(lx, &t) < 0)
		return -1;
	if (token_check(lx, &t) < 0) {
		value_unref(t.value);
		return -1;
	}
	lx->at += t.len;
	lx->last = t.kind;
	*ret = t;
	return 0;
}
