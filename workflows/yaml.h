/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One YAML document as a tree of nodes with exact marks; the only module that includes the
 * YAML library. Scalars are typed here by the YAML 1.2 core schema (`on`, `yes`, `012` are
 * what GitHub takes them for). Aliases share the node of their anchor, nothing is copied;
 * what the tree would be if they were expanded is counted, and a tree that is too large,
 * too deep or endless is refused (limits.h). No merge keys; keys are scalars and unique
 * without case.
 *
 * Everything lives in the arena of the document.
 */
#ifndef WORKFLOWS_YAML_H
#define WORKFLOWS_YAML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/mem.h"
#include "workflows/diag.h"
#include "workflows/value.h"

enum yaml_kind {
	YAML_NULL,
	YAML_BOOL,
	YAML_NUMBER,
	YAML_STRING,
	YAML_SEQUENCE,
	YAML_MAPPING,
};

struct yaml_node;

struct yaml_pair {
	struct yaml_node *key; /* a scalar */
	struct yaml_node *value;
};

struct yaml_node {
	enum yaml_kind kind : 8;
	bool quoted;	 /* a scalar in quotes or of block style */
	bool block;	 /* of block style */
	bool boolean : 1; /* YAML_BOOL */
	bool is_lost : 1; /* stands for an alias that leads nowhere: told already */
	struct mark mark;
	const char *str; /* of a scalar: its text as written (of YAML_NULL too); NUL-ended */
	union {
		double number;		  /* YAML_NUMBER */
		struct yaml_node **items; /* YAML_SEQUENCE */
		struct yaml_pair *pairs;  /* YAML_MAPPING, in order */
	};
	uint32_t str_len; /* never with NUL inside */
	uint32_t len;	  /* of items or pairs */
	uint32_t weight;  /* nodes of this tree with aliases expanded */
	uint32_t bytes;	  /* scalar bytes of it */
	uint32_t height;  /* 1 for a scalar */
};

/* An anchor, for lint. */
struct yaml_anchor {
	const char *name;
	struct mark mark;
	struct yaml_node *node;
	bool is_used;
};

struct yaml_doc {
	struct arena *arena;
	const char *file;    /* copied */
	const char *source;  /* lent by the caller of yaml_parse */
	size_t source_len;
	const uint32_t *lines; /* where each line starts */
	size_t lines_len;
	struct yaml_node *root;
	struct yaml_anchor *anchors;
	size_t anchors_len;
	struct yaml_places *places; /* what yaml_mark_at remembers */
};

/*
 * Parses LEN bytes of FILE; the bytes must outlive the document. On failure the words are
 * in D (codes yaml, duplicate-key, limit) and -1 is returned.
 */
int yaml_parse(const char *file, const char *data, size_t len, struct yaml_doc **ret,
	struct diagnostics *d);
/*
 * The same, but *RET is the tree also when keys are double or aliases lead nowhere (those
 * are null); it is NULL when the file cannot be read as YAML at all.
 */
void yaml_parse_lenient(const char *file, const char *data, size_t len,
	struct yaml_doc **ret, struct diagnostics *d);
void yaml_doc_free(struct yaml_doc *doc); /* NULL is fine */
DEFINE_CLEANUP(struct yaml_doc, yaml_doc_free);

/* The value of KEY (with case) of a mapping, or NULL; NULL and other kinds have none. */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
struct yaml_node *yaml_get_key(const struct yaml_node *map, const char *key);
bool yaml_is(const struct yaml_node *n, enum yaml_kind kind); /* NULL is of no kind */
bool yaml_is_scalar(const struct yaml_node *n);
/* The text of a scalar as GitHub coerces it (1.0 is "1", null is ""); lent or in ARENA. */
const char *yaml_text(const struct yaml_node *n, struct arena *arena);
const char *yaml_kind_name(enum yaml_kind kind); /* "null" "a boolean" ... "a mapping" */

/*
 * The place of LEN bytes at OFFSET of a scalar's text in the file; the scalar's own when
 * escapes or folding hide it.
 */
struct mark yaml_mark_at(const struct yaml_doc *doc, const struct yaml_node *scalar,
	size_t offset, size_t len);

/* As typed values; bounded by the document's own budgets. */
struct json *yaml_to_json(const struct yaml_node *n); /* NaN, infinities as strings */
struct value *yaml_to_value(const struct yaml_node *n);

#endif
