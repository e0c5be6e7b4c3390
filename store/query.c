/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as JSON, pages of them, and the small lists. */
#include "store/query-internal.h"

#include <string.h>

#include "store/tokens.h"

/* ---- helpers ----------------------------------------------------------------------- */

struct json *query_rows_args(struct store *s, struct err *err, const char *sql,
	const struct db_arg *args, size_t len)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_(json_freep) struct json *rows = json_new_array();
	int got;

	if (db_query_args(s->db, &r, err, sql, args, len))
		return NULL;
	while ((got = db_step(&r, err)) > 0)
		json_push(rows, db_row_json(&r));
	return got < 0 ? NULL : take_ptr(rows);
}

int query_put_rows(struct json *obj, const char *key, struct json *rows)
{
	if (!rows)
		return -1;
	json_set(obj, key, rows);
	return 0;
}

struct json *query_one_args(struct store *s, const char *what, struct err *err,
	const char *sql, const struct db_arg *args, size_t len)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	int got = db_first_args(s->db, &r, err, sql, args, len);

	if (got > 0)
		return db_row_json(&r);
	if (got == 0)
		err_set(err, ERR_NOT_FOUND, "no such %s", what);
	return NULL;
}

int query_limit(int limit)
{
	if (limit <= 0)
		return QUERY_PAGE;
	return limit > QUERY_PAGE_MAX ? QUERY_PAGE_MAX : limit;
}

struct json *query_page(struct json *items, int limit)
{
	struct json *page = json_new_object();
	struct json *kept = json_new_array();
	size_t n = json_count(items);

	for (size_t i = 0; i < n && i < (size_t)limit; i++)
		json_push(kept, json_share(json_at(items, i)));
	json_set(page, "items", kept);
	if (n > (size_t)limit)
		json_set_int(page, "next",
			json_get_int(json_at(items, (size_t)limit - 1), "id", 0));
	else
		json_set(page, "next", NULL);
	json_free(items);
	return page;
}

char *query_ids(const struct json *items, const char *key)
{
	_cleanup_(json_freep) struct json *ids = json_new_array();

	for (size_t i = 0; i < json_count(items); i++)
		json_push(ids, json_new_int(json_get_int(json_at(items, i), key, 0)));
	return json_text(ids);
}

static struct json *find_item(struct json *items, int64_t id)
{
	for (size_t i = 0; i < json_count(items); i++)
		if (json_get_int(json_at(items, i), "id", 0) == id)
			return json_at(items, i);
	return NULL;
}

void query_distribute(
	struct json *items, const char *name, struct json *children, const char *key)
{
	for (size_t i = 0; i < json_count(items); i++)
		json_set(json_at(items, i), name, json_new_array());
	for (size_t i = 0; i < json_count(children); i++) {
		struct json *child = json_at(children, i);
		struct json *item = find_item(items, json_get_int(child, key, 0));

		if (!item)
			continue;
		json_unset(child, key);
		json_push(json_get(item, name), json_share(child));
	}
	json_free(children);
}

int query_view_open(struct query_view *v, struct store *s, struct err *err)
{
	return db_is_readonly(s->db) ? db_tx_begin(&v->tx, s->db, err) : 0;
}

void query_view_done(struct query_view *v)
{
	db_tx_end(&v->tx); /* a read transaction: its end is never a failure */
}

/* ---- public form ------------------------------------------------------------------- */

static void publish_time(struct json *obj, const char *key, int64_t at)
{
	char text[CLOCK_TEXT_MAX];

	json_set_str(obj, key, at > 0 ? clock_format(at, text) : NULL);
}

void query_public(struct json *j)
{
	for (size_t i = 0; json_is(j, JSON_KIND_ARRAY) && i < json_count(j); i++)
		query_public(json_at(j, i));
	json_foreach (it, j) {
		bool is_time = str_ends(it.key, "_at") || str_eq(it.key, "at");

		if (is_time && json_is(it.value, JSON_KIND_INT))
			publish_time(j, it.key, json_as_int(it.value, 0));
		else
			query_public(it.value);
	}
}

/* ---- environments and deployments -------------------------------------------------- */

