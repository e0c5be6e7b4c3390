/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections of the proxy. One is a small machine: the client's head, a name to
 * resolve, addresses to judge and to try, then bytes both ways with bounded buffers. One
 * request a connection: what follows on it could be for another host. A relay has no head:
 * its one address was chosen by the server.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "executor/proxy-internal.h"

#define BUFFER	  (64 * 1024)
#define TRY_MS	  5000 /* one address */
#define LINGER_MS 3000 /* for a refusal to be read */

enum state { STATE_HEAD, STATE_RESOLVE, STATE_CONNECT, STATE_RELAY, STATE_LINGER };

static const char *const kinds[] = { [PROXY_CONNECT] = "connect",
	[PROXY_HTTP] = "http",
	[PROXY_SOCKS] = "socks",
	[PROXY_RELAY] = "relay" };

/* What was read from one side and waits for the other. */
struct flow {
	char *buf;
	size_t at, len;
	bool is_ended; /* the source said so */
	bool is_shut;  /* and the other side was told */
	int64_t bytes;
};

struct conn {
	struct proxy *p;
	struct proxy_listener *from;
	struct conn *next, **prev;
	enum state state;
	int client, server;
	struct loop_source *client_source, *server_source;
	bool is_socks, is_greeted;
	struct proxy_request req;
	struct flow up, down; /* UP holds the head while it is read */
	union proxy_addr addrs[PROXY_ADDRS];
	size_t addrs_len, addr; /* the allowed ones; the one being tried */
	struct proxy_verdict verdict;
	int64_t started, deadline, try_deadline;
	bool is_told; /* its line is in the ledger */
};

/* ---- the ledger ---- */

/* TEXT: a line for the log; ALLOW: the command that lets it through. Both may be NULL. */
static void tell(struct conn *c, const char *verdict, const char *text, const char *allow)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	char addr[64];
	struct err err = ERR_INIT;

	if (c->is_told)
		return;
	c->is_told = true;
	json_set_str(head, "op", "net");
	json_set_int(head, "since", c->started);
	json_set_str(head, "kind", kinds[c->req.kind]);
	json_set_str(head, "host", c->req.host);
	json_set_int(head, "port", c->req.port);
	if (c->addr < c->addrs_len) {
		proxy_addr_text(&c->addrs[c->addr], addr);
		json_set_str(head, "addr", addr);
	}
	json_set_str(head, "verdict", verdict);
	json_set_str(head, "rule", c->verdict.rule ? c->verdict.rule : "");
	if (text)
		json_set_str(head, "text", text);
	if (allow)
		json_set_str(head, "allow", allow);
	json_set_int(head, "sent", c->up.bytes);
	json_set_int(head, "received", c->down.bytes);
	json_set_int(head, "ms", clock_boot_ms() - c->started);
	if (c->p->o->chan >= 0 &&
		chan_send(c->p->o->chan, head, NULL, 0, NULL, 0, &err) < 0)
		loop_stop(
			c->p->loop, 0); /* nobody is there to be told: the job is over */
}

/* ---- ends ---- */

static void on_client(struct loop *l, int fd, uint32_t events, void *data);
static void on_server(struct loop *l, int fd, uint32_t events, void *data);

static void conn_free(struct conn *c)
{
	if (c->state == STATE_RELAY)
		tell(c, "allowed", NULL, NULL);
	if (c->state == STATE_RESOLVE)
		proxy_resolve_cancel(c->p->resolver, c);
	loop_remove(c->client_source);
	loop_remove(c->server_source);
	if (c->client >= 0)
		(void)close(c->client); /* what it had to read, it has, or will not */
	if (c->server >= 0)
		(void)close(c->server); /* likewise */
	*c->prev = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->p->conns_len--;
	c->from->conns--;
	proxy_listen(c->p);
	strbuf_done(&c->req.forward);
	free(c->up.buf);
	free(c->down.buf);
	free(c);
}

