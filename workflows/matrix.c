/* SPDX-License-Identifier: Apache-2.0 */
/* The product of vectors, one combination at a time; nothing is made that is not kept. */
#include "workflows/matrix.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"

/* Combinations looked at, excluded ones too: bounds the time, not the rows. */
#define PRODUCT_MAX 16384
#define FILTERS_MAX 1024
/* Values in all rows together; and comparisons, of which a long text counts for more. */
#define CELLS_MAX 65536
#define WORK_MAX  1000000

struct build {
	const struct value **vectors; /* arrays */
	const char **keys;
	size_t vectors_len;
	const struct value *include, *exclude;
	bool *matched; /* of includes */
	struct matrix *out;
	struct value *vector_set; /* of their names */
	size_t cells, work;
};

void matrix_done(struct matrix *m)
{
	for (size_t i = 0; i < m->len; i++)
		value_unref(m->rows[i].values);
	free(m->rows);
	*m = (struct matrix)MATRIX_INIT;
}

static int add_row(struct matrix *m, struct value *values, size_t named, struct err *err)
{
	if (m->len == LIMIT_MATRIX_ROWS)
		return err_set(err, ERR_LIMIT, "the matrix has more than %d rows",
			LIMIT_MATRIX_ROWS);
	GROW(m->rows, m->alloc, m->len + 1);
	m->rows[m->len++] = (struct matrix_row){ value_ref(values), named };
	return 0;
}

/* Every leaf of the filter equals what the row has there. */
static bool leaves_match(
	struct build *b, const struct value *row, const struct value *filter)
{
	enum value_kind kind = value_kind_of(filter);

	b->work += 1 + (value_str_len(filter) + value_str_len(row)) / 8;
	if (b->work > WORK_MAX)
		return false; /* take_combination looks at it */
	if (kind == VALUE_OBJECT) {
		for (size_t i = 0; i < value_count(filter); i++)
			if (value_kind_of(row) != VALUE_OBJECT ||
				!leaves_match(b, value_get(row, value_key_at(filter, i)),
					value_member_at(filter, i)))
				return false;
		return true;
	}
	if (kind == VALUE_ARRAY) {
		for (size_t i = 0; i < value_count(filter); i++)
			if (value_kind_of(row) != VALUE_ARRAY ||
				!leaves_match(b, value_at(row, i), value_at(filter, i)))
				return false;
		return true;
	}
	return value_equals(row, filter);
}

static bool is_vector_key(const struct build *b, const char *key)
{
	return value_get(b->vector_set, key) != NULL;
}

static bool is_excluded(struct build *b, const struct value *row)
{
	for (size_t i = 0; i < value_count(b->exclude); i++)
		if (leaves_match(b, row, value_at(b->exclude, i)))
			return true;
	return false;
}

/* The filter part of an include: its keys that are vectors. */
static bool include_fits(
	struct build *b, const struct value *row, const struct value *include)
{
	for (size_t i = 0; i < value_count(include); i++) {
		const char *key = value_key_at(include, i);

		b->work++;
		if (is_vector_key(b, key) &&
			!leaves_match(b, value_get(row, key), value_member_at(include, i)))
			return false;
	}
	return true;
}

static void add_extras(struct build *b, struct value *row, const struct value *include)
{
	for (size_t i = 0; i < value_count(include); i++) {
		const char *key = value_key_at(include, i);

		if (is_vector_key(b, key))
			continue;
		value_set(row, key, value_ref(value_member_at(include, i)));
		b->cells++;
	}
}

static int check_work(const struct build *b, struct err *err)
{
	if (b->cells > CELLS_MAX)
		return err_set(err, ERR_LIMIT,
			"the rows of the matrix hold more than %d values together",
			CELLS_MAX);
	if (b->work > WORK_MAX)
		return err_set(err, ERR_LIMIT,
			"the 'include' and 'exclude' of the matrix take more than %d "
			"comparisons",
			WORK_MAX);
	return 0;
}

static int take_combination(struct build *b, const size_t *at, struct err *err)
{
	_cleanup_(value_unrefp) struct value *row = value_new_object();

	b->work += b->vectors_len;
	for (size_t i = 0; i < b->vectors_len; i++)
		value_set(row, b->keys[i], value_ref(value_at(b->vectors[i], at[i])));
	if (is_excluded(b, row))
		return check_work(b, err);
	b->cells += b->vectors_len;
	for (size_t i = 0; i < value_count(b->include) && check_work(b, err) == 0; i++) {
		const struct value *include = value_at(b->include, i);

		if (!include_fits(b, row, include))
			continue;
		b->matched[i] = true;
		add_extras(b, row, include);
	}
	if (check_work(b, err) < 0)
		return -1;
	return add_row(b->out, row, b->vectors_len, err);
}

static int product(struct build *b, struct err *err)
{
	_cleanup_free_ size_t *at = xcalloc(b->vectors_len + 1, sizeof(*at));
	size_t total = 1;

	for (size_t i = 0; i < b->vectors_len; i++) {
		total *= value_count(
			b->vectors[i]); /* each step bounded by the last check */
		if (total > PRODUCT_MAX)
			return err_set(err, ERR_LIMIT, "the matrix has more than %d rows",
				LIMIT_MATRIX_ROWS);
	}
	for (size_t n = 0; n < total; n++) {
		if (take_combination(b, at, err) < 0)
			return -1;
		for (size_t i = b->vectors_len; i-- > 0;) {
			if (++at[i] < value_count(b->vectors[i]))
				break;
			at[i] = 0;
		}
	}
	return 0;
}

