/* SPDX-License-Identifier: Apache-2.0 */
/* A small HTTP/1.1 client: one request a connection, length, chunks or end of stream. */
#include "runner/client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "executor/helper.h"

#define CLIENT_HEADER_MAX (64 * KiB)
#define CLIENT_ANSWER_MAX (64 * MiB)

enum client_way { WAY_UNIX, WAY_TCP, WAY_TLS };

struct client {
	enum client_way way;
	char *where;		 /* as the user gave it, or the socket's path */
	char *host, *port, *base; /* of a URL */
	char *token;
};

static char *read_token_file(const char *path, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;

	if (fd_read_file(AT_FDCWD, path, 4096, &sb, err) < 0)
		return NULL;
	while (sb.len && strchr("\r\n ", sb.buf[sb.len - 1]))
		strbuf_truncate(&sb, sb.len - 1);
	return strbuf_take(&sb);
}

/* http[s]://HOST[:PORT][/BASE] */
static int parse_url(struct client *c, const char *url, struct err *err)
{
	const char *p, *end, *colon;

	if (str_starts(url, "http://"))
		c->way = WAY_TCP;
	else if (str_starts(url, "https://"))
		c->way = WAY_TLS;
	else
		return err_set(err, ERR_INPUT,
			"'%s' is no server address; as in https://ci.example.com", url);
	p = strstr(url, "://") + 3;
	end = p + strcspn(p, "/");
	colon = memrchr(p, ':', (size_t)(end - p));
	if (colon && memchr(colon, ']', (size_t)(end - colon)))
		colon = NULL;
	if (*p == '[' && memchr(p, ']', (size_t)(end - p)))
		c->host = xstrndup(p + 1, strcspn(p + 1, "]"));
	else
		c->host = xstrndup(p, (size_t)((colon ? colon : end) - p));
	c->port = colon ? xstrndup(colon + 1, (size_t)(end - colon - 1)) :
			  xstrdup(c->way == WAY_TLS ? "443" : "80");
	c->base = xstrdup(str_eq(end, "/") ? "" : end);
	if (!c->host[0] || strpbrk(c->host, "\r\n @"))
		return err_set(err, ERR_INPUT, "'%s' names no host", url);
	return 0;
}

int client_new(const struct client_options *o, struct client **ret, struct err *err)
{
	_cleanup_(client_freep) struct client *c = xcalloc(1, sizeof(*c));
	const char *server = o->server ? o->server : getenv("SLUICE_SERVER");
	const char *token_file = getenv("SLUICE_TOKEN_FILE");

	if (server && server[0]) {
		c->where = xstrdup(server);
		if (parse_url(c, server, err) < 0)
			return -1;
		c->token = xstrdup_null(o->token ? o->token : getenv("SLUICE_TOKEN"));
		if (!c->token && token_file) {
			c->token = read_token_file(token_file, err);
			if (!c->token)
				return -1;
		}
	} else {
		c->way = WAY_UNIX;
		c->where = xasprintf("%s/run/api.sock", o->data_dir);
		c->base = xstrdup("");
		c->host = xstrdup("localhost");
	}
	*ret = take_ptr(c);
	return 0;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	free(c->where);
	free(c->host);
	free(c->port);
	free(c->base);
	free(c->token);
	free(c);
}

const char *client_where(const struct client *c)
{
	return c->where;
}

bool client_is_absent(const struct err *err)
{
	return err->code == ERR_UNAVAILABLE &&
		(err->sys == ENOENT || err->sys == ECONNREFUSED);
}

/* ---- connecting ---- */

static int unreachable(const struct client *c, struct err *err, const char *why)
{
	int saved = errno;

	err_set(err, ERR_UNAVAILABLE,
		"cannot reach a server at %s: %s; start it (systemctl start sluice) or give "
		"--server URL",
		c->where, why);
	if (err)
		err->sys = saved;
	return -1;
}

static int connect_unix(const struct client *c, int *ret, struct err *err)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	if (strlen(c->where) >= sizeof(un.sun_path))
		return err_set(err, ERR_LIMIT, "the path '%s' is too long for a socket",
			c->where);
	memcpy(un.sun_path, c->where, strlen(c->where) + 1);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		return unreachable(c, err, err_sys_text(errno));
	*ret = take_fd(&fd);
	return 0;
}

