/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deliveries and signed approvals as web hands them over. All of one turn share its
 * transaction; each is answered after the commit, never before, and with an error that
 * makes the forge deliver again when the commit failed.
 */
#include "runner/core-internal.h"

#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "webhooks/approval.h"
#include "webhooks/receive.h"

struct hooks {
	struct receiver *receiver;
};

struct answer {
	unsigned long web; /* which web asked */
	int64_t seq;
	struct json *fields;
};

void hooks_done(struct core *c)
{
	if (!c->hooks)
		return;
	receiver_free(c->hooks->receiver);
	free(c->hooks);
	c->hooks = NULL;
}

static struct receiver *receiver_of(struct core *c)
{
	if (!c->hooks) {
		c->hooks = xcalloc(1, sizeof(*c->hooks));
		c->hooks->receiver = receiver_new();
	}
	return c->hooks->receiver;
}

static void send_answer(struct core *c, struct answer *a)
{
	web_answer(c, a->web, a->seq, a->fields);
	free(a);
}

static void set_trouble(struct json *fields, const struct err *why)
{
	json_unset(fields, "delivery");
	json_unset(fields, "event");
	json_unset(fields, "state");
	json_set_int(fields, "status", 503);
	json_set_str(fields, "message", "it could not be stored; send it again");
	log_err("a delivery could not be stored: %s", why->msg);
}

static void after_commit(struct core *c, const struct err *why, void *data)
{
	struct answer *a = data;

	FP("hooks.answer.before");
	if (why)
		set_trouble(a->fields, why);
	send_answer(c, a);
}

static int begin_turn(void *data, struct err *err)
{
	return core_begin(data, err);
}

static int take_hook(
	struct core *c, const struct chan_msg *m, struct json *fields, struct err *err)
{
	const struct hook_request q = {
		.forge = json_get_str(m->head, "forge", ""),
		.headers = json_get(m->head, "headers"),
		.repo = json_get_str(m->head, "query", NULL),
		.peer = json_get_str(m->head, "peer", ""),
		.request = json_get_str(m->head, "request", ""),
		.body = m->body.buf,
		.len = m->body.len,
		.begin = begin_turn,
		.data = c,
	};
	struct hook_answer a = { 0 };

	if (receive_hook(receiver_of(c), c->store, &q, &a, err) < 0)
		return -1;
	json_set_int(fields, "status", a.status);
	json_set_str(fields, "message", a.message);
	if (a.delivery)
		json_set_int(fields, "delivery", a.delivery);
	if (a.event)
		json_set_int(fields, "event", a.event);
	if (a.status == 202) /* there is something to plan */
		core_wake(c);
	return 0;
}

static int take_approval(
	struct core *c, const struct chan_msg *m, struct json *fields, struct err *err)
{
	const struct approval_request q = {
		.gate = json_get_str(m->head, "gate", ""),
		.headers = json_get(m->head, "headers"),
		.method = json_get_str(m->head, "method", ""),
		.path = json_get_str(m->head, "path", ""),
		.request = json_get_str(m->head, "request", ""),
		.body = m->body.buf,
		.len = m->body.len,
	};
	struct approval_answer a = { 0 };

	if (core_begin(c, err) < 0 || approval_receive(c->store, &q, &a, err) < 0)
		return -1;
	json_set_int(fields, "status", a.status);
	json_set_str(fields, "message", a.message);
	if (a.gate)
		json_set_int(fields, "gate", a.gate);
	if (a.state)
		json_set_str(fields, "state", a.state);
	core_wake(c);
	return 0;
}

void hooks_serve(struct core *c, const struct chan_msg *m)
{
	struct answer *a = xcalloc(1, sizeof(*a));
	struct err err = ERR_INIT;
	int rc;

	a->web = web_generation(c);
	a->seq = json_get_int(m->head, "seq", 0);
	a->fields = json_new_object();
	FP("hooks.begin");
	if (str_eq(chan_msg_op(m), "hook") && disk_is_low(c)) {
		json_set_int(a->fields, "status", 503);
		json_set_str(a->fields, "message",
			"the server's disk is nearly full: nothing was accepted; send it again");
		send_answer(c, a);
		return;
	}
	rc = str_eq(chan_msg_op(m), "hook") ? take_hook(c, m, a->fields, &err)
					    : take_approval(c, m, a->fields, &err);
	if (rc < 0) {
		set_trouble(a->fields, &err);
		send_answer(c, a);
		return;
	}
	core_after(c, after_commit, a);
}
