/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <fcntl.h>

#include "executor/link.h"

static void a_hello_survives_the_journey(void **state)
{
	const struct link_hello h = { 1, 2, 3, 4, "ready", 5, 6 };
	_cleanup_(json_freep) struct json *head = link_hello(&h);
	struct link_hello got = { 0 };
	struct err err = ERR_INIT;

	assert_ok(link_read_hello(head, &got, &err), &err);
	assert_int_equal(got.job, 1);
	assert_int_equal(got.attempt, 2);
	assert_int_equal(got.try, 3);
	assert_int_equal(got.epoch, 4);
	assert_string_equal(got.state, "ready");
	assert_int_equal(got.frames, 5);
	assert_int_equal(got.log, 6);
}

static void a_hello_that_lacks_something_is_refused(void **state)
{
	static const char *const members[] = { "op", "version", "job", "attempt", "try",
		"epoch", "state", "frames", "log" };
	const struct link_hello h = { 1, 1, 1, 1, "setup", 0, 0 };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		_cleanup_(json_freep) struct json *head = link_hello(&h);
		struct link_hello got;
		struct err err = ERR_INIT;

		json_unset(head, members[i]);
		assert_int_equal(link_read_hello(head, &got, &err), -1);
		assert_err(&err, ERR_INPUT, NULL);
	}
}

static void the_holder_of_a_lock_is_known_to_live(void **state)
{
	const struct test_dir *dir = *state;
	struct link_holder self, read;
	struct err err = ERR_INIT;
	_cleanup_close_ int fd =
		openat(dir->fd, JOB_FILE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_ok(link_holder_self(&self, &err), &err);
	assert_int_equal(self.pid, getpid());
	assert_ok(link_holder_write(fd, &self, &err), &err);
	assert_ok(link_holder_read(dir->fd, &read, &err), &err);
	assert_string_equal(read.boot_id, self.boot_id);
	assert_int_equal(read.starttime, self.starttime);
	assert_true(link_holder_lives(&read));
	/* The same number with another birth is another process. */
	read.starttime++;
	assert_false(link_holder_lives(&read));
	read.starttime--;
	/* After a reboot nobody lives. */
	read.boot_id[0] = read.boot_id[0] == 'x' ? 'y' : 'x';
	assert_false(link_holder_lives(&read));
}

static void a_lock_file_of_nonsense_names_nobody(void **state)
{
	static const char *const texts[] = { "", "{}", "[]",
		"{\"boot_id\":\"\",\"pid\":1}", "{\"boot_id\":\"a\",\"pid\":0}",
		"{\"pid\":5,\"boot_id\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct link_holder h;
		struct err err = ERR_INIT;

		test_write(*state, JOB_FILE_LOCK, texts[i]);
		assert_int_equal(
			link_holder_read(((struct test_dir *)*state)->fd, &h, &err), -1);
		assert_err(&err, ERR_INPUT, NULL);
	}
}

TEST_MAIN(TEST(a_hello_survives_the_journey),
	TEST(a_hello_that_lacks_something_is_refused),
	TEST_DIR(the_holder_of_a_lock_is_known_to_live),
	TEST_DIR(a_lock_file_of_nonsense_names_nobody))
