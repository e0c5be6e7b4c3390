/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs and steps: labels, shells, limits, names, passwords. */
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "workflows/lint-internal.h"
#include "workflows/parse-internal.h"

enum platform {
	PLATFORM_ANY = 0,
	PLATFORM_LINUX = 1 << 0,
	PLATFORM_MACOS = 1 << 1,
	PLATFORM_WINDOWS = 1 << 2,
};

/* ---- runner labels ---------------------------------------------------------------- */

/* What GitHub offers, and what self-hosted runners have of themselves. */
static const char *const known_labels[] = { "ubuntu-latest", "ubuntu-24.04",
	"ubuntu-22.04", "ubuntu-26.04", "ubuntu-slim", "ubuntu-24.04-arm",
	"ubuntu-22.04-arm", "ubuntu-26.04-arm", "ubuntu-latest-4-cores",
	"ubuntu-latest-8-cores", "ubuntu-latest-16-cores", "windows-latest",
	"windows-2025", "windows-2022", "windows-11-arm", "windows-2025-vs2026",
	"windows-latest-8-cores", "macos-latest", "macos-26", "macos-15", "macos-14",
	"macos-13", "macos-latest-large", "macos-latest-xlarge", "macos-26-large",
	"macos-26-xlarge", "macos-15-intel", "macos-26-intel", "macos-15-large",
	"macos-15-xlarge", "macos-14-large", "macos-14-xlarge", "macos-13-large",
	"macos-13-xlarge", "self-hosted", "linux", "windows", "macos", "x64", "x86",
	"arm", "arm64", NULL };

static bool in_list(const char *s, const char *const *list)
{
	for (; list && *list; list++)
		if (((**list ^ *s) | 0x20) == 0x20 && strcasecmp(*list, s) == 0)
			return true;
	return false;
}

static enum platform platform_of(const char *label)
{
	static const struct {
		const char *prefix;
		enum platform platform;
	} prefixes[] = { { "ubuntu", PLATFORM_LINUX }, { "linux", PLATFORM_LINUX },
		{ "windows", PLATFORM_WINDOWS }, { "macos", PLATFORM_MACOS } };

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (strncasecmp(label, prefixes[i].prefix, strlen(prefixes[i].prefix)) ==
			0)
			return prefixes[i].platform;
	return PLATFORM_ANY;
}

static void check_label(struct lint *l, const struct yaml_node *n, bool is_self_hosted)
{
	struct diag *d;

	if (is_self_hosted || !yaml_is_scalar(n) || n->str_len == 0 || has_template(n) ||
		in_list(n->str, known_labels) || in_list(n->str, l->opt->labels) ||
		in_list("*", l->opt->labels))
		return;
	d = lint_add(l, n->mark, "runner-label",
		"no runner is known with the label '%.60s'", n->str);
	if (d)
		diag_nearest(d, n->str, known_labels);
	if (d && !d->hint)
		diag_hint(d,
			"a label of your own: add it to 'labels' of the configuration");
}

/* `runs-on: ${{ matrix.os }}`: the labels stand in the matrix. */
static void check_matrix_labels(struct lint *l, const struct job *job,
	const struct yaml_node *n, bool is_self_hosted)
{
	const char *p = n->str + strspn(n->str, "${ ");
	const struct yaml_node *list, *m;
	char key[64];
	size_t len;

	if (!str_starts(n->str, "${{") || !str_starts(p, "matrix."))
		return;
	m = yaml_get(yaml_get(job->node, "strategy"), "matrix");
	p += strlen("matrix.");
	len = strcspn(p, " }.[&|=!");
	if (len >= sizeof(key) || strspn(p + len, " }") != strlen(p + len))
		return;
	memcpy(key, p, len);
	key[len] = '\0';
	list = yaml_get(m, key);
	for (size_t i = 0; yaml_is(list, YAML_SEQUENCE) && i < list->len; i++)
		if (i < LIMIT_MATRIX_ROWS)
			check_label(l, list->items[i], is_self_hosted);
	list = yaml_get(m, "include");
	for (size_t i = 0; yaml_is(list, YAML_SEQUENCE) && i < list->len; i++)
		if (i < LIMIT_MATRIX_ROWS)
			check_label(l, yaml_get(list->items[i], key), is_self_hosted);
}