/* The last words to the client; then a moment for it to read them. */
static void say(struct conn *c, const void *data, size_t len)
{
	ssize_t n = len ? send(c->client, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

	(void)n; /* a client that does not read does not want to know */
	(void)shutdown(c->client, SHUT_WR);
	c->state = STATE_LINGER;
	c->deadline = clock_boot_ms() + LINGER_MS;
	loop_mod_fd(c->client_source, EPOLLIN);
}

static void say_http(struct conn *c, const char *status, const char *text)
{
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;

	strbuf_addf(&out,
		"HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
		status, strlen(text), text);
	say(c, out.buf, out.len);
}

static void say_socks(struct conn *c, uint8_t code)
{
	const uint8_t reply[10] = { 5, code, 0, 1, 0, 0, 0, 0, 0, 0 };

	say(c, reply, sizeof(reply));
}

/* ADDR: what it resolved to, or NULL when its name was enough. */
static void refuse(struct conn *c, const union proxy_addr *addr)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf allow = STRBUF_INIT;
	_cleanup_free_ char *body = NULL;
	char buf[64] = "";

	if (addr)
		proxy_addr_text(addr, buf);
	strbuf_addf(&text, "%s:%u", c->req.host, c->req.port);
	if (addr && strcmp(buf, c->req.host) != 0)
		strbuf_addf(&text, " resolves to %s", buf);
	strbuf_addf(&text, ": rule %s (network proxy)", c->verdict.rule);
	if (addr) { /* the ledger names it */
		c->addrs[0] = *addr;
		c->addr = 0;
		c->addrs_len = 1;
	}
	proxy_policy_hint(
		c->p->o->policy, c->verdict.rule, c->req.host, addr ? buf : NULL, &allow);
	tell(c, "refused", text.buf, allow.buf);
	body = xasprintf("sluice refused %s\n%s%s\n", text.buf,
		allow.len ? "allow it: " : "", allow.buf);
	if (c->is_socks)
		say_socks(c, 2);
	else
		say_http(c, "403 Forbidden", body);
}

static void fail(struct conn *c, const char *why, const char *status, uint8_t socks)
{
	_cleanup_free_ char *text = xasprintf("%s:%u: %s", c->req.host, c->req.port, why);
	_cleanup_free_ char *body = xasprintf("sluice: %s\n", text);

	tell(c, "failed", text, NULL);
	if (c->req.kind == PROXY_RELAY)
		say(c, NULL, 0);
	else if (c->is_socks)
		say_socks(c, socks);
	else
		say_http(c, status, body);
}

/* ---- bytes ---- */

static bool has_bytes(const struct flow *f)
{
	return f->at < f->len;
}

