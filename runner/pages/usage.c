/* SPDX-License-Identifier: Apache-2.0 */
/* What a job uses now, what it used, and how to enter it when it is held. */
#include "base/mem.h"
#include "runner/html.h"
#include "runner/web-internal.h"

static void number(struct strbuf *out, const char *name, const struct json *j, const char *key,
	void (*show)(struct strbuf *out, long long n))
{
	if (!json_is(json_get(j, key), JSON_KIND_INT))
		return;
	html_put(out, "<span>$ ", name);
	show(out, json_get_int(j, key, 0));
	strbuf_adds(out, "</span>");
}

static void cpu_time(struct strbuf *out, long long us)
{
	html_span(out, us / 1000);
}

void part_job_peaks(struct strbuf *out, const struct json *job)
{
	number(out, "memory", job, "memory_peak", html_bytes);
	number(out, "processor", job, "cpu_us", cpu_time);
	number(out, "processes", job, "pids_peak", html_count);
}

void part_job_held(struct strbuf *out, const struct json *job)
{
	const struct json *held = json_get(job, "held"), *removed = json_get(held, "removed");
	long long row = json_get_int(job, "row", 0);

	if (!json_is(held, JSON_KIND_OBJECT))
		return;
	strbuf_adds(out, "<p class=\"note\" id=\"job-held\">Held until ");
	html_time(out, json_get_int(held, "expires_at", 0));
	html_put(out, ", open: <code>sluice shell #/$", (long long)json_get_int(job, "run_id", 0),
		json_get_str(job, "node", ""));
	if (row > 0)
		html_put(out, ":#", row);
	strbuf_adds(out, "</code> on the server, ");
	html_bytes(out, json_get_int(held, "bytes", 0));
	for (size_t i = 0; i < json_count(removed); i++)
		html_put(out, "$<code>$</code>", i ? ", " : "; left out, since a secret was in it: ",
			json_as_str(json_at(removed, i), ""));
	strbuf_adds(out, "</p>");
}

static void processes(struct strbuf *out, const struct json *list)
{
	static const char *const heads[] = { "Process", ">Number", ">Memory", ">Processor", NULL };

	if (json_count(list) == 0)
		return;
	page_table(out, "Processes", "as the job sees them", heads);
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *p = json_at(list, i);

		html_put(out, "<tr><td class=\"mono\">$</td><td class=\"num\">#</td><td class=\"num\">",
			json_get_str(p, "name", ""), (long long)json_get_int(p, "pid", 0));
		html_bytes(out, json_get_int(p, "rss", 0));
		strbuf_adds(out, "</td><td class=\"num\">");
		cpu_time(out, json_get_int(p, "cpu_us", 0));
		strbuf_adds(out, "</td></tr>");
	}
	page_table_end(out);
}

void part_job_usage(struct strbuf *out, int64_t id, const struct json *usage)
{
	html_put(out, "<div id=\"job-usage\" data-src=\"/jobs/#/usage\">", (long long)id);
	if (json_is(usage, JSON_KIND_OBJECT)) {
		strbuf_adds(out, "<div class=\"facts\"><span>Now:</span>");
		number(out, "memory", usage, "memory", html_bytes);
		number(out, "at most", usage, "memory_peak", html_bytes);
		number(out, "of", usage, "memory_limit", html_bytes);
		number(out, "processor", usage, "cpu_us", cpu_time);
		number(out, "processes", usage, "pids", html_count);
		strbuf_adds(out, "</div>");
		processes(out, json_get(usage, "processes"));
	}
	strbuf_adds(out, "</div>");
}

static void on_usage(struct visit *v, const struct json *answer, void *data)
{
	int64_t *id = data;
	struct strbuf out = STRBUF_INIT;

	part_job_usage(&out, *id, json_get(answer, "result"));
	free(id);
	http_answer_take(v->r, 200, "text/html; charset=utf-8", &out);
}

/* The part alone, for the page's script; empty when the job does not run now. */
void page_job_usage(struct visit *v, int64_t id)
{
	struct json *args = json_new_object();
	int64_t *data = xcalloc(1, sizeof(*data));

	*data = id;
	json_set_int(args, "job", id);
	web_verb(v, "job.usage", args, on_usage, data);
}
