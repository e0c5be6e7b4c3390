/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by loading and reading. */
#ifndef WORKFLOWS_YAML_INTERNAL_H
#define WORKFLOWS_YAML_INTERNAL_H

#include "workflows/yaml.h"

/*
 * Places of one scalar that were found, in order: the next search goes on from there, so
 * that a thousand findings in one long text do not read it a thousand times.
 */
#define YAML_PLACES_MAX 256

struct yaml_place {
	size_t offset, byte; /* in the scalar's text, in the source */
	unsigned line, column;
};

struct yaml_places {
	const struct yaml_node *scalar;
	size_t end; /* of the scalar, in the source */
	struct yaml_place at[YAML_PLACES_MAX];
	size_t len;
	/* The last column that was looked for. */
	unsigned line, column;
	size_t byte;
};

/* Bytes of the source before a line and column; its length when there is no such place. */
size_t yaml_byte_of(const struct yaml_doc *doc, unsigned line, unsigned column);

#endif
