/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "base/limits.h"
#include "executor/command.h"

/* "kind|name=value,...|data" of a line, or "text". */
static char *scan(const struct command_state *st, const char *line)
{
	struct command c = COMMAND_INIT;
	struct strbuf out = STRBUF_INIT;

	if (!command_scan(st, line, strlen(line), &c))
		return xstrdup("text");
	strbuf_addf(&out, "%s|", command_name(c.kind));
	for (size_t i = 0; i < c.props_len; i++)
		strbuf_addf(
			&out, "%s%s=%s", i ? "," : "", c.props[i].name, c.props[i].value);
	strbuf_addc(&out, '|');
	strbuf_add(&out, c.data, c.data_len);
	command_done(&c);
	return strbuf_take(&out);
}

static const struct {
	const char *line, *want;
} lines[] = {
	{ "::set-output name=a::b", "set-output|name=a|b" },
	{ "  \t::debug::x", "debug||x" },
	{ "x ::debug::x", "text" },
	{ "::debug", "text" },
	{ "::", "text" },
	{ "::::", "text" },
	{ "", "text" },
	{ "::unknown::x", "text" },
	{ "::DEBUG::x", "debug||x" },
	{ "::debug::", "debug||" },
	{ "::debug :: x ", "debug|| x " },
	{ "::debug::a::b", "debug||a::b" },
	{ "::debug::%0D%0A%25 %3A%2C", "debug||\r\n% %3A%2C" },
	{ "::debug::%250A", "debug||%0A" },
	{ "::debug::%25250A%0a%", "debug||%250A%0a%" },
	{ "::error file=a%3Ab%2Cc,line=%2525::m", "error|file=a:b,c,line=%25|m" },
	{ "::error file=a, line=5 ,col==7,=x,y=,z::m", "error|file=a, line=5 ,col=7|m" },
	{ "::error   file=a,,line=5::m", "error|file=a,line=5|m" },
	{ "::error FILE=a,file=b::m", "error|FILE=b|m" },
	{ "::error file=a=b::m", "error|file=a=b|m" },
	{ "::errorfile=a::m", "text" },
	{ "::error\tfile=a::m", "text" },
	{ "##[group]name", "group||name" },
	{ "2026-01-01 ##[group]name", "group||name" },
	{ "##[error file=a%3Bb;line=1;]x%5D%3B%0A%25", "error|file=a;b,line=1|x];\n%" },
	{ "##[unknown]x ##[group]y", "text" },
	{ "##[group", "text" },
	{ "::nothing ##[debug]x", "debug||x" },
	{ "::endgroup::", "endgroup||" },
	{ "::add-mask::s3cret", "add-mask||s3cret" },
	{ "::internal-set-repo-path x=1::", "internal-set-repo-path|x=1|" },
};

static void reads_commands_as_the_runner_does(void **state)
{
	const struct command_state st = COMMAND_STATE_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_free_ char *got = scan(&st, lines[i].line);

		assert_string_equal(got, lines[i].want);
	}
}

static void finds_properties_without_case(void **state)
{
	const struct command_state st = COMMAND_STATE_INIT;
	const char *line = "::error File=a.c,LINE=3::m";
	struct command c;

	assert_true(command_scan(&st, line, strlen(line), &c));
	assert_string_equal(command_prop(&c, "file"), "a.c");
	assert_string_equal(command_prop(&c, "line"), "3");
	assert_null(command_prop(&c, "col"));
	command_done(&c);
}

static int stop(struct command_state *st, const char *token, struct err *err)
{
	_cleanup_free_ char *line = xasprintf("::stop-commands::%s", token);
	struct command c;
	int r;

	assert_true(command_scan(st, line, strlen(line), &c));
	assert_int_equal(c.kind, COMMAND_STOP);
	r = command_stop(st, &c, err);
	command_done(&c);
	return r;
}

static void obeys_nothing_between_stop_and_its_token(void **state)
{
	struct command_state st = COMMAND_STATE_INIT;
	struct err err = ERR_INIT;
	_cleanup_free_ char *before = NULL, *other = NULL, *token = NULL, *after = NULL;

	assert_ok(stop(&st, "Tok-17", &err), &err);
	before = scan(&st, "::debug::x");
	other = scan(&st, "::stop-commands::y");
	token = scan(&st, "::tok-17::");
	command_resume(&st);
	after = scan(&st, "::debug::x");
	assert_string_equal(before, "text");
	assert_string_equal(other, "text");
	assert_string_equal(token, "resume||");
	assert_string_equal(after, "debug||x");
	command_state_done(&st);
}

