/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "base/clock.h"
#include "base/limits.h"
#include "workflows/glob.h"

struct glob_case {
	const char *pattern, *name;
	bool matches;
};

static void check(const struct glob_case *cases, size_t len, bool is_path)
{
	for (size_t i = 0; i < len; i++) {
		const struct glob_case *c = &cases[i];
		struct glob_error error = { 0 };
		struct glob *g = NULL;
		bool got;

		if ((is_path ? glob_path_compile : glob_compile)(
			    c->pattern, strlen(c->pattern), &g, &error) < 0)
			fail_msg("'%s' is refused: %s", c->pattern, error.msg);
		got = is_path ? glob_path_match_tree(g, c->name, strlen(c->name), false)
			      : glob_match(g, c->name, strlen(c->name));
		glob_free(g);
		if (got != c->matches)
			fail_msg("'%s' %s '%s'", c->pattern, got ? "matches" : "misses",
				c->name);
	}
}

static void filter_patterns_match_whole_names(void **state)
{
	static const struct glob_case cases[] = {
		{ "main", "main", true },
		{ "main", "Main", false },
		{ "main", "main2", false },
		{ "main", "xmain", false },
		{ "*", "main", true },
		{ "*", "a/b", false },
		{ "*", "", true },
		{ "**", "a/b", true },
		{ "**", "", true },
		{ "feature/*", "feature/a", true },
		{ "feature/*", "feature/a/b", false },
		{ "feature/**", "feature/a/b", true },
		{ "feature/**", "feature", false },
		{ "**/docs/**", "docs/x", true },
		{ "**/docs/**", "a/b/docs/x/y", true },
		{ "**/docs/**", "xdocs/y", false },
		{ "docs/**/*.md", "docs/a.md", true },
		{ "docs/**/*.md", "docs/a/b/c.md", true },
		{ "docs/**/*.md", "docs/a", false },
		{ "**.js", "a/b.js", true },
		{ "*.jsx?", "a.js", true },
		{ "*.jsx?", "a.jsx", true },
		{ "*.jsx?", "a.jsxx", false },
		{ "v[0-9]+", "v12", true },
		{ "v[0-9]+", "v", false },
		{ "v[0-9]+", "v1a", false },
		{ "v[0-9]+.[0-9]?", "v1.", true },
		{ "ab+", "abbb", true },
		{ "ab+", "a", false },
		{ "[a-cx]", "x", true },
		{ "[a-cx]", "d", false },
		{ "[a-c]", "-", false },
		{ "\\*", "*", true },
		{ "\\*", "x", false },
		{ "a\\+b", "a+b", true },
		{ "\\!x", "!x", true },
		{ "a.b", "axb", false },
		{ "é?", "", true },
		{ "é+", "éé", true },
		{ "[é-ü]", "ö", true },
		{ "a**/b", "ax/b", true },
		{ "a**/b", "ab", true },
		{ "***", "a/b", true },
		{ "a*b*c", "aXbYc", true },
		{ "a*b*c", "aXbY/c", false },
		{ "\xFF*", "\xFFx", true },
		{ "[\\]]", "]", true },
	};

	check(cases, ARRAY_SIZE(cases), false);
}

static void path_patterns_match_part_by_part(void **state)
{
	static const struct glob_case cases[] = {
		{ "a.txt", "a.txt", true },
		{ "./a.txt", "a.txt", true },
		{ "a.txt", "b/a.txt", false },
		{ "*.txt", "a.txt", true },
		{ "*.txt", "b/a.txt", false },
		{ "**/*.txt", "a.txt", true },
		{ "**/*.txt", "a/b/c.txt", true },
		{ "**/*.txt", "a/b/c.md", false },
		{ "a/**", "a", true },
		{ "a/**", "a/b/c", true },
		{ "a/**", "ab", false },
		{ "a/**/c", "a/c", true },
		{ "a/**/c", "a/x/y/c", true },
		{ "a/**/**/c", "a/c", true },
		{ "a/**/**", "a", true },
		{ "**", "x/y", true },
		{ "a", "a/b/c", true },
		{ "a", "ab/c", false },
		{ "a/", "a/b", true },
		{ "a/", "a", false },
		{ "a/*", "a/b/c", true },
		{ "?", "x", true },
		{ "?", "xy", false },
		{ "?", "/", false },
		{ "[ab]", "b", true },
		{ "[!ab]", "c", true },
		{ "[^ab]", "a", false },
		{ "[!a]", "/", false },
		{ "[ab", "[ab", true },
		{ "a[]b", "a[]b", true },
		{ "a**b", "axyb", true },
		{ "a**b", "ax/b", false },
		{ "a//b", "a/b", true },
		{ ".hidden", ".hidden", true },
		{ "*", ".hidden", true },
		{ "x\\*", "x*", true },
		{ "x\\", "x\\", true },
		{ "a+", "a+", true },
		{ "a{b,c}", "ab", false },
		{ "@(a)", "@(a)", true },
		{ ".", "any/thing", true },
		{ "***", "a", true },
		{ "a/***", "a/b", true },
	};

	check(cases, ARRAY_SIZE(cases), true);
}

