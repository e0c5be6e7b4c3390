/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deliveries and signed approvals that web hands over. All that arrive in one turn of the
 * loop share its transaction, and each is answered only after the commit.
 */
#include "runner/core-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/chan.h"
#include "base/log.h"
#include "base/mem.h"
#include "runner/rpc.h"
#include "webhooks/approval.h"
#include "webhooks/receive.h"

struct hooks {
	struct receiver *receiver;
};

/* An answer that waits for the commit. */
struct reply {
	unsigned long web;
	int64_t seq;
	int status;
	int64_t delivery, event, gate;
	char state[32];
	char message[ERR_MSG_MAX];
};

static struct hooks *hooks_of(struct core *c)
{
	if (!c->hooks) {
		c->hooks = xcalloc(1, sizeof(*c->hooks));
		c->hooks->receiver = receiver_new();
	}
	return c->hooks;
}

void hooks_done(struct core *c)
{
	if (!c->hooks)
		return;
	receiver_free(c->hooks->receiver);
	free(c->hooks);
	c->hooks = NULL;
}

static struct json *fields_of(const struct reply *r)
{
	struct json *f = json_new_object();

	json_set_int(f, "status", r->status);
	json_set_str(f, "message", r->message);
	if (r->delivery)
		json_set_int(f, "delivery", r->delivery);
	if (r->event)
		json_set_int(f, "event", r->event);
	if (r->gate)
		json_set_int(f, "gate", r->gate);
	if (r->state[0])
		json_set_str(f, "state", r->state);
	return f;
}

static void on_commit(struct core *c, const struct err *why, void *data)
{
	struct reply *r = data;
	int fd = web_fd(c, r->web);
	struct err err = ERR_INIT;

	if (why) {
		r->status = 503;
		r->delivery = r->event = 0;
		snprintf(r->message, sizeof(r->message),
			"the server cannot store it now (%.120s); send it again", why->msg);
	}
	if (fd >= 0 && rpc_answer(fd, r->seq, fields_of(r), NULL, 0, NULL, 0, &err) < 0)
		log_warnx("cannot answer web: %s", err.msg);
	free(r);
}

static void refuse(struct core *c, struct reply *r, const struct err *why)
{
	core_trouble(c, "cannot take a delivery", why);
	on_commit(c, why, r);
}

static void serve_hook(struct core *c, const struct chan_msg *m, struct reply *r)
{
	struct hook_request q = {
		.forge = json_get_str(m->head, "forge", ""),
		.headers = json_get(m->head, "headers"),
		.repo = json_get_str(m->head, "query", NULL),
		.peer = json_get_str(m->head, "peer", ""),
		.request = json_get_str(m->head, "request", ""),
		.body = m->body.buf,
		.len = m->body.len,
	};
	struct hook_answer got;
	struct err err = ERR_INIT;

	memset(&got, 0, sizeof(got));
	if (core_begin(c, &err) < 0 ||
		receive_hook(hooks_of(c)->receiver, c->store, &q, &got, &err) < 0) {
		refuse(c, r, &err);
		return;
	}
	r->status = got.status;
	r->delivery = got.delivery;
	r->event = got.event;
	snprintf(r->message, sizeof(r->message), "%s", got.message);
	if (got.event)
		core_wake(c);
	core_after(c, on_commit, r);
}

static void serve_approval(struct core *c, const struct chan_msg *m, struct reply *r)
{
	struct approval_request q = {
		.gate = json_get_str(m->head, "gate", ""),
		.headers = json_get(m->head, "headers"),
		.method = json_get_str(m->head, "method", ""),
		.path = json_get_str(m->head, "path", ""),
		.request = json_get_str(m->head, "request", ""),
		.body = m->body.buf,
		.len = m->body.len,
	};
	struct approval_answer got;
	struct err err = ERR_INIT;

	memset(&got, 0, sizeof(got));
	if (core_begin(c, &err) < 0 || approval_receive(c->store, &q, &got, &err) < 0) {
		refuse(c, r, &err);
		return;
	}
	r->status = got.status;
	r->gate = got.gate;
	snprintf(r->state, sizeof(r->state), "%s", got.state ? got.state : "");
	snprintf(r->message, sizeof(r->message), "%s", got.message);
	core_wake(c);
	core_after(c, on_commit, r);
}

void hooks_serve(struct core *c, const struct chan_msg *m)
{
	struct reply *r = xcalloc(1, sizeof(*r));

	r->web = web_generation(c);
	r->seq = json_get_int(m->head, "seq", 0);
	if (str_eq(chan_msg_op(m), "approval"))
		serve_approval(c, m, r);
	else
		serve_hook(c, m, r);
}
