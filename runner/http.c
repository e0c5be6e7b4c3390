/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd under our loop; see http.h for what is checked here and why. */
#include "runner/http.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

/* ---- the library ---- */

/*
 * It brings GnuTLS and ten more libraries along, which cost more than all the rest of a
 * start, and of all commands and processes `web` alone serves anything. So it is loaded by
 * the first server, before `web` gives its rights away, not by every start.
 */
#define MHD_LIBRARY "libmicrohttpd.so.12" /* as microhttpd.h has it */

#define MHD_FUNCTIONS(X) \
	X(add_response_header) \
	X(create_response_from_buffer) \
	X(create_response_from_callback) \
	X(create_response_from_fd_at_offset64) \
	X(destroy_response) \
	X(get_connection_info) \
	X(get_connection_values_n) \
	X(get_daemon_info) \
	X(get_timeout) \
	X(lookup_connection_value) \
	X(queue_response) \
	X(quiesce_daemon) \
	X(resume_connection) \
	X(run) \
	X(start_daemon) \
	X(stop_daemon) \
	X(suspend_connection)

#define MHD_MEMBER(name) __typeof__(&MHD_##name) name;
static struct {
	MHD_FUNCTIONS(MHD_MEMBER)
} mhd; /* a table of imports: written once, before anything is served */

static int load_library(struct err *err)
{
	void *lib;

	if (mhd.run)
		return 0;
	lib = dlopen(MHD_LIBRARY, RTLD_NOW | RTLD_LOCAL); /* kept for good */
	if (!lib)
		return err_set(err, ERR_UNAVAILABLE, "cannot load the HTTP library: %s", dlerror());
#define MHD_LOOK_UP(name) *(void **)&mhd.name = dlsym(lib, "MHD_" #name);
	MHD_FUNCTIONS(MHD_LOOK_UP)
#define MHD_IS_MISSING(name) || !mhd.name
	if (false MHD_FUNCTIONS(MHD_IS_MISSING))
		return err_set(err, ERR_UNAVAILABLE, "'%s' lacks a function", MHD_LIBRARY);
	return 0;
}

#define TARGET_MAX 8192
#define SWEEP_MS 1000
/* The library maps and clears more than this anew for each connection: 75 us of 200. */
#define CONNECTION_MEMORY (32 * KiB)

#define READ_RATE 16 /* bytes a millisecond: who reads an answer slower is shut out */

/* A connection's total deadline; libmicrohttpd only knows inactivity. */
struct conn {
	struct conn *prev, *next;
	int fd;
	int64_t deadline; /* CLOCK_BOOTTIME ms; 0: none (we are thinking, or it streams) */
	struct http_request *request; /* the one being received or answered */
};

struct listener {
	struct http *http;
	struct MHD_Daemon *daemon;
	struct loop_source *source;
	bool is_unix;
};

struct http {
	struct loop *loop;
	struct http_options o;
	struct listener listeners[4];
	size_t listeners_len;
	struct loop_source *turn, *sweep, *again;
	struct conn *conns;
	size_t conns_len;
	bool must_run;
};

struct header {
	char *name, *value;
	struct header *next;
};

struct pair {
	char *name, *value;
};

struct http_request {
	struct http *http;
	struct listener *listener;
	struct MHD_Connection *connection;
	struct conn *conn;
	char *target, *path;
	char method[16];
	char id[17];
	char peer[64];
	uid_t uid;
	bool is_tls, is_unix, behind_proxy;
	bool seen, refused, has_body, whole, answered, suspended, streaming, gone;
	int64_t started_us;
	size_t body_max;
	bool body_over;
	struct strbuf body;
	struct pair *query, *form;
	size_t query_len, form_len;
	bool form_parsed;
	struct header *headers;
	struct MHD_Response *response;
	int status;
	uint64_t len; /* of the answer's body */
	void *context;
	void (*context_free)(void *);
	http_pull_fn *pull;
	void (*closed)(void *);
	void *stream;
};

