/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by spawner.c (process, executors) and spawner_acts.c (what executors ask). */
#ifndef RUNNER_SPAWNER_INTERNAL_H
#define RUNNER_SPAWNER_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/signalfd.h>

#include "base/chan.h"
#include "base/loop.h"
#include "runner/spawner.h"
#include "sandbox/sandbox.h"

enum {
	SLOTS_MAX = 8192,
	GROUP_NAME_MAX = 64,
};
#define SLOT_FILE   "slot"
#define ROUTES_FILE "egress" /* in run/: the table of routed jobs was made */

struct child {
	struct child *next;
	struct spawner *spawner;
	int64_t job, try;
	pid_t pid;
	int pidfd, chan, dir;
	unsigned slot;
	struct sandbox_ids ids;
	bool is_tainted; /* something of its id is left on disk: the id is not reused */
	struct loop_source *pid_src, *chan_src;
};

struct route { /* a child that makes a routed network */
	struct route *next;
	struct spawner *spawner;
	pid_t pid;
	int pidfd;
	struct loop_source *src;
};

struct peer { /* a connection of core */
	struct peer *next;
	struct spawner *spawner;
	int fd;
	struct loop_source *src;
};

struct spawner {
	const struct spawner_options *o;
	struct loop *loop;
	int data, lock, listener;
	struct sandbox_host *host;
	struct sandbox_cgroup_tree *groups; /* NULL: none */
	struct child *children;
	size_t children_len;
	struct peer *peers;
	struct route *routes;
	struct loop_source *linger;
	bool is_leaving, had_peer, has_held;
	char tag[24]; /* of our groups' names: "job-" and a number of the data directory */
	bool slots[SLOTS_MAX];
};

int spawner_job_dir(const struct spawner *s, int64_t job, int64_t try, struct err *err);
/* "TAG-JOB-TRY" into BUF of GROUP_NAME_MAX. */
void spawner_group_name(const struct spawner *s, int64_t job, int64_t try, char *buf);

/* Serves one request of an executor and answers it. */
void spawner_act(struct child *c, const struct chan_msg *m);
void spawner_route_free(struct route *r);
void spawner_note_routes(const struct spawner *s, bool on);
/* Takes the table of routed jobs away, if one was made. */
void spawner_forget_routes(const struct spawner *s);
/* Calls FN for the folder of each try whose lock IS_HELD. */
void spawner_each_held(struct spawner *s, void (*fn)(struct spawner *s, int dir),
	int (*is_held)(int dir));
/*
 * In a child: closes what is the spawner's alone. By name and not by number, since the
 * sandbox's host and tree of groups keep descriptors that the child goes on using.
 */
void spawner_close_own(const struct spawner *s, const struct child *self);
void spawner_ignore(struct loop *l, const struct signalfd_siginfo *si, void *data);

#endif
