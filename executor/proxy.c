/* SPDX-License-Identifier: Apache-2.0 */
/* The process of the proxy: its listeners, its clock, its chan, what it may still do. */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "executor/proxy-internal.h"
#include "sandbox/sandbox.h"

#define SWEEP_MS 1000

/* ---- listeners ---- */

static void on_listener(struct loop *l, int fd, uint32_t events, void *data)
{
	struct proxy_listener *from = data;
	struct proxy *p = from->p;
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (client < 0)
		return; /* it has gone already, or there are no descriptors: level-triggered */
	proxy_conn_new(from, client);
	/* Over a limit the queue of the socket holds the rest. */
	for (size_t i = 0; i < p->listeners_len; i++) {
		struct proxy_listener *one = &p->listeners[i];

		if (p->conns_len < PROXY_CONNECTIONS && one->conns < one->conns_max)
			continue;
		loop_remove(one->source);
		one->source = NULL;
	}
}

void proxy_listen(struct proxy *p)
{
	for (size_t i = 0; i < p->listeners_len && p->conns_len < PROXY_CONNECTIONS;
		i++) {
		struct proxy_listener *one = &p->listeners[i];

		if (!one->source && one->conns < one->conns_max)
			one->source =
				loop_add_fd(p->loop, one->fd, EPOLLIN, on_listener, one);
	}
}

static void add_listener(
	struct proxy *p, int fd, const struct proxy_relay *relay, size_t conns_max)
{
	if (p->listeners_len == ARRAY_SIZE(p->listeners))
		return;			 /* the caller has counted: PROXY_LISTENERS */
	(void)fd_set_nonblock(fd, true); /* accept would tell */
	p->listeners[p->listeners_len++] = (struct proxy_listener){
		.p = p, .fd = fd, .relay = relay, .conns_max = conns_max
	};
}

/* ---- the clock, the executor ---- */

static void on_sweep(struct loop *l, void *data)
{
	struct proxy *p = data;

	proxy_conns_sweep(p, clock_boot_ms());
	loop_add_timer(l, SWEEP_MS, on_sweep, p);
}

static void on_chan(struct loop *l, int fd, uint32_t events, void *data)
{
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT;
	int n = chan_recv(fd, &m, &err);

	if (n < 0 && err.code == ERR_UNAVAILABLE)
		return;
	if (n <= 0 || str_eq(chan_msg_op(&m), "finish"))
		loop_stop(l, 0);
}

/* What resolving needs to read. */
static int confine(const struct sandbox_host *host, struct err *err)
{
	static const char *const paths[] = { "/etc/resolv.conf", "/etc/hosts",
		"/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services",
		"/etc/ld.so.cache", "/usr", "/lib", "/lib64", "/run/systemd/resolve" };
	struct sandbox_worker w = { .flags = SANDBOX_WORKER_NET | SANDBOX_WORKER_FORK,
		.memory = LIMIT_WORKER_MEMORY(512 * MiB),
		.nofile = 2 * PROXY_CONNECTIONS + 64 };
	int ro[ARRAY_SIZE(paths)];
	int rc;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		int fd = open(paths[i], O_PATH | O_CLOEXEC);

		if (fd >= 0)
			ro[w.ro_len++] = fd;
	}
	w.ro = ro;
	rc = sandbox_confine_worker(host, &w, err);
	for (size_t i = 0; i < w.ro_len; i++)
		(void)close(ro[i]); /* O_PATH: nothing to lose */
	return rc;
}

int proxy_run(const struct proxy_options *o, struct err *err)
{
	_cleanup_(loop_freep) struct loop *l = NULL;
	struct proxy p = { .o = o };
	int rc;

	if (o->is_confined && confine(o->host, err) < 0)
		return -1;
	if (loop_new(&l, err) < 0)
		return -1;
	p.loop = l;
	p.resolver = proxy_resolver_new(l, o->resolve, o->resolve_ctx);
	for (size_t i = 0; i < o->listeners_len; i++)
		add_listener(&p, o->listeners[i], NULL, PROXY_CONNECTIONS);
	for (size_t i = 0; i < o->relays_len; i++)
		add_listener(&p, o->relays[i].listener, &o->relays[i],
			PROXY_RELAY_CONNECTIONS);
	proxy_listen(&p);
	if (o->dns >= 0)
		p.dns = proxy_dns_new(&p, o->dns);
	if (o->chan >= 0)
		loop_add_fd(l, o->chan, EPOLLIN, on_chan, &p);
	loop_add_timer(l, SWEEP_MS, on_sweep, &p);
	rc = loop_run(l, err);
	proxy_conns_end(&p);
	proxy_dns_free(p.dns);
	proxy_resolver_free(p.resolver);
	return rc < 0 ? -1 : 0;
}
