/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by proxy.c (the process), proxy_conn.c, proxy_head.c (what clients ask),
 * proxy_policy.c, proxy_resolve.c. */
#ifndef EXECUTOR_PROXY_INTERNAL_H
#define EXECUTOR_PROXY_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/strbuf.h"
#include "executor/proxy.h"

#define PROXY_HOST_MAX 254

/* ---- heads: pure ---- */

enum proxy_kind { PROXY_CONNECT, PROXY_HTTP, PROXY_SOCKS, PROXY_RELAY };

struct proxy_request {
	enum proxy_kind kind;
	char host[PROXY_HOST_MAX]; /* lower case, without brackets and a last dot */
	uint16_t port;
	struct strbuf forward; /* HTTP: the head as the server gets it */
	size_t used;	       /* bytes of the input that were the head */
};

enum proxy_head { PROXY_HEAD_MORE, PROXY_HEAD_DONE, PROXY_HEAD_BAD };

/* An HTTP head: a CONNECT, or a request for http://. WHY: one line for a 400. */
enum proxy_head proxy_http_head(
	const char *data, size_t len, struct proxy_request *ret, const char **why);
/*
 * SOCKS5. *REPLY_LEN bytes of REPLY are to be sent at once. *IS_GREETED is the
 * connection's memory; USED bytes are to be dropped from the input also for MORE.
 */
enum proxy_head proxy_socks_head(const uint8_t *data, size_t len, bool *is_greeted,
	uint8_t reply[16], size_t *reply_len, struct proxy_request *ret);
/* Normalises; false for what is no host name or address. */
bool proxy_host(const char *text, size_t len, char ret[PROXY_HOST_MAX]);

/* ---- names to addresses ---- */

struct proxy_resolver;

typedef void proxy_resolved_fn(const union proxy_addr *addrs, int n, void *ctx);

struct proxy_resolver *proxy_resolver_new(
	struct loop *l, proxy_resolve_fn *fn, void *fn_ctx);
void proxy_resolver_free(struct proxy_resolver *r);
DEFINE_CLEANUP(struct proxy_resolver, proxy_resolver_free);
/* FN is called later, once; n is -1 when the name is not known or it took too long. */
void proxy_resolve(
	struct proxy_resolver *r, const char *host, proxy_resolved_fn *fn, void *ctx);
/* FN will not be called for this CTX any more. */
void proxy_resolve_cancel(struct proxy_resolver *r, const void *ctx);

/* "10.0.0.7", "fd00::1". */
void proxy_addr_text(const union proxy_addr *addr, char buf[64]);
bool proxy_addr_parse(const char *text, union proxy_addr *ret);
void proxy_addr_set_port(union proxy_addr *addr, uint16_t port);

/*
 * The command that allows what RULE refused: the policy's hint with the host in it, or with
 * ADDR (may be NULL) where only an address opens. Nothing when there is none.
 */
void proxy_policy_hint(const struct proxy_policy *p, const char *rule, const char *host,
	const char *addr, struct strbuf *out);

/* ---- names for a routed job ---- */

struct proxy_dns;
struct proxy;

/* Answers the queries that come to the bound UDP socket FD, by P's policy. */
struct proxy_dns *proxy_dns_new(struct proxy *p, int fd);
void proxy_dns_free(struct proxy_dns *d);

/* ---- the process and its connections ---- */

#define PROXY_LISTENERS (2 + 2 * PROXY_RELAYS) /* 127.0.0.1 and ::1 of each */

struct conn;

struct proxy_listener {
	struct proxy *p;
	int fd;
	const struct proxy_relay *relay; /* NULL: clients say where to */
	struct loop_source *source;	 /* NULL: as many as may be are there */
	size_t conns, conns_max;
};

struct proxy {
	const struct proxy_options *o;
	struct loop *loop;
	struct proxy_resolver *resolver;
	struct proxy_listener listeners[PROXY_LISTENERS];
	size_t listeners_len;
	struct conn *conns;
	size_t conns_len;
	struct proxy_dns *dns;
};

/* Hears all listeners that are below their limits. */
void proxy_listen(struct proxy *p);
/* Takes the accepted CLIENT. */
void proxy_conn_new(struct proxy_listener *from, int client);
/* Ends what is over its time at NOW (clock_boot_ms). */
void proxy_conns_sweep(struct proxy *p, int64_t now);
void proxy_conns_end(struct proxy *p);

#endif
