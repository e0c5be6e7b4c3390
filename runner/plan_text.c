/* SPDX-License-Identifier: Apache-2.0 */
/* One line about the workflow, then one for each job. */
#include "runner/plan_text.h"

#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "runner/cli.h"
#include "workflows/plan.h"

static void print_inputs(const struct json *plan, FILE *f)
{
	const struct json *decls = json_get(plan, "declared_inputs");

	if (!str_eq(json_get_str(plan, "event", NULL), "workflow_dispatch") ||
		json_count(decls) == 0)
		return;
	fprintf(f, " (inputs: ");
	for (size_t i = 0; i < json_count(decls); i++) {
		const struct json *in = json_at(decls, i);

		fprintf(f, "%s%s%s", i ? ", " : "", json_get_str(in, "name", ""),
			json_get_bool(in, "required", false) ? " required" : "");
	}
	fprintf(f, ")");
}

/* 1 without needs, else one more than the latest need; called jobs after their caller. */
static unsigned stage_of(const struct json *plan, const char *id, unsigned depth)
{
	const struct json *node = plan_node(plan, id);
	const struct json *needs = json_get(node, "needs");
	const char *parent = json_get_str(node, "parent", NULL);
	unsigned stage = 1;

	/* Deeper than the plan has jobs cannot be: the plan has no cycles. */
	if (!node || depth > 64)
		return stage;
	for (size_t i = 0; i < json_count(needs); i++) {
		unsigned s =
			stage_of(plan, json_as_str(json_at(needs, i), ""), depth + 1) + 1;

		stage = s > stage ? s : stage;
	}
	if (parent && json_count(needs) == 0)
		stage = stage_of(plan, parent, depth + 1);
	return stage;
}

static void join_needs(const struct json *needs, struct strbuf *out)
{
	for (size_t i = 0; i < json_count(needs); i++)
		strbuf_addf(
			out, "%s%s", i ? " " : "", json_as_str(json_at(needs, i), ""));
}

static size_t rows_of(const struct json *listed, const char *id)
{
	size_t n = 0;

	for (size_t i = 0; i < json_count(listed); i++)
		n += str_eq(json_get_str(json_at(listed, i), "id", NULL), id);
	return n;
}

static void add_job(struct cli_table *t, const struct json *plan,
	const struct json *listed, const struct json *node)
{
	_cleanup_(strbuf_done) struct strbuf needs = STRBUF_INIT;
	const char *id = json_get_str(node, "id", "");
	const char *name = json_get_str(node, "name", NULL);
	const char *env = json_as_str(json_path(node, "environment.name"), "");
	char stage[16], rows[16], line[16];

	join_needs(json_get(node, "needs"), &needs);
	(void)snprintf(stage, sizeof(stage), "%u", stage_of(plan, id, 0));
	(void)snprintf(rows, sizeof(rows), "%zu", rows_of(listed, id));
	(void)snprintf(
		line, sizeof(line), "%lld", (long long)json_get_int(node, "line", 0));
	cli_table_row(
		t, stage, id, rows, needs.buf, env, line, name && *name ? name : "");
}

void plan_print(const struct json *plan, const struct json *listed, FILE *f)
{
	static const char *const headers[] = { "STAGE", "JOB", "ROWS", "NEEDS",
		"ENVIRONMENT", "LINE", "NAME", NULL };
	const struct json *jobs = json_get(plan, "jobs");
	const char *path = json_as_str(json_path(plan, "workflow.path"), "");
	struct cli_table *t = cli_table_new(headers, 6);

	fprintf(f, "%s \"%s\" on %s", path_base(path),
		json_as_str(json_path(plan, "workflow.name"), ""),
		json_get_str(plan, "event", "nothing"));
	print_inputs(plan, f);
	fprintf(f, "\n");
	if (!json_get_bool(plan, "triggered", true))
		fprintf(f, "does not run: %s\n", json_get_str(plan, "reason", ""));
	for (size_t i = 0; i < json_count(jobs); i++)
		add_job(t, plan, listed, json_at(jobs, i));
	cli_table_print(t, f);
	cli_table_free(t);
}
