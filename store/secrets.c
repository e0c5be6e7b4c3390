/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed values, and the rotation of the key that seals them. */
#include "store/secrets.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "store/store-internal.h"

/* ---- boxes ------------------------------------------------------------------------- */

static void make_aad(int64_t repo, const char *scope, const char *name, int64_t version,
	struct strbuf *aad)
{
	strbuf_addf(aad, "%lld|%zu:%s|%zu:%s|%lld", (long long)repo, strlen(scope), scope,
		strlen(name), name, (long long)version);
}

static int need_key(const struct store *s, struct err *err)
{
	return s->key ? 0
		      : err_set(err, ERR_UNAVAILABLE, "this process has no master key");
}

int box_seal(struct store *s, int64_t repo, const char *scope, const char *name,
	int64_t version, const void *plain, size_t len, struct strbuf *box,
	struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf aad = STRBUF_INIT;

	if (need_key(s, err))
		return -1;
	make_aad(repo, scope, name, version, &aad);
	crypto_seal(s->key, aad.buf, aad.len, plain, len, box);
	return 0;
}

int box_open(struct store *s, int64_t repo, const char *scope, const char *name,
	int64_t version, const void *box, size_t len, struct strbuf *plain,
	struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf aad = STRBUF_INIT;

	if (need_key(s, err))
		return -1;
	make_aad(repo, scope, name, version, &aad);
	if (crypto_open(s->key, aad.buf, aad.len, box, len, plain, err))
		return err_wrap(err, "%s '%s' cannot be opened", scope, name);
	return 0;
}

/* ---- values handed out ------------------------------------------------------------- */

void secret_list_done(struct secret_list *l)
{
	for (size_t i = 0; i < l->len; i++) {
		free(l->v[i].name);
		mem_wipe_free(l->v[i].value, l->v[i].len + 1);
	}
	free(l->v);
	*l = (struct secret_list)SECRET_LIST_INIT;
}

static void list_add(struct secret_list *l, const char *name, const struct strbuf *value)
{
	struct secret *v;

	l->v = xreallocarray(l->v, l->len + 1, sizeof(*l->v));
	v = &l->v[l->len++];
	v->name = xstrdup(name);
	v->len = value->len;
	v->value = xmalloc(value->len + 1);
	memcpy(v->value, value->buf, value->len + 1);
	(void)mlock(v->value, v->len + 1); /* best effort: the limit may be 0 */
}

static void wipe(struct strbuf *b)
{
	explicit_bzero(b->buf, b->len);
	strbuf_done(b);
}

/* ---- setting ----------------------------------------------------------------------- */

/* GitHub's rule for names; they are one name in every case, so they are kept in upper. */
static int canonical_name(const char *name, char **ret, struct err *err)
{
	_cleanup_free_ char *up = xstrdup(name);

	for (char *c = up; *c; c++) {
		bool is_digit = *c >= '0' && *c <= '9';
		bool is_letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');

		if (!(is_letter || *c == '_' || (is_digit && c != up)))
			return err_set(err, ERR_INPUT,
				"'%.64s' is no name: letters, digits and '_', no digit"
				" first",
				name);
		*c = (char)toupper((unsigned char)*c);
	}
	if (!*up || strlen(up) > 255)
		return err_set(err, ERR_INPUT, "a name has 1 to 255 characters");
	if (str_starts(up, "GITHUB_"))
		return err_set(
			err, ERR_INPUT, "'%.64s': names with GITHUB_ are not free", name);
	*ret = take_ptr(up);
	return 0;
}

static struct json *describe(int64_t repo, const char *environment, const char *name)
{
	struct json *j = json_new_object();

	json_set_str(j, "name", name);
	json_set_int(j, "repo", repo);
	json_set_str(j, "environment", environment);
	return j;
}

/* No environment can be named so that it meets the scope of a hook or a credential. */
static char *secret_scope(const char *environment)
{
	return xasprintf("secret/%s", environment);
}

static int put(struct store *s, int64_t repo, const char *environment, const char *name,
	const void *value, size_t len, const struct actor *who, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf box = STRBUF_INIT;
	_cleanup_free_ char *scope = NULL;
	int64_t version, now = clock_wall_ms();

	if (db_value(s->db, &version, 0, err,
		    "SELECT version FROM secrets WHERE repo_id = ? AND environment = ?"
		    " AND name = ?",
		    I(repo), S(environment), S(name)))
		return -1;
	version++;
	scope = secret_scope(environment);
	if (box_seal(s, repo, scope, name, version, value, len, &box, err))
		return -1;
	return db_run(s->db, err,
		"INSERT INTO secrets (repo_id, environment, name, version, box, size,"
		" created_at, updated_at, updated_by) VALUES (?,?,?,?,?,?,?,?,?)"
		" ON CONFLICT (repo_id, environment, name) DO UPDATE SET"
		" version = excluded.version, box = excluded.box, size = excluded.size,"
		" updated_at = excluded.updated_at, updated_by = excluded.updated_by",
		I(repo), S(environment), S(name), I(version), B(box.buf, box.len), I(len),
		I(now), I(now), S(who->name));
}

