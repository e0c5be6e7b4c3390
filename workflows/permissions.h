/* SPDX-License-Identifier: Apache-2.0 */
/* What a job's token may do: a level for each scope. */
#ifndef WORKFLOWS_PERMISSIONS_H
#define WORKFLOWS_PERMISSIONS_H

#include <stdbool.h>

#include "base/json.h"
#include "base/strbuf.h"
#include "workflows/yaml.h"

enum permission_level { PERMISSION_NONE, PERMISSION_READ, PERMISSION_WRITE };

#define PERMISSION_SCOPES 16

struct permissions {
	enum permission_level level[PERMISSION_SCOPES];
};

const char *permission_scope_name(unsigned i);

/* Of a checked `permissions:` node. Naming one scope sets all others to none. */
struct permissions permissions_of(const struct yaml_node *n);
struct permissions permissions_all(enum permission_level level); /* read-all, write-all */

/*
 * ASKED wants more than ALLOWED: true, with "actions: write, ..." of what is asked too
 * much and "actions: read, ..." of what is allowed of these.
 */
bool permissions_exceed(const struct permissions *asked, const struct permissions *allowed,
	struct strbuf *ret_asked, struct strbuf *ret_allowed);

struct json *permissions_to_json(const struct permissions *p);

#endif
