/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may be talked to. Names are judged before and addresses after resolving; what counts
 * in the end is the address, since the owner of a name decides what it resolves to.
 *
 * What opens an address that is not public: an entry of addresses opens any; an entry with
 * the exact name opens private ones and those of this host; a `*.suffix` opens none,
 * because anybody below it could point a name inwards. Metadata services, loopback and
 * link-local addresses are opened by address alone.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/netrange.h"
#include "executor/proxy-internal.h"

enum entry_kind { ENTRY_NAME, ENTRY_SUFFIX, ENTRY_RANGE };

struct entry {
	enum entry_kind kind;
	char name[PROXY_HOST_MAX + 1]; /* SUFFIX: with its dot in front */
	uint8_t addr[16];	       /* IPv4 as ::ffff:a.b.c.d */
	unsigned bits;
	uint16_t port; /* 0: every */
};

struct proxy_policy {
	struct entry *allow, *deny;
	size_t allow_len, deny_len;
	bool is_list;
	bool has_ranges; /* in allow */
	char *hint;
	char *learn; /* the rule under which a list lets pass what it does not name */
};

/* ---- addresses ---- */

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static void to_bytes(const union proxy_addr *addr, uint8_t out[16])
{
	if (addr->sa.sa_family == AF_INET6) {
		memcpy(out, &addr->in6.sin6_addr, 16);
		return;
	}
	memcpy(out, mapped, 12);
	memcpy(out + 12, &addr->in.sin_addr, 4);
}

static bool has_prefix(const uint8_t *addr, const uint8_t *want, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;

	if (memcmp(addr, want, whole) != 0)
		return false;
	return rest == 0 || (addr[whole] ^ want[whole]) >> (8 - rest) == 0;
}

static const char *class_in(
	int family, const uint8_t *addr, const struct netrange *r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t want[16];

		if (inet_pton(family, r[i].text, want) == 1 &&
			has_prefix(addr, want, r[i].bits))
			return r[i].class;
	}
	return NULL;
}

/* IPv4 that hides in IPv6: mapped, NAT64 and 6to4; NULL: none. */
static const uint8_t *hidden4(const uint8_t a[16])
{
	static const uint8_t nat64[12] = { 0, 0x64, 0xff, 0x9b };

	if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
		return a + 12;
	return a[0] == 0x20 && a[1] == 0x02 ? a + 2 : NULL;
}

const char *proxy_addr_class(const union proxy_addr *addr)
{
	uint8_t a[16];
	const uint8_t *v4;

	if (addr->sa.sa_family != AF_INET && addr->sa.sa_family != AF_INET6)
		return "reserved";
	to_bytes(addr, a);
	v4 = hidden4(a);
	if (v4)
		return class_in(AF_INET, v4, netranges4, netranges4_len);
	return class_in(AF_INET6, a, netranges6, netranges6_len);
}

void proxy_addr_text(const union proxy_addr *addr, char buf[64])
{
	const void *p = addr->sa.sa_family == AF_INET6
				? (const void *)&addr->in6.sin6_addr
				: (const void *)&addr->in.sin_addr;

	if (!inet_ntop(addr->sa.sa_family, p, buf, 64))
		(void)snprintf(buf, 64, "?");
}

bool proxy_addr_parse(const char *text, union proxy_addr *ret)
{
	union proxy_addr a = { .in6 = { .sin6_family = AF_UNSPEC } };

	if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1)
		a.in.sin_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &a.in6.sin6_addr) == 1)
		a.in6.sin6_family = AF_INET6;
	else
		return false;
	*ret = a;
	return true;
}

void proxy_addr_set_port(union proxy_addr *addr, uint16_t port)
{
	if (addr->sa.sa_family == AF_INET6)
		addr->in6.sin6_port = htons(port);
	else
		addr->in.sin_port = htons(port);
}