/* ---- the text of a request ---- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
		c >= 'a' && c <= 'f' ? c - 'a' + 10 :
		c >= 'A' && c <= 'F' ? c - 'A' + 10 :
				       -1;
}

/* %XX once, and '+' as blank in queries. NULL when malformed or holding a NUL. */
static char *decode(const char *s, size_t len, bool plus)
{
	_cleanup_free_ char *out = xmalloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (c == '%') {
			int hi = i + 2 < len ? hex_digit(s[i + 1]) : -1;
			int lo = i + 2 < len ? hex_digit(s[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return NULL;
			c = (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c == '\0')
			return NULL;
		out[n++] = c;
	}
	out[n] = '\0';
	return take_ptr(out);
}

static void parse_pairs(const char *s, size_t len, struct pair **ret, size_t *ret_len)
{
	size_t alloc = 0;

	while (len > 0 && *ret_len < 256) {
		const char *amp = memchr(s, '&', len);
		size_t n = amp ? (size_t)(amp - s) : len;
		const char *eq = memchr(s, '=', n);
		size_t name_len = eq ? (size_t)(eq - s) : n;
		char *name = decode(s, name_len, true);
		char *value = eq ? decode(eq + 1, n - name_len - 1, true) : xstrdup("");

		if (name && value) {
			GROW(*ret, alloc, *ret_len + 1);
			(*ret)[*ret_len].name = name;
			(*ret)[(*ret_len)++].value = value;
		} else {
			free(name);
			free(value);
		}
		s += n + (amp ? 1 : 0);
		len -= n + (amp ? 1 : 0);
	}
}

static const char *find_pair(const struct pair *p, size_t len, const char *name)
{
	for (size_t i = 0; i < len; i++)
		if (strcmp(p[i].name, name) == 0)
			return p[i].value;
	return NULL;
}

static void free_pairs(struct pair *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		free(p[i].name);
		free(p[i].value);
	}
	free(p);
}

/* ---- connections and their deadlines ---- */

static void conn_drop(struct http *h, struct conn *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		h->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	h->conns_len--;
	free(c);
}

static void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
	enum MHD_ConnectionNotificationCode code)
{
	struct listener *l = cls;
	struct conn *c;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (*socket_context)
			conn_drop(l->http, *socket_context);
		*socket_context = NULL;
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->fd = mhd.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
			->connect_fd;
	c->deadline = clock_boot_ms() + l->http->o.header_ms;
	c->next = l->http->conns;
	if (c->next)
		c->next->prev = c;
	l->http->conns = c;
	l->http->conns_len++;
	*socket_context = c;
}

/* libmicrohttpd does not look at a suspended connection: has its reader left? */
static bool reader_left(const struct conn *c)
{
	const struct http_request *r = c->request;
	char byte;
	ssize_t n;

	if (!r || !r->streaming || !r->suspended)
		return false;
	n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

/* Shut down, not closed: the descriptor is libmicrohttpd's, which then notices. */
static void on_sweep(struct loop *loop, void *data)
{
	struct http *h = data;
	int64_t now = clock_boot_ms();

	for (struct conn *c = h->conns; c; c = c->next) {
		if (c->deadline && c->deadline < now)
			(void)shutdown(c->fd, SHUT_RDWR); /* gone already is fine */
		if (reader_left(c)) {
			c->request->gone = true; /* its next pull ends it */
			http_wake(c->request);
		}
	}
	h->must_run = true; /* its inactivity timeouts need a run too */
	h->sweep = loop_add_timer(loop, SWEEP_MS, on_sweep, h);
}

/* ---- one request ---- */

static void request_free(struct http_request *r)
{
	if (r->context_free)
		r->context_free(r->context);
	while (r->headers) {
		struct header *next = r->headers->next;

		free(r->headers->name);
		free(r->headers->value);
		free(r->headers);
		r->headers = next;
	}
	free_pairs(r->query, r->query_len);
	free_pairs(r->form, r->form_len);
	strbuf_done(&r->body);
	free(r->target);
	free(r->path);
	free(r);
}

/* The first thing libmicrohttpd says of a request: its target, untouched. */
static void *on_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
	struct listener *l = cls;
	struct http_request *r = xcalloc(1, sizeof(*r));
	uint8_t id[8];

	r->http = l->http;
	r->listener = l;
	r->connection = connection;
	strbuf_init(&r->body);
	r->uid = (uid_t)-1;
	r->started_us = clock_boot_us();
	r->target = xstrndup(uri, strnlen(uri, TARGET_MAX + 1));
	crypto_random(id, sizeof(id));
	hex_encode(id, sizeof(id), r->id);
	r->is_unix = l->is_unix;
	r->conn = mhd.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
			  ->socket_context;
	if (r->conn)
		r->conn->request = r;
	return r;
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **con_cls,
	enum MHD_RequestTerminationCode why)
{
	struct http_request *r = *con_cls;

