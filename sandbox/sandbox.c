/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order in which a sandbox comes to be, seen from the caller, and why:
 *
 *  1 decide: nothing is made that would be refused later
 *  2 the plan: all that allocates or may fail for reasons worth words (who makes the cgroup
 *    for us may be at it meanwhile)
 *  3 cgroup and its limits: init is born in it, so that set-up itself is limited
 *  4 clone; init closes what it inherited, then waits
 *  5 maps written by us, newuidmap or the spawner, and *read back*
 *  6 init and forker both say READY; both are looked at from outside
 *
 * An error anywhere kills init, which is everything inside, and removes the cgroup.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "sandbox/sandbox-internal.h"

long caller_call(struct sandbox *sb, long rc)
{
	if (sb->fault.in == SANDBOX_FAULT_CALLER && ++sb->calls == sb->fault.nth) {
		errno = EIO;
		return -1;
	}
	return rc;
}

int proc_open(pid_t pid, const char *file, int flags)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return open(path, flags | O_CLOEXEC);
}

/* ---- making ----------------------------------------------------------------------- */

static struct sandbox *sandbox_new(
	const struct sandbox_host *host, const struct sandbox_options *opts)
{
	struct sandbox *sb = xcalloc(1, sizeof(*sb));

	sb->host = host;
	sb->traits = profile_traits(opts->profile);
	sb->ids = opts->ids;
	sb->limits = opts->limits;
	sb->privileged = opts->privileged;
	sb->fault = opts->fault;
	sb->tree = opts->cgroup_tree;
	sb->cgroup = (struct sandbox_cgroup)SANDBOX_CGROUP_INIT;
	sb->init.pidfd = sb->ctl = sb->spawn = sb->user_ns = -1;
	sb->poll_fd = sb->bell = sb->oom_fd = -1;
	sb->own_net = opts->network != SANDBOX_NET_HOST;
	return sb;
}

static int make_cgroup(
	struct sandbox *sb, const struct sandbox_options *opts, struct err *err)
{
	const enum sandbox_controllers needed = SANDBOX_CTL_MEMORY | SANDBOX_CTL_PIDS;
	int rc = 0;

	if (opts->cgroup_name && sb->privileged.make_cgroup)
		rc = sb->privileged.make_cgroup(opts->cgroup_name, &opts->limits,
			&sb->cgroup, sb->privileged.data, err);
	else if (opts->cgroup_name && sb->tree)
		rc = sandbox_cgroup_make(sb->tree, opts->cgroup_name, &opts->limits,
			(uid_t)-1, &sb->cgroup, err);
	if (rc == 0 && sb->cgroup.kind != SANDBOX_CGROUP_NONE)
		sb->cgroup_name =
			xstrdup(opts->cgroup_name); /* ours to remove from here on */
	if (caller_call(sb, rc) < 0)
		return rc < 0 ? -1 : err_sys(err, "cannot make the job's cgroup");
	if (opts->trust == SANDBOX_UNTRUSTED &&
		(sb->cgroup.controllers & needed) != needed)
		return err_set(err, ERR_DENIED,
			"untrusted work needs a cgroup with memory and process limits");
	return 0;
}

static int clone_init(struct sandbox *sb, struct plan *p, struct err *err)
{
	/* The network is the forker's to make, beside init's work; the cgroup namespace init's,
	 * once it is in its group. */
	uint64_t flags =
		CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
	int group = p->tasks[0] >= 0 && sb->cgroup.is_birthplace ? sb->cgroup.fds[0] : -1;
	int entered = p->tasks[0];
	int rc;

	/* Born in the v2 group where the kernel can; else init walks there. */
	if (group >= 0)
		p->tasks[0] = -1;
	plan_list_kept(p);
	rc = ns_clone(flags, group, &sb->init);
	if (rc < 0 && group >= 0) {
		p->tasks[0] = entered;
		free(p->keep);
		plan_list_kept(p);
		rc = ns_clone(flags, -1, &sb->init);
	}
	if (rc == 0)
		init_main(p);
	p->tasks[0] = entered;
	if (caller_call(sb, rc) < 0)
		return err_sys(err, "cannot make the namespaces of a job");
	return 0;
}

