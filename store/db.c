/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite behind typed arguments, cached statements and nested transactions. */
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fault.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/strbuf.h"

#define CACHE_SLOTS 1024 /* a power of two; half of it is used at most */
#define BUSY_MS	    10000
#define VALUE_MAX \
	(128 * 1024 * 1024) /* one column: an event of LIMIT_HOOK_BODY, escaped */

struct cached {
	uint32_t hash;
	bool is_busy;
	char *sql;
	sqlite3_stmt *stmt;
};

struct db {
	sqlite3 *h;
	bool is_broken;
	bool is_readonly;
	int depth;
	int changes;
	int wal_pages; /* after the last commit */
	size_t cached_len;
	struct cached cache[CACHE_SLOTS];
};

/* ---- errors ------------------------------------------------------------------------ */

static const struct {
	int rc; /* primary result code */
	enum err_code code;
} codes[] = {
	{ SQLITE_BUSY, ERR_UNAVAILABLE },
	{ SQLITE_LOCKED, ERR_UNAVAILABLE },
	{ SQLITE_CONSTRAINT, ERR_CONFLICT },
	{ SQLITE_CORRUPT, ERR_CORRUPT },
	{ SQLITE_NOTADB, ERR_CORRUPT },
	{ SQLITE_FULL, ERR_SYS },
	{ SQLITE_IOERR, ERR_SYS },
	{ SQLITE_CANTOPEN, ERR_SYS },
	{ SQLITE_NOMEM, ERR_SYS },
	{ SQLITE_TOOBIG, ERR_LIMIT },
	{ SQLITE_PERM, ERR_SYS },
	{ SQLITE_READONLY, ERR_SYS },
};

static enum err_code code_of(int rc)
{
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].rc == (rc & 0xff))
			return codes[i].code;
	return ERR_BUG;
}

static int fail(struct db *db, int rc, struct err *err)
{
	enum err_code code = code_of(rc);
	int sys = 0;

	/* What reached the disk is unknown now; trying again could bless a lost write. */
	if ((rc & 0xff) == SQLITE_IOERR)
		db->is_broken = true;
	if (code == ERR_SYS)
		sys = (rc & 0xff) == SQLITE_FULL ? ENOSPC : sqlite3_system_errno(db->h);
	if (sys)
		err_set(err, code, "database: %s: %s", sqlite3_errmsg(db->h),
			err_sys_text(sys));
	else
		err_set(err, code, "database: %s", sqlite3_errmsg(db->h));
	if (err)
		err->sys = sys;
	return -1;
}

/* SQLite undoes a whole transaction by itself on some errors: then nothing may follow. */
static int is_usable(struct db *db, struct err *err)
{
	if (db->is_broken)
		return err_set(err, ERR_SYS,
			"database: a write failed before, this process has to end");
	if (db->depth > 0 && sqlite3_get_autocommit(db->h))
		return err_set(err, ERR_SYS,
			"database: the transaction was undone by an earlier error");
	return 0;
}

/* ---- opening ----------------------------------------------------------------------- */

static const struct {
	long type;
	const char *name;
} network_fs[] = {
	{ 0x6969, "nfs" },
	{ 0x517b, "smb" },
	{ 0xff534d42L, "cifs" },
	{ 0xfe534d42L, "smb2" },
	{ 0x00c36400, "ceph" },
	{ 0x5346414f, "afs" },
	{ 0x73757245, "coda" },
	{ 0x01021997, "9p" },
	{ 0x47504653, "gpfs" },
	{ 0x0bd00bd0, "lustre" },
	{ 0x19830326, "fhgfs" },
	{ 0x20030528, "orangefs" },
	{ 0x01161970, "gfs2" },
};

static int check_filesystem(const char *path, struct err *err)
{
	_cleanup_free_ char *dir = xstrdup(path);
	char *slash = strrchr(dir, '/');
	struct statfs fs;

	if (slash)
		slash[slash == dir] = '\0';
	if (statfs(slash ? dir : ".", &fs) != 0)
		return err_sys(err, "cannot look at '%s'", slash ? dir : ".");
	for (size_t i = 0; i < ARRAY_SIZE(network_fs); i++)
		if ((unsigned long)fs.f_type == (unsigned long)network_fs[i].type)
			return err_set(err, ERR_UNSUPPORTED,
				"'%s' is on %s: the database needs a local file system, "
				"locks and fsync of this one are not to be trusted",
				path, network_fs[i].name);
	return 0;
}

