/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signed approval: POST /hooks/approvals/GATE by a program that holds an approval key.
 *
 *	X-Sluice-Key: NAME
 *	X-Sluice-Timestamp: seconds since 1970, within 300 s of ours
 *	X-Sluice-Nonce: 8 to 64 of [A-Za-z0-9_-], never used before with this key
 *	X-Sluice-Signature: sha256=HEX of HMAC-SHA256(secret as shown, canonical string)
 *	{"gate": "1", "decision": "approve" | "reject", "digest": "...", "comment": "..."}
 *
 * The canonical string is five lines without a newline at the end:
 * TIMESTAMP \n NONCE \n METHOD \n PATH \n lower-case hex of SHA-256(body)
 */
#ifndef WEBHOOKS_APPROVAL_H
#define WEBHOOKS_APPROVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "store/gates.h"

#define APPROVAL_SKEW_MS (300 * 1000LL)

struct approval_call {
	const char *timestamp;
	const char *nonce;
	const char *method;
	const char *path;
	const void *body;
	size_t len;
};

void approval_canonical(const struct approval_call *c, struct strbuf *out);
/* "sha256=HEX" in BUF of SIGNATURE_MAX (webhooks/signature.h). */
const char *approval_sign(
	const struct approval_call *c, const char *secret, size_t len, char *buf);
/* Signature and timestamp; ERR_DENIED says one thing for every reason. */
int approval_verify(const struct approval_call *c, const char *signature,
	const char *secret, size_t len, int64_t now_ms, struct err *err);

/* The body, read after it verified. Strings live in the struct. */
struct approval {
	int64_t gate;
	bool approves;
	char digest[129];
	char comment[1025];
};
int approval_read(const void *body, size_t len, struct approval *ret, struct err *err);

struct approval_request {
	const char *gate;	    /* as in the path */
	const struct json *headers; /* lower-case names */
	const char *method;
	const char *path;
	const char *request;
	const void *body;
	size_t len;
};
struct approval_answer {
	int status; /* 200, 400, 401, 403, 404, 409 */
	char message[ERR_MSG_MAX];
	const char *state; /* of the gate afterwards; NULL if unknown */
	int64_t gate;
};
/*
 * All of it: key, signature, time, nonce, vote. Joins the caller's transaction; -1 is our
 * own trouble. Core calls gates' followers through store_on_change as for any vote.
 */
int approval_receive(struct store *s, const struct approval_request *q,
	struct approval_answer *ret, struct err *err);

#endif
