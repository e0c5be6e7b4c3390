/* SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "tests/lib/test.h"

#include "base/crypto.h"
#include "base/limits.h"
#include "executor/mask-internal.h"
#include "executor/mask.h"

static int setup(void **state)
{
	*state = mask_new();
	return 0;
}

static int teardown(void **state)
{
	mask_free(*state);
	return 0;
}

#define TEST_MASK(fn) TEST_WITH(fn, setup, teardown)

static enum mask_verdict add(struct mask *m, const char *value)
{
	struct err err = ERR_INIT;
	enum mask_verdict v;

	assert_ok(mask_add(m, value, strlen(value), &v, &err), &err);
	return v;
}

/* TEXT as a stream, cut after every CUT bytes. */
static char *stream(struct mask *m, const char *text, size_t len, size_t cut)
{
	struct mask_stream *s = mask_stream_new(m);
	struct strbuf out = STRBUF_INIT;

	for (size_t at = 0; at < len; at += cut)
		mask_stream_write(s, text + at, len - at < cut ? len - at : cut, &out);
	mask_stream_flush(s, &out);
	mask_stream_free(s);
	return strbuf_take(&out);
}

static void expect(struct mask *m, const char *text, const char *want)
{
	_cleanup_free_ char *got = mask_str(m, text);

	assert_string_equal(got, want);
	for (size_t cut = 1; cut < strlen(text); cut++) {
		_cleanup_free_ char *part = stream(m, text, strlen(text), cut);

		assert_string_equal(part, want);
	}
}

static void stars_out_a_value_wherever_it_is_cut(void **state)
{
	add(*state, "hunter2-hunter2");
	expect(*state, "say hunter2-hunter2 twice: hunter2-hunter2hunter2-hunter2.\n",
		"say *** twice: ******.\n");
	expect(*state, "hunter2-hunter", "hunter2-hunter");
	expect(*state, "", "");
}

static void prefers_the_leftmost_then_the_longest(void **state)
{
	add(*state, "abcd");
	add(*state, "abcdefgh");
	add(*state, "cdefghij");
	expect(*state, "xabcdefghij", "x***ij");
	expect(*state, "xabcdefg", "x***efg");
	expect(*state, "xcdefghijkl", "x***kl");
}

static void says_why_it_does_not_mask_a_short_or_blank_value(void **state)
{
	assert_int_equal(add(*state, ""), MASK_BLANK);
	assert_int_equal(add(*state, " \t\r\n"), MASK_BLANK);
	assert_int_equal(add(*state, "abc"), MASK_SHORT);
	assert_int_equal(add(*state, "  abc \n"), MASK_SHORT);
	assert_true(mask_is_empty(*state));
	assert_int_equal(add(*state, "abcd"), MASK_ADDED);
	assert_int_equal(add(*state, "abcd"), MASK_KNOWN);
	assert_false(mask_is_empty(*state));
	expect(*state, "abc abcd", "abc ***");
}

static void masks_each_line_of_a_value_but_not_the_short_ones(void **state)
{
	static const char pem[] =
		"-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n  hkiG9w0BAQEF  \n"
		"{\n-----END KEY-----\n";

	add(*state, pem);
	expect(*state, "k=MIIEvQIBADANBgkq { hkiG9w0BAQEF\n", "k=*** { ***\n");
	expect(*state,
		"-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n  hkiG9w0BAQEF  \n{\n"
		"-----END KEY-----\n",
		"***\n");
	expect(*state,
		"-----BEGIN KEY-----\r\nMIIEvQIBADANBgkq\r\n  hkiG9w0BAQEF  \r\n{\r\n"
		"-----END KEY-----",
		"***");
	expect(*state,
		"\"-----BEGIN KEY-----\\nMIIEvQIBADANBgkq\\n  hkiG9w0BAQEF  \\n{\\n"
		"-----END KEY-----\\n\"",
		"\"***\\n\"");
}

