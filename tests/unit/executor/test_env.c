/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "executor/env.h"

static void inputs_are_upper_case_with_dashes_kept(void **state)
{
	static const char *const names[][2] = {
		{ "who-to-greet", "INPUT_WHO-TO-GREET" },
		{ "a b", "INPUT_A_B" },
		{ "x_y.z", "INPUT_X_Y.Z" },
		{ "", "INPUT_" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *got = env_input_name(names[i][0]);

		assert_string_equal(got, names[i][1]);
	}
}

static void the_github_context_becomes_variables(void **state)
{
	_cleanup_(value_unrefp) struct value *github = value_new_object();
	_cleanup_(strvec_done) struct strvec env = STRVEC_INIT;

	value_set_str(github, "ref_name", "main");
	value_set(github, "ref_protected", value_new_bool(false));
	value_set_str(github, "head_ref", "");
	value_set_str(github, "token", "not this");
	value_set(github, "event", value_new_object());
	env_of_github(github, &env);
	assert_string_equal(strvec_getenv(&env, "GITHUB_REF_NAME"), "main");
	assert_string_equal(strvec_getenv(&env, "GITHUB_REF_PROTECTED"), "false");
	assert_string_equal(strvec_getenv(&env, "GITHUB_HEAD_REF"), "");
	assert_string_equal(strvec_getenv(&env, "GITHUB_ACTIONS"), "true");
	assert_string_equal(strvec_getenv(&env, "CI"), "true");
	/* The token and the event are never in the environment by themselves. */
	assert_null(strvec_getenv(&env, "GITHUB_TOKEN"));
	assert_null(strvec_getenv(&env, "GITHUB_EVENT"));
	assert_null(strvec_getenv(&env, "GITHUB_SHA"));
}

static void the_runner_context_too(void **state)
{
	_cleanup_(value_unrefp) struct value *runner = value_new_object();
	_cleanup_(strvec_done) struct strvec env = STRVEC_INIT;

	value_set_str(runner, "os", "Linux");
	value_set_str(runner, "tool_cache", "/opt/x");
	env_of_runner(runner, &env);
	assert_string_equal(strvec_getenv(&env, "RUNNER_OS"), "Linux");
	assert_string_equal(strvec_getenv(&env, "RUNNER_TOOL_CACHE"), "/opt/x");
	assert_null(strvec_getenv(&env, "RUNNER_DEBUG"));
}

TEST_MAIN(TEST(inputs_are_upper_case_with_dashes_kept),
	TEST(the_github_context_becomes_variables), TEST(the_runner_context_too))
