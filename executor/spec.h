/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec.json: everything an executor needs to run one job, and no secret. Core writes it;
 * the member "job" is what plan_expand gave for the row, verbatim (workflows/plan.h). Text
 * that may hold `${{ }}` stays text: the executor evaluates it when the step's turn comes.
 *
 * {
 *  "version": 1,
 *  "run": 12, "run_number": 7, "job_id": 34, "attempt": 1, "epoch": 5, "try": 1,
 *  "job": {                         a ROW of plan_expand, plus the id of its node:
 *    "id": "caller/build", "job_id": "build", "name": "build (a, b)",
 *    "matrix", "strategy", "environment": {"name", "url"}, "timeout_minutes",
 *    "continue_on_error", "inputs" (typed), "secrets_map", and
 *    "spec": {"workflow_env", "env", "defaults", "steps", "outputs", "container",
 *             "services"}             the members of "spec" may also stand beside it
 *    Names may be written with '-' or '_'; a step id led by "__" is a generated one.
 *    secrets_map: null, or levels from the outside in (workflows/plan.h); each makes the
 *    secrets of the next out of those of the one before
 *  },
 *  "github": {...}                  the context as github.* reads it, with "event", but
 *                                   without what belongs to a place or a step (workspace,
 *                                   event_path, action*, token, job)
 *  "vars": {}, "needs": {ID: {"result", "outputs": {}}},
 *  "env": {}                        --env of the command line: below the workflow's env
 *  "secret_names": ["A"]            which names `go` will bring
 *  "trusted": true, "debug": false
 *  "hold": {"bytes"}                put aside when it fails (hold.h); absent: not
 *  "profile": "standard"            strict, standard, build, root
 *  "network": {"level": "none|proxy|egress|host", "allow": ["host[:port]"], "forge": "host",
 *              "only_allowed": false, "learn": "the rule's name", "hint": "command with %s",
 *              "relay": ["5000=127.0.0.1:5000"]}          see executor/proxy.h
 *  "limits": {"memory", "pids", "cpus", "disk", "log"}    bytes and numbers; 0 or absent:
 *                                   the default
 *  "root": {"kind": "host"|"dir"|"image", "path", "name", "digest"}   what stands below /
 *                                   inside: the host's system, a prepared folder, a root
 *                                   of the store (rootstore.h); absent: host
 *  "source": {"kind": "mirror"|"tree"|"none",
 *             "mirror": "12.git", "ref": "refs/heads/main", "sha": "..."   for a mirror
 *             "path": "/abs", "in_place": false,
 *             "clone_url": text shown in .git/config, no credential
 *  "actions": [{"uses": "o/r/p@v1", "sha": "...", "dir": "o/r/SHA"}]  prepared below
 *                                   actions/; others are refused at set-up
 *  "actions_dir": "/abs"            OWNER/REPO work trees with a tag per ref; looked at first
 *  "actions_url": "https://..."     where OWNER/REPO is fetched from otherwise
 *  "artifacts": {NAME: SHA256}      of this run so far: manifests in the store
 *  "runner": {"name", "environment"}
 * }
 */
#ifndef EXECUTOR_SPEC_H
#define EXECUTOR_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"

#define SPEC_VERSION  1
#define SPEC_SIZE_MAX (64u << 20)

struct spec_step {
	char *id;	   /* as in the file, or a generated one; never NULL */
	bool is_generated; /* sets no outputs and has no entry in `steps` */
	const char *name;  /* TEXT or NULL; these are lent by the document */
	const char *condition;
	const char *run, *uses, *shell, *working_directory;
	const struct json *with, *env;
	const struct json *continue_on_error, *timeout_minutes; /* literal or TEXT */
	int64_t line;
	const char *refused; /* a key of the step that is not built yet, or NULL */
};

enum spec_source_kind { SPEC_SOURCE_NONE, SPEC_SOURCE_MIRROR, SPEC_SOURCE_TREE };

struct spec {
	struct json *doc; /* owned; everything lent below lives in it */
	int64_t run, run_number, job_id, attempt, epoch, try;

	const struct json *job;
	const char *key, *name;
	const struct json *env_layers[3]; /* --env, workflow, job; NULL where absent */
	const char *default_shell, *default_directory;
	struct spec_step *steps;
	size_t steps_len;
	const struct json *outputs, *matrix, *strategy, *inputs, *secret_maps;
	const char *environment_name, *environment_url;
	const struct json *timeout_minutes;
	const char *refused; /* container, services: not built yet */

	const struct json *github, *vars, *needs, *artifacts, *actions, *limits;
	bool trusted, debug;
	bool hold;	    /* put aside when it fails; of trusted jobs alone */
	int64_t hold_bytes; /* no more than this; 0: any */
	const char *profile;
	const char *network; /* "none", "proxy" ... */
	const struct json *network_rules;
	const char *root_path; /* of a prepared folder, else NULL */
	const char *root_name, *root_digest; /* of a root of the store, else NULL */
	enum spec_source_kind source;
	const struct json *source_doc;
	const char *actions_dir; /* absolute, or NULL */
	const char *actions_url; /* or NULL */
	const char *runner_name;
};

/* Parses and checks; *RET owns all of it. ERR_INPUT names the member at fault. */
int spec_parse(const char *data, size_t len, struct spec **ret, struct err *err);
/* The file JOB_FILE_SPEC beneath JOB_DIR. */
int spec_load(int job_dir, struct spec **ret, struct err *err);
void spec_free(struct spec *s);
DEFINE_CLEANUP(struct spec, spec_free);

/* A member whose name may be written with '-' or '_'. */
struct json *spec_member(const struct json *obj, const char *dashed);
/* Reads one step (also of a composite action) into *RET; done with spec_step_done. */
int spec_step_read(
	const struct json *j, size_t index, struct spec_step *ret, struct err *err);
void spec_step_done(struct spec_step *s);

#endif
