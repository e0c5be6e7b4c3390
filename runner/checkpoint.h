/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checkpointer: a process with a connection of its own that moves the write-ahead log
 * into the database, so that no commit ever waits for it (PERFORMANCE.md: most of the
 * tail of the commit times is the checkpoint). It also runs the checks of a start.
 *
 *  checkpoint {truncate} -> {wal_pages}
 *  check      {}         -> {broken, runs, jobs, audit_rows, findings [{id, text}]}
 */
#ifndef RUNNER_CHECKPOINT_H
#define RUNNER_CHECKPOINT_H

#include "base/loop.h"
#include "runner/worker.h"

struct checkpoint;

/* ARGV is the program, `sluice checkpointer DATABASE`; it must outlive the object. */
int checkpoint_new(struct loop *l, const char *const *argv, struct checkpoint **ret,
	struct err *err);
void checkpoint_free(struct checkpoint *c); /* NULL is fine */
DEFINE_CLEANUP(struct checkpoint, checkpoint_free);
/*
 * Something was committed and the log is WAL_PAGES long now: pages are moved soon, sooner
 * when they are many, and the file is cut when it is quiet.
 */
void checkpoint_due(struct checkpoint *c, int wal_pages);
/* Looks whether the invariants hold; what does not is logged. */
void checkpoint_check(struct checkpoint *c);
pid_t checkpoint_pid(const struct checkpoint *c);

/* The process. */
int checkpointer_main(const char *database);

#endif