	if (!r)
		return;
	*con_cls = NULL;
	if (r->streaming && r->closed)
		r->closed(r->stream);
	if (r->conn) {
		r->conn->deadline = clock_boot_ms() + r->http->o.header_ms;
		r->conn->request = NULL;
	}
	if (r->whole && !r->answered) {
		/* The handler still holds it: it is freed when it answers. */
		r->gone = true;
		return;
	}
	request_free(r);
}

struct header_check {
	unsigned host, length, encoding, authorization;
	size_t bytes;
	bool is_odd;
};

static bool is_token(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] <= 0x20 || (unsigned char)s[i] >= 0x7f ||
			strchr("\"(),/:;<=>?@[\\]{}", s[i]))
			return false;
	return len > 0;
}

/* Controls in a value: a folded line, a bare CR, a NUL that cuts what a proxy saw whole. */
static bool is_plain(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f)
			return false;
	return true;
}

static enum MHD_Result check_header(void *cls, enum MHD_ValueKind kind, const char *key,
	size_t key_len, const char *value, size_t value_len)
{
	struct header_check *c = cls;

	c->bytes += key_len + value_len + 4;
	if (!is_token(key, key_len) || !is_plain(value, value ? value_len : 0))
		c->is_odd = true;
	if (strcasecmp(key, "host") == 0)
		c->host++;
	else if (strcasecmp(key, "content-length") == 0)
		c->length++;
	else if (strcasecmp(key, "transfer-encoding") == 0)
		c->encoding++;
	else if (strcasecmp(key, "authorization") == 0)
		c->authorization++;
	return MHD_YES;
}

static bool is_proxy(const struct http *h, const char *address, size_t len)
{
	for (size_t i = 0; h->o.trusted_proxies && h->o.trusted_proxies[i]; i++)
		if (strlen(h->o.trusted_proxies[i]) == len &&
			strncasecmp(h->o.trusted_proxies[i], address, len) == 0)
			return true;
	return false;
}

/* The last address that is no proxy of ours: what stands before it anybody can write. */
static void take_forwarded(struct http_request *r, const char *list)
{
	size_t end = strlen(list);

	while (end > 0) {
		size_t at = end, len;

		while (at > 0 && list[at - 1] != ',')
			at--;
		while (at < end && list[at] == ' ')
			at++;
		len = strspn(list + at, "0123456789abcdefABCDEF.:");
		if (len == 0 || len >= sizeof(r->peer) || at + len > end)
			return;
		if (!is_proxy(r->http, list + at, len)) {
			snprintf(r->peer, sizeof(r->peer), "%.*s", (int)len, list + at);
			return;
		}
		while (at > 0 && list[at - 1] != ',')
			at--;
		end = at ? at - 1 : 0;
	}
}

static void find_peer(struct http_request *r)
{
	const union MHD_ConnectionInfo *info =
		mhd.get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *sa = info ? info->client_addr : NULL;
	const char *forwarded;

	if (r->is_unix) {
		struct ucred cred;
		socklen_t len = sizeof(cred);

		snprintf(r->peer, sizeof(r->peer), "unix");
		if (r->conn && getsockopt(r->conn->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0)
			r->uid = cred.uid;
		return;
	}
	if (sa && sa->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr,
			r->peer, sizeof(r->peer));
	else if (sa && sa->sa_family == AF_INET6)
		inet_ntop(AF_INET6,
			&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, r->peer,
			sizeof(r->peer));
	r->behind_proxy = is_proxy(r->http, r->peer, strlen(r->peer));
	r->is_tls = r->http->o.tls_certificate != NULL;
	if (!r->behind_proxy)
		return;
	forwarded = http_header(r, "x-forwarded-for");
	if (forwarded)
		take_forwarded(r, forwarded);
	r->is_tls = str_eq(http_header(r, "x-forwarded-proto"), "https");
}

static bool is_http_1_1(const char *version)
{
	return strcmp(version, "HTTP/1.1") == 0;
}

/* NULL when the request may go on, else why it may not. */
static const char *check_request(struct http_request *r, const char *version)
{
	struct header_check c = { 0 };
	size_t path_len = strcspn(r->target, "?");

	if (strlen(r->target) > TARGET_MAX)
		return "the address is too long";
	if (r->target[0] != '/')
		return "the request target must begin with /";
	for (const char *p = r->target; *p; p++)
		if ((unsigned char)*p <= 0x20 || *p == 0x7f)
			return "the address holds control characters";
	r->path = decode(r->target, path_len, false);
	if (!r->path)
		return "the address is not properly encoded";
	if (r->target[path_len] == '?')
		parse_pairs(r->target + path_len + 1, strlen(r->target + path_len + 1),
			&r->query, &r->query_len);
	mhd.get_connection_values_n(r->connection, MHD_HEADER_KIND, check_header, &c);
	if (c.is_odd)
		return "a header holds characters that have no place there";
	if (c.host == 0 && is_http_1_1(version))
		return "the Host header is missing";
	if (c.host > 1 || c.length > 1 || c.encoding > 1 || (c.length && c.encoding))
		return "Host, Content-Length and Transfer-Encoding may stand once, and not both "
		       "of the latter";
	if (c.authorization > 1)
		return "Authorization may stand once";
	if (c.bytes > LIMIT_HTTP_HEADER)
		return "the header is too large";
	r->has_body = c.encoding > 0;
	if (c.encoding && strcasecmp(http_header(r, "transfer-encoding"), "chunked") != 0)
		return "this Transfer-Encoding is not known";
	return NULL;
}

static void refuse(struct http_request *r, int status, const char *why)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "%s (request %s)\n", why, r->id);

	r->refused = r->whole = true;
	http_add_header(r, "Connection", "close");
	http_answer(r, status, "text/plain; charset=utf-8", text, (size_t)n);
}

