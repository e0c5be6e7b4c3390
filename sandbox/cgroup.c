/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups behind one interface. v2: one directory. Hybrid: limits in the v1
 * hierarchies, kill and freeze in the v2 one beside them. None: the pid namespace and
 * rlimits alone, and the job is named weaker.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "sandbox/cgroup-internal.h"
#include "sandbox/sandbox-internal.h"

/* ---- one group --------------------------------------------------------------------- */

void sandbox_cgroup_done(struct sandbox_cgroup *cg)
{
	for (int i = 0; i < SANDBOX_CGROUP_FDS; i++) {
		cleanup_closep(&cg->fds[i]);
		cleanup_closep(&cg->enter[i]);
	}
	*cg = (struct sandbox_cgroup)SANDBOX_CGROUP_INIT;
}

/* The number after KEY in a file of "key number" lines. */
static int64_t read_keyed(int dir, const char *file, const char *key)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_(strvec_done) struct strvec lines = STRVEC_INIT;
	size_t len = strlen(key);
	long long v;

	if (dir < 0 || fd_read_file(dir, file, 65536, &text, NULL) < 0)
		return -1;
	strvec_split(&lines, text.buf, '\n');
	strvec_foreach (line, &lines)
		if (!strncmp(*line, key, len) && (*line)[len] == ' ')
			return str_to_int(*line + len + 1, 0, INT64_MAX, &v) < 0 ? -1 : v;
	return -1;
}

/* Written, and read back: a limit that did not take is no limit. */
static int write_limit(int dir, const char *file, uint64_t v, struct err *err)
{
	char text[24];
	int64_t now;

	if (child_write_file(dir, file, child_digits(v, text)) < 0)
		return err_sys(err, "cannot write the limit '%s'", file);
	now = number_read(dir, file);
	if (now < 0 || (uint64_t)now > v || v - (uint64_t)now > 65536) /* whole pages */
		return err_set(err, ERR_UNSUPPORTED, "the limit '%s' did not take", file);
	return 0;
}

static int limit_memory(const struct sandbox_cgroup *cg, uint64_t v, struct err *err)
{
	int v1 = cg->fds[G_MEMORY], v2 = cg->fds[G_V2];

	if (!v || !(cg->controllers & SANDBOX_CTL_MEMORY))
		return 0;
	if (v1 >= 0) {
		if (write_limit(v1, "memory.limit_in_bytes", v, err) < 0)
			return -1;
		/* Only where the kernel accounts for swap. */
		if (faccessat(v1, "memory.memsw.limit_in_bytes", W_OK, 0) == 0)
			return write_limit(v1, "memory.memsw.limit_in_bytes", v, err);
		(void)child_write_file(v1, "memory.swappiness", "0");
		return 0;
	}
	if (write_limit(v2, "memory.max", v, err) < 0)
		return -1;
	if (write_limit(v2, "memory.high", v / 10 * 9, err) < 0)
		return -1;
	(void)child_write_file(v2, "memory.swap.max", "0"); /* absent without swap */
	if (child_write_file(v2, "memory.oom.group", "1") < 0)
		return err_sys(err, "cannot write 'memory.oom.group'");
	return 0;
}

static int limit_pids(const struct sandbox_cgroup *cg, uint64_t v, struct err *err)
{
	int dir = cg->fds[G_PIDS] >= 0 ? cg->fds[G_PIDS] : cg->fds[G_V2];

	if (!v || !(cg->controllers & SANDBOX_CTL_PIDS))
		return 0;
	return write_limit(dir, "pids.max", v + 2, err); /* init and the forker */
}

static int limit_cpu(const struct sandbox_cgroup *cg, uint32_t percent, struct err *err)
{
	char text[64];

	if (!percent || !(cg->controllers & SANDBOX_CTL_CPU))
		return 0;
	if (cg->fds[G_CPU] >= 0) {
		if (write_limit(cg->fds[G_CPU], "cpu.cfs_period_us", 100000, err) < 0)
			return -1;
		return write_limit(
			cg->fds[G_CPU], "cpu.cfs_quota_us", percent * 1000ull, err);
	}
	(void)snprintf(text, sizeof(text), "%llu 100000", percent * 1000ull);
	if (child_write_file(cg->fds[G_V2], "cpu.max", text) < 0)
		return err_sys(err, "cannot write the limit 'cpu.max'");
	return 0;
}

