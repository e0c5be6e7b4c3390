/* SPDX-License-Identifier: Apache-2.0 */
/* The table of findings, what order they are looked for in, and what silences them. */
#include "workflows/lint.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "workflows/lint-internal.h"

#define INVALID(code, what, why)                              \
	{                                                     \
		code, LINT_INVALID, SEVERITY_ERROR, what, why \
	}
#define DEFAULT(code, what, why)                                \
	{                                                       \
		code, LINT_DEFAULT, SEVERITY_WARNING, what, why \
	}
#define EXTRA(code, what, why)                             \
	{                                                  \
		code, LINT_EXTRA, SEVERITY_NOTE, what, why \
	}

const struct lint_rule lint_rules[] = {
	INVALID("yaml", "The file is not YAML, or uses what YAML of workflows may not",
		"Tags other than the core schema's, aliases without anchor or inside of "
		"their own "
		"anchor, several documents and NUL characters are refused."),
	INVALID("limit", "Something is larger than a workflow may be",
		"The file, its nesting, its aliases written out, the rows of a matrix, "
		"the jobs of a run, the length of an expression and the parts of all "
		"expressions of a file are limited. Split the file, or call other "
		"workflows."),
	INVALID("duplicate-key", "A key stands twice in one mapping",
		"Keys are compared without case. Only one of the two could count."),
	INVALID("merge-key", "The YAML merge key '<<'",
		"GitHub does not know it. Alias the whole value, or write the keys out."),
	INVALID("unknown-key", "A key that means nothing there",
		"Mostly a slip of the pen: the nearest key is named."),
	INVALID("missing-key", "A key that must be there is not", "Add it."),
	INVALID("unknown-value", "A value that is not one of those allowed",
		"Use one of them."),
	INVALID("unknown-event", "An event that does not exist",
		"See 'on' in the syntax page."),
	INVALID("empty-value", "Something is empty that may not be",
		"Fill it, or leave the key out."),
	INVALID("wrong-type", "A value of the wrong kind",
		"Numbers and booleans stand without quotes; a mapping is not a list."),
	INVALID("expression", "An expression that cannot be read",
		"Strings stand in single quotes; there is no arithmetic; '${{' needs its "
		"'}}'."),
	INVALID("expression-not-here", "An expression where none is evaluated",
		"Ids, keys of 'on', 'uses' and the like are read before anything is "
		"known."),
	INVALID("unknown-context", "A name that is no context",
		"Contexts are github, inputs, vars, needs, strategy, matrix, secrets, "
		"steps, job, "
		"runner, env, jobs. A word meant as text needs single quotes."),
	INVALID("context-not-here",
		"A context that does not exist yet, or must not be seen, there",
		"Each key may use certain contexts only. Secrets are not for conditions: "
		"put the "
		"secret into 'env' and test that."),
	INVALID("function-not-here", "A function that is not available there",
		"success() and its kin are for 'if'; hashFiles() is for steps."),
	INVALID("bad-id", "An id with characters it may not have",
		"Letters, digits, '_' and '-', led by a letter or '_', under 100 "
		"characters; ids "
		"that start with '__' are made by the runner."),
	INVALID("duplicate-id", "Two steps of a job have one id",
		"Ids are compared without case."),
	INVALID("unknown-need", "A job that is needed but does not exist",
		"The nearest id is named."),
	INVALID("needs-cycle", "Jobs that need each other",
		"None of them could ever start."),
	INVALID("no-first-job", "No job without 'needs'", "Nothing could start."),
	INVALID("bad-uses", "A 'uses' that names nothing",
		"OWNER/REPO[/PATH]@REF, ./PATH or docker://IMAGE."),
	INVALID("unknown-step",
		"A step that waits for or cancels one that is not before it",
		"'wait' and 'cancel' name ids of earlier steps."),
	INVALID("runner-group", "A name that is no runner group",
		"NAME, organization/NAME or "
		"enterprise/NAME."),
	INVALID("matrix-exclude", "'exclude' names what is not in the matrix",
		"Only values listed in the matrix itself can be excluded."),
	INVALID("cron", "A schedule that cannot be read",
		"Five fields: minute hour day month "
		"weekday."),
	INVALID("both-filters", "Both forms of one filter on one event",
		"Use the positive form, with '!' before what to leave out."),
	INVALID("input-options", "Options and type of an input do not fit",
		"A choice needs options; nothing else has them."),
	INVALID("input-default", "A default that the input could not take",
		"Mind the type and "
		"the options."),
	INVALID("called-workflow", "A called workflow that cannot be read or called",
		"It must exist, be free of errors and have 'on: workflow_call'."),
	INVALID("unknown-input", "An input that the called workflow does not have",
		"The nearest name is given."),
	INVALID("missing-input", "An input that the called workflow requires",
		"Add it under 'with'."),
	INVALID("unknown-secret", "A secret that the called workflow does not have",
		"Declare it there under 'on: workflow_call: secrets'."),
	INVALID("missing-secret", "A secret that the called workflow requires",
		"Add it under 'secrets', or write 'secrets: inherit'."),
	INVALID("permissions", "A called workflow asks for more than its caller has",
		"Permissions can only be lowered on the way down."),

	DEFAULT("unknown-property", "A property that its context does not have",
		"It is always empty. Steps are known to later steps only, jobs to those "
		"that "
		"need them directly."),
	DEFAULT("no-properties", "A property of something that has none",
		"A string or a number has no properties; for each element of a list: "
		"'.*'."),
	DEFAULT("wrong-index", "An index of the wrong kind",
		"Lists are indexed by numbers, objects by strings."),
	DEFAULT("wrong-argument", "An argument of the wrong kind",
		"See the function's page."),
	DEFAULT("wrong-comparison", "A comparison that is always false",
		"Objects and lists equal only themselves; '<' and its kin are for "
		"numbers and "
		"strings."),
	DEFAULT("wrong-result", "An expression that gives the wrong kind of value",
		"fromJSON('...') makes numbers, booleans, lists and objects of text."),
	DEFAULT("object-in-text", "An object, list or null in the middle of text",
		"It becomes 'Object', 'Array' or nothing. Write toJSON(...)."),
	DEFAULT("format-arguments", "Placeholders and arguments of format() do not fit",
		"{0} is the first argument after the text."),
	DEFAULT("bad-json", "fromJSON() of a text that is no JSON",
		"Mind quotes and commas."),
	DEFAULT("if-constant", "A condition that does not depend on anything",
		"Remove it; or, when switched off on purpose, silence this finding."),
	DEFAULT("if-always-true", "A condition with text around '${{ }}'",
		"Such text makes it a string, and a string that is not empty is true. A "
		"block "
		"('|') adds a line end, which is text too."),
	DEFAULT("script-injection", "Text that strangers write, inside of a script",
		"A pull request titled '\"; rm -rf . #' would run. Pass the value by "
		"'env' and use "
		"the variable, in quotes."),
	DEFAULT("deprecated-command", "A workflow command that is gone",
		"Write to the file named by GITHUB_OUTPUT, GITHUB_STATE, GITHUB_ENV or "
		"GITHUB_PATH."),
	DEFAULT("glob", "A filter pattern that is surely a mistake",
		"Patterns are no regular expressions: '*', '**', '?', '+', '[]', '!'."),
	DEFAULT("cron-too-often",
		"A schedule that runs more often than every five minutes",
		"GitHub's shortest interval."),
	DEFAULT("cron-never", "A schedule that never runs",
		"The day is in none of the months."),
	DEFAULT("timezone", "A time zone that does not exist", "Use an IANA name."),
	DEFAULT("schedule-empty", "'on: schedule' without times",
		"Give it a list of 'cron'."),
	DEFAULT("too-many-inputs", "More inputs than GitHub takes", "At most 25."),
	DEFAULT("required-default", "A required input with a default",
		"The default is never used."),
	DEFAULT("empty-list", "An empty list of names", "Nothing is selected by it."),
	DEFAULT("timeout-value", "A time limit of nothing", "More than 0 minutes."),
	DEFAULT("whole-number", "A number that must be a whole one", "1 or more."),
	DEFAULT("runner-label", "A label that no known runner has",
		"The job would wait for ever. Own labels: 'labels' of the "
		"configuration."),
	DEFAULT("label-conflict", "Labels that no machine can have together",
		"'runs-on: [a, b]' means both; use a matrix for one after the other."),
	DEFAULT("shell-name", "A shell that does not exist, or not on that platform",
		"bash, pwsh, python, sh (cmd, powershell on Windows), or a command with "
		"{0}."),
	DEFAULT("env-name", "A name that no environment variable can have",
		"No blanks, '=' or '&'."),
	DEFAULT("hardcoded-password", "A password in the file", "Keep it as a secret."),
	DEFAULT("credentials", "Half of the credentials", "A registry wants both."),
	DEFAULT("repeated-need", "A need that stands twice", "Once is enough."),
	DEFAULT("unused-anchor", "An anchor that no alias uses",
		"Mostly a slip of the pen."),
	DEFAULT("null-input", "Nothing given to an input", "It will be empty."),
	DEFAULT("local-action", "A local action with errors", "Look at its action.yml."),
	DEFAULT("action-input", "Inputs that do not fit a local action",
		"Unknown ones are ignored; required ones are missing."),

	EXTRA("job-never-runs", "A job that can never run",
		"A skipped need skips it, and its need is skipped whenever its own "
		"condition "
		"holds. Drop the need, or let the condition begin with '!cancelled() "
		"&&'."),
	EXTRA("number-text", "A number that is meant as text",
		"3.10 is the number 3.1. Put versions in quotes."),
	EXTRA("sudo", "'sudo' in a script",
		"Steps run confined and without root. Put what is missing into the job's "
		"root."),
	EXTRA("unpinned-action", "An action by a name that can be moved",
		"A tag or branch of somebody else's repository decides what runs with "
		"your "
		"secrets. Pin the commit; keep the tag as a comment."),
	EXTRA("stranger-checkout", "A stranger's code where secrets are",
		"pull_request_target and workflow_run run with secrets; building the "
		"head of a "
		"pull request there gives them away."),
	EXTRA("deploy-without-environment", "A deploy without an environment",
		"An environment brings the gate, its own secrets and the record of "
		"deployments."),
	EXTRA("shellcheck", "What shellcheck finds in a script",
		"Each SC number is explained at https://www.shellcheck.net/wiki/."),
	{ NULL, LINT_EXTRA, SEVERITY_NOTE, NULL, NULL },
};

