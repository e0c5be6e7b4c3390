/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/world.h"

#include "base/limits.h"

static struct accept_result accept(struct world *w, const char *key, const char *body)
{
	struct delivery_new d = world_delivery(w, key, body);
	struct accept_result r;

	assert_ok(deliveries_accept(w->s, &d, &world_push, &r, &w->err), &w->err);
	return r;
}

static int64_t count(struct world *w, const char *sql)
{
	int64_t n;

	assert_ok(db_value_args(store_db(w->s), &n, -1, &w->err, sql, NULL, 0), &w->err);
	return n;
}

static void a_delivery_comes_with_its_event(void **state)
{
	struct world *w = *state;
	struct accept_result r = accept(w, "k1", "{}");
	_cleanup_(event_done) struct event e = { 0 };
	int64_t ids[4];

	assert_int_equal(r.outcome, ACCEPT_NEW);
	assert_ok(events_get(w->s, r.event, &e, &w->err), &w->err);
	assert_int_equal(e.state, EVENT_PENDING);
	assert_int_equal(e.delivery, r.delivery);
	assert_int_equal(e.trust, TRUST_TRUSTED);
	assert_string_equal(e.head_sha, HEX_A);
	assert_int_equal(events_pending(w->s, ids, 4, &w->err), 1);
	assert_int_equal(ids[0], r.event);
	world_check(w);
}

/* The payload's own bytes stand in the document, wherever they are put. */
static void a_payload_is_kept_as_it_came(void **state)
{
	static const char payload[] =
		"{ \"b\": [1, 2],\n\"a\":\"x\\u0000y\", \"n\":1e2 }";
	static const struct {
		const char *before, *after; /* of the payload in the document */
		bool is_kept;
	} rows[] = {
		{ "{\"kind\":\"push\",\"github\":{\"sha\":\"a\",\"event\":", "}}", true },
		{ "{\"github\":{\"event\":", ",\"sha\":\"a\"}}", false },
		{ "{\"github\":{\"event\":", "},\"kind\":\"push\"}", false },
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *text =
			xasprintf("%s%s%s", rows[i].before, payload, rows[i].after);
		_cleanup_free_ char *key = xasprintf("k%zu", i);
		_cleanup_(json_freep) struct json *document = NULL, *as_it_was = NULL;
		_cleanup_(event_done) struct event e = { 0 };
		struct delivery_new d = world_delivery(w, key, text);
		struct event_new event = world_push;
		struct accept_result r;
		int64_t is_kept;

		assert_ok(json_parse(text, strlen(text), &document, &w->err), &w->err);
		as_it_was = json_clone(document);
		event.document = document;
		event.payload = payload;
		event.payload_len = strlen(payload);
		assert_ok(deliveries_accept(w->s, &d, &event, &r, &w->err), &w->err);
		assert_true(json_same(document, as_it_was));
		assert_ok(events_get(w->s, r.event, &e, &w->err), &w->err);
		assert_true(json_same(e.document, as_it_was));
		assert_ok(
			db_value(store_db(w->s), &is_kept, 0, &w->err,
				"SELECT instr(document, ?) > 0 FROM events WHERE id = ?",
				db_arg_str(payload), db_arg_int(r.event)),
			&w->err);
		assert_int_equal(is_kept, rows[i].is_kept);
	}
	world_check(w);
}

static void the_same_id_is_a_duplicate_whatever_the_body(void **state)
{
	struct world *w = *state;
	struct accept_result a = accept(w, "k1", "{\"a\":1}"),
			     b = accept(w, "k1", "{\"a\":2}");

	assert_int_equal(b.outcome, ACCEPT_DUPLICATE);
	assert_int_equal(b.delivery, a.delivery);
	assert_int_equal(b.event, a.event);
	clock_skew_wall(LIMIT_DEDUPE_MS * 10);
	assert_int_equal(accept(w, "k1", "{\"a\":3}").outcome, ACCEPT_DUPLICATE);
	assert_int_equal(count(w, "SELECT count(*) FROM events"), 1);
	assert_int_equal(count(w, "SELECT duplicates FROM deliveries"), 2);
	world_check(w);
}