static int give_files(const struct sandbox_cgroup *cg, uid_t owner, struct err *err)
{
	static const char *const v2[] = { "cgroup.procs", "cgroup.kill", "cgroup.freeze",
		NULL };
	static const char *const v1[] = { "tasks", "cgroup.event_control", NULL };

	for (int i = 0; owner != (uid_t)-1 && i < SANDBOX_CGROUP_FDS; i++) {
		if (cg->fds[i] < 0)
			continue;
		/* Whatever our umask made of it: the executor has to pass through. */
		if (fchmod(cg->fds[i], 0755) < 0)
			return err_sys(
				err, "cannot open the job's cgroup to its executor");
		for (const char *const *f = i == G_V2 ? v2 : v1; *f; f++)
			if (fchownat(cg->fds[i], *f, owner, (gid_t)-1, 0) < 0 &&
				errno != ENOENT)
				return err_sys(err,
					"cannot give '%s' to the job's executor", *f);
	}
	return 0;
}

/* The v2 controllers that are really there in this group. */
static enum sandbox_controllers present(const struct sandbox_cgroup *cg)
{
	static const struct {
		enum sandbox_controllers bit;
		const char *file;
	} all[] = { { SANDBOX_CTL_MEMORY, "memory.max" },
		{ SANDBOX_CTL_PIDS, "pids.max" }, { SANDBOX_CTL_CPU, "cpu.max" },
		{ SANDBOX_CTL_IO, "io.max" } };
	enum sandbox_controllers bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (faccessat(cg->fds[G_V2], all[i].file, F_OK, 0) == 0)
			bits |= all[i].bit;
	return bits;
}

static int make_dirs(const struct sandbox_cgroup_tree *tree, const char *name,
	struct sandbox_cgroup *cg, struct err *err)
{
	for (int i = 0; i < SANDBOX_CGROUP_FDS; i++) {
		if (tree->parents[i] < 0)
			continue;
		if (mkdirat(tree->parents[i], name, 0755) < 0)
			return errno == EEXIST
				       ? err_set(err, ERR_CONFLICT,
						 "the cgroup '%s' exists", name)
				       : err_sys(err, "cannot make the cgroup '%s'",
						 name);
		cg->fds[i] = cgroup_open_dir(tree->parents[i], name);
		if (cg->fds[i] < 0)
			return err_sys(err, "cannot open the cgroup '%s'", name);
	}
	return 0;
}

int cgroup_limit(const struct sandbox_cgroup *cg, const struct sandbox_limits *limits,
	struct err *err)
{
	if (limit_memory(cg, limits->memory, err) < 0)
		return -1;
	if (limit_pids(cg, limits->pids, err) < 0)
		return -1;
	return limit_cpu(cg, limits->cpu_percent, err);
}

static int cgroup_fill(const struct sandbox_cgroup_tree *tree, const char *name,
	const struct sandbox_limits *limits, uid_t owner, struct sandbox_cgroup *cg,
	struct err *err)
{
	if (make_dirs(tree, name, cg, err) < 0)
		return -1;
	cg->kind = tree->kind;
	cg->controllers =
		tree->kind == SANDBOX_CGROUP_V2 ? present(cg) : tree->controllers;
	if (cgroup_limit(cg, limits, err) < 0)
		return -1;
	return give_files(cg, owner, err);
}

int sandbox_cgroup_make(const struct sandbox_cgroup_tree *tree, const char *name,
	const struct sandbox_limits *limits, uid_t owner, struct sandbox_cgroup *ret,
	struct err *err)
{
	_cleanup_(sandbox_cgroup_done) struct sandbox_cgroup cg = SANDBOX_CGROUP_INIT;

	if (!path_is_name(name) || !strcmp(name, "sluice") || !strcmp(name, CGROUP_SELF))
		return err_set(err, ERR_INPUT, "'%s' is no name for a cgroup", name);
	if (tree->kind == SANDBOX_CGROUP_NONE) {
		*ret = (struct sandbox_cgroup)SANDBOX_CGROUP_INIT;
		return 0;
	}
	if (cgroup_fill(tree, name, limits, owner, &cg, err) < 0) {
		if (!err || err->code != ERR_CONFLICT)
			(void)sandbox_cgroup_remove(
				tree, name, NULL); /* the first error counts */
		return -1;
	}
	if (owner != (uid_t)-1 && cgroup_enter_fds(&cg, cg.enter, err) < 0)
		return -1;
	cg.is_birthplace = owner == (uid_t)-1 || owner == tree->bearer;
	*ret = cg;
	cg = (struct sandbox_cgroup)SANDBOX_CGROUP_INIT;
	return 0;
}

/* ---- ending ----------------------------------------------------------------------- */

int cgroup_kill(const struct sandbox_cgroup *cg)
{
	return cg->fds[G_V2] < 0 ? -1
				 : child_write_file(cg->fds[G_V2], "cgroup.kill", "1");
}

