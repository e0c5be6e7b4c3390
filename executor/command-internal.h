/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by command.c (one line) and command_stream.c (bytes to lines). */
#ifndef EXECUTOR_COMMAND_INTERNAL_H
#define EXECUTOR_COMMAND_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "executor/command.h"

/* The kind of a name, without case; the token of ST counts as COMMAND_RESUME. */
bool command_kind_of(const struct command_state *st, const char *name, size_t len,
	enum command_kind *ret);

#endif
