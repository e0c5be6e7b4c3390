/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of one job: an append-only file of small frames, written by the executor
 * alone, read by core while it grows and after a crash.
 *
 * A frame is {u32 magic, u32 len, u64 seq, u32 crc, u32 type}, little endian, and LEN
 * bytes of JSON (an object). seq starts at 1 and has no gaps; crc is CRC-32 over the
 * header with crc = 0, then the payload. A reader stops before the first frame that does
 * not verify: while the executor lives that is one being written, afterwards it is torn,
 * and journal_recover cuts it off. Log bytes are written before the frame that names them.
 *
 * Every payload has "t" (wall milliseconds). Steps are named by their number "n":
 * 0 is "Set up job", 1..N the steps of the file in order, then pre and post steps in the
 * order in which they start, and last "Complete job".
 *
 *  START    {job, try, attempt, epoch, boot_id, pid, starttime}
 *  STEPS    {steps:[{n, id, name, kind, uses?, run? (first line), line?}]}  the plan of
 *           steps; kind is setup, pre, main, post or complete. May come again with more.
 *  READY    {epoch, confinement{}, weaker:[text], actions:[{uses, sha, from}], network,
 *           profile, elapsed_ms}
 *  GO       {epoch}; durable before anything of the user's runs. Never holds a secret.
 *  STEP     {n, name, state: running|completed, started, ended?, elapsed_ms?, outcome?,
 *           conclusion?, exit_code?, signal?, reason?, log}: "log" is the offset of the
 *           log at that moment; outcome and conclusion: success, failure, cancelled, skipped
 *  LOG      {n, from, to, stream: out|err|both|sys}: bytes [from, to) belong to step n
 *  NOTE     {n, level: error|warning|notice, message, title?, file?, line?, end_line?,
 *           col?, end_col?, code?}: an annotation
 *  DROPPED  {n, level, count}: annotations over the limit
 *  SUMMARY  {n, sha256, size}: a step summary (markdown, masked), in the store
 *  ARTIFACT {name, sha256, size, files, expires_days?, overwrite?, state?: "deleted"};
 *           sha256 is a manifest in the store, size the sum of its files:
 *           {"version":1,"name","files":[{"path","size","mode","sha256"}]}
 *  NET      {n, host, port, verdict: allowed|refused|failed, rule?, count?, bytes_in?,
 *           bytes_out?, ms?, text? (the log's line), allow? (the command that would allow)}
 *  STATE    {state: setup|ready|running|cancelling|finishing, reason?}
 *  OUTPUTS  {outputs:{}, dropped:[names that held a secret]}: of the job
 *  DEPLOY   {url}: what environment.url came to
 *  RESOLVED {uses, sha}: an action resolved after READY (of a composite in the workspace)
 *  EXIT     {conclusion: success|failure|cancelled, reason?, elapsed_ms, log, orphans,
 *           digest (SHA-256 of the log), released, memory_peak?, pids_peak?, cpu_us?}:
 *           the last frame. released tells whether GO was taken.
 */
#ifndef EXECUTOR_JOURNAL_H
#define EXECUTOR_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/strbuf.h"

#define JOURNAL_MAGIC	    0x314a4c53u /* "SLJ1" */
#define JOURNAL_HEADER	    24
#define JOURNAL_PAYLOAD_MAX (4u << 20)

enum journal_type {
	JOURNAL_START = 1,
	JOURNAL_STEPS,
	JOURNAL_READY,
	JOURNAL_GO,
	JOURNAL_STEP,
	JOURNAL_LOG,
	JOURNAL_NOTE,
	JOURNAL_DROPPED,
	JOURNAL_SUMMARY,
	JOURNAL_ARTIFACT,
	JOURNAL_NET,
	JOURNAL_STATE,
	JOURNAL_OUTPUTS,
	JOURNAL_DEPLOY,
	JOURNAL_RESOLVED,
	JOURNAL_EXIT,
};

/* "start", "steps" ...; NULL for a type of a later version (skip such frames). */
const char *journal_type_name(unsigned type);

/* One frame with its header, appended to OUT. */
void journal_encode(
	unsigned type, uint64_t seq, const struct json *payload, struct strbuf *out);

/* ---- writing (the executor) ---- */

struct journal;

/*
 * Opens or creates NAME beneath DIR for appending; an existing file is recovered first
 * and numbering goes on. The first fdatasync also syncs DIR.
 */
int journal_open(int dir, const char *name, struct journal **ret, struct err *err);
void journal_free(struct journal *j); /* NULL is fine; does not sync */
DEFINE_CLEANUP(struct journal, journal_free);
/* Appends; sets "t" in PAYLOAD (which is taken). A write that fails leaves no torn frame. */
int journal_add(
	struct journal *j, enum journal_type type, struct json *payload, struct err *err);
/* Its name is durable, so that the next sync need not see to that. Once. */
int journal_sync_name(struct journal *j, struct err *err);
int journal_sync(struct journal *j, struct err *err); /* nothing to do: no system call */
uint64_t journal_seq(const struct journal *j);	      /* of the last frame, 0 if none */

/* ---- reading (core, recovery, tests) ---- */

struct journal_frame {
	unsigned type; /* enum journal_type, or one of a later version */
	uint64_t seq;
	struct json *payload; /* owned */
	uint64_t end;	      /* offset of the byte after the frame */
};
#define JOURNAL_FRAME_INIT    \
	{                     \
		0, 0, NULL, 0 \
	}
void journal_frame_done(struct journal_frame *f);

/*
 * The frame that starts at offset AT. 1 a frame, 0 none there that verifies (end of file,
 * or not whole yet), -1 an error of the system. Follow with AT = f->end.
 */
int journal_read(int fd, uint64_t at, struct journal_frame *ret, struct err *err);

/*
 * Walks all good frames from offset AT on: FN returns 0 to go on, -1 (with *ERR) to stop.
 * Sequence numbers must follow AFTER without a gap. *RET_END is where the next would start.
 */
typedef int journal_frame_fn(const struct journal_frame *f, void *data, struct err *err);
int journal_each(int fd, uint64_t at, uint64_t after, journal_frame_fn *fn, void *data,
	uint64_t *ret_end, struct err *err);

/* Cuts everything after the last good frame; for a journal whose executor is dead. */
int journal_recover(int fd, uint64_t *ret_seq, uint64_t *ret_end, struct err *err);

#endif