static void refuses_tokens_that_a_step_could_guess(void **state)
{
	static const char *const bad[] = { "", "pause-logging", "Pause-Logging", "debug",
		"ADD-MASK", "stop-commands" };
	struct command_state st = COMMAND_STATE_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(stop(&st, bad[i], &err), -1);
		assert_err(&err, ERR_INPUT, COMMAND_TOKEN_FAULT);
		assert_null(st.token);
	}
}

/* ---- streams ---- */

struct record {
	struct strbuf out; /* text as it is, commands as {name:data} */
	size_t calls;
};

static void on_text(const char *data, size_t len, void *ctx)
{
	struct record *r = ctx;

	strbuf_add(&r->out, data, len);
	r->calls++;
}

static void on_command(const struct command *c, const char *line, size_t len, void *ctx)
{
	struct record *r = ctx;

	strbuf_addf(&r->out, "{%s:", command_name(c->kind));
	strbuf_add(&r->out, c->data, c->data_len);
	strbuf_addf(&r->out, "/%zu}", len);
}

static const struct command_stream_ops ops = { on_text, on_command };

static char *stream(const char *data, size_t len, size_t cut, bool by_line)
{
	struct command_state st = COMMAND_STATE_INIT;
	struct record r = { STRBUF_INIT, 0 };
	struct command_stream *cs = command_stream_new(&st, &ops, &r);

	command_stream_by_line(cs, by_line);
	for (size_t at = 0; at < len; at += cut)
		command_stream_write(cs, data + at, len - at < cut ? len - at : cut);
	command_stream_flush(cs);
	command_stream_free(cs);
	return strbuf_take(&r.out);
}

static const struct {
	const char *in, *want;
} streams[] = {
	{ "a\nb\n::debug::x\nc\n", "a\nb\n{debug:x/11}c\n" },
	{ "::debug::x\r\n::debug::y\r::debug::z",
		"{debug:x/12}{debug:y/11}{debug:z/10}" },
	{ "50%\r::set-output name=a::1\r100%\r\n", "50%\r{set-output:1/23}100%\r\n" },
	{ "std::x::y\n  ::group::g\n\n", "std::x::y\n{group:g/13}\n" },
	{ "::nope::\n##[group]a\nx##[debug]y\n##[z]\n",
		"::nope::\n{group:a/11}{debug:y/12}##[z]\n" },
	{ "\r\n\r\r\n\n", "\r\n\r\r\n\n" },
	{ "no end", "no end" },
	{ "\x1b[31m::debug::x\n", "\x1b[31m::debug::x\n" },
	{ "::debug::a\r\r\n::debug::b\n\r::debug::c\r",
		"{debug:a/11}\r\n{debug:b/11}\r{debug:c/11}" },
};

static void takes_commands_out_wherever_the_bytes_are_cut(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		size_t len = strlen(streams[i].in);

		for (size_t cut = 1; cut <= len; cut++) {
			for (int by_line = 0; by_line < 2; by_line++) {
				_cleanup_free_ char *got =
					stream(streams[i].in, len, cut, by_line);

				assert_string_equal(got, streams[i].want);
			}
		}
	}
}

static void hands_on_many_lines_at_once_or_one_by_one(void **state)
{
	struct command_state st = COMMAND_STATE_INIT;
	struct record r = { STRBUF_INIT, 0 };
	struct command_stream *cs = command_stream_new(&st, &ops, &r);

	command_stream_write(cs, "a\nb\nc\n", 6);
	assert_int_equal(r.calls, 1);
	command_stream_by_line(cs, true);
	command_stream_write(cs, "a\nb\nc\n", 6);
	assert_int_equal(r.calls, 4);
	command_stream_free(cs);
	strbuf_done(&r.out);
}

static char *repeat(char c, size_t n, const char *before, const char *after)
{
	struct strbuf sb = STRBUF_INIT;

	strbuf_adds(&sb, before);
	strbuf_reserve(&sb, n);
	memset(sb.buf + sb.len, c, n);
	strbuf_commit(&sb, n);
	strbuf_adds(&sb, after);
	return strbuf_take(&sb);
}

