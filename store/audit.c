/* SPDX-License-Identifier: Apache-2.0 */
/* The hash chain. A row's hash covers the hash before it and every column of its own. */
#include "store/audit.h"

#include <string.h>

#include "store/store-internal.h"

struct audit_row {
	int64_t id;
	int64_t at;
	const char *actor_kind;
	const char *actor;
	const char *request;
	const char *verb;
	const char *object;
	int64_t object_id;
	int64_t run;
	const char *from;
	const char *to;
	const char *detail;
};

/* Length before text, so that no text can be cut differently and hash the same. */
static void hash_row(const uint8_t prev[SHA256_LEN], const struct audit_row *r,
	uint8_t out[SHA256_LEN])
{
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;
	const char *const texts[] = { r->actor_kind, r->actor, r->request, r->verb,
		r->object, r->from, r->to, r->detail };

	strbuf_add(&b, prev, SHA256_LEN);
	strbuf_addf(&b, "%lld %lld %lld %lld", (long long)r->id, (long long)r->at,
		(long long)r->object_id, (long long)r->run);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		strbuf_addf(&b, " %zu:%s", strlen(texts[i]), texts[i]);
	crypto_sha256(b.buf, b.len, out);
}

static int load_head(struct store *s, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	const void *hash;
	size_t len;
	int got;

	if (s->has_head)
		return 0;
	got = db_first(
		s->db, &r, err, "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1");
	if (got < 0)
		return -1;
	s->head_id = 0;
	memset(s->head, 0, sizeof(s->head));
	if (got) {
		hash = db_blob(&r, 1, &len);
		if (len != SHA256_LEN)
			return err_set(
				err, ERR_CORRUPT, "the last audit row has no hash");
		s->head_id = db_int(&r, 0);
		memcpy(s->head, hash, SHA256_LEN);
	}
	s->has_head = true;
	return 0;
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static int append(struct store *s, struct audit_row *r, struct err *err)
{
	uint8_t hash[SHA256_LEN];

	if (db_tx_depth(s->db) == 0)
		return err_set(err, ERR_BUG, "an audit row outside of a transaction");
	if (load_head(s, err))
		return -1;
	r->id = s->head_id + 1;
	r->at = clock_wall_ms();
	hash_row(s->head, r, hash);
	if (db_run(s->db, err, "INSERT INTO audit VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
		    I(r->id), I(r->at), S(r->actor_kind), S(r->actor), S(r->request),
		    S(r->verb), S(r->object), I(r->object_id), I(r->run), S(r->from),
		    S(r->to), S(r->detail), B(hash, sizeof(hash)))) {
		s->has_head = false;
		return err_wrap(err, "audit");
	}
	s->head_id = r->id;
	memcpy(s->head, hash, sizeof(hash));
	return 0;
}

int audit_state(struct store *s, const struct state_move *m, struct err *err)
{
	const char *machine = state_machine_name(m->machine);
	_cleanup_free_ char *verb =
		xasprintf("%s.%s", machine, state_name(m->machine, m->to));
	struct audit_row row = {
		.actor_kind = or_empty(m->who.kind),
		.actor = or_empty(m->who.name),
		.request = or_empty(m->who.request),
		.verb = verb,
		.object = machine,
		.object_id = m->id,
		.run = m->run,
		.from = m->from == STATE_NONE ? "" : state_name(m->machine, m->from),
		.to = state_name(m->machine, m->to),
		.detail = or_empty(m->reason),
	};

	return append(s, &row, err);
}

int audit_add(struct store *s, const struct actor *who, const char *verb,
	const char *object, int64_t object_id, int64_t run, const struct json *detail,
	struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_free_ char *text = detail ? json_text(detail) : xstrdup("");
	struct audit_row row = {
		.actor_kind = or_empty(who->kind),
		.actor = or_empty(who->name),
		.request = or_empty(who->request),
		.verb = verb,
		.object = object,
		.object_id = object_id,
		.run = run,
		.from = "",
		.to = "",
		.detail = text,
	};

	if (store_begin(&tx, s, err) || append(s, &row, err))
		return -1;
	return store_commit(&tx, err);
}

/* ---- verification ------------------------------------------------------------------ */

static bool row_is_good(
	const struct db_rows *r, int64_t want_id, uint8_t head[SHA256_LEN])
{
	struct audit_row row = {
		.id = db_int(r, 0),
		.at = db_int(r, 1),
		.actor_kind = db_str(r, 2),
		.actor = db_str(r, 3),
		.request = db_str(r, 4),
		.verb = db_str(r, 5),
		.object = db_str(r, 6),
		.object_id = db_int(r, 7),
		.run = db_int(r, 8),
		.from = db_str(r, 9),
		.to = db_str(r, 10),
		.detail = db_str(r, 11),
	};
	uint8_t hash[SHA256_LEN];
	const void *stored;
	size_t len;

	hash_row(head, &row, hash);
	stored = db_blob(r, 12, &len);
	memcpy(head, hash, SHA256_LEN);
	return row.id == want_id && len == SHA256_LEN && memcmp(stored, hash, len) == 0;
}

int audit_verify(struct store *s, int64_t *ret_rows, int64_t *ret_bad, char *ret_head,
	struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	uint8_t head[SHA256_LEN] = { 0 };
	int64_t rows = 0;
	int got;

	if (db_query(s->db, &r, err, "SELECT * FROM audit ORDER BY id"))
		return -1;
	while ((got = db_step(&r, err)) > 0) {
		if (!row_is_good(&r, ++rows, head)) {
			*ret_bad = db_int(&r, 0);
			return 0;
		}
	}
	if (got < 0)
		return -1;
	if (ret_rows)
		*ret_rows = rows;
	if (ret_head)
		hex_encode(head, sizeof(head), ret_head);
	return 1;
}

int audit_has_head(struct store *s, const char *head_hex, struct err *err)
{
	uint8_t head[SHA256_LEN];
	int64_t n;

	if (hex_decode(head_hex, strlen(head_hex), head, sizeof(head)))
		return err_set(
			err, ERR_INPUT, "a head of the audit log has 64 hex digits");
	if (db_value(s->db, &n, 0, err, "SELECT count(*) FROM audit WHERE hash = ?",
		    B(head, sizeof(head))))
		return -1;
	return n > 0;
}
