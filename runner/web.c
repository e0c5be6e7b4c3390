/* SPDX-License-Identifier: Apache-2.0 */
/* The web process: set-up, the one dispatch, and questions to core. */
#include "runner/web.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "runner/disk.h"
#include "runner/web-internal.h"
#include "sandbox/sandbox.h"

#define CALL_MS 120000	 /* a fetch behind a dispatch may take its time */
#define PING_MS 2000	 /* who asks whether we are ready wants to know now */
#define LOOK_MS 3000	 /* a page is waited for, and says what it could not learn */
#define UNSENT_MAX ((size_t)64 * MiB) /* of bodies that wait for room in core's socket */
#define STOP_MS 5000	/* SIGTERM to the end, for answers on their way */
#define FAREWELL_MS 300 /* after core has gone: what is being asked gets its 503 */

/* A question to core that is not answered yet. */
struct web_call {
	struct web_call *next;
	int64_t seq, deadline;
	struct visit *visit;
	web_answer_fn *done;
	void *data;
};

static void visit_free(void *p)
{
	struct visit *v = p;

	principal_done(&v->who);
	free(v->session);
	free(v->bearer);
	free(v->route_text);
	free(v);
}

/* ---- core ---- */

void web_call_core(struct visit *v, const char *op, struct json *fields, const void *body,
	size_t len, web_answer_fn *done, void *data)
{
	struct web *w = v->web;
	_cleanup_(json_freep) struct json *head = fields ? fields : json_new_object();
	struct web_call *c = xcalloc(1, sizeof(*c));
	struct err err = ERR_INIT;

	c->seq = ++w->next_seq;
	c->visit = v;
	c->done = done;
	c->data = data;
	json_set_str(head, "op", op);
	json_set_int(head, "seq", c->seq);
	json_set_str(head, "request", http_id(v->r));
	c->deadline = clock_boot_ms() + (str_eq(op, "ping") ? PING_MS : CALL_MS);
	if (w->core_is_gone) {
		free(c);
		done(v, NULL, data);
		return;
	}
	if (outgoing_send(&w->to_core, head, body, len, &err) < 0) {
		log_warnx("cannot ask core: %s request=%s", err.msg, http_id(v->r));
		free(c);
		done(v, NULL, data);
		return;
	}
	c->next = w->calls;
	w->calls = c;
}

struct json *web_principal(const struct visit *v)
{
	struct json *p = json_new_object();
	char scopes[64] = "";

	json_set_str(p, "kind", v->who.kind ? v->who.kind : "nobody");
	json_set_str(p, "name", v->who.name ? v->who.name : "nobody");
	json_set_str(p, "scopes", v->who.kind ? scopes_text(v->who.scopes, scopes) : "");
	json_set_int(p, "gate", v->who.gate);
	return p;
}

void web_verb(struct visit *v, const char *name, struct json *args, web_answer_fn *done,
	void *data)
{
	struct json *fields = json_new_object();

	json_set_str(fields, "verb", name);
	json_set(fields, "principal", web_principal(v));
	json_set(fields, "args", args ? args : json_new_object());
	web_call_core(v, "verb", fields, NULL, 0, done, data);
}

void web_look(struct visit *v, const char *name, struct json *args, web_answer_fn *done,
	void *data)
{
	struct web *w = v->web; /* V may be answered, and gone, at once */
	struct web_call *before = w->calls;

	web_verb(v, name, args, done, data);
	if (w->calls != before)
		w->calls->deadline = clock_boot_ms() + LOOK_MS;
}

static void on_answer(struct web *w, const struct json *head)
{
	int64_t seq = json_get_int(head, "seq", 0);

	for (struct web_call **at = &w->calls; *at; at = &(*at)->next) {
		struct web_call *c = *at;

		if (c->seq != seq)
			continue;
		*at = c->next;
		c->done(c->visit, head, c->data);
		free(c);
		return;
	}
}

/* Answers whoever asked before TIME as if core were not there. */
static void give_up(struct web *w, int64_t time)
{
	for (struct web_call **at = &w->calls; *at;) {
		struct web_call *c = *at;

		if (c->deadline > time) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		c->done(c->visit, NULL, c->data);
		free(c);
		at = &w->calls; /* DONE may have asked anew */
	}
}

static void on_overdue(struct loop *l, void *data)
{
	struct web *w = data;

	give_up(w, clock_boot_ms());
	loop_add_timer(l, 1000, on_overdue, w);
}

static void on_farewell(struct loop *l, void *data)
{
	loop_stop(l, 0);
}

/* Core has ended: so do we, it starts another. Nobody is left without an answer. */
static void core_gone(struct web *w)
{
	loop_remove(w->core_source);
	w->core_source = NULL;
	w->core_is_gone = true;
	outgoing_done(&w->to_core);
	http_quiesce(w->http);
	give_up(w, INT64_MAX);
	loop_add_timer(w->loop, FAREWELL_MS, on_farewell, w);
}

