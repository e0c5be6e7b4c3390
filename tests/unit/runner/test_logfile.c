/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <fcntl.h>

#include "base/fd.h"
#include "executor/link.h"
#include "runner/logfile.h"

struct fixture {
	struct test_dir *dir;
	struct logfile *f;
};

/* A log of N lines "line K" with every seventh one longer, and its sparse index. */
static void write_log(struct fixture *x, uint64_t n, bool with_index, bool open_end)
{
	_cleanup_(strbuf_done) struct strbuf log = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf index = STRBUF_INIT;
	_cleanup_free_ char *path = NULL;
	struct err err = ERR_INIT;

	for (uint64_t i = 0; i < n; i++) {
		uint64_t at = log.len;

		if (i % LINK_INDEX_LINES == 0)
			strbuf_add(&index, &at, sizeof(at));
		strbuf_addf(&log, "line %llu%s", (unsigned long long)i + 1,
			i % 7 == 0 ? " needle and more words to make it longer" : "");
		if (i + 1 < n || !open_end)
			strbuf_addc(&log, '\n');
	}
	test_write(x->dir, "jobs/5/1/log", "");
	path = xasprintf("%s/jobs/5/1/log", x->dir->path);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(fd_write_all(fd, log.buf, log.len), 0);
	if (with_index) {
		test_write(x->dir, "jobs/5/1/log.idx", "");
		_cleanup_free_ char *ipath = xasprintf("%s/jobs/5/1/log.idx", x->dir->path);
		_cleanup_close_ int ifd = open(ipath, O_WRONLY | O_CLOEXEC);

		assert_int_equal(fd_write_all(ifd, index.buf, index.len), 0);
	}
	assert_ok(logfile_open(x->dir->fd, 5, 1, &x->f, &err), &err);
}

static int setup(void **state)
{
	struct fixture *x = xcalloc(1, sizeof(*x));

	x->dir = test_tempdir();
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	logfile_free(x->f);
	test_tempdir_free(x->dir);
	free(x);
	return 0;
}

static int expect_line(uint64_t number, uint64_t offset, const char *line, size_t len,
	void *data)
{
	uint64_t *next = data;
	char want[32];
	int n = snprintf(want, sizeof(want), "line %llu", (unsigned long long)number);

	assert_int_equal(number, *next);
	assert_true(len >= (size_t)n);
	assert_memory_equal(line, want, n);
	(*next)++;
	return 0;
}

static void check_lines(struct fixture *x, uint64_t n)
{
	struct err err = ERR_INIT;
	uint64_t lines, offset, at;

	assert_ok(logfile_lines(x->f, true, &lines, &err), &err);
	assert_int_equal(lines, n);
	for (uint64_t i = 1; i <= n; i += n / 13 + 1) {
		uint64_t next = i;

		assert_ok(logfile_each(x->f, i, 20, true, expect_line, &next, &err), &err);
		assert_int_equal(next, i + 20 <= n + 1 ? i + 20 : n + 1);
		assert_ok(logfile_line_offset(x->f, i, &offset, &err), &err);
		assert_ok(logfile_line_at(x->f, offset, &at, &err), &err);
		assert_int_equal(at, i);
	}
}

static void finds_any_line_with_an_index(void **state)
{
	write_log(*state, 30000, true, false);
	check_lines(*state, 30000);
}

static void finds_any_line_without_an_index(void **state)
{
	write_log(*state, 5000, false, false);
	check_lines(*state, 5000);
}

static void a_last_line_without_newline_counts_only_when_the_job_is_over(void **state)
{
	struct fixture *x = *state;
	struct err err = ERR_INIT;
	uint64_t n, next = 1;

	write_log(x, 10, true, true);
	assert_ok(logfile_lines(x->f, false, &n, &err), &err);
	assert_int_equal(n, 9);
	assert_ok(logfile_lines(x->f, true, &n, &err), &err);
	assert_int_equal(n, 10);
	assert_ok(logfile_each(x->f, 1, 100, false, expect_line, &next, &err), &err);
	assert_int_equal(next, 10);
}

static void a_line_not_yet_written_is_the_end(void **state)
{
	struct fixture *x = *state;
	struct err err = ERR_INIT;
	uint64_t offset;

	write_log(x, 10, true, false);
	assert_ok(logfile_line_offset(x->f, 5000, &offset, &err), &err);
	assert_int_equal(offset, logfile_size(x->f));
}

static void search_counts_every_line_and_names_the_first(void **state)
{
	struct fixture *x = *state;
	struct err err = ERR_INIT;
	uint64_t hits[10], count;

	write_log(x, 20000, true, false);
	assert_ok(logfile_search(x->f, "NEEDLE", hits, 10, &count, &err), &err);
	assert_int_equal(count, 0); /* a capital asks for exactly that */
	assert_ok(logfile_search(x->f, "needle", hits, 10, &count, &err), &err);
	assert_int_equal(count, 20000 / 7 + 1);
	for (uint64_t i = 0; i < 10; i++)
		assert_int_equal(hits[i], i * 7 + 1);
	assert_ok(logfile_search(x->f, "line 20000", hits, 10, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_int_equal(hits[0], 20000);
	assert_int_equal(logfile_search(x->f, "", hits, 10, &count, &err), -1);
}

static void says_that_there_is_no_log_yet(void **state)
{
	struct fixture *x = *state;
	struct err err = ERR_INIT;

	assert_int_equal(logfile_open(x->dir->fd, 6, 1, &x->f, &err), -1);
	assert_err(&err, ERR_NOT_FOUND, "job 6 has no log yet");
}

TEST_MAIN(TEST_WITH(finds_any_line_with_an_index, setup, teardown),
	TEST_WITH(finds_any_line_without_an_index, setup, teardown),
	TEST_WITH(a_last_line_without_newline_counts_only_when_the_job_is_over, setup, teardown),
	TEST_WITH(a_line_not_yet_written_is_the_end, setup, teardown),
	TEST_WITH(search_counts_every_line_and_names_the_first, setup, teardown),
	TEST_WITH(says_that_there_is_no_log_yet, setup, teardown))
