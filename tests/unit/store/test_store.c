/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/world.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store/audit.h"
#include "store/outbox.h"

/* ---- opening ----------------------------------------------------------------------- */

static void its_files_are_for_its_group_to_read(void **state)
{
	struct world *w = *state;
	static const char *const ends[] = { "", "-wal", "-shm" };

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		_cleanup_free_ char *path = xasprintf("%s%s", w->path, ends[i]);
		struct stat st;

		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0640);
	}
}

static void reopen(struct world *w, int want, enum err_code code, const char *part)
{
	store_free(w->s);
	w->s = NULL;
	assert_int_equal(store_open(w->path, STORE_ANY_FS, &w->s, &w->err), want);
	if (want)
		assert_err_has(&w->err, code, part);
}

static void runs_with_the_settings_that_durability_needs(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *sql;
		int64_t want;
	} pragmas[] = {
		{ "PRAGMA synchronous", 2 },
		{ "PRAGMA foreign_keys", 1 },
		{ "PRAGMA trusted_schema", 0 },
		{ "PRAGMA cell_size_check", 1 },
		{ "PRAGMA wal_autocheckpoint", 0 },
		{ "PRAGMA secure_delete", 1 },
	};
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(pragmas); i++) {
		int64_t v;

		assert_ok(db_value_args(store_db(w->s), &v, -1, &w->err, pragmas[i].sql,
				  NULL, 0),
			&w->err);
		if (v != pragmas[i].want)
			fail_msg("%s is %lld", pragmas[i].sql, (long long)v);
	}
	assert_int_equal(db_first(store_db(w->s), &r, &w->err, "PRAGMA journal_mode"), 1);
	assert_string_equal(db_str(&r, 0), "wal");
}

static void refuses_a_newer_schema(void **state)
{
	struct world *w = *state;

	assert_ok(db_script(store_db(w->s), "PRAGMA user_version = 4711", &w->err),
		&w->err);
	reopen(w, -1, ERR_UNSUPPORTED, "has schema 4711, this program knows");
	assert_int_equal(store_open_readonly(w->path, &w->s, &w->err), -1);
	assert_err(&w->err, ERR_UNSUPPORTED, NULL);
}

static void refuses_what_is_not_ours(void **state)
{
	struct world *w = *state;
	struct db *db = NULL;
	_cleanup_free_ char *path = xasprintf("%s/other.db", w->dir->path);

	assert_ok(db_open(path, DB_CREATE | DB_ANY_FS, &db, &w->err), &w->err);
	assert_ok(db_script(db, "CREATE TABLE t (a)", &w->err), &w->err);
	db_free(db);
	free(w->path);
	w->path = take_ptr(path);
	reopen(w, -1, ERR_CORRUPT, "this is no database of sluice");
	test_write(w->dir, "text.db",
		"hello, I am a text and no database, and long enough to be read "
		"as a header of a hundred bytes, which this is now I think.");
	free(w->path);
	w->path = xasprintf("%s/text.db", w->dir->path);
	reopen(w, -1, ERR_CORRUPT, "file is not a database");
	free(w->path);
	w->path = xasprintf("%s/none.db", w->dir->path);
	reopen(w, -1, ERR_SYS, "unable to open database file");
	assert_int_equal(access(w->path, F_OK), -1);
}