/* Of core's configuration: how many jobs at a time, and which labels find a machine. */
static void take_settings(struct web *w, const struct json *head)
{
	const struct json *labels = json_get(head, "labels");

	w->slots = json_get_int(head, "slots", 0);
	w->label_wait_ms = json_get_int(head, "label_wait_ms", 0);
	strvec_clear(&w->labels);
	for (size_t i = 0; i < json_count(labels); i++)
		strvec_push(&w->labels, json_as_str(json_at(labels, i), ""));
}

static void on_core(struct loop *l, int fd, uint32_t events, void *data)
{
	struct web *w = data;
	struct err err = ERR_INIT;

	if ((events & EPOLLOUT) && outgoing_drain(&w->to_core, &err) < 0)
		log_warnx("cannot ask core: %s", err.msg); /* its deadline answers */
	for (;;) {
		struct chan_msg m = CHAN_MSG_INIT;
		int r = chan_recv(fd, &m, &err);

		if (r < 0 && err.code == ERR_UNAVAILABLE)
			return;
		if (r <= 0) {
			core_gone(w);
			return;
		}
		if (str_eq(chan_msg_op(&m), "answer"))
			on_answer(w, m.head);
		else if (str_eq(chan_msg_op(&m), "changed"))
			live_changed(w->live, json_get_int(m.head, "run", 0),
				json_get_int(m.head, "job", 0), json_get_int(m.head, "gate", 0),
				json_get_int(m.head, "version", 0));
		else if (str_eq(chan_msg_op(&m), "settings"))
			take_settings(w, m.head);
		else if (str_eq(chan_msg_op(&m), "log"))
			live_log(w->live, json_get_int(m.head, "job", 0),
				json_get_int(m.head, "size", 0));
		chan_msg_done(&m);
	}
}

/* ---- the database ---- */

static bool have_store(struct web *w)
{
	struct err err = ERR_INIT;

	if (w->store)
		return true;
	if (store_open_readonly(w->db_path, &w->store, &err) < 0) {
		log_warnx("cannot read the database: %s", err.msg);
		w->store = NULL;
	}
	return w->store != NULL;
}

/* What no table knows: how many jobs run at a time, how many do, whether there is space. */
static void add_slots(struct web *w, struct json *status)
{
	static const char *const holding[] = { "claimed", "released", "running", "finalising",
		"cancelling" };
	const struct json *jobs = json_get(status, "jobs");
	struct disk_space disk;
	int64_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(holding); i++)
		used += json_get_int(jobs, holding[i], 0);
	json_set_int(status, "slots", w->slots);
	json_set_int(status, "slots_used", used);
	disk_space(w->o->jobs, &disk);
	disk_describe(&disk, status);
}

const struct json *web_status(struct web *w)
{
	struct err err = ERR_INIT;
	int64_t now = clock_boot_ms();

	if (!w->store || (w->status && now - w->status_at < 1000))
		return w->status;
	json_free(w->status);
	w->status = NULL;
	if (query_status(w->store, &w->status, &err) < 0)
		log_warnx("cannot read the status: %s", err.msg);
	else
		add_slots(w, w->status);
	w->status_at = now;
	return w->status;
}

/* ---- dispatch ---- */

static size_t body_limit(const char *method, const char *path, void *data)
{
	if (strcmp(method, "POST") != 0 && strcmp(method, "PUT") != 0 &&
		strcmp(method, "DELETE") != 0)
		return 0;
	if (str_starts(path, "/hooks/"))
		return hooks_body_limit(path);
	return LIMIT_API_BODY;
}

static const int64_t latency_bounds_us[] = { 500, 1000, 2500, 5000, 10000, 50000, 250000 };

/* Addresses hold secrets (one-time links): only the first part of one is written down. */
static void on_answered(struct http_request *r, int status, void *data)
{
	struct web *w = data;
	int64_t us = http_age_us(r);
	const char *path = http_path(r);
	size_t i = 0, part = path ? 1 + strcspn(path + 1, "/") : 0;

	w->requests[0]++;
	if (status >= 100 && status < 600)
		w->requests[status / 100]++;
	w->latency_sum_us += (uint64_t)us;
	while (i < ARRAY_SIZE(latency_bounds_us) && us > latency_bounds_us[i])
		i++;
	w->latency_buckets[i]++;
	log_debug("answered method=%s path=%.*s status=%d us=%lld peer=%s request=%s",
		http_method(r), (int)part, path ? path : "", status, (long long)us, http_peer(r),
		http_id(r));
}

static void serve_static(struct visit *v, const char *name)
{
	const struct asset *a = asset_find(name);

	if (!a) {
		page_not_found(v);
		return;
	}
	http_add_header(v->r, "Cache-Control", "public, max-age=31536000, immutable");
	http_answer(v->r, 200, a->type, a->data, a->len);
}