static const struct {
	const char *value, *printed, *want;
} forms[] = {
	/* as a tool prints it, what must be left */
	{ "pa$$ w\"rd/+", "curl pa%24%24%20w%22rd%2F%2B", "curl ***" },
	{ "pa$$ w\"rd/+", "pa%24%24+w%22rd%2F%2B", "***" },
	{ "pa$$ w\"rd/+", "pa%24%24%20w%22rd/%2B", "***" },
	{ "pa$$ w\"rd/+", "pa%24%24%20w%22rd%2f%2b", "***" },
	{ "it's(a)test!", "it's(a)test!", "***" },
	{ "it's(a)test!", "it%27s%28a%29test%21", "***" },
	{ "it's(a)test!", "it's(a)test!", "***" },
	{ "it's(a)test!", "+ echo 'it'\\''s(a)test!'", "+ echo '***'" },
	{ "it's(a)test!", "'it'\"'\"'s(a)test!'", "'***'" },
	{ "it's(a)test!", "it\\'s\\(a\\)test\\!", "***" },
	{ "it's(a)test!", "'it''s(a)test!'", "'***'" },
	{ "a\"b\\c$d`e", "\"a\\\"b\\\\c\\$d\\`e\"", "\"***\"" },
	{ "a\"b\\c/d", "{\"k\":\"a\\\"b\\\\c/d\"}", "{\"k\":\"***\"}" },
	{ "a\"b\\c/d", "{\"k\":\"a\\\"b\\\\c\\/d\"}", "{\"k\":\"***\"}" },
	{ "a\"b\\c/d", "x a\\\"b\\c/d y", "x *** y" },
	{ "<k a=\"1\">&'x'", "\\u003ck a=\\\"1\\\"\\u003e\\u0026'x'", "***" },
	{ "<k a=\"1\">&'x'", "\\u003Ck a=\\u00221\\u0022\\u003E\\u0026\\u0027x\\u0027",
		"***" },
	{ "<k a=\"1\">&'x'", "&lt;k a=&quot;1&quot;&gt;&amp;&apos;x&apos;", "***" },
	{ "<k a=\"1\">&'x'", "&lt;k a=&#34;1&#34;&gt;&amp;&#x27;x&#x27;", "***" },
	{ "<k a=\"1\">&'x'", "&lt;k a=\"1\"&gt;&amp;'x'", "***" },
	{ "gr\xc3\xbc\xc3\x9f"
	  "e",
		"\"gr\\u00fc\\u00dfe\"", "\"***\"" },
	{ "gr\xc3\xbc\xc3\x9f"
	  "e",
		"gr%C3%BC%C3%9Fe", "***" },
	{ "gr\xc3\xbc\xc3\x9f"
	  "e",
		"gr\\303\\274\\303\\237e", "***" },
	{ "smile \xf0\x9f\x98\x80", "smile \\ud83d\\ude00", "***" },
	{ "tab\there", "tab\\there", "***" },
	{ "hunter2!", "68756e7465723221", "***" },
	{ "hunter2!", "68756E7465723221", "***" },
	{ "\"quoted value\"", "quoted value", "***" },
	{ "first&second&third", "first&second&", "***" },
	{ "first&second&third", "a third b", "a third b" },
	{ "firstpart&secondpart", "secondpart", "***" },
	{ "firstpart&+secondpart", "econdpart", "***" },
};

static void masks_the_forms_tools_print(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		_cleanup_(mask_freep) struct mask *m = mask_new();

		add(m, forms[i].value);
		expect(m, forms[i].printed, forms[i].want);
	}
}

