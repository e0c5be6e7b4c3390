/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own code on a job's files. The files belong to ids the service is not; the agent is,
 * in the outer user namespace, their root: CHOWN, DAC_OVERRIDE and FOWNER over exactly the
 * ids of that map. What it reads may be hostile, so it is Landlocked to the folders given,
 * cannot make a socket, cannot execute, and was forked before any secret was there.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/sandbox-internal.h"

#define AGENT_CAPS (1ULL << CAP_CHOWN | 1ULL << CAP_DAC_OVERRIDE | 1ULL << CAP_FOWNER)

struct kept {
	int *fds;
	size_t len;
};

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void list_kept(const struct sandbox_agent *a, struct kept *ret)
{
	size_t n = 0;

	ret->fds = xcalloc(a->rw_len + a->ro_len + a->keep_len + 2, sizeof(int));
	for (size_t i = 0; i < a->rw_len; i++)
		ret->fds[n++] = a->rw[i];
	for (size_t i = 0; i < a->ro_len; i++)
		ret->fds[n++] = a->ro[i];
	for (size_t i = 0; i < a->keep_len; i++)
		ret->fds[n++] = a->keep[i];
	ret->len = n;
}

static void landlock_agent(
	struct child *c, const struct sandbox *sb, const struct sandbox_agent *a)
{
	int abi = sb->host->caps.landlock_abi;
	int ruleset = (int)child_must(
		c, landlock_new(abi, true), "make a Landlock ruleset", NULL);

	for (size_t i = 0; i < a->rw_len; i++)
		child_must(c, landlock_allow(ruleset, abi, a->rw[i], LANDLOCK_FULL),
			"add a Landlock rule", NULL);
	for (size_t i = 0; i < a->ro_len; i++)
		child_must(c, landlock_allow(ruleset, abi, a->ro[i], LANDLOCK_READ_ONLY),
			"add a Landlock rule", NULL);
	child_must(c, landlock_apply(ruleset), "apply Landlock", NULL);
	(void)close(ruleset);
}

static noreturn void agent_main(const struct sandbox *sb, const struct sandbox_agent *a,
	struct kept *kept, int status, pid_t parent)
{
	struct child c = { .fd = status };

	/* First of all: what of the caller's must not live on in us, its lock above all. */
	kept->fds[kept->len++] = status;
	kept->fds[kept->len++] = sb->user_ns;
	qsort(kept->fds, kept->len, sizeof(int), by_number);
	fd_close_from(3, kept->fds, kept->len);
	child_reset_signals();

	child_must(&c, setns(sb->user_ns, CLONE_NEWUSER),
		"enter the job's user namespace", NULL);
	(void)close(sb->user_ns);
	if (sb->ids.how != SANDBOX_IDMAP_SELF)
		child_must(&c, setgroups(0, NULL), "drop the groups", NULL);
	child_must(
		&c, syscall(SYS_setresgid, 0, 0, 0), "become the service's group", NULL);
	child_must(
		&c, syscall(SYS_setresuid, 0, 0, 0), "become the service's user", NULL);
	child_must(&c, child_drop_caps(AGENT_CAPS, 0), "drop capabilities", NULL);
	child_must(&c, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs", NULL);
	child_must(&c, prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "become undumpable", NULL);
	child_must(&c, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "die with the caller",
		NULL);
	if (getppid() != parent)
		_exit(127);
	landlock_agent(&c, sb, a);
	child_must(&c, filter_load(&sb->host->args), "load the first filter", NULL);
	child_must(&c, filter_load(&sb->host->agent), "load the second filter", NULL);
	(void)close(status);
	_exit(a->fn(a->data));
}

static int agent_started(int status, struct err *err)
{
	struct note n = { 0 };
	struct err end = ERR_INIT;

	if (note_await(status, clock_boot_ms() + SETUP_TIMEOUT_MS, &n, NULL,
		    "the job agent", &end) < 0 &&
		n.kind != NOTE_FAILED && end.code == ERR_UNAVAILABLE)
		return 0; /* it closed its end: all is set up */
	if (err)
		*err = end;
	return -1;
}

int sandbox_agent(const struct sandbox *sb, const struct sandbox_agent *agent,
	pid_t *ret_pid, int *ret_pidfd, struct err *err)
{
	_cleanup_close_ int ours = -1, theirs = -1, pidfd = -1;
	pid_t parent = getpid(), pid;
	struct kept kept;
	int pair[2];

	if (note_pair(pair, err) < 0)
		return -1;
	ours = pair[0];
	theirs = pair[1];
	list_kept(agent, &kept);
	pid = fork();
	if (pid == 0)
		agent_main(sb, agent, &kept, theirs, parent);
	free(kept.fds);
	if (pid < 0)
		return err_sys(err, "cannot fork the job agent");
	(void)close(take_fd(&theirs));
	pidfd = fd_pidfd_open(pid);
	if (pidfd < 0) {
		(void)err_sys(err, "cannot watch the job agent");
	} else if (agent_started(ours, err) == 0) {
		*ret_pid = pid;
		*ret_pidfd = take_fd(&pidfd);
		return 0;
	}
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return -1;
}
