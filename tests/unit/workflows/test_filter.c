/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "workflows/filter.h"

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define FILES(...)                                                                  \
	.files = LIST(__VA_ARGS__), .files_len = ARRAY_SIZE(LIST(__VA_ARGS__)) - 1, \
	.files_known = true
#define ON_BRANCH(name) .event = "push", .ref_kind = FILTER_REF_BRANCH, .ref = name
#define ON_TAG(name)	.event = "push", .ref_kind = FILTER_REF_TAG, .ref = name

struct filter_case {
	struct filter_rules rules;
	struct filter_event event;
	bool starts;
	const char *reason;
};

static void check(const struct filter_case *cases, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		_cleanup_(strbuf_done) struct strbuf reason = STRBUF_INIT;
		struct err err = ERR_INIT;
		bool got = false;

		assert_ok(filter_match(
				  &cases[i].rules, &cases[i].event, &got, &reason, &err),
			&err);
		if (got != cases[i].starts || strcmp(reason.buf, cases[i].reason) != 0)
			fail_msg("case %zu: %s: %s", i, got ? "starts" : "stays",
				reason.buf);
	}
}

static void pushes_are_filtered_by_branch_and_tag(void **state)
{
	const struct filter_case cases[] = {
		{ { .event = "push" }, { ON_BRANCH("main") }, true,
			"event 'push' starts it" },
		{ { .event = "pull_request" }, { ON_BRANCH("main") }, false,
			"the workflow waits for 'pull_request', not for 'push'" },
		{ { .event = "push", .branches = LIST("main", "rel/**") },
			{ ON_BRANCH("rel/1") }, true,
			"branch 'rel/1' matches branches: rel/**" },
		{ { .event = "push", .branches = LIST("main", "rel/**") },
			{ ON_BRANCH("dev") }, false,
			"branch 'dev' matches none of branches: main, rel/**" },
		{ { .event = "push", .branches = LIST("**", "!wip/**") },
			{ ON_BRANCH("wip/x") }, false,
			"branch 'wip/x' is excluded by branches: !wip/**" },
		{ { .event = "push", .branches_ignore = LIST("wip/**") },
			{ ON_BRANCH("wip/x") }, false,
			"branch 'wip/x' matches branches-ignore: wip/**" },
		{ { .event = "push", .branches_ignore = LIST("wip/**") },
			{ ON_BRANCH("x") }, true,
			"branch 'x' is not among branches-ignore" },
		{ { .event = "push", .tags = LIST("v*") }, { ON_BRANCH("main") }, false,
			"only tags are named, and 'main' is a branch" },
		{ { .event = "push", .branches = LIST("main") }, { ON_TAG("v1") }, false,
			"only branches are named, and 'v1' is a tag" },
		{ { .event = "push", .branches = LIST("main"), .tags = LIST("v*") },
			{ ON_TAG("v1") }, true, "tag 'v1' matches tags: v*" },
		{ { .event = "push", .tags_ignore = LIST("v*") }, { ON_TAG("v1") }, false,
			"tag 'v1' matches tags-ignore: v*" },
		{ { .event = "push" }, { ON_BRANCH("gone"), .is_delete = true }, false,
			"the push removes 'gone'" },
		{ { .event = "push",
			  .branches = LIST("a", "b", "c", "d", "e", "f", "g", "h") },
			{ ON_BRANCH("x") }, false,
			"branch 'x' matches none of branches: a, b, c, d, e, f, ..." },
	};

	check(cases, ARRAY_SIZE(cases));
}

static void pushes_are_filtered_by_changed_paths(void **state)
{
	const struct filter_case cases[] = {
		{ { .event = "push", .paths = LIST("src/**") },
			{ ON_BRANCH("main"), FILES("README", "src/a.c") }, true,
			"changed path 'src/a.c' matches paths: src/**" },
		{ { .event = "push", .paths = LIST("src/**", "!**.md") },
			{ ON_BRANCH("main"), FILES("src/a.md") }, false,
			"no changed path (of 1) matches paths: src/**, !**.md" },
		{ { .event = "push", .paths_ignore = LIST("docs/**", "**.md") },
			{ ON_BRANCH("main"), FILES("docs/x", "a.md") }, false,
			"every changed path matches paths-ignore: docs/**, **.md" },
		{ { .event = "push", .paths_ignore = LIST("docs/**") },
			{ ON_BRANCH("main"), FILES("docs/x", "a.c") }, true,
			"changed path 'a.c' is not among paths-ignore" },
		{ { .event = "push", .paths = LIST("src/**") }, { ON_BRANCH("main") },
			true, "the changed paths are unknown or too many to look at" },
		{ { .event = "push", .paths = LIST("src/**") },
			{ ON_BRANCH("main"), .files_known = true }, false,
			"no changed path (of 0) matches paths: src/**" },
		{ { .event = "push", .paths = LIST("src/**") },
			{ ON_TAG("v1"), FILES("x") }, true, "event 'push' starts it" },
		{ { .event = "push", .branches = LIST("main"), .paths = LIST("src/**") },
			{ ON_BRANCH("main"), FILES("x") }, false,
			"branch 'main' matches branches: main; no changed path (of 1) "
			"matches paths: "
			"src/**" },
		{ { .event = "push", .branches = LIST("main"), .paths = LIST("src/**") },
			{ ON_BRANCH("dev"), FILES("src/x") }, false,
			"branch 'dev' matches none of branches: main" },
	};

	check(cases, ARRAY_SIZE(cases));
}