static void a_torn_page_is_an_error_and_found_by_check(void **state)
{
	struct world *w = *state;
	struct check_summary sum;
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;
	uint8_t junk[256];
	struct stat st;
	int fd;

	for (int i = 0; i < 40; i++)
		world_run(w, "a b c d");
	store_free(w->s);
	w->s = NULL;
	fd = open(w->path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	memset(junk, 0xa5, sizeof(junk));
	for (off_t at = 8 * 4096; at < st.st_size; at += 4096)
		assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
	close(fd);
	/* It may still open; but then check must not call it clean. */
	if (store_open(w->path, STORE_ANY_FS, &w->s, &w->err) == 0 &&
		store_check(w->s, 0, world_print_finding, &b, &sum, &w->err) == 0)
		assert_true(sum.broken > 0);
	else
		assert_int_equal(w->err.code, ERR_CORRUPT);
}

static void an_unfinished_migration_leaves_the_old_schema(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *path = xasprintf("%s/empty.db", w->dir->path);
	struct db *db = NULL;
	int64_t n;

	/* A file in which the last table of ours cannot be made: all or nothing. */
	assert_ok(db_open(path, DB_CREATE | DB_ANY_FS, &db, &w->err), &w->err);
	assert_ok(db_script(db,
			  "PRAGMA application_id = 1936487779; CREATE TABLE audit (x)",
			  &w->err),
		&w->err);
	free(w->path);
	w->path = xstrdup(path);
	reopen(w, -1, ERR_BUG, "schema step 1");
	assert_ok(db_value(db, &n, 0, &w->err, "SELECT count(*) FROM sqlite_schema"),
		&w->err);
	assert_int_equal(n, 1);
	assert_ok(db_value(db, &n, 0, &w->err, "PRAGMA user_version"), &w->err);
	assert_int_equal(n, 0);
	db_free(db);
}

static void a_reader_sees_commits_and_writes_nothing(void **state)
{
	struct world *w = *state;
	_cleanup_(store_freep) struct store *web = NULL;
	_cleanup_(json_freep) struct json *before = NULL, *after = NULL, *during = NULL;
	struct store_tx tx = STORE_TX_INIT;
	struct query_runs q = { 0 };
	int64_t run;

	assert_ok(store_open_readonly(w->path, &web, &w->err), &w->err);
	assert_ok(query_runs(web, &q, &before, &w->err), &w->err);
	assert_int_equal(json_count(json_get(before, "items")), 0);
	run = world_run(w, "a");
	assert_ok(query_runs(web, &q, &after, &w->err), &w->err);
	assert_int_equal(json_count(json_get(after, "items")), 1);
	/* While the writer is in the middle of something. */
	assert_ok(store_begin(&tx, w->s, &w->err), &w->err);
	world_run(w, "a");
	assert_ok(query_runs(web, &q, &during, &w->err), &w->err);
	assert_int_equal(json_count(json_get(during, "items")), 1);
	assert_ok(store_commit(&tx, &w->err), &w->err);
	assert_int_equal(runs_cancel(web, run, "x", true, &mira, &w->err), -1);
	world_run_is(w, run, "queued");
	world_check(w);
}

/* The runner's TMPDIR is closed to others, and this one needs another user to get there. */
static int setup_in_the_open(void **state)
{
	_cleanup_free_ char *tmpdir = xstrdup_null(getenv("TMPDIR"));
	int got;

	setenv("TMPDIR", "/tmp", 1);
	got = world_setup_disk(state);
	if (tmpdir)
		setenv("TMPDIR", tmpdir, 1);
	return got;
}

/* As web runs: nothing may be created beside the database. */
static void a_reader_needs_no_right_to_create_files(void **state)
{
	struct world *w = *state;
	struct store *web = NULL;
	struct query_runs q = { 0 };
	pid_t pid;
	int status;

	world_run(w, "a");
	if (geteuid() != 0)
		test_skip("only root can become somebody who may not write here");
	assert_int_equal(chmod(w->dir->path, 0755), 0);
	for (int i = 0; i < 2; i++) {
		_cleanup_free_ char *path = xasprintf("%s%s", w->path, i ? "-wal" : "");

		assert_int_equal(chmod(path, 0644), 0);
	}
	{
		_cleanup_free_ char *shm = xasprintf("%s-shm", w->path);

		assert_int_equal(chmod(shm, 0666), 0);
	}
	pid = fork();
	if (pid == 0) {
		struct json *j = NULL;
		struct err err = ERR_INIT;

		if (setgid(65534) || setuid(65534))
			_exit(2);
		if (store_open_readonly(w->path, &web, &err) ||
			query_runs(web, &q, &j, &err)) {
			(void)fprintf(stderr, "%s\n", err.msg);
			_exit(3);
		}
		_exit(json_count(json_get(j, "items")) == 1 ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- transactions ------------------------------------------------------------------ */

static void an_inner_failure_leaves_the_outer_work(void **state)
{
	struct world *w = *state;
	struct db *db = store_db(w->s);
	struct db_tx a = DB_TX_INIT, b = DB_TX_INIT;
	int64_t n;

	assert_ok(db_tx_begin(&a, db, &w->err), &w->err);
	assert_ok(db_run(db, &w->err, "INSERT INTO meta VALUES ('x', '1')"), &w->err);
	assert_ok(db_tx_begin(&b, db, &w->err), &w->err);
	assert_ok(db_run(db, &w->err, "INSERT INTO meta VALUES ('y', '2')"), &w->err);
	assert_int_equal(db_run(db, &w->err, "INSERT INTO meta VALUES ('x', '3')"), -1);
	assert_err(&w->err, ERR_CONFLICT, NULL);
	db_tx_end(&b);
	assert_int_equal(db_tx_depth(db), 1);
	assert_ok(db_tx_commit(&a, &w->err), &w->err);
	assert_ok(db_value(db, &n, 0, &w->err,
			  "SELECT sum(key = 'x') - sum(key = 'y') FROM meta"),
		&w->err);
	assert_int_equal(n, 1);
}

static void one_statement_can_be_used_within_itself(void **state)
{
	struct world *w = *state;
	static const char sql[] = "SELECT key FROM meta WHERE key >= ? ORDER BY key";
	_cleanup_(db_rows_done) struct db_rows a = DB_ROWS_INIT, b = DB_ROWS_INIT;
	const struct db_arg from = db_arg_str("");

	assert_int_equal(db_first_args(store_db(w->s), &a, &w->err, sql, &from, 1), 1);
	assert_int_equal(db_first_args(store_db(w->s), &b, &w->err, sql, &from, 1), 1);
	assert_string_equal(db_str(&a, 0), db_str(&b, 0));
	assert_int_equal(db_step(&b, &w->err), 1);
	assert_string_not_equal(db_str(&a, 0), db_str(&b, 0));
	assert_int_equal(db_run(store_db(w->s), &w->err, "SELECT ?"), -1);
	assert_err_has(&w->err, ERR_BUG, "1 arguments wanted, 0 given");
}

static void a_full_disk_is_an_error_and_no_loss(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a"), pages, n;
	_cleanup_free_ char *limit = NULL;
	int got = 0;

	assert_ok(db_value(store_db(w->s), &pages, 0, &w->err, "PRAGMA page_count"),
		&w->err);
	limit = xasprintf("PRAGMA max_page_count = %lld", (long long)pages + 1);
	assert_ok(db_script(store_db(w->s), limit, &w->err), &w->err);
	for (int i = 0; i < 200 && got == 0; i++) {
		struct delivery_new d = world_delivery(w, limit, limit);
		struct event_new e = world_push;
		struct accept_result r;
		_cleanup_free_ char *title = xmalloc(4001);

		memset(title, 'x', 4000);
		title[4000] = '\0';
		e.title = title;
		d.key = NULL;
		d.body_sha256[0] = (uint8_t)i;
		got = deliveries_accept(w->s, &d, &e, &r, &w->err);
	}
	assert_int_equal(got, -1);
	assert_int_equal(w->err.code, ERR_SYS);
	assert_int_equal(w->err.sys, ENOSPC);
	assert_ok(
		db_script(store_db(w->s), "PRAGMA max_page_count = 1073741823", &w->err),
		&w->err);
	world_run_is(w, run, "queued");
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err, "SELECT count(*) FROM runs"),
		&w->err);
	world_run(w, "a");
	world_check(w);
}

struct told {
	size_t len;
	struct store_change v[32];
};

static void on_change(const struct store_change *c, void *data)
{
	struct told *t = data;

	if (t->len < ARRAY_SIZE(t->v))
		t->v[t->len++] = *c;
}

static void changes_are_told_once_after_the_commit(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a"), job = world_job(w, run, "a", 0);
	struct told t = { 0 };
	struct store_tx tx = STORE_TX_INIT;
	size_t jobs = 0;
	int64_t version = 0;

	store_on_change(w->s, on_change, &t);
	assert_ok(store_begin(&tx, w->s, &w->err), &w->err);
	world_expand(w, job, NULL);
	world_claim(w, job);
	assert_int_equal(t.len, 0);
	assert_ok(store_commit(&tx, &w->err), &w->err);
	for (size_t i = 0; i < t.len; i++) {
		jobs += t.v[i].job == job;
		assert_true(!version || t.v[i].version == version);
		version = t.v[i].version;
	}
	assert_int_equal(jobs, 1);
	assert_true(version > 1);
	t.len = 0;
	assert_ok(store_begin(&tx, w->s, &w->err), &w->err);
	world_run(w, "a");
	store_end(&tx);
	assert_int_equal(t.len, 0);
	store_on_change(w->s, NULL, NULL);
}

static void a_copy_is_whole_while_others_write(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *path = xasprintf("%s/copy.db", w->dir->path);
	struct world c = { .s = NULL };
	int64_t n;

	for (int i = 0; i < 5; i++)
		world_run(w, "a b");
	assert_ok(store_copy(w->s, path, &w->err), &w->err);
	world_run(w, "a");
	assert_ok(store_open(path, STORE_ANY_FS, &c.s, &w->err), &w->err);
	assert_ok(db_value(store_db(c.s), &n, 0, &w->err, "SELECT count(*) FROM runs"),
		&w->err);
	assert_int_equal(n, 5);
	world_check(&c);
	store_free(c.s);
}

/* ---- audit ------------------------------------------------------------------------- */

static void the_audit_log_can_only_grow(void **state)
{
	struct world *w = *state;

	assert_int_equal(
		db_run(store_db(w->s), &w->err, "UPDATE audit SET actor = 'x'"), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "audit rows are never changed");
	assert_int_equal(db_run(store_db(w->s), &w->err, "DELETE FROM audit"), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "audit rows are never deleted");
}

static void tampering_with_any_column_shows_at_its_row(void **state)
{
	struct world *w = *state;
	static const char *const changes[] = { "at = at + 1", "actor_kind = 'x'",
		"actor = 'x'", "request = 'x'", "verb = 'x'", "object = 'x'",
		"object_id = object_id + 1", "run_id = run_id + 1", "from_state = 'x'",
		"to_state = 'x'", "detail = 'x'", "hash = zeroblob(32)" };
	char head[SHA256_HEX_MAX];
	int64_t rows, bad;

	world_run(w, "a");
	assert_int_equal(audit_verify(w->s, &rows, &bad, head, &w->err), 1);
	assert_true(rows > 4);
	assert_int_equal(audit_has_head(w->s, head, &w->err), 1);
	assert_ok(db_script(store_db(w->s),
			  "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete",
			  &w->err),
		&w->err);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		_cleanup_free_ char *sql =
			xasprintf("UPDATE audit SET %s WHERE id = 3", changes[i]);

		assert_ok(db_script(store_db(w->s), "SAVEPOINT t", &w->err), &w->err);
		assert_ok(db_script(store_db(w->s), sql, &w->err), &w->err);
		if (audit_verify(w->s, &rows, &bad, NULL, &w->err) != 0 || bad != 3)
			fail_msg("not noticed: %s", changes[i]);
		assert_ok(db_script(store_db(w->s), "ROLLBACK TO t; RELEASE t", &w->err),
			&w->err);
	}
	assert_ok(db_script(store_db(w->s), "SAVEPOINT t; DELETE FROM audit WHERE id = 2",
			  &w->err),
		&w->err);
	assert_int_equal(audit_verify(w->s, &rows, &bad, NULL, &w->err), 0);
	assert_int_equal(bad, 3);
	assert_ok(
		db_script(store_db(w->s), "ROLLBACK TO t; RELEASE t", &w->err), &w->err);
	/* Rolled back as a whole the chain holds, but a head seen elsewhere is gone. */
	assert_ok(db_script(store_db(w->s), "DELETE FROM audit WHERE id > 3", &w->err),
		&w->err);
	assert_int_equal(audit_verify(w->s, &rows, &bad, NULL, &w->err), 1);
	assert_int_equal(audit_has_head(w->s, head, &w->err), 0);
}

/* ---- check ------------------------------------------------------------------------- */

/* Each invariant is broken by hand, and check has to name it: its positive control. */
static const struct {
	const char *id;
	const char *sql;
} breaks[] = {
	{ "I1", "DELETE FROM events WHERE id = (SELECT max(id) FROM events)" },
	{ "I1", "UPDATE events SET state = 'ignored' WHERE state = 'planned'" },
	{ "I2", "UPDATE jobs SET epoch = 0 WHERE state = 'running'" },
	{ "I3", "UPDATE jobs SET releases = 2, is_once = 1 WHERE state = 'running'" },
	{ "I4", "UPDATE runs SET state = 'running', conclusion = '' WHERE state = 'completed'" },
	{ "I4", "INSERT INTO concurrency (repo_id, grp, kind, owner_id, run_id, is_running)"
		" VALUES (1, 'g', 'run', 1, 1, 0)" },
	{ "I5", "UPDATE jobs SET conclusion = '' WHERE state = 'completed'" },
	{ "I6", "UPDATE gates SET digest = 'other' WHERE state = 'approved'" },
	{ "I6", "DELETE FROM votes" },
	{ "I7", "UPDATE runs SET trust = 'untrusted'" },
	{ "I8", "UPDATE jobs SET log_sha256 = '' WHERE state = 'completed'" },
	{ "I9", "UPDATE jobs SET state = 'queued' WHERE state = 'running'" },
	{ "I9", "DROP TRIGGER audit_no_update; UPDATE audit SET detail = 'x' WHERE id = 2" },
	{ "I10", "PRAGMA foreign_keys = OFF; DELETE FROM blobs" },
	{ "I11", "UPDATE jobs SET outcome = 'failure' WHERE conclusion = 'success'" },
	{ "I12",
		"INSERT INTO outbox (repo_id, topic, context, payload, created_at, due_at) VALUES"
		" (1, 's', 'c', '{}', 1, 1), (1, 's', 'c', '{}', 1, 1)" },
	{ "database", "PRAGMA foreign_keys = OFF; DELETE FROM plans" },
};

static void note_ids(const struct check_finding *f, void *data)
{
	strbuf_addf(data, "%s ", f->id);
}

static void lived_in(struct world *w)
{
	static const char *const names[] = { "TOKEN", NULL };
	struct secret_list list = SECRET_LIST_INIT;
	int64_t run, job, epoch;
	struct job_update u[] = {
		{ .kind = JOB_UPDATE_STARTED, .at = 1 },
		{ .kind = JOB_UPDATE_SUMMARY,
			.digest = DIGEST,
			.size = 3,
			.step.number = 1 },
	};
	struct job_release rel = { .secrets = names };

	world_environment(w, "production", "{\"reviewers\": [\"mira\"]}");
	assert_ok(secrets_set(w->s, w->repo, "", "TOKEN", "hush", 4, &mira, &w->err),
		&w->err);
	run = world_run(w, "deploy");
	world_expand(w, world_job(w, run, "deploy", 0),
		&(struct world_rows){ .environment = "production" });
	assert_ok(world_vote(w, world_gate(w, run), &mira, true, NULL), &w->err);
	world_finish(w, world_job(w, run, "deploy", 0), CONCLUSION_SUCCESS);
	run = world_run(w, "a");
	job = world_job(w, run, "a", 0);
	world_expand(w, job, NULL);
	epoch = world_claim(w, job);
	rel.job = job;
	rel.epoch = epoch;
	assert_ok(jobs_release(w->s, &rel, &list, &w->err), &w->err);
	secret_list_done(&list);
	assert_ok(world_frames(w, job, epoch, 1, u, 2), &w->err);
}

static void check_names_each_invariant_that_is_broken(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(breaks); i++) {
		void *fresh = NULL;
		struct world *w;
		_cleanup_(strbuf_done) struct strbuf ids = STRBUF_INIT;
		_cleanup_free_ char *want = xasprintf("%s ", breaks[i].id);
		struct check_summary sum;

		world_setup(&fresh);
		w = fresh;
		lived_in(w);
		world_check(w);
		assert_ok(db_script(store_db(w->s), "PRAGMA foreign_keys = OFF", &w->err),
			&w->err);
		assert_ok(db_script(store_db(w->s), breaks[i].sql, &w->err), &w->err);
		assert_ok(store_check(w->s, CHECK_QUICK, note_ids, &ids, &sum, &w->err),
			&w->err);
		if (!strstr(ids.buf, want) || sum.broken == 0)
			fail_msg("case %zu: %s is not in '%s'", i, want, ids.buf);
		world_teardown(&fresh);
	}
	for (int i = 0; i < 12; i++) {
		_cleanup_free_ char *id = xasprintf("I%d", i + 1);

		assert_string_equal(check_invariant_id(i), id);
		assert_non_null(check_invariant_text(i));
	}
	assert_null(check_invariant_id(12));
}