static void a_folder_is_entered_only_when_it_may_hold_something(void **state)
{
	static const struct glob_case cases[] = {
		{ "a/b/*.c", "", true },
		{ "a/b/*.c", "a", true },
		{ "a/b/*.c", "a/b", true },
		{ "a/b/*.c", "a/c", false },
		{ "a/b/*.c", "a/b/c", false },
		{ "**/x", "q/r", true },
		{ "a/**", "a/b/c", true },
		{ "a/**", "b", false },
		{ "*.c", "src", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct glob *g = NULL;
		bool got;

		assert_int_equal(glob_path_compile(cases[i].pattern,
					 strlen(cases[i].pattern), &g, NULL),
			0);
		got = glob_path_may_match_below(g, cases[i].name, strlen(cases[i].name));
		glob_free(g);
		if (got != cases[i].matches)
			fail_msg("'%s' below '%s': %d", cases[i].pattern, cases[i].name,
				got);
	}
}

static void the_search_begins_where_the_wildcards_do(void **state)
{
	static const struct {
		const char *pattern, *base;
	} cases[] = {
		{ "a/b/*.c", "a/b" },
		{ "a/b.c", "a/b.c" },
		{ "*.c", "" },
		{ "a*/b", "" },
		{ "a/**", "a" },
		{ "a/**/b", "a" },
		{ "**", "" },
		{ "!x/y/*", "x/y" },
		{ "./a/?", "a" },
		{ "a\\*/b", "a*/b" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct glob *g = NULL;

		assert_int_equal(glob_path_compile(cases[i].pattern,
					 strlen(cases[i].pattern), &g, NULL),
			0);
		if (strcmp(glob_path_base(g), cases[i].base) != 0)
			fail_msg("'%s' begins at '%s'", cases[i].pattern,
				glob_path_base(g));
		glob_free(g);
	}
}

static void broken_patterns_are_explained(void **state)
{
	static const struct {
		const char *pattern;
		size_t offset;
		const char *msg;
	} cases[] = {
		{ "", 0, "the pattern is empty" },
		{ "!", 0, "'!' excludes a pattern, and there is none" },
		{ "a[b", 1, "'[' without its ']'; for the character itself write '\\['" },
		{ "a[]", 1, "'[]' lists no character" },
		{ "[z-a]", 1, "the range 'z-a' runs backwards" },
		{ "[a-]", 2, "the range in '[]' has no end" },
		{ "a\\", 1,
			"'\\' at the end has no character to escape; for a backslash "
			"write '\\\\'" },
		{ "?a", 0,
			"'?' needs a plain character before it: it means zero or one of "
			"that; for the "
			"character itself write '\\?'" },
		{ "a*+", 2,
			"'+' needs a plain character before it: it means one or more of "
			"that; for the "
			"character itself write '\\+'" },
		{ "a?+", 2,
			"'+' needs a plain character before it: it means one or more of "
			"that; for the "
			"character itself write '\\+'" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct glob_error error = { 0 };
		struct glob *g = NULL;

		assert_int_equal(glob_compile(cases[i].pattern, strlen(cases[i].pattern),
					 &g, &error),
			-1);
		if (error.offset != cases[i].offset ||
			strcmp(error.msg, cases[i].msg) != 0)
			fail_msg("'%s': %zu %s", cases[i].pattern, error.offset,
				error.msg);
	}
}

static void paths_cannot_climb(void **state)
{
	static const char *const bad[] = { "../x", "a/../b", "a/./b", "a/..", "/etc/x",
		"!" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct glob *g = NULL;

		if (glob_path_compile(bad[i], strlen(bad[i]), &g, NULL) == 0)
			fail_msg("'%s' was accepted", bad[i]);
	}
}

static void a_long_pattern_is_refused(void **state)
{
	char pattern[LIMIT_GLOB_PATTERN + 2];
	struct glob *g = NULL;

	memset(pattern, 'a', sizeof(pattern));
	assert_int_equal(glob_compile(pattern, LIMIT_GLOB_PATTERN + 1, &g, NULL), -1);
	assert_int_equal(glob_compile(pattern, LIMIT_GLOB_PATTERN, &g, NULL), 0);
	assert_true(glob_match(g, pattern, LIMIT_GLOB_PATTERN));
	glob_free(g);
}

static void the_last_pattern_that_matches_decides(void **state)
{
	static const char *const patterns[] = { "**.md", "!README.md", "docs/README.md" };
	static const struct {
		const char *name;
		bool is_selected;
		size_t which;
	} cases[] = {
		{ "a.md", true, 0 },
		{ "README.md", false, 1 },
		{ "docs/README.md", true, 2 },
		{ "a.c", false, 3 },
	};
	_cleanup_(glob_list_freep) struct glob_list *l = NULL;

	assert_int_equal(glob_list_compile(patterns, 3, &l, NULL, NULL), 0);
	assert_true(glob_list_has_positive(l));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t which = 99;

		assert_int_equal(glob_list_selects(
					 l, cases[i].name, strlen(cases[i].name), &which),
			cases[i].is_selected);
		assert_int_equal(which, cases[i].which);
	}
}

static void a_list_says_which_pattern_is_broken(void **state)
{
	static const char *const patterns[] = { "a", "[", "b" };
	struct glob_list *l = NULL;
	struct glob_error error;
	size_t bad = 9;

	assert_int_equal(glob_list_compile(patterns, 3, &l, &bad, &error), -1);
	assert_int_equal(bad, 1);
}

/* 4,000 characters against 4,000: a backtracking matcher would not see the end. */
static void no_pattern_makes_a_match_slow(void **state)
{
	static const char *const parts[] = { "**/", "*a", "a?", "a+", "**", "[a-b]?" };
	char name[4001];

	memset(name, 'a', sizeof(name) - 1);
	for (size_t i = 100; i < sizeof(name) - 1; i += 100)
		name[i] = '/';
	name[sizeof(name) - 1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		_cleanup_(strbuf_done) struct strbuf pattern = STRBUF_INIT;
		_cleanup_(glob_freep) struct glob *g = NULL;
		int64_t start = clock_boot_ms();

		while (pattern.len + strlen(parts[i]) + 1 < 4000)
			strbuf_adds(&pattern, parts[i]);
		strbuf_addc(&pattern, 'z');
		assert_int_equal(glob_compile(pattern.buf, pattern.len, &g, NULL), 0);
		assert_false(glob_match(g, name, strlen(name)));
		if (clock_boot_ms() - start > 2000)
			fail_msg("'%.10s...' takes too long", pattern.buf);
	}
}

static void note(const struct glob_error *m, void *data)
{
	strbuf_addf(data, "%zu: %s\n", m->offset, m->msg);
}

static void likely_mistakes_are_told(void **state)
{
	static const struct {
		const char *pattern;
		bool is_ref;
		const char *told;
	} cases[] = {
		{ "main", true, "" },
		{ "v[0-9]+.*", true, "" },
		{ "src/**", false, "" },
		{ "a b", true, "1: the name of a branch or tag never holds ' '\n" },
		{ "/main", true,
			"0: the name of a branch or tag never begins with '/'\n" },
		{ "main/", true, "4: the name of a branch or tag never ends in '/'\n" },
		{ "^v", true, "0: the name of a branch or tag never holds '^'\n" },
		{ "a\\[", true, "2: the name of a branch or tag never holds '['\n" },
		{ "v[1].x", true, "1: '[1]' is just '1'\n" },
		{ "./src/*", false,
			"0: '.' matches no path: paths are counted from the top of the "
			"repository, "
			"without '.' and '..'\n" },
		{ "a/../b", false,
			"2: '..' matches no path: paths are counted from the top of the "
			"repository, "
			"without '.' and '..'\n" },
		{ "a ", false,
			"1: a space at the end of a pattern is part of the path\n" },
		{ "", false, "0: the pattern is empty\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
		size_t n = glob_check(cases[i].pattern, strlen(cases[i].pattern),
			cases[i].is_ref, note, &sb);

		assert_string_equal(sb.buf, cases[i].told);
		assert_int_equal(n, *cases[i].told != '\0');
	}
}

TEST_MAIN(TEST(filter_patterns_match_whole_names), TEST(path_patterns_match_part_by_part),
	TEST(a_folder_is_entered_only_when_it_may_hold_something),
	TEST(the_search_begins_where_the_wildcards_do),
	TEST(broken_patterns_are_explained), TEST(paths_cannot_climb),
	TEST(a_long_pattern_is_refused), TEST(the_last_pattern_that_matches_decides),
	TEST(a_list_says_which_pattern_is_broken), TEST(no_pattern_makes_a_match_slow),
	TEST(likely_mistakes_are_told))
