/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Core: the one writer of the store. `sluice serve` runs it beside web, `sluice run` alone
 * on an in-memory store; nothing in here knows which.
 *
 * Everything one turn of the loop changes is one transaction: the first change opens it,
 * the end of the turn commits it, and only then do answers, releases and spawns leave
 * (core_after). So many deliveries share a commit, and nothing is promised before it is
 * durable.
 *
 * Order of use: core_new, core_start (recovery, then events and jobs flow), the loop,
 * core_free. Files: core.c turn and life; ingest.c events to runs; scheduler.c expansion
 * and claims; attend.c one executor's life; frames.c journal to store; spec.c the job's
 * document; gates.c votes and timers; hooks.c deliveries; verbs.c everything people ask;
 * recovery.c what a start finds.
 */
#ifndef RUNNER_CORE_H
#define RUNNER_CORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/loop.h"
#include "base/strbuf.h"
#include "base/strvec.h"
#include "executor/journal.h"
#include "runner/spawn.h"
#include "store/audit.h"
#include "store/deliveries.h"
#include "store/store.h"

struct core;

/* Told after the commit; none may write to the store from inside. */
struct core_watch {
	void (*changed)(const struct store_change *c, void *data);
	/* A frame of a live job's journal, as soon as it is read (before it is stored). */
	void (*frame)(int64_t job, const struct journal_frame *f, void *data);
	/* The log of a live job has so many bytes. */
	void (*log)(int64_t job, int64_t size, void *data);
	void *data;
};

struct core_options {
	const char *data_dir; /* absolute; prepared by core_prepare_dirs */
	const char *store;    /* path of the database, or ":memory:" */
	const char *helper;   /* absolute path of sluice-helper */
	const char *base_url; /* links in contexts and statuses: github.server_url ... */
	int spawner_chan;     /* of `sluice run`; -1: by its socket */
	const char *const *spawner_argv; /* starts one; NULL: a unit of its own does */
	const char *const
		*planner_argv; /* the planner as a program; NULL: a forked function */
	unsigned planners;
	bool has_git;	  /* a git worker is wanted: `sluice serve` */
	bool is_run;	  /* `sluice run`: jobs die with us, nothing waits for labels */
	int64_t capacity; /* jobs at a time */
	struct strvec labels; /* offered; "*": all */
	int64_t label_wait_ms;
	const char *profile;	       /* of trusted work */
	const char *weaker;	       /* what is missing of the confinement, or NULL */
	const char *network;	       /* level of trusted work */
	const char *network_untrusted; /* and of the rest */
	struct strvec network_allow;
	bool network_only_allowed;
	struct strvec network_relay;
	int64_t job_memory, job_pids, job_cpu_percent, job_disk, job_files, job_minutes;
	const char *actions_dir; /* OWNER/REPO work trees, or NULL */
	const char *actions_url; /* where they are cloned from, or NULL */
	int64_t keep_artifacts_ms, keep_logs_ms; /* 0: for ever */
	int64_t keep_held_ms, keep_held_jobs, keep_held_size; /* ms 0: no job is held */
	struct core_watch watch;
	/* After each commit that wrote (the checkpointer's cue); may be NULL. */
	void (*committed)(void *data);
	void *committed_data;
};

/* Folders of the data directory, 0700. For `serve` and `run` alike. */
int core_prepare_dirs(const char *data_dir, struct err *err); /* datadir.c; umask 027 */

/*
 * Opens the store, starts the planner and links to the spawner. KEY may be NULL (a store
 * without secrets). OPTIONS and what it points to must outlive the core.
 */
int core_new(struct loop *l, const struct core_options *o, const uint8_t *key,
	struct core **ret, struct err *err);
/* Recovery of what an earlier core left, then work begins. */
int core_start(struct core *c, struct err *err);
void core_free(struct core *c); /* NULL is fine; commits nothing */
DEFINE_CLEANUP(struct core, core_free);
/* New settings of a reload; same lifetime as those of core_new. */
void core_set_options(struct core *c, const struct core_options *o);

