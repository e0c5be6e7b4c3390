/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attacks themselves. They are made so that they do no harm where they succeed, which
 * they do outside: pointers and descriptors are bad, so that EFAULT or EBADF means "not
 * filtered"; files are opened for writing and never written.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "sandbox/attack-internal.h"
#include "sandbox/attack.h"
#include "sandbox/sandbox-internal.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static void say(const char *name, int value)
{
	(void)printf("%s %d\n", name, value);
}

static void say_rc(const char *name, long rc)
{
	say(name, rc < 0 ? errno : 0);
}

static long bad_call(long nr)
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
		say_rc(name, -1);
	else if (WIFSIGNALED(status))
		say(name, ATTACK_KILLED + WTERMSIG(status));
	else
		say(name, WEXITSTATUS(status));
}

/* ---- calls ------------------------------------------------------------------------- */

static void probe_refused(const struct attack_args *a)
{
	(void)a;
	(void)setsid(); /* vhangup: of no terminal */
	for (size_t i = 0; i < sandbox_calls_len; i++) {
		int nr = sandbox_calls[i].sets ? -1
					       : filter_call_number(&sandbox_calls[i]);

		if (nr >= 0 && !str_starts(sandbox_calls[i].name, "io_uring"))
			say_rc(sandbox_calls[i].name, bad_call(nr));
	}
}

static void probe_io_uring(const struct attack_args *a)
{
	(void)a;
	say_rc("io_uring_setup", bad_call(425));
	say_rc("io_uring_enter", bad_call(426));
	say_rc("io_uring_register", bad_call(427));
}

static void probe_mount_api(const struct attack_args *a)
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
		say_rc(calls[i].name, bad_call(calls[i].nr));
}

static void probe_clone3(const struct attack_args *a)
{
	uint64_t args[11] = { CLONE_NEWUSER, 0, 0, 0, SIGCHLD };
	long pid = syscall(SYS_clone3, args, sizeof(args));

	(void)a;
	if (pid == 0)
		_exit(0);
	if (pid > 0)
		(void)waitpid((pid_t)pid, NULL, 0);
	say_rc("clone3", pid);
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
	say_rc(name, pid);
}

static void probe_clone(const struct attack_args *a)
{
	char name[32];

	(void)a;
	for (size_t i = 0; i < ARRAY_SIZE(new_flags); i++) {
		try_clone(new_flags[i].name, new_flags[i].flag);
		(void)snprintf(name, sizeof(name), "%s+junk", new_flags[i].name);
		try_clone(name, new_flags[i].flag | 1ul << 40);
	}
}

static void probe_unknown(const struct attack_args *a)
{
	char name[16];

	(void)a;
	for (int nr = 470; nr <= 600; nr++) {
		(void)snprintf(name, sizeof(name), "%d", nr);
		say_rc(name, bad_call(nr));
	}
	say_rc("999", bad_call(999));
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

static void probe_arch(const struct attack_args *a)
{
	(void)a;
	say_child("int80", by_interrupt);
	say_child("x32", by_x32);
}
#else
static void probe_arch(const struct attack_args *a)
{
	(void)a;
	say("native", ATTACK_KILLED + SIGSYS);
}
#endif

static void try_socket(const char *name, long family, long type, long protocol)
{
	long fd = syscall(SYS_socket, family, type, protocol);

	say_rc(name, fd);
	if (fd >= 0)
		(void)close((int)fd);
}

static void probe_families(const struct attack_args *a)
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

static void probe_netlink(const struct attack_args *a)
{
	char name[32];

	(void)a;
	for (int p = 1; p <= 21; p++) {
		(void)snprintf(name, sizeof(name), "netlink-%d", p);
		try_socket(name, AF_NETLINK, SOCK_RAW, p);
	}
}

static void probe_ioctl(const struct attack_args *a)
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

	(void)a;
	for (size_t i = 0; i < ARRAY_SIZE(tries); i++)
		say_rc(tries[i].name, syscall(SYS_ioctl, -1, tries[i].request, -1));
}

