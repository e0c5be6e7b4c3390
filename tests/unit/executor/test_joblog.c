/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <fcntl.h>

#include "base/fd.h"
#include "executor/joblog.h"
#include "executor/link.h"

struct both {
	struct journal *journal;
	struct joblog *log;
};

static void open_both(const struct test_dir *dir, uint64_t max, struct both *b)
{
	struct err err = ERR_INIT;

	assert_ok(journal_open(dir->fd, JOB_FILE_JOURNAL, &b->journal, &err), &err);
	assert_ok(joblog_open(dir->fd, b->journal, max, &b->log, &err), &err);
}

static void close_both(struct both *b)
{
	joblog_free(b->log);
	journal_free(b->journal);
}

static void add(struct both *b, int n, enum joblog_stream s, const char *text)
{
	struct err err = ERR_INIT;

	assert_ok(joblog_add(b->log, n, s, text, strlen(text), &err), &err);
}

static int collect(const struct journal_frame *f, void *data, struct err *err)
{
	strbuf_addf(data, "%lld:%lld-%lld %s|",
		(long long)json_get_int(f->payload, "n", -1),
		(long long)json_get_int(f->payload, "from", -1),
		(long long)json_get_int(f->payload, "to", -1),
		json_get_str(f->payload, "stream", "?"));
	return 0;
}

static void frames_of(const struct test_dir *dir, struct strbuf *out)
{
	_cleanup_close_ int fd = openat(dir->fd, JOB_FILE_JOURNAL, O_RDONLY | O_CLOEXEC);
	struct err err = ERR_INIT;

	assert_ok(journal_each(fd, 0, 0, collect, out, NULL, &err), &err);
}

static void each_run_of_bytes_has_its_frame(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_(strbuf_done) struct strbuf frames = STRBUF_INIT, text = STRBUF_INIT;
	struct both b;
	struct err err = ERR_INIT;

	open_both(dir, 0, &b);
	add(&b, 1, JOBLOG_SYS, "head\n");
	add(&b, 1, JOBLOG_OUT, "a\n");
	add(&b, 1, JOBLOG_OUT, "b\n");
	add(&b, 1, JOBLOG_ERR, "c\n");
	add(&b, 2, JOBLOG_ERR, "d\n");
	assert_int_equal(joblog_size(b.log), 13);
	assert_ok(joblog_sync(b.log, &err), &err);
	assert_int_equal(joblog_written(b.log), 13);
	close_both(&b);
	frames_of(dir, &frames);
	assert_string_equal(frames.buf, "1:0-5 sys|1:5-11 both|2:11-13 err|");
	assert_ok(fd_read_file(dir->fd, JOB_FILE_LOG, 100, &text, &err), &err);
	assert_string_equal(text.buf, "head\na\nb\nc\nd\n");
}

static uint64_t index_at(const struct test_dir *dir, size_t i, size_t *len)
{
	_cleanup_(strbuf_done) struct strbuf raw = STRBUF_INIT;
	struct err err = ERR_INIT;
	uint64_t v = 0;

	assert_ok(fd_read_file(dir->fd, JOB_FILE_INDEX, 1 << 20, &raw, &err), &err);
	*len = raw.len / 8;
	assert_true(i < *len);
	for (int b = 7; b >= 0; b--)
		v = v << 8 | (unsigned char)raw.buf[i * 8 + (size_t)b];
	return v;
}

static void the_index_names_each_1024th_line(void **state)
{
	const struct test_dir *dir = *state;
	struct both b;
	struct err err = ERR_INIT;
	size_t len;

	open_both(dir, 0, &b);
	for (int i = 0; i < 3000; i++) {
		add(&b, 1, JOBLOG_OUT, "12"); /* lines arrive in pieces */
		add(&b, 1, JOBLOG_OUT, "3\n");
	}
	assert_ok(joblog_flush(b.log, &err), &err);
	close_both(&b);
	assert_int_equal(index_at(dir, 0, &len), 0);
	assert_int_equal(len, 3);
	assert_int_equal(index_at(dir, 1, &len), 1024 * 4);
	assert_int_equal(index_at(dir, 2, &len), 2048 * 4);
}

static void over_its_size_it_is_cut_with_a_mark(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct both b;
	struct err err = ERR_INIT;

	open_both(dir, 10, &b);
	add(&b, 1, JOBLOG_OUT, "12345678");
	assert_false(joblog_is_truncated(b.log));
	add(&b, 1, JOBLOG_OUT, "abcdef\n");
	assert_true(joblog_is_truncated(b.log));
	add(&b, 1, JOBLOG_OUT, "never\n");
	assert_ok(joblog_sync(b.log, &err), &err);
	close_both(&b);
	assert_ok(fd_read_file(dir->fd, JOB_FILE_LOG, 1000, &text, &err), &err);
	assert_string_equal(text.buf,
		"12345678\n##[warning]the log has reached its size limit; "
		"what follows is dropped\n");
}

static void the_digest_is_that_of_the_file(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	char got[SHA256_HEX_MAX], want[SHA256_HEX_MAX];
	struct both b;
	struct err err = ERR_INIT;

	open_both(dir, 0, &b);
	for (int i = 0; i < 1000; i++)
		add(&b, i % 3, JOBLOG_OUT, "some bytes of a line\n");
	assert_ok(joblog_sync(b.log, &err), &err);
	joblog_digest(b.log, got);
	close_both(&b);
	assert_ok(fd_read_file(dir->fd, JOB_FILE_LOG, 1 << 20, &text, &err), &err);
	assert_string_equal(got, crypto_sha256_hex(text.buf, text.len, want));
}

static void an_old_log_is_never_written_over(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_(journal_freep) struct journal *j = NULL;
	struct joblog *log = NULL;
	struct err err = ERR_INIT;

	test_write(dir, JOB_FILE_LOG, "precious");
	assert_ok(journal_open(dir->fd, JOB_FILE_JOURNAL, &j, &err), &err);
	assert_int_equal(joblog_open(dir->fd, j, 0, &log, &err), -1);
	assert_err(&err, ERR_SYS, NULL);
}

TEST_MAIN(TEST_DIR(each_run_of_bytes_has_its_frame),
	TEST_DIR(the_index_names_each_1024th_line),
	TEST_DIR(over_its_size_it_is_cut_with_a_mark),
	TEST_DIR(the_digest_is_that_of_the_file),
	TEST_DIR(an_old_log_is_never_written_over))
