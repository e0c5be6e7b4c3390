/* SPDX-License-Identifier: Apache-2.0 */
/* What a client of the proxy asks for: HTTP and SOCKS5 heads, strictly, without I/O. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "executor/proxy-internal.h"

bool proxy_host(const char *text, size_t len, char ret[PROXY_HOST_MAX])
{
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (len > 0 && text[len - 1] == '.')
		len--;
	if (len == 0 || len >= PROXY_HOST_MAX - 1 || text[0] == '-' || text[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 32);
		/* Letters, digits, '-', '_', '.', and ':' of IPv6: nothing a resolver or a
		 * log could take for something else. */
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
			    c == '_' || c == '.' || c == ':'))
			return false;
		ret[i] = c;
	}
	ret[len] = '\0';
	if (memchr(ret, ':', len)) { /* an IPv6 address, or nothing */
		union proxy_addr a;

		return proxy_addr_parse(ret, &a);
	}
	return true;
}

/* "host:port"; PORT 0 in *RET stays when there is none. */
static bool parse_authority(const char *p, size_t len, struct proxy_request *ret)
{
	const char *close_at = len > 0 && p[0] == '[' ? memchr(p, ']', len) : p;
	const char *colon =
		close_at ? memchr(close_at, ':', len - (size_t)(close_at - p)) : NULL;
	size_t host_len = colon ? (size_t)(colon - p) : len;
	unsigned port = 0;

	if (!close_at || memchr(p, '@', len) || !proxy_host(p, host_len, ret->host))
		return false;
	if (!colon)
		return true;
	if (colon + 1 == p + len || p + len - colon > 6)
		return false;
	for (const char *d = colon + 1; d < p + len; d++) {
		if (*d < '0' || *d > '9')
			return false;
		port = port * 10 + (unsigned)(*d - '0');
	}
	ret->port = (uint16_t)port;
	return port > 0 && port <= 65535;
}

static bool is_token(const char *p, size_t len)
{
	static const char extra[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < len; i++) {
		char c = p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
			    (c >= '0' && c <= '9') || (c && strchr(extra, c))))
			return false;
	}
	return len > 0;
}

static bool is_field(const char *line, size_t len, const char *name)
{
	size_t n = strlen(name);

	return len > n && line[n] == ':' && strncasecmp(line, name, n) == 0;
}

/* Fields between us and the client; and what would keep the connection for another host. */
static bool is_dropped(const char *line, size_t len)
{
	static const char *const names[] = { "Proxy-Connection", "Proxy-Authorization",
		"Proxy-Authenticate", "Connection", "Keep-Alive", "Host", "Upgrade" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (is_field(line, len, names[i]))
			return true;
	}
	return false;
}

/* The fields after the request line, checked and taken over. */
static const char *take_fields(const char *p, const char *end, struct strbuf *out)
{
	while (p < end) {
		const char *eol = memmem(p, (size_t)(end - p), "\r\n", 2);
		size_t len = (size_t)((eol ? eol : end) - p);
		const char *colon = memchr(p, ':', len);

		if (len == 0)
			break;
		if (!colon || !is_token(p, (size_t)(colon - p)) || memchr(p, '\0', len) ||
			memchr(p, '\r', len) || memchr(p, '\n', len))
			return "a header field is not well formed";
		if (!is_dropped(p, len)) {
			strbuf_add(out, p, len);
			strbuf_adds(out, "\r\n");
		}
		p += len + 2;
	}
	return NULL;
}

/* "GET http://host/path HTTP/1.1" for the server: "GET /path HTTP/1.1". */
static const char *parse_absolute(const char *method, size_t method_len,
	const char *target, size_t len, const char *version, struct proxy_request *ret)
{
	const char *slash;
	size_t authority;

	if (len < 8 || strncasecmp(target, "http://", 7) != 0)
		return "only CONNECT and http:// addresses are served";
	target += 7;
	len -= 7;
	slash = memchr(target, '/', len);
	authority = slash ? (size_t)(slash - target) : len;
	if (memchr(target, '?', authority) || memchr(target, '#', authority) ||
		!parse_authority(target, authority, ret))
		return "the address has no usable host";
	if (ret->port == 0)
		ret->port = 80;
	strbuf_add(&ret->forward, method, method_len);
	strbuf_addc(&ret->forward, ' ');
	if (slash)
		strbuf_add(&ret->forward, slash, len - authority);
	else
		strbuf_addc(&ret->forward, '/');
	strbuf_addf(&ret->forward, " %.8s\r\nHost: %.*s\r\nConnection: close\r\n",
		version, (int)authority, target);
	return NULL;
}

