/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Environments with their rules, which live on the server and not in the workflow, and the
 * deployments to them. Everything fails closed: a ref no rule names is refused.
 */
#ifndef STORE_ENVIRONMENTS_H
#define STORE_ENVIRONMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/strvec.h"
#include "store/state.h"

/*
 * Rules as JSON: {"reviewers": ["mira", "key:demo", "*"], "required": 1,
 * "self_approval": false, "wait_minutes": 0, "expires_minutes": 43200,
 * "branches": ["main"], "tags": ["v*"], "url": "https://...", "on_failure": "none",
 * "network_allow": ["host:443"], "network_learn": false} (runner/network.h).
 * "*" is everybody with the scope approve. No "branches" and no "tags": every ref.
 */
struct env_rules {
	struct strvec reviewers;
	int64_t required;
	bool self_approval;
	int64_t wait_ms;
	int64_t expires_ms; /* 0 never; default 30 days */
	bool has_refs;
	struct strvec branches;
	struct strvec tags;
};
void env_rules_done(struct env_rules *r);
/* Unknown keys, wrong types and reviewers fewer than required are ERR_INPUT. */
int env_rules_parse(const struct json *rules, struct env_rules *ret, struct err *err);
/* REF is full ("refs/heads/main"). Patterns: '*' stops at '/', as in GitHub's policies. */
bool env_rules_allow_ref(const struct env_rules *r, const char *ref);

struct environment {
	int64_t id;
	int64_t repo;
	char *name;
	struct json *rules;
};
void environment_done(struct environment *e);
/* Creates or replaces the rules of one. */
int environments_set(struct store *s, int64_t repo, const char *name,
	const struct json *rules, const struct actor *who, int64_t *ret_id,
	struct err *err);
int environments_delete(struct store *s, int64_t repo, const char *name,
	const struct actor *who, struct err *err);
/* ERR_NOT_FOUND. Names compare without case. */
int environments_find(struct store *s, int64_t repo, const char *name,
	struct environment *ret, struct err *err);
/*
 * Rules for environments a workflow names that nobody has set up; kept in the store. The
 * default of the default asks for one approval of anybody with the scope.
 */
int environments_set_default(struct store *s, const struct json *rules, struct err *err);

/*
 * Deployments: made when a job with an environment is released, ended with the job. All
 * by the store itself; these are for reading.
 */
struct deployment {
	int64_t id;
	int64_t number; /* in its repository */
	int64_t repo;
	int64_t run;
	int64_t attempt;
	int64_t job;
	char *environment;
	char *sha;
	char *ref;
	char *state; /* in_progress success failure cancelled lost */
	char *url;
	int64_t created_at;
	int64_t completed_at;
};
void deployment_done(struct deployment *d);
int deployments_get(struct store *s, int64_t id, struct deployment *ret, struct err *err);
/* By its number in REPO. */
int deployments_find(struct store *s, int64_t repo, int64_t number,
	struct deployment *ret, struct err *err);
/* The last good one of an environment before BEFORE (0: the last); ERR_NOT_FOUND. */
int deployments_last_good(struct store *s, int64_t repo, const char *environment,
	int64_t before, struct deployment *ret, struct err *err);

#endif
