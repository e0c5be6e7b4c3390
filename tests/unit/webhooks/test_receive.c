/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/world.h"

#include "webhooks/receive.h"
#include "webhooks/signature.h"

#define SECRET "0123456789abcdef0123" /* of world.h */

/* ---- signatures -------------------------------------------------------------------- */

static bool matches(const char *forge, const char *header, const char *value)
{
	_cleanup_(json_freep) struct json *headers = json_new_object();

	if (value)
		json_set_str(headers, header, value);
	return signature_matches(forge, headers, "hello", 5, SECRET, strlen(SECRET));
}

static const struct {
	const char *forge;
	const char *header;
	bool with_prefix;
} forges[] = {
	{ "github", "x-hub-signature-256", true },
	{ "gitea", "x-gitea-signature", false },
	{ "gitea", "x-forgejo-signature", false },
	{ "generic", "x-sluice-signature", true },
};

static void one_signature_is_right_and_every_change_of_it_wrong(void **state)
{
	char good[SIGNATURE_MAX], bad[SIGNATURE_MAX];

	signature_make("hello", 5, SECRET, strlen(SECRET), good);
	for (size_t f = 0; f < ARRAY_SIZE(forges); f++) {
		const char *value = forges[f].with_prefix ? good : good + 7;

		assert_true(matches(forges[f].forge, forges[f].header, value));
		assert_false(matches(forges[f].forge, forges[f].header, NULL));
		/* Each of the 64 digits, by one. */
		for (size_t i = 7; i < 71; i++) {
			memcpy(bad, good, sizeof(bad));
			bad[i] = bad[i] == '0' ? '1' : '0';
			assert_false(matches(forges[f].forge, forges[f].header,
				forges[f].with_prefix ? bad : bad + 7));
		}
	}
}

static void refuses_signatures_that_are_nearly_one(void **state)
{
	char good[SIGNATURE_MAX];
	_cleanup_free_ char *upper = NULL, *space = NULL, *before = NULL, *shorter = NULL;
	_cleanup_free_ char *longer = NULL, *sha1 = NULL, *huge = xmalloc(1 << 20);
	_cleanup_(json_freep) struct json *twice = json_new_object(),
					  *nul = json_new_object();
	struct json *list = json_new_array();

	signature_make("hello", 5, SECRET, strlen(SECRET), good);
	upper = xstrdup(good);
	for (char *c = upper + 7; *c; c++)
		*c = (char)(*c >= 'a' ? *c - 32 : *c);
	space = xasprintf("%s ", good);
	before = xasprintf(" %s", good);
	shorter = xstrndup(good, 70);
	longer = xasprintf("%s0", good);
	sha1 = xasprintf("sha1=%.40s", good + 7);
	memset(huge, 'a', (1 << 20) - 1);
	huge[(1 << 20) - 1] = '\0';
	{
		const char *const bad[] = { "", "sha256=", good + 7, upper, space, before,
			shorter, longer, sha1, huge, "sha256=zz", "none" };

		for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
			if (matches("github", "x-hub-signature-256", bad[i]))
				fail_msg("case %zu matched", i);
	}
	assert_false(
		matches("gitea", "x-gitea-signature", good)); /* a prefix it has not */
	assert_false(matches("github", "x-hub-signature", good));
	assert_false(matches("nowhere", "x-hub-signature-256", good));
	/* Two headers are none, and so is one with a NUL in it. */
	json_push_str(list, good);
	json_push_str(list, good);
	json_set(twice, "x-hub-signature-256", list);
	assert_false(
		signature_matches("github", twice, "hello", 5, SECRET, strlen(SECRET)));
	json_set(nul, "x-hub-signature-256", json_new_strn(good, strlen(good) + 1));
	assert_false(
		signature_matches("github", nul, "hello", 5, SECRET, strlen(SECRET)));
	/* No secret is no way in. */
	assert_false(signature_matches("github", twice, "hello", 5, "", 0));
}