/* ---- restore ----------------------------------------------------------------------- */

static void a_restored_store_starts_nothing_by_itself(void **state)
{
	struct world *w = *state;
	int64_t running, approved, waiting, once, plain, epoch, next;
	int lost, cancelled, voided;

	world_environment(w, "production", "{\"reviewers\": [\"mira\"]}");
	running = world_job(w, world_run(w, "a"), "a", 0);
	world_expand(w, running, &(struct world_rows){ .once = true });
	assert_ok(world_try_release(w, running, world_claim(w, running)), &w->err);
	next = world_run(w, "a");
	approved = world_job(w, next, "a", 0);
	world_expand(w, approved, &(struct world_rows){ .environment = "production" });
	assert_ok(world_vote(w, world_gate(w, next), &mira, true, NULL), &w->err);
	next = world_run(w, "a b:a");
	waiting = world_job(w, next, "a", 0);
	world_expand(w, waiting, &(struct world_rows){ .environment = "production" });
	plain = world_job(w, world_run(w, "a"), "a", 0);
	world_expand(w, plain, NULL);
	epoch = world_claim(w, plain);
	once = world_job(w, world_run(w, "a"), "a", 0);
	world_expand(w, once, &(struct world_rows){ .once = true });

	assert_ok(store_after_restore(w->s, "backup of yesterday", &lost, &cancelled,
			  &voided, &w->err),
		&w->err);
	assert_int_equal(world_state(w, running), JOB_LOST);
	assert_int_equal(world_state(w, approved), JOB_LOST); /* may have run since */
	assert_int_equal(world_state(w, once), JOB_LOST);
	assert_int_equal(world_conclusion(w, waiting), CONCLUSION_CANCELLED);
	assert_int_equal(world_conclusion(w, plain), CONCLUSION_CANCELLED);
	assert_int_equal(lost, 3);
	assert_int_equal(cancelled, 3);
	assert_true(voided >= 1);
	world_run_is(w, next, "cancelled");
	/* Epochs jump: an executor of the old life is a stranger. */
	plain = world_job(w, world_run(w, "a"), "a", 0);
	world_expand(w, plain, NULL);
	assert_true(world_claim(w, plain) > epoch + 1000);
}