/* HMAC covers the body alone: a captured body must not run again under another id (WH04). */
static void the_same_body_is_a_duplicate_for_a_day(void **state)
{
	struct world *w = *state;
	struct accept_result a = accept(w, "k1", "{\"a\":1}");
	struct delivery_new d = world_delivery(w, "k2", "{\"a\":1}");
	struct accept_result r;

	d.event = "pull_request"; /* and whatever its headers say it is */
	assert_ok(deliveries_accept(w->s, &d, &world_push, &r, &w->err), &w->err);
	assert_int_equal(r.outcome, ACCEPT_DUPLICATE);
	assert_int_equal(r.event, a.event);
	clock_skew_wall(LIMIT_DEDUPE_MS - 60000);
	assert_int_equal(accept(w, "k3", "{\"a\":1}").outcome, ACCEPT_DUPLICATE);
	clock_skew_wall(LIMIT_DEDUPE_MS + 60000);
	assert_int_equal(accept(w, "k4", "{\"a\":1}").outcome, ACCEPT_NEW);
	world_check(w);
}

static void hooks_do_not_share_ids_or_bodies(void **state)
{
	struct world *w = *state;
	struct delivery_new d = world_delivery(w, "k1", "{}");
	struct accept_result r;
	const struct repo_new repo = { "acme/other", "gitea", "https://x.example/o.git",
		NULL, NULL };
	int64_t other, hook;

	accept(w, "k1", "{}");
	assert_ok(repos_add(w->s, &repo, &mira, &other, &w->err), &w->err);
	assert_ok(hooks_add(w->s, other, "gitea", NULL, &mira, &hook, NULL, &w->err),
		&w->err);
	d.hook = hook;
	d.repo = other;
	assert_ok(deliveries_accept(w->s, &d, &world_push, &r, &w->err), &w->err);
	assert_int_equal(r.outcome, ACCEPT_NEW);
	/* What has no hook (the API, one's own machine) is never a duplicate. */
	d.hook = 0;
	for (int i = 0; i < 2; i++) {
		assert_ok(deliveries_accept(w->s, &d, &world_push, &r, &w->err), &w->err);
		assert_int_equal(r.outcome, ACCEPT_NEW);
	}
	world_check(w);
}

static void a_duplicate_of_a_failed_event_plans_it_again(void **state)
{
	struct world *w = *state;
	struct accept_result a = accept(w, "k1", "{}"), b;
	int64_t ids[2];

	assert_ok(
		events_fail(w->s, a.event, "the commit is gone", NULL, &w->err), &w->err);
	assert_int_equal(events_pending(w->s, ids, 2, &w->err), 0);
	b = accept(w, "k1", "{}");
	assert_int_equal(b.outcome, ACCEPT_REPLANNED);
	assert_int_equal(events_pending(w->s, ids, 2, &w->err), 1);
	assert_int_equal(accept(w, "k1", "{}").outcome, ACCEPT_DUPLICATE);
	assert_ok(events_ignore(w->s, a.event, "no workflow wants it", &w->err), &w->err);
	assert_int_equal(accept(w, "k1", "{}").outcome, ACCEPT_DUPLICATE);
	assert_int_equal(events_replan(w->s, a.event, &mira, &w->err), -1);
	assert_err(&w->err, ERR_CONFLICT, NULL);
	world_check(w);
}

