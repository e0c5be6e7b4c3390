/* SPDX-License-Identifier: Apache-2.0 */
/* Raw bytes in, yes or no out. */
#include "webhooks/signature.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/crypto.h"
#include "base/strbuf.h"
#include "webhooks/event-internal.h"

#define TOKEN_MAX 4096

static bool is_lower_hex(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
			return false;
	return true;
}

/* PREFIX and exactly 64 digits: the digest's bytes. */
static bool read_digest(const char *header, const char *prefix, uint8_t out[SHA256_LEN])
{
	size_t skip = strlen(prefix);

	if (!header || !str_starts(header, prefix) ||
		strlen(header) != skip + 2 * SHA256_LEN ||
		!is_lower_hex(header + skip, 2 * SHA256_LEN))
		return false;
	return hex_decode(header + skip, 2 * SHA256_LEN, out, SHA256_LEN) == 0;
}

static bool digest_matches(const uint8_t want[SHA256_LEN], const void *body, size_t len,
	const char *secret, size_t secret_len)
{
	uint8_t got[SHA256_LEN];

	crypto_hmac_sha256(secret, secret_len, body, len, got);
	return crypto_equal(want, got, SHA256_LEN);
}

/* Digests of both are compared, so that neither length nor first difference shows. */
static bool token_matches(const char *token, const char *secret, size_t secret_len)
{
	uint8_t a[SHA256_LEN], b[SHA256_LEN];

	if (!token || strlen(token) > TOKEN_MAX)
		return false;
	crypto_sha256(token, strlen(token), a);
	crypto_sha256(secret, secret_len, b);
	return crypto_equal(a, b, SHA256_LEN);
}

static const struct {
	const char *forge;
	const char *header;
	const char *prefix;
} signed_by[] = {
	{ "github", "x-hub-signature-256", "sha256=" },
	{ "gitea", "x-gitea-signature", "" },
	{ "gitea", "x-forgejo-signature", "" },
	{ "generic", "x-sluice-signature", "sha256=" },
};

bool signature_matches(const char *forge, const struct json *headers, const void *body,
	size_t len, const char *secret, size_t secret_len)
{
	uint8_t want[SHA256_LEN];

	if (secret_len == 0)
		return false;
	if (str_eq(forge, "gitlab"))
		return token_matches(
			hook_header(headers, "x-gitlab-token"), secret, secret_len);
	for (size_t i = 0; i < ARRAY_SIZE(signed_by); i++) {
		/* The first header of the forge that is there decides; it has no second. */
		if (!str_eq(signed_by[i].forge, forge) ||
			!json_get(headers, signed_by[i].header))
			continue;
		return read_digest(hook_header(headers, signed_by[i].header),
			       signed_by[i].prefix, want) &&
		       digest_matches(want, body, len, secret, secret_len);
	}
	return false;
}

const char *signature_make(
	const void *body, size_t len, const char *secret, size_t secret_len, char *buf)
{
	uint8_t mac[SHA256_LEN];

	crypto_hmac_sha256(secret, secret_len, body, len, mac);
	memcpy(buf, "sha256=", 7);
	hex_encode(mac, sizeof(mac), buf + 7);
	return buf;
}