static void other_events_have_types_and_other_branches(void **state)
{
	const struct filter_case cases[] = {
		{ { .event = "pull_request" },
			{ .event = "pull_request", .action = "opened" }, true,
			"event 'pull_request' starts it" },
		{ { .event = "pull_request" },
			{ .event = "pull_request", .action = "labeled" }, false,
			"type 'labeled' is not among the default types: opened, "
			"synchronize, reopened" },
		{ { .event = "pull_request", .types = LIST("labeled") },
			{ .event = "pull_request", .action = "opened" }, false,
			"type 'opened' is not among the types: labeled" },
		{ { .event = "issues" }, { .event = "issues", .action = "pinned" }, true,
			"event 'issues' starts it" },
		{ { .event = "pull_request", .branches = LIST("main") },
			{ .event = "pull_request", .action = "opened", .base = "main" },
			true, "base branch 'main' matches branches: main" },
		{ { .event = "pull_request", .branches = LIST("main") },
			{ .event = "pull_request", .action = "opened", .base = "dev" },
			false, "base branch 'dev' matches none of branches: main" },
		{ { .event = "pull_request", .paths = LIST("a/**") },
			{ .event = "pull_request",
				.action = "opened",
				.base = "dev",
				FILES("b") },
			false, "no changed path (of 1) matches paths: a/**" },
		{ { .event = "workflow_run",
			  .workflows = LIST("CI"),
			  .branches = LIST("main") },
			{ .event = "workflow_run",
				.action = "completed",
				.workflow = "CI",
				.head = "main" },
			true, "head branch 'main' matches branches: main" },
		{ { .event = "workflow_run", .workflows = LIST("CI") },
			{ .event = "workflow_run", .workflow = "Docs" }, false,
			"workflow 'Docs' is not among the workflows: CI" },
	};

	check(cases, ARRAY_SIZE(cases));
}

static void a_broken_pattern_is_an_error_that_names_its_list(void **state)
{
	struct filter_rules rules = { .event = "push", .branches = LIST("ok", "[z") };
	struct filter_event event = { ON_BRANCH("main") };
	struct err err = ERR_INIT;
	bool got = false;

	assert_int_equal(filter_match(&rules, &event, &got, NULL, &err), -1);
	assert_err(&err, ERR_INPUT,
		"branches: '[z': '[' without its ']'; for the character itself write "
		"'\\['");
}

static void note(const struct filter_finding *f, void *data)
{
	strbuf_addf(data, "%s[%zu]+%zu %s\n", filter_list_name(f->list), f->index,
		f->offset, f->msg);
}

static void checking_finds_everything_wrong(void **state)
{
	struct filter_rules rules = { .event = "push",
		.branches = LIST("main"),
		.branches_ignore = LIST("dev"),
		.tags = LIST("!v1"),
		.paths = LIST("a", "+x") };
	struct filter_rules good = { .event = "push",
		.branches = LIST("**", "!x"),
		.paths_ignore = LIST("docs/**") };
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;

	assert_int_equal(filter_check(&rules, note, &sb), 3);
	assert_string_equal(sb.buf, "branches-ignore[0]+0 'branches' and "
				    "'branches-ignore' cannot both be given; "
				    "exclude with '!' in 'branches'\n"
				    "tags[0]+0 patterns with '!' alone match nothing; "
				    "put one without '!' before them, "
				    "such as '**', or use the -ignore form\n"
				    "paths[1]+0 '+' needs a plain character before it: "
				    "it means one or more of that; "
				    "for the character itself write '\\+'\n");
	assert_int_equal(filter_check(&good, note, &sb), 0);
}

TEST_MAIN(TEST(pushes_are_filtered_by_branch_and_tag),
	TEST(pushes_are_filtered_by_changed_paths),
	TEST(other_events_have_types_and_other_branches),
	TEST(a_broken_pattern_is_an_error_that_names_its_list),
	TEST(checking_finds_everything_wrong))
