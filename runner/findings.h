/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a workflow file that could not be planned, for the command line. Its run
 * has one job, whose stored trace is the list of findings (workflows/diag.h) instead of a
 * condition's.
 */
#ifndef RUNNER_FINDINGS_H
#define RUNNER_FINDINGS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/json.h"
#include "runner/cli.h"

/* JOB is the one of such a run: a list of findings belongs to no other. */
bool findings_unplanned(const struct json *job);
/* TRACE of a job is such a list, and not empty. Here, since pages ask it without the rest. */
static inline bool findings_are(const struct json *trace)
{
	return json_is(json_get(json_at(trace, 0), "message"), JSON_KIND_STRING);
}
/* "FILE:LINE:COLUMN: MESSAGE [CODE]", the remedy below it, and how to look before pushing. */
void findings_print(FILE *f, const struct json *trace);
/* The same for JOB of a run, when there is such a list; false: there is none. */
bool findings_of_job(const struct cli_args *a, const struct json *job, FILE *f);

#endif
