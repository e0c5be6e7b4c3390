/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the process tree of one job confined by the kernel. Mechanism only: it knows
 * nothing of CI and never logs.
 *
 *	host = sandbox_host_open()	once per process (the zygote; children inherit it)
 *	sb = sandbox_open(host, opts)	namespaces, mounts, init, all verified; nothing of
 *					the user's has run. Do it *before* a secret is in
 *					memory: init and the agents are forks of the caller
 *	sandbox_agent(sb, ...)		our own code on the job's files
 *	sandbox_listen(sb, ...)		a listener on the job's loopback, handed out
 *	sandbox_spawn(sb, cmd, &id)	a step; then poll sandbox_fd(), sandbox_next_event()
 *	sandbox_kill(sb)		everything is dead when it returns 0
 *	sandbox_free(sb)
 *
 * Inside: uid and gid 1001 "runner", host name of the caller's choice, pid 1 is ours.
 * Two user namespaces: the outer one maps 0 to the service's id and 1 to the job's id
 * (with SANDBOX_IDMAP_SELF only 0); the step's one maps 1001 to the outer 1 and nothing
 * else, and no further one can be made. No id inside ever is the host's 0. Where a profile
 * is wide the outer one maps 1 and on to the slot's range, the step's one 0 and on to the
 * same, and a step is uid 0 of that range.
 *
 * All steps of one sandbox share one Landlock domain and one set of filters, which are in
 * force before the first of them exists: a later step may signal or trace what an earlier
 * one left running, neither reaches init. (With SELF a step may kill the process that steps
 * are forked from, which has its id: its job then ends with that reason.)
 *
 * The caller is single-threaded and has the default disposition of SIGCHLD. It must not
 * reap unknown children (wait4(-1)): init and agents are its direct children.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strvec.h"

#define SANDBOX_UID  1001 /* what a step sees, as on a hosted runner */
#define SANDBOX_USER "runner"
#define SANDBOX_HOME "/home/runner"

/* ---- what is asked for --------------------------------------------------------- */

enum sandbox_profile {
	SANDBOX_STRICT,	  /* untrusted work: as standard, without ptrace */
	SANDBOX_STANDARD, /* trusted work */
	SANDBOX_ROOT,	  /* trusted work as uid 0 of a prepared root it may change */
	/*
	 * Image builds and containers of the job's own: a step is uid 0 of the job's id range
	 * with all rights over *its* user, mount and network namespaces, and may mount there.
	 * No Landlock rules on files; a step may kill the forker, never init.
	 */
	SANDBOX_BUILD,
};
const char *sandbox_profile_name(enum sandbox_profile p);
int sandbox_profile_parse(const char *name, enum sandbox_profile *ret); /* 0 or -1 */

enum sandbox_trust {
	SANDBOX_UNTRUSTED,
	SANDBOX_TRUSTED,
};

enum sandbox_network {
	SANDBOX_NET_NONE, /* own loopback only */
	SANDBOX_NET_PROXY, /* the same; the caller puts its proxy on it by sandbox_listen */
	/*
	 * A route to the internet behind a packet filter, names through the caller's resolver
	 * (sandbox_bind_udp); made by privileged.make_route. Never for untrusted work.
	 */
	SANDBOX_NET_EGRESS,
	SANDBOX_NET_HOST,   /* the host's network: never for untrusted work */
};
const char *sandbox_network_name(enum sandbox_network n);
int sandbox_network_parse(const char *name, enum sandbox_network *ret); /* 0 or -1 */

/* ---- what this host offers ----------------------------------------------------- */

