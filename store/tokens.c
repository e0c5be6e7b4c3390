/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens, one-time links, sessions and approval keys. */
#include "store/tokens.h"

#include <stdlib.h>
#include <string.h>

#include "store/store-internal.h"

#define USED_GRAIN_MS (10 * 60 * 1000LL)
#define TOKEN_MAX     128 /* longer is no token of ours: not worth a hash */

/* ---- scopes ------------------------------------------------------------------------ */

static const struct {
	const char *name;
	enum scope bit;
} scopes[] = {
	{ "read", SCOPE_READ },
	{ "run", SCOPE_RUN },
	{ "approve", SCOPE_APPROVE },
	{ "admin", SCOPE_ADMIN },
};

enum scope scopes_parse(const char *text, struct err *err)
{
	_cleanup_(strvec_done) struct strvec words = STRVEC_INIT;
	unsigned bits = 0;

	strvec_split(&words, text, ',');
	strvec_foreach (word, &words) {
		unsigned bit = 0;

		for (size_t i = 0; i < ARRAY_SIZE(scopes); i++)
			if (str_eq(scopes[i].name, *word))
				bit = scopes[i].bit;
		if (!bit) {
			err_set(err, ERR_INPUT,
				"scope '%.32s' is none of read, run, approve, admin",
				*word);
			return 0;
		}
		bits |= bit;
	}
	return (enum scope)bits;
}

const char *scopes_text(enum scope have, char *buf)
{
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++) {
		size_t n = strlen(scopes[i].name);

		if (!(have & scopes[i].bit))
			continue;
		if (len > 0)
			buf[len++] = ',';
		memcpy(buf + len, scopes[i].name, n + 1);
		len += n;
	}
	return buf;
}

void principal_done(struct principal *p)
{
	free(p->kind);
	free(p->name);
	*p = (struct principal){ 0 };
}

/* ---- hashes ------------------------------------------------------------------------ */

static int hash_of(
	const char *token, const char *prefix, uint8_t out[SHA256_LEN], struct err *err)
{
	size_t len = token ? strnlen(token, TOKEN_MAX + 1) : 0;

	if (len == 0 || len > TOKEN_MAX || !str_starts(token, prefix))
		return err_set(err, ERR_DENIED, "not a valid token");
	crypto_sha256(token, len, out);
	return 0;
}

static char *new_token(const char *prefix, uint8_t hash[SHA256_LEN])
{
	_cleanup_free_ char *random = crypto_random_token(32);
	char *token = xasprintf("%s%s", prefix, random);

	crypto_sha256(token, strlen(token), hash);
	return token;
}

/* Columns: id, user, scopes, gate_id, expires_at. */
static int read_principal(struct store *s, const char *sql, const char *kind,
	const uint8_t hash[SHA256_LEN], struct principal *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err, sql, B(hash, SHA256_LEN), I(clock_wall_ms()));

	if (got <= 0)
		return got < 0 ? -1 : err_set(err, ERR_DENIED, "not a valid token");
	*ret = (struct principal){
		.kind = xstrdup(kind),
		.name = col_dup(&r, 1),
		.scopes = (enum scope)db_int(&r, 2),
		.id = db_int(&r, 0),
		.gate = db_int(&r, 3),
		.expires_at = db_int(&r, 4),
	};
	return 0;
}

/* ---- tokens ------------------------------------------------------------------------ */

int tokens_create(struct store *s, const char *name, const char *user, enum scope have,
	int64_t expires_at, const struct actor *who, char **ret_token, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(json_freep) struct json *detail = json_new_object();
	_cleanup_free_ char *token = NULL;
	uint8_t hash[SHA256_LEN];
	struct err why = ERR_INIT;
	char text[32];

	if (!*name || strlen(name) > 64 || !have)
		return err_set(err, ERR_INPUT,
			"a token has a name of 1 to 64 characters and a scope");
	token = new_token("slt_", hash);
	if (store_begin(&tx, s, err))
		return -1;
	if (db_run(s->db, &why,
		    "INSERT INTO tokens (name, user, scopes, hash, created_at,"
		    " created_by,"
		    " expires_at) VALUES (?,?,?,?,?,?,?)",
		    S(name), S(user), I(have), B(hash, sizeof(hash)), I(clock_wall_ms()),
		    S(who->name), I(expires_at)))
		return why.code == ERR_CONFLICT
			       ? err_set(err, ERR_CONFLICT, "token '%s' is there already",
					 name)
			       : err_set(err, why.code, "%s", why.msg);
	json_set_str(detail, "name", name);
	json_set_str(detail, "user", user);
	json_set_str(detail, "scopes", scopes_text(have, text));
	if (audit_add(
		    s, who, "token.create", "token", db_last_id(s->db), 0, detail, err) ||
		store_commit(&tx, err))
		return -1;
	*ret_token = take_ptr(token);
	return 0;
}

