/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/chan.h"
#include "base/clock.h"
#include "executor/proxy-internal.h"
#include "executor/proxy.h"

/* ---- rules ---- */

static struct proxy_policy *policy(const char *json)
{
	struct proxy_policy *p = NULL;
	struct json *rules = NULL;
	struct err err = ERR_INIT;

	assert_ok(json_parse(json, strlen(json), &rules, &err), &err);
	assert_ok(proxy_policy_new(rules, &p, &err), &err);
	json_free(rules);
	return p;
}

static const struct {
	const char *addr, *class;
} classes[] = {
	{ "8.8.8.8", NULL },
	{ "1.1.1.1", NULL },
	{ "172.15.0.1", NULL },
	{ "172.32.0.1", NULL },
	{ "100.63.255.255", NULL },
	{ "100.128.0.0", NULL },
	{ "169.253.0.1", NULL },
	{ "0.0.0.0", "reserved" },
	{ "0.1.2.3", "reserved" },
	{ "10.0.0.1", "private-address" },
	{ "172.16.0.1", "private-address" },
	{ "172.31.255.255", "private-address" },
	{ "192.168.1.1", "private-address" },
	{ "100.64.0.1", "cgnat" },
	{ "127.0.0.1", "loopback" },
	{ "127.255.0.3", "loopback" },
	{ "169.254.1.1", "link-local" },
	{ "169.254.169.254", "metadata" },
	{ "169.254.170.2", "metadata" },
	{ "100.100.100.200", "metadata" },
	{ "168.63.129.16", "metadata" },
	{ "192.0.2.9", "reserved" },
	{ "198.18.0.1", "reserved" },
	{ "198.51.100.1", "reserved" },
	{ "203.0.113.1", "reserved" },
	{ "224.0.0.1", "multicast" },
	{ "239.255.255.255", "multicast" },
	{ "240.0.0.1", "reserved" },
	{ "255.255.255.255", "reserved" },
	{ "2606:4700::1", NULL },
	{ "::", "reserved" },
	{ "::1", "loopback" },
	{ "fe80::1", "link-local" },
	{ "febf::1", "link-local" },
	{ "fc00::1", "private-address" },
	{ "fdff::1", "private-address" },
	{ "fec0::1", "private-address" },
	{ "ff02::1", "multicast" },
	{ "fd00:ec2::254", "metadata" },
	{ "2001:db8::1", "reserved" },
	{ "2001::1", "reserved" },
	{ "100::1", "reserved" },
	{ "::ffff:127.0.0.1", "loopback" },
	{ "::ffff:169.254.169.254", "metadata" },
	{ "::ffff:8.8.8.8", NULL },
	{ "64:ff9b::10.0.0.1", "private-address" },
	{ "64:ff9b::8.8.8.8", NULL },
	{ "64:ff9b:1::1", "private-address" },
	{ "2002:0a00:0001::1", "private-address" },
	{ "2002:7f00:0001::", "loopback" },
	{ "2002:0808:0808::1", NULL },
	{ "::127.0.0.1", "reserved" },
};

static void knows_what_is_not_the_internet(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		union proxy_addr a;
		const char *got;

		assert_true(proxy_addr_parse(classes[i].addr, &a));
		got = proxy_addr_class(&a);
		if (!got != !classes[i].class ||
			(got && strcmp(got, classes[i].class) != 0))
			fail_msg("%s is %s, not %s", classes[i].addr,
				got ? got : "public",
				classes[i].class ? classes[i].class : "public");
	}
}

static const char open_rules[] =
	"{\"allow\": [\"pypi.corp.example\", \"git.corp.example:443\", \"*.inner.example\","
	" \"10.9.0.0/16\", \"10.8.0.1:8080\", \"[fd00:1::/32]:443\", \"127.0.0.1:5000\"],"
	" \"deny\": [\"bad.example\", \"*.bad.example\", \"9.9.9.0/24\", \"10.9.9.9\"]}";
static const char list_rules[] =
	"{\"mode\": \"list\", \"allow\": [\"good.example\", \"*.cdn.example:443\", \"10.9.0.0/16\"]}";

static const char learn_rules[] =
	"{\"mode\": \"list\", \"allow\": [\"a.example\"], \"learn\": \"learn\","
	" \"deny\": [\"bad.example\", \"9.9.9.0/24\"]}";