#define DEPLOYMENT_COLUMNS                                                                   \
	"d.id, d.number, d.environment, p.name AS repo, d.state, d.sha, d.ref, r.branch,"    \
	" d.run_id AS run, r.number AS run_number, d.attempt, d.job_id AS job,"              \
	" d.gate_id AS gate, d.url,"                                                         \
	" r.actor, r.title, d.created_at, d.completed_at, (SELECT json_group_array("         \
	"v.principal) FROM votes v WHERE v.gate_id = d.gate_id AND v.decision = 'approve')"  \
	" AS approved_by_json, coalesce((SELECT group_concat(v.principal, ' ') FROM votes v" \
	" WHERE v.gate_id = d.gate_id AND v.decision = 'approve'), '') AS approvers"
#define DEPLOYMENT_FROM                                                              \
	" FROM deployments d JOIN repos p ON p.id = d.repo_id JOIN runs r ON r.id =" \
	" d.run_id"

/* Every environment anybody set up or deployed to. */
#define ENVIRONMENTS                                                                             \
	"SELECT p.name AS repo, p.id AS repo_id, n.name, coalesce(e.rules, '{}') AS rules_json," \
	" coalesce(e.updated_at, 0) AS updated_at, coalesce(e.updated_by, '') AS updated_by,"    \
	" e.id IS NOT NULL AS is_configured, (SELECT count(*) FROM gates g WHERE"                \
	" g.state = 'pending' AND g.repo_id = p.id AND g.environment = n.name) AS waiting,"      \
	" (SELECT json_group_array(g.id) FROM gates g WHERE g.state = 'pending' AND"             \
	" g.repo_id = p.id AND g.environment = n.name) AS gates_json,"                           \
	" (SELECT max(d.id) FROM deployments d WHERE d.repo_id = p.id AND"                       \
	" d.environment = n.name AND d.state = 'success') AS now_id"                             \
	" FROM (SELECT repo_id, name COLLATE NOCASE AS name FROM environments UNION"             \
	" SELECT repo_id, environment FROM deployments) n JOIN repos p ON p.id = n.repo_id"      \
	" AND p.removed_at = 0 LEFT JOIN environments e ON e.repo_id = n.repo_id"                \
	" AND e.name = n.name"

/* Rules in a few words: "2 of 4, not self, 5m, main v*". */
static void put_rules_text(struct json *env)
{
	_cleanup_(env_rules_done) struct env_rules r = {
		.reviewers = STRVEC_INIT, .branches = STRVEC_INIT, .tags = STRVEC_INIT
	};
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;
	char text[CLOCK_TEXT_MAX];

	if (!json_get_bool(env, "is_configured", false))
		strbuf_adds(&b, "the server's default");
	else if (env_rules_parse(json_get(env, "rules"), &r, NULL))
		strbuf_adds(&b, "unreadable: refused");
	else if (r.required == 0)
		strbuf_adds(&b, "no approval");
	else if (strvec_has(&r.reviewers, "*"))
		strbuf_addf(&b, "%lld of anybody", (long long)r.required);
	else
		strbuf_addf(&b, "%lld of %zu", (long long)r.required, r.reviewers.len);
	if (r.required > 0 && !r.self_approval)
		strbuf_adds(&b, ", not self");
	if (r.wait_ms)
		strbuf_addf(&b, ", %s", clock_duration(r.wait_ms, text));
	if (r.has_refs)
		strbuf_addc(&b, ',');
	strvec_foreach (p, &r.branches)
		strbuf_addf(&b, " %s", *p);
	strvec_foreach (p, &r.tags)
		strbuf_addf(&b, " %s", *p);
	json_set_str(env, "rules_text", b.buf);
}

/* The deployment that runs there now, for each of ITEMS by its "now_id". */
static int add_current(struct store *s, struct json *items, struct err *err)
{
	_cleanup_free_ char *ids = query_ids(items, "now_id");
	_cleanup_(json_freep) struct json *now = query_rows(s, err,
		"SELECT " DEPLOYMENT_COLUMNS DEPLOYMENT_FROM
		" WHERE d.id IN (SELECT value FROM json_each(?))",
		S(ids));

	if (!now)
		return -1;
	for (size_t i = 0; i < json_count(items); i++) {
		struct json *item = json_at(items, i);
		struct json *found = find_item(now, json_get_int(item, "now_id", -1));

		json_unset(item, "now_id");
		json_set(item, "now", json_share(found));
		put_rules_text(item);
	}
	return 0;
}

