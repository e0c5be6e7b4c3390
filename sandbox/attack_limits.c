/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attacks on what all share: processors, memory, processes, disk, and on the end of a job.
 * Outside they take little and give it back.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "sandbox/attack-internal.h"

#define MEGA (1024 * 1024)

void attack_realtime(const struct attack_args *a)
{
	struct sched_param p = { .sched_priority = 10 };

	(void)a;
	attack_say_rc("SCHED_FIFO", sched_setscheduler(0, SCHED_FIFO, &p));
	p.sched_priority = 0;
	(void)sched_setscheduler(0, SCHED_OTHER, &p);
	attack_say_rc("nice", setpriority(PRIO_PROCESS, 0, -10));
}

#define FORKS 300 /* the tight sandbox has 64 */

void attack_forks(const struct attack_args *a)
{
	pid_t pids[FORKS];
	int n = 0, sys = 0;

	(void)a;
	while (n < FORKS) {
		pids[n] = fork();
		if (pids[n] == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
			(void)pause();
			_exit(0);
		}
		if (pids[n] < 0) {
			sys = errno;
			break;
		}
		n++;
	}
	for (int i = 0; i < n; i++)
		(void)kill(pids[i], SIGKILL);
	for (int i = 0; i < n; i++)
		(void)waitpid(pids[i], NULL, 0);
	attack_say("forks", sys);
}

#define HOG ((size_t)256 * MEGA) /* the tight sandbox has 96 MiB */

void attack_hog(const struct attack_args *a)
{
	volatile char *p = mmap(NULL, HOG, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		-1, /* cppcheck-suppress invalidFunctionArg */
		0);

	(void)a;
	if (p == MAP_FAILED) {
		attack_say_rc("anonymous", -1);
		return;
	}
	for (size_t i = 0; i < HOG; i += 4096)
		p[i] = 1;
	(void)munmap((void *)p, HOG);
	attack_say("anonymous", 0);
}

/* Eight files of 8 MiB: each small, together more than the tight sandbox's 8 MiB. */
static int fill_shm(void)
{
	static const char zeros[64 * 1024];
	char path[64];
	int sys = 0;

	for (int i = 0; i < 8; i++) {
		int fd;

		(void)snprintf(path, sizeof(path), "/dev/shm/attack-fill-%d", i);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0)
			sys = errno;
		for (size_t k = 0; !sys && k < 8 * MEGA / sizeof(zeros); k++)
			if (write(fd, zeros, sizeof(zeros)) < 0)
				sys = errno;
		if (fd >= 0)
			(void)close(fd);
	}
	for (int i = 0; i < 8; i++) {
		(void)snprintf(path, sizeof(path), "/dev/shm/attack-fill-%d", i);
		(void)unlink(path);
	}
	return sys;
}

#define INODES 20000 /* the tight sandbox has 16384 */

static int fill_inodes(void)
{
	int dir, sys = 0, n = 0;
	char name[16];

	(void)mkdir("/dev/shm/attack-inodes", 0700);
	dir = open("/dev/shm/attack-inodes", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errno;
	for (; n < INODES && !sys; n++) {
		(void)snprintf(name, sizeof(name), "%d", n);
		if (mknodat(dir, name, S_IFREG | 0600, 0) < 0)
			sys = errno;
	}
	while (n-- > 0) {
		(void)snprintf(name, sizeof(name), "%d", n);
		(void)unlinkat(dir, name, 0);
	}
	(void)close(dir);
	(void)rmdir("/dev/shm/attack-inodes");
	return sys;
}

void attack_fill(const struct attack_args *a)
{
	const char *const path = "/tmp/attack-fill";
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	(void)a;
	(void)signal(SIGXFSZ, SIG_IGN);
	/* Sparse: a GiB of nothing. */
	attack_say_rc("one-file", fd < 0 ? -1 : ftruncate(fd, 1024L * MEGA));
	if (fd >= 0)
		(void)close(fd);
	(void)unlink(path);
	attack_say("shm", fill_shm());
	attack_say("inodes", fill_inodes());
}

void attack_counts(const struct attack_args *a)
{
	const size_t size = (size_t)64 * MEGA; /* the limit is 8 */
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		-1, /* cppcheck-suppress invalidFunctionArg */
		0);
	int fds[300]; /* the tight sandbox has 256 */
	int n = 0, sys = 0;

	(void)a;
	while (n < (int)ARRAY_SIZE(fds) && !sys) {
		fds[n] = fcntl(0, F_DUPFD_CLOEXEC, 3);
		if (fds[n] < 0)
			sys = errno;
		else
			n++;
	}
	while (n > 0)
		(void)close(fds[--n]);
	attack_say("descriptors", sys);
	/* The call itself: under a sanitizer the function of this name does nothing. */
	attack_say_rc("mlock",
		p == MAP_FAILED ? -1 : (int)syscall(SYS_mlock, p, size));
	if (p != MAP_FAILED)
		(void)munmap(p, size);
}

/*
 * A piped core_pattern starts a program of the host's with the memory of the step as its
 * input, whatever the limit is - but for a limit of 1, which the kernel takes for "by a
 * handler itself". So that is what a step has, and keeps.
 */
void attack_core(const struct attack_args *a)
{
	struct rlimit low = { 0, 0 }, high = { MEGA, MEGA }, now = { 0, 0 };

	(void)a;
	(void)setrlimit(RLIMIT_CORE, &high);
	(void)setrlimit(RLIMIT_CORE, &low);
	if (getrlimit(RLIMIT_CORE, &now) < 0)
		attack_say_rc("limit", -1);
	else
		attack_say("limit", now.rlim_cur == 1 && now.rlim_max == 1 ? EPERM : 0);
}

/* ---- the end of a job -------------------------------------------------------------- */

#define BACKSTOP_S 60 /* should all else fail */

static void become_deaf(void)
{
	for (int sig = 1; sig < NSIG; sig++)
		(void)signal(sig, SIG_IGN);
}

/* Forked twice, a session of its own, no parent, no environment, deaf; holds its output. */
void attack_daemon(const struct attack_args *a)
{
	pid_t pid;

	(void)a;
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0) {
		(void)setsid();
		if (fork() != 0)
			_exit(0);
		become_deaf();
		(void)clearenv();
		(void)close(0);
		(void)close(2);
		for (int i = 0; i < BACKSTOP_S; i++)
			(void)sleep(1);
		_exit(0);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}

void attack_deaf(const struct attack_args *a)
{
	(void)a;
	become_deaf();
	attack_say("deaf", 0);
	(void)fflush(stdout);
	for (int i = 0; i < BACKSTOP_S; i++)
		(void)sleep(1);
}
