/* SPDX-License-Identifier: Apache-2.0 */
/* The planner process, see planner.h. */
#include "runner/planner.h"

#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/chan.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/rpc.h"
#include "runner/worker.h"
#include "sandbox/sandbox.h"
#include "workflows/plan.h"

/* Far more than LIMIT_WORKFLOW_FILES need; a sanitizer's shadow memory counts too. */
#if defined(__SANITIZE_ADDRESS__)
#define PLANNER_MEMORY 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PLANNER_MEMORY 0
#endif
#endif
#ifndef PLANNER_MEMORY
#define PLANNER_MEMORY (512 * MiB)
#endif

enum { KEPT = 16 };

struct kept {
	char key[SHA256_HEX_MAX];
	struct json *plan;
	unsigned long used;
};

struct planner {
	struct kept kept[KEPT];
	unsigned long clock;
};

/* ---- plans by digest --------------------------------------------------------------- */

static struct json *kept_find(struct planner *p, const char *key)
{
	for (size_t i = 0; i < KEPT; i++) {
		if (!p->kept[i].plan || !str_eq(p->kept[i].key, key))
			continue;
		p->kept[i].used = ++p->clock;
		return p->kept[i].plan;
	}
	return NULL;
}

/* PLAN is shared, not taken. */
static void kept_put(struct planner *p, const char *key, struct json *plan)
{
	struct kept *oldest = &p->kept[0];

	if (strlen(key) >= SHA256_HEX_MAX || kept_find(p, key))
		return;
	for (size_t i = 1; i < KEPT; i++)
		if (p->kept[i].used < oldest->used)
			oldest = &p->kept[i];
	json_free(oldest->plan);
	oldest->plan = json_share(plan);
	oldest->used = ++p->clock;
	memcpy(oldest->key, key, strlen(key) + 1);
}

static int plan_of(struct planner *p, const struct json *req, const struct json **ret,
	struct err *err)
{
	const char *key = json_get_str(req, "key", "");
	struct json *plan = json_get(req, "plan");

	if (json_is(plan, JSON_KIND_OBJECT))
		kept_put(p, key, plan);
	else
		plan = kept_find(p, key);
	if (!plan)
		return err_set(err, ERR_NOT_FOUND, "plan");
	*ret = plan;
	return 0;
}

/* ---- plan -------------------------------------------------------------------------- */

struct loading {
	const struct json *files, *sources;
	struct json *missing;
};

static const struct json *find_file(const struct json *files, const char *path)
{
	for (size_t i = 0; i < json_count(files); i++)
		if (str_eq(json_get_str(json_at(files, i), "path", ""), path))
			return json_at(files, i);
	return NULL;
}

static const struct json *find_source(const struct json *sources, const struct source *s)
{
	for (size_t i = 0; i < json_count(sources); i++) {
		const struct json *j = json_at(sources, i);

		if (str_eq(json_get_str(j, "path", ""), s->path) &&
			str_eq(json_get_str(j, "repository", NULL), s->repository) &&
			str_eq(json_get_str(j, "ref", NULL), s->ref))
			return j;
	}
	return NULL;
}

static void note_missing(struct loading *l, const struct source *s)
{
	struct json *j = json_new_object();

	if (s->repository)
		json_set_str(j, "repository", s->repository);
	if (s->ref)
		json_set_str(j, "ref", s->ref);
	json_set_str(j, "path", s->path);
	json_push(l->missing, j);
}

static int load(const struct source *s, struct strbuf *out, struct err *err, void *data)
{
	struct loading *l = data;
	const struct json *found = NULL, *text;

	if (!s->repository)
		found = find_file(l->files, s->path);
	if (!found)
		found = find_source(l->sources, s);
	if (!found) {
		note_missing(l, s);
		return err_set(err, ERR_UNAVAILABLE, "'%s' is not here yet", s->path);
	}
	text = json_get(found, "text");
	if (!json_is(text, JSON_KIND_STRING)) {
		const char *why = json_get_str(found, "error", NULL);

		return why ? err_set(err, ERR_NOT_FOUND, "%s", why)
			   : err_set(err, ERR_NOT_FOUND, "no file '%s'", s->path);
	}
	strbuf_add(out, json_as_str(text, ""), json_str_len(text));
	return 0;
}