static void kill_by_pid(int dir)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_(strvec_done) struct strvec lines = STRVEC_INIT;
	long long pid;

	if (dir < 0 || fd_read_file(dir, "cgroup.procs", 1 << 20, &text, NULL) < 0)
		return;
	strvec_split(&lines, text.buf, '\n');
	strvec_foreach (line, &lines)
		if (str_to_int(*line, 2, INT_MAX, &pid) == 0)
			(void)kill((pid_t)pid, SIGKILL); /* gone is fine */
}

static bool is_empty(const struct sandbox_cgroup *cg)
{
	int64_t populated = read_keyed(cg->fds[G_V2], "cgroup.events", "populated");

	if (populated >= 0)
		return populated == 0;
	for (int i = 1; i < SANDBOX_CGROUP_FDS; i++) {
		_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

		if (cg->fds[i] >= 0 && (fd_read_file(cg->fds[i], "cgroup.procs", 1 << 20,
						&text, NULL) < 0 ||
					       text.len))
			return false;
	}
	return true;
}

int cgroup_wait_empty(const struct sandbox_cgroup *cg, int64_t deadline, struct err *err)
{
	_cleanup_close_ int events = -1;

	if (cg->kind == SANDBOX_CGROUP_NONE || is_empty(cg))
		return 0;
	if (cg->fds[G_V2] >= 0)
		events = openat(cg->fds[G_V2], "cgroup.events", O_RDONLY | O_CLOEXEC);
	while (!is_empty(cg)) {
		struct pollfd p = { .fd = events, .events = POLLPRI };
		int64_t left = deadline - clock_boot_ms();
		char buf[256];

		if (left <= 0)
			return err_set(err, ERR_TIMEOUT,
				"processes of the job cannot be killed");
		if (events >= 0)
			(void)!pread(
				events, buf, sizeof(buf), 0); /* arms the notification */
		/* A change between the look and the wait costs one of these short turns. */
		(void)poll(&p, events >= 0, left < 20 ? (int)left : 20);
	}
	return 0;
}