static void begin_request(struct http_request *r, const char *method, const char *version)
{
	const char *why, *length;
	long long n = 0;

	r->seen = true;
	snprintf(r->method, sizeof(r->method), "%s", method);
	if (r->conn)
		r->conn->deadline += r->http->o.total_ms - r->http->o.header_ms;
	why = check_request(r, version);
	if (why) {
		refuse(r, 400, why);
		return;
	}
	find_peer(r);
	r->body_max = r->http->o.body_limit(r->method, r->path, r->http->o.data);
	length = http_header(r, "content-length");
	if (length && str_to_int(length, 0, INT64_MAX, &n) < 0)
		refuse(r, 400, "the Content-Length is no number");
	else if (n > 0 && (size_t)n > r->body_max)
		refuse(r, 413, "the body is larger than this address takes");
	else if (n > 0)
		strbuf_reserve(&r->body, (size_t)n > 65536 ? 65536 : (size_t)n);
	r->has_body = r->has_body || n > 0;
}

static void take_body(struct http_request *r, const char *data, size_t len)
{
	if (r->refused || r->body_over)
		return;
	if (r->body.len + len > r->body_max) {
		r->body_over = true; /* chunked: read on and forget, the answer follows */
		strbuf_done(&r->body);
		return;
	}
	strbuf_add(&r->body, data, len);
}

static enum MHD_Result queue(struct http_request *r)
{
	struct MHD_Response *response = r->response;
	enum MHD_Result ok = mhd.queue_response(r->connection, (unsigned)r->status, response);

	r->response = NULL;
	mhd.destroy_response(response);
	if (r->conn)
		r->conn->deadline = r->streaming ? 0 :
			clock_boot_ms() + r->http->o.total_ms + (int64_t)(r->len / READ_RATE);
	return ok;
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *connection,
	const char *url, const char *method, const char *version, const char *data,
	size_t *data_len, void **con_cls)
{
	struct http_request *r = *con_cls;

	if (!r->seen) {
		begin_request(r, method, version);
		/* A refusal before the body closes the connection; the body is not read. */
		return r->refused ? queue(r) : MHD_YES;
	}
	if (*data_len > 0) {
		take_body(r, data, *data_len);
		*data_len = 0;
		return MHD_YES;
	}
	if (r->response)
		return queue(r);
	if (!r->whole) {
		r->whole = true;
		if (r->conn)
			r->conn->deadline = 0;
		if (r->has_body)
			http_add_header(r, "Connection", "close");
		if (r->body_over) {
			refuse(r, 413, "the body is larger than this address takes");
			return queue(r);
		}
		r->http->o.handler(r, r->http->o.data);
		if (r->response)
			return queue(r);
		r->suspended = true;
		mhd.suspend_connection(connection);
	}
	return MHD_YES;
}

/* ---- answering ---- */