static int write_maps(struct sandbox *sb, struct err *err)
{
	int rc;

	if (sb->privileged.write_maps)
		rc = sb->privileged.write_maps(
			sb->init.pid, &sb->ids, sb->privileged.data, err);
	else
		rc = sandbox_write_maps(sb->init.pid, &sb->ids, err);
	if (caller_call(sb, rc) < 0)
		return rc < 0 ? -1 : err_sys(err, "cannot write the id maps");
	return 0;
}

/* Init's next word; WAITING may come late and is passed over. */
static int await_init(
	struct sandbox *sb, int64_t deadline, enum note_kind kind, struct err *err)
{
	struct note n;

	do
		if (note_await(sb->ctl, deadline, &n, NULL, "init", err) < 0)
			return -1;
	while (n.kind == NOTE_WAITING && kind != NOTE_WAITING);
	if (n.kind != kind)
		return err_set(err, ERR_BUG, "init said %u, not %u", n.kind, kind);
	return 0;
}

static int map_init(struct sandbox *sb, int64_t deadline, struct err *err)
{
	struct note n;

	/*
	 * A fork of an undumpable caller is not ours to look at until it says so; any other
	 * is not waited for, so that it finds its maps written when it gets to run.
	 */
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 1 &&
		await_init(sb, deadline, NOTE_WAITING, err) < 0)
		return -1;
	sb->user_ns = proc_open(sb->init.pid, "ns/user", O_RDONLY);
	if (caller_call(sb, sb->user_ns) < 0)
		return err_sys(err, "cannot open the job's user namespace");
	if (write_maps(sb, err) < 0)
		return -1;
	n = (struct note){ .kind = NOTE_MAPPED };
	if (caller_call(sb, note_send(sb->ctl, &n, NULL, 0)) < 0)
		return err_sys(err, "cannot release init");
	/* Init goes on meanwhile: it is our code, and we have the last word. */
	return idmap_verify_outer(sb->init.pid, &sb->ids, err);
}

/*
 * READY of both. Init comes last, as a rule; when it fails it has the word, and the forker
 * is killed with it. When the forker fails, its own word is on the other socket.
 */
static int await_ready(
	struct sandbox *sb, int64_t deadline, struct ucred *ret_forker, struct err *err)
{
	struct note n = { 0 };

	if (note_await(sb->spawn, deadline, &n, ret_forker, "the forker", err) < 0 &&
		(n.kind == NOTE_FAILED || err->code != ERR_UNAVAILABLE)) {
		struct note first;

		/* Init's failure is the forker's too, which may be told before it. */
		if (note_recv(sb->ctl, MSG_DONTWAIT, &first, NULL, 0, NULL) == 1 &&
			first.kind == NOTE_FAILED)
			(void)err_note(err, &first);
		return -1;
	}
	if (await_init(sb, deadline, NOTE_READY, err) < 0)
		return -1;
	if (n.kind != NOTE_READY || !ret_forker->pid)
		return err_set(err, ERR_UNAVAILABLE, "the sandbox did not come up");
	err_clear(err);
	return 0;
}

static int verify(struct sandbox *sb, const struct ucred *forker, struct err *err)
{
	struct status_want want = {
		.uid = sb->ids.service_uid,
		.gid = sb->ids.service_gid,
		.filters_min = sb->host->filters_outside + 2,
		.no_groups = sb->ids.how != SANDBOX_IDMAP_SELF,
	};

	want.bounding = ~0ULL;
	if (verify_status(sb->init.pid, &want, "init", err) < 0)
		return -1;
	want.bounding = sb->traits->caps;
	want.caps = FORKER_CAPS | sb->traits->caps;
	if (verify_status(forker->pid, &want, "the forker", err) < 0)
		return -1;
	return idmap_verify_step(forker->pid, &sb->ids, err);
}