static int connect_tcp(const struct client *c, int *ret, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	int r = getaddrinfo(c->host, c->port, &hints, &list);
	int fd = -1;

	if (r != 0)
		return unreachable(c, err, gai_strerror(r));
	for (struct addrinfo *ai = list; ai; ai = ai->ai_next) {
		fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
			break;
		r = errno;
		if (fd >= 0)
			(void)close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	errno = r;
	if (fd < 0)
		return unreachable(c, err, err_sys_text(r));
	*ret = fd;
	return 0;
}

/* The helper ends TLS: our end of a pair, and a helper that lives as long as it. */
static int connect_tls(const struct client *c, int *ret, struct err *err)
{
	_cleanup_(helper_cleanup) struct helper h = HELPER_INIT;
	struct helper_options o = HELPER_OPTIONS_INIT;
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_free_ char *url = xasprintf("https://%s:%s", c->host, c->port);
	int pair[2] = { -1, -1 };
	int r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "cannot make a socket pair");
	o.mode = "connect";
	o.fds = &pair[1];
	o.fds_len = 1;
	r = helper_spawn(&o, &h, err);
	(void)close(pair[1]); /* the helper has its own */
	json_set_str(head, "op", "connect");
	json_set_str(head, "url", url);
	if (r == 0)
		r = helper_call(&h, head, NULL, 0, NULL, 0, 30000, NULL, err);
	if (r < 0) {
		(void)close(pair[0]);
		return err_wrap(err, "cannot reach a server at %s", c->where);
	}
	/* It relays until our end closes; the pid is reaped by whoever reaps us. */
	h.pid = -1;
	h.chan = -1;
	h.pidfd = -1;
	*ret = pair[0];
	return 0;
}

static int client_connect(const struct client *c, int *ret, struct err *err)
{
	switch (c->way) {
	case WAY_UNIX:
		return connect_unix(c, ret, err);
	case WAY_TCP:
		return connect_tcp(c, ret, err);
	case WAY_TLS:
		return connect_tls(c, ret, err);
	}
	return err_set(err, ERR_BUG, "no way to a server");
}

/* ---- one exchange ---- */

struct exchange {
	int fd;
	int status;
	bool chunked, length_known, done;
	uint64_t left; /* of the length, or of the current chunk */
	struct strbuf in;
	size_t at; /* bytes of IN that were used */
};

static void exchange_done(struct exchange *x)
{
	if (x->fd >= 0)
		(void)close(x->fd);
	strbuf_done(&x->in);
}

static int fill(struct exchange *x, struct err *err)
{
	ssize_t n;

	if (x->at == x->in.len) {
		strbuf_clear(&x->in);
		x->at = 0;
	}
	strbuf_reserve(&x->in, 65536);
	do
		n = read(x->fd, x->in.buf + x->in.len, 65536);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		err_sys(err, "the connection to the server broke");
		if (err)
			err->code = ERR_UNAVAILABLE;
		return -1;
	}
	strbuf_commit(&x->in, (size_t)n);
	return n > 0 ? 1 : 0;
}

/* A line without its end, lent until the next read; NULL at the end or on error. */
static char *read_line(struct exchange *x, struct err *err)
{
	for (;;) {
		char *nl = memchr(x->in.buf + x->at, '\n', x->in.len - x->at);

		if (nl) {
			char *line = x->in.buf + x->at;

			*nl = '\0';
			if (nl > line && nl[-1] == '\r')
				nl[-1] = '\0';
			x->at = (size_t)(nl - x->in.buf) + 1;
			return line;
		}
		if (x->in.len - x->at > CLIENT_HEADER_MAX) {
			err_set(err, ERR_LIMIT, "the server sent an endless line");
			return NULL;
		}
		if (x->at > 0) {
			strbuf_remove(&x->in, 0, x->at);
			x->at = 0;
		}
		int r = fill(x, err);

		if (r == 0)
			err_set(err, ERR_UNAVAILABLE,
				"the server closed the connection; trying again may help");
		if (r <= 0)
			return NULL;
	}
}

static int read_head(struct exchange *x, struct err *err)
{
	char *line = read_line(x, err);
	long long n;

	if (!line)
		return -1;
	if (sscanf(line, "HTTP/1.%*d %d", &x->status) != 1)
		return err_set(err, ERR_INPUT, "what answers there is no HTTP server");
	while ((line = read_line(x, err)) && line[0]) {
		char *value = strchr(line, ':');

		if (!value)
			continue;
		*value++ = '\0';
		value += strspn(value, " \t");
		if (strcasecmp(line, "content-length") == 0 &&
			str_to_int(value, 0, INT64_MAX, &n) == 0) {
			x->length_known = true;
			x->left = (uint64_t)n;
		} else if (strcasecmp(line, "transfer-encoding") == 0) {
			x->chunked = strcasecmp(value, "chunked") == 0;
		}
	}
	return line ? 0 : -1;
}

static int next_chunk(struct exchange *x, struct err *err)
{
	char *line = read_line(x, err), *end;

	if (line && !line[0]) /* the end of the chunk before */
		line = read_line(x, err);
	if (!line)
		return -1;
	x->left = strtoull(line, &end, 16);
	if (end == line)
		return err_set(err, ERR_INPUT, "the server sent a bad chunk");
	x->done = x->left == 0;
	return 0;
}