static void check_conflicts(struct lint *l, const struct yaml_node *list)
{
	const struct yaml_node *first = NULL;

	for (size_t i = 0; i < list->len; i++) {
		const struct yaml_node *n = list->items[i];

		if (!yaml_is_scalar(n) || platform_of(n->str) == PLATFORM_ANY)
			continue;
		if (!first)
			first = n;
		else if (platform_of(first->str) != platform_of(n->str))
			diag_hint(lint_add(l, n->mark, "label-conflict",
					  "no runner has both '%.60s' and '%.60s'",
					  first->str, n->str),
				"all labels must fit one machine; use a matrix for "
				"several");
	}
}

static const struct yaml_node *labels_of(const struct job *job)
{
	const struct yaml_node *n = yaml_get(job->node, "runs-on");

	return yaml_is(n, YAML_MAPPING) ? yaml_get(n, "labels") : n;
}

/* Labels of one job whose values in the matrix are looked at: many times many is a square. */
#define MATRIX_LABELS_MAX 16

static void check_runs_on(struct lint *l, const struct job *job)
{
	const struct yaml_node *n = labels_of(job);
	bool is_self_hosted = false;

	if (yaml_is_scalar(n)) {
		check_label(
			l, n, yaml_get(yaml_get(job->node, "runs-on"), "group") != NULL);
		check_matrix_labels(l, job, n, false);
	}
	if (!yaml_is(n, YAML_SEQUENCE))
		return;
	for (size_t i = 0; i < n->len; i++)
		is_self_hosted = is_self_hosted || (yaml_is_scalar(n->items[i]) &&
							   strcasecmp(n->items[i]->str,
								   "self-hosted") == 0);
	for (size_t i = 0; i < n->len; i++) {
		check_label(l, n->items[i], is_self_hosted);
		if (i < MATRIX_LABELS_MAX && yaml_is_scalar(n->items[i]))
			check_matrix_labels(l, job, n->items[i], is_self_hosted);
	}
	check_conflicts(l, n);
}

static enum platform job_platform(const struct job *job)
{
	const struct yaml_node *n = labels_of(job);

	if (yaml_is_scalar(n))
		return platform_of(n->str);
	for (size_t i = 0; yaml_is(n, YAML_SEQUENCE) && i < n->len; i++)
		if (yaml_is_scalar(n->items[i]) && platform_of(n->items[i]->str))
			return platform_of(n->items[i]->str);
	return PLATFORM_ANY;
}

/* ---- shells ----------------------------------------------------------------------- */

static const struct {
	const char *name;
	unsigned platforms;
} shells[] = {
	{ "bash", PLATFORM_LINUX | PLATFORM_MACOS | PLATFORM_WINDOWS },
	{ "pwsh", PLATFORM_LINUX | PLATFORM_MACOS | PLATFORM_WINDOWS },
	{ "python", PLATFORM_LINUX | PLATFORM_MACOS | PLATFORM_WINDOWS },
	{ "sh", PLATFORM_LINUX | PLATFORM_MACOS },
	{ "cmd", PLATFORM_WINDOWS },
	{ "powershell", PLATFORM_WINDOWS },
};

static void check_shell(struct lint *l, const struct yaml_node *n, enum platform platform)
{
	if (!yaml_is_scalar(n) || n->str_len == 0 || has_template(n) ||
		strstr(n->str, "{0}"))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
		if (strcasecmp(shells[i].name, n->str) != 0)
			continue;
		if (platform && !(shells[i].platforms & platform))
			diag_hint(
				lint_add(l, n->mark, "shell-name",
					"shell '%s' is not on %s", n->str,
					platform == PLATFORM_WINDOWS ? "Windows"
								     : "Linux or macOS"),
				platform == PLATFORM_WINDOWS
					? "there are: bash, cmd, powershell, pwsh, python"
					: "there are: bash, pwsh, python, sh");
		return;
	}
	diag_hint(lint_add(l, n->mark, "shell-name", "'%.60s' is no shell", n->str),
		"bash, pwsh, python, sh, or a command with {0} for the script's file");
}

static const struct yaml_node *default_shell(const struct yaml_node *map)
{
	return yaml_get(yaml_get(yaml_get(map, "defaults"), "run"), "shell");
}

/* ---- values ----------------------------------------------------------------------- */

static void check_minutes(struct lint *l, const struct yaml_node *map, const char *key)
{
	const struct yaml_node *n = yaml_get(map, key);

	if (yaml_is(n, YAML_NUMBER) && !(n->number > 0))
		(void)lint_add(l, n->mark, "timeout-value",
			"'%s' must be more than 0 minutes", key);
}