static int poll_add(struct sandbox *sb, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	return epoll_ctl(sb->poll_fd, EPOLL_CTL_ADD, fd, &ev);
}

static int open_events(struct sandbox *sb, struct err *err)
{
	bool by_file = sb->cgroup.fds[1] < 0; /* v2: a change of memory.events is PRI */

	sb->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	sb->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sb->oom_fd = cgroup_oom_fd(&sb->cgroup);
	sb->oom_before = cgroup_oom_kills(&sb->cgroup);
	if (sb->poll_fd < 0 || sb->bell < 0 || poll_add(sb, sb->bell, EPOLLIN) < 0 ||
		poll_add(sb, sb->ctl, EPOLLIN) < 0 ||
		caller_call(sb, poll_add(sb, sb->init.pidfd, EPOLLIN)) < 0)
		return err_sys(err, "cannot wait for the job's events");
	/* Without it the counter is looked at when a step is killed. */
	if (sb->oom_fd >= 0)
		(void)poll_add(sb, sb->oom_fd, by_file ? EPOLLPRI : EPOLLIN);
	return 0;
}

static int open_sockets(struct sandbox *sb, struct plan *p, struct err *err)
{
	int pair[2], on = 1;

	if (note_pair(pair, err) < 0)
		return -1;
	sb->ctl = pair[0];
	p->ctl = pair[1];
	if (note_pair(pair, err) < 0)
		return -1;
	sb->spawn = pair[0];
	p->spawn = pair[1];
	if (caller_call(sb,
		    setsockopt(sb->spawn, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on))) < 0)
		return err_sys(err, "cannot ask for credentials");
	return 0;
}

/* Init is in the forker's network by now. */
static int make_route(struct sandbox *sb, struct err *err)
{
	int rc;

	if (!sb->privileged.make_route)
		return err_set(err, ERR_UNSUPPORTED,
			"nobody is there who could make a routed network");
	rc = sb->privileged.make_route(sb->init.pid, sb->privileged.data, err);
	if (caller_call(sb, rc) < 0)
		return rc < 0 ? -1 : err_sys(err, "cannot make the job's route");
	return 0;
}

static int build(struct sandbox *sb, const struct sandbox_options *opts, struct err *err)
{
	_cleanup_(plan_done) struct plan p = PLAN_INIT;
	int64_t deadline = clock_boot_ms() + SETUP_TIMEOUT_MS;
	struct ucred forker = { 0 };
	bool awaits_root;

	if (plan_make(&p, sb->host, opts, err) < 0)
		return -1;
	if (make_cgroup(sb, opts, err) < 0)
		return -1;
	if (cgroup_enter_fds(&sb->cgroup, p.tasks, err) < 0)
		return -1;
	if (open_sockets(sb, &p, err) < 0 || clone_init(sb, &p, err) < 0)
		return -1;
	if (map_init(sb, deadline, err) < 0)
		return -1;
	awaits_root = p.awaits_root;
	plan_done(&p); /* our copies of init's ends too, so that its death is seen */
	if (opts->mapped && opts->mapped(sb, opts->mapped_data, err) < 0)
		return -1;
	if (awaits_root) {
		struct note n = { .kind = NOTE_GO };

		deadline = clock_boot_ms() + SETUP_TIMEOUT_MS; /* however long it took */
		if (caller_call(sb, note_send(sb->ctl, &n, NULL, 0)) < 0)
			return err_sys(err, "cannot release init");
	}
	if (await_ready(sb, deadline, &forker, err) < 0)
		return -1;
	if (verify(sb, &forker, err) < 0)
		return -1;
	if (opts->network == SANDBOX_NET_EGRESS && make_route(sb, err) < 0)
		return -1;
	return open_events(sb, err);
}

