/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of core share; nobody else includes this. See core.h. */
#ifndef RUNNER_CORE_INTERNAL_H
#define RUNNER_CORE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/strbuf.h"
#include "executor/journal.h"
#include "runner/core.h"
#include "runner/spawn.h"
#include "runner/worker.h"
#include "store/artifacts.h"
#include "store/jobs.h"
#include "store/repos.h"
#include "store/runs.h"
#include "store/store.h"

struct core;

/* ---- frames.c: a journal read, but not yet applied --------------------------------- */

struct frames {
	struct job_update *updates;
	size_t len, cap;
	struct artifact_new *artifacts;
	size_t artifacts_len, artifacts_cap;
	struct json **docs; /* own what the updates point to */
	size_t docs_len, docs_cap;
	uint64_t skip;	      /* frames up to here are in the store already */
	uint64_t first, last; /* sequence numbers; last 0: nothing pending */
	uint64_t at;	      /* offset in the journal where the next frame starts */
	uint64_t seq;	      /* of the last frame read */
	int64_t log_size;
	bool is_ready, has_go, has_exit, was_released;
	int64_t ready_epoch;
	enum conclusion conclusion;
	char reason[256];
	char log_digest[SHA256_HEX_MAX];
};

void frames_init(struct frames *f);
void frames_done(struct frames *f);
/* Forgets what is pending (it has been applied); the position stays. */
void frames_applied(struct frames *f);
/* What is pending cannot be stored: only the end of the job is left of it, as a failure. */
void frames_strip(struct frames *f, const char *why);
/* Reads all good frames that are new. FN (may be NULL) sees each. */
int frames_read(struct frames *f, int journal, int64_t job,
	void (*fn)(int64_t job, const struct journal_frame *fr, void *data), void *data,
	struct err *err);
/* Applies what is pending as EPOCH, artifacts too; joins the open transaction. */
int frames_apply(struct core *c, struct frames *f, int64_t job, int64_t epoch,
	bool with_exit, struct err *err);

/* ---- attend.c: one claimed job until it is done ------------------------------------ */

enum live_state {
	LIVE_SPAWNING,	 /* the spawner was asked */
	LIVE_CONNECTING, /* its socket is being tried */
	LIVE_PREPARING,	 /* hello was said; not ready yet */
	LIVE_READY,	 /* waits for the release (which may be held: pause) */
	LIVE_RELEASING,	 /* released in the transaction that is open now */
	LIVE_RUNNING,	 /* go was sent */
	LIVE_ENDING,	 /* exit frame read; being stored */
	LIVE_LEAVING,	 /* abort or bye was said; ends when the link does */
	LIVE_DYING,	 /* the link broke: is it dead? */
};

struct live {
	struct live *next;
	struct core *core;
	int64_t job, run, repo, attempt, epoch, try;
	enum live_state state;
	int dir, journal, fd;
	struct loop_source *src, *timer, *flush;
	struct frames frames;
	int64_t began_ms;	      /* of the present state, boot clock */
	int64_t log_told;	      /* log size watchers know */
	unsigned spawner;	      /* core's spawner_losses when it was asked for */
	unsigned troubles;	      /* storing its end failed so often */
	bool is_cancelled, is_killed; /* cancel / cancel with force was sent */
	bool is_burying;
	bool is_adopted;
	bool is_stray; /* no row is its own; see attend_stray */
};

/* The row is claimed and committed: prepare its folder and ask the spawner. */
void attend_claimed(struct core *c, int64_t job, int64_t epoch, int64_t try);
/* A row that an earlier core claimed or released: look for its executor. */
int attend_adopt(struct core *c, const struct job *j, struct err *err);
/* An executor whose row went on without it: told to leave, whatever it does. */
void attend_stray(struct core *c, int64_t job, int64_t try);
struct live *attend_find(struct core *c, int64_t job);
/* Releases that were held (pause), cancels that have to be sent. Joins the transaction. */
void attend_pass(struct core *c);
void attend_gone(struct core *c, int64_t job, int64_t try);
void attend_cancel(struct core *c, int64_t job, const char *reason, bool force);
void attend_free_all(struct core *c);
/* HEAD (taken) to the executor; a broken link shows elsewhere. */
void attend_say(struct live *v, struct json *head);

/* ---- spec_doc.c: spec.json --------------------------------------------------------- */

/* The document for one try of a claimed job. *RET is the caller's. */
int spec_doc(struct core *c, const struct job *j, int64_t try, struct json **ret,
	struct err *err);
/* Names of secrets the text of a row asks for, upper case; "*" in `sluice run`: all. */
int spec_secret_names(struct core *c, const struct job *j, const struct json *row,
	struct json **ret, struct err *err);
/* `github` of a run for expansion and specs, without what belongs to a place or step. */
int spec_github(struct core *c, const struct run *r, struct json **ret, struct err *err);

/* ---- secrets_io.c ------------------------------------------------------------------ */

