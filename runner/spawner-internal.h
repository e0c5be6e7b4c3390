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
#define ROUTES_FILE "egress" /* in run/: the table of routed jobs was made */

enum child_kind {
	CHILD_JOB,     /* the executor of jobs/JOB/TRY */
	CHILD_SHELL,   /* the one of a person in held/JOB-TRY */
	CHILD_REMOVER, /* takes trees away; has no group, core does not know of it */
	CHILD_WEB,     /* core's web, with a uid of its own; no group either */
};

struct child {
	struct child *next;
	struct spawner *spawner;
	enum child_kind kind;
	int64_t job, try;
	pid_t pid;
	int pidfd, chan, dir;
	unsigned slot;
	struct sandbox_ids ids;
	const struct peer *peer; /* of a web: its core; NULL once that has gone */
	bool has_slot;
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
	struct loop_source *linger, *farewell;
	bool is_leaving, had_peer, has_held;
	char tag[24]; /* of our groups' names: "job-" and a number of the data directory */
	bool slots[SLOTS_MAX];
};

int spawner_job_dir(const struct spawner *s, int64_t job, int64_t try, struct err *err);
/* "TAG-JOB-TRY" into BUF of GROUP_NAME_MAX. */
void spawner_group_name(const struct spawner *s, int64_t job, int64_t try, char *buf);

/* The executor or shell of it lives: a child of ours. */
struct child *spawner_find(struct spawner *s, int64_t job, int64_t try);
/* A child of ours that is not asked for anything; PID was forked by the caller. */
int spawner_watch(struct spawner *s, struct child *c, pid_t pid, struct err *err);
/* 1 held, 0 free or never there, -1 error. */
int spawner_lock_is_held(int dir);
/* The job id whose number stands in DIR is not given to anybody else. */
void spawner_adopt_slot(struct spawner *s, int dir);

/* spawner_held.c: held/JOB-TRY */
int spawner_held_dir(const struct spawner *s, int64_t job, int64_t try, struct err *err);
/* The number in the file `slot` of DIR; false: there is none. */
bool spawner_read_slot(int dir, unsigned *ret);
/* What held/ says of job ids; what quarantine/ still has goes, as far as it can. */
void spawner_look_at_held(struct spawner *s);
/* held/JOB-TRY (IS_NEW: JOB-TRY.new) is gone when it returns 0; its blocks come later. */
int spawner_discard(
	struct spawner *s, int64_t job, int64_t try, bool is_new, struct err *err);

/* For good: no groups, no capabilities, not dumpable. */
int spawner_drop_to(uid_t uid, gid_t gid);

/* spawner_web.c: starts web on M's descriptors; ERR_UNSUPPORTED: not root, or no range. */
int spawner_web(struct spawner *s, const struct peer *p, const struct chan_msg *m, pid_t *ret,
	struct err *err);
/* P hangs up: its webs end by themselves, or are ended. */
void spawner_forget_core(struct spawner *s, const struct peer *p);

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
