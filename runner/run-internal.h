/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sluice run`, shared by its files: cmd_run.c (flags, the course of it), run_event.c (what
 * happened, which files), run_model.c (what is shown, kept up to date), run_text.c,
 * run_live.c and run_json.c (three ways to show it), run_list.c (--list, --dry-run).
 */
#ifndef RUNNER_RUN_INTERNAL_H
#define RUNNER_RUN_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/json.h"
#include "base/strbuf.h"
#include "base/strvec.h"
#include "runner/cli.h"
#include "runner/config.h"

/* ---- what was asked ---------------------------------------------------------------- */

struct run_options {
	const struct cli_args *args;
	const char *where;   /* -W */
	const char *event;   /* --event, or NULL */
	const char *payload; /* --payload */
	const char *dir;     /* the argument, or NULL */
	const char *actions_dir, *network;
	struct strvec jobs, matrix, inputs, secrets, vars, env,
		approve; /* K=V or names */
	bool in_place, is_json, is_quiet, is_verbose;
};

/* ---- run_event.c ------------------------------------------------------------------- */

struct run_file {
	char *path;  /* in the tree: ".github/workflows/ci.yml" */
	char *shown; /* as people named it */
	struct strbuf data;
	struct strvec events; /* of `on` */
	char *name;	      /* `name:`, or "" */
	bool is_wanted;
};

struct run_git { /* of the tree, from the helper */
	char *sha, *ref, *branch, *url;
	int64_t changed;
	bool is_git;
};

struct tree; /* runner/tree.h, which brings the language's own `struct job` along */

struct run_event {
	struct tree *tree;
	const char *root; /* of the tree, absolute */
	struct run_file *files;
	size_t files_len;
	char *name; /* the event */
	char *repository;
	struct run_git git;
	struct json *github;   /* the context, with `event` */
	struct json *inputs;   /* or NULL */
	struct json *document; /* of the event row */
};

/* Finds the tree and the workflow files; the event's name is settled by what they want. */
int run_event_open(const struct run_options *o, struct run_event *ret, struct err *err);
/* Asks the helper about the tree, then makes contexts and document. */
int run_event_fill(const struct run_options *o, struct run_event *e, struct err *err);
void run_event_done(struct run_event *e);
/* A file of the tree, or of --actions-dir; a core_source_fn without its data. */
int run_event_source(struct run_event *e, const char *repository, const char *ref,
	const char *path, struct strbuf *out, struct err *err);
/* "main 77d0b1c", "main 8d1f0c4 + 2 changed files", "a tree without git". */
void run_event_commit(const struct run_event *e, struct strbuf *out);
/* "a.yml" or "3 workflows". */
void run_event_files(const struct run_event *e, struct strbuf *out);

/* ---- run_model.c ------------------------------------------------------------------- */

struct run_step {
	int64_t n;
	char *name, *kind;
	int64_t line;
	char *state, *conclusion, *reason;
	int64_t exit_code;
	int64_t began_ms, took_ms;
	int64_t log_from, log_to; /* log_to -1: still open */
};

struct run_job {
	int64_t id;
	char *node, *name, *state, *conclusion, *reason, *file;
	struct strvec needs;
	bool is_call, is_ended; /* ended: it was shown as such */
	int64_t try;
	int64_t began_ms, took_ms;
	struct run_step *steps;
	size_t steps_len, steps_cap;
	int64_t mains; /* steps of the file */
	int64_t step;  /* the one at work, -1 none */
	int log;       /* open file, -1 */
	int64_t log_at;
	struct strbuf line;  /* not whole yet */
	bool is_header;	     /* the line at hand belongs to the head of its step */
	struct strvec notes; /* annotations, refusals: shown below the job */
	struct strvec weaker;
};

struct run_view;

/* How things are shown; any may be NULL. Lines are whole, without their newline. */
struct run_show {
	void (*begin)(struct run_view *v);
	void (*job_added)(struct run_view *v, struct run_job *j);
	void (*step)(struct run_view *v, struct run_job *j, struct run_step *s);
	void (*line)(struct run_view *v, struct run_job *j, const char *text, size_t len);
	void (*note)(struct run_view *v, struct run_job *j, const char *level,
		const char *text);
	void (*job_ended)(struct run_view *v, struct run_job *j);
	/* A word of sluice's own, JOB NULL: about the whole. */
	void (*say)(struct run_view *v, struct run_job *j, const char *text);
	void (*tick)(struct run_view *v); /* ten times a second while something runs */
	void (*end)(struct run_view *v);
};
extern const struct run_show run_show_text, run_show_live, run_show_json;

struct run_view {
	const struct run_show *show;
	const struct run_options *o;
	const struct run_event *e;
	const char *data_dir;
	struct run_job **jobs;
	size_t jobs_len, jobs_cap;
	FILE *whole;	/* the whole log, kept */
	char *log_path; /* of it, or NULL */
	const char *profile, *network;
	struct strvec weaker; /* of any job, once each */
	struct strvec talked; /* "host count" */
	int64_t began_ms;
	char *conclusion; /* set before end */
	int width;	  /* of the column of names */
	void *state;	  /* of the way it is shown */
};

struct run_job *run_view_job(struct run_view *v, int64_t id);
/* Takes the state of all jobs from query_run's document. */
void run_view_update(struct run_view *v, const struct json *run);
struct journal_frame;
void run_view_frame(struct run_view *v, int64_t job, const struct journal_frame *f);
/* The log of JOB has SIZE bytes: whole new lines are shown. */
void run_view_log(struct run_view *v, int64_t job, int64_t size);
void run_view_done(struct run_view *v);
/* The last lines of what a step printed, appended to OUT with PREFIX before each. */
void run_view_tail(struct run_view *v, struct run_job *j, const struct run_step *s,
	int lines, const char *prefix, struct strbuf *out);
/* A line of the log as shown: `##[error]x` is level "error" and text x. NULL: plain. */
const char *run_line_level(const char **text, size_t *len);
/* Whether a plain line of the job is shown now: set-up and heads only with -v. */
bool run_line_is_shown(const struct run_view *v, const struct run_job *j);
/* "exit 1", "signal 9", or the reason; "" for none. */
void run_step_why(const struct run_step *s, struct strbuf *out);
/* Why a job ended as it did, as far as its steps have not said so. */
void run_job_why(const struct run_view *v, const struct run_job *j, struct strbuf *out);

/* ---- run_list.c -------------------------------------------------------------------- */

int run_list(const struct run_options *o, struct run_event *e);
int run_dry(const struct run_options *o, struct run_event *e);
/* -j: leaves the jobs named and what they need. 0, or -1 when there is no such job. */
int run_select_jobs(struct json *plan, const struct strvec *jobs, struct err *err);
/* --matrix: leaves the rows that fit. */
void run_select_rows(struct json *expansion, const struct strvec *matrix);

#endif
