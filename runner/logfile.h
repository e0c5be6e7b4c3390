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

/* The log of try TRY of job JOB below JOBS (the directory). ERR_NOT_FOUND: none yet. */
int logfile_open(int jobs, int64_t job, int64_t try, struct logfile **ret,
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

/* The first line after OFFSET that begins with PREFIX, within MAX bytes; 0: none. */
int logfile_find_prefix(struct logfile *f, uint64_t offset, const char *prefix, uint64_t max,
	uint64_t *ret_line, struct err *err);

/*
 * Goes over all lines there are now, in slices, so that nobody has to wait for it: the true
 * number of lines that hold FIND (literal, without case unless it has a capital), or, with
 * FIND NULL, the groups and errors that stand in the log.
 */
#define LOGSCAN_MAX 2000 /* of hits, errors and groups each; counts go on */
struct log_group {
	uint64_t from, to; /* its head and its last line; 0: still open */
	uint32_t errors;
	char *name; /* cut, hostile */
};
struct logscan_result {
	uint64_t lines; /* complete ones */
	uint64_t hits_count, errors_count;
	uint64_t *hits, *errors; /* line numbers */
	size_t hits_len, errors_len;
	struct log_group *groups;
	size_t groups_len;
};
struct logscan;
/* F is taken. ERR_INPUT: FIND is empty or over 1024 bytes. */
int logscan_new(struct logfile *f, const char *find, struct logscan **ret, struct err *err);
void logscan_free(struct logscan *s);
DEFINE_CLEANUP(struct logscan, logscan_free);
/* About BYTES more: 1 there is more, 0 all done, -1 an error. */
int logscan_step(struct logscan *s, size_t bytes, struct err *err);
const struct logscan_result *logscan_result(const struct logscan *s); /* lent */

/*
 * When a byte of the log was written, from the job's journal; wall clock. Ask for rising
 * offsets: a look back costs a search.
 */
struct logtimes;
/* NULL when there is no journal. */
struct logtimes *logtimes_open(int jobs, int64_t job, int64_t try);
void logtimes_free(struct logtimes *t);
DEFINE_CLEANUP(struct logtimes, logtimes_free);
int64_t logtimes_at(struct logtimes *t, uint64_t offset); /* 0: not known */

#endif
