/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workflow file as a model: triggers, declared inputs, jobs with their needs and steps.
 * Whatever is plain data (env, matrix, with, ...) is left as YAML nodes, which the schema
 * has checked; expressions are text. Everything lives in the document's arena and dies
 * with workflow_free.
 */
#ifndef WORKFLOWS_WORKFLOW_H
#define WORKFLOWS_WORKFLOW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "workflows/diag.h"
#include "workflows/filter.h"
#include "workflows/names.h"
#include "workflows/schema.h"
#include "workflows/yaml.h"

enum input_type {
	INPUT_STRING,
	INPUT_BOOLEAN,
	INPUT_NUMBER,
	INPUT_CHOICE,
	INPUT_ENVIRONMENT,
};
const char *input_type_name(enum input_type type);

struct input_decl {
	const char *name;
	enum input_type type;
	bool is_required;
	const struct yaml_node *key;
	const struct yaml_node *otherwise; /* the default, or NULL */
	const struct yaml_node *options;   /* of a choice, or NULL */
};

struct secret_decl {
	const char *name;
	bool is_required;
	const struct yaml_node *key;
};

struct output_decl {
	const char *name;
	const struct yaml_node *key;
	const struct yaml_node *value;
};

struct trigger_cron {
	const struct yaml_node *cron;
	const struct yaml_node *timezone; /* or NULL */
};

/* One event of `on:`. */
struct trigger {
	const char *event;
	const struct yaml_node *key;	/* the name in the file */
	const struct yaml_node *config; /* NULL when there is none */
	struct filter_rules rules;
	struct trigger_cron *crons; /* of schedule */
	size_t crons_len;
};

enum step_kind {
	STEP_RUN,
	STEP_USES,
	STEP_WAIT,
	STEP_WAIT_ALL,
	STEP_CANCEL,
	STEP_PARALLEL,
};

struct step {
	enum step_kind kind;
	const char *id;
	bool is_generated; /* the id was made up: `__run_2` */
	const struct yaml_node *node;
	struct step *members; /* of STEP_PARALLEL */
	size_t members_len;
};

struct need {
	const char *id; /* as the needed job spells itself */
	const struct yaml_node *node;
	size_t job; /* its index; SIZE_MAX: no such job */
};

struct job {
	const char *id;
	const struct yaml_node *key;
	const struct yaml_node *node;
	const struct yaml_node *uses; /* it calls a workflow; NULL: it has steps */
	struct need *needs;	      /* without repetitions */
	size_t needs_len;
	struct step *steps;
	size_t steps_len;
};

struct workflow {
	struct yaml_doc *doc;
	const char *path; /* as given: for messages */
	const struct yaml_node *root;
	const char *name; /* `name:`, else the path */
	struct trigger *triggers;
	size_t triggers_len;
	struct input_decl *dispatch_inputs; /* workflow_dispatch */
	size_t dispatch_inputs_len;
	struct input_decl *call_inputs; /* workflow_call */
	size_t call_inputs_len;
	struct secret_decl *call_secrets;
	size_t call_secrets_len;
	struct output_decl *call_outputs;
	size_t call_outputs_len;
	struct job *jobs; /* in file order */
	size_t jobs_len;
	/* Where in their lists they are. */
	struct names job_names, call_input_names, call_secret_names;
};

/*
 * Parses and checks DATA, which must outlive the workflow. Everything wrong goes to D; on
 * any error -1, and *RET is untouched. PATH is what messages and `name` fall back to.
 */
int workflow_parse(const char *path, const char *data, size_t len, struct workflow **ret,
	struct diagnostics *d);
/*
 * As workflow_parse, but gives what could be made of a faulty file (lint goes on with it):
 * *RET is NULL only when the file is no YAML mapping. Jobs of a wrong shape are left out.
 */
void workflow_parse_lenient(const char *path, const char *data, size_t len,
	struct workflow **ret, struct diagnostics *d);
void workflow_free(struct workflow *w); /* NULL is fine */
DEFINE_CLEANUP(struct workflow, workflow_free);

/* By id, without case; SIZE_MAX: there is none. */
size_t workflow_find_job(const struct workflow *w, const char *id);
const struct trigger *workflow_find_trigger(const struct workflow *w, const char *event);

/* [A-Za-z_][A-Za-z0-9_-]*, under 100 characters, not led by '__'. Words or NULL. */
const char *id_problem(const char *id);

/* What `uses:` names. */
enum uses_kind {
	USES_LOCAL,  /* ./path */
	USES_REMOTE, /* owner/repo[/path]@ref */
	USES_DOCKER, /* docker://image */
	USES_SELF,   /* $/path: in the repository of the file that says so */
	USES_INVALID,
};
struct uses {
	enum uses_kind kind;
	const char *owner, *repo, *path, *ref; /* in ARENA; path without "./"; or NULL */
};
struct uses uses_parse(const char *text, struct arena *arena);

/* Where a file is: REPOSITORY NULL is the workflow's own, at its own commit. */
struct source {
	const char *repository; /* "owner/repo" */
	const char *ref;
	const char *path; /* "sub/action.yml" */
};
/*
 * Appends the bytes of a file to OUT. -1 with ERR_NOT_FOUND: there is none;
 * ERR_UNAVAILABLE: this caller cannot look there (then nothing is said about it by lint).
 */
typedef int source_load_fn(const struct source *source, struct strbuf *out, struct err *err,
	void *data);

#endif