static const struct {
	const char *name, *value;
} security_headers[] = {
	{ "Content-Security-Policy",
		"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
		"connect-src 'self'; form-action 'self'; base-uri 'none'; "
		"frame-ancestors 'none'" },
	{ "X-Content-Type-Options", "nosniff" },
	{ "Referrer-Policy", "same-origin" },
	{ "X-Frame-Options", "DENY" },
	{ "Cross-Origin-Opener-Policy", "same-origin" },
};

static bool has_header(const struct http_request *r, const char *name)
{
	for (const struct header *x = r->headers; x; x = x->next)
		if (strcasecmp(x->name, name) == 0)
			return true;
	return false;
}

static void finish(struct http_request *r, int status, const char *type,
	struct MHD_Response *response)
{
	if (r->gone) { /* the other end left while we were thinking */
		mhd.destroy_response(response);
		request_free(r);
		return;
	}
	if (type)
		mhd.add_response_header(response, "Content-Type", type);
	for (size_t i = 0; i < ARRAY_SIZE(security_headers); i++)
		if (!has_header(r, security_headers[i].name))
			mhd.add_response_header(response, security_headers[i].name,
				security_headers[i].value);
	if (!has_header(r, "Cache-Control"))
		mhd.add_response_header(response, "Cache-Control", "no-store");
	mhd.add_response_header(response, "X-Request-Id", r->id);
	for (struct header *x = r->headers; x; x = x->next)
		mhd.add_response_header(response, x->name, x->value);
	r->response = response;
	r->status = status;
	r->answered = true;
	if (r->http->o.answered)
		r->http->o.answered(r, status, r->http->o.data);
	if (r->suspended) {
		r->suspended = false;
		r->http->must_run = true;
		mhd.resume_connection(r->connection);
	}
}

void http_add_header(struct http_request *r, const char *name, const char *value)
{
	struct header *x;

	if (strpbrk(value, "\r\n"))
		return; /* a header of ours never needs one: somebody tries to split */
	x = xcalloc(1, sizeof(*x));
	x->name = xstrdup(name);
	x->value = xstrdup(value);
	x->next = r->headers;
	r->headers = x;
}

void http_answer(struct http_request *r, int status, const char *type, const void *data,
	size_t len)
{
	r->len = len;
	finish(r, status, type,
		mhd.create_response_from_buffer(len, (void *)(uintptr_t)data,
			MHD_RESPMEM_MUST_COPY));
}

void http_answer_take(struct http_request *r, int status, const char *type,
	struct strbuf *data)
{
	size_t len = data->len;
	char *bytes = strbuf_take(data);

	r->len = len;
	finish(r, status, type,
		mhd.create_response_from_buffer(len, bytes, MHD_RESPMEM_MUST_FREE));
}

void http_answer_file(struct http_request *r, int status, const char *type, int fd,
	uint64_t offset, uint64_t len)
{
	r->len = len;
	finish(r, status, type, mhd.create_response_from_fd_at_offset64(len, fd, offset));
}

void http_redirect(struct http_request *r, int status, const char *location)
{
	http_add_header(r, "Location", location);
	http_answer(r, status, NULL, "", 0);
}

static ssize_t on_pull(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct http_request *r = cls;
	ssize_t n = r->gone ? -1 : r->pull(r->stream, buf, max);

	if (n < 0)
		return n == HTTP_PULL_CUT ? MHD_CONTENT_READER_END_WITH_ERROR :
					    MHD_CONTENT_READER_END_OF_STREAM;
	if (n == 0 && !r->suspended) {
		r->suspended = true;
		mhd.suspend_connection(r->connection);
	}
	return n;
}

void http_stream(struct http_request *r, const char *type, http_pull_fn *pull,
	void (*closed)(void *stream), void *stream)
{
	r->pull = pull;
	r->closed = closed;
	r->stream = stream;
	r->streaming = true;
	http_add_header(r, "Connection", "close");
	finish(r, 200, type,
		mhd.create_response_from_callback(MHD_SIZE_UNKNOWN, 32768, on_pull, r, NULL));
}

void http_wake(struct http_request *r)
{
	if (!r->streaming || !r->suspended)
		return;
	r->suspended = false;
	r->http->must_run = true;
	mhd.resume_connection(r->connection);
}

/* ---- accessors ---- */

const char *http_method(const struct http_request *r)
{
	return r->method;
}

const char *http_path(const struct http_request *r)
{
	return r->path;
}

const char *http_target(const struct http_request *r)
{
	return r->target;
}

