/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workflow syntax of 2026 as data. Scopes are those of GitHub's page "Contexts
 * reference" (context availability) and of the schema in actions/runner. Read it from the
 * bottom: schema_workflow is the whole.
 */
#include "workflows/schema.h"

#define SCALAR (KIND_BOOL | KIND_NUMBER | KIND_STRING)
#define END	    { NULL, NULL, false, NULL }
#define SCOPED(set) .flags = SCHEMA_SCOPE, .scope = (set)
#define LIST(name, ...) static const char *const name[] = { __VA_ARGS__, NULL }

/* Scopes that return. */
#define S_RUN	 (SCOPE_GITHUB | SCOPE_INPUTS | SCOPE_VARS)
#define S_NEEDS	 (S_RUN | SCOPE_NEEDS)
#define S_MATRIX (S_NEEDS | SCOPE_STRATEGY | SCOPE_MATRIX)
#define S_RUNNER_NO_SECRETS \
	(S_MATRIX | SCOPE_STEPS | SCOPE_JOB | SCOPE_RUNNER | SCOPE_ENV)
#define S_RUNNER (S_RUNNER_NO_SECRETS | SCOPE_SECRETS)
#define S_STEP	 (S_RUNNER | SCOPE_FN_HASHFILES)

/* ---- plain ------------------------------------------------------------------------ */

static const struct schema_def any = { .kinds = KIND_ANY };
static const struct schema_def any_list = { .kinds = KIND_SEQ };
static const struct schema_def string = { .kinds = KIND_STRING };
static const struct schema_def text = { .kinds = KIND_STRING, .flags = SCHEMA_NON_EMPTY };
static const struct schema_def boolean = { .kinds = KIND_BOOL };
static const struct schema_def number = { .kinds = KIND_NUMBER };
static const struct schema_def texts = { .kinds = KIND_SEQ, .item = &text };
static const struct schema_def text_or_texts = { .kinds = KIND_STRING | KIND_SEQ,
	.flags = SCHEMA_NON_EMPTY, .item = &text };
static const struct schema_def scalar = { .kinds = SCALAR };

static const struct schema_def string_matrix = { .kinds = KIND_STRING, SCOPED(S_MATRIX) };
static const struct schema_def number_matrix = { .kinds = KIND_NUMBER, SCOPED(S_MATRIX) };
static const struct schema_def boolean_matrix = { .kinds = KIND_BOOL, SCOPED(S_MATRIX) };
static const struct schema_def string_runner = { .kinds = KIND_STRING, SCOPED(S_RUNNER) };
static const struct schema_def string_runner_no_secrets = { .kinds = KIND_STRING,
	SCOPED(S_RUNNER_NO_SECRETS) };
static const struct schema_def string_step = { .kinds = KIND_STRING, SCOPED(S_STEP) };
static const struct schema_def number_step = { .kinds = KIND_NUMBER, SCOPED(S_STEP) };
static const struct schema_def boolean_step = { .kinds = KIND_BOOL, SCOPED(S_STEP) };

/* ---- on: -------------------------------------------------------------------------- */

