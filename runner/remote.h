/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every verb about a server shares: finding it, calling a verb of core's table, and,
 * where no server runs, taking the instance lock and asking a core of its own.
 */
#ifndef RUNNER_REMOTE_H
#define RUNNER_REMOTE_H

#include <stdint.h>

#include "base/json.h"
#include "runner/cli.h"
#include "runner/client.h"

/* The flags of every such verb; put them in its table. */
#define REMOTE_OPTS                                                                    \
	{ "server", 0, "URL", "instead of the server on this machine" },               \
	{ "data", 0, "DIR", "its data directory, to find its socket" },                \
	{ "config", 0, "FILE", "its configuration, to find the data directory" },      \
	{ "format", 0, "text|json", "json: one object on stdout" }

/* 0, or the exit status after the error was printed. *RET is the caller's. */
int remote_call(const struct cli_args *a, const char *verb, struct json *args,
	struct json **ret);
/* The client itself, for streams; 0 or an exit status. */
int remote_client(const struct cli_args *a, struct client **ret);

/*
 * The same where the answer is only worth showing: nothing is printed, *ERR says why there is
 * none, and no core of our own is asked.
 */
int remote_look(const struct cli_args *a, const char *verb, struct json *args,
	struct json **ret, struct err *err);
/* A time of an answer in milliseconds since 1970, as text or as number; 0: none. */
int64_t remote_time(const struct json *j, const char *key);

/* A time for a list: its age on a terminal, RFC 3339 in a pipe; "" for none. Heap. */
char *remote_when(const struct json *j, const char *key);

/* --format json: prints J, gives true. */
bool remote_print_json(const struct cli_args *a, const struct json *j);
/* RUN[/JOB[/STEP]] as people write it: the run part, the rest (may be ""). Heap both. */
void remote_split(const char *text, char **ret_run, char **ret_rest);
/* Reads a value without echo from the terminal, or all of stdin when it is none. */
char *remote_read_value(const struct cli_args *a, const char *prompt);
/* A repository: --repo, $SLUICE_REPO; NULL when neither is given. */
const char *remote_repo(const struct cli_args *a);

#endif
