/* SPDX-License-Identifier: Apache-2.0 */
/* Deliveries and their events. */
#include "store/deliveries.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "store/store-internal.h"

static const char *const trusts[] = { "untrusted", "trusted" };

const char *trust_name(enum trust t)
{
	return trusts[t];
}

static const struct actor hook_actor = { "hook", "", NULL };

/* ---- accepting --------------------------------------------------------------------- */

static int insert_delivery(struct store *s, const struct delivery_new *d,
	enum delivery_state state, const char *reason, int64_t *ret_id, struct err *err)
{
	struct state_move born = {
		.machine = MACHINE_DELIVERY,
		.to = state,
		.who = { "hook", d->forge, d->request },
		.reason = reason,
	};

	if (db_run(s->db, err,
		    "INSERT INTO deliveries (hook_id, repo_id, forge, key, event,"
		    " body_sha256,"
		    " body_len, peer, request, state, reason, received_at)"
		    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
		    I(d->hook), I(d->repo), S(d->forge), S(d->key ? d->key : ""),
		    S(d->event), B(d->body_sha256, SHA256_LEN), I(d->body_len),
		    S(d->peer ? d->peer : ""), S(d->request ? d->request : ""),
		    S(state_name(MACHINE_DELIVERY, state)), S(reason ? reason : ""),
		    I(clock_wall_ms())))
		return -1;
	*ret_id = db_last_id(s->db);
	if (d->hook &&
		db_run(s->db, err, "UPDATE hooks SET last_delivery_at = ? WHERE id = ?",
			I(clock_wall_ms()), I(d->hook)))
		return -1;
	born.id = *ret_id;
	return state_born(s, &born, err);
}

/*
 * The document as text. The payload is most of it and is not written anew when it is at
 * hand as it came: then it takes the place of a null at the end.
 */
static char *document_text(const struct event_new *e)
{
	static const char hole[] = "\"event\":null}}";
	struct json *github = json_get(e->document, "github"), *event;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	if (!e->document)
		return xstrdup("{}");
	if (!e->payload)
		return json_text(e->document);
	event = json_share(json_get(github, "event"));
	json_set(github, "event", NULL);
	strbuf_reserve(&text, e->payload_len + 4096);
	json_write(e->document, 0, &text);
	json_set(github, "event", event);
	if (!strbuf_ends_with(&text, hole))
		return json_text(e->document);
	strbuf_truncate(&text, text.len - strlen("null}}"));
	strbuf_add(&text, e->payload, e->payload_len);
	strbuf_adds(&text, "}}");
	return strbuf_take(&text);
}

static int insert_event(struct store *s, int64_t delivery, int64_t repo,
	const struct event_new *e, const char *request, int64_t *ret_id, struct err *err)
{
	enum event_state state = e->ignore ? EVENT_IGNORED : EVENT_PENDING;
	_cleanup_free_ char *document = document_text(e);
	int64_t now = clock_wall_ms();
	struct state_move born = {
		.machine = MACHINE_EVENT,
		.to = state,
		.who = { "hook", e->actor ? e->actor : "", request },
		.reason = e->ignore,
	};

	if (db_run(s->db, err,
		    "INSERT INTO events (delivery_id, repo_id, state, kind, name,"
		    " action, ref,"
		    " head_sha, base_sha, merge_sha, title, actor, actor_id, trust,"
		    " reason,"
		    " created_at, changed_at, document)"
		    " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		    I(delivery), I(repo), S(state_name(MACHINE_EVENT, state)), S(e->kind),
		    S(e->name), S(e->action ? e->action : ""), S(e->ref ? e->ref : ""),
		    S(e->head_sha ? e->head_sha : ""), S(e->base_sha ? e->base_sha : ""),
		    S(e->merge_sha ? e->merge_sha : ""), S(e->title ? e->title : ""),
		    S(e->actor ? e->actor : ""), S(e->actor_id ? e->actor_id : ""),
		    S(trust_name(e->trust)), S(e->ignore ? e->ignore : ""), I(now),
		    I(now), S(document)))
		return -1;
	*ret_id = db_last_id(s->db);
	born.id = *ret_id;
	return state_born(s, &born, err);
}

