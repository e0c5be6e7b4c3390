/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thin layer over SQLite: the only module that includes <sqlite3.h>. The other files of
 * this folder hold the SQL and speak to it through typed arguments:
 *
 *	db_run(db, err, "UPDATE t SET a = ? WHERE id = ?", S(name), I(id));
 *	(I, S, B are short for db_arg_int, _str, _blob in store-internal.h)
 *
 *	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
 *	if (db_query(db, &r, err, "SELECT a, b FROM t WHERE c = ?", I(c)))
 *		return -1;
 *	while ((got = db_step(&r, err)) > 0)
 *		use(db_int(&r, 0), db_str(&r, 1));
 *
 * Statements are prepared once per connection and cached by their text.
 * SQLITE_BUSY is ERR_UNAVAILABLE, a broken constraint ERR_CONFLICT, damaged or foreign
 * files ERR_CORRUPT, a failing disk ERR_SYS. After a failed fsync nothing may be retried on
 * the same connection: db_is_broken says so, and the process has to end (SECURITY DB04).
 * A forked child must not touch a connection of its parent, not even to close it.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"

struct db;

enum db_flags {
	DB_CREATE = 1 << 0, /* make the file (0640) when it is not there */
	/*
	 * Never writes, creates or deletes; -shm must be writable. PATH may lead through
	 * /proc/self/fd/N of a folder, and no link in it is resolved by name.
	 */
	DB_READONLY = 1 << 1,
	DB_ANY_FS = 1 << 2, /* tests: also on a file system we would refuse */
};

/*
 * PATH ":memory:" is private to this connection. On disk: WAL, synchronous=FULL, no
 * automatic checkpoint, foreign keys, untrusted schema, cell size checks, busy timeout.
 * A network file system is refused with ERR_UNSUPPORTED.
 */
int db_open(const char *path, enum db_flags flags, struct db **ret, struct err *err);
void db_free(struct db *db); /* NULL is fine */
DEFINE_CLEANUP(struct db, db_free);

enum db_arg_kind { DB_ARG_NULL, DB_ARG_INT, DB_ARG_STR, DB_ARG_BLOB };
struct db_arg {
	enum db_arg_kind kind;
	int64_t i;
	const void *p; /* must live until the statement is done */
	size_t len;
};
struct db_arg db_arg_str(const char *s); /* NULL binds null */
#define db_arg_int(v)	    ((struct db_arg){ DB_ARG_INT, (int64_t)(v), NULL, 0 })
#define db_arg_blob(ptr, n) ((struct db_arg){ DB_ARG_BLOB, 0, (ptr), (n) })
#define db_arg_null()	    ((struct db_arg){ DB_ARG_NULL, 0, NULL, 0 })
#define DB_ARGS_(...)                     \
	(struct db_arg[]){ __VA_ARGS__ }, \
		sizeof((struct db_arg[]){ __VA_ARGS__ }) / sizeof(struct db_arg)

/* Runs one statement to its end. db_changes: rows it inserted, changed or deleted. */
#define db_run(db, err, sql, ...) db_run_args(db, err, sql, DB_ARGS_(__VA_ARGS__))
int db_run_args(struct db *db, struct err *err, const char *sql,
	const struct db_arg *args, size_t len);
int db_changes(const struct db *db);
int64_t db_last_id(const struct db *db);
/* Several statements without arguments, for the schema. */
int db_script(struct db *db, const char *sql, struct err *err);

struct db_rows {
	struct db *db;
	void *stmt;
	bool is_cached;
};
#define DB_ROWS_INIT              \
	{                         \
		NULL, NULL, false \
	}

#define db_query(db, rows, err, sql, ...) \
	db_query_args(db, rows, err, sql, DB_ARGS_(__VA_ARGS__))
int db_query_args(struct db *db, struct db_rows *ret, struct err *err, const char *sql,
	const struct db_arg *args, size_t len);
int db_step(struct db_rows *r, struct err *err); /* 1 a row, 0 the end, -1 */
void db_rows_done(struct db_rows *r);		 /* usable again */
/* db_query and the first db_step in one: 1 a row, 0 none, -1. */
#define db_first(db, rows, err, sql, ...) \
	db_first_args(db, rows, err, sql, DB_ARGS_(__VA_ARGS__))
int db_first_args(struct db *db, struct db_rows *ret, struct err *err, const char *sql,
	const struct db_arg *args, size_t len);
/* The first column of the first row; OTHERWISE when there is none. -1 on error. */
#define db_value(db, ret, otherwise, err, sql, ...) \
	db_value_args(db, ret, otherwise, err, sql, DB_ARGS_(__VA_ARGS__))
int db_value_args(struct db *db, int64_t *ret, int64_t otherwise, struct err *err,
	const char *sql, const struct db_arg *args, size_t len);

/* Columns of the current row, from 0. Pointers live until the next step. */
int64_t db_int(const struct db_rows *r, int col);     /* 0 for null */
const char *db_str(const struct db_rows *r, int col); /* "" for null */
const char *db_str_null(const struct db_rows *r, int col);
const void *db_blob(const struct db_rows *r, int col, size_t *ret_len);
bool db_is_null(const struct db_rows *r, int col);
/*
 * The row as an object, keys are the column names. A column named "x_json" holds JSON and
 * becomes member "x"; "is_..." and "has_..." become booleans, 0 in "..._at" null,
 * blobs hex digits.
 */
struct json *db_row_json(const struct db_rows *r);

/*
 * Transactions nest: the outermost is BEGIN IMMEDIATE, the others savepoints, so that a
 * function that fails undoes its own work only and the caller's goes on.
 *
 *	_cleanup_(db_tx_end) struct db_tx tx = DB_TX_INIT;
 *	if (db_tx_begin(&tx, db, err)) return -1;
 *	...			(any return before the commit rolls back)
 *	return db_tx_commit(&tx, err);
 */
struct db_tx {
	struct db *db;
	int depth;
};
#define DB_TX_INIT      \
	{               \
		NULL, 0 \
	}
int db_tx_begin(struct db_tx *tx, struct db *db, struct err *err);
int db_tx_commit(struct db_tx *tx, struct err *err);
void db_tx_end(struct db_tx *tx); /* rolls back unless committed */
int db_tx_depth(const struct db *db);

bool db_is_broken(const struct db *db);
bool db_is_readonly(const struct db *db);

/* In the WAL after this connection's last commit. */
int db_wal_pages(const struct db *db);
/*
 * Moves pages from the WAL into the database without waiting for anybody; for the
 * checkpointer process with a connection of its own. TRUNCATE also empties the file, when
 * nobody reads. Figures may be NULL.
 */
int db_checkpoint(struct db *db, bool truncate, int *ret_wal_pages, int *ret_moved,
	struct err *err);
/* A copy of the whole database as of now into the new file PATH, while others write. */
int db_copy(struct db *db, const char *path, struct err *err);

#endif
