/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files a step writes: GITHUB_ENV, GITHUB_OUTPUT, GITHUB_STATE (NAME=VALUE and
 * NAME<<DELIMITER) and GITHUB_PATH. Pure; the caller opens the file safely and bounds it
 * with LIMIT_ENV_FILE.
 */
#ifndef EXECUTOR_ENVFILE_H
#define EXECUTOR_ENVFILE_H

#include <stddef.h>

#include "base/err.h"
#include "base/strvec.h"

/* NAME and VALUE are borrowed for the call; both are NUL-ended and hold no NUL inside. */
typedef int envfile_pair_fn(const char *name, const char *value, size_t value_len,
	void *ctx, struct err *err);

/*
 * Calls FN for each pair in order and stops at the first fault: the pairs before it have
 * been given, as with the runner. ERR_INPUT in the runner's words ("Invalid format 'x'");
 * the caller puts "Unable to process file command 'env' successfully." before it.
 * ERR_LIMIT for name and value over MAX_VALUE bytes together (LIMIT_ENV_VALUE for what is
 * exec'd, LIMIT_OUTPUT_TOTAL for outputs), or over LIMIT_ENV_KEYS pairs. A fault of FN is
 * handed on.
 */
int envfile_parse(const char *data, size_t len, size_t max_value, envfile_pair_fn *fn,
	void *ctx, struct err *err);

/*
 * GITHUB_PATH: appends the entries in the order written, empty lines left out. ERR_LIMIT
 * over LIMIT_ENV_KEYS entries or LIMIT_ENV_VALUE bytes in one, ERR_INPUT for a NUL.
 */
int envfile_parse_paths(
	const char *data, size_t len, struct strvec *ret, struct err *err);

/* Adds ENTRY to the job's list, whose last element goes first in PATH; a repeated entry
 * moves. */
void envfile_path_add(struct strvec *paths, const char *entry);
/* PATHS in front of OLD ("a:b"), heap. OLD may be NULL. */
char *envfile_path_join(const struct strvec *paths, const char *old);

#endif
