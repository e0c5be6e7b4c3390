/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A routed network for a job (level `egress`): a veth pair from the host into the job's
 * network namespace, source NAT, and the same denials twice. On the host they hold against
 * whoever gains rights inside the namespace; inside they hold when somebody flushes the
 * host's rules. Both know the ranges of base/netrange.h; the host's own addresses are
 * refused by its input hook, and by name inside.
 *
 * `ip` and `nft` do the work, by absolute path, with an empty environment, fed through
 * standard input. Everything is named after the data directory's tag: the table
 * "sluice_TAG", the devices "sTAG" and a number. A device goes with its namespace, so a job
 * that was killed in any way leaves none; the table is the same for all jobs and is replaced
 * as a whole each time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/netrange.h"
#include "sandbox/sandbox-internal.h"

#define NET_BASE 0xc6138000u /* 198.19.128.0/17, of the range for benchmarks */
#define NET_TEXT "198.19.128.0/17"
#define NETS	 8192 /* of 4 addresses each */
#define TRIES	 64
#define TOOL_MS	 15000
#define OWN_MAX	 256 /* addresses of the host that are denied by name */

static const char *const ip_paths[] = { "/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", NULL };
static const char *const nft_paths[] = { "/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft",
	NULL };

static const char *tool(const char *const *paths)
{
	for (; *paths; paths++)
		if (access(*paths, X_OK) == 0)
			return *paths;
	return NULL;
}

/* ---- running a tool ---- */

static noreturn void exec_tool(const char *const *argv, int net, int in, int out)
{
	const char *const env[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
		NULL };

	if (net >= 0 && setns(net, CLONE_NEWNET) < 0)
		_exit(126);
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(126);
	(void)execve(argv[0], (char *const *)argv, (char *const *)env);
	_exit(127);
}

static int reap(pid_t pid, int64_t deadline, const char *name, int *ret, struct err *err)
{
	_cleanup_close_ int pidfd = fd_pidfd_open(pid);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int64_t left = deadline - clock_boot_ms();
	bool is_late = pidfd >= 0 && poll(&p, 1, left > 0 ? (int)left : 0) == 0;

	if (is_late)
		(void)kill(pid, SIGKILL); /* our own child, not waited for yet */
	while (waitpid(pid, ret, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, "cannot wait for '%s'", name);
	return is_late ? err_set(err, ERR_TIMEOUT, "'%s' took too long", name) : 0;
}

/* ARGV reads SCRIPT, in the network namespace NET (-1: ours); its words are the error. */
static int run(
	const char *const *argv, const struct strbuf *script, int net, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf said = STRBUF_INIT;
	_cleanup_close_ int in = fd_memfd("script", script->buf, script->len, err);
	_cleanup_close_ int out = -1, their = -1;
	int64_t deadline = clock_boot_ms() + TOOL_MS;
	int ends[2], status = 0;
	pid_t pid;

	if (in < 0)
		return -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	out = ends[0];
	their = ends[1];
	pid = fork();
	if (pid < 0)
		return err_sys(err, "cannot fork");
	if (pid == 0)
		exec_tool(argv, net, in, their);
	(void)close(take_fd(&their));
	if (reap(pid, deadline, argv[0], &status, err) < 0)
		return -1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	(void)fd_read_to_end(out, 4096, &said, NULL); /* only its words are lost */
	strbuf_truncate(&said, strcspn(said.buf, "\n"));
	return err_set(err, ERR_UNSUPPORTED, "'%s' failed: %.160s", argv[0],
		said.len ? said.buf : "it could not be run");
}

static int run_ip(const struct strbuf *script, int net, struct err *err)
{
	const char *const argv[] = { tool(ip_paths), "-batch", "-", NULL };

	return argv[0] ? run(argv, script, net, err)
		       : err_set(err, ERR_UNSUPPORTED, "there is no 'ip' (iproute2)");
}

static int run_nft(const struct strbuf *script, int net, struct err *err)
{
	const char *const argv[] = { tool(nft_paths), "-f", "-", NULL };

	return argv[0] ? run(argv, script, net, err)
		       : err_set(err, ERR_UNSUPPORTED, "there is no 'nft' (nftables)");
}

/* ---- rules ---- */

static void add_ranges(struct strbuf *out)
{
	strbuf_adds(out, "\tset deny4 {\n\t\ttype ipv4_addr; flags interval; auto-merge\n"
			 "\t\telements = { ");
	for (size_t i = 0; i < netranges4_len; i++)
		strbuf_addf(out, "%s%s/%u", i ? ", " : "", netranges4[i].text,
			netranges4[i].bits);
}

/* Out of the job only new connections to the internet, into it only their answers. */
static void host_rules(const char *tag, struct strbuf *out)
{
	/* Named first, so that there is one to delete: all of it is one transaction. */
	strbuf_addf(out, "table inet sluice_%s\ndelete table inet sluice_%s\n", tag, tag);
	strbuf_addf(out, "table inet sluice_%s {\n", tag);
	add_ranges(out);
	strbuf_addf(out,
		" }\n\t}\n"
		"\tchain in {\n\t\ttype filter hook input priority filter; policy accept\n"
		"\t\tiifname \"s%s*\" drop\n\t}\n"
		"\tchain from_job {\n"
		"\t\tmeta nfproto != ipv4 drop\n"
		"\t\tip saddr != " NET_TEXT " drop\n"
		"\t\tip daddr @deny4 drop\n"
		"\t\tfib daddr type != unicast drop\n"
		"\t}\n"
		"\tchain forward {\n"
		"\t\ttype filter hook forward priority filter; policy accept\n"
		"\t\tiifname \"s%s*\" jump from_job\n"
		"\t\toifname \"s%s*\" ct state established,related accept\n"
		"\t\toifname \"s%s*\" drop\n\t}\n"
		"\tchain nat {\n\t\ttype nat hook postrouting priority srcnat; policy accept\n"
		"\t\tip saddr " NET_TEXT " masquerade\n\t}\n}\n",
		tag, tag, tag, tag);
}

/* The host's own addresses as they are now; public ones are in no range. */
static void add_own(struct strbuf *out)
{
	struct ifaddrs *list;
	size_t n = 0;

	if (getifaddrs(&list) < 0)
		return; /* the host's input hook refuses them all the same */
	for (const struct ifaddrs *a = list; a && n < OWN_MAX; a = a->ifa_next) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)a->ifa_addr;
		char text[INET_ADDRSTRLEN];

		if (!in || in->sin_family != AF_INET ||
			!inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)))
			continue;
		strbuf_addf(out, ", %s", text);
		n++;
	}
	freeifaddrs(list);
}

