/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a delivery from who holds the hook's secret? Looked at before anything is parsed, on
 * the raw body, and compared in constant time on raw digest bytes:
 *
 *	github   X-Hub-Signature-256: sha256=HEX
 *	gitea    X-Gitea-Signature or X-Forgejo-Signature: HEX
 *	gitlab   X-Gitlab-Token: the secret itself
 *	generic  X-Sluice-Signature: sha256=HEX
 *
 * HEX is 64 lower-case digits, nothing before or after. There is no mode without a secret.
 */
#ifndef WEBHOOKS_SIGNATURE_H
#define WEBHOOKS_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"

/*
 * HEADERS is an object of lower-case names; a header that came twice is an array there and
 * never matches. False for every doubt.
 */
bool signature_matches(const char *forge, const struct json *headers, const void *body,
	size_t len, const char *secret, size_t secret_len);

/* "sha256=HEX" of BODY in BUF of SIGNATURE_MAX; for our own hooks and for tests. */
#define SIGNATURE_MAX 72
const char *signature_make(
	const void *body, size_t len, const char *secret, size_t secret_len, char *buf);

#endif
