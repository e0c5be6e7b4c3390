/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories, their credentials, hooks and variables. */
#include "store/repos.h"

#include <stdlib.h>
#include <string.h>

#include "store/store-internal.h"

#define HOOK_SECRET_LEN 40

static const char *const forges[] = { "github", "gitea", "gitlab", "generic", NULL };

void repo_done(struct repo *r)
{
	free(r->full_name);
	free(r->forge);
	free(r->url);
	free(r->forge_id);
	free(r->default_branch);
	json_free(r->settings);
	*r = (struct repo){ 0 };
}

/* "owner/name", GitLab's "group/sub/name" too: what is safe in a path and in a page. */
static int check_name(const char *name, struct err *err)
{
	_cleanup_(strvec_done) struct strvec parts = STRVEC_INIT;
	size_t len = strlen(name);

	strvec_split(&parts, name, '/');
	if (parts.len < 2 || parts.len > 8 || len > 255)
		return err_set(err, ERR_INPUT, "'%.80s' is no OWNER/NAME", name);
	strvec_foreach (part, &parts) {
		const char *p = *part;

		if (!*p || *p == '.' || *p == '-' ||
			strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789._-") != strlen(p))
			return err_set(err, ERR_INPUT,
				"'%.80s' is no OWNER/NAME: letters, digits, '.', '_',"
				" '-'",
				name);
	}
	return 0;
}

static int check_forge(const char *forge, struct err *err)
{
	for (size_t i = 0; forges[i]; i++)
		if (str_eq(forges[i], forge))
			return 0;
	return err_set(err, ERR_INPUT,
		"forge '%.32s' is none of github, gitea, gitlab, generic", forge);
}

/* ---- repositories ------------------------------------------------------------------ */

int repos_add(struct store *s, const struct repo_new *in, const struct actor *who,
	int64_t *ret_id, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_free_ char *settings =
		in->settings ? json_text(in->settings) : xstrdup("{}");
	_cleanup_(json_freep) struct json *detail = json_new_object();
	int64_t id, known;

	if (check_name(in->full_name, err) || check_forge(in->forge, err) ||
		store_begin(&tx, s, err))
		return -1;
	if (db_value(s->db, &known, 0, err,
		    "SELECT id FROM repos WHERE name = ? AND removed_at = 0",
		    S(in->full_name)))
		return -1;
	if (known)
		return err_set(err, ERR_CONFLICT, "repository '%s' is there already",
			in->full_name);
	if (db_run(s->db, err,
		    "INSERT INTO repos (name, forge, url, default_branch, settings,"
		    " created_at)"
		    " VALUES (?,?,?,?,?,?)",
		    S(in->full_name), S(in->forge), S(in->url),
		    S(in->default_branch ? in->default_branch : "main"), S(settings),
		    I(clock_wall_ms())))
		return -1;
	id = db_last_id(s->db);
	json_set_str(detail, "name", in->full_name);
	json_set_str(detail, "forge", in->forge);
	if (audit_add(s, who, "repo.add", "repo", id, 0, detail, err))
		return -1;
	store_touch(s, 0, 0, 0, id);
	if (store_commit(&tx, err))
		return -1;
	*ret_id = id;
	return 0;
}

#define REPO_COLUMNS                                                                       \
	"SELECT id, name, forge, url, forge_id, default_branch, settings, removed_at = 0," \
	" wants_statuses, created_at FROM repos "

static int read_repo(
	struct db_rows *r, int got, const char *name, struct repo *ret, struct err *err)
{
	struct json *settings = NULL;

	if (got < 0)
		return -1;
	if (!got)
		return err_set(err, ERR_NOT_FOUND, "no repository '%s'", name);
	if (json_parse(db_str(r, 6), strlen(db_str(r, 6)), &settings, NULL))
		settings = json_new_object();
	*ret = (struct repo){
		.id = db_int(r, 0),
		.full_name = col_dup(r, 1),
		.forge = col_dup(r, 2),
		.url = col_dup(r, 3),
		.forge_id = col_dup(r, 4),
		.default_branch = col_dup(r, 5),
		.settings = settings,
		.is_enabled = db_int(r, 7) != 0,
		.wants_statuses = db_int(r, 8) != 0,
		.created_at = db_int(r, 9),
	};
	return 0;
}

int repos_get(struct store *s, int64_t id, struct repo *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_free_ char *name = xasprintf("%lld", (long long)id);
	int got = db_first(s->db, &r, err, REPO_COLUMNS "WHERE id = ?", I(id));

	return read_repo(&r, got, name, ret, err);
}

int repos_find(struct store *s, const char *full_name, struct repo *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		REPO_COLUMNS "WHERE name = ? AND removed_at = 0", S(full_name));

	return read_repo(&r, got, full_name, ret, err);
}