/* Only an address of this host can be bound; the kernel knows them at any moment. */
static bool is_own(const union proxy_addr *addr)
{
	union proxy_addr any_port = *addr;
	_cleanup_close_ int fd = socket(addr->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	proxy_addr_set_port(&any_port, 0);
	return fd >= 0 && bind(fd, &any_port.sa,
				  addr->sa.sa_family == AF_INET6 ? sizeof(addr->in6)
								 : sizeof(addr->in)) == 0;
}

/* ---- entries ---- */

static int bad_entry(const char *text, struct err *err)
{
	return err_set(err, ERR_INPUT,
		"'%.100s' is no network rule: host, *.suffix or address/bits, with :port or without",
		text);
}

/* "10.0.0.0/8" or a plain address. 1: it is neither. */
static int parse_range(const char *text, struct entry *e)
{
	const char *slash = strchr(text, '/');
	_cleanup_free_ char *addr =
		slash ? xstrndup(text, (size_t)(slash - text)) : xstrdup(text);
	union proxy_addr a;
	long long bits;
	unsigned all;

	if (!proxy_addr_parse(addr, &a))
		return 1;
	all = a.sa.sa_family == AF_INET ? 32 : 128;
	if (slash && str_to_int(slash + 1, 0, all, &bits) < 0)
		return -1;
	e->kind = ENTRY_RANGE;
	to_bytes(&a, e->addr);
	e->bits = (slash ? (unsigned)bits : all) + (all == 32 ? 96 : 0);
	return 0;
}

/* Splits "host:443" and "[addr]:443"; a bare IPv6 address has no port. */
static int split_port(const char *text, char *host, size_t size, uint16_t *ret)
{
	const char *close_at = text[0] == '[' ? strchr(text, ']') : NULL;
	const char *colon = close_at ? close_at + 1 : strchr(text, ':');
	const char *start = close_at ? text + 1 : text;
	size_t n;
	long long port;

	*ret = 0;
	if (!close_at && colon && strchr(colon + 1, ':'))
		colon = NULL;
	if (close_at && *colon == '\0')
		colon = NULL;
	n = close_at ? (size_t)(close_at - start)
	    : colon  ? (size_t)(colon - start)
		     : strlen(text);
	if (n == 0 || n >= size || (text[0] == '[' && !close_at) ||
		(close_at && colon && *colon != ':'))
		return -1;
	if (colon && str_to_int(colon + 1, 1, 65535, &port) < 0)
		return -1;
	memcpy(host, start, n);
	host[n] = '\0';
	*ret = colon ? (uint16_t)port : 0;
	return 0;
}

int proxy_relay_parse(
	const char *text, uint16_t *ret_port, union proxy_addr *ret, struct err *err)
{
	const char *eq = strchr(text, '=');
	_cleanup_free_ char *inside = xstrndup(text, eq ? (size_t)(eq - text) : 0);
	char host[PROXY_HOST_MAX];
	union proxy_addr addr;
	long long port;
	uint16_t to;

	if (!eq || str_to_int(inside, 1, 65535, &port) < 0 ||
		split_port(eq + 1, host, sizeof(host), &to) < 0 || to == 0 ||
		!proxy_addr_parse(host, &addr))
		return err_set(err, ERR_INPUT,
			"'%.100s' is no relay: PORT=ADDRESS:PORT, as in 5000=127.0.0.1:5000",
			text);
	if (port == PROXY_PORT)
		return err_set(err, ERR_INPUT, "port %d inside is the proxy's", PROXY_PORT);
	proxy_addr_set_port(&addr, to);
	*ret_port = (uint16_t)port;
	*ret = addr;
	return 0;
}

static int parse_entry(const char *text, struct entry *e, struct err *err)
{
	char host[PROXY_HOST_MAX];
	int rc;

	*e = (struct entry){ .kind = ENTRY_NAME };
	if (split_port(text, host, sizeof(host), &e->port) < 0)
		return bad_entry(text, err);
	rc = parse_range(host, e);
	if (rc <= 0)
		return rc < 0 ? bad_entry(text, err) : 0;
	if (strncmp(host, "*.", 2) == 0) {
		e->kind = ENTRY_SUFFIX;
		if (!proxy_host(host + 2, strlen(host + 2), e->name + 1))
			return bad_entry(text, err);
		e->name[0] = '.';
		return 0;
	}
	return proxy_host(host, strlen(host), e->name) ? 0 : bad_entry(text, err);
}

static int parse_list(
	const struct json *list, struct entry **ret, size_t *ret_len, struct err *err)
{
	size_t n = json_count(list);
	_cleanup_free_ struct entry *all = NULL;

	if (n > PROXY_RULES)
		return err_set(err, ERR_LIMIT, "more than %d network rules", PROXY_RULES);
	all = xcalloc(n + 1, sizeof(*all));
	for (size_t i = 0; i < n; i++) {
		if (parse_entry(json_as_str(json_at(list, i), ""), &all[i], err) < 0)
			return -1;
	}
	*ret = take_ptr(all);
	*ret_len = n;
	return 0;
}

int proxy_policy_new(const struct json *rules, struct proxy_policy **ret, struct err *err)
{
	_cleanup_(proxy_policy_freep) struct proxy_policy *p = xcalloc(1, sizeof(*p));
	const char *mode = json_get_str(rules, "mode", "open");

	if (strcmp(mode, "open") != 0 && strcmp(mode, "list") != 0)
		return err_set(err, ERR_INPUT,
			"'%.40s' is no mode of the proxy: open or list", mode);
	p->is_list = strcmp(mode, "list") == 0;
	p->hint = xstrdup(json_get_str(rules, "hint", ""));
	p->learn = xstrdup_null(json_get_str(rules, "learn", NULL));
	if (parse_list(json_get(rules, "allow"), &p->allow, &p->allow_len, err) < 0 ||
		parse_list(json_get(rules, "deny"), &p->deny, &p->deny_len, err) < 0)
		return -1;
	for (size_t i = 0; i < p->allow_len; i++)
		p->has_ranges = p->has_ranges || p->allow[i].kind == ENTRY_RANGE;
	*ret = take_ptr(p);
	return 0;
}

void proxy_policy_free(struct proxy_policy *p)
{
	if (!p)
		return;
	free(p->allow);
	free(p->deny);
	free(p->hint);
	free(p->learn);
	free(p);
}

/* Rules that no name opens, or nothing here at all. */
static const char *subject(const char *rule, const char *host, const char *addr)
{
	static const char *const by_address[] = { "metadata", "loopback", "link-local",
		"multicast", "reserved" };

	if (strcmp(rule, "deny") == 0)
		return NULL;
	for (size_t i = 0; addr && i < ARRAY_SIZE(by_address); i++)
		if (strcmp(rule, by_address[i]) == 0)
			return addr;
	return host;
}

void proxy_policy_hint(const struct proxy_policy *p, const char *rule, const char *host,
	const char *addr, struct strbuf *out)
{
	const char *what = subject(rule, host, addr), *at = strstr(p->hint, "%s");

	if (!p->hint[0] || !what)
		return;
	if (at)
		strbuf_addf(out, "%.*s%s%s", (int)(at - p->hint), p->hint, what, at + 2);
	else
		strbuf_adds(out, p->hint);
}

/* ---- verdicts ---- */

/* Kinds of entries that name this host or address, as bits; 0: none. */
static unsigned matching(const struct entry *list, size_t len, const char *host,
	uint16_t port, const uint8_t *addr)
{
	size_t n = strlen(host);
	unsigned kinds = 0;

	for (size_t i = 0; i < len; i++) {
		const struct entry *e = &list[i];
		size_t m = strlen(e->name);
		bool hit = false;

		if (e->port && e->port != port)
			continue;
		switch (e->kind) {
		case ENTRY_NAME:
			hit = strcmp(e->name, host) == 0;
			break;
		case ENTRY_SUFFIX:
			hit = n > m && strcmp(host + n - m, e->name) == 0;
			break;
		case ENTRY_RANGE:
			hit = addr && has_prefix(addr, e->addr, e->bits);
			break;
		}
		if (hit)
			kinds |= 1u << e->kind;
	}
	return kinds;
}

struct proxy_verdict proxy_judge_name(
	const struct proxy_policy *p, const char *host, uint16_t port)
{
	if (matching(p->deny, p->deny_len, host, port, NULL))
		return (struct proxy_verdict){ false, "deny" };
	if (matching(p->allow, p->allow_len, host, port, NULL))
		return (struct proxy_verdict){ true, "allow" };
	if (p->is_list && !p->has_ranges && !p->learn)
		return (struct proxy_verdict){ false, "not-listed" };
	return (struct proxy_verdict){ true, "public" };
}

/* Whether entries of KINDS open an address of CLASS; NULL is a public one. */
static bool opens(unsigned kinds, const char *class)
{
	if (kinds & 1u << ENTRY_RANGE)
		return true;
	if (!class)
		return kinds != 0;
	if (!(kinds & 1u << ENTRY_NAME))
		return false;
	return strcmp(class, "private-address") == 0 || strcmp(class, "cgnat") == 0 ||
	       strcmp(class, "host-address") == 0;
}

struct proxy_verdict proxy_judge_addr(const struct proxy_policy *p, const char *host,
	uint16_t port, const union proxy_addr *addr)
{
	const char *class = proxy_addr_class(addr);
	union proxy_addr plain = *addr;
	unsigned kinds;
	uint8_t a[16];

	to_bytes(addr, a);
	if (hidden4(a)) { /* rules are written for the address inside */
		uint8_t v4[4];

		memcpy(v4, hidden4(a), 4);
		memcpy(a, mapped, 12);
		memcpy(a + 12, v4, 4);
		plain = (union proxy_addr){ .in = { .sin_family = AF_INET } };
		memcpy(&plain.in.sin_addr, v4, 4);
	}
	if (matching(p->deny, p->deny_len, host, port, a))
		return (struct proxy_verdict){ false, "deny" };
	if ((!class || strcmp(class, "private-address") == 0) && is_own(&plain))
		class = "host-address";
	kinds = matching(p->allow, p->allow_len, host, port, a);
	if (opens(kinds, class))
		return (struct proxy_verdict){ true, "allow" };
	if (class)
		return (struct proxy_verdict){ false, class };
	if (p->is_list)
		return p->learn ? (struct proxy_verdict){ true, p->learn }
				: (struct proxy_verdict){ false, "not-listed" };
	return (struct proxy_verdict){ true, "public" };
}
