/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One shellcheck for each script. Expressions are replaced by as many '_': what comes in
 * their place is not known, and places stay.
 */
#include "runner/lint_shell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "workflows/lint.h"
#include "workflows/workflow.h"

#define ANSWER_MAX (4 * MiB)

struct shell {
	const struct workflow *w;
	const char *data;
	size_t len;
	struct diagnostics *d;
	struct err *err;
	bool is_missing;
};

static const char *default_shell(const struct yaml_node *map)
{
	const struct yaml_node *n =
		yaml_get(yaml_get(yaml_get(map, "defaults"), "run"), "shell");

	return yaml_is_scalar(n) && n->str_len ? n->str : NULL;
}

/* "bash" or "sh", or NULL when the script is for something else, or nobody knows. */
static const char *dialect(
	const struct workflow *w, const struct job *job, const struct yaml_node *step)
{
	const struct yaml_node *own = yaml_get(step, "shell");
	const struct yaml_node *runs_on = yaml_get(job->node, "runs-on");
	const char *s = yaml_is_scalar(own) && own->str_len ? own->str : NULL;

	if (!s)
		s = default_shell(job->node);
	if (!s)
		s = default_shell(w->root);
	if (!s)
		return yaml_is_scalar(runs_on) &&
				       (strstr(runs_on->str, "${{") ||
					       strncmp(runs_on->str, "windows", 7) == 0)
			       ? NULL
			       : "bash";
	if (strcmp(s, "bash") == 0 || str_starts(s, "bash "))
		return "bash";
	if (strcmp(s, "sh") == 0 || str_starts(s, "sh "))
		return "sh";
	return NULL;
}

static char *without_expressions(const char *script)
{
	char *text = xstrdup(script), *p = text;

	while ((p = strstr(p, "${{"))) {
		char *end = strstr(p, "}}");

		if (!end)
			break;
		for (; p < end + 2; p++)
			if (*p != '\n')
				*p = '_';
	}
	return text;
}

static int start(const char *dialect, int in, int out, pid_t *ret, struct err *err)
{
	/* About what is around the script (it runs with -e) or what an expression hides. */
	static char exclude[] = "SC1091,SC2194,SC2050,SC2153,SC2154,SC2157,SC2043,SC2164";
	char *const argv[] = { (char *)"shellcheck", (char *)"--norc", (char *)"-f",
		(char *)"json", (char *)"-e", exclude, (char *)"-s", (char *)dialect,
		(char *)"-", NULL };
	pid_t pid = fork();

	if (pid < 0)
		return err_sys(err, "cannot start shellcheck");
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		if (null < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(null, 2) < 0)
			_exit(126);
		execvp("shellcheck", argv);
		_exit(127);
	}
	*ret = pid;
	return 0;
}

/* 0 and the answer, 1 when it is not installed. The script goes in as a file. */
static int run(const char *dialect, const char *text, struct strbuf *out, struct err *err)
{
	_cleanup_close_ int in = fd_memfd("script", text, strlen(text), err);
	_cleanup_close_ int from = -1;
	int ends[2], status;
	pid_t pid = -1;

	if (in < 0)
		return -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	from = ends[0];
	if (start(dialect, in, ends[1], &pid, err) < 0) {
		(void)close(ends[1]); /* the error is already told */
		return -1;
	}
	(void)close(ends[1]); /* the child holds its own */
	if (fd_read_to_end(from, ANSWER_MAX, out, err) < 0) {
		(void)close(take_fd(&from)); /* so that it does not wait for us */
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		return -1;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? 1 : 0;
}

static size_t offset_of(const char *text, int64_t line, int64_t column)
{
	const char *p = text;

	for (int64_t i = 1; i < line && p; i++) {
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	if (!p)
		return 0;
	for (int64_t i = 1; i < column && *p && *p != '\n'; i++)
		p++;
	return (size_t)(p - text);
}

static void add_finding(
	struct shell *sh, const struct yaml_node *run_node, const struct json *j)
{
	int64_t line = json_get_int(j, "line", 1), column = json_get_int(j, "column", 1);
	int64_t end = json_get_int(j, "endLine", line) == line
			      ? json_get_int(j, "endColumn", column + 1)
			      : column + 1;
	size_t len = end > column ? (size_t)(end - column) : 1;
	struct mark m = yaml_mark_at(
		sh->w->doc, run_node, offset_of(run_node->str, line, column), len);
	const struct lint_rule *rule = lint_find_rule("shellcheck");
	struct diag *d = diag_add(sh->d, sh->w->path, m, rule->severity, rule->code,
		"SC%lld: %s", (long long)json_get_int(j, "code", 0),
		json_get_str(j, "message", ""));

	if (d && lint_is_silenced(sh->data, sh->len, d))
		diag_drop_last(sh->d);
}

static int check_script(
	struct shell *sh, const struct job *job, const struct yaml_node *step)
{
	const struct yaml_node *n = yaml_get(step, "run");
	const char *kind = dialect(sh->w, job, step);
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *answer = NULL;
	_cleanup_free_ char *text = NULL;
	int rc;

	if (!yaml_is_scalar(n) || n->str_len == 0 || !kind)
		return 0;
	text = without_expressions(n->str);
	rc = run(kind, text, &out, sh->err);
	sh->is_missing = rc == 1;
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (json_parse(out.buf, out.len, &answer, sh->err) < 0)
		return err_wrap(sh->err, "the answer of shellcheck");
	for (size_t i = 0; i < json_count(answer); i++)
		add_finding(sh, n, json_at(answer, i));
	return 0;
}

static int check_steps(
	struct shell *sh, const struct job *job, const struct step *steps, size_t len)
{
	for (size_t i = 0; i < len && !sh->is_missing; i++)
		if (check_script(sh, job, steps[i].node) < 0 ||
			check_steps(sh, job, steps[i].members, steps[i].members_len) < 0)
			return -1;
	return 0;
}

int lint_shell(const char *file, const char *data, size_t len, struct diagnostics *d,
	struct err *err)
{
	_cleanup_(workflow_freep) struct workflow *w = NULL;
	struct diagnostics ignored = DIAGNOSTICS_INIT;
	struct shell sh = { .data = data, .len = len, .d = d, .err = err };
	int rc = 0;

	workflow_parse_lenient(file, data, len, &w, &ignored);
	diagnostics_done(&ignored);
	sh.w = w;
	for (size_t i = 0; w && i < w->jobs_len && rc == 0; i++)
		rc = check_steps(
			&sh, &w->jobs[i], w->jobs[i].steps, w->jobs[i].steps_len);
	diagnostics_sort(d);
	return rc;
}