static int bump_hooks(struct store *s, struct err *err)
{
	int64_t next = s->hooks_version + 1;
	_cleanup_free_ char *text = xasprintf("%lld", (long long)next);

	if (store_set_meta(s, "hooks_version", text, err))
		return -1;
	s->hooks_version = next; /* also right after a rollback: it only has to grow */
	return 0;
}

int64_t hooks_version(struct store *s)
{
	return s->hooks_version;
}

int repos_remove(struct store *s, int64_t id, const struct actor *who, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	static const char *const cuts[] = {
		"DELETE FROM hooks WHERE repo_id = ?",
		"DELETE FROM repo_credentials WHERE repo_id = ?",
		"DELETE FROM secrets WHERE repo_id = ?",
		"DELETE FROM vars WHERE repo_id = ?",
	};

	if (store_begin(&tx, s, err))
		return -1;
	if (db_run(s->db, err,
		    "UPDATE repos SET removed_at = ? WHERE id = ? AND removed_at = 0",
		    I(clock_wall_ms()), I(id)))
		return -1;
	if (db_changes(s->db) == 0)
		return err_set(err, ERR_NOT_FOUND, "no repository %lld", (long long)id);
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++)
		if (db_run(s->db, err, cuts[i], I(id)))
			return -1;
	if (bump_hooks(s, err) ||
		audit_add(s, who, "repo.remove", "repo", id, 0, NULL, err))
		return -1;
	store_touch(s, 0, 0, 0, id);
	return store_commit(&tx, err);
}

/* Settings the store itself looks at have columns of their own. */
static int set_column(struct store *s, int64_t id, const char *key,
	const struct json *value, struct err *err)
{
	if (str_eq(key, "statuses"))
		return db_run(s->db, err,
			"UPDATE repos SET wants_statuses = ? WHERE id = ?",
			I(json_as_bool(value, false)), I(id));
	if (str_eq(key, "priority"))
		return db_run(s->db, err, "UPDATE repos SET priority = ? WHERE id = ?",
			I(json_as_int(value, 0)), I(id));
	return 0;
}

int repos_set(struct store *s, int64_t id, const char *key, struct json *value,
	const struct actor *who, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(json_freep) struct json *owned = value;
	_cleanup_(json_freep) struct json *detail = json_new_object();
	_cleanup_(repo_done) struct repo repo = { 0 };
	_cleanup_free_ char *text = NULL;

	if (store_begin(&tx, s, err) || repos_get(s, id, &repo, err) ||
		set_column(s, id, key, owned, err))
		return -1;
	json_set_str(detail, "key", key);
	json_set(detail, "value", json_share(owned));
	if (owned)
		json_set(repo.settings, key, take_ptr(owned));
	else
		json_unset(repo.settings, key);
	text = json_text(repo.settings);
	if (db_run(s->db, err, "UPDATE repos SET settings = ? WHERE id = ?", S(text),
		    I(id)) ||
		audit_add(s, who, "repo.set", "repo", id, 0, detail, err))
		return -1;
	store_touch(s, 0, 0, 0, id);
	return store_commit(&tx, err);
}

int repos_set_default_branch(
	struct store *s, int64_t id, const char *branch, struct err *err)
{
	return db_run(s->db, err, "UPDATE repos SET default_branch = ? WHERE id = ?",
		S(branch), I(id));
}

int repos_bind_forge_id(
	struct store *s, int64_t id, const char *forge_id, struct err *err)
{
	if (db_run(s->db, err,
		    "UPDATE repos SET forge_id = ?1 WHERE id = ?2 AND forge_id IN ('',"
		    " ?1)",
		    S(forge_id), I(id)))
		return -1;
	if (db_changes(s->db) == 0)
		return err_set(
			err, ERR_CONFLICT, "this is another repository of the same name");
	s->hooks_version++; /* cached hook secrets hold the forge's id */
	return 0;
}

/* ---- credentials ------------------------------------------------------------------- */

int repos_set_credential(struct store *s, int64_t id, const char *kind, const void *plain,
	size_t len, const struct actor *who, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(strbuf_done) struct strbuf box = STRBUF_INIT;
	_cleanup_(json_freep) struct json *detail = json_new_object();
	int64_t version;

	if (store_begin(&tx, s, err))
		return -1;
	if (db_value(s->db, &version, 0, err,
		    "SELECT version FROM repo_credentials WHERE repo_id = ? AND kind = ?",
		    I(id), S(kind)) ||
		db_run(s->db, err,
			"DELETE FROM repo_credentials WHERE repo_id = ? AND kind = ?",
			I(id), S(kind)))
		return -1;
	if (len > 0) {
		if (box_seal(s, id, "credential", kind, version + 1, plain, len, &box,
			    err) ||
			db_run(s->db, err,
				"INSERT INTO repo_credentials VALUES (?,?,?,?,?)", I(id),
				S(kind), I(version + 1), B(box.buf, box.len),
				I(clock_wall_ms())))
			return -1;
	}
	json_set_str(detail, "kind", kind);
	if (audit_add(s, who, len ? "repo.credential" : "repo.credential_removed", "repo",
		    id, 0, detail, err))
		return -1;
	return store_commit(&tx, err);
}

