/* SPDX-License-Identifier: Apache-2.0 */
/* What machines ask: webhooks of forges, the signed approval, health and metrics. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/web-internal.h"

static const char *const forges[] = { "github", "gitea", "gitlab", "generic" };

/* Headers core needs to verify and read a delivery; all else stays here. */
static const char *const hook_headers[] = { "content-type", "x-hub-signature-256",
	"x-hub-signature", "x-github-event", "x-github-delivery", "x-gitea-event",
	"x-gitea-delivery", "x-gitea-signature", "x-gitea-event-type", "x-forgejo-event",
	"x-forgejo-delivery", "x-forgejo-signature", "x-gogs-event", "x-gogs-signature",
	"x-gitlab-event", "x-gitlab-token", "x-gitlab-event-uuid", "x-gitlab-webhook-uuid",
	"idempotency-key", "x-sluice-event", "x-sluice-delivery", "x-sluice-signature",
	"x-sluice-repository", "x-sluice-key", "x-sluice-timestamp", "x-sluice-nonce" };

size_t hooks_body_limit(const char *path)
{
	if (str_starts(path, "/hooks/approvals/"))
		return LIMIT_API_BODY;
	for (size_t i = 0; i < ARRAY_SIZE(forges); i++)
		if (strcmp(path + strlen("/hooks/"), forges[i]) == 0)
			return LIMIT_HOOK_BODY;
	return 0;
}

static struct json *headers_of(struct visit *v)
{
	struct json *h = json_new_object();

	for (size_t i = 0; i < ARRAY_SIZE(hook_headers); i++) {
		const char *value = http_header(v->r, hook_headers[i]);

		if (value)
			json_set_str(h, hook_headers[i], value);
	}
	return h;
}

static void on_hook(struct visit *v, const struct json *answer, void *data)
{
	struct json *out = json_new_object();
	const struct json *error = json_get(answer, "error");
	int status = (int)json_get_int(answer, "status", answer ? 500 : 503);
	const struct json *id;

	if (status == 503)
		http_add_header(v->r, "Retry-After", answer ? "60" : "2");
	json_set_str(out, "message",
		json_get_str(answer, "message",
			json_get_str(error, "message",
				answer ? "core could not take this delivery" :
					 "the server is restarting; send it again")));
	for (size_t i = 0; i < 4; i++) {
		static const char *const members[] = { "delivery", "event", "gate", "state" };

		id = json_get(answer, members[i]);
		if (id)
			json_set(out, members[i], json_clone(id));
	}
	json_set_str(out, "request", http_id(v->r));
	api_json(v, status >= 200 && status < 600 ? status : 500, out);
}

static void forge_hook(struct visit *v, const char *forge)
{
	const struct strbuf *body = http_body(v->r);
	struct json *f = json_new_object();

	json_set_str(f, "forge", forge);
	json_set(f, "headers", headers_of(v));
	json_set_str(f, "peer", http_peer(v->r));
	json_set_str(f, "query", http_query(v->r, "repo"));
	web_call_core(v, "hook", f, body->buf, body->len, on_hook, NULL);
}

static void approval_hook(struct visit *v, const char *gate)
{
	const struct strbuf *body = http_body(v->r);
	struct json *f = json_new_object();

	json_set_str(f, "gate", gate);
	json_set_str(f, "method", "POST");
	json_set_str(f, "path", http_path(v->r));
	json_set(f, "headers", headers_of(v));
	json_set_str(f, "peer", http_peer(v->r));
	web_call_core(v, "approval", f, body->buf, body->len, on_hook, NULL);
}

/* ---- health ---- */

static void answer_health(struct visit *v, bool ok, const char *what, const char *why)
{
	struct json *j = json_new_object();

	json_set_str(j, "status", ok ? "ok" : "unavailable");
	json_set_str(j, "check", what);
	if (why)
		json_set_str(j, "reason", why);
	json_set_str(j, "version", SLUICE_VERSION);
	api_json(v, ok ? 200 : 503, j);
}

static void on_ping(struct visit *v, const struct json *answer, void *data)
{
	bool ok = answer && json_get_bool(answer, "ok", false);

	answer_health(v, ok, "ready", ok ? NULL : "core does not answer");
}

static void health(struct visit *v, const char *path)
{
	struct err err = ERR_INIT;

	if (strcmp(path, "/health/live") == 0) {
		answer_health(v, true, "live", NULL);
		return;
	}
	if (!v->web->store && store_open_readonly(v->web->db_path, &v->web->store, &err) < 0) {
		v->web->store = NULL;
		answer_health(v, false, path + 1, "the database is not open yet");
		return;
	}
	if (strcmp(path, "/health/startup") == 0)
		answer_health(v, true, "startup", NULL);
	else
		web_call_core(v, "ping", NULL, NULL, 0, on_ping, NULL);
}

