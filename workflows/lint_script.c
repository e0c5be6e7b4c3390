/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts: text of strangers inside of them, commands that are no more, sudo. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "workflows/expr.h"
#include "workflows/lint-internal.h"

/* ---- text that strangers write ---------------------------------------------------- */

#define PATH_MAX_PARTS 8

/* Below `github`; '*' stands for any element. */
static const char *const untrusted[] = {
	"head_ref",
	"event.comment.body",
	"event.commits.*.author.email",
	"event.commits.*.author.name",
	"event.commits.*.message",
	"event.discussion.body",
	"event.discussion.title",
	"event.head_commit.author.email",
	"event.head_commit.author.name",
	"event.head_commit.message",
	"event.issue.body",
	"event.issue.title",
	"event.merge_group.head_commit.author.email",
	"event.merge_group.head_commit.author.name",
	"event.merge_group.head_commit.message",
	"event.pages.*.page_name",
	"event.pull_request.body",
	"event.pull_request.head.label",
	"event.pull_request.head.ref",
	"event.pull_request.head.repo.default_branch",
	"event.pull_request.title",
	"event.review.body",
	"event.review_comment.body",
	"event.workflow_run.display_title",
	"event.workflow_run.head_branch",
	"event.workflow_run.head_commit.author.email",
	"event.workflow_run.head_commit.author.name",
	"event.workflow_run.head_commit.message",
	"event.workflow_run.head_repository.description",
};

/* The parts of `a.b.*.c`; 0 when it is no such path. */
static size_t path_of(const struct expr_node *n, const char *parts[PATH_MAX_PARTS])
{
	size_t len;

	switch (n->kind) {
	case EXPR_NODE_CONTEXT:
		parts[0] = n->name;
		return 1;
	case EXPR_NODE_FILTER:
		len = path_of(n->children[0], parts);
		if (len == 0 || len == PATH_MAX_PARTS)
			return 0;
		parts[len] = "*";
		return len + 1;
	case EXPR_NODE_INDEX:
		len = path_of(n->children[0], parts);
		if (len == 0 || len == PATH_MAX_PARTS)
			return 0;
		parts[len] = n->children[1]->kind == EXPR_NODE_LITERAL &&
					     value_kind_of(n->children[1]->value) ==
						     VALUE_STRING
				     ? value_str(n->children[1]->value)
				     : "*";
		return len + 1;
	case EXPR_NODE_LITERAL:
	case EXPR_NODE_CALL:
	case EXPR_NODE_OPERATOR:
		break;
	}
	return 0;
}

static bool path_matches(const char *pattern, const char *const *parts, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		size_t n = strcspn(pattern, ".");

		if (n == 0)
			return false;
		if (strcmp(parts[i], "*") != 0 && !(n == 1 && pattern[0] == '*') &&
			!(strlen(parts[i]) == n &&
				strncasecmp(pattern, parts[i], n) == 0))
			return false;
		pattern += n;
		pattern += *pattern == '.';
	}
	return *pattern == '\0';
}

static const char *untrusted_path(const struct expr_node *n)
{
	const char *parts[PATH_MAX_PARTS];
	size_t len = path_of(n, parts);

	if (len < 2 || strcasecmp(parts[0], "github") != 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(untrusted); i++)
		if (path_matches(untrusted[i], parts + 1, len - 1))
			return untrusted[i];
	return NULL;
}

