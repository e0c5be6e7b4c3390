/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Core's end of the chan to web: deliveries, approvals, verbs, sign-ins come in; answers
 * and what changed go out. Web reads strangers' bytes: what it says is checked here again,
 * and it can ask for nothing that its table does not have.
 */
#include "runner/core-internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "runner/outgoing.h"
#include "runner/rpc.h"
#include "runner/verbs.h"

#define UNSENT_MAX ((size_t)64 * MiB) /* of answers; a web that reads none ends before */
#define SESSION_MS (30LL * 86400 * 1000)

struct web {
	struct core *core;
	int fd;
	struct loop_source *src;
	struct outgoing answers; /* those of one commit may be more than a socket holds */
	void (*ended)(void *data);
	void *data;
	unsigned long generation; /* answers to an earlier web are dropped */
};

static unsigned long generations;

/* Somebody asked through web; by the time of the answer it may be another process. */
struct asked {
	struct core *core;
	unsigned long generation;
	int64_t seq;
	char *user;
	enum scope scopes;
	char *session;
};

static void asked_free(struct asked *a)
{
	free(a->user);
	if (a->session)
		mem_wipe_free(a->session, strlen(a->session));
	free(a);
}

/* HEAD is taken. An answer to an earlier web is dropped: who asked has gone with it. */
static void send_head(
	struct core *c, unsigned long generation, struct json *head)
{
	struct web *w = c->web;
	struct err err = ERR_INIT;

	if (w && w->generation == generation &&
		outgoing_send(&w->answers, head, NULL, 0, &err) < 0)
		log_warnx("cannot answer web: %s", err.msg);
	json_free(head);
}

void web_answer(
	struct core *c, unsigned long generation, int64_t seq, struct json *fields)
{
	send_head(c, generation, rpc_answer_head(seq, fields));
}

static void send_answer(struct asked *a, struct json *fields)
{
	web_answer(a->core, a->generation, a->seq, fields);
}

static void send_refusal(struct asked *a, const struct err *why, const char *hint)
{
	send_head(a->core, a->generation, rpc_refusal_head(a->seq, why, hint));
}

/* ---- verbs ---- */

static void on_verb(struct json *result, const struct err *why, const char *hint, void *data)
{
	struct asked *a = data;

	if (why) {
		send_refusal(a, why, hint);
	} else {
		struct json *f = json_new_object();

		json_set(f, "result", result);
		send_answer(a, f);
	}
	asked_free(a);
}

static void serve_verb(struct core *c, const struct chan_msg *m, struct asked *a)
{
	const struct json *p = json_get(m->head, "principal");
	const char *scopes = json_get_str(p, "scopes", "");
	struct err err = ERR_INIT;
	struct core_principal who = {
		.kind = json_get_str(p, "kind", "nobody"),
		.name = json_get_str(p, "name", "nobody"),
		.scopes = scopes[0] ? scopes_parse(scopes, &err) : 0,
		.gate = json_get_int(p, "gate", 0),
		.request = json_get_str(m->head, "request", NULL),
	};

	core_verb(c, json_get_str(m->head, "verb", ""), &who, json_get(m->head, "args"), on_verb,
		a);
}

/* ---- signing in and out ---- */

static void on_login_commit(struct core *c, const struct err *why, void *data)
{
	struct asked *a = data;
	char scopes[64];

	(void)c;
	if (why) {
		send_refusal(a, why, NULL);
	} else {
		struct json *f = json_new_object();

		if (a->session) {
			json_set_str(f, "session", a->session);
			json_set_str(f, "name", a->user);
			json_set_str(f, "scopes", scopes_text(a->scopes, scopes));
		}
		send_answer(a, f);
	}
	asked_free(a);
}

/* A one-time link, or an API token, becomes a session of its own. */
static int open_session(struct core *c, const char *token, struct asked *a, struct err *err)
{
	struct principal p = { 0 };
	int r = sessions_open_link(c->store, token, SESSION_MS, &a->session, &p, err);

	if (r < 0) {
		struct err other = ERR_INIT;

		memset(&p, 0, sizeof(p));
		r = tokens_check(c->store, token, &p, &other);
		if (r == 0)
			r = sessions_open(c->store, p.name, p.scopes, SESSION_MS, &a->session,
				err);
	}
	if (r == 0) {
		a->user = xstrdup(p.name ? p.name : "");
		a->scopes = p.scopes;
		principal_done(&p);
	}
	return r;
}

static void serve_login(struct core *c, const struct chan_msg *m, struct asked *a)
{
	const char *session = json_get_str(m->head, "session", NULL);
	struct err err = ERR_INIT;
	int r = core_begin(c, &err);

	if (r == 0 && json_get_bool(m->head, "out", false))
		r = session ? sessions_close(c->store, session, &err) : 0;
	else if (r == 0)
		r = open_session(c, json_get_str(m->head, "token", ""), a, &err);
	if (r < 0) {
		send_refusal(a, &err, NULL);
		asked_free(a);
		return;
	}
	core_after(c, on_login_commit, a);
}

