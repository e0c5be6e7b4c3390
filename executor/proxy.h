/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way out of a job at network level `proxy`: HTTP CONNECT, plain http by absolute URL,
 * SOCKS5; and relays of a port to an address the server chose, at any level. It accepts on
 * listeners made inside the job's network namespace and handed out, resolves names itself,
 * judges each *address*, and connects to that very address, so that a name cannot answer
 * differently the second time.
 *
 * proxy_run is called in a forked child of the executor, before GO: it holds no secret.
 */
#ifndef EXECUTOR_PROXY_H
#define EXECUTOR_PROXY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"

#define PROXY_PORT	  3128
#define PROXY_CONNECTIONS 512	      /* at a time; more wait in the listen queue */
#define PROXY_HEAD_MAX	  (16 * 1024) /* request line and header fields */
#define PROXY_HEAD_MS	  10000	      /* from accept to the end of the header */
#define PROXY_RESOLVE_MS  10000
#define PROXY_CONNECT_MS  15000 /* over all addresses of a name */
#define PROXY_IDLE_MS	  (15 * 60 * 1000)
#define PROXY_RULES	  1024
#define PROXY_ADDRS	  16 /* looked at per name */
#define PROXY_RELAYS	  16
#define PROXY_RELAY_CONNECTIONS 128 /* at a time, of one listener; more wait */

union proxy_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/*
 * Rules, from the job's spec:
 *	{"mode": "open" | "list",	open: every public address; list: the allow entries only
 *	 "allow": ["host", "host:443", "*.suffix", "10.20.0.0/16", "[fd00::/8]:443", ...],
 *	 "deny":  [...same forms...],	wins over everything
 *	 "hint":  "SLUICE_NETWORK_ALLOW=%s sluice run",	 %s is the host; optional
 *	 "learn": "learn"}	optional: a public address that no entry of a list names is
 *				allowed under this rule
 * An address that is not public needs an allow entry that names its host or its range.
 */
struct proxy_policy;

int proxy_policy_new(
	const struct json *rules, struct proxy_policy **ret, struct err *err);
void proxy_policy_free(struct proxy_policy *p);
DEFINE_CLEANUP(struct proxy_policy, proxy_policy_free);

struct sandbox_host;

struct proxy_verdict {
	bool is_allowed;
	const char
		*rule; /* "public", "allow", "not-listed", "deny", "private-address" ...;
			   * static or the policy's own text */
};

/* By name and port alone, before resolving; is_allowed false is final. */
struct proxy_verdict proxy_judge_name(
	const struct proxy_policy *p, const char *host, uint16_t port);
/* One address of HOST. The host's own addresses are read from the kernel at each call. */
struct proxy_verdict proxy_judge_addr(const struct proxy_policy *p, const char *host,
	uint16_t port, const union proxy_addr *addr);
/* "private-address", "loopback", "link-local", "metadata", "cgnat", "multicast",
 * "reserved"; NULL for a public address. IPv4 in IPv6 forms are unwrapped first. */
const char *proxy_addr_class(const union proxy_addr *addr);

/* Resolver seam for tests: fills up to MAX addresses; returns their number, 0 for none,
 * -1 for "cannot resolve". Called in a resolver child, may block. */
typedef int proxy_resolve_fn(
	const char *host, union proxy_addr *ret, size_t max, void *ctx);

/* Everything that is accepted on LISTENER is connected to TARGET (with its port). */
struct proxy_relay {
	int listener; /* stays the caller's */
	union proxy_addr target;
};

/* "5000=127.0.0.1:5000", "5000=[::1]:5000": port inside, address and port outside. */
int proxy_relay_parse(
	const char *text, uint16_t *ret_port, union proxy_addr *ret, struct err *err);

struct proxy_options {
	const int *listeners; /* non-blocking is set here; stay the caller's */
	size_t listeners_len;
	const struct proxy_relay *relays; /* 2 * PROXY_RELAYS at most */
	size_t relays_len;
	int dns; /* a UDP socket on which names are asked for (network `egress`), or -1 */
	const struct proxy_policy *policy;
	/*
	 * Chan to the executor. From us: {"op": "net", "since": clock_boot_ms when it was
	 * accepted, "kind": "connect"|"http"|"socks"|"relay"|"dns", "host", "port", "addr",
	 * "verdict": "allowed"|"refused"|"failed", "rule", "text" (one line for the log,
	 * refused and failed only), "allow" (the command that would, refused only), "sent",
	 * "received", "ms"}: refused and failed at once, allowed ones when they close. Its
	 * EOF ends us; {"op": "finish"} does too, after the open connections were written
	 * down.
	 */
	int chan;
	proxy_resolve_fn *resolve; /* NULL: getaddrinfo */
	void *resolve_ctx;
	bool is_confined; /* apply the worker confinement before the first accept */
	const struct sandbox_host *host; /* for that; NULL: it compiles its own filter */
};

#define PROXY_OPTIONS_INIT \
	{                  \
		.chan = -1, .dns = -1 \
	}

/* Runs until the chan ends. 0, or -1 when it could not start. */
int proxy_run(const struct proxy_options *o, struct err *err);

#endif
