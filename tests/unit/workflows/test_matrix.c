/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "workflows/matrix.h"

static struct value *value_of(const char *json)
{
	struct json *j = NULL;
	struct value *v;
	struct err err = ERR_INIT;

	assert_ok(json_parse(json, strlen(json), &j, &err), &err);
	v = value_from_json(j);
	json_free(j);
	return v;
}

/* All rows as one text: "{...} {...}". */
static char *rows_of(const char *json)
{
	_cleanup_(value_unrefp) struct value *v = value_of(json);
	struct matrix m = MATRIX_INIT;
	struct strbuf out = STRBUF_INIT;
	struct err err = ERR_INIT;

	if (matrix_expand(v, &m, &err) < 0)
		return xasprintf("error: %s", err.msg);
	for (size_t i = 0; i < m.len; i++) {
		strbuf_adds(&out, i ? " " : "");
		value_write_json(m.rows[i].values, false, &out);
	}
	matrix_done(&m);
	return strbuf_take(&out);
}

static void makes_the_rows_github_makes(void **state)
{
	static const char *const cases[][2] = {
		{ "{\"a\":[1,2],\"b\":[\"x\",\"y\"]}",
			"{\"a\":1,\"b\":\"x\"} {\"a\":1,\"b\":\"y\"} "
			"{\"a\":2,\"b\":\"x\"} "
			"{\"a\":2,\"b\":\"y\"}" },
		/* exclude: partial, and without case */
		{ "{\"a\":[1,2],\"b\":[\"X\",\"y\"],\"exclude\":[{\"b\":\"x\"}]}",
			"{\"a\":1,\"b\":\"y\"} {\"a\":2,\"b\":\"y\"}" },
		{ "{\"a\":[1,2],\"exclude\":[{\"a\":\"1\"}]}", "{\"a\":2}" },
		/* include: adds to rows it fits, all of them without a vector key */
		{ "{\"a\":[1,2],\"include\":[{\"c\":9}]}",
			"{\"a\":1,\"c\":9} {\"a\":2,\"c\":9}" },
		{ "{\"a\":[1,2],\"include\":[{\"a\":2,\"c\":9}]}",
			"{\"a\":1} {\"a\":2,\"c\":9}" },
		/* later ones overwrite earlier extras, never the vectors' values */
		{ "{\"a\":[1],\"include\":[{\"c\":1},{\"a\":1,\"c\":2}]}",
			"{\"a\":1,\"c\":2}" },
		/* one that fits no row is a row, and later ones do not extend it */
		{ "{\"a\":[1],\"include\":[{\"a\":3},{\"c\":5}]}",
			"{\"a\":1,\"c\":5} {\"a\":3}" },
		/* one that fits only rows that were dropped is a row of its own */
		{ "{\"a\":[1,2],\"exclude\":[{\"a\":2}],\"include\":[{\"a\":2,\"c\":1}]}",
			"{\"a\":1} {\"a\":2,\"c\":1}" },
		/* excludes never touch rows of include */
		{ "{\"a\":[1],\"exclude\":[{\"a\":1}],\"include\":[{\"a\":1}]}",
			"{\"a\":1}" },
		/* nested values match by their leaves */
		{ "{\"o\":[{\"n\":\"u\",\"m\":1},{\"n\":\"w\",\"m\":2}],"
		  "\"exclude\":[{\"o\":{\"m\":2}}]}",
			"{\"o\":{\"n\":\"u\",\"m\":1}}" },
		{ "{\"o\":[[1,2],[3]],\"exclude\":[{\"o\":[1]}]}", "{\"o\":[3]}" },
		/* include alone */
		{ "{\"include\":[{\"a\":1},{\"b\":2}]}", "{\"a\":1} {\"b\":2}" },
		/* nothing is left: no rows, which is the caller's to judge */
		{ "{\"a\":[1],\"exclude\":[{\"a\":1}]}", "" },
		{ "{\"a\":[]}", "error: matrix key 'a' has no values" },
		{ "{}", "error: the matrix has neither a key with values nor 'include'" },
		{ "{\"a\":1}", "error: matrix key 'a' must be a list" },
		{ "{\"a\":[1],\"exclude\":[{\"b\":1}]}",
			"error: 'exclude' names 'b', which is no key of the matrix" },
		{ "{\"a\":[1],\"exclude\":[{}]}",
			"error: an entry of 'exclude' of the matrix is empty" },
		{ "{\"a\":[1],\"include\":[1]}", "error: each entry of 'include' of the "
						 "matrix must be a mapping" },
		{ "[1]", "error: the matrix must be a mapping, not Array" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = rows_of(cases[i][0]);

		assert_string_equal(got, cases[i][1]);
	}
}

static char *numbers(size_t n)
{
	struct strbuf sb = STRBUF_INIT;

	for (size_t i = 0; i < n; i++)
		strbuf_addf(&sb, "%s%zu", i ? "," : "", i);
	return strbuf_take(&sb);
}

static void no_more_than_256_rows(void **state)
{
	_cleanup_free_ char *many = numbers(257), *some = numbers(16),
			    *huge = numbers(1000);
	_cleanup_free_ char *a = xasprintf("{\"a\":[%s]}", many);
	_cleanup_free_ char *b = xasprintf("{\"a\":[%s],\"b\":[%s]}", some, some);
	_cleanup_free_ char *c =
		xasprintf("{\"a\":[%s],\"b\":[%s],\"c\":[%s]}", huge, huge, huge);
	_cleanup_free_ char *d = xasprintf("{\"a\":[%s],\"exclude\":[{\"a\":0}]}", many);
	_cleanup_free_ char *ra = rows_of(a), *rb = rows_of(b), *rc = rows_of(c),
			    *rd = rows_of(d);

	assert_string_equal(ra, "error: the matrix has more than 256 rows");
	assert_has(rb, "{\"a\":15,\"b\":15}");
	assert_string_equal(rc, "error: the matrix has more than 256 rows");
	/* What exclude drops does not count. */
	assert_has(rd, "{\"a\":256}");
}

static void names_rows_by_their_own_values(void **state)
{
	static const struct {
		const char *json;
		size_t row;
		const char *name;
	} cases[] = {
		{ "{\"a\":[1],\"b\":[\"x\"]}", 0, "job (1, x)" },
		{ "{\"a\":[1],\"include\":[{\"c\":9}]}", 0, "job (1)" },
		{ "{\"a\":[1],\"include\":[{\"a\":2,\"c\":9}]}", 1, "job (2, 9)" },
		{ "{\"a\":[{\"x\":1,\"y\":[true,null,\"\"]}]}", 0, "job (1, true)" },
		{ "{\"a\":[\"\"]}", 0, "job" },
		{ "{\"a\":[1.5]}", 0, "job (1.5)" },
		{ "{\"a\":["
		  "\"01234567890123456789012345678901234567890123456789012345678901234567"
		  "89"
		  "0123456789012345678901234567890\"]}",
			0,
			"job "
			"(012345678901234567890123456789012345678901234567890123456789012"
			"3456"
			"7890123456789012345678901..." },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(value_unrefp) struct value *v = value_of(cases[i].json);
		struct matrix m = MATRIX_INIT;
		struct strbuf out = STRBUF_INIT;
		struct err err = ERR_INIT;

		assert_ok(matrix_expand(v, &m, &err), &err);
		matrix_row_name("job", &m.rows[cases[i].row], &out);
		assert_string_equal(out.buf, cases[i].name);
		strbuf_done(&out);
		matrix_done(&m);
	}
}

TEST_MAIN(TEST(makes_the_rows_github_makes), TEST(no_more_than_256_rows),
	TEST(names_rows_by_their_own_values))
