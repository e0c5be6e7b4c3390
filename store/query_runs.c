/* SPDX-License-Identifier: Apache-2.0 */
/* Runs, jobs, gates and the queue as pages show them. */
#include "store/query-internal.h"

#include <string.h>

/* ---- the list ---------------------------------------------------------------------- */

struct filter {
	struct strbuf where;
	struct db_arg args[16];
	size_t len;
};

static void filter_done(struct filter *f)
{
	strbuf_done(&f->where);
}

/* CONDITION holds "%zu" where the number of its argument goes. */
static void filter_str(struct filter *f, const char *condition, const char *value)
{
	if (!value || !*value)
		return;
	f->args[f->len++] = S(value);
	strbuf_adds(&f->where, " AND ");
	strbuf_addf(&f->where, condition, f->len);
}

static void filter_state(struct filter *f, const char *state)
{
	if (state && str_eq(state, "live"))
		strbuf_adds(
			&f->where, " AND r.phase IN ('pending', 'queued', 'running')");
	else if (state && str_eq(state, "attention"))
		strbuf_adds(&f->where, " AND r.phase IN ('waiting', 'lost')");
	else
		filter_str(f, "r.phase = ?%zu", state);
}

static int filter_sha(struct filter *f, const char *sha, struct err *err)
{
	if (!sha || !*sha)
		return 0;
	if (strlen(sha) < 4 || strlen(sha) > 64 ||
		strspn(sha, "0123456789abcdef") != strlen(sha))
		return err_set(err, ERR_INPUT,
			"'%.64s' is no commit: 4 or more hex digits", sha);
	/* A range, so that the index serves it. */
	f->args[f->len++] = S(sha);
	strbuf_addf(
		&f->where, " AND r.sha >= ?%zu AND r.sha < ?%zu || 'g'", f->len, f->len);
	return 0;
}

/* A number no run has, when the repository is not there. */
static int filter_repo(
	struct store *s, struct filter *f, const char *repo, struct err *err)
{
	int64_t id;

	if (!repo || !*repo)
		return 0;
	if (db_value(s->db, &id, -1, err,
		    "SELECT id FROM repos WHERE name = ? ORDER BY removed_at = 0 DESC"
		    " LIMIT 1",
		    S(repo)))
		return -1;
	f->args[f->len++] = I(id);
	strbuf_addf(&f->where, " AND r.repo_id = ?%zu", f->len);
	return 0;
}

static int build_filter(
	struct store *s, const struct query_runs *q, struct filter *f, struct err *err)
{
	if (q->before) {
		f->args[f->len++] = I(q->before);
		strbuf_addf(&f->where, " AND r.id < ?%zu", f->len);
	}
	if (filter_repo(s, f, q->repo, err) || filter_sha(f, q->sha, err))
		return -1;
	filter_state(f, q->state);
	filter_str(f, "r.branch = ?%zu", q->branch);
	filter_str(f, "r.event_name = ?%zu", q->event);
	filter_str(f, "r.actor = ?%zu", q->actor);
	filter_str(f,
		"EXISTS (SELECT 1 FROM jobs j WHERE j.run_id = r.id AND j.attempt ="
		" r.attempt"
		" AND j.environment = ?%zu)",
		q->environment);
	if (q->workflow && *q->workflow) {
		f->args[f->len++] = S(q->workflow);
		strbuf_addf(&f->where,
			" AND (r.workflow_path = ?%zu OR r.workflow_path ="
			" '.github/workflows/' || ?%zu)",
			f->len, f->len);
	}
	return 0;
}

static struct json *list_runs(
	struct store *s, const struct query_runs *q, int limit, struct err *err)
{
	_cleanup_(filter_done) struct filter f = { .where = STRBUF_INIT };
	_cleanup_(strbuf_done) struct strbuf sql = STRBUF_INIT;

	if (build_filter(s, q, &f, err))
		return NULL;
	f.args[f.len++] = I(limit + 1);
	strbuf_addf(&sql,
		"SELECT " QUERY_RUN_COLUMNS
		" FROM runs r JOIN repos p ON p.id = r.repo_id"
		" WHERE 1 = 1%s ORDER BY r.id DESC LIMIT ?%zu",
		f.where.buf, f.len);
	return query_rows_args(s, err, sql.buf, f.args, f.len);
}

