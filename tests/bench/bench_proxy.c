/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the way out of a job costs, against a direct connection over loopback, in turns within
 * one run: a stream of STREAM_MIB MiB down and up, round trips of 16 bytes, and connect with one byte.
 * The ways: direct; through the proxy by CONNECT; through a relay. One line a way with the
 * ratios; the best of three rounds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "executor/proxy.h"

#define STREAM_MIB 256
#define CHUNK	   (256 * 1024)
#define TRIPS	   5000
#define CONNECTS   500
#define ROUNDS	   3

enum way { DIRECT, PROXY, RELAY, WAYS };
static const char *const ways[] = { "direct", "proxy", "relay" };
static char chunk[CHUNK];

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	perror(what);
	exit(1);
}

static int listen_loopback(uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
			listen(fd, 64) == 0 &&
			getsockname(fd, (struct sockaddr *)&a, &len) == 0,
		"listen");
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static void put_all(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return; /* the other side has what it wanted */
		p += n;
		len -= (size_t)n;
	}
}

/* One connection of the far end: 'd' sends STREAM_MIB, 'u' takes it, 'e' echoes, 'c' says a byte. */
static void serve_one(int fd)
{
	char what, trip[16];
	size_t got = 0;
	ssize_t n;

	if (recv(fd, &what, 1, 0) != 1)
		return;
	if (what == 'd')
		for (size_t i = 0; i < (size_t)STREAM_MIB * MiB / CHUNK; i++)
			put_all(fd, chunk, CHUNK);
	while (what == 'u' && got < (size_t)STREAM_MIB * MiB &&
		(n = recv(fd, chunk, CHUNK, 0)) > 0)
		got += (size_t)n;
	while (what == 'e' && recv(fd, trip, sizeof(trip), MSG_WAITALL) == sizeof(trip))
		put_all(fd, trip, sizeof(trip));
	if (what == 'u' || what == 'c')
		put_all(fd, "k", 1);
}

static pid_t start_server(int listener)
{
	pid_t pid = fork();
	int one = 1;

	must(pid >= 0, "fork");
	if (pid > 0)
		return pid;
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			_exit(1);
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		serve_one(fd);
		(void)close(fd);
	}
}

static pid_t start_proxy(int listener, int relay, uint16_t server, int *ret_chan)
{
	struct proxy_options o = PROXY_OPTIONS_INIT;
	struct proxy_relay r = { .listener = relay };
	struct proxy_policy *p = NULL;
	struct json *rules = NULL;
	char text[96];
	int pair[2];
	pid_t pid;

	must(chan_pair(pair, NULL) == 0, "chan");
	pid = fork();
	must(pid >= 0, "fork");
	*ret_chan = pair[0];
	if (pid > 0) {
		(void)close(pair[1]);
		return pid;
	}
	(void)close(pair[0]);
	(void)snprintf(text, sizeof(text), "{\"allow\": [\"127.0.0.1:%u\"]}", server);
	r.target.in = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons(server),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (json_parse(text, strlen(text), &rules, NULL) < 0 ||
		proxy_policy_new(rules, &p, NULL) < 0)
		_exit(1);
	o.listeners = &listener;
	o.listeners_len = 1;
	o.relays = &r;
	o.relays_len = 1;
	o.policy = p;
	o.chan = pair[1];
	o.is_confined = true;
	_exit(proxy_run(&o, NULL) < 0);
}

/* The ledger's lines, as the executor would take them. */
static pid_t start_reader(int chan)
{
	pid_t pid = fork();
	char sink[4096];

	must(pid >= 0, "fork");
	if (pid > 0)
		return pid;
	while (recv(chan, sink, sizeof(sink), 0) > 0)
		continue;
	_exit(0);
}

