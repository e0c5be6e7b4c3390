/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `run:` steps: which shell, which folder, what is shown of them.
 * R:Runner.Worker/Handlers/ScriptHandler.cs, ScriptHandlerHelpers.cs.
 */
#include "executor/script.h"

#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "executor/agent.h"
#include "executor/step.h"

static const struct {
	const char *name, *template, *ext, *fallback;
} shells[] = {
	{ "bash", "bash --noprofile --norc -e -o pipefail {0}", ".sh", NULL },
	{ "sh", "sh -e {0}", ".sh", NULL },
	{ "python", "python {0}", ".py", "python3" },
	{ "pwsh", "pwsh -command \". '{0}'\"", ".ps1", NULL },
	{ "powershell", "powershell -command \". '{0}'\"", ".ps1", NULL },
	{ "cmd", "cmd /D /E:ON /V:OFF /S /C \"CALL \"{0}\"\"", ".cmd", NULL },
};

/* Blanks separate, double quotes hold together, as the runner splits a command line. */
static int split_words(const char *text, struct strvec *ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf word = STRBUF_INIT;
	bool quoted = false, has_word = false;

	for (const char *p = text;; p++) {
		if (*p == '"') {
			quoted = !quoted;
			has_word = true;
		} else if (!*p || (!quoted && strchr(" \t\r\n", *p))) {
			if (has_word)
				(void)strvec_push(ret, word.buf);
			strbuf_clear(&word);
			has_word = false;
			if (!*p)
				break;
		} else {
			strbuf_addc(&word, *p);
			has_word = true;
		}
	}
	if (quoted)
		return err_set(
			err, ERR_INPUT, "a quote is not closed in the shell '%s'", text);
	return 0;
}

int shell_parse(const char *shell, struct shell *ret, struct err *err)
{
	_cleanup_(strvec_done) struct strvec words = STRVEC_INIT;
	const char *template = shell;
	bool has_place = false;

	if (!shell || !*shell) {
		/* No shell given: bash without pipefail, else sh. */
		ret->ext = ".sh";
		ret->fallback = "sh";
		ret->shown = xstrdup("bash -e {0}");
		strvec_push_all(
			&ret->argv, (const char *const[]){ "bash", "-e", "{0}", NULL });
		return 0;
	}
	ret->ext = "";
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		size_t n = strlen(shells[i].name);

		if (str_eq(shell, shells[i].name)) {
			template = shells[i].template;
			ret->fallback = shells[i].fallback;
		}
		/* The known ones have their extension also with arguments of one's own. */
		if (strncmp(shell, shells[i].name, n) == 0 &&
			(!shell[n] || shell[n] == ' '))
			ret->ext = shells[i].ext;
	}
	if (split_words(template, &words, err) < 0)
		return -1;
	strvec_foreach (w, &words)
		has_place |= strstr(*w, "{0}") != NULL;
	if (words.len == 0 || !has_place)
		return err_set(err, ERR_INPUT,
			"Invalid shell option. Shell must be a valid built-in (bash, sh, "
			"cmd, "
			"powershell, pwsh) or a format string containing '{0}'");
	ret->shown = xstrdup(template);
	strvec_push_all(&ret->argv, (const char *const *)words.v);
	return 0;
}

void shell_done(struct shell *s)
{
	strvec_done(&s->argv);
	free(s->shown);
	s->shown = NULL;
}

/* PowerShell goes on after errors unless told otherwise. */
char *shell_script(const struct shell *s, const char *text)
{
	if (str_eq(s->ext, ".ps1"))
		return xasprintf("$ErrorActionPreference = 'stop'\n%s\n"
				 "if ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) "
				 "{ exit $LASTEXITCODE }",
			text);
	return xasprintf("%s\n", text);
}

/* ---- running ---- */

static char *first_line(const char *text)
{
	const char *from = text + strspn(text, " \t\r\n");

	return xstrndup(from, strcspn(from, "\r\n"));
}

