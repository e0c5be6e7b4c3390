/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, migrating and closing the store; transactions that tell what they changed. */
#include "store/store-internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

#define APPLICATION_ID 0x736c7563 /* "sluc": a file of somebody else is refused */

int store_schema_version(void)
{
	return schema_steps[schema_steps_count() - 1].version;
}

struct db *store_db(struct store *s)
{
	return s->db;
}

/* ---- opening ----------------------------------------------------------------------- */

static int check_ours(struct db *db, int64_t *ret_version, struct err *err)
{
	int64_t app, tables;

	if (db_value(db, &app, 0, err, "PRAGMA application_id") ||
		db_value(db, ret_version, 0, err, "PRAGMA user_version") ||
		db_value(db, &tables, 0, err, "SELECT count(*) FROM sqlite_schema"))
		return -1;
	if (tables == 0 && app == 0 && *ret_version == 0)
		return 0; /* new */
	if (app != APPLICATION_ID)
		return err_set(err, ERR_CORRUPT, "this is no database of sluice");
	if (*ret_version > store_schema_version())
		return err_set(err, ERR_UNSUPPORTED,
			"the database has schema %lld, this program knows %d: "
			"start the newer program, or restore a backup from before",
			(long long)*ret_version, store_schema_version());
	return 0;
}

static int fill_new(struct db *db, struct err *err)
{
	_cleanup_free_ char *id = crypto_random_hex(16);
	_cleanup_free_ char *now = xasprintf("%lld", (long long)clock_wall_ms());

	if (db_run(db, err, "INSERT INTO meta VALUES ('instance', ?)", S(id)) ||
		db_run(db, err, "INSERT INTO meta VALUES ('created_at', ?)", S(now)) ||
		db_run(db, err, "INSERT INTO meta VALUES ('instance_epoch', '0')") ||
		db_run(db, err, "INSERT INTO meta VALUES ('hooks_version', '1')"))
		return -1;
	return 0;
}

/* All steps in one transaction, the number last: a crash leaves the old schema whole. */
static int migrate(struct db *db, int64_t from, struct err *err)
{
	_cleanup_(db_tx_end) struct db_tx tx = DB_TX_INIT;
	_cleanup_(strbuf_done) struct strbuf pragma = STRBUF_INIT;
	int64_t now_at;

	if (db_tx_begin(&tx, db, err))
		return -1;
	if (check_ours(db, &now_at, err))
		return -1;
	if (now_at != from) /* somebody else was faster */
		return err_set(err, ERR_UNAVAILABLE, "the database is being migrated");
	for (int i = 0; i < schema_steps_count(); i++) {
		if (schema_steps[i].version <= from)
			continue;
		FP("store.migrate.step");
		if (db_script(db, schema_steps[i].sql, err))
			return err_wrap(err, "schema step %d", schema_steps[i].version);
	}
	if (from == 0 && fill_new(db, err))
		return -1;
	strbuf_addf(&pragma, "PRAGMA application_id = %d; PRAGMA user_version = %d",
		APPLICATION_ID, store_schema_version());
	FP("store.migrate.version");
	if (db_script(db, pragma.buf, err))
		return -1;
	return db_tx_commit(&tx, err);
}

static int load_meta(struct store *s, struct err *err)
{
	return db_value(s->db, &s->instance_epoch, 0, err,
		       "SELECT CAST(value AS INTEGER) FROM meta WHERE key ="
		       " 'instance_epoch'") ||
			       db_value(s->db, &s->hooks_version, 1, err,
				       "SELECT CAST(value AS INTEGER) FROM meta"
				       " WHERE key = 'hooks_version'")
		       ? -1
		       : 0;
}

int store_open(
	const char *path, enum store_flags flags, struct store **ret, struct err *err)
{
	_cleanup_(store_freep) struct store *s = xcalloc(1, sizeof(*s));
	enum db_flags db_flags = ((flags & STORE_CREATE) ? DB_CREATE : 0) |
				 ((flags & STORE_ANY_FS) ? DB_ANY_FS : 0);
	int64_t version;

	if (db_open(path, db_flags, &s->db, err))
		return -1;
	if (check_ours(s->db, &version, err) ||
		(version < store_schema_version() && migrate(s->db, version, err)) ||
		load_meta(s, err))
		return err_wrap(err, "cannot use '%s'", path);
	*ret = take_ptr(s);
	return 0;
}

int store_open_readonly(const char *path, struct store **ret, struct err *err)
{
	_cleanup_(store_freep) struct store *s = xcalloc(1, sizeof(*s));
	int64_t version;

	if (db_open(path, DB_READONLY | DB_ANY_FS, &s->db, err) ||
		check_ours(s->db, &version, err))
		return -1;
	if (version != store_schema_version())
		return err_set(err, ERR_UNAVAILABLE,
			"the database has schema %lld and not yet %d", (long long)version,
			store_schema_version());
	if (load_meta(s, err))
		return -1;
	*ret = take_ptr(s);
	return 0;
}

static size_t key_page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void drop_key(struct store *s)
{
	if (!s->key)
		return;
	explicit_bzero(s->key, CRYPTO_MASTER_LEN);
	(void)munmap(s->key, key_page()); /* a page of our own: cannot fail */
	s->key = NULL;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	drop_key(s);
	db_free(s->db);
	free(s->changes);
	free(s);
}

