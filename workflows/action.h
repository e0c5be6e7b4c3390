/* SPDX-License-Identifier: Apache-2.0 */
/*
 * action.yml: what an action is and how it runs. Expressions (defaults, conditions,
 * outputs) stay text; the executor evaluates them where the action is used.
 */
#ifndef WORKFLOWS_ACTION_H
#define WORKFLOWS_ACTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "workflows/diag.h"
#include "workflows/names.h"
#include "workflows/yaml.h"

enum action_using {
	ACTION_COMPOSITE,
	ACTION_NODE,   /* node12, node16: run on a newer one; node20, node24 */
	ACTION_DOCKER,
};

struct action_input {
	const char *name;
	const char *otherwise;	 /* default, text; NULL: none */
	const char *deprecation; /* NULL: it is not deprecated */
	bool is_required;
	struct mark mark;
};

struct action_output {
	const char *name;
	const char *value; /* text; composites only, else NULL */
	struct mark mark;
};

struct action {
	struct yaml_doc *doc; /* owns everything here */
	const char *name;
	const char *description;
	enum action_using using;
	const char *using_text; /* "node20" */
	struct action_input *inputs;
	size_t inputs_len;
	struct action_output *outputs;
	size_t outputs_len;
	struct names input_names; /* where in the list they are */
	/* node: files; docker: entrypoints. NULL when not given. */
	const char *main, *pre, *post;
	const char *pre_if, *post_if; /* never NULL: "always()" when not given */
	const char *image;	      /* docker: "Dockerfile" or "docker://..." */
	const struct yaml_node *args; /* docker: sequence, or NULL */
	const struct yaml_node *env;  /* docker: mapping, or NULL */
	const struct yaml_node *steps_node;
	/*
	 * composite: an array of STEP as in plan.h (id, generated_id, name, if, run, uses,
	 * with, env, shell, working-directory, continue-on-error, line, column); lent.
	 */
	struct json *steps;
};

/*
 * DATA must outlive the action. FILE is for messages. On failure -1: all that is wrong is
 * in D, the first of it in ERR.
 */
int action_parse(const char *file, const char *data, size_t len, struct action **ret,
	struct diagnostics *d, struct err *err);
void action_free(struct action *a); /* NULL is fine */
DEFINE_CLEANUP(struct action, action_free);

const struct action_input *action_find_input(const struct action *a, const char *name);
/* args, env of a docker action as JSON (texts); null when not given. */
struct json *action_args(const struct action *a);
struct json *action_env(const struct action *a);

#endif
