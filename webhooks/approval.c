/* SPDX-License-Identifier: Apache-2.0 */
/* The signed approval, both ends of it. */
#include "webhooks/approval.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/limits.h"
#include "base/mem.h"
#include "store/tokens.h"
#include "webhooks/event-internal.h"
#include "webhooks/signature.h"

#define NONCE_MIN 8
#define NONCE_MAX 64

void approval_canonical(const struct approval_call *c, struct strbuf *out)
{
	char digest[SHA256_HEX_MAX];

	crypto_sha256_hex(c->body, c->len, digest);
	strbuf_addf(out, "%s\n%s\n%s\n%s\n%s", c->timestamp, c->nonce, c->method, c->path,
		digest);
}

const char *approval_sign(
	const struct approval_call *c, const char *secret, size_t len, char *buf)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	approval_canonical(c, &text);
	return signature_make(text.buf, text.len, secret, len, buf);
}

/* Nothing in it can be a line end, so the canonical string has one reading only. */
static bool nonce_is_valid(const char *nonce)
{
	size_t len = nonce ? strlen(nonce) : 0;

	return len >= NONCE_MIN && len <= NONCE_MAX &&
	       strspn(nonce,
		       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
		       len;
}

static bool time_is_near(const char *timestamp, int64_t now_ms)
{
	long long seconds;

	if (!timestamp || str_to_int(timestamp, 0, INT64_MAX / 1000, &seconds))
		return false;
	return seconds * 1000 >= now_ms - APPROVAL_SKEW_MS &&
	       seconds * 1000 <= now_ms + APPROVAL_SKEW_MS;
}

int approval_verify(const struct approval_call *c, const char *signature,
	const char *secret, size_t len, int64_t now_ms, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_(json_freep) struct json *headers = json_new_object();
	bool is_good = false;

	if (signature && nonce_is_valid(c->nonce) && time_is_near(c->timestamp, now_ms)) {
		approval_canonical(c, &text);
		json_set_str(headers, "x-sluice-signature", signature);
		is_good = signature_matches(
			"generic", headers, text.buf, text.len, secret, len);
	}
	return is_good ? 0 : err_set(err, ERR_DENIED, "not signed by an approval key");
}

/* ---- the body ---------------------------------------------------------------------- */

static int read_text(const struct json *j, const char *key, bool is_needed, char *out,
	size_t max, struct err *err)
{
	const struct json *v = json_get(j, key);
	const char *text = json_as_str(v, "");

	if ((is_needed && !*text) || (v && !json_is(v, JSON_KIND_STRING)))
		return err_set(err, ERR_INPUT, "'%s' is no text", key);
	if (strlen(text) != json_str_len(v) && v)
		return err_set(err, ERR_INPUT, "'%s' holds a NUL", key);
	if (strlen(text) >= max)
		return err_set(
			err, ERR_LIMIT, "'%s' is longer than %zu bytes", key, max - 1);
	memcpy(out, text, strlen(text) + 1);
	return 0;
}

static int read_gate(const struct json *j, int64_t *ret, struct err *err)
{
	const struct json *v = json_get(j, "gate");
	long long n = json_as_int(v, 0);

	if (json_is(v, JSON_KIND_STRING) &&
		str_to_int(json_as_str(v, ""), 1, INT64_MAX, &n))
		n = 0;
	if (n < 1)
		return err_set(err, ERR_INPUT, "'gate' is no number of a gate");
	*ret = n;
	return 0;
}

int approval_read(const void *body, size_t len, struct approval *ret, struct err *err)
{
	_cleanup_(json_freep) struct json *j = NULL;
	struct approval a = { 0 };
	char decision[16];

	if (len > LIMIT_API_BODY)
		return err_set(err, ERR_LIMIT, "the body is too large");
	if (json_parse(body, len, &j, err))
		return -1;
	if (read_gate(j, &a.gate, err) ||
		read_text(j, "decision", true, decision, sizeof(decision), err) ||
		read_text(j, "digest", true, a.digest, sizeof(a.digest), err) ||
		read_text(j, "comment", false, a.comment, sizeof(a.comment), err))
		return -1;
	if (!str_eq(decision, "approve") && !str_eq(decision, "reject"))
		return err_set(
			err, ERR_INPUT, "'decision' is neither approve nor reject");
	a.approves = str_eq(decision, "approve");
	*ret = a;
	return 0;
}

/* ---- receiving --------------------------------------------------------------------- */

static int say(struct approval_answer *a, int status, const char *message)
{
	a->status = status;
	(void)snprintf(a->message, sizeof(a->message), "%s", message);
	return 0;
}

static const struct {
	enum err_code code;
	int status;
} statuses[] = {
	{ ERR_INPUT, 400 },
	{ ERR_LIMIT, 400 },
	{ ERR_DENIED, 403 },
	{ ERR_NOT_FOUND, 404 },
	{ ERR_CONFLICT, 409 },
};

/* What the sender can mend is an answer, the rest goes up. */
static int say_why(struct approval_answer *a, const struct err *why, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].code == why->code)
			return say(a, statuses[i].status, why->msg);
	return err_set(err, why->code, "%s", why->msg);
}