/* ---- outbox ------------------------------------------------------------------------ */

static void the_last_word_of_a_context_is_the_one_sent(void **state)
{
	struct world *w = *state;
	int64_t run, next;
	struct outbox_row row = { 0 };

	assert_ok(
		repos_set(w->s, w->repo, "statuses", json_new_bool(true), &mira, &w->err),
		&w->err);
	run = world_run(w, "a");
	world_expand(w, world_job(w, run, "a", 0), NULL);
	world_finish(w, world_job(w, run, "a", 0), CONCLUSION_SUCCESS);
	assert_int_equal(outbox_next(w->s, &row, &next, &w->err), 1);
	assert_string_equal(json_get_str(row.payload, "conclusion", ""), "success");
	assert_has(row.context, "status/" HEX_A "/.github/workflows/ci.yml");
	assert_ok(outbox_failed(w->s, row.id, "connection refused", &w->err), &w->err);
	outbox_row_done(&row);
	assert_int_equal(outbox_next(w->s, &row, &next, &w->err), 0);
	assert_true(next > clock_wall_ms());
	clock_skew_wall(6000);
	assert_int_equal(outbox_next(w->s, &row, &next, &w->err), 1);
	assert_int_equal(row.tries, 1);
	assert_ok(outbox_sent(w->s, row.id, &w->err), &w->err);
	outbox_row_done(&row);
	assert_int_equal(outbox_next(w->s, &row, &next, &w->err), 0);
	assert_int_equal(next, 0);
	world_check(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_DISK(its_files_are_for_its_group_to_read),
		WORLD_DISK(runs_with_the_settings_that_durability_needs),
		WORLD_DISK(refuses_a_newer_schema),
		WORLD_DISK(refuses_what_is_not_ours),
		WORLD_DISK(a_torn_page_is_an_error_and_found_by_check),
		WORLD_DISK(an_unfinished_migration_leaves_the_old_schema),
		WORLD_DISK(a_reader_sees_commits_and_writes_nothing),
		TEST_WITH(a_reader_needs_no_right_to_create_files, setup_in_the_open,
			world_teardown),
		WORLD(an_inner_failure_leaves_the_outer_work),
		WORLD(one_statement_can_be_used_within_itself),
		WORLD(a_full_disk_is_an_error_and_no_loss),
		WORLD(changes_are_told_once_after_the_commit),
		WORLD_DISK(a_copy_is_whole_while_others_write),
		WORLD(the_audit_log_can_only_grow),
		WORLD(tampering_with_any_column_shows_at_its_row),
		TEST(check_names_each_invariant_that_is_broken),
		WORLD(a_restored_store_starts_nothing_by_itself),
		WORLD(the_last_word_of_a_context_is_the_one_sent),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