const char *http_query(const struct http_request *r, const char *name)
{
	return find_pair(r->query, r->query_len, name);
}

const char *http_header(const struct http_request *r, const char *name)
{
	/* The connection is gone before the request when the other end left. */
	return r->gone ? NULL : mhd.lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *http_cookie(const struct http_request *r, const char *name)
{
	return r->gone ? NULL : mhd.lookup_connection_value(r->connection, MHD_COOKIE_KIND, name);
}

const char *http_form(struct http_request *r, const char *name)
{
	if (!r->form_parsed) {
		r->form_parsed = true;
		parse_pairs(r->body.buf, r->body.len, &r->form, &r->form_len);
	}
	return find_pair(r->form, r->form_len, name);
}

const struct strbuf *http_body(const struct http_request *r)
{
	return &r->body;
}

const char *http_peer(const struct http_request *r)
{
	return r->peer;
}

bool http_is_local(const struct http_request *r)
{
	return r->is_unix;
}

uid_t http_peer_uid(const struct http_request *r)
{
	return r->uid;
}

bool http_is_tls(const struct http_request *r)
{
	return r->is_tls;
}

const char *http_id(const struct http_request *r)
{
	return r->id;
}

int64_t http_age_us(const struct http_request *r)
{
	return clock_boot_us() - r->started_us;
}

void http_set_context(struct http_request *r, void *context, void (*free_fn)(void *))
{
	r->context = context;
	r->context_free = free_fn;
}

void *http_context(const struct http_request *r)
{
	return r->context;
}

/* ---- the server ---- */

static void on_again(struct loop *l, void *data)
{
	struct http *h = data;

	h->again = NULL;
	h->must_run = true;
}

/*
 * One round only, so that a busy connection leaves the other sources of the loop their
 * turn. What the library still has to do it tells by a timeout of nothing: its epoll is
 * edge-triggered and would not wake us for it; nor for connections just resumed.
 */
static void run_all(struct http *h)
{
	h->must_run = false;
	for (size_t i = 0; i < h->listeners_len; i++)
		mhd.run(h->listeners[i].daemon);
	for (size_t i = 0; i < h->listeners_len; i++) {
		MHD_UNSIGNED_LONG_LONG ms;

		if (mhd.get_timeout(h->listeners[i].daemon, &ms) == MHD_YES && ms == 0)
			h->must_run = true;
	}
	if (h->must_run && !h->again)
		h->again = loop_add_timer(h->loop, 0, on_again, h);
}

static void on_epoll(struct loop *l, int fd, uint32_t events, void *data)
{
	struct http *h = data;

	h->must_run = true;
}

static void on_turn(struct loop *l, void *data)
{
	struct http *h = data;

	if (h->must_run)
		run_all(h);
}

int http_new(struct loop *l, const struct http_options *o, struct http **ret,
	struct err *err)
{
	struct http *h;

	if (load_library(err) < 0)
		return -1;
	h = xcalloc(1, sizeof(*h));
	h->loop = l;
	h->o = *o;
	if (!h->o.header_ms)
		h->o.header_ms = LIMIT_HTTP_HEADER_MS;
	if (!h->o.total_ms)
		h->o.total_ms = LIMIT_HTTP_TOTAL_MS;
	h->turn = loop_add_turn(l, on_turn, h);
	h->sweep = loop_add_timer(l, SWEEP_MS, on_sweep, h);
	*ret = h;
	return 0;
}

/* The library must not be stopped while it has suspended connections. */
static void resume_all(struct http *h)
{
	for (struct conn *c = h->conns; c; c = c->next)
		if (c->request && c->request->suspended) {
			c->request->suspended = false;
			mhd.resume_connection(c->request->connection);
		}
}

void http_free(struct http *h)
{
	if (!h)
		return;
	resume_all(h);
	for (size_t i = 0; i < h->listeners_len; i++) {
		loop_remove(h->listeners[i].source);
		mhd.stop_daemon(h->listeners[i].daemon);
	}
	loop_remove(h->again);
	loop_remove(h->turn);
	loop_remove(h->sweep);
	free(h);
}

static void on_mhd_log(void *cls, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
static void on_mhd_log(void *cls, const char *fmt, va_list ap)
{
	char text[512];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_debug("http library: %s", text);
}

int http_listen(struct http *h, int fd, struct err *err)
{
	struct listener *l = &h->listeners[h->listeners_len];
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	const union MHD_DaemonInfo *info;
	/* Behind a proxy everybody comes from one address: the proxy's limit counts there. */
	bool has_proxies = h->o.trusted_proxies && h->o.trusted_proxies[0];
	unsigned flags = MHD_USE_EPOLL | MHD_USE_ERROR_LOG | MHD_ALLOW_SUSPEND_RESUME;
	bool tls;

	if (h->listeners_len == ARRAY_SIZE(h->listeners))
		return err_set(err, ERR_BUG, "too many listeners");
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return err_sys(err, "cannot ask a listener for its address");
	l->http = h;
	l->is_unix = ss.ss_family == AF_UNIX;
	tls = h->o.tls_certificate && !l->is_unix;
	if (tls)
		flags |= MHD_USE_TLS;
	struct MHD_OptionItem tls_options[] = {
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)h->o.tls_certificate },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)h->o.tls_key },
		{ MHD_OPTION_END, 0, NULL },
	};
	struct MHD_OptionItem none[] = { { MHD_OPTION_END, 0, NULL } };

	l->daemon = mhd.start_daemon(flags, 0, NULL, NULL, on_access, l,
		MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)LIMIT_HTTP_CONNECTIONS,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT,
		(unsigned)(l->is_unix || has_proxies ? 0 : LIMIT_HTTP_PER_ADDRESS),
		MHD_OPTION_CONNECTION_TIMEOUT, 60u, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEMORY, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
		MHD_OPTION_URI_LOG_CALLBACK, on_uri, l, MHD_OPTION_NOTIFY_COMPLETED,
		on_completed, l,
		/* main ignores it; or libmicrohttpd copies files by 4 KiB for fear of it */
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY,
		tls ? tls_options : none, MHD_OPTION_END);
	if (!l->daemon) {
		(void)close(fd);
		return err_set(err, ERR_SYS, "cannot start the HTTP server%s",
			tls ? "; are tls.certificate and tls.key a pair?" : "");
	}
	info = mhd.get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	l->source = loop_add_fd(h->loop, info->epoll_fd, EPOLLIN, on_epoll, h);
	h->listeners_len++;
	return 0;
}

