/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything people can ask of core, as one table: name, the scope it takes, its function.
 * API, pages and command line all end here (core.h: core_verb). A verb either answers at
 * the end of the turn that changed something, or later (it asks the git worker first).
 */
#ifndef RUNNER_VERBS_H
#define RUNNER_VERBS_H

#include "runner/core-internal.h"
#include "store/tokens.h"

/* One call. A verb's function ends with exactly one of verb_ok, verb_fail. */
struct verb_call {
	struct core *core;
	const struct core_principal *who; /* copied: lives as long as the call */
	struct actor actor;		  /* the same for the store */
	const struct json *args;	  /* owned by the call, never NULL */
	core_verb_fn *done;
	void *data;
};

struct verb {
	const char *name;
	enum scope scope;
	bool changes; /* joins the turn's transaction; answered after its commit */
	void (*run)(struct verb_call *v);
};

/* RESULT is taken (NULL: {}). The call is gone afterwards. */
void verb_ok(struct verb_call *v, struct json *result);
void verb_fail(struct verb_call *v, const struct err *why, const char *hint);

/* Tables, ended by a NULL name. */
extern const struct verb verbs_work[];	/* verbs_work.c: runs, jobs, gates, status */
extern const struct verb verbs_held[]; /* verbs_held.c: shell, usage, gc */
void usage_ask(struct verb_call *v);	/* usage.c */
extern const struct verb verbs_admin[]; /* verbs_admin.c: what an administrator keeps */
extern const struct verb verbs_network[]; /* verbs_network.c: allow-lists and learning */

/* gate_changes.c: "gate.changes" {gate} -> {paths, more_paths, commits, more_commits}. */
void gate_changes(struct verb_call *v);

/* ---- reading arguments; each fails the call itself and gives false ---- */

/* A non-empty string. */
bool verb_arg_str(struct verb_call *v, const char *name, const char **ret);
/* RUN as a person writes it, or a number. */
bool verb_arg_run(struct verb_call *v, int64_t *ret);
/* "repo": OWNER/NAME. */
bool verb_arg_repo(struct verb_call *v, struct repo *ret);
/* "repo" to its id, 0 when absent (the instance). */
bool verb_arg_scope(struct verb_call *v, int64_t *ret);

#endif