/* Jobs and open gates of all runs of the page in two statements. */
static int add_strips(struct store *s, struct json *items, struct err *err)
{
	_cleanup_free_ char *ids = query_ids(items, "id");
	struct json *jobs = query_rows(s, err,
		"SELECT j.run_id, j.id, j.node, j.name, " QUERY_JOB_STATE " AS state,"
		" j.environment, j.started_at, j.completed_at FROM json_each(?) x"
		" JOIN runs r ON r.id = x.value JOIN jobs j ON j.run_id = r.id"
		" AND j.attempt = r.attempt ORDER BY j.ord, j.row",
		S(ids));
	struct json *gates;

	if (!jobs)
		return -1;
	query_distribute(items, "jobs", jobs, "run_id");
	gates = query_rows(s, err,
		"SELECT g.run_id, g.id, g.environment, g.required, (SELECT count(*)"
		" FROM votes v"
		" WHERE v.gate_id = g.id AND v.decision = 'approve') AS approvals,"
		" g.opens_at,"
		" g.expires_at, g.created_at FROM json_each(?) x JOIN gates g ON"
		" g.run_id = x.value"
		" AND g.state = 'pending' ORDER BY g.id",
		S(ids));
	if (!gates)
		return -1;
	query_distribute(items, "gates", gates, "run_id");
	return 0;
}

int query_runs(
	struct store *s, const struct query_runs *q, struct json **ret, struct err *err)
{
	_cleanup_(query_view_done) struct query_view view = QUERY_VIEW_INIT;
	_cleanup_(json_freep) struct json *page = NULL;
	struct json *items;
	int limit = query_limit(q->limit);

	if (query_view_open(&view, s, err))
		return -1;
	items = list_runs(s, q, limit, err);
	if (!items)
		return -1;
	page = query_page(items, limit);
	if (add_strips(s, json_get(page, "items"), err))
		return -1;
	*ret = take_ptr(page);
	return 0;
}

int query_run_counts(
	struct store *s, const char *repo, struct json **ret, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	_cleanup_(json_freep) struct json *j = json_new_object();
	int got;

	if (repo ? db_query(s->db, &r, err,
			   "SELECT phase, count(*) FROM runs WHERE repo_id = (SELECT id"
			   " FROM repos"
			   " WHERE name = ? AND removed_at = 0) GROUP BY phase",
			   S(repo))
		 : db_query(s->db, &r, err,
			   "SELECT phase, count(*) FROM runs GROUP BY phase"))
		return -1;
	while ((got = db_step(&r, err)) > 0)
		json_set_int(j, db_str(&r, 0), db_int(&r, 1));
	if (got < 0)
		return -1;
	*ret = take_ptr(j);
	return 0;
}

/* ---- one run ----------------------------------------------------------------------- */

#define JOB_COLUMNS                                                                              \
	"j.id, j.run_id, j.attempt, j.node, j.row, j.name, " QUERY_JOB_STATE                     \
	" AS state,"                                                                             \
	" j.conclusion, j.reason, j.environment, j.labels AS labels_json, j.placement, j.epoch," \
	" j.tries, j.is_call, j.is_expanded, j.is_once, j.continues_on_error AS"                 \
	" is_continue_on_error, j.log_size, j.log_lines, j.log_sha256, j.url, j.gate_id,"        \
	" j.carried_from, CASE j.carried_from WHEN 0 THEN j.id ELSE j.carried_from END AS"       \
	" log_job, nullif(j.memory_peak, 0) AS memory_peak, nullif(j.pids_peak, 0) AS"           \
	" pids_peak, nullif(j.cpu_us, 0) AS cpu_us, (SELECT json_object('try', h.try, 'step',"  \
	" nullif(h.step, -1), 'files', h.files, 'bytes', h.bytes, 'removed', json(h.removed),"   \
	" 'held_at', h.held_at, 'expires_at', h.expires_at) FROM holds h WHERE h.job_id = j.id"  \
	" AND h.removed_at = 0) AS held_json,"                                                  \
	" (SELECT substr(n.note, 6) FROM job_notes n WHERE n.note LIKE 'root %' AND n.job_id ="  \
	" CASE j.carried_from WHEN 0 THEN j.id ELSE j.carried_from END ORDER BY n.id LIMIT 1)"   \
	" AS root, j.outputs AS outputs_json, j.created_at, j.queued_at, j.claimed_at,"          \
	" j.released_at, j.started_at, j.completed_at"

