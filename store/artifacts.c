/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of artifacts and of the blobs they name. */
#include "store/artifacts.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "store/store-internal.h"

void artifact_done(struct artifact *a)
{
	free(a->name);
	free(a->digest);
	free(a->media_type);
	*a = (struct artifact){ 0 };
}

void artifacts_free(struct artifact *list, size_t len)
{
	for (size_t i = 0; i < len; i++)
		artifact_done(&list[i]);
	free(list);
}

static int check_new(const struct artifact_new *a, struct err *err)
{
	uint8_t raw[SHA256_LEN];
	size_t len = strlen(a->name);

	/* The characters the stock action refuses, since names become file names. */
	if (len == 0 || len > 255 || strpbrk(a->name, "\":<>|*?\r\n\\/"))
		return err_set(err, ERR_INPUT,
			"'%.64s' is no name of an artifact: no \" : < > | * ? \\ / or"
			" line ends",
			a->name);
	if (a->size < 0 || a->size > LIMIT_ARTIFACT_SIZE)
		return err_set(err, ERR_LIMIT, "artifact '%.64s' is too large", a->name);
	if (hex_decode(a->digest, strlen(a->digest), raw, sizeof(raw)))
		return err_set(err, ERR_INPUT, "artifact '%.64s' has no digest", a->name);
	return 0;
}

struct owner {
	int64_t run;
	int64_t attempt;
};

/* Only a job that runs now, with the epoch of now, writes in its own attempt. */
static int read_owner(
	struct store *s, const struct artifact_new *a, struct owner *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		"SELECT run_id, attempt FROM jobs WHERE id = ? AND epoch = ? AND state IN"
		" ('released', 'running', 'finalising', 'cancelling')",
		I(a->job), I(a->epoch));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_CONFLICT,
					 "job %lld does not run any more",
					 (long long)a->job);
	*ret = (struct owner){ db_int(&r, 0), db_int(&r, 1) };
	return 0;
}

int artifacts_publish(
	struct store *s, const struct artifact_new *a, int64_t *ret_id, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	struct err why = ERR_INIT;
	struct owner o = { 0 };
	int64_t now = clock_wall_ms();

	if (check_new(a, err) || store_begin(&tx, s, err) || read_owner(s, a, &o, err))
		return -1;
	if (a->overwrites &&
		db_run(s->db, err,
			"DELETE FROM artifacts WHERE run_id = ? AND attempt = ? AND"
			" name = ?"
			" AND job_id = ?",
			I(o.run), I(o.attempt), S(a->name), I(a->job)))
		return -1;
	if (db_run(s->db, err, "INSERT OR IGNORE INTO blobs VALUES (?,?,?)", S(a->digest),
		    I(a->size), I(now)))
		return -1;
	FP("artifact.blob");
	if (db_run(s->db, &why,
		    "INSERT INTO artifacts (run_id, attempt, job_id, name, digest,"
		    " media_type,"
		    " size, files, created_at, expires_at) VALUES (?,?,?,?,?,?,?,?,?,?)",
		    I(o.run), I(o.attempt), I(a->job), S(a->name), S(a->digest),
		    S(a->media_type ? a->media_type : "application/octet-stream"),
		    I(a->size), I(a->files), I(now), I(a->expires_at)))
		return why.code == ERR_CONFLICT
			       ? err_set(err, ERR_CONFLICT,
					 "an artifact named '%.64s' exists in this"
					 " attempt: artifacts "
					 "are not changed",
					 a->name)
			       : err_set(err, why.code, "%s", why.msg);
	*ret_id = db_last_id(s->db);
	store_touch(s, o.run, a->job, 0, 0);
	return store_commit(&tx, err);
}

#define ARTIFACT_COLUMNS                                                             \
	"SELECT id, run_id, attempt, job_id, name, digest, media_type, size, files," \
	" created_at, expires_at FROM artifacts "

static void read_artifact(const struct db_rows *r, struct artifact *ret)
{
	*ret = (struct artifact){
		.id = db_int(r, 0),
		.run = db_int(r, 1),
		.attempt = db_int(r, 2),
		.job = db_int(r, 3),
		.name = col_dup(r, 4),
		.digest = col_dup(r, 5),
		.media_type = col_dup(r, 6),
		.size = db_int(r, 7),
		.files = db_int(r, 8),
		.created_at = db_int(r, 9),
		.expires_at = db_int(r, 10),
	};
}