void http_quiesce(struct http *h)
{
	for (size_t i = 0; i < h->listeners_len; i++) {
		int fd = mhd.quiesce_daemon(h->listeners[i].daemon);

		if (fd >= 0)
			(void)close(fd);
	}
}

bool http_is_busy(const struct http *h)
{
	for (const struct conn *c = h->conns; c; c = c->next)
		if (c->request && c->request->whole && !c->request->streaming)
			return true;
	return false;
}

size_t http_connections(const struct http *h)
{
	return h->conns_len;
}

int http_bind_tcp(const char *host, int port, int *ret_fd, int *ret_port, struct err *err)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
	struct addrinfo *ai = NULL;
	char service[16];
	_cleanup_close_ int fd = -1;
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	int one = 1, r;

	snprintf(service, sizeof(service), "%d", port);
	r = getaddrinfo(host, service, &hints, &ai);
	if (r != 0)
		return err_set(err, ERR_INPUT,
			"cannot listen on '%s': it is no numeric address; as in 127.0.0.1:8480",
			host);
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd >= 0)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fd < 0 || bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, 1024) < 0) {
		int saved = errno;

		freeaddrinfo(ai);
		errno = saved;
		return err_sys(err, "cannot listen on %s port %d", host, port);
	}
	freeaddrinfo(ai);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return err_sys(err, "cannot ask a listener for its port");
	*ret_port = ntohs(ss.ss_family == AF_INET6 ? /* NOLINT: getsockname filled it */
			((struct sockaddr_in6 *)&ss)->sin6_port :
			((struct sockaddr_in *)&ss)->sin_port);
	*ret_fd = take_fd(&fd);
	return 0;
}

int http_bind_unix(const char *path, int *ret_fd, struct err *err)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;

	if (strlen(path) >= sizeof(un.sun_path))
		return err_set(err, ERR_LIMIT,
			"the socket path '%s' is longer than %zu bytes; choose a shorter data "
			"directory",
			path, sizeof(un.sun_path) - 1);
	memcpy(un.sun_path, path, strlen(path) + 1);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, "cannot replace '%s'", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&un, sizeof(un)) < 0 ||
		chmod(path, 0600) < 0 || listen(fd, 256) < 0)
		return err_sys(err, "cannot listen on '%s'", path);
	*ret_fd = take_fd(&fd);
	return 0;
}