enum sandbox_facility { /* in the order doctor prints them; sandbox_facility_name() */
	SANDBOX_FACILITY_NAMESPACES,
	SANDBOX_FACILITY_SECCOMP,
	SANDBOX_FACILITY_LANDLOCK,
	SANDBOX_FACILITY_PROC,
	SANDBOX_FACILITY_IDS,
	SANDBOX_FACILITY_CGROUP,
	SANDBOX_FACILITY_NETWORK,
	SANDBOX_FACILITY_CALLS, /* openat2, clone3, pidfd, the mount calls by descriptor */
	SANDBOX_FACILITIES,
};
const char *sandbox_facility_name(enum sandbox_facility f);

enum sandbox_state {
	SANDBOX_OK,
	SANDBOX_WEAKER,	 /* jobs run and are named weaker */
	SANDBOX_MISSING, /* required: no job runs here */
};

struct sandbox_fact {
	enum sandbox_state state;
	char words[192]; /* one line for a person */
	char weaker
		[128]; /* for a run's page, "" unless WEAKER: "landlock ABI 2 (no truncate)" */
	char mend[384]; /* commands that can be pasted, one a line; "" if there is none */
};

enum sandbox_idmap {
	SANDBOX_IDMAP_ROOT, /* we hold CAP_SETUID over the parent namespace: write it */
	SANDBOX_IDMAP_NEWUIDMAP, /* /etc/subuid and the setuid tools */
	SANDBOX_IDMAP_SELF, /* only our own id: one id for the service and all jobs */
};

enum sandbox_cgroup_kind {
	SANDBOX_CGROUP_NONE,   /* pid namespace and rlimits alone */
	SANDBOX_CGROUP_HYBRID, /* v1 limits; kill and freeze in the v2 tree */
	SANDBOX_CGROUP_V2,
};

enum sandbox_controllers {
	SANDBOX_CTL_MEMORY = 1 << 0,
	SANDBOX_CTL_PIDS = 1 << 1,
	SANDBOX_CTL_CPU = 1 << 2,
	SANDBOX_CTL_IO = 1 << 3,
};

struct sandbox_caps {
	struct sandbox_fact facts[SANDBOX_FACILITIES];
	int landlock_abi;	  /* 0: none */
	enum sandbox_idmap idmap; /* the best this account can do by itself */
	uid_t sub_uid,
		sub_uid_len; /* NEWUIDMAP: the subordinate range; ROOT: a default */
	gid_t sub_gid, sub_gid_len;
	enum sandbox_cgroup_kind cgroup;
	enum sandbox_controllers controllers;
	bool userns, netns, pidns, mountns, fresh_proc, net_admin;
	char no_build[160]; /* why containers cannot be made in a job here, or "" */
	bool openat2, clone3, pidfd, into_cgroup, mount_calls;
	char no_egress[112]; /* why a routed network cannot be had here; "" it can */
};

struct sandbox_host; /* what was probed, and the filters compiled for it */

/*
 * Probes and compiles, about ten milliseconds; forks short-lived children. Succeeds also
 * where no job can run: ask sandbox_decide. Immutable afterwards, so that forked children
 * may go on using it.
 */
int sandbox_host_open(struct sandbox_host **ret, struct err *err);
void sandbox_host_free(struct sandbox_host *host); /* NULL is fine */
DEFINE_CLEANUP(struct sandbox_host, sandbox_host_free);
const struct sandbox_caps *sandbox_host_caps(const struct sandbox_host *host);

/* The probe alone, without compiling filters (doctor). */
int sandbox_probe(struct sandbox_caps *ret, struct err *err);

/* Words for what a job lacks here, one line each; empty where nothing does. */
void sandbox_caps_weaker(const struct sandbox_caps *caps, struct strvec *out);

/*
 * May a job of this trust run here? 0: yes. -1: ERR_UNSUPPORTED (this host or build lacks
 * something required) or ERR_DENIED (never for untrusted work), with the reason in words.
 */
int sandbox_decide(const struct sandbox_caps *caps, enum sandbox_profile profile,
	enum sandbox_trust trust, enum sandbox_network network, struct err *err);

/* ---- ids, limits, cgroups: also used by the spawner on the caller's behalf ------- */

