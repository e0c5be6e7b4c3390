/* SPDX-License-Identifier: Apache-2.0 */
/* What reaches a page: hostile text in, harmless markup out. */
#include "tests/lib/test.h"

#include "runner/html.h"

static char *text_of(const char *s, size_t len)
{
	struct strbuf sb = STRBUF_INIT;

	html_textn(&sb, s, len);
	return strbuf_take(&sb);
}

static void escapes_markup(void **state)
{
	_cleanup_free_ char *s = text_of("<a href=\"x\" onclick='y'>&", 25);

	assert_string_equal(s, "&lt;a href=&quot;x&quot; onclick=&#39;y&#39;&gt;&amp;");
}

static void shows_what_cannot_be_seen(void **state)
{
	const char in[] = "a\xe2\x80\xae" "b\xef\xbb\xbf" "c";
	_cleanup_free_ char *s = text_of(in, sizeof(in) - 1);

	assert_string_equal(s, "a<span class=\"odd\">⟨U+202E⟩</span>b"
			       "<span class=\"odd\">⟨U+FEFF⟩</span>c");
}

static void drops_controls_and_mends_bad_utf8(void **state)
{
	const char in[] = "a\x01\x1b\x7f" "b\xc0\xaf\xed\xa0\x80" "c\xff";
	_cleanup_free_ char *s = text_of(in, sizeof(in) - 1);

	assert_null(strchr(s, 0x1b));
	assert_has(s, "ab");
	assert_has(s, "\xef\xbf\xbd");
}

static void puts_three_kinds_of_argument(void **state)
{
	struct strbuf sb = STRBUF_INIT;

	html_put(&sb, "<a href=\"##L#\" class=\"@\">$ costs $$1</a>", 12LL, "b", "<x>");
	assert_string_equal(sb.buf, "<a href=\"#L12\" class=\"b\">&lt;x&gt; costs $1</a>");
	strbuf_done(&sb);
}

struct log_case {
	const char *line, *mark, *want;
};

static const struct log_case log_cases[] = {
	{ "plain", NULL, "plain" },
	{ "\033[31mred\033[0m x", NULL, "<span class=\"ar\">red</span> x" },
	{ "\033[1;32mok\033[m", NULL, "<span class=\"ag b\">ok</span>" },
	{ "\033[38;5;196mx\033[39my", NULL, "<span class=\"ar\">x</span>y" },
	{ "\033[38;2;10;200;10mx", NULL, "<span class=\"ag\">x</span>" },
	{ "\033[2J\033[Hclear", NULL, "clear" },
	{ "\033]0;title\atext", NULL, "text" },
	{ "\033]8;;http://evil/\033\\link\033]8;;\033\\", NULL,
		"<span class=\"odd\">⟨http://evil/⟩</span>link" },
	{ "10%\r50%\r100%", NULL, "100%" },
	{ "an assert Assert", "assert",
		"an <mark>assert</mark> <mark>Assert</mark>" },
	{ "an assert Assert", "Assert", "an assert <mark>Assert</mark>" },
	{ "<script>", NULL, "&lt;script&gt;" },
	{ "cut \033[31", NULL, "cut " },
	{ "\033", NULL, "" },
};

static void renders_log_lines(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(log_cases); i++) {
		struct strbuf sb = STRBUF_INIT;

		html_log(&sb, log_cases[i].line, strlen(log_cases[i].line), log_cases[i].mark, 0);
		assert_string_equal(sb.buf, log_cases[i].want);
		strbuf_done(&sb);
	}
}

static void cuts_long_lines_and_says_how_much(void **state)
{
	struct strbuf sb = STRBUF_INIT;
	_cleanup_free_ char *line = xmalloc(100000);

	memset(line, 'x', 100000);
	html_log(&sb, line, 100000, NULL, 4096);
	assert_true(sb.len < 5000);
	assert_has(sb.buf, "96 kB more in the raw log");
	strbuf_done(&sb);
}

static void knows_kinds_of_lines(void **state)
{
	size_t skip;

	assert_int_equal(log_line_kind("##[error]x", 10, &skip), LOG_LINE_ERROR);
	assert_int_equal(skip, 9);
	assert_int_equal(log_line_kind("##[group]", 9, &skip), LOG_LINE_GROUP);
	assert_int_equal(log_line_kind("##[nothing]", 11, &skip), LOG_LINE_PLAIN);
	assert_int_equal(log_line_kind("x ##[error]", 11, &skip), LOG_LINE_PLAIN);
}

static const struct {
	const char *in, *want;
} markdown_cases[] = {
	{ "# Title", "<h3>Title</h3>\n" },
	{ "a **b** `c`", "<p>a <b>b</b> <code>c</code></p>\n" },
	{ "[x](https://e.example)",
		"<p><a rel=\"noopener noreferrer nofollow\" href=\"https://e.example\">x</a></p>\n" },
	{ "[x](javascript:alert(1))", "<p>x)</p>\n" },
	{ "![i](https://e.example/i.png)", "<p>!i</p>\n" },
	{ "<img src=x onerror=y>", "<p>&lt;img src=x onerror=y&gt;</p>\n" },
	{ "- a\n- b", "<ul><li>a</li>\n<li>b</li>\n</ul>\n" },
	{ "```\n<b>\n```", "<pre>&lt;b&gt;\n</pre>\n" },
	{ "|a|b|\n|-|-|\n|1|2|",
		"<div class=\"scroll\"><table><tr><th>a</th><th>b</th></tr>\n"
		"<tr><td>1</td><td>2</td></tr>\n</table></div>\n" },
};

static void renders_a_harmless_subset_of_markdown(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(markdown_cases); i++) {
		struct strbuf sb = STRBUF_INIT;

		html_markdown(&sb, markdown_cases[i].in, strlen(markdown_cases[i].in));
		assert_string_equal(sb.buf, markdown_cases[i].want);
		strbuf_done(&sb);
	}
}

static void writes_numbers_for_people(void **state)
{
	struct strbuf sb = STRBUF_INIT;

	html_count(&sb, 1234567);
	assert_string_equal(sb.buf, "1\xe2\x80\x89" "234\xe2\x80\x89" "567");
	strbuf_clear(&sb);
	html_bytes(&sb, 812345);
	assert_string_equal(sb.buf, "812 kB");
	strbuf_clear(&sb);
	html_bytes(&sb, 1100000);
	assert_string_equal(sb.buf, "1.1 MB");
	strbuf_done(&sb);
}

TEST_MAIN(TEST(escapes_markup), TEST(shows_what_cannot_be_seen),
	TEST_CASE("FS07", drops_controls_and_mends_bad_utf8), TEST(puts_three_kinds_of_argument),
	TEST(renders_log_lines), TEST(cuts_long_lines_and_says_how_much),
	TEST(knows_kinds_of_lines), TEST(renders_a_harmless_subset_of_markdown),
	TEST(writes_numbers_for_people))