static void an_event_that_kills_its_planner_is_given_up(void **state)
{
	struct world *w = *state;
	struct accept_result a = accept(w, "k1", "{}");
	_cleanup_(event_done) struct event e = { 0 };

	for (int i = 0; i < LIMIT_EVENT_TRIES; i++)
		assert_ok(events_note_try(w->s, a.event, &w->err), &w->err);
	assert_int_equal(events_note_try(w->s, a.event, &w->err), -1);
	assert_err(&w->err, ERR_LIMIT, NULL);
	assert_ok(events_get(w->s, a.event, &e, &w->err), &w->err);
	assert_int_equal(e.state, EVENT_FAILED);
	assert_int_equal(events_note_try(w->s, a.event, &w->err), -1);
	assert_err(&w->err, ERR_CONFLICT, NULL);
	assert_ok(events_replan(w->s, a.event, &mira, &w->err), &w->err);
	assert_ok(events_note_try(w->s, a.event, &w->err), &w->err);
	world_check(w);
}

static void what_leads_to_nothing_is_written_down(void **state)
{
	struct world *w = *state;
	struct delivery_new d = world_delivery(w, "k1", "{}");
	struct event_new skip = world_push;
	struct accept_result r;
	int64_t id, ids[2];
	_cleanup_(json_freep) struct json *j = NULL;

	assert_ok(deliveries_note(w->s, &d, DELIVERY_REJECTED, "it names acme/other", &id,
			  &w->err),
		&w->err);
	/* A rejected one is no obstacle when it comes again and is right. */
	assert_int_equal(
		deliveries_note(w->s, &d, DELIVERY_ACCEPTED, "", &id, &w->err), -1);
	assert_err(&w->err, ERR_BUG, NULL);
	skip.ignore = "[skip ci] in its message";
	assert_ok(deliveries_accept(w->s, &d, &skip, &r, &w->err), &w->err);
	assert_int_equal(r.outcome, ACCEPT_NEW);
	assert_int_equal(events_pending(w->s, ids, 2, &w->err), 0);
	assert_ok(query_deliveries(w->s, "acme/archive", 0, 0, &j, &w->err), &w->err);
	assert_int_equal(json_count(json_get(j, "items")), 2);
	assert_string_equal(
		json_get_str(json_at(json_get(j, "items"), 0), "event_state", ""),
		"ignored");
	assert_string_equal(json_get_str(json_at(json_get(j, "items"), 1), "reason", ""),
		"it names acme/other");
	world_check(w);
}

static void many_share_one_commit_and_one_bad_one_spoils_only_itself(void **state)
{
	struct world *w = *state;
	struct err err = ERR_INIT;
	struct store_tx tx = STORE_TX_INIT;
	struct delivery_new bad = world_delivery(w, "bad", "bad");
	struct accept_result r;

	assert_ok(store_begin(&tx, w->s, &err), &err);
	accept(w, "k1", "1");
	bad.repo = 4711;
	assert_int_equal(deliveries_accept(w->s, &bad, &world_push, &r, &w->err), -1);
	accept(w, "k2", "2");
	assert_int_equal(accept(w, "k1", "3").outcome, ACCEPT_DUPLICATE);
	assert_ok(store_commit(&tx, &err), &err);
	store_end(&tx);
	assert_int_equal(count(w, "SELECT count(*) FROM events"), 2);
	world_check(w);
	/* Not committed: nothing. */
	assert_ok(store_begin(&tx, w->s, &err), &err);
	accept(w, "k9", "9");
	store_end(&tx);
	assert_int_equal(count(w, "SELECT count(*) FROM events"), 2);
	world_check(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(a_delivery_comes_with_its_event),
		WORLD(a_payload_is_kept_as_it_came),
		WORLD(the_same_id_is_a_duplicate_whatever_the_body),
		WORLD(the_same_body_is_a_duplicate_for_a_day),
		WORLD(hooks_do_not_share_ids_or_bodies),
		WORLD(a_duplicate_of_a_failed_event_plans_it_again),
		WORLD(an_event_that_kills_its_planner_is_given_up),
		WORLD(what_leads_to_nothing_is_written_down),
		WORLD(many_share_one_commit_and_one_bad_one_spoils_only_itself),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