/* A refusal inside is told at once, so that a tool need not wait for its timeout. */
static void job_rules(struct strbuf *out)
{
	strbuf_adds(out, "table inet sluice {\n");
	add_ranges(out);
	add_own(out);
	strbuf_adds(out,
		" }\n\t}\n"
		"\tchain out {\n\t\ttype filter hook output priority filter; policy accept\n"
		"\t\toifname \"lo\" accept\n"
		"\t\tmeta nfproto != ipv4 drop\n"
		"\t\tip daddr @deny4 reject with icmp type admin-prohibited\n"
		"\t\tfib daddr type != unicast drop\n\t}\n"
		"\tchain in {\n\t\ttype filter hook input priority filter; policy drop\n"
		"\t\tiifname \"lo\" accept\n"
		"\t\tct state established,related accept\n\t}\n}\n");
}

/* ---- addresses ---- */

static void address(unsigned net, unsigned host, char buf[INET_ADDRSTRLEN])
{
	struct in_addr a = { .s_addr = htonl(NET_BASE + net * 4 + host) };

	(void)inet_ntop(AF_INET, &a, buf, INET_ADDRSTRLEN);
}

/* Another data directory's spawner may use the same range: its devices show which. */
static bool is_taken(unsigned net)
{
	struct ifaddrs *list;
	bool taken = false;

	if (getifaddrs(&list) < 0)
		return true;
	for (const struct ifaddrs *a = list; a; a = a->ifa_next) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)a->ifa_addr;

		if (in && in->sin_family == AF_INET &&
			ntohl(in->sin_addr.s_addr) == NET_BASE + net * 4 + 1)
			taken = true;
	}
	freeifaddrs(list);
	return taken;
}

static int choose(const char *tag, unsigned slot, unsigned *ret, struct err *err)
{
	unsigned first = (unsigned)strtoul(tag, NULL, 16) * 64 + slot;

	for (unsigned i = 0; i < TRIES; i++) {
		*ret = (first + i) % NETS;
		if (!is_taken(*ret))
			return 0;
	}
	return err_set(err, ERR_UNAVAILABLE, "no network of %s is free", NET_TEXT);
}

/* ---- the seam ---- */

static int make_link(const char *tag, unsigned net, int net_fd, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf outside = STRBUF_INIT, inside = STRBUF_INIT;
	char ours[INET_ADDRSTRLEN], theirs[INET_ADDRSTRLEN];

	address(net, 1, ours);
	address(net, 2, theirs);
	/* By descriptor: the process may be gone and its number another's by now. */
	strbuf_addf(&outside,
		"link add s%s%04x type veth peer name eth0 netns /proc/%d/fd/%d\n"
		"addr add %s/30 dev s%s%04x\nlink set s%s%04x up\n",
		tag, net, (int)getpid(), net_fd, ours, tag, net, tag, net);
	strbuf_addf(&inside,
		"addr add %s/30 dev eth0\nlink set eth0 up\nroute add default via %s\n",
		theirs, ours);
	if (run_ip(&outside, -1, err) < 0)
		return -1;
	return run_ip(&inside, net_fd, err);
}

int sandbox_route_make(const char *tag, unsigned slot, int net_fd, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf host = STRBUF_INIT, job = STRBUF_INIT;
	unsigned net;

	host_rules(tag, &host);
	job_rules(&job);
	/* Both sets of rules stand before there is a way out that they would miss. */
	if (run_nft(&host, -1, err) < 0 || run_nft(&job, net_fd, err) < 0 ||
		choose(tag, slot, &net, err) < 0 || make_link(tag, net, net_fd, err) < 0)
		return err_wrap(err, "a routed network");
	return 0;
}

int sandbox_route_remove(const char *tag, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf script = STRBUF_INIT;

	strbuf_addf(
		&script, "table inet sluice_%s\ndelete table inet sluice_%s\n", tag, tag);
	return run_nft(&script, -1, err);
}

/* ---- may it be had ---- */

static bool forwards(void)
{
	_cleanup_close_ int fd =
		open("/proc/sys/net/ipv4/ip_forward", O_RDONLY | O_CLOEXEC);
	char c = '0';

	return fd >= 0 && read(fd, &c, 1) == 1 && c == '1';
}

void route_probe(struct sandbox_caps *caps)
{
	const char *why = "";

	if (!caps->net_admin)
		why = "it takes a spawner of root (pasta and slirp4netns are not used)";
	else if (!tool(ip_paths))
		why = "there is no 'ip' (mend: apt-get install iproute2)";
	else if (!tool(nft_paths))
		why = "there is no 'nft' (mend: apt-get install nftables)";
	else if (!forwards())
		why = "the host does not forward (mend: sysctl -w net.ipv4.ip_forward=1)";
	(void)snprintf(caps->no_egress, sizeof(caps->no_egress), "%s", why);
}
