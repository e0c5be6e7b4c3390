/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of environments, and what was deployed to them. */
#include "store/environments.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "store/store-internal.h"

#define MINUTE_MS	60000LL
#define REVIEWERS_MAX	64
#define NETWORK_MAX	1000
#define EXPIRES_MINUTES (30LL * 24 * 60)
#define MINUTES_MAX	(365LL * 24 * 60)

/* ---- rules ------------------------------------------------------------------------- */

void env_rules_done(struct env_rules *r)
{
	strvec_done(&r->reviewers);
	strvec_done(&r->branches);
	strvec_done(&r->tags);
	*r = (struct env_rules){
		.reviewers = STRVEC_INIT, .branches = STRVEC_INIT, .tags = STRVEC_INIT
	};
}

static int read_list(
	const struct json *j, const char *key, struct strvec *out, struct err *err)
{
	if (!json_is(j, JSON_KIND_ARRAY) || json_count(j) > REVIEWERS_MAX)
		return err_set(err, ERR_INPUT, "'%s' is no list of at most %d names", key,
			REVIEWERS_MAX);
	for (size_t i = 0; i < json_count(j); i++) {
		const char *name = json_as_str(json_at(j, i), NULL);

		if (!name || !*name)
			return err_set(err, ERR_INPUT,
				"'%s' holds something that is no name", key);
		strvec_push(out, name);
	}
	return 0;
}

static int read_number(
	const struct json *j, const char *key, int64_t max, int64_t *ret, struct err *err)
{
	int64_t v = json_as_int(j, -1);

	if (!json_is(j, JSON_KIND_INT) || v < 0 || v > max)
		return err_set(err, ERR_INPUT, "'%s' is no number from 0 to %lld", key,
			(long long)max);
	*ret = v;
	return 0;
}

struct rules_reader {
	struct env_rules *rules;
	int64_t wait_minutes;
	int64_t expires_minutes;
};

/* Read again where a job's specification is written; here only its form. */
static int read_network(const struct json *v, const char *key, struct err *err)
{
	if (!json_is(v, JSON_KIND_ARRAY) || json_count(v) > NETWORK_MAX)
		return err_set(err, ERR_INPUT, "'%s' is no list of at most %d hosts", key,
			NETWORK_MAX);
	for (size_t i = 0; i < json_count(v); i++)
		if (!json_as_str(json_at(v, i), NULL))
			return err_set(err, ERR_INPUT,
				"'%s' holds something that is no host", key);
	return 0;
}

static int read_rule(
	struct rules_reader *x, const char *key, const struct json *v, struct err *err)
{
	if (str_eq(key, "reviewers"))
		return read_list(v, key, &x->rules->reviewers, err);
	if (str_eq(key, "branches") || str_eq(key, "tags")) {
		x->rules->has_refs = true;
		return read_list(v, key,
			str_eq(key, "tags") ? &x->rules->tags : &x->rules->branches, err);
	}
	if (str_eq(key, "required"))
		return read_number(v, key, REVIEWERS_MAX, &x->rules->required, err);
	if (str_eq(key, "wait_minutes"))
		return read_number(v, key, MINUTES_MAX, &x->wait_minutes, err);
	if (str_eq(key, "expires_minutes"))
		return read_number(v, key, MINUTES_MAX, &x->expires_minutes, err);
	if (str_eq(key, "network_allow"))
		return read_network(v, key, err);
	if (str_eq(key, "network_learn"))
		return json_is(v, JSON_KIND_BOOL)
			       ? 0
			       : err_set(err, ERR_INPUT, "'%s' is neither true nor false",
					 key);
	if (str_eq(key, "self_approval")) {
		if (!json_is(v, JSON_KIND_BOOL))
			return err_set(
				err, ERR_INPUT, "'%s' is neither true nor false", key);
		x->rules->self_approval = json_as_bool(v, false);
		return 0;
	}
	if (str_eq(key, "url") || str_eq(key, "on_failure"))
		return json_is(v, JSON_KIND_STRING)
			       ? 0
			       : err_set(err, ERR_INPUT, "'%s' is no text", key);
	return err_set(err, ERR_INPUT, "unknown rule '%.64s'", key);
}

static int check_rules(const struct env_rules *r, struct err *err)
{
	bool anybody = strvec_has(&r->reviewers, "*");

	if (!anybody && r->required > (int64_t)r->reviewers.len)
		return err_set(err, ERR_INPUT,
			"%lld approvals are required, but there are %zu "
			"reviewers: nobody could ever open the gate",
			(long long)r->required, r->reviewers.len);
	return 0;
}