static struct json *findings(const struct diagnostics *d)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < d->len; i++)
		json_push(list, diag_to_json(&d->items[i]));
	return list;
}

static struct json *contexts_of(const struct json *req)
{
	struct json *c = json_new_object();
	static const char *const names[] = { "github", "vars", "cancelled" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (json_get(req, names[i]))
			json_set(c, names[i], json_share(json_get(req, names[i])));
	return c;
}

/* What only the run to come will know makes a root wait for it. */
static bool depends_on_run(const struct json *node)
{
	static const char *const members[] = { "if", "name", "strategy", "runs_on",
		"environment", "concurrency", "timeout_minutes", "continue_on_error",
		"call" };
	static const char *const words[] = { "run_", "toJSON", "tojson", "github[",
		"github)", "*" };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		_cleanup_free_ char *text = NULL;

		if (!json_get(node, members[i]))
			continue;
		text = json_text(json_get(node, members[i]));
		for (size_t k = 0; k < ARRAY_SIZE(words); k++)
			if (strstr(text, words[k]))
				return true;
	}
	return false;
}

static struct json *roots_of(const struct json *plan, const struct json *req)
{
	_cleanup_(json_freep) struct json *contexts = contexts_of(req);
	struct json *roots = json_new_object();
	const struct json *jobs = json_get(plan, "jobs");

	json_set(contexts, "needs", json_new_object());
	json_set(contexts, "ancestors", json_new_object());
	json_set_bool(contexts, "cancelled", false);
	for (size_t i = 0; i < json_count(jobs); i++) {
		const struct json *node = json_at(jobs, i);
		struct json *x = NULL;
		struct err err = ERR_INIT;

		if (json_count(json_get(node, "needs")) > 0 ||
			json_is(json_get(node, "call"), JSON_KIND_OBJECT) ||
			json_is(json_get(node, "parent"), JSON_KIND_STRING) ||
			depends_on_run(node))
			continue;
		/* An error shows again, with the run it belongs to, when it is asked for. */
		if (plan_expand(plan, json_get_str(node, "id", ""), contexts, &x, &err) ==
			0)
			json_set(roots, json_get_str(node, "id", ""), x);
	}
	return roots;
}

static void describe(
	struct planner *p, struct json *out, struct json *plan, const struct json *req)
{
	_cleanup_(json_freep) struct json *contexts = contexts_of(req);
	_cleanup_(strbuf_done) struct strbuf title = STRBUF_INIT, text = STRBUF_INIT;
	struct err err = ERR_INIT;
	char key[SHA256_HEX_MAX];

	if (plan_run_name(plan, contexts, &title, &err) < 0) {
		strbuf_clear(&title);
		strbuf_adds(&title, json_as_str(json_path(plan, "workflow.name"), ""));
	}
	json_write(plan, 0, &text);
	(void)crypto_sha256_hex(text.buf, text.len, key);
	json_set_str(out, "title", title.buf);
	json_set_str(out, "key", key);
	json_set(out, "roots", roots_of(plan, req));
	json_set(out, "plan", json_share(plan));
	kept_put(p, key, plan);
}

