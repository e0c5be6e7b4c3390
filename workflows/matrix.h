/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `strategy.matrix` to rows, as actions/runner does it (Conversion/MatrixBuilder.cs):
 * the product in key order, last key fastest; rows that match an `exclude` are dropped;
 * each `include` that fits rows adds its further keys to them, in order; an `include` that
 * fits none of what is left is a row of its own at the end.
 */
#ifndef WORKFLOWS_MATRIX_H
#define WORKFLOWS_MATRIX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "workflows/value.h"

struct matrix_row {
	struct value *values; /* owned; an object in order of keys */
	size_t named;	      /* how many of its first members are part of the name */
};

struct matrix {
	struct matrix_row *rows;
	size_t len, alloc;
};
#define MATRIX_INIT { NULL, 0, 0 }
void matrix_done(struct matrix *m);

/*
 * SOURCE is the evaluated `matrix:`, an object. At most LIMIT_MATRIX_ROWS rows, checked
 * before they are made. ERR_INPUT, ERR_LIMIT in words without a place.
 */
int matrix_expand(const struct value *source, struct matrix *ret, struct err *err);

/* "JOB (a, b)": scalars of the row, nested ones too; cut to 100 characters. */
void matrix_row_name(const char *job, const struct matrix_row *row, struct strbuf *out);

#endif
