/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row an attack, shared by what tries it (attack_calls.c, attack_system.c,
 * attack_limits.c), what must be seen from outside (attack_outside.c), the table
 * (attack_table.c) and what judges (attack.c).
 */
#ifndef SANDBOX_ATTACK_INTERNAL_H
#define SANDBOX_ATTACK_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/strbuf.h"
#include "sandbox/attack.h"

#define ATTACK_ERRNOS_MAX 8

struct attack_args { /* what a probe is told of the world outside */
	bool inside;
	pid_t outer;	      /* a process of ours outside */
	int port;	      /* a listener on the loopback outside */
	const char *abstract; /* name of an abstract socket outside, without the NUL */
	const char *marker;   /* name of a file planted in /tmp, /var/tmp and /dev/shm */
	enum sandbox_profile profile;
};

enum attack_flags {
	ATTACK_HEADLINE = 1 << 0, /* told also when not all of them are */
	/* In a sandbox of its own with tight limits: it may take the whole job with it. */
	ATTACK_ALONE = 1 << 1,
	ATTACK_COUNTED = 1 << 3, /* its name says how many there were */
	ATTACK_UNTRIED = 1 << 2, /* where it cannot be shown it is not tried either */
};

struct attack_world;

/* What a profile allows on purpose, within namespaces and files that are the job's own. */
struct attack_design {
	enum sandbox_profile profile;
	const char *lines; /* names of lines that may say 0 there, "a b c" */
	const char *words; /* "mounts of its own" */
};
#define ATTACK_DESIGNS_MAX 2

struct attack {
	const char *id, *what;
	void (*probe)(const struct attack_args *a);
	/* What each line may say inside; zero_is_held where 0 means "fine". */
	int held[ATTACK_ERRNOS_MAX];
	bool zero_is_held;
	const char *no_control; /* why there can be none, or NULL */
	enum attack_flags flags;
	/* Instead of comparing lines: looks from outside, the reason in WORDS. */
	enum sandbox_attack_verdict (*judge)(const struct attack_world *w,
		const struct attack *a, struct strbuf *words);
	/* Why it cannot be shown on this host (then its lines alone prove nothing), or NULL. */
	const char *(*unshown)(const struct attack_world *w);
	struct attack_design designs[ATTACK_DESIGNS_MAX];
};
extern const struct attack sandbox_attacks[];
extern const size_t sandbox_attacks_len;

#define ATTACK_KILLED 1000 /* + the signal that ended a child */
#define ATTACK_MASKED 2000 /* it is there and opens, but it is /dev/null or empty */
#define ATTACK_OOM    3000 /* the job went over its memory and was killed for it */

/* What judges outside has at hand. */
struct attack_world {
	const struct sandbox_host *host;
	const struct sandbox_attack_options *opts;
	const struct sandbox_options
		*sandbox; /* with the probe mounted, without a cgroup */
	const struct sandbox_options
		*tight; /* the same with limits, and a cgroup if there is one */
	const void *bait;
	struct attack_root *root;
};

/* attack_root.c: a root that a job may change */
struct attack_root {
	char path[64];
	int dir, tree, usr;
	unsigned uppers;
};
#define ATTACK_ROOT_INIT                           \
	{                                          \
		.dir = -1, .tree = -1, .usr = -1 \
	}
int attack_root_open(struct attack_root *r, struct err *err);
void attack_root_done(struct attack_root *r);
/* sandbox_open, for each profile with what it needs. */
int attack_sandbox(const struct attack_world *w, const struct sandbox_options *wanted,
	struct sandbox **ret, struct err *err);

/* Starts the probe of A in SB, its lines going to OUT; 0 or -1. */
int attack_spawn(const struct attack_world *w, struct sandbox *sb, const struct attack *a,
	int out, int *ret_id);
/* 0 when step ID ended well, 1 when it was killed for its memory, -1 otherwise. */
int attack_await(struct sandbox *sb, int id);

/* ---- for probes --------------------------------------------------------------------- */

void attack_say(const char *name, int value);
void attack_say_rc(const char *name, long rc); /* errno of a negative one, else 0 */
long attack_bad_call(long nr);
void attack_open(const char *name, const char *path, int flags);

/* attack_calls.c */
void attack_refused(const struct attack_args *a);
void attack_io_uring(const struct attack_args *a);
void attack_mount_api(const struct attack_args *a);
void attack_clone3(const struct attack_args *a);
void attack_clone(const struct attack_args *a);
void attack_unknown(const struct attack_args *a);
void attack_arch(const struct attack_args *a);
void attack_families(const struct attack_args *a);
void attack_netlink(const struct attack_args *a);
void attack_ioctl(const struct attack_args *a);
void attack_personality(const struct attack_args *a);
void attack_userns(const struct attack_args *a);
void attack_clock(const struct attack_args *a);
void attack_locked(const struct attack_args *a);

/* attack_system.c */
void attack_memory(const struct attack_args *a);
void attack_status(const struct attack_args *a);
void attack_threads(const struct attack_args *a);
void attack_root(const struct attack_args *a);
void attack_signal(const struct attack_args *a);
void attack_descriptors(const struct attack_args *a);
void attack_exe(const struct attack_args *a);
void attack_write_kernel(const struct attack_args *a);
void attack_read_kernel(const struct attack_args *a);
void attack_devices(const struct attack_args *a);
void attack_system_files(const struct attack_args *a);
void attack_markers(const struct attack_args *a);
void attack_links(const struct attack_args *a);
void attack_sockets(const struct attack_args *a);
void attack_network(const struct attack_args *a);
void attack_port(const struct attack_args *a);

/* attack_limits.c */
void attack_realtime(const struct attack_args *a);
void attack_forks(const struct attack_args *a);
void attack_hog(const struct attack_args *a);
void attack_fill(const struct attack_args *a);
void attack_counts(const struct attack_args *a);
void attack_core(const struct attack_args *a);
void attack_daemon(const struct attack_args *a);
void attack_deaf(const struct attack_args *a);

/* attack_outside.c */
enum sandbox_attack_verdict attack_judge_root_map(
	const struct attack_world *w, const struct attack *a, struct strbuf *words);
enum sandbox_attack_verdict attack_judge_faults(
	const struct attack_world *w, const struct attack *a, struct strbuf *words);
enum sandbox_attack_verdict attack_judge_daemon(
	const struct attack_world *w, const struct attack *a, struct strbuf *words);
enum sandbox_attack_verdict attack_judge_deaf(
	const struct attack_world *w, const struct attack *a, struct strbuf *words);
const char *attack_unshown_memory(const struct attack_world *w);
const char *attack_unshown_core(const struct attack_world *w);

#endif
