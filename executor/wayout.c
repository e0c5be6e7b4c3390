/* SPDX-License-Identifier: Apache-2.0 */
/* The job's way out, seen from the executor: prepared, forked, heard, ended. */
#include "executor/containers.h"
#include "executor/wayout.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "executor/proxy.h"

#define END_MS	  2000
#define PROXY_FDS 3
#define DNS_PORT  53
#define SAID_MAX  256 /* different refusals of a job that the log names */

struct step_begun {
	int n;
	int64_t ms; /* clock_boot_ms */
};

struct way_out {
	struct proxy_policy *policy;
	int listeners[PROXY_FDS];
	size_t listeners_len;
	struct proxy_relay relays[2 * PROXY_RELAYS];
	size_t relays_len;
	int dns; /* of a routed job, or -1 */
};

/* ---- the ledger ---- */

/* A tool that tries a hundred times is told about once a step. */
static bool is_news(struct jobrun *job, int n, const char *text)
{
	_cleanup_free_ char *key = xasprintf("%d %s", n, text);

	if (strvec_has(&job->refused, key))
		return false;
	if (job->refused.len >= SAID_MAX)
		return false;
	strvec_push(&job->refused, key);
	return true;
}

/* A connection may outlive its step, and its end is told later still. */
static int step_of(const struct jobrun *job, int64_t ms)
{
	for (size_t i = job->begun_len; i > 0; i--)
		if (job->begun[i - 1].ms <= ms)
			return job->begun[i - 1].n;
	return 0;
}

/*
 * A route names nobody: what it carried since the last look is the step's that began last. Whom
 * it was sent to is not known here.
 */
static void say_routed(struct jobrun *job)
{
	struct json *frame;
	int64_t in, out;

	if (!str_eq(job->spec->network, "egress") || !job->sandbox ||
		sandbox_traffic(job->sandbox, &in, &out) < 0 ||
		(in == job->routed_in && out == job->routed_out))
		return;
	frame = json_new_object();
	json_set_int(frame, "n", step_of(job, clock_boot_ms()));
	json_set_str(frame, "host", "by the route");
	json_set_int(frame, "port", 0);
	json_set_str(frame, "verdict", "allowed");
	json_set_str(frame, "rule", "egress");
	json_set_int(frame, "bytes_in", in - job->routed_in);
	json_set_int(frame, "bytes_out", out - job->routed_out);
	job_frame(job, JOURNAL_NET, frame);
	job->routed_in = in;
	job->routed_out = out;
}

void way_out_step(struct jobrun *job, int n)
{
	if (job->proxy_chan < 0)
		return;
	say_routed(job);
	GROW(job->begun, job->begun_cap, job->begun_len + 1);
	job->begun[job->begun_len++] = (struct step_begun){ n, clock_boot_ms() };
}

static void say_net(struct jobrun *job, const struct json *m)
{
	int n = step_of(job, json_get_int(m, "since", 0));
	struct json *frame = json_new_object();
	const char *verdict = json_get_str(m, "verdict", "");
	const char *text = json_get_str(m, "text", NULL);
	const char *allow = json_get_str(m, "allow", "");

	json_set_int(frame, "n", n);
	json_set_str(frame, "host", json_get_str(m, "host", ""));
	json_set_int(frame, "port", json_get_int(m, "port", 0));
	json_set_str(frame, "verdict", verdict);
	json_set_str(frame, "rule", json_get_str(m, "rule", ""));
	json_set_int(frame, "bytes_out", json_get_int(m, "sent", 0));
	json_set_int(frame, "bytes_in", json_get_int(m, "received", 0));
	json_set_int(frame, "ms", json_get_int(m, "ms", 0));
	if (text)
		json_set_str(frame, "text", text);
	if (*allow)
		json_set_str(frame, "allow", allow);
	job_frame(job, JOURNAL_NET, frame);
	if (!text || !is_news(job, n, text))
		return;
	job_say(job, n, "##[sluice]%s %s%s%s", verdict, text,
		*allow ? "; allow it: " : "", allow);
}

static void on_word(struct loop *l, int fd, uint32_t events, void *data)
{
	struct jobrun *job = data;
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;

	if (chan_recv(fd, &m, NULL) <= 0) {
		loop_remove(job->proxy_source);
		job->proxy_source = NULL;
		job->proxy_ended = true;
		return;
	}
	if (str_eq(chan_msg_op(&m), "net"))
		say_net(job, m.head);
}

