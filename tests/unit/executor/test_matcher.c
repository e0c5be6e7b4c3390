/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "base/clock.h"
#include "executor/matcher.h"

static int setup(void **state)
{
	*state = matcher_set_new(&matcher_pcre_ops);
	return 0;
}

static int teardown(void **state)
{
	matcher_set_free(*state);
	return 0;
}

static void add(struct matcher_set *set, const char *json)
{
	struct json *owners = NULL;
	struct err err = ERR_INIT;

	assert_ok(matcher_set_add(set, json, strlen(json), &owners, &err), &err);
	json_free(owners);
}

/* The issue of LINE as JSON, or "". */
static char *line(struct matcher_set *set, const char *text)
{
	struct json *dropped = json_new_array();
	struct json *issue = matcher_set_line(set, text, strlen(text), dropped);
	char *out = issue ? json_text(issue) : xstrdup("");

	json_free(issue);
	json_free(dropped);
	return out;
}

static void expect(struct matcher_set *set, const char *text, const char *want)
{
	_cleanup_free_ char *got = line(set, text);

	assert_string_equal(got, want);
}

#define GCC                                                                          \
	"{\"problemMatcher\":[{\"owner\":\"gcc\",\"pattern\":[{\"regexp\":"          \
	"\"^(.*):(\\\\d+):(\\\\d+): (error|warning): (.*)$\",\"file\":1,\"line\":2," \
	"\"column\":\"3\",\"severity\":4,\"message\":5}]}]}"
#define ESLINT                                                                                       \
	"{\"problemMatcher\":[{\"owner\":\"eslint\",\"severity\":\"warning\",\"pattern\":["          \
	"{\"regexp\":\"^([^\\\\s].*)$\",\"file\":1},"                                                \
	"{\"regexp\":\"^\\\\s+(\\\\d+):(\\\\d+)\\\\s+(error|warning)?\\\\s*(.*?)\\\\s\\\\s+(.*)$\"," \
	"\"line\":1,\"column\":2,\"severity\":3,\"message\":4,\"code\":5,\"loop\":true}]}]}"

static void finds_a_compiler_warning_under_its_colours(void **state)
{
	add(*state, GCC);
	expect(*state, "\033[1msrc/a.c:3:14: \033[35;1mwarning:\033[m unused variable",
		"{\"owner\":\"gcc\",\"file\":\"src/a.c\",\"line_number\":\"3\",\"column\":\"14\","
		"\"severity\":\"warning\",\"message\":\"unused variable\"}");
	expect(*state, "all fine", "");
}

static void loops_over_the_last_pattern_of_several(void **state)
{
	add(*state, ESLINT);
	expect(*state, "/src/a.js", "");
	expect(*state, "  1:2  error  no semicolon  semi",
		"{\"owner\":\"eslint\",\"file\":\"/src/a.js\",\"line_number\":\"1\",\"column\":\"2\","
		"\"severity\":\"error\",\"code\":\"semi\",\"message\":\"no semicolon\"}");
	expect(*state, "  7:8  no severity here  rule",
		"{\"owner\":\"eslint\",\"file\":\"/src/a.js\",\"line_number\":\"7\",\"column\":\"8\","
		"\"code\":\"rule\",\"message\":\"no severity here\",\"severity\":\"warning\"}");
	expect(*state, "", ""); /* ends the loop */
	expect(*state, "  1:2  error  no file now  semi", "");
}

static void the_last_added_goes_first_and_resets_the_others(void **state)
{
	add(*state, ESLINT);
	add(*state, GCC);
	expect(*state, "/src/a.js", "");
	expect(*state, "b.c:1:2: error: x",
		"{\"owner\":\"gcc\",\"file\":\"b.c\",\"line_number\":\"1\",\"column\":\"2\","
		"\"severity\":\"error\",\"message\":\"x\"}");
	expect(*state, "  1:2  error  no semicolon  semi", "");
	assert_int_equal(matcher_set_count(*state), 2);
	assert_true(matcher_set_remove(*state, "GCC"));
	assert_false(matcher_set_remove(*state, "gcc"));
	assert_int_equal(matcher_set_count(*state), 1);
}

#define ONE(pattern) "{\"problemMatcher\":[{\"owner\":\"x\",\"pattern\":[" pattern "]}]}"

static const struct {
	const char *json, *part;
} bad[] = {
	{ "[", "json:1" },
	{ "{}", "no 'problemMatcher' list" },
	{ "{\"problemMatcher\":[{\"pattern\":[{}]}]}", "no 'owner'" },
	{ "{\"problemMatcher\":[{\"owner\":\"x\"}]}", "needs 1 to 16 patterns" },
	{ ONE("{\"message\":1}"), "no 'regexp'" },
	{ ONE("{\"regexp\":\"(\",\"message\":1}"), "wrong at character 2" },
	{ ONE("{\"regexp\":\"x\"}"), "must set 'message'" },
	{ ONE("{\"regexp\":\"x\",\"message\":99}"), "number of a group" },
	{ ONE("{\"regexp\":\"x\",\"message\":\"y\"}"), "number of a group" },
	{ ONE("{\"regexp\":\"x\",\"message\":1,\"loop\":true}"),
		"only the last pattern" },
	{ ONE("{\"regexp\":\"x\",\"message\":1},{\"regexp\":\"x\",\"message\":1}"),
		"set twice" },
	{ ONE("{\"regexp\":\"x\",\"message\":1},{\"regexp\":\"x\",\"file\":1,\"loop\":true}"),
		"must set 'message'" },
	{ "{\"problemMatcher\":[{\"owner\":\"x\",\"severity\":\"bad\",\"pattern\":"
	  "[{\"regexp\":\"x\",\"message\":1}]}]}",
		"is no severity" },
};

static void refuses_definitions_with_what_is_wrong(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct json *owners = NULL;
		struct err err = ERR_INIT;

		if (matcher_set_add(
			    *state, bad[i].json, strlen(bad[i].json), &owners, &err) == 0)
			fail_msg("case %zu was taken", i);
		assert_has(err.msg, bad[i].part);
		assert_int_equal(matcher_set_count(*state), 0);
	}
}

static void an_expression_that_runs_away_is_taken_out(void **state)
{
	struct json *dropped = json_new_array();
	char text[2001];
	int64_t start = clock_boot_ms();

	add(*state, ONE("{\"regexp\":\"^(a+)+$\",\"message\":1}"));
	memset(text, 'a', sizeof(text) - 2);
	text[sizeof(text) - 2] = 'b';
	text[sizeof(text) - 1] = '\0';
	for (int i = 0; i < 3; i++)
		assert_null(matcher_set_line(*state, text, strlen(text), dropped));
	assert_int_equal(json_count(dropped), 1);
	assert_int_equal(matcher_set_count(*state), 0);
	assert_true(clock_boot_ms() - start < 20000);
	json_free(dropped);
}

#define TEST_SET(fn) TEST_WITH(fn, setup, teardown)

TEST_MAIN(TEST_SET(finds_a_compiler_warning_under_its_colours),
	TEST_SET(loops_over_the_last_pattern_of_several),
	TEST_SET(the_last_added_goes_first_and_resets_the_others),
	TEST_SET(refuses_definitions_with_what_is_wrong),
	TEST_SET(an_expression_that_runs_away_is_taken_out))
