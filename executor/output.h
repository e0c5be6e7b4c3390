/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process prints, on its way to the log: whole lines, workflow commands taken out,
 * problem matchers, masks, the limit on lines. Standard output and error are masked each on
 * its own; commands of both share one state.
 */
#ifndef EXECUTOR_OUTPUT_H
#define EXECUTOR_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "executor/command.h"
#include "executor/job.h"

struct output;

/* A command that counts; LINE is the whole line as it was printed. */
typedef void output_command_fn(
	const struct command *c, const char *line, size_t len, void *data);

/* N is the step's number. */
struct output *output_new(struct jobrun *job, int n, output_command_fn *fn, void *data);
void output_free(struct output *o); /* NULL is fine */
DEFINE_CLEANUP(struct output, output_free);

/* Bytes of stream 0 (out) or 1 (err). */
void output_write(struct output *o, int stream, const char *data, size_t len);
/* Text of ours in the place where the command being handled stood; LF is added. */
void output_say(struct output *o, const char *text, size_t len);
/* Ends unfinished lines and lets go of what the masks held back. */
void output_flush(struct output *o);
/* What stop-commands holds, for both streams. */
struct command_state *output_commands(struct output *o);
/* The step has ended, but something of it still prints: text only, no commands. */
void output_detach(struct output *o);

#endif
