/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of confined workers: child processes that take one request at a time over a
 * chan and answer it. The planner and the git worker are such pools. A worker that
 * overruns its deadline, ends or answers nonsense is killed (by pidfd) and replaced with
 * back-off; the request it had fails, the ones that wait go to the next worker.
 *
 * What a worker answers is as hostile as what it was given to read: the pool checks the
 * frame (op, seq), the caller the content.
 */
#ifndef RUNNER_WORKER_H
#define RUNNER_WORKER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/chan.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/loop.h"

/* The descriptor of the chan in a worker that is a program of its own. */
#define WORKER_CHAN_FD 3

struct worker_options {
	const char *name;	 /* in messages: "planner" */
	unsigned size;		 /* workers at once; the first is started at once */
	int64_t deadline_ms;	 /* of a request, unless the call names its own */
	size_t queue_max;	 /* requests waiting; more are ERR_UNAVAILABLE */
	const char *const *argv; /* a program (chan at WORKER_CHAN_FD), or NULL and ... */
	int (*run)(int chan, void *data); /* ... a function in a forked child, or ... */
	/* ... something that starts it and gives its pidfd and our end of the chan. */
	int (*start)(pid_t *ret_pid, int *ret_pidfd, int *ret_chan, void *data,
		struct err *err);
	void *data;
	const char *const
		*env; /* of the program, NULL-ended; NULL: PATH and LANG alone */
};

#define WORKER_OPTIONS_INIT                                        \
	{                                                          \
		NULL, 1, 10000, 4096, NULL, NULL, NULL, NULL, NULL \
	}

struct worker_pool;

/* Starts the first worker. OPTIONS and what it points to must outlive the pool. */
int worker_pool_new(struct loop *l, const struct worker_options *o,
	struct worker_pool **ret, struct err *err);
/* Kills and reaps all workers; pending callbacks are not called. */
void worker_pool_free(struct worker_pool *p);
DEFINE_CLEANUP(struct worker_pool, worker_pool_free);

/*
 * Called once for each request: ANSWER is lent (its "ok" is true), or NULL and WHY says
 * what went wrong; HINT goes with a refusal of the worker's own, else NULL. ERR_TIMEOUT
 * and ERR_UNAVAILABLE are the pool's: the worker overran or ended.
 */
typedef void worker_done_fn(
	struct chan_msg *answer, const struct err *why, const char *hint, void *data);

/*
 * Asks for HEAD (taken; has "op", gets "seq") with BODY (copied).
 * DEADLINE_MS counts from when a worker takes it, 0 for the pool's. Returns a number for
 * worker_forget, or 0 when nothing was queued: then DONE has been called already.
 */
uint64_t worker_call(struct worker_pool *p, struct json *head, const void *body,
	size_t len, int64_t deadline_ms, worker_done_fn *done, void *data);
/* Nobody wants the answer of request ID any more; its DONE is not called. */
void worker_forget(struct worker_pool *p, uint64_t id);

size_t worker_queued(const struct worker_pool *p); /* requests waiting or at work */
/* The process ids of living workers into PIDS; returns how many there are. */
size_t worker_pids(const struct worker_pool *p, pid_t *pids, size_t max);

/*
 * Forks a child that is the program ARGV (NULL-ended; argv[0] is the path, or "sluice" for
 * this very program, also after its file was replaced) with CHAN at
 * WORKER_CHAN_FD, KEEP (may be -1) at the descriptor after it, stdin and stdout on
 * /dev/null, stderr shared, nothing else open and ENV as in worker_options.
 */
int worker_spawn(const char *const *argv, const char *const *env, int chan, int keep,
	pid_t *ret, struct err *err);
/*
 * In a forked child: becomes the program that is open at PROGRAM, as worker_spawn would
 * make it; does not return.
 */
_Noreturn void worker_become(int program, const char *const *argv, int chan);

#endif
