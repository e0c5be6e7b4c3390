/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attacks by system calls. They are made so that they do no harm where they succeed, which
 * they do outside: pointers and descriptors are bad, so that EFAULT or EBADF means "not
 * filtered".
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "sandbox/attack-internal.h"
#include "sandbox/sandbox-internal.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

void attack_say(const char *name, int value)
{
	(void)printf("%s %d\n", name, value);
}

void attack_say_rc(const char *name, long rc)
{
	attack_say(name, rc < 0 ? errno : 0);
}

long attack_bad_call(long nr)
{
	return syscall(nr, -1L, -1L, -1L, -1L, -1L, -1L);
}

/* FN in a child, because it may be killed for it. */
static void say_child(const char *name, int (*fn)(void))
{
	int status;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		_exit(fn());
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		attack_say_rc(name, -1);
	else if (WIFSIGNALED(status))
		attack_say(name, ATTACK_KILLED + WTERMSIG(status));
	else
		attack_say(name, WEXITSTATUS(status));
}

/* ---- calls ------------------------------------------------------------------------- */

void attack_refused(const struct attack_args *a)
{
	static const unsigned sets[] = {
		[SANDBOX_STRICT] = CALL_STRICT,
		[SANDBOX_STANDARD] = CALL_STANDARD,
		[SANDBOX_ROOT] = CALL_STANDARD,
		[SANDBOX_BUILD] = CALL_BUILD,
	};

	(void)setsid(); /* vhangup: of no terminal */
	for (size_t i = 0; i < sandbox_calls_len; i++) {
		int nr = (sandbox_calls[i].sets & sets[a->profile])
				 ? -1
				 : filter_call_number(&sandbox_calls[i]);

		if (nr >= 0 && !str_starts(sandbox_calls[i].name, "io_uring"))
			attack_say_rc(sandbox_calls[i].name, attack_bad_call(nr));
	}
}

void attack_io_uring(const struct attack_args *a)
{
	(void)a;
	attack_say_rc("io_uring_setup", attack_bad_call(425));
	attack_say_rc("io_uring_enter", attack_bad_call(426));
	attack_say_rc("io_uring_register", attack_bad_call(427));
}

void attack_mount_api(const struct attack_args *a)
{
	static const struct {
		int nr;
		const char *name;
	} calls[] = {
		{ 428, "open_tree" },
		{ 429, "move_mount" },
		{ 430, "fsopen" },
		{ 431, "fsconfig" },
		{ 432, "fsmount" },
		{ 433, "fspick" },
		{ 442, "mount_setattr" },
		{ 457, "statmount" },
		{ 458, "listmount" },
		{ 467, "open_tree_attr" },
	};

	(void)a;
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		attack_say_rc(calls[i].name, attack_bad_call(calls[i].nr));
}

void attack_clone3(const struct attack_args *a)
{
	uint64_t args[11] = { CLONE_NEWUSER, 0, 0, 0, SIGCHLD };
	long pid = syscall(SYS_clone3, args, sizeof(args));

	(void)a;
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		(void)waitpid((pid_t)pid, NULL, 0);
	attack_say_rc("clone3", pid);
}

static const struct {
	const char *name;
	unsigned long flag;
} new_flags[] = {
	{ "NEWTIME", CLONE_NEWTIME },
	{ "NEWNS", CLONE_NEWNS },
	{ "NEWCGROUP", CLONE_NEWCGROUP },
	{ "NEWUTS", CLONE_NEWUTS },
	{ "NEWIPC", CLONE_NEWIPC },
	{ "NEWUSER", CLONE_NEWUSER },
	{ "NEWPID", CLONE_NEWPID },
	{ "NEWNET", CLONE_NEWNET },
};

static void try_clone(const char *name, unsigned long flags)
{
	long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		(void)waitpid((pid_t)pid, NULL, 0);
	attack_say_rc(name, pid);
}

void attack_clone(const struct attack_args *a)
{
	char name[32];

	(void)a;
	for (size_t i = 0; i < ARRAY_SIZE(new_flags); i++) {
		try_clone(new_flags[i].name, new_flags[i].flag);
		(void)snprintf(name, sizeof(name), "%s+junk", new_flags[i].name);
		try_clone(name, new_flags[i].flag | 1ul << 40);
	}
}

void attack_unknown(const struct attack_args *a)
{
	char name[16];

	(void)a;
	for (int nr = 470; nr <= 600; nr++) {
		(void)snprintf(name, sizeof(name), "%d", nr);
		attack_say_rc(name, attack_bad_call(nr));
	}
	attack_say_rc("999", attack_bad_call(999));
}

