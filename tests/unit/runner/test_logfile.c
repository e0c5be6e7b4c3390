/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <fcntl.h>

#include "base/fd.h"
#include "base/clock.h"
#include "executor/journal.h"
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
	test_write(x->dir, "5/1/log", "");
	path = xasprintf("%s/5/1/log", x->dir->path);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(fd_write_all(fd, log.buf, log.len), 0);
	if (with_index) {
		test_write(x->dir, "5/1/log.idx", "");
		_cleanup_free_ char *ipath = xasprintf("%s/5/1/log.idx", x->dir->path);
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

/* ---- scans ---- */

/* The scan of a log with these bytes, in steps of STEP. */
static struct logscan *scan(struct fixture *x, const char *find, size_t step)
{
	struct logscan *s = NULL;
	struct logfile *f = NULL;
	struct err err = ERR_INIT;
	int r;

	assert_ok(logfile_open(x->dir->fd, 5, 1, &f, &err), &err);
	assert_ok(logscan_new(f, find, &s, &err), &err);
	while ((r = logscan_step(s, step, &err)) > 0)
		continue;
	assert_ok(r, &err);
	return s;
}

static void write_bytes(struct fixture *x, const char *data, size_t len)
{
	_cleanup_free_ char *path = xasprintf("%s/5/1/log", x->dir->path);

	test_write(x->dir, "5/1/log", "");
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(fd_write_all(fd, data, len), 0);
}

static void search_counts_every_line_and_names_the_first(void **state)
{
	static const struct {
		const char *find;
		uint64_t count, first;
	} cases[] = {
		{ "NEEDLE", 0, 0 }, /* a capital asks for exactly that */
		{ "needle", 20000 / 7 + 1, 1 },
		{ "line 20000", 1, 20000 },
	};
	struct fixture *x = *state;
	struct logfile *f = NULL;
	struct logscan *s = NULL;
	struct err err = ERR_INIT;

	write_log(x, 20000, true, false);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct logscan_result *r;

		s = scan(x, cases[i].find, 1);
		r = logscan_result(s);
		assert_int_equal(r->lines, 20000);
		assert_int_equal(r->hits_count, cases[i].count);
		if (r->hits_len)
			assert_int_equal(r->hits[0], cases[i].first);
		assert_int_equal(r->hits_len, cases[i].count > LOGSCAN_MAX ? LOGSCAN_MAX :
									    cases[i].count);
		logscan_free(s);
	}
	assert_ok(logfile_open(x->dir->fd, 5, 1, &f, &err), &err);
	assert_int_equal(logscan_new(f, "", &s, &err), -1);
	assert_err(&err, ERR_INPUT, "search for 1 to 1024 bytes");
}

/* A line of many MiB is searched in pieces, is one hit, and what straddles them is found. */
static void search_finds_what_straddles_the_pieces_of_a_line(void **state)
{
	struct fixture *x = *state;
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;
	struct logscan *s;

	for (int i = 0; i < 400000; i++)
		strbuf_adds(&b, "abcdefghij ");
	memcpy(b.buf + (1 << 20) + (1 << 20) - 3, "Needle", 6);
	memcpy(b.buf + 3000000, "Needle", 6);
	strbuf_adds(&b, "\nsecond Needle\n");
	write_bytes(x, b.buf, b.len);
	s = scan(x, "Needle", 1 << 20);
	assert_int_equal(logscan_result(s)->hits_count, 2);
	assert_int_equal(logscan_result(s)->hits[0], 1);
	assert_int_equal(logscan_result(s)->hits[1], 2);
	logscan_free(s);
}