enum proxy_head proxy_http_head(
	const char *data, size_t len, struct proxy_request *ret, const char **why)
{
	const char *end = memmem(data, len, "\r\n\r\n", 4);
	const char *eol, *blank, *version;
	size_t target_len;

	*why = "the request is not well formed";
	if (!end)
		return len >= PROXY_HEAD_MAX ? PROXY_HEAD_BAD : PROXY_HEAD_MORE;
	if ((size_t)(end - data) + 4 > PROXY_HEAD_MAX) {
		*why = "the request's head is too long";
		return PROXY_HEAD_BAD;
	}
	ret->used = (size_t)(end - data) + 4;
	eol = memmem(data, ret->used, "\r\n", 2);
	blank = memchr(data, ' ', (size_t)(eol - data));
	version = blank ? memrchr(data, ' ', (size_t)(eol - data)) : NULL;
	if (!blank || version == blank || eol - version != 9 ||
		(memcmp(version + 1, "HTTP/1.1", 8) != 0 &&
			memcmp(version + 1, "HTTP/1.0", 8) != 0) ||
		!is_token(data, (size_t)(blank - data)))
		return PROXY_HEAD_BAD;
	target_len = (size_t)(version - blank) - 1;
	for (size_t i = 0; i < target_len; i++) {
		if ((unsigned char)blank[1 + i] <= ' ' || blank[1 + i] == 0x7f)
			return PROXY_HEAD_BAD;
	}
	if (blank - data == 7 && memcmp(data, "CONNECT", 7) == 0) {
		ret->kind = PROXY_CONNECT;
		if (!parse_authority(blank + 1, target_len, ret) || ret->port == 0) {
			*why = "CONNECT needs host:port";
			return PROXY_HEAD_BAD;
		}
		return PROXY_HEAD_DONE;
	}
	ret->kind = PROXY_HTTP;
	*why = parse_absolute(
		data, (size_t)(blank - data), blank + 1, target_len, version + 1, ret);
	if (!*why)
		*why = take_fields(eol + 2, end + 2, &ret->forward);
	strbuf_adds(&ret->forward, "\r\n");
	return *why ? PROXY_HEAD_BAD : PROXY_HEAD_DONE;
}

/* ---- SOCKS5, RFC 1928 ---- */

enum { SOCKS_CONNECT = 1, SOCKS_IPV4 = 1, SOCKS_NAME = 3, SOCKS_IPV6 = 4 };

static size_t socks_reply(uint8_t code, uint8_t reply[16])
{
	static const uint8_t any[10] = { 5, 0, 0, SOCKS_IPV4, 0, 0, 0, 0, 0, 0 };

	memcpy(reply, any, sizeof(any));
	reply[1] = code;
	return sizeof(any);
}

/* The address in a request: its bytes, 0 for more, -1 for none. */
static int socks_host(const uint8_t *d, size_t len, struct proxy_request *ret)
{
	union proxy_addr a = { .in6 = { .sin6_family = AF_INET6 } };
	char text[64];

	switch (d[3]) {
	case SOCKS_IPV4:
		if (len < 8)
			return 0;
		a.in.sin_family = AF_INET;
		memcpy(&a.in.sin_addr, d + 4, 4);
		proxy_addr_text(&a, text);
		return proxy_host(text, strlen(text), ret->host) ? 8 : -1;
	case SOCKS_IPV6:
		if (len < 20)
			return 0;
		memcpy(&a.in6.sin6_addr, d + 4, 16);
		proxy_addr_text(&a, text);
		return proxy_host(text, strlen(text), ret->host) ? 20 : -1;
	case SOCKS_NAME:
		if (len < 5 || len < 5u + d[4])
			return 0;
		return proxy_host((const char *)d + 5, d[4], ret->host) ? 5 + d[4] : -1;
	default:
		return -1;
	}
}

enum proxy_head proxy_socks_head(const uint8_t *data, size_t len, bool *is_greeted,
	uint8_t reply[16], size_t *reply_len, struct proxy_request *ret)
{
	int at;

	*reply_len = 0;
	ret->used = 0;
	if (!*is_greeted) {
		if (len < 2 || len < 2u + data[1])
			return PROXY_HEAD_MORE;
		reply[0] = 5;
		reply[1] =
			memchr(data + 2, 0, data[1]) ? 0 : 0xff; /* without a password */
		*reply_len = 2;
		ret->used = 2u + data[1];
		*is_greeted = true;
		return reply[1] ? PROXY_HEAD_BAD : PROXY_HEAD_MORE;
	}
	if (len < 4)
		return PROXY_HEAD_MORE;
	if (data[0] != 5 || data[1] != SOCKS_CONNECT) {
		*reply_len = socks_reply(7, reply);
		return PROXY_HEAD_BAD;
	}
	at = socks_host(data, len, ret);
	if (at < 0) {
		*reply_len = socks_reply(8, reply);
		return PROXY_HEAD_BAD;
	}
	if (at == 0 || len < (size_t)at + 2)
		return PROXY_HEAD_MORE;
	ret->kind = PROXY_SOCKS;
	ret->port = (uint16_t)(data[at] << 8 | data[at + 1]);
	ret->used = (size_t)at + 2;
	return ret->port ? PROXY_HEAD_DONE : PROXY_HEAD_BAD;
}
