/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attacks on what else is there: processes, files, the network. Files are opened for writing
 * and never written; what is made is taken away.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "sandbox/attack-internal.h"
#include "sandbox/sandbox-internal.h"

/* ---- processes --------------------------------------------------------------------- */

void attack_open(const char *name, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int value = fd < 0 ? errno : 0;

	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
		st.st_rdev == makedev(1, 3))
		value = ATTACK_MASKED;
	if (fd >= 0)
		(void)close(fd);
	attack_say(name, value);
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
		attack_open(name, path, O_RDONLY);
	}
	(void)snprintf(name, sizeof(name), "%s:process_vm_readv", who);
	attack_say_rc(name, process_vm_readv(pid, &here, 1, &there, 1, 0));
	(void)snprintf(name, sizeof(name), "%s:ptrace", who);
	attack_say_rc(name, ptrace(PTRACE_SEIZE, pid, 0, 0));
}

/*
 * The server and the executor are outside of the pid namespace: their numbers name nobody
 * inside, and what cannot be named has no files in /proc.
 */
void attack_memory(const struct attack_args *a)
{
	try_memory(a->inside ? 1 : a->outer, "init");
	try_memory(a->inside ? 2 : a->outer, "forker");
	try_memory(a->outer, "server");
}

/* The line NAME of TEXT is this number and no other. */
static bool has_caps(const char *text, const char *name, uint64_t want)
{
	const char *at = strstr(text, name);

	return at && strtoull(at + strlen(name), NULL, 16) == want;
}

void attack_status(const struct attack_args *a)
{
	static const struct {
		const char *line, *name;
		bool is_profiles; /* it is what the profile gives; else there is none */
	} caps[] = {
		{ "CapInh:\t", "CapInh", false },
		{ "CapPrm:\t", "CapPrm", true },
		{ "CapEff:\t", "CapEff", true },
		{ "CapBnd:\t", "CapBnd", true },
		{ "CapAmb:\t", "CapAmb", false },
	};
	char text[8192] = "";
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	uint64_t all = 0; /* that this kernel has */

	for (unsigned long cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		all |= 1ULL << cap;
	for (size_t i = 0; i < ARRAY_SIZE(caps); i++) {
		uint64_t want =
			caps[i].is_profiles ? profile_traits(a->profile)->caps & all : 0;

		attack_say(caps[i].name,
			len > 0 && has_caps(text, caps[i].line, want) ? 0 : EPROTO);
	}
	attack_say("NoNewPrivs", strstr(text, "NoNewPrivs:\t1\n") ? 0 : EPROTO);
	attack_say("Seccomp", strstr(text, "Seccomp:\t2\n") ? 0 : EPROTO);
	if (fd >= 0)
		(void)close(fd);
}

static void *idle(void *data)
{
	(void)pause();
	return data;
}

/* A filter that was put on before a thread is that thread's, too. */
void attack_threads(const struct attack_args *a)
{
	DIR *d = NULL;
	struct dirent *e;
	int unfiltered = 0, seen = 0;
	pthread_t t;

	(void)a;
	for (int i = 0; i < 4; i++)
		if (pthread_create(&t, NULL, idle, NULL) == 0)
			(void)pthread_detach(t);
	d = opendir("/proc/self/task");
	while (d && (e = readdir(d))) {
		char path[300], text[8192] = "";
		int fd;

		if (*e->d_name == '.')
			continue;
		(void)snprintf(
			path, sizeof(path), "/proc/self/task/%s/status", e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 ||
			!strstr(text, "NoNewPrivs:\t1\n") ||
			!strstr(text, "Seccomp:\t2\n"))
			unfiltered++;
		seen++;
		if (fd >= 0)
			(void)close(fd);
	}
	if (d)
		(void)closedir(d);
	attack_say("threads", seen == 5 && !unfiltered ? 0 : EPROTO);
}

#define FAR_ID 4000000000u

void attack_root(const struct attack_args *a)
{
	(void)a;
	/* Before it is root: outside, that one may become anybody. */
	attack_say_rc("setgid", setresgid(0, 0, 0));
	attack_say_rc("setuid", setresuid(0, 0, 0));
	/* Past every range. */
	attack_say_rc("another-gid", setresgid(FAR_ID, FAR_ID, FAR_ID));
	attack_say_rc("another-uid", setresuid(FAR_ID, FAR_ID, FAR_ID));
}

void attack_signal(const struct attack_args *a)
{
	attack_say_rc("outer", kill(a->outer, 0));
	if (a->inside)
		attack_say_rc("init", kill(1, SIGCONT));
}

void attack_descriptors(const struct attack_args *a)
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
	attack_say("open", n ? EMFILE : 0);
	attack_say("cwd",
		syscall(SYS_getcwd, path, sizeof(path)) > 0 && *path == '/' ? 0 : EXDEV);
}

void attack_exe(const struct attack_args *a)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", a->inside ? 1 : (int)a->outer);
	attack_open("init", path, O_RDWR);
	attack_open("self", "/proc/self/exe", O_RDWR);
}

/* ---- files ------------------------------------------------------------------------- */

static void try_paths(const char *const *paths, int flags)
{
	for (; *paths; paths++)
		attack_open(*paths, *paths, flags);
}