static struct json *plan_file(struct planner *p, const struct json *req,
	const struct json *file, const char *const *changed, size_t changed_len)
{
	struct plan_request r = PLAN_REQUEST_INIT;
	struct loading l = { json_get(req, "files"), json_get(req, "sources"),
		json_new_array() };
	_cleanup_(diagnostics_done) struct diagnostics d = DIAGNOSTICS_INIT;
	_cleanup_(json_freep) struct json *plan = NULL;
	struct json *out = json_new_object();
	struct err err = ERR_INIT;
	int rc;

	r.path = json_get_str(file, "path", "");
	r.data = json_get_str(file, "text", "");
	r.len = json_str_len(json_get(file, "text"));
	r.event = json_get_str(req, "event", NULL);
	r.github = json_get(req, "github");
	r.inputs = json_get(req, "inputs");
	r.vars = json_get(req, "vars");
	r.changed_files = changed;
	r.changed_files_len = changed_len;
	r.load = load;
	r.load_data = &l;
	r.is_own = json_get_bool(req, "is_own", false);
	r.shown = json_get_str(file, "shown", NULL);
	rc = plan_build(&r, &plan, &d, &err);
	json_set_str(out, "path", r.path);
	if (json_count(l.missing) > 0) {
		json_set(out, "missing", l.missing);
		return out;
	}
	json_free(l.missing);
	if (rc < 0) {
		struct json *error = rpc_error_json(&err, NULL);

		json_set(error, "findings", findings(&d));
		json_set(out, "error", error);
		return out;
	}
	json_set_bool(out, "triggered", json_get_bool(plan, "triggered", false));
	json_set_str(out, "reason", json_get_str(plan, "reason", ""));
	if (json_get_bool(out, "triggered", false))
		describe(p, out, plan, req);
	return out;
}

static bool is_wanted(const struct json *only, const char *path)
{
	if (!json_is(only, JSON_KIND_ARRAY))
		return true;
	for (size_t i = 0; i < json_count(only); i++)
		if (str_eq(json_as_str(json_at(only, i), ""), path))
			return true;
	return false;
}

static int op_plan(
	struct planner *p, const struct json *req, struct json **ret, struct err *err)
{
	const struct json *files = json_get(req, "files"),
			  *changed = json_get(req, "changed");
	struct json *plans;
	const char **names = NULL;

	if (json_count(files) > LIMIT_WORKFLOW_FILES)
		return err_set(err, ERR_LIMIT, "%zu workflow files; at most %d are read",
			json_count(files), LIMIT_WORKFLOW_FILES);
	if (json_is(changed, JSON_KIND_ARRAY)) {
		names = xcalloc(json_count(changed) + 1, sizeof(*names));
		for (size_t i = 0; i < json_count(changed); i++)
			names[i] = json_as_str(json_at(changed, i), "");
	}
	plans = json_new_array();
	for (size_t i = 0; i < json_count(files); i++) {
		const struct json *file = json_at(files, i);

		if (is_wanted(json_get(req, "only"), json_get_str(file, "path", "")))
			json_push(plans, plan_file(p, req, file, names,
						 names ? json_count(changed) : 0));
	}
	free(names);
	*ret = json_new_object();
	json_set(*ret, "plans", plans);
	return 0;
}

/* ---- expand ------------------------------------------------------------------------ */

/* One level: every row of the callers above gives the rows of this node. */
static int expand_level(const struct json *plan, const struct json *req,
	const struct json *level, const struct json *above, struct json **ret,
	struct err *err)
{
	size_t n = above ? json_count(above) : 1;
	_cleanup_(json_freep) struct json *out = NULL, *rows = json_new_array();

	for (size_t i = 0; i < n; i++) {
		_cleanup_(json_freep) struct json *contexts = contexts_of(req), *x = NULL;
		const struct json *more;

		json_set(contexts, "needs", json_share(json_get(level, "needs")));
		json_set(contexts, "ancestors", json_share(json_get(level, "ancestors")));
		if (above)
			json_set(contexts, "call", json_share(json_at(above, i)));
		if (plan_expand(
			    plan, json_get_str(level, "node", ""), contexts, &x, err) < 0)
			return -1;
		more = json_get(x, "rows");
		for (size_t k = 0; k < json_count(more); k++)
			json_push(rows, json_share(json_at(more, k)));
		if (!out)
			out = take_ptr(x);
	}
	if (!out)
		return err_set(err, ERR_BUG, "no level to expand");
	if (json_count(rows) > LIMIT_JOBS)
		return err_set(err, ERR_LIMIT, "%zu jobs of one node; at most %d",
			json_count(rows), LIMIT_JOBS);
	json_set_bool(out, "run", json_count(rows) > 0);
	json_set(out, "rows", take_ptr(rows));
	*ret = take_ptr(out);
	return 0;
}

