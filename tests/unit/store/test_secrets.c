/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/world.h"

static char *open_secret(struct world *w, const char *environment, const char *name)
{
	const char *const names[] = { name, NULL };
	_cleanup_(secret_list_done) struct secret_list list = SECRET_LIST_INIT;

	assert_ok(
		secrets_open(w->s, w->repo, environment, names, &list, &w->err), &w->err);
	return list.len ? xstrdup(list.v[0].value) : NULL;
}

static void put(struct world *w, int64_t repo, const char *environment, const char *name,
	const char *value)
{
	assert_ok(secrets_set(w->s, repo, environment, name, value, strlen(value), &mira,
			  &w->err),
		&w->err);
}

static void the_nearest_scope_wins(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *a = NULL, *b = NULL, *c = NULL, *d = NULL, *e = NULL;

	put(w, 0, "", "TOKEN", "instance");
	a = open_secret(w, "production", "TOKEN");
	assert_string_equal(a, "instance");
	put(w, w->repo, "", "token", "repository");
	b = open_secret(w, "production", "Token");
	assert_string_equal(b, "repository");
	put(w, w->repo, "Production", "TOKEN", "environment");
	c = open_secret(w, "production", "TOKEN");
	assert_string_equal(c, "environment");
	d = open_secret(w, "staging", "TOKEN");
	assert_string_equal(d, "repository");
	e = open_secret(w, "staging", "NOPE");
	assert_null(e);
}

static void names_and_values_have_rules(void **state)
{
	struct world *w = *state;
	static const char *const bad[] = { "", "1A", "A-B", "A B", "GITHUB_TOKEN",
		"github_x", "A\nB", "\xc3\xa4" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(
			secrets_set(w->s, w->repo, "", bad[i], "v", 1, &mira, &w->err),
			-1);
		assert_err(&w->err, ERR_INPUT, NULL);
	}
	assert_int_equal(secrets_set(w->s, w->repo, "", "A", "", 0, &mira, &w->err), -1);
	assert_err(&w->err, ERR_LIMIT, NULL);
	assert_int_equal(secrets_set(w->s, w->repo, "", "A", "x", LIMIT_SECRET_VALUE + 1,
				 &mira, &w->err),
		-1);
	assert_err(&w->err, ERR_LIMIT, NULL);
	assert_int_equal(secrets_delete(w->s, w->repo, "", "A", &mira, &w->err), -1);
	assert_err(&w->err, ERR_NOT_FOUND, NULL);
}

static void values_may_hold_any_byte(void **state)
{
	struct world *w = *state;
	const char *const names[] = { "BIN", NULL };
	_cleanup_(secret_list_done) struct secret_list list = SECRET_LIST_INIT;

	assert_ok(secrets_set(w->s, w->repo, "", "BIN", "a\0b\n", 4, &mira, &w->err),
		&w->err);
	assert_ok(secrets_open(w->s, w->repo, "", names, &list, &w->err), &w->err);
	assert_int_equal(list.v[0].len, 4);
	assert_memory_equal(list.v[0].value, "a\0b\n", 5);
}

/* The file, its WAL and the audit log never hold a value (SECURITY SEC12). */
static void no_value_is_in_any_file(void **state)
{
	struct world *w = *state;
	static const char *const files[] = { "", "-wal", "-shm" };
	_cleanup_free_ char *gone = NULL;

	put(w, w->repo, "", "CANARY", "canary-7f3a9c");
	put(w, w->repo, "", "CANARY", "canary-7f3a9c-two");
	assert_ok(store_checkpoint(w->s, false, NULL, &w->err), &w->err);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *path = xasprintf("%s%s", w->path, files[i]);
		_cleanup_fclose_ FILE *f = fopen(path, "rb");
		_cleanup_free_ char *bytes = xmalloc(8 << 20);
		size_t len;

		assert_non_null(f);
		len = fread(bytes, 1, 8 << 20, f);
		assert_true(len > 0);
		assert_null(memmem(bytes, len, "canary-7f3a9c", 13));
		if (i == 0)
			assert_non_null(
				memmem(bytes, len, "CANARY", 6)); /* the search works */
	}
	assert_ok(secrets_delete(w->s, w->repo, "", "CANARY", &mira, &w->err), &w->err);
	gone = open_secret(w, "", "CANARY");
	assert_null(gone);
}