#ifdef __x86_64__
static int by_interrupt(void)
{
	long rc = 20; /* getpid of 32-bit x86 */

	__asm__ volatile("int $0x80" : "+a"(rc) : : "memory", "r8", "r9", "r10", "r11");
	return rc > 0 ? 0 : (int)-rc;
}

static int by_x32(void)
{
	return syscall(0x40000000 | 39) < 0 ? errno : 0;
}

void attack_arch(const struct attack_args *a)
{
	(void)a;
	say_child("int80", by_interrupt);
	say_child("x32", by_x32);
}
#else
void attack_arch(const struct attack_args *a)
{
	(void)a;
	attack_say("native", ATTACK_KILLED + SIGSYS);
}
#endif

static void try_socket(const char *name, long family, long type, long protocol)
{
	long fd = syscall(SYS_socket, family, type, protocol);

	attack_say_rc(name, fd);
	if (fd >= 0)
		(void)close((int)fd);
}

void attack_families(const struct attack_args *a)
{
	char name[32];

	(void)a;
	for (int f = 0; f <= 46; f++) {
		if (f == AF_UNIX || f == AF_INET || f == AF_INET6 || f == AF_NETLINK)
			continue;
		(void)snprintf(name, sizeof(name), "family-%d", f);
		try_socket(name, f, f == AF_VSOCK ? SOCK_STREAM : SOCK_RAW, 0);
	}
	try_socket("family-38+junk", 1l << 32 | 38, SOCK_SEQPACKET, 0);
	try_socket("family-17+junk", 1l << 32 | 17, SOCK_RAW, 0);
}

void attack_netlink(const struct attack_args *a)
{
	char name[32];

	(void)a;
	for (int p = 1; p <= 21; p++) {
		(void)snprintf(name, sizeof(name), "netlink-%d", p);
		try_socket(name, AF_NETLINK, SOCK_RAW, p);
	}
}

void attack_ioctl(const struct attack_args *a)
{
	static const struct {
		const char *name;
		unsigned long request;
	} tries[] = {
		{ "TIOCSTI", TIOCSTI },
		{ "TIOCSTI+junk", 0x123ul << 32 | TIOCSTI },
		{ "TIOCLINUX", 0x541c },
		{ "TIOCLINUX+junk", 1ul << 40 | 0x541c },
		{ "TIOCSETD", TIOCSETD },
	};

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++)
		attack_say_rc(
			tries[i].name, syscall(SYS_ioctl, -1, tries[i].request, -1));
	/* A step leads a session without a terminal; there is none to push keys into. */
	if (a->inside)
		attack_open("/dev/tty", "/dev/tty", O_RDWR);
}

void attack_personality(const struct attack_args *a)
{
	(void)a;
	attack_say_rc("READ_IMPLIES_EXEC", syscall(SYS_personality, 0x0400000));
	attack_say_rc("MMAP_PAGE_ZERO", syscall(SYS_personality, 0x0100000));
	attack_say_rc("junk", syscall(SYS_personality, 1ul << 40));
}

void attack_userns(const struct attack_args *a)
{
	/* Where the limit can be written it is a lower namespace's, not the one that counts. */
	if (a->inside) {
		int fd = open("/proc/sys/user/max_user_namespaces", O_WRONLY | O_CLOEXEC);

		if (fd >= 0) {
			(void)!write(fd, "100", 3);
			(void)close(fd);
		}
	}
	try_clone("clone", CLONE_NEWUSER);
	attack_say_rc("unshare", unshare(CLONE_NEWUSER));
}

/* Bad pointers: where it is not refused nothing is set. */
void attack_clock(const struct attack_args *a)
{
	(void)a;
	attack_say_rc("settimeofday", attack_bad_call(SYS_settimeofday));
	attack_say_rc("clock_settime", syscall(SYS_clock_settime, 0, -1L));
	attack_say_rc("adjtimex", attack_bad_call(SYS_adjtimex));
	attack_say_rc("clock_adjtime", syscall(SYS_clock_adjtime, 0, -1L));
}

void attack_locked(const struct attack_args *a)
{
	(void)a;
	attack_say_rc("mlockall", attack_bad_call(SYS_mlockall));
	attack_say_rc("memfd_secret", attack_bad_call(447));
	attack_say_rc("remap_file_pages", attack_bad_call(SYS_remap_file_pages));
}
