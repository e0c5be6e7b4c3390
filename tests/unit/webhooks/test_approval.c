/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/world.h"

#include "webhooks/approval.h"
#include "webhooks/signature.h"

struct call {
	const char *secret;
	int64_t gate;
	const char *key;
	const char *nonce;
	const char *path;
	const char *method;
	const char *body; /* with %lld for the gate */
	int64_t skew_s;
	const char *sig; /* overrides */
};

#define GOOD_BODY "{\"gate\":\"%lld\",\"decision\":\"approve\",\"digest\":\"" DIGEST "\"}"

static struct approval_answer ask(struct world *w, const struct call *c)
{
	_cleanup_(json_freep) struct json *headers = json_new_object();
	_cleanup_free_ char *body =
		xasprintf(c->body ? c->body : GOOD_BODY, (long long)c->gate);
	_cleanup_free_ char *ts =
		xasprintf("%lld", (long long)(clock_wall_ms() / 1000 + c->skew_s));
	_cleanup_free_ char *path =
		xasprintf("/hooks/approvals/%lld", (long long)c->gate);
	_cleanup_free_ char *gate = xasprintf("%lld", (long long)c->gate);
	const struct approval_call call = { ts, c->nonce ? c->nonce : "nonce-0001",
		c->method ? c->method : "POST", c->path ? c->path : path, body,
		strlen(body) };
	struct approval_request q = { .gate = gate,
		.headers = headers,
		.method = "POST",
		.path = path,
		.request = "r1",
		.body = body,
		.len = strlen(body) };
	struct approval_answer a;
	char sig[SIGNATURE_MAX];

	approval_sign(&call, c->secret, strlen(c->secret), sig);
	json_set_str(headers, "x-sluice-key", c->key ? c->key : "demo");
	json_set_str(headers, "x-sluice-timestamp", ts);
	json_set_str(headers, "x-sluice-nonce", call.nonce);
	json_set_str(headers, "x-sluice-signature", c->sig ? c->sig : sig);
	assert_ok(approval_receive(w->s, &q, &a, &w->err), &w->err);
	return a;
}

static char *make_key(struct world *w, const char *name)
{
	char *secret = NULL;

	assert_ok(keys_create(w->s, name, &mira, &secret, &w->err), &w->err);
	return secret;
}

static int64_t gate_at(struct world *w, const char *rules)
{
	int64_t run;

	world_environment(w, "production", rules);
	run = world_run(w, "deploy");
	world_expand(w, world_job(w, run, "deploy", 0),
		&(struct world_rows){ .environment = "production" });
	return world_gate(w, run);
}

#define RULES "{\"reviewers\": [\"key:demo\"]}"