/*
 * compare-and-set claimed -> released; the body of `go` goes to *RET_BODY, which the
 * caller wipes. AGAIN: the row is released already and its executor still waits.
 */
int secrets_release(struct core *c, int64_t job, int64_t epoch, bool again,
	struct strbuf *ret_body, struct err *err);
void secrets_wipe(struct strbuf *body);

/* ---- the others -------------------------------------------------------------------- */

/* scheduler.c: expansion and claims; at the end of a turn, inside its transaction. */
void scheduler_pass(struct core *c);
void scheduler_done(struct core *c);
/* What the planning of RUN gave: its plan, and nodes that are expanded already. Shared. */
void scheduler_learn(struct core *c, int64_t run, struct json *plan, struct json *roots);
/* The `needs` context of a row, by the names its own file uses. */
int scheduler_needs(struct core *c, int64_t run, int64_t job, const char *node,
	struct json **ret, struct err *err);
/* `github` of a run, lent until the next call. */
struct json *scheduler_github(struct core *c, int64_t run, struct err *err);
/* ingest.c: pending events, one piece of work for each. */
void ingest_pass(struct core *c);
void ingest_done(struct core *c);
/* gates.c: timers of gates, wait for labels, sweeps. */
void gates_pass(struct core *c);
/* keep.c: what is past its time, and blobs nobody names; joins the transaction. */
struct keep_found {
	int64_t bytes, logs, artifacts, blobs, held;
	int64_t deployments; /* whose logs stay for that */
	bool is_more;	     /* than one call looks at */
};
/* IS_DRY: only counts. */
int keep_collect(struct core *c, bool is_dry, const struct actor *who,
	struct keep_found *ret, struct err *err);
/* held.c: failed jobs that are kept to be entered */
struct hold_row;
/* How long a failed job of REPO is; 0: not at all. */
int64_t held_ms(const struct core *c, const struct repo *repo);
/* The executor of a try has gone: has it put its job aside? */
void held_look(struct core *c, int64_t job, int64_t try);
/* Folders without rows, rows without folders, what a crash left half done. */
void held_sweep(struct core *c);
/* Time, number and space; at the end of a turn. */
void held_pass(struct core *c);
bool held_is_in_use(const struct core *c, int64_t job, int64_t try);
int held_remove(struct core *c, const struct hold_row *h, const char *why,
	const struct actor *who, struct err *err);
/* usage.c: verbs that wait for an executor's word */
struct usage_wait;
void usage_answered(struct core *c, int64_t job, const struct json *usage);
void usage_done(struct core *c);
/* recovery.c */
int recovery_run(struct core *c, struct err *err);
/* hooks.c */
void hooks_serve(struct core *c, const struct chan_msg *m);
void hooks_done(struct core *c);

struct after {
	struct after *next;
	core_after_fn *fn;
	void *data;
};

/* web_link.c: the connection to the web process. */
struct web;
void web_changed(struct core *c, const struct store_change *ch);
void web_log(struct core *c, int64_t job, int64_t size);
void web_settings(struct core *c);
void web_done(struct core *c);
/* Which web asked: answers to an earlier one are dropped. FIELDS are taken. */
unsigned long web_generation(const struct core *c);
void web_answer(
	struct core *c, unsigned long generation, int64_t seq, struct json *fields);

struct ingest;
struct git_state;
struct scheduler;
struct hooks;

struct core {
	struct loop *loop;
	const struct core_options *o;
	struct store *store;
	int data; /* the data directory */
	int64_t began; /* boot clock */

	struct store_tx tx;
	bool is_open; /* tx: this turn's */
	bool wants_pass;
	bool is_started; /* else only verbs are answered: nothing is planned or claimed */
	bool is_stopping;
	struct after *after_first, **after_last;

	struct worker_options planner_options, git_options;
	struct worker_pool *planner, *git;
	struct spawn_options spawn_options;
	struct spawn *spawn;
	unsigned spawner_losses; /* how often its link broke */

	struct live *lives;
	size_t lives_len;
	struct scheduler *scheduler;
	struct ingest *ingest;
	struct git_state *git_state;
	struct hooks *hooks;
	struct web *web;
	struct loop_source *gate_timer, *retry_timer, *sweep_timer, *held_timer;
	bool are_holds_dirty;
	int holds_len; /* as they were looked at last */
	struct usage_wait *usage_waits;
	int64_t gate_due; /* wall clock; 0: no gate waits for a time */
	bool are_gates_dirty;
	bool is_disk_low; /* as it was looked at last */

	struct core_run_hooks run; /* all NULL in `sluice serve` */
};

/* Logs WHAT failed with WHY, and ends the process if the store is broken. */
void core_trouble(struct core *c, const char *what, const struct err *why);
/* Another pass in MS: something was not possible now. */
void core_retry_in(struct core *c, int64_t ms);

/* scheduler.c: jobs at a time; by default as many as there are processors. */
int64_t core_capacity(const struct core *c);

/* disk.c: deliveries are refused and nothing is started; looks again by itself. */
bool disk_is_low(struct core *c);

#endif
