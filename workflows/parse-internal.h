/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the parts of the parser. */
#ifndef WORKFLOWS_PARSE_INTERNAL_H
#define WORKFLOWS_PARSE_INTERNAL_H

#include "workflows/workflow.h"

struct parser {
	struct workflow *w;
	struct arena *arena;
	struct diagnostics *diags;
};

struct diag *parse_error(struct parser *p, struct mark mark, const char *code,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

void parse_on(struct parser *p);
void parse_jobs(struct parser *p);
void parse_steps(struct parser *p, struct job *job);
void parse_strategy(struct parser *p, const struct yaml_node *strategy);
/* The strings of a scalar or sequence, NULL-ended, in the arena; NULL for NULL. */
const char *const *parse_strings(struct parser *p, const struct yaml_node *n);
bool has_template(const struct yaml_node *scalar); /* it holds `${{` */
bool has_template_below(const struct yaml_node *n);

#endif
