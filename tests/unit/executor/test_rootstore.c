/* SPDX-License-Identifier: Apache-2.0 */
/* What a killed build leaves in the store of roots, and what is no leftover. */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/path.h"
#include "executor/rootstore.h"

static bool is_there(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void touch(int dir, const char *name)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	(void)close(fd);
}

/* A builder that has begun: its process, and what it made. */
static pid_t begin(int roots, char stage[ROOTSTORE_STAGE_MAX])
{
	int told[2];
	pid_t pid;

	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int fd;

		if (rootstore_stage(roots, stage, &fd, NULL) < 0)
			_exit(1);
		(void)mkdirat(fd, "root", 0755);
		(void)!write(told[1], stage, ROOTSTORE_STAGE_MAX);
		for (;;)
			(void)pause();
	}
	(void)close(told[1]);
	assert_int_equal(read(told[0], stage, ROOTSTORE_STAGE_MAX), ROOTSTORE_STAGE_MAX);
	(void)close(told[0]);
	return pid;
}

static void what_a_killed_build_left_goes_and_a_living_one_keeps_its_own(void **state)
{
	struct test_dir *d = *state;
	char stage[ROOTSTORE_STAGE_MAX];
	pid_t pid = begin(d->fd, stage);
	char *tar = rootstore_stage_tar(stage);

	touch(d->fd, tar);
	rootstore_sweep(d->fd);
	assert_true(is_there(d->fd, stage)); /* the control: somebody holds it */
	assert_true(is_there(d->fd, tar));
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	rootstore_sweep(d->fd);
	assert_false(is_there(d->fd, stage));
	assert_false(is_there(d->fd, tar));
	free(tar);
}

static void nothing_else_in_the_store_is_taken_for_a_leftover(void **state)
{
	static const char *const names[] = { "sha256", ".newer", ".tarred", "x.json" };
	struct test_dir *d = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(mkdirat(d->fd, names[i], 0755), 0);
	assert_int_equal(symlinkat("sha256", d->fd, ".new-link"), 0);
	assert_int_equal(mkdirat(d->fd, ".old-0123456789ab", 0755), 0);
	rootstore_sweep(d->fd);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_true(is_there(d->fd, names[i]));
	assert_true(is_there(d->fd, ".new-link")); /* and where it leads is not followed */
	assert_false(is_there(d->fd, ".old-0123456789ab"));
}

TEST_MAIN(TEST_DIR(what_a_killed_build_left_goes_and_a_living_one_keeps_its_own),
	TEST_DIR(nothing_else_in_the_store_is_taken_for_a_leftover))
