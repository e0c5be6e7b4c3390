/* SPDX-License-Identifier: Apache-2.0 */
/* `sluice lint`: findings about workflow files, as text, JSON or SARIF. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/strvec.h"
#include "runner/cmd.h"
#include "runner/labels.h"
#include "runner/lint_shell.h"
#include "runner/tree.h"
#include "workflows/lint.h"

#define ZONES	 "/usr/share/zoneinfo"
#define ZONE_MAX (256 * KiB) /* the largest there is has 4 KiB */

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_SARIF };

struct report {
	enum format format;
	struct json *items; /* JSON: findings; SARIF: results */
	size_t findings, files;
	bool is_cut; /* not all are shown */
};

/* ---- what the library asks for ---------------------------------------------------- */

static int load_zone(const char *name, struct strbuf *out, struct err *err, void *data)
{
	_cleanup_close_ int dir = open(ZONES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = -1;
	struct stat st;

	(void)data;
	if (dir < 0)
		return err_set(err, ERR_UNAVAILABLE, "there is no '%s' here", ZONES);
	/* Zones link to each other; NAME itself is clean. */
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_NOT_FOUND, "there is no time zone '%s'", name);
	return fd_read_to_end(fd, ZONE_MAX, out, err);
}

/* ---- formats ---------------------------------------------------------------------- */

static const char *sarif_level(enum severity s)
{
	return severity_name(s); /* the words are the same */
}

/* A path as a URI reference (RFC 3986): names may hold anything. */
static void add_uri(const char *path, struct strbuf *out)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~/";

	if (path[0] == '/')
		strbuf_adds(out, "file://");
	for (; *path; path++)
		if (strchr(plain, *path))
			strbuf_addc(out, *path);
		else
			strbuf_addf(out, "%%%02X", (unsigned char)*path);
}

static struct json *sarif_result(const struct diag *d)
{
	struct json *r = json_new_object(), *message = json_new_object();
	struct json *locations = json_new_array(), *location = json_new_object();
	struct json *physical = json_new_object(), *artifact = json_new_object();
	struct json *region = json_new_object();
	_cleanup_(strbuf_done) struct strbuf uri = STRBUF_INIT;

	json_set_str(r, "ruleId", d->code);
	json_set_str(r, "level", sarif_level(d->severity));
	if (d->hint) {
		_cleanup_free_ char *text = xasprintf("%s; %s", d->msg, d->hint);

		json_set_str(message, "text", text);
	} else
		json_set_str(message, "text", d->msg);
	json_set(r, "message", message);
	add_uri(d->file, &uri);
	json_set_str(artifact, "uri", uri.buf);
	json_set_int(region, "startLine", d->mark.line ? d->mark.line : 1);
	json_set_int(region, "startColumn", d->mark.column ? d->mark.column : 1);
	if (d->mark.end_line == d->mark.line && d->mark.end_column > d->mark.column)
		json_set_int(region, "endColumn", d->mark.end_column);
	json_set(physical, "artifactLocation", artifact);
	json_set(physical, "region", region);
	json_set(location, "physicalLocation", physical);
	json_push(locations, location);
	json_set(r, "locations", locations);
	return r;
}

static struct json *sarif_rules(void)
{
	struct json *list = json_new_array();

	for (const struct lint_rule *r = lint_rules; r->code; r++) {
		struct json *j = json_new_object(), *what = json_new_object();
		struct json *why = json_new_object(), *def = json_new_object();

		json_set_str(j, "id", r->code);
		json_set_str(what, "text", r->what);
		json_set_str(why, "text", r->why);
		json_set_str(def, "level", sarif_level(r->severity));
		json_set(j, "shortDescription", what);
		json_set(j, "help", why);
		json_set(j, "defaultConfiguration", def);
		json_push(list, j);
	}
	return list;
}

static struct json *sarif_document(struct json *results)
{
	struct json *doc = json_new_object(), *runs = json_new_array();
	struct json *run = json_new_object(), *tool = json_new_object();
	struct json *driver = json_new_object();

	json_set_str(doc, "$schema", "https://json.schemastore.org/sarif-2.1.0.json");
	json_set_str(doc, "version", "2.1.0");
	json_set_str(driver, "name", "sluice lint");
	json_set_str(driver, "version", SLUICE_VERSION);
	json_set(driver, "rules", sarif_rules());
	json_set(tool, "driver", driver);
	json_set(run, "tool", tool);
	json_set_str(run, "columnKind", "unicodeCodePoints");
	json_set(run, "results", json_share(results));
	json_push(runs, run);
	json_set(doc, "runs", runs);
	return doc;
}

static void print_findings(
	const struct diagnostics *d, const char *file, const struct strbuf *source)
{
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;

	diagnostics_write_text(d, file, source->buf, source->len, &out);
	(void)fwrite(out.buf, 1, out.len, stdout); /* checked once at the end */
}

