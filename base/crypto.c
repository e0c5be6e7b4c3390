/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only module that includes OpenSSL. OpenSSL fails in the calls used here only when
 * it is out of memory or broken; both abort, for there is no safe way on.
 */
#include "base/crypto.h"

#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

#define SALT_LEN  32
#define NONCE_LEN 12
#define TAG_LEN	  16
#define ROW_INFO  "sluice row"

static void must(bool ok)
{
	static const char msg[] = "sluice: the crypto library failed\n";

	if (ok)
		return;
	if (write(2, msg, sizeof(msg) - 1) < 0)
		abort();
	abort();
}

/* ---- hashes ---- */

void crypto_sha256(const void *data, size_t len, uint8_t out[SHA256_LEN])
{
	must(EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) == 1);
}

char *crypto_sha256_hex(const void *data, size_t len, char *buf)
{
	uint8_t digest[SHA256_LEN];

	crypto_sha256(data, len, digest);
	hex_encode(digest, sizeof(digest), buf);
	return buf;
}

struct sha256 {
	EVP_MD_CTX *ctx;
};

struct sha256 *sha256_new(void)
{
	struct sha256 *s = xcalloc(1, sizeof(*s));

	s->ctx = EVP_MD_CTX_new();
	must(s->ctx && EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) == 1);
	return s;
}

void sha256_add(struct sha256 *s, const void *data, size_t len)
{
	must(EVP_DigestUpdate(s->ctx, data, len) == 1);
}

void sha256_end(struct sha256 *s, uint8_t out[SHA256_LEN])
{
	must(EVP_DigestFinal_ex(s->ctx, out, NULL) == 1);
	must(EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL) == 1);
}

void sha256_free(struct sha256 *s)
{
	if (!s)
		return;
	EVP_MD_CTX_free(s->ctx);
	free(s);
}

struct sha1 {
	EVP_MD_CTX *ctx;
};

struct sha1 *sha1_new(void)
{
	struct sha1 *s = xcalloc(1, sizeof(*s));

	s->ctx = EVP_MD_CTX_new();
	must(s->ctx && EVP_DigestInit_ex(s->ctx, EVP_sha1(), NULL) == 1);
	return s;
}

void sha1_add(struct sha1 *s, const void *data, size_t len)
{
	must(EVP_DigestUpdate(s->ctx, data, len) == 1);
}

void sha1_end(struct sha1 *s, uint8_t out[SHA1_LEN])
{
	must(EVP_DigestFinal_ex(s->ctx, out, NULL) == 1);
	must(EVP_DigestInit_ex(s->ctx, EVP_sha1(), NULL) == 1);
}

void sha1_free(struct sha1 *s)
{
	if (!s)
		return;
	EVP_MD_CTX_free(s->ctx);
	free(s);
}

void crypto_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
	uint8_t out[SHA256_LEN])
{
	size_t out_len = 0;

	/* An empty key is a valid one, but OpenSSL takes NULL for "none given". */
	must(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key_len ? key : "", key_len,
		     data, len, out, SHA256_LEN, &out_len) != NULL);
	must(out_len == SHA256_LEN);
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

/* ---- random ---- */

void crypto_random(void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		must(n > 0);
		p += n;
		len -= (size_t)n;
	}
}

char *crypto_random_hex(size_t n)
{
	uint8_t *bytes = xmalloc(n);
	char *hex = xmalloc(2 * n + 1);

	crypto_random(bytes, n);
	hex_encode(bytes, n, hex);
	mem_wipe_free(bytes, n);
	return hex;
}

char *crypto_random_token(size_t n)
{
	uint8_t *bytes = xmalloc(n);
	struct strbuf b = STRBUF_INIT;

	crypto_random(bytes, n);
	/* All the room at once: growing would leave copies of the token behind. */
	strbuf_reserve(&b, n / 3 * 4 + 4);
	base64_encode(bytes, n, true, &b);
	mem_wipe_free(bytes, n);
	return strbuf_take(&b);
}

/* ---- sealed box ---- */

static void row_key(const uint8_t *master, const uint8_t *salt, uint8_t key[32])
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(
			OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)master, CRYPTO_MASTER_LEN),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_SALT, (void *)(uintptr_t)salt, SALT_LEN),
		OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_INFO, (char *)ROW_INFO, sizeof(ROW_INFO) - 1),
		OSSL_PARAM_construct_end(),
	};

	must(ctx && EVP_KDF_derive(ctx, key, 32, params) == 1);
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

