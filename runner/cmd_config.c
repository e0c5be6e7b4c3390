/* SPDX-License-Identifier: Apache-2.0 */
/* sluice config: check the file, say where each value comes from, print the reference. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/rootstore.h"
#include "runner/cmd.h"
#include "runner/config.h"
#include "runner/labels.h"

/* What a label stands for is there. A server starts without it: only its jobs would end so. */
static int check_label(const struct config *c, const char *item, struct err *err)
{
	_cleanup_(label_root_done) struct label_root r = { 0 };
	_cleanup_(json_freep) struct json *info = NULL;
	_cleanup_free_ char *path = path_join(c->data_dir, ROOTSTORE_DIR);
	_cleanup_close_ int fd = -1;

	if (labels_read(item, &r, err) < 0)
		return -1;
	if (!r.dir && !r.image)
		return 0;
	fd = open(r.dir ? r.dir : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && r.image && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND,
			"'labels': '%s': there is no image '%s'; make it: sluice image build %s", item,
			r.image, r.image);
	if (fd < 0)
		return err_sys(err, "'labels': '%s': cannot open '%s'", item, r.dir ? r.dir : path);
	if (r.image && rootstore_find(fd, r.image, &info, err) < 0)
		return err_wrap(err, "'labels': '%s'", item);
	return 0;
}

static int check_labels(const struct config *c, const struct cli_args *a)
{
	int result = CLI_OK;

	strvec_foreach (item, &c->labels) {
		struct err err = ERR_INIT;

		if (check_label(c, *item, &err) < 0)
			result = cli_fail(a, &err);
	}
	return result;
}

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
	return check_labels(c, a);
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
