/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process of a step inside the sandbox, from spawn to the last byte it printed: pipes
 * with back-pressure, a timeout by CLOCK_BOOTTIME, SIGINT, then SIGTERM, then the end of the
 * tree, a bounded wait for output after it has ended.
 */
#ifndef EXECUTOR_PROCESS_H
#define EXECUTOR_PROCESS_H

#include <stdbool.h>

#include "base/err.h"
#include "executor/job.h"
#include "executor/output.h"

struct process_options {
	const char *const *argv;
	const char *const *env;
	const char *cwd;       /* as the job sees it */
	int64_t timeout_ms;    /* <= 0: none */
	struct output *output; /* borrowed, unless *ret_taken says otherwise */
};

struct process_result {
	int code; /* -1 when a signal ended it */
	int signal;
	bool timed_out, cancelled, oom;
	char hint[128];
	bool output_taken; /* something still prints: the output belongs to the job now */
};

/*
 * Runs it to its end. -1: it could not be started (ERR_NOT_FOUND: no such program).
 * Turns the loop meanwhile; job->process names it.
 */
int process_run(struct jobrun *job, const struct process_options *opt,
	struct process_result *ret, struct err *err);

/* Starts (or hastens) the end of the process that runs now; nothing to do is fine. */
void process_cancel(struct jobrun *job, bool force);

/* Handler of sandbox events; on the loop from executor.c. */
void process_events(struct jobrun *job);
/* Closes the pipes of ended processes that something still held. */
void process_strays_done(struct jobrun *job);

#endif
