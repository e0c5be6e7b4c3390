/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One buffer, one write a turn of the loop. The digest runs along, so sealing a log of
 * gigabytes costs no second reading.
 */
#include "executor/joblog.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "executor/link.h"

#define GATHER_MAX   (256 * 1024)
#define INDEX_GATHER 512

static const char truncated_mark[] =
	"##[warning]the log has reached its size limit; what follows is dropped\n";

struct joblog {
	int fd, index_fd;
	struct journal *journal;
	uint64_t written, size_max;
	struct strbuf buf;
	/* The run of bytes at the end of buf that has no LOG frame yet. */
	size_t run_from;
	int run_n;
	enum joblog_stream run_stream;
	bool run_mixed; /* both stdout and stderr in it */
	/* Lines, for the index. */
	uint64_t lines;
	bool at_line_start;
	uint64_t starts[INDEX_GATHER];
	size_t starts_len;
	bool is_truncated, is_dirty;
	struct sha256 *digest;
};

static int open_at(int dir, const char *name, int *ret, struct err *err)
{
	*ret = openat(
		dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	return *ret < 0 ? err_sys(err, "cannot create '%s'", name) : 0;
}

int joblog_open(int job_dir, struct journal *journal, uint64_t size_max,
	struct joblog **ret, struct err *err)
{
	_cleanup_(joblog_freep) struct joblog *l = xcalloc(1, sizeof(*l));

	l->fd = l->index_fd = -1;
	strbuf_init(&l->buf);
	l->journal = journal;
	l->size_max = size_max ? size_max : (uint64_t)LIMIT_LOG_JOB;
	l->at_line_start = true;
	l->digest = sha256_new();
	if (open_at(job_dir, JOB_FILE_LOG, &l->fd, err) < 0 ||
		open_at(job_dir, JOB_FILE_INDEX, &l->index_fd, err) < 0)
		return -1;
	*ret = take_ptr(l);
	return 0;
}

void joblog_free(struct joblog *l)
{
	if (!l)
		return;
	cleanup_closep(&l->fd);
	cleanup_closep(&l->index_fd);
	strbuf_done(&l->buf);
	sha256_free(l->digest);
	free(l);
}

/* ---- the index ---- */

static int write_starts(struct joblog *l, struct err *err)
{
	uint8_t bytes[INDEX_GATHER * 8];

	for (size_t i = 0; i < l->starts_len; i++)
		for (int b = 0; b < 8; b++)
			bytes[i * 8 + (size_t)b] = (uint8_t)(l->starts[i] >> (8 * b));
	if (fd_write_all(l->index_fd, bytes, l->starts_len * 8) < 0)
		return err_sys(err, "cannot write the index of the log");
	l->starts_len = 0;
	return 0;
}

/* Counts the lines of DATA, which will stand at offset AT of the log. */
static int index_lines(
	struct joblog *l, const char *data, size_t len, uint64_t at, struct err *err)
{
	const char *p = data, *end = data + len;

	while (p < end) {
		const char *nl;

		if (l->at_line_start && l->lines % LINK_INDEX_LINES == 0) {
			l->starts[l->starts_len++] = at + (uint64_t)(p - data);
			if (l->starts_len == INDEX_GATHER && write_starts(l, err) < 0)
				return -1;
		}
		l->at_line_start = false;
		nl = memchr(p, '\n', (size_t)(end - p));
		if (!nl)
			break;
		l->lines++;
		l->at_line_start = true;
		p = nl + 1;
	}
	return 0;
}

/* ---- gathering and writing ---- */

static const char *stream_name(const struct joblog *l)
{
	static const char *const names[] = { "out", "err", "sys" };

	return l->run_mixed ? "both" : names[l->run_stream];
}

/* The LOG frame of the current run; its bytes must be in the file by now. */
static int end_run(struct joblog *l, uint64_t base, struct err *err)
{
	struct json *j;

	if (l->run_from == l->buf.len)
		return 0;
	j = json_new_object();
	json_set_int(j, "n", l->run_n);
	json_set_int(j, "from", (int64_t)(base + l->run_from));
	json_set_int(j, "to", (int64_t)(base + l->buf.len));
	json_set_str(j, "stream", stream_name(l));
	return journal_add(l->journal, JOURNAL_LOG, j, err);
}

int joblog_flush(struct joblog *l, struct err *err)
{
	uint64_t base = l->written;

	if (l->buf.len == 0)
		return 0;
	/* At its place, not "at the end": a write that failed half way is simply repeated. */
	if (fd_pwrite_all(l->fd, l->buf.buf, l->buf.len, (off_t)base) < 0)
		return err_sys(err, "cannot write the log");
	sha256_add(l->digest, l->buf.buf, l->buf.len);
	l->is_dirty = true;
	l->written += l->buf.len;
	if (l->starts_len && write_starts(l, err) < 0)
		return -1;
	if (end_run(l, base, err) < 0)
		return -1;
	strbuf_clear(&l->buf);
	l->run_from = 0;
	l->run_mixed = false;
	return 0;
}

/* How many of LEN bytes still fit; the mark is written once, when they do not. */
static int apply_cap(struct joblog *l, size_t *len, struct err *err)
{
	uint64_t size = joblog_size(l);

	if (size + *len <= l->size_max)
		return 0;
	l->is_truncated = true;
	*len = 0;
	if (!l->at_line_start) {
		strbuf_addc(&l->buf, '\n');
		if (index_lines(l, "\n", 1, size++, err) < 0)
			return -1;
	}
	strbuf_adds(&l->buf, truncated_mark);
	return index_lines(l, truncated_mark, strlen(truncated_mark), size, err);
}

/* True when the bytes to come may share the frame of those gathered. */
static bool same_run(const struct joblog *l, int n, enum joblog_stream stream)
{
	return l->run_n == n && (l->run_stream == JOBLOG_SYS) == (stream == JOBLOG_SYS);
}

int joblog_add(struct joblog *l, int n, enum joblog_stream stream, const char *data,
	size_t len, struct err *err)
{
	if (l->is_truncated || len == 0)
		return 0;
	if (l->buf.len && !same_run(l, n, stream) && joblog_flush(l, err) < 0)
		return -1;
	if (l->buf.len == 0) {
		l->run_n = n;
		l->run_stream = stream;
	} else if (l->run_stream != stream) {
		l->run_mixed = true;
	}
	if (apply_cap(l, &len, err) < 0)
		return -1;
	if (len && index_lines(l, data, len, joblog_size(l), err) < 0)
		return -1;
	strbuf_add(&l->buf, data, len);
	return l->buf.len >= GATHER_MAX ? joblog_flush(l, err) : 0;
}

int joblog_sync(struct joblog *l, struct err *err)
{
	if (joblog_flush(l, err) < 0)
		return -1;
	if (!l->is_dirty)
		return 0;
	if (fdatasync(l->fd) < 0)
		return err_sys(err, "cannot sync the log");
	l->is_dirty = false;
	return 0;
}

uint64_t joblog_size(const struct joblog *l)
{
	return l->written + l->buf.len;
}

uint64_t joblog_written(const struct joblog *l)
{
	return l->written;
}

bool joblog_is_truncated(const struct joblog *l)
{
	return l->is_truncated;
}

void joblog_digest(struct joblog *l, char hex[SHA256_HEX_MAX])
{
	uint8_t out[SHA256_LEN];

	sha256_end(l->digest, out);
	hex_encode(out, sizeof(out), hex);
}
