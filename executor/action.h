/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `uses:`: what a step names becomes something that can run. Remote actions are resolved at
 * set-up, before anything of the user's runs, and those of a composite with them; local
 * ones (./path) when their step's turn comes, since a checkout must bring them first.
 */
#ifndef EXECUTOR_ACTION_H
#define EXECUTOR_ACTION_H

#include "base/err.h"
#include "base/strbuf.h"
#include "base/strvec.h"
#include "executor/job.h"
#include "executor/spec.h"
#include "workflows/action.h"

enum used_kind { USED_BUILTIN, USED_LOCAL, USED_REMOTE };

struct builtin;

struct used_action {
	enum used_kind kind;
	char *uses;			     /* as written */
	const struct builtin *builtin;	     /* USED_BUILTIN */
	char *repository, *path, *ref, *sha; /* USED_REMOTE; path "" for the root */
	char *cache_dir;    /* OWNER/REPO/SHA beneath the store of actions */
	enum job_dir dir;   /* where its files are for the agent, */
	char *rel;	    /* "" for the directory itself, */
	char *inside;	    /* and for the job: github.action_path */
	struct strbuf text; /* of action.yml; meta lives in it */
	struct action *meta;
	struct spec_step *steps; /* of a composite */
	size_t steps_len;
};

/* All remote actions of the job's steps. Fails with the runner's words. */
int actions_resolve(struct jobrun *job, struct err *err);
/* Copies what was resolved into the job's actions/; after the agent stands. */
int actions_place(struct jobrun *job, struct err *err);
/*
 * What STEP of SCOPE uses; lent by the job. A remote one that was not resolved at set-up
 * (of a composite in the workspace) is resolved now.
 */
int action_for(struct jobrun *job, const struct scope *scope, const char *uses,
	const struct used_action **ret, struct err *err);
/* The one that stands in the list already, or NULL. */
const struct used_action *action_known(
	const struct jobrun *job, const struct scope *scope, const char *uses);
void actions_done(struct jobrun *job);

bool action_is_composite(const struct used_action *a);
bool action_is_node(const struct used_action *a);

/* ---- the actions that are part of this program (builtin.c) ---- */

struct steprun;

struct builtin {
	const char *name; /* "actions/checkout", without case */
	int (*run)(struct steprun *st, struct err *err);
	/* Defaults of inputs, NULL-ended pairs; others that are not named here are warned of. */
	const char *const (*inputs)[2];
};

const struct builtin *builtin_find(const char *repository, const char *path);

#endif
