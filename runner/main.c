/* SPDX-License-Identifier: Apache-2.0 */
/* The program `sluice`: the table of verbs, and the way to each. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/cmd.h"
#include "runner/planner.h"

static int run_version(const struct cli_args *a)
{
	(void)a; /* nothing can be asked of it */
	printf("sluice %s\n", SLUICE_VERSION);
	return CLI_OK;
}

static int run_help(const struct cli_args *a)
{
	if (cli_has(a, "markdown")) {
		cli_print_markdown(stdout);
		return CLI_OK;
	}
	if (cli_has(a, "verbs")) {
		for (size_t i = 0; cli_verbs[i]; i++)
			if (cli_verbs[i]->group)
				printf("%s\n", cli_verbs[i]->name);
		return CLI_OK;
	}
	if (!cli_arg(a, 0)) {
		cli_print_overview(stdout);
		return CLI_OK;
	}
	for (size_t i = 0; cli_verbs[i]; i++) {
		if (strcmp(cli_verbs[i]->name, cli_arg(a, 0)) != 0)
			continue;
		if (cli_has(a, "man"))
			cli_print_man(cli_verbs[i], stdout);
		else
			cli_print_help(cli_verbs[i], stdout);
		return CLI_OK;
	}
	return cli_error(a, CLI_USAGE, "no verb '%s'; see: sluice help", cli_arg(a, 0));
}

static int run_completion(const struct cli_args *a)
{
	if (cli_print_completion(cli_arg(a, 0), stdout) < 0)
		return cli_error(a, CLI_USAGE, "no completion for '%s'; there is one for bash",
			cli_arg(a, 0));
	return CLI_OK;
}

static const struct cli_opt help_opts[] = {
	{ "markdown", 0, NULL, "all verbs, as docs/cli.md" },
	{ "man", 0, NULL, "the manual page of VERB" },
	{ "verbs", 0, NULL, "the names alone, one a line" },
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_help = { "help", NULL, "[VERB]", "Say what a verb does",
	help_opts, "sluice help run", NULL, 0, 1, run_help, NULL };
const struct cli_verb verb_version = { "version", "operate", "", "Print the version", NULL,
	"sluice version", NULL, 0, 0, run_version, NULL };
const struct cli_verb verb_completion = { "completion", "operate", "bash",
	"Print a completion script for the shell", NULL,
	"sluice completion bash > /etc/bash_completion.d/sluice", NULL, 1, 1, run_completion,
	NULL };

/* ---- verbs with an argv of their own: only their help stands here ---- */

static const struct cli_opt eval_opts[] = {
	{ "context", 0, "FILE.json", "its top-level keys are the contexts that may be named" },
	{ NULL, 0, NULL, NULL },
};
static const struct cli_verb verb_eval = { "eval", "here", "[--context FILE.json] EXPR",
	"Evaluate an expression and print its value as JSON", eval_opts,
	"sluice eval --context ctx.json \"startsWith(github.ref, 'refs/tags/')\"",
	"0, 1 the expression is wrong, 2 usage", 0, -1, NULL, cmd_eval };

static const struct cli_verb verb_hook = { "hook", "operate",
	"install PATH --url URL --repo OWNER/NAME [--secret-file FILE]",
	"Write the push hook of a bare repository on this machine", NULL,
	"sluice hook install /srv/git/mealplan.git", NULL, 0, -1, NULL, cmd_hook };

/* Started by `sluice serve` alone, so in no list. */
static const struct cli_verb verb_web = { "web", NULL, "", "The web process of a server", NULL,
	NULL, NULL, 0, -1, NULL, cmd_web };
static const struct cli_verb verb_planner = { "planner", NULL, "",
	"The planner process of a server", NULL, NULL, NULL, 0, -1, NULL, cmd_planner };

const struct cli_verb *const cli_verbs[] = {
	/* here */
	&verb_run,
	&verb_plan,
	&verb_lint,
	&verb_eval,
	&verb_doctor,
	/* look */
	&verb_runs,
	&verb_status,
	&verb_logs,
	&verb_explain,
	&verb_deployments,
	&verb_environments,
	/* decide */
	&verb_approve,
	&verb_reject,
	&verb_cancel,
	&verb_rerun,
	&verb_dispatch,
	/* operate */
	&verb_serve,
	&verb_repo,
	&verb_network,
	&verb_image,
	&verb_secret,
	&verb_var,
	&verb_token,
	&verb_key,
	&verb_hook,
	&verb_pause,
	&verb_resume,
	&verb_shell,
	&verb_gc,
	&verb_audit,
	&verb_check,
	&verb_config,
	&verb_completion,
	&verb_version,
	&verb_help,
	/* not listed */
	&verb_spawner,
	&verb_web,
	&verb_planner,
	&verb_checkpointer,
	NULL,
};

static int unknown_verb(const char *name)
{
	const char *names[64], *near;
	size_t n = 0;

	for (size_t i = 0; cli_verbs[i] && n < 63; i++)
		names[n++] = cli_verbs[i]->name;
	names[n] = NULL;
	near = str_nearest(name, names);
	if (near)
		fprintf(stderr, "sluice: no verb '%s'; did you mean '%s'?\n", name, near);
	else
		fprintf(stderr, "sluice: no verb '%s'; sluice alone lists them\n", name);
	return CLI_USAGE;
}

int main(int argc, char **argv)
{
	/* A reader that went away is an error of write, not the end of us. */
	signal(SIGPIPE, SIG_IGN);
	setlocale(LC_CTYPE, "");
	log_open("sluice", LOG_INFO);
	if (argc < 2) {
		cli_print_overview(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0)
		return run_version(NULL);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		cli_print_overview(stdout);
		return CLI_OK;
	}
	for (size_t i = 0; cli_verbs[i]; i++)
		if (strcmp(cli_verbs[i]->name, argv[1]) == 0)
			return cli_run(cli_verbs[i], argc - 1, argv + 1);
	return unknown_verb(argv[1]);
}
