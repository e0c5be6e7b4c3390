/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one job of this process: what its modules share. executor.c builds it, steps.c runs
 * its steps one after another in straight lines that turn the loop while they wait
 * (job_wait), so that cancels, doorbells and clocks are served at any moment.
 *
 * Inside the sandbox the job sees the places of a hosted runner:
 *	/home/runner			home/	HOME
 *	/home/runner/work		work/	RUNNER_WORKSPACE is NAME below it
 *	/home/runner/work/NAME/NAME		GITHUB_WORKSPACE
 *	/home/runner/work/_temp		temp/	RUNNER_TEMP
 *	/home/runner/work/_actions	actions/
 *	/opt/hostedtoolcache		tool/	RUNNER_TOOL_CACHE
 *	/tmp, /var/tmp			tmp/, vartmp/
 *	/				rootfs/ over a prepared root, with profile root alone
 */
#ifndef EXECUTOR_JOB_H
#define EXECUTOR_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "base/loop.h"
#include "base/strbuf.h"
#include "base/strvec.h"
#include "executor/control.h"
#include "executor/executor.h"
#include "executor/joblog.h"
#include "executor/journal.h"
#include "executor/mask.h"
#include "executor/rootstore.h"
#include "executor/spec.h"
#include "sandbox/sandbox.h"
#include "workflows/value.h"

#define INSIDE_HOME    "/home/runner"
#define INSIDE_WORK    INSIDE_HOME "/work"
#define INSIDE_TEMP    INSIDE_WORK "/_temp"
#define INSIDE_ACTIONS INSIDE_WORK "/_actions"
#define INSIDE_TOOL    "/opt/hostedtoolcache"
#define INSIDE_PATH    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

enum result {
	RESULT_NONE,
	RESULT_SUCCESS,
	RESULT_FAILURE,
	RESULT_CANCELLED,
	RESULT_SKIPPED
};
const char *result_name(enum result r); /* "success" ...; "" for RESULT_NONE */

enum job_phase {
	PHASE_SETUP,
	PHASE_READY, /* waits for go */
	PHASE_RUNNING,
	PHASE_CANCELLING,
	PHASE_FINISHING,
	PHASE_EXITED, /* the exit record is durable; waits for bye */
};

/* Directories of the job, as the agent names them. */
enum job_dir {
	DIR_HOME,
	DIR_WORK, /* the root of work/, not the workspace */
	DIR_TEMP,
	DIR_ACTIONS,
	DIR_TOOL,
	DIR_TMP,
	DIR_VARTMP,
	DIR_CONTAINERS, /* profile build: images and volumes of the job's own; else -1 */
	DIR_ROOT,  /* profile root: what the job changes of its root; else -1 */
	DIR_STAGE, /* ours alone: what helpers write before it is handed over */
	DIR_STORE, /* store/; -1 where there is none */
	DIR_TREE,  /* in place: the user's tree is the workspace; else -1 */
	DIRS,
};

struct agent;
struct hold;
struct shell_session;
struct way_out;
struct process;
struct steprun;
struct used_action;
struct post;

/* What the steps of one list share: those of the job, or those of a composite action. */
struct scope {
	struct scope *parent;	 /* NULL for the job's own */
	struct value *steps;	 /* the `steps` context */
	struct value *inputs;	 /* the `inputs` context */
	struct strvec overrides; /* env of the calling steps: beats GITHUB_ENV in here */
	const struct used_action *action; /* of a composite, else NULL */
	enum result status;		  /* github.action_status */
	bool is_ended;			  /* a condition in it could not be told */
	struct post *posts; /* newest first; of the nested actions of a composite */
	struct scope *kept; /* an earlier one of the same composite, freed with this */
	int depth;
};

struct jobrun {
	const struct executor_options *opt;
	struct spec *spec;
	struct loop *loop;
	struct journal *journal;
	struct joblog *log;
	struct control *control;
	struct mask *mask;
	int lock_fd;

	enum job_phase phase;
	int64_t began_ms; /* CLOCK_BOOTTIME at the start of the executor */
	double timeout_minutes;
	int64_t go_ms; /* at go */
	bool is_released, is_failed, is_cancelled, is_forced, is_aborted, is_over;
	bool is_loading; /* matchers_load is on the stack */
	bool is_broken;	 /* journal or log cannot be written, or the sandbox died */
	struct err broken;
	char *cancel_reason;
	char *fail_reason;	  /* the first, for the exit record */
	struct json *ready_facts; /* while in PHASE_READY */
	struct json *go_body;	  /* from go until the job's contexts are open */
	bool has_go;