/* The accepted delivery this one repeats: by its id for ever, by its body for a day. */
static int find_original(
	struct store *s, const struct delivery_new *d, int64_t *ret, struct err *err)
{
	*ret = 0;
	if (!d->hook)
		return 0;
	if (d->key && *d->key &&
		db_value(s->db, ret, 0, err,
			"SELECT id FROM deliveries WHERE hook_id = ? AND key = ?"
			" AND state = 'accepted' AND hook_id <> 0 AND key <> ''",
			I(d->hook), S(d->key)))
		return -1;
	if (*ret)
		return 0;
	return db_value(s->db, ret, 0, err,
		"SELECT id FROM deliveries WHERE hook_id = ? AND body_sha256 = ?"
		" AND received_at > ? AND state = 'accepted'"
		" ORDER BY received_at DESC, id DESC LIMIT 1", /* as its index is */
		I(d->hook), B(d->body_sha256, SHA256_LEN),
		I(clock_wall_ms() - LIMIT_DEDUPE_MS));
}

static int replan(struct store *s, int64_t event, const struct actor *who,
	const char *why, struct err *err)
{
	struct state_move m = {
		.machine = MACHINE_EVENT,
		.id = event,
		.from = EVENT_FAILED,
		.to = EVENT_PENDING,
		.who = *who,
		.reason = why,
		.set = "tries = 0, reason = '', detail = NULL",
	};

	return state_move(s, &m, err);
}

static int accept_again(
	struct store *s, int64_t original, struct accept_result *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	bool has_failed;
	int got;

	if (db_run(s->db, err,
		    "UPDATE deliveries SET duplicates = duplicates + 1, duplicate_at = ?"
		    " WHERE id = ?",
		    I(clock_wall_ms()), I(original)))
		return -1;
	got = db_first(s->db, &r, err,
		"SELECT id, state FROM events WHERE delivery_id = ?", I(original));
	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_CORRUPT, "delivery %lld has no event",
					 (long long)original);
	has_failed = str_eq(db_str(&r, 1), "failed");
	*ret = (struct accept_result){ has_failed ? ACCEPT_REPLANNED : ACCEPT_DUPLICATE,
		original, db_int(&r, 0) };
	return has_failed ? replan(s, ret->event, &hook_actor, "delivered again", err)
			  : 0;
}

static int accept_new(struct store *s, const struct delivery_new *d,
	const struct event_new *e, struct accept_result *ret, struct err *err)
{
	struct accept_result result = { .outcome = ACCEPT_NEW };

	FP("delivery.insert.before");
	if (insert_delivery(s, d, DELIVERY_ACCEPTED, e->ignore, &result.delivery, err))
		return -1;
	FP("delivery.insert.after");
	if (insert_event(s, result.delivery, d->repo, e, d->request, &result.event, err))
		return -1;
	*ret = result;
	return 0;
}

int deliveries_accept(struct store *s, const struct delivery_new *d,
	const struct event_new *e, struct accept_result *ret, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	struct accept_result result = { 0 };
	int64_t original;

	if (store_begin(&tx, s, err) || find_original(s, d, &original, err))
		return -1;
	if (original ? accept_again(s, original, &result, err)
		     : accept_new(s, d, e, &result, err))
		return -1;
	store_touch(s, 0, 0, 0, d->repo);
	if (store_commit(&tx, err))
		return -1;
	*ret = result;
	return 0;
}

int deliveries_note(struct store *s, const struct delivery_new *d,
	enum delivery_state state, const char *reason, int64_t *ret_id, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	int64_t id;

	if (state == DELIVERY_ACCEPTED)
		return err_set(err, ERR_BUG, "an accepted delivery comes with an event");
	if (store_begin(&tx, s, err) || insert_delivery(s, d, state, reason, &id, err) ||
		store_commit(&tx, err))
		return -1;
	if (ret_id)
		*ret_id = id;
	return 0;
}

/* ---- events ------------------------------------------------------------------------ */

void event_done(struct event *e)
{
	char *const texts[] = { e->kind, e->name, e->action, e->ref, e->head_sha,
		e->base_sha, e->merge_sha, e->title, e->actor, e->actor_id, e->reason };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i]);
	json_free(e->document);
	*e = (struct event){ 0 };
}

