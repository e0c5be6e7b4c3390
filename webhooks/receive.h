/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A delivery from arrival to its rows: signature, shape, repository, duplicate, event.
 * Core answers the web process with what comes out, after its commit.
 */
#ifndef WEBHOOKS_RECEIVE_H
#define WEBHOOKS_RECEIVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "store/store.h"

/* Keeps the opened secrets of all hooks while core serves; refreshed when they change. */
struct receiver;
struct receiver *receiver_new(void);
void receiver_free(struct receiver *r); /* wipes them */
DEFINE_CLEANUP(struct receiver, receiver_free);

struct hook_request {
	const char *forge;
	const struct json
		*headers; /* lower-case names; one that came twice is an array */
	const char *repo; /* ?repo=OWNER/NAME of the address, or NULL */
	const char *peer;
	const char *request;
	const void *body;
	size_t len;
	/*
	 * Called before the first write, to open the transaction the rows are to join; NULL:
	 * the caller has done so. A delivery nobody signed writes nothing and needs none.
	 */
	int (*begin)(void *data, struct err *err);
	void *data;
};

struct hook_answer {
	int status;	   /* of HTTP: 202 new, 200 known or nothing to do, 400 401 403 */
	char message[200]; /* for whoever reads the forge's page of deliveries */
	int64_t delivery;  /* 0: none was written */
	int64_t event;	   /* 0: none */
};

/*
 * Joins the caller's transaction: nothing may be answered before it is
 * committed. All that is the sender's fault is an answer; -1 is ours (ERR_UNAVAILABLE:
 * answer 503). The answer to a wrong signature is the same for every reason.
 */
int receive_hook(struct receiver *r, struct store *s, const struct hook_request *q,
	struct hook_answer *ret, struct err *err);

#endif