int repos_credential(struct store *s, int64_t id, const char *kind, struct strbuf *out,
	struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	const void *box;
	size_t len;
	int got = db_first(s->db, &r, err,
		"SELECT version, box FROM repo_credentials WHERE repo_id = ? AND kind ="
		" ?",
		I(id), S(kind));

	if (got < 0)
		return -1;
	if (!got)
		return err_set(err, ERR_NOT_FOUND, "no credential '%s'", kind);
	box = db_blob(&r, 1, &len);
	return box_open(s, id, "credential", kind, db_int(&r, 0), box, len, out, err);
}

/* ---- hooks ------------------------------------------------------------------------- */

/* 30 random bytes in base64url are 40 characters that survive every forge's form. */
static char *new_secret(void)
{
	char *secret = crypto_random_token(30);

	return secret;
}

static int seal_hook(struct store *s, int64_t repo, int64_t hook, int64_t version,
	const char *secret, struct strbuf *box, struct err *err)
{
	_cleanup_free_ char *name = xasprintf("%lld", (long long)hook);

	return box_seal(s, repo, "hook", name, version, secret, strlen(secret), box, err);
}

int hooks_add(struct store *s, int64_t repo, const char *forge, const char *secret,
	const struct actor *who, int64_t *ret_id, char **ret_secret, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(strbuf_done) struct strbuf box = STRBUF_INIT;
	_cleanup_free_ char *text = secret ? xstrdup(secret) : new_secret();
	int64_t id;

	/* An empty or guessable secret would make an open door (SECURITY WH02). */
	if (strlen(text) < 16)
		return err_set(err, ERR_INPUT, "a hook secret has 16 characters or more");
	if (check_forge(forge, err) || store_begin(&tx, s, err))
		return -1;
	if (db_run(s->db, err,
		    "INSERT INTO hooks (repo_id, forge, version, box, created_at)"
		    " VALUES (?,?,1,x'',?)",
		    I(repo), S(forge), I(clock_wall_ms())))
		return -1;
	id = db_last_id(s->db);
	if (seal_hook(s, repo, id, 1, text, &box, err) ||
		db_run(s->db, err, "UPDATE hooks SET box = ? WHERE id = ?",
			B(box.buf, box.len), I(id)) ||
		bump_hooks(s, err) ||
		audit_add(s, who, "hook.add", "hook", id, 0, NULL, err))
		return -1;
	store_touch(s, 0, 0, 0, repo);
	if (store_commit(&tx, err))
		return -1;
	*ret_id = id;
	if (ret_secret)
		*ret_secret = take_ptr(text);
	return 0;
}

int hooks_rotate(struct store *s, int64_t hook, int64_t old_valid_ms,
	const struct actor *who, char **ret_secret, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(strbuf_done) struct strbuf box = STRBUF_INIT;
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_free_ char *text = new_secret();
	int64_t repo, version, now = clock_wall_ms();
	int got;

	if (store_begin(&tx, s, err))
		return -1;
	got = db_first(s->db, &r, err, "SELECT repo_id, version FROM hooks WHERE id = ?",
		I(hook));
	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no hook %lld",
					 (long long)hook);
	repo = db_int(&r, 0);
	version = db_int(&r, 1) + 1;
	db_rows_done(&r);
	if (seal_hook(s, repo, hook, version, text, &box, err) ||
		db_run(s->db, err,
			"UPDATE hooks SET old_box = box, old_version = version,"
			" old_until = ?,"
			" box = ?, version = ?, rotated_at = ? WHERE id = ?",
			I(now + old_valid_ms), B(box.buf, box.len), I(version), I(now),
			I(hook)) ||
		bump_hooks(s, err) ||
		audit_add(s, who, "hook.rotate", "hook", hook, 0, NULL, err) ||
		store_commit(&tx, err))
		return -1;
	*ret_secret = take_ptr(text);
	return 0;
}

int hooks_find(struct store *s, int64_t repo, int64_t *ret_id, struct err *err)
{
	int64_t id;

	if (db_value(s->db, &id, 0, err, "SELECT id FROM hooks WHERE repo_id = ?",
		    I(repo)))
		return -1;
	if (!id)
		return err_set(err, ERR_NOT_FOUND, "this repository has no hook");
	*ret_id = id;
	return 0;
}