static void dispatch(struct http_request *r, void *data)
{
	struct web *w = data;
	const char *path = http_path(r), *method = http_method(r);
	struct visit *v = xcalloc(1, sizeof(*v));

	v->web = w;
	v->r = r;
	http_set_context(r, v, visit_free);
	if (hooks_route(v, path))
		return;
	if (w->core_is_gone || w->stop_at)
		http_add_header(r, "Connection", "close");
	if (strcmp(method, "GET") != 0 && strcmp(method, "POST") != 0 &&
		strcmp(method, "HEAD") != 0) {
		http_add_header(r, "Allow", "GET, HEAD, POST");
		http_answer(r, 405, "text/plain", "method not allowed\n", 19);
		return;
	}
	if (str_starts(path, "/static/")) {
		serve_static(v, path + strlen("/static/"));
		return;
	}
	if (!have_store(w)) {
		http_add_header(r, "Retry-After", "2");
		http_answer(r, 503, "text/plain; charset=utf-8",
			"starting; running jobs go on; retry in 2 s\n", 43);
		return;
	}
	web_identify(v);
	if (str_starts(path, "/api/")) {
		if (!api_route(v, path)) {
			struct err err = ERR_INIT;

			err_set(&err, ERR_NOT_FOUND, "there is no '%.100s' here", path);
			api_error(v, &err, "docs/api.md lists what there is");
		}
		return;
	}
	if (!pages_route(v, path))
		page_not_found(v);
}

/* ---- the process ---- */

static void on_last_look(struct loop *l, void *data)
{
	struct web *w = data;

	if (!http_is_busy(w->http) || clock_boot_ms() > w->stop_at)
		loop_stop(l, 0);
	else
		loop_add_timer(l, 20, on_last_look, w);
}

/* What is being answered is answered; who has not asked yet finds the next web. */
static void on_term(struct loop *l, const struct signalfd_siginfo *si, void *data)
{
	struct web *w = data;

	if (w->stop_at)
		return;
	w->stop_at = clock_boot_ms() + STOP_MS;
	http_quiesce(w->http);
	on_last_look(l, w);
}

static int confine(struct web *w, struct err *err)
{
	_cleanup_close_ int shm = -1;
	const int ro[] = { w->o->jobs, w->o->store, w->o->db };
	struct sandbox_host *host = NULL;
	/* A child of the spawner ends with core, its chan says so, and not with the spawner. */
	struct sandbox_worker c = { .flags = SANDBOX_WORKER_ACCEPT |
			(geteuid() == w->o->owner ? 0 : SANDBOX_WORKER_OUTLIVES),
		.rw = &shm,
		.rw_len = 1,
		.ro = ro,
		.ro_len = ARRAY_SIZE(ro) };

	/*
	 * Readers of a WAL put their marks into the -shm: the one file that may be written. It
	 * is there as long as core, which has the database open, and web never outlives core.
	 */
	shm = openat(w->o->db, "sluice.db-shm", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (shm < 0)
		return err_sys(err, "cannot open 'sluice.db-shm'");
	if (sandbox_host_open(&host, err) < 0)
		return -1;
	/* GnuTLS reads entropy and its configuration on first use: before the door shuts. */
	if (sandbox_confine_worker(host, &c, err) < 0)
		return -1;
	return 0;
}

static int listen_all(struct web *w, struct err *err)
{
	const struct web_options *o = w->o;
	struct http_options h = {
		.tls_certificate = o->tls_certificate,
		.tls_key = o->tls_key,
		.trusted_proxies = (const char *const *)o->trusted_proxies->v,
		.handler = dispatch,
		.body_limit = body_limit,
		.answered = on_answered,
		.data = w,
	};

	if (http_new(w->loop, &h, &w->http, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(o->listeners); i++)
		if (o->listeners[i] >= 0 && http_listen(w->http, o->listeners[i], err) < 0)
			return -1;
	return 0;
}

static int start(struct web *w, struct err *err)
{
	if (fd_set_nonblock(w->core, true) < 0)
		return err_sys(err, "cannot set up the chan to core");
	if (loop_new(&w->loop, err) < 0)
		return -1;
	w->core_source = loop_add_fd(w->loop, w->core, EPOLLIN, on_core, w);
	outgoing_init(&w->to_core, w->core, w->core_source, UNSENT_MAX);
	loop_add_timer(w->loop, 1000, on_overdue, w);
	loop_add_signal(w->loop, SIGTERM, on_term, w);
	loop_add_signal(w->loop, SIGINT, on_term, w);
	w->live = live_new(w);
	if (listen_all(w, err) < 0)
		return -1;
	return confine(w, err);
}

int web_main(const struct web_options *o)
{
	struct web w = { .o = o, .core = o->core, .labels = STRVEC_INIT };
	struct err err = ERR_INIT;
	int status;

	log_open("web", LOG_INFO);
	w.db_path = xasprintf("/proc/self/fd/%d/sluice.db", o->db);
	w.is_https = str_starts(o->url, "https://");
	w.started_at = clock_wall_ms();
	if (start(&w, &err) < 0) {
		log_err("web cannot start: %s", err.msg);
		return 1;
	}
	status = loop_run(w.loop, &err);
	if (status < 0)
		log_err("web: %s", err.msg);
	/* The process ends: memory and descriptors go with it. */
	return status < 0 ? 1 : 0;
}