int query_environments(
	struct store *s, const char *repo, struct json **ret, struct err *err)
{
	_cleanup_(query_view_done) struct query_view view = QUERY_VIEW_INIT;
	_cleanup_(json_freep) struct json *items = NULL;

	if (query_view_open(&view, s, err))
		return -1;
	items = query_rows(s, err,
		ENVIRONMENTS " WHERE (?1 IS NULL OR p.name = ?1) ORDER BY p.name, n.name",
		S(repo));
	if (!items || add_current(s, items, err))
		return -1;
	*ret = query_page(take_ptr(items), INT32_MAX);
	return 0;
}

int query_environment(struct store *s, const char *repo, const char *name,
	struct json **ret, struct err *err)
{
	_cleanup_(query_view_done) struct query_view view = QUERY_VIEW_INIT;
	_cleanup_(json_freep) struct json *items = NULL;
	struct json *env;
	int64_t id;

	if (query_view_open(&view, s, err))
		return -1;
	items = query_rows(s, err,
		ENVIRONMENTS " WHERE p.name = ? AND n.name = ? LIMIT 1", S(repo),
		S(name));
	if (!items)
		return -1;
	env = json_at(items, 0);
	if (!env)
		return err_set(err, ERR_NOT_FOUND, "no such environment");
	id = json_get_int(env, "repo_id", 0);
	if (add_current(s, items, err) ||
		query_put(s, env, "secrets", err,
			"SELECT name, version, size, updated_at, updated_by FROM secrets"
			" WHERE repo_id = ? AND environment = ? ORDER BY name",
			I(id), S(name)) ||
		query_put(s, env, "vars", err,
			"SELECT name, value, updated_at FROM vars WHERE repo_id = ?"
			" AND environment = ? ORDER BY name",
			I(id), S(name)) ||
		query_put(s, env, "gates", err,
			"SELECT g.id, g.run_id, r.number, r.sha, r.branch, r.title,"
			" r.actor,"
			" g.required, (SELECT count(*) FROM votes v WHERE v.gate_id ="
			" g.id AND"
			" v.decision = 'approve') AS approvals, g.opens_at, g.expires_at,"
			" g.created_at FROM gates g JOIN runs r ON r.id = g.run_id WHERE"
			" g.state = 'pending' AND g.repo_id = ? AND g.environment = ?"
			" ORDER BY g.id",
			I(id), S(name)) ||
		query_put(s, env, "deployments", err,
			"SELECT " DEPLOYMENT_COLUMNS DEPLOYMENT_FROM
			" WHERE d.repo_id = ? AND d.environment = ? ORDER BY d.id DESC"
			" LIMIT ?",
			I(id), S(name), I(QUERY_PAGE)))
		return -1;
	*ret = json_share(env);
	return 0;
}

int query_deployments(struct store *s, const char *repo, const char *environment,
	int64_t before, int limit, struct json **ret, struct err *err)
{
	int n = query_limit(limit);
	struct json *items = query_rows(s, err,
		"SELECT " DEPLOYMENT_COLUMNS DEPLOYMENT_FROM
		" WHERE (?1 IS NULL OR p.name = ?1) AND (?2 IS NULL OR d.environment ="
		" ?2)"
		" AND d.id < ?3 ORDER BY d.id DESC LIMIT ?4",
		S(repo), S(environment), I(before ? before : INT64_MAX), I(n + 1));

	if (!items)
		return -1;
	*ret = query_page(items, n);
	return 0;
}

/* ---- repositories ------------------------------------------------------------------ */

#define REPO_COLUMNS                                                                      \
	"p.id, p.name, p.forge, p.url, p.default_branch, p.forge_id, p.wants_statuses AS" \
	" has_statuses, p.priority, p.settings AS settings_json, p.created_at,"           \
	" (SELECT max(r.id) FROM runs r WHERE r.repo_id = p.id) AS last_run_id,"          \
	" h.id AS hook_id, h.last_delivery_at AS hook_delivery_at"                        \
	" FROM repos p LEFT JOIN hooks h ON h.repo_id = p.id WHERE p.removed_at = 0"