struct sandbox_ids {
	enum sandbox_idmap
		how;	   /* for whoever writes the map: us, or privileged.write_maps */
	uid_t service_uid; /* outer 0; with SELF the caller's own id */
	gid_t service_gid;
	uid_t job_uid; /* outer 1; ignored with SELF */
	gid_t job_gid;
	/* The slot's own range, for profiles that need more ids than one; 0: there is none. */
	uid_t range_uid;
	gid_t range_gid;
	uint32_t range_len;
	bool is_wide; /* the range is mapped, from outer 1 on, in place of the one id */
};

#define SANDBOX_RANGE_LEN 65536u /* what an image's accounts need: nobody is 65534 */

/*
 * The ids for job slot SLOT of this host: NEWUIDMAP and ROOT give each slot an id of its
 * own out of the range, and where that is long enough a range of SANDBOX_RANGE_LEN that
 * overlaps no other slot's; SELF gives the caller's. SERVICE_UID is the account executors run
 * as, which root alone may choose (others are it themselves); 0 (root without a service
 * account) takes the first id of the range for it.
 */
int sandbox_ids_for(const struct sandbox_caps *caps, uid_t service_uid, gid_t service_gid,
	unsigned slot, struct sandbox_ids *ret, struct err *err);

/* Does this profile need an id range? Its jobs' ids are to be widened first. */
bool sandbox_profile_is_wide(enum sandbox_profile p);
/* Takes the slot's range in place of its one id; ERR_UNSUPPORTED and why there is none. */
int sandbox_ids_widen(struct sandbox_ids *ids, struct err *err);

/*
 * Writes the outer maps of PID, which waits in a fresh user namespace. For the spawner:
 * the caller needs the rights the method asks for. Refuses host 0 in any map.
 */
int sandbox_write_maps(pid_t pid, const struct sandbox_ids *ids, struct err *err);

struct sandbox_limits {	 /* 0: no limit of ours */
	uint64_t memory; /* bytes; swap is never added */
	uint64_t pids;
	uint32_t cpu_percent; /* 100 = one core */
	uint64_t fsize;	      /* bytes of one file */
	uint64_t nofile;
	uint64_t
		shm; /* bytes of /dev/shm and /run; 0: a quarter of memory, at most 1 GiB */
};
#define SANDBOX_LIMITS_INIT                   \
	{                                     \
		.pids = 4096, .nofile = 65536 \
	}

#define SANDBOX_CGROUP_FDS 4
struct sandbox_cgroup { /* directory descriptors; -1 where there is none */
	enum sandbox_cgroup_kind kind;
	enum sandbox_controllers controllers;
	int fds[SANDBOX_CGROUP_FDS]; /* [0] the v2 directory, then v1: memory, pids, cpu */
	/*
	 * The files that are written to enter, or -1: opened here. Who may enter is judged by
	 * who opened them, so a privileged maker hands them over open.
	 */
	int enter[SANDBOX_CGROUP_FDS];
	bool is_birthplace; /* its owner may have a child born in fds[0] */
};
#define SANDBOX_CGROUP_INIT                                 \
	{                                                   \
		SANDBOX_CGROUP_NONE, 0, { -1, -1, -1, -1 }, \
		{ -1, -1, -1, -1 }, false                   \
	}
void sandbox_cgroup_done(struct sandbox_cgroup *cg); /* closes, removes nothing */

struct sandbox_cgroup_tree; /* where jobs' groups are made */
/*
 * Finds or prepares the place for job groups: under our own cgroup, below a group "sluice"
 * (v2: moves the caller into a leaf "sluice-self" first and enables the controllers).
 * Gives a tree of kind NONE, and the reason in caps, where this account may not.
 */
