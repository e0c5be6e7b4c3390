/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "runner/core.h"

static int setup(void **state)
{
	*state = test_tempdir();
	(void)umask(027);
	return 0;
}

static int teardown(void **state)
{
	test_tempdir_free(*state);
	return 0;
}

static unsigned mode_of(const struct test_dir *d, const char *name)
{
	struct stat st;

	if (fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return st.st_mode & 07777;
}

static void prepare(struct test_dir *d)
{
	struct err err = ERR_INIT;

	assert_ok(core_prepare_dirs(d->path, &err), &err);
}

static void the_group_passes_through_what_web_reads_alone(void **state)
{
	static const char *const shut[] = { "run", "repos", "actions", "roots", "held",
		"quarantine", "tmp" };
	static const char *const open_ones[] = { "db", "jobs", "store", "store/sha256" };

	prepare(*state);
	for (size_t i = 0; i < ARRAY_SIZE(shut); i++)
		assert_int_equal(mode_of(*state, shut[i]), 0700);
	for (size_t i = 0; i < ARRAY_SIZE(open_ones); i++)
		assert_int_equal(mode_of(*state, open_ones[i]), 0710);
}

/* A data directory of the time when web had core's uid. */
static void what_was_kept_before_is_opened_to_the_group(void **state)
{
	static const struct {
		const char *name;
		unsigned before, after;
	} files[] = {
		{ "jobs/7/1/log", 0600, 0640 },
		{ "jobs/7/1/log.idx", 0600, 0640 },
		{ "jobs/7/1/journal", 0600, 0640 },
		{ "jobs/7/1/spec.json", 0600, 0600 },
		{ "jobs/7/2/log", 0600, 0640 },
		{ "jobs/7/1/work/log", 0600, 0600 },
		{ "store/sha256/ab/abcd", 0400, 0440 },
		{ "db/sluice.db", 0600, 0640 },
		{ "held/7-1/log", 0600, 0600 },
	};
	static const char *const folders[] = { "jobs/7/1/work", "jobs/7/1", "jobs/7/2", "jobs/7",
		"jobs", "store/sha256/ab", "store/sha256", "store", "db", "held/7-1", "held" };
	struct test_dir *d = *state;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		test_write(d, files[i].name, "x");
		assert_int_equal(fchmodat(d->fd, files[i].name, files[i].before, 0), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		assert_int_equal(fchmodat(d->fd, folders[i], 0700, 0), 0);
	for (int again = 0; again < 2; again++) {
		prepare(d);
		for (size_t i = 0; i < ARRAY_SIZE(files); i++)
			assert_int_equal(mode_of(d, files[i].name), files[i].after);
		for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
			assert_int_equal(mode_of(d, folders[i]),
				i == 0 || i > 8 ? 0700 : 0710);
	}
}

TEST_MAIN(TEST_WITH(the_group_passes_through_what_web_reads_alone, setup, teardown),
	TEST_WITH(what_was_kept_before_is_opened_to_the_group, setup, teardown))
