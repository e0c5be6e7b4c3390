/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names to addresses: getaddrinfo blocks, so a few children do it, forked when the first
 * name needs them: most jobs ask for none. One that takes too long is killed and replaced;
 * what waits is answered in order.
 */
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "executor/proxy-internal.h"

#define CHILDREN 4

struct query {
	struct query *next;
	char host[PROXY_HOST_MAX];
	proxy_resolved_fn *fn;
	void *ctx; /* NULL: nobody waits any more */
};

struct child {
	struct proxy_resolver *owner;
	pid_t pid;
	int fd;
	struct loop_source *source, *timer;
	struct query *query; /* being answered */
};

struct proxy_resolver {
	struct loop *loop;
	proxy_resolve_fn *fn;
	void *fn_ctx;
	struct child children[CHILDREN];
	struct query *first, **last;
};

/* What a child says. */
struct reply {
	int n;
	union proxy_addr addrs[PROXY_ADDRS];
};

static int ask_system(const char *host, union proxy_addr *ret, size_t max, void *ctx)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_ADDRCONFIG };
	struct addrinfo *list;
	size_t n = 0;

	if (getaddrinfo(host, NULL, &hints, &list) != 0)
		return -1;
	for (struct addrinfo *a = list; a && n < max; a = a->ai_next) {
		if (a->ai_addrlen > sizeof(*ret))
			continue;
		memset(&ret[n], 0, sizeof(ret[n]));
		memcpy(&ret[n++], a->ai_addr, a->ai_addrlen);
	}
	freeaddrinfo(list);
	return (int)n;
}

static void serve(const struct proxy_resolver *r, int fd)
{
	char host[PROXY_HOST_MAX];
	ssize_t n;

	while ((n = recv(fd, host, sizeof(host) - 1, 0)) > 0) {
		struct reply reply;

		memset(&reply, 0, sizeof(reply));
		host[n] = '\0';
		reply.n = r->fn(host, reply.addrs, PROXY_ADDRS, r->fn_ctx);
		if (send(fd, &reply, sizeof(reply), MSG_NOSIGNAL) < 0)
			break;
	}
}

static void on_reply(struct loop *l, int fd, uint32_t events, void *data);

static int start_child(struct child *c, struct err *err)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "cannot make a socket pair for a resolver");
	c->pid = fork();
	if (c->pid < 0) {
		(void)close(pair[0]); /* never used */
		(void)close(pair[1]);
		return err_sys(err, "cannot fork a resolver");
	}
	if (c->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		fd_close_from(3, &pair[1], 1);
		serve(c->owner, pair[1]);
		_exit(0);
	}
	(void)close(pair[1]); /* the child's */
	c->fd = pair[0];
	c->source = loop_add_fd(c->owner->loop, c->fd, EPOLLIN, on_reply, c);
	return 0;
}

static void stop_child(struct child *c)
{
	if (c->pid <= 0)
		return;
	loop_remove(c->source);
	loop_remove(c->timer);
	c->source = c->timer = NULL;
	(void)close(c->fd); /* a socket pair */
	c->fd = -1;
	(void)kill(c->pid, SIGKILL); /* not reaped: still its own number */
	(void)waitpid(c->pid, NULL, 0);
	c->pid = 0;
}

static void answer(struct query *q, const union proxy_addr *addrs, int n)
{
	if (q->ctx)
		q->fn(addrs, n, q->ctx);
	free(q);
}

static void feed(struct proxy_resolver *r);

static void give_up(struct child *c)
{
	struct query *q = take_ptr(c->query);

	stop_child(c);
	if (q)
		answer(q, NULL, -1);
	feed(c->owner);
}

static void on_timeout(struct loop *l, void *data)
{
	struct child *c = data;

	c->timer = NULL; /* it has fired */
	give_up(c);
}

static void on_reply(struct loop *l, int fd, uint32_t events, void *data)
{
	struct child *c = data;
	struct reply reply;
	struct query *q;

	if (recv(fd, &reply, sizeof(reply), MSG_DONTWAIT) != sizeof(reply) ||
		reply.n > PROXY_ADDRS) {
		give_up(c);
		return;
	}
	loop_remove(c->timer);
	c->timer = NULL;
	q = take_ptr(c->query);
	if (q)
		answer(q, reply.addrs, reply.n);
	feed(c->owner);
}

static struct query *take_first(struct proxy_resolver *r)
{
	struct query *q = r->first;

	r->first = q->next;
	if (!r->first)
		r->last = &r->first;
	return q;
}

/* One that runs and waits, else a new one, else NULL. */
static struct child *idle_child(struct proxy_resolver *r)
{
	struct child *none = NULL;

	for (size_t i = 0; i < CHILDREN; i++) {
		struct child *c = &r->children[i];

		if (c->pid > 0 && !c->query)
			return c;
		if (c->pid <= 0)
			none = c;
	}
	return none && start_child(none, NULL) == 0 ? none : NULL;
}

static bool is_any_busy(const struct proxy_resolver *r)
{
	for (size_t i = 0; i < CHILDREN; i++)
		if (r->children[i].query)
			return true;
	return false;
}

/* Waiting names to idle children. */
static void feed(struct proxy_resolver *r)
{
	while (r->first) {
		struct child *c = idle_child(r);
		struct query *q;

		if (!c && is_any_busy(r))
			return; /* its answer feeds the rest */
		q = take_first(r);
		if (!c) {
			answer(q, NULL, -1); /* no process is to be had */
			continue;
		}
		c->query = q;
		if (send(c->fd, q->host, strlen(q->host), MSG_NOSIGNAL) < 0) {
			give_up(c);
			return; /* which has fed the rest */
		}
		c->timer = loop_add_timer(r->loop, PROXY_RESOLVE_MS, on_timeout, c);
	}
}

struct proxy_resolver *proxy_resolver_new(
	struct loop *l, proxy_resolve_fn *fn, void *fn_ctx)
{
	struct proxy_resolver *r = xcalloc(1, sizeof(*r));

	r->loop = l;
	r->fn = fn ? fn : ask_system;
	r->fn_ctx = fn_ctx;
	r->last = &r->first;
	for (size_t i = 0; i < CHILDREN; i++) {
		r->children[i].owner = r;
		r->children[i].fd = -1;
	}
	return r;
}

void proxy_resolver_free(struct proxy_resolver *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < CHILDREN; i++) {
		stop_child(&r->children[i]);
		free(r->children[i].query);
	}
	while (r->first) {
		struct query *q = r->first;

		r->first = q->next;
		free(q);
	}
	free(r);
}

void proxy_resolve(
	struct proxy_resolver *r, const char *host, proxy_resolved_fn *fn, void *ctx)
{
	struct query *q = xcalloc(1, sizeof(*q));

	memcpy(q->host, host, strlen(host) + 1); /* proxy_host has bounded it */
	q->fn = fn;
	q->ctx = ctx;
	*r->last = q;
	r->last = &q->next;
	feed(r);
}

void proxy_resolve_cancel(struct proxy_resolver *r, const void *ctx)
{
	for (struct query *q = r->first; q; q = q->next) {
		if (q->ctx == ctx)
			q->ctx = NULL;
	}
	for (size_t i = 0; i < CHILDREN; i++) {
		if (r->children[i].query && r->children[i].query->ctx == ctx)
			r->children[i].query->ctx = NULL;
	}
}
