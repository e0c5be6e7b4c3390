/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of sandbox/ alone. Functions marked (child) run between a fork and
 * an exec, or in init: async-signal-safe, no allocation, errno or child_must for errors.
 */
#ifndef SANDBOX_SANDBOX_INTERNAL_H
#define SANDBOX_SANDBOX_INTERNAL_H

#include <linux/capability.h>
#include <stdnoreturn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "sandbox/sandbox.h"

#define SETUP_TIMEOUT_MS 30000 /* a set-up call that hangs (dead NFS) must not hang us */
#define OOM_SCORE_ADJ	 "500" /* of a job; the server's is lower */
#define STEPS_MAX	 64    /* steps of one sandbox alive at once */

/* ---- notes: what our processes inside and the caller tell each other --------------- */

enum note_kind {
	NOTE_FAILED = 1, /* what, name, sys: set-up failed; the sender is gone */
	NOTE_WAITING,	 /* init: write my maps */
	NOTE_MAPPED,	 /* to init: they are written */
	NOTE_READY,	 /* set-up done; for a step: pid, verify me */
	NOTE_GO,	 /* to a step: exec; to init: the root is filled */
	NOTE_SPAWN,	 /* to the forker, with the SPAWN_FDS descriptors */
	NOTE_WATCH,	 /* to init: pid is step id, report its end */
	NOTE_EXIT,	 /* init: step id ended with status */
	NOTE_SIGNAL,	 /* to init: sig to step id's group, or all */
	NOTE_LISTEN,	 /* to init: address; the answer carries a descriptor, or sys */
	NOTE_LISTENING,
};

struct note {
	uint32_t kind;
	int32_t sys; /* errno */
	int32_t id;
	int32_t pid;	/* inside */
	int32_t status; /* of wait4; or a signal */
	int32_t port;
	uint64_t user_us, system_us, rss_max;
	char what[64];
	char name[192]; /* or an address */
};

enum { SPAWN_BLOB, SPAWN_IN, SPAWN_OUT, SPAWN_ERR, SPAWN_STATUS, SPAWN_FDS };

/* (child) One note with descriptors. */
int note_send(int fd, const struct note *n, const int *fds, size_t fds_len);
/*
 * (child) 1 a note, 0 the other end is gone, -1 errno (EAGAIN with MSG_DONTWAIT; EPROTO for
 * a note of the wrong size). FDS gets up to FDS_MAX descriptors, the rest -1.
 */
int note_recv(int fd, int flags, struct note *ret, int *fds, size_t fds_max,
	struct ucred *ret_cred);
/* Waits for a note at most until DEADLINE (clock_boot_ms); turns NOTE_FAILED into *ERR. */
int note_await(int fd, int64_t deadline, struct note *ret, struct ucred *ret_cred,
	const char *who, struct err *err);
int note_pair(int ret[2], struct err *err);
int err_note(struct err *err, const struct note *n); /* words of NOTE_FAILED; -1 */

/* Of whom steps are forked from: to become the step's id. */
#define FORKER_CAPS (1ULL << CAP_SETUID | 1ULL << CAP_SETGID)

/* Of a step of profile root, over the range's ids and files alone. */
#define ROOT_CAPS                                                                      \
	(1ULL << CAP_CHOWN | 1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_FOWNER |            \
		1ULL << CAP_FSETID | 1ULL << CAP_SETUID | 1ULL << CAP_SETGID)

/* ---- children ------------------------------------------------------------------ */

struct child {
	int fd; /* where a failure is told */
	struct sandbox_fault fault;
	enum sandbox_fault_in in;
	unsigned calls;
};

/* (child) Hands RC through; when it is negative (or the test wants it so): tells and dies. */
long child_must(struct child *c, long rc, const char *what, const char *name);
noreturn void child_fail(struct child *c, int sys, const char *what, const char *name);
/* (child) snprintf-free: decimal digits of V into BUF of 24, returns BUF. */
char *child_digits(uint64_t v, char *buf);
/* (child) Appends S to BUF of SIZE, NUL-ended and cut. */
void child_cat(char *buf, size_t size, const char *s);
/* (child) Writes TEXT to DIR/PATH in one write. */
int child_write_file(int dir, const char *path, const char *text);
/*
 * (child) Empties the ambient set and, but for BOUNDING, the bounding set (needs SETPCAP);
 * KEEP stays effective.
 */
int child_drop_caps(uint64_t keep, uint64_t bounding);
int child_set_caps(uint64_t keep); /* (child) permitted and effective alone */
/* (child) Default dispositions, nothing blocked. */
void child_reset_signals(void);

