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
	EXPR_NODE_CONTEXT, /* name: as in expr_rules.contexts, else as written */
	EXPR_NODE_INDEX,   /* 2 children: `a.b` and `a['b']` (literal string child) */
	EXPR_NODE_FILTER,  /* 1 child: `a.*` */
	EXPR_NODE_CALL,	   /* name: as GitHub spells it; children are the arguments */
	EXPR_NODE_OPERATOR /* name: ! && || == != < <= > >=; && and || take 2 and more */
};
struct expr_node {
	enum expr_node_kind kind;
	size_t offset, len;  /* place in the source text */
	const char *name;    /* lent by the expr */
	struct value *value; /* of a literal, lent */
	struct expr_node **children;
	size_t children_len;
};
const struct expr_node *expr_root(const struct expr *e); /* lent */
size_t expr_size(const struct expr *e);			  /* how many nodes it took */
/* Parents first; FN returns false to leave out what is below the node. */
void expr_walk(const struct expr *e, bool (*fn)(const struct expr_node *n, void *data),
	void *data);
/* Canonical text, which compiles to the same tree again. */
void expr_print(const struct expr *e, struct strbuf *out);

/*
 * One traced evaluation: a record for each node of the tree, parents first, with its
 * depth. Nodes that were not reached have reached = false. Values made on the way that
 * are too large to keep are cut short, so that a trace stays within a few MiB.
 *
 * Secrets are the caller's affair: whoever prints a trace compares each value with what
 * it knows to be secret and prints "***" (a node below `secrets` is secret in any case).
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
	bool (*status)(
		const char *name, const char *const *args, size_t args_len, void *data);
	/* hashFiles: hex digest into OUT (empty when nothing matches); -1 with *ERR. */
	int (*hash_files)(const char *const *patterns, size_t len, struct strbuf *out,
		struct err *err, void *data);
	void *data;
	size_t memory_max;	  /* bytes for one evaluation; 0: LIMIT_EXPR_MEMORY */
	/*
	 * Bytes made or compared, which may not pass LIMIT_EXPR_WORK; counts on through all
	 * evaluations that are given the same one. NULL: this evaluation alone.
	 */
	size_t *work;
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

/* The same compiled, for text that is evaluated often or only to be checked. */
struct template;
/* Offsets in *ERROR count from the start of TEXT. */
int template_compile(const char *text, size_t len, const struct expr_rules *rules,
	struct template **ret, struct expr_error *error);
int template_run(const struct template *t, const struct expr_env *env, struct value **ret,
	struct err *err);
void template_free(struct template *t); /* NULL is fine */
DEFINE_CLEANUP(struct template, template_free);
/* The expressions in it, in order; lent. A plain text has none. */
size_t template_expr_count(const struct template *t);
const struct expr *template_expr(const struct template *t, size_t i, size_t *ret_offset);
/* One expression and nothing around it: the result keeps its type. */
bool template_is_typed(const struct template *t);
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
int condition_compile(const char *text, size_t len, const struct expr_rules *rules,
	struct template **ret, struct expr_error *error);
int condition_run(
	const struct template *t, const struct expr_env *env, bool *ret, struct err *err);
int condition_eval(const char *text, size_t len, const struct expr_rules *rules,
	const struct expr_env *env, bool *ret, struct err *err);

#endif