/* ---- prepared ---- */

/* The spec's words as the proxy's: the forge is always within reach. */
static struct json *proxy_rules(const struct jobrun *job)
{
	static const char *const passed[] = { "deny", "hint", "learn" };
	const struct json *n = job->spec->network_rules;
	const char *forge = json_get_str(n, "forge", NULL);
	struct json *rules = json_new_object();
	struct json *allow = json_get(n, "allow") ? json_clone(json_get(n, "allow"))
						  : json_new_array();

	if (forge && *forge)
		json_push_str(allow, forge);
	json_set_str(
		rules, "mode", json_get_bool(n, "only_allowed", false) ? "list" : "open");
	json_set(rules, "allow", allow);
	for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
		if (json_get(n, passed[i]))
			json_set(rules, passed[i], json_clone(json_get(n, passed[i])));
	return rules;
}

void way_out_done(struct jobrun *job)
{
	struct way_out *w = take_ptr(job->way_out);

	if (!w)
		return;
	for (size_t i = 0; i < w->listeners_len; i++)
		(void)close(w->listeners[i]); /* the child has them, if there is one */
	for (size_t i = 0; i < w->relays_len; i++)
		(void)close(w->relays[i].listener); /* likewise */
	if (w->dns >= 0)
		(void)close(w->dns); /* likewise */
	proxy_policy_free(w->policy);
	free(w);
}

static int prepare_proxy(struct jobrun *job, struct way_out *w, struct err *err)
{
	static const char *const addrs[PROXY_FDS] = { "127.0.0.1", "::1",
		SANDBOX_BUILD_ADDR };
	/* The last one is for the networks that a job with containers makes. */
	size_t len = containers_wanted(job) ? PROXY_FDS : PROXY_FDS - 1;
	_cleanup_(json_freep) struct json *rules = proxy_rules(job);
	struct err why = ERR_INIT;

	if (proxy_policy_new(rules, &w->policy, err) < 0)
		return err_wrap(err, "the network rules");
	for (size_t i = 0; i < len; i++) {
		if (sandbox_listen(job->sandbox, addrs[i], PROXY_PORT,
			    &w->listeners[w->listeners_len], &why) == 0)
			w->listeners_len++;
		else if (i == 0)
			return err_set(err, why.code, "the proxy's address: %s", why.msg);
	}
	return 0;
}

/*
 * The route itself stands; what is missing are names. No entry opens a private address here,
 * since the packet filter knows none.
 */
static int prepare_dns(struct jobrun *job, struct way_out *w, struct err *err)
{
	_cleanup_(json_freep) struct json *rules = json_new_object();

	if (proxy_policy_new(rules, &w->policy, err) < 0 ||
		sandbox_bind_udp(job->sandbox, "127.0.0.1", DNS_PORT, &w->dns, err) < 0)
		return err_wrap(err, "the job's resolver");
	return 0;
}

/* The port on both loopbacks of the job; ::1 where there is one. */
static int prepare_relay(
	struct jobrun *job, struct way_out *w, const char *text, struct err *err)
{
	static const char *const addrs[] = { "127.0.0.1", "::1" };
	struct err why = ERR_INIT;
	union proxy_addr target;
	uint16_t port;