#define STEP_COLUMNS                                                                    \
	"p.number, p.key AS id, p.name, p.state, p.outcome, p.conclusion, p.exit_code," \
	" p.reason, p.started_at, p.completed_at, p.log_start, p.log_end"

#define ANNOTATION_COLUMNS                                                                 \
	"a.id, a.job_id, a.step, a.level, a.title, a.message, a.file, a.line, a.end_line," \
	" a.col AS column, a.end_col AS end_column, a.log_line"

#define GATE_COLUMNS                                                                        \
	"g.id, g.run_id, g.attempt, g.environment, g.wave, g.state, g.sha, g.digest,"       \
	" g.reviewers AS reviewers_json, g.required, g.self_approval AS is_self_approval,"  \
	" g.opens_at, g.expires_at, g.created_at, g.decided_at, g.decided_by, g.reason,"    \
	" (SELECT count(*) FROM votes v WHERE v.gate_id = g.id AND v.decision = 'approve')" \
	" AS approvals"

static int add_needs(struct store *s, struct json *run, int64_t id, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	struct json *edges = json_new_array();
	struct json *jobs = json_get(run, "jobs");
	int got;

	json_set(run, "edges", edges);
	for (size_t i = 0; i < json_count(jobs); i++)
		json_set(json_at(jobs, i), "needs", json_new_array());
	if (db_query(s->db, &r, err,
		    "SELECT need, node FROM needs WHERE run_id = ? ORDER BY node, need",
		    I(id)))
		return -1;
	while ((got = db_step(&r, err)) > 0) {
		struct json *edge = json_new_array();

		json_push_str(edge, db_str(&r, 0));
		json_push_str(edge, db_str(&r, 1));
		json_push(edges, edge);
		for (size_t i = 0; i < json_count(jobs); i++)
			if (str_eq(json_get_str(json_at(jobs, i), "node", ""),
				    db_str(&r, 1)))
				json_push_str(json_get(json_at(jobs, i), "needs"),
					db_str(&r, 0));
	}
	return got;
}

static int add_steps(struct store *s, struct json *jobs, struct err *err)
{
	_cleanup_free_ char *ids = query_ids(jobs, "log_job");
	struct json *steps = query_rows(s, err,
		"SELECT p.job_id, " STEP_COLUMNS " FROM steps p WHERE p.job_id IN"
		" (SELECT value FROM json_each(?)) ORDER BY p.job_id, p.number",
		S(ids));

	if (!steps)
		return -1;
	for (size_t i = 0; i < json_count(jobs); i++) {
		struct json *job = json_at(jobs, i);
		struct json *own = json_new_array();
		int64_t log_job = json_get_int(job, "log_job", 0);

		for (size_t k = 0; k < json_count(steps); k++)
			if (json_get_int(json_at(steps, k), "job_id", -1) == log_job)
				json_push(own, json_share(json_at(steps, k)));
		json_set(job, "steps", own);
	}
	json_free(steps);
	return 0;
}

static int add_gates(
	struct store *s, struct json *run, int64_t id, int64_t attempt, struct err *err)
{
	struct json *gates = query_rows(s, err,
		"SELECT " GATE_COLUMNS
		" FROM gates g WHERE g.run_id = ? AND g.attempt = ?"
		" ORDER BY g.id",
		I(id), I(attempt));
	struct json *votes;

	if (query_put_rows(run, "gates", gates))
		return -1;
	votes = query_rows(s, err,
		"SELECT v.gate_id, v.principal, v.decision, v.comment, v.at FROM votes v"
		" JOIN gates g ON g.id = v.gate_id WHERE g.run_id = ? AND g.attempt = ?"
		" ORDER BY v.id",
		I(id), I(attempt));
	if (!votes)
		return -1;
	query_distribute(gates, "votes", votes, "gate_id");
	return 0;
}