int tokens_revoke(
	struct store *s, const char *name, const struct actor *who, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(json_freep) struct json *detail = json_new_object();
	int64_t id;

	if (store_begin(&tx, s, err) ||
		db_value(s->db, &id, 0, err,
			"UPDATE tokens SET revoked_at = ? WHERE name = ? AND revoked_at"
			" = 0"
			" RETURNING id",
			I(clock_wall_ms()), S(name)))
		return -1;
	if (!id)
		return err_set(err, ERR_NOT_FOUND, "no token '%.64s'", name);
	json_set_str(detail, "name", name);
	/* Sessions opened with it go as well: they belong to its user. */
	if (db_run(s->db, err,
		    "DELETE FROM sessions WHERE user = (SELECT user FROM tokens WHERE"
		    " id = ?)",
		    I(id)) ||
		audit_add(s, who, "token.revoke", "token", id, 0, detail, err))
		return -1;
	return store_commit(&tx, err);
}

int tokens_check(
	struct store *s, const char *token, struct principal *ret, struct err *err)
{
	uint8_t hash[SHA256_LEN];

	if (hash_of(token, "slt_", hash, err))
		return -1;
	return read_principal(s,
		"SELECT id, user, scopes, 0, expires_at FROM tokens WHERE hash = ?"
		" AND revoked_at = 0 AND (expires_at = 0 OR expires_at > ?)",
		"token", hash, ret, err);
}

int tokens_used(struct store *s, int64_t id, struct err *err)
{
	int64_t now = clock_wall_ms();

	return db_run(s->db, err,
		"UPDATE tokens SET used_at = ? WHERE id = ? AND used_at < ?", I(now),
		I(id), I(now - USED_GRAIN_MS));
}

/* ---- links and sessions ------------------------------------------------------------ */

int links_create(struct store *s, const char *user, enum scope have, int64_t gate,
	int64_t valid_ms, const struct actor *who, char **ret_token, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(json_freep) struct json *detail = json_new_object();
	_cleanup_free_ char *token = NULL;
	uint8_t hash[SHA256_LEN];
	int64_t now = clock_wall_ms();

	token = new_token("sll_", hash);
	json_set_str(detail, "user", user);
	json_set_int(detail, "gate", gate);
	if (store_begin(&tx, s, err) ||
		db_run(s->db, err,
			"INSERT INTO links (hash, user, scopes, gate_id, created_at,"
			" expires_at)"
			" VALUES (?,?,?,?,?,?)",
			B(hash, sizeof(hash)), S(user), I(have), I(gate), I(now),
			I(now + valid_ms)) ||
		audit_add(s, who, "link.create", "link", db_last_id(s->db), 0, detail,
			err) ||
		store_commit(&tx, err))
		return -1;
	*ret_token = take_ptr(token);
	return 0;
}

#define LINK_COLUMNS                                                                 \
	"SELECT id, user, scopes, gate_id, expires_at FROM links WHERE hash = ? AND" \
	" used_at = 0 AND expires_at > ?"

int links_peek(struct store *s, const char *token, struct principal *ret, struct err *err)
{
	uint8_t hash[SHA256_LEN];

	if (hash_of(token, "sll_", hash, err))
		return -1;
	return read_principal(s, LINK_COLUMNS, "user", hash, ret, err);
}

static int insert_session(struct store *s, const char *user, enum scope have,
	int64_t gate, int64_t valid_ms, char **ret_session, int64_t *ret_id,
	struct err *err)
{
	_cleanup_free_ char *token = NULL;
	uint8_t hash[SHA256_LEN];
	int64_t now = clock_wall_ms();

	token = new_token("sls_", hash);
	if (db_run(s->db, err,
		    "INSERT INTO sessions (hash, user, scopes, gate_id, created_at,"
		    " expires_at)"
		    " VALUES (?,?,?,?,?,?)",
		    B(hash, sizeof(hash)), S(user), I(have), I(gate), I(now),
		    I(now + valid_ms)))
		return -1;
	*ret_id = db_last_id(s->db);
	*ret_session = take_ptr(token);
	return 0;
}

int sessions_open_link(struct store *s, const char *link, int64_t valid_ms,
	char **ret_session, struct principal *ret, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(principal_done) struct principal p = { 0 };
	_cleanup_free_ char *session = NULL;
	struct actor who = { "user", NULL, NULL };
	int64_t id;

	if (store_begin(&tx, s, err) || links_peek(s, link, &p, err))
		return -1;
	who.name = p.name;
	if (db_run(s->db, err,
		    "UPDATE links SET used_at = ? WHERE id = ? AND used_at = 0",
		    I(clock_wall_ms()), I(p.id)))
		return -1;
	if (db_changes(s->db) != 1)
		return err_set(err, ERR_DENIED, "not a valid token");
	if (insert_session(s, p.name, p.scopes, p.gate, valid_ms, &session, &id, err) ||
		audit_add(s, &who, "session.open", "session", id, 0, NULL, err) ||
		store_commit(&tx, err))
		return -1;
	p.id = id;
	p.expires_at = clock_wall_ms() + valid_ms;
	*ret_session = take_ptr(session);
	*ret = p;
	p = (struct principal){ 0 };
	return 0;
}