static int check_filters(
	const struct value *list, const char *what, bool may_be_empty, struct err *err)
{
	if (value_kind_of(list) == VALUE_NULL)
		return 0;
	if (value_kind_of(list) != VALUE_ARRAY)
		return err_set(err, ERR_INPUT, "'%s' of the matrix must be a list", what);
	if (value_count(list) > FILTERS_MAX)
		return err_set(err, ERR_LIMIT,
			"'%s' of the matrix has more than %d entries", what, FILTERS_MAX);
	for (size_t i = 0; i < value_count(list); i++) {
		const struct value *v = value_at(list, i);

		if (value_kind_of(v) != VALUE_OBJECT)
			return err_set(err, ERR_INPUT,
				"each entry of '%s' of the matrix must be a mapping",
				what);
		if (!may_be_empty && value_count(v) == 0)
			return err_set(err, ERR_INPUT,
				"an entry of '%s' of the matrix is empty", what);
	}
	return 0;
}

static int find_vectors(struct build *b, const struct value *source, struct err *err)
{
	for (size_t i = 0; i < value_count(source); i++) {
		const char *key = value_key_at(source, i);
		const struct value *v = value_member_at(source, i);

		if (strcasecmp(key, "include") == 0 || strcasecmp(key, "exclude") == 0)
			continue;
		if (value_kind_of(v) != VALUE_ARRAY)
			return err_set(
				err, ERR_INPUT, "matrix key '%s' must be a list", key);
		if (value_count(v) == 0)
			return err_set(
				err, ERR_INPUT, "matrix key '%s' has no values", key);
		b->keys[b->vectors_len] = key;
		value_set(b->vector_set, key, value_new_bool(true));
		b->vectors[b->vectors_len++] = v;
	}
	for (size_t i = 0; i < value_count(b->exclude); i++)
		for (size_t k = 0; k < value_count(value_at(b->exclude, i)); k++) {
			const char *key = value_key_at(value_at(b->exclude, i), k);

			if (!is_vector_key(b, key))
				return err_set(err, ERR_INPUT,
					"'exclude' names '%s', which is no key of the "
					"matrix",
					key);
		}
	return 0;
}

static int build_rows(struct build *b, const struct value *source, struct err *err)
{
	if (find_vectors(b, source, err) < 0)
		return -1;
	if (b->vectors_len == 0 && value_count(b->include) == 0)
		return err_set(err, ERR_INPUT,
			"the matrix has neither a key with values nor 'include'");
	if (b->vectors_len > 0 && product(b, err) < 0)
		return -1;
	for (size_t i = 0; i < value_count(b->include); i++) {
		struct value *v = value_at(b->include, i);

		if (!b->matched[i] && add_row(b->out, v, value_count(v), err) < 0)
			return -1;
	}
	return 0;
}

int matrix_expand(const struct value *source, struct matrix *ret, struct err *err)
{
	struct matrix m = MATRIX_INIT;
	struct build b = { .out = &m };
	int rc;

	if (value_kind_of(source) != VALUE_OBJECT)
		return err_set(err, ERR_INPUT, "the matrix must be a mapping, not %s",
			value_kind_name(value_kind_of(source)));
	b.include = value_get(source, "include");
	b.exclude = value_get(source, "exclude");
	if (check_filters(b.include, "include", true, err) < 0 ||
		check_filters(b.exclude, "exclude", false, err) < 0)
		return -1;
	b.vector_set = value_new_object();
	b.vectors = xcalloc(value_count(source) + 1, sizeof(*b.vectors));
	b.keys = xcalloc(value_count(source) + 1, sizeof(*b.keys));
	b.matched = xcalloc(value_count(b.include) + 1, sizeof(*b.matched));
	rc = build_rows(&b, source, err);
	value_unref(b.vector_set);
	free(b.vectors);
	free(b.keys);
	free(b.matched);
	if (rc < 0) {
		matrix_done(&m);
		return -1;
	}
	*ret = m;
	return 0;
}

/* ---- names ------------------------------------------------------------------------ */

#define NAME_MAX_CHARS 100

static void add_leaves(const struct value *v, struct strbuf *out, bool *is_first)
{
	struct strbuf text = STRBUF_INIT;

	switch (value_kind_of(v)) {
	case VALUE_ARRAY:
		for (size_t i = 0; i < value_count(v); i++)
			add_leaves(value_at(v, i), out, is_first);
		return;
	case VALUE_OBJECT:
		for (size_t i = 0; i < value_count(v); i++)
			add_leaves(value_member_at(v, i), out, is_first);
		return;
	case VALUE_NULL:
	case VALUE_BOOL:
	case VALUE_NUMBER:
	case VALUE_STRING:
		break;
	}
	value_to_text(v, &text);
	if (text.len > 0) {
		strbuf_adds(out, *is_first ? " (" : ", ");
		strbuf_add(out, text.buf, text.len);
		*is_first = false;
	}
	strbuf_done(&text);
}

static void cut(struct strbuf *out, size_t start)
{
	size_t chars = 0, keep = 0;

	for (size_t i = start; i < out->len; i++) {
		if (((unsigned char)out->buf[i] & 0xc0) == 0x80)
			continue;
		if (chars == NAME_MAX_CHARS - 3)
			keep = i;
		chars++;
	}
	if (chars <= NAME_MAX_CHARS)
		return;
	strbuf_truncate(out, keep);
	strbuf_adds(out, "...");
}

void matrix_row_name(const char *job, const struct matrix_row *row, struct strbuf *out)
{
	size_t start = out->len;
	bool is_first = true;

	strbuf_adds(out, job);
	for (size_t i = 0; i < row->named && i < value_count(row->values); i++)
		add_leaves(value_member_at(row->values, i), out, &is_first);
	if (!is_first)
		strbuf_addc(out, ')');
	cut(out, start);
}