static int add_lists(
	struct store *s, struct json *run, int64_t id, int64_t attempt, struct err *err)
{
	return query_put(s, run, "annotations", err,
		       "SELECT " ANNOTATION_COLUMNS
		       ", j.name AS job FROM jobs j JOIN annotations a"
		       " ON a.job_id = CASE j.carried_from WHEN 0 THEN j.id ELSE"
		       " j.carried_from END"
		       " WHERE j.run_id = ? AND j.attempt = ? ORDER BY a.level ="
		       " 'error' DESC, a.id"
		       " LIMIT 50",
		       I(id), I(attempt)) ||
			       query_put(s, run, "net", err,
				       "SELECT j.id AS job_id, j.name AS job, n.host,"
				       " n.port, n.verdict, n.rule,"
				       " sum(n.count) AS count,"
				       " sum(n.bytes_in) AS bytes_in,"
				       " sum(n.bytes_out) AS bytes_out,"
				       " max(n.allow) AS allow"
				       " FROM jobs j JOIN job_net n ON n.job_id ="
				       " CASE j.carried_from WHEN 0 THEN j.id ELSE"
				       " j.carried_from END"
				       " WHERE j.run_id = ? AND j.attempt = ?"
				       " GROUP BY j.id, n.host, n.port, n.verdict, n.rule"
				       " ORDER BY n.verdict DESC, n.host, n.port, j.ord,"
				       " j.row LIMIT 200",
				       I(id), I(attempt)) ||
			       query_put(s, run, "artifacts", err,
				       "SELECT a.id, a.job_id, a.attempt, a.name,"
				       " a.digest,"
				       " a.media_type, a.size, a.files, a.created_at,"
				       " a.expires_at"
				       " FROM artifacts a WHERE a.run_id = ?1 AND"
				       " a.attempt = (SELECT"
				       " max(b.attempt) FROM artifacts b WHERE b.run_id"
				       " = ?1 AND"
				       " b.name = a.name AND b.attempt <= ?2) ORDER BY"
				       " a.name",
				       I(id), I(attempt)) ||
			       query_put(s, run, "deployments", err,
				       "SELECT id, number, environment, state, url,"
				       " job_id, attempt,"
				       " created_at, completed_at FROM deployments"
				       " WHERE run_id = ?"
				       " ORDER BY id",
				       I(id)) ||
			       query_put(s, run, "attempts", err,
				       "SELECT attempt, conclusion, by, what,"
				       " created_at, started_at,"
				       " completed_at FROM attempts WHERE run_id = ?"
				       " ORDER BY attempt",
				       I(id))
		       ? -1
		       : 0;
}

/* An earlier attempt is shown with its own end and times. */
static void show_attempt(struct json *run, int64_t attempt)
{
	struct json *list = json_get(run, "attempts");

	if (attempt == json_get_int(run, "attempt", 0))
		return;
	for (size_t i = 0; i < json_count(list); i++) {
		struct json *a = json_at(list, i);
		const char *c = json_get_str(a, "conclusion", "");

		if (json_get_int(a, "attempt", 0) != attempt)
			continue;
		json_set_int(run, "attempt", attempt);
		json_set_str(run, "conclusion", c);
		json_set_str(run, "state", c);
		json_set(run, "started_at", json_share(json_get(a, "started_at")));
		json_set(run, "completed_at", json_share(json_get(a, "completed_at")));
	}
}

int query_run(
	struct store *s, int64_t run, int64_t attempt, struct json **ret, struct err *err)
{
	_cleanup_(query_view_done) struct query_view view = QUERY_VIEW_INIT;
	_cleanup_(json_freep) struct json *j = NULL;

	if (query_view_open(&view, s, err))
		return -1;
	j = query_one(s, "run", err,
		"SELECT " QUERY_RUN_COLUMNS
		", r.plan_digest, r.workflow_digest, r.event_id,"
		" e.delivery_id, e.base_sha, e.merge_sha, e.action, r.needs_maintainer AS"
		" is_maintainer_needed, p.forge, p.url AS repo_url FROM runs r"
		" JOIN repos p ON p.id = r.repo_id JOIN events e ON e.id = r.event_id"
		" WHERE r.id = ?",
		I(run));
	if (!j)
		return -1;
	json_set_int(j, "last_attempt", json_get_int(j, "attempt", 1));
	if (attempt == 0)
		attempt = json_get_int(j, "attempt", 1);
	if (query_put(s, j, "jobs", err,
		    "SELECT " JOB_COLUMNS
		    " FROM jobs j WHERE j.run_id = ? AND j.attempt = ?"
		    " ORDER BY j.ord, j.row",
		    I(run), I(attempt)))
		return -1;
	if (json_count(json_get(j, "jobs")) == 0)
		return err_set(err, ERR_NOT_FOUND, "run %lld has no attempt %lld",
			(long long)run, (long long)attempt);
	if (add_needs(s, j, run, err) || add_steps(s, json_get(j, "jobs"), err) ||
		add_gates(s, j, run, attempt, err) || add_lists(s, j, run, attempt, err))
		return -1;
	show_attempt(j, attempt);
	*ret = take_ptr(j);
	return 0;
}

