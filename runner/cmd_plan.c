/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sluice plan`: what an event makes of a workflow file, before anything runs. Refuses what
 * GitHub refuses, with the three lines of every finding.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/strvec.h"
#include "runner/cmd.h"
#include "runner/github_context.h"
#include "runner/plan_text.h"
#include "runner/tree.h"
#include "workflows/plan.h"

struct inputs {
	const char *file, *event;
	struct strbuf data;
	struct json *payload, *github;
	struct strvec changed;
	bool has_changes;
	struct tree tree;
};

static int read_payload(const char *path, struct json **ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;

	if (fd_read_file(AT_FDCWD, path, LIMIT_HOOK_BODY, &sb, err) < 0)
		return -1;
	if (json_parse(sb.buf, sb.len, ret, err) < 0)
		return err_wrap(err, "'%s'", path);
	if (!json_is(*ret, JSON_KIND_OBJECT))
		return err_set(err, ERR_INPUT, "'%s' holds no JSON object", path);
	return 0;
}

static int gather(const struct cli_args *a, struct inputs *in, struct err *err)
{
	const char *payload = cli_get(a, "payload");

	in->file = cli_arg(a, 0);
	in->event = cli_get(a, "event");
	if (tree_read_file(in->file, &in->data, err) < 0 ||
		tree_open(in->file, cli_get(a, "actions-dir"), &in->tree, err) < 0)
		return -1;
	if (payload && read_payload(payload, &in->payload, err) < 0)
		return -1;
	if (payload && !in->event)
		in->event = "push";
	if (in->event)
		in->github = github_context_of(in->event, in->payload);
	in->has_changes = github_changed_files(in->payload, &in->changed);
	return 0;
}

static void release(struct inputs *in)
{
	strbuf_done(&in->data);
	json_free(in->payload);
	json_free(in->github);
	strvec_done(&in->changed);
	tree_done(&in->tree);
}

static void print_findings(const struct diagnostics *d, const struct inputs *in)
{
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;

	diagnostics_write_text(d, in->file, in->data.buf, in->data.len, &out);
	(void)fwrite(out.buf, 1, out.len, stderr); /* stderr: best effort */
	if (d->dropped)
		(void)fprintf(stderr, "and %zu more\n", d->dropped);
}

static int print_json(struct json *plan, struct json *listed)
{
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;

	json_set(plan, "jobs", json_share(listed));
	json_write(plan, JSON_WRITE_PRETTY, &out);
	return fwrite(out.buf, 1, out.len, stdout) == out.len && fflush(stdout) == 0
		       ? CLI_OK
		       : CLI_NO;
}

static int show(const struct cli_args *a, struct json *plan, const struct inputs *in)
{
	_cleanup_(json_freep) struct json *contexts = json_new_object(), *listed = NULL;
	struct err err = ERR_INIT;

	if (in->github)
		json_set(contexts, "github", json_share(in->github));
	if (plan_list(plan, contexts, &listed, &err) < 0)
		return cli_fail(a, &err);
	if (cli_json(a))
		return print_json(plan, listed);
	plan_print(plan, listed, stdout);
	return CLI_OK;
}

static int make_plan(const struct cli_args *a, struct inputs *in)
{
	_cleanup_(json_freep) struct json *plan = NULL;
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct plan_request req = PLAN_REQUEST_INIT;
	struct err err = ERR_INIT;
	int status;

	req.path = in->tree.path;
	req.shown = in->file;
	req.data = in->data.buf;
	req.len = in->data.len;
	req.event = in->event;
	req.github = in->github;
	req.inputs = json_get(in->payload, "inputs");
	req.changed_files = in->has_changes ? (const char *const *)in->changed.v : NULL;
	req.changed_files_len = in->changed.len;
	req.load = tree_load;
	req.load_data = &in->tree;
	if (plan_build(&req, &plan, &d, &err) == 0)
		status = show(a, plan, in);
	else if (d.len > 0) {
		diagnostics_sort(&d);
		print_findings(&d, in);
		status = CLI_NO;
	} else
		status = cli_fail(a, &err);
	diagnostics_done(&d);
	return status;
}

static int run_plan(const struct cli_args *a)
{
	struct inputs in = { .tree = TREE_INIT };
	struct err err = ERR_INIT;
	int status;

	strbuf_init(&in.data);
	in.changed = (struct strvec)STRVEC_INIT;
	status = gather(a, &in, &err) < 0 ? cli_fail(a, &err) : make_plan(a, &in);
	release(&in);
	return status;
}

static const struct cli_opt plan_opts[] = {
	{ "event", 0, "NAME",
		"default: the workflow's first, or push with --payload" },
	{ "payload", 0, "FILE", "its JSON payload: github.event" },
	{ "actions-dir", 0, "DIR",
		"DIR/OWNER/REPO: git work trees of other repositories" },
	{ "format", 0, "text|json", "a table, or the whole plan" },
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_plan = { "plan", "here", "[FLAGS] FILE",
	"Show what an event makes of a workflow file", plan_opts,
	"sluice plan --event push .github/workflows/ci.yml",
	"0 planned (also when the event does not start it), 1 refused, 2 usage", 1, 1,
	run_plan, NULL };

int cmd_plan(int argc, char **argv)
{
	return cli_run(&verb_plan, argc, argv);
}