/* NET02: what the name and then each address is judged to be. */
static const struct {
	const char *rules, *host;
	uint16_t port;
	const char *addr; /* NULL: by name alone */
	bool is_allowed;
	const char *rule;
} verdicts[] = {
	{ open_rules, "example.org", 443, "8.8.8.8", true, "public" },
	{ open_rules, "example.org", 443, "10.0.0.1", false, "private-address" },
	{ open_rules, "example.org", 443, "::ffff:10.0.0.1", false, "private-address" },
	{ open_rules, "example.org", 80, "169.254.169.254", false, "metadata" },
	{ open_rules, "pypi.corp.example", 443, "10.20.0.7", true, "allow" },
	{ open_rules, "pypi.corp.example", 443, "100.64.0.7", true, "allow" },
	{ open_rules, "pypi.corp.example", 443, "127.0.0.1", false, "loopback" },
	{ open_rules, "pypi.corp.example", 443, "169.254.169.254", false, "metadata" },
	{ open_rules, "pypi.corp.example", 443, "fe80::1", false, "link-local" },
	{ open_rules, "git.corp.example", 443, "10.20.0.8", true, "allow" },
	{ open_rules, "git.corp.example", 22, "10.20.0.8", false, "private-address" },
	{ open_rules, "a.inner.example", 443, "10.20.0.9", false, "private-address" },
	{ open_rules, "a.inner.example", 443, "8.8.8.8", true, "allow" },
	{ open_rules, "inner.example", 443, "8.8.8.8", true, "public" },
	{ open_rules, "any.example", 1, "10.9.1.1", true, "allow" },
	{ open_rules, "any.example", 1, "::ffff:10.9.1.1", true, "allow" },
	{ open_rules, "any.example", 1, "64:ff9b::10.9.1.1", true, "allow" },
	{ open_rules, "any.example", 1, "10.9.9.9", false, "deny" },
	{ open_rules, "any.example", 1, "::ffff:10.9.9.9", false, "deny" },
	{ open_rules, "any.example", 8080, "10.8.0.1", true, "allow" },
	{ open_rules, "any.example", 80, "10.8.0.1", false, "private-address" },
	{ open_rules, "any.example", 443, "fd00:1::5", true, "allow" },
	{ open_rules, "any.example", 80, "fd00:1::5", false, "private-address" },
	{ open_rules, "localhost", 5000, "127.0.0.1", true, "allow" },
	{ open_rules, "localhost", 5001, "127.0.0.1", false, "loopback" },
	{ open_rules, "any.example", 443, "9.9.9.9", false, "deny" },
	{ open_rules, "bad.example", 443, NULL, false, "deny" },
	{ open_rules, "x.bad.example", 443, NULL, false, "deny" },
	{ open_rules, "notbad.example", 443, NULL, true, "public" },
	{ list_rules, "good.example", 1, NULL, true, "allow" },
	{ list_rules, "good.example", 1, "8.8.8.8", true, "allow" },
	{ list_rules, "x.cdn.example", 443, "8.8.8.8", true, "allow" },
	{ list_rules, "x.cdn.example", 80, "8.8.8.8", false, "not-listed" },
	{ list_rules, "other.example", 443, "8.8.8.8", false, "not-listed" },
	{ list_rules, "other.example", 443, "10.9.0.1", true, "allow" },
	{ "{\"mode\": \"list\", \"allow\": [\"a.example\"]}", "b.example", 1, NULL, false,
		"not-listed" },
	/* Learning lets pass what a list would refuse, and nothing else. */
	{ learn_rules, "a.example", 1, "8.8.8.8", true, "allow" },
	{ learn_rules, "b.example", 1, NULL, true, "public" },
	{ learn_rules, "b.example", 1, "8.8.8.8", true, "learn" },
	{ learn_rules, "b.example", 1, "10.0.0.1", false, "private-address" },
	{ learn_rules, "b.example", 1, "100.64.0.1", false, "cgnat" },
	{ learn_rules, "b.example", 1, "127.0.0.1", false, "loopback" },
	{ learn_rules, "b.example", 1, "169.254.169.254", false, "metadata" },
	{ learn_rules, "b.example", 1, "::ffff:169.254.169.254", false, "metadata" },
	{ learn_rules, "b.example", 1, "fd00::1", false, "private-address" },
	{ learn_rules, "bad.example", 1, NULL, false, "deny" },
	{ learn_rules, "b.example", 1, "9.9.9.9", false, "deny" },
};

static void judges_names_and_addresses_by_the_rules(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(verdicts); i++) {
		_cleanup_(proxy_policy_freep) struct proxy_policy *p =
			policy(verdicts[i].rules);
		struct proxy_verdict v;
		union proxy_addr a;

		if (verdicts[i].addr) {
			assert_true(proxy_addr_parse(verdicts[i].addr, &a));
			v = proxy_judge_addr(p, verdicts[i].host, verdicts[i].port, &a);
		} else {
			v = proxy_judge_name(p, verdicts[i].host, verdicts[i].port);
		}
		if (v.is_allowed != verdicts[i].is_allowed ||
			strcmp(v.rule, verdicts[i].rule) != 0)
			fail_msg("case %zu, %s %s: %s", i, verdicts[i].host,
				verdicts[i].addr ? verdicts[i].addr : "", v.rule);
	}
}

