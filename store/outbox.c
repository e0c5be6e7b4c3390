/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be told to others, kept until they have it. */
#include "store/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "store/store-internal.h"

#define PAUSE_MS     5000LL
#define PAUSE_MAX_MS (60 * 60 * 1000LL)
#define GIVE_UP_MS   (24 * 60 * 60 * 1000LL)

void outbox_row_done(struct outbox_row *r)
{
	free(r->topic);
	free(r->context);
	json_free(r->payload);
	*r = (struct outbox_row){ 0 };
}

int outbox_add(struct store *s, int64_t repo, const char *topic, const char *context,
	const struct json *payload, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_free_ char *text = json_text(payload);
	int64_t now = clock_wall_ms();

	if (store_begin(&tx, s, err) ||
		db_run(s->db, err,
			"DELETE FROM outbox WHERE context = ? AND sent_at = 0 AND"
			" failed_at = 0",
			S(context)) ||
		db_run(s->db, err,
			"INSERT INTO outbox (repo_id, topic, context, payload,"
			" created_at, due_at)"
			" VALUES (?,?,?,?,?,?)",
			I(repo), S(topic), S(context), S(text), I(now), I(now)))
		return -1;
	return store_commit(&tx, err);
}

int outbox_next(
	struct store *s, struct outbox_row *ret, int64_t *ret_next, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	struct json *payload = NULL;
	int got = db_first(s->db, &r, err,
		"SELECT id, repo_id, tries, topic, context, payload, due_at FROM outbox"
		" WHERE sent_at = 0 AND failed_at = 0 ORDER BY due_at, id LIMIT 1");

	*ret_next = 0;
	if (got <= 0)
		return got;
	if (db_int(&r, 6) > clock_wall_ms()) {
		*ret_next = db_int(&r, 6);
		return 0;
	}
	if (json_parse(db_str(&r, 5), strlen(db_str(&r, 5)), &payload, err))
		return -1;
	*ret = (struct outbox_row){ db_int(&r, 0), db_int(&r, 1), db_int(&r, 2),
		col_dup(&r, 3), col_dup(&r, 4), payload };
	return 1;
}

/* A row sent stays until the next one of its context: it says what the other side knows. */
int outbox_sent(struct store *s, int64_t id, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;

	if (store_begin(&tx, s, err) ||
		db_run(s->db, err,
			"UPDATE outbox SET sent_at = ?, error = '' WHERE id = ?",
			I(clock_wall_ms()), I(id)) ||
		db_run(s->db, err,
			"DELETE FROM outbox WHERE sent_at <> 0 AND id < ?1 AND context ="
			" (SELECT context FROM outbox WHERE id = ?1)",
			I(id)))
		return -1;
	return store_commit(&tx, err);
}

int outbox_failed(struct store *s, int64_t id, const char *why, struct err *err)
{
	int64_t now = clock_wall_ms();

	/* Doubling pauses: 5 s, 10 s ... an hour; after a day nobody waits for it. */
	return db_run(s->db, err,
		"UPDATE outbox SET tries = tries + 1, error = ?1,"
		" due_at = ?2 + min(?3, ?4 << min(tries, 20)),"
		" failed_at = CASE WHEN created_at < ?2 - ?5 THEN ?2 ELSE 0 END WHERE"
		" id = ?6",
		S(why), I(now), I(PAUSE_MAX_MS), I(PAUSE_MS), I(GIVE_UP_MS), I(id));
}