static void check_strategy(struct lint *l, const struct yaml_node *strategy)
{
	const struct yaml_node *n = yaml_get(strategy, "max-parallel");

	if (yaml_is(n, YAML_NUMBER) &&
		(n->number < 1 || n->number != (double)(long)n->number))
		(void)lint_add(l, n->mark, "whole-number",
			"'max-parallel' must be a whole number, 1 or more");
}

static void check_env(struct lint *l, const struct yaml_node *env)
{
	for (size_t i = 0; yaml_is(env, YAML_MAPPING) && i < env->len; i++) {
		const struct yaml_node *key = env->pairs[i].key;

		if (!has_template(key) && strpbrk(key->str, "&= \t"))
			diag_hint(
				lint_add(l, key->mark, "env-name",
					"'%.60s' is no name for an environment variable",
					key->str),
				"letters, digits and '_'");
	}
}

static void check_credentials(struct lint *l, const struct yaml_node *container)
{
	const struct yaml_node *c = yaml_get(container, "credentials");
	const struct yaml_node *password = yaml_get(c, "password");

	if (!yaml_is(c, YAML_MAPPING))
		return;
	if (yaml_is_scalar(password) && password->str_len > 0 && !has_template(password))
		diag_hint(lint_add(l, password->mark, "hardcoded-password",
				  "a password stands in the file"),
			"keep it as a secret: ${{ secrets.REGISTRY_PASSWORD }}");
	if (!password || !yaml_get(c, "username"))
		(void)lint_add(l, c->mark, "credentials",
			"'credentials' needs both 'username' and 'password'");
}

static void check_containers(struct lint *l, const struct job *job)
{
	const struct yaml_node *services = yaml_get(job->node, "services");

	check_credentials(l, yaml_get(job->node, "container"));
	check_env(l, yaml_get(yaml_get(job->node, "container"), "env"));
	for (size_t i = 0; yaml_is(services, YAML_MAPPING) && i < services->len; i++) {
		check_credentials(l, services->pairs[i].value);
		check_env(l, yaml_get(services->pairs[i].value, "env"));
	}
}

static void check_repeated_needs(struct lint *l, const struct job *job)
{
	const struct yaml_node *n = yaml_get(job->node, "needs");
	struct names seen = NAMES_INIT;

	for (size_t i = 0; yaml_is(n, YAML_SEQUENCE) && i < n->len; i++) {
		bool is_new = true;

		if (yaml_is_scalar(n->items[i]) && n->items[i]->str_len > 0)
			names_add(&seen, l->arena, n->items[i]->str, 0, &is_new);
		if (!is_new)
			(void)lint_add(l, n->items[i]->mark, "repeated-need",
				"job '%s' names '%.60s' twice under 'needs'", job->id,
				n->items[i]->str);
	}
}

static void check_steps(
	struct lint *l, const struct step *steps, size_t len, enum platform platform)
{
	for (size_t i = 0; i < len; i++) {
		check_shell(l, yaml_get(steps[i].node, "shell"), platform);
		check_minutes(l, steps[i].node, "timeout-minutes");
		check_env(l, yaml_get(steps[i].node, "env"));
		check_steps(l, steps[i].members, steps[i].members_len, platform);
	}
}

void lint_jobs(struct lint *l)
{
	check_shell(l, default_shell(l->w->root), PLATFORM_ANY);
	check_env(l, yaml_get(l->w->root, "env"));
	for (size_t i = 0; i < l->w->jobs_len; i++) {
		const struct job *job = &l->w->jobs[i];

		check_runs_on(l, job);
		check_shell(l, default_shell(job->node), job_platform(job));
		check_minutes(l, job->node, "timeout-minutes");
		check_minutes(l, job->node, "cancel-timeout-minutes");
		check_strategy(l, yaml_get(job->node, "strategy"));
		check_env(l, yaml_get(job->node, "env"));
		check_containers(l, job);
		check_repeated_needs(l, job);
		check_steps(l, job->steps, job->steps_len, job_platform(job));
	}
	for (size_t i = 0; i < l->doc->anchors_len; i++)
		if (!l->doc->anchors[i].is_used)
			(void)lint_add(l, l->doc->anchors[i].mark, "unused-anchor",
				"anchor '&%s' is never used", l->doc->anchors[i].name);
}