/* ---- seccomp, syscalls ------------------------------------------------------------ */

enum call_set {
	CALL_STRICT = 1 << 0,
	CALL_STANDARD = 1 << 1,
	CALL_INIT = 1 << 2,
	CALL_WORKER = 1 << 3,
	CALL_WORKER_NET = 1 << 4,
	CALL_WORKER_EXEC = 1 << 5,
	CALL_WORKER_FORK = 1 << 6,
	CALL_AGENT = 1 << 7,
	CALL_WORKER_ACCEPT = 1 << 8,
	CALL_BUILD = 1 << 9,
};
#define CALL_STEP (CALL_STRICT | CALL_STANDARD | CALL_BUILD)
#define CALL_PROXY (CALL_WORKER | CALL_WORKER_NET | CALL_WORKER_FORK)

/*
 * A call the policy knows. In a set: allowed there. In none of the sets asked for: EPERM.
 * What is not in the table at all is ENOSYS, so that libraries fall back.
 */
struct call {
	const char *name;
	int nr;	       /* for calls libseccomp cannot name, else -1 */
	unsigned sets; /* enum call_set */
};
extern const struct call sandbox_calls[];
extern const size_t sandbox_calls_len;
size_t sandbox_calls_allowed(unsigned sets);

struct filter { /* classic BPF, ready for seccomp(2) */
	struct sock_filter *code;
	unsigned short len;
};
int filter_call_number(const struct call *c); /* here, or negative */
int filter_compile_calls(unsigned sets, struct filter *ret, struct err *err);
/* SETS: of whom; a builder makes namespaces, and networks with their filters. */
int filter_compile_args(unsigned sets, struct filter *ret, struct err *err);
void filter_done(struct filter *f);
int filter_load(const struct filter *f); /* (child) */

/*
 * Counts of the kernel that are kept by account, and charged to the account that made a
 * user namespace for all that goes on below it: one job could take them from every other job of
 * that account, and from its owner. So each gets a part of what the host allows.
 */
#define SHARES	     10
#define SHARE_OF_JOB 4 /* one part in so many */
struct share {
	const char *file; /* below /proc */
	uint64_t part;	  /* 0: this kernel has none */
};

/* The number that FILE of proc, sysfs or a cgroup holds ("max": INT64_MAX); -1: none. */
int64_t number_read(int dir, const char *file);

struct sandbox_host {
	struct sandbox_caps caps;
	struct share shares[SHARES];
	unsigned filters_outside; /* filters this process is under already */
	struct filter args, build_args;
	struct filter build;
	struct filter strict, standard, init, agent, proxy;
};

/* ---- landlock --------------------------------------------------------------------- */

enum landlock_kind {
	LANDLOCK_READ,	      /* read and execute */
	LANDLOCK_READ_ONLY,   /* read */
	LANDLOCK_FULL,	      /* everything but device nodes */
	LANDLOCK_WRITE_FILES, /* read, and write what exists: /proc */
	LANDLOCK_DEVICES,     /* the same with device ioctls: /dev */
};
int landlock_abi(void); /* (child) 0: none */
/* (child) A ruleset that refuses all files; with NO_TCP all TCP too. */
int landlock_new(int abi, bool no_tcp);
int landlock_new_scopes(void); /* (child) one that knows no files; needs ABI 6 */
int landlock_allow(int ruleset, int abi, int dir, enum landlock_kind kind); /* (child) */
int landlock_apply(int ruleset);					    /* (child) */

/* ---- profiles ----------------------------------------------------------------------- */

struct traits {
	bool is_wide;  /* an id range; steps are uid 0 of it */
	bool owns_root; /* / is a prepared root that the job may change */
	/*
	 * Mount and network namespaces are the steps' own: they may mount and make networks.
	 * So no Landlock rules on files, which would refuse that, but its scopes; and what is
	 * there to see is shut by ids alone.
	 */
	bool owns_mounts;
	uint64_t caps; /* what a step holds, over its own user namespace alone */
};
const struct traits *profile_traits(enum sandbox_profile p);

/* ---- the plan: what init does, prepared by the caller ------------------------------ */

struct bind {
	int fd;	    /* a detached mount made by the caller, or -1: reopen by path */
	char *path; /* outside */
	dev_t dev;
	ino_t ino;
	char *inside;  /* without the leading slash */
	uint64_t attr; /* MOUNT_ATTR_ */
	enum sandbox_mount_flags flags;
	bool is_ours; /* its parent is in the skeleton: nothing to walk through */
};

