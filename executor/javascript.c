/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JavaScript actions: `node` of the job's root runs a file of the action's folder. It is
 * looked up in the fixed PATH alone: GITHUB_PATH must not decide what runs an action.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "executor/step.h"

static char *find_node(const struct jobrun *job)
{
	static const char *const dirs[] = { "usr/local/bin", "usr/bin", "bin", NULL };
	_cleanup_close_ int root = open(job->spec->root_path ? job->spec->root_path : "/",
		O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; dirs[i] && root >= 0; i++) {
		_cleanup_free_ char *path = path_join(dirs[i], "node");

		if (faccessat(root, path, X_OK, 0) == 0)
			return xasprintf("/%s", path);
	}
	return NULL;
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