static int dial(enum way way, const uint16_t *ports, char what)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(ports[way]) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	char head[64], answer[64];

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "connect");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (way == PROXY) {
		static const char want[] = "HTTP/1.1 200 Connection established\r\n\r\n";
		int n = snprintf(head, sizeof(head),
			"CONNECT 127.0.0.1:%u HTTP/1.1\r\n\r\n", ports[DIRECT]);

		put_all(fd, head, (size_t)n);
		must(recv(fd, answer, sizeof(want) - 1, MSG_WAITALL) ==
					sizeof(want) - 1 &&
				memcmp(answer, want, sizeof(want) - 1) == 0,
			"CONNECT");
	}
	put_all(fd, &what, 1);
	return fd;
}

static double stream(enum way way, const uint16_t *ports, char what)
{
	int64_t start = clock_boot_us();
	int fd = dial(way, ports, what);
	size_t got = 0;
	ssize_t n;

	if (what == 'u') {
		for (size_t i = 0; i < (size_t)STREAM_MIB * MiB / CHUNK; i++)
			put_all(fd, chunk, CHUNK);
		must(recv(fd, chunk, 1, 0) == 1, "up");
	}
	while (what == 'd' && (n = recv(fd, chunk, CHUNK, 0)) > 0)
		got += (size_t)n;
	must(what != 'd' || got == (size_t)STREAM_MIB * MiB, "down");
	(void)close(fd);
	return (double)STREAM_MIB * MiB / (double)(clock_boot_us() - start);
}

static double trips(enum way way, const uint16_t *ports)
{
	int fd = dial(way, ports, 'e');
	int64_t start = clock_boot_us();
	char trip[16] = "";

	for (int i = 0; i < TRIPS; i++) {
		put_all(fd, trip, sizeof(trip));
		must(recv(fd, trip, sizeof(trip), MSG_WAITALL) == sizeof(trip), "trip");
	}
	start = clock_boot_us() - start;
	(void)close(fd);
	return (double)start / TRIPS;
}

static double connects(enum way way, const uint16_t *ports)
{
	int64_t start = clock_boot_us();

	for (int i = 0; i < CONNECTS; i++) {
		int fd = dial(way, ports, 'c');
		char c;

		must(recv(fd, &c, 1, 0) == 1, "byte");
		(void)close(fd);
	}
	return (double)(clock_boot_us() - start) / CONNECTS;
}

static void best(double *of, double now, bool is_more_better)
{
	if (*of == 0 || (is_more_better ? now > *of : now < *of))
		*of = now;
}

int main(void)
{
	double down[WAYS] = { 0 }, up[WAYS] = { 0 }, trip[WAYS] = { 0 },
	       conn[WAYS] = { 0 };
	uint16_t ports[WAYS];
	int listeners[WAYS], chan;
	pid_t children[3];

	for (int w = 0; w < WAYS; w++)
		listeners[w] = listen_loopback(&ports[w]);
	children[0] = start_server(listeners[DIRECT]);
	children[1] =
		start_proxy(listeners[PROXY], listeners[RELAY], ports[DIRECT], &chan);
	children[2] = start_reader(chan);
	for (int round = 0; round < ROUNDS; round++)
		for (int w = 0; w < WAYS; w++) {
			best(&down[w], stream((enum way)w, ports, 'd'), true);
			best(&up[w], stream((enum way)w, ports, 'u'), true);
			best(&trip[w], trips((enum way)w, ports), false);
			best(&conn[w], connects((enum way)w, ports), false);
		}
	for (int w = 0; w < WAYS; w++)
		printf("%-7s down %5.0f MB/s (%.2f)  up %5.0f MB/s (%.2f)  round trip %5.1f us"
		       " (%.2f)  connect + 1 byte %5.0f us (%.2f)\n",
			ways[w], down[w], down[w] / down[DIRECT], up[w],
			up[w] / up[DIRECT], trip[w], trip[w] / trip[DIRECT], conn[w],
			conn[w] / conn[DIRECT]);
	for (size_t i = 0; i < ARRAY_SIZE(children); i++) {
		(void)kill(children[i], SIGKILL); /* our own, not waited for yet */
		(void)waitpid(children[i], NULL, 0);
	}
	return 0;
}
