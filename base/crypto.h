/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only module that includes OpenSSL. Nothing here is invented: SHA-256, HMAC-SHA256,
 * HKDF-SHA256, AES-256-GCM, random bytes, constant-time comparison.
 */
#ifndef BASE_CRYPTO_H
#define BASE_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"

#define SHA256_LEN 32
#define SHA256_HEX_MAX 65 /* 64 digits and NUL */

void crypto_sha256(const void *data, size_t len, uint8_t out[SHA256_LEN]);
/* Into BUF of SHA256_HEX_MAX; returns BUF. */
char *crypto_sha256_hex(const void *data, size_t len, char *buf);

struct sha256; /* streaming */
struct sha256 *sha256_new(void);
void sha256_add(struct sha256 *s, const void *data, size_t len);
void sha256_end(struct sha256 *s, uint8_t out[SHA256_LEN]); /* may be started again */
void sha256_free(struct sha256 *s);
DEFINE_CLEANUP(struct sha256, sha256_free);

/* SHA-1, for the formats of git alone; it is no proof of anything. */
#define SHA1_LEN 20
struct sha1;
struct sha1 *sha1_new(void);
void sha1_add(struct sha1 *s, const void *data, size_t len);
void sha1_end(struct sha1 *s, uint8_t out[SHA1_LEN]); /* may be started again */
void sha1_free(struct sha1 *s);
DEFINE_CLEANUP(struct sha1, sha1_free);

void crypto_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
	uint8_t out[SHA256_LEN]);
/* The time taken depends on LEN alone. */
bool crypto_equal(const void *a, const void *b, size_t len);

/* From the kernel; aborts if there are none. */
void crypto_random(void *out, size_t len);
/* N random bytes as lower-case hex, heap. */
char *crypto_random_hex(size_t n);
/* N random bytes as base64url without padding, heap; for tokens. */
char *crypto_random_token(size_t n);

/*
 * Sealed box: salt(32) nonce(12) ciphertext tag(16). The row key is HKDF-SHA256(MASTER,
 * salt, "sluice row"), AES-256-GCM with AAD, so rows cannot be swapped.
 */
#define CRYPTO_MASTER_LEN 32
#define CRYPTO_SEAL_EXTRA (32 + 12 + 16)
void crypto_seal(const uint8_t master[CRYPTO_MASTER_LEN], const void *aad, size_t aad_len,
	const void *plain, size_t len, struct strbuf *out);
/* Appends the plain text to OUT; ERR_CORRUPT when it does not verify. */
int crypto_open(const uint8_t master[CRYPTO_MASTER_LEN], const void *aad, size_t aad_len,
	const void *box, size_t len, struct strbuf *out, struct err *err);

void hex_encode(const void *data, size_t len, char *out); /* 2*LEN+1 bytes */
/* Exactly LEN bytes from 2*LEN digits of either case; 0 or -1. */
int hex_decode(const char *hex, size_t hex_len, void *out, size_t len);
void base64_encode(const void *data, size_t len, bool url, struct strbuf *out);
int base64_decode(const char *s, size_t len, struct strbuf *out); /* both alphabets */
uint32_t crc32_of(uint32_t seed, const void *data, size_t len); /* IEEE, seed 0 first */

#endif