int sandbox_cgroup_tree_open(struct sandbox_cgroup_tree **ret, struct err *err);
void sandbox_cgroup_tree_free(struct sandbox_cgroup_tree *tree);
DEFINE_CLEANUP(struct sandbox_cgroup_tree, sandbox_cgroup_tree_free);
/*
 * From here on children of the caller that became OWNER may have theirs born in the v2 groups
 * that sandbox_cgroup_make gave to OWNER. (To walk in later waits for a grace period of the
 * kernel, 5 to 20 ms.) For that the caller moves into the leaf "sluice/self", and OWNER may
 * move processes among the groups below "sluice" that are its own. Where this cannot be had,
 * or was given to another account since, they walk in.
 */
void sandbox_cgroup_tree_hand(struct sandbox_cgroup_tree *tree, uid_t owner);
/*
 * Makes the group NAME with its limits written and read back. OWNER (or -1) gets the files
 * needed to enter, kill and freeze it.
 */
int sandbox_cgroup_make(const struct sandbox_cgroup_tree *tree, const char *name,
	const struct sandbox_limits *limits, uid_t owner, struct sandbox_cgroup *ret,
	struct err *err);
/* Kills what is in it, waits until it is empty, removes it. A missing group is fine. */
int sandbox_cgroup_remove(
	const struct sandbox_cgroup_tree *tree, const char *name, struct err *err);
/* Names of the groups that exist (what a dead spawner left behind). */
void sandbox_cgroup_list(const struct sandbox_cgroup_tree *tree, struct strvec *out);
/* Is a process left in the group NAME? 1, 0, or -1. */
int sandbox_cgroup_is_populated(
	const struct sandbox_cgroup_tree *tree, const char *name, struct err *err);

/* ---- a routed network: for the spawner, as root -------------------------------------- */

/*
 * Gives the fresh network namespace NET_FD (of a job) a veth to the host, source NAT and the
 * filter. TAG: 8 hexadecimal digits that mark all names here as the caller's; SLOT: which
 * addresses are tried first. Runs `ip` and `nft`; up to a minute at worst, 50 ms as a rule.
 * What it makes in the namespace goes with it; the table of the host is TAG's one.
 */
int sandbox_route_make(const char *tag, unsigned slot, int net_fd, struct err *err);
/* Takes TAG's table away, when no job of it is left. None there is fine. */
int sandbox_route_remove(const char *tag, struct err *err);

/* ---- a sandbox ------------------------------------------------------------------ */

enum sandbox_mount_flags {
	SANDBOX_MOUNT_RW = 1 << 0,
	SANDBOX_MOUNT_NOEXEC = 1 << 1,
	/* The directory itself becomes the job id's, its mode stays: for fresh folders. */
	SANDBOX_MOUNT_OWN = 1 << 2,
	SANDBOX_MOUNT_FILE = 1 << 3, /* FD is a regular file, INSIDE a file name */
};

struct sandbox_mount {
	int fd; /* of the host's directory, O_PATH is enough; stays the caller's */
	const char *inside;		/* absolute and clean; parents are made */
	enum sandbox_mount_flags flags; /* always nosuid and nodev */
};

/* A small file of the root, read-only for the job, belonging to the service. */
struct sandbox_file {
	const char *inside; /* as of a mount, or beneath /etc where nothing else is */
	const char *text;
	bool is_program;
};

/*
 * With profile `build` the job's network has this address too: unlike 127.0.0.1 it is
 * within reach of the networks that the job makes. (TEST-NET-1: nobody's anywhere.)
 */
#define SANDBOX_BUILD_ADDR "192.0.2.1"

/* Acts our caller may not do itself; each is forwarded to who may. NULL: done directly. */
struct sandbox_privileged {
	int (*write_maps)(
		pid_t pid, const struct sandbox_ids *ids, void *data, struct err *err);
	/* Gives descriptors the caller may enter, kill and freeze with. */
	int (*make_cgroup)(const char *name, const struct sandbox_limits *limits,
		struct sandbox_cgroup *ret, void *data, struct err *err);
	int (*remove_cgroup)(const char *name, void *data, struct err *err);
	/* Network egress: sandbox_route_make on the network namespace of INIT. */
	int (*make_route)(pid_t init, void *data, struct err *err);
	void *data;
};