void attack_write_kernel(const struct attack_args *a)
{
	static const char *const paths[] = { "/proc/sys/kernel/core_pattern",
		"/proc/sysrq-trigger", "/proc/sys/vm/drop_caches",
		"/proc/sys/kernel/hostname", "/proc/irq/default_smp_affinity",
		"/proc/sys/user/max_user_namespaces", "/sys/kernel/uevent_helper",
		"/sys/fs/cgroup/memory/release_agent",
		"/proc/sys/fs/binfmt_misc/register", "/proc/1/oom_score_adj",
		"/proc/2/oom_score_adj", NULL };

	(void)a;
	try_paths(paths, O_WRONLY);
}

void attack_read_kernel(const struct attack_args *a)
{
	static const char *const paths[] = { "/proc/kcore", "/proc/keys",
		"/proc/timer_list", "/proc/kallsyms", "/proc/kmsg", "/proc/interrupts",
		"/sys/firmware", "/sys/kernel/debug", "/dev/mem", "/dev/kmsg",
		"/etc/shadow", "/root", NULL };

	(void)a;
	try_paths(paths, O_RDONLY);
}

void attack_devices(const struct attack_args *a)
{
	static const char *const paths[] = { "/dev/fuse", "/dev/kvm", "/dev/net/tun",
		"/dev/loop-control", "/dev/loop0", "/dev/sda", "/dev/vda", NULL };
	static const char *const at = "/tmp/attack-node";

	(void)a;
	attack_say_rc("mknod-char", mknod(at, S_IFCHR | 0600, makedev(1, 1)));
	(void)unlink(at);
	attack_say_rc("mknod-block", mknod(at, S_IFBLK | 0600, makedev(7, 0)));
	(void)unlink(at);
	try_paths(paths, O_RDWR);
}

void attack_system_files(const struct attack_args *a)
{
	static const char *const paths[] = { "/usr/attack-file", "/attack-file",
		"/etc/attack-file", "/var/attack-file", NULL };

	(void)a;
	for (const char *const *p = paths; *p; p++) {
		int fd = open(*p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

		attack_say_rc(*p, fd);
		if (fd >= 0) {
			(void)close(fd);
			(void)unlink(*p);
		}
	}
}

void attack_markers(const struct attack_args *a)
{
	static const char *const dirs[] = { "/tmp", "/var/tmp", "/dev/shm", NULL };
	char path[128];

	for (const char *const *d = dirs; *d; d++) {
		(void)snprintf(path, sizeof(path), "%s/%s", *d, a->marker);
		attack_open(*d, path, O_RDONLY);
	}
	attack_say_rc("sysv-shm", shmget((key_t)a->outer, 1, 0));
}

/* A file of the system's or of another's under a second name, to be changed later. */
void attack_links(const struct attack_args *a)
{
	const char *const to = "/tmp/attack-link";
	char other[128];

	(void)snprintf(other, sizeof(other), "/tmp/%s", a->marker);
	attack_say_rc("other", link(other, to));
	(void)unlink(to);
	attack_say_rc("system", link("/usr/bin/env", to));
	(void)unlink(to);
}

/* ---- network ----------------------------------------------------------------------- */

static void try_connect(
	const char *name, const struct sockaddr *to, socklen_t len, int type)
{
	int fd = socket(to->sa_family, type | SOCK_CLOEXEC, 0);

	attack_say_rc(name, fd < 0 ? -1 : connect(fd, to, len));
	if (fd >= 0)
		(void)close(fd);
}

void attack_sockets(const struct attack_args *a)
{
	static const char *const paths[] = { "/run/docker.sock",
		"/run/podman/podman.sock", "/run/containerd/containerd.sock",
		"/run/dbus/system_bus_socket", "/run/systemd/private",
		"/tmp/.X11-unix/X0", NULL };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = strlen(a->abstract);

	if (len + 6 > sizeof(to.sun_path))
		return;
	memcpy(to.sun_path + 1, a->abstract, len);
	try_connect("abstract", (struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len),
		SOCK_STREAM);
	(void)snprintf(to.sun_path, sizeof(to.sun_path), "/tmp/%s.s", a->abstract);
	try_connect("named", (struct sockaddr *)&to, sizeof(to), SOCK_STREAM);
	for (const char *const *p = paths; *p; p++) {
		(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", *p);
		try_connect(*p, (struct sockaddr *)&to, sizeof(to), SOCK_STREAM);
	}
}

void attack_network(const struct attack_args *a)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)a->port) };

	(void)inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	try_connect("host-loopback", (struct sockaddr *)&to, sizeof(to), SOCK_STREAM);
	/* Nothing is sent: a datagram socket only looks for the route. */
	(void)inet_pton(AF_INET, "198.51.100.1", &to.sin_addr);
	if (a->inside)
		try_connect("route", (struct sockaddr *)&to, sizeof(to), SOCK_DGRAM);
}

/* The port of a listener outside is free: two jobs never take one from each other. */
void attack_port(const struct attack_args *a)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)a->port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
	attack_say_rc("bind", fd < 0 ? -1 : bind(fd, (struct sockaddr *)&at, sizeof(at)));
	if (fd >= 0)
		(void)close(fd);
}