static void names_the_command_that_would_allow(void **state)
{
	static const struct {
		const char *rule, *addr, *want;
	} cases[] = {
		{ "not-listed", NULL, "allow h.example" },
		{ "private-address", "10.0.0.7", "allow h.example" },
		{ "host-address", "10.0.0.7", "allow h.example" },
		{ "metadata", "169.254.169.254", "allow 169.254.169.254" },
		{ "loopback", "127.0.0.1", "allow 127.0.0.1" },
		{ "deny", "10.0.0.7", "" },
	};
	_cleanup_(proxy_policy_freep) struct proxy_policy *p =
		policy("{\"hint\": \"allow %s\"}");

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;

		proxy_policy_hint(
			p, cases[i].rule, "h.example", cases[i].addr, &out);
		assert_string_equal(out.buf, cases[i].want);
	}
}

static void reads_relays(void **state)
{
	static const char *const bad[] = { "", "5000", "5000=", "=127.0.0.1:1", "0=127.0.0.1:1",
		"65536=127.0.0.1:1", "5000=127.0.0.1", "5000=127.0.0.1:0",
		"5000=registry:5000", "5000=[::1", "3128=127.0.0.1:1", "x=127.0.0.1:1" };
	union proxy_addr addr;
	uint16_t port;
	char text[64];
	struct err err = ERR_INIT;

	assert_ok(proxy_relay_parse("80=127.0.0.1:5000", &port, &addr, &err), &err);
	assert_int_equal(port, 80);
	assert_int_equal(ntohs(addr.in.sin_port), 5000);
	assert_ok(proxy_relay_parse("81=[::1]:5001", &port, &addr, &err), &err);
	proxy_addr_text(&addr, text);
	assert_string_equal(text, "::1");
	assert_int_equal(ntohs(addr.in6.sin6_port), 5001);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (proxy_relay_parse(bad[i], &port, &addr, NULL) == 0)
			fail_msg("'%s' was taken", bad[i]);
}

static void refuses_rules_it_does_not_understand(void **state)
{
	static const char *const bad[] = { "", "*", "*.", "10.0.0.0/33", "10.0.0.0/x",
		"a b", "host:0", "host:65536", "host:", "[::1", "[::1]x", "-x.example",
		"http://x", "fd00::/129", "a/b" };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_(json_freep) struct json *rules = json_new_object();
		struct json *allow = json_new_array();
		struct proxy_policy *p = NULL;
		struct err err = ERR_INIT;

		json_push_str(allow, bad[i]);
		json_set(rules, "allow", allow);
		if (proxy_policy_new(rules, &p, &err) == 0)
			fail_msg("'%s' was taken", bad[i]);
		assert_err_has(&err, ERR_INPUT, "is no network rule");
	}
}

static void counts_the_hosts_own_addresses_as_not_public(void **state)
{
	_cleanup_(proxy_policy_freep) struct proxy_policy *p = policy("{}");
	union proxy_addr a;
	struct sockaddr_in me = { .sin_family = AF_INET };
	socklen_t len = sizeof(me);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	/* Which of our addresses would be used to go out? Without a route there is none. */
	me.sin_port = htons(9);
	me.sin_addr.s_addr = htonl(0x08080808);
	if (connect(fd, (struct sockaddr *)&me, sizeof(me)) < 0) {
		close(fd);
		test_skip("no route out: no address to try");
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&me, &len), 0);
	close(fd);
	a.in = me;
	/* A public or private one is named so; one of a documentation range stays that. */
	assert_false(proxy_judge_addr(p, "x.example", 80, &a).is_allowed);
	if (!proxy_addr_class(&a))
		assert_string_equal(
			proxy_judge_addr(p, "x.example", 80, &a).rule, "host-address");
}

/* ---- heads ---- */