int events_get(struct store *s, int64_t id, struct event *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	struct json *document = NULL;
	int got = db_first(s->db, &r, err,
		"SELECT id, repo_id, delivery_id, state, trust, kind, name, action,"
		" ref, head_sha,"
		" base_sha, merge_sha, title, actor, actor_id, reason, created_at, tries,"
		" document FROM events WHERE id = ?",
		I(id));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no event %lld",
					 (long long)id);
	if (json_parse(db_str(&r, 18), strlen(db_str(&r, 18)), &document, err))
		return err_wrap(err, "document of event %lld", (long long)id);
	*ret = (struct event){
		.id = db_int(&r, 0),
		.repo = db_int(&r, 1),
		.delivery = db_int(&r, 2),
		.state = (enum event_state)state_parse(MACHINE_EVENT, db_str(&r, 3)),
		.trust = str_eq(db_str(&r, 4), "trusted") ? TRUST_TRUSTED
							  : TRUST_UNTRUSTED,
		.kind = col_dup(&r, 5),
		.name = col_dup(&r, 6),
		.action = col_dup(&r, 7),
		.ref = col_dup(&r, 8),
		.head_sha = col_dup(&r, 9),
		.base_sha = col_dup(&r, 10),
		.merge_sha = col_dup(&r, 11),
		.title = col_dup(&r, 12),
		.actor = col_dup(&r, 13),
		.actor_id = col_dup(&r, 14),
		.reason = col_dup(&r, 15),
		.created_at = db_int(&r, 16),
		.tries = (int)db_int(&r, 17),
		.document = document,
	};
	return 0;
}

int events_pending(struct store *s, int64_t *ids, size_t max, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int n = 0, got;

	if (db_query(s->db, &r, err,
		    "SELECT id FROM events WHERE state = 'pending' ORDER BY id LIMIT ?",
		    I(max)))
		return -1;
	while ((got = db_step(&r, err)) > 0)
		ids[n++] = db_int(&r, 0);
	return got < 0 ? -1 : n;
}

static int leave_pending(struct store *s, int64_t id, enum event_state to,
	const char *reason, const struct json *detail, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_free_ char *text = detail ? json_text(detail) : NULL;
	const struct db_arg args[] = { S(reason), S(text) };
	struct state_move m = {
		.machine = MACHINE_EVENT,
		.id = id,
		.from = EVENT_PENDING,
		.to = to,
		.who = ACTOR_CORE,
		.reason = reason,
		.set = "reason = ?1, detail = ?2",
		.args = args,
		.args_len = ARRAY_SIZE(args),
	};
	int64_t repo;

	if (store_begin(&tx, s, err) || state_move(s, &m, err) ||
		db_value(s->db, &repo, 0, err, "SELECT repo_id FROM events WHERE id = ?",
			I(id)))
		return -1;
	store_touch(s, 0, 0, 0, repo);
	return store_commit(&tx, err);
}

int events_fail(struct store *s, int64_t id, const char *reason,
	const struct json *detail, struct err *err)
{
	return leave_pending(s, id, EVENT_FAILED, reason, detail, err);
}

int events_ignore(struct store *s, int64_t id, const char *reason, struct err *err)
{
	return leave_pending(s, id, EVENT_IGNORED, reason, NULL, err);
}

int events_note_try(struct store *s, int64_t id, struct err *err)
{
	int64_t tries;

	if (db_value(s->db, &tries, 0, err,
		    "UPDATE events SET tries = tries + 1 WHERE id = ? AND state ="
		    " 'pending'"
		    " RETURNING tries",
		    I(id)))
		return -1;
	if (tries == 0)
		return err_set(
			err, ERR_CONFLICT, "event %lld is not pending", (long long)id);
	if (tries <= LIMIT_EVENT_TRIES)
		return 0;
	/* It takes the planner down each time: no event may do that for ever. */
	if (events_fail(s, id, "planning it was given up after several tries", NULL, err))
		return -1;
	return err_set(err, ERR_LIMIT, "event %lld was tried %d times", (long long)id,
		LIMIT_EVENT_TRIES);
}

int events_replan(struct store *s, int64_t id, const struct actor *who, struct err *err)
{
	return replan(s, id, who, "planned again", err);
}