/* Gives the next bytes of the body: 1, 0 at its end, -1. Lent until the next call. */
static int read_body(struct exchange *x, const char **ret, size_t *ret_len, struct err *err)
{
	if (x->chunked && x->left == 0 && !x->done && next_chunk(x, err) < 0)
		return -1;
	if (x->done || (x->length_known && !x->chunked && x->left == 0))
		return 0;
	if (x->at == x->in.len) {
		int r = fill(x, err);

		if (r < 0)
			return -1;
		if (r == 0 && (x->chunked || x->length_known))
			return err_set(err, ERR_UNAVAILABLE, "the server stopped in the middle");
		if (r == 0)
			return 0;
	}
	*ret = x->in.buf + x->at;
	*ret_len = x->in.len - x->at;
	if ((x->chunked || x->length_known) && *ret_len > x->left)
		*ret_len = (size_t)x->left;
	if (x->chunked || x->length_known)
		x->left -= *ret_len;
	x->at += *ret_len;
	return 1;
}

static int start(struct client *c, const char *method, const char *target,
	const char *body, size_t len, struct exchange *x, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf head = STRBUF_INIT;

	if (client_connect(c, &x->fd, err) < 0)
		return -1;
	strbuf_addf(&head, "%s %s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n"
			   "Accept: application/json\r\nUser-Agent: sluice/" SLUICE_VERSION "\r\n",
		method, c->base, target, c->host);
	if (c->token)
		strbuf_addf(&head, "Authorization: Bearer %s\r\n", c->token);
	if (body)
		strbuf_addf(&head, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			len);
	strbuf_adds(&head, "\r\n");
	if (body)
		strbuf_add(&head, body, len);
	if (fd_write_all(x->fd, head.buf, head.len) < 0)
		return unreachable(c, err, err_sys_text(errno));
	return read_head(x, err);
}

static enum err_code code_of(const char *name, int status)
{
	for (int code = ERR_INPUT; code <= ERR_BUG; code++)
		if (str_eq(err_code_name((enum err_code)code), name))
			return (enum err_code)code;
	return status == 401 || status == 403 ? ERR_DENIED :
		status == 404		      ? ERR_NOT_FOUND :
		status == 409		      ? ERR_CONFLICT :
		status >= 500		      ? ERR_UNAVAILABLE :
						ERR_INPUT;
}

static int server_error(const struct json *answer, int status, struct err *err)
{
	const struct json *e = json_get(answer, "error");
	const char *hint = json_get_str(e, "hint", NULL);

	return err_set(err, code_of(json_get_str(e, "code", ""), status), "%s%s%s",
		json_get_str(e, "message", "the server refused"), hint ? "; " : "",
		hint ? hint : "");
}

int client_call(struct client *c, const char *name, const struct json *args,
	struct json **ret, struct err *err)
{
	_cleanup_(exchange_done) struct exchange x = { .fd = -1, .in = STRBUF_INIT };
	_cleanup_(strbuf_done) struct strbuf answer = STRBUF_INIT;
	_cleanup_free_ char *target = xasprintf("/api/v1/verbs/%s", name);
	_cleanup_free_ char *body = args ? json_text(args) : xstrdup("{}");
	_cleanup_(json_freep) struct json *j = NULL;
	const char *piece = NULL;
	size_t len = 0;
	int r;

	if (start(c, "POST", target, body, strlen(body), &x, err) < 0)
		return -1;
	while ((r = read_body(&x, &piece, &len, err)) > 0) {
		if (answer.len + len > CLIENT_ANSWER_MAX)
			return err_set(err, ERR_LIMIT, "the server's answer is too large");
		strbuf_add(&answer, piece, len);
	}
	if (r < 0)
		return -1;
	if (json_parse(answer.buf, answer.len, &j, err) < 0) {
		if (x.status >= 400)
			return err_set(err, code_of("", x.status),
				"the server at %s answered %d", c->where, x.status);
		return err_wrap(err, "the server's answer");
	}
	if (x.status >= 400)
		return server_error(j, x.status, err);
	*ret = take_ptr(j);
	return 0;
}

int client_get(struct client *c, const char *target,
	int (*fn)(const char *data, size_t len, void *data_), void *data, int *ret_status,
	struct err *err)
{
	_cleanup_(exchange_done) struct exchange x = { .fd = -1, .in = STRBUF_INIT };
	const char *piece = NULL;
	size_t len = 0;
	int r;

	if (start(c, "GET", target, NULL, 0, &x, err) < 0)
		return -1;
	*ret_status = x.status;
	while ((r = read_body(&x, &piece, &len, err)) > 0)
		if (fn(piece, len, data) != 0)
			return 0;
	return r;
}