const struct lint_rule *lint_find_rule(const char *code)
{
	for (const struct lint_rule *r = lint_rules; r->code; r++)
		if (strcmp(r->code, code) == 0)
			return r;
	return NULL;
}

struct diag *lint_add(
	struct lint *l, struct mark mark, const char *code, const char *fmt, ...)
{
	const struct lint_rule *r = lint_find_rule(code);
	struct diag *d;
	va_list ap;

	va_start(ap, fmt);
	d = diag_vadd(l->d, l->file, mark, r->severity, r->code, fmt, ap);
	va_end(ap);
	return d;
}

/* ---- silencing -------------------------------------------------------------------- */

#define IGNORE "# sluice: ignore"

/* So much of the list of codes is read: no line shall cost each finding more. */
#define IGNORE_LIST_MAX 4096

struct lines {
	const char **start; /* of each, and behind the last */
	size_t len;
	/* Where the comment is in the lines that were asked for last, even and odd. */
	struct {
		size_t line; /* from 1 */
		const char *comment;
	} seen[2];
};

static struct lines split_lines(const char *data, size_t len)
{
	struct lines l = { .start = NULL };
	size_t alloc = 0;
	const char *p = data, *end = data + len;

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		GROW(l.start, alloc, l.len + 2);
		l.start[l.len++] = p;
		p = nl ? nl + 1 : end;
	}
	GROW(l.start, alloc, l.len + 1);
	l.start[l.len] = end;
	return l;
}