static void probe_personality(const struct attack_args *a)
{
	(void)a;
	say_rc("READ_IMPLIES_EXEC", syscall(SYS_personality, 0x0400000));
	say_rc("MMAP_PAGE_ZERO", syscall(SYS_personality, 0x0100000));
	say_rc("junk", syscall(SYS_personality, 1ul << 40));
}

static void probe_userns(const struct attack_args *a)
{
	(void)a;
	try_clone("clone", CLONE_NEWUSER);
	say_rc("unshare", unshare(CLONE_NEWUSER));
}

static void probe_realtime(const struct attack_args *a)
{
	struct sched_param p = { .sched_priority = 10 };

	(void)a;
	say_rc("SCHED_FIFO", sched_setscheduler(0, SCHED_FIFO, &p));
	p.sched_priority = 0;
	(void)sched_setscheduler(0, SCHED_OTHER, &p);
	say_rc("nice", setpriority(PRIO_PROCESS, 0, -10));
}

/* ---- processes --------------------------------------------------------------------- */

static void try_open(const char *name, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int value = fd < 0 ? errno : 0;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
		st.st_rdev == makedev(1, 3))
		value = ATTACK_MASKED;
	if (fd >= 0)
		(void)close(fd);
	say(name, value);
}

static void try_memory(pid_t pid, const char *who)
{
	static const char *const files[] = { "mem", "environ", "maps", "auxv", "exe",
		"root/etc", "cwd/", "fd" };
	char path[64], name[64], byte;
	struct iovec here = { &byte, 1 }, there = { (void *)&sandbox_calls_len, 1 };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, files[i]);
		(void)snprintf(name, sizeof(name), "%s:%s", who, files[i]);
		try_open(name, path, O_RDONLY);
	}
	(void)snprintf(name, sizeof(name), "%s:process_vm_readv", who);
	say_rc(name, process_vm_readv(pid, &here, 1, &there, 1, 0));
	(void)snprintf(name, sizeof(name), "%s:ptrace", who);
	say_rc(name, ptrace(PTRACE_SEIZE, pid, 0, 0));
}

static void probe_memory(const struct attack_args *a)
{
	if (a->inside) {
		try_memory(1, "init");
		try_memory(2, "forker");
	} else {
		try_memory(a->outer, "init");
		try_memory(a->outer, "forker");
	}
}

static void probe_status(const struct attack_args *a)
{
	static const struct {
		const char *line, *name;
	} want[] = {
		{ "CapInh:\t0000000000000000\n", "CapInh" },
		{ "CapPrm:\t0000000000000000\n", "CapPrm" },
		{ "CapEff:\t0000000000000000\n", "CapEff" },
		{ "CapBnd:\t0000000000000000\n", "CapBnd" },
		{ "CapAmb:\t0000000000000000\n", "CapAmb" },
		{ "NoNewPrivs:\t1\n", "NoNewPrivs" },
		{ "Seccomp:\t2\n", "Seccomp" },
	};
	char text[8192] = "";
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	(void)a;
	for (size_t i = 0; i < ARRAY_SIZE(want); i++)
		say(want[i].name, len > 0 && strstr(text, want[i].line) ? 0 : EPROTO);
	if (fd >= 0)
		(void)close(fd);
}

static void probe_root(const struct attack_args *a)
{
	(void)a;
	say_rc("setuid", setresuid(0, 0, 0));
	say_rc("setgid", setresgid(0, 0, 0));
}

static void probe_signal(const struct attack_args *a)
{
	say_rc("outer", kill(a->outer, 0));
	if (a->inside)
		say_rc("init", kill(1, SIGCONT));
}

static void probe_descriptors(const struct attack_args *a)
{
	char path[4096];
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	int n = 0;

	(void)a;
	while (d && (e = readdir(d))) {
		long fd = strtol(e->d_name, NULL, 10);

		if (*e->d_name != '.' && fd > 2 && fd != dirfd(d))
			n++;
	}
	if (d)
		(void)closedir(d);
	say("open", n ? EMFILE : 0);
	say("cwd",
		syscall(SYS_getcwd, path, sizeof(path)) > 0 && *path == '/' ? 0 : EXDEV);
}

static void probe_exe(const struct attack_args *a)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", a->inside ? 1 : (int)a->outer);
	try_open("init", path, O_RDWR);
	try_open("self", "/proc/self/exe", O_RDWR);
}

