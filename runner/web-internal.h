/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by web*.c and pages/ alone. */
#ifndef RUNNER_WEB_INTERNAL_H
#define RUNNER_WEB_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/loop.h"
#include "base/strbuf.h"
#include "base/strvec.h"
#include "runner/http.h"
#include "runner/outgoing.h"
#include "runner/web.h"
#include "store/query.h"
#include "store/store.h"
#include "store/tokens.h"

struct live;
struct log_view;

struct web {
	const struct web_options *o;
	struct loop *loop;
	struct http *http;
	struct store *store; /* read-only; NULL until core has made it */
	int core;
	struct loop_source *core_source;
	int64_t stop_at; /* boot clock; 0: we serve */
	char *db_path; /* beneath /proc/self/fd */
	bool is_https, core_is_gone;
	struct live *live;
	struct json *status; /* of query_status, at most a second old */
	int64_t slots, label_wait_ms; /* of core's configuration */
	struct strvec labels;	      /* likewise, as runner/labels.h reads them */
	int64_t status_at;
	struct web_call *calls;
	struct outgoing to_core;
	int64_t next_seq;
	/* metrics */
	uint64_t requests[6]; /* by status class, [0] all */
	uint64_t latency_buckets[8], latency_sum_us; /* to the answer; streams not counted */
	int64_t started_at;
};

/* One request with who asks. Owned by the http_request's context. */
struct visit {
	struct web *web;
	struct http_request *r;
	struct principal who; /* kind NULL: nobody */
	char *session;	      /* of the cookie */
	char *bearer;	      /* API token */
	const char *live;     /* what the page's stream is about, NULL: none; and its id */
	int64_t live_id;
	const char *route[4]; /* captured parts of the path, lent by ROUTE_TEXT */
	char *route_text;
};

static inline bool visit_may(const struct visit *v, enum scope scope)
{
	return v->who.kind && scopes_have(v->who.scopes, scope);
}

/* ---- web.c ---- */

/*
 * Sends OP with FIELDS (taken) and BODY to core; DONE gets the answer (lent, "ok" says
 * which) or NULL when core went away.
 */
typedef void web_answer_fn(struct visit *v, const struct json *answer, void *data);
void web_call_core(struct visit *v, const char *op, struct json *fields, const void *body,
	size_t len, web_answer_fn *done, void *data);
/* The verb NAME for whoever asks; ARGS is taken. */
void web_verb(struct visit *v, const char *name, struct json *args, web_answer_fn *done,
	void *data);
/* The same for what a page shows: DONE gets NULL soon when core has no time for it. */
void web_look(struct visit *v, const char *name, struct json *args, web_answer_fn *done,
	void *data);
/* {"op":"verb"}'s principal. */
struct json *web_principal(const struct visit *v);
const struct json *web_status(struct web *w);

/* ---- web_auth.c ---- */
void web_identify(struct visit *v);
/* Whether who asked may still do so: tokens and sessions are revoked while streams run. */
bool web_still_known(const struct visit *v);
/* Sets the session cookie (NULL: removes it). */
void web_set_session(struct visit *v, const char *session);
/* A POST of a page: same origin, or it is refused and answered. */
bool web_same_origin(struct visit *v);
void web_login_page(struct visit *v);
void web_login(struct visit *v);
void web_logout(struct visit *v);
/* A click from another site, without the cookie: sent on from here; true when answered. */
bool web_bounce(struct visit *v);
void web_go(struct visit *v);
bool web_origin_is_ours(const struct visit *v);
/* Form token bound to the session, for the hidden field of each form. */
void web_csrf_field(struct visit *v, struct strbuf *out);

/* ---- web_api.c ---- */
void api_error(struct visit *v, const struct err *err, const char *hint);
void api_error_json(struct visit *v, const struct json *error);
void api_json(struct visit *v, int status, struct json *j); /* taken */
int http_status_of(enum err_code code);
int http_status_of_name(const char *code); /* of err_code_name */
bool api_route(struct visit *v, const char *path);
void web_artifact(struct visit *v, int64_t id); /* web_artifact.c: as a tar archive */

/* ---- web_hooks.c: forges, approvals, health, metrics ---- */
bool hooks_route(struct visit *v, const char *path);
size_t hooks_body_limit(const char *path);

/* Lines FROM.. of a job's log as rows; the number rendered goes to *RET_RENDERED. */
struct log_view {
	int64_t id;	  /* the job the reader sees */
	int64_t job, try; /* where its log lies */
	uint64_t from, count;
	uint64_t marked_from, marked_to; /* linked lines */
	const char *mark;
	int64_t started_at;
	bool is_whole;	 /* it will not grow */
	bool has_groups; /* groups become <details>: the page, not what the script asks for */
};

/* ---- web_live.c ---- */
struct live *live_new(struct web *w);
void live_free(struct live *l);
/* Core said that a run (job, gate) changed, or that a log grew. */
void live_changed(struct live *l, int64_t run, int64_t job, int64_t gate, int64_t version);
/* Where the stream of changes is now, for a page to go on from; lent until the next call. */
const char *live_position(struct live *l);
void live_log(struct live *l, int64_t job, int64_t size);
/* Where the log of job ID lies and whether it grows: id, job, try, started_at, is_whole. */
int web_log_view(struct web *w, int64_t id, struct log_view *lv, struct err *err);
/* Streams. */
void live_run_events(struct visit *v, int64_t run);   /* API: JSON events of one run */
void live_page(struct visit *v);		      /* pages: parts of HTML */
void live_job_log(struct visit *v, int64_t job);      /* SSE by byte offset */
void live_raw_log(struct visit *v, int64_t job);      /* plain bytes, ?follow=1 */
void live_job_lines(struct visit *v, int64_t job);    /* SSE of rendered lines */