int sessions_open(struct store *s, const char *user, enum scope have, int64_t valid_ms,
	char **ret_session, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	struct actor who = { "user", user, NULL };
	_cleanup_free_ char *session = NULL;
	int64_t id;

	if (store_begin(&tx, s, err) ||
		insert_session(s, user, have, 0, valid_ms, &session, &id, err) ||
		audit_add(s, &who, "session.open", "session", id, 0, NULL, err) ||
		store_commit(&tx, err))
		return -1;
	*ret_session = take_ptr(session);
	return 0;
}

int sessions_check(
	struct store *s, const char *session, struct principal *ret, struct err *err)
{
	uint8_t hash[SHA256_LEN];

	if (hash_of(session, "sls_", hash, err))
		return -1;
	return read_principal(s,
		"SELECT id, user, scopes, gate_id, expires_at FROM sessions WHERE hash"
		" = ?"
		" AND expires_at > ?",
		"user", hash, ret, err);
}

int sessions_close(struct store *s, const char *session, struct err *err)
{
	uint8_t hash[SHA256_LEN];

	if (hash_of(session, "sls_", hash, err))
		return -1;
	return db_run(
		s->db, err, "DELETE FROM sessions WHERE hash = ?", B(hash, sizeof(hash)));
}

int sessions_sweep(struct store *s, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	int64_t now = clock_wall_ms();

	if (store_begin(&tx, s, err) ||
		db_run(s->db, err, "DELETE FROM sessions WHERE expires_at <= ?",
			I(now)) ||
		db_run(s->db, err, "DELETE FROM links WHERE expires_at <= ?", I(now)) ||
		db_run(s->db, err, "DELETE FROM nonces WHERE expires_at <= ?", I(now)))
		return -1;
	return store_commit(&tx, err);
}

/* ---- approval keys ----------------------------------------------------------------- */

int keys_create(struct store *s, const char *name, const struct actor *who,
	char **ret_secret, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(strbuf_done) struct strbuf box = STRBUF_INIT;
	_cleanup_(json_freep) struct json *detail = json_new_object();
	_cleanup_free_ char *secret = crypto_random_hex(32);
	struct err why = ERR_INIT;

	if (!*name || strlen(name) > 64 ||
		strspn(name,
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
			strlen(name))
		return err_set(err, ERR_INPUT,
			"a key's name is 1 to 64 letters, digits, '.', '_', '-'");
	if (box_seal(s, 0, "key", name, 1, secret, strlen(secret), &box, err) ||
		store_begin(&tx, s, err))
		return -1;
	if (db_run(s->db, &why,
		    "INSERT INTO keys (name, version, box, created_at, created_by)"
		    " VALUES (?,1,?,?,?)",
		    S(name), B(box.buf, box.len), I(clock_wall_ms()), S(who->name)))
		return why.code == ERR_CONFLICT
			       ? err_set(err, ERR_CONFLICT, "key '%s' is there already",
					 name)
			       : err_set(err, why.code, "%s", why.msg);
	json_set_str(detail, "name", name);
	if (audit_add(s, who, "key.create", "key", db_last_id(s->db), 0, detail, err) ||
		store_commit(&tx, err))
		return -1;
	*ret_secret = take_ptr(secret);
	return 0;
}

int keys_revoke(
	struct store *s, const char *name, const struct actor *who, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(json_freep) struct json *detail = json_new_object();

	json_set_str(detail, "name", name);
	if (store_begin(&tx, s, err) ||
		db_run(s->db, err,
			"UPDATE keys SET revoked_at = ? WHERE name = ? AND revoked_at ="
			" 0",
			I(clock_wall_ms()), S(name)))
		return -1;
	if (db_changes(s->db) == 0)
		return err_set(err, ERR_NOT_FOUND, "no key '%.64s'", name);
	if (audit_add(s, who, "key.revoke", "key", 0, 0, detail, err))
		return -1;
	return store_commit(&tx, err);
}

int keys_open(struct store *s, const char *name, struct strbuf *out, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	const void *box;
	size_t len;
	int got = db_first(s->db, &r, err,
		"SELECT name, version, box FROM keys WHERE name = ? AND revoked_at = 0",
		S(name));

	if (got <= 0)
		return got < 0 ? -1 : err_set(err, ERR_DENIED, "no such key");
	box = db_blob(&r, 2, &len);
	return box_open(s, 0, "key", db_str(&r, 0), db_int(&r, 1), box, len, out, err);
}