static int verify(struct store *s, const struct approval_request *q, const char *key,
	const struct approval_call *call, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf secret = STRBUF_INIT;
	/* A key nobody has is answered after the same work as a wrong signature. */
	static const char nobody[] =
		"0000000000000000000000000000000000000000000000000000000000000000";
	struct err why = ERR_INIT;
	bool is_known = true;
	int got;

	if (!key || keys_open(s, key, &secret, &why)) {
		if (key && why.code != ERR_DENIED)
			return err_set(err, why.code, "%s", why.msg);
		is_known = false;
		strbuf_adds(&secret, nobody);
	}
	got = approval_verify(call, hook_header(q->headers, "x-sluice-signature"),
		secret.buf, secret.len, clock_wall_ms(), err);
	explicit_bzero(secret.buf, secret.len);
	if (got == 0 && !is_known)
		return err_set(err, ERR_DENIED, "not signed by an approval key");
	return got;
}

static int vote(struct store *s, const struct approval_request *q, const char *key,
	const char *nonce, const struct approval *a, struct approval_answer *ret,
	struct err *err)
{
	_cleanup_free_ char *principal = xasprintf("key:%s", key);
	const struct gate_vote v = {
		.gate = a->gate,
		.who = { "key", principal, q->request },
		.has_scope = true,
		.approves = a->approves,
		.digest = a->digest,
		.comment = a->comment,
		.nonce = nonce,
		/* Longer than its timestamp can be good for, on either side. */
		.nonce_expires = clock_wall_ms() + 3 * APPROVAL_SKEW_MS,
	};
	struct gate_result r;
	struct err why = ERR_INIT;

	ret->gate = a->gate;
	if (gates_vote(s, &v, &r, &why))
		return say_why(ret, &why, err);
	ret->state = state_name(MACHINE_GATE, (int)r.state);
	if (r.state == GATE_PENDING && r.opens_at)
		return say(ret, 200, "approved; it opens when its wait timer has passed");
	if (r.state == GATE_PENDING)
		return say(ret, 200, "counted; more approvals are needed");
	return say(ret, 200, a->approves ? "approved" : "rejected");
}

int approval_receive(struct store *s, const struct approval_request *q,
	struct approval_answer *ret, struct err *err)
{
	const char *key = hook_header(q->headers, "x-sluice-key");
	const char *timestamp = hook_header(q->headers, "x-sluice-timestamp");
	const char *nonce = hook_header(q->headers, "x-sluice-nonce");
	const struct approval_call call = { timestamp ? timestamp : "",
		nonce ? nonce : "", q->method, q->path, q->body, q->len };
	struct approval_answer answer = { 0 };
	struct approval a;
	struct err why = ERR_INIT;
	long long gate = 0;
	int got;

	if (verify(s, q, key, &call, &why))
		got = why.code == ERR_DENIED ? say(&answer, 401, why.msg)
					     : say_why(&answer, &why, err);
	else if (approval_read(q->body, q->len, &a, &why))
		got = say_why(&answer, &why, err);
	else if (str_to_int(q->gate, 1, INT64_MAX, &gate) || gate != a.gate)
		got = say(&answer, 400, "the body is for another gate than the address");
	else
		got = vote(s, q, key, nonce, &a, &answer, err);
	if (got == 0)
		*ret = answer;
	return got;
}