/* A context keyed for one row; PIECE is the additional data, already fed. */
static EVP_CIPHER_CTX *row_cipher(const uint8_t *master, const uint8_t *salt,
	const uint8_t *nonce, bool is_sealing, const void *aad, size_t aad_len)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t key[32];
	int n;

	row_key(master, salt, key);
	must(ctx && aad_len <= INT_MAX);
	must(EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, is_sealing) ==
		1);
	must(aad_len == 0 || EVP_CipherUpdate(ctx, NULL, &n, aad, (int)aad_len) == 1);
	OPENSSL_cleanse(key, sizeof(key));
	return ctx;
}

void crypto_seal(const uint8_t master[CRYPTO_MASTER_LEN], const void *aad, size_t aad_len,
	const void *plain, size_t len, struct strbuf *out)
{
	EVP_CIPHER_CTX *ctx;
	uint8_t *salt, *nonce, *body;
	int n = 0, rest = 0;

	must(len <= INT_MAX);
	strbuf_reserve(out, len + CRYPTO_SEAL_EXTRA);
	salt = (uint8_t *)out->buf + out->len;
	nonce = salt + SALT_LEN;
	body = nonce + NONCE_LEN;
	crypto_random(salt, SALT_LEN + NONCE_LEN);
	ctx = row_cipher(master, salt, nonce, true, aad, aad_len);
	must(len == 0 || EVP_CipherUpdate(ctx, body, &n, plain, (int)len) == 1);
	must(EVP_CipherFinal_ex(ctx, body + n, &rest) == 1 &&
		(size_t)n + (size_t)rest == len);
	must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, body + len) == 1);
	EVP_CIPHER_CTX_free(ctx);
	strbuf_commit(out, len + CRYPTO_SEAL_EXTRA);
}

int crypto_open(const uint8_t master[CRYPTO_MASTER_LEN], const void *aad, size_t aad_len,
	const void *box, size_t len, struct strbuf *out, struct err *err)
{
	const uint8_t *salt = box;
	const uint8_t *body;
	EVP_CIPHER_CTX *ctx;
	uint8_t tag[TAG_LEN];
	size_t plain_len;
	int n = 0, rest = 0;
	bool is_good;

	if (len < CRYPTO_SEAL_EXTRA || len > INT_MAX)
		return err_set(err, ERR_CORRUPT, "a sealed value is of the wrong length");
	plain_len = len - CRYPTO_SEAL_EXTRA;
	body = salt + SALT_LEN + NONCE_LEN;
	memcpy(tag, body + plain_len, TAG_LEN);
	strbuf_reserve(out, plain_len);
	ctx = row_cipher(master, salt, salt + SALT_LEN, false, aad, aad_len);
	must(plain_len == 0 || EVP_CipherUpdate(ctx, (uint8_t *)out->buf + out->len, &n,
				       body, (int)plain_len) == 1);
	must(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1);
	is_good = EVP_CipherFinal_ex(ctx, (uint8_t *)out->buf + out->len + n, &rest) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (!is_good) {
		/* Nobody may see what did not verify. */
		explicit_bzero(out->buf + out->len, plain_len);
		return err_set(err, ERR_CORRUPT, "a sealed value does not verify");
	}
	strbuf_commit(out, plain_len);
	return 0;
}

/* ---- text forms ---- */

void hex_encode(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(const char *hex, size_t hex_len, void *out, size_t len)
{
	uint8_t *p = out;

	if (hex_len / 2 != len || hex_len % 2)
		return -1;
	for (size_t i = 0; i < hex_len; i++)
		if (hex_value(hex[i]) < 0)
			return -1;
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)((unsigned)hex_value(hex[2 * i]) << 4 |
				 (unsigned)hex_value(hex[2 * i + 1]));
	return 0;
}