/* The block that a page folds: the script, the shell, the env of the step. */
static void show_header(struct steprun *st, const char *text, const struct shell *shell)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	_cleanup_free_ char *first = first_line(text);
	const char *line = text;

	strbuf_addf(&sb, "##[group]Run %s\n", first);
	while (*line) {
		size_t n = strcspn(line, "\n");

		if (n || line[n])
			strbuf_addf(&sb, "\033[36;1m%.*s\033[0m\n", (int)n, line);
		line += n + (line[n] == '\n');
	}
	strbuf_addf(&sb, "shell: %s\n", shell->shown);
	if (st->env.len)
		strbuf_adds(&sb, "env:\n");
	strvec_foreach (v, &st->env) {
		size_t n = strcspn(*v, "=");

		strbuf_addf(&sb, "  %.*s: %s\n", (int)n, *v, *v + n + 1);
	}
	strbuf_adds(&sb, "##[endgroup]\n");
	job_say_text(st->job, st->n, sb.buf, sb.len);
}

/*
 * Step, then the job's default, then the workspace; composites have no defaults. It must
 * exist, and lie in a folder that is the job's.
 */
static int working_directory(struct steprun *st, char **ret, struct err *err)
{
	const struct spec *spec = st->job->spec;
	const char *text = st->def->working_directory;
	struct eval_at at = step_at(st, step_key(st));
	_cleanup_free_ char *value = NULL, *rel = NULL, *joined = NULL;
	enum job_dir dir;

	if (!text && !st->scope->parent && spec->default_directory) {
		text = spec->default_directory;
		at.key = EVAL_DEFAULTS;
	}
	if (text && eval_string(&at, text, &value, err) < 0)
		return err_wrap(err, "working-directory");
	if (!value || !*value) {
		*ret = xstrdup(st->job->workspace);
		return 0;
	}
	joined = value[0] == '/' ? xstrdup(value) : path_join(st->job->workspace, value);
	/* A folder of the machine (/usr/src) may be one to stand in; the spawn will tell. */
	if (agent_place(st->job, value, &dir, &rel, NULL) == 0 &&
		agent_is_dir(st->job, dir, rel, NULL) < 0)
		return err_set(err, ERR_NOT_FOUND,
			"the working directory '%s' does not exist", joined);
	*ret = path_normalise(joined);
	return 0;
}

static int read_shell(struct steprun *st, struct shell *ret, struct err *err)
{
	const struct spec *spec = st->job->spec;
	const char *text = st->def->shell;
	struct eval_at at = step_at(st, step_key(st));
	_cleanup_free_ char *value = NULL;

	if (!text && !st->scope->parent && spec->default_shell) {
		text = spec->default_shell;
		at.key = EVAL_DEFAULTS;
	}
	if (!text && st->scope->parent)
		return err_set(err, ERR_INPUT, "Required property is missing: shell");
	if (text && eval_string(&at, text, &value, err) < 0)
		return err_wrap(err, "shell");
	return shell_parse(value, ret, err);
}

static int run_script(struct steprun *st, struct err *err)
{
	_cleanup_(shell_done) struct shell shell = SHELL_INIT;
	_cleanup_free_ char *text = NULL, *cwd = NULL, *script = NULL;
	struct eval_at at = step_at(st, step_key(st));
	struct step_program p = { 0 };

	if (eval_string(&at, st->def->run, &text, err) < 0)
		return err_wrap(err, "run");
	if (read_shell(st, &shell, err) < 0 || working_directory(st, &cwd, err) < 0)
		return -1;
	show_header(st, text, &shell);
	script = shell_script(&shell, text);
	p.argv = (const char *const *)shell.argv.v;
	p.cwd = cwd;
	p.script = script;
	p.script_ext = shell.ext;
	p.fallback = shell.fallback;
	return step_exec(st, &p, err);
}

void step_run_script(struct steprun *st)
{
	struct err err = ERR_INIT;

	if (run_script(st, &err) == 0)
		return;
	step_error(st, "%s", err.msg);
	st->outcome = RESULT_FAILURE;
}
