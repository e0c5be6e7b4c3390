/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workflow commands in a step's output: `::name k=v,k2=v2::data` at the start of a line
 * (blanks may precede) and the old `##[name k=v;k2=v2]data` anywhere in it. Pure text work:
 * what a command *does* is the caller's.
 *
 * The way of the bytes: command_stream (whole lines, commands taken out) -> mask_stream
 * -> line_limit -> log. The limit comes last, so that its mark never splits a secret.
 */
#ifndef EXECUTOR_COMMAND_H
#define EXECUTOR_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"

enum command_kind {
	COMMAND_ADD_MASK,
	COMMAND_ADD_MATCHER,
	COMMAND_ADD_PATH,
	COMMAND_DEBUG,
	COMMAND_ECHO,
	COMMAND_ENDGROUP,
	COMMAND_ERROR,
	COMMAND_GROUP,
	COMMAND_REPO_PATH, /* internal-set-repo-path */
	COMMAND_NOTICE,
	COMMAND_REMOVE_MATCHER,
	COMMAND_SAVE_STATE,
	COMMAND_SET_ENV,
	COMMAND_SET_OUTPUT,
	COMMAND_STOP, /* stop-commands */
	COMMAND_WARNING,
	COMMAND_RESUME, /* the token of stop-commands */
	COMMAND_TOO_LONG, /* a command line over COMMAND_LINE_MAX: dropped, fails the step */
};

#define COMMAND_PROPS_MAX 32
#define COMMAND_LINE_MAX  (1280 * 1024) /* an output of LIMIT_OUTPUT_TOTAL fits in */

struct command_prop {
	char *name;  /* as written */
	char *value; /* unescaped; empty ones are dropped */
};

struct command {
	enum command_kind kind;
	struct command_prop props[COMMAND_PROPS_MAX];
	size_t props_len;
	char *data; /* unescaped; NUL-ended, may hold NUL */
	size_t data_len;
};

#define COMMAND_INIT           \
	{                      \
		.props_len = 0 \
	}

void command_done(struct command *c);

/* The value of a property, names without case; NULL if absent. Borrowed from C. */
const char *command_prop(const struct command *c, const char *name);
/* "add-mask", ... */
const char *command_name(enum command_kind kind);
/* Shown in a form of their own, or never (add-mask): `echo on` does not repeat the line. */
bool command_omits_echo(enum command_kind kind);

/* What stop-commands holds, per step; shared by the streams of the step. */
struct command_state {
	char *token; /* NULL: commands are obeyed */
};

#define COMMAND_STATE_INIT \
	{                  \
		NULL       \
	}

void command_state_done(struct command_state *st);

/*
 * Looks at one line without its end. True and *RET (command_done it) for a command that
 * counts in this state; false for text. Unknown names are text. While stopped, only the
 * token is a command (COMMAND_RESUME). COMMAND_STOP is reported before the state changes:
 * the caller answers with command_stop.
 */
bool command_scan(const struct command_state *st, const char *line, size_t len,
	struct command *ret);

/*
 * Obeys stop-commands. ERR_INPUT in the runner's words when the token is empty, a command
 * name or `pause-logging`. A token over COMMAND_TOKEN_MASK characters is to be masked.
 */
#define COMMAND_TOKEN_MASK 6
#define COMMAND_TOKEN_FAULT                                                               \
	"You cannot use a endToken that is an empty string, the string 'pause-logging', " \
	"or another workflow command."
int command_stop(struct command_state *st, const struct command *c, struct err *err);
void command_resume(struct command_state *st);

/*
 * Bytes to lines to commands. Lines end with LF, CR LF or a lone CR, as the runner's
 * reader has it; the end stays with the line in what is passed on. How the bytes are cut
 * never matters.
 */
struct command_stream;

struct command_stream_ops {
	/* Text to show: many whole lines at once, or, after command_stream_by_line, one
	 * line a call; a line over LIMIT_LOG_LINE comes in pieces. */
	void (*text)(const char *data, size_t len, void *ctx);
	/* A command; LINE is the whole line as printed, with its end. */
	void (*command)(const struct command *c, const char *line, size_t len, void *ctx);
};

/* ST, OPS and CTX are borrowed and must outlive the stream. */
struct command_stream *command_stream_new(
	struct command_state *st, const struct command_stream_ops *ops, void *ctx);
void command_stream_free(struct command_stream *cs);
DEFINE_CLEANUP(struct command_stream, command_stream_free);
/* One text call per line from now on (problem matchers are active). */
void command_stream_by_line(struct command_stream *cs, bool on);
void command_stream_write(struct command_stream *cs, const char *data, size_t len);
/* The end: an unfinished line counts as a line. */
void command_stream_flush(struct command_stream *cs);

/* Splits lines over LIMIT_LOG_LINE with a mark. Initialise with LINE_LIMIT_INIT. */
struct line_limit {
	size_t at;     /* bytes in the line so far */
	size_t splits; /* marks made */
};

#define LINE_LIMIT_INIT \
	{               \
		0, 0    \
	}
#define LINE_LIMIT_MARK " [sluice: long line, continued]\n"

/* Also moves a line that begins as sluice's own word does ("##[sluice]") by a blank. */
void line_limit_write(
	struct line_limit *ll, const char *data, size_t len, struct strbuf *out);

#endif
