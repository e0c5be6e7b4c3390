/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way out of a job: one confined child of the executor that accepts on listeners made
 * inside the job's network and handed out. It serves the proxy (network `proxy`), names
 * (network `egress`: the route is the spawner's work) and the
 * relays an administrator granted; no process of ours is inside. What it tells becomes the
 * ledger: NET frames, and one line of the log for each thing that was refused.
 */
#ifndef EXECUTOR_WAYOUT_H
#define EXECUTOR_WAYOUT_H

#include <stdbool.h>

#include "base/err.h"
#include "executor/job.h"

/* Rules and listeners, by the job's spec; before READY. */
int way_out_prepare(struct jobrun *job, struct err *err);
/* Forks it: when READY has been said, before GO, so that it never held a secret. */
int way_out_launch(struct jobrun *job, struct err *err);
/* Step N begins: what is accepted from now on is its. */
void way_out_step(struct jobrun *job, int n);
/* It writes down what is still open, then ends; true when it has to be waited for. */
bool way_out_finish(struct jobrun *job);
void way_out_stop(struct jobrun *job, bool is_finishing);
/* What was prepared and not launched. */
void way_out_done(struct jobrun *job);

#endif