/* Tests: the NTH set-up call (from 1) of one process fails with EIO. */
enum sandbox_fault_in {
	SANDBOX_FAULT_NONE,
	SANDBOX_FAULT_CALLER,
	SANDBOX_FAULT_INIT,
	SANDBOX_FAULT_FORKER, /* the process inside that steps are forked from */
	SANDBOX_FAULT_STEP,
};
struct sandbox_fault {
	enum sandbox_fault_in in;
	unsigned nth;
};

struct sandbox;

struct sandbox_options {
	enum sandbox_profile profile;
	enum sandbox_trust trust;
	enum sandbox_network network;
	struct sandbox_ids ids;
	struct sandbox_limits limits;
	struct sandbox_privileged privileged;
	const struct sandbox_cgroup_tree
		*cgroup_tree;	 /* used unless make_cgroup is set */
	const char *cgroup_name; /* path_is_name(); NULL: no group, named weaker */

	/*
	 * Mounts in order, parents before children. /tmp, /var/tmp, SANDBOX_HOME are private
	 * tmpfs unless a mount covers them; give folders on disk under the job's quota.
	 */
	const struct sandbox_mount *mounts;
	size_t mounts_len;
	const struct sandbox_file *files;
	size_t files_len;
	/*
	 * A prepared root whose /usr, /bin, /sbin, /lib*, /opt and /etc choices are used
	 * instead of the host's; -1: the host's. With SANDBOX_ROOT it is the whole of /, and
	 * never the host's: a tree of sandbox_root_map, over which ROOT_UPPER takes what the
	 * job changes, or (ROOT_UPPER -1) a folder in the job's own ids, which it changes.
	 */
	int rootfs;
	int root_upper; /* an empty directory on disk; the service's */
	const char *hostname;	 /* default "sluice-job" */
	const char *resolv_conf; /* text of /etc/resolv.conf; default empty */
	const char *hosts_extra; /* lines appended to /etc/hosts, or NULL */
	/*
	 * Called when the job's ids are mapped, while init builds the root: a sandbox_agent
	 * may be started beside it. -1 and ERR end sandbox_open. SB is lent for the call. A
	 * root that the job changes in place (ROOT_UPPER -1) may still be filled here: init
	 * waits for the return.
	 */
	int (*mapped)(const struct sandbox *sb, void *data, struct err *err);
	void *mapped_data;
	struct sandbox_fault fault;
};
#define SANDBOX_OPTIONS_INIT                                                       \
	{                                                                          \
		.profile = SANDBOX_STRICT, .trust = SANDBOX_UNTRUSTED,             \
		.network = SANDBOX_NET_NONE, .ids = { .how = SANDBOX_IDMAP_SELF }, \
		.limits = SANDBOX_LIMITS_INIT, .rootfs = -1, .root_upper = -1,     \
	}

/*
 * A prepared root as a job sees it whose range IDS (widened) are: the host's ids from 0 on
 * in ROOT become the range's. *RET is a detached read-only mount, for rootfs of
 * SANDBOX_ROOT in any process. Needs root; ERR_UNSUPPORTED where the kernel or the file
 * system cannot: copy it then.
 */
int sandbox_root_map(
	int root, const struct sandbox_ids *ids, int *ret, struct err *err);

/*
 * Builds it and verifies it from outside (maps, rights, filters); any doubt is an error and
 * everything made is undone. Options are copied where they are needed later. Includes
 * sandbox_decide.
 */
int sandbox_open(const struct sandbox_host *host, const struct sandbox_options *opts,
	struct sandbox **ret, struct err *err);
