/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop every long-lived process of ours is: one epoll, one heap of timers, one
 * signalfd. No threads. Handlers may remove any source, their own too, at any time.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdint.h>
#include <sys/signalfd.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"

struct loop;
struct loop_source;

int loop_new(struct loop **ret, struct err *err);
void loop_free(struct loop *l); /* frees the sources, closes none of their descriptors */
DEFINE_CLEANUP(struct loop, loop_free);
/* In a forked child: forgets everything of the parent's loop without touching its epoll. */
void loop_abandon(struct loop *l); /* L is gone as after loop_free */

typedef void loop_fd_fn(struct loop *l, int fd, uint32_t events, void *data);
typedef void loop_timer_fn(struct loop *l, void *data);
typedef void loop_signal_fn(struct loop *l, const struct signalfd_siginfo *si, void *data);
typedef void loop_idle_fn(struct loop *l, void *data);

/*
 * EVENTS are EPOLLIN, EPOLLOUT, level-triggered. The descriptor stays the caller's, who
 * removes the source before closing it. NULL with errno if it cannot be watched (EPERM: a
 * regular file, EEXIST: it is watched already, EBADF). Out of memory for it ends the process, as
 * out of memory does everywhere.
 */
struct loop_source *loop_add_fd(struct loop *l, int fd, uint32_t events, loop_fd_fn *fn,
	void *data);
void loop_mod_fd(struct loop_source *s, uint32_t events);
/* Once, after MS of CLOCK_BOOTTIME (0: in the next turn). The source is gone when it fires. */
struct loop_source *loop_add_timer(struct loop *l, int64_t ms, loop_timer_fn *fn,
	void *data);
/* Blocks SIG for this process and delivers it here. */
struct loop_source *loop_add_signal(struct loop *l, int sig, loop_signal_fn *fn, void *data);
/* Called at the end of each turn, when all ready descriptors had their turn (group commit). */
struct loop_source *loop_add_turn(struct loop *l, loop_idle_fn *fn, void *data);
void loop_remove(struct loop_source *s); /* NULL is fine */

/* Turns until loop_stop. Returns the status given to it, or -1 on a failing epoll. */
int loop_run(struct loop *l, struct err *err);
/* One turn; waits at most MS (-1: until something happens). */
int loop_once(struct loop *l, int ms, struct err *err);
void loop_stop(struct loop *l, int status);

#endif