/* Whatever stands before and behind, base64 of it shows no run of the value's own bits. */
static void masks_base64_at_every_alignment(void **state)
{
	static const char *const values[] = { "hunter2-hunter2", "0123456789abcd",
		"0123456789abcde", "\xfb\xff\xfe\xfb\xff\xfe\xfb\xff\xfe!", "abcd" };
	static const char *const around[] = { "", "x", "xy", "xyz", "user:", ">>>?" };

	for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
		_cleanup_(mask_freep) struct mask *m = mask_new();

		add(m, values[v]);
		for (size_t i = 0; i < ARRAY_SIZE(around) * ARRAY_SIZE(around) * 2; i++) {
			const char *before = around[i / 2 / ARRAY_SIZE(around)];
			const char *behind = around[i / 2 % ARRAY_SIZE(around)];
			_cleanup_free_ char *plain =
				xasprintf("%s%s%s", before, values[v], behind);
			_cleanup_(strbuf_done) struct strbuf b64 = STRBUF_INIT;
			_cleanup_free_ char *got = NULL;
			const char *star;

			base64_encode(plain, strlen(plain), i & 1, &b64);
			got = mask_str(m, b64.buf);
			star = strstr(got, MASK_STARS);
			assert_non_null(star);
			/* At most the characters that neighbours share are left. */
			assert_true(
				(size_t)(star - got) <= (strlen(before) * 8 + 5) / 6 + 1);
			assert_true(strlen(star + 3) <= strlen(behind) * 8 / 6 + 4);
		}
	}
}

static void masks_wrapped_base64_and_the_output_of_echo(void **state)
{
	char value[200];
	_cleanup_(strbuf_done) struct strbuf b64 = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_free_ char *got = NULL;

	for (size_t i = 0; i + 1 < sizeof(value); i++)
		value[i] = (char)('!' + i * 7 % 90);
	value[sizeof(value) - 2] = '\n'; /* what echo adds */
	value[sizeof(value) - 1] = '\0';
	base64_encode(value, strlen(value), false, &b64);
	value[sizeof(value) - 2] = '\0';
	add(*state, value);
	for (size_t at = 0; at < b64.len; at += 76) {
		strbuf_add(&text, b64.buf + at, b64.len - at < 76 ? b64.len - at : 76);
		strbuf_addc(&text, '\n');
	}
	got = mask_str(*state, text.buf);
	while (strlen(got) > 0 && strchr("*\n=", got[strlen(got) - 1]))
		got[strlen(got) - 1] = '\0';
	assert_string_equal(got, "");
}

static void gives_one_mark_for_a_long_value(void **state)
{
	_cleanup_free_ char *value = xmalloc(5001);
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *got = NULL;
	uint32_t seed = 1;

	for (size_t i = 0; i < 5000; i++) {
		seed = seed * 1664525 + 1013904223;
		value[i] = (char)('A' + (seed >> 16) % 26);
	}
	value[5000] = '\0';
	add(*state, value);
	text = xasprintf("a %s b %s%s c", value, value, value);
	got = mask_str(*state, text);
	assert_string_equal(got, "a *** b ****** c");
	for (size_t cut = 1; cut < 700; cut += 97) {
		_cleanup_free_ char *part = stream(*state, text, strlen(text), cut);

		assert_string_equal(part, "a *** b ****** c");
	}
	/* Cut short, most of it is gone all the same. */
	value[3000] = '\0';
	free(take_ptr(got));
	got = mask_str(*state, value);
	assert_true(strlen(got) < 3 + MASK_PIECE);
}

static void holds_back_only_what_may_become_a_match(void **state)
{
	struct mask_stream *s = mask_stream_new(*state);
	struct strbuf out = STRBUF_INIT;

	add(*state, "hunter2-hunter2");
	mask_stream_write(s, "a line\n", 7, &out);
	assert_int_equal(mask_stream_held(s), 0);
	assert_string_equal(out.buf, "a line\n");
	mask_stream_write(s, "password hunter2-h", 18, &out);
	assert_string_equal(out.buf, "a line\npassword ");
	assert_int_equal(mask_stream_held(s), 9);
	mask_stream_write(s, "unting\n", 7, &out);
	assert_string_equal(out.buf, "a line\npassword hunter2-hunting\n");
	mask_stream_write(s, "hunt", 4, &out);
	mask_stream_flush(s, &out);
	assert_string_equal(out.buf, "a line\npassword hunter2-hunting\nhunt");
	strbuf_done(&out);
	mask_stream_free(s);
}

