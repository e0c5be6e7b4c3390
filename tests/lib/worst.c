/* SPDX-License-Identifier: Apache-2.0 */
/* What a file costs, in a child of its own. */
#include "tests/lib/worst.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "workflows/lint.h"
#include "workflows/plan.h"

static int load(const struct source *src, struct strbuf *out, struct err *err, void *data)
{
	const struct strbuf *self = data;

	if (!str_ends(src->path, "x.yml"))
		return err_set(err, ERR_NOT_FOUND, "no '%s'", src->path);
	strbuf_add(out, self->buf, self->len);
	return 0;
}

void worst_lint(struct strbuf *file)
{
	struct lint_options opt = { .with_extra = true, .load = load, .load_data = file };
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct strbuf out = STRBUF_INIT;

	lint_workflow("f.yml", file->buf, file->len, &opt, &d);
	diagnostics_write_text(&d, "f.yml", file->buf, file->len, &out);
}

/* A push of as many paths as are looked at; the last job is expanded. */
void worst_plan(struct strbuf *file)
{
	static const char github[] =
		"{\"ref\":\"refs/heads/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}";
	const char *changed[LIMIT_CHANGED_FILES];
	struct plan_request req = PLAN_REQUEST_INIT;
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct json *plan = NULL, *rows = NULL, *contexts = json_new_object(), *g = NULL;
	struct err err = ERR_INIT;
	const struct json *jobs;

	for (size_t i = 0; i < ARRAY_SIZE(changed); i++)
		changed[i] = xasprintf("aaaaaaaaaaaaaaa/aaaaaaaaaaaaa/aaaaa/aaa%zu.c", i);
	if (json_parse(github, strlen(github), &g, &err) < 0)
		abort();
	json_set(contexts, "github", g);
	req.path = "f.yml";
	req.data = file->buf;
	req.len = file->len;
	req.event = "push";
	req.github = g;
	req.changed_files = changed;
	req.changed_files_len = ARRAY_SIZE(changed);
	req.load = load;
	req.load_data = file;
	if (plan_build(&req, &plan, &d, &err) < 0)
		return;
	jobs = json_get(plan, "jobs");
	(void)plan_expand(plan,
		json_get_str(json_at(jobs, json_count(jobs) - 1), "id", ""), contexts,
		&rows, &err); /* a refusal is an answer too */
}

static struct worst_cost cost_of(void (*fn)(struct strbuf *file), struct strbuf *file)
{
	struct worst_cost c;
	struct rusage use;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const struct rlimit cpu = { 10, 10 };

		(void)setrlimit(RLIMIT_CPU, &cpu); /* a hang shall end */
		if (fn)
			fn(file);
		_exit(0);
	}
	if (pid < 0 || wait4(pid, &status, 0, &use) != pid)
		abort();
	c.us = (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 +
	       use.ru_utime.tv_usec + use.ru_stime.tv_usec;
	c.memory = use.ru_maxrss * 1024;
	c.has_died = status != 0;
	return c;
}

struct worst_cost worst_measure(void (*fn)(struct strbuf *file), struct strbuf *file)
{
	struct worst_cost none = cost_of(NULL, file), c = cost_of(fn, file);

	c.us -= none.us;
	c.memory -= none.memory;
	return c;
}
