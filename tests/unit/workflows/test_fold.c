/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"
#include "workflows/fold.h"

static bool same(const char *a, const char *b)
{
	bool equal = fold_equal(a, strlen(a), b, strlen(b));

	/* Whatever is equal has one hash and no order. */
	if (equal)
		assert_int_equal(fold_hash(a, strlen(a)), fold_hash(b, strlen(b)));
	assert_int_equal(equal, fold_compare(a, strlen(a), b, strlen(b)) == 0);
	return equal;
}

static void letters_of_any_script_fold_to_upper_case(void **state)
{
	assert_true(same("GitHub", "gITHUB"));
	assert_true(same("Ünï", "üNÏ"));
	assert_true(same("ς", "σ"));
	assert_true(same("σ", "Σ"));
	assert_true(same("жук", "ЖУК"));
	assert_true(same("\xE1\xBE\xB3", "\xE1\xBE\xBC"));	   /* U+1FB3, U+1FBC */
	assert_true(same("\xF0\x90\x90\xA8", "\xF0\x90\x90\x80")); /* Deseret */
	assert_true(same("ÿ", "Ÿ")); /* the pair lies far apart */
	assert_false(same("ß", "ss"));
	assert_false(same("a", "b"));
	assert_false(same("a", "aa"));
}

static void nothing_beyond_ascii_folds_into_it(void **state)
{
	assert_false(same("ı", "I"));
	assert_false(same("İ", "i"));
	assert_false(same("ſ", "S"));
	assert_false(same("\xE2\x84\xAA", "k")); /* the Kelvin sign */
	for (uint32_t c = 0x80; c < 0x110000; c++)
		if (fold_upper(c) < 0x80)
			fail_msg("U+%04X folds to %c", c, (int)fold_upper(c));
}

static void folding_twice_changes_nothing_more(void **state)
{
	for (uint32_t c = 0; c < 0x110000; c++)
		if (fold_upper(fold_upper(c)) != fold_upper(c))
			fail_msg("U+%04X", c);
}

static void order_is_that_of_utf16(void **state)
{
	const char *low = "\xF0\x9F\x98\x80",
		   *high = "\xEF\xBC\xA1"; /* U+1F600, U+FF21 */

	assert_true(fold_compare("a", 1, "B", 1) < 0);
	assert_true(fold_compare("Z", 1, "[", 1) < 0);
	assert_true(fold_compare("z", 1, "[", 1) < 0);
	assert_true(fold_compare("ab", 2, "abc", 3) < 0);
	assert_true(fold_compare(low, 4, high, 3) < 0);
	assert_true(fold_compare(high, 3, low, 4) > 0);
}

static void parts_are_found_without_case(void **state)
{
	assert_true(fold_starts("Größe", 7, "GRÖ", 4));
	assert_false(fold_starts("Gr", 2, "Grö", 4));
	assert_true(fold_ends("straßeÜ", 9, "ü", 2));
	assert_true(fold_ends("abc", 3, "", 0));
	assert_false(fold_ends("bc", 2, "abc", 3));
	assert_true(fold_contains("xxÄyy", 6, "äY", 3));
	assert_true(fold_contains("", 0, "", 0));
	assert_false(fold_contains("abc", 3, "abd", 3));
	/* Folding here makes three bytes of two, so places shift. */
	assert_true(fold_ends("\xC9\x90\xC9\x90", 4, "\xE2\xB1\xAF", 3));
}

static void a_byte_outside_of_utf8_equals_itself_alone(void **state)
{
	size_t bytes;

	assert_true(same("\xFF", "\xFF"));
	assert_false(same("\xFF", "\xFE"));
	assert_false(same("\xC3", "Ã"));
	assert_int_equal(fold_decode("\xC0\x80", 2, &bytes), FOLD_BAD_BYTE + 0xC0);
	assert_int_equal(bytes, 1);
	assert_int_equal(fold_decode("\xED\xA0\x80", 3, &bytes), FOLD_BAD_BYTE + 0xED);
	assert_int_equal(fold_decode("\xE2\x82", 2, &bytes), FOLD_BAD_BYTE + 0xE2);
}

static void white_space_of_any_kind_is_trimmed(void **state)
{
	const char *s = " \t\xC2\xA0x y\xE3\x80\x80\n";
	size_t len = strlen(s);

	fold_trim(&s, &len);
	assert_int_equal(len, 3);
	assert_memory_equal(s, "x y", 3);
	s = "\xE3\x80\x80  ";
	len = strlen(s);
	fold_trim(&s, &len);
	assert_int_equal(len, 0);
}

static void characters_are_counted_as_utf16_units(void **state)
{
	assert_int_equal(fold_utf16_len("aü€", 6), 3);
	assert_int_equal(fold_utf16_len("\xF0\x9F\x98\x80", 4), 2);
}

TEST_MAIN(TEST(letters_of_any_script_fold_to_upper_case),
	TEST(nothing_beyond_ascii_folds_into_it),
	TEST(folding_twice_changes_nothing_more), TEST(order_is_that_of_utf16),
	TEST(parts_are_found_without_case),
	TEST(a_byte_outside_of_utf8_equals_itself_alone),
	TEST(white_space_of_any_kind_is_trimmed),
	TEST(characters_are_counted_as_utf16_units))
