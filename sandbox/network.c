/* SPDX-License-Identifier: Apache-2.0 */
/* The job's network namespace: its loopback, and listeners made inside it. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/strbuf.h"
#include "sandbox/sandbox-internal.h"

#define NET_DEV_MAX 65536

int network_loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc, saved;

	if (fd < 0)
		return -1;
	rc = ioctl(fd, SIOCSIFFLAGS, &ifr);
	saved = errno;
	(void)close(fd);
	errno = saved;
	return rc;
}

/* NAME is an alias of an interface: ADDR alone, no network beside it. */
static int set_alias(int fd, const char *name, const char *addr)
{
	struct ifreq ifr = { .ifr_flags = 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&ifr.ifr_addr;

	memcpy(ifr.ifr_name, name, strlen(name));
	in->sin_family = AF_INET;
	if (inet_pton(AF_INET, addr, &in->sin_addr) != 1) {
		errno = EINVAL;
		return -1;
	}
	if (ioctl(fd, SIOCSIFADDR, &ifr) < 0)
		return -1;
	in->sin_addr.s_addr = 0xffffffff;
	return ioctl(fd, SIOCSIFNETMASK, &ifr);
}

int network_loopback_address(const char *addr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc, saved;

	if (fd < 0)
		return -1;
	rc = set_alias(fd, "lo:0", addr);
	saved = errno;
	(void)close(fd);
	errno = saved;
	return rc;
}

static socklen_t address_of(const char *text, int port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		return sizeof(*v6);
	}
	return 0;
}

int network_listener(const char *addr, int port, int type)
{
	struct sockaddr_storage at;
	socklen_t len = address_of(addr, port, &at);
	int on = 1;
	int fd;

	if (!len) {
		errno = EINVAL;
		return -1;
	}
	fd = socket(at.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	/* A second listener on [::] of a step must not be in the way of ours on 127.0.0.1. */
	if (at.ss_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (type == SOCK_STREAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on,
			sizeof(on)); /* a convenience; two may not share a datagram port */
	if (bind(fd, (struct sockaddr *)&at, len) < 0 ||
		(type == SOCK_STREAM && listen(fd, 128) < 0)) {
		int saved = errno;

		(void)close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/* "  s0job: BYTES packets errs drop fifo frame compressed multicast BYTES ...", a line each. */
int sandbox_traffic(const struct sandbox *sb, int64_t *ret_in, int64_t *ret_out)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_close_ int fd = proc_open(sb->init.pid, "net/dev", O_RDONLY);
	int64_t in = 0, out = 0;
	const char *line;

	if (fd < 0 || fd_read_to_end(fd, NET_DEV_MAX, &text, NULL) < 0)
		return -1;
	for (line = text.buf; line && *line; line = strchr(line, '\n')) {
		char name[32];
		long long received, sent;

		line += *line == '\n';
		if (sscanf(line, " %31[^:]: %lld %*s %*s %*s %*s %*s %*s %*s %lld", name,
			    &received, &sent) != 3 ||
			!strcmp(name, "lo"))
			continue;
		in += received;
		out += sent;
	}
	*ret_in = in;
	*ret_out = out;
	return 0;
}