int query_run_live(struct store *s, int64_t run, struct json **ret, struct err *err)
{
	_cleanup_(query_view_done) struct query_view view = QUERY_VIEW_INIT;
	_cleanup_(json_freep) struct json *j = NULL;

	if (query_view_open(&view, s, err))
		return -1;
	j = query_one(s, "run", err,
		"SELECT id, version, phase AS state, attempt, started_at, completed_at"
		" FROM runs"
		" WHERE id = ?",
		I(run));
	if (!j ||
		query_put(s, j, "jobs", err,
			"SELECT j.id, j.name, j.is_expanded, " QUERY_JOB_STATE
			" AS state, j.log_size, j.started_at,"
			" j.completed_at FROM jobs j WHERE j.run_id = ? AND j.attempt = ?"
			" ORDER BY j.ord, j.row",
			I(run), I(json_get_int(j, "attempt", 1))))
		return -1;
	*ret = take_ptr(j);
	return 0;
}

/* ---- one job ----------------------------------------------------------------------- */

static int add_job_lists(
	struct store *s, struct json *j, int64_t log_job, struct err *err)
{
	return query_put(s, j, "steps", err,
		       "SELECT " STEP_COLUMNS " FROM steps p WHERE p.job_id = ?"
		       " ORDER BY p.number",
		       I(log_job)) ||
			       query_put(s, j, "annotations", err,
				       "SELECT " ANNOTATION_COLUMNS
				       " FROM annotations a WHERE"
				       " a.job_id = ? ORDER BY a.id",
				       I(log_job)) ||
			       query_put(s, j, "net", err,
				       "SELECT host, port, verdict, rule, step, count,"
				       " bytes_in, bytes_out, allow FROM job_net"
				       " WHERE job_id = ?"
				       " ORDER BY verdict DESC, host, port, step",
				       I(log_job)) ||
			       query_put(s, j, "summaries", err,
				       "SELECT step, digest, size FROM summaries WHERE"
				       " job_id = ?"
				       " ORDER BY step",
				       I(log_job)) ||
			       query_put(s, j, "artifacts", err,
				       "SELECT id, name, digest, media_type, size,"
				       " files, created_at,"
				       " expires_at FROM artifacts WHERE job_id = ?"
				       " ORDER BY name",
				       I(log_job))
		       ? -1
		       : 0;
}

static int add_notes(struct store *s, struct json *j, int64_t log_job, struct err *err)
{
	_cleanup_(db_rows_done) struct db_rows r = DB_ROWS_INIT;
	struct json *notes = json_new_array();
	int got;

	json_set(j, "notes", notes);
	if (db_query(s->db, &r, err,
		    "SELECT note FROM job_notes WHERE job_id = ? ORDER BY id",
		    I(log_job)))
		return -1;
	while ((got = db_step(&r, err)) > 0)
		json_push_str(notes, db_str(&r, 0));
	return got;
}

int query_job(struct store *s, int64_t job, struct json **ret, struct err *err)
{
	_cleanup_(query_view_done) struct query_view view = QUERY_VIEW_INIT;
	_cleanup_(json_freep) struct json *j = NULL;
	int64_t log_job;

	if (query_view_open(&view, s, err))
		return -1;
	j = query_one(s, "job", err,
		"SELECT " JOB_COLUMNS
		", r.number, p.name AS repo, r.workflow_name AS workflow,"
		" r.workflow_path, r.title, r.branch, r.sha, r.attempt AS attempts,"
		" r.trust,"
		" r.phase AS run_state, r.version, o.tries AS log_tries, o.state AS"
		" log_state, o.log_removed_at"
		" FROM jobs j JOIN runs r ON r.id = j.run_id JOIN repos p ON p.id ="
		" j.repo_id"
		" JOIN jobs o ON o.id = CASE j.carried_from WHEN 0 THEN j.id ELSE"
		" j.carried_from END"
		" WHERE j.id = ?",
		I(job));
	if (!j)
		return -1;
	log_job = json_get_int(j, "log_job", job);
	if (add_job_lists(s, j, log_job, err) || add_notes(s, j, log_job, err))
		return -1;
	*ret = take_ptr(j);
	return 0;
}