	struct sandbox_host *own_host;
	struct sandbox *sandbox;
	bool is_killed; /* everything inside is dead */
	struct loop_source *sandbox_source;
	int spawner_seq;
	int dirs[DIRS];
	struct rootstore_root prepared; /* its root, if that is one of the store */
	int root_fd; /* as the sandbox gets it, or -1 */
	bool root_is_copy;
	struct agent *agent;
	struct process *process; /* the one that runs now */
	struct steprun *step;	 /* the outermost that runs now */
	struct process *strays;	 /* ended, but somebody holds their pipes */
	int oom_kills;

	char *repo_name;     /* NAME in the paths */
	char *workspace;     /* as seen inside */
	char *workspace_rel; /* beneath DIR_WORK */

	/* Contexts; env and steps are built when asked for. */
	struct value *github, *runner, *job_context, *secrets, *vars, *strategy, *matrix,
		*needs;
	struct scope root;
	struct strvec env;	/* workflow and job env, then what GITHUB_ENV said */
	struct strvec base_env; /* below everything: HOME, LANG, proxy variables */
	struct strvec paths;	/* GITHUB_PATH entries, the newest last */

	struct used_action **actions; /* resolved ones, by their `uses` text */
	size_t actions_len, actions_alloc;
	struct post *posts; /* newest first */
	int next_n;	    /* number of the next pre or post step */
	size_t mask_warned;
	size_t outputs_bytes;

	/* A helper's answer is awaited: how to stop waiting. */
	loop_timer_fn *assist_cancel;
	void *assist_data;

	struct way_out *way_out; /* that is not forked yet */
	struct disk_watch *disk_watch; /* NULL: there is no limit */
	int proxy_chan; /* -1 */
	pid_t proxy_pid;
	struct loop_source *proxy_source, *proxy_timer;
	bool proxy_ended;
	struct strvec refused; /* what the log has named already */
	struct step_begun *begun; /* steps so far, for whose connection it was */
	size_t begun_len, begun_cap;
	int64_t routed_in, routed_out; /* of a routed network, as far as it is in the ledger */
	struct shell_session *shell; /* of a held job that somebody enters (shell.c) */
	struct hold *hold;	/* NULL: it is not put aside when it fails */
	struct json *usage; /* as it was asked last, and when */
	int64_t usage_ms;
	struct json *artifacts; /* name -> digest of its manifest, this run so far */
	struct matcher_client *matchers;
	struct loop_source *sync_timer, *timeout_timer, *cancel_timer;
	int own_processes; /* in the sandbox before the first step */
	char *containers_weaker; /* a line, or NULL */
	int orphans;
};

/* ---- the one place where things are said (job.c) ---- */

/* Appends a frame (PAYLOAD is taken) and rings. A failing disk breaks the job. */
void job_frame(struct jobrun *job, enum journal_type type, struct json *payload);
/* A line of ours in the log of step N: "##[error]..." and such; masked, LF added. */
void job_say(struct jobrun *job, int n, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The same for text of many lines. */
void job_say_text(struct jobrun *job, int n, const char *text, size_t len);
/* Bytes that are masked already. */
void job_log_raw(struct jobrun *job, int n, enum joblog_stream stream, const char *data,
	size_t len);
/* The disk: everything so far is durable afterwards. */
void job_sync(struct jobrun *job);
/* An unrecoverable fault of ours: the job fails, the tree is killed. */
void job_break(struct jobrun *job, const struct err *err);
/* The job has failed for REASON (kept if it is the first). */
void job_fail(struct jobrun *job, const char *reason);
/* An annotation of step N; masked here. Strings may be NULL. */
struct job_note {
	const char *level, *message, *title, *file, *code;
	int64_t line, end_line, col, end_col; /* 0: none */
};
void job_annotate(struct jobrun *job, int n, const struct job_note *note);

/* ---- waiting ---- */

/* Turns the loop until *DONE, or until the job is broken. */
void job_wait(struct jobrun *job, const bool *done);
void job_turn(struct jobrun *job); /* one turn that does not wait */

/* ---- ending ---- */

void job_cancel(struct jobrun *job, const char *reason, bool force);
enum result job_status(const struct jobrun *job);

void job_set_phase(struct jobrun *job, enum job_phase phase, const char *reason);
const char *job_phase_name(enum job_phase phase);

/* Hands a masked value in; too many masks break the job. WARN_N: step to warn in, or -1. */
void job_mask(struct jobrun *job, const char *value, size_t len, int warn_n);

#endif
