/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pid 1 of a sandbox: builds it, then reaps and passes on signals. It is a fork of the
 * caller that never execs, so the order below matters:
 *
 *  1 descriptors closed: the caller's lock and sockets must not live on in us
 *  2 into the cgroup, before anything of ours counts
 *  3 maps written by the caller; then our id becomes the service's, before any path is
 *    touched (until then we act with the caller's id)
 *  4 what was the caller's argument vector and environment is wiped
 *  5 the forker, which makes the network and the inner user namespace while we
 *  6 build the root, shut further user namespaces and, when it has its own, pivot
 *  7 the forker's network is joined, its map written, its Landlock ruleset handed over
 *  8 rights dropped, not dumpable, PDEATHSIG last: each change of credentials clears it
 *
 * Init never reads what a step is made of: commands go to the forker by a socket of
 * their own.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "sandbox/sandbox-internal.h"

#define INIT_NAME "sluice-init"

/* ---- set-up ------------------------------------------------------------------------ */

static void null_stdio(struct child *c)
{
	int fd = (int)child_must(c, open("/dev/null", O_RDWR), "open", "/dev/null");

	for (int i = 0; i < 3; i++)
		if (fd != i)
			child_must(c, dup2(fd, i), "redirect to", "/dev/null");
	if (fd > 2)
		(void)close(fd);
}

static void enter_cgroups(struct child *c, struct plan *p)
{
	for (size_t i = 0; i < SANDBOX_CGROUP_FDS; i++) {
		if (p->tasks[i] < 0)
			continue;
		/* One thread moving itself takes no global lock; any other way waits for
		 * a grace period of the kernel. */
		child_must(c, write(p->tasks[i], "0", 1), "enter the job's cgroup", NULL);
		(void)close(p->tasks[i]);
	}
}

static void await_maps(struct child *c, struct plan *p)
{
	struct note n = { .kind = NOTE_WAITING };

	child_must(c, note_send(p->ctl, &n, NULL, 0), "tell the caller", NULL);
	if (note_recv(p->ctl, 0, &n, NULL, 0, NULL) != 1 || n.kind != NOTE_MAPPED)
		_exit(127); /* the caller has given up, or is gone */
}

/* A root of the job's own is filled by its agent, who could not exist before our maps. */
static void await_root(const struct plan *p)
{
	struct note n;

	if (p->awaits_root &&
		(note_recv(p->ctl, 0, &n, NULL, 0, NULL) != 1 || n.kind != NOTE_GO))
		_exit(127); /* the caller has given up, or is gone */
}

static void become_service(struct child *c, const struct plan *p)
{
	if (p->setgroups)
		child_must(c, setgroups(0, NULL), "drop the groups", NULL);
	child_must(c, (long)syscall(SYS_setresgid, 0, 0, 0), "become the service's group",
		NULL);
	child_must(c, (long)syscall(SYS_setresuid, 0, 0, 0), "become the service's user",
		NULL);
	/* The change made us undumpable: our own files in /proc would be root's. */
	child_must(c, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "own our files in /proc", NULL);
	child_must(c, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "die with the caller",
		NULL);
}

/*
 * Fields 48 to 51 of stat: where arguments and environment lie in our memory. (The host's
 * /proc: ours does not stand yet.)
 */
static int argument_area(unsigned long ret[4])
{
	char text[2048];
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t len;
	char *at;

	if (fd < 0)
		return -1;
	len = read(fd, text, sizeof(text) - 1);
	(void)close(fd);
	if (len <= 0)
		return -1;
	text[len] = '\0';
	at = strrchr(text, ')');
	for (int field = 2; at && field < 48; field++)
		at = strchr(at + 1, ' ');
	for (int i = 0; at && i < 4; i++) {
		ret[i] = strtoul(at + 1, NULL, 10);
		at = strchr(at + 1, ' ');
	}
	errno = EPROTO;
	return at && ret[0] <= ret[1] && ret[2] <= ret[3] ? 0 : -1;
}

/*
 * /proc/1/cmdline is for all to see; and the environment of a server may hold what no job
 * should, should all else fail.
 */
static void wipe_arguments(struct child *c)
{
	unsigned long at[4] = { 0 };

	child_must(c, argument_area(at), "read", "/proc/self/stat");
	if (at[0])
		memset((void *)at[0], 0, at[1] - at[0]);
	if (at[2])
		memset((void *)at[2], 0, at[3] - at[2]);
	if (at[0] && at[1] - at[0] >= sizeof(INIT_NAME))
		memcpy((void *)at[0], INIT_NAME, sizeof(INIT_NAME));
	child_must(c, prctl(PR_SET_NAME, INIT_NAME, 0, 0, 0), "name", INIT_NAME);
}

static void write_forker_maps(struct child *c, const struct plan *p, int proc, long pid)
{
	char dir[32] = "", path[64], map[32] = "", number[24];

	child_cat(dir, sizeof(dir), child_digits((uint64_t)pid, number));
	child_cat(map, sizeof(map), child_digits(p->step_inside, number));
	child_cat(map, sizeof(map), " ");
	child_cat(map, sizeof(map), child_digits(p->step_outer, number));
	child_cat(map, sizeof(map), " ");
	child_cat(map, sizeof(map), child_digits(p->step_len, number));
	*path = '\0';
	child_cat(path, sizeof(path), dir);
	child_cat(path, sizeof(path), "/setgroups");
	if (!p->traits->is_wide) /* a range has groups to choose from */
		child_must(c, child_write_file(proc, path, "deny"), "write", path);
	*path = '\0';
	child_cat(path, sizeof(path), dir);
	child_cat(path, sizeof(path), "/gid_map");
	child_must(c, child_write_file(proc, path, map), "write", path);
	*path = '\0';
	child_cat(path, sizeof(path), dir);
	child_cat(path, sizeof(path), "/uid_map");
	child_must(c, child_write_file(proc, path, map), "write", path);
}

/* The forker, at work on its namespaces; returns our end of a socket to it. */
static int start_forker(struct child *c, struct plan *p, long *ret_pid)
{
	int pair[2];

	child_must(c, socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair),
		"make a socket pair", NULL);
	*ret_pid = child_must(
		c, syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), "fork the forker", NULL);
	if (*ret_pid == 0) {
		(void)close(pair[0]);
		forker_main(p, pair[1]);
	}
	(void)close(pair[1]);
	/* The commands of steps are not ours to read. */
	(void)close(p->spawn);
	return pair[0];
}

