/* SPDX-License-Identifier: Apache-2.0 */
/* Atoms of a compiled pattern, shared by the two dialects and the matcher. */
#ifndef WORKFLOWS_GLOB_INTERNAL_H
#define WORKFLOWS_GLOB_INTERNAL_H

#include <stdint.h>

#include "base/strbuf.h"
#include "workflows/glob.h"

enum glob_kind {
	GLOB_CHAR,
	GLOB_ANY,
	GLOB_NO_SLASH,
	GLOB_SET,
	GLOB_SPLIT, /* takes nothing: goes on behind it, or SKIP atoms further */
};

struct glob_atom {
	enum glob_kind kind;
	bool repeats;	  /* may take more than one character */
	bool is_optional; /* may take none */
	bool is_inverse;  /* of a set: all but these, and never '/' */
	uint32_t c;
	uint32_t skip; /* of GLOB_SPLIT */
	uint32_t ranges_from, ranges_len;
};

struct glob_range {
	uint32_t first, last;
};

struct glob {
	struct glob_atom *atoms;
	size_t atoms_len, atoms_alloc;
	struct glob_range *ranges;
	size_t ranges_len, ranges_alloc;
	struct strbuf prefix; /* the literal bytes it begins with, */
	size_t prefix_atoms;  /* and the atoms they stand for */
	char *base;	      /* path patterns */
	bool is_negated;
	bool is_path;
	bool wants_dir;
};

struct glob *glob_new(void);
struct glob_atom *glob_add(struct glob *g, enum glob_kind kind);
void glob_add_range(struct glob *g, struct glob_atom *a, uint32_t first, uint32_t last);
/* Once all atoms stand: notes the literal beginning. */
void glob_finish(struct glob *g);
/* Always -1. */
int glob_fail(struct glob_error *error, size_t offset, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