/* The associated data holds the environment as text: it must not depend on how it is typed. */
static char *fold(const char *environment)
{
	char *s = xstrdup(environment);

	for (char *c = s; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return s;
}

int secrets_set(struct store *s, int64_t repo, const char *environment, const char *name,
	const void *value, size_t len, const struct actor *who, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_free_ char *env = fold(environment);
	_cleanup_free_ char *up = NULL;
	_cleanup_(json_freep) struct json *detail = NULL;

	if (canonical_name(name, &up, err))
		return -1;
	if (len == 0 || len > LIMIT_SECRET_VALUE)
		return err_set(err, ERR_LIMIT,
			"secret '%s' has %zu bytes, allowed are 1 to %d", up, len,
			LIMIT_SECRET_VALUE);
	detail = describe(repo, env, up);
	json_set_int(detail, "size", (int64_t)len);
	if (store_begin(&tx, s, err) || put(s, repo, env, up, value, len, who, err) ||
		audit_add(s, who, "secret.set", "secret", db_last_id(s->db), 0, detail,
			err))
		return -1;
	store_touch(s, 0, 0, 0, repo);
	return store_commit(&tx, err);
}

int secrets_delete(struct store *s, int64_t repo, const char *environment,
	const char *name, const struct actor *who, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_free_ char *env = fold(environment);
	_cleanup_free_ char *up = NULL;
	_cleanup_(json_freep) struct json *detail = NULL;

	if (canonical_name(name, &up, err) || store_begin(&tx, s, err))
		return -1;
	if (db_run(s->db, err,
		    "DELETE FROM secrets WHERE repo_id = ? AND environment = ? AND name"
		    " = ?",
		    I(repo), S(env), S(up)))
		return -1;
	if (db_changes(s->db) == 0)
		return err_set(err, ERR_NOT_FOUND, "no secret '%s'", up);
	detail = describe(repo, env, up);
	if (audit_add(s, who, "secret.delete", "secret", 0, 0, detail, err))
		return -1;
	store_touch(s, 0, 0, 0, repo);
	return store_commit(&tx, err);
}

/* ---- opening ----------------------------------------------------------------------- */

/* The nearest scope wins. */
static int open_one(struct store *s, int64_t repo, const char *environment,
	const char *name, struct secret_list *list, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_(wipe) struct strbuf plain = STRBUF_INIT;
	_cleanup_free_ char *scope = NULL;
	const void *box;
	size_t len;
	int got = db_first(s->db, &r, err,
		"SELECT repo_id, environment, version, box FROM secrets"
		" WHERE name = ?1 AND ((repo_id = ?2 AND environment = ?3)"
		" OR (repo_id = ?2 AND environment = '') OR (repo_id = 0 AND"
		" environment = ''))"
		" ORDER BY repo_id = 0, environment = '' LIMIT 1",
		S(name), I(repo), S(environment));

	if (got <= 0)
		return got;
	box = db_blob(&r, 3, &len);
	scope = secret_scope(db_str(&r, 1));
	if (box_open(s, db_int(&r, 0), scope, name, db_int(&r, 2), box, len, &plain, err))
		return -1;
	list_add(list, name, &plain);
	return 0;
}

int secrets_open(struct store *s, int64_t repo, const char *environment,
	const char *const *names, struct secret_list *ret, struct err *err)
{
	_cleanup_(secret_list_done) struct secret_list list = SECRET_LIST_INIT;
	_cleanup_free_ char *env = fold(environment);

	for (; names && *names; names++) {
		_cleanup_free_ char *up = NULL;

		if (canonical_name(*names, &up, NULL))
			continue; /* not a name anybody can have set: absent */
		if (open_one(s, repo, env, up, &list, err))
			return -1;
	}
	*ret = list;
	list = (struct secret_list)SECRET_LIST_INIT;
	return 0;
}

/* ---- the key ----------------------------------------------------------------------- */

/*
 * Every column that holds boxes. The query gives id, repo, scope, name, version, box; the
 * update takes box and id. Tables without rowid give their key as one text.
 */
static const struct {
	const char *query;
	const char *update;
} boxes[] = {
	{ "SELECT id, repo_id, 'secret/' || environment, name, version, box FROM secrets",
		"UPDATE secrets SET box = ? WHERE id = ?" },
	{ "SELECT repo_id, repo_id, 'credential', kind, version, box FROM"
	  " repo_credentials",
		"UPDATE repo_credentials SET box = ?1 WHERE repo_id = ?2 AND kind = ?3" },
	{ "SELECT id, repo_id, 'hook', CAST(id AS TEXT), version, box FROM hooks",
		"UPDATE hooks SET box = ? WHERE id = ?" },
	{ "SELECT id, repo_id, 'hook', CAST(id AS TEXT), old_version, old_box FROM hooks"
	  " WHERE old_box IS NOT NULL",
		"UPDATE hooks SET old_box = ? WHERE id = ?" },
	{ "SELECT id, 0, 'key', name, version, box FROM keys",
		"UPDATE keys SET box = ? WHERE id = ?" },
};

struct resealed {
	int64_t id;
	char *name;
	struct strbuf box;
};

static void resealed_free(struct resealed *list, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		free(list[i].name);
		strbuf_done(&list[i].box);
	}
	free(list);
}