static const struct {
	const char *in;
	enum proxy_head want;
	const char *host;
	uint16_t port;
	const char *forward;
} heads[] = {
	{ "CONNECT a.example:443 HTTP/1.1\r\nHost: x\r\n\r\n", PROXY_HEAD_DONE,
		"a.example", 443, "" },
	{ "CONNECT A.EXAMPLE.:443 HTTP/1.0\r\n\r\n", PROXY_HEAD_DONE, "a.example", 443,
		"" },
	{ "CONNECT [::1]:443 HTTP/1.1\r\n\r\n", PROXY_HEAD_DONE, "::1", 443, "" },
	{ "CONNECT a.example:443 HTTP/1.1\r\n", PROXY_HEAD_MORE, NULL, 0, NULL },
	{ "CONNECT a.example HTTP/1.1\r\n\r\n", PROXY_HEAD_BAD, NULL, 0, NULL },
	{ "CONNECT a.example:0 HTTP/1.1\r\n\r\n", PROXY_HEAD_BAD, NULL, 0, NULL },
	{ "CONNECT a.example:99999 HTTP/1.1\r\n\r\n", PROXY_HEAD_BAD, NULL, 0, NULL },
	{ "CONNECT u@a.example:1 HTTP/1.1\r\n\r\n", PROXY_HEAD_BAD, NULL, 0, NULL },
	{ "CONNECT a_b\\c:1 HTTP/1.1\r\n\r\n", PROXY_HEAD_BAD, NULL, 0, NULL },
	{ "GET http://a.example/x?y=1 HTTP/1.1\r\nHost: evil\r\nAccept: */*\r\n"
	  "Proxy-Connection: keep-alive\r\nConnection: keep-alive\r\n\r\n",
		PROXY_HEAD_DONE, "a.example", 80,
		"GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nAccept: */*\r\n\r\n" },
	{ "POST http://a.example:8080 HTTP/1.0\r\nContent-Length: 2\r\n\r\nok",
		PROXY_HEAD_DONE, "a.example", 8080,
		"POST / HTTP/1.0\r\nHost: a.example:8080\r\nConnection: close\r\n"
		"Content-Length: 2\r\n\r\n" },
	{ "GET / HTTP/1.1\r\nHost: a\r\n\r\n", PROXY_HEAD_BAD, NULL, 0, NULL },
	{ "GET https://a.example/ HTTP/1.1\r\n\r\n", PROXY_HEAD_BAD, NULL, 0, NULL },
	{ "GET http://a.example/ HTTP/2.0\r\n\r\n", PROXY_HEAD_BAD, NULL, 0, NULL },
	{ "GET http://a.example/ b HTTP/1.1\r\n\r\n", PROXY_HEAD_BAD, NULL, 0, NULL },
	{ "GET http://a.example/ HTTP/1.1\r\nbad field\r\n\r\n", PROXY_HEAD_BAD, NULL, 0,
		NULL },
	{ "GET http://a.example/ HTTP/1.1\r\n folded: x\r\n\r\n", PROXY_HEAD_BAD, NULL, 0,
		NULL },
	{ "GET http://a.example?x HTTP/1.1\r\n\r\n", PROXY_HEAD_BAD, NULL, 0, NULL },
	{ "\r\n\r\n", PROXY_HEAD_BAD, NULL, 0, NULL },
};

static void reads_http_heads_strictly(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct proxy_request r = { .forward = STRBUF_INIT };
		const char *why;
		enum proxy_head got =
			proxy_http_head(heads[i].in, strlen(heads[i].in), &r, &why);

		if (got != heads[i].want)
			fail_msg("case %zu: %d", i, got);
		if (got == PROXY_HEAD_DONE) {
			assert_string_equal(r.host, heads[i].host);
			assert_int_equal(r.port, heads[i].port);
			assert_string_equal(r.forward.buf, heads[i].forward);
		}
		strbuf_done(&r.forward);
	}
}

/* ---- the real thing, on loopback ---- */

struct rig {
	pid_t proxy;
	int chan;   /* from the proxy */
	int server; /* listener standing for the internet */
	uint16_t server_port, proxy_port, relay_port, dead_port, dns_port;
	int *resolved; /* shared with the resolver children: calls so far */
};

