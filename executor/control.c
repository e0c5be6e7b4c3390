/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Core may come and go; the job does not care. A peer that is not the owner of the data
 * directory, or that speaks nonsense, is hung up on without a word.
 */
#include "executor/control.h"

#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"

struct control {
	struct loop *loop;
	int listener, peer; /* peer: -1 when nobody is connected */
	struct loop_source *listen_source, *peer_source, *turn_source;
	const struct control_hooks *hooks;
	void *data;
	bool bell_wanted;
};

static void hang_up(struct control *c)
{
	if (c->peer < 0)
		return;
	loop_remove(c->peer_source);
	c->peer_source = NULL;
	(void)close(c->peer); /* a socket: nothing is lost here */
	c->peer = -1;
	c->bell_wanted = false;
}

static void lose_peer(struct control *c)
{
	hang_up(c);
	c->hooks->gone(c->data);
}

/* Small answers to a peer that does not read its socket are not worth waiting for. */
static void send_with(struct control *c, const struct json *head, int fd)
{
	struct err err = ERR_INIT;

	if (c->peer >= 0 &&
		chan_send(c->peer, head, NULL, 0, &fd, fd >= 0 ? 1 : 0, &err) < 0)
		lose_peer(c);
}

static void send_head(struct control *c, const struct json *head)
{
	send_with(c, head, -1);
}

void control_say(struct control *c, const struct json *head)
{
	send_head(c, head);
}

void control_answer(struct control *c, int64_t seq, const struct err *why,
	const struct json *fields, int fd)
{
	_cleanup_(json_freep) struct json *head =
		fields ? json_clone(fields) : json_new_object();

	json_set_str(head, "op", "answer");
	json_set_int(head, "seq", seq);
	json_set_bool(head, "ok", why == NULL);
	if (why) {
		struct json *e = json_new_object();

		json_set_str(e, "code", err_code_name(why->code));
		json_set_str(e, "message", why->msg);
		json_set(head, "error", e);
	}
	send_with(c, head, fd);
}

/* ---- what core may ask ---- */

static int do_go(struct control *c, const struct chan_msg *m, struct err *err)
{
	_cleanup_(json_freep) struct json *body = NULL;

	if (json_parse(m->body.buf, m->body.len, &body, err) < 0 ||
		!json_is(body, JSON_KIND_OBJECT))
		return err_set(err, ERR_INPUT, "the body of go is not an object");
	return c->hooks->go(json_get_int(m->head, "epoch", -1), body, c->data, err);
}

static int do_abort(struct control *c, const struct chan_msg *m, struct err *err)
{
	return c->hooks->abort(json_get_str(m->head, "reason", ""), c->data, err);
}

static int do_cancel(struct control *c, const struct chan_msg *m, struct err *err)
{
	return c->hooks->cancel(json_get_str(m->head, "reason", ""),
		json_get_bool(m->head, "force", false), c->data, err);
}

static int do_bye(struct control *c, const struct chan_msg *m, struct err *err)
{
	return c->hooks->bye(c->data, err);
}

static const struct {
	const char *op;
	int (*fn)(struct control *c, const struct chan_msg *m, struct err *err);
} ops[] = {
	{ "go", do_go },
	{ "abort", do_abort },
	{ "cancel", do_cancel },
	{ "bye", do_bye },
};

static void dispatch(struct control *c, struct chan_msg *m)
{
	const char *op = chan_msg_op(m);
	int64_t seq = json_get_int(m->head, "seq", -1);
	_cleanup_(json_freep) struct json *fields = NULL;
	struct err err = ERR_INIT;
	int result = -1;
	bool known = false;

	if (str_eq(op, "attach") && c->hooks->attach) {
		c->hooks->attach(m->head, c->data);
		return;
	}
	if (str_eq(op, "usage") && c->hooks->usage) {
		known = true;
		result = 0;
		fields = json_new_object();
		json_set(fields, "usage", c->hooks->usage(c->data));
	}
	for (size_t i = 0; i < ARRAY_SIZE(ops) && !known; i++) {
		if (!str_eq(op, ops[i].op))
			continue;
		known = true;
		result = ops[i].fn(c, m, &err);
	}
	if (!known)
		(void)err_set(&err, ERR_INPUT, "an executor knows no '%s'", op);
	if (result < 0)
		log_warnx("core was refused op=%s: %s", op, err.msg);
	if (seq >= 0)
		control_answer(c, seq, result < 0 ? &err : NULL, fields, -1);
	/* Secrets came in this buffer. */
	if (m->body.len)
		explicit_bzero(m->body.buf, m->body.len);
}