/* 0, or -1 when the connection is over. */
static int fill(int fd, struct flow *f)
{
	ssize_t n;

	if (has_bytes(f) || f->is_ended)
		return 0;
	n = recv(fd, f->buf, BUFFER, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	f->at = 0;
	f->len = (size_t)n;
	f->is_ended = n == 0;
	return 0;
}

static int drain(int fd, struct flow *f)
{
	while (has_bytes(f)) {
		ssize_t n = send(
			fd, f->buf + f->at, f->len - f->at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		f->at += (size_t)n;
		f->bytes += n;
	}
	if (f->is_ended && !f->is_shut) {
		f->is_shut = true;
		(void)shutdown(fd, SHUT_WR); /* the other direction goes on */
	}
	return 0;
}

static void want(struct conn *c)
{
	bool up = has_bytes(&c->up), down = has_bytes(&c->down);

	if (!c->client_source && !up && !c->up.is_ended)
		c->client_source = loop_add_fd(c->p->loop, c->client, 0, on_client, c);
	if (!c->server_source && !down && !c->down.is_ended)
		c->server_source = loop_add_fd(c->p->loop, c->server, 0, on_server, c);
	if (c->client_source)
		loop_mod_fd(c->client_source,
			(up || c->up.is_ended ? 0 : EPOLLIN) | (down ? EPOLLOUT : 0));
	if (c->server_source)
		loop_mod_fd(c->server_source,
			(down || c->down.is_ended ? 0 : EPOLLIN) | (up ? EPOLLOUT : 0));
}

/*
 * True when a side has hung up and all it sent is through. It says so at every turn, so it
 * is not listened to while its bytes wait for the other side; want() takes it back.
 */
static bool is_over(const struct flow *from, struct loop_source **side, uint32_t events)
{
	if (events & EPOLLERR)
		return true;
	if (!(events & EPOLLHUP))
		return false;
	if (from->is_ended && !has_bytes(from))
		return true;
	if (has_bytes(from)) {
		loop_remove(*side);
		*side = NULL;
	}
	return false;
}

static void relay(struct conn *c, uint32_t client, uint32_t server)
{
	/* Only the side that has something is read: the other would say EAGAIN each time. */
	if ((client && fill(c->client, &c->up) < 0) ||
		(server && fill(c->server, &c->down) < 0) ||
		drain(c->server, &c->up) < 0 || drain(c->client, &c->down) < 0 ||
		(c->up.is_shut && c->down.is_shut) ||
		is_over(&c->up, &c->client_source, client) ||
		is_over(&c->down, &c->server_source, server)) {
		conn_free(c);
		return;
	}
	c->deadline = clock_boot_ms() + PROXY_IDLE_MS;
	want(c);
}

/* ---- the server ---- */

static void start_relay(struct conn *c)
{
	static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";
	static const uint8_t granted[10] = { 5, 0, 0, 1, 0, 0, 0, 0, 0, 0 };
	const void *words =
		c->req.kind == PROXY_SOCKS ? (const void *)granted : established;
	size_t len =
		c->req.kind == PROXY_SOCKS ? sizeof(granted) : sizeof(established) - 1;

	c->state = STATE_RELAY;
	c->down.buf = xmalloc(BUFFER);
	if (c->req.kind == PROXY_HTTP) {
		/* The rewritten head goes first; what was read after the old one follows. */
		size_t rest = c->up.len - c->up.at;

		strbuf_add(&c->req.forward, c->up.buf + c->up.at, rest);
		free(c->up.buf);
		c->up.len = c->req.forward.len;
		c->up.at = 0;
		strbuf_reserve(&c->req.forward, BUFFER); /* it becomes the buffer */
		c->up.buf = strbuf_take(&c->req.forward);
	} else if (c->req.kind != PROXY_RELAY) {
		memcpy(c->down.buf, words, len);
		c->down.len = len;
		c->down.bytes = -(int64_t)len; /* ours, not the server's */
	}
	relay(c, 0, 0);
}

static void try_next(struct conn *c);

static void on_connected(struct conn *c)
{
	int sys = 0;
	socklen_t len = sizeof(sys);

	if (getsockopt(c->server, SOL_SOCKET, SO_ERROR, &sys, &len) < 0 || sys != 0) {
		loop_remove(c->server_source);
		c->server_source = NULL;
		(void)close(take_fd(&c->server)); /* not connected */
		c->addr++;
		errno = sys;
		try_next(c);
		return;
	}
	start_relay(c);
}

/* To the very address that was judged. */
static int try_one(struct conn *c)
{
	union proxy_addr *a = &c->addrs[c->addr];
	int one = 1;

	c->server =
		socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->server < 0)
		return -1;
	(void)setsockopt(
		c->server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* a wish */
	proxy_addr_set_port(a, c->req.port);
	if (connect(c->server, &a->sa,
		    a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in)) < 0 &&
		errno != EINPROGRESS) {
		int sys = errno;

		(void)close(take_fd(&c->server)); /* not connected */
		errno = sys;
		return -1;
	}
	c->server_source = loop_add_fd(c->p->loop, c->server, EPOLLOUT, on_server, c);
	c->try_deadline = clock_boot_ms() + TRY_MS;
	return 0;
}

static void try_next(struct conn *c)
{
	int sys = errno;

	for (; c->addr < c->addrs_len; c->addr++) {
		if (try_one(c) == 0)
			return;
		sys = errno;
	}
	c->addr = c->addrs_len ? c->addrs_len - 1 : 0;
	fail(c, err_sys_text(sys), "502 Bad Gateway", sys == ECONNREFUSED ? 5 : 4);
}

/* Only what a rule allows stays in the list. */
static void judge(struct conn *c, const union proxy_addr *addrs, size_t n)
{
	const union proxy_addr *refused = NULL;
	struct proxy_verdict bad = { false, NULL };

	for (size_t i = 0; addrs && i < n && i < PROXY_ADDRS; i++) {
		struct proxy_verdict v = proxy_judge_addr(
			c->p->o->policy, c->req.host, c->req.port, &addrs[i]);

		if (v.is_allowed) {
			c->verdict = v;
			c->addrs[c->addrs_len++] = addrs[i];
		} else if (!refused) {
			refused = &addrs[i];
			bad = v;
		}
	}
	if (c->addrs_len == 0 && refused) {
		c->verdict = bad;
		refuse(c, refused);
		return;
	}
	c->state = STATE_CONNECT;
	c->deadline = clock_boot_ms() + PROXY_CONNECT_MS;
	errno = EHOSTUNREACH;
	try_next(c);
}

static void on_resolved(const union proxy_addr *addrs, int n, void *ctx)
{
	struct conn *c = ctx;

	c->state = STATE_CONNECT; /* no answer is waited for any more */
	if (n <= 0)
		fail(c, "the name cannot be resolved", "502 Bad Gateway", 4);
	else
		judge(c, addrs, (size_t)n);
}

/* ---- the client ---- */

static void on_request(struct conn *c)
{
	union proxy_addr literal;

	c->up.at = c->req.used;
	c->verdict = proxy_judge_name(c->p->o->policy, c->req.host, c->req.port);
	loop_mod_fd(c->client_source, 0); /* what more it sends waits */
	if (!c->verdict.is_allowed) {
		refuse(c, NULL);
		return;
	}
	if (proxy_addr_parse(c->req.host, &literal)) {
		judge(c, &literal, 1);
		return;
	}
	c->state = STATE_RESOLVE;
	c->deadline = clock_boot_ms() + PROXY_RESOLVE_MS + PROXY_CONNECT_MS;
	proxy_resolve(c->p->resolver, c->req.host, on_resolved, c);
}

static void read_socks(struct conn *c)
{
	uint8_t reply[16];
	size_t reply_len;
	bool was_greeted;
	enum proxy_head head;

	do {
		was_greeted = c->is_greeted;
		head = proxy_socks_head((const uint8_t *)c->up.buf, c->up.len,
			&c->is_greeted, reply, &reply_len, &c->req);
		if (head == PROXY_HEAD_BAD) {
			say(c, reply, reply_len);
			return;
		}
		if (reply_len > 0 && send(c->client, reply, reply_len,
					     MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
			conn_free(c);
			return;
		}
		if (head == PROXY_HEAD_MORE && c->req.used > 0) {
			memmove(c->up.buf, c->up.buf + c->req.used,
				c->up.len - c->req.used);
			c->up.len -= c->req.used;
		}
	} while (
		head == PROXY_HEAD_MORE && c->is_greeted != was_greeted && c->up.len > 0);
	if (head == PROXY_HEAD_DONE)
		on_request(c);
}

static void read_http(struct conn *c)
{
	const char *why;
	_cleanup_free_ char *text = NULL;

	switch (proxy_http_head(c->up.buf, c->up.len, &c->req, &why)) {
	case PROXY_HEAD_MORE:
		return;
	case PROXY_HEAD_DONE:
		on_request(c);
		return;
	case PROXY_HEAD_BAD:
		text = xasprintf("sluice: %s\n", why);
		say_http(c, "400 Bad Request", text);
		return;
	}
}

static void read_head(struct conn *c)
{
	ssize_t n = recv(c->client, c->up.buf + c->up.len, PROXY_HEAD_MAX + 4 - c->up.len,
		MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		conn_free(c);
		return;
	}
	c->up.len += (size_t)n;
	c->is_socks = c->up.buf[0] == 5 || c->is_greeted;
	if (c->is_socks)
		read_socks(c);
	else
		read_http(c);
}

static void on_client(struct loop *l, int fd, uint32_t events, void *data)
{
	struct conn *c = data;
	char sink[4096];

	switch (c->state) {
	case STATE_HEAD:
		read_head(c);
		return;
	case STATE_RESOLVE:
	case STATE_CONNECT:
		if (events & (EPOLLHUP | EPOLLERR)) /* it has gone away */
			conn_free(c);
		return;
	case STATE_RELAY:
		relay(c, events, 0);
		return;
	case STATE_LINGER: {
		ssize_t n = recv(c->client, sink, sizeof(sink), MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			conn_free(c);
		return;
	}
	}
}

static void on_server(struct loop *l, int fd, uint32_t events, void *data)
{
	struct conn *c = data;

	if (c->state == STATE_CONNECT)
		on_connected(c);
	else if (c->state == STATE_RELAY)
		relay(c, 0, events);
}

/* ---- coming, going late, all of them ---- */

/* Straight to the one address; no name, no rule. */
static void start_granted(struct conn *c, const struct proxy_relay *r)
{
	c->req.kind = PROXY_RELAY;
	c->req.port = r->target.sa.sa_family == AF_INET6 ? ntohs(r->target.in6.sin6_port)
							 : ntohs(r->target.in.sin_port);
	c->addrs[0] = r->target;
	c->addrs_len = 1;
	proxy_addr_text(&r->target, c->req.host);
	c->verdict = (struct proxy_verdict){ true, "relay" };
	c->state = STATE_CONNECT;
	c->deadline = c->started + PROXY_CONNECT_MS;
	loop_mod_fd(c->client_source, 0);
	try_next(c);
}

void proxy_conn_new(struct proxy_listener *from, int client)
{
	struct proxy *p = from->p;
	struct conn *c = xcalloc(1, sizeof(*c));
	int one = 1;

	(void)setsockopt(
		client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* a wish */
	c->p = p;
	c->from = from;
	c->client = client;
	c->server = -1;
	c->started = clock_boot_ms();
	c->deadline = c->started + PROXY_HEAD_MS;
	strbuf_init(&c->req.forward);
	c->up.buf = xmalloc(BUFFER);
	c->next = p->conns;
	c->prev = &p->conns;
	if (c->next)
		c->next->prev = &c->next;
	p->conns = c;
	p->conns_len++;
	from->conns++;
	c->client_source = loop_add_fd(p->loop, client, EPOLLIN, on_client, c);
	if (from->relay)
		start_granted(c, from->relay);
}

void proxy_conns_sweep(struct proxy *p, int64_t now)
{
	for (struct conn *c = p->conns, *next; c; c = next) {
		next = c->next;
		if (now >= c->deadline) {
			if (c->state == STATE_CONNECT || c->state == STATE_RESOLVE)
				tell(c, "failed", "no answer in time", NULL);
			conn_free(c);
		} else if (c->state == STATE_CONNECT && c->server >= 0 &&
			   now >= c->try_deadline) {
			loop_remove(c->server_source);
			c->server_source = NULL;
			(void)close(take_fd(&c->server)); /* not connected */
			c->addr++;
			errno = ETIMEDOUT;
			try_next(c);
		}
	}
}

void proxy_conns_end(struct proxy *p)
{
	while (p->conns)
		conn_free(p->conns); /* NOLINT: it leaves the list */
}