int sandbox_open(const struct sandbox_host *host, const struct sandbox_options *opts,
	struct sandbox **ret, struct err *err)
{
	_cleanup_(sandbox_freep) struct sandbox *sb = NULL;
	struct err own = ERR_INIT;

	err = err ? err : &own;
	if (sandbox_decide(&host->caps, opts->profile, opts->trust, opts->network, err) <
		0)
		return -1;
	if (opts->trust == SANDBOX_UNTRUSTED && opts->ids.how == SANDBOX_IDMAP_SELF)
		return err_set(err, ERR_DENIED,
			"untrusted work needs an id of its own, not the service's");
	if (idmap_check(&opts->ids, err) < 0)
		return -1;
	if (opts->ids.is_wide != sandbox_profile_is_wide(opts->profile))
		return err_set(err, ERR_BUG, "profile '%s' with ids that do not fit it",
			sandbox_profile_name(opts->profile));
	if (profile_traits(opts->profile)->owns_root && opts->rootfs < 0)
		return err_set(err, ERR_DENIED,
			"profile 'root' needs a prepared root, never the host's");
	sb = sandbox_new(host, opts);
	if (build(sb, opts, err) < 0)
		return -1;
	*ret = take_ptr(sb);
	return 0;
}

void sandbox_weaker(const struct sandbox *sb, struct strvec *out)
{
	struct sandbox_caps caps = sb->host->caps;
	struct sandbox_fact *ids = &caps.facts[SANDBOX_FACILITY_IDS];
	struct sandbox_fact *group = &caps.facts[SANDBOX_FACILITY_CGROUP];

	/* Who asked the spawner has more than the account it runs as could do itself. */
	if (sb->ids.how != SANDBOX_IDMAP_SELF)
		ids->state = SANDBOX_OK;
	if ((sb->cgroup.controllers & SANDBOX_CTL_MEMORY) &&
		(sb->cgroup.controllers & SANDBOX_CTL_PIDS))
		group->state = SANDBOX_OK;
	else if (group->state == SANDBOX_OK) {
		group->state = SANDBOX_WEAKER;
		(void)snprintf(group->weaker, sizeof(group->weaker),
			"cgroup: no memory or process limit");
	}
	sandbox_caps_weaker(&caps, out);
	if (!sb->own_net)
		strvec_push(out, "network: the host's own");
}

/* ---- while it runs ----------------------------------------------------------------- */

int sandbox_signal(struct sandbox *sb, int id, int sig, struct err *err)
{
	struct note n = { .kind = NOTE_SIGNAL, .id = id, .status = sig };

	if (sb->is_init_gone || (note_send(sb->ctl, &n, NULL, 0) < 0 && errno == EPIPE))
		return 0;
	return 0;
}

int sandbox_freeze(struct sandbox *sb, bool on, struct err *err)
{
	return cgroup_freeze(&sb->cgroup, on, err);
}

static int ask_socket(struct sandbox *sb, const char *addr, uint16_t port, int type,
	int *ret, struct err *err)
{
	struct note n = {
		.kind = NOTE_LISTEN, .port = port, .status = type, .id = ++sb->last_id
	};
	int64_t deadline = clock_boot_ms() + SETUP_TIMEOUT_MS;
	int asked = n.id, fd = -1;

	if (!sb->own_net)
		return err_set(
			err, ERR_UNSUPPORTED, "this job has no network of its own");
	child_cat(n.name, sizeof(n.name), addr);
	if (note_send(sb->ctl, &n, NULL, 0) < 0)
		return err_set(err, ERR_UNAVAILABLE, "the sandbox has ended");
	for (;;) {
		struct pollfd p = { .fd = sb->ctl, .events = POLLIN };
		int64_t left = deadline - clock_boot_ms();
		int rc;

		if (left <= 0)
			return err_set(err, ERR_TIMEOUT, "init did not answer in time");
		(void)poll(&p, 1, (int)left);
		rc = note_recv(sb->ctl, MSG_DONTWAIT, &n, &fd, 1, NULL);
		if (rc < 0 && errno == EAGAIN)
			continue;
		if (rc <= 0)
			return err_set(err, ERR_UNAVAILABLE, "the sandbox has ended");
		if (n.kind == NOTE_LISTENING && n.id == asked)
			break;
		events_hear(sb, &n);
		events_ring(
			sb); /* what was heard here must still wake the caller's loop */
	}
	errno = n.sys;
	if (n.sys || fd < 0)
		return err_sys(err, "cannot listen on %s port %u inside", addr, port);
	*ret = fd;
	return 0;
}