/* Ours before SQLite opens it: its mode is that of -wal and -shm, too. */
static int create_file(const char *path, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	/* Never open one that exists: close() would drop POSIX locks of this process. */
	if (fd < 0)
		return errno == EEXIST ? 0 : err_sys(err, "cannot create '%s'", path);
	(void)close(fd); /* nothing was written */
	return 0;
}

static const char *const settings =
	"PRAGMA foreign_keys = ON;"
	"PRAGMA trusted_schema = OFF;"
	"PRAGMA cell_size_check = ON;"
	"PRAGMA temp_store = MEMORY;"
	"PRAGMA mmap_size = 0;"; /* a torn page must be an error, not SIGBUS */

static const char *const writer_settings = "PRAGMA journal_mode = WAL;"
					   "PRAGMA synchronous = FULL;"
					   "PRAGMA secure_delete = ON;"
					   "PRAGMA wal_autocheckpoint = 0;"
					   "PRAGMA journal_size_limit = 67108864;";

static int on_wal(void *data, sqlite3 *h, const char *name, int pages)
{
	((struct db *)data)->wal_pages = pages;
	return SQLITE_OK;
}

int db_wal_pages(const struct db *db)
{
	return db->wal_pages;
}

static int configure(struct db *db, struct err *err)
{
	int keep = 1;

	(void)sqlite3_extended_result_codes(db->h, 1);
	(void)sqlite3_busy_timeout(db->h, BUSY_MS);
	(void)sqlite3_db_config(db->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(db->h, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	(void)sqlite3_db_config(db->h, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	/*
	 * Else a statement whose plan could gain by the value of an argument, as any with
	 * `state = ?` where a partial index is, is compiled again each time it is bound.
	 */
	(void)sqlite3_db_config(db->h, SQLITE_DBCONFIG_ENABLE_QPSG, 1, NULL);
	(void)sqlite3_limit(db->h, SQLITE_LIMIT_LENGTH, VALUE_MAX);
	(void)sqlite3_limit(db->h, SQLITE_LIMIT_ATTACHED, 0);
	if (db_script(db, settings, err))
		return -1;
	if (db->is_readonly)
		return db_script(db, "PRAGMA query_only = ON;", err);
	/* -wal and -shm stay, so that readers who may not create files find them. */
	(void)sqlite3_file_control(db->h, NULL, SQLITE_FCNTL_PERSIST_WAL, &keep);
	if (db_script(db, writer_settings, err) < 0)
		return -1;
	(void)sqlite3_wal_hook(db->h, on_wal, db);
	return 0;
}

static int lstat_through(const char *path, struct stat *st)
{
	return stat(path, st);
}

/*
 * SQLite resolves the links of a path first, and /proc/self/fd/N is one to a name that
 * its opener may not be able to follow. Who sees no link takes the path as it is spelt.
 * For the whole process: one that reads only is of our own, and has no other database.
 */
static void open_as_spelt(void)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	if (vfs && vfs->iVersion >= 3)
		(void)vfs->xSetSystemCall(
			vfs, "lstat", (sqlite3_syscall_ptr)lstat_through);
}

int db_open(const char *path, enum db_flags flags, struct db **ret, struct err *err)
{
	bool is_memory = str_eq(path, ":memory:");
	bool is_readonly = (flags & DB_READONLY) != 0;
	_cleanup_(db_freep) struct db *db = NULL;
	int rc;

	if (!is_memory && !(flags & DB_ANY_FS) && check_filesystem(path, err))
		return -1;
	if (!is_memory && (flags & DB_CREATE) && create_file(path, err))
		return -1;
	if (is_readonly)
		open_as_spelt();
	db = xcalloc(1, sizeof(*db));
	db->is_readonly = is_readonly;
	rc = sqlite3_open_v2(path, &db->h,
		(is_readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
			(is_memory ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX |
			SQLITE_OPEN_PRIVATECACHE,
		NULL);
	if (rc != SQLITE_OK) {
		fail(db, rc, err);
		return err_wrap(err, "cannot open '%s'", path);
	}
	if (configure(db, err))
		return err_wrap(err, "cannot open '%s'", path);
	*ret = take_ptr(db);
	return 0;
}

void db_free(struct db *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < CACHE_SLOTS; i++) {
		sqlite3_finalize(db->cache[i].stmt);
		free(db->cache[i].sql);
	}
	(void)sqlite3_close_v2(db->h); /* an unfinished transaction is rolled back */
	free(db);
}

bool db_is_broken(const struct db *db)
{
	return db->is_broken;
}

bool db_is_readonly(const struct db *db)
{
	return db->is_readonly;
}

/* ---- statements -------------------------------------------------------------------- */

struct db_arg db_arg_str(const char *s)
{
	struct db_arg a = { s ? DB_ARG_STR : DB_ARG_NULL, 0, s, s ? strlen(s) : 0 };

	return a;
}

static uint32_t hash_text(const char *s)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

static struct cached *cache_slot(struct db *db, const char *sql, uint32_t hash)
{
	for (size_t i = hash & (CACHE_SLOTS - 1);; i = (i + 1) & (CACHE_SLOTS - 1)) {
		struct cached *c = &db->cache[i];

		if (!c->stmt || (c->hash == hash && strcmp(c->sql, sql) == 0))
			return c;
	}
}

static int prepare(
	struct db *db, const char *sql, bool lasts, sqlite3_stmt **ret, struct err *err)
{
	const char *tail = NULL;
	int rc = sqlite3_prepare_v3(
		db->h, sql, -1, lasts ? SQLITE_PREPARE_PERSISTENT : 0, ret, &tail);

	if (rc != SQLITE_OK)
		return fail(db, rc, err);
	if (!*ret || (tail && *tail)) {
		sqlite3_finalize(*ret);
		*ret = NULL;
		return err_set(err, ERR_BUG, "database: not exactly one statement");
	}
	return 0;
}

/* A statement ready to be bound; one already in use further up gets a copy of its own. */
static int take_stmt(struct db *db, const char *sql, struct db_rows *ret, struct err *err)
{
	uint32_t hash = hash_text(sql);
	struct cached *c = cache_slot(db, sql, hash);
	sqlite3_stmt *stmt = NULL;
	bool is_new = !c->stmt && db->cached_len < CACHE_SLOTS / 2;

	if (is_usable(db, err))
		return -1;
	if (c->stmt && !c->is_busy) {
		c->is_busy = true;
		*ret = (struct db_rows){ db, c->stmt, true };
		return 0;
	}
	if (prepare(db, sql, is_new, &stmt, err))
		return -1;
	if (is_new) {
		*c = (struct cached){ hash, true, xstrdup(sql), stmt };
		db->cached_len++;
	}
	*ret = (struct db_rows){ db, stmt, is_new };
	return 0;
}

static void give_back(struct db *db, sqlite3_stmt *stmt)
{
	struct cached *c =
		cache_slot(db, sqlite3_sql(stmt), hash_text(sqlite3_sql(stmt)));

	(void)sqlite3_reset(stmt); /* its error was reported by the step */
	(void)sqlite3_clear_bindings(stmt);
	if (c->stmt == stmt)
		c->is_busy = false;
}

void db_rows_done(struct db_rows *r)
{
	if (r->stmt && r->is_cached)
		give_back(r->db, r->stmt);
	else if (r->stmt)
		(void)sqlite3_finalize(r->stmt);
	*r = (struct db_rows)DB_ROWS_INIT;
}

static int bind_one(
	sqlite3_stmt *stmt, int at, const struct db_arg *a, sqlite3_destructor_type own)
{
	switch (a->kind) {
	case DB_ARG_NULL:
		return sqlite3_bind_null(stmt, at);
	case DB_ARG_INT:
		return sqlite3_bind_int64(stmt, at, a->i);
	case DB_ARG_STR:
		return sqlite3_bind_text64(stmt, at, a->p, a->len, own, SQLITE_UTF8);
	case DB_ARG_BLOB:
		return sqlite3_bind_blob64(stmt, at, a->p ? a->p : "", a->len, own);
	}
	return SQLITE_MISUSE;
}

static int bind_all(struct db *db, sqlite3_stmt *stmt, const struct db_arg *args,
	size_t len, sqlite3_destructor_type own, struct err *err)
{
	if ((size_t)sqlite3_bind_parameter_count(stmt) != len)
		return err_set(err, ERR_BUG, "database: %d arguments wanted, %zu given",
			sqlite3_bind_parameter_count(stmt), len);
	for (size_t i = 0; i < len; i++) {
		int rc = bind_one(stmt, (int)i + 1, &args[i], own);

		if (rc != SQLITE_OK)
			return fail(db, rc, err);
	}
	return 0;
}

int db_run_args(struct db *db, struct err *err, const char *sql,
	const struct db_arg *args, size_t len)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int before, rc;

	if (take_stmt(db, sql, &r, err) ||
		bind_all(db, r.stmt, args, len, SQLITE_STATIC, err))
		return -1;
	before = sqlite3_total_changes(db->h);
	while ((rc = sqlite3_step(r.stmt)) == SQLITE_ROW)
		;
	if (rc != SQLITE_DONE)
		return fail(db, rc, err);
	db->changes = sqlite3_total_changes(db->h) - before;
	return 0;
}

int db_changes(const struct db *db)
{
	return db->changes;
}

int64_t db_last_id(const struct db *db)
{
	return sqlite3_last_insert_rowid(db->h);
}

int db_script(struct db *db, const char *sql, struct err *err)
{
	int rc = sqlite3_exec(db->h, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : fail(db, rc, err);
}

int db_query_args(struct db *db, struct db_rows *ret, struct err *err, const char *sql,
	const struct db_arg *args, size_t len)
{
	db_rows_done(ret);
	if (take_stmt(db, sql, ret, err))
		return -1;
	return bind_all(db, ret->stmt, args, len, SQLITE_TRANSIENT, err);
}

int db_step(struct db_rows *r, struct err *err)
{
	int rc = sqlite3_step(r->stmt);

	if (rc == SQLITE_ROW)
		return 1;
	return rc == SQLITE_DONE ? 0 : fail(r->db, rc, err);
}

int db_first_args(struct db *db, struct db_rows *ret, struct err *err, const char *sql,
	const struct db_arg *args, size_t len)
{
	if (db_query_args(db, ret, err, sql, args, len))
		return -1;
	return db_step(ret, err);
}

int db_value_args(struct db *db, int64_t *ret, int64_t otherwise, struct err *err,
	const char *sql, const struct db_arg *args, size_t len)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first_args(db, &r, err, sql, args, len);

	if (got < 0)
		return -1;
	*ret = got && !db_is_null(&r, 0) ? db_int(&r, 0) : otherwise;
	return 0;
}

/* ---- columns ----------------------------------------------------------------------- */

int64_t db_int(const struct db_rows *r, int col)
{
	return sqlite3_column_int64(r->stmt, col);
}

const char *db_str_null(const struct db_rows *r, int col)
{
	return (const char *)sqlite3_column_text(r->stmt, col);
}

const char *db_str(const struct db_rows *r, int col)
{
	const char *s = db_str_null(r, col);

	return s ? s : "";
}

const void *db_blob(const struct db_rows *r, int col, size_t *ret_len)
{
	const void *p = sqlite3_column_blob(r->stmt, col);

	*ret_len = (size_t)sqlite3_column_bytes(r->stmt, col);
	return p ? p : "";
}

bool db_is_null(const struct db_rows *r, int col)
{
	return sqlite3_column_type(r->stmt, col) == SQLITE_NULL;
}

static struct json *col_json(const struct db_rows *r, int col)
{
	struct json *j = NULL;
	size_t len = (size_t)sqlite3_column_bytes(r->stmt, col);
	const char *text = db_str_null(r, col);

	/* Written by json_text; what does not parse was tampered with and reads as null. */
	if (!text || json_parse(text, len, &j, NULL))
		return json_new_null();
	return j;
}

static struct json *col_hex(const struct db_rows *r, int col)
{
	size_t len;
	const void *p = db_blob(r, col, &len);
	_cleanup_free_ char *hex = xmalloc(2 * len + 1);

	hex_encode(p, len, hex);
	return json_new_str(hex);
}

static struct json *col_value(const struct db_rows *r, int col, const char *name)
{
	switch (sqlite3_column_type(r->stmt, col)) {
	case SQLITE_INTEGER:
		if (str_starts(name, "is_") || str_starts(name, "has_"))
			return json_new_bool(db_int(r, col) != 0);
		if (str_ends(name, "_at") && db_int(r, col) == 0)
			return json_new_null();
		return json_new_int(db_int(r, col));
	case SQLITE_FLOAT:
		return json_new_real(sqlite3_column_double(r->stmt, col));
	case SQLITE_TEXT:
		return json_new_strn(
			db_str(r, col), (size_t)sqlite3_column_bytes(r->stmt, col));
	case SQLITE_BLOB:
		return col_hex(r, col);
	}
	return json_new_null();
}

struct json *db_row_json(const struct db_rows *r)
{
	struct json *row = json_new_object();
	int n = sqlite3_column_count(r->stmt);

	for (int i = 0; i < n; i++) {
		const char *name = sqlite3_column_name(r->stmt, i);

		if (str_ends(name, "_json")) {
			_cleanup_free_ char *key = xstrndup(name, strlen(name) - 5);

			json_set(row, key, col_json(r, i));
		} else {
			json_set(row, name, col_value(r, i, name));
		}
	}
	return row;
}

/* ---- transactions ------------------------------------------------------------------ */

int db_tx_depth(const struct db *db)
{
	return db->depth;
}

int db_tx_begin(struct db_tx *tx, struct db *db, struct err *err)
{
	const char *sql = db->depth > 0	    ? "SAVEPOINT inner"
			  : db->is_readonly ? "BEGIN"
					    : "BEGIN IMMEDIATE";

	if (db_run(db, err, sql))
		return -1;
	tx->db = db;
	tx->depth = ++db->depth;
	return 0;
}

int db_tx_commit(struct db_tx *tx, struct err *err)
{
	struct db *db = tx->db;

	if (db->depth != tx->depth)
		return err_set(err, ERR_BUG, "database: commit %d within %d", tx->depth,
			db->depth);
	if (tx->depth > 1) {
		if (db_run(db, err, "RELEASE inner"))
			return -1; /* db_tx_end undoes it */
	} else {
		FP("db.commit.before");
		if (db_run(db, err, "COMMIT"))
			return -1;
		FP("db.commit.after");
	}
	db->depth--;
	tx->db = NULL;
	return 0;
}

void db_tx_end(struct db_tx *tx)
{
	struct db *db = tx->db;

	if (!db)
		return;
	/* Errors here have no cure: a connection that cannot roll back is broken. */
	if (!sqlite3_get_autocommit(db->h)) {
		struct err err = ERR_INIT;
		const char *sql =
			tx->depth > 1 ? "ROLLBACK TO inner; RELEASE inner" : "ROLLBACK";

		if (db_script(db, sql, &err))
			db->is_broken = true;
	}
	db->depth = tx->depth - 1;
	tx->db = NULL;
}

/* ---- checkpoint and copy ----------------------------------------------------------- */

int db_checkpoint(
	struct db *db, bool truncate, int *ret_wal_pages, int *ret_moved, struct err *err)
{
	int pages = -1, moved = -1;
	int rc = sqlite3_wal_checkpoint_v2(db->h, NULL,
		truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &pages,
		&moved);

	/* Readers in the way are no failure: the rest is moved the next time. */
	if (rc != SQLITE_OK && (rc & 0xff) != SQLITE_BUSY)
		return fail(db, rc, err);
	if (ret_wal_pages)
		*ret_wal_pages = pages;
	if (ret_moved)
		*ret_moved = moved;
	return 0;
}

int db_copy(struct db *db, const char *path, struct err *err)
{
	_cleanup_(db_freep) struct db *to = NULL;
	sqlite3_backup *copy;
	int rc;

	if (db_open(path, DB_CREATE | DB_ANY_FS, &to, err))
		return -1;
	copy = sqlite3_backup_init(to->h, "main", db->h, "main");
	if (!copy)
		return fail(to, sqlite3_errcode(to->h), err);
	/* One step holds one snapshot: nothing a writer does meanwhile can restart it. */
	rc = sqlite3_backup_step(copy, -1);
	(void)sqlite3_backup_finish(copy); /* repeats the error of the step */
	if (rc != SQLITE_DONE)
		return fail(to, rc, err);
	return db_checkpoint(to, true, NULL, NULL, err);
}
