/* SPDX-License-Identifier: Apache-2.0 */
/* What the query files share. */
#ifndef STORE_QUERY_INTERNAL_H
#define STORE_QUERY_INTERNAL_H

#include "store/query.h"
#include "store/store-internal.h"

/* All rows as an array of objects; NULL on error. */
#define query_rows(s, err, sql, ...) query_rows_args(s, err, sql, DB_ARGS_(__VA_ARGS__))
struct json *query_rows_args(struct store *s, struct err *err, const char *sql,
	const struct db_arg *args, size_t len);
/* Puts query_rows under KEY of OBJ. */
#define query_put(s, obj, key, err, sql, ...) \
	query_put_rows(obj, key, query_rows(s, err, sql, __VA_ARGS__))
int query_put_rows(struct json *obj, const char *key, struct json *rows); /* takes */
/* {by why at} while the server is paused, else NULL. */
struct json *query_paused(struct store *s);
/* The one row, or ERR_NOT_FOUND "no WHAT". */
#define query_one(s, what, err, sql, ...) \
	query_one_args(s, what, err, sql, DB_ARGS_(__VA_ARGS__))
struct json *query_one_args(struct store *s, const char *what, struct err *err,
	const char *sql, const struct db_arg *args, size_t len);

int query_limit(int limit);
/* {"items": ITEMS (taken), "next": id of the last when there were more than LIMIT}. */
struct json *query_page(struct json *items, int limit);
/* The ids of ITEMS as JSON text for json_each(?). */
char *query_ids(const struct json *items, const char *key);
/*
 * Hands each row of CHILDREN to the item whose "id" is its KEY, into its array NAME. KEY
 * is removed from the row. CHILDREN is taken.
 */
void query_distribute(
	struct json *items, const char *name, struct json *children, const char *key);

/* One consistent view for several statements; a reader only, core sees its own anyway. */
struct query_view {
	struct db_tx tx;
};
#define QUERY_VIEW_INIT    \
	{                  \
		DB_TX_INIT \
	}
int query_view_open(struct query_view *v, struct store *s, struct err *err);
void query_view_done(struct query_view *v);

#define QUERY_JOB_STATE "CASE j.state WHEN 'completed' THEN j.conclusion ELSE j.state END"
#define QUERY_RUN_COLUMNS                                                               \
	"r.id, r.number, p.name AS repo, r.workflow_name AS workflow, r.workflow_path," \
	" r.title, r.event_name AS event, r.phase AS state, r.conclusion, r.attempt,"   \
	" r.attempt AS attempts, r.trust, r.ref, r.branch, r.sha, r.actor, r.reason,"   \
	" r.version, r.is_cancelled, r.created_at, r.attempt_at, r.started_at,"         \
	" r.completed_at"

#endif