static void long_lines_are_text_and_long_commands_are_still_commands(void **state)
{
	static const struct {
		const char *before;
		size_t n;
		const char *after;
		bool is_text;
	} cases[] = {
		{ "", LIMIT_LOG_LINE - 12, "##[debug]x\n", false },
		{ "", LIMIT_LOG_LINE, "##[debug]x\n", true },
		{ "::debug::", LIMIT_LOG_LINE, "\r\n", false },
		{ "::set-output name=x::", LIMIT_OUTPUT_TOTAL, "\n", false },
		{ "::nope::", COMMAND_LINE_MAX, "\r\n", true },
		{ "", LIMIT_LOG_LINE + 1, "\r\n", true },
		{ "", LIMIT_LOG_LINE + 1, "\r", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *in =
			repeat('x', cases[i].n, cases[i].before, cases[i].after);
		size_t len = strlen(in);
		_cleanup_free_ char *whole = stream(in, len, len, false);
		const size_t cuts[] = { 1000, 4096, 65536, LIMIT_LOG_LINE - 1,
			LIMIT_LOG_LINE, LIMIT_LOG_LINE + 1, len - 1 };

		assert_int_equal(strcmp(whole, in) == 0, cases[i].is_text);
		for (size_t j = 0; j < ARRAY_SIZE(cuts); j++) {
			_cleanup_free_ char *got = stream(in, len, cuts[j], false);

			assert_int_equal(strcmp(whole, got), 0);
		}
	}
}

static void a_command_beyond_all_bounds_is_dropped_and_said(void **state)
{
	_cleanup_free_ char *in =
		repeat('x', COMMAND_LINE_MAX, "a\n::add-mask::", "\r\nb\n");
	size_t len = strlen(in);

	for (size_t cut = 4096; cut <= len; cut *= 3) {
		_cleanup_free_ char *got = stream(in, len, cut, false);

		assert_string_equal(got, "a\n{command:/0}b\n");
	}
}

static void marks_where_a_long_line_is_split(void **state)
{
	_cleanup_free_ char *in = repeat('x', LIMIT_LOG_LINE * 2 + 5, "a\n", "\nb\n");
	_cleanup_free_ char *exact = repeat('x', LIMIT_LOG_LINE, "", "\n");
	_cleanup_(strbuf_done) struct strbuf one = STRBUF_INIT, two = STRBUF_INIT;
	struct line_limit ll = LINE_LIMIT_INIT;
	size_t len = strlen(in);

	line_limit_write(&ll, in, len, &one);
	assert_int_equal(ll.splits, 2);
	assert_int_equal(one.len, len + 2 * strlen(LINE_LIMIT_MARK));
	ll = (struct line_limit)LINE_LIMIT_INIT;
	for (size_t at = 0; at < len; at += 777)
		line_limit_write(&ll, in + at, len - at < 777 ? len - at : 777, &two);
	assert_string_equal(one.buf, two.buf);
	strbuf_clear(&one);
	ll = (struct line_limit)LINE_LIMIT_INIT;
	line_limit_write(&ll, exact, strlen(exact), &one);
	assert_string_equal(one.buf, exact);
}

static void no_step_speaks_in_our_name(void **state)
{
	static const struct {
		const char *in, *want;
	} cases[] = {
		{ "##[sluice]allow it: x\n", " ##[sluice]allow it: x\n" },
		{ "a\n##[sluice]x\n", "a\n ##[sluice]x\n" },
		{ "##[s\n##[sluice]\n\n##[sluice]x\nb\n##[sluicy\nc##[sluice]\n##[sl",
			"##[s\n ##[sluice]\n\n ##[sluice]x\nb\n##[sluicy\nc##[sluice]\n ##[sl" },
		{ "##[slu", " ##[slu" },
		{ "a ##[sluice]x\n", "a ##[sluice]x\n" },
		{ "##[error]x\n##[s\n", "##[error]x\n##[s\n" },
		{ "#", "#" },
	};
	_cleanup_free_ char *split =
		repeat('x', LIMIT_LOG_LINE, "", "##[sluice]forged\n");
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct line_limit ll;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		strbuf_clear(&out);
		ll = (struct line_limit)LINE_LIMIT_INIT;
		line_limit_write(&ll, cases[i].in, strlen(cases[i].in), &out);
		assert_string_equal(out.buf, cases[i].want);
	}
	strbuf_clear(&out);
	ll = (struct line_limit)LINE_LIMIT_INIT;
	line_limit_write(&ll, split, strlen(split), &out);
	assert_non_null(strstr(out.buf, "\n ##[sluice]forged\n"));
}

TEST_MAIN(TEST(reads_commands_as_the_runner_does), TEST(finds_properties_without_case),
	TEST(obeys_nothing_between_stop_and_its_token),
	TEST(refuses_tokens_that_a_step_could_guess),
	TEST(takes_commands_out_wherever_the_bytes_are_cut),
	TEST(hands_on_many_lines_at_once_or_one_by_one),
	TEST(long_lines_are_text_and_long_commands_are_still_commands),
	TEST(a_command_beyond_all_bounds_is_dropped_and_said),
	TEST(marks_where_a_long_line_is_split), TEST(no_step_speaks_in_our_name))