static void join_network(struct child *c, int proc, long pid)
{
	char path[48] = "", number[24];
	int fd;

	child_cat(path, sizeof(path), child_digits((uint64_t)pid, number));
	child_cat(path, sizeof(path), "/ns/net");
	fd = (int)child_must(c, openat(proc, path, O_RDONLY | O_CLOEXEC), "open", path);
	child_must(c, setns(fd, CLONE_NEWNET), "join the job's network", NULL);
	(void)close(fd);
	/* So that a step may serve port 80 as on a hosted runner; its own namespace only. */
	(void)child_write_file(proc, "sys/net/ipv4/ip_unprivileged_port_start", "0");
}

/*
 * Before we pivot: while the root of the namespace is not the forker's, the kernel takes it
 * for chrooted and refuses it a user namespace.
 */
static void await_forker(struct child *c, const struct plan *p, int proc, int forker)
{
	struct note n;

	for (size_t i = 0; i < SHARES; i++) {
		const struct share *s = &p->shares[i];
		char text[24];

		if (s->part)
			child_must(c,
				child_write_file(proc, s->file, child_digits(s->part, text)),
				"limit what is counted by account", s->file);
	}

	/* One below ours, and none below that: the forker verifies it. */
	child_must(c, child_write_file(proc, "sys/user/max_user_namespaces", "1"),
		"shut nested user namespaces by", "user.max_user_namespaces");
	if (note_recv(forker, 0, &n, NULL, 0, NULL) != 1 || n.kind != NOTE_WAITING)
		_exit(127); /* gone: it has told the caller why */
}