static int bind_as(int type, uint16_t *ret_port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		(type == SOCK_STREAM && listen(fd, 16) < 0) || getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		abort();
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static int bind_loopback(uint16_t *ret_port)
{
	return bind_as(SOCK_STREAM, ret_port);
}

/* "ok.fake" is the server; "rebind.fake" is it once and a metadata service afterwards. */
static int fake_resolve(const char *host, union proxy_addr *ret, size_t max, void *ctx)
{
	int *calls = ctx;
	int n = __atomic_fetch_add(calls, 1, __ATOMIC_SEQ_CST);

	if (strcmp(host, "ok.fake") == 0 || (strcmp(host, "rebind.fake") == 0 && n == 0))
		return proxy_addr_parse("127.0.0.1", &ret[0]) ? 1 : -1;
	if (strcmp(host, "rebind.fake") == 0 || strcmp(host, "meta.fake") == 0)
		return proxy_addr_parse("169.254.169.254", &ret[0]) ? 1 : -1;
	if (strcmp(host, "turn.fake") == 0)
		return proxy_addr_parse(n == 0 ? "8.8.8.8" : "10.0.0.7", &ret[0]) ? 1 : -1;
	if (strcmp(host, "half.fake") == 0) {
		proxy_addr_parse("192.168.0.7", &ret[0]);
		return proxy_addr_parse("8.8.4.4", &ret[1]) ? 2 : -1;
	}
	if (strcmp(host, "mixed.fake") == 0) {
		proxy_addr_parse("10.255.255.1", &ret[0]);
		return proxy_addr_parse("127.0.0.1", &ret[1]) ? 2 : -1;
	}
	return -1;
}

static int rig_setup(void **state)
{
	struct rig *rig = xcalloc(1, sizeof(*rig));
	struct err err = ERR_INIT;
	uint16_t port;
	int listener = bind_loopback(&rig->proxy_port), pair[2];
	int dns = bind_as(SOCK_DGRAM, &rig->dns_port);
	struct proxy_relay relays[2] = { { .listener = bind_loopback(&rig->relay_port) },
		{ .listener = bind_loopback(&rig->dead_port) } };

	(void)alarm(60); /* an accept below may wait for what never comes */
	rig->server = bind_loopback(&rig->server_port);
	rig->resolved = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	port = rig->server_port;
	for (size_t i = 0; i < ARRAY_SIZE(relays); i++) {
		assert_true(proxy_addr_parse("127.0.0.1", &relays[i].target));
		proxy_addr_set_port(&relays[i].target, i == 0 ? port : 1);
	}
	if (chan_pair(pair, &err) < 0)
		abort();
	rig->proxy = fork();
	if (rig->proxy == 0) {
		_cleanup_free_ char *json = xasprintf("{\"allow\": [\"127.0.0.1:%u\"],"
						      "\"hint\": \"ALLOW=%%s run\"}",
			port);
		struct json *rules = NULL;
		struct proxy_policy *p = NULL;
		struct proxy_options o = PROXY_OPTIONS_INIT;

		close(pair[0]);
		close(rig->server);
		if (json_parse(json, strlen(json), &rules, &err) < 0 ||
			proxy_policy_new(rules, &p, &err) < 0)
			_exit(9);
		o.listeners = &listener;
		o.listeners_len = 1;
		o.dns = dns;
		o.relays = relays;
		o.relays_len = ARRAY_SIZE(relays);
		o.policy = p;
		o.chan = pair[1];
		o.resolve = fake_resolve;
		o.resolve_ctx = rig->resolved;
		o.is_confined = true;
		if (proxy_run(&o, &err) < 0) {
			fprintf(stderr, "proxy: %s\n", err.msg);
			_exit(8);
		}
		proxy_policy_free(p);
		json_free(rules);
		_exit(0);
	}
	close(pair[1]);
	close(listener);
	close(dns);
	close(relays[0].listener);
	close(relays[1].listener);
	rig->chan = pair[0];
	*state = rig;
	return 0;
}

static int rig_teardown(void **state)
{
	struct rig *rig = *state;

	(void)alarm(0);
	close(rig->chan);
	waitpid(rig->proxy, NULL, 0);
	close(rig->server);
	munmap(rig->resolved, 4096);
	free(rig);
	return 0;
}

static int dial_port(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval limit = { .tv_sec = 10 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		abort();
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static int dial(const struct rig *rig)
{
	return dial_port(rig->proxy_port);
}

static void put(int fd, const void *p, size_t len)
{
	assert_int_equal(send(fd, p, len, MSG_NOSIGNAL), len);
}

/* Everything until the end, or until PART has come. */
static char *get(int fd, const char *part)
{
	struct strbuf sb = STRBUF_INIT;
	char buf[4096];
	ssize_t n;

	while (!(part && strstr(sb.buf, part)) && (n = recv(fd, buf, sizeof(buf), 0)) > 0)
		strbuf_add(&sb, buf, (size_t)n);
	return strbuf_take(&sb);
}

static struct json *ledger(const struct rig *rig)
{
	struct chan_msg m = CHAN_MSG_INIT;
	struct pollfd p = { .fd = rig->chan, .events = POLLIN };
	struct err err = ERR_INIT;
	struct json *head;

	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_int_equal(chan_recv(rig->chan, &m, &err), 1);
	assert_string_equal(chan_msg_op(&m), "net");
	head = take_ptr(m.head);
	chan_msg_done(&m);
	return head;
}

static void expect_ledger(
	const struct rig *rig, const char *host, const char *verdict, const char *rule)
{
	_cleanup_(json_freep) struct json *line = ledger(rig);

	assert_string_equal(json_get_str(line, "host", ""), host);
	assert_string_equal(json_get_str(line, "verdict", ""), verdict);
	assert_string_equal(json_get_str(line, "rule", ""), rule);
}

/* CONNECT, one word each way, both ends closed. */
static void tunnel(const struct rig *rig, const char *host)
{
	_cleanup_free_ char *head =
		xasprintf("CONNECT %s:%u HTTP/1.1\r\n\r\nping", host, rig->server_port);
	int fd = dial(rig), peer;
	char *text;

	put(fd, head, strlen(head));
	peer = accept(rig->server, NULL, NULL);
	assert_true(peer >= 0);
	text = get(fd, "\r\n\r\n");
	assert_string_equal(text, "HTTP/1.1 200 Connection established\r\n\r\n");
	free(text);
	text = get(peer, "ping");
	assert_string_equal(text, "ping");
	free(text);
	put(peer, "pong!", 5);
	close(peer);
	text = get(fd, NULL);
	assert_string_equal(text, "pong!");
	free(text);
	close(fd);
}

static void tunnels_and_writes_down_who_was_talked_to(void **state)
{
	struct rig *rig = *state;
	_cleanup_(json_freep) struct json *line = NULL;

	tunnel(rig, "ok.fake");
	line = ledger(rig);
	assert_string_equal(json_get_str(line, "host", ""), "ok.fake");
	assert_string_equal(json_get_str(line, "kind", ""), "connect");
	assert_string_equal(json_get_str(line, "addr", ""), "127.0.0.1");
	assert_string_equal(json_get_str(line, "verdict", ""), "allowed");
	assert_string_equal(json_get_str(line, "rule", ""), "allow");
	assert_int_equal(json_get_int(line, "port", 0), rig->server_port);
	assert_int_equal(json_get_int(line, "sent", 0), 4);
	assert_int_equal(json_get_int(line, "received", 0), 5);
}

static void a_half_closed_client_still_gets_its_answer(void **state)
{
	struct rig *rig = *state;
	_cleanup_free_ char *head =
		xasprintf("CONNECT ok.fake:%u HTTP/1.1\r\n\r\n", rig->server_port);
	int fd = dial(rig), peer;
	char *text;

	put(fd, head, strlen(head));
	peer = accept(rig->server, NULL, NULL);
	free(get(fd, "\r\n\r\n"));
	put(fd, "question", 8);
	shutdown(fd, SHUT_WR);
	text = get(peer, NULL);
	assert_string_equal(text, "question");
	free(text);
	put(peer, "answer", 6);
	close(peer);
	text = get(fd, NULL);
	assert_string_equal(text, "answer");
	free(text);
	close(fd);
	expect_ledger(rig, "ok.fake", "allowed", "allow");
}

static void rewrites_plain_http_for_the_server(void **state)
{
	struct rig *rig = *state;
	_cleanup_free_ char *head = xasprintf(
		"POST http://ok.fake:%u/p HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo",
		rig->server_port);
	_cleanup_free_ char *want =
		xasprintf("POST /p HTTP/1.1\r\nHost: ok.fake:%u\r\n"
			  "Connection: close\r\nContent-Length: 4\r\n\r\nbody",
			rig->server_port);
	int fd = dial(rig), peer;
	char *text;

	put(fd, head, strlen(head));
	peer = accept(rig->server, NULL, NULL);
	put(fd, "dy", 2);
	text = get(peer, "body");
	assert_string_equal(text, want);
	free(text);
	put(peer, "HTTP/1.1 204 No Content\r\n\r\n", 27);
	close(peer);
	text = get(fd, NULL);
	assert_string_equal(text, "HTTP/1.1 204 No Content\r\n\r\n");
	free(text);
	close(fd);
	expect_ledger(rig, "ok.fake", "allowed", "allow");
}

static void speaks_socks5_by_name_and_by_address(void **state)
{
	struct rig *rig = *state;
	const uint8_t port[2] = { (uint8_t)(rig->server_port >> 8),
		(uint8_t)rig->server_port };

	for (int by_name = 0; by_name < 2; by_name++) {
		int fd = dial(rig), peer;
		uint8_t reply[16];

		put(fd, "\5\2\0\2", 4);
		assert_int_equal(recv(fd, reply, 2, MSG_WAITALL), 2);
		assert_memory_equal(reply, "\5\0", 2);
		if (by_name)
			put(fd, "\5\1\0\3\7ok.fake", 12);
		else
			put(fd, "\5\1\0\1\177\0\0\1", 8);
		put(fd, port, 2);
		peer = accept(rig->server, NULL, NULL);
		assert_int_equal(recv(fd, reply, 10, MSG_WAITALL), 10);
		assert_int_equal(reply[1], 0);
		put(peer, "x", 1);
		assert_int_equal(recv(fd, reply, 1, MSG_WAITALL), 1);
		close(peer);
		close(fd);
		expect_ledger(rig, by_name ? "ok.fake" : "127.0.0.1", "allowed", "allow");
	}
}

static void refuses_with_one_line_and_what_would_allow_it(void **state)
{
	struct rig *rig = *state;
	int fd = dial(rig);
	char *text;

	put(fd, "CONNECT meta.fake:80 HTTP/1.1\r\n\r\n", 33);
	text = get(fd, NULL);
	assert_has(text, "HTTP/1.1 403 Forbidden\r\n");
	assert_has(text,
		"sluice refused meta.fake:80 resolves to 169.254.169.254: rule metadata "
		"(network proxy)\nallow it: ALLOW=169.254.169.254 run\n");
	free(text);
	close(fd);
	expect_ledger(rig, "meta.fake", "refused", "metadata");
}

static void refuses_loopback_ports_that_are_not_listed(void **state)
{
	struct rig *rig = *state;
	_cleanup_free_ char *head =
		xasprintf("CONNECT 127.0.0.1:%u HTTP/1.1\r\n\r\n", rig->proxy_port);
	int fd = dial(rig);
	char *text;

	put(fd, head, strlen(head));
	text = get(fd, NULL);
	assert_has(text, "403 Forbidden");
	free(text);
	close(fd);
	expect_ledger(rig, "127.0.0.1", "refused", "loopback");
}

static void a_name_that_changes_its_answer_is_asked_once(void **state)
{
	struct rig *rig = *state;

	tunnel(rig, "rebind.fake"); /* judged and connected by the first answer */
	expect_ledger(rig, "rebind.fake", "allowed", "allow");
	assert_int_equal(*rig->resolved, 1);
}

static void connects_only_to_the_allowed_address_of_a_name(void **state)
{
	struct rig *rig = *state;

	tunnel(rig, "mixed.fake"); /* its first address is private */
	expect_ledger(rig, "mixed.fake", "allowed", "allow");
}

static void says_that_a_name_is_unknown_and_a_request_is_wrong(void **state)
{
	struct rig *rig = *state;
	int fd = dial(rig);
	char *text;

	put(fd, "CONNECT nowhere.fake:80 HTTP/1.1\r\n\r\n", 36);
	text = get(fd, NULL);
	assert_has(text, "502 Bad Gateway");
	assert_has(text, "the name cannot be resolved");
	free(text);
	close(fd);
	expect_ledger(rig, "nowhere.fake", "failed", "public");
	fd = dial(rig);
	put(fd, "GET / HTTP/1.1\r\n\r\n", 18);
	text = get(fd, NULL);
	assert_has(text, "400 Bad Request");
	free(text);
	close(fd);
}

static void relays_a_port_without_a_word_of_its_own(void **state)
{
	struct rig *rig = *state;
	int fd = dial_port(rig->relay_port), peer = accept(rig->server, NULL, NULL);
	char *text;

	put(peer, "hello", 5); /* the server speaks first */
	text = get(fd, "hello");
	assert_string_equal(text, "hello");
	free(text);
	put(fd, "GET http://meta.fake/ HTTP/1.1\r\n\r\n", 35); /* no head to it */
	text = get(peer, "\r\n\r\n");
	assert_has(text, "GET http://meta.fake/");
	free(text);
	close(peer);
	text = get(fd, NULL);
	assert_string_equal(text, "");
	free(text);
	close(fd);
	expect_ledger(rig, "127.0.0.1", "allowed", "relay");
}

static void a_relay_to_nothing_ends_and_is_written_down(void **state)
{
	struct rig *rig = *state;
	int fd = dial_port(rig->dead_port);
	char *text = get(fd, NULL);

	assert_string_equal(text, "");
	free(text);
	close(fd);
	expect_ledger(rig, "127.0.0.1", "failed", "relay");
}

static void a_relay_has_its_own_limit_of_connections(void **state)
{
	struct rig *rig = *state;
	int fds[PROXY_RELAY_CONNECTIONS + 1], peers[PROXY_RELAY_CONNECTIONS];
	struct pollfd more = { .fd = rig->server, .events = POLLIN };

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = dial_port(rig->relay_port);
		if (i < ARRAY_SIZE(peers))
			peers[i] = accept(rig->server, NULL, NULL);
	}
	assert_int_equal(poll(&more, 1, 300), 0); /* the last one waits */
	tunnel(rig, "ok.fake");			  /* the proxy goes on */
	expect_ledger(rig, "ok.fake", "allowed", "allow");
	close(fds[0]);
	close(peers[0]);
	assert_int_equal(poll(&more, 1, 10000), 1); /* its turn */
	for (size_t i = 1; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	for (size_t i = 1; i < ARRAY_SIZE(peers); i++)
		close(peers[i]);
}

/* Asks for NAME.fake of TYPE; the address in the answer, or 0; *RET_CODE what it says. */
static uint32_t ask_name(const struct rig *rig, const char *name, uint8_t type, int *ret_code)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(rig->dns_port) };
	struct timeval limit = { .tv_sec = 10 };
	uint8_t m[512] = { 1, 2, 1, 0, 0, 1 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t at = 12, n = strlen(name);
	uint32_t addr = 0;
	ssize_t got;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	m[at++] = (uint8_t)n;
	memcpy(m + at, name, n);
	at += n;
	memcpy(m + at, "\4fake\0\0\0\0\1", 10);
	m[at + 7] = type;
	at += 10;
	assert_int_equal(sendto(fd, m, at, 0, (struct sockaddr *)&to, sizeof(to)), at);
	got = recv(fd, m, sizeof(m), 0);
	close(fd);
	assert_true(got >= 12);
	assert_int_equal(m[0] << 8 | m[1], 0x102);
	*ret_code = m[3] & 15;
	if (m[7] > 0)
		memcpy(&addr, m + got - 4, 4);
	return ntohl(addr);
}

/* NET02: the second answer of a name is judged as the first was. */
static void a_name_that_turns_inwards_has_no_answer_any_more(void **state)
{
	struct rig *rig = *state;
	int code;

	assert_int_equal(ask_name(rig, "turn", 1, &code), 0x08080808);
	assert_int_equal(code, 0);
	expect_ledger(rig, "turn.fake", "allowed", "public");
	assert_int_equal(ask_name(rig, "turn", 1, &code), 0);
	assert_int_equal(code, 3);
	expect_ledger(rig, "turn.fake", "refused", "private-address");
}

static void answers_only_with_addresses_that_are_public(void **state)
{
	struct rig *rig = *state;
	int code;

	assert_int_equal(ask_name(rig, "half", 1, &code), 0x08080404);
	expect_ledger(rig, "half.fake", "allowed", "public");
	assert_int_equal(ask_name(rig, "meta", 1, &code), 0);
	assert_int_equal(code, 3);
	expect_ledger(rig, "meta.fake", "refused", "metadata");
	assert_int_equal(ask_name(rig, "nowhere", 1, &code), 0);
	assert_int_equal(code, 3);
	expect_ledger(rig, "nowhere.fake", "failed", "public");
	assert_int_equal(ask_name(rig, "half", 28, &code), 0); /* no IPv6, and no error */
	assert_int_equal(code, 0);
}

static void writes_down_what_is_open_when_the_job_ends(void **state)
{
	struct rig *rig = *state;
	_cleanup_free_ char *head =
		xasprintf("CONNECT ok.fake:%u HTTP/1.1\r\n\r\n", rig->server_port);
	int fd = dial(rig), peer;
	struct err err = ERR_INIT;

	put(fd, head, strlen(head));
	peer = accept(rig->server, NULL, NULL);
	free(get(fd, "\r\n\r\n"));
	assert_ok(chan_send_op(rig->chan, "finish", &err), &err);
	expect_ledger(rig, "ok.fake", "allowed", "allow");
	close(peer);
	close(fd);
}

#define TEST_RIG(fn) TEST_WITH(fn, rig_setup, rig_teardown)

TEST_MAIN(TEST(knows_what_is_not_the_internet),
	TEST_CASE("NET02", judges_names_and_addresses_by_the_rules),
	TEST(names_the_command_that_would_allow), TEST(reads_relays),
	TEST(refuses_rules_it_does_not_understand),
	TEST_CASE("NET02", counts_the_hosts_own_addresses_as_not_public),
	TEST(reads_http_heads_strictly),
	TEST_RIG(tunnels_and_writes_down_who_was_talked_to),
	TEST_RIG(a_half_closed_client_still_gets_its_answer),
	TEST_RIG(rewrites_plain_http_for_the_server),
	TEST_RIG(speaks_socks5_by_name_and_by_address),
	TEST_RIG(refuses_with_one_line_and_what_would_allow_it),
	TEST_RIG(refuses_loopback_ports_that_are_not_listed),
	TEST_CASE_WITH("NET02", a_name_that_changes_its_answer_is_asked_once, rig_setup,
		rig_teardown),
	TEST_CASE_WITH("NET02", connects_only_to_the_allowed_address_of_a_name,
		rig_setup, rig_teardown),
	TEST_RIG(says_that_a_name_is_unknown_and_a_request_is_wrong),
	TEST_RIG(relays_a_port_without_a_word_of_its_own),
	TEST_RIG(a_relay_to_nothing_ends_and_is_written_down),
	TEST_RIG(a_relay_has_its_own_limit_of_connections),
	TEST_RIG(a_name_that_turns_inwards_has_no_answer_any_more),
	TEST_RIG(answers_only_with_addresses_that_are_public),
	TEST_RIG(writes_down_what_is_open_when_the_job_ends))