static int op_expand(
	struct planner *p, const struct json *req, struct json **ret, struct err *err)
{
	const struct json *levels = json_get(req, "levels"), *plan;
	_cleanup_(json_freep) struct json *x = NULL;

	if (plan_of(p, req, &plan, err) < 0)
		return -1;
	for (size_t i = 0; i < json_count(levels); i++) {
		struct json *next = NULL;

		if (expand_level(plan, req, json_at(levels, i),
			    x ? json_get(x, "rows") : NULL, &next, err) < 0)
			return -1;
		json_free(x);
		x = next;
		if (!json_get_bool(x, "run", false))
			break; /* a caller that is skipped skips all within */
	}
	if (!x)
		return err_set(err, ERR_INPUT, "'levels' is empty");
	*ret = take_ptr(x);
	return 0;
}

static int op_outputs(
	struct planner *p, const struct json *req, struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *contexts = contexts_of(req);
	struct json *outputs = NULL;
	const struct json *plan;

	if (plan_of(p, req, &plan, err) < 0)
		return -1;
	if (plan_call_outputs(plan, json_get_str(req, "node", ""), json_get(req, "jobs"),
		    contexts, &outputs, err) < 0)
		return -1;
	*ret = json_new_object();
	json_set(*ret, "outputs", outputs);
	return 0;
}

/* ---- the process ------------------------------------------------------------------- */

static const struct {
	const char *op;
	int (*fn)(struct planner *p, const struct json *req, struct json **ret,
		struct err *err);
} ops[] = {
	{ "plan", op_plan },
	{ "expand", op_expand },
	{ "outputs", op_outputs },
};

static int serve(
	struct planner *p, const struct chan_msg *m, struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *req = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		if (!str_eq(ops[i].op, chan_msg_op(m)))
			continue;
		if (json_parse(m->body.buf, m->body.len, &req, err) < 0)
			return -1;
		return ops[i].fn(p, req, ret, err);
	}
	return err_set(err, ERR_UNSUPPORTED, "unknown op '%s'", chan_msg_op(m));
}

static int confine(struct err *err)
{
	struct sandbox_worker w = { .memory = PLANNER_MEMORY, .nofile = 64 };
	struct sandbox_host *host = NULL;
	struct json *warm = NULL;
	int rc;

	/* What loads on first use is used once before nothing can be opened any more. */
	if (json_parse("{}", 2, &warm, err) < 0)
		return -1;
	json_free(warm);
	if (sandbox_host_open(&host, err) < 0)
		return -1;
	rc = sandbox_confine_worker(host, &w, err);
	sandbox_host_free(host);
	return rc;
}

int planner_main(int chan, void *data)
{
	struct planner *p = xcalloc(1, sizeof(*p));
	struct err err = ERR_INIT;
	int n;

	(void)data;
	(void)prctl(PR_SET_NAME, "sluice-planner");
	log_open("planner", LOG_INFO);
	(void)signal(SIGPIPE, SIG_IGN);
	/* What ends `sluice run` may reach its whole group; core's chan tells us to go. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGTERM, SIG_IGN);
	if (confine(&err) < 0) {
		log_err("cannot confine itself: %s", err.msg);
		return 1;
	}
	for (;;) {
		_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
		_cleanup_(json_freep) struct json *answer = NULL;
		_cleanup_(strbuf_done) struct strbuf body = STRBUF_INIT;
		struct err why = ERR_INIT;
		int64_t seq;

		n = chan_recv(chan, &m, &err);
		if (n <= 0)
			break;
		seq = json_get_int(m.head, "seq", 0);
		if (serve(p, &m, &answer, &why) < 0) {
			n = rpc_refuse(chan, seq, &why, NULL, &err);
		} else {
			json_write(answer, 0, &body);
			n = rpc_answer(
				chan, seq, NULL, body.buf, body.len, NULL, 0, &err);
		}
		if (n < 0)
			break;
	}
	for (size_t i = 0; i < KEPT; i++)
		json_free(p->kept[i].plan);
	free(p);
	return n < 0 ? 1 : 0;
}

int cmd_planner(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return planner_main(WORKER_CHAN_FD, NULL);
}
