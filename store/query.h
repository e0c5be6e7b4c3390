/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pages, API and command line show. Every function reads by index, in a fixed number
 * of statements whatever the number of rows, and gives JSON with the names of the API, so
 * that the API sends it as it is and pages pick from it.
 *
 * Times are integers, milliseconds since 1970, in members ending "_at" (null when not
 * yet); query_public turns them into RFC 3339 text. Lists are {"items": [...], "next":
 * CURSOR or null}; hand the cursor back as `before`. "state" is the word to show: for a
 * run its phase (pending queued waiting running lost success failure cancelled skipped),
 * for a job its state, or its conclusion once it is completed.
 */
#ifndef STORE_QUERY_H
#define STORE_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "store/store.h"

#define QUERY_PAGE     25
#define QUERY_PAGE_MAX 100
#define QUERY_RECENT   400 /* ended jobs that estimates and shares are made of */

struct query_runs {
	int64_t before; /* cursor; 0 from the newest */
	int limit;	/* 0: QUERY_PAGE */
	const char *repo;
	const char *
		state; /* a phase; "live" = pending queued running; "attention" = waiting lost */
	const char *branch;
	const char *event;
	const char *actor;
	const char *environment;
	const char *sha;      /* a prefix of 4 or more digits */
	const char *workflow; /* file name of it, or path */
};
/*
 * items: id number repo workflow workflow_path title event state conclusion attempt
 * attempts trust ref branch sha actor reason version created_at started_at completed_at
 * jobs: [{id node name state started_at completed_at}] gates: [{id environment required
 * approvals expires_at}] (pending ones).
 */
int query_runs(
	struct store *s, const struct query_runs *q, struct json **ret, struct err *err);
/* How many runs are in each phase: {"waiting": 1, ...}; with REPO or NULL. */
int query_run_counts(
	struct store *s, const char *repo, struct json **ret, struct err *err);

/*
 * One run (ATTEMPT 0: the latest): the members above, but "attempts" is a list
 * [{attempt conclusion by what created_at started_at completed_at}] and "last_attempt" the
 * number; and plan_digest workflow_digest event_id delivery_id base_sha merge_sha action
 * forge repo_url is_maintainer_needed, jobs (whole, see query_job), each with node row
 * needs steps carried_from gate_id log_job; gates (all, with votes), annotations (first
 * 50), artifacts, deployments, edges [[from, to]]. ERR_NOT_FOUND.
 */
int query_run(struct store *s, int64_t run, int64_t attempt, struct json **ret,
	struct err *err);
/*
 * One job: id run_id number repo workflow attempt attempts node row name state conclusion
 * reason environment labels placement epoch tries trust run_state log_size log_lines
 * log_sha256 log_job log_tries log_state log_removed_at memory_peak pids_peak cpu_us (of its
 * end, else null) held (null, or {try step files bytes removed held_at expires_at}) url
 * root (null: the host's system, else "IMAGE (DIGEST)" or a folder)
 * notes outputs gate_id carried_from created_at queued_at claimed_at released_at started_at
 * completed_at, steps [{number id name state outcome conclusion exit_code reason started_at
 * completed_at log_start log_end}],
 * annotations, net [{host port verdict rule step count bytes_in bytes_out}], summaries
 * [{step digest size}], artifacts. A carried row shows the steps and the log of "log_job".
 */
int query_job(struct store *s, int64_t job, struct json **ret, struct err *err);
/*
 * A gate: its own members, votes [{principal decision comment at}], run (as in the list),
 * jobs [{id name}], before (the deployment that runs there now, or null), secrets (names
 * the jobs will get), self_approval, identities.
 */
int query_gate(struct store *s, int64_t gate, struct json **ret, struct err *err);
int query_gates_pending(struct store *s, struct json **ret, struct err *err);
/*
 * {"active": [...], "ready": [...], "held": [...], "paused": null or {by why at}}; "ready" in
 * the order in which they are taken.
 */
int query_queue(struct store *s, struct json **ret, struct err *err);
/*
 * What the queue is explained with: groups [{kind owner_id name run_id number repo workflow
 * actor created_at holder_id holder_number holder_state before}], those that wait in a
 * concurrency group, kind "run" or "job", "before" how many wait in front of it; recent [{repo
 * node conclusion queued_at claimed_at completed_at}], the last QUERY_RECENT jobs that ran.
 */
int query_queue_story(struct store *s, struct json **ret, struct err *err);

/*
 * items: repo repo_id name rules rules_text ("2 of 4, not self, main v*") is_configured
 * updated_at updated_by waiting (gates) gates [ids] now (the deployment that runs, or null).
 */
int query_environments(
	struct store *s, const char *repo, struct json **ret, struct err *err);
/* One with rules, secrets' names, vars, pending gates and its last 25 deployments. */
int query_environment(struct store *s, const char *repo, const char *name,
	struct json **ret, struct err *err);
/*
 * items: id number environment repo state sha ref branch run run_number attempt job gate
 * url actor title approved_by [principals] approvers (text) created_at completed_at.
 */
int query_deployments(struct store *s, const char *repo, const char *environment,
	int64_t before, int limit, struct json **ret, struct err *err);

int query_repos(struct store *s, struct json **ret, struct err *err);
/* One with settings, hooks (never secrets), environments, secrets' names, vars. */
int query_repo(
	struct store *s, const char *full_name, struct json **ret, struct err *err);
int query_deliveries(struct store *s, const char *repo, int64_t before, int limit,
	struct json **ret, struct err *err);
/* One delivery with its event (its document without the payload) and the runs it made. */
int query_delivery(struct store *s, int64_t id, struct json **ret, struct err *err);
int query_secrets(struct store *s, int64_t repo, struct json **ret, struct err *err);
/* An array: what jobs of REPO reached under RULE of the ledger, by host and port. */
int query_learnt(struct store *s, int64_t repo, const char *rule, struct json **ret,
	struct err *err);
int query_vars(struct store *s, int64_t repo, struct json **ret, struct err *err);
int query_tokens(struct store *s, struct json **ret, struct err *err);
int query_keys(struct store *s, struct json **ret, struct err *err);
/*
 * items: id created_at actor_kind actor request verb object object_id run_id from_state
 * to_state detail (text: words, or JSON) hash. RUN 0: all; VERB NULL or a prefix "gate.".
 */
int query_audit(struct store *s, int64_t run, const char *verb, int64_t before, int limit,
	struct json **ret, struct err *err);
/*
 * For /metrics, /health and `sluice status`: counts by state of runs, jobs, events,
 * gates, outbox, deliveries of the last 24 h; oldest queued_at; schema; wal pages.
 */
int query_status(struct store *s, struct json **ret, struct err *err);
/* Stored traces of a job ("why"), or null. */
int query_trace(struct store *s, int64_t job, struct json **ret, struct err *err);
/* "version" of a run and the states of its jobs, as small as can be, for live pages. */
int query_run_live(struct store *s, int64_t run, struct json **ret, struct err *err);

/* Every "..._at" integer within J becomes RFC 3339 text (0 and null become null). */
void query_public(struct json *j);

#endif
