/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mode `connect`: a verified TLS connection to a server of ours, made by libcurl, and then
 * the bytes between it and a descriptor, until either side ends.
 */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "executor/helper-internal.h"

#define CHUNK		65536
#define CONNECT_SECONDS 20

int transfer_start(struct helper_request *r, struct err *err)
{
	return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK
		       ? 0
		       : err_set(err, ERR_UNSUPPORTED, "libcurl cannot be started");
}

static enum err_code code_of(CURLcode rc)
{
	switch (rc) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return ERR_DENIED;
	case CURLE_OPERATION_TIMEDOUT:
		return ERR_TIMEOUT;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return ERR_INPUT;
	default:
		return ERR_UNAVAILABLE;
	}
}

/* One direction: what was read and not yet written. */
struct flow {
	char *buf;
	size_t at, len;
	bool is_ended;
};

/* The curl side never blocks: CURLE_AGAIN means wait. -1: the connection is over. */
static int from_server(CURL *curl, struct flow *f)
{
	size_t n = 0;
	CURLcode rc = curl_easy_recv(curl, f->buf, CHUNK, &n);

	if (rc == CURLE_AGAIN)
		return 0;
	f->at = 0;
	f->len = n;
	if (rc != CURLE_OK || n == 0)
		f->is_ended = true;
	return rc == CURLE_OK ? 0 : -1;
}

static int to_server(CURL *curl, struct flow *f)
{
	size_t n = 0;
	CURLcode rc = curl_easy_send(curl, f->buf + f->at, f->len - f->at, &n);

	if (rc == CURLE_AGAIN)
		return 0;
	f->at += n;
	return rc == CURLE_OK ? 0 : -1;
}

static int from_local(int fd, struct flow *f)
{
	ssize_t n = read(fd, f->buf, CHUNK);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	f->at = 0;
	f->len = (size_t)n;
	f->is_ended = n == 0;
	return n == 0 ? -1 : 0; /* our client has what it wanted */
}

static int to_local(int fd, struct flow *f)
{
	ssize_t n = write(fd, f->buf + f->at, f->len - f->at);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	f->at += (size_t)n;
	return 0;
}

static bool has_more(const struct flow *f)
{
	return f->at < f->len;
}

static void relay(struct helper_request *r)
{
	CURL *curl = r->after_data;
	int local = r->fds[0];
	_cleanup_free_ char *down_buf = xmalloc(CHUNK);
	_cleanup_free_ char *up_buf = xmalloc(CHUNK);
	struct flow down = { down_buf, 0, 0, false }, up = { up_buf, 0, 0, false };
	curl_socket_t server = CURL_SOCKET_BAD;
	int rc = 0;

	if (curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &server) != CURLE_OK ||
		fd_set_nonblock(local, true) < 0)
		rc = -1;
	while (rc == 0 && (!down.is_ended || has_more(&down))) {
		struct pollfd p[2] = {
			{ .fd = server,
				.events = (short)((has_more(&down) ? 0 : POLLIN) |
						  (has_more(&up) ? POLLOUT : 0)) },
			{ .fd = local,
				.events = (short)((has_more(&up) ? 0 : POLLIN) |
						  (has_more(&down) ? POLLOUT : 0)) },
		};

		/* TLS may hold decrypted bytes that poll does not see: ask it first. */
		if (!has_more(&down))
			rc = from_server(curl, &down);
		if (!has_more(&down) && !down.is_ended && poll(p, 2, -1) < 0 &&
			errno != EINTR)
			break;
		if (rc == 0 && has_more(&down))
			rc = to_local(local, &down);
		if (rc == 0 && has_more(&down) && poll(&p[1], 1, 1000) < 0 &&
			errno != EINTR)
			break;
		if (rc == 0 && !has_more(&up) && (p[1].revents & (POLLIN | POLLHUP)))
			rc = from_local(local, &up);
		if (rc == 0 && has_more(&up))
			rc = to_server(curl, &up);
	}
	curl_easy_cleanup(curl);
	(void)shutdown(local, SHUT_RDWR); /* the other end may hold copies */
}

int transfer_op_connect(struct helper_request *r, struct err *err)
{
	const char *url = helper_str(r->head, "url", err);
	const char *ca = json_get_str(r->head, "ca", NULL);
	const char *proxy = json_get_str(r->head, "proxy", NULL);
	char why[CURL_ERROR_SIZE] = "";
	CURL *curl;
	CURLcode rc;

	if (!url)
		return -1;
	curl = curl_easy_init();
	if (!curl)
		return err_set(err, ERR_UNSUPPORTED, "libcurl cannot be started");
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why); /* these cannot fail */
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	(void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(curl, CURLOPT_PROXY, proxy ? proxy : "");
	rc = curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(curl, CURLOPT_URL, url);
	if (rc == CURLE_OK && ca)
		rc = curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
	if (rc == CURLE_OK)
		rc = curl_easy_perform(curl);
	if (rc != CURLE_OK) {
		curl_easy_cleanup(curl);
		return err_set(err, code_of(rc), "%.200s",
			why[0] ? why : curl_easy_strerror(rc));
	}
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL); /* WHY ends here */
	r->after = relay;
	r->after_data = curl;
	return 0;
}
