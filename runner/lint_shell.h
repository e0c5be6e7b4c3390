/* SPDX-License-Identifier: Apache-2.0 */
/* shellcheck on the scripts of a workflow, where it is installed. */
#ifndef RUNNER_LINT_SHELL_H
#define RUNNER_LINT_SHELL_H

#include "base/err.h"
#include "workflows/diag.h"

/*
 * Appends what shellcheck finds in the `run` steps for bash and sh of FILE (code
 * "shellcheck"), at its place in the file. Nothing happens when it is not installed.
 * ERR_SYS, ERR_CORRUPT: it could not be run, or its answer not read.
 */
int lint_shell(const char *file, const char *data, size_t len, struct diagnostics *d,
	struct err *err);

#endif
