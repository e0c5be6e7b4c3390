/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "executor/journal.h"

static struct json *payload(const char *key, int64_t n)
{
	struct json *j = json_new_object();

	json_set_int(j, key, n);
	return j;
}

static void write_frames(const struct test_dir *dir, int count)
{
	_cleanup_(journal_freep) struct journal *j = NULL;
	struct err err = ERR_INIT;

	assert_ok(journal_open(dir->fd, "journal", &j, &err), &err);
	for (int i = 0; i < count; i++)
		assert_ok(journal_add(j, JOURNAL_STATE, payload("i", i), &err), &err);
	assert_ok(journal_sync(j, &err), &err);
}

struct seen {
	int count;
	uint64_t last;
	int64_t sum;
};

static int see(const struct journal_frame *f, void *data, struct err *err)
{
	struct seen *s = data;

	s->count++;
	s->last = f->seq;
	s->sum += json_get_int(f->payload, "i", -1000);
	return 0;
}

static struct seen walk(const struct test_dir *dir, uint64_t *end)
{
	_cleanup_close_ int fd = openat(dir->fd, "journal", O_RDONLY | O_CLOEXEC);
	struct seen s = { 0 };
	struct err err = ERR_INIT;

	assert_true(fd >= 0);
	assert_ok(journal_each(fd, 0, 0, see, &s, end, &err), &err);
	return s;
}

static void reads_back_what_was_written(void **state)
{
	struct seen s;

	write_frames(*state, 20);
	s = walk(*state, NULL);
	assert_int_equal(s.count, 20);
	assert_int_equal(s.last, 20);
	assert_int_equal(s.sum, 190);
}

static void numbering_goes_on_after_a_reopening(void **state)
{
	struct seen s;

	write_frames(*state, 3);
	write_frames(*state, 2);
	s = walk(*state, NULL);
	assert_int_equal(s.count, 5);
	assert_int_equal(s.last, 5);
}

static void reads_from_the_middle(void **state)
{
	_cleanup_close_ int fd = -1;
	struct journal_frame f = JOURNAL_FRAME_INIT;
	struct seen s = { 0 };
	struct err err = ERR_INIT;

	write_frames(*state, 4);
	fd = openat(((struct test_dir *)*state)->fd, "journal", O_RDONLY | O_CLOEXEC);
	assert_int_equal(journal_read(fd, 0, &f, &err), 1);
	assert_int_equal(f.type, JOURNAL_STATE);
	assert_true(json_get_int(f.payload, "t", 0) > 0);
	assert_ok(journal_each(fd, f.end, f.seq, see, &s, NULL, &err), &err);
	journal_frame_done(&f);
	assert_int_equal(s.count, 3);
}

/* Whatever is cut off or changed: the frames before it stand, nothing after it counts. */
static void stops_before_a_torn_end(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_(strbuf_done) struct strbuf whole = STRBUF_INIT;
	_cleanup_close_ int fd = -1;
	uint64_t end4 = 0;
	struct err err = ERR_INIT;

	write_frames(dir, 4);
	(void)walk(dir, &end4);
	write_frames(dir, 1);
	assert_ok(fd_read_file(dir->fd, "journal", 1 << 20, &whole, &err), &err);
	fd = openat(dir->fd, "journal", O_RDWR | O_CLOEXEC);
	for (size_t cut = (size_t)end4; cut < whole.len; cut++) {
		assert_int_equal(ftruncate(fd, (off_t)cut), 0);
		assert_int_equal(walk(dir, NULL).count, 4);
	}
}

