/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inject PID read|write|exec PATH
 *
 * What a process could do if it were taken over: makes it, and not one like it, open PATH
 * for reading or for writing, or execute it, and prints what the kernel said: "ok" or the
 * name of the error. The process goes on as if nothing had been (but after a successful
 * exec). It has to be asleep in a system call. Needs the right to trace it: root.
 *
 * Exit status: 0 the call succeeded, 1 it was refused, 2 the call could not be made.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CANNOT 2

#if defined(__x86_64__)
#include <sys/user.h>

enum { SYSCALL_LEN = 2 };
static const unsigned char syscall_bytes[SYSCALL_LEN] = { 0x0f, 0x05 };

static int give_up(pid_t pid, const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return CANNOT;
}

/* It stands right behind its own syscall instruction, which is used once more. */
static int attach(pid_t pid, struct user_regs_struct *regs)
{
	int status;
	long word;

	if (ptrace(PTRACE_ATTACH, pid, NULL, NULL) < 0 ||
		waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status) ||
		ptrace(PTRACE_GETREGS, pid, NULL, regs) < 0)
		return -1;
	errno = 0;
	word = ptrace(PTRACE_PEEKTEXT, pid, (void *)(regs->rip - SYSCALL_LEN), NULL);
	if (errno)
		return -1;
	if (memcmp(&word, syscall_bytes, SYSCALL_LEN) != 0) {
		errno = EBUSY;
		return -1;
	}
	return 0;
}

static int call(pid_t pid, const struct user_regs_struct *at, long nr,
	const unsigned long *args, long *ret)
{
	struct user_regs_struct r = *at;
	int status;

	r.rip -= SYSCALL_LEN;
	r.rax = (unsigned long)nr;
	r.orig_rax = (unsigned long)-1;
	r.rdi = args[0];
	r.rsi = args[1];
	r.rdx = args[2];
	r.r10 = 0;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &r) < 0 ||
		ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0 ||
		waitpid(pid, &status, __WALL) != pid)
		return -1;
	if (!WIFSTOPPED(status)) { /* the filter killed it */
		*ret = -EPERM;
		return 0;
	}
	if (ptrace(PTRACE_GETREGS, pid, NULL, &r) < 0)
		return -1;
	*ret = (long)r.rax;
	return 0;
}

/* Below the red zone of the stack nothing is kept. */
static int poke(pid_t pid, unsigned long at, const char *text)
{
	size_t len = strlen(text) + 1;

	for (size_t i = 0; i < len; i += sizeof(long)) {
		long word = 0;

		memcpy(&word, text + i, len - i < sizeof(word) ? len - i : sizeof(word));
		if (ptrace(PTRACE_POKEDATA, pid, (void *)(at + i), (void *)word) < 0)
			return -1;
	}
	return 0;
}

static int inject(pid_t pid, const char *what, const char *path)
{
	struct user_regs_struct regs;
	bool is_exec = strcmp(what, "exec") == 0;
	unsigned long text, args[3] = { 0 };
	long ret, closed;

	if (attach(pid, &regs) < 0)
		return give_up(pid, "cannot attach");
	text = (regs.rsp - 8192) & ~15UL;
	if (poke(pid, text, path) < 0)
		return give_up(pid, "cannot write to it");
	args[0] = is_exec ? text : (unsigned long)AT_FDCWD;
	args[1] = is_exec ? 0 : text;
	args[2] = is_exec ? 0 : strcmp(what, "write") == 0 ? O_RDWR : O_RDONLY;
	if (call(pid, &regs, is_exec ? SYS_execve : SYS_openat, args, &ret) < 0)
		return give_up(pid, "cannot make the call");
	if (!is_exec && ret >= 0) {
		unsigned long fd[3] = { (unsigned long)ret, 0, 0 };

		if (call(pid, &regs, SYS_close, fd, &closed) < 0)
			return give_up(pid, "cannot close again");
	}
	if (!(is_exec && ret == 0) && ptrace(PTRACE_SETREGS, pid, NULL, &regs) < 0 &&
		errno != ESRCH)
		return give_up(pid, "cannot put it right again");
	(void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
	printf("%s\n", ret >= 0 ? "ok" : strerrorname_np((int)-ret));
	return ret >= 0 ? 0 : 1;
}
#else
static int inject(pid_t pid, const char *what, const char *path)
{
	(void)pid;
	(void)what;
	(void)path;
	fprintf(stderr, "inject: not for this processor\n");
	return CANNOT;
}
#endif

int main(int argc, char **argv)
{
	if (argc != 4 || (strcmp(argv[2], "read") != 0 && strcmp(argv[2], "write") != 0 &&
				 strcmp(argv[2], "exec") != 0)) {
		fprintf(stderr, "usage: inject PID read|write|exec PATH\n");
		return CANNOT;
	}
	return inject((pid_t)atoi(argv[1]), argv[2], argv[3]);
}
