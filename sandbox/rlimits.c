/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resource limits of a step. Each is the smaller of what we want and the own hard limit: we
 * never need the right to raise one. No RLIMIT_AS: sanitizers and JVMs reserve terabytes.
 */
#include <sys/resource.h>

#include "sandbox/sandbox-internal.h"

int rlimits_set(int resource, uint64_t wanted)
{
	struct rlimit now, then;

	if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
		return -1;
	then.rlim_max = wanted < now.rlim_max ? wanted : now.rlim_max;
	then.rlim_cur = then.rlim_max;
	return setrlimit((__rlimit_resource_t)resource, &then);
}

static const struct {
	int resource;
	uint64_t wanted;
} fixed[] = {
	/*
	 * Not 0: a piped core_pattern ignores that and hands the step's memory, secrets and
	 * all, to a program of the host's. 1 is what the kernel gives such a program itself,
	 * so as not to dump it in turn; and a file of one byte is none (seccomp.c keeps it so).
	 */
	{ RLIMIT_CORE, 1 },
	{ RLIMIT_MEMLOCK, 8 << 20 },
	{ RLIMIT_RTPRIO, 0 },
	{ RLIMIT_NICE, 0 },
	/* Counted for the account that makes jobs, too: a part of the usual 819200. */
	{ RLIMIT_MSGQUEUE, 819200 / SHARE_OF_JOB },
	{ RLIMIT_SIGPENDING, 16384 },
};

int rlimits_apply(const struct sandbox_limits *limits)
{
	struct rlimit stack;

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		if (rlimits_set(fixed[i].resource, fixed[i].wanted) < 0)
			return -1;
	if (limits->nofile && rlimits_set(RLIMIT_NOFILE, limits->nofile) < 0)
		return -1;
	/*
	 * Counted per user namespace (5.14): the job's processes alone. Init and forker are
	 * of another one or another id; the backstop where there is no pids controller.
	 */
	if (limits->pids && rlimits_set(RLIMIT_NPROC, limits->pids + 2) < 0)
		return -1;
	if (limits->fsize && rlimits_set(RLIMIT_FSIZE, limits->fsize) < 0)
		return -1;
	/* 8 MiB soft as everywhere, hard untouched: sanitizers and rustc raise it. */
	if (getrlimit(RLIMIT_STACK, &stack) < 0)
		return -1;
	stack.rlim_cur = stack.rlim_max < 8 << 20 ? stack.rlim_max : 8 << 20;
	return setrlimit(RLIMIT_STACK, &stack);
}