int artifacts_get(struct store *s, int64_t id, struct artifact *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err, ARTIFACT_COLUMNS "WHERE id = ?", I(id));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no artifact %lld",
					 (long long)id);
	read_artifact(&r, ret);
	return 0;
}

int artifacts_list(struct store *s, int64_t run, int64_t attempt, struct artifact **ret,
	size_t *ret_len, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	struct artifact *list = NULL;
	size_t len = 0, cap = 0;
	int got;

	if (db_query(s->db, &r, err,
		    ARTIFACT_COLUMNS
		    "AS a WHERE run_id = ?1 AND attempt = (SELECT max(b.attempt)"
		    " FROM artifacts b WHERE b.run_id = ?1 AND b.name = a.name"
		    " AND b.attempt <= ?2) ORDER BY name",
		    I(run), I(attempt)))
		return -1;
	while ((got = db_step(&r, err)) > 0) {
		GROW(list, cap, len + 1);
		read_artifact(&r, &list[len++]);
	}
	if (got < 0) {
		artifacts_free(list, len);
		return -1;
	}
	*ret = list;
	*ret_len = len;
	return 0;
}

int artifacts_find(struct store *s, int64_t run, int64_t attempt, const char *name,
	struct artifact *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		ARTIFACT_COLUMNS "WHERE run_id = ? AND name = ? AND attempt <= ?"
				 " ORDER BY attempt DESC LIMIT 1",
		I(run), S(name), I(attempt));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND,
					 "run %lld has no artifact '%.64s'",
					 (long long)run, name);
	read_artifact(&r, ret);
	return 0;
}

/* ---- retention --------------------------------------------------------------------- */

int artifacts_due(struct store *s, int64_t *ret_count, int64_t *ret_bytes, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;

	if (db_first(s->db, &r, err,
		    "SELECT count(*), coalesce(sum(size), 0) FROM artifacts WHERE"
		    " expires_at <> 0 AND expires_at <= ?",
		    I(clock_wall_ms())) < 0)
		return -1;
	*ret_count = db_int(&r, 0);
	*ret_bytes += db_int(&r, 1);
	return 0;
}

int artifacts_expire(struct store *s, int *ret_count, struct err *err)
{
	if (db_run(s->db, err,
		    "DELETE FROM artifacts WHERE expires_at <> 0 AND expires_at <= ?",
		    I(clock_wall_ms())))
		return -1;
	if (ret_count)
		*ret_count = db_changes(s->db);
	return 0;
}

int blobs_collect(struct store *s, int64_t grace_ms, char (*digests)[SHA256_HEX_MAX],
	size_t max, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	size_t n = 0;
	int got = 0;

	if (store_begin(&tx, s, err) ||
		db_query(s->db, &r, err,
			"SELECT digest FROM blobs b WHERE created_at <= ? AND NOT EXISTS"
			" (SELECT 1 FROM artifacts a WHERE a.digest = b.digest) AND NOT"
			" EXISTS"
			" (SELECT 1 FROM summaries u WHERE u.digest = b.digest) LIMIT ?",
			I(clock_wall_ms() - grace_ms), I(max)))
		return -1;
	while (n < max && (got = db_step(&r, err)) > 0) {
		const char *digest = db_str(&r, 0);

		if (strlen(digest) != SHA256_HEX_MAX - 1)
			return err_set(err, ERR_CORRUPT, "a blob without a digest");
		memcpy(digests[n++], digest, SHA256_HEX_MAX);
	}
	db_rows_done(&r);
	if (got < 0)
		return -1;
	/* Rows first, files after the commit: a crash leaves an orphan, never a hole. */
	for (size_t i = 0; i < n; i++)
		if (db_run(s->db, err, "DELETE FROM blobs WHERE digest = ?",
			    S(digests[i])))
			return -1;
	FP("blobs.collect");
	return store_commit(&tx, err) ? -1 : (int)n;
}

int blobs_is_known(struct store *s, const char *digest, struct err *err)
{
	int64_t n;

	if (db_value(s->db, &n, 0, err, "SELECT count(*) FROM blobs WHERE digest = ?",
		    S(digest)))
		return -1;
	return n > 0;
}
