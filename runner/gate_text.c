/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/gate_text.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/cli.h"
#include "runner/remote.h"

static const char *text(const struct json *j, const char *key)
{
	return json_get_str(j, key, "");
}

static void say(FILE *f, const char *before, const char *words)
{
	fputs(before, f);
	cli_put(f, words);
}

static void field(FILE *f, const char *name)
{
	fprintf(f, "\n  %-13s", name);
}

static const char *ago(const struct json *j, const char *key, char buf[CLOCK_TEXT_MAX])
{
	int64_t when = remote_time(j, key);

	return when ? clock_age(clock_wall_ms() - when, buf) : "";
}

/* "v2.3.1 9ac0d12": the short name of a ref and the commit. */
static void commit(FILE *f, const struct json *j)
{
	const char *name = text(j, "branch");

	say(f, "", name[0] ? name : text(j, "ref"));
	fprintf(f, " %.7s", text(j, "sha"));
}

static void runs_now(FILE *f, const struct json *before)
{
	char buf[CLOCK_TEXT_MAX];

	field(f, "runs now");
	if (!json_is(before, JSON_KIND_OBJECT)) {
		fputs("nothing yet: this is the first deployment", f);
		return;
	}
	commit(f, before);
	fprintf(f, " (deployment %lld, %s)", (long long)json_get_int(before, "number", 0),
		ago(before, "completed_at", buf));
}

static void counted(FILE *f, const char *before, const struct json *list, bool more,
	const char *word)
{
	size_t n = json_count(list);

	fprintf(f, "%s%s%zu %s%s", before, more ? "more than " : "", n, word,
		n == 1 ? "" : "s");
}

static void would_run(FILE *f, const struct json *gate, const struct json *changes,
	const char *why, const char *url)
{
	const struct json *run = json_get(gate, "run");

	field(f, "would run");
	commit(f, run);
	if (changes && json_is(json_get(gate, "before"), JSON_KIND_OBJECT)) {
		counted(f, ": ", json_get(changes, "commits"),
			json_get_bool(changes, "more_commits", false), "commit");
		counted(f, ", ", json_get(changes, "paths"),
			json_get_bool(changes, "more_paths", false), "file");
	} else if (why) {
		say(f, " (the commits between cannot be told: ", why);
		fputc(')', f);
	}
	if (url)
		fprintf(f, "     %s/runs/%lld", url, (long long)json_get_int(run, "id", 0));
}

static void workflow(FILE *f, const struct json *gate)
{
	const struct json *before = json_get(gate, "before");
	const char *path = text(json_get(gate, "run"), "workflow_path");
	const char *slash = strrchr(path, '/');
	long long number = (long long)json_get_int(before, "number", 0);

	field(f, "workflow");
	say(f, "", slash ? slash + 1 : path);
	if (json_is(before, JSON_KIND_OBJECT))
		fprintf(f, str_eq(text(before, "workflow_digest"), text(gate, "digest")) ?
				" unchanged since %lld" : " CHANGED since %lld", number);
	fprintf(f, ", digest %s", text(gate, "digest"));
}

static void votes(FILE *f, const struct json *gate)
{
	const struct json *list = json_get(gate, "votes");
	long long have = (long long)json_get_int(gate, "approvals", 0);
	long long wanted = (long long)json_get_int(gate, "required", 1);

	field(f, "votes");
	fprintf(f, "%lld of %lld", have, wanted);
	for (size_t i = 0; i < json_count(list); i++) {
		char buf[CLOCK_TEXT_MAX];
		const struct json *v = json_at(list, i);

		say(f, i ? ", " : " (", text(v, "principal"));
		fprintf(f, " %s ago%s", ago(v, "at", buf), i + 1 == json_count(list) ? ")" : "");
	}
	if (have + 1 == wanted)
		fputs("; yours releases it", f);
}

void gate_describe(FILE *f, const struct json *gate, const struct json *changes,
	const char *why, const char *url)
{
	const struct json *run = json_get(gate, "run"), *secrets = json_get(gate, "secrets");
	char buf[CLOCK_TEXT_MAX];

	say(f, "", text(run, "workflow"));
	say(f, " of ", text(run, "repo"));
	fprintf(f, ", run %lld", (long long)json_get_int(run, "id", 0));
	say(f, ", asked by ", text(run, "actor"));
	fprintf(f, " %s ago", ago(gate, "created_at", buf));
	if (text(gate, "environment")[0]) {
		field(f, "environment");
		say(f, "", text(gate, "environment"));
		runs_now(f, json_get(gate, "before"));
	} else {
		field(f, "start");
		fputs("from outside: a maintainer lets it begin", f);
	}
	would_run(f, gate, changes, why, url);
	workflow(f, gate);
	field(f, "secrets");
	for (size_t i = 0; i < json_count(secrets); i++)
		say(f, i ? " " : "", text(json_at(secrets, i), "name"));
	fputs(json_count(secrets) ? "" : "none", f);
	votes(f, gate);
	fputc('\n', f);
}

void gate_decided(FILE *f, const struct json *gate, const char *decision)
{
	const struct json *list = json_get(gate, "votes"), *jobs = json_get(gate, "jobs");
	const char *node = text(json_at(jobs, 0), "node"), *state = text(gate, "state");
	bool approves = str_eq(decision, "approve");
	long long have = (long long)json_get_int(gate, "approvals", 0);
	long long wanted = (long long)json_get_int(gate, "required", 1);
	long long run = (long long)json_get_int(gate, "run_id", 0);
	size_t n = json_count(list);

	say(f, approves ? "approved  by " : "rejected  by ",
		n ? text(json_at(list, n - 1), "principal") : "");
	if (!approves) {
		fprintf(f, "; %s does not run. Ask again: sluice rerun --failed %lld\n",
			node[0] ? node : "it", run);
		return;
	}
	fprintf(f, ", %lld of %lld; ", have, wanted);
	if (str_eq(state, "pending"))
		fprintf(f, "it waits for %lld more\n", wanted - have > 0 ? wanted - have : 0);
	else
		fprintf(f, "%s released. Follow: sluice logs -f %lld%s%s\n",
			node[0] ? node : "the run", run, node[0] ? "/" : "", node);
}