static const char base64_plain[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64_url[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64_encode(const void *data, size_t len, bool url, struct strbuf *out)
{
	const char *alphabet = url ? base64_url : base64_plain;
	const uint8_t *p = data;

	strbuf_reserve(out, len / 3 * 4 + 4);
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)p[i] << 16;
		char *q = out->buf + out->len;

		v |= n > 1 ? (uint32_t)p[i + 1] << 8 : 0;
		v |= n > 2 ? p[i + 2] : 0;
		q[0] = alphabet[v >> 18];
		q[1] = alphabet[v >> 12 & 63];
		q[2] = n > 1 ? alphabet[v >> 6 & 63] : '=';
		q[3] = n > 2 ? alphabet[v & 63] : '=';
		strbuf_commit(out, url ? n + 1 : 4);
	}
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	return -1;
}

int base64_decode(const char *s, size_t len, struct strbuf *out)
{
	size_t before = out->len;
	uint32_t v = 0;
	unsigned bits = 0;

	/* Padding may be missing; if it is there it fills the last group. */
	if (len > 0 && len % 4 == 0 && s[len - 1] == '=')
		len -= s[len - 2] == '=' ? 2 : 1;
	if (len % 4 == 1)
		return -1;
	strbuf_reserve(out, len / 4 * 3 + 3);
	for (size_t i = 0; i < len; i++) {
		int digit = base64_value(s[i]);

		if (digit < 0) {
			strbuf_truncate(out, before);
			return -1;
		}
		v = v << 6 | (uint32_t)digit;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			strbuf_addc(out, (char)(v >> bits & 255));
		}
	}
	/* Left-over bits that are set: a second spelling of the same bytes. */
	if (v & ((1u << bits) - 1)) {
		strbuf_truncate(out, before);
		return -1;
	}
	return 0;
}