static void a_row_in_the_place_of_another_does_not_open(void **state)
{
	struct world *w = *state;
	const char *const names[] = { "LOW", NULL };
	_cleanup_(secret_list_done) struct secret_list list = SECRET_LIST_INIT;
	static const char *const swaps[] = {
		"UPDATE secrets SET box = (SELECT box FROM secrets WHERE name = 'HIGH')"
		" WHERE name = 'LOW'",
		"UPDATE secrets SET version = version + 1 WHERE name = 'LOW'",
		"UPDATE secrets SET repo_id = 0 WHERE name = 'LOW'",
		"UPDATE secrets SET box = CAST(substr(box, 1, length(box) - 1) ||"
		" CASE substr(box, -1) WHEN x'00' THEN x'01' ELSE x'00' END AS BLOB)"
		" WHERE name = 'LOW'",
	};

	put(w, w->repo, "production", "HIGH", "the crown jewels");
	for (size_t i = 0; i < ARRAY_SIZE(swaps); i++) {
		_cleanup_free_ char *fine = NULL;

		put(w, w->repo, "", "LOW", "paste");
		fine = open_secret(w, "", "LOW");
		assert_string_equal(fine, "paste");
		assert_ok(
			db_run_args(store_db(w->s), &w->err, swaps[i], NULL, 0), &w->err);
		assert_int_equal(
			secrets_open(w->s, w->repo, "", names, &list, &w->err), -1);
		assert_err(&w->err, ERR_CORRUPT, NULL);
		assert_int_equal(list.len, 0);
		assert_ok(db_run(store_db(w->s), &w->err,
				  "DELETE FROM secrets WHERE name = 'LOW'"),
			&w->err);
	}
}

static void every_flipped_byte_of_a_box_is_noticed(void **state)
{
	struct world *w = *state;
	const char *const names[] = { "A", NULL };
	_cleanup_(secret_list_done) struct secret_list list = SECRET_LIST_INIT;
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_free_ uint8_t *box = NULL;
	const void *stored;
	size_t len;

	put(w, w->repo, "", "A", "v");
	assert_int_equal(
		db_first(store_db(w->s), &r, &w->err, "SELECT box FROM secrets"), 1);
	stored = db_blob(&r, 0, &len);
	box = xmemdup(stored, len);
	db_rows_done(&r);
	for (size_t i = 0; i < len; i++) {
		box[i] ^= 1;
		assert_ok(db_run(store_db(w->s), &w->err, "UPDATE secrets SET box = ?",
				  db_arg_blob(box, len)),
			&w->err);
		assert_int_equal(
			secrets_open(w->s, w->repo, "", names, &list, &w->err), -1);
		assert_int_equal(w->err.code, ERR_CORRUPT);
		box[i] ^= 1;
	}
}

static void a_release_opens_the_secrets_asked_for_and_writes_it_down(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a"), job = world_job(w, run, "a", 0);
	static const char *const names[] = { "TOKEN", "MISSING", NULL };
	_cleanup_(secret_list_done) struct secret_list list = SECRET_LIST_INIT;
	struct job_release r = { .secrets = names };
	_cleanup_(json_freep) struct json *audit = NULL;
	const struct json *row;

	put(w, w->repo, "", "TOKEN", "hush-hush");
	put(w, w->repo, "", "OTHER", "not asked for");
	world_expand(w, job, NULL);
	r.job = job;
	r.epoch = world_claim(w, job);
	assert_ok(jobs_release(w->s, &r, &list, &w->err), &w->err);
	assert_int_equal(list.len, 1);
	assert_string_equal(list.v[0].value, "hush-hush");
	assert_ok(query_audit(w->s, run, "secret.", 0, 0, &audit, &w->err), &w->err);
	row = json_at(json_get(audit, "items"), 0);
	assert_int_equal(json_count(json_get(audit, "items")), 1);
	assert_has(json_get_str(row, "detail", ""), "TOKEN");
	assert_null(strstr(json_get_str(row, "detail", ""), "hush"));
	world_check(w);
}

static void a_pending_gate_means_no_decryption_at_all(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a"), job = world_job(w, run, "a", 0), n;

	world_environment(w, "production", "{\"reviewers\": [\"mira\"]}");
	put(w, w->repo, "production", "TOKEN", "hush-hush");
	world_expand(w, job, &(struct world_rows){ .environment = "production" });
	assert_int_equal(world_try_release(w, job, 0), -1);
	assert_ok(db_value(store_db(w->s), &n, 0, &w->err,
			  "SELECT count(*) FROM audit WHERE verb = 'secret.decrypt'"),
		&w->err);
	assert_int_equal(n, 0);
}