static void on_peer(struct loop *l, int fd, uint32_t events, void *data)
{
	struct control *c = data;
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT;
	int got;

	if (events & EPOLLOUT) {
		loop_mod_fd(c->peer_source, EPOLLIN);
		if (!(events & EPOLLIN))
			return; /* the bell is rung at the end of this turn */
	}
	got = chan_recv(fd, &m, &err);
	if (got < 0 && err.code == ERR_UNAVAILABLE)
		return;
	if (got <= 0) {
		if (got < 0)
			log_warnx("core's message is unreadable: %s", err.msg);
		lose_peer(c);
		return;
	}
	dispatch(c, &m);
}

/* ---- coming and going ---- */

static bool peer_may(int fd)
{
	pid_t pid;
	uid_t uid;

	return chan_peer(fd, &pid, &uid, NULL) == 0 && (uid == geteuid() || uid == 0);
}

static void say_hello(struct control *c)
{
	struct link_hello h = { 0 };
	_cleanup_(json_freep) struct json *head = NULL;

	c->hooks->hello(&h, c->data);
	head = link_hello(&h);
	send_head(c, head);
	control_ready(c);
}

static void on_listen(struct loop *l, int fd, uint32_t events, void *data)
{
	struct control *c = data;
	int peer = -1;

	if (chan_accept(fd, &peer, NULL) < 0)
		return;
	if (c->hooks->attach && c->peer >= 0) {
		(void)close(peer); /* nothing was said */
		return;
	}
	if (!peer_may(peer)) {
		log_warnx("a stranger connected to the job's socket and was turned away");
		(void)close(peer); /* nothing was said */
		return;
	}
	/* The newer core is the one that lives: the old connection is only not yet dead. */
	hang_up(c);
	(void)fd_set_nonblock(peer, true); /* a blocking one would only be slower */
	c->peer = peer;
	c->peer_source = loop_add_fd(c->loop, peer, EPOLLIN, on_peer, c);
	say_hello(c);
}

/* At the end of a turn: one doorbell for all that was written in it. */
static void on_turn(struct loop *l, void *data)
{
	struct control *c = data;
	struct link_hello h = { 0 };
	_cleanup_(json_freep) struct json *head = NULL;
	struct err err = ERR_INIT;

	if (!c->bell_wanted || c->peer < 0)
		return;
	c->bell_wanted = false;
	c->hooks->hello(&h, c->data);
	head = link_frames(h.frames, h.log);
	if (chan_send(c->peer, head, NULL, 0, NULL, 0, &err) == 0)
		return;
	if (err.code == ERR_UNAVAILABLE) {
		c->bell_wanted = true;
		loop_mod_fd(c->peer_source, EPOLLIN | EPOLLOUT);
		return;
	}
	lose_peer(c);
}

struct control *control_new(
	struct loop *loop, int listener, const struct control_hooks *hooks, void *data)
{
	struct control *c = xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->listener = listener;
	c->peer = -1;
	c->hooks = hooks;
	c->data = data;
	c->listen_source = loop_add_fd(loop, listener, EPOLLIN, on_listen, c);
	c->turn_source = loop_add_turn(loop, on_turn, c);
	return c;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	hang_up(c);
	loop_remove(c->listen_source);
	loop_remove(c->turn_source);
	free(c);
}

bool control_is_connected(const struct control *c)
{
	return c->peer >= 0;
}

static void wake(struct loop *l, void *data)
{
	/* Nothing: the turn that follows rings the bell. */
}

void control_ring(struct control *c)
{
	if (!c || c->bell_wanted || c->peer < 0)
		return;
	c->bell_wanted = true;
	/* What was written outside a turn must not wait for the next event to be told. */
	(void)loop_add_timer(c->loop, 0, wake, NULL);
}

void control_ready(struct control *c)
{
	struct json *facts = c->hooks->ready(c->data);
	_cleanup_(json_freep) struct json *head = NULL;

	if (!facts)
		return;
	head = facts;
	json_set_str(head, "op", "ready");
	send_head(c, head);
}
