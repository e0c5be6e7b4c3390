/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a job as the host sees them, for its page. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "sandbox/sandbox-internal.h"

/* "NAME" between the outer parentheses, then the fields from the third on. */
static int parse_stat(char *text, struct sandbox_process *p)
{
	char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned long user, system;
	long pages;

	if (!open || !close || close < open)
		return -1;
	*close = '\0';
	(void)snprintf(p->name, sizeof(p->name), "%s", open + 1);
	if (sscanf(close + 1,
		    " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d "
		    "%*d %*d "
		    "%*d %*u %*u %ld",
		    &user, &system, &pages) != 3)
		return -1;
	p->cpu_us = (int64_t)(user + system) * 1000000 / sysconf(_SC_CLK_TCK);
	p->rss = (int64_t)pages * sysconf(_SC_PAGESIZE);
	return 0;
}

/* The innermost number of "NSpid:\t1234\t7". */
static pid_t parse_inside(const char *status)
{
	const char *line = strstr(status, "\nNSpid:");
	long v = 0;

	for (line = line ? line + 1 : NULL;
		line && (line = strpbrk(line, "\t\n")) && *line == '\t';)
		v = strtol(++line, NULL, 10);
	return (pid_t)v;
}

static int process_read(pid_t pid, struct sandbox_process *p)
{
	_cleanup_(strbuf_done) struct strbuf stat = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf status = STRBUF_INIT;
	char path[64];

	*p = (struct sandbox_process){ .pid = pid };
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (fd_read_file(AT_FDCWD, path, 4096, &stat, NULL) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (fd_read_file(AT_FDCWD, path, 16384, &status, NULL) < 0)
		return -1;
	p->inside = parse_inside(status.buf);
	return parse_stat(stat.buf, p);
}

int sandbox_processes(const struct sandbox *sb, struct sandbox_process *ret, size_t max,
	struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_(strvec_done) struct strvec lines = STRVEC_INIT;
	size_t n = 0;
	int dir = -1;

	for (int i = 0; i < SANDBOX_CGROUP_FDS && dir < 0; i++)
		dir = sb->cgroup.fds[i];
	if (dir < 0)
		return err_set(err, ERR_UNSUPPORTED, "this job has no cgroup to list");
	if (fd_read_file(dir, "cgroup.procs", 1 << 20, &text, err) < 0)
		return -1;
	strvec_split(&lines, text.buf, '\n');
	strvec_foreach (line, &lines) {
		long long pid;

		/* One that ended meanwhile is left out; so are init and the forker. */
		if (n < max && str_to_int(*line, 1, INT_MAX, &pid) == 0 &&
			process_read((pid_t)pid, &ret[n]) == 0 && ret[n].inside > 2)
			n++;
	}
	return (int)n;
}