static void a_rotated_key_opens_everything_and_the_old_one_nothing(void **state)
{
	struct world *w = *state;
	static const uint8_t new_key[CRYPTO_MASTER_LEN] =
		"another key, just as long as it.";
	_cleanup_free_ char *secret = NULL, *value = NULL;
	_cleanup_(strbuf_done) struct strbuf key = STRBUF_INIT, cred = STRBUF_INIT;
	struct hook_secret *hooks;
	size_t len;

	put(w, w->repo, "", "TOKEN", "hush");
	assert_ok(keys_create(w->s, "demo", &mira, &secret, &w->err), &w->err);
	assert_ok(repos_set_credential(w->s, w->repo, "token", "abc", 3, &mira, &w->err),
		&w->err);
	assert_int_equal(secrets_key_fits(w->s, &w->err), 1);
	assert_ok(secrets_rotate_key(w->s, new_key, &mira, &w->err), &w->err);
	value = open_secret(w, "", "TOKEN");
	assert_string_equal(value, "hush");
	assert_ok(keys_open(w->s, "demo", &key, &w->err), &w->err);
	assert_string_equal(key.buf, secret);
	assert_ok(repos_credential(w->s, w->repo, "token", &cred, &w->err), &w->err);
	assert_string_equal(cred.buf, "abc");
	assert_ok(hooks_secrets(w->s, "gitea", &hooks, &len, &w->err), &w->err);
	assert_int_equal(len, 1);
	assert_string_equal(hooks[0].secret, "0123456789abcdef0123");
	hook_secrets_free(hooks, len);
	assert_ok(store_set_key(w->s, world_key, &w->err), &w->err);
	assert_int_equal(secrets_key_fits(w->s, &w->err), 0);
	assert_int_equal(keys_open(w->s, "demo", &key, &w->err), -1);
	assert_err(&w->err, ERR_CORRUPT, NULL);
	/* With the wrong key nothing can be rotated either, and nothing is changed. */
	assert_int_equal(secrets_rotate_key(w->s, new_key, &mira, &w->err), -1);
	assert_ok(store_set_key(w->s, new_key, &w->err), &w->err);
	assert_int_equal(secrets_key_fits(w->s, &w->err), 1);
	world_check(w);
}

static void hooks_keep_their_old_secret_for_a_while(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *fresh = NULL, *none = NULL;
	struct hook_secret *hooks;
	size_t len;
	int64_t before = hooks_version(w->s), id;

	assert_int_equal(
		hooks_add(w->s, w->repo, "gitea", "short", &mira, &id, &none, &w->err),
		-1);
	assert_err(&w->err, ERR_INPUT, NULL);
	assert_ok(hooks_rotate(w->s, w->hook, 60000, &mira, &fresh, &w->err), &w->err);
	assert_int_equal(strlen(fresh), 40);
	assert_true(hooks_version(w->s) > before);
	assert_ok(hooks_secrets(w->s, "gitea", &hooks, &len, &w->err), &w->err);
	assert_int_equal(len, 2);
	hook_secrets_free(hooks, len);
	clock_skew_wall(61000);
	assert_ok(hooks_secrets(w->s, "gitea", &hooks, &len, &w->err), &w->err);
	assert_int_equal(len, 1);
	assert_string_equal(hooks[0].secret, fresh);
	assert_string_equal(hooks[0].repo_name, "acme/archive");
	hook_secrets_free(hooks, len);
}

/* ---- tokens ------------------------------------------------------------------------ */

static void tokens_are_checked_by_hash_and_end(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *token = NULL, *again = NULL;
	_cleanup_(principal_done) struct principal p = { 0 };
	int64_t n;
	static const char *const bad[] = { "", "slt_", "slt_x", "x", NULL };

	assert_ok(tokens_create(w->s, "dash", "mira", SCOPE_READ, clock_wall_ms() + 1000,
			  &mira, &token, &w->err),
		&w->err);
	assert_true(str_starts(token, "slt_"));
	assert_int_equal(tokens_create(w->s, "DASH", "mira", SCOPE_READ, 0, &mira, &again,
				 &w->err),
		-1);
	assert_err(&w->err, ERR_CONFLICT, "token 'DASH' is there already");
	assert_ok(tokens_check(w->s, token, &p, &w->err), &w->err);
	assert_string_equal(p.name, "mira");
	assert_true(scopes_have(p.scopes, SCOPE_READ));
	assert_false(scopes_have(p.scopes, SCOPE_APPROVE));
	assert_ok(
		db_value(store_db(w->s), &n, 0, &w->err,
			"SELECT count(*) FROM tokens WHERE hash = ?", db_arg_str(token)),
		&w->err);
	assert_int_equal(n, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(tokens_check(w->s, bad[i], &p, &w->err), -1);
		assert_err(&w->err, ERR_DENIED, "not a valid token");
	}
	clock_skew_wall(2000);
	assert_int_equal(tokens_check(w->s, token, &p, &w->err), -1);
	assert_err(&w->err, ERR_DENIED, "not a valid token");
	clock_skew_wall(0);
	assert_ok(tokens_revoke(w->s, "dash", &mira, &w->err), &w->err);
	assert_int_equal(tokens_check(w->s, token, &p, &w->err), -1);
	assert_ok(tokens_create(
			  w->s, "dash", "mira", SCOPE_ADMIN, 0, &mira, &again, &w->err),
		&w->err);
	world_check(w);
}

