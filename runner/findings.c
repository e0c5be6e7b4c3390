/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/findings.h"

#include <string.h>

#include "base/mem.h"
#include "runner/remote.h"

bool findings_are(const struct json *trace)
{
	return json_is(json_get(json_at(trace, 0), "message"), JSON_KIND_STRING);
}

static void put(FILE *f, const char *text)
{
	cli_print_safe(f, text, strlen(text), false);
}

void findings_print(FILE *f, const struct json *trace)
{
	for (size_t i = 0; i < json_count(trace); i++) {
		const struct json *d = json_at(trace, i);

		put(f, json_get_str(d, "file", ""));
		fprintf(f, ":%lld:%lld: ", (long long)json_get_int(d, "line", 0),
			(long long)json_get_int(d, "column", 0));
		put(f, json_get_str(d, "message", ""));
		fprintf(f, " [%s]\n", json_get_str(d, "code", ""));
		if (json_get_str(d, "hint", "")[0]) {
			fputs("    ", f);
			put(f, json_get_str(d, "hint", ""));
			fputc('\n', f);
		}
	}
	fputs("mend it and push; before that: sluice lint ", f);
	put(f, json_get_str(json_at(trace, 0), "file", "FILE"));
	fputc('\n', f);
}

bool findings_of_job(const struct cli_args *a, const struct json *job, FILE *f)
{
	_cleanup_(json_freep) struct json *trace = NULL;
	struct json *args;
	struct err err = ERR_INIT;

	if (!str_eq(json_get_str(job, "node", ""), "workflow") ||
		!str_eq(json_get_str(job, "state", ""), "failure"))
		return false; /* a list of findings belongs to no other */
	args = json_new_object();
	json_set_int(args, "job", json_get_int(job, "id", 0));
	if (remote_look(a, "job.trace", args, &trace, &err) < 0 || !findings_are(trace))
		return false;
	findings_print(f, trace);
	return true;
}