/* ---- files ------------------------------------------------------------------------- */

static void try_paths(const char *const *paths, int flags)
{
	for (; *paths; paths++)
		try_open(*paths, *paths, flags);
}

static void probe_write_kernel(const struct attack_args *a)
{
	static const char *const paths[] = { "/proc/sys/kernel/core_pattern",
		"/proc/sysrq-trigger", "/proc/sys/vm/drop_caches",
		"/proc/sys/kernel/hostname", "/proc/irq/default_smp_affinity",
		"/proc/sys/user/max_user_namespaces", "/sys/kernel/uevent_helper",
		"/sys/fs/cgroup/memory/release_agent",
		"/proc/sys/fs/binfmt_misc/register", NULL };

	(void)a;
	try_paths(paths, O_WRONLY);
}

static void probe_read_kernel(const struct attack_args *a)
{
	static const char *const paths[] = { "/proc/kcore", "/proc/keys",
		"/proc/timer_list", "/proc/kallsyms", "/proc/kmsg", "/proc/interrupts",
		"/sys/firmware", "/sys/kernel/debug", "/dev/mem", "/dev/kmsg",
		"/etc/shadow", "/root", NULL };

	(void)a;
	try_paths(paths, O_RDONLY);
}

static void probe_devices(const struct attack_args *a)
{
	static const char *const paths[] = { "/dev/fuse", "/dev/kvm", "/dev/net/tun",
		"/dev/loop-control", "/dev/loop0", "/dev/sda", "/dev/vda", NULL };
	static const char *const at = "/tmp/attack-node";

	(void)a;
	say_rc("mknod-char", mknod(at, S_IFCHR | 0600, makedev(1, 1)));
	(void)unlink(at);
	say_rc("mknod-block", mknod(at, S_IFBLK | 0600, makedev(7, 0)));
	(void)unlink(at);
	try_paths(paths, O_RDWR);
}

static void probe_system_files(const struct attack_args *a)
{
	static const char *const paths[] = { "/usr/attack-file", "/attack-file",
		"/etc/attack-file", "/var/attack-file", NULL };

	(void)a;
	for (const char *const *p = paths; *p; p++) {
		int fd = open(*p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		say_rc(*p, fd);
		if (fd >= 0) {
			(void)close(fd);
			(void)unlink(*p);
		}
	}
}

static void probe_markers(const struct attack_args *a)
{
	static const char *const dirs[] = { "/tmp", "/var/tmp", "/dev/shm", NULL };
	char path[128];

	for (const char *const *d = dirs; *d; d++) {
		(void)snprintf(path, sizeof(path), "%s/%s", *d, a->marker);
		try_open(*d, path, O_RDONLY);
	}
	say_rc("sysv-shm", shmget((key_t)a->outer, 1, 0));
}

/* ---- network ----------------------------------------------------------------------- */

static void try_connect(
	const char *name, const struct sockaddr *to, socklen_t len, int type)
{
	int fd = socket(to->sa_family, type | SOCK_CLOEXEC, 0);

	say_rc(name, fd < 0 ? -1 : connect(fd, to, len));
	if (fd >= 0)
		(void)close(fd);
}

static void probe_abstract(const struct attack_args *a)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = strlen(a->abstract);

	if (len + 1 > sizeof(to.sun_path))
		return;
	memcpy(to.sun_path + 1, a->abstract, len);
	try_connect("abstract", (struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len),
		SOCK_STREAM);
}

static void probe_network(const struct attack_args *a)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)a->port) };

	(void)inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	try_connect("host-loopback", (struct sockaddr *)&to, sizeof(to), SOCK_STREAM);
	/* Nothing is sent: a datagram socket only looks for the route. */
	(void)inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
	if (a->inside)
		try_connect("route", (struct sockaddr *)&to, sizeof(to), SOCK_DGRAM);
}

/* ---- the table --------------------------------------------------------------------- */

#define HELD(...)           \
	{                   \
		__VA_ARGS__ \
	}