/* sandbox_kill first if need be; removes the cgroup. NULL is fine. */
void sandbox_free(struct sandbox *sb);
DEFINE_CLEANUP(struct sandbox, sandbox_free);

/* What this very sandbox lacks (caps, and e.g. no cgroup given), one line each. */
void sandbox_weaker(const struct sandbox *sb, struct strvec *out);

struct sandbox_command {
	const char *const
		*argv; /* argv[0]: a path, or a name looked up in ENV's PATH inside */
	/*
	 * Complete; nothing is added. Travels in a sealed memory file that only the step's
	 * own process reads: neither init nor anything before it ever maps it.
	 */
	const char *const *env;
	const char *cwd;    /* absolute path inside */
	int in, out, errfd; /* IN -1: /dev/null. They stay the caller's */
	mode_t umask;	    /* usually 022 */
	/*
	 * IN is the far end of a pseudo terminal that nobody else's session has: it becomes
	 * the controlling one of the step's. Whoever holds the near end is not inside.
	 */
	bool has_terminal;
	uint64_t fsize;	    /* 0: the sandbox's */
};
#define SANDBOX_COMMAND_INIT                                               \
	{                                                                  \
		.in = -1, .out = -1, .errfd = -1, .umask = 022, .cwd = "/" \
	}

/*
 * Starts a step: forked inside, confined, verified by us from its /proc status and map,
 * only then exec'd. Returns 0 once the new program runs; ERR_NOT_FOUND when there is no
 * such program, other codes when it could not start (then nothing of the user's ran).
 * *RET_ID is positive and never used again in this sandbox. The step leads a session and
 * a process group of its own.
 */
int sandbox_spawn(struct sandbox *sb, const struct sandbox_command *cmd, int *ret_id,
	struct err *err);
pid_t sandbox_pid(const struct sandbox *sb, int id); /* the host's number; 0: gone */

enum sandbox_event_kind {
	SANDBOX_EVENT_EXIT, /* step ID ended; what it left in the background lives on */
	SANDBOX_EVENT_OOM,  /* the job went over its memory: all of it is being killed */
	SANDBOX_EVENT_GONE, /* init ended, nothing runs any more; always the last one */
};

struct sandbox_event {
	enum sandbox_event_kind kind;
	int id;
	int code;   /* exit code, or -1 when a signal ended it */
	int signal; /* 0 unless a signal ended it */
	bool is_oom;
	char hint[128]; /* "" or a line for the user: what the confinement stopped */
	uint64_t user_us, system_us, rss_max;
};

int sandbox_fd(const struct sandbox *sb); /* readable: there are events */
/* 1 an event, 0 none now, -1 error. */
int sandbox_next_event(struct sandbox *sb, struct sandbox_event *ret, struct err *err);

#define SANDBOX_ALL 0
/* To the process group of step ID, or to all processes inside but init. Gone is fine. */
int sandbox_signal(struct sandbox *sb, int id, int sig, struct err *err);
/* Stops or resumes everything inside; ERR_UNSUPPORTED without a cgroup. */
int sandbox_freeze(struct sandbox *sb, bool on, struct err *err);
/*
 * Kills all and waits: 0 means that init is reaped and the cgroup is empty. ERR_TIMEOUT
 * after TIMEOUT_MS (a process stuck in the kernel): the id must not be used again.
 */
int sandbox_kill(struct sandbox *sb, int timeout_ms, struct err *err);
/* Its first half: all of them are dying when it returns 0; the caller may use the time. */
int sandbox_kill_start(struct sandbox *sb, struct err *err);

/* A TCP listener on ADDR ("127.0.0.1", "::1") of the job's loopback; CLOEXEC, non-blocking. */
int sandbox_listen(
	struct sandbox *sb, const char *addr, uint16_t port, int *ret, struct err *err);