int env_rules_parse(const struct json *rules, struct env_rules *ret, struct err *err)
{
	_cleanup_(env_rules_done) struct env_rules r = { .reviewers = STRVEC_INIT,
		.branches = STRVEC_INIT,
		.tags = STRVEC_INIT,
		.required = -1 };
	struct rules_reader x = { &r, 0, EXPIRES_MINUTES };

	if (!json_is(rules, JSON_KIND_OBJECT))
		return err_set(err, ERR_INPUT, "rules are an object");
	json_foreach (it, rules)
		if (read_rule(&x, it.key, it.value, err))
			return -1;
	/* Reviewers without a number mean one of them, none without reviewers. */
	if (r.required < 0)
		r.required = r.reviewers.len > 0 ? 1 : 0;
	if (check_rules(&r, err))
		return -1;
	r.wait_ms = x.wait_minutes * MINUTE_MS;
	r.expires_ms = x.expires_minutes * MINUTE_MS;
	*ret = r;
	r = (struct env_rules){
		.reviewers = STRVEC_INIT, .branches = STRVEC_INIT, .tags = STRVEC_INIT
	};
	return 0;
}

static bool matches(const struct strvec *patterns, const char *name)
{
	strvec_foreach (p, patterns)
		if (fnmatch(*p, name, FNM_PATHNAME) == 0)
			return true;
	return false;
}

bool env_rules_allow_ref(const struct env_rules *r, const char *ref)
{
	if (!r->has_refs)
		return true;
	if (str_starts(ref, "refs/heads/"))
		return matches(&r->branches, ref + strlen("refs/heads/"));
	if (str_starts(ref, "refs/tags/"))
		return matches(&r->tags, ref + strlen("refs/tags/"));
	return false; /* a pull request's ref is no branch of ours */
}

/* ---- environments ------------------------------------------------------------------ */

void environment_done(struct environment *e)
{
	free(e->name);
	json_free(e->rules);
	*e = (struct environment){ 0 };
}

