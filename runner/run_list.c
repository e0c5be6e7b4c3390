/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sluice run --list` and `--dry-run`: what would run, found out without running, fetching
 * or writing anything; and the two selections, -j and --matrix.
 */
#include "runner/run-internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "runner/tree.h"
#include "workflows/plan.h"

/* ---- selections -------------------------------------------------------------------- */

static bool add_once(struct strvec *ids, const char *id)
{
	if (strvec_has(ids, id))
		return false;
	(void)strvec_push(ids, id);
	return true;
}

/* One round of what the chosen ones bring along; false when nothing was added. */
static bool add_closure(const struct json *jobs, struct strvec *ids)
{
	bool is_more = false;

	for (size_t i = 0; i < json_count(jobs); i++) {
		const struct json *node = json_at(jobs, i),
				  *needs = json_get(node, "needs");
		const char *id = json_get_str(node, "id", ""),
			   *parent = json_get_str(node, "parent", NULL);

		if (parent && strvec_has(ids, parent))
			is_more |= add_once(ids, id);
		if (!strvec_has(ids, id))
			continue;
		if (parent)
			is_more |= add_once(ids, parent);
		for (size_t k = 0; k < json_count(needs); k++)
			is_more |= add_once(ids, json_as_str(json_at(needs, k), ""));
	}
	return is_more;
}

static const struct json *find_node(const struct json *jobs, const char *id)
{
	for (size_t i = 0; i < json_count(jobs); i++)
		if (strcasecmp(json_get_str(json_at(jobs, i), "id", ""), id) == 0)
			return json_at(jobs, i);
	return NULL;
}

int run_select_jobs(struct json *plan, const struct strvec *wanted, struct err *err)
{
	const struct json *jobs = json_get(plan, "jobs");
	struct json *left = json_new_array();
	struct strvec ids = STRVEC_INIT;

	strvec_foreach (name, wanted) {
		const struct json *node = find_node(jobs, *name);

		if (node)
			(void)add_once(&ids, json_get_str(node, "id", ""));
	}
	if (ids.len == 0) {
		json_free(left);
		strvec_done(&ids);
		return err_set(err, ERR_NOT_FOUND, "no job '%s' here", wanted->v[0]);
	}
	while (add_closure(jobs, &ids))
		;
	for (size_t i = 0; i < json_count(jobs); i++)
		if (strvec_has(&ids, json_get_str(json_at(jobs, i), "id", "")))
			json_push(left, json_share(json_at(jobs, i)));
	json_set(plan, "jobs", left);
	strvec_done(&ids);
	return 0;
}

static bool text_equals(const struct json *value, const char *text, size_t len)
{
	_cleanup_free_ char *own = NULL;

	if (json_is(value, JSON_KIND_STRING))
		own = xstrdup(json_as_str(value, ""));
	else
		own = json_text(value);
	return strlen(own) == len && memcmp(own, text, len) == 0;
}

/* The values given for one key are alternatives. */
static bool key_fits(const struct json *row, const char *key, size_t key_len,
	const struct strvec *matrix)
{
	_cleanup_free_ char *name = xstrndup(key, key_len);
	const struct json *value = json_get(json_get(row, "matrix"), name);

	if (!value)
		return true;
	strvec_foreach (pair, matrix) {
		const char *colon = strchr(*pair, ':');

		if ((size_t)(colon - *pair) == key_len &&
			strncmp(*pair, key, key_len) == 0 &&
			text_equals(value, colon + 1, strlen(colon + 1)))
			return true;
	}
	return false;
}

void run_select_rows(struct json *x, const struct strvec *matrix)
{
	const struct json *rows = json_get(x, "rows");
	struct json *left;

	if (json_count(rows) == 0)
		return;
	left = json_new_array();
	for (size_t i = 0; i < json_count(rows); i++) {
		bool fits = true;

		strvec_foreach (pair, matrix)
			fits = fits &&
			       key_fits(json_at(rows, i), *pair,
				       (size_t)(strchr(*pair, ':') - *pair), matrix);
		if (fits)
			json_push(left, json_share(json_at(rows, i)));
	}
	if (json_count(left) == 0) {
		json_set_bool(x, "run", false);
		json_set_str(x, "reason", "no row of its matrix fits --matrix");
	}
	json_set(x, "rows", left);
}

/* ---- plans of the chosen files ----------------------------------------------------- */

static void print_findings(const struct diagnostics *d, const struct run_file *f)
{
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;

	diagnostics_write_text(d, f->shown, f->data.buf, f->data.len, &out);
	(void)fwrite(out.buf, 1, out.len, stderr); /* stderr: best effort */
}

static int plan_one(const struct run_options *o, struct run_event *e,
	const struct run_file *f, struct json **ret)
{
	struct plan_request req = PLAN_REQUEST_INIT;
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct err err = ERR_INIT;
	int rc;

	req.path = f->path;
	req.shown = f->shown;
	req.data = f->data.buf;
	req.len = f->data.len;
	req.event = e->name;
	req.github = e->github;
	req.inputs = e->inputs;
	req.load = tree_load;
	req.load_data = e->tree;
	req.allow_missing = true;
	req.is_own = true;
	rc = plan_build(&req, ret, &d, &err);
	if (rc < 0) {
		diagnostics_sort(&d);
		print_findings(&d, f);
		if (d.len == 0)
			(void)fprintf(stderr, "run: %s\n", err.msg);
	} else if (o->jobs.len > 0) {
		rc = run_select_jobs(*ret, &o->jobs, &err);
		if (rc < 0)
			(void)fprintf(stderr, "run: %s\n", err.msg);
	}
	diagnostics_done(&d);
	return rc;
}

static int each_plan(const struct run_options *o, struct run_event *e,
	void (*fn)(const struct run_options *o, struct run_event *e,
		const struct run_file *f, const struct json *plan))
{
	int status = CLI_OK;

	for (size_t i = 0; i < e->files_len; i++) {
		_cleanup_(json_freep) struct json *plan = NULL;

		if (!e->files[i].is_wanted)
			continue;
		if (plan_one(o, e, &e->files[i], &plan) < 0)
			status = CLI_NO;
		else
			fn(o, e, &e->files[i], plan);
	}
	return status;
}

/* ---- --list ------------------------------------------------------------------------ */

static int stage_of(const struct json *jobs, const struct json *node, int depth)
{
	const struct json *needs = json_get(node, "needs");
	const char *parent = json_get_str(node, "parent", NULL);
	int stage = 1;

	if (depth > 64)
		return stage;
	for (size_t i = 0; i < json_count(needs); i++) {
		const struct json *n =
			find_node(jobs, json_as_str(json_at(needs, i), ""));
		int s = n ? stage_of(jobs, n, depth + 1) + 1 : 1;

		stage = s > stage ? s : stage;
	}
	if (parent && find_node(jobs, parent)) {
		int s = stage_of(jobs, find_node(jobs, parent), depth + 1);

		stage = s > stage ? s : stage;
	}
	return stage;
}

static size_t rows_of(const struct json *listed, const char *id)
{
	size_t n = 0;

	for (size_t i = 0; i < json_count(listed); i++)
		n += str_eq(json_get_str(json_at(listed, i), "id", ""), id);
	return n;
}

static void title(
	const struct run_event *e, const struct run_file *f, const struct json *plan)
{
	const struct json *inputs = json_get(plan, "dispatch_inputs");
	const char *sep = " (inputs: ";

	printf("%s \"%s\" on %s", f->shown,
		json_as_str(json_path(plan, "workflow.name"), ""), e->name);
	for (size_t i = 0; str_eq(e->name, "workflow_dispatch") && i < json_count(inputs);
		i++) {
		const struct json *in = json_at(inputs, i);

		printf("%s%s%s", sep, json_get_str(in, "name", ""),
			json_get_bool(in, "required", false) ? " required" : "");
		sep = ", ";
	}
	puts(sep[0] == ',' ? ")" : "");
}

static void list_one(const struct run_options *o, struct run_event *e,
	const struct run_file *f, const struct json *plan)
{
	static const char *const heads[] = { "STAGE", "JOB", "ROWS", "NEEDS",
		"ENVIRONMENT", "LINE", "NAME", NULL };
	_cleanup_(json_freep) struct json *contexts = json_new_object(), *listed = NULL;
	const struct json *jobs = json_get(plan, "jobs");
	struct cli_table *t = cli_table_new(heads, 6);
	struct err err = ERR_INIT;

	(void)o;
	json_set(contexts, "github", json_share(e->github));
	if (plan_list(plan, contexts, &listed, &err) < 0)
		(void)fprintf(stderr, "run: %s\n", err.msg);
	title(e, f, plan);
	for (size_t i = 0; i < json_count(jobs); i++) {
		const struct json *node = json_at(jobs, i),
				  *needs = json_get(node, "needs");
		const char *id = json_get_str(node, "id", "");
		_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
		char stage[16], rows[16], line[16];

		for (size_t k = 0; k < json_count(needs); k++)
			strbuf_addf(&text, "%s%s", k ? " " : "",
				json_as_str(json_at(needs, k), ""));
		(void)snprintf(stage, sizeof(stage), "%d", stage_of(jobs, node, 0));
		(void)snprintf(rows, sizeof(rows), "%zu", rows_of(listed, id));
		(void)snprintf(
			line, sizeof(line), "%" PRId64, json_get_int(node, "line", 0));
		cli_table_row(t, stage, id, rows, text.buf,
			json_as_str(json_path(node, "environment.name"), ""), line,
			json_get_str(node, "name", id));
	}
	cli_table_print(t, stdout);
	cli_table_free(t);
}

int run_list(const struct run_options *o, struct run_event *e)
{
	return each_plan(o, e, list_one);
}

/* ---- --dry-run --------------------------------------------------------------------- */

static bool mentions_needs(const struct json *node)
{
	static const char *const members[] = { "if", "strategy", "environment",
		"runs_on" };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		_cleanup_free_ char *text = json_text(json_get(node, members[i]));

		if (text && strstr(text, "needs."))
			return true;
	}
	return false;
}

static void join(struct strbuf *out, const struct json *names, const char *before)
{
	for (size_t i = 0; i < json_count(names); i++)
		strbuf_addf(out, "%s%s", i ? ", " : before,
			json_as_str(json_at(names, i), ""));
}

static void services(const struct json *node, struct strbuf *out)
{
	const char *sep = "; services ";

	json_foreach (it, json_get(node, "services")) {
		strbuf_addf(out, "%s%s", sep,
			json_get_str(it.value, "image", json_as_str(it.value, it.key)));
		sep = ", ";
	}
}

static void gate(const struct json *node, struct strbuf *out)
{
	const char *env = json_as_str(json_path(node, "environment.name"), NULL);

	if (env)
		strbuf_addf(out, "; gate %s: --approve %s, or answer at the terminal",
			env, env);
}

static const char *decide(const struct run_event *e, const struct json *plan,
	const struct json *node, struct strbuf *out)
{
	_cleanup_(json_freep) struct json *contexts = json_new_object(), *x = NULL;
	const struct json *needs = json_get(node, "needs");
	const char *cond = json_get_str(node, "if", NULL);
	size_t steps = json_count(json_get(node, "steps")), rows;
	struct err err = ERR_INIT;
	const char *verdict = "runs";

	json_set(contexts, "github", json_share(e->github));
	if (json_count(needs) > 0 &&
		(mentions_needs(node) || json_get_str(node, "parent", NULL)))
		verdict = "open";
	else if (plan_expand(plan, json_get_str(node, "id", ""), contexts, &x, &err) < 0)
		verdict = "open";
	else if (!json_get_bool(x, "run", false) && json_count(needs) == 0)
		verdict = "skipped";
	rows = json_count(json_get(x, "rows"));
	if (rows > 1)
		strbuf_addf(out, "%zu rows, ", rows);
	if (json_is(json_get(node, "call"), JSON_KIND_OBJECT))
		strbuf_addf(out, "calls %s",
			json_as_str(json_path(node, "call.uses"), "a workflow"));
	else
		strbuf_addf(out, "%zu step%s", steps, steps == 1 ? "" : "s");
	if (str_eq(verdict, "open")) {
		join(out, needs, "; decided after ");
		if (cond)
			strbuf_addf(out, ": %s", cond);
	} else if (cond) {
		strbuf_addf(out, "; if %s = %s", cond,
			str_eq(verdict, "skipped") ? "false" : "true");
	}
	services(node, out);
	gate(node, out);
	return verdict;
}

static void collect(const char *text, const char *word, struct strvec *names)
{
	for (const char *p = text; (p = strstr(p, word)); p++) {
		const char *from = p + strlen(word), *to = from;

		while (isalnum((unsigned char)*to) || *to == '_')
			to++;
		if (to > from) {
			_cleanup_free_ char *name = xstrndup(from, (size_t)(to - from));

			if (!strvec_has(names, name))
				(void)strvec_push(names, name);
		}
	}
}

static bool is_given(const struct strvec *pairs, const char *name)
{
	strvec_foreach (pair, pairs) {
		size_t n = strlen(name);

		if (strncasecmp(*pair, name, n) == 0 &&
			((*pair)[n] == '=' || !(*pair)[n]))
			return true;
	}
	return false;
}

static void missing(const struct run_options *o, const struct json *plan)
{
	_cleanup_free_ char *text = json_text(json_get(plan, "jobs"));
	struct strvec names = STRVEC_INIT, left = STRVEC_INIT;
	size_t shown = 0;

	collect(text, "secrets.", &names);
	strvec_foreach (name, &names)
		if (!is_given(&o->secrets, *name) &&
			strcasecmp(*name, "GITHUB_TOKEN") != 0)
			(void)strvec_push(&left, *name);
	if (left.len > 0)
		printf("missing   %zu secret%s:", left.len, left.len == 1 ? "" : "s");
	strvec_foreach (name, &left) {
		if (shown++ >= 5 && !o->is_verbose)
			break;
		printf("%s %s", shown > 1 ? "," : "", *name);
	}
	if (left.len > 0)
		puts(shown < left.len || (shown > 5 && !o->is_verbose) ? ", ... (-v: all)"
								       : "");
	strvec_done(&names);
	strvec_done(&left);
}

static void to_fetch(const struct run_options *o, const struct json *plan)
{
	const struct json *jobs = json_get(plan, "jobs");
	struct strvec uses = STRVEC_INIT;
	size_t shown = 0;

	for (size_t i = 0; i < json_count(jobs); i++) {
		const struct json *steps = json_get(json_at(jobs, i), "steps");

		for (size_t k = 0; k < json_count(steps); k++) {
			const char *u = json_get_str(json_at(steps, k), "uses", NULL);

			if (u && !str_starts(u, "./") && !str_starts(u, "docker:") &&
				!str_starts(u, "actions/checkout@") &&
				!str_starts(u, "actions/upload-artifact@") &&
				!str_starts(u, "actions/download-artifact@") &&
				!strvec_has(&uses, u))
				(void)strvec_push(&uses, u);
		}
	}
	if (uses.len > 0)
		printf("to fetch  %zu action%s:", uses.len, uses.len == 1 ? "" : "s");
	strvec_foreach (u, &uses) {
		if (shown++ >= 3 && !o->is_verbose)
			break;
		printf("%s %s", shown > 1 ? "," : "", *u);
	}
	if (uses.len > 0)
		puts(shown > 3 && !o->is_verbose
				? ", ...   (nothing was run, fetched or written)"
				: "   (nothing was run, fetched or written)");
	strvec_done(&uses);
}

static void dry_one(const struct run_options *o, struct run_event *e,
	const struct run_file *f, const struct json *plan)
{
	const struct json *jobs = json_get(plan, "jobs");
	int width = 8;

	for (size_t i = 0; i < json_count(jobs); i++) {
		int n = (int)strlen(json_get_str(json_at(jobs, i), "id", ""));

		width = n > width ? n : width;
	}
	if (e->files_len > 1)
		title(e, f, plan);
	for (size_t i = 0; i < json_count(jobs); i++) {
		_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
		const char *verdict = decide(e, plan, json_at(jobs, i), &text);

		printf("%-*s  %-8s %s\n", width, json_get_str(json_at(jobs, i), "id", ""),
			verdict, text.buf);
	}
	missing(o, plan);
	to_fetch(o, plan);
}

int run_dry(const struct run_options *o, struct run_event *e)
{
	return each_plan(o, e, dry_one);
}
