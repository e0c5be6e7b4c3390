/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: everything that is known, in one SQLite file with one writer (core). Every
 * function of this folder that writes is one transaction of its own, or joins the one the
 * caller has opened with store_begin, so many deliveries or frames can share a commit.
 *
 * Order of reading: store.h, state.h, then one header per aggregate. Strings handed in are
 * copied; strings in structs handed out are owned by the struct and go with its *_done.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/crypto.h"
#include "base/err.h"
#include "store/db.h"

struct store;

enum store_flags {
	STORE_CREATE = 1 << 0, /* also applies migrations, as every writer does */
	STORE_ANY_FS = 1 << 1, /* tests */
};

/*
 * The writer. PATH is db/sluice.db of the data directory or ":memory:". Migrates an older
 * schema in one transaction; a newer one is refused with ERR_UNSUPPORTED, a file that is
 * not ours or damaged with ERR_CORRUPT.
 */
int store_open(
	const char *path, enum store_flags flags, struct store **ret, struct err *err);
/* For web: never writes. ERR_UNAVAILABLE while the schema is not the one of this build. */
int store_open_readonly(const char *path, struct store **ret, struct err *err);
void store_free(struct store *s); /* NULL is fine */
DEFINE_CLEANUP(struct store, store_free);

/* The master key; needed for anything sealed. Copied to locked, undumpable memory. */
int store_set_key(struct store *s, const uint8_t key[CRYPTO_MASTER_LEN], struct err *err);
bool store_has_key(const struct store *s);

/*
 * One transaction for many calls. store_end after store_commit does nothing; without it,
 * it rolls back: use it as a cleanup.
 */
struct store_tx {
	struct store *store;
	struct db_tx tx;
};
#define STORE_TX_INIT            \
	{                        \
		NULL, DB_TX_INIT \
	}
int store_begin(struct store_tx *tx, struct store *s, struct err *err);
int store_commit(struct store_tx *tx, struct err *err);
void store_end(struct store_tx *tx);

/*
 * What changed, told after the outermost commit, each run, job or gate once. Live pages
 * and the scheduler hang on it. FN must not write to the store.
 */
struct store_change {
	int64_t run; /* 0: none */
	int64_t job;
	int64_t gate;
	int64_t repo;	 /* settings of a repository */
	int64_t version; /* of the run after the change */
};
typedef void store_changed_fn(const struct store_change *c, void *data);
void store_on_change(struct store *s, store_changed_fn *fn, void *data);

/* The server is paused: nothing is claimed. BY may be NULL when resuming. */
int store_pause(
	struct store *s, bool on, const char *by, const char *why, struct err *err);
bool store_is_paused(struct store *s);
/* Small facts: "instance" (random id), "created_at". Heap, NULL if there is none. */
char *store_meta(struct store *s, const char *key);
int store_set_meta(struct store *s, const char *key, const char *value, struct err *err);

/* Of the write-ahead log after the last commit. */
int store_wal_pages(const struct store *s);
/* For the checkpointer process on a store of its own, and at idle with TRUNCATE. */
int store_checkpoint(struct store *s, bool truncate, int *ret_wal_pages, struct err *err);
/* A consistent copy while serving. The key is never in it. */
int store_copy(struct store *s, const char *path, struct err *err);
/*
 * To be called on a restored copy before it is served (SECURITY 4.6): a new instance
 * epoch, at-most-once jobs that were not done become lost, other jobs cancelled, gates
 * void; one audit row says so. Counts of each may be NULL.
 */
int store_after_restore(struct store *s, const char *from, int *ret_lost,
	int *ret_cancelled, int *ret_void, struct err *err);

int store_schema_version(void);	      /* of this build */
struct db *store_db(struct store *s); /* for this folder and for tests */

#endif
