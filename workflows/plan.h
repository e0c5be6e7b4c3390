/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans: what one event makes of one workflow file. Two steps, both pure:
 *
 *   plan_build    workflow file + event -> the plan, one JSON document, stored once
 *   plan_expand   plan + node + what is known by now -> does it run, and its rows
 *
 * `plan`, `run` and `serve` all go this way. docs/plan.md is the reference of the documents;
 * in short:
 *
 * PLAN
 *   version 1
 *   workflow   {path, name, run_name (text or null), digest}; digest is the SHA-256 over
 *              the bytes of this file, of all called workflows and of the local actions
 *              found: what a gate binds to
 *   files      [{path, repository, ref, sha256}] what the digest is made of
 *   event      its name; triggered (bool), reason (words)
 *   inputs     typed, of workflow_dispatch or workflow_call
 *   declared_inputs  [{name, type, required, default, options, description}] of
 *              workflow_dispatch, for whoever asks a person for them
 *   permissions  {scope: level} | null when the workflow says nothing
 *   concurrency  {group, cancel_in_progress, queue} | null; evaluated where possible,
 *                else the text as written
 *   jobs       [NODE] in file order; the jobs of a called workflow follow their caller
 *
 * NODE
 *   id         "build", or "caller/inner" for a job of a called workflow
 *   job_id     "inner"; parent: "caller" or null
 *   file       the workflow file it stands in; line, column of its id
 *   name       text as written or null
 *   needs      [node ids], direct; an inner job that needs none still waits for its parent
 *              to be started
 *   if         text as written or null
 *   environment  {name, url, deployment} texts | null
 *   concurrency  {group, cancel_in_progress, queue} texts | null
 *   strategy   {matrix (typed JSON with texts inside, or one text), fail_fast,
 *              max_parallel} | null
 *   runs_on    as written: string, array or {group, labels}
 *   timeout_minutes, cancel_timeout_minutes, continue_on_error   number/boolean, text or
 *              null
 *   workflow_env, env     {name: text} (or one text); precedence is the executor's
 *   defaults   {run: {shell, "working-directory"}}, job over workflow
 *   permissions  {scope: level} in force | null: the server's default
 *   outputs, container, services, snapshot   as written
 *   steps      [STEP]
 *   call       null, or for a job that calls a workflow: {uses, path, repository, ref,
 *              with {name: value or text}, secrets ("inherit" or {name: text}),
 *              inputs [{name, type, required, default}], secret_names [..],
 *              outputs {name: text over `jobs`}, children [node ids]}
 *   marks      {key: [line, column]} of the values that are evaluated by plan_expand
 *
 * STEP
 *   id, generated_id, line, column, and as written: name, if, run | uses | wait |
 *   wait-all | cancel | parallel [STEP], with, env, shell, working-directory,
 *   continue-on-error, timeout-minutes, background
 *
 * Expressions are texts with `${{ }}`; a condition (`if`) may lack the braces.
 */
#ifndef WORKFLOWS_PLAN_H
#define WORKFLOWS_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "workflows/diag.h"
#include "workflows/workflow.h"

#define PLAN_VERSION 1

struct plan_request {
	const char *path;  /* of the workflow file in its tree: ".github/workflows/ci.yml" */
	const char *shown; /* what messages call it; NULL: path */
	const char *data;
	size_t len;
	/* What happened. NULL: the workflow's first event, and it counts as triggered. */
	const char *event;
	const struct json *github; /* the `github` context with `event` inside; NULL: {} */
	const struct json *inputs; /* as given (strings or typed); NULL: none known */
	const struct json *vars;   /* NULL: {} */
	/* Paths of the change, for `paths` filters; NULL: unknown, and they hold. */
	const char *const *changed_files;
	size_t changed_files_len;
	/* Called workflows and local actions; NULL: they cannot be had. */
	source_load_fn *load;
	void *load_data;
	/* What LOAD says is ERR_UNAVAILABLE is no error: that call has no children. */
	bool allow_missing;
	/*
	 * `sluice run`, by whoever sits there: an event named under `on` starts it whatever
	 * its filters say; inputs and secrets that nobody declared are no mistake.
	 */
	bool is_own;
};
#define PLAN_REQUEST_INIT { 0 }

/*
 * *RET_PLAN belongs to the caller. An event that the workflow does not take is no error:
 * then "triggered" is false (and the jobs are there all the same). -1 when the file is
 * refused: everything wrong is in D, the first of it in ERR.
 */
int plan_build(const struct plan_request *req, struct json **ret_plan,
	struct diagnostics *d, struct err *err);

/*
 * Is NODE_ID to run, and as what? CONTEXTS:
 *   github, vars     as in the request
 *   inputs           the plan's (the default when missing)
 *   needs            {job_id: {result, outputs}} of the direct needs
 *   ancestors        {node id: result} of everything above it, for success(), failure();
 *                    results of `needs` are found there too when it is missing
 *   cancelled        the run is being cancelled
 *   call             of a job inside a called workflow: the row of its caller, as this
 *                    function gave it; when missing it is worked out here from the
 *                    caller's `with` (which must then use neither matrix nor needs)
 *
 * *RET:
 *   run      bool; reason: words
 *   trace    [{offset, len, text, value, reached, depth}] of the condition, in source
 *            order; offset is in `if`'s text; `implicit`: success() was put before it
 *   rows     when it runs, [ROW], at least one
 * ROW
 *   name     as shown: "build (api, 3)", "caller / inner"
 *   matrix   {key: typed value} | null; strategy {fail-fast, job-index, job-total,
 *            max-parallel}
 *   runs_on  [labels]; group: its name or null
 *   environment  {name, url (text, evaluated after the job), deployment} | null
 *   concurrency  {group, cancel-in-progress, queue} | null
 *   timeout_minutes (number), cancel_timeout_minutes (number), continue_on_error (bool)
 *   inputs   typed: of a caller what the called workflow gets, else what the job sees
 *   secrets_map  null: the run's secrets as they are; else an array of levels from the
 *            outside in, each {secrets: {name: text over the secrets of the level before},
 *            contexts: {inputs, needs, matrix, strategy} for these texts}
 *   spec     what the executor needs besides, expressions as text: {workflow_env, env,
 *            defaults, steps, outputs, container, services, snapshot, permissions, call}.
 *            It is shared between the rows.
 *
 * -1 with "file:line:column: words" for an expression that fails or a value that does not
 * fit; ERR_NOT_FOUND for an unknown node. Deterministic.
 */
int plan_expand(const struct json *plan, const char *node_id, const struct json *contexts,
	struct json **ret, struct err *err);

/*
 * All nodes before anything has run, conditions left aside: an array of rows in file
 * order, each with "id", "job_id", "needs", "if", "line" and the members of ROW and of its
 * spec. What needs a result, a step or a secret stays text; then a matrix is one row.
 */
int plan_list(const struct json *plan, const struct json *contexts, struct json **ret,
	struct err *err);

/* The run's name: run-name evaluated, else the event's default. */
int plan_run_name(const struct json *plan, const struct json *contexts, struct strbuf *out,
	struct err *err);

/*
 * Outputs of a job that calls a workflow, {name: string}. JOBS is {job_id: {result,
 * outputs}} of its children; CONTEXTS has github, inputs, vars. Empty ones are left out.
 */
int plan_call_outputs(const struct json *plan, const char *node_id, const struct json *jobs,
	const struct json *contexts, struct json **ret, struct err *err);

/* NODE by id, lent; NULL if there is none. */
const struct json *plan_node(const struct json *plan, const char *node_id);

#endif