static void finish_forker(
	struct child *c, struct plan *p, int proc, int ruleset, int forker, long pid)
{
	struct note n = { .kind = NOTE_MAPPED };

	if (p->own_net && !p->traits->owns_mounts)
		join_network(c, proc, pid);
	write_forker_maps(c, p, proc, pid);
	if (p->traits->owns_mounts) {
		mounts_leave(c);
		mounts_seal(c, p, proc); /* before they are copied */
	}
	child_must(c, note_send(forker, &n, &ruleset, ruleset >= 0), "tell the forker",
		NULL);
	(void)close(forker);
	/*
	 * To let the old root go waits for a grace period of the kernel. The forker, whose
	 * root is the new one since we pivoted, names no path but "/" until its READY; and
	 * ours, without which no step is forked, comes after this.
	 */
	if (!p->traits->owns_mounts) {
		mounts_leave(c);
		mounts_seal(c, p, proc);
	}
}

static void give_up_rights(struct child *c, struct plan *p)
{
	int keep[1] = { p->ctl };

	/* The bounding set matters to who execs; init cannot (its filter). */
	child_must(c, child_set_caps(0), "drop all capabilities", NULL);
	child_must(c, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs", NULL);
	child_must(c, prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "become undumpable", NULL);
	child_must(c, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "die with the caller",
		NULL);
	fd_close_from(3, keep, 1);
}

/* ---- reaping ---------------------------------------------------------------------- */

struct watch {
	pid_t pid;
	int id;
};

static void tell(int ctl, const struct note *n)
{
	if (note_send(ctl, n, NULL, 0) < 0)
		_exit(1); /* nobody listens any more: all of us end */
}

/* Killed by another step before it was released, and reaped: nobody would tell its end. */
static bool is_reaped(pid_t pid)
{
	siginfo_t si;

	return waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 &&
	       errno == ECHILD;
}

static void watch_step(int ctl, struct watch *w, const struct note *n)
{
	struct note gone = { .kind = NOTE_EXIT, .id = n->id, .status = SIGKILL };

	if (is_reaped(n->pid)) {
		tell(ctl, &gone);
		return;
	}
	for (int i = 0; i < STEPS_MAX; i++) {
		if (w[i].id)
			continue;
		w[i].id = n->id;
		w[i].pid = n->pid;
		return;
	}
}

static void pass_signal(const struct watch *w, const struct note *n)
{
	if (n->id == SANDBOX_ALL) {
		(void)kill(-1, n->status); /* all but us; none left is fine */
		return;
	}
	for (int i = 0; i < STEPS_MAX; i++)
		if (w[i].id == n->id && w[i].pid > 1)
			(void)kill(-w[i].pid, n->status);
}

static void open_listener(int ctl, const struct note *asked)
{
	struct note n = { .kind = NOTE_LISTENING, .id = asked->id };
	int fd = network_listener(asked->name, asked->port, asked->status);

	n.sys = fd < 0 ? errno : 0;
	if (note_send(ctl, &n, &fd, fd >= 0) < 0)
		_exit(1);
	if (fd >= 0)
		(void)close(fd);
}

/* Returns when there is nothing more to hear for now. */
static void obey(int ctl, struct watch *w)
{
	struct note n;
	int rc;

	while ((rc = note_recv(ctl, MSG_DONTWAIT, &n, NULL, 0, NULL)) == 1) {
		if (n.kind == NOTE_WATCH)
			watch_step(ctl, w, &n);
		else if (n.kind == NOTE_SIGNAL)
			pass_signal(w, &n);
		else if (n.kind == NOTE_LISTEN)
			open_listener(ctl, &n);
	}
	if (rc == 0)
		_exit(0); /* the caller is gone; the kernel kills what is left inside */
}

static void tell_end(
	int ctl, struct watch *w, pid_t pid, int status, const struct rusage *ru)
{
	for (int i = 0; i < STEPS_MAX; i++) {
		struct note n = { .kind = NOTE_EXIT, .id = w[i].id, .status = status };

		if (!w[i].id || w[i].pid != pid)
			continue;
		n.user_us = (uint64_t)ru->ru_utime.tv_sec * 1000000 +
			    (uint64_t)ru->ru_utime.tv_usec;
		n.system_us = (uint64_t)ru->ru_stime.tv_sec * 1000000 +
			      (uint64_t)ru->ru_stime.tv_usec;
		n.rss_max = (uint64_t)ru->ru_maxrss * 1024;
		w[i].id = 0;
		tell(ctl, &n);
	}
}

/*
 * A step is watched before it may run. So whoever is seen dead *before* we hear what we are
 * told is one that we know of then, or none of ours: a step that starts and ends while we
 * reap a flood of orphans is not lost among them.
 */
static void reap(int ctl, struct watch *w)
{
	for (;;) {
		siginfo_t si = { .si_pid = 0 };
		struct rusage ru;
		int status;

		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0 ||
			!si.si_pid)
			return;
		obey(ctl, w);
		if (wait4(si.si_pid, &status, WNOHANG | __WALL, &ru) == si.si_pid)
			tell_end(ctl, w, si.si_pid, status, &ru);
	}
}

