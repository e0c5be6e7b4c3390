/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regular expressions of problem matchers, by PCRE2, close to what .NET does with its
 * ECMAScript option: classes are ASCII. The work of one match is bounded; no JIT, since
 * memory that is written and executed is not to be had in a confined worker.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdio.h>

#include "base/mem.h"
#include "executor/matcher.h"

#define STEPS_MAX    500000 /* of one match: some 20 ms */
#define DEPTH_MAX    20000
#define HEAP_KIB_MAX (32 * 1024)

struct regex {
	pcre2_code *code;
	pcre2_match_context *ctx;
	pcre2_match_data *data;
};

static void regex_free(void *p)
{
	struct regex *r = p;

	if (!r)
		return;
	pcre2_match_data_free(r->data);
	pcre2_match_context_free(r->ctx);
	pcre2_code_free(r->code);
	free(r);
}

static int regex_compile(const char *pattern, size_t len, void **ret, struct err *err)
{
	struct regex *r = xcalloc(1, sizeof(*r));
	PCRE2_SIZE at = 0;
	int code = 0;

	r->code = pcre2_compile((PCRE2_SPTR)pattern, len,
		PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
			PCRE2_ALT_BSUX,
		&code, &at, NULL);
	if (!r->code) {
		PCRE2_UCHAR why[128];

		regex_free(r);
		(void)pcre2_get_error_message(
			code, why, sizeof(why)); /* cut, if at all */
		return err_set(err, ERR_INPUT,
			"the expression is wrong at character %zu: %s", (size_t)at + 1,
			(const char *)why);
	}
	r->ctx = pcre2_match_context_create(NULL);
	r->data = pcre2_match_data_create_from_pattern(r->code, NULL);
	if (!r->ctx || !r->data)
		abort(); /* no memory */
	(void)pcre2_set_match_limit(r->ctx, STEPS_MAX);
	(void)pcre2_set_depth_limit(r->ctx, DEPTH_MAX);
	(void)pcre2_set_heap_limit(r->ctx, HEAP_KIB_MAX);
	*ret = r;
	return 0;
}

static int regex_match(
	void *regex, const char *line, size_t len, struct matcher_span *ret, size_t max)
{
	struct regex *r = regex;
	int n = pcre2_match(r->code, (PCRE2_SPTR)line, len, 0, 0, r->data, r->ctx);
	const PCRE2_SIZE *v = pcre2_get_ovector_pointer(r->data);
	size_t groups = pcre2_get_ovector_count(r->data);

	if (n == PCRE2_ERROR_NOMATCH)
		return 0;
	if (n < 0)
		return -1;
	for (size_t i = 0; i < groups && i < max; i++) {
		bool is_set = i < (size_t)n && v[2 * i] != PCRE2_UNSET &&
			      v[2 * i] <= v[2 * i + 1];

		ret[i].start = is_set ? v[2 * i] : SIZE_MAX;
		ret[i].end = is_set ? v[2 * i + 1] : SIZE_MAX;
	}
	return groups < max ? (int)groups : (int)max;
}

const struct matcher_regex_ops matcher_pcre_ops = { regex_compile, regex_match,
	regex_free };