/* A UDP socket bound there; CLOEXEC, non-blocking. */
int sandbox_bind_udp(
	struct sandbox *sb, const char *addr, uint16_t port, int *ret, struct err *err);

struct sandbox_stats { /* -1: not known here */
	int64_t memory, memory_peak;
	int64_t pids, pids_peak; /* init and its helper are not counted */
	int64_t cpu_us;
	int64_t oom_kills;
};
int sandbox_stats(const struct sandbox *sb, struct sandbox_stats *ret, struct err *err);

/*
 * Bytes that went over the job's own network so far, but for its loopback, headers and all: what
 * a routed network carried. -1: it cannot be seen.
 */
int sandbox_traffic(const struct sandbox *sb, int64_t *ret_in, int64_t *ret_out);

/* One process inside, as the host sees it; for a job's page. */
struct sandbox_process {
	pid_t pid, inside;
	int64_t cpu_us, rss;
	char name[17];
};
/* At most MAX of them; returns how many, or -1. */
int sandbox_processes(const struct sandbox *sb, struct sandbox_process *ret, size_t max,
	struct err *err);

/*
 * Our own code on the job's files: a child of the caller in the outer user namespace as its
 * uid 0 (the service's id), holding CHOWN, DAC_OVERRIDE and FOWNER over exactly the mapped
 * ids; Landlocked to RW and RO; no sockets, no exec; descriptors closed but 0-2 and KEEP.
 * FN's value is the exit status; it must not return to the caller's own loop. Works also
 * after sandbox_kill (cleaning). Reap it with waitid(P_PIDFD) on *RET_PIDFD or P_PID.
 */
struct sandbox_agent {
	int (*fn)(void *data);
	void *data;
	const int *rw; /* directories */
	size_t rw_len;
	const int *ro;
	size_t ro_len;
	const int
		*keep; /* other descriptors FN needs; RW and RO are kept by themselves */
	size_t keep_len;
};
int sandbox_agent(const struct sandbox *sb, const struct sandbox_agent *agent,
	pid_t *ret_pid, int *ret_pidfd, struct err *err);

/* ---- confining a long-lived process of ours --------------------------------------- */

enum sandbox_worker_flags {
	SANDBOX_WORKER_NET = 1 << 0,  /* may open INET and UNIX sockets (helper, proxy) */
	SANDBOX_WORKER_EXEC = 1 << 1, /* may execute what RO holds (git as transport) */
	SANDBOX_WORKER_SEPARATE =
		1 << 2, /* own user, net, ipc and uts namespaces if we can */
	SANDBOX_WORKER_FORK = 1 << 3, /* may fork */
	SANDBOX_WORKER_ACCEPT =
		1 << 4, /* may accept on listeners it holds, open none (web) */
	SANDBOX_WORKER_OUTLIVES = 1 << 5, /* no PDEATHSIG: not its parent is whom it serves */
};

struct sandbox_worker {
	enum sandbox_worker_flags flags;
	const int *rw; /* directories; none: no file can be opened or changed */
	size_t rw_len;
	const int *ro;
	size_t ro_len;
	uint64_t memory;      /* RLIMIT_DATA, 0: none */
	uint64_t nofile;      /* RLIMIT_NOFILE, 0: none */
	uint64_t fsize;	      /* RLIMIT_FSIZE, 0: none */
	uint64_t cpu_seconds; /* RLIMIT_CPU, 0: none */
};
/*
 * Confines the *calling* process for good: PDEATHSIG (but for OUTLIVES), no_new_privs, not
 * dumpable, no capabilities, rlimits, Landlock, seccomp. Libraries that load on first use must have
 * been used before. What is not there on this kernel is an error, except SEPARATE. HOST may
 * be NULL: a worker does not need to pay for a probe. With it, NET and FORK together (the
 * proxy of a job) find their filter compiled.
 */
int sandbox_confine_worker(
	const struct sandbox_host *host, const struct sandbox_worker *w, struct err *err);

#endif
