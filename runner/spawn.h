/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Core's end of the spawner (runner/spawner.h): connects, starts one when nobody holds
 * its lock, connects again when it dies. Requests may be many at a time.
 */
#ifndef RUNNER_SPAWN_H
#define RUNNER_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/loop.h"

struct spawn;

/* A child of the spawner ended; SIG 0 unless a signal ended it. */
typedef void spawn_gone_fn(int64_t job, int64_t try, int status, int sig, void *data);
/* The link stands (again) or is lost. */
typedef void spawn_link_fn(bool is_up, void *data);

struct spawn_options {
	const char *data_dir;
	int chan;		 /* of `sluice run`, owned from here on; -1: the socket */
	const char *const *argv; /* starts one; NULL: a unit of its own does */
	spawn_gone_fn *gone;
	spawn_link_fn *link; /* may be NULL */
	void *data;
};

/* Connects at once if it can, else keeps trying. OPTIONS must outlive it. */
int spawn_new(struct loop *l, const struct spawn_options *o, struct spawn **ret,
	struct err *err);
void spawn_free(struct spawn *s); /* NULL is fine; callbacks are not called */
DEFINE_CLEANUP(struct spawn, spawn_free);

bool spawn_is_up(const struct spawn *s);
/* The process id of the spawner, 0 if unknown. */
pid_t spawn_pid(const struct spawn *s);

/* ANSWER is lent, or NULL and WHY tells; ERR_UNAVAILABLE: the link broke, outcome unknown. */
typedef void spawn_done_fn(const struct json *answer, const struct err *why, void *data);
/*
 * HEAD (taken) is one of the spawner's requests without its seq. DATA is heap or NULL:
 * DONE frees it, or spawn_free when the answer never came.
 */
void spawn_call(struct spawn *s, struct json *head, spawn_done_fn *done, void *data);
/* The same with descriptors, which stay the caller's. */
void spawn_call_fds(struct spawn *s, struct json *head, const int *fds, size_t fds_len,
	spawn_done_fn *done, void *data);

#endif
