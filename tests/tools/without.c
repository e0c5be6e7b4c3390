/* SPDX-License-Identifier: Apache-2.0 */
/*
 * without FEATURE[,FEATURE]... COMMAND [ARGUMENT]...
 *
 * Runs a command on a kernel that lacks something: the calls of FEATURE answer ENOSYS, for it
 * and all it starts. openat2, clone3, landlock, pidfd, mounts (by descriptor), seccomp.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

#define CALLS_MAX 8

static const struct {
	const char *name;
	int calls[CALLS_MAX]; /* the numbers of the newer calls are the same everywhere */
} features[] = {
	{ "openat2", { 437 } },
	{ "clone3", { 435 } },
	{ "landlock", { 444, 445, 446 } },
	{ "pidfd", { 434 } },
	{ "mounts", { 428, 429, 430, 431, 432, 442 } },
	{ "seccomp", { SYS_seccomp } },
};

static int refuse_name(const char *name, struct sock_filter *code, unsigned short *len)
{
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (strcmp(features[i].name, name) != 0)
			continue;
		for (size_t k = 0; k < CALLS_MAX && features[i].calls[k]; k++) {
			code[(*len)++] =
				(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
					(unsigned)features[i].calls[k], 0, 1);
			code[(*len)++] = (struct sock_filter)BPF_STMT(
				BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
		}
		return 0;
	}
	fprintf(stderr, "without: no feature '%s'\n", name);
	return -1;
}

int main(int argc, char **argv)
{
	struct sock_filter code[2 + 2 * CALLS_MAX * ARRAY_SIZE(features)];
	struct sock_fprog prog = { .filter = code };
	char *name, *rest;

	if (argc < 3) {
		fprintf(stderr, "usage: without FEATURE[,FEATURE]... COMMAND...\n");
		return 2;
	}
	code[prog.len++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (rest = argv[1]; (name = strsep(&rest, ","));)
		if ((size_t)prog.len + 2 * CALLS_MAX >= ARRAY_SIZE(code) ||
			refuse_name(name, code, &prog.len) < 0)
			return 2;
	code[prog.len++] =
		(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	/* root needs no no_new_privs for it, and keeps its setuid programs so. */
	if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 125;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0) {
		perror("without: the filter");
		return 125;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
