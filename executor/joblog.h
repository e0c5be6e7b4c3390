/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a job as a file: append-only, exactly the masked bytes a user sees, with an
 * index of line starts (link.h). Bytes are gathered and written in large pieces; each
 * piece is followed by a LOG frame for every run of bytes that belong to one step and
 * stream. Nothing here masks: what comes in is what is stored.
 */
#ifndef EXECUTOR_JOBLOG_H
#define EXECUTOR_JOBLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/crypto.h"
#include "base/err.h"
#include "executor/journal.h"

enum joblog_stream { JOBLOG_OUT, JOBLOG_ERR, JOBLOG_SYS };

struct joblog;

/* Opens or creates the log beneath JOB_DIR. SIZE_MAX bytes are kept (0: LIMIT_LOG_JOB). */
int joblog_open(int job_dir, struct journal *journal, uint64_t size_max,
	struct joblog **ret, struct err *err);
void joblog_free(struct joblog *l);
DEFINE_CLEANUP(struct joblog, joblog_free);

/* Gathers LEN bytes of step N; written when much has come, or by joblog_flush. */
int joblog_add(struct joblog *l, int n, enum joblog_stream stream, const char *data,
	size_t len, struct err *err);
int joblog_flush(struct joblog *l, struct err *err);
int joblog_sync(struct joblog *l, struct err *err); /* flush, then fdatasync */

uint64_t joblog_size(const struct joblog *l); /* with what is still gathered */
uint64_t joblog_written(const struct joblog *l);
bool joblog_is_truncated(
	const struct joblog *l); /* the cap was met: the rest is dropped */
void joblog_digest(struct joblog *l, char hex[SHA256_HEX_MAX]); /* of all bytes written */

#endif
