/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor's end of link.h: listens on the job's socket, serves one core at a time,
 * rings the doorbell. What core asks is handed to the hooks; the answers are sent here.
 */
#ifndef EXECUTOR_CONTROL_H
#define EXECUTOR_CONTROL_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/loop.h"
#include "executor/link.h"

struct control;

struct control_hooks {
	/* Fills what a hello says. */
	void (*hello)(struct link_hello *ret, void *data);
	/* The READY facts while the executor waits for go, else NULL; the caller frees. */
	struct json *(*ready)(void *data);
	/* BODY is the parsed secrets document. -1: the answer is *ERR. */
	int (*go)(int64_t epoch, const struct json *body, void *data, struct err *err);
	int (*abort)(const char *reason, void *data, struct err *err);
	int (*cancel)(const char *reason, bool force, void *data, struct err *err);
	int (*bye)(void *data, struct err *err);
	void (*gone)(void *data); /* core's connection ended */
	/* What the job uses now, or NULL; the caller frees. */
	struct json *(*usage)(void *data);
	/*
	 * A held job's shell is asked for: answered later, by control_answer. Where this is
	 * set nobody takes the place of who is connected.
	 */
	void (*attach)(const struct json *head, void *data);
};

/* LISTENER stays the caller's. HOOKS is borrowed. */
struct control *control_new(
	struct loop *loop, int listener, const struct control_hooks *hooks, void *data);
void control_free(struct control *c); /* hangs up */
DEFINE_CLEANUP(struct control, control_free);

bool control_is_connected(const struct control *c);
/* The answer to SEQ: *WHY, or FIELDS (lent, may be NULL) and FD (lent; -1: none). */
void control_answer(struct control *c, int64_t seq, const struct err *why,
	const struct json *fields, int fd);
void control_say(struct control *c, const struct json *head);
/*
 * Tells core that there is more to read; cheap, repeated calls of one turn are one message.
 * NULL is fine: nobody is told.
 */
void control_ring(struct control *c);
/* Sends hooks->ready now if core is there (it is sent after hello otherwise). */
void control_ready(struct control *c);

#endif
