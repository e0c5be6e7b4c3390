/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JavaScript actions: `node` of the job's root runs a file of the action's folder. It is
 * looked up in the fixed PATH alone: GITHUB_PATH must not decide what runs an action.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "executor/rootfs.h"
#include "executor/step.h"

static char *find_node(const struct jobrun *job)
{
	static const char *const dirs[] = { "usr/local/bin", "usr/bin", "bin", NULL };

	for (size_t i = 0; dirs[i]; i++) {
		_cleanup_free_ char *path = path_join(dirs[i], "node");

		if (rootfs_has(job, path))
			return xasprintf("/%s", path);
	}
	/* In a root of its own an earlier step may have installed it. */
	return rootfs_is_own(job) ? xstrdup("/usr/bin/node") : NULL;
}

static int run_node(struct steprun *st, const char *file, struct err *err)
{
	_cleanup_(strvec_done) struct strvec extra = STRVEC_INIT;
	_cleanup_free_ char *node = find_node(st->job), *path = NULL;
	struct step_program p = { .cwd = st->job->workspace, .extra = &extra };
	const char *argv[3];

	if (!node)
		return err_set(err, ERR_UNSUPPORTED,
			"'%s' is a JavaScript action (%s) and there is no node in the "
			"job's "
			"root: install one on this machine, or give the label a root "
			"that has it",
			st->action->uses, st->action->meta->using_text);
	path = path_join(st->action->inside, file);
	step_inputs_env(st, &extra);
	strvec_foreach (v, &st->memory->state) {
		size_t n = strcspn(*v, "=");
		_cleanup_free_ char *key = xasprintf("STATE_%.*s", (int)n, *v);

		strvec_setenv(&extra, key, *v + n + 1);
	}
	argv[0] = node;
	argv[1] = path;
	argv[2] = NULL;
	p.argv = argv;
	return step_exec(st, &p, err);
}

void node_run(struct steprun *st, const char *file)
{
	struct err err = ERR_INIT;

	if (run_node(st, file, &err) == 0)
		return;
	step_error(st, "%s", err.msg);
	st->outcome = RESULT_FAILURE;
}