int query_trace(struct store *s, int64_t job, struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *j = query_one(s, "job", err,
		"SELECT t.trace AS trace_json FROM jobs j JOIN jobs f ON f.run_id ="
		" j.run_id AND"
		" f.attempt = j.attempt AND f.node = j.node AND f.row = 0 LEFT JOIN"
		" job_texts t"
		" ON t.job_id = f.id WHERE j.id = ?",
		I(job));

	if (!j)
		return -1;
	*ret = json_share(json_get(j, "trace"));
	if (!*ret)
		*ret = json_new_null();
	return 0;
}

/* ---- gates ------------------------------------------------------------------------- */

static int add_gate_lists(
	struct store *s, struct json *g, int64_t id, int64_t run, struct err *err)
{
	const char *env = json_get_str(g, "environment", "");

	return query_put(s, g, "votes", err,
		       "SELECT principal, decision, comment, at FROM votes WHERE"
		       " gate_id = ?"
		       " ORDER BY id",
		       I(id)) ||
			       query_put(s, g, "jobs", err,
				       "SELECT j.id, j.node, j.name, " QUERY_JOB_STATE
				       " AS state"
				       " FROM jobs j WHERE j.gate_id = ? AND j.gate_id"
				       " <> 0"
				       " ORDER BY j.ord, j.row",
				       I(id)) ||
			       query_put(s, g, "identities", err,
				       "SELECT principal AS name FROM run_identities"
				       " WHERE run_id = ?"
				       " ORDER BY principal",
				       I(run)) ||
			       query_put(s, g, "secrets", err,
				       "SELECT DISTINCT c.name FROM secrets c JOIN runs"
				       " r ON r.id = ?"
				       " WHERE r.trust = 'trusted' AND c.repo_id IN (0,"
				       " r.repo_id) AND"
				       " c.environment IN ('', ?) ORDER BY c.name",
				       I(run), S(env))
		       ? -1
		       : 0;
}

int query_gate(struct store *s, int64_t gate, struct json **ret, struct err *err)
{
	_cleanup_(query_view_done) struct query_view view = QUERY_VIEW_INIT;
	_cleanup_(json_freep) struct json *g = NULL;
	struct json *run, *before;
	struct err why = ERR_INIT;
	int64_t id;

	if (query_view_open(&view, s, err))
		return -1;
	g = query_one(s, "gate", err,
		"SELECT " GATE_COLUMNS " FROM gates g WHERE g.id = ?", I(gate));
	if (!g)
		return -1;
	id = json_get_int(g, "run_id", 0);
	run = query_one(s, "run", err,
		"SELECT " QUERY_RUN_COLUMNS
		", r.workflow_digest, r.plan_digest FROM runs r"
		" JOIN repos p ON p.id = r.repo_id WHERE r.id = ?",
		I(id));
	if (query_put_rows(g, "run", run) || add_gate_lists(s, g, gate, id, err))
		return -1;
	before = query_one(s, "deployment", &why,
		"SELECT d.id, d.number, d.sha, d.ref, d.run_id, d.created_at,"
		" d.completed_at,"
		" o.workflow_digest, o.branch FROM gates g JOIN deployments d ON"
		" d.repo_id = g.repo_id"
		" AND d.environment = g.environment AND d.state = 'success' JOIN runs o"
		" ON"
		" o.id = d.run_id WHERE g.id = ? ORDER BY d.id DESC LIMIT 1",
		I(gate));
	if (!before && why.code != ERR_NOT_FOUND)
		return err_set(err, why.code, "%s", why.msg);
	json_set(g, "before", before);
	json_set_bool(g, "self_approval", json_get_bool(g, "is_self_approval", false));
	json_unset(g, "is_self_approval");
	*ret = take_ptr(g);
	return 0;
}

int query_gates_pending(struct store *s, struct json **ret, struct err *err)
{
	struct json *items = query_rows(s, err,
		"SELECT " GATE_COLUMNS
		", p.name AS repo, r.number, r.title, r.branch, r.actor"
		" FROM gates g JOIN runs r ON r.id = g.run_id JOIN repos p ON p.id ="
		" g.repo_id"
		" WHERE g.state = 'pending' ORDER BY g.id LIMIT ?",
		I(QUERY_PAGE_MAX));

	if (!items)
		return -1;
	*ret = query_page(items, QUERY_PAGE_MAX);
	return 0;
}