/* ---- metrics ---- */

static void counts(struct strbuf *out, const char *name, const char *help, const char *label,
	const struct json *by)
{
	strbuf_addf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
	json_foreach(it, by)
		strbuf_addf(out, "%s{%s=\"%s\"} %lld\n", name, label, it.key,
			(long long)json_as_int(it.value, 0));
}

static void latency(struct strbuf *out, const struct web *w)
{
	static const char *const bounds[] = { "0.0005", "0.001", "0.0025", "0.005", "0.01",
		"0.05", "0.25", "+Inf" };
	uint64_t sum = 0;

	strbuf_adds(out, "# HELP sluice_http_request_seconds From the header of a request to its "
			 "answer; streams count to their begin.\n"
			 "# TYPE sluice_http_request_seconds histogram\n");
	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		sum += w->latency_buckets[i];
		strbuf_addf(out,
			"sluice_http_request_seconds_bucket{le=\"%s\"} %llu\n",
			bounds[i], (unsigned long long)sum);
	}
	strbuf_addf(out,
		"sluice_http_request_seconds_sum %.6f\n"
		"sluice_http_request_seconds_count %llu\n",
		(double)w->latency_sum_us / 1e6, (unsigned long long)sum);
}

static void metrics(struct visit *v)
{
	struct strbuf out = STRBUF_INIT;
	struct web *w = v->web;
	const struct json *s = web_status(w);
	int64_t oldest = json_get_int(s, "oldest_queued_at", 0);

	strbuf_addf(&out,
		"# HELP sluice_build_info Version of this server.\n"
		"# TYPE sluice_build_info gauge\nsluice_build_info{version=\"%s\"} 1\n"
		"# HELP sluice_web_start_time_seconds When the web process started.\n"
		"# TYPE sluice_web_start_time_seconds gauge\n"
		"sluice_web_start_time_seconds %.3f\n"
		"# HELP sluice_http_requests_total Requests answered.\n"
		"# TYPE sluice_http_requests_total counter\n",
		SLUICE_VERSION, (double)w->started_at / 1000);
	for (size_t i = 1; i < ARRAY_SIZE(w->requests); i++)
		strbuf_addf(&out, "sluice_http_requests_total{class=\"%zuxx\"} %llu\n", i,
			(unsigned long long)w->requests[i]);
	strbuf_addf(&out,
		"# HELP sluice_http_connections Open connections.\n"
		"# TYPE sluice_http_connections gauge\nsluice_http_connections %zu\n",
		http_connections(w->http));
	latency(&out, w);
	counts(&out, "sluice_runs", "Runs by state.", "state", json_get(s, "runs"));
	counts(&out, "sluice_jobs", "Jobs by state.", "state", json_get(s, "jobs"));
	counts(&out, "sluice_gates", "Gates by state.", "state", json_get(s, "gates"));
	counts(&out, "sluice_events", "Events by state.", "state", json_get(s, "events"));
	counts(&out, "sluice_outbox", "Outgoing messages by state.", "state",
		json_get(s, "outbox"));
	strbuf_addf(&out,
		"# HELP sluice_queue_oldest_seconds Age of the oldest queued job.\n"
		"# TYPE sluice_queue_oldest_seconds gauge\nsluice_queue_oldest_seconds %.3f\n",
		oldest ? (double)(clock_wall_ms() - oldest) / 1000 : 0.0);
	http_answer_take(v->r, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
}

bool hooks_route(struct visit *v, const char *path)
{
	bool post = strcmp(http_method(v->r), "POST") == 0;

	if (strcmp(path, "/health") == 0 || str_starts(path, "/health/")) {
		health(v, path);
		return true;
	}
	if (strcmp(path, "/metrics") == 0) {
		metrics(v);
		return true;
	}
	if (!str_starts(path, "/hooks/"))
		return false;
	path += strlen("/hooks/");
	if (!post) {
		http_add_header(v->r, "Allow", "POST");
		http_answer(v->r, 405, "text/plain", "webhooks are sent with POST\n", 28);
		return true;
	}
	if (str_starts(path, "approvals/") && !strchr(path + 10, '/')) {
		approval_hook(v, path + 10);
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(forges); i++)
		if (strcmp(path, forges[i]) == 0) {
			forge_hook(v, forges[i]);
			return true;
		}
	return false;
}
