/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confines a long-lived process of ours (planner, helper, proxy) by itself, for good. It
 * has read nothing hostile yet, so it may report its own failures.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/mem.h"
#include "sandbox/sandbox-internal.h"

static void write_own_map(const char *file, unsigned id)
{
	char text[48];

	(void)snprintf(text, sizeof(text), "%u %u 1\n", id, id);
	(void)child_write_file(AT_FDCWD, file, text);
}

/*
 * A better kernel or account gives more; the filter and Landlock stand without it. With the
 * right over our own namespaces no user namespace is needed (and host 0 is never mapped).
 */
static void separate(const struct sandbox_worker *w)
{
	int flags = CLONE_NEWIPC | CLONE_NEWUTS;
	unsigned uid = geteuid(), gid = getegid();

	if (!(w->flags & SANDBOX_WORKER_NET))
		flags |= CLONE_NEWNET;
	if (unshare(flags) == 0 || !uid || !gid)
		return;
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (unshare(flags | CLONE_NEWUSER) < 0)
		return;
	(void)child_write_file(AT_FDCWD, "/proc/self/setgroups", "deny");
	write_own_map("/proc/self/gid_map", gid);
	write_own_map("/proc/self/uid_map", uid);
}

static int limit(const struct sandbox_worker *w, struct err *err)
{
	const struct {
		uint64_t v;
		int resource;
		bool always;
	} limits[] = {
		{ 0, RLIMIT_CORE, true },
		{ w->memory, RLIMIT_DATA, false },
		{ w->nofile, RLIMIT_NOFILE, false },
		{ w->fsize, RLIMIT_FSIZE, false },
		{ w->cpu_seconds, RLIMIT_CPU, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if ((limits[i].always || limits[i].v) &&
			rlimits_set(limits[i].resource, limits[i].v) < 0)
			return err_sys(err, "cannot limit a worker");
	return 0;
}

static int landlock_worker(int abi, const struct sandbox_worker *w, struct err *err)
{
	_cleanup_close_ int ruleset = landlock_new(abi, !(w->flags & SANDBOX_WORKER_NET));
	enum landlock_kind ro =
		w->flags & SANDBOX_WORKER_EXEC ? LANDLOCK_READ : LANDLOCK_READ_ONLY;

	if (ruleset < 0)
		return err_sys(err, "cannot make a Landlock ruleset");
	for (size_t i = 0; i < w->rw_len; i++)
		if (landlock_allow(ruleset, abi, w->rw[i], LANDLOCK_FULL) < 0)
			return err_sys(err, "cannot add a Landlock rule");
	for (size_t i = 0; i < w->ro_len; i++)
		if (landlock_allow(ruleset, abi, w->ro[i], ro) < 0)
			return err_sys(err, "cannot add a Landlock rule");
	if (landlock_apply(ruleset) < 0)
		return err_sys(err, "cannot apply Landlock");
	return 0;
}

static int filter_worker(
	const struct sandbox_host *host, const struct sandbox_worker *w, struct err *err)
{
	_cleanup_(filter_done) struct filter calls = { 0 }, args = { 0 };
	unsigned sets = CALL_WORKER;
	bool is_ready;

	sets |= w->flags & SANDBOX_WORKER_NET ? CALL_WORKER_NET : 0;
	sets |= w->flags & SANDBOX_WORKER_EXEC ? CALL_WORKER_EXEC : 0;
	sets |= w->flags & SANDBOX_WORKER_FORK ? CALL_WORKER_FORK : 0;
	sets |= w->flags & SANDBOX_WORKER_ACCEPT ? CALL_WORKER_ACCEPT : 0;
	is_ready = host && sets == CALL_PROXY;
	if (!is_ready && (filter_compile_args(CALL_WORKER, &args, err) < 0 ||
				 filter_compile_calls(sets, &calls, err) < 0))
		return -1;
	if (filter_load(is_ready ? &host->args : &args) < 0 ||
		filter_load(is_ready ? &host->proxy : &calls) < 0)
		return err_sys(err, "cannot load the system call filter");
	return 0;
}

/* SETPCAP may be missing (a plain user): then the bounding set is the account's. */
static int drop_all_caps(struct err *err)
{
	if (child_drop_caps(0, 0) < 0 && (errno != EPERM || child_set_caps(0) < 0))
		return err_sys(err, "cannot drop capabilities");
	return 0;
}

int sandbox_confine_worker(
	const struct sandbox_host *host, const struct sandbox_worker *w, struct err *err)
{
	int abi = landlock_abi();

	if (!abi)
		return err_set(
			err, ERR_UNSUPPORTED, "a worker cannot be confined: no Landlock");
	if (w->flags & SANDBOX_WORKER_SEPARATE)
		separate(w);
	if (drop_all_caps(err) < 0 || limit(w, err) < 0)
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
		prctl(PR_SET_PDEATHSIG, w->flags & SANDBOX_WORKER_OUTLIVES ? 0 : SIGKILL, 0, 0,
			0) < 0)
		return err_sys(err, "cannot confine a worker");
	if (landlock_worker(abi, w, err) < 0)
		return -1;
	return filter_worker(host, w, err);
}
