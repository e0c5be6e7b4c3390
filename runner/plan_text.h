/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as a person reads it: `plan` and `run --list`. */
#ifndef RUNNER_PLAN_TEXT_H
#define RUNNER_PLAN_TEXT_H

#include <stdio.h>

#include "base/json.h"

/* LISTED is plan_list's answer for PLAN. */
void plan_print(const struct json *plan, const struct json *listed, FILE *f);

#endif