static void masks_from_the_moment_a_value_is_added(void **state)
{
	struct mask_stream *s = mask_stream_new(*state);
	struct strbuf out = STRBUF_INIT;

	mask_stream_write(s, "early-bird ", 11, &out);
	add(*state, "early-bird");
	mask_stream_write(s, "early-bird ", 11, &out);
	add(*state, "bird");
	mask_stream_write(s, "bird early-bird", 15, &out);
	mask_stream_flush(s, &out);
	assert_string_equal(out.buf, "early-bird *** *** ***");
	strbuf_done(&out);
	mask_stream_free(s);
}

static void finds_what_an_output_must_not_carry(void **state)
{
	assert_false(mask_contains(*state, "x", 1));
	add(*state, "sesame!!");
	assert_true(mask_contains(*state, "open sesame!! now", 17));
	assert_true(mask_contains(*state, "c2VzYW1lISE=", 12));
	assert_false(mask_contains(*state, "open sesame", 11));
	assert_null(mask_str(*state, NULL));
}

static void refuses_more_values_than_a_job_may_have(void **state)
{
	struct err err = ERR_INIT;
	enum mask_verdict v;
	char value[32];

	for (int i = 0; i < LIMIT_MASKS; i++) {
		snprintf(value, sizeof(value), "secret-%08d", i);
		assert_int_equal(add(*state, value), MASK_ADDED);
	}
	assert_int_equal(mask_add(*state, "one-more", 8, &v, &err), -1);
	assert_err_has(&err, ERR_LIMIT, "4096 values");
	expect(*state, "secret-00004095 one-more", "*** one-more");
}

static void refuses_patterns_that_need_too_much_memory(void **state)
{
	_cleanup_free_ char *big = xmalloc(MASK_PATTERN_BYTES);
	struct err err = ERR_INIT;
	enum mask_verdict v;

	memset(big, 'x', MASK_PATTERN_BYTES);
	assert_int_equal(mask_add(*state, big, MASK_PATTERN_BYTES, &v, &err), -1);
	assert_err_has(&err, ERR_LIMIT, "MiB of patterns");
	/* Its forms are too long together, it is not. */
	assert_int_equal(mask_add(*state, big, MASK_PATTERN_BYTES / 32, &v, &err), -1);
	assert_err_has(&err, ERR_LIMIT, "the values to mask need more than");
	assert_true(mask_is_empty(*state));
}

/* ---- against the slow and obvious ---- */

struct patterns {
	char *p[20000];
	size_t len[20000];
	size_t n;
};

static void collect(const char *pattern, size_t len, void *ctx)
{
	struct patterns *all = ctx;

	assert_true(all->n < ARRAY_SIZE(all->p));
	all->p[all->n] = xmemdup(pattern, len);
	all->len[all->n++] = len;
}

static char *slow(const struct patterns *all, const char *text, size_t len)
{
	struct strbuf out = STRBUF_INIT;

	for (size_t at = 0; at < len;) {
		size_t best = 0;

		for (size_t i = 0; i < all->n; i++) {
			if (all->len[i] > best && all->len[i] <= len - at &&
				memcmp(all->p[i], text + at, all->len[i]) == 0)
				best = all->len[i];
		}
		if (best)
			strbuf_adds(&out, MASK_STARS);
		else
			strbuf_addc(&out, text[at]);
		at += best ? best : 1;
	}
	return strbuf_take(&out);
}

