/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names without case and what they stand for: a table for lists that a stranger makes long
 * (inputs, outputs, jobs), where a walk for each name would cost the square. It lives in an
 * arena. Where a name lies depends on an address, so that no file can be written whose
 * names all fall into one place; what is found does not.
 */
#ifndef WORKFLOWS_NAMES_H
#define WORKFLOWS_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"

struct names;

#define NAMES_NONE ((size_t)-1)

struct names *names_new(struct arena *a, size_t max); /* room for MAX names */
/* NAME is lent. False, and nothing changes, when it is there already. */
bool names_add(struct names *n, const char *name, size_t at);
/* What was given with NAME of LEN bytes, or NAMES_NONE; N may be NULL. */
size_t names_find(const struct names *n, const char *name, size_t len);

#endif