struct link {
	char *inside, *target;
};

struct text_file {
	const char *inside; /* a constant, or the caller's: it outlives the plan */
	char *text;
	size_t len;
	bool is_program;
};

struct plan {
	struct bind *binds;
	size_t binds_len, binds_alloc;
	struct link *links;
	size_t links_len, links_alloc;
	struct text_file *files;
	size_t files_len, files_alloc;
	struct bind root, upper; /* of a root that is the job's own */
	bool awaits_root;	 /* init goes on when the caller says GO */
	char *hostname;
	char size[24], inodes[24]; /* of the tmpfs */
	bool own_net;
	bool setgroups; /* the outer map allows setgroups */
	bool covers_tmp, covers_var_tmp, covers_home;
	uid_t step_outer; /* the step's id in the outer namespace: 1, or 0 with SELF */
	uid_t step_inside; /* and in its own: SANDBOX_UID, or 0 where there is a range */
	uint32_t step_len; /* how many ids from there on are mapped */
	const struct traits *traits;
	int landlock_abi;
	const struct filter *args, *profile_args, *profile, *init;
	const struct share *shares;
	struct sandbox_limits limits;
	struct sandbox_fault fault;
	int tasks[SANDBOX_CGROUP_FDS]; /* files to write "0" to, or -1 */
	int ctl, spawn;		       /* init's and the forker's ends */
	int *keep;		       /* sorted: the descriptors init keeps at first */
	size_t keep_len;
};
#define PLAN_INIT                                                   \
	{                                                           \
		.tasks = { -1, -1, -1, -1 }, .ctl = -1, .spawn = -1, .root = { .fd = -1 }, \
		.upper = { .fd = -1 }                               \
	}
/* FD is what INSIDE shall show. It may be closed afterwards. */
int bind_make(struct bind *ret, int fd, const struct stat *st, const char *inside,
	enum sandbox_mount_flags flags, struct err *err);
void plan_text(struct plan *p, const char *inside, char *text, size_t len);
void plan_list_kept(struct plan *p);
int plan_make(struct plan *p, const struct sandbox_host *host,
	const struct sandbox_options *opts, struct err *err);
void plan_done(struct plan *p);
bool plan_has_ruleset(const struct plan *p); /* (child) of Landlock, for the steps */

/* root.c: a root of the job's own. ROOT in the answers is its mount. */
int plan_root(struct plan *p, const struct sandbox_options *opts, struct err *err);
void root_texts(struct plan *p, const struct sandbox_options *opts);
/* (child) Over the prepared root go the small things that were made in STAGE. */
int root_over(struct child *c, struct plan *p, int stage);
/* (child) PATH beneath ROOT, folders all the way, made where they are missing. */
int root_dir(struct child *c, const struct plan *p, int root, const char *path);

/* (child) The new root, attached and complete but for the end; its /proc in *RET_PROC. */
int mounts_build(struct child *c, struct plan *p, int *ret_proc);
int mounts_landlock(
	struct child *c, const struct plan *p, int root); /* (child) a ruleset */
/* (child) The /sys of the network we are in, before the host's is out of sight. */
void mounts_sys(struct child *c, int root);
void mounts_enter(struct child *c, int root);		  /* (child) pivot; closes ROOT */
void mounts_leave(struct child *c); /* (child) right after it, or after harmless things */
/* (child) Of a builder's own mount namespace: where its runtime looks for cgroups. */
void mounts_cgroup(struct child *c);
void mounts_seal(
	struct child *c, struct plan *p, int proc); /* (child) masks, read-only */

/* ---- init, forker ----------------------------------------------------------------- */

noreturn void init_main(struct plan *p);
noreturn void forker_main(struct plan *p, int init);

/*
 * What a step's own process reads from its memory file: this head, then the strings, each
 * NUL-ended: cwd, argv, env.
 */
#define BLOB_MAGIC	 0x736c7563u
#define BLOB_STRINGS_MAX 65536
struct blob {
	uint32_t magic, argc, envc, umask;
	uint32_t has_terminal, unused;
	uint64_t fsize;
};

/* ---- ns, idmap, network, rlimits, cgroup, verify ----------------------------------- */

struct ns_child {
	pid_t pid;
	int pidfd;
};
/* Clones with FLAGS, into CGROUP (or -1). 0 in the child, 1 in the parent, -1 errno. */
int ns_clone(uint64_t flags, int cgroup, struct ns_child *ret);
long ns_fork_sibling(void); /* (child) a fork whose parent is ours: init reaps it */

