/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Problem matchers of a job: lines go to `sluice-helper match` (the regular expressions are
 * strangers' and never run here), issues come back as annotations. The helper is started
 * with the first matcher.
 */
#ifndef EXECUTOR_MATCHERS_H
#define EXECUTOR_MATCHERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "executor/job.h"

/*
 * `::add-matcher::FILE`: it is read and compiled at the next matchers_load, and counts for
 * all lines from here on. ERR_INPUT for a file outside the job's folders.
 */
int matchers_want(struct jobrun *job, const char *file, struct err *err);
void matchers_remove(struct jobrun *job, const char *owner);
bool matchers_active(const struct jobrun *job);
/* Whole lines of step N, before masks. */
void matchers_lines(struct jobrun *job, int n, const char *data, size_t len);
/* Outside of handlers: loads what was wanted. */
void matchers_load(struct jobrun *job);
/* At the end of a step: waits, within bounds, for the answers to all its lines. */
void matchers_settle(struct jobrun *job);
void matchers_done(struct jobrun *job);

#endif
