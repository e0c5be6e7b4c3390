/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a job's `log` while it is written or after: by byte offset, by line number (the
 * executor's sparse index, else a scan), searching. Nothing is held between calls, memory
 * is bounded whatever the size of the log.
 */
#ifndef RUNNER_LOGFILE_H
#define RUNNER_LOGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"

struct logfile;

/* The log of try TRY of job JOB below DATA_DIR (a directory). ERR_NOT_FOUND: none yet. */
int logfile_open(int data_dir, int64_t job, int64_t try, struct logfile **ret,
	struct err *err);
void logfile_free(struct logfile *f);
DEFINE_CLEANUP(struct logfile, logfile_free);

uint64_t logfile_size(struct logfile *f); /* now */
/* A new descriptor of the log, for sendfile. */
int logfile_dup(struct logfile *f, struct err *err);
/* Up to LEN bytes from OFFSET appended to OUT. */
int logfile_read(struct logfile *f, uint64_t offset, size_t len, struct strbuf *out,
	struct err *err);

/* Where line NUMBER (from 1) begins; the size of the log when it is not written yet. */
int logfile_line_offset(struct logfile *f, uint64_t number, uint64_t *ret, struct err *err);
/* The number of the line that holds OFFSET. */
int logfile_line_at(struct logfile *f, uint64_t offset, uint64_t *ret, struct err *err);
/* Complete lines; a last one without newline counts when WHOLE (the job has ended). */
int logfile_lines(struct logfile *f, bool whole, uint64_t *ret, struct err *err);

/*
 * Calls FN for lines from NUMBER on, at most MAX, complete ones only unless WHOLE. FN
 * returns non-zero to stop. Lines longer than 1 MiB are given cut.
 */
typedef int logfile_line_fn(uint64_t number, uint64_t offset, const char *line, size_t len,
	void *data);
int logfile_each(struct logfile *f, uint64_t number, uint64_t max, bool whole,
	logfile_line_fn *fn, void *data, struct err *err);

/*
 * Literal search over all lines, without case unless TEXT has a capital. *RET_COUNT is the
 * number of lines that hold it (the true one), NUMBERS the first MAX of them.
 */
int logfile_search(struct logfile *f, const char *text, uint64_t *numbers, size_t max,
	uint64_t *ret_count, struct err *err);

#endif
