/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a plan after it was made. */
#include <string.h>

#include "base/mem.h"
#include "workflows/plan-internal.h"

#define SCOPE_JOB_KNOWN (SCOPE_GITHUB | SCOPE_INPUTS | SCOPE_VARS | SCOPE_NEEDS)

const struct json *plan_node(const struct json *plan, const char *node_id)
{
	const struct json *jobs = json_get(plan, "jobs");

	for (size_t i = 0; i < json_count(jobs); i++) {
		const struct json *n = json_at(jobs, i);

		if (str_eq(json_get_str(n, "id", NULL), node_id))
			return n;
	}
	return NULL;
}

static void take_inputs(struct plan_eval *ev, const struct json *call)
{
	if (!call)
		return;
	plan_eval_set(ev, "inputs", value_from_json(json_get(call, "inputs")));
	if (json_get_bool(call, "inputs_unknown", false))
		ev->scope &= ~(unsigned)SCOPE_INPUTS;
}

static int expand(struct plan_eval *ev, struct json *out, struct err *err)
{
	_cleanup_(json_freep) struct json *call = NULL;
	struct json *rows;
	bool is_run = false;

	if (expand_call(ev, &call, err) < 0)
		return -1;
	if (json_get_bool(call, "inputs_unknown", false))
		return err_set(err, ERR_INPUT,
			"%s: the inputs of job '%s' depend on its caller's matrix or "
			"needs: "
			"the caller's row is wanted",
			json_get_str(ev->node, "file", ""),
			json_get_str(ev->node, "id", ""));
	take_inputs(ev, call);
	if (plan_eval_condition(ev, &is_run, out, err) < 0)
		return -1;
	if (!is_run)
		return 0;
	rows = json_new_array();
	json_set(out, "rows", rows);
	return expand_rows(ev, call, rows, err);
}

int plan_expand(const struct json *plan, const char *node_id, const struct json *contexts,
	struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *out = NULL;
	const struct json *node = plan_node(plan, node_id);
	struct plan_eval ev;
	int rc;

	if (!node)
		return err_set(err, ERR_NOT_FOUND, "the plan has no job '%s'", node_id);
	out = json_new_object();
	plan_eval_init(&ev, plan, contexts, SCOPE_JOB_KNOWN);
	ev.node = node;
	rc = expand(&ev, out, err);
	plan_eval_done(&ev);
	if (rc < 0)
		return -1;
	*ret = take_ptr(out);
	return 0;
}

/* ---- listing ---------------------------------------------------------------------- */

static void finish_listed(struct json *row, const struct json *node)
{
	static const char *const keys[] = { "id", "job_id", "parent", "needs", "if",
		"file", "line", "column", "marks" };
	struct json *spec = json_share(json_get(row, "spec"));

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		json_set(row, keys[i], json_share(json_get(node, keys[i])));
	json_unset(row, "spec");
	json_foreach (it, spec)
		json_set(row, it.key, json_share(it.value));
	json_free(spec);
}

static int list_node(
	struct plan_eval *ev, const struct json *node, struct json *out, struct err *err)
{
	_cleanup_(json_freep) struct json *call = NULL, *rows = json_new_array();

	ev->node = node;
	if (expand_call(ev, &call, err) < 0)
		return -1;
	take_inputs(ev, call);
	if (expand_rows(ev, call, rows, err) < 0)
		return -1;
	for (size_t i = 0; i < json_count(rows); i++) {
		struct json *row = json_at(rows, i);

		finish_listed(row, node);
		json_push(out, json_share(row));
	}
	return 0;
}

int plan_list(const struct json *plan, const struct json *contexts, struct json **ret,
	struct err *err)
{
	_cleanup_(json_freep) struct json *out = json_new_array();
	const struct json *jobs = json_get(plan, "jobs");
	unsigned scope = SCOPE_GITHUB | SCOPE_INPUTS | SCOPE_VARS;
	struct plan_eval ev;
	int rc = 0;

	plan_eval_init(&ev, plan, contexts, scope);
	ev.is_partial = true;
	for (size_t i = 0; rc == 0 && i < json_count(jobs); i++) {
		const struct json *node = json_at(jobs, i);
		const struct json *inputs = json_get(contexts, "inputs");

		ev.scope = scope;
		/* Left over from a job of another workflow. */
		if (json_get_str(node, "parent", NULL) || i > 0)
			plan_eval_set(&ev, "inputs",
				value_from_json(
					inputs ? inputs : json_get(plan, "inputs")));
		rc = list_node(&ev, node, out, err);
	}
	plan_eval_done(&ev);
	if (rc < 0)
		return -1;
	*ret = take_ptr(out);
	return 0;
}

/* ---- names and outputs ------------------------------------------------------------ */

static const char *default_name(const struct json *plan, const struct json *contexts)
{
	static const char *const paths[] = { "event.head_commit.message",
		"event.pull_request.title", "event.issue.title", "event.release.name",
		"event.discussion.title" };
	const struct json *github = json_get(contexts, "github");

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const char *s = json_as_str(json_path(github, paths[i]), NULL);

		if (s && *s)
			return s;
	}
	return json_as_str(json_path(plan, "workflow.name"), "");
}

int plan_run_name(const struct json *plan, const struct json *contexts,
	struct strbuf *out, struct err *err)
{
	const char *text = json_as_str(json_path(plan, "workflow.run_name"), NULL);
	const char *otherwise = default_name(plan, contexts);
	_cleanup_(value_unrefp) struct value *v = NULL;
	size_t before = out->len;
	struct plan_eval ev;
	int rc = 0;

	if (text) {
		plan_eval_init(
			&ev, plan, contexts, SCOPE_GITHUB | SCOPE_INPUTS | SCOPE_VARS);
		rc = plan_eval_text(&ev, text, "run_name", &v, err);
		plan_eval_done(&ev);
		if (rc == 0)
			value_to_text(v, out);
	}
	if (rc == 0 && out->len == before)
		strbuf_add(out, otherwise, strcspn(otherwise, "\r\n"));
	return rc;
}

int plan_call_outputs(const struct json *plan, const char *node_id,
	const struct json *jobs, const struct json *contexts, struct json **ret,
	struct err *err)
{
	const struct json *node = plan_node(plan, node_id);
	const struct json *outputs = json_get(json_get(node, "call"), "outputs");
	_cleanup_(json_freep) struct json *out = json_new_object();
	struct plan_eval ev;
	int rc = 0;

	if (!node)
		return err_set(err, ERR_NOT_FOUND, "the plan has no job '%s'", node_id);
	plan_eval_init(&ev, plan, contexts,
		SCOPE_GITHUB | SCOPE_INPUTS | SCOPE_VARS | SCOPE_JOBS);
	ev.node = node;
	plan_eval_set(&ev, "jobs", value_from_json(jobs));
	json_foreach (it, outputs) {
		_cleanup_(value_unrefp) struct value *v = NULL;
		_cleanup_free_ char *text = NULL;

		rc = plan_eval_json(&ev, it.value, "uses", &v, err);
		if (rc < 0)
			break;
		text = value_text(v);
		if (*text)
			json_set_str(out, it.key, text);
	}
	plan_eval_done(&ev);
	if (rc < 0)
		return -1;
	*ret = take_ptr(out);
	return 0;
}
