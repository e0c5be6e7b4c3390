/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line's way to a server: HTTP/1.1 over run/api.sock (the owner of the socket
 * is admin), over --server http://..., or over https:// through the helper, which ends
 * TLS. Every verb is `POST /api/v1/verbs/NAME` with JSON arguments.
 *
 * Which server: --server, $SLUICE_SERVER, else the socket of the data directory.
 */
#ifndef RUNNER_CLIENT_H
#define RUNNER_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/strbuf.h"

struct client;

struct client_options {
	const char *server;   /* URL, or NULL */
	const char *data_dir; /* where run/api.sock is looked for */
	const char *token;    /* for URLs; NULL: $SLUICE_TOKEN, $SLUICE_TOKEN_FILE */
};

int client_new(const struct client_options *o, struct client **ret, struct err *err);
void client_free(struct client *c);
DEFINE_CLEANUP(struct client, client_free);
const char *client_where(const struct client *c); /* for messages */
/* Nobody listens there at all (then a verb may open the store itself). */
bool client_is_absent(const struct err *err);

/*
 * Calls verb NAME; ARGS stays the caller's (NULL: {}). The error of the server comes back
 * as *ERR with its code; ERR_UNAVAILABLE when it cannot be reached.
 */
int client_call(struct client *c, const char *name, const struct json *args,
	struct json **ret, struct err *err);

/*
 * GET TARGET as a stream; FN is called with what arrives, until it returns non-zero or
 * the server ends. *RET_STATUS is the HTTP status.
 */
int client_get(struct client *c, const char *target,
	int (*fn)(const char *data, size_t len, void *data_), void *data, int *ret_status,
	struct err *err);

#endif
