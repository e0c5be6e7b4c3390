/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/findings.h"


#include "base/mem.h"
#include "runner/remote.h"

void findings_print(FILE *f, const struct json *trace)
{
	for (size_t i = 0; i < json_count(trace); i++) {
		const struct json *d = json_at(trace, i);

		cli_put(f, json_get_str(d, "file", ""));
		fprintf(f, ":%lld:%lld: ", (long long)json_get_int(d, "line", 0),
			(long long)json_get_int(d, "column", 0));
		cli_put(f, json_get_str(d, "message", ""));
		fprintf(f, " [%s]\n", json_get_str(d, "code", ""));
		if (json_get_str(d, "hint", "")[0]) {
			fputs("    ", f);
			cli_put(f, json_get_str(d, "hint", ""));
			fputc('\n', f);
		}
	}
	fputs("mend it and push; before that: sluice lint ", f);
	cli_put(f, json_get_str(json_at(trace, 0), "file", "FILE"));
	fputc('\n', f);
}

bool findings_unplanned(const struct json *job)
{
	return str_eq(json_get_str(job, "node", ""), "workflow") &&
		str_eq(json_get_str(job, "state", ""), "failure");
}

bool findings_of_job(const struct cli_args *a, const struct json *job, FILE *f)
{
	_cleanup_(json_freep) struct json *trace = NULL;
	struct json *args;
	struct err err = ERR_INIT;

	if (!findings_unplanned(job))
		return false;
	args = json_new_object();
	json_set_int(args, "job", json_get_int(job, "id", 0));
	if (remote_look(a, "job.trace", args, &trace, &err) < 0 || !findings_are(trace))
		return false;
	findings_print(f, trace);
	return true;
}