int query_repos(struct store *s, struct json **ret, struct err *err)
{
	_cleanup_(query_view_done) struct query_view view = QUERY_VIEW_INIT;
	_cleanup_(json_freep) struct json *items = NULL;
	_cleanup_(json_freep) struct json *runs = NULL;
	_cleanup_free_ char *ids = NULL;

	if (query_view_open(&view, s, err))
		return -1;
	items = query_rows(s, err, "SELECT " REPO_COLUMNS " ORDER BY p.name");
	if (!items)
		return -1;
	ids = query_ids(items, "last_run_id");
	runs = query_rows(s, err,
		"SELECT " QUERY_RUN_COLUMNS
		" FROM runs r JOIN repos p ON p.id = r.repo_id"
		" WHERE r.id IN (SELECT value FROM json_each(?))",
		S(ids));
	if (!runs)
		return -1;
	for (size_t i = 0; i < json_count(items); i++) {
		struct json *item = json_at(items, i);

		json_set(item, "last_run",
			json_share(
				find_item(runs, json_get_int(item, "last_run_id", -1))));
		json_unset(item, "last_run_id");
	}
	*ret = query_page(take_ptr(items), INT32_MAX);
	return 0;
}

int query_learnt(struct store *s, int64_t repo, const char *rule, struct json **ret,
	struct err *err)
{
	struct json *rows = query_rows(s, err,
		"SELECT n.host, n.port, sum(n.count) AS count,"
		" sum(n.bytes_in) AS bytes_in, sum(n.bytes_out) AS bytes_out,"
		" min(j.id) AS job_id FROM job_net n JOIN jobs j ON j.id = n.job_id"
		" JOIN runs r ON r.id = j.run_id WHERE r.repo_id = ? AND n.rule = ?"
		" AND n.verdict = 'allowed' GROUP BY n.host, n.port"
		" ORDER BY n.host, n.port LIMIT 1000",
		I(repo), S(rule));

	if (!rows)
		return -1;
	*ret = rows;
	return 0;
}

int query_secrets(struct store *s, int64_t repo, struct json **ret, struct err *err)
{
	struct json *items = query_rows(s, err,
		"SELECT id, name, environment, version, size, created_at, updated_at,"
		" updated_by"
		" FROM secrets WHERE repo_id = ? ORDER BY environment, name",
		I(repo));

	if (!items)
		return -1;
	*ret = query_page(items, INT32_MAX);
	return 0;
}

int query_vars(struct store *s, int64_t repo, struct json **ret, struct err *err)
{
	struct json *items = query_rows(s, err,
		"SELECT name, environment, value, updated_at FROM vars WHERE repo_id = ?"
		" ORDER BY environment, name",
		I(repo));

	if (!items)
		return -1;
	*ret = query_page(items, INT32_MAX);
	return 0;
}

int query_repo(struct store *s, const char *full_name, struct json **ret, struct err *err)
{
	_cleanup_(query_view_done) struct query_view view = QUERY_VIEW_INIT;
	_cleanup_(json_freep) struct json *repo = NULL;
	struct json *list = NULL;
	int64_t id;

	if (query_view_open(&view, s, err))
		return -1;
	repo = query_one(s, "repository", err, "SELECT " REPO_COLUMNS " AND p.name = ?",
		S(full_name));
	if (!repo)
		return -1;
	id = json_get_int(repo, "id", 0);
	if (query_put(s, repo, "hooks", err,
		    "SELECT id, forge, version, created_at, rotated_at, last_delivery_at,"
		    " old_until AS old_until_at FROM hooks WHERE repo_id = ?",
		    I(id)) ||
		query_put(s, repo, "credentials", err,
			"SELECT kind, updated_at FROM repo_credentials WHERE repo_id = ?"
			" ORDER BY kind",
			I(id)) ||
		query_put(s, repo, "workflows", err,
			"SELECT workflow_path AS path, workflow_name AS name, max(id)"
			" AS last_run_id,"
			" count(*) AS runs FROM runs WHERE repo_id = ? GROUP BY"
			" workflow_path"
			" ORDER BY workflow_path",
			I(id)) ||
		query_secrets(s, id, &list, err))
		return -1;
	json_set(repo, "secrets", json_share(json_get(list, "items")));
	json_free(list);
	if (query_vars(s, id, &list, err))
		return -1;
	json_set(repo, "vars", json_share(json_get(list, "items")));
	json_free(list);
	if (query_environments(s, full_name, &list, err))
		return -1;
	json_set(repo, "environments", json_share(json_get(list, "items")));
	json_free(list);
	*ret = take_ptr(repo);
	return 0;
}

