/* SPDX-License-Identifier: Apache-2.0 */
/* Of a gate: the files to look at first, by rule, and the commits that would be deployed. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runner/html.h"
#include "runner/web-internal.h"

#define FIRST_MAX 40
#define OTHER_MAX 300

/* In this order: what a rollback does not undo comes first. */
static const struct {
	const char *pattern, *word;
} risky[] = {
	{ "*migrations/*", "migration, not undone by a rollback" },
	{ "*alembic/versions/*", "migration, not undone by a rollback" },
	{ "*db/migrate/*", "migration, not undone by a rollback" },
	{ ".github/workflows/*", "workflow" },
	{ ".github/actions/*", "action" },
	{ "action.y*ml", "action" },
	{ "*.tf", "infrastructure" },
	{ "*Dockerfile*", "infrastructure" },
	{ "*Containerfile*", "infrastructure" },
	{ "*compose*.y*ml", "infrastructure" },
	{ "infra/*", "infrastructure" },
	{ "deploy/*", "infrastructure" },
	{ "k8s/*", "infrastructure" },
	{ "helm/*", "infrastructure" },
};

static const char *why_first(const char *path, size_t rule)
{
	return fnmatch(risky[rule].pattern, path, 0) == 0 ? risky[rule].word : NULL;
}

static bool is_risky(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(risky); i++)
		if (why_first(path, i))
			return true;
	return false;
}

/* A path that several rules name stands under the first of them. */
static bool is_first_by(const char *path, size_t rule)
{
	for (size_t i = 0; i < rule; i++)
		if (why_first(path, i))
			return false;
	return why_first(path, rule) != NULL;
}

static size_t first_files(struct strbuf *out, const struct json *paths)
{
	size_t shown = 0;

	for (size_t rule = 0; rule < ARRAY_SIZE(risky); rule++)
		for (size_t i = 0; i < json_count(paths) && shown < FIRST_MAX; i++) {
			const char *path = json_as_str(json_at(paths, i), "");

			if (!is_first_by(path, rule))
				continue;
			html_put(out,
				"<tr><td class=\"mono\">$</td><td><span class=\"st wait\">$</span></td></tr>",
				path, risky[rule].word);
			shown++;
		}
	return shown;
}

static void other_files(
	struct strbuf *out, const struct json *paths, size_t first, bool more)
{
	size_t count = json_count(paths) - first, shown = 0;

	if (count == 0)
		return;
	html_put(out,
		"<details class=\"pad\"><summary>#@ other file@</summary><p class=\"mono\">",
		(long long)count, more ? " and more" : "", count == 1 ? "" : "s");
	for (size_t i = 0; i < json_count(paths) && shown < OTHER_MAX; i++) {
		const char *path = json_as_str(json_at(paths, i), "");

		if (is_risky(path))
			continue;
		html_put(out, "$<br>", path);
		shown++;
	}
	if (shown < count)
		html_put(out, "and # more", (long long)(count - shown));
	strbuf_adds(out, "</p></details>");
}

void part_gate_files(struct strbuf *out, const struct json *changes)
{
	const struct json *paths = json_get(changes, "paths");
	bool more = json_get_bool(changes, "more_paths", false);
	size_t first;

	if (json_count(paths) == 0)
		return;
	html_put(out,
		"<section class=\"panel\" id=\"look-first\"><header><h2>Look here first</h2>"
		"<span>of #@ files changed</span></header><div class=\"scroll\"><table>"
		"<caption class=\"vh\">Files to look at first</caption><tbody>",
		(long long)json_count(paths), more ? " and more" : "");
	first = first_files(out, paths);
	if (first == 0)
		strbuf_adds(out,
			"<tr><td class=\"dim\">No migration, workflow or infrastructure is "
			"among them.</td></tr>");
	strbuf_adds(out, "</tbody></table></div>");
	other_files(out, paths, first, more);
	strbuf_adds(out, "</section>");
}

void part_gate_commits(struct strbuf *out, const struct json *changes, const char *why)
{
	const struct json *commits = json_get(changes, "commits");

	if (!changes) {
		html_put(out,
			"<p class=\"pad dim\">The commits between cannot be told: $.</p>",
			why ? why : "no reason was given");
		return;
	}
	strbuf_adds(out,
		"<div class=\"scroll\"><table id=\"commits\"><caption class=\"vh\">Commits "
		"that would be deployed</caption><tbody>");
	for (size_t i = 0; i < json_count(commits); i++) {
		const struct json *c = json_at(commits, i);
		const char *sha = json_get_str(c, "sha", "");

		strbuf_adds(out, "<tr><td class=\"mono\">");
		html_textn(out, sha, strlen(sha) < 7 ? strlen(sha) : 7);
		html_put(out, "</td><td>$</td><td>$</td><td class=\"num\">",
			json_get_str(c, "subject", ""), json_get_str(c, "author", ""));
		html_day(out, json_get_int(c, "at", 0));
		strbuf_adds(out, "</td></tr>");
	}
	if (json_count(commits) == 0)
		strbuf_adds(out, "<tr><td class=\"dim\">None: it goes back to an older "
				 "commit.</td></tr>");
	strbuf_adds(out, "</tbody></table></div>");
	if (json_get_bool(changes, "more_commits", false))
		html_put(out,
			"<p class=\"pad dim\">and more, older ones; the newest # are shown</p>",
			(long long)json_count(commits));
}
