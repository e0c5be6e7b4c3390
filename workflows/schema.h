/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The syntax of workflow files as one table (schema_table.c): which keys there are, what
 * kind each value is, which contexts and functions an expression there may use. Parsing,
 * validation, lint and docs/workflow-syntax.md all read the same table.
 *
 * The rules of matching follow actions/runner (ObjectTemplating/TemplateReader.cs): a
 * number or boolean where a string belongs is coerced, never the reverse; where a key may
 * hold expressions, one may stand for the whole value of any kind.
 */
#ifndef WORKFLOWS_SCHEMA_H
#define WORKFLOWS_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "workflows/expr.h"
#include "workflows/yaml.h"

/* What an expression may name, as a set. */
enum schema_scope {
	SCOPE_GITHUB = 1 << 0,
	SCOPE_INPUTS = 1 << 1,
	SCOPE_VARS = 1 << 2,
	SCOPE_NEEDS = 1 << 3,
	SCOPE_STRATEGY = 1 << 4,
	SCOPE_MATRIX = 1 << 5,
	SCOPE_SECRETS = 1 << 6,
	SCOPE_STEPS = 1 << 7,
	SCOPE_JOB = 1 << 8,
	SCOPE_RUNNER = 1 << 9,
	SCOPE_ENV = 1 << 10,
	SCOPE_JOBS = 1 << 11,
	SCOPE_CONTEXTS = (1 << 12) - 1,
	SCOPE_FN_STATUS = 1 << 16,     /* success() and its kin, no arguments */
	SCOPE_FN_JOB_STATUS = 1 << 17, /* the same with names of jobs */
	SCOPE_FN_HASHFILES = 1 << 18,
};
#define SCOPE_CONTEXT_COUNT 12

/* NULL-ended names of the contexts in SCOPE, into BUF; returns BUF. */
const char *const *scope_contexts(unsigned scope, const char *buf[SCOPE_CONTEXT_COUNT + 1]);
unsigned scope_of_name(const char *context); /* 0: no such context; without case */

enum schema_kinds {
	KIND_NULL = 1 << YAML_NULL,
	KIND_BOOL = 1 << YAML_BOOL,
	KIND_NUMBER = 1 << YAML_NUMBER,
	KIND_STRING = 1 << YAML_STRING,
	KIND_SEQ = 1 << YAML_SEQUENCE,
	KIND_MAP = 1 << YAML_MAPPING,
	KIND_ANY = (1 << 6) - 1,
};

enum schema_flags {
	SCHEMA_NON_EMPTY = 1 << 0,  /* a string may not be empty */
	SCHEMA_EXPRESSION = 1 << 1, /* an expression also without the braces (`if`) */
	SCHEMA_SCOPE = 1 << 2,	    /* .scope replaces the one inherited */
	SCHEMA_NAMED = 1 << 3,	    /* .noun and its key: "job 'lint'" */
};

struct schema_def;

struct schema_prop {
	const char *key;
	const struct schema_def *def;
	bool is_required;
	const char *doc; /* one line for the reference */
};

struct schema_def {
	unsigned kinds; /* enum schema_kinds */
	unsigned flags;
	unsigned scope;
	const char *noun;		 /* "job": what messages call it */
	const char *const *values;	 /* the only strings allowed, NULL-ended */
	const struct schema_prop *props; /* of a mapping; ends with a NULL key */
	const struct schema_def *value;	 /* of a mapping: what other keys hold */
	const struct schema_def *item;	 /* of a sequence; NULL: anything */
	/* A mapping of one of several shapes, told apart by its keys. NULL-ended. */
	const struct schema_def *const *variants;
	const char *one_of; /* words when none of the shapes can be told */
};

extern const struct schema_def schema_workflow;
extern const struct schema_def schema_action; /* action.yml */
extern const struct schema_def schema_job;
extern const struct schema_def schema_step;
/* Names of all events, NULL-ended, and the definition of each. */
extern const char *const schema_event_names[];

/* The deepest nesting GitHub's reader takes. */
#define SCHEMA_DEPTH_MAX 50

/*
 * Checks NODE against DEF: shape, constants, required keys, and each expression for syntax
 * and scope. Everything wrong goes to D. 0, or -1 when there was an error.
 */
int schema_check(const struct yaml_doc *doc, const struct yaml_node *node,
	const struct schema_def *def, struct diagnostics *d);

/* A scalar met on the way. */
struct schema_place {
	const struct yaml_node *node;
	const struct schema_def *def; /* NULL: a key */
	unsigned scope;
	const char *owner; /* "step", "job", "workflow" */
	const char *key;   /* of the owner: "if", "env" */
	const char *name;  /* the key right above the scalar, or NULL */
};
/*
 * Calls FN for each scalar below NODE (templates in keys too). KEY is the one that NODE
 * belongs to, or NULL.
 */
void schema_each_scalar(const struct yaml_node *node, const struct schema_def *def,
	const char *key, void (*fn)(const struct schema_place *p, void *data), void *data);

/* The definition of KEY in DEF or its variants; NULL if there is none. */
const struct schema_prop *schema_prop(const struct schema_def *def, const char *key);

/* "a step's 'if'" */
void schema_place_words(const struct schema_place *p, struct strbuf *out);

/*
 * Checks the expressions of one scalar for syntax and scope (schema_check does it for the
 * whole file). Returns the number of findings. *NODES counts the parts of all expressions of
 * the file, which may not be more than LIMIT_EXPR_NODES.
 */
size_t schema_check_scalar_expr(const struct yaml_doc *doc, const struct schema_place *p,
	size_t *nodes, struct diagnostics *d);

/*
 * GitHub turns text with expressions into one call of format(), whose 21,000 characters
 * and 254 values are a limit for the text: beyond it is told, and not looked into.
 */
bool schema_text_is_too_long(const char *text, size_t len);

#endif