int idmap_check(const struct sandbox_ids *ids, struct err *err);
uint32_t idmap_len(const struct sandbox_ids *ids); /* of what outer 1 and on are */
/* The maps of PID are exactly the wanted ones, and no id of the host's 0 is in them. */
/* Strict: lines of three 32-bit numbers and nothing else; 0 or -1. */
int idmap_parse(const char *text, uint32_t (*ret)[3], size_t max, size_t *ret_len);
int idmap_verify(pid_t pid, const char *file, const uint32_t (*want)[3], size_t want_len,
	struct err *err);
int idmap_verify_outer(pid_t pid, const struct sandbox_ids *ids, struct err *err);
int idmap_verify_step(pid_t pid, const struct sandbox_ids *ids, struct err *err);

void route_probe(struct sandbox_caps *caps); /* fills no_egress */
int network_loopback_up(void);			  /* (child) */
int network_loopback_address(const char *addr);	  /* (child) one more, v4 */
/* (child) TYPE: SOCK_STREAM, which listens, or SOCK_DGRAM; fd or -1 */
int network_listener(const char *addr, int port, int type);

int rlimits_apply(const struct sandbox_limits *limits); /* (child) */
int rlimits_set(int resource, uint64_t wanted);		/* (child) */

int cgroup_enter_fds(
	const struct sandbox_cgroup *cg, int ret[SANDBOX_CGROUP_FDS], struct err *err);
int cgroup_limit(const struct sandbox_cgroup *cg, const struct sandbox_limits *limits,
	struct err *err);
int cgroup_kill(const struct sandbox_cgroup *cg); /* 0, or -1: not possible */
int cgroup_wait_empty(const struct sandbox_cgroup *cg, int64_t deadline, struct err *err);
int cgroup_freeze(const struct sandbox_cgroup *cg, bool on, struct err *err);
int cgroup_oom_fd(const struct sandbox_cgroup *cg); /* readable or PRI on OOM, or -1 */
int64_t cgroup_oom_kills(const struct sandbox_cgroup *cg); /* -1: unknown */
void cgroup_stats(const struct sandbox_cgroup *cg, struct sandbox_stats *ret);
void cgroup_probe(struct sandbox_caps *caps);

struct status_want {
	uid_t uid;
	gid_t gid;
	uint64_t
		caps; /* permitted and effective are within these, the others are empty */
	uint64_t bounding; /* for init alone, which cannot exec */
	unsigned filters_min;
	bool no_groups;
};
int verify_status(
	pid_t pid, const struct status_want *want, const char *who, struct err *err);
/* The same on the text of a status file. */
int verify_text(const char *status, const struct status_want *want, const char *who,
	struct err *err);
int verify_own_filters(unsigned *ret, struct err *err);

/* ---- a sandbox ------------------------------------------------------------------- */

struct step {
	int id; /* 0: free */
	pid_t pid, inside;
	bool is_over; /* its end is queued */
	struct sandbox_event end;
};

struct sandbox {
	const struct sandbox_host *host;
	const struct traits *traits;
	struct sandbox_ids ids;
	struct sandbox_limits limits;
	struct sandbox_privileged privileged;
	struct sandbox_fault fault;
	unsigned calls; /* of the caller, for the fault */
	const struct sandbox_cgroup_tree *tree;
	char *cgroup_name;
	struct sandbox_cgroup cgroup;
	struct ns_child init;
	int ctl, spawn; /* our ends */
	int user_ns;	/* the outer one */
	int poll_fd;
	int bell; /* an eventfd: rung when events were queued outside sandbox_next_event */
	int oom_fd;
	int64_t oom_before;
	bool own_net;
	bool is_init_gone, is_gone_told, is_oom, is_oom_told;
	bool is_empty; /* killed, reaped, and so is the group */
	int last_id;
	struct step steps[STEPS_MAX];
};

void events_hear(struct sandbox *sb, const struct note *n); /* one note of init's */
void events_pump(struct sandbox *sb); /* all that init has to say now, and its end */
void events_ring(struct sandbox *sb); /* makes sandbox_fd readable */
/* Opens FILE of /proc/PID; CLOEXEC. */
int proc_open(pid_t pid, const char *file, int flags);
/* Counts a set-up call of the caller and, in a test, makes it fail. Hands RC through. */
long caller_call(struct sandbox *sb, long rc);

#endif