/* ---- deliveries -------------------------------------------------------------------- */

#define DELIVERY_COLUMNS                                                                        \
	"d.id, p.name AS repo, d.forge, d.key, d.event, d.state, d.reason, d.body_len AS size," \
	" d.body_sha256 AS body_sha256, d.peer, d.request, d.duplicates, d.duplicate_at,"       \
	" d.received_at, e.id AS event_id, e.state AS event_state, e.reason AS event_reason,"   \
	" e.ref, e.head_sha AS sha, e.title, e.actor FROM deliveries d"                         \
	" JOIN repos p ON p.id = d.repo_id LEFT JOIN events e ON e.delivery_id = d.id"

int query_deliveries(struct store *s, const char *repo, int64_t before, int limit,
	struct json **ret, struct err *err)
{
	int n = query_limit(limit);
	int64_t from = before ? before : INT64_MAX;
	struct json *items =
		repo ? query_rows(s, err,
			       "SELECT " DELIVERY_COLUMNS
			       " WHERE d.repo_id = (SELECT id FROM repos"
			       " WHERE name = ? AND removed_at = 0) AND d.id < ? ORDER"
			       " BY d.id DESC LIMIT ?",
			       S(repo), I(from), I(n + 1))
		     : query_rows(s, err,
			       "SELECT " DELIVERY_COLUMNS
			       " WHERE d.id < ? ORDER BY d.id DESC LIMIT ?",
			       I(from), I(n + 1));

	if (!items)
		return -1;
	*ret = query_page(items, n);
	return 0;
}

int query_delivery(struct store *s, int64_t id, struct json **ret, struct err *err)
{
	_cleanup_(query_view_done) struct query_view view = QUERY_VIEW_INIT;
	_cleanup_(json_freep) struct json *delivery = NULL;
	struct json *event = NULL;
	struct err why = ERR_INIT;

	if (query_view_open(&view, s, err))
		return -1;
	delivery = query_one(
		s, "delivery", err, "SELECT " DELIVERY_COLUMNS " WHERE d.id = ?", I(id));
	if (!delivery)
		return -1;
	event = query_one(s, "event", &why,
		"SELECT id, state, kind, name, action, ref, head_sha, base_sha,"
		" merge_sha, title,"
		" actor, trust, reason, detail AS detail_json, tries, created_at,"
		" json_remove(document, '$.github.event') AS document_json FROM events"
		" WHERE delivery_id = ?",
		I(id));
	if (!event && why.code != ERR_NOT_FOUND)
		return err_set(err, why.code, "%s", why.msg);
	json_set(delivery, "event_row", event);
	if (query_put(s, delivery, "runs", err,
		    "SELECT " QUERY_RUN_COLUMNS
		    " FROM runs r JOIN repos p ON p.id = r.repo_id"
		    " JOIN events e ON e.id = r.event_id WHERE e.delivery_id = ? ORDER"
		    " BY r.id",
		    I(id)))
		return -1;
	*ret = take_ptr(delivery);
	return 0;
}

/* ---- access and audit -------------------------------------------------------------- */

static int put_scopes(struct json *items)
{
	for (size_t i = 0; i < json_count(items); i++) {
		char text[32];
		struct json *item = json_at(items, i);

		json_set_str(item, "scope",
			scopes_text((enum scope)json_get_int(item, "scopes", 0), text));
		json_unset(item, "scopes");
	}
	return 0;
}

