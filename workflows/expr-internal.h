/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the expression language share: tokens, the tree, one evaluation. */
#ifndef WORKFLOWS_EXPR_INTERNAL_H
#define WORKFLOWS_EXPR_INTERNAL_H

#include <stdint.h>

#include "base/limits.h"
#include "workflows/expr.h"
#include "workflows/value-internal.h"

/* ---- tokens ---- */

enum token_kind {
	TOKEN_NONE, /* before the first */
	TOKEN_END,
	TOKEN_GROUP, /* ( */
	TOKEN_CALL,  /* ( after a function name */
	TOKEN_CLOSE, /* ) of both */
	TOKEN_INDEX, /* [ */
	TOKEN_INDEX_CLOSE,
	TOKEN_COMMA,
	TOKEN_DOT,
	TOKEN_STAR,
	TOKEN_OPERATOR,
	TOKEN_LITERAL,
	TOKEN_PROPERTY, /* a name after a dot */
	TOKEN_FUNCTION,
	TOKEN_NAME,
};

enum operator{
	OPERATOR_NOT,
	OPERATOR_AND,
	OPERATOR_OR,
	OPERATOR_EQ,
	OPERATOR_NE,
	OPERATOR_LT,
	OPERATOR_LE,
	OPERATOR_GT,
	OPERATOR_GE,
};

struct token {
	enum token_kind kind;
	enum operator op;
	size_t offset, len;
	struct value *value; /* of a literal: the receiver's */
};

struct lexer {
	const char *text;
	size_t len, at;
	enum token_kind last;
	struct expr_error *error;
};

/* The next token, legal after the one before; -1 with *lexer->error. */
int lexer_next(struct lexer *lx, struct token *ret);
/* Always -1. LEN 0 counts as 1. */
int expr_fail(struct expr_error *error, size_t offset, size_t len, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
bool expr_is_keyword(const char *s, size_t len); /* [A-Za-z_][A-Za-z0-9_-]* */

/* ---- the tree ---- */

#define NODE_NIL UINT32_MAX

struct expr_function;

struct node {
	struct expr_node pub; /* first: a pointer to one is a pointer to the other */
	const struct expr_function *function;
	uint32_t hash;	/* fold_hash of a context's name or of a literal string */
	uint32_t order; /* place in the pre-order of the tree */
	uint32_t first, last, next; /* children while parsing, as indices */
	uint32_t children_count;
	uint32_t name_at; /* of a context */
	uint8_t height;
	uint8_t depth;
	uint8_t op; /* enum operator */
	bool has_own_name; /* at name_at of the names */
};

struct expr {
	struct node *nodes;
	size_t nodes_len;
	size_t tree_len; /* nodes in the tree; merged ones have left it */
	struct node *root;
	struct expr_node **slots; /* all children lists, one after the other */
	char *names;
	bool calls_status;
};

static inline const struct node *node_child(const struct node *n, size_t i)
{
	return (const struct node *)n->pub.children[i];
}

/* Each is expr_fail with the right words: always -1. */
int words_unknown_name(struct expr_error *error, const struct token *t, const char *name,
	const char *const *legal);
int words_unknown_function(struct expr_error *error, const struct token *t,
	const char *name, unsigned functions);
int words_arguments(
	struct expr_error *error, const struct node *n, unsigned min, unsigned max);

/* expr_compile with room for DEPTH levels only. */
int expr_compile_within(const char *text, size_t len, const struct expr_rules *rules,
	unsigned depth, struct expr **ret, struct expr_error *error);

/* ---- evaluation ---- */

struct eval {
	const struct expr_env *env;
	size_t used, max; /* bytes of the values made and still needed */
	struct err *err;
	size_t *work; /* bytes made or compared so far */
	size_t trace_kept; /* bytes of fresh values the trace holds on to */
};

struct result {
	struct value *v; /* one reference, owned */
	size_t bytes;	 /* what it adds to eval.used; 0 for a value of a context */
};

int eval_node(struct eval *ev, const struct node *n, struct result *ret);
/* Empties T and gives each node of E its record, not reached so far. */
void eval_trace_open(struct expr_trace *t, const struct expr *e);
/* Refuses when BYTES more are too many. */
int eval_charge(struct eval *ev, size_t bytes);
/* Refuses when BYTES more made or compared take too long. */
int eval_work(struct eval *ev, size_t bytes);
size_t eval_string_bytes(const char *s, size_t len); /* as GitHub counts a string */

int expr_fn_format(struct eval *ev, const struct node *n, struct result *ret);

/* A cut of a user's text for a message, at a whole character. */
int expr_shown(const char *s, size_t len, size_t max);

/* A primitive as text without a copy where it is a string. */
struct text {
	const char *s;
	size_t len;
	bool is_primitive;
	struct result from;
	struct strbuf own;
};
#define TEXT_INIT                                      \
	{                                              \
		"", 0, false, { NULL, 0 }, STRBUF_INIT \
	}
int eval_text(struct eval *ev, const struct node *n, struct text *ret);
void text_of(struct text *t); /* fills in from t->from */
void text_done(struct text *t);

struct expr_function {
	const char *name;
	unsigned char min, max;
	unsigned needs; /* any one of these enum expr_functions; 0: known everywhere */
	int (*eval)(struct eval *ev, const struct node *n, struct result *ret);
};
/* By name without case, or NULL. */
const struct expr_function *expr_function_find(const char *name, size_t len);
/* The names legal under FUNCTIONS, NULL-ended, into LIST of EXPR_FUNCTION_MAX + 1. */
#define EXPR_FUNCTION_MAX 16
void expr_function_names(unsigned functions, const char **list);

#endif
