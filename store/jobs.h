/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Jobs from waiting to completed: expansion, admission, claim, release, what the executor
 * reported, its death, its end. `epoch` fences: whoever writes for an executor names the
 * epoch it was claimed with, and ERR_CONFLICT means another one has the job now.
 *
 * A life is at most five commits: expanded and queued, claimed, released, frames applied,
 * completed; callers merge more by opening a transaction themselves.
 */
#ifndef STORE_JOBS_H
#define STORE_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "store/runs.h"
#include "store/secrets.h"

struct job {
	int64_t id;
	int64_t run;
	int64_t repo;
	int64_t attempt;
	int64_t row;
	int64_t epoch;
	int64_t tries;
	enum job_state state;
	enum conclusion conclusion;
	bool is_call;
	bool is_expanded;
	bool is_once; /* at most once: an environment, or effects=once */
	bool continues_on_error;
	int64_t gate; /* of its environment, 0 none */
	int64_t carried_from;
	char *node;
	char *name;
	char *environment; /* "" none */
	char *labels;	   /* JSON array */
	char *reason;	   /* why it waits, was skipped, failed before a step ran ... */
	char *placement;
	struct json *outputs; /* object, never NULL */
	int64_t frames;	      /* sequence of the last journal frame applied */
	int64_t log_size;
	int64_t created_at;
	int64_t queued_at;
	int64_t claimed_at;
	int64_t released_at;
	int64_t started_at;
	int64_t completed_at;
};
void job_done(struct job *j);
int jobs_get(struct store *s, int64_t id, struct job *ret, struct err *err);
/* By run (latest attempt) and key: "test-api", "build-images:api" (row by its name), "b:2". */
int jobs_resolve(
	struct store *s, int64_t run, const char *key, int64_t *ret_id, struct err *err);
/* The frozen spec of an expanded row ("spec" of plan_expand), parsed. */
int jobs_spec(struct store *s, int64_t id, struct json **ret, struct err *err);

/* ---- needs and expansion ----------------------------------------------------------- */

/*
 * Unexpanded rows of admitted runs whose needs are all completed, oldest first, at most
 * MAX; the count, or -1. RUN 0 looks at all runs.
 */
int jobs_ready(struct store *s, int64_t run, int64_t *ids, size_t max, struct err *err);
/*
 * What expansion needs: {"needs": {KEY: {"result", "outputs"}} (direct ones),
 * "results": {KEY: RESULT} (every completed node of the attempt, for success() and
 * failure()), "ancestors": [KEY ...] (transitive needs), "cancelled": bool}. A failed row
 * under continue-on-error counts as success. Outputs of rows: the last to finish that set
 * a non-empty value wins.
 */
int jobs_contexts(struct store *s, int64_t id, struct json **ret, struct err *err);

struct job_row_new {
	const char *name;
	const struct json *spec;
	const char *const *labels; /* NULL-ended */
	const char *environment;   /* "" none */
	bool is_deployment;	   /* false: `deployment: false`, gate and secrets only */
	bool is_once;
	bool continues_on_error;
	struct concurrency concurrency;
};
struct job_expansion {
	const struct job_row_new *rows;
	size_t rows_len;
	int64_t max_parallel; /* 0: all */
	bool fail_fast;
	const struct json *trace; /* why, for explain; may be NULL */
};
/*
 * Row 0 of the node becomes the first of the rows, the others are inserted, and each is
 * admitted (jobs_admit). Row 0 must still be waiting and unexpanded (ERR_CONFLICT).
 */
int jobs_expand(
	struct store *s, int64_t id, const struct job_expansion *x, struct err *err);
/* waiting -> completed without ever running: skipped by its condition, or not expandable. */
int jobs_settle(struct store *s, int64_t id, enum conclusion c, const char *reason,
	const struct json *outputs, const struct json *trace, struct err *err);
/*
 * Lets an expanded waiting row on: first its concurrency group, then its environment's
 * gate, then queued. Called by the store itself whenever something frees; harmless.
 */
int jobs_admit(struct store *s, int64_t id, struct err *err);

/* ---- claim and release ------------------------------------------------------------- */

/* What the scheduler chooses from, longest-waiting of the least-served repository first. */
struct job_ready {
	int64_t job;
	int64_t run;
	int64_t repo;
	int64_t queued_at;
	int64_t repo_active; /* rows of this repository that hold a slot now */
	int64_t priority;    /* of the repository */
	bool is_trusted;
	char *labels; /* JSON array */
};
/* Queued rows within their max-parallel. Nothing while paused. Free with jobs_ready_free. */
int jobs_claimable(struct store *s, size_t max, struct job_ready **ret, size_t *ret_len,
	struct err *err);
void jobs_ready_free(struct job_ready *list, size_t len);
/* How many rows hold a slot (claimed to cancelling); all repositories. */
int jobs_active_count(struct store *s, int64_t *ret, struct err *err);

/* queued -> claimed: epoch and try grow. ERR_UNAVAILABLE while paused. */
int jobs_claim(struct store *s, int64_t id, const char *placement, int64_t *ret_epoch,
	int64_t *ret_try, struct err *err);
/* claimed -> queued: it did not start (spawner gone, executor died): epoch grows. */
int jobs_unclaim(
	struct store *s, int64_t id, int64_t epoch, const char *reason, struct err *err);

