/* SPDX-License-Identifier: Apache-2.0 */
/* Forks that need more than fork(2): namespaces, a cgroup to be born in, another parent. */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/sandbox-internal.h"

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

struct clone3_args { /* of our own: old headers lack the last members */
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls,
		set_tid, set_tid_size, cgroup;
};

/*
 * The fallback is for kernels or outer filters without clone3. It cannot enter a cgroup:
 * the caller's plan does that with cgroup.procs then.
 */
static long clone_old(uint64_t flags, int *pidfd)
{
#if defined(__s390__) || defined(__CRIS__)
	return syscall(SYS_clone, 0, flags | CLONE_PIDFD | SIGCHLD, pidfd, 0, 0);
#else
	return syscall(SYS_clone, flags | CLONE_PIDFD | SIGCHLD, 0, pidfd, 0, 0);
#endif
}

int ns_clone(uint64_t flags, int cgroup, struct ns_child *ret)
{
	int pidfd = -1;
	struct clone3_args args = {
		.flags = flags | CLONE_PIDFD | (cgroup >= 0 ? CLONE_INTO_CGROUP : 0),
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
		.cgroup = cgroup >= 0 ? (uint64_t)cgroup : 0,
	};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid < 0 && cgroup < 0 && (errno == ENOSYS || errno == EPERM))
		pid = clone_old(flags, &pidfd);
	if (pid < 0)
		return -1;
	if (pid == 0)
		return 0;
	ret->pid = (pid_t)pid;
	ret->pidfd = pidfd;
	return 1;
}

long ns_fork_sibling(void)
{
#if defined(__s390__) || defined(__CRIS__)
	return syscall(SYS_clone, 0, CLONE_PARENT | SIGCHLD, 0, 0, 0);
#else
	return syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
#endif
}