static int reseal_row(struct store *s, const struct db_rows *r, const uint8_t *new_key,
	struct resealed *ret, struct err *err)
{
	_cleanup_(wipe) struct strbuf plain = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf aad = STRBUF_INIT;
	const void *box;
	size_t len;

	box = db_blob(r, 5, &len);
	if (box_open(s, db_int(r, 1), db_str(r, 2), db_str(r, 3), db_int(r, 4), box, len,
		    &plain, err))
		return -1;
	make_aad(db_int(r, 1), db_str(r, 2), db_str(r, 3), db_int(r, 4), &aad);
	ret->id = db_int(r, 0);
	ret->name = xstrdup(db_str(r, 3));
	strbuf_init(&ret->box);
	crypto_seal(new_key, aad.buf, aad.len, plain.buf, plain.len, &ret->box);
	return 0;
}

static int write_resealed(struct store *s, const char *sql, const struct resealed *list,
	size_t len, struct err *err)
{
	bool by_name = strstr(sql, "?3") != NULL;

	for (size_t i = 0; i < len; i++) {
		struct db_arg args[] = { B(list[i].box.buf, list[i].box.len),
			I(list[i].id), S(list[i].name) };

		FP("secrets.rotate.row");
		if (db_run_args(s->db, err, sql, args, by_name ? 3 : 2))
			return -1;
	}
	return 0;
}

/* Read whole before anything is written: a table is not changed under its own cursor. */
static int reseal_table(
	struct store *s, size_t t, const uint8_t *new_key, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	struct resealed *list = NULL;
	size_t len = 0, cap = 0;
	int got, result = -1;

	if (db_query(s->db, &r, err, boxes[t].query))
		return -1;
	while ((got = db_step(&r, err)) > 0) {
		GROW(list, cap, len + 1);
		if (reseal_row(s, &r, new_key, &list[len], err)) {
			got = -1;
			break;
		}
		len++;
	}
	db_rows_done(&r);
	if (got == 0)
		result = write_resealed(s, boxes[t].update, list, len, err);
	resealed_free(list, len);
	return result;
}

int secrets_rotate_key(struct store *s, const uint8_t new_key[CRYPTO_MASTER_LEN],
	const struct actor *who, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;

	if (need_key(s, err) || store_begin(&tx, s, err))
		return -1;
	for (size_t t = 0; t < ARRAY_SIZE(boxes); t++)
		if (reseal_table(s, t, new_key, err))
			return err_wrap(err, "the key was not changed");
	if (audit_add(s, who, "key.rotate", "server", 0, 0, NULL, err) ||
		store_commit(&tx, err))
		return -1;
	return store_set_key(s, new_key, err);
}

int secrets_key_fits(struct store *s, struct err *err)
{
	for (size_t t = 0; t < ARRAY_SIZE(boxes); t++) {
		_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
		_cleanup_(wipe) struct strbuf plain = STRBUF_INIT;
		struct err why = ERR_INIT;
		const void *box;
		size_t len;
		int got = db_first(s->db, &r, err, boxes[t].query);

		if (got < 0)
			return -1;
		if (!got)
			continue;
		box = db_blob(&r, 5, &len);
		if (box_open(s, db_int(&r, 1), db_str(&r, 2), db_str(&r, 3),
			    db_int(&r, 4), box, len, &plain, &why))
			return why.code == ERR_CORRUPT
				       ? 0
				       : err_set(err, why.code, "%s", why.msg);
		return 1;
	}
	return 1;
}
