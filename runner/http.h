/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server; the only module that includes libmicrohttpd, in external epoll mode,
 * one thread. A request reaches the handler whole: headers checked, path decoded once,
 * body within its limit. It is answered at once or later; until then its connection is
 * suspended. Streams (server-sent events) are pulled from a callback and woken by hand.
 *
 * libmicrohttpd 0.9.75 lets through what a strict parser refuses, so here: two Host,
 * Content-Length or Transfer-Encoding headers, both of the latter, no Host, names that are
 * no tokens and values with control bytes, an absolute-form or over-long target, control
 * bytes in it and a header block over LIMIT_HTTP_HEADER are answered 400 and the
 * connection closes; it also closes after every request with a body. What the library does
 * not show, a bare LF at the end of a header line, a folded line, a NUL in a value, passes.
 * Its own timeout counts inactivity only: total deadlines run from the connect, for the
 * reading of an answer too. A stream whose reader left ends within SWEEP_MS.
 */
#ifndef RUNNER_HTTP_H
#define RUNNER_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/loop.h"
#include "base/strbuf.h"

struct http;
struct http_request;

typedef void http_handler_fn(struct http_request *r, void *data);

struct http_options {
	const char *tls_certificate, *tls_key; /* PEM text, both or none */
	const char *const *trusted_proxies;    /* NULL-ended addresses, or NULL */
	int64_t header_ms, total_ms;	       /* deadlines; 0: those of limits.h (tests) */
	http_handler_fn *handler;
	/* The largest body for a method and path; 0 refuses any body. */
	size_t (*body_limit)(const char *method, const char *path, void *data);
	/* Told of every answer, refusals of this module too; may be NULL. */
	void (*answered)(struct http_request *r, int status, void *data);
	void *data;
};

/* One server may listen in several places; all end in the same handler. */
int http_new(struct loop *l, const struct http_options *o, struct http **ret,
	struct err *err);
void http_free(struct http *h);
/* FD is a listening stream socket (TCP or AF_UNIX), owned from here on. No TLS on AF_UNIX. */
int http_listen(struct http *h, int fd, struct err *err);
/* Makes such a socket. *RET_PORT is the port taken. */
int http_bind_tcp(const char *host, int port, int *ret_fd, int *ret_port, struct err *err);
int http_bind_unix(const char *path, int *ret_fd, struct err *err);
/* Stops accepting; what is being answered goes on. */
void http_quiesce(struct http *h);
/* A request is being answered, streams not counted. */
bool http_is_busy(const struct http *h);
size_t http_connections(const struct http *h);

/* The request; everything lent until it is answered. */
const char *http_method(const struct http_request *r);
const char *http_path(const struct http_request *r); /* decoded once, begins with '/' */
const char *http_target(const struct http_request *r); /* as sent, with the query */
const char *http_query(const struct http_request *r, const char *name);	 /* or NULL */
const char *http_header(const struct http_request *r, const char *name); /* or NULL */
const char *http_cookie(const struct http_request *r, const char *name); /* or NULL */
const char *http_form(struct http_request *r, const char *name); /* urlencoded body */
const struct strbuf *http_body(const struct http_request *r);
/* The address of the other end, behind a trusted proxy the one it names; "unix" on AF_UNIX. */
const char *http_peer(const struct http_request *r);
bool http_is_local(const struct http_request *r); /* came over AF_UNIX */
uid_t http_peer_uid(const struct http_request *r); /* of AF_UNIX, else (uid_t)-1 */
bool http_is_tls(const struct http_request *r);	   /* here, or at a trusted proxy */
const char *http_id(const struct http_request *r); /* request id, for log and pages */
int64_t http_age_us(const struct http_request *r); /* since its headers were read */
void http_set_context(struct http_request *r, void *context, void (*free_fn)(void *));
void *http_context(const struct http_request *r);

/*
 * Exactly one of these answers a request; R is gone for the caller afterwards (but not
 * for a stream). Headers are added first. Every answer carries the security headers.
 */
void http_add_header(struct http_request *r, const char *name, const char *value);
void http_answer(struct http_request *r, int status, const char *type, const void *data,
	size_t len);
void http_answer_take(struct http_request *r, int status, const char *type,
	struct strbuf *data); /* the bytes move out of DATA */
/* LEN bytes of FD (owned from here on) from OFFSET. */
void http_answer_file(struct http_request *r, int status, const char *type, int fd,
	uint64_t offset, uint64_t len);
void http_redirect(struct http_request *r, int status, const char *location);

/*
 * A stream: PULL is asked for up to MAX bytes whenever the connection can take some; 0
 * means nothing now (http_wake asks again), -1 ends it, HTTP_PULL_CUT ends it so that the
 * reader sees it is not whole. CLOSED is called once at the end, whoever ended it.
 */
#define HTTP_PULL_CUT (-2)
typedef ssize_t http_pull_fn(void *stream, char *buf, size_t max);
void http_stream(struct http_request *r, const char *type, http_pull_fn *pull,
	void (*closed)(void *stream), void *stream);
void http_wake(struct http_request *r);

#endif