int store_set_key(struct store *s, const uint8_t key[CRYPTO_MASTER_LEN], struct err *err)
{
	uint8_t *page = s->key;

	if (!page) {
		page = mmap(NULL, key_page(), PROT_READ | PROT_WRITE,
			/* cppcheck-suppress invalidFunctionArg ; no file is -1 */
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (page == MAP_FAILED)
			return err_sys(err, "cannot make room for the master key");
		/* Best effort: RLIMIT_MEMLOCK may be 0. It is never dumped, never forked. */
		(void)mlock(page, key_page());
		(void)madvise(page, key_page(), MADV_DONTDUMP);
		(void)madvise(page, key_page(), MADV_WIPEONFORK);
	}
	memcpy(page, key, CRYPTO_MASTER_LEN);
	s->key = page;
	return 0;
}

bool store_has_key(const struct store *s)
{
	return s->key != NULL;
}

/* ---- transactions and what they touch ---------------------------------------------- */

int store_begin(struct store_tx *tx, struct store *s, struct err *err)
{
	if (db_tx_begin(&tx->tx, s->db, err))
		return -1;
	if (tx->tx.depth == 1)
		s->changes_len = 0;
	tx->store = s;
	return 0;
}

void store_touch(struct store *s, int64_t run, int64_t job, int64_t gate, int64_t repo)
{
	for (size_t i = 0; i < s->changes_len; i++) {
		const struct store_change *c = &s->changes[i];

		if (c->run == run && c->job == job && c->gate == gate && c->repo == repo)
			return;
	}
	GROW(s->changes, s->changes_cap, s->changes_len + 1);
	s->changes[s->changes_len++] = (struct store_change){ run, job, gate, repo, 0 };
}

/* Each run's version grows once a transaction, whatever happened in it. */
static int count_versions(struct store *s, struct err *err)
{
	for (size_t i = 0; i < s->changes_len; i++) {
		struct store_change *c = &s->changes[i];

		for (size_t k = 0; k < i && !c->version && c->run; k++)
			if (s->changes[k].run == c->run)
				c->version = s->changes[k].version;
		if (!c->run || c->version)
			continue;
		if (db_value(s->db, &c->version, 0, err,
			    "UPDATE runs SET version = version + 1, changed_at = ?"
			    " WHERE id = ? RETURNING version",
			    I(clock_wall_ms()), I(c->run)))
			return -1;
	}
	return 0;
}

static void tell(struct store *s)
{
	size_t len = s->changes_len;

	s->changes_len = 0;
	for (size_t i = 0; s->on_change && i < len; i++) {
		struct store_change c = s->changes[i];

		s->on_change(&c, s->on_change_data);
	}
}

int store_commit(struct store_tx *tx, struct err *err)
{
	struct store *s = tx->store;
	bool is_outer = tx->tx.depth == 1;

	if (is_outer && count_versions(s, err))
		return -1;
	if (db_tx_commit(&tx->tx, err))
		return -1;
	tx->store = NULL;
	if (is_outer)
		tell(s);
	return 0;
}

void store_end(struct store_tx *tx)
{
	struct store *s = tx->store;

	if (!s)
		return;
	s->has_head = false; /* the row it points to is being undone, perhaps */
	if (tx->tx.depth == 1)
		s->changes_len = 0;
	db_tx_end(&tx->tx);
	tx->store = NULL;
}

void store_on_change(struct store *s, store_changed_fn *fn, void *data)
{
	s->on_change = fn;
	s->on_change_data = data;
}

/* ---- small facts ------------------------------------------------------------------- */

char *store_meta(struct store *s, const char *key)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	struct err err = ERR_INIT;
	int got =
		db_first(s->db, &r, &err, "SELECT value FROM meta WHERE key = ?", S(key));

	if (got < 0)
		log_err("cannot read meta key=%s: %s", key, err.msg);
	return got > 0 ? col_dup(&r, 0) : NULL;
}

int store_set_meta(struct store *s, const char *key, const char *value, struct err *err)
{
	return db_run(s->db, err,
		"INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value ="
		" excluded.value",
		S(key), S(value));
}

int store_pause(
	struct store *s, bool on, const char *by, const char *why, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(json_freep) struct json *j = json_new_object();
	struct actor who = { "user", by ? by : "", NULL };

	if (store_begin(&tx, s, err))
		return -1;
	if (on) {
		_cleanup_free_ char *text = NULL;

		json_set_str(j, "by", by ? by : "");
		json_set_str(j, "why", why ? why : "");
		json_set_int(j, "at", clock_wall_ms());
		text = json_text(j);
		if (store_set_meta(s, "paused", text, err))
			return -1;
	} else if (db_run(s->db, err, "DELETE FROM meta WHERE key = 'paused'")) {
		return -1;
	}
	if (audit_add(s, &who, on ? "server.pause" : "server.resume", "server", 0, 0, j,
		    err))
		return -1;
	store_touch(s, 0, 0, 0, 0);
	return store_commit(&tx, err);
}

bool store_is_paused(struct store *s)
{
	_cleanup_free_ char *text = store_meta(s, "paused");

	return text != NULL;
}

int store_wal_pages(const struct store *s)
{
	return db_wal_pages(s->db);
}

int store_checkpoint(struct store *s, bool truncate, int *ret_wal_pages, struct err *err)
{
	return db_checkpoint(s->db, truncate, ret_wal_pages, NULL, err);
}

int store_copy(struct store *s, const char *path, struct err *err)
{
	return db_copy(s->db, path, err);
}
