/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "base/crypto.h"

static void assert_hex(const uint8_t *digest, const char *want)
{
	char hex[SHA256_HEX_MAX];

	hex_encode(digest, SHA256_LEN, hex);
	assert_string_equal(hex, want);
}

static void sha256_gives_the_published_digests(void **state)
{
	char hex[SHA256_HEX_MAX];
	uint8_t out[SHA256_LEN];
	struct sha256 *s = sha256_new();

	assert_string_equal(crypto_sha256_hex("abc", 3, hex),
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_string_equal(crypto_sha256_hex("", 0, hex),
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	/* A million times 'a', in odd pieces. */
	for (int i = 0; i < 1000000 / 8; i++) {
		sha256_add(s, "aaa", 3);
		sha256_add(s, "", 0);
		sha256_add(s, "aaaaa", 5);
	}
	sha256_end(s, out);
	assert_hex(
		out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	sha256_add(s, "abc", 3); /* and again */
	sha256_end(s, out);
	assert_hex(
		out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_free(s);
	sha256_free(NULL);
}

static void sha1_gives_the_published_digests(void **state)
{
	struct sha1 *s = sha1_new();
	uint8_t out[SHA1_LEN];
	char hex[2 * SHA1_LEN + 1];

	for (int again = 0; again < 2; again++) {
		sha1_add(s, "a", 1);
		sha1_add(s, "bc", 2);
		sha1_end(s, out);
		hex_encode(out, SHA1_LEN, hex);
		assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
	}
	sha1_free(s);
	sha1_free(NULL);
}

static void hmac_gives_the_digests_of_rfc_4231(void **state)
{
	uint8_t key[131], out[SHA256_LEN];

	memset(key, 0x0b, 20);
	crypto_hmac_sha256(key, 20, "Hi There", 8, out);
	assert_hex(
		out, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	crypto_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out);
	assert_hex(
		out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	crypto_hmac_sha256(key, sizeof(key),
		"Test Using Larger Than Block-Size Key - Hash Key First", 54, out);
	assert_hex(
		out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	crypto_hmac_sha256(NULL, 0, "", 0, out);
	assert_hex(
		out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void equal_compares_every_byte(void **state)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };

	assert_true(crypto_equal(a, b, 32));
	assert_true(crypto_equal(a, b, 0));
	for (size_t i = 0; i < 32; i++) {
		b[i] = 1;
		assert_false(crypto_equal(a, b, 32));
		b[i] = 0;
	}
}

static void random_values_differ_and_have_their_length(void **state)
{
	_cleanup_free_ char *a = crypto_random_token(32);
	_cleanup_free_ char *b = crypto_random_token(32);
	_cleanup_free_ char *hex = crypto_random_hex(16);

	assert_int_equal(strlen(a), 43);
	assert_string_not_equal(a, b);
	assert_int_equal(strlen(hex), 32);
	assert_int_equal(strspn(hex, "0123456789abcdef"), 32);
	assert_int_equal(strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				   "0123456789-_"),
		43);
}

static const uint8_t master[CRYPTO_MASTER_LEN] = { 1, 2, 3 };

static void a_box_opens_with_its_key_and_its_row_alone(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 1000, 100000 };
	_cleanup_free_ char *plain = xcalloc(100000, 1);
	uint8_t other[CRYPTO_MASTER_LEN] = { 1, 2, 4 };

	crypto_random(plain, 100000);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_(strbuf_done) struct strbuf box = STRBUF_INIT;
		_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
		struct err err = ERR_INIT;

		strbuf_adds(&out, "kept");
		crypto_seal(master, "row 1", 5, plain, sizes[i], &box);
		assert_int_equal(box.len, sizes[i] + CRYPTO_SEAL_EXTRA);
		assert_ok(crypto_open(master, "row 1", 5, box.buf, box.len, &out, &err),
			&err);
		assert_int_equal(out.len, 4 + sizes[i]);
		assert_memory_equal(out.buf, "kept", 4);
		assert_memory_equal(out.buf + 4, plain, sizes[i]);
		strbuf_truncate(&out, 4);
		assert_int_equal(
			crypto_open(master, "row 2", 5, box.buf, box.len, &out, &err),
			-1);
		assert_err(&err, ERR_CORRUPT, "a sealed value does not verify");
		assert_int_equal(
			crypto_open(other, "row 1", 5, box.buf, box.len, &out, &err), -1);
		assert_err(&err, ERR_CORRUPT, NULL);
		assert_int_equal(
			crypto_open(master, NULL, 0, box.buf, box.len, &out, &err), -1);
		assert_string_equal(out.buf, "kept");
	}
}

static void any_flipped_bit_of_a_box_shows(void **state)
{
	_cleanup_(strbuf_done) struct strbuf box = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
	struct err err = ERR_INIT;

	crypto_seal(master, "r", 1, "the secret", 10, &box);
	for (size_t bit = 0; bit < box.len * 8; bit++) {
		box.buf[bit / 8] ^= (char)(1 << bit % 8);
		assert_int_equal(
			crypto_open(master, "r", 1, box.buf, box.len, &out, &err), -1);
		box.buf[bit / 8] ^= (char)(1 << bit % 8);
	}
	assert_int_equal(out.len, 0);
	for (size_t len = 0; len < box.len; len++)
		assert_int_equal(
			crypto_open(master, "r", 1, box.buf, len, &out, &err), -1);
	assert_int_equal(crypto_open(master, "r", 1, box.buf, box.len, &out, &err), 0);
}

static void the_same_value_is_sealed_differently_each_time(void **state)
{
	_cleanup_(strbuf_done) struct strbuf a = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;

	crypto_seal(master, "r", 1, "v", 1, &a);
	crypto_seal(master, "r", 1, "v", 1, &b);
	assert_memory_not_equal(a.buf, b.buf, 32);
	assert_memory_not_equal(a.buf + 44, b.buf + 44, 17);
}

static void hex_is_exact(void **state)
{
	uint8_t out[4] = { 9, 9, 9, 9 };
	char text[9];

	assert_int_equal(hex_decode("00fFA5", 6, out, 3), 0);
	assert_memory_equal(out, "\x00\xff\xa5\x09", 4);
	assert_int_equal(hex_decode("00ffa", 5, out, 3), -1);
	assert_int_equal(hex_decode("00ffa", 5, out, 2), -1);
	assert_int_equal(hex_decode("00ffa500", 8, out, 3), -1);
	assert_int_equal(hex_decode("11111g", 6, out, 3), -1);
	assert_memory_equal(out, "\x00\xff\xa5\x09", 4);
	assert_int_equal(hex_decode("", 0, out, 0), 0);
	hex_encode(out, 3, text);
	assert_string_equal(text, "00ffa5");
}

static void base64_follows_rfc_4648(void **state)
{
	static const struct {
		const char *plain, *text, *url;
	} rows[] = {
		{ "", "", "" },
		{ "f", "Zg==", "Zg" },
		{ "fo", "Zm8=", "Zm8" },
		{ "foo", "Zm9v", "Zm9v" },
		{ "foob", "Zm9vYg==", "Zm9vYg" },
		{ "\xfb\xff\xfe", "+//+", "-__-" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;
		size_t len = strlen(rows[i].plain);

		base64_encode(rows[i].plain, len, false, &b);
		assert_string_equal(b.buf, rows[i].text);
		strbuf_clear(&b);
		base64_encode(rows[i].plain, len, true, &b);
		assert_string_equal(b.buf, rows[i].url);
		strbuf_clear(&b);
		assert_int_equal(
			base64_decode(rows[i].text, strlen(rows[i].text), &b), 0);
		assert_string_equal(b.buf, rows[i].plain);
		strbuf_clear(&b);
		assert_int_equal(base64_decode(rows[i].url, strlen(rows[i].url), &b), 0);
		assert_string_equal(b.buf, rows[i].plain);
	}
}

static void base64_has_one_spelling(void **state)
{
	static const char *const bad[] = { "A", "AAAAA", "Zg=", "Zg===", "=",
		"==", "====", "Z===", "Zh==", "Zm9=", "Zm 9", "Zm9v\n", "Zm9*",
		"Z=g=", "Zg==Zg==" };
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;

	strbuf_adds(&b, "x");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (base64_decode(bad[i], strlen(bad[i]), &b) == 0)
			fail_msg("'%s' was taken", bad[i]);
		assert_string_equal(b.buf, "x");
	}
}

static void base64_brings_any_bytes_back(void **state)
{
	uint8_t bytes[64];

	for (size_t len = 0; len <= sizeof(bytes); len++) {
		_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
		_cleanup_(strbuf_done) struct strbuf back = STRBUF_INIT;

		crypto_random(bytes, len);
		base64_encode(bytes, len, len % 2, &text);
		assert_int_equal(base64_decode(text.buf, text.len, &back), 0);
		assert_int_equal(back.len, len);
		assert_memory_equal(back.buf, bytes, len);
	}
}

static void crc32_gives_the_known_check_value(void **state)
{
	assert_int_equal(crc32_of(0, "123456789", 9), 0xcbf43926);
	assert_int_equal(crc32_of(0, "", 0), 0);
	assert_int_equal(crc32_of(crc32_of(0, "1234", 4), "56789", 5), 0xcbf43926);
}

TEST_MAIN(TEST(sha256_gives_the_published_digests),
	TEST(sha1_gives_the_published_digests), TEST(hmac_gives_the_digests_of_rfc_4231),
	TEST(equal_compares_every_byte), TEST(random_values_differ_and_have_their_length),
	TEST(a_box_opens_with_its_key_and_its_row_alone),
	TEST(any_flipped_bit_of_a_box_shows),
	TEST(the_same_value_is_sealed_differently_each_time), TEST(hex_is_exact),
	TEST(base64_follows_rfc_4648), TEST(base64_has_one_spelling),
	TEST(base64_brings_any_bytes_back), TEST(crc32_gives_the_known_check_value))