/* ---- pages ---- */
bool pages_route(struct visit *v, const char *path);
void page_begin(struct visit *v, struct strbuf *out, const char *title, const char *nav);
void page_end(struct visit *v, struct strbuf *out);
/* Ends the page and answers with it. */
void page_answer(struct visit *v, int status, struct strbuf *out);
void page_error(struct visit *v, int status, const char *title, const char *text,
	const char *what_next);
void page_err(struct visit *v, const struct err *err);
void page_not_found(struct visit *v);
/* Core refused what a form asked (ANSWER with "error"), or is gone (NULL). */
void page_refused(struct visit *v, const struct json *answer);
/* Redirects to the login page, or says which right is missing. */
void page_denied(struct visit *v, enum scope scope);
/* Crumbs: pairs of text and href (NULL: no link), NULL ends. */
void page_crumbs(struct strbuf *out, ...);
/* A panel with a table, up to its first row. HEADS ends with NULL; '>' before one: right. */
void page_table(struct strbuf *out, const char *title, const char *aside,
	const char *const *heads);
void page_table_end(struct strbuf *out);
struct page_tab {
	const char *path, *name; /* path is put after the base; NULL ends */
	const char *count;	 /* text behind the name, or NULL */
};
void page_tabs(struct strbuf *out, const char *label, const char *base, const char *current,
	const struct page_tab *tabs);
/* The word for a job's row: "blocked" (needs) or "held" (a rule) instead of "waiting". */
const char *page_job_state(const struct json *job);
/*
 * PATH against PATTERN, where '*' is one part and "**" all that is left; the parts go to
 * v->route, which lives as long as V.
 */
bool web_match(struct visit *v, const char *pattern, const char *path);

void page_runs(struct visit *v);
void page_run(struct visit *v, int64_t id);
void page_rerun(struct visit *v, int64_t id);
void page_resolve(struct visit *v, int64_t id);
void page_explain(struct visit *v, int64_t run, const char *job_key);
/* TAB: NULL the log, "summary", "network", "artifacts", "spec". */
void page_job(struct visit *v, int64_t id, const char *tab);
void page_job_usage(struct visit *v, int64_t id);
void page_job_lines(struct visit *v, int64_t id);
void page_job_search(struct visit *v, int64_t id);
void page_job_marks(struct visit *v, int64_t id);
void page_gate(struct visit *v, int64_t id);
void page_approve(struct visit *v, const char *token);
/* CHANGES of gate.changes (NULL: not to be told, WHY says so); was anything SHA before? */
void part_gate_files(struct strbuf *out, const struct json *changes);
void part_gate_commits(struct strbuf *out, const struct json *changes, const char *why);
void page_queue(struct visit *v);
void page_environments(struct visit *v);
void page_environment(struct visit *v, const char *repo, const char *name);
void page_where(struct visit *v);
void page_repos(struct visit *v);
/* TAB: NULL, "workflows", "environments", "hook", "secrets", "rules". */
void page_repo(struct visit *v, const char *full_name, const char *tab);
void page_delivery(struct visit *v, int64_t id);
void page_audit(struct visit *v);
void page_me(struct visit *v);
void page_keys(struct visit *v);

/* Parts that live updates send again, by element id. */
void part_run_row(struct strbuf *out, const struct json *run, int64_t now);
void part_run_head(struct strbuf *out, const struct json *run, int64_t now);
void part_run_graph(struct strbuf *out, const struct json *run);
void part_run_jobs(struct strbuf *out, const struct json *run, int64_t now);
void part_job_head(struct strbuf *out, const struct json *job, int64_t now);
void part_job_peaks(struct strbuf *out, const struct json *job);
void part_job_held(struct strbuf *out, const struct json *job);
void part_job_usage(struct strbuf *out, int64_t id, const struct json *usage);
void part_job_steps(struct strbuf *out, const struct json *job, int64_t now);
void part_artifacts(struct strbuf *out, const struct json *list);
/* One line of the ledger after its first cell, to the end of the row. */
void part_net_cells(struct strbuf *out, const struct json *n);
/* What is wrong with the file of a run that could not be planned; nothing for others. */
void part_run_findings(struct strbuf *out, struct web *w, const struct json *run);
void part_run_net(struct strbuf *out, const struct json *run); /* nothing where none is */
void part_top_status(struct strbuf *out, const struct json *status);
void part_gate_state(struct strbuf *out, const struct json *gate, int64_t now);
void part_queue(struct strbuf *out, struct web *w, const struct json *queue, int64_t now);
/* Lines FROM.. of LV; the number rendered goes to *RET_RENDERED. */
int part_log_lines(struct web *w, const struct log_view *lv, struct strbuf *out,
	uint64_t *ret_rendered, struct err *err);

/* ---- assets.c ---- */
struct asset {
	const char *name; /* "sluice.css" */
	const char *type;
	const unsigned char *data;
	size_t len;
	const char *hash; /* of the content, in the address */
};
const struct asset *asset_find(const char *hashed_name); /* "HASH.css" */
/* "/static/HASH.css" of asset NAME, lent. */
const char *asset_url(const char *name);

#endif
