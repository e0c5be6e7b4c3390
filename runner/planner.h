/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The planner: a confined process without files, network or secrets that reads strangers'
 * workflow files. Requests and answers are JSON documents in the body of a message
 * (runner/rpc.h); nothing is kept between requests but a few plans by digest, so that
 * they need not travel each time.
 *
 *  plan     {event, github, vars, inputs?, changed? [path], files [{path, text}],
 *            sources? [{repository, ref, path, text}], only? [path]}
 *        -> {plans: [{path, triggered, reason, title, plan, key, roots {node: EXPANSION}}
 *                 or {path, error {code, message, findings}}
 *                 or {path, missing [{repository, ref, path}]}]}
 *           FILES are the workflow files; those of ONLY (default: all) are planned, all can
 *           be called. SOURCES answers an earlier `missing`; text null: it is not there.
 *           ROOTS: nodes without needs that depend on nothing of the run to come.
 *  expand   {key, plan?, github, vars, cancelled, levels [{node, needs, ancestors}]}
 *        -> {run, reason, trace, rows}   the callers from the outside in, then the node; one
 *           row for each row of its callers
 *  outputs  {key, plan?, node, jobs, github, vars} -> {outputs}
 * ERR_NOT_FOUND "plan": KEY is not known here, ask again with PLAN.
 */
#ifndef RUNNER_PLANNER_H
#define RUNNER_PLANNER_H

/* The process: serves CHAN until it closes; the exit status. For worker_options.run. */
int planner_main(int chan, void *data);
/* `sluice planner`, hidden: the same as a program of its own, chan at WORKER_CHAN_FD. */
int cmd_planner(int argc, char **argv);

#endif