static void a_scan_finds_groups_and_the_errors_in_them(void **state)
{
	static const char text[] = "one\n##[group]outer\ntwo\n##[group]inner\n##[error]bad\n"
				   "##[endgroup]\n##[error]worse\n##[endgroup]\n##[endgroup]\n"
				   "##[group]open\n##[error]last";
	struct fixture *x = *state;
	const struct logscan_result *r;
	struct logscan *s;

	write_bytes(x, text, sizeof(text) - 1);
	s = scan(x, NULL, 1 << 20);
	r = logscan_result(s);
	assert_int_equal(r->groups_len, 3);
	assert_int_equal(r->groups[0].from, 2);
	assert_int_equal(r->groups[0].to, 8);
	assert_int_equal(r->groups[0].errors, 2);
	assert_string_equal(r->groups[0].name, "outer");
	assert_int_equal(r->groups[1].from, 4);
	assert_int_equal(r->groups[1].to, 6);
	assert_int_equal(r->groups[1].errors, 1);
	assert_int_equal(r->groups[2].to, 0);
	assert_int_equal(r->errors_count, 3);
	assert_int_equal(r->errors[2], 11);
	logscan_free(s);
}

static void finds_a_prefix_at_the_begin_of_a_line_only(void **state)
{
	struct fixture *x = *state;
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;
	struct err err = ERR_INIT;
	uint64_t line;

	/* The block ends in the middle of the prefix. */
	strbuf_adds(&b, "no ##[error]here\n");
	while (b.len < 256 * 1024 - 4)
		strbuf_addc(&b, b.len % 64 == 63 ? '\n' : 'x');
	strbuf_adds(&b, "\n##[error]there\n");
	write_bytes(x, b.buf, b.len);
	assert_ok(logfile_open(x->dir->fd, 5, 1, &x->f, &err), &err);
	assert_ok(logfile_find_prefix(x->f, 0, "##[error]", 1 << 20, &line, &err), &err);
	assert_true(line > 4000);
	assert_ok(logfile_find_prefix(x->f, 0, "##[error]", 1000, &line, &err), &err);
	assert_ok(logfile_find_prefix(x->f, 0, "##[nothing]", 1 << 20, &line, &err), &err);
	assert_int_equal(line, 0);
}

/* ---- times ---- */

static void tells_when_a_byte_was_written(void **state)
{
	struct fixture *x = *state;
	_cleanup_(journal_freep) struct journal *j = NULL;
	_cleanup_(logtimes_freep) struct logtimes *t = NULL;
	struct err err = ERR_INIT;
	int64_t began = 1750000000000;

	test_write(x->dir, "5/1/log", "");
	_cleanup_free_ char *path = xasprintf("%s/5/1", x->dir->path);
	_cleanup_close_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_null(logtimes_open(x->dir->fd, 5, 1));
	assert_ok(journal_open(dir, JOB_FILE_JOURNAL, &j, &err), &err);
	for (int i = 0; i < 5000; i++) {
		struct json *f = json_new_object();

		clock_skew_wall(0);
		clock_skew_wall(began + i * 1000 - clock_wall_ms());
		json_set_int(f, "n", 2);
		json_set_int(f, "from", i * 100);
		json_set_int(f, "to", i * 100 + 100);
		json_set_str(f, "stream", "out");
		assert_ok(journal_add(j, JOURNAL_LOG, f, &err), &err);
		if (i % 3 == 0)
			assert_ok(journal_add(j, JOURNAL_STATE, json_new_object(), &err), &err);
	}
	clock_skew_wall(0);
	t = logtimes_open(x->dir->fd, 5, 1);
	assert_non_null(t);
	for (int i = 0; i < 5000; i += 617)
		assert_in_range(logtimes_at(t, (uint64_t)i * 100 + 7), began + i * 1000,
			began + i * 1000 + 900);
	assert_in_range(logtimes_at(t, 50), began, began + 900); /* and back again */
	assert_int_equal(logtimes_at(t, 5000 * 100), 0);	 /* not written yet */
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
	TEST_WITH(search_finds_what_straddles_the_pieces_of_a_line, setup, teardown),
	TEST_WITH(a_scan_finds_groups_and_the_errors_in_them, setup, teardown),
	TEST_WITH(finds_a_prefix_at_the_begin_of_a_line_only, setup, teardown),
	TEST_WITH(tells_when_a_byte_was_written, setup, teardown),
	TEST_WITH(says_that_there_is_no_log_yet, setup, teardown))