static void a_link_signs_in_once(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *link = NULL, *session = NULL, *second = NULL;
	_cleanup_(principal_done) struct principal p = { 0 }, q = { 0 }, r = { 0 };

	assert_ok(links_create(
			  w->s, "mira", SCOPE_APPROVE, 7, 60000, &lena, &link, &w->err),
		&w->err);
	assert_ok(links_peek(w->s, link, &p, &w->err),
		&w->err); /* looking uses nothing up */
	assert_int_equal(p.gate, 7);
	assert_ok(sessions_open_link(w->s, link, 60000, &session, &q, &w->err), &w->err);
	assert_int_equal(sessions_open_link(w->s, link, 60000, &second, &r, &w->err), -1);
	assert_err(&w->err, ERR_DENIED, "not a valid token");
	assert_ok(sessions_check(w->s, session, &r, &w->err), &w->err);
	assert_string_equal(r.name, "mira");
	assert_int_equal(r.gate, 7);
	/* A link is no session, a session no token. */
	assert_int_equal(sessions_check(w->s, link, &r, &w->err), -1);
	assert_int_equal(tokens_check(w->s, session, &r, &w->err), -1);
	assert_ok(sessions_close(w->s, session, &w->err), &w->err);
	principal_done(&r);
	assert_int_equal(sessions_check(w->s, session, &r, &w->err), -1);
	free(link);
	link = NULL;
	assert_ok(links_create(w->s, "mira", SCOPE_READ, 0, 1000, &lena, &link, &w->err),
		&w->err);
	clock_skew_wall(2000);
	assert_int_equal(links_peek(w->s, link, &r, &w->err), -1);
	assert_ok(sessions_sweep(w->s, &w->err), &w->err);
	world_check(w);
}

static void scopes_are_words(void **state)
{
	struct err err = ERR_INIT;
	char text[32];

	assert_int_equal(scopes_parse("read,approve", &err), SCOPE_READ | SCOPE_APPROVE);
	assert_int_equal(scopes_parse("read,write", &err), 0);
	assert_err(&err, ERR_INPUT, "scope 'write' is none of read, run, approve, admin");
	assert_string_equal(
		scopes_text(SCOPE_READ | SCOPE_RUN | SCOPE_APPROVE | SCOPE_ADMIN, text),
		"read,run,approve,admin");
	assert_true(scopes_have(SCOPE_ADMIN, SCOPE_APPROVE));
	assert_false(scopes_have(SCOPE_READ, SCOPE_READ | SCOPE_RUN));
}

static void a_key_revoked_is_no_key(void **state)
{
	struct world *w = *state;
	_cleanup_free_ char *secret = NULL;
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;

	assert_ok(keys_create(w->s, "demo", &mira, &secret, &w->err), &w->err);
	assert_int_equal(strlen(secret), 64);
	assert_ok(keys_open(w->s, "demo", &out, &w->err), &w->err);
	assert_string_equal(out.buf, secret);
	assert_ok(keys_revoke(w->s, "demo", &mira, &w->err), &w->err);
	assert_int_equal(keys_open(w->s, "demo", &out, &w->err), -1);
	assert_err(&w->err, ERR_DENIED, NULL);
	assert_int_equal(keys_create(w->s, "a b", &mira, &secret, &w->err), -1);
	assert_err(&w->err, ERR_INPUT, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD(the_nearest_scope_wins),
		WORLD(names_and_values_have_rules),
		WORLD(values_may_hold_any_byte),
		WORLD_DISK(no_value_is_in_any_file),
		WORLD(a_row_in_the_place_of_another_does_not_open),
		WORLD(every_flipped_byte_of_a_box_is_noticed),
		WORLD(a_release_opens_the_secrets_asked_for_and_writes_it_down),
		WORLD(a_pending_gate_means_no_decryption_at_all),
		WORLD(a_rotated_key_opens_everything_and_the_old_one_nothing),
		WORLD(hooks_keep_their_old_secret_for_a_while),
		WORLD(tokens_are_checked_by_hash_and_end),
		WORLD(a_link_signs_in_once),
		WORLD(scopes_are_words),
		WORLD(a_key_revoked_is_no_key),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
