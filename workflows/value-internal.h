/* SPDX-License-Identifier: Apache-2.0 */
/* The insides of struct value, for value*.c and expr*.c alone. */
#ifndef WORKFLOWS_VALUE_INTERNAL_H
#define WORKFLOWS_VALUE_INTERNAL_H

#include "workflows/value.h"

struct value_member {
	char *key; /* NUL-ended, owned */
	size_t key_len;
	struct value *value;
	uint32_t hash;	      /* fold_hash of the key */
	uint32_t left, right; /* members before and behind it in the tree; from 1, 0: none */
	uint32_t level;	      /* in the tree */
};

struct value {
	uint32_t refs; /* 0: a constant of the program, never freed */
	uint8_t kind;  /* enum value_kind */
	bool boolean;
	bool keeps_case;  /* of an object: keys differ by case too */
	bool is_filtered; /* of an array: made by `.*`; the next index maps over it */
	union {
		double number;
		size_t text_len;
		struct {
			struct value **items;
			size_t len, alloc;
		} array;
		struct {
			struct value_member *members; /* in the order of their making */
			size_t len, alloc;
			uint32_t *slots;  /* open addressing: member + 1, 0 is free */
			size_t slots_len; /* a power of two, or 0: few members, or a tree */
			uint32_t root;	  /* of the tree, from 1; 0: no tree */
		} object;
	} u;
	char text[]; /* of a string */
};

extern const struct value value_null, value_true, value_false;

/* value_getn for a key whose fold_hash is known. */
struct value *value_find(
	const struct value *v, const char *key, size_t len, uint32_t hash);
/* A string value whose LEN bytes the caller fills in at once, through ->text. */
struct value *value_new_blank(size_t len);
/* value_write_json that gives up (-1) once it has written more than MAX bytes. */
int value_write_json_max(
	const struct value *v, bool pretty, size_t max, struct strbuf *out);
/* `<`: false for anything that has no order. */
bool value_less(const struct value *a, const struct value *b);

#endif
