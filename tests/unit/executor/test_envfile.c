/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "base/limits.h"
#include "executor/envfile.h"

static int note(
	const char *name, const char *value, size_t len, void *ctx, struct err *err)
{
	struct strbuf *out = ctx;

	if (strcmp(name, "refuse") == 0)
		return err_set(err, ERR_DENIED, "not this one");
	assert_int_equal(strlen(value), len);
	strbuf_addf(out, "[%s=%s]", name, value);
	return 0;
}

/* The runner's own cases (SetEnvFileCommandL0 and its kin), then ours. */
static const struct {
	const char *in, *want, *fault;
} files[] = {
	{ "", "", NULL },
	{ "\n\n\n", "", NULL },
	{ "A=1", "[A=1]", NULL },
	{ "A=1\n", "[A=1]", NULL },
	{ "\nA=1\n\nB=2\n\n", "[A=1][B=2]", NULL },
	{ "A=", "[A=]", NULL },
	{ "A=\n", "[A=]", NULL },
	{ "A = 1 \n", "[A = 1 ]", NULL },
	{ "A==1=\n", "[A==1=]", NULL },
	{ "A=1<<EOF\n", "[A=1<<EOF]", NULL },
	{ "=1\n", "[=1]", NULL },
	{ "A=1\r\n", "[A=1\r]", NULL },
	{ "A<<EOF\nEOF\n", "[A=]", NULL },
	{ "A<<EOF\nEOF", "[A=]", NULL },
	{ "A<<EOF\n\nEOF\n", "[A=]", NULL },
	{ "A<<EOF\n\n\nEOF\n", "[A=\n]", NULL },
	{ "A<<EOF\none\ntwo\nEOF\n", "[A=one\ntwo]", NULL },
	{ "A<<EOF\none\n\nEOF\nB=2\n", "[A=one\n][B=2]", NULL },
	{ "A<<EOF\none\ntwo\nEOF\nB<<EOF\nx\nEOF", "[A=one\ntwo][B=x]", NULL },
	{ "A<<EOF\n=EOF\nEOF x\n EOF\nEOF\n", "[A==EOF\nEOF x\n EOF]", NULL },
	{ "A<<=EOF\nhello\none\n=EOF\n", "[A=hello\none]", NULL },
	{ "A<<EOF\r\nx\nEOF\r\n", "[A=x]", NULL },
	{ "A<<<EOF\nx\n<EOF\n", "[A=x]", NULL },
	{ "A <<EOF\nx\nEOF\n", "[A =x]", NULL },
	{ "\xef\xbb\xbf"
	  "A=1\n",
		"[A=1]", NULL },
	{ "A=1\nnothing\nB=2\n", "[A=1]", "Invalid format 'nothing'" },
	{ " \n", "", "Invalid format ' '" },
	{ "A=1\n<<EOF\nx\nEOF\n", "[A=1]",
		"Invalid format '<<EOF'. Name must not be empty and delimiter must not be empty" },
	{ "A<<\nx\n\n", "",
		"Invalid format 'A<<'. Name must not be empty and delimiter must not be empty" },
	{ "A<<EOF\nx\n", "", "Invalid value. Matching delimiter not found 'EOF'" },
	{ "A<<EOF", "", "Invalid value. Matching delimiter not found 'EOF'" },
	{ "A<<EOF\nx\nyEOF", "", "Invalid value. EOF marker missing new line." },
	{ "A=1\nrefuse=1\nB=2\n", "[A=1]", "not this one" },
};

static void reads_what_the_runner_reads_and_faults_in_its_words(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
		struct err err = ERR_INIT;
		int r = envfile_parse(files[i].in, strlen(files[i].in), LIMIT_ENV_VALUE,
			note, &out, &err);

		assert_string_equal(out.buf, files[i].want);
		assert_int_equal(r, files[i].fault ? -1 : 0);
		if (files[i].fault)
			assert_string_equal(err.msg, files[i].fault);
	}
}

static void refuses_a_nul_byte(void **state)
{
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct err err = ERR_INIT;

	assert_int_equal(
		envfile_parse("A=x\0y\n", 6, LIMIT_ENV_VALUE, note, &out, &err), -1);
	assert_err(&err, ERR_INPUT, "Invalid value. 'A' holds a NUL byte");
	assert_int_equal(
		envfile_parse("A\0B=y\n", 6, LIMIT_ENV_VALUE, note, &out, &err), -1);
	assert_err(&err, ERR_INPUT, "Invalid value. 'A' holds a NUL byte");
}

static void refuses_what_could_not_be_executed(void **state)
{
	_cleanup_(strbuf_done) struct strbuf in = STRBUF_INIT, out = STRBUF_INIT;
	struct err err = ERR_INIT;

	strbuf_adds(&in, "B=1\nA=");
	for (int i = 0; i < LIMIT_ENV_VALUE; i++)
		strbuf_addc(&in, 'x');
	assert_int_equal(
		envfile_parse(in.buf, in.len, LIMIT_ENV_VALUE, note, &out, &err), -1);
	assert_err_has(&err, ERR_LIMIT, "'A' has 131072 bytes");
	assert_string_equal(out.buf, "[B=1]");
	assert_ok(envfile_parse(in.buf, in.len, LIMIT_OUTPUT_TOTAL, note, &out, &err),
		&err);
}

static void refuses_more_values_than_the_limit(void **state)
{
	_cleanup_(strbuf_done) struct strbuf in = STRBUF_INIT, out = STRBUF_INIT;
	struct err err = ERR_INIT;

	for (int i = 0; i <= LIMIT_ENV_KEYS; i++)
		strbuf_addf(&in, "K%d=1\n", i);
	assert_int_equal(
		envfile_parse(in.buf, in.len, LIMIT_ENV_VALUE, note, &out, &err), -1);
	assert_err_has(&err, ERR_LIMIT, "4096");
}

static void later_path_entries_go_first_and_repeated_ones_move(void **state)
{
	struct strvec lines = STRVEC_INIT, paths = STRVEC_INIT;
	struct err err = ERR_INIT;
	static const char in[] = "/a\n\n/b\r\n/c\n/a";
	char *joined;

	assert_ok(envfile_parse_paths(in, sizeof(in) - 1, &lines, &err), &err);
	assert_int_equal(lines.len, 4);
	strvec_foreach (p, &lines)
		envfile_path_add(&paths, *p);
	joined = envfile_path_join(&paths, "/usr/bin:/bin");
	assert_string_equal(joined, "/a:/c:/b:/usr/bin:/bin");
	free(joined);
	joined = envfile_path_join(&paths, NULL);
	assert_string_equal(joined, "/a:/c:/b");
	free(joined);
	strvec_done(&lines);
	strvec_done(&paths);
	joined = envfile_path_join(&paths, "/bin");
	assert_string_equal(joined, "/bin");
	free(joined);
	assert_int_equal(envfile_parse_paths("a\0b\n", 4, &lines, &err), -1);
	assert_err(&err, ERR_INPUT, "'a' holds a NUL byte");
}

TEST_MAIN(TEST(reads_what_the_runner_reads_and_faults_in_its_words),
	TEST(refuses_a_nul_byte), TEST(refuses_what_could_not_be_executed),
	TEST(refuses_more_values_than_the_limit),
	TEST(later_path_entries_go_first_and_repeated_ones_move))
