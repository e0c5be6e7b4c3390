/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job uses: asked for while somebody looks at it, and its peaks at the end. The
 * numbers are the kernel's for the job's cgroup; without one there are none.
 */
#ifndef EXECUTOR_USAGE_H
#define EXECUTOR_USAGE_H

#include "base/json.h"
#include "executor/job.h"

#define USAGE_EVERY_MS	    500 /* asked more often: the same answer again */
#define USAGE_PROCESSES_MAX 100

/*
 * {memory, memory_peak, memory_limit?, pids, pids_peak, cpu_us, processes: [{pid, name,
 * cpu_us, rss}]}; a number that is not known is left out, pid is the one inside. A
 * control_hooks.usage; DATA is the jobrun.
 */
struct json *usage_now(void *data);
/* Sets memory_peak, pids_peak and cpu_us of an exit record. */
void usage_peaks(const struct jobrun *job, struct json *exit);

#endif
