/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs, their attempts and plans. A run keeps id and number over re-runs; every attempt
 * has a full set of job rows. The conclusion of a run is derived from its jobs, here.
 */
#ifndef STORE_RUNS_H
#define STORE_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "store/deliveries.h"
#include "store/state.h"

/* `concurrency:` of a workflow or job, evaluated. GROUP "" is none. */
struct concurrency {
	const char *group;
	bool cancels_running; /* cancel-in-progress */
	bool keeps_queue;     /* queue: max; else a new one replaces the one that waits */
};

/* A node of the plan: one job row until it is expanded. */
struct node_new {
	const char *key;	  /* "build", "caller/inner" */
	const char *name;	  /* for people, as far as known */
	const char *const *needs; /* keys, NULL-ended */
	bool is_call; /* a called workflow's own row: never claimed, see jobs_settle */
};

struct run_new {
	int64_t event;
	const char *workflow_path;
	const char *workflow_name;
	const char *title; /* run-name, or the event's default */
	const struct json *plan;
	const char *workflow_digest; /* hex: what gates bind to */
	const char *sha;	     /* what is checked out */
	const char *ref;
	const char *branch; /* short name of branch or tag; for lists and filters */
	struct concurrency concurrency;
	bool needs_maintainer; /* untrusted: waits for a gate before anything runs */
	const struct node_new *nodes;
	size_t nodes_len;
	/* Who must not open a gate of this run: pusher, author, sender ... NULL-ended. */
	const char *const *identities;
};

/*
 * Plans an event: stores the plans (once by digest), inserts the runs with one job row a
 * node, and moves the event pending -> planned, all in one transaction. UNIQUE (event,
 * workflow path): planning twice cannot double a run. Each run is admitted at once (see
 * runs_admit). IDS gets LEN run ids. LEN 0 is ERR_BUG: use events_ignore.
 */
int runs_create(struct store *s, int64_t event, const struct run_new *runs, size_t len,
	int64_t *ids, struct err *err);

struct run {
	int64_t id;
	int64_t number; /* in its repository */
	int64_t repo;
	int64_t event;
	int64_t attempt;
	int64_t version; /* grows with every change */
	enum run_state state;
	enum conclusion conclusion;
	enum trust trust;
	bool is_cancelled; /* cancelled() is true; jobs with always() may still run */
	bool needs_maintainer;
	char *repo_name;
	char *workflow_path;
	char *workflow_name;
	char *workflow_digest;
	char *plan_digest;
	char *event_name;
	char *title;
	char *sha;
	char *ref;
	char *branch;
	char *actor;
	char *reason;
	char *phase; /* what lists show: pending queued waiting running lost, or the conclusion */
	int64_t created_at;
	int64_t started_at;
	int64_t completed_at;
	int64_t attempt_at; /* when this attempt began */
};
void run_done(struct run *r);
int runs_get(struct store *s, int64_t id, struct run *ret, struct err *err);
/* RUN as a person writes it: "218", or "acme/archive#87". ERR_NOT_FOUND, ERR_INPUT. */
int runs_resolve(struct store *s, const char *text, int64_t *ret_id, struct err *err);
/* The plan document of a run, parsed; its digest is verified (ERR_CORRUPT). */
int runs_plan(struct store *s, int64_t run, struct json **ret, struct err *err);
/* Other plan-like documents by digest (expansion traces for `explain`). */
int plans_put(struct store *s, const char *text, size_t len,
	char ret_digest[SHA256_HEX_MAX], struct err *err);

/*
 * pending -> queued when nothing holds it: its concurrency group is free and, if it needs a
 * maintainer, that gate is approved (it is opened here when missing). Not yet: 0 as well.
 * What it pushes out of the group is cancelled in the same transaction.
 */
int runs_admit(struct store *s, int64_t run, struct err *err);
/* Ids of runs that are not completed, oldest first, after AFTER; count or -1. */
int runs_active(
	struct store *s, int64_t after, int64_t *ids, size_t max, struct err *err);

/*
 * Cancels: rows that have an executor become cancelling, rows that wait or are queued
 * complete as cancelled, nodes not yet expanded stay for the scheduler, because always()
 * may want them; FORCE completes those too. Pending gates become void.
 */
int runs_cancel(struct store *s, int64_t run, const char *reason, bool force,
	const struct actor *who, struct err *err);

enum rerun_what { RERUN_ALL, RERUN_FAILED, RERUN_JOB };
/*
 * A new attempt (ERR_CONFLICT unless the run is completed). RERUN_FAILED runs failed and
 * cancelled rows again and everything that depends on them; RERUN_JOB the node NODE and
 * what depends on it. All other rows are carried. Gates ask again; trust stays.
 */
int runs_rerun(struct store *s, int64_t run, enum rerun_what what, const char *node,
	const struct actor *who, int64_t *ret_attempt, struct err *err);

/* An identity of the run that may not open its gates: the re-runner is added by itself. */
int runs_add_identity(
	struct store *s, int64_t run, const char *principal, struct err *err);

#endif