/* An event whose configuration is `types` from a closed list. */
#define EVENT_TYPES(id, ...)                                                         \
	LIST(id##_values, __VA_ARGS__);                                              \
	static const struct schema_def id##_item = { .kinds = KIND_STRING,           \
		.values = id##_values };                                             \
	static const struct schema_def id##_types = { .kinds = KIND_STRING | KIND_SEQ, \
		.values = id##_values, .item = &id##_item }
#define EVENT(id, ...)                                                    \
	EVENT_TYPES(id, __VA_ARGS__);                                     \
	static const struct schema_prop id##_props[] = {                  \
		{ "types", &id##_types, false, "activity types" }, END    \
	};                                                                \
	static const struct schema_def id = { .kinds = KIND_NULL | KIND_MAP, \
		.flags = SCHEMA_NAMED, .noun = "event", .props = id##_props }

static const struct schema_def bare_event = { .kinds = KIND_NULL,
	.flags = SCHEMA_NAMED, .noun = "event" };

#define P_BRANCHES                                                             \
	{ "branches", &text_or_texts, false, "run only for these branches" },  \
	{ "branches-ignore", &text_or_texts, false, "run for all but these branches" }
#define P_TAGS                                                          \
	{ "tags", &text_or_texts, false, "run only for these tags" },   \
	{ "tags-ignore", &text_or_texts, false, "run for all but these tags" }
#define P_PATHS                                                                          \
	{ "paths", &text_or_texts, false, "run only when one of these paths changed" },  \
	{ "paths-ignore", &text_or_texts, false, "run unless only these paths changed" }

EVENT(branch_protection_rule, "created", "edited", "deleted");
EVENT(check_run, "created", "rerequested", "completed", "requested_action");
EVENT(check_suite, "completed", "requested", "rerequested");
EVENT(discussion, "created", "edited", "deleted", "transferred", "pinned", "unpinned",
	"labeled", "unlabeled", "locked", "unlocked", "category_changed", "answered",
	"unanswered");
EVENT(comment, "created", "edited", "deleted");
EVENT(issues, "opened", "edited", "deleted", "transferred", "pinned", "unpinned", "closed",
	"reopened", "assigned", "unassigned", "labeled", "unlabeled", "locked", "unlocked",
	"milestoned", "demilestoned", "typed", "untyped");
EVENT(label, "created", "edited", "deleted");
EVENT(milestone, "created", "closed", "opened", "edited", "deleted");
EVENT(project, "created", "closed", "reopened", "edited", "deleted");
EVENT(project_card, "created", "moved", "converted", "edited", "deleted");
EVENT(project_column, "created", "updated", "moved", "deleted");
EVENT(pull_request_review, "submitted", "edited", "dismissed");
EVENT(registry_package, "published", "updated");
EVENT(release, "published", "unpublished", "created", "edited", "deleted", "prereleased",
	"released");
EVENT(watch, "started");

EVENT_TYPES(image_version, "created", "ready", "deleted");
static const struct schema_prop image_version_props[] = {
	{ "types", &image_version_types, false, "activity types" },
	{ "names", &text_or_texts, false, "names of images, with patterns" },
	{ "versions", &text_or_texts, false, "versions of images, with patterns" },
	END
};
static const struct schema_def image_version = { .kinds = KIND_NULL | KIND_MAP,
	.flags = SCHEMA_NAMED, .noun = "event", .props = image_version_props };

EVENT_TYPES(merge_group, "checks_requested", "destroyed");
static const struct schema_prop merge_group_props[] = {
	{ "types", &merge_group_types, false, "activity types" }, P_BRANCHES, END
};
static const struct schema_def merge_group = { .kinds = KIND_NULL | KIND_MAP,
	.flags = SCHEMA_NAMED, .noun = "event", .props = merge_group_props };

EVENT_TYPES(pull_request, "assigned", "unassigned", "labeled", "unlabeled", "opened",
	"edited", "closed", "reopened", "synchronize", "converted_to_draft", "locked",
	"unlocked", "enqueued", "dequeued", "milestoned", "demilestoned", "ready_for_review",
	"review_requested", "review_request_removed", "auto_merge_enabled",
	"auto_merge_disabled");
static const struct schema_prop pull_request_props[] = {
	{ "types", &pull_request_types, false,
		"activity types; default: opened, synchronize, reopened" },
	P_BRANCHES, P_PATHS, END
};
static const struct schema_def pull_request = { .kinds = KIND_NULL | KIND_MAP,
	.flags = SCHEMA_NAMED, .noun = "event", .props = pull_request_props };

static const struct schema_prop push_props[] = { P_BRANCHES, P_TAGS, P_PATHS, END };
static const struct schema_def push = { .kinds = KIND_NULL | KIND_MAP,
	.flags = SCHEMA_NAMED, .noun = "event", .props = push_props };

static const struct schema_prop repository_dispatch_props[] = {
	{ "types", &text_or_texts, false, "names the sender may give" }, END
};
static const struct schema_def repository_dispatch = { .kinds = KIND_NULL | KIND_MAP,
	.flags = SCHEMA_NAMED, .noun = "event", .props = repository_dispatch_props };

EVENT_TYPES(workflow_run, "completed", "requested", "in_progress");
static const struct schema_prop workflow_run_props[] = {
	{ "workflows", &text_or_texts, false, "names of the workflows awaited" },
	{ "types", &workflow_run_types, false, "activity types" },
	P_BRANCHES, END
};
static const struct schema_def workflow_run = { .kinds = KIND_NULL | KIND_MAP,
	.flags = SCHEMA_NAMED, .noun = "event", .props = workflow_run_props };

static const struct schema_prop cron_props[] = {
	{ "cron", &text, true, "five fields: minute hour day month weekday" },
	{ "timezone", &text, false, "IANA name of the zone the fields are in; default UTC" },
	END
};
static const struct schema_def cron_item = { .kinds = KIND_MAP, .noun = "schedule",
	.props = cron_props };
static const struct schema_def schedule = { .kinds = KIND_SEQ,
	.flags = SCHEMA_NAMED, .noun = "event", .item = &cron_item };

LIST(call_input_types, "boolean", "number", "string");
static const struct schema_def call_input_type = { .kinds = KIND_STRING,
	.values = call_input_types };
static const struct schema_def call_default = { .kinds = SCALAR, SCOPED(S_RUN) };
static const struct schema_prop call_input_props[] = {
	{ "description", &string, false, "for people" },
	{ "type", &call_input_type, true, "boolean, number or string" },
	{ "required", &boolean, false, "the caller must give it" },
	{ "default", &call_default, false, "else false, 0 or ''" },
	END
};
static const struct schema_def call_input = { .kinds = KIND_MAP, .flags = SCHEMA_NAMED,
	.noun = "input", .props = call_input_props };
static const struct schema_def call_inputs = { .kinds = KIND_MAP, .value = &call_input };
static const struct schema_prop call_secret_props[] = {
	{ "description", &string, false, "for people" },
	{ "required", &boolean, false, "the caller must give it" }, END
};
static const struct schema_def call_secret = { .kinds = KIND_NULL | KIND_MAP,
	.flags = SCHEMA_NAMED, .noun = "secret", .props = call_secret_props };
static const struct schema_def call_secrets = { .kinds = KIND_MAP, .value = &call_secret };
static const struct schema_def call_output_value = { .kinds = KIND_STRING,
	SCOPED(S_RUN | SCOPE_JOBS) };
static const struct schema_prop call_output_props[] = {
	{ "description", &string, false, "for people" },
	{ "value", &call_output_value, true, "an output of a job of this workflow" }, END
};
static const struct schema_def call_output = { .kinds = KIND_MAP, .flags = SCHEMA_NAMED,
	.noun = "output", .props = call_output_props };
static const struct schema_def call_outputs = { .kinds = KIND_MAP, .value = &call_output };
static const struct schema_prop workflow_call_props[] = {
	{ "inputs", &call_inputs, false, "what a caller passes by 'with'" },
	{ "secrets", &call_secrets, false, "what a caller passes by 'secrets'" },
	{ "outputs", &call_outputs, false, "what a caller reads by 'needs'" }, END
};
static const struct schema_def workflow_call = { .kinds = KIND_NULL | KIND_MAP,
	.flags = SCHEMA_NAMED, .noun = "event", .props = workflow_call_props };

LIST(dispatch_input_types, "boolean", "choice", "environment", "number", "string");
static const struct schema_def dispatch_input_type = { .kinds = KIND_STRING,
	.values = dispatch_input_types };
static const struct schema_prop dispatch_input_props[] = {
	{ "description", &string, false, "for people" },
	{ "type", &dispatch_input_type, false,
		"boolean, choice, environment, number or string (default)" },
	{ "required", &boolean, false, "the sender must give it" },
	{ "default", &scalar, false, "when the sender gives none" },
	{ "options", &texts, false, "of a choice: what may be chosen" },
	{ "deprecationMessage", &string, false, "shown when it is used" }, END
};
static const struct schema_def dispatch_input = { .kinds = KIND_NULL | KIND_MAP,
	.flags = SCHEMA_NAMED, .noun = "input", .props = dispatch_input_props };
static const struct schema_def dispatch_inputs = { .kinds = KIND_NULL | KIND_MAP,
	.value = &dispatch_input };
static const struct schema_prop workflow_dispatch_props[] = {
	{ "inputs", &dispatch_inputs, false, "what is asked for when started by hand" }, END
};
static const struct schema_def workflow_dispatch = { .kinds = KIND_NULL | KIND_MAP,
	.flags = SCHEMA_NAMED, .noun = "event", .props = workflow_dispatch_props };

#define EVENTS(X)                                                            \
	X("branch_protection_rule", branch_protection_rule)                  \
	X("check_run", check_run)                                            \
	X("check_suite", check_suite)                                        \
	X("create", bare_event)                                              \
	X("delete", bare_event)                                              \
	X("deployment", bare_event)                                          \
	X("deployment_status", bare_event)                                   \
	X("discussion", discussion)                                          \
	X("discussion_comment", comment)                                     \
	X("fork", bare_event)                                                \
	X("gollum", bare_event)                                              \
	X("image_version", image_version)                                    \
	X("issue_comment", comment)                                          \
	X("issues", issues)                                                  \
	X("label", label)                                                    \
	X("merge_group", merge_group)                                        \
	X("milestone", milestone)                                            \
	X("page_build", bare_event)                                          \
	X("project", project)                                                \
	X("project_card", project_card)                                      \
	X("project_column", project_column)                                  \
	X("public", bare_event)                                              \
	X("pull_request", pull_request)                                      \
	X("pull_request_comment", comment)                                   \
	X("pull_request_review", pull_request_review)                        \
	X("pull_request_review_comment", comment)                            \
	X("pull_request_target", pull_request)                               \
	X("push", push)                                                      \
	X("registry_package", registry_package)                              \
	X("release", release)                                                \
	X("repository_dispatch", repository_dispatch)                        \
	X("schedule", schedule)                                              \
	X("status", bare_event)                                              \
	X("watch", watch)                                                    \
	X("workflow_call", workflow_call)                                    \
	X("workflow_dispatch", workflow_dispatch)                            \
	X("workflow_run", workflow_run)

#define EVENT_NAME(name, def) name,
#define EVENT_PROP(name, def) { name, &def, false, "" },
const char *const schema_event_names[] = { EVENTS(EVENT_NAME) NULL };
static const struct schema_prop on_props[] = { EVENTS(EVENT_PROP) END };
static const struct schema_def on_item = { .kinds = KIND_STRING,
	.values = schema_event_names };
static const struct schema_def on = { .kinds = KIND_STRING | KIND_SEQ | KIND_MAP,
	.values = schema_event_names, .item = &on_item, .props = on_props };

/* ---- permissions ------------------------------------------------------------------ */

LIST(levels, "read", "write", "none");
LIST(levels_write, "write", "none");
LIST(levels_read, "read", "none");
LIST(levels_all, "read-all", "write-all");
static const struct schema_def level = { .kinds = KIND_STRING, .values = levels };
static const struct schema_def level_write = { .kinds = KIND_STRING,
	.values = levels_write };
static const struct schema_def level_read = { .kinds = KIND_STRING, .values = levels_read };
static const struct schema_prop permission_props[] = {
	{ "actions", &level, false, "runs and artifacts" },
	{ "artifact-metadata", &level, false, "records about artifacts" },
	{ "attestations", &level, false, "artifact attestations" },
	{ "checks", &level, false, "check runs and suites" },
	{ "contents", &level, false, "the repository's content, releases" },
	{ "deployments", &level, false, "deployments and their states" },
	{ "discussions", &level, false, "discussions" },
	{ "id-token", &level_write, false, "OpenID Connect tokens" },
	{ "issues", &level, false, "issues" },
	{ "models", &level_read, false, "GitHub Models" },
	{ "packages", &level, false, "packages" },
	{ "pages", &level, false, "Pages" },
	{ "pull-requests", &level, false, "pull requests" },
	{ "repository-projects", &level, false, "classic projects" },
	{ "security-events", &level, false, "code scanning" },
	{ "statuses", &level, false, "commit statuses" },
	END
};
static const struct schema_def permissions = { .kinds = KIND_STRING | KIND_MAP,
	.values = levels_all, .props = permission_props };

/* ---- shared by workflow and job --------------------------------------------------- */

static const struct schema_def workflow_env = { .kinds = KIND_MAP,
	SCOPED(S_RUN | SCOPE_SECRETS), .value = &string };
static const struct schema_def job_env = { .kinds = KIND_MAP,
	SCOPED(S_MATRIX | SCOPE_SECRETS), .value = &string };
static const struct schema_def step_env = { .kinds = KIND_MAP, SCOPED(S_STEP),
	.value = &string };

static const struct schema_prop defaults_run_props[] = {
	{ "shell", &text, false, "shell of 'run' steps" },
	{ "working-directory", &text, false, "working directory of 'run' steps" }, END
};
static const struct schema_def workflow_defaults_run = { .kinds = KIND_MAP,
	.props = defaults_run_props };
static const struct schema_def job_defaults_run = { .kinds = KIND_MAP,
	SCOPED(S_MATRIX | SCOPE_ENV), .props = defaults_run_props };
static const struct schema_prop workflow_defaults_props[] = {
	{ "run", &workflow_defaults_run, false, "for 'run' steps" }, END
};
static const struct schema_prop job_defaults_props[] = {
	{ "run", &job_defaults_run, false, "for 'run' steps" }, END
};
static const struct schema_def workflow_defaults = { .kinds = KIND_MAP,
	.props = workflow_defaults_props };
static const struct schema_def job_defaults = { .kinds = KIND_MAP,
	.props = job_defaults_props };

LIST(queues, "single", "max");
static const struct schema_def queue = { .kinds = KIND_STRING, .values = queues };
static const struct schema_prop concurrency_props[] = {
	{ "group", &text, true, "runs or jobs of one group exclude each other" },
	{ "cancel-in-progress", &boolean, false, "a new one cancels the running one" },
	{ "queue", &queue, false, "single (default): one waits, a newer one replaces it; "
				  "max: all wait" },
	END
};
static const struct schema_def workflow_concurrency = { .kinds = KIND_STRING | KIND_MAP,
	SCOPED(S_RUN), .props = concurrency_props };
static const struct schema_def job_concurrency = { .kinds = KIND_STRING | KIND_MAP,
	.flags = SCHEMA_SCOPE | SCHEMA_NON_EMPTY, .scope = S_MATRIX,
	.props = concurrency_props };

/* ---- jobs ------------------------------------------------------------------------- */

static const struct schema_def job_if = { .kinds = KIND_STRING,
	.flags = SCHEMA_SCOPE | SCHEMA_EXPRESSION, .scope = S_NEEDS | SCOPE_FN_JOB_STATUS };

static const struct schema_def matrix_filter_item = { .kinds = KIND_MAP, .value = &any };
static const struct schema_def matrix_filter = { .kinds = KIND_SEQ,
	.item = &matrix_filter_item };
static const struct schema_prop matrix_props[] = {
	{ "include", &matrix_filter, false, "rows added, or values added to rows" },
	{ "exclude", &matrix_filter, false, "rows left out" }, END
};
static const struct schema_def matrix = { .kinds = KIND_MAP, .props = matrix_props,
	.value = &any_list };
static const struct schema_prop strategy_props[] = {
	{ "matrix", &matrix, false, "one row of the job for each combination" },
	{ "fail-fast", &boolean, false, "a failing row cancels the others; default true" },
	{ "max-parallel", &number, false, "rows that run at the same time" }, END
};
static const struct schema_def strategy = { .kinds = KIND_MAP, SCOPED(S_NEEDS),
	.props = strategy_props };

static const struct schema_prop runs_on_props[] = {
	{ "group", &text, false, "a group of runners" },
	{ "labels", &text_or_texts, false, "labels the runner must have" }, END
};
static const struct schema_def runs_on = { .kinds = KIND_STRING | KIND_SEQ | KIND_MAP,
	.flags = SCHEMA_SCOPE | SCHEMA_NON_EMPTY, .scope = S_MATRIX, .item = &text,
	.props = runs_on_props };

static const struct schema_def snapshot_if = { .kinds = KIND_STRING,
	.flags = SCHEMA_SCOPE | SCHEMA_EXPRESSION, .scope = S_MATRIX };
static const struct schema_prop snapshot_props[] = {
	{ "image-name", &text, true, "name of the image made" },
	{ "if", &snapshot_if, false, "condition" },
	{ "version", &text, false, "version pattern, as 1.*" }, END
};
static const struct schema_def snapshot = { .kinds = KIND_STRING | KIND_MAP,
	.flags = SCHEMA_SCOPE | SCHEMA_NON_EMPTY, .scope = S_MATRIX,
	.props = snapshot_props };

static const struct schema_prop environment_props[] = {
	{ "name", &string_matrix, true, "name of the environment" },
	{ "url", &string_runner_no_secrets, false, "address shown with the deployment" },
	{ "deployment", &boolean_matrix, false,
		"false: use the environment without making a deployment" },
	END
};
static const struct schema_def environment = { .kinds = KIND_STRING | KIND_MAP,
	SCOPED(S_MATRIX), .props = environment_props };

static const struct schema_prop credentials_props[] = {
	{ "username", &text, false, "user of the registry" },
	{ "password", &text, false, "its password" }, END
};
static const struct schema_def credentials = { .kinds = KIND_MAP,
	SCOPED(S_RUN | SCOPE_SECRETS | SCOPE_ENV), .props = credentials_props };
static const struct schema_def container_env = { .kinds = KIND_MAP,
	.value = &string_runner };
#define P_CONTAINER                                                    \
	{ "image", &string, false, "image the container is made of" }, \
	{ "credentials", &credentials, false, "of the registry" },     \
	{ "env", &container_env, false, "environment variables" },     \
	{ "ports", &texts, false, "ports to expose" },                 \
	{ "volumes", &texts, false, "volumes to mount" },              \
	{ "options", &string, false, "further options of 'docker create'" }
static const struct schema_prop container_props[] = { P_CONTAINER, END };
static const struct schema_def container = { .kinds = KIND_STRING | KIND_MAP,
	SCOPED(S_MATRIX), .props = container_props };
static const struct schema_prop service_props[] = {
	P_CONTAINER,
	{ "entrypoint", &string, false, "replaces the image's ENTRYPOINT" },
	{ "command", &string, false, "replaces the image's CMD" }, END
};
static const struct schema_def service = { .kinds = KIND_STRING | KIND_MAP,
	.flags = SCHEMA_SCOPE | SCHEMA_NAMED, .scope = S_MATRIX, .noun = "service",
	.props = service_props };
static const struct schema_def services = { .kinds = KIND_MAP, SCOPED(S_MATRIX),
	.value = &service };

static const struct schema_def job_outputs = { .kinds = KIND_MAP, .value = &string_runner };

/* ---- steps ------------------------------------------------------------------------ */

static const struct schema_def step_if = { .kinds = KIND_STRING,
	.flags = SCHEMA_SCOPE | SCHEMA_EXPRESSION,
	.scope = S_RUNNER_NO_SECRETS | SCOPE_FN_STATUS | SCOPE_FN_HASHFILES };
static const struct schema_def step_with = { .kinds = KIND_MAP, SCOPED(S_STEP),
	.value = &string };
static const struct schema_def wait_all = { .kinds = KIND_NULL | KIND_BOOL };

#define P_STEP                                                                           \
	{ "name", &string_step, false, "shown instead of the command" },                 \
	{ "id", &text, false, "name for the 'steps' context" },                          \
	{ "if", &step_if, false, "condition; without a status function success() && is " \
				 "put before it" },                                      \
	{ "continue-on-error", &boolean_step, false, "a failure does not fail the job" }
#define P_WORK                                                                           \
	P_STEP,                                                                          \
	{ "timeout-minutes", &number_step, false, "then the step fails" },               \
	{ "env", &step_env, false, "environment variables of this step" },               \
	{ "background", &boolean, false, "the next step does not wait for this one" }

static const struct schema_prop run_props[] = {
	P_WORK,
	{ "run", &string_step, true, "script for the shell" },
	{ "shell", &text, false, "bash, sh, python, pwsh or a command with {0}" },
	{ "working-directory", &string_step, false, "where the script runs" }, END
};
static const struct schema_def run_step = { .kinds = KIND_MAP, .props = run_props };
static const struct schema_prop uses_props[] = {
	P_WORK,
	{ "uses", &text, true, "action: owner/repo[/path]@ref, ./path, docker://image" },
	{ "with", &step_with, false, "inputs of the action" }, END
};
static const struct schema_def uses_step = { .kinds = KIND_MAP, .props = uses_props };
static const struct schema_prop wait_props[] = {
	P_STEP, { "wait", &text_or_texts, true, "ids of background steps to wait for" }, END
};
static const struct schema_def wait_step = { .kinds = KIND_MAP, .props = wait_props };
static const struct schema_prop wait_all_props[] = {
	P_STEP, { "wait-all", &wait_all, true, "wait for all background steps" }, END
};
static const struct schema_def wait_all_step = { .kinds = KIND_MAP,
	.props = wait_all_props };
static const struct schema_prop cancel_props[] = {
	P_STEP, { "cancel", &text, true, "id of a background step to cancel" }, END
};
static const struct schema_def cancel_step = { .kinds = KIND_MAP, .props = cancel_props };

static const struct schema_def *const member_variants[] = { &run_step, &uses_step, NULL };
static const struct schema_def parallel_member = { .kinds = KIND_MAP, .noun = "step",
	.variants = member_variants, .one_of = "'run' or 'uses'" };
static const struct schema_def parallel_list = { .kinds = KIND_SEQ,
	.item = &parallel_member };
static const struct schema_prop parallel_props[] = {
	P_STEP, { "parallel", &parallel_list, true, "steps that run at the same time" }, END
};
static const struct schema_def parallel_step = { .kinds = KIND_MAP,
	.props = parallel_props };

static const struct schema_def *const step_variants[] = { &run_step, &uses_step,
	&wait_step, &wait_all_step, &cancel_step, &parallel_step, NULL };
const struct schema_def schema_step = { .kinds = KIND_MAP, .noun = "step",
	.variants = step_variants,
	.one_of = "'run', 'uses', 'wait', 'wait-all', 'cancel' or 'parallel'" };
static const struct schema_def steps = { .kinds = KIND_SEQ, .item = &schema_step };

/* ---- a job, of either kind -------------------------------------------------------- */

#define P_JOB                                                                          \
	{ "name", &string_matrix, false, "shown instead of the id" },                  \
	{ "needs", &text_or_texts, false, "jobs that must have succeeded before" },    \
	{ "if", &job_if, false, "condition, looked at once, before the matrix" },      \
	{ "permissions", &permissions, false, "what the job's token may do" },         \
	{ "concurrency", &job_concurrency, false, "one at a time" },                   \
	{ "strategy", &strategy, false, "the same job for several values" }

static const struct schema_prop job_props[] = {
	P_JOB,
	{ "runs-on", &runs_on, true, "labels of the machine" },
	{ "timeout-minutes", &number_matrix, false, "then the job is cancelled; default 360" },
	{ "cancel-timeout-minutes", &number_matrix, false,
		"how long cancelling may take; default 5" },
	{ "continue-on-error", &boolean_matrix, false, "a failure does not fail the run" },
	{ "container", &container, false, "run the steps in this container" },
	{ "services", &services, false, "containers beside the job" },
	{ "env", &job_env, false, "environment variables of all steps" },
	{ "environment", &environment, false, "environment deployed to: gate, secrets" },
	{ "outputs", &job_outputs, false, "values for jobs that need this one" },
	{ "defaults", &job_defaults, false, "for all steps of this job" },
	{ "steps", &steps, false, "what the job does" },
	{ "snapshot", &snapshot, false, "make an image of the runner afterwards" },
	END
};
static const struct schema_def normal_job = { .kinds = KIND_MAP, .props = job_props };

static const struct schema_def call_with_value = { .kinds = SCALAR, SCOPED(S_MATRIX) };
static const struct schema_def call_with = { .kinds = KIND_MAP, .value = &call_with_value };
static const struct schema_def call_secret_value = { .kinds = SCALAR,
	SCOPED(S_MATRIX | SCOPE_SECRETS) };
LIST(inherit, "inherit");
static const struct schema_def job_secrets = { .kinds = KIND_STRING | KIND_MAP,
	.values = inherit, .value = &call_secret_value };
/* GitHub takes no expression here; planning says so, and lint leaves it, as actionlint. */
static const struct schema_def call_uses = { .kinds = KIND_STRING,
	.flags = SCHEMA_SCOPE | SCHEMA_NON_EMPTY, .scope = S_RUN };
static const struct schema_prop call_props[] = {
	P_JOB,
	{ "uses", &call_uses, true, "workflow called: ./path or owner/repo/path@ref" },
	{ "with", &call_with, false, "inputs of the called workflow" },
	{ "secrets", &job_secrets, false, "secrets passed on: 'inherit' or a mapping" }, END
};
static const struct schema_def call_job = { .kinds = KIND_MAP, .props = call_props };

static const struct schema_def *const job_variants[] = { &normal_job, &call_job, NULL };
const struct schema_def schema_job = { .kinds = KIND_MAP, .flags = SCHEMA_NAMED,
	.noun = "job", .variants = job_variants, .one_of = "'runs-on' or 'uses'" };
static const struct schema_def jobs = { .kinds = KIND_MAP, .value = &schema_job };

static const struct schema_def run_name = { .kinds = KIND_STRING, SCOPED(S_RUN) };
static const struct schema_prop workflow_props[] = {
	{ "name", &string, false, "name of the workflow" },
	{ "description", &string, false, "for people" },
	{ "run-name", &run_name, false, "name of each run" },
	{ "on", &on, true, "what starts it" },
	{ "permissions", &permissions, false, "what the token of all jobs may do" },
	{ "env", &workflow_env, false, "environment variables of all steps" },
	{ "defaults", &workflow_defaults, false, "for all steps" },
	{ "concurrency", &workflow_concurrency, false, "one run at a time" },
	{ "jobs", &jobs, true, "what is to be done" },
	END
};
const struct schema_def schema_workflow = { .kinds = KIND_MAP, .noun = "workflow",
	.props = workflow_props };

/* ---- action.yml ------------------------------------------------------------------- */

#define S_ACTION_INPUT \
	(SCOPE_GITHUB | SCOPE_STRATEGY | SCOPE_MATRIX | SCOPE_JOB | SCOPE_RUNNER | \
		SCOPE_FN_HASHFILES)
#define S_COMPOSITE                                                                 \
	(SCOPE_GITHUB | SCOPE_INPUTS | SCOPE_STRATEGY | SCOPE_MATRIX | SCOPE_STEPS | \
		SCOPE_JOB | SCOPE_RUNNER | SCOPE_ENV | SCOPE_FN_HASHFILES)
#define S_ACTION_IF (S_COMPOSITE | SCOPE_FN_STATUS)

static const struct schema_def action_default = { .kinds = KIND_STRING,
	SCOPED(S_ACTION_INPUT) };
static const struct schema_prop action_input_props[] = {
	{ "description", &string, false, "for people" },
	{ "required", &scalar, false, "the user must give it" },
	{ "default", &action_default, false, "when it is not given" },
	{ "deprecationMessage", &string, false, "shown when it is used" },
	{ "type", &string, false, "not looked at: inputs are strings" }, END
};
static const struct schema_def action_input = { .kinds = KIND_NULL | KIND_MAP,
	.flags = SCHEMA_NAMED, .noun = "input", .props = action_input_props, .value = &any };
static const struct schema_def action_inputs = { .kinds = KIND_NULL | KIND_MAP,
	.value = &action_input };
static const struct schema_def action_output_value = { .kinds = KIND_STRING,
	SCOPED(S_COMPOSITE) };
static const struct schema_prop action_output_props[] = {
	{ "description", &string, false, "for people" },
	{ "value", &action_output_value, false, "of a composite: an expression" }, END
};
static const struct schema_def action_output = { .kinds = KIND_NULL | KIND_MAP,
	.flags = SCHEMA_NAMED, .noun = "output", .props = action_output_props,
	.value = &any };
static const struct schema_def action_outputs = { .kinds = KIND_NULL | KIND_MAP,
	.value = &action_output };

static const struct schema_def c_string = { .kinds = KIND_STRING, SCOPED(S_COMPOSITE) };
static const struct schema_def c_shell = { .kinds = KIND_STRING,
	.flags = SCHEMA_SCOPE | SCHEMA_NON_EMPTY, .scope = S_COMPOSITE };
static const struct schema_def c_boolean = { .kinds = KIND_BOOL, SCOPED(S_COMPOSITE) };
static const struct schema_def c_map = { .kinds = KIND_MAP, SCOPED(S_COMPOSITE),
	.value = &string };
static const struct schema_def c_if = { .kinds = KIND_STRING,
	.flags = SCHEMA_SCOPE | SCHEMA_EXPRESSION, .scope = S_ACTION_IF };
#define P_COMPOSITE                                                       \
	{ "name", &c_string, false, "shown instead of the command" },     \
	{ "id", &text, false, "name for the 'steps' context" },           \
	{ "if", &c_if, false, "condition" },                              \
	{ "env", &c_map, false, "environment variables of this step" },   \
	{ "continue-on-error", &c_boolean, false, "a failure does not fail the action" }
static const struct schema_prop c_run_props[] = {
	P_COMPOSITE,
	{ "run", &c_string, true, "script for the shell" },
	{ "shell", &c_shell, true, "required here" },
	{ "working-directory", &c_string, false, "where the script runs" }, END
};
static const struct schema_def c_run = { .kinds = KIND_MAP, .props = c_run_props };
static const struct schema_prop c_uses_props[] = {
	P_COMPOSITE,
	{ "uses", &text, true, "action" },
	{ "with", &c_map, false, "inputs of the action" }, END
};
static const struct schema_def c_uses = { .kinds = KIND_MAP, .props = c_uses_props };
static const struct schema_def *const c_variants[] = { &c_run, &c_uses, NULL };
static const struct schema_def c_step = { .kinds = KIND_MAP, .noun = "step",
	.variants = c_variants, .one_of = "'run' or 'uses'" };
static const struct schema_def c_steps = { .kinds = KIND_SEQ, .item = &c_step };

static const struct schema_def action_if = { .kinds = KIND_STRING,
	.flags = SCHEMA_SCOPE | SCHEMA_EXPRESSION, .scope = S_ACTION_IF };
static const struct schema_def docker_args = { .kinds = KIND_SEQ,
	SCOPED(SCOPE_INPUTS | SCOPE_GITHUB | SCOPE_STRATEGY | SCOPE_MATRIX | SCOPE_JOB |
		SCOPE_RUNNER | SCOPE_ENV), .item = &string };
static const struct schema_def docker_env = { .kinds = KIND_MAP, SCOPED(SCOPE_INPUTS),
	.value = &string };
/* Which keys belong to which `using` is said by action.c, in words a table cannot. */
static const struct schema_prop runs_props[] = {
	{ "using", &text, true, "composite, node20, node24 or docker" },
	{ "steps", &c_steps, false, "composite: the steps" },
	{ "main", &text, false, "node: file run" },
	{ "pre", &text, false, "node: file run before all steps" },
	{ "pre-if", &action_if, false, "condition of 'pre'; default always()" },
	{ "post", &text, false, "node: file run after all steps" },
	{ "post-if", &action_if, false, "condition of 'post'; default always()" },
	{ "image", &text, false, "docker: Dockerfile or docker://image" },
	{ "entrypoint", &text, false, "docker: replaces ENTRYPOINT" },
	{ "pre-entrypoint", &text, false, "docker: run before" },
	{ "post-entrypoint", &text, false, "docker: run after" },
	{ "args", &docker_args, false, "docker: arguments" },
	{ "env", &docker_env, false, "docker: environment variables" },
	{ "plugin", &text, false, "built in to the runner" },
	END
};
static const struct schema_def runs = { .kinds = KIND_MAP, .props = runs_props };
static const struct schema_prop branding_props[] = {
	{ "icon", &string, false, "Feather icon" }, { "color", &string, false, "colour" },
	END
};
static const struct schema_def branding = { .kinds = KIND_NULL | KIND_MAP,
	.props = branding_props, .value = &any };
static const struct schema_prop action_props[] = {
	{ "name", &string, false, "name of the action" },
	{ "author", &string, false, "for people" },
	{ "description", &string, false, "for people" },
	{ "inputs", &action_inputs, false, "what 'with' may give" },
	{ "outputs", &action_outputs, false, "what later steps may read" },
	{ "runs", &runs, true, "how it runs" },
	{ "branding", &branding, false, "look in the marketplace" },
	END
};
/* The runner takes any further key at the top. */
const struct schema_def schema_action = { .kinds = KIND_MAP, .noun = "action",
	.props = action_props, .value = &any };
