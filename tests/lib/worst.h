/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a stranger that keep every limit (base/limits.h) and cost as much as they can, and
 * what they cost. For the test that bounds it and the benchmark that prints it.
 */
#ifndef TESTS_LIB_WORST_H
#define TESTS_LIB_WORST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/strbuf.h"

/* What linting or planning any file may take on one core of an ordinary machine. */
#define WORST_CPU_MS 100
#define WORST_MEMORY (32 * MiB)

struct worst_file {
	const char *name;
	void (*make)(struct strbuf *out);
};
extern const struct worst_file worst_files[];
extern const size_t worst_files_len;

struct worst_cost {
	long us;     /* of the processor */
	long memory; /* the most at once, in bytes */
	bool has_died;
};

/* All rules, and the findings as text. */
void worst_lint(struct strbuf *file);
/* For a push of as many paths as are looked at; the last job is expanded. */
void worst_plan(struct strbuf *file);
/* FN in a child of its own, less what a child without it takes. */
struct worst_cost worst_measure(void (*fn)(struct strbuf *file), struct strbuf *file);

#endif
