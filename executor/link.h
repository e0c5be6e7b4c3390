/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What core and an executor say to each other (base/chan.h, heads with "op"), and what an
 * executor asks of the spawner. The executor listens on `sock` in the job's directory;
 * core connects, as often as it likes: one connection at a time counts, a new one replaces
 * the old. Only the owner of the socket and root are served.
 *
 *  executor -> core
 *   hello   {job, attempt, try, epoch, state, frames, log, version}  first word after
 *           every connect; state as in JOURNAL_STATE, or "exited" when the exit record
 *           is written and the executor waits for `bye`
 *   ready   {epoch, confinement{}, weaker[]}  the same facts as the READY frame; sent when
 *           it is written, and after hello while the executor still waits for `go`
 *   frames  {frames, log}  the journal holds frames up to that sequence, the log that many
 *           bytes. A doorbell: it may cover many, and it may be repeated
 *   answer  {seq, ok, error{code, message}}  to whatever came with "seq"
 *
 *  core -> executor
 *   go      {epoch}, body = JSON {"secrets":{NAME:VALUE}, "masks":[VALUE],
 *           "token": github.token or absent}. Another epoch: the executor exits without
 *           having run anything. A second go is answered and otherwise ignored.
 *   abort   {reason}  not released: clean up and exit; refused after go (use cancel)
 *   cancel  {reason, force}  force: kill the tree now
 *   usage   {}  answer: see usage.h
 *   bye     {}  the exit record is in the store: remove the socket and leave
 *
 *  executor -> spawner (its inherited chan; only where options say so; each has "seq")
 *   maps      {pid}  write the outer maps of that child of mine, with the ids of my job
 *   cgroup    {limits{memory, pids, cpu_percent}}  answer: {kind, controllers, present:
 *             [is sandbox_cgroup.fds[i] among the descriptors sent along]}; then come
 *             the `enter` descriptors of the same ones
 *   uncgroup  {}  kill what is in it, remove it
 *   remove    {what}  a folder of the job that its agent could not clean: to quarantine
 */
#ifndef EXECUTOR_LINK_H
#define EXECUTOR_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/chan.h"
#include "base/err.h"
#include "base/json.h"

#define LINK_VERSION 1

/* Names of files in jobs/ID/TRY/. */
#define JOB_FILE_SPEC	 "spec.json"
#define JOB_FILE_LOCK	 "lock"
#define JOB_FILE_SOCK	 "sock"
#define JOB_FILE_JOURNAL "journal"
#define JOB_FILE_LOG	 "log"
#define JOB_FILE_INDEX	 "log.idx"
#define JOB_FILE_SLOT	 "slot" /* the number of the job id that its files may belong to */
#define JOB_DIR_WORK	 "work"
#define JOB_DIR_TEMP	 "temp"
#define JOB_DIR_HOME	 "home"
#define JOB_DIR_TOOL	 "tool"
#define JOB_DIR_ACTIONS	 "actions"

/*
 * log.idx: little-endian u64 offsets into the log, entry i is where line number
 * i * LINK_INDEX_LINES (counted from 0) starts.
 */
#define LINK_INDEX_LINES 1024

/* The job's part of a hello or frames head, for core. */
struct link_hello {
	int64_t job, attempt, try, epoch;
	const char *state; /* lent by the message */
	uint64_t frames, log;
};

/* Heads; the caller frees. */
struct json *link_hello(const struct link_hello *h);
struct json *link_frames(uint64_t frames, uint64_t log);
struct json *link_go(int64_t epoch);
struct json *link_cancel(const char *reason, bool force);
struct json *link_abort(const char *reason);

/* Reads a hello; ERR_INPUT when it is none. */
int link_read_hello(const struct json *head, struct link_hello *ret, struct err *err);

/* What stands in the lock file: who holds it. ERR_INPUT when it cannot be read. */
struct link_holder {
	char boot_id[40];
	int64_t pid;
	int64_t starttime; /* field 22 of /proc/PID/stat */
};
int link_holder_self(struct link_holder *ret, struct err *err);
int link_holder_write(int fd, const struct link_holder *h, struct err *err);
int link_holder_read(int dir, struct link_holder *ret, struct err *err);
/* The machine has not been restarted since and that very process lives. */
bool link_holder_lives(const struct link_holder *h);

#endif