int query_tokens(struct store *s, struct json **ret, struct err *err)
{
	struct json *items = query_rows(s, err,
		"SELECT id, name, user, scopes, created_at, created_by, expires_at,"
		" revoked_at,"
		" used_at FROM tokens ORDER BY revoked_at <> 0, name");

	if (!items || put_scopes(items))
		return -1;
	*ret = query_page(items, INT32_MAX);
	return 0;
}

int query_keys(struct store *s, struct json **ret, struct err *err)
{
	struct json *items = query_rows(s, err,
		"SELECT id, name, 'key:' || name AS principal, created_at, created_by,"
		" revoked_at"
		" FROM keys ORDER BY revoked_at <> 0, name");

	if (!items)
		return -1;
	*ret = query_page(items, INT32_MAX);
	return 0;
}

#define AUDIT_COLUMNS                                                            \
	"SELECT id, at AS created_at, actor_kind, actor, request, verb, object," \
	" object_id, run_id, from_state, to_state, detail, hash FROM audit"

int query_audit(struct store *s, int64_t run, const char *verb, int64_t before, int limit,
	struct json **ret, struct err *err)
{
	int n = query_limit(limit);
	int64_t from = before ? before : INT64_MAX;
	struct json *items =
		run ? query_rows(s, err,
			      AUDIT_COLUMNS
			      " WHERE run_id = ?1 AND run_id <> 0 AND id < ?2 AND (?3"
			      " IS NULL OR"
			      " substr(verb, 1, length(?3)) = ?3) ORDER BY id DESC"
			      " LIMIT ?4",
			      I(run), I(from), S(verb), I(n + 1))
		    : query_rows(s, err,
			      AUDIT_COLUMNS
			      " WHERE id < ?1 AND (?2 IS NULL OR"
			      " substr(verb, 1, length(?2)) = ?2) ORDER BY id DESC"
			      " LIMIT ?3",
			      I(from), S(verb), I(n + 1));

	if (!items)
		return -1;
	*ret = query_page(items, n);
	return 0;
}

/* ---- counts ------------------------------------------------------------------------ */

/* {"STATE": N} of the rows of a statement giving (word, count). */
static struct json *counts(struct store *s, struct err *err, const char *sql, int64_t arg)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_(json_freep) struct json *j = json_new_object();
	int got;

	if (db_query(s->db, &r, err, sql, I(arg)))
		return NULL;
	while ((got = db_step(&r, err)) > 0)
		json_set_int(j, db_str(&r, 0), db_int(&r, 1));
	return got < 0 ? NULL : take_ptr(j);
}

int query_status(struct store *s, struct json **ret, struct err *err)
{
	_cleanup_(query_view_done) struct query_view view = QUERY_VIEW_INIT;
	_cleanup_(json_freep) struct json *j = json_new_object();
	static const struct {
		const char *key;
		const char *sql;
	} tables[] = {
		{ "runs", "SELECT phase, count(*) FROM runs WHERE 0 = ? GROUP BY phase" },
		{ "jobs", "SELECT state, count(*) FROM jobs WHERE 0 = ? GROUP BY state" },
		{ "events",
			"SELECT state, count(*) FROM events WHERE 0 = ? GROUP BY state" },
		{ "gates",
			"SELECT state, count(*) FROM gates WHERE 0 = ? GROUP BY state" },
	};
	int64_t queued, unsent;

	if (query_view_open(&view, s, err))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		struct json *n = counts(s, err, tables[i].sql, 0);

		if (query_put_rows(j, tables[i].key, n))
			return -1;
	}
	if (query_put_rows(j, "deliveries",
		    counts(s, err,
			    "SELECT state, count(*) FROM deliveries WHERE received_at > ?"
			    " GROUP BY state",
			    clock_wall_ms() - 24 * 3600 * 1000LL)) ||
		db_value(s->db, &queued, 0, err,
			"SELECT min(queued_at) FROM jobs WHERE state = 'queued'") ||
		db_value(s->db, &unsent, 0, err,
			"SELECT count(*) FROM outbox WHERE sent_at = 0 AND failed_at ="
			" 0"))
		return -1;
	json_set_int(j, "oldest_queued_at", queued);
	json_set_int(j, "outbox", unsent);
	json_set_int(j, "schema", store_schema_version());
	json_set(j, "paused", query_paused(s));
	*ret = take_ptr(j);
	return 0;
}
