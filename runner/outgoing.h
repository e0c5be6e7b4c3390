/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to a peer on a non-blocking chan of our loop. What its socket has no room for
 * waits here, in order, up to a limit, and leaves when there is room again: a commit may
 * have more answers, and a burst more deliveries, than a socket holds.
 *
 * Order of use: outgoing_init, outgoing_send ..., outgoing_drain whenever the source tells
 * EPOLLOUT, outgoing_done before the source is removed.
 */
#ifndef RUNNER_OUTGOING_H
#define RUNNER_OUTGOING_H

#include <stddef.h>

#include "base/err.h"
#include "base/json.h"
#include "base/loop.h"

struct outgoing_message;

struct outgoing {
	int fd;
	struct loop_source
		*source; /* waits for EPOLLIN; for EPOLLOUT too while something waits */
	size_t bytes, bytes_max;
	struct outgoing_message *first, **last;
};

void outgoing_init(
	struct outgoing *o, int fd, struct loop_source *source, size_t bytes_max);
void outgoing_done(struct outgoing *o); /* what waits is dropped; done twice is fine */
/*
 * Sends HEAD (lent) with a body now, or keeps it. ERR_LIMIT: too much waits already; any
 * other error is chan_send's.
 */
int outgoing_send(struct outgoing *o, struct json *head, const void *body, size_t len,
	struct err *err);
/* There is room again. An error is chan_send's, of a message that is lost. */
int outgoing_drain(struct outgoing *o, struct err *err);

#endif