static void gitlab_sends_the_secret_itself(void **state)
{
	assert_true(matches("gitlab", "x-gitlab-token", SECRET));
	assert_false(matches("gitlab", "x-gitlab-token", SECRET "x"));
	assert_false(matches("gitlab", "x-gitlab-token", ""));
	assert_false(matches("gitlab", "x-gitlab-token", NULL));
}

/* ---- receiving --------------------------------------------------------------------- */

#define BODY                                                                       \
	"{\"ref\":\"refs/heads/main\",\"before\":\"" HEX_B "\",\"after\":\"" HEX_A \
	"\",\"commits\":[],\"repository\":{\"id\":140,\"full_name\":\"%s\","       \
	"\"default_branch\":\"trunk\"},\"sender\":{\"login\":\"omar\",\"id\":7},\"n\":%d}"

static struct hook_answer send_as(struct world *w, struct receiver *r, const char *repo,
	int n, const char *key, const char *secret)
{
	_cleanup_(json_freep) struct json *headers = json_new_object();
	_cleanup_free_ char *body = xasprintf(BODY, repo, n);
	char sig[SIGNATURE_MAX];
	struct hook_request q = { .forge = "gitea",
		.headers = headers,
		.peer = "192.0.2.1",
		.request = "r1",
		.body = body,
		.len = strlen(body) };
	struct hook_answer a;

	json_set_str(headers, "x-gitea-event", "push");
	json_set_str(headers, "x-gitea-delivery", key);
	json_set_str(headers, "x-gitea-signature",
		signature_make(body, strlen(body), secret, strlen(secret), sig) + 7);
	assert_ok(receive_hook(r, w->s, &q, &a, &w->err), &w->err);
	return a;
}

static void a_signed_push_becomes_an_event(void **state)
{
	struct world *w = *state;
	_cleanup_(receiver_freep) struct receiver *r = receiver_new();
	struct hook_answer a = send_as(w, r, "ACME/Archive", 1, "k1", SECRET);
	_cleanup_(event_done) struct event e = { 0 };
	_cleanup_(repo_done) struct repo repo = { 0 };

	assert_int_equal(a.status, 202);
	assert_ok(events_get(w->s, a.event, &e, &w->err), &w->err);
	assert_string_equal(e.head_sha, HEX_A);
	assert_string_equal(json_as_str(json_path(e.document, "github.event.ref"), ""),
		"refs/heads/main");
	assert_ok(repos_get(w->s, w->repo, &repo, &w->err), &w->err);
	assert_string_equal(repo.forge_id, "140");
	assert_string_equal(repo.default_branch, "trunk");
	a = send_as(w, r, "acme/archive", 1, "k2", SECRET);
	assert_int_equal(
		a.status, 202); /* another body: the name is written differently */
	a = send_as(w, r, "acme/archive", 1, "k3", SECRET);
	assert_int_equal(a.status, 200);
	assert_string_equal(a.message, "duplicate");
	world_check(w);
}

static void every_wrong_signature_has_the_same_answer_and_leaves_nothing(void **state)
{
	struct world *w = *state;
	_cleanup_(receiver_freep) struct receiver *r = receiver_new();
	struct hook_answer a = send_as(
				   w, r, "acme/archive", 1, "k1", "another secret, 0123"),
			   b;
	_cleanup_(json_freep) struct json *headers = json_new_object();
	struct hook_request q = {
		.forge = "github", .headers = headers, .peer = "", .body = "{}", .len = 2
	};
	int64_t n;

	assert_int_equal(a.status, 401);
	assert_ok(receive_hook(r, w->s, &q, &b, &w->err),
		&w->err); /* no hook of this forge */
	assert_int_equal(b.status, 401);
	assert_string_equal(a.message, b.message);
	q.forge = "svn";
	assert_ok(receive_hook(r, w->s, &q, &b, &w->err), &w->err);
	assert_int_equal(b.status, 404);
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err,
			  "SELECT count(*) FROM deliveries"),
		&w->err);
	assert_int_equal(n, 0);
}

