/* SPDX-License-Identifier: Apache-2.0 */
/* sluice config: check the file, say where each value comes from, print the reference. */
#include <string.h>

#include "base/strbuf.h"
#include "runner/cmd.h"
#include "runner/config.h"

static int check(const struct cli_args *a)
{
	_cleanup_(config_freep) struct config *c = NULL;
	struct err err = ERR_INIT;

	if (config_load(cli_get(a, "config"), NULL, stderr, &c, &err) < 0) {
		cli_fail(a, &err);
		fputs("config: a running server keeps what it has until a reload succeeds\n",
			stderr);
		return CLI_NO;
	}
	if (!cli_quiet(a))
		config_print(c, stdout);
	return CLI_OK;
}

static int run(const struct cli_args *a)
{
	const char *what = cli_arg(a, 0);

	if (strcmp(what, "check") == 0)
		return check(a);
	if (strcmp(what, "example") == 0) {
		config_print_example(stdout);
		return CLI_OK;
	}
	if (strcmp(what, "markdown") == 0) {
		config_print_markdown(stdout);
		return CLI_OK;
	}
	return cli_error(a, CLI_USAGE, "unknown word '%s'; it is one of: check, example, "
				       "markdown", what);
}

static const struct cli_opt opts[] = {
	{ "config", 0, "FILE", "instead of $SLUICE_CONFIG or /etc/sluice/sluice.yml" },
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_config = {
	.name = "config",
	.group = "operate",
	.usage = "check [--config FILE]\nexample\nmarkdown",
	.summary = "Check the configuration and say where each value came from",
	.opts = opts,
	.example = "sluice config check --config /etc/sluice/sluice.yml",
	.args_min = 1,
	.args_max = 1,
	.run = run,
};
