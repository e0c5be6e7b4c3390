/* SPDX-License-Identifier: Apache-2.0 */
/* Levels by scope; which scopes there are is said again by the syntax table, and tested. */
#include "workflows/permissions.h"

#include <string.h>

static const char *const scopes[PERMISSION_SCOPES] = { "actions", "artifact-metadata",
	"attestations", "checks", "contents", "deployments", "discussions", "id-token",
	"issues", "models", "packages", "pages", "pull-requests", "repository-projects",
	"security-events", "statuses" };

#define SCOPE_MODELS 9 /* can be read alone */

static const char *const levels[] = { "none", "read", "write" };

const char *permission_scope_name(unsigned i)
{
	return i < PERMISSION_SCOPES ? scopes[i] : NULL;
}

static enum permission_level level_of(const char *text)
{
	for (enum permission_level l = PERMISSION_READ; l <= PERMISSION_WRITE; l++)
		if (strcmp(text, levels[l]) == 0)
			return l;
	return PERMISSION_NONE;
}

struct permissions permissions_all(enum permission_level level)
{
	struct permissions p;

	for (unsigned i = 0; i < PERMISSION_SCOPES; i++)
		p.level[i] = level;
	if (level == PERMISSION_WRITE)
		p.level[SCOPE_MODELS] = PERMISSION_READ;
	return p;
}

static void set_scope(struct permissions *p, const char *scope, const char *level)
{
	for (unsigned i = 0; i < PERMISSION_SCOPES; i++)
		if (strcmp(scopes[i], scope) == 0)
			p->level[i] = level_of(level);
}

struct permissions permissions_of(const struct yaml_node *n)
{
	struct permissions p = permissions_all(PERMISSION_NONE);

	if (yaml_is(n, YAML_STRING)) {
		if (strcmp(n->str, "read-all") == 0)
			return permissions_all(PERMISSION_READ);
		if (strcmp(n->str, "write-all") == 0)
			return permissions_all(PERMISSION_WRITE);
	}
	for (size_t i = 0; yaml_is(n, YAML_MAPPING) && i < n->len; i++)
		if (yaml_is_scalar(n->pairs[i].value))
			set_scope(&p, n->pairs[i].key->str, n->pairs[i].value->str);
	return p;
}

bool permissions_exceed(const struct permissions *asked,
	const struct permissions *allowed, struct strbuf *ret_asked,
	struct strbuf *ret_allowed)
{
	bool is_more = false;

	for (unsigned i = 0; i < PERMISSION_SCOPES; i++) {
		if (asked->level[i] <= allowed->level[i])
			continue;
		strbuf_addf(ret_asked, "%s%s: %s", is_more ? ", " : "", scopes[i],
			levels[asked->level[i]]);
		strbuf_addf(ret_allowed, "%s%s: %s", is_more ? ", " : "", scopes[i],
			levels[allowed->level[i]]);
		is_more = true;
	}
	return is_more;
}

struct json *permissions_to_json(const struct permissions *p)
{
	struct json *j = json_new_object();

	for (unsigned i = 0; i < PERMISSION_SCOPES; i++)
		if (p->level[i] != PERMISSION_NONE)
			json_set_str(j, scopes[i], levels[p->level[i]]);
	return j;
}