/* A hook speaks for its own repository and no other (SECURITY WH05). */
static void a_hook_of_one_repository_cannot_name_another(void **state)
{
	struct world *w = *state;
	_cleanup_(receiver_freep) struct receiver *r = receiver_new();
	const struct repo_new other = { "acme/other", "gitea", "https://x.example/o.git",
		NULL, NULL };
	struct hook_answer a;
	int64_t id, hook, n;

	assert_ok(repos_add(w->s, &other, &mira, &id, &w->err), &w->err);
	assert_ok(hooks_add(w->s, id, "gitea", "fedcba98765432100123", &mira, &hook, NULL,
			  &w->err),
		&w->err);
	a = send_as(w, r, "acme/other", 1, "k1", SECRET);
	assert_int_equal(a.status, 403);
	assert_has(a.message,
		"this hook is for 'acme/archive', the body names 'acme/other'");
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err,
			  "SELECT count(*) FROM audit WHERE verb = 'hook.wrong_repo'"),
		&w->err);
	assert_int_equal(n, 1);
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err, "SELECT count(*) FROM events"),
		&w->err);
	assert_int_equal(n, 0);
	a = send_as(w, r, "acme/other", 1, "k1", "fedcba98765432100123");
	assert_int_equal(a.status, 202);
	world_check(w);
}

static void repositories_with_the_same_secret_are_told_apart_by_name(void **state)
{
	struct world *w = *state;
	_cleanup_(receiver_freep) struct receiver *r = receiver_new();
	const struct repo_new other = { "acme/other", "gitea", "https://x.example/o.git",
		NULL, NULL };
	_cleanup_(event_done) struct event e = { 0 };
	struct hook_answer a;
	int64_t id, hook;

	assert_ok(repos_add(w->s, &other, &mira, &id, &w->err), &w->err);
	assert_ok(hooks_add(w->s, id, "gitea", SECRET, &mira, &hook, NULL, &w->err),
		&w->err);
	a = send_as(w, r, "acme/other", 1, "k1", SECRET);
	assert_int_equal(a.status, 202);
	assert_ok(events_get(w->s, a.event, &e, &w->err), &w->err);
	assert_int_equal(e.repo, id);
	a = send_as(w, r, "acme/third", 1, "k2", SECRET);
	assert_int_equal(a.status, 403);
}

/* A repository of the same name made anew at the forge is another one. */
static void another_number_under_the_same_name_is_another_repository(void **state)
{
	struct world *w = *state;
	_cleanup_(receiver_freep) struct receiver *r = receiver_new();
	struct hook_answer a;

	assert_ok(repos_bind_forge_id(w->s, w->repo, "139", &w->err), &w->err);
	a = send_as(w, r, "acme/archive", 1, "k1", SECRET);
	assert_int_equal(a.status, 403);
}

static void a_rotated_secret_is_known_at_once(void **state)
{
	struct world *w = *state;
	_cleanup_(receiver_freep) struct receiver *r = receiver_new();
	_cleanup_free_ char *fresh = NULL;

	assert_int_equal(send_as(w, r, "acme/archive", 1, "k1", SECRET).status, 202);
	assert_ok(hooks_rotate(w->s, w->hook, 0, &mira, &fresh, &w->err), &w->err);
	assert_int_equal(send_as(w, r, "acme/archive", 2, "k2", SECRET).status, 401);
	assert_int_equal(send_as(w, r, "acme/archive", 2, "k2", fresh).status, 202);
	assert_ok(repos_remove(w->s, w->repo, &mira, &w->err), &w->err);
	assert_int_equal(send_as(w, r, "acme/archive", 3, "k3", fresh).status, 401);
}

static void a_signed_body_of_the_wrong_shape_is_written_down(void **state)
{
	struct world *w = *state;
	_cleanup_(receiver_freep) struct receiver *r = receiver_new();
	_cleanup_(json_freep) struct json *headers = json_new_object();
	char sig[SIGNATURE_MAX];
	struct hook_request q = { .forge = "gitea",
		.headers = headers,
		.peer = "192.0.2.1",
		.body = "{\"a\":",
		.len = 5 };
	struct hook_answer a;
	int64_t n;

	json_set_str(headers, "x-gitea-event", "push");
	json_set_str(headers, "x-gitea-signature",
		signature_make(q.body, q.len, SECRET, strlen(SECRET), sig) + 7);
	assert_ok(receive_hook(r, w->s, &q, &a, &w->err), &w->err);
	assert_int_equal(a.status, 400);
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err,
			  "SELECT count(*) FROM deliveries WHERE state = 'rejected'"),
		&w->err);
	assert_int_equal(n, 1);
	world_check(w);
}