int sandbox_listen(
	struct sandbox *sb, const char *addr, uint16_t port, int *ret, struct err *err)
{
	return ask_socket(sb, addr, port, SOCK_STREAM, ret, err);
}

int sandbox_bind_udp(
	struct sandbox *sb, const char *addr, uint16_t port, int *ret, struct err *err)
{
	return ask_socket(sb, addr, port, SOCK_DGRAM, ret, err);
}

int sandbox_stats(const struct sandbox *sb, struct sandbox_stats *ret, struct err *err)
{
	(void)err;
	cgroup_stats(&sb->cgroup, ret);
	return 0;
}

/* ---- ending ------------------------------------------------------------------------ */

int sandbox_kill_start(struct sandbox *sb, struct err *err)
{
	if (sb->is_empty)
		return 0;
	(void)cgroup_kill(
		&sb->cgroup); /* also what init's death would reach a moment later */
	if (!sb->is_init_gone && fd_pidfd_signal(sb->init.pidfd, SIGKILL) < 0 &&
		errno != ESRCH)
		return err_sys(err, "cannot kill the job's init");
	return 0;
}

int sandbox_kill(struct sandbox *sb, int timeout_ms, struct err *err)
{
	int64_t deadline = clock_boot_ms() + timeout_ms;

	if (sb->is_empty)
		return 0;
	if (sandbox_kill_start(sb, err) < 0)
		return -1;
	/* Its end means that the kernel has reaped all of its pid namespace. */
	for (events_pump(sb); !sb->is_init_gone; events_pump(sb)) {
		struct pollfd p = { .fd = sb->init.pidfd, .events = POLLIN };
		int64_t left = deadline - clock_boot_ms();

		if (left <= 0)
			return err_set(
				err, ERR_TIMEOUT, "the processes of the job do not end");
		(void)poll(&p, 1, (int)left);
	}
	if (cgroup_wait_empty(&sb->cgroup, deadline, err) < 0)
		return -1;
	sb->is_empty = true; /* nobody is left who could have a child */
	return 0;
}

void sandbox_free(struct sandbox *sb)
{
	if (!sb)
		return;
	if (sb->init.pidfd >= 0)
		(void)sandbox_kill(
			sb, 10000, NULL); /* callers who must know call it before */
	if (sb->cgroup_name) {
		/* What cannot be removed is found again by sandbox_cgroup_list. */
		if (sb->privileged.remove_cgroup)
			(void)sb->privileged.remove_cgroup(
				sb->cgroup_name, sb->privileged.data, NULL);
		else if (sb->tree)
			(void)sandbox_cgroup_remove(sb->tree, sb->cgroup_name, NULL);
	}
	sandbox_cgroup_done(&sb->cgroup);
	cleanup_closep(&sb->init.pidfd);
	cleanup_closep(&sb->ctl);
	cleanup_closep(&sb->spawn);
	cleanup_closep(&sb->user_ns);
	cleanup_closep(&sb->poll_fd);
	cleanup_closep(&sb->bell);
	cleanup_closep(&sb->oom_fd);
	free(sb->cgroup_name);
	free(sb);
}