const struct attack sandbox_attacks[] = {
	{ "SB01", "forbidden system calls: mount bpf keyctl ...", probe_refused,
		HELD(EPERM), false, NULL },
	{ "SB02", "io_uring, which goes past a filter", probe_io_uring, HELD(EPERM),
		false, NULL },
	{ "SB03", "the new mount calls, by number", probe_mount_api, HELD(ENOSYS), false,
		NULL },
	{ "SB04", "clone3 with a user namespace in its struct", probe_clone3,
		HELD(ENOSYS), false, NULL },
	{ "SB05", "clone with each namespace flag, also with junk bits", probe_clone,
		HELD(EPERM), false, NULL },
	{ "SB06", "system calls of a kernel to come", probe_unknown, HELD(ENOSYS), false,
		"no kernel knows them" },
	{ "SB07", "32-bit and x32 calls, around the filter", probe_arch,
		HELD(ATTACK_KILLED + SIGSYS), false, NULL },
	{ "SB08", "sockets of every odd family", probe_families, HELD(EAFNOSUPPORT),
		false, NULL },
	{ "SB09", "netlink beyond routes", probe_netlink, HELD(EAFNOSUPPORT), false,
		NULL },
	{ "SB10", "push keys into a terminal, also with junk bits", probe_ioctl,
		HELD(EPERM), false, NULL },
	{ "SB11", "weaken memory by personality", probe_personality, HELD(ENOSYS), false,
		NULL },
	{ "SB12", "read the memory of init and forker", probe_memory,
		HELD(EACCES, EPERM, ESRCH), false, NULL },
	{ "SB13", "nested user namespaces", probe_userns, HELD(EPERM, ENOSPC), false,
		NULL },
	{ "SB14", "become root", probe_root, HELD(EINVAL, EPERM), false, NULL },
	{ "SB15", "capabilities or privileges left", probe_status, HELD(0), true, NULL },
	{ "SB17", "write the kernel's switches", probe_write_kernel,
		HELD(EROFS, EACCES, ENOENT, EPERM, ATTACK_MASKED), false, NULL },
	{ "SB18", "read the kernel's secrets", probe_read_kernel,
		HELD(EACCES, ENOENT, EPERM, ATTACK_MASKED), false, NULL },
	{ "SB20", "descriptors left open", probe_descriptors, HELD(0), true, NULL },
	{ "SB21", "overwrite our program through /proc", probe_exe,
		HELD(EACCES, EROFS, EPERM), false, NULL },
	{ "SB22", "device nodes", probe_devices, HELD(EPERM, EACCES, ENOENT), false,
		NULL },
	{ "SB23", "signal init and processes outside", probe_signal, HELD(EPERM, ESRCH),
		false, NULL },
	{ "SB24", "an abstract socket of the host", probe_abstract,
		HELD(ECONNREFUSED, EPERM), false, NULL },
	{ "SB25", "files and memory of others", probe_markers, HELD(ENOENT), false,
		NULL },
	{ "SB29", "write into the system", probe_system_files, HELD(EROFS, EACCES), false,
		NULL },
	{ "NET01", "the host's loopback and a way out", probe_network,
		HELD(ECONNREFUSED, ENETUNREACH), false, NULL },
	{ "RS05", "real-time priority", probe_realtime, HELD(EPERM, EACCES), false,
		NULL },
};
const size_t sandbox_attacks_len = ARRAY_SIZE(sandbox_attacks);

int sandbox_attack_probe(const char *const *argv)
{
	struct attack_args a = { .abstract = "", .marker = "" };
	const char *id = argv[0];

	for (const char *const *s = id ? argv + 1 : argv; *s; s++) {
		if (!strcmp(*s, "inside"))
			a.inside = true;
		else if (str_starts(*s, "outer="))
			a.outer = (pid_t)strtol(*s + 6, NULL, 10);
		else if (str_starts(*s, "port="))
			a.port = (int)strtol(*s + 5, NULL, 10);
		else if (str_starts(*s, "abstract="))
			a.abstract = *s + 9;
		else if (str_starts(*s, "marker="))
			a.marker = *s + 7;
	}
	for (size_t i = 0; id && i < sandbox_attacks_len; i++) {
		if (strcmp(sandbox_attacks[i].id, id) != 0)
			continue;
		sandbox_attacks[i].probe(&a);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	return 2;
}