/* What comes out of these is no text of the stranger any more. */
static bool is_safe_call(const char *name)
{
	static const char *const names[] = { "contains", "startsWith", "endsWith",
		"hashFiles", "success", "failure", "always", "cancelled" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

static bool is_comparison(const char *op)
{
	return strcmp(op, "&&") != 0 && strcmp(op, "||") != 0;
}

static void tell_untrusted(
	struct lint_expr *x, const struct expr_node *n, const char *path)
{
	const struct yaml_node *step = x->l->step ? x->l->step->node : NULL;
	const char *dot = strrchr(path, '.');
	bool is_shell = yaml_get(step, "run") != NULL;
	struct diag *d;
	char *name;

	if (diagnostics_is_full(x->l->d)) {
		(void)lint_add(x->l, x->scalar->mark, "script-injection", "more");
		return;
	}
	name = arena_strdup(x->l->arena, dot ? dot + 1 : path);
	for (char *c = name; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	d = lint_add(x->l, lint_expr_mark(x, n), "script-injection",
		"text that a stranger writes becomes part of a %s script",
		is_shell ? "shell" : "JavaScript");
	if (is_shell)
		diag_hint(d, "pass it by env: %s, write \"$%s\"", name, name);
	else
		diag_hint(d, "pass it by env: %s, write process.env.%s", name, name);
}

static void find_untrusted(struct lint_expr *x, const struct expr_node *n)
{
	const char *path = untrusted_path(n);

	if (path) {
		tell_untrusted(x, n, path);
		return;
	}
	if ((n->kind == EXPR_NODE_CALL && is_safe_call(n->name)) ||
		(n->kind == EXPR_NODE_OPERATOR && is_comparison(n->name)))
		return;
	for (size_t i = 0; i < n->children_len; i++)
		find_untrusted(x, n->children[i]);
}

void lint_script_expr(struct lint *l, const struct yaml_node *script, size_t base,
	const struct expr_node *root)
{
	struct lint_expr x = { l, script, base };

	find_untrusted(&x, root);
}

/* ---- commands --------------------------------------------------------------------- */

static const struct {
	const char *command;
	const char *rest; /* what must follow */
	const char *instead;
} old_commands[] = {
	{ "::set-output ", "name=", "echo \"NAME=VALUE\" >> \"$GITHUB_OUTPUT\"" },
	{ "::save-state ", "name=", "echo \"NAME=VALUE\" >> \"$GITHUB_STATE\"" },
	{ "::set-env ", "name=", "echo \"NAME=VALUE\" >> \"$GITHUB_ENV\"" },
	{ "::add-path::", "", "echo \"DIR\" >> \"$GITHUB_PATH\"" },
};

static void check_old_commands(struct lint *l, const struct yaml_node *run)
{
	for (size_t i = 0; i < ARRAY_SIZE(old_commands); i++) {
		size_t len = strlen(old_commands[i].command);

		for (const char *p = run->str; (p = strstr(p, old_commands[i].command));
			p += len) {
			const char *after = p + len + strspn(p + len, " \t");

			if (!str_starts(after, old_commands[i].rest))
				continue;
			diag_hint(lint_add(l,
					  yaml_mark_at(l->doc, run,
						  (size_t)(p - run->str), len),
					  "deprecated-command",
					  "workflow command '%.*s' is gone",
					  (int)strcspn(p + 2, " :"), p + 2),
				"write: %s", old_commands[i].instead);
		}
	}
}

/* `sudo` as a command of its own: a job here has no root to become. */
static void check_sudo(struct lint *l, const struct yaml_node *run)
{
	for (const char *p = run->str; (p = strstr(p, "sudo")); p += 4) {
		bool starts = p == run->str || strchr(" \t\n;|&(", p[-1]);

		if (!starts || !strchr(" \t\n", p[4]) || p[4] == '\0')
			continue;
		diag_hint(
			lint_add(l, yaml_mark_at(l->doc, run, (size_t)(p - run->str), 4),
				"sudo",
				"steps run without root: there is nothing to 'sudo' to"),
			"prepare the machine's root with what the job needs (image "
			"build)");
		return;
	}
}

static void check_steps(struct lint *l, const struct step *steps, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const struct yaml_node *run = yaml_get(steps[i].node, "run");

		if (yaml_is_scalar(run) && run->str_len > 0) {
			check_old_commands(l, run);
			if (l->opt->with_extra)
				check_sudo(l, run);
		}
		check_steps(l, steps[i].members, steps[i].members_len);
	}
}

void lint_scripts(struct lint *l)
{
	for (size_t i = 0; i < l->w->jobs_len; i++)
		check_steps(l, l->w->jobs[i].steps, l->w->jobs[i].steps_len);
}