	if (proxy_relay_parse(text, &port, &target, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++) {
		struct proxy_relay *r = &w->relays[w->relays_len];

		if (sandbox_listen(job->sandbox, addrs[i], port, &r->listener, &why) ==
			0) {
			r->target = target;
			w->relays_len++;
		} else if (i == 0) {
			return err_set(
				err, why.code, "the relay '%s': %s", text, why.msg);
		}
	}
	return 0;
}

static int prepare_relays(
	struct jobrun *job, struct way_out *w, const struct json *list, struct err *err)
{
	/* The server gives none to strangers' work; this is for the day it errs. */
	if (!job->spec->trusted && json_count(list))
		return err_set(err, ERR_DENIED, "untrusted work gets no relay");
	if (json_count(list) > PROXY_RELAYS)
		return err_set(err, ERR_LIMIT, "more than %d relays", PROXY_RELAYS);
	for (size_t i = 0; i < json_count(list); i++)
		if (prepare_relay(job, w, json_as_str(json_at(list, i), ""), err) < 0)
			return -1;
	return 0;
}

int way_out_prepare(struct jobrun *job, struct err *err)
{
	const struct json *relays = json_get(job->spec->network_rules, "relay");
	bool has_proxy = str_eq(job->spec->network, "proxy");
	bool has_route = str_eq(job->spec->network, "egress");

	if (!has_proxy && !has_route && json_count(relays) == 0)
		return 0;
	job->way_out = xcalloc(1, sizeof(*job->way_out));
	job->way_out->dns = -1;
	if (has_proxy && prepare_proxy(job, job->way_out, err) < 0)
		return -1;
	if (has_route && prepare_dns(job, job->way_out, err) < 0)
		return -1;
	return prepare_relays(job, job->way_out, relays, err);
}

/* ---- forked ---- */

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* In the child: nothing of the job's but the listeners and the chan. */
static void child_main(struct jobrun *job, const struct proxy_options *o)
	__attribute__((noreturn));
static void child_main(struct jobrun *job, const struct proxy_options *o)
{
	int keep[PROXY_FDS + 2 * PROXY_RELAYS + 2];
	size_t n = 0;
	struct err err = ERR_INIT;

	(void)prctl(PR_SET_NAME, "sluice-proxy");
	for (size_t i = 0; i < o->listeners_len; i++)
		keep[n++] = o->listeners[i];
	for (size_t i = 0; i < o->relays_len; i++)
		keep[n++] = o->relays[i].listener;
	if (o->dns >= 0)
		keep[n++] = o->dns;
	keep[n++] = o->chan;
	qsort(keep, n, sizeof(keep[0]), by_number);
	loop_abandon(job->loop);
	fd_close_from(3, keep, n);
	if (proxy_run(o, &err) < 0) {
		log_err("the job's proxy cannot run: %s", err.msg);
		_exit(1);
	}
	_exit(0);
}

static int launch(struct jobrun *job, const struct way_out *w, struct err *err)
{
	struct proxy_options o = PROXY_OPTIONS_INIT;
	int pair[2];

	if (chan_pair(pair, err) < 0)
		return -1;
	o.listeners = w->listeners;
	o.listeners_len = w->listeners_len;
	o.relays = w->relays;
	o.relays_len = w->relays_len;
	o.dns = w->dns;
	o.policy = w->policy;
	o.chan = pair[1];
	o.is_confined = true;
	o.host = job->opt->host ? job->opt->host : job->own_host;
	job->proxy_pid = fork();
	if (job->proxy_pid == 0)
		child_main(job, &o);
	(void)close(pair[1]); /* the child has it */
	if (job->proxy_pid < 0) {
		(void)close(pair[0]); /* nobody is there */
		return err_sys(err, "cannot fork the job's proxy");
	}
	job->proxy_chan = pair[0];
	job->proxy_source =
		loop_add_fd(job->loop, job->proxy_chan, EPOLLIN, on_word, job);
	return 0;
}

int way_out_launch(struct jobrun *job, struct err *err)
{
	int rc = job->way_out ? launch(job, job->way_out, err) : 0;

	way_out_done(job);
	return rc;
}

/* ---- ended ---- */

static void on_late(struct loop *l, void *data)
{
	struct jobrun *job = data;

	job->proxy_timer = NULL;
	job->proxy_ended = true;
}

bool way_out_finish(struct jobrun *job)
{
	say_routed(job);
	return job->proxy_chan >= 0 && !job->proxy_ended &&
	       chan_send_op(job->proxy_chan, "finish", NULL) == 0;
}

void way_out_stop(struct jobrun *job, bool is_finishing)
{
	if (job->proxy_chan < 0)
		return;
	if (is_finishing && !job->proxy_ended) {
		job->proxy_timer = loop_add_timer(job->loop, END_MS, on_late, job);
		job_wait(job, &job->proxy_ended);
		loop_remove(job->proxy_timer);
		job->proxy_timer = NULL;
	}
	loop_remove(job->proxy_source);
	job->proxy_source = NULL;
	(void)close(job->proxy_chan); /* its end of file ends the child */
	job->proxy_chan = -1;
	(void)kill(job->proxy_pid, SIGKILL); /* our own child, not reaped yet */
	while (waitpid(job->proxy_pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	strvec_done(&job->refused);
	free(job->begun);
	job->begun = NULL;
	job->begun_len = job->begun_cap = 0;
}
