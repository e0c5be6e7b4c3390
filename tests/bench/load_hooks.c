/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends signed webhooks of one size, each a branch deleted (so that nothing is to be run and
 * acceptance alone is measured) with all the members that a forge sends, each body
 * different, COUNT connections at a time, one request a connection (as the server closes after a body). Prints one line:
 * accepted, per second, p50 and p99 in microseconds, and how many were refused.
 *
 *	load_hooks PORT PATH SECRET HEADER REQUESTS CONNECTIONS BYTES [REPO]
 *
 * HEADER is the name of the signature header ("X-Sluice-Signature").
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "base/strbuf.h"

struct slot {
	int fd;
	struct strbuf out;
	size_t sent;
	char in[512];
	size_t got;
	int64_t began;
};

static struct sockaddr_in server = { .sin_family = AF_INET };
static const char *path, *secret, *header, *repo;
static size_t body_size;
static long started;

static void make_request(struct slot *s)
{
	_cleanup_(strbuf_done) struct strbuf body = STRBUF_INIT;
	uint8_t mac[SHA256_LEN];
	char hex[SHA256_HEX_MAX];
	int owner = (int)strcspn(repo, "/");

	strbuf_addf(&body,
		"{\"event\":\"push\",\"ref\":\"refs/heads/bench-%ld\",\"before\":\"%040ld\","
		"\"after\":\"%040ld\",\"repository\":{\"full_name\":\"%s\",\"name\":\"%s\","
		"\"owner\":{\"login\":\"%.*s\",\"name\":\"%.*s\"}},"
		"\"pusher\":{\"name\":\"bench\"},\"sender\":{\"login\":\"bench\"},"
		"\"created\":false,\"forced\":false,\"base_ref\":null,\"head_commit\":null,"
		"\"nonce\":\"bench-%ld-%lld\",\"time\":%lld,\"commits\":[],"
		"\"deleted\":true,\"pad\":\"",
		started, started, 0L, repo, strchr(repo, '/') + 1, owner, repo, owner, repo,
		started, (long long)clock_boot_us(),
		(long long)clock_wall_ms() / 1000);
	if (body.len + 2 < body_size) {
		size_t pad = body_size - 2 - body.len;

		strbuf_reserve(&body, pad);
		memset(body.buf + body.len, 'x', pad);
		strbuf_commit(&body, pad);
	}
	strbuf_adds(&body, "\"}");
	crypto_hmac_sha256(secret, strlen(secret), body.buf, body.len, mac);
	hex_encode(mac, SHA256_LEN, hex);
	strbuf_clear(&s->out);
	strbuf_addf(&s->out,
		"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
		"X-Sluice-Event: push\r\nX-Sluice-Delivery: bench-%ld-%lld\r\n"
		"%s: sha256=%s\r\nContent-Length: %zu\r\n\r\n",
		path, started, (long long)getpid(), header, hex, body.len);
	strbuf_add(&s->out, body.buf, body.len);
	started++;
}

static void begin(struct slot *s, int epoll)
{
	int one = 1;
	struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = s };

	make_request(s);
	s->sent = s->got = 0;
	s->began = clock_boot_us();
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(s->fd, (struct sockaddr *)&server, sizeof(server)) < 0 &&
		errno != EINPROGRESS) {
		perror("connect");
		exit(1);
	}
	epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &ev);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* 1 answered, 0 goes on, -1 broken. */
static int progress(struct slot *s, int epoll)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };
	ssize_t n;

	while (s->sent < s->out.len) {
		n = send(s->fd, s->out.buf + s->sent, s->out.len - s->sent, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		s->sent += (size_t)n;
	}
	epoll_ctl(epoll, EPOLL_CTL_MOD, s->fd, &ev);
	n = recv(s->fd, s->in + s->got, sizeof(s->in) - 1 - s->got, 0);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	s->got += (size_t)n;
	s->in[s->got] = '\0';
	return n == 0 && s->got == 0 ? -1 : strstr(s->in, "\r\n\r\n") || n == 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	long requests, done = 0, refused = 0;
	int connections, epoll = epoll_create1(EPOLL_CLOEXEC);
	struct slot *slots;
	int64_t *times, start;
	double seconds;

	if (argc < 8) {
		fprintf(stderr, "usage: load_hooks PORT PATH SECRET HEADER REQUESTS CONNECTIONS "
				"BYTES [REPO]\n");
		return 2;
	}
	server.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	path = argv[2];
	secret = argv[3];
	header = argv[4];
	requests = strtol(argv[5], NULL, 10);
	connections = (int)strtol(argv[6], NULL, 10);
	body_size = strtoul(argv[7], NULL, 10);
	repo = argc > 8 ? argv[8] : "bench/load";
	if (!strchr(repo, '/')) {
		fprintf(stderr, "load_hooks: REPO is OWNER/NAME\n");
		return 2;
	}
	slots = xcalloc((size_t)connections, sizeof(*slots));
	times = xcalloc((size_t)requests, sizeof(*times));
	start = clock_boot_us();
	for (int i = 0; i < connections && started < requests; i++) {
		strbuf_init(&slots[i].out);
		begin(&slots[i], epoll);
	}
	while (done < requests) {
		struct epoll_event events[64];
		int n = epoll_wait(epoll, events, 64, 10000);

		if (n <= 0) {
			fprintf(stderr, "no answer for 10 s\n");
			return 1;
		}
		for (int i = 0; i < n; i++) {
			struct slot *s = events[i].data.ptr;
			int r = progress(s, epoll);

			if (r == 0)
				continue;
			if ((r < 0 || strncmp(s->in, "HTTP/1.1 2", 10) != 0) && refused++ == 0)
				fprintf(stderr, "refused: %.*s\n", (int)strcspn(s->in, "\r"),
					s->in);
			times[done++] = clock_boot_us() - s->began;
			(void)close(s->fd);
			if (started < requests)
				begin(s, epoll);
		}
	}
	seconds = (double)(clock_boot_us() - start) / 1e6;
	qsort(times, (size_t)done, sizeof(*times), by_value);
	printf("accepted %ld refused %ld per_second %.0f p50_us %lld p99_us %lld\n",
		done - refused, refused, (double)done / seconds, (long long)times[done / 2],
		(long long)times[done * 99 / 100]);
	return 0;
}