static int remove_dir(int parent, const char *name, int64_t deadline, struct err *err)
{
	while (unlinkat(parent, name, AT_REMOVEDIR) < 0) {
		const struct timespec pause = { .tv_nsec = 2000000 };

		if (errno == ENOENT)
			return 0;
		/* The last exiting thread leaves the group a moment after its parent heard. */
		if (errno != EBUSY || clock_boot_ms() > deadline)
			return err_sys(err, "cannot remove the cgroup '%s'", name);
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

static void open_group(const struct sandbox_cgroup_tree *tree, const char *name,
	struct sandbox_cgroup *cg)
{
	cg->kind = tree->kind;
	for (int i = 0; i < SANDBOX_CGROUP_FDS; i++)
		if (tree->parents[i] >= 0)
			cg->fds[i] = cgroup_open_dir(tree->parents[i], name);
}

int sandbox_cgroup_remove(
	const struct sandbox_cgroup_tree *tree, const char *name, struct err *err)
{
	_cleanup_(sandbox_cgroup_done) struct sandbox_cgroup cg = SANDBOX_CGROUP_INIT;
	int64_t deadline = clock_boot_ms() + 5000;

	if (!path_is_name(name))
		return err_set(err, ERR_INPUT, "'%s' is no name for a cgroup", name);
	open_group(tree, name, &cg);
	if (cgroup_kill(&cg) < 0)
		for (int i = 1; i < SANDBOX_CGROUP_FDS; i++)
			kill_by_pid(cg.fds[i]);
	if (cgroup_wait_empty(&cg, deadline, err) < 0)
		return -1;
	for (int i = 0; i < SANDBOX_CGROUP_FDS; i++)
		if (tree->parents[i] >= 0 &&
			remove_dir(tree->parents[i], name, deadline, err) < 0)
			return -1;
	return 0;
}

int sandbox_cgroup_is_populated(
	const struct sandbox_cgroup_tree *tree, const char *name, struct err *err)
{
	_cleanup_(sandbox_cgroup_done) struct sandbox_cgroup cg = SANDBOX_CGROUP_INIT;

	if (!path_is_name(name))
		return err_set(err, ERR_INPUT, "'%s' is no name for a cgroup", name);
	open_group(tree, name, &cg);
	return !is_empty(&cg);
}

void sandbox_cgroup_list(const struct sandbox_cgroup_tree *tree, struct strvec *out)
{
	for (int i = 0; i < SANDBOX_CGROUP_FDS; i++) {
		int fd = tree->parents[i] >= 0 ? cgroup_open_dir(tree->parents[i], ".")
					       : -1;
		DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
		struct dirent *e;

		while (d && (e = readdir(d)))
			if (e->d_type == DT_DIR && path_is_name(e->d_name) &&
				!strvec_has(out, e->d_name))
				strvec_push(out, e->d_name);
		if (d)
			(void)closedir(d);
	}
}

/* ---- while it runs ----------------------------------------------------------------- */

int cgroup_enter_fds(
	const struct sandbox_cgroup *cg, int ret[SANDBOX_CGROUP_FDS], struct err *err)
{
	for (int i = 0; i < SANDBOX_CGROUP_FDS; i++) {
		const char *file = i == G_V2 ? "cgroup.procs" : "tasks";

		if (cg->fds[i] < 0)
			continue;
		if (cg->enter[i] >= 0)
			ret[i] = fcntl(cg->enter[i], F_DUPFD_CLOEXEC, 3);
		else
			ret[i] = openat(cg->fds[i], file, O_WRONLY | O_CLOEXEC);
		if (ret[i] < 0)
			return err_sys(err, "cannot enter the job's cgroup");
	}
	return 0;
}

int cgroup_freeze(const struct sandbox_cgroup *cg, bool on, struct err *err)
{
	int64_t deadline = clock_boot_ms() + 5000;

	if (cg->fds[G_V2] < 0)
		return err_set(err, ERR_UNSUPPORTED,
			"this host has no cgroup to freeze a job in");
	if (child_write_file(cg->fds[G_V2], "cgroup.freeze", on ? "1" : "0") < 0)
		return err_sys(err, "cannot freeze the job");
	while (read_keyed(cg->fds[G_V2], "cgroup.events", "frozen") != on) {
		const struct timespec pause = { .tv_nsec = 2000000 };

		if (clock_boot_ms() > deadline)
			return err_set(err, ERR_TIMEOUT, "the job does not freeze");
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

/* v1 wants "EVENTFD FILE" told to its control file; v2 notifies on the file itself. */
int cgroup_oom_fd(const struct sandbox_cgroup *cg)
{
	_cleanup_close_ int event = -1, oom = -1;
	char text[32];

	if (!(cg->controllers & SANDBOX_CTL_MEMORY))
		return -1;
	if (cg->fds[G_MEMORY] < 0)
		return openat(cg->fds[G_V2], "memory.events", O_RDONLY | O_CLOEXEC);
	oom = openat(cg->fds[G_MEMORY], "memory.oom_control", O_RDONLY | O_CLOEXEC);
	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (oom < 0 || event < 0)
		return -1;
	(void)snprintf(text, sizeof(text), "%d %d", event, oom);
	if (child_write_file(cg->fds[G_MEMORY], "cgroup.event_control", text) < 0)
		return -1;
	return take_fd(&event);
}

int64_t cgroup_oom_kills(const struct sandbox_cgroup *cg)
{
	if (!(cg->controllers & SANDBOX_CTL_MEMORY))
		return -1;
	if (cg->fds[G_MEMORY] >= 0)
		return read_keyed(cg->fds[G_MEMORY], "memory.oom_control", "oom_kill");
	return read_keyed(cg->fds[G_V2], "memory.events", "oom_kill");
}

static int64_t less_ours(int64_t v)
{
	return v < 0 ? -1 : v < 2 ? 0 : v - 2;
}

void cgroup_stats(const struct sandbox_cgroup *cg, struct sandbox_stats *ret)
{
	int v2 = cg->kind == SANDBOX_CGROUP_V2 ? cg->fds[G_V2] : -1;

	*ret = (struct sandbox_stats){ -1, -1, -1, -1, -1, -1 };
	ret->oom_kills = cgroup_oom_kills(cg);
	if (v2 >= 0) {
		ret->memory = number_read(v2, "memory.current");
		ret->memory_peak = number_read(v2, "memory.peak");
		ret->pids = less_ours(number_read(v2, "pids.current"));
		ret->pids_peak = less_ours(number_read(v2, "pids.peak"));
		ret->cpu_us = read_keyed(v2, "cpu.stat", "usage_usec");
		return;
	}
	ret->memory = number_read(cg->fds[G_MEMORY], "memory.usage_in_bytes");
	ret->memory_peak = number_read(cg->fds[G_MEMORY], "memory.max_usage_in_bytes");
	ret->pids = less_ours(number_read(cg->fds[G_PIDS], "pids.current"));
	ret->pids_peak = less_ours(number_read(cg->fds[G_PIDS], "pids.peak"));
	if (cg->fds[G_V2] >= 0)
		ret->cpu_us = read_keyed(cg->fds[G_V2], "cpu.stat", "usage_usec");
}