static uint32_t rnd(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static char *scan_all(struct mask_scan *s, const char *text, size_t len, size_t cut)
{
	/* As mask_run does, over growing prefixes of the text. */
	struct strbuf out = STRBUF_INIT, held = STRBUF_INIT;

	for (size_t at = 0; at <= len; at += cut) {
		bool is_end = at + cut > len;
		struct mask_cursor cur = { 0 };
		size_t pos = 0;

		strbuf_add(&held, text + at, is_end ? len - at : cut);
		while (pos < held.len) {
			struct mask_hit h =
				mask_scan_next(s, held.buf, held.len, pos, is_end, &cur);

			strbuf_add(&out, held.buf + pos, h.at - pos);
			pos = h.at + h.len;
			if (!h.len)
				break;
			strbuf_adds(&out, MASK_STARS);
		}
		strbuf_remove(&held, 0, pos);
	}
	assert_int_equal(held.len, 0);
	strbuf_done(&held);
	return strbuf_take(&out);
}

static void both_engines_agree_with_the_obvious_one(void **state)
{
	uint32_t rounds = getenv("SLUICE_TORTURE") ? 3000 : 75;

	for (uint32_t round = 0; round < rounds; round++) {
		uint32_t seed = round + 1;
		struct patterns *all = xcalloc(1, sizeof(*all));
		struct mask_scan *s = mask_scan_new();
		size_t letters = 2 + rnd(&seed) % 3, n = 1 + rnd(&seed) % 12;
		char text[600];
		_cleanup_free_ char *want = NULL;

		for (size_t i = 0; i < n; i++) {
			char p[40];
			size_t len = 4 + rnd(&seed) % (round % 3 ? 6 : 36);

			for (size_t j = 0; j < len; j++)
				p[j] = (char)('a' + rnd(&seed) % letters);
			mask_scan_add(s, p, len, false);
			collect(p, len, all);
		}
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = (char)('a' + rnd(&seed) % letters);
		want = slow(all, text, sizeof(text));
		for (int flat = 0; flat < 2; flat++) {
			mask_scan_force_flat(s, flat);
			for (size_t cut = 1; cut <= sizeof(text); cut += 1 + cut / 3) {
				_cleanup_free_ char *got =
					scan_all(s, text, sizeof(text), cut);

				if (strcmp(got, want) != 0)
					fail_msg("round %u flat %d cut %zu", round, flat,
						cut);
			}
		}
		for (size_t i = 0; i < all->n; i++)
			free(all->p[i]);
		free(all);
		mask_scan_free(s);
	}
}

/* Near misses at every byte: time per byte stays within a small factor of plain text. */
static void text_made_of_near_misses_costs_no_more_than_a_bound(void **state)
{
	enum { SIZE = 4 << 20 };
	_cleanup_free_ char *text = xmalloc(SIZE);
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct mask_stream *s = mask_stream_new(*state);
	clock_t start;

	for (int i = 0; i < 200; i++) {
		char value[340];

		memset(value, 'a', sizeof(value));
		snprintf(value + 100 + i, 20, "%d", i);
		add(*state, value);
	}
	memset(text, 'a', SIZE);
	start = clock();
	for (size_t at = 0; at < SIZE; at += 65536)
		mask_stream_write(s, text + at, 65536, &out);
	mask_stream_flush(s, &out);
	/* Time of the processor, which others on the machine do not take away: 20 MB/s even
	 * under a sanitizer; without the automaton the bucket compares alone are minutes. */
	assert_true((clock() - start) / CLOCKS_PER_SEC < 20);
	assert_int_equal(out.len, SIZE);
	mask_stream_free(s);
}

TEST_MAIN(TEST_MASK(stars_out_a_value_wherever_it_is_cut),
	TEST_MASK(prefers_the_leftmost_then_the_longest),
	TEST_MASK(says_why_it_does_not_mask_a_short_or_blank_value),
	TEST_MASK(masks_each_line_of_a_value_but_not_the_short_ones),
	TEST(masks_the_forms_tools_print), TEST(masks_base64_at_every_alignment),
	TEST_MASK(masks_wrapped_base64_and_the_output_of_echo),
	TEST_MASK(gives_one_mark_for_a_long_value),
	TEST_MASK(holds_back_only_what_may_become_a_match),
	TEST_MASK(masks_from_the_moment_a_value_is_added),
	TEST_MASK(finds_what_an_output_must_not_carry),
	TEST_MASK(refuses_more_values_than_a_job_may_have),
	TEST_MASK(refuses_patterns_that_need_too_much_memory),
	TEST(both_engines_agree_with_the_obvious_one),
	TEST_MASK(text_made_of_near_misses_costs_no_more_than_a_bound))