/* ---- the chan ---- */

static void serve_ping(struct core *c, const struct chan_msg *m, struct asked *a)
{
	(void)c;
	(void)m;
	send_answer(a, json_new_object());
	asked_free(a);
}

static const struct {
	const char *op;
	void (*fn)(struct core *c, const struct chan_msg *m, struct asked *a);
} ops[] = {
	{ "verb", serve_verb },
	{ "login", serve_login },
	{ "ping", serve_ping },
};

static void serve(struct web *w, const struct chan_msg *m)
{
	const char *op = chan_msg_op(m);
	struct asked *a;
	struct err err = ERR_INIT;

	if (str_eq(op, "hook") || str_eq(op, "approval")) {
		hooks_serve(w->core, m);
		return;
	}
	a = xcalloc(1, sizeof(*a));
	a->core = w->core;
	a->generation = w->generation;
	a->seq = json_get_int(m->head, "seq", 0);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (str_eq(ops[i].op, op)) {
			ops[i].fn(w->core, m, a);
			return;
		}
	err_set(&err, ERR_NOT_FOUND, "core knows no '%.32s'", op ? op : "");
	send_refusal(a, &err, NULL);
	asked_free(a);
}

static void hang_up(struct web *w)
{
	struct core *c = w->core;
	void (*ended)(void *) = w->ended;
	void *data = w->data;

	web_done(c);
	if (ended)
		ended(data);
}

static void on_web(struct loop *l, int fd, uint32_t events, void *data)
{
	struct web *w = data;
	struct core *c = w->core;
	struct err err = ERR_INIT;

	(void)l;
	if ((events & EPOLLOUT) && outgoing_drain(&w->answers, &err) < 0)
		log_warnx("cannot answer web: %s", err.msg);
	/* Bounded, so that a flood of deliveries shares commits but starves nobody. */
	for (int i = 0; i < 256 && c->web == w; i++) {
		struct chan_msg m = CHAN_MSG_INIT;
		int r = chan_recv(fd, &m, &err);

		if (r < 0 && err.code == ERR_UNAVAILABLE)
			return;
		if (r <= 0) {
			hang_up(w);
			return;
		}
		serve(w, &m);
		chan_msg_done(&m);
	}
}

void core_serve_web(struct core *c, int fd, void (*ended)(void *data), void *data)
{
	struct web *w = xcalloc(1, sizeof(*w));

	web_done(c);
	w->core = c;
	w->fd = fd;
	w->ended = ended;
	w->data = data;
	w->generation = ++generations;
	(void)fd_set_nonblock(fd, true); /* a web that does not read must not stop core */
	w->src = loop_add_fd(c->loop, fd, EPOLLIN, on_web, w);
	outgoing_init(&w->answers, fd, w->src, UNSENT_MAX);
	c->web = w;
	web_settings(c);
}

void web_done(struct core *c)
{
	struct web *w = c->web;

	if (!w)
		return;
	c->web = NULL;
	outgoing_done(&w->answers);
	loop_remove(w->src);
	(void)close(w->fd);
	free(w);
}

unsigned long web_generation(const struct core *c)
{
	return c->web ? c->web->generation : 0;
}

/* ---- what changed; a web that cannot keep up reads the store later ---- */

void web_changed(struct core *c, const struct store_change *ch)
{
	struct json *f;
	struct err err = ERR_INIT;

	if (!c->web)
		return;
	f = json_new_object();
	json_set_int(f, "run", ch->run);
	json_set_int(f, "job", ch->job);
	json_set_int(f, "gate", ch->gate);
	json_set_int(f, "version", ch->version);
	(void)rpc_notice(c->web->fd, "changed", f, &err); /* lost: the heartbeat repeats it */
}

/* What of the configuration pages show; said again after each reload. */
void web_settings(struct core *c)
{
	struct json *f, *labels;
	struct err err = ERR_INIT;

	if (!c->web)
		return;
	f = json_new_object();
	labels = json_new_array();
	strvec_foreach(label, &c->o->labels)
		json_push_str(labels, *label);
	json_set_int(f, "slots", core_capacity(c));
	json_set(f, "labels", labels);
	json_set_int(f, "label_wait_ms", c->o->label_wait_ms);
	if (rpc_notice(c->web->fd, "settings", f, &err) < 0)
		log_warnx("cannot tell web its settings: %s", err.msg);
}

void web_log(struct core *c, int64_t job, int64_t size)
{
	struct json *f;
	struct err err = ERR_INIT;

	if (!c->web)
		return;
	f = json_new_object();
	json_set_int(f, "job", job);
	json_set_int(f, "size", size);
	(void)rpc_notice(c->web->fd, "log", f, &err); /* likewise */
}
