/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "executor/script.h"

static const struct {
	const char *shell, *argv, *ext;
} shells[] = {
	{ NULL, "bash|-e|{0}", ".sh" },
	{ "", "bash|-e|{0}", ".sh" },
	{ "bash", "bash|--noprofile|--norc|-e|-o|pipefail|{0}", ".sh" },
	{ "sh", "sh|-e|{0}", ".sh" },
	{ "python", "python|{0}", ".py" },
	{ "pwsh", "pwsh|-command|. '{0}'", ".ps1" },
	{ "perl {0}", "perl|{0}", "" },
	{ "bash -x {0}", "bash|-x|{0}", ".sh" },
	{ "cp {0} action.yml", "cp|{0}|action.yml", "" },
	{ "a \"b c\" {0}", "a|b c|{0}", "" },
	{ "a x{0}y{0}", "a|x{0}y{0}", "" },
	{ "  a\t{0} ", "a|{0}", "" },
	{ "a \"\" {0}", "a||{0}", "" },
};

static void starts_each_shell_as_the_runner_does(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		_cleanup_(shell_done) struct shell s = SHELL_INIT;
		_cleanup_(strbuf_done) struct strbuf got = STRBUF_INIT;
		struct err err = ERR_INIT;

		assert_ok(shell_parse(shells[i].shell, &s, &err), &err);
		for (size_t k = 0; k < s.argv.len; k++)
			strbuf_addf(&got, "%s%s", k ? "|" : "", s.argv.v[k]);
		assert_string_equal(got.buf, shells[i].argv);
		assert_string_equal(s.ext, shells[i].ext);
		if (!shells[i].shell || !*shells[i].shell)
			assert_string_equal(s.fallback, "sh");
		else if (strcmp(shells[i].shell, "python") == 0)
			assert_string_equal(s.fallback, "python3"); /* Debian's name */
		else
			assert_null(s.fallback);
	}
}

static void refuses_a_shell_without_a_place_for_the_script(void **state)
{
	static const char *const bad[] = { "zsh", "bash -x", " ", "a {1}", "a \"{0}" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(shell_done) struct shell s = SHELL_INIT;
		struct err err = ERR_INIT;

		assert_int_equal(shell_parse(bad[i], &s, &err), -1);
		assert_err(&err, ERR_INPUT, NULL);
	}
}

static void powershell_stops_at_errors(void **state)
{
	_cleanup_(shell_done) struct shell s = SHELL_INIT;
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;

	assert_ok(shell_parse("pwsh", &s, &err), &err);
	text = shell_script(&s, "Get-Date");
	assert_has(text, "$ErrorActionPreference = 'stop'\nGet-Date\n");
	assert_has(text, "exit $LASTEXITCODE");
}

static void other_scripts_are_written_as_they_are(void **state)
{
	_cleanup_(shell_done) struct shell s = SHELL_INIT;
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;

	assert_ok(shell_parse("bash", &s, &err), &err);
	text = shell_script(&s, "echo a\necho b");
	assert_string_equal(text, "echo a\necho b\n");
}

TEST_MAIN(TEST(starts_each_shell_as_the_runner_does),
	TEST(refuses_a_shell_without_a_place_for_the_script),
	TEST(powershell_stops_at_errors), TEST(other_scripts_are_written_as_they_are))
