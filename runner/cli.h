/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line as data: each verb is a struct cli_verb with its flags, help and
 * example. The same tables feed the parser, `--help`, the manual pages, docs/cli.md and
 * the shell completion, so none of them can disagree.
 *
 * Rules (docs/cli.md): flags may follow arguments, `--` ends them, `--flag=value` and
 * `--flag value`, `-x value` for letters, no abbreviations.
 */
#ifndef RUNNER_CLI_H
#define RUNNER_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"
#include "base/strvec.h"

/* What `sluice` exits with. eval, lint, plan and run know only the first three. */
enum cli_exit {
	CLI_OK = 0,
	CLI_NO = 1,	     /* the answer is no: failed run, finding, refusal */
	CLI_USAGE = 2,	     /* also a prompt that needs a terminal */
	CLI_UNREACHABLE = 3, /* no server, or its lock is held: trying again may help */
	CLI_DENIED = 4,	     /* not allowed; the message says which scope */
};

struct cli_opt {
	const char *name; /* "event", given as --event; NULL ends a table */
	char letter;	  /* 'W' for -W, 0 for none */
	const char *arg;  /* "FILE", or NULL for a switch */
	const char *help; /* one line */
};

struct cli_args;

struct cli_verb {
	const char *name;
	const char *group;   /* "here", "look", "decide", "operate"; NULL is not listed */
	const char *usage;   /* what follows "sluice NAME", several lines allowed */
	const char *summary; /* one line, a sentence without full stop */
	const struct cli_opt *opts;
	const char *example; /* whole command */
	const char *exits;   /* NULL: the usual words */
	int args_min, args_max; /* number of arguments; args_max -1: any */
	int (*run)(const struct cli_args *args);
	/* Verbs that read their own argv (the conformance contract): run is NULL. */
	int (*main)(int argc, char **argv);
};

/* All verbs, NULL-ended; runner/main.c. */
extern const struct cli_verb *const cli_verbs[];

/*
 * Parses ARGV (argv[0] is the verb) and runs it. --help prints and gives 0; a usage error
 * is one line on stderr with the nearest flag, and gives 2.
 */
int cli_run(const struct cli_verb *verb, int argc, char **argv);

/* For verbs: the last value of a flag, or NULL. Flags by their long name. */
const char *cli_get(const struct cli_args *a, const char *name);
bool cli_has(const struct cli_args *a, const char *name);
/* Every value of a repeatable flag, in order: index from 0, NULL at the end. */
const char *cli_nth(const struct cli_args *a, const char *name, size_t nth);
/* The arguments that are no flags. */
size_t cli_count(const struct cli_args *a);
const char *cli_arg(const struct cli_args *a, size_t i); /* NULL past the end */
/* Global flags, given before or after any verb. */
bool cli_quiet(const struct cli_args *a);
bool cli_verbose(const struct cli_args *a);
bool cli_json(const struct cli_args *a); /* --format json */

/* "VERB: WHAT failed: WHY; WHAT TO DO" on stderr (or one JSON object); returns STATUS. */
int cli_error(const struct cli_args *a, enum cli_exit status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int cli_fail(const struct cli_args *a, const struct err *err); /* by its code */

/*
 * Colours and terminals, decided for each stream by itself: a flag beats NO_COLOR beats
 * CLICOLOR_FORCE beats being a terminal.
 */
enum cli_color { CLI_RED, CLI_GREEN, CLI_YELLOW, CLI_BLUE, CLI_DIM, CLI_BOLD, CLI_PLAIN };
bool cli_use_color(FILE *f);
const char *cli_color(FILE *f, enum cli_color c); /* "" where colours are off */
bool cli_is_terminal(FILE *f);			  /* and TERM is not "dumb" */
int cli_width(FILE *f);				  /* columns, 80 if unknown */
bool cli_is_utf8(void);
void cli_set_color(const char *when); /* "always", "never", "auto" */

/* Red: failure; yellow: wants a person; green: success; dim: the rest. */
enum cli_color cli_state_color(const char *word);

/* The mark of a state or conclusion word in this locale ("✓" or "+"); never NULL. */
const char *cli_mark(const char *word);

/* Prints text from outside: C0, C1, OSC and bidi controls as \xNN on a terminal. */
void cli_print_safe(FILE *f, const char *text, size_t len, bool keep_colors);
void cli_put(FILE *f, const char *text); /* the same of all of TEXT, without colours */

/* A table: aligned and cut to the width on a terminal, tabs without header in a pipe. */
struct cli_table;
struct cli_table *cli_table_new(const char *const *headers, int free_column);
void cli_table_row(struct cli_table *t, ...); /* const char * for each column */
void cli_table_print(struct cli_table *t, FILE *f);
void cli_table_free(struct cli_table *t);

/* `sluice` alone, `sluice VERB --help`, and the generated documents. */
void cli_print_overview(FILE *f);
void cli_print_help(const struct cli_verb *verb, FILE *f);
void cli_print_markdown(FILE *f);
void cli_print_man(const struct cli_verb *verb, FILE *f);
int cli_print_completion(const char *shell, FILE *f);

#endif