/*
 * claimed -> released, if everything still holds: run not cancelled, trust or a
 * maintainer's gate, the environment's gate approved and not expired for this very
 * attempt, sha and workflow digest, enough votes of people who are still reviewers, and
 * not paused. Then the secrets NAMES (NULL-ended; of the spec) are opened: none for
 * untrusted runs. Audited, one transaction. *RET belongs to the caller (secret_list_done).
 * ERR_DENIED names what no longer holds; the job is then to be ended by jobs_fail.
 */
struct job_release {
	int64_t job;
	int64_t epoch;
	const char *const *secrets;
};
int jobs_release(struct store *s, const struct job_release *r, struct secret_list *ret,
	struct err *err);

/* ---- what the executor tells ------------------------------------------------------- */

enum job_update_kind {
	JOB_UPDATE_STARTED, /* at */
	JOB_UPDATE_STEP, /* step: state as named, outcome and conclusion when completed */
	JOB_UPDATE_OUTPUT,     /* name, value: an output of the job */
	JOB_UPDATE_ANNOTATION, /* annotation */
	JOB_UPDATE_SUMMARY,    /* step.number, digest, size: a blob of the store */
	JOB_UPDATE_URL,	       /* value: environment url */
	JOB_UPDATE_NET, /* net: one line of the ledger, added up by step, host, port, rule */
	JOB_UPDATE_NOTE, /* value: a fact for the job's page ("weaker: ...") */
	JOB_UPDATE_EXIT, /* exit: the last one */
};

struct job_step {
	int64_t number;	 /* 0 the set-up, then as in the file, then pre and post steps */
	const char *key; /* id, or "" */
	const char *name;
	enum step_state state;
	enum conclusion outcome;
	enum conclusion conclusion;
	int64_t exit_code; /* -1: none */
	const char *reason;
	int64_t started_at;
	int64_t completed_at;
	int64_t log_start; /* bytes of the job's log; end -1: open */
	int64_t log_end;
};

struct job_annotation {
	int64_t step;
	const char *level; /* "error" "warning" "notice" */
	const char *title;
	const char *message;
	const char *file;
	int64_t line;
	int64_t end_line;
	int64_t column;
	int64_t end_column;
	int64_t log_line; /* line of the log it came from, 0 unknown */
};

struct job_net {
	const char *host;
	int64_t port;
	const char *verdict; /* "allowed" "refused" "failed" */
	const char *rule;
	int64_t step;
	int64_t count;
	int64_t bytes_in;
	int64_t bytes_out;
	const char *allow; /* the command that would allow it, "" */
};

struct job_update {
	enum job_update_kind kind;
	int64_t at; /* wall clock */
	const char *name;
	const char *value;
	const char *digest;
	int64_t size;
	enum conclusion conclusion; /* EXIT */
	int64_t memory_peak, pids_peak, cpu_us; /* EXIT; 0: not known */
	struct job_step step;
	struct job_annotation annotation;
	struct job_net net;
};

/*
 * Applies journal frames FIRST to LAST, given as updates in their order, and the size the
 * log had then, in one transaction. Frames already applied are skipped as a whole call
 * (LAST not beyond what is stored: 0); a hole is ERR_CONFLICT. The first frame of a
 * released job makes it running, EXIT makes it finalising.
 */
struct job_frames {
	int64_t job;
	int64_t epoch;
	int64_t first;
	int64_t last;
	int64_t log_size;
	const struct job_update *updates;
	size_t len;
};
int jobs_apply(struct store *s, const struct job_frames *f, struct err *err);

/*
 * finalising (or cancelling) -> completed with the conclusion of the exit record. LOG_SHA
 * is the digest of the sealed log, "" if there is none. Follows: fail-fast of its rows,
 * its concurrency group, its deployment, the run's conclusion.
 */
int jobs_finish(struct store *s, int64_t id, int64_t epoch, const char *log_sha256,
	int64_t log_lines, struct err *err);
/* waiting, queued, awaiting approval or claimed -> completed(failure): cannot run at all. */
int jobs_fail(struct store *s, int64_t id, const char *reason, struct err *err);

/*
 * The executor is proven dead without an exit record (lock free and its processes gone, or
 * another boot). By class and state (SECURITY 4.5): claimed and test jobs go back to the
 * queue, the latter LIMIT_JOB_TRIES times; at-most-once jobs become lost; cancelling ones
 * complete as cancelled. *RET is the new state.
 */
int jobs_died(struct store *s, int64_t id, int64_t epoch, const char *reason,
	enum job_state *ret, struct err *err);
#define LIMIT_JOB_TRIES	 2
#define LIMIT_JOB_CLAIMS 20 /* machine starts that never got to released */

/* A person says how a lost job ended. */
int jobs_resolve_lost(struct store *s, int64_t id, enum conclusion c, const char *comment,
	const struct actor *who, struct err *err);
/* One row and, when it is a row with an executor, that as well. See runs_cancel. */
int jobs_cancel(struct store *s, int64_t id, const char *reason, const struct actor *who,
	struct err *err);

/* Rows core has to look after, by state, oldest first: count or -1. */
int jobs_in_state(
	struct store *s, enum job_state state, int64_t *ids, size_t max, struct err *err);

#endif
