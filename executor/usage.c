/* SPDX-License-Identifier: Apache-2.0 */
/* See usage.h. Names of processes are what steps call themselves: masked. */
#include "executor/usage.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

static void set_known(struct json *j, const char *key, int64_t value)
{
	if (value >= 0)
		json_set_int(j, key, value);
}

static int by_rss(const void *a, const void *b)
{
	const struct sandbox_process *x = a, *y = b;

	return x->rss < y->rss ? 1 : x->rss > y->rss ? -1 : x->inside - y->inside;
}

static struct json *processes(struct jobrun *job)
{
	struct sandbox_process *list = xcalloc(USAGE_PROCESSES_MAX, sizeof(*list));
	struct json *ret = json_new_array();
	int n = sandbox_processes(job->sandbox, list, USAGE_PROCESSES_MAX, NULL);

	if (n > 0)
		qsort(list, (size_t)n, sizeof(*list), by_rss);
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *name = mask_str(job->mask, list[i].name);
		struct json *p = json_new_object();

		json_set_int(p, "pid", list[i].inside);
		json_set_str(p, "name", name);
		json_set_int(p, "cpu_us", list[i].cpu_us);
		json_set_int(p, "rss", list[i].rss);
		json_push(ret, p);
	}
	free(list);
	return ret;
}

static struct json *sample(struct jobrun *job)
{
	struct sandbox_stats s = { -1, -1, -1, -1, -1, -1 };
	struct json *j = json_new_object();
	int64_t limit = json_get_int(job->spec->limits, "memory", 0);

	if (sandbox_stats(job->sandbox, &s, NULL) < 0)
		return j;
	set_known(j, "memory", s.memory);
	set_known(j, "memory_peak", s.memory_peak);
	if (limit > 0)
		json_set_int(j, "memory_limit", limit);
	set_known(j, "pids", s.pids);
	set_known(j, "pids_peak", s.pids_peak);
	set_known(j, "cpu_us", s.cpu_us);
	json_set(j, "processes", processes(job));
	return j;
}

struct json *usage_now(void *data)
{
	struct jobrun *job = data;
	int64_t now = clock_boot_ms();

	if (!job->sandbox || job->is_killed)
		return NULL;
	if (!job->usage || now - job->usage_ms >= USAGE_EVERY_MS) {
		json_free(job->usage);
		job->usage = sample(job);
		job->usage_ms = now;
	}
	return json_clone(job->usage);
}

void usage_peaks(const struct jobrun *job, struct json *exit)
{
	struct sandbox_stats s = { -1, -1, -1, -1, -1, -1 };

	if (!job->sandbox || sandbox_stats(job->sandbox, &s, NULL) < 0)
		return;
	set_known(exit, "memory_peak", s.memory_peak);
	set_known(exit, "pids_peak", s.pids_peak);
	set_known(exit, "cpu_us", s.cpu_us);
}