static void add_findings(struct report *r, const struct diagnostics *d, const char *file,
	const struct strbuf *source)
{
	if (r->format == FORMAT_TEXT)
		print_findings(d, file, source);
	for (size_t i = 0; r->format != FORMAT_TEXT && i < d->len; i++)
		json_push(r->items, r->format == FORMAT_JSON
					    ? diag_to_json(&d->items[i])
					    : sarif_result(&d->items[i]));
	r->findings += d->len + d->dropped;
	r->is_cut = r->is_cut || d->dropped > 0;
	r->files++;
}

static int finish(const struct report *r)
{
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
	_cleanup_(json_freep) struct json *doc = NULL;

	if (r->format != FORMAT_TEXT) {
		doc = r->format == FORMAT_JSON ? json_share(r->items)
					       : sarif_document(r->items);
		json_write(doc, JSON_WRITE_PRETTY, &out);
		(void)fwrite(out.buf, 1, out.len, stdout); /* fflush tells */
	}
	if (fflush(stdout) != 0 && errno != EPIPE)
		(void)fprintf(stderr, "lint: cannot write: %s\n", err_sys_text(errno));
	if (r->is_cut && r->format == FORMAT_TEXT)
		(void)fprintf(
			stderr, "lint: the first %d of each file are shown\n", DIAG_MAX);
	if (r->findings > 0 && r->format == FORMAT_TEXT)
		(void)fprintf(stderr,
			"lint: %zu finding%s in %zu file%s; each code: "
			"docs/lint/CODE.md; "
			"silence one: # sluice: ignore CODE\n",
			r->findings, r->findings == 1 ? "" : "s", r->files,
			r->files == 1 ? "" : "s");
	return r->findings > 0 ? CLI_NO : CLI_OK;
}

/* Labels of one's own, as for any key of the configuration: SLUICE_LABELS=a,b. */
static void own_labels(struct strvec *labels)
{
	const char *s = getenv("SLUICE_LABELS");

	_cleanup_(strvec_done) struct strvec items = STRVEC_INIT;

	if (s && *s)
		strvec_split(&items, s, ',');
	for (size_t i = 0; i < items.len; i++)
		strvec_push_take(labels, labels_name(items.v[i]));
}

/* ---- files ------------------------------------------------------------------------ */

static int lint_file(
	const struct cli_args *a, const char *file, struct report *r, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf data = STRBUF_INIT;
	struct lint_options opt = LINT_OPTIONS_INIT;
	struct diagnostics d = DIAGNOSTICS_INIT;
	_cleanup_(strvec_done) struct strvec labels = STRVEC_INIT;
	struct tree tree = TREE_INIT;
	int rc = 0;

	if (tree_read_file(file, &data, err) < 0 ||
		tree_open(file, cli_get(a, "actions-dir"), &tree, err) < 0)
		return -1;
	opt.with_extra = str_eq(cli_get(a, "rules"), "all");
	opt.path = tree.path;
	opt.load = tree_load;
	opt.load_data = &tree;
	opt.load_tz = load_zone;
	own_labels(&labels);
	opt.labels = (const char *const *)labels.v;
	lint_workflow(file, data.buf, data.len, &opt, &d);
	if (opt.with_extra)
		rc = lint_shell(file, data.buf, data.len, &d, err);
	add_findings(r, &d, file, &data);
	diagnostics_done(&d);
	tree_done(&tree);
	return rc;
}

static int read_format(const struct cli_args *a, enum format *ret)
{
	const char *s = cli_get(a, "format"), *rules = cli_get(a, "rules");

	*ret = FORMAT_TEXT;
	if (s && strcmp(s, "json") == 0)
		*ret = FORMAT_JSON;
	else if (s && strcmp(s, "sarif") == 0)
		*ret = FORMAT_SARIF;
	else if (s && strcmp(s, "text") != 0)
		return cli_error(a, CLI_USAGE, "no format '%s': text, json or sarif", s);
	if (rules && strcmp(rules, "all") != 0 && strcmp(rules, "default") != 0)
		return cli_error(a, CLI_USAGE, "no rules '%s': default or all", rules);
	return CLI_OK;
}

static int run_lint(const struct cli_args *a)
{
	struct report r = { .items = NULL };
	struct err err = ERR_INIT;
	int status = read_format(a, &r.format);

	if (status != CLI_OK)
		return status;
	r.items = json_new_array();
	for (size_t i = 0; i < cli_count(a); i++)
		if (lint_file(a, cli_arg(a, i), &r, &err) < 0) {
			json_free(r.items);
			return cli_fail(a, &err);
		}
	status = finish(&r);
	json_free(r.items);
	return status;
}

static const struct cli_opt lint_opts[] = {
	{ "actions-dir", 0, "DIR",
		"DIR/OWNER/REPO: git work trees of other repositories" },
	{ "rules", 0, "default|all",
		"what GitHub and actionlint find, or our own kinds too" },
	{ "format", 0, "text|json|sarif", "three lines each, one array, or SARIF 2.1.0" },
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_lint = { "lint", "here", "[FLAGS] FILE...",
	"Find mistakes in workflow files", lint_opts,
	"sluice lint --rules all .github/workflows/ci.yml",
	"0 nothing found, 1 findings, 2 usage", 1, -1, run_lint, NULL };

int cmd_lint(int argc, char **argv)
{
	return cli_run(&verb_lint, argc, argv);
}
