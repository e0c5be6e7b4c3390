/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names of a routed job (level `egress`): queries on its loopback, answered with the
 * addresses that the rules let through. A name whose owner points it inwards, now or at the
 * second asking, has no answer; the packet filter would refuse the address all the same.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/mem.h"
#include "executor/dns.h"

#define PENDING \
	64	 /* questions being asked; more are dropped, and asked again by clients */
#define BURST 16 /* read in one turn */

struct proxy_dns {
	struct proxy *p;
	int fd;
	struct loop_source *source;
	struct question *questions; /* being asked */
	size_t pending;
};

struct question {
	struct question *next;
	struct proxy_dns *dns;
	struct sockaddr_in from;
	uint8_t query[DNS_MAX];
	struct dns_query q;
	int64_t started;
};

static void reply(const struct question *x, enum dns_code code,
	const union proxy_addr *addrs, size_t n)
{
	uint8_t out[DNS_MAX];
	size_t len = dns_answer(x->query, &x->q, code, addrs, n, out);

	/* A client that is not there any more does not want to know. */
	(void)sendto(x->dns->fd, out, len, MSG_DONTWAIT | MSG_NOSIGNAL,
		(const struct sockaddr *)&x->from, sizeof(x->from));
}

static void tell(const struct question *x, const char *verdict, const char *rule,
	const union proxy_addr *addr)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_free_ char *text = NULL;
	char buf[64] = "";

	if (addr)
		proxy_addr_text(addr, buf);
	if (str_eq(verdict, "refused"))
		text = xasprintf("%s resolves to %s: rule %s (network egress)", x->q.name,
			buf, rule);
	else if (str_eq(verdict, "failed"))
		text = xasprintf("%s: the name cannot be resolved", x->q.name);
	json_set_str(head, "op", "net");
	json_set_int(head, "since", x->started);
	json_set_str(head, "kind", "dns");
	json_set_str(head, "host", x->q.name);
	json_set_int(head, "port", 53);
	json_set_str(head, "addr", buf);
	json_set_str(head, "verdict", verdict);
	json_set_str(head, "rule", rule);
	if (text)
		json_set_str(head, "text", text);
	json_set_int(head, "ms", clock_boot_ms() - x->started);
	if (x->dns->p->o->chan >= 0 &&
		chan_send(x->dns->p->o->chan, head, NULL, 0, NULL, 0, NULL) < 0)
		loop_stop(x->dns->p->loop, 0); /* the job is over */
}

static void judge(const struct question *x, const union proxy_addr *addrs, size_t n)
{
	union proxy_addr good[PROXY_ADDRS];
	struct proxy_verdict bad = { true, "public" };
	const union proxy_addr *refused = NULL;
	size_t good_len = 0;

	for (size_t i = 0; i < n && i < PROXY_ADDRS; i++) {
		struct proxy_verdict v =
			proxy_judge_addr(x->dns->p->o->policy, x->q.name, 0, &addrs[i]);

		if (v.is_allowed) {
			good[good_len++] = addrs[i];
		} else if (!refused) {
			refused = &addrs[i];
			bad = v;
		}
	}
	if (good_len == 0 && refused) {
		tell(x, "refused", bad.rule, refused);
		reply(x, DNS_NO_NAME, NULL, 0);
		return;
	}
	tell(x, "allowed", "public", good_len ? &good[0] : NULL);
	reply(x, DNS_OK, good, good_len);
}

static void on_resolved(const union proxy_addr *addrs, int n, void *ctx)
{
	struct question *x = ctx, **at = &x->dns->questions;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	x->dns->pending--;
	if (addrs && n > 0) {
		judge(x, addrs, (size_t)n);
	} else {
		tell(x, "failed", "public", NULL);
		reply(x, DNS_NO_NAME, NULL, 0);
	}
	free(x);
}

/* X is copied where its answer takes time. */
static void ask(struct proxy_dns *d, struct question *x, int parsed)
{
	struct proxy_verdict v;

	if (parsed > 0) {
		reply(x, DNS_BAD_FORM, NULL, 0);
		return;
	}
	if (x->q.type != DNS_TYPE_A) { /* nothing of that type; there is no IPv6 route */
		reply(x, DNS_OK, NULL, 0);
		return;
	}
	v = proxy_judge_name(d->p->o->policy, x->q.name, 0);
	if (!v.is_allowed) {
		tell(x, "refused", v.rule, NULL);
		reply(x, DNS_NO_NAME, NULL, 0);
		return;
	}
	if (d->pending == PENDING)
		return;
	d->pending++;
	x = xmemdup(x, sizeof(*x));
	x->next = d->questions;
	d->questions = x;
	proxy_resolve(d->p->resolver, x->q.name, on_resolved, x);
}

static void on_query(struct loop *l, int fd, uint32_t events, void *data)
{
	struct proxy_dns *d = data;

	for (int i = 0; i < BURST; i++) {
		struct question x = { .dns = d, .started = clock_boot_ms() };
		socklen_t len = sizeof(x.from);
		ssize_t n = recvfrom(fd, x.query, sizeof(x.query), MSG_DONTWAIT,
			(struct sockaddr *)&x.from, &len);
		int parsed;

		if (n < 0)
			return;
		parsed = dns_parse(x.query, (size_t)n, &x.q);
		if (parsed >= 0 && len == sizeof(x.from))
			ask(d, &x, parsed);
	}
}

struct proxy_dns *proxy_dns_new(struct proxy *p, int fd)
{
	struct proxy_dns *d = xcalloc(1, sizeof(*d));

	d->p = p;
	d->fd = fd;
	d->source = loop_add_fd(p->loop, fd, EPOLLIN, on_query, d);
	return d;
}

void proxy_dns_free(struct proxy_dns *d)
{
	if (!d)
		return;
	loop_remove(d->source);
	while (d->questions) {
		struct question *x = d->questions;

		d->questions = x->next;
		proxy_resolve_cancel(d->p->resolver, x);
		free(x);
	}
	free(d);
}
