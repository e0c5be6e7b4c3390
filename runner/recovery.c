/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a start finds (SECURITY 4.5). The store says which rows had an executor, the
 * folders jobs/ID/TRY say which executors there are. Each row that may have one gets a
 * live one in state DYING, whose proof of life or death does the rest: adopt it, finalise
 * it from its exit record, give it back or call it lost. Executors that no row knows are
 * told to leave.
 */
#include "runner/core-internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "executor/link.h"

enum { ROWS_MAX = 4096 };

static int adopt_state(struct core *c, enum job_state state, struct err *err)
{
	int64_t ids[ROWS_MAX];
	int n = jobs_in_state(c->store, state, ids, ROWS_MAX, err);

	if (n < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		struct job j = { 0 };
		int rc = jobs_get(c->store, ids[i], &j, err);

		if (rc == 0)
			rc = attend_adopt(c, &j, err);
		job_done(&j);
		if (rc < 0)
			return -1;
	}
	if (n > 0)
		log_info("recovery: %d jobs were %s", n,
			state_name(MACHINE_JOB, (int)state));
	return 0;
}

static bool is_held(int tries, const char *name)
{
	_cleanup_close_ int dir =
		openat(tries, name, O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_close_ int fd = -1;

	if (dir < 0)
		return false;
	fd = openat(dir, JOB_FILE_LOCK, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 && fd_is_locked(fd) == 1;
}

static void look_at_tries(struct core *c, int jobs, const char *job)
{
	int fd = openat(jobs, job, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;
	long long id, try;

	if (!d) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	while ((e = readdir(d))) {
		const struct live *v;

		if (str_to_int(job, 1, INT64_MAX, &id) < 0 ||
			str_to_int(e->d_name, 1, INT64_MAX, &try) < 0 ||
			!is_held(fd, e->d_name))
			continue;
		v = attend_find(c, id);
		if (!v || v->try != try)
			attend_stray(c, id, try);
	}
	(void)closedir(d);
}

static void look_for_strays(struct core *c)
{
	int jobs =
		openat(c->data, "jobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = jobs >= 0 ? fdopendir(jobs) : NULL;
	const struct dirent *e;

	if (!d) {
		if (jobs >= 0)
			(void)close(jobs);
		return;
	}
	while ((e = readdir(d)))
		if (path_is_name(e->d_name))
			look_at_tries(c, jobs, e->d_name);
	(void)closedir(d);
}

int recovery_run(struct core *c, struct err *err)
{
	static const enum job_state states[] = { JOB_CLAIMED, JOB_RELEASED, JOB_RUNNING,
		JOB_FINALISING, JOB_CANCELLING };

	if (c->o->is_run)
		return 0; /* a new store */
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (adopt_state(c, states[i], err) < 0)
			return err_wrap(err, "recovery");
	look_for_strays(c);
	c->are_gates_dirty = true;
	return 0;
}
