/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of a log by number and offset, from its sparse index. */
#include "runner/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "executor/link.h"

#define BLOCK (256 * 1024)
#define LINE_MAX_SHOWN (1024 * 1024)

struct logfile {
	int fd;
	int index; /* -1: none */
};

int logfile_open(int jobs, int64_t job, int64_t try, struct logfile **ret,
	struct err *err)
{
	_cleanup_(logfile_freep) struct logfile *f = xcalloc(1, sizeof(*f));
	char path[96];

	f->index = -1;
	snprintf(path, sizeof(path), "%lld/%lld/" JOB_FILE_LOG, (long long)job,
		(long long)try);
	f->fd = openat(jobs, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (f->fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "job %lld has no log yet", (long long)job);
	if (f->fd < 0)
		return err_sys(err, "cannot open the log of job %lld", (long long)job);
	snprintf(path, sizeof(path), "%lld/%lld/" JOB_FILE_INDEX, (long long)job,
		(long long)try);
	f->index = openat(jobs, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	*ret = take_ptr(f);
	return 0;
}

void logfile_free(struct logfile *f)
{
	if (!f)
		return;
	cleanup_closep(&f->fd);
	cleanup_closep(&f->index);
	free(f);
}

uint64_t logfile_size(struct logfile *f)
{
	struct stat st;

	return fstat(f->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

int logfile_dup(struct logfile *f, struct err *err)
{
	int fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? err_sys(err, "cannot duplicate a descriptor") : fd;
}

static ssize_t read_at(struct logfile *f, char *buf, size_t len, uint64_t offset)
{
	ssize_t n;

	do
		n = pread(f->fd, buf, len, (off_t)offset);
	while (n < 0 && errno == EINTR);
	return n;
}

int logfile_read(struct logfile *f, uint64_t offset, size_t len, struct strbuf *out,
	struct err *err)
{
	ssize_t n;

	strbuf_reserve(out, len);
	n = read_at(f, out->buf + out->len, len, offset);
	if (n < 0)
		return err_sys(err, "cannot read a log");
	strbuf_commit(out, (size_t)n);
	return 0;
}

/* Entry I of the sparse index: where line I * LINK_INDEX_LINES (from 0) begins. */
static bool index_entry(struct logfile *f, uint64_t i, uint64_t *ret)
{
	uint64_t v;

	if (i == 0) {
		*ret = 0;
		return true;
	}
	if (f->index < 0 ||
		pread(f->index, &v, sizeof(v), (off_t)(i * sizeof(v))) != sizeof(v) ||
		v > logfile_size(f))
		return false;
	*ret = v;
	return true;
}

/* The last index entry that is not behind line NUMBER (from 0). */
static uint64_t index_before(struct logfile *f, uint64_t number, uint64_t *ret_offset)
{
	uint64_t i = number / LINK_INDEX_LINES;
	struct stat st;

	if (f->index >= 0 && fstat(f->index, &st) == 0) {
		uint64_t have = (uint64_t)st.st_size / sizeof(uint64_t);

		if (i >= have)
			i = have ? have - 1 : 0;
	} else {
		i = 0;
	}
	while (!index_entry(f, i, ret_offset))
		i--;
	return i * LINK_INDEX_LINES;
}

int logfile_line_offset(struct logfile *f, uint64_t number, uint64_t *ret, struct err *err)
{
	_cleanup_free_ char *buf = NULL;
	uint64_t offset = 0, at;

	if (number <= 1) {
		*ret = 0;
		return 0;
	}
	at = index_before(f, number - 1, &offset);
	buf = xmalloc(BLOCK);
	while (at < number - 1) {
		ssize_t n = read_at(f, buf, BLOCK, offset);
		const char *p = buf, *nl;

		if (n < 0)
			return err_sys(err, "cannot read a log");
		if (n == 0)
			break;
		while (at < number - 1 &&
			(nl = memchr(p, '\n', (size_t)(buf + n - p))) != NULL) {
			at++;
			p = nl + 1;
		}
		offset += at < number - 1 ? (uint64_t)n : (uint64_t)(p - buf);
	}
	*ret = offset;
	return 0;
}

int logfile_line_at(struct logfile *f, uint64_t offset, uint64_t *ret, struct err *err)
{
	uint64_t lo = 0, hi = 0, start = 0;
	struct stat st;
	_cleanup_free_ char *buf = xmalloc(BLOCK);
	uint64_t line;

	if (f->index >= 0 && fstat(f->index, &st) == 0 && st.st_size > 0)
		hi = (uint64_t)st.st_size / sizeof(uint64_t) - 1;
	while (lo < hi) {
		uint64_t mid = (lo + hi + 1) / 2, v;

		if (index_entry(f, mid, &v) && v <= offset)
			lo = mid;
		else
			hi = mid - 1;
	}
	(void)index_entry(f, lo, &start); /* entry LO was just read, or is 0 */
	line = lo * LINK_INDEX_LINES + 1;
	while (start < offset) {
		size_t want = offset - start < BLOCK ? (size_t)(offset - start) : BLOCK;
		ssize_t n = read_at(f, buf, want, start);

		if (n < 0)
			return err_sys(err, "cannot read a log");
		if (n == 0)
			break;
		for (const char *p = buf; (p = memchr(p, '\n', (size_t)(buf + n - p))); p++)
			line++;
		start += (uint64_t)n;
	}
	*ret = line;
	return 0;
}

int logfile_lines(struct logfile *f, bool whole, uint64_t *ret, struct err *err)
{
	uint64_t size = logfile_size(f), line;
	char last = '\n';

	if (logfile_line_at(f, size, &line, err) < 0)
		return -1;
	if (size > 0 && read_at(f, &last, 1, size - 1) != 1)
		return err_sys(err, "cannot read a log");
	*ret = line - 1 + (whole && last != '\n' ? 1 : 0);
	return 0;
}

int logfile_each(struct logfile *f, uint64_t number, uint64_t max, bool whole,
	logfile_line_fn *fn, void *data, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf buf = STRBUF_INIT;
	uint64_t offset, given = 0;
	size_t at = 0;

	if (number < 1)
		number = 1;
	if (logfile_line_offset(f, number, &offset, err) < 0)
		return -1;
	while (given < max) {
		const char *nl = memchr(buf.buf + at, '\n', buf.len - at);
		size_t len = nl ? (size_t)(nl - buf.buf) - at : buf.len - at;
		size_t before = buf.len;

		if (!nl && len < LINE_MAX_SHOWN) {
			strbuf_remove(&buf, 0, at);
			before -= at;
			offset += at;
			at = 0;
			if (logfile_read(f, offset + buf.len, BLOCK, &buf, err) < 0)
				return -1;
			if (buf.len > before)
				continue;
			if (len == 0 || !whole)
				return 0;
		}
		if (fn(number + given, offset + at, buf.buf + at, len, data) != 0)
			return 0;
		given++;
		at += len + (nl ? 1 : 0);
		if (!nl) /* a monster: go on behind its newline */
			return logfile_line_offset(f, number + given, &offset, err) < 0 ?
				-1 :
				logfile_each(f, number + given, max - given, whole, fn, data,
					err);
		if (at > BLOCK) {
			strbuf_remove(&buf, 0, at);
			offset += at;
			at = 0;
		}
	}
	return 0;
}

int logfile_find_prefix(struct logfile *f, uint64_t offset, const char *prefix, uint64_t max,
	uint64_t *ret_line, struct err *err)
{
	size_t n = strlen(prefix), keep = 0;
	_cleanup_free_ char *buf = xmalloc(BLOCK + n + 1);
	uint64_t from = offset, at = offset;

	*ret_line = 0;
	while (at - from < max) {
		ssize_t got = read_at(f, buf + keep, BLOCK, at);
		char *end, *p = buf;

		if (got < 0)
			return err_sys(err, "cannot read a log");
		if (got == 0)
			return 0;
		end = buf + keep + got;
		while ((p = memmem(p, (size_t)(end - p), prefix, n)) != NULL) {
			uint64_t hit = at - keep + (uint64_t)(p - buf);

			if (hit == 0 || (p > buf && p[-1] == '\n'))
				return logfile_line_at(f, hit, ret_line, err);
			p++;
		}
		at += (uint64_t)got;
		/* One byte more than the prefix may need: the newline before it. */
		keep = (size_t)(end - buf) < n ? (size_t)(end - buf) : n;
		memmove(buf, end - keep, keep);
	}
	return 0;
}