/* The comment of line N, from 1; NULL: there is none. */
static const char *comment_of(struct lines *lines, size_t n)
{
	const char *line, *p;

	if (n < 1 || n > lines->len)
		return NULL;
	if (lines->seen[n % 2].line == n)
		return lines->seen[n % 2].comment;
	line = lines->start[n - 1];
	p = memmem(line, (size_t)(lines->start[n] - line), IGNORE, strlen(IGNORE));
	if (p && p > line && p[-1] != ' ' && p[-1] != '\t')
		p = NULL;
	lines->seen[n % 2].line = n;
	lines->seen[n % 2].comment = p;
	return p;
}

static bool stands_alone(const char *line, const char *comment)
{
	return line + strspn(line, " \t") == comment;
}

/* The comment at P, which ends before END, has CODE in its list. */
static bool list_has(const char *p, const char *end, const char *code)
{
	p += strlen(IGNORE);
	if (end - p > IGNORE_LIST_MAX)
		end = p + IGNORE_LIST_MAX;
	while (p < end) {
		size_t n = 0;

		while (p < end && strchr(" \t,\r\n", *p))
			p++;
		while (p + n < end && !strchr(" \t,\r\n", p[n]))
			n++;
		if (n == strlen(code) && memcmp(p, code, n) == 0)
			return true;
		p += n;
	}
	return false;
}

