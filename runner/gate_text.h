/* SPDX-License-Identifier: Apache-2.0 */
/* A gate in words, for the terminal: what would be deployed, and what became of the vote. */
#ifndef RUNNER_GATE_TEXT_H
#define RUNNER_GATE_TEXT_H

#include <stdio.h>

#include "base/json.h"

/*
 * GATE as gate.show gives it, CHANGES as gate.changes does (NULL: WHY says why there are none),
 * URL of the server or NULL. What is deployed is never cut short; what forges and workflow files
 * say is shown, never obeyed.
 */
void gate_describe(FILE *f, const struct json *gate, const struct json *changes,
	const char *why, const char *url);
/* One line: DECISION ("approve", "reject") was taken, and what that means. GATE is of after it. */
void gate_decided(FILE *f, const struct json *gate, const char *decision);

#endif