struct store *core_store(struct core *c);

/* ---- one change ------------------------------------------------------------------- */

/* Joins the turn's transaction, opening it if need be. Every writer calls it first. */
int core_begin(struct core *c, struct err *err);
/*
 * FN is called after the commit of this turn with WHY NULL, or with the error that undid
 * everything; right away when nothing is open.
 */
typedef void core_after_fn(struct core *c, const struct err *why, void *data);
void core_after(struct core *c, core_after_fn *fn, void *data);
/* The scheduler looks for work at the end of this turn. */
void core_wake(struct core *c);

/* ---- for `sluice run` -------------------------------------------------------------- */

/* Workflow files of an event that no mirror holds. */
struct core_file {
	const char *path;  /* .github/workflows/ci.yml */
	const char *shown; /* in messages; NULL: path */
	const char *text;
	size_t len;
};

/*
 * Plans the pending event EVENT from FILES instead of a mirror. The end is seen in the
 * store: runs, or a failed or ignored event. FILES are copied.
 */
void core_plan_files(
	struct core *c, int64_t event, const struct core_file *files, size_t len);
/*
 * What a job's spec gets besides what the store knows, as members of the spec document:
 * "source", "env", "root" ... Secrets of the command line, which are in no store: NAMES as
 * the job asks for them (upper case; "*" all), into RET. Called workflows and local
 * actions of the tree; a source_load_fn's words without its structs.
 */
typedef void core_spec_fn(int64_t job, struct json *spec, void *data);
typedef void core_secrets_fn(
	int64_t job, const struct json *names, struct json *ret, void *data);
typedef int core_source_fn(const char *repository, const char *ref, const char *path,
	struct strbuf *out, void *data, struct err *err);
/* A plan before it is stored (-j), and the rows of a node before they are (--matrix). */
typedef void core_edit_fn(struct json *doc, void *data);
/* The planning is over: REASON NULL, there are runs; else why there are none. */
typedef void core_planned_fn(const char *reason, const struct json *detail, void *data);
struct core_run_hooks {
	core_planned_fn *planned;
	core_edit_fn *plan;
	core_edit_fn *expansion;
	core_spec_fn *spec;
	core_secrets_fn *secrets;
	core_source_fn *source;
	void *data;
};
void core_set_run_hooks(struct core *c, const struct core_run_hooks *h);

/* ---- what people and web ask ------------------------------------------------------- */

/* Somebody known, with what he may do. */
struct core_principal {
	const char *kind; /* "user", "key", "token", "system" */
	const char *name;
	unsigned scopes; /* enum scope */
	int64_t gate;	 /* of a one-time link: this gate alone; 0 any */
	const char *request;
};

/* Answers a verb: RESULT (taken) after the commit, or WHY with HINT (may be NULL). */
typedef void core_verb_fn(
	struct json *result, const struct err *why, const char *hint, void *data);
/* ARGS are lent. DONE is called exactly once, now or later. */
void core_verb(struct core *c, const char *verb, const struct core_principal *who,
	const struct json *args, core_verb_fn *done, void *data);

/* Serves web's requests on FD (owned from here on); ENDED is called when it hangs up. */
void core_serve_web(struct core *c, int fd, void (*ended)(void *data), void *data);
bool core_has_spawner(const struct core *c); /* its link stands */
/*
 * Asks the spawner to start web (runner/spawner.h) on FDS, which stay the caller's. DATA is
 * heap: DONE frees it, or core's own end.
 */
void core_spawn_web(struct core *c, const int fds[3], spawn_done_fn *done, void *data);

/* Cancels what runs (`sluice run`, Ctrl-C) and how many executors still live. */
void core_cancel_all(struct core *c, const char *reason, bool force);
size_t core_live_count(const struct core *c);

/* A stopping server's word to a detached spawner: end when the last job has. */
void core_say_leave(struct core *c);

/* Process ids for doctor, status and the crash tests: {"core","planner","git","spawner",...} */
struct json *core_pids(const struct core *c);

#endif