struct opening {
	int times;
	bool fails;
};

static int count_opening(void *data, struct err *err)
{
	struct opening *o = data;

	o->times++;
	return o->fails ? err_set(err, ERR_UNAVAILABLE, "not now") : 0;
}

/* Who floods us with wrong signatures must not cost the disk a thing. */
static void only_what_is_signed_opens_a_transaction(void **state)
{
	struct world *w = *state;
	_cleanup_(receiver_freep) struct receiver *r = receiver_new();
	_cleanup_(json_freep) struct json *headers = json_new_object();
	_cleanup_free_ char *body = xasprintf(BODY, "acme/archive", 1);
	struct opening opening = { 0 };
	char sig[SIGNATURE_MAX];
	struct hook_request q = { .forge = "gitea",
		.headers = headers,
		.peer = "192.0.2.1",
		.body = body,
		.len = strlen(body),
		.begin = count_opening,
		.data = &opening };
	struct hook_answer a;
	struct err err = ERR_INIT;
	int64_t n;

	json_set_str(headers, "x-gitea-event", "push");
	json_set_str(headers, "x-gitea-signature",
		signature_make(body, strlen(body), "not it", 6, sig) + 7);
	assert_ok(receive_hook(r, w->s, &q, &a, &w->err), &w->err);
	assert_int_equal(a.status, 401);
	assert_int_equal(opening.times, 0);
	json_set_str(headers, "x-gitea-signature",
		signature_make(body, strlen(body), SECRET, strlen(SECRET), sig) + 7);
	opening.fails = true;
	assert_int_equal(receive_hook(r, w->s, &q, &a, &err), -1);
	assert_err_has(&err, ERR_UNAVAILABLE, "not now");
	opening.fails = false;
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err,
			  "SELECT count(*) FROM deliveries"),
		&w->err);
	assert_int_equal(n, 0);
	assert_ok(receive_hook(r, w->s, &q, &a, &w->err), &w->err);
	assert_int_equal(a.status, 202);
	assert_int_equal(opening.times, 2);
	world_check(w);
}

static void the_same_delivery_a_hundred_times_is_one_event(void **state)
{
	struct world *w = *state;
	_cleanup_(receiver_freep) struct receiver *r = receiver_new();
	struct store_tx tx = STORE_TX_INIT;
	int64_t n;

	assert_ok(store_begin(&tx, w->s, &w->err), &w->err);
	for (int i = 0; i < 100; i++)
		assert_int_equal(send_as(w, r, "acme/archive", 1, "k1", SECRET).status,
			i ? 200 : 202);
	assert_ok(store_commit(&tx, &w->err), &w->err);
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err, "SELECT count(*) FROM events"),
		&w->err);
	assert_int_equal(n, 1);
	world_check(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_signature_is_right_and_every_change_of_it_wrong),
		TEST(refuses_signatures_that_are_nearly_one),
		TEST(gitlab_sends_the_secret_itself),
		WORLD(a_signed_push_becomes_an_event),
		WORLD(every_wrong_signature_has_the_same_answer_and_leaves_nothing),
		WORLD(a_hook_of_one_repository_cannot_name_another),
		WORLD(repositories_with_the_same_secret_are_told_apart_by_name),
		WORLD(another_number_under_the_same_name_is_another_repository),
		WORLD(a_rotated_secret_is_known_at_once),
		WORLD(a_signed_body_of_the_wrong_shape_is_written_down),
		WORLD(only_what_is_signed_opens_a_transaction),
		WORLD(the_same_delivery_a_hundred_times_is_one_event),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
