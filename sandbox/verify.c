/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel says of a process of ours, read from outside, strictly: a line that is
 * missing or cannot be understood is a reason to refuse.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/sandbox-internal.h"

/* The text after "KEY:\t" up to the end of the line, copied into BUF; false: none. */
static bool field(const char *status, const char *key, char *buf, size_t size)
{
	size_t len = strlen(key);

	for (const char *line = status; line && *line; line = strchr(line, '\n')) {
		size_t n;

		if (*line == '\n')
			line++;
		if (strncmp(line, key, len) != 0 || line[len] != ':')
			continue;
		line += len + 1;
		line += strspn(line, "\t ");
		n = strcspn(line, "\n");
		while (n && (line[n - 1] == ' ' || line[n - 1] == '\t'))
			n--;
		if (n >= size)
			return false;
		memcpy(buf, line, n);
		buf[n] = '\0';
		return true;
	}
	return false;
}

static bool number(const char *text, int base, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, base);
	return *text && !*end && !errno;
}

static int status_read(const char *path, struct strbuf *text, struct err *err)
{
	if (fd_read_file(AT_FDCWD, path, 65536, text, err) < 0)
		return -1;
	if (!text->len)
		return err_set(err, ERR_UNAVAILABLE, "'%s' is empty", path);
	return 0;
}

struct checker {
	const char *status, *who;
	struct err *err;
};

static int refuse(const struct checker *c, const char *key, const char *got)
{
	return err_set(c->err, ERR_DENIED,
		"the confinement of %s is not whole: %s is '%s'", c->who, key, got);
}

/* All four ids of the line are WANT. */
static int check_ids(const struct checker *c, const char *key, unsigned want)
{
	char got[128], expected[128];

	(void)snprintf(
		expected, sizeof(expected), "%u\t%u\t%u\t%u", want, want, want, want);
	if (!field(c->status, key, got, sizeof(got)))
		return refuse(c, key, "missing");
	return strcmp(got, expected) ? refuse(c, key, got) : 0;
}

static int check_caps(const struct checker *c, const char *key, uint64_t allowed)
{
	char got[64];
	uint64_t v;

	if (!field(c->status, key, got, sizeof(got)) || !number(got, 16, &v))
		return refuse(c, key, "missing");
	return v & ~allowed ? refuse(c, key, got) : 0;
}

static int check_number(
	const struct checker *c, const char *key, uint64_t low, uint64_t high)
{
	char got[64];
	uint64_t v;

	if (!field(c->status, key, got, sizeof(got)) || !number(got, 10, &v))
		return refuse(c, key, "missing");
	return v < low || v > high ? refuse(c, key, got) : 0;
}

static int check_groups(const struct checker *c)
{
	char got[256];

	if (!field(c->status, "Groups", got, sizeof(got)))
		return refuse(c, "Groups", "missing");
	return *got ? refuse(c, "Groups", got) : 0;
}

int verify_text(const char *status, const struct status_want *want, const char *who,
	struct err *err)
{
	struct checker c = { .status = status, .who = who, .err = err };

	if (check_ids(&c, "Uid", want->uid) < 0 || check_ids(&c, "Gid", want->gid) < 0)
		return -1;
	if (want->no_groups && check_groups(&c) < 0)
		return -1;
	if (check_caps(&c, "CapInh", 0) < 0 || check_caps(&c, "CapPrm", want->caps) < 0 ||
		check_caps(&c, "CapEff", want->caps) < 0 ||
		check_caps(&c, "CapBnd", want->bounding) < 0 ||
		check_caps(&c, "CapAmb", 0) < 0)
		return -1;
	if (check_number(&c, "NoNewPrivs", 1, 1) < 0 ||
		check_number(&c, "Seccomp", 2, 2) < 0 ||
		check_number(&c, "Threads", 1, 1) < 0)
		return -1;
	return check_number(&c, "Seccomp_filters", want->filters_min, UINT32_MAX);
}

int verify_status(
	pid_t pid, const struct status_want *want, const char *who, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (status_read(path, &text, err) < 0)
		return -1;
	return verify_text(text.buf, want, who, err);
}

int verify_own_filters(unsigned *ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	char got[32];
	uint64_t v;

	if (status_read("/proc/self/status", &text, err) < 0)
		return -1;
	if (!field(text.buf, "Seccomp_filters", got, sizeof(got)) ||
		!number(got, 10, &v) || v > 1000)
		return err_set(err, ERR_UNSUPPORTED,
			"this kernel does not count system call filters (before 5.9)");
	*ret = (unsigned)v;
	return 0;
}
