/* SPDX-License-Identifier: Apache-2.0 */
/* What each cmd_VERB.c offers to the table of verbs in main.c. */
#ifndef RUNNER_CMD_H
#define RUNNER_CMD_H

#include "runner/cli.h"

/* Verbs that read their own argv, argv[0] being the verb. */
int cmd_eval(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_lint(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_web(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_hook(int argc, char **argv);

/* Verbs that are tables. */
extern const struct cli_verb verb_config;
extern const struct cli_verb verb_serve, verb_spawner, verb_checkpointer;
extern const struct cli_verb verb_lint;
extern const struct cli_verb verb_plan;
extern const struct cli_verb verb_help;
extern const struct cli_verb verb_version;
extern const struct cli_verb verb_completion;
extern const struct cli_verb verb_runs, verb_status, verb_deployments, verb_audit;
extern const struct cli_verb verb_logs, verb_explain;
extern const struct cli_verb verb_cancel, verb_rerun, verb_dispatch;
extern const struct cli_verb verb_approve, verb_reject, verb_pause, verb_resume;
extern const struct cli_verb verb_repo, verb_secret, verb_var, verb_token, verb_key;
extern const struct cli_verb verb_network, verb_image;
extern const struct cli_verb verb_shell, verb_gc;
extern const struct cli_verb verb_environments, verb_check, verb_doctor, verb_run;

#endif