/* The reflected polynomial 0xedb88320, as in zip and Ethernet. */
static const uint32_t crc32_table[256] = {
	0x00000000,
	0x77073096,
	0xee0e612c,
	0x990951ba,
	0x076dc419,
	0x706af48f,
	0xe963a535,
	0x9e6495a3,
	0x0edb8832,
	0x79dcb8a4,
	0xe0d5e91e,
	0x97d2d988,
	0x09b64c2b,
	0x7eb17cbd,
	0xe7b82d07,
	0x90bf1d91,
	0x1db71064,
	0x6ab020f2,
	0xf3b97148,
	0x84be41de,
	0x1adad47d,
	0x6ddde4eb,
	0xf4d4b551,
	0x83d385c7,
	0x136c9856,
	0x646ba8c0,
	0xfd62f97a,
	0x8a65c9ec,
	0x14015c4f,
	0x63066cd9,
	0xfa0f3d63,
	0x8d080df5,
	0x3b6e20c8,
	0x4c69105e,
	0xd56041e4,
	0xa2677172,
	0x3c03e4d1,
	0x4b04d447,
	0xd20d85fd,
	0xa50ab56b,
	0x35b5a8fa,
	0x42b2986c,
	0xdbbbc9d6,
	0xacbcf940,
	0x32d86ce3,
	0x45df5c75,
	0xdcd60dcf,
	0xabd13d59,
	0x26d930ac,
	0x51de003a,
	0xc8d75180,
	0xbfd06116,
	0x21b4f4b5,
	0x56b3c423,
	0xcfba9599,
	0xb8bda50f,
	0x2802b89e,
	0x5f058808,
	0xc60cd9b2,
	0xb10be924,
	0x2f6f7c87,
	0x58684c11,
	0xc1611dab,
	0xb6662d3d,
	0x76dc4190,
	0x01db7106,
	0x98d220bc,
	0xefd5102a,
	0x71b18589,
	0x06b6b51f,
	0x9fbfe4a5,
	0xe8b8d433,
	0x7807c9a2,
	0x0f00f934,
	0x9609a88e,
	0xe10e9818,
	0x7f6a0dbb,
	0x086d3d2d,
	0x91646c97,
	0xe6635c01,
	0x6b6b51f4,
	0x1c6c6162,
	0x856530d8,
	0xf262004e,
	0x6c0695ed,
	0x1b01a57b,
	0x8208f4c1,
	0xf50fc457,
	0x65b0d9c6,
	0x12b7e950,
	0x8bbeb8ea,
	0xfcb9887c,
	0x62dd1ddf,
	0x15da2d49,
	0x8cd37cf3,
	0xfbd44c65,
	0x4db26158,
	0x3ab551ce,
	0xa3bc0074,
	0xd4bb30e2,
	0x4adfa541,
	0x3dd895d7,
	0xa4d1c46d,
	0xd3d6f4fb,
	0x4369e96a,
	0x346ed9fc,
	0xad678846,
	0xda60b8d0,
	0x44042d73,
	0x33031de5,
	0xaa0a4c5f,
	0xdd0d7cc9,
	0x5005713c,
	0x270241aa,
	0xbe0b1010,
	0xc90c2086,
	0x5768b525,
	0x206f85b3,
	0xb966d409,
	0xce61e49f,
	0x5edef90e,
	0x29d9c998,
	0xb0d09822,
	0xc7d7a8b4,
	0x59b33d17,
	0x2eb40d81,
	0xb7bd5c3b,
	0xc0ba6cad,
	0xedb88320,
	0x9abfb3b6,
	0x03b6e20c,
	0x74b1d29a,
	0xead54739,
	0x9dd277af,
	0x04db2615,
	0x73dc1683,
	0xe3630b12,
	0x94643b84,
	0x0d6d6a3e,
	0x7a6a5aa8,
	0xe40ecf0b,
	0x9309ff9d,
	0x0a00ae27,
	0x7d079eb1,
	0xf00f9344,
	0x8708a3d2,
	0x1e01f268,
	0x6906c2fe,
	0xf762575d,
	0x806567cb,
	0x196c3671,
	0x6e6b06e7,
	0xfed41b76,
	0x89d32be0,
	0x10da7a5a,
	0x67dd4acc,
	0xf9b9df6f,
	0x8ebeeff9,
	0x17b7be43,
	0x60b08ed5,
	0xd6d6a3e8,
	0xa1d1937e,
	0x38d8c2c4,
	0x4fdff252,
	0xd1bb67f1,
	0xa6bc5767,
	0x3fb506dd,
	0x48b2364b,
	0xd80d2bda,
	0xaf0a1b4c,
	0x36034af6,
	0x41047a60,
	0xdf60efc3,
	0xa867df55,
	0x316e8eef,
	0x4669be79,
	0xcb61b38c,
	0xbc66831a,
	0x256fd2a0,
	0x5268e236,
	0xcc0c7795,
	0xbb0b4703,
	0x220216b9,
	0x5505262f,
	0xc5ba3bbe,
	0xb2bd0b28,
	0x2bb45a92,
	0x5cb36a04,
	0xc2d7ffa7,
	0xb5d0cf31,
	0x2cd99e8b,
	0x5bdeae1d,
	0x9b64c2b0,
	0xec63f226,
	0x756aa39c,
	0x026d930a,
	0x9c0906a9,
	0xeb0e363f,
	0x72076785,
	0x05005713,
	0x95bf4a82,
	0xe2b87a14,
	0x7bb12bae,
	0x0cb61b38,
	0x92d28e9b,
	0xe5d5be0d,
	0x7cdcefb7,
	0x0bdbdf21,
	0x86d3d2d4,
	0xf1d4e242,
	0x68ddb3f8,
	0x1fda836e,
	0x81be16cd,
	0xf6b9265b,
	0x6fb077e1,
	0x18b74777,
	0x88085ae6,
	0xff0f6a70,
	0x66063bca,
	0x11010b5c,
	0x8f659eff,
	0xf862ae69,
	0x616bffd3,
	0x166ccf45,
	0xa00ae278,
	0xd70dd2ee,
	0x4e048354,
	0x3903b3c2,
	0xa7672661,
	0xd06016f7,
	0x4969474d,
	0x3e6e77db,
	0xaed16a4a,
	0xd9d65adc,
	0x40df0b66,
	0x37d83bf0,
	0xa9bcae53,
	0xdebb9ec5,
	0x47b2cf7f,
	0x30b5ffe9,
	0xbdbdf21c,
	0xcabac28a,
	0x53b39330,
	0x24b4a3a6,
	0xbad03605,
	0xcdd70693,
	0x54de5729,
	0x23d967bf,
	0xb3667a2e,
	0xc4614ab8,
	0x5d681b02,
	0x2a6f2b94,
	0xb40bbe37,
	0xc30c8ea1,
	0x5a05df1b,
	0x2d02ef8d,
};

uint32_t crc32_of(uint32_t seed, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t crc = ~seed;

	for (size_t i = 0; i < len; i++)
		crc = crc32_table[(crc ^ p[i]) & 255] ^ crc >> 8;
	return ~crc;
}