static void the_canonical_string_is_five_lines(void **state)
{
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;
	const struct approval_call c = { "1778760123", "abcdefgh", "POST",
		"/hooks/approvals/1", "{}", 2 };
	char sig[SIGNATURE_MAX];

	approval_canonical(&c, &b);
	assert_string_equal(b.buf,
		"1778760123\nabcdefgh\nPOST\n/hooks/approvals/1\n"
		"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
	/* Made with `openssl dgst -sha256 -hmac secret`. */
	assert_string_equal(approval_sign(&c, "secret", 6, sig),
		"sha256=143699a8c3b4ff241c457ec867a028dbb0016bd9f0168ec455d6880bbbab49b8");
}

static void a_signed_approval_opens_the_gate_once(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *secret = make_key(w, "demo");
	struct call c = { .secret = secret, .gate = gate_at(w, RULES) };
	struct approval_answer a = ask(w, &c);

	assert_int_equal(a.status, 200);
	assert_string_equal(a.message, "approved");
	assert_string_equal(a.state, "approved");
	/* The very same bytes again. */
	a = ask(w, &c);
	assert_int_equal(a.status, 409);
	world_check(w);
}

static void a_refusal_is_as_good(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *secret = make_key(w, "demo");
	struct call c = { .secret = secret,
		.gate = gate_at(w, RULES),
		.body = "{\"gate\":%lld,\"decision\":\"reject\",\"digest\":\"" DIGEST
			"\",\"comment\":\"no\"}" };
	struct approval_answer a = ask(w, &c);

	assert_int_equal(a.status, 200);
	assert_string_equal(a.state, "rejected");
	world_check(w);
}

/* What is wrong with a call, and how it is answered; the gate stays shut (SECURITY AP08). */
static const struct {
	struct call c;
	int status;
} bad_calls[] = {
	{ { .skew_s = -301 }, 401 },
	{ { .skew_s = 301 }, 401 },
	{ { .nonce = "short" }, 401 },
	{ { .nonce = "with\nline-end" }, 401 },
	{ { .nonce = "with space!" }, 401 },
	{ { .key = "nobody" }, 401 },
	{ { .key = "other" }, 401 }, /* a live key, but not the one that signed */
	{ { .path = "/hooks/approvals/99" }, 401 },
	{ { .method = "GET" }, 401 },
	{ { .sig = "" }, 401 },
	{ { .sig = "sha256=" }, 401 },
	{ { .sig = "none" }, 401 },
	{ { .body = "{\"gate\":\"99\",\"decision\":\"approve\",\"digest\":\"" DIGEST
		    "\",\"x\":%lld}" },
		400 },
	{ { .body = "{\"gate\":\"%lld\",\"decision\":\"maybe\",\"digest\":\"" DIGEST
		    "\"}" },
		400 },
	{ { .body = "{\"gate\":\"%lld\",\"decision\":\"approve\"}" }, 400 },
	{ { .body = "{\"gate\":\"%lld\",\"decision\":\"approve\",\"digest\":\"other\"}" },
		409 },
	{ { .body = "{\"gate\":\"%lld\"" }, 400 },
	{ { .body = "[%lld]" }, 400 },
};

static void every_doubt_leaves_the_gate_shut(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *secret = make_key(w, "demo"), *other = make_key(w, "other");
	int64_t gate = gate_at(w, RULES);
	_cleanup_(gate_done) struct gate g = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(bad_calls); i++) {
		struct call c = bad_calls[i].c;
		struct approval_answer a;

		c.secret = secret;
		c.gate = gate;
		a = ask(w, &c);
		if (a.status != bad_calls[i].status)
			fail_msg("case %zu: %d %s", i, a.status, a.message);
		if (a.status == 401)
			assert_string_equal(a.message, "not signed by an approval key");
	}
	/* The secret of the push hook opens nothing. */
	{
		struct call c = { .secret = "0123456789abcdef0123", .gate = gate };

		assert_int_equal(ask(w, &c).status, 401);
	}
	assert_ok(gates_get(w->s, gate, &g, &w->err), &w->err);
	assert_int_equal(g.state, GATE_PENDING);
	assert_int_equal(g.approvals, 0);
	(void)other;
	world_check(w);
}

static void a_key_has_to_be_a_reviewer_and_counts_once(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *secret = make_key(w, "demo");
	struct call c = { .secret = secret,
		.gate = gate_at(w, "{\"reviewers\": [\"mira\"]}") };
	struct approval_answer a = ask(w, &c);

	assert_int_equal(a.status, 403);
	c.gate = gate_at(w, "{\"reviewers\": [\"mira\", \"key:demo\"], \"required\": 2}");
	c.nonce = "nonce-0002";
	a = ask(w, &c);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.message, "counted; more approvals are needed");
	c.nonce = "nonce-0003";
	a = ask(w, &c);
	assert_int_equal(a.status, 409);
	assert_has(a.message, "'key:demo' has voted");
	assert_ok(keys_revoke(w->s, "demo", &mira, &w->err), &w->err);
	c.nonce = "nonce-0004";
	assert_int_equal(ask(w, &c).status, 401);
	world_check(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_canonical_string_is_five_lines),
		WORLD(a_signed_approval_opens_the_gate_once),
		WORLD(a_refusal_is_as_good),
		WORLD(every_doubt_leaves_the_gate_shut),
		WORLD(a_key_has_to_be_a_reviewer_and_counts_once),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
