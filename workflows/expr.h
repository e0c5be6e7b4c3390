/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The expression language between `${{` and `}}`. Compile once, evaluate often. Limits:
 * 21,000 characters, depth 50, a memory budget for one evaluation (limits.h). Unknown
 * functions, unknown contexts and wrong argument counts are compile errors, also in
 * branches that are never taken. Pure: what needs the world comes through expr_env.
 *
 * Order of use: expr_compile, any number of expr_eval, expr_free.
 */
#ifndef WORKFLOWS_EXPR_H
#define WORKFLOWS_EXPR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "workflows/value.h"

struct expr;

/* The status functions and hashFiles exist only where a key allows them. */
enum expr_functions {
	EXPR_FN_STATUS = 1 << 0,     /* always cancelled success failure; no arguments */
	EXPR_FN_JOB_STATUS = 1 << 1, /* the same, taking names of needed jobs */
	EXPR_FN_HASHFILES = 1 << 2,
};

struct expr_rules {
	const char *const *contexts; /* NULL-ended list of legal names; NULL: any name */
	unsigned functions;	     /* enum expr_functions */
};

struct expr_error {
	size_t offset; /* byte in the text given to expr_compile */
	size_t len;    /* bytes of the offending token, at least 1 */
	char msg[ERR_MSG_MAX];
};

/* TEXT is what stands between the braces. 0, or -1 with *ERROR. Empty text is `null`. */
int expr_compile(const char *text, size_t len, const struct expr_rules *rules,
	struct expr **ret, struct expr_error *error);
void expr_free(struct expr *e); /* NULL is fine */
DEFINE_CLEANUP(struct expr, expr_free);

/* A status function is *called* somewhere in it (then no success() && is put before it). */
bool expr_calls_status(const struct expr *e);
/* Uses a context of that name anywhere. */
bool expr_uses_context(const struct expr *e, const char *name);

/*
 * Walks the syntax tree for lint and for the pages. Called for each node, parents first;
 * return false to leave out what is below.
 */
enum expr_node_kind {
	EXPR_NODE_LITERAL, /* value */
	EXPR_NODE_CONTEXT, /* name */
	EXPR_NODE_INDEX,   /* 2 children: `a.b` and `a['b']` (literal string child) */
	EXPR_NODE_FILTER,  /* 1 child: `a.*` */
	EXPR_NODE_CALL,	   /* name, children are the arguments */
	EXPR_NODE_OPERATOR /* name is the operator: ! && || == != < <= > >= */
};
struct expr_node {
	enum expr_node_kind kind;
	size_t offset, len;	/* place in the source text */
	const char *name;	/* lent by the expr */
	struct value *value;	/* of a literal, lent */
	struct expr_node **children;
	size_t children_len;
};
const struct expr_node *expr_root(const struct expr *e); /* lent */

/*
 * One traced evaluation: a record per node evaluated, in order of completion, with its
 * depth. Nodes that were not reached have reached = false. `masked` text is "***".
 */
struct expr_trace_item {
	const struct expr_node *node;
	unsigned depth;
	bool reached;
	struct value *value; /* owned by the trace; NULL if not reached */
};
struct expr_trace {
	struct expr_trace_item *items; /* pre-order of the tree */
	size_t len, alloc;
};
void expr_trace_done(struct expr_trace *t);

struct expr_env {
	/* An object whose members are the contexts, e.g. {"github": ..., "env": ...}. */
	struct value *contexts;
	/*
	 * Status functions: NAME is "success", "failure", "cancelled" or "always", ARGS the
	 * names given (EXPR_FN_JOB_STATUS). NULL: an error when called.
	 */
	bool (*status)(const char *name, const char *const *args, size_t args_len,
		void *data);
	/* hashFiles: hex digest into OUT (empty when nothing matches); -1 with *ERR. */
	int (*hash_files)(const char *const *patterns, size_t len, struct strbuf *out,
		struct err *err, void *data);
	void *data;
	size_t memory_max; /* bytes for one evaluation; 0: LIMIT_EXPR_MEMORY */
	struct expr_trace *trace; /* filled when not NULL */
};

/* *RET belongs to the caller. -1 with *ERR (ERR_INPUT, ERR_LIMIT). */
int expr_eval(const struct expr *e, const struct expr_env *env, struct value **ret,
	struct err *err);

/*
 * A scalar that may hold `${{ }}`. One expression alone keeps its type; with text around
 * it, the pieces are joined as strings. Text without any is a string.
 */
bool template_has_expr(const char *text, size_t len);
int template_eval(const char *text, size_t len, const struct expr_rules *rules,
	const struct expr_env *env, struct value **ret, struct err *err);
/* Calls FN for each expression of TEXT with the place and length of its inner text. */
int template_each(const char *text, size_t len,
	int (*fn)(const char *inner, size_t inner_len, size_t offset, void *data),
	void *data, struct expr_error *error);

/*
 * An `if:` value: an expression with or without braces. Without a status function in it
 * the result is `success() && (...)`; empty is success(). ENV->status must be set.
 */
int condition_eval(const char *text, size_t len, const struct expr_rules *rules,
	const struct expr_env *env, bool *ret, struct err *err);

#endif