static void stops_before_a_changed_byte(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_(strbuf_done) struct strbuf whole = STRBUF_INIT;
	_cleanup_close_ int fd = -1;
	uint64_t end1 = 0, end2 = 0;
	struct err err = ERR_INIT;

	write_frames(dir, 1);
	(void)walk(dir, &end1);
	write_frames(dir, 1);
	(void)walk(dir, &end2);
	write_frames(dir, 1);
	assert_ok(fd_read_file(dir->fd, "journal", 1 << 20, &whole, &err), &err);
	fd = openat(dir->fd, "journal", O_RDWR | O_CLOEXEC);
	for (size_t at = (size_t)end1; at < end2; at++) {
		char flipped = (char)(whole.buf[at] ^ 0x40);

		assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
		assert_int_equal(walk(dir, NULL).count, 1);
		assert_int_equal(pwrite(fd, &whole.buf[at], 1, (off_t)at), 1);
	}
	assert_int_equal(walk(dir, NULL).count, 3);
}

static void a_gap_in_the_numbers_ends_the_reading(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_(strbuf_done) struct strbuf buf = STRBUF_INIT;
	_cleanup_(json_freep) struct json *j = payload("i", 1);
	_cleanup_close_ int fd =
		openat(dir->fd, "journal", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	journal_encode(JOURNAL_STATE, 1, j, &buf);
	journal_encode(JOURNAL_STATE, 3, j, &buf);
	assert_int_equal(fd_write_all(fd, buf.buf, buf.len), 0);
	assert_int_equal(walk(dir, NULL).count, 1);
}

static void recovery_cuts_the_torn_end_alone(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_close_ int fd = -1;
	uint64_t seq, end, end3 = 0;
	struct stat st;
	struct err err = ERR_INIT;

	write_frames(dir, 3);
	(void)walk(dir, &end3);
	fd = openat(dir->fd, "journal", O_RDWR | O_APPEND | O_CLOEXEC);
	assert_int_equal(fd_write_all(fd, "SLJ1 torn", 9), 0);
	assert_ok(journal_recover(fd, &seq, &end, &err), &err);
	assert_int_equal(seq, 3);
	assert_int_equal(end, end3);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, end3);
	assert_int_equal(walk(dir, NULL).count, 3);
}

static void a_huge_length_is_not_believed(void **state)
{
	const struct test_dir *dir = *state;
	const unsigned char head[24] = { 0x53, 0x4c, 0x4a, 0x31, 0xff, 0xff, 0xff, 0x7f,
		1 };
	_cleanup_close_ int fd =
		openat(dir->fd, "journal", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(fd_write_all(fd, head, sizeof(head)), 0);
	assert_int_equal(walk(dir, NULL).count, 0);
}

static void a_frame_over_the_limit_is_refused_whole(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_(journal_freep) struct journal *j = NULL;
	_cleanup_free_ char *big = xmalloc(JOURNAL_PAYLOAD_MAX + 1);
	struct json *p = json_new_object();
	struct err err = ERR_INIT;

	memset(big, 'x', JOURNAL_PAYLOAD_MAX);
	big[JOURNAL_PAYLOAD_MAX] = '\0';
	json_set_str(p, "big", big);
	assert_ok(journal_open(dir->fd, "journal", &j, &err), &err);
	assert_int_equal(journal_add(j, JOURNAL_NOTE, p, &err), -1);
	assert_err(&err, ERR_LIMIT, NULL);
	assert_ok(journal_add(j, JOURNAL_STATE, payload("i", 1), &err), &err);
	assert_int_equal(walk(dir, NULL).count, 1);
}

static void every_type_has_a_name(void **state)
{
	for (unsigned t = JOURNAL_START; t <= JOURNAL_EXIT; t++)
		assert_non_null(journal_type_name(t));
	assert_null(journal_type_name(0));
	assert_null(journal_type_name(JOURNAL_EXIT + 1));
}

TEST_MAIN(TEST_DIR(reads_back_what_was_written),
	TEST_DIR(numbering_goes_on_after_a_reopening), TEST_DIR(reads_from_the_middle),
	TEST_DIR(stops_before_a_torn_end), TEST_DIR(stops_before_a_changed_byte),
	TEST_DIR(a_gap_in_the_numbers_ends_the_reading),
	TEST_DIR(recovery_cuts_the_torn_end_alone),
	TEST_DIR(a_huge_length_is_not_believed),
	TEST_DIR(a_frame_over_the_limit_is_refused_whole), TEST(every_type_has_a_name))