/* ---- the queue --------------------------------------------------------------------- */

#define QUEUE_ROW                                                                               \
	"SELECT j.id, j.run_id, r.number, p.name AS repo, r.workflow_name AS workflow, j.node," \
	" j.name, j.state, j.reason, j.labels AS labels_json, j.environment, j.placement,"      \
	" r.branch, r.actor, p.priority, j.max_parallel, j.gate_id, j.queued_at, j.claimed_at," \
	" j.started_at"                                                                         \
	" FROM jobs j JOIN runs r ON r.id = j.run_id JOIN repos p ON p.id = j.repo_id"

struct json *query_paused(struct store *s)
{
	_cleanup_free_ char *text = store_meta(s, "paused");
	struct json *why = NULL;

	if (text && json_parse(text, strlen(text), &why, NULL))
		why = json_new_object();
	return why;
}

int query_queue(struct store *s, struct json **ret, struct err *err)
{
	_cleanup_(query_view_done) struct query_view view = QUERY_VIEW_INIT;
	_cleanup_(json_freep) struct json *j = json_new_object();

	if (query_view_open(&view, s, err))
		return -1;
	if (query_put(s, j, "active", err,
		    QUEUE_ROW
		    " WHERE j.state IN ('claimed', 'released', 'running', 'finalising',"
		    " 'cancelling', 'lost') ORDER BY j.claimed_at, j.id LIMIT ?",
		    I(4 * QUERY_PAGE_MAX)) ||
		/* In the order of jobs_claimable: what the page calls next is next. */
		query_put(s, j, "ready", err,
			QUEUE_ROW
			" LEFT JOIN (SELECT repo_id, count(*) AS n FROM jobs WHERE state IN"
			" ('claimed', 'released', 'running', 'finalising', 'cancelling')"
			" GROUP BY repo_id) b ON b.repo_id = j.repo_id"
			" WHERE j.state = 'queued' ORDER BY p.priority DESC,"
			" coalesce(b.n, 0), j.queued_at, j.id LIMIT ?",
			I(QUERY_PAGE_MAX)) ||
		query_put(s, j, "held", err,
			QUEUE_ROW
			" WHERE j.state = 'awaiting_approval' OR (j.state = 'waiting' AND"
			" j.is_expanded = 1) ORDER BY j.id LIMIT ?",
			I(QUERY_PAGE_MAX)))
		return -1;
	json_set(j, "paused", query_paused(s));
	*ret = take_ptr(j);
	return 0;
}

int query_queue_story(struct store *s, struct json **ret, struct err *err)
{
	_cleanup_(query_view_done) struct query_view view = QUERY_VIEW_INIT;
	_cleanup_(json_freep) struct json *j = json_new_object();

	if (query_view_open(&view, s, err))
		return -1;
	if (query_put(s, j, "groups", err,
		    "SELECT c.kind, c.owner_id, c.grp AS name, c.run_id, r.number, p.name AS"
		    " repo, r.workflow_name AS workflow, r.actor, r.created_at, h.run_id AS"
		    " holder_id, o.number AS holder_number, o.phase AS holder_state, (SELECT"
		    " count(*) FROM concurrency b WHERE b.repo_id = c.repo_id AND b.grp = c.grp"
		    " AND b.is_running = 0 AND b.seq < c.seq) AS before FROM concurrency c"
		    " JOIN runs r ON r.id = c.run_id JOIN repos p ON p.id = c.repo_id"
		    " LEFT JOIN concurrency h ON h.repo_id = c.repo_id AND h.grp = c.grp AND"
		    " h.is_running = 1 LEFT JOIN runs o ON o.id = h.run_id"
		    " WHERE c.is_running = 0 ORDER BY c.seq LIMIT ?",
		    I(QUERY_PAGE_MAX)) ||
		query_put(s, j, "recent", err,
			"SELECT p.name AS repo, j.node, j.conclusion, j.queued_at,"
			" j.claimed_at, j.completed_at FROM jobs j JOIN repos p ON"
			" p.id = j.repo_id WHERE j.state = 'completed' AND j.queued_at > 0"
			" AND j.claimed_at > 0 ORDER BY j.queued_at DESC, j.id DESC LIMIT ?",
			I(QUERY_RECENT)))
		return -1;
	*ret = take_ptr(j);
	return 0;
}