void hook_secrets_free(struct hook_secret *list, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		free(list[i].repo_name);
		free(list[i].forge_id);
		mem_wipe_free(list[i].secret, list[i].secret_len);
	}
	free(list);
}

static int open_hook(struct store *s, const struct db_rows *r, struct hook_secret *ret,
	struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf plain = STRBUF_INIT;
	_cleanup_free_ char *name = xasprintf("%lld", (long long)db_int(r, 0));
	const void *box;
	size_t len;

	box = db_blob(r, 5, &len);
	if (box_open(s, db_int(r, 1), "hook", name, db_int(r, 4), box, len, &plain, err))
		return -1;
	ret->hook = db_int(r, 0);
	ret->repo = db_int(r, 1);
	ret->repo_name = col_dup(r, 2);
	ret->forge_id = col_dup(r, 3);
	ret->secret_len = plain.len;
	ret->secret = strbuf_take(&plain);
	return 0;
}

int hooks_secrets(struct store *s, const char *forge, struct hook_secret **ret,
	size_t *ret_len, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	struct hook_secret *list = NULL;
	size_t len = 0, cap = 0;
	int got;

	if (db_query(s->db, &r, err,
		    "SELECT h.id, h.repo_id, p.name, p.forge_id, h.version, h.box FROM"
		    " hooks h"
		    " JOIN repos p ON p.id = h.repo_id WHERE h.forge = ?1"
		    " UNION ALL SELECT h.id, h.repo_id, p.name, p.forge_id,"
		    " h.old_version,"
		    " h.old_box FROM hooks h JOIN repos p ON p.id = h.repo_id"
		    " WHERE h.forge = ?1 AND h.old_box IS NOT NULL AND h.old_until > ?2",
		    S(forge), I(clock_wall_ms())))
		return -1;
	while ((got = db_step(&r, err)) > 0) {
		GROW(list, cap, len + 1);
		if (open_hook(s, &r, &list[len], err)) {
			got = -1;
			break;
		}
		len++;
	}
	if (got < 0) {
		hook_secrets_free(list, len);
		return -1;
	}
	*ret = list;
	*ret_len = len;
	return 0;
}

/* ---- variables --------------------------------------------------------------------- */

int vars_set(struct store *s, int64_t repo, const char *environment, const char *name,
	const char *value, const struct actor *who, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(json_freep) struct json *detail = json_new_object();

	if (!*name || strlen(name) > 255 || strlen(value) > LIMIT_SECRET_VALUE)
		return err_set(err, ERR_LIMIT,
			"a variable has a name of 1 to 255 characters and "
			"a value of at most 64 KiB");
	json_set_str(detail, "name", name);
	json_set_str(detail, "environment", environment);
	if (store_begin(&tx, s, err) ||
		db_run(s->db, err,
			"INSERT INTO vars VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET"
			" value = excluded.value, updated_at = excluded.updated_at",
			I(repo), S(environment), S(name), S(value), I(clock_wall_ms())) ||
		audit_add(s, who, "var.set", "repo", repo, 0, detail, err))
		return -1;
	store_touch(s, 0, 0, 0, repo);
	return store_commit(&tx, err);
}

int vars_delete(struct store *s, int64_t repo, const char *environment, const char *name,
	const struct actor *who, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(json_freep) struct json *detail = json_new_object();

	json_set_str(detail, "name", name);
	json_set_str(detail, "environment", environment);
	if (store_begin(&tx, s, err) ||
		db_run(s->db, err,
			"DELETE FROM vars WHERE repo_id = ? AND environment = ? AND"
			" name = ?",
			I(repo), S(environment), S(name)))
		return -1;
	if (db_changes(s->db) == 0)
		return err_set(err, ERR_NOT_FOUND, "no variable '%s'", name);
	if (audit_add(s, who, "var.delete", "repo", repo, 0, detail, err))
		return -1;
	store_touch(s, 0, 0, 0, repo);
	return store_commit(&tx, err);
}

int vars_context(struct store *s, int64_t repo, const char *environment,
	struct json **ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_(json_freep) struct json *vars = json_new_object();
	int got;

	if (db_query(s->db, &r, err,
		    "SELECT name, value FROM vars WHERE (repo_id = 0 AND environment ="
		    " '')"
		    " OR (repo_id = ?1 AND environment IN ('', ?2))"
		    " ORDER BY repo_id <> 0, environment <> '', name",
		    I(repo), S(environment)))
		return -1;
	while ((got = db_step(&r, err)) > 0)
		json_set_str(vars, db_str(&r, 0), db_str(&r, 1));
	if (got < 0)
		return -1;
	*ret = take_ptr(vars);
	return 0;
}