static int check_name(const char *name, struct err *err)
{
	size_t len = strlen(name);

	if (len == 0 || len > 255)
		return err_set(
			err, ERR_INPUT, "an environment's name has 1 to 255 characters");
	for (const char *c = name; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return err_set(
				err, ERR_INPUT, "control characters are in no name");
	return 0;
}

int environments_set(struct store *s, int64_t repo, const char *name,
	const struct json *rules, const struct actor *who, int64_t *ret_id,
	struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(env_rules_done) struct env_rules parsed = {
		.reviewers = STRVEC_INIT, .branches = STRVEC_INIT, .tags = STRVEC_INIT
	};
	_cleanup_(json_freep) struct json *detail = json_new_object();
	_cleanup_free_ char *text = NULL;
	int64_t id;

	if (check_name(name, err) || env_rules_parse(rules, &parsed, err))
		return err_wrap(err, "environment '%.64s'", name);
	text = json_text(rules);
	json_set_str(detail, "name", name);
	json_set(detail, "rules", json_clone(rules));
	if (store_begin(&tx, s, err) ||
		db_value(s->db, &id, 0, err,
			"INSERT INTO environments (repo_id, name, rules, updated_at,"
			" updated_by)"
			" VALUES (?,?,?,?,?) ON CONFLICT (repo_id, name) DO UPDATE SET"
			" rules = excluded.rules, updated_at = excluded.updated_at,"
			" updated_by = excluded.updated_by RETURNING id",
			I(repo), S(name), S(text), I(clock_wall_ms()), S(who->name)) ||
		audit_add(s, who, "environment.set", "environment", id, 0, detail, err))
		return -1;
	store_touch(s, 0, 0, 0, repo);
	if (store_commit(&tx, err))
		return -1;
	if (ret_id)
		*ret_id = id;
	return 0;
}

int environments_delete(struct store *s, int64_t repo, const char *name,
	const struct actor *who, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	_cleanup_(json_freep) struct json *detail = json_new_object();

	json_set_str(detail, "name", name);
	if (store_begin(&tx, s, err) ||
		db_run(s->db, err,
			"DELETE FROM environments WHERE repo_id = ? AND name = ?",
			I(repo), S(name)))
		return -1;
	if (db_changes(s->db) == 0)
		return err_set(err, ERR_NOT_FOUND, "no environment '%.64s'", name);
	if (audit_add(s, who, "environment.delete", "repo", repo, 0, detail, err))
		return -1;
	store_touch(s, 0, 0, 0, repo);
	return store_commit(&tx, err);
}

int environments_find(struct store *s, int64_t repo, const char *name,
	struct environment *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	struct json *rules = NULL;
	int got = db_first(s->db, &r, err,
		"SELECT id, name, rules FROM environments WHERE repo_id = ? AND name = ?",
		I(repo), S(name));

	if (got <= 0)
		return got < 0 ? -1
			       : err_set(err, ERR_NOT_FOUND, "no environment '%.64s'",
					 name);
	if (json_parse(db_str(&r, 2), strlen(db_str(&r, 2)), &rules, err))
		return -1;
	*ret = (struct environment){ db_int(&r, 0), repo, col_dup(&r, 1), rules };
	return 0;
}

int environments_set_default(struct store *s, const struct json *rules, struct err *err)
{
	_cleanup_(env_rules_done) struct env_rules parsed = {
		.reviewers = STRVEC_INIT, .branches = STRVEC_INIT, .tags = STRVEC_INIT
	};
	_cleanup_free_ char *text = json_text(rules);

	if (env_rules_parse(rules, &parsed, err))
		return -1;
	return store_set_meta(s, "environment_default", text, err);
}

static const char default_rules[] = "{\"reviewers\": [\"*\"], \"required\": 1}";

int environments_rules(struct store *s, int64_t repo, const char *name,
	struct env_rules *ret, struct err *err)
{
	_cleanup_(environment_done) struct environment e = { 0 };
	_cleanup_(json_freep) struct json *rules = NULL;
	_cleanup_free_ char *text = NULL;
	struct err why = ERR_INIT;

	if (environments_find(s, repo, name, &e, &why) == 0)
		return env_rules_parse(e.rules, ret, err);
	if (why.code != ERR_NOT_FOUND)
		return err_set(err, why.code, "%s", why.msg);
	text = store_meta(s, "environment_default");
	if (json_parse(text ? text : default_rules, strlen(text ? text : default_rules),
		    &rules, err))
		return -1;
	return env_rules_parse(rules, ret, err);
}

/* ---- deployments ------------------------------------------------------------------- */

void deployment_done(struct deployment *d)
{
	free(d->environment);
	free(d->sha);
	free(d->ref);
	free(d->state);
	free(d->url);
	*d = (struct deployment){ 0 };
}

int deployments_begin(struct store *s, int64_t job, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int64_t number;
	int got = db_first(s->db, &r, err,
		"SELECT j.repo_id, j.environment, j.run_id, j.attempt, j.gate_id,"
		" r.sha, r.ref"
		" FROM jobs j JOIN runs r ON r.id = j.run_id"
		" WHERE j.id = ? AND j.environment <> '' AND j.is_deployment = 1",
		I(job));

	if (got <= 0)
		return got;
	if (db_value(s->db, &number, 0, err,
		    "UPDATE repos SET last_deployment = last_deployment + 1 WHERE id = ?"
		    " RETURNING last_deployment",
		    I(db_int(&r, 0))))
		return -1;
	return db_run(s->db, err,
		"INSERT INTO deployments (repo_id, number, environment, run_id,"
		" attempt, job_id,"
		" gate_id, sha, ref, state, created_at) VALUES"
		" (?,?,?,?,?,?,?,?,?,'in_progress',?)",
		I(db_int(&r, 0)), I(number), S(db_str(&r, 1)), I(db_int(&r, 2)),
		I(db_int(&r, 3)), I(job), I(db_int(&r, 4)), S(db_str(&r, 5)),
		S(db_str(&r, 6)), I(clock_wall_ms()));
}

int deployments_end(struct store *s, int64_t job, const char *state, struct err *err)
{
	return db_run(s->db, err,
		"UPDATE deployments SET state = ?1, completed_at = ?2,"
		" url = (SELECT url FROM jobs WHERE id = ?3) WHERE job_id = ?3"
		" AND state IN ('in_progress', 'lost')",
		S(state), I(clock_wall_ms()), I(job));
}

#define DEPLOYMENT_COLUMNS                                                                   \
	"SELECT id, number, repo_id, run_id, attempt, job_id, environment, sha, ref, state," \
	" url, created_at, completed_at FROM deployments "

static int read_deployment(
	struct db_rows *r, int got, struct deployment *ret, struct err *err)
{
	if (got <= 0)
		return got < 0 ? -1 : err_set(err, ERR_NOT_FOUND, "no such deployment");
	*ret = (struct deployment){
		.id = db_int(r, 0),
		.number = db_int(r, 1),
		.repo = db_int(r, 2),
		.run = db_int(r, 3),
		.attempt = db_int(r, 4),
		.job = db_int(r, 5),
		.environment = col_dup(r, 6),
		.sha = col_dup(r, 7),
		.ref = col_dup(r, 8),
		.state = col_dup(r, 9),
		.url = col_dup(r, 10),
		.created_at = db_int(r, 11),
		.completed_at = db_int(r, 12),
	};
	return 0;
}

int deployments_get(struct store *s, int64_t id, struct deployment *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err, DEPLOYMENT_COLUMNS "WHERE id = ?", I(id));

	return read_deployment(&r, got, ret, err);
}

int deployments_find(struct store *s, int64_t repo, int64_t number,
	struct deployment *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		DEPLOYMENT_COLUMNS "WHERE repo_id = ? AND number = ?", I(repo),
		I(number));

	return read_deployment(&r, got, ret, err);
}

int deployments_last_good(struct store *s, int64_t repo, const char *environment,
	int64_t before, struct deployment *ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first(s->db, &r, err,
		DEPLOYMENT_COLUMNS
		"WHERE repo_id = ? AND environment = ? AND state = 'success'"
		" AND id < ? ORDER BY id DESC LIMIT 1",
		I(repo), S(environment), I(before ? before : INT64_MAX));

	return read_deployment(&r, got, ret, err);
}