/* By a comment behind its line, or by one that stands alone in the line above. */
static bool is_silenced(struct lines *lines, const struct diag *d)
{
	size_t n = d->mark.line;
	const char *here = comment_of(lines, n);
	const char *above = n > 1 ? comment_of(lines, n - 1) : NULL;

	if (here && !stands_alone(lines->start[n - 1], here) &&
		list_has(here, lines->start[n], d->code))
		return true;
	return above && stands_alone(lines->start[n - 2], above) &&
	       list_has(above, lines->start[n - 1], d->code);
}

bool lint_is_silenced(const char *data, size_t len, const struct diag *d)
{
	struct lines lines = split_lines(data, len);
	bool is = is_silenced(&lines, d);

	free(lines.start);
	return is;
}

static bool is_wanted(
	const struct lint_options *opt, const struct diag *d, struct lines *lines)
{
	const struct lint_rule *r = lint_find_rule(d->code);

	if (!r || r->class == LINT_INVALID)
		return true;
	if (r->class == LINT_EXTRA && !opt->with_extra)
		return false;
	return !is_silenced(lines, d);
}

/* ---- the whole -------------------------------------------------------------------- */

static void look(struct lint *l)
{
	lint_on(l);
	lint_jobs(l);
	lint_scripts(l);
	lint_expressions(l);
	lint_calls(l);
	if (l->opt->with_extra)
		lint_own(l);
}

static void keep_wanted(struct diagnostics *from, const struct lint_options *opt,
	const char *data, size_t len, struct diagnostics *to)
{
	struct lines lines = split_lines(data, len);

	for (size_t i = 0; i < from->len; i++) {
		const struct diag *d = &from->items[i];
		struct diag *kept;

		if (!is_wanted(opt, d, &lines))
			continue;
		kept = diag_add(to, d->file, d->mark, d->severity, d->code, "%s", d->msg);
		if (d->hint && *d->hint)
			diag_hint(kept, "%s", d->hint);
	}
	to->dropped += from->dropped;
	free(lines.start);
}

void lint_workflow(const char *file, const char *data, size_t len,
	const struct lint_options *opt, struct diagnostics *d)
{
	struct diagnostics found = DIAGNOSTICS_INIT;
	struct lint l = { .opt = opt, .file = file, .d = &found };
	struct workflow *w = NULL;

	workflow_parse_lenient(file, data, len, &w, &found);
	if (w) {
		l.w = w;
		l.doc = w->doc;
		l.arena = l.types.arena = w->doc->arena;
		look(&l);
		lint_files_free(&l);
	}
	diagnostics_sort(&found);
	keep_wanted(&found, opt, data, len, d);
	diagnostics_done(&found);
	workflow_free(w);
}