static noreturn void serve(int ctl, int signals)
{
	struct watch w[STEPS_MAX] = { { 0, 0 } };

	for (;;) {
		struct pollfd p[2] = {
			{ .fd = ctl, .events = POLLIN },
			{ .fd = signals, .events = POLLIN },
		};
		struct signalfd_siginfo si;

		(void)poll(p, 2, -1);
		if (p[1].revents)
			(void)!read(
				signals, &si, sizeof(si)); /* only the wake-up counts */
		obey(ctl, w);
		reap(ctl, w);
	}
}

/* ---- all of it --------------------------------------------------------------------- */

void init_main(struct plan *p)
{
	struct child c = { .fd = p->ctl, .fault = p->fault, .in = SANDBOX_FAULT_INIT };
	struct note ready = { .kind = NOTE_READY };
	int proc = -1, root, ruleset, signals, forker;
	long pid;
	sigset_t all;

	child_reset_signals();
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	fd_close_from(3, p->keep, p->keep_len);
	child_must(
		&c, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "own our files in /proc", NULL);
	child_must(&c, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "die with the caller",
		NULL);
	null_stdio(&c);
	enter_cgroups(&c, p);
	(void)setsid(); /* fails only for a leader, which a fork is not */
	await_maps(&c, p);

	become_service(&c, p);
	wipe_arguments(&c);
	/* The kernel's choice when memory runs out: a job, not the server. */
	(void)child_write_file(AT_FDCWD, "/proc/self/oom_score_adj", OOM_SCORE_ADJ);
	/* Only now: the group we are in becomes the root of what is seen inside. */
	child_must(&c, unshare(CLONE_NEWCGROUP), "make a cgroup namespace", NULL);
	child_must(&c, sethostname(p->hostname, strlen(p->hostname)), "set the host name",
		NULL);
	/* pivot_root takes along whoever stands in the old root: the forker, too. */
	child_must(&c, chdir("/"), "enter", "/");
	forker = start_forker(&c, p, &pid);

	await_root(p);
	root = mounts_build(&c, p, &proc);
	ruleset = mounts_landlock(&c, p, root);
	await_forker(&c, p, proc, forker);
	if (p->traits->owns_mounts) {
		join_network(&c, proc, pid);
		mounts_sys(&c, root);
	}
	mounts_enter(&c, root);
	finish_forker(&c, p, proc, ruleset, forker, pid);
	give_up_rights(&c, p);

	signals = (int)child_must(&c, signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK),
		"wait for signals", NULL);
	child_must(&c, filter_load(p->args), "load the first filter", NULL);
	child_must(&c, filter_load(p->init), "load the second filter", NULL);
	child_must(&c, note_send(p->ctl, &ready, NULL, 0), "tell the caller", NULL);
	serve(p->ctl, signals);
}
