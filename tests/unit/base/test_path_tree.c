/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/path.h"
#include "base/path-internal.h"

static int teardown(void **state)
{
	path_force_walk(false);
	return test_dir_teardown(state);
}

static bool is_there(const struct test_dir *dir, const char *name)
{
	struct stat st;

	return fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* DEPTH folders within each other beneath DIR/deep, each with a file. */
static void make_deep(const struct test_dir *dir, int depth)
{
	int at = dup(dir->fd);
	const char *name = "deep";

	for (int i = 0; i < depth; i++) {
		int next, file;

		assert_int_equal(mkdirat(at, name, 0755), 0);
		next = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		(void)close(at);
		at = next;
		name = "d";
		if (i % 100)
			continue;
		file = openat(at, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_true(file >= 0);
		(void)close(file);
	}
	(void)close(at);
}

/* In memory where there is such a place: a disk takes its time for so many folders. */
static int memory_setup(void **state)
{
	static const char shm[] = "/dev/shm";
	const char *tmp = getenv("TMPDIR");
	_cleanup_free_ char *before = xstrdup(tmp ? tmp : "/tmp");

	if (access(shm, W_OK) == 0)
		(void)setenv("TMPDIR", shm, 1);
	*state = test_tempdir();
	(void)setenv("TMPDIR", before, 1);
	return 0;
}

static void the_deepest_tree_goes_with_few_descriptors(void **state)
{
	const struct test_dir *dir = *state;
	struct rlimit before, few = { 64, 64 };
	struct err err = ERR_INIT;
	size_t fds = test_count_fds();
	int r;

	for (int walk = 0; walk < 2; walk++) {
		make_deep(dir, getenv("SLUICE_TORTURE") && !walk ? 100000 : 10000);
		path_force_walk(walk);
		assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
		few.rlim_max = before.rlim_max;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		r = path_remove_tree(dir->fd, "deep", &err);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
		assert_ok(r, &err);
		assert_false(is_there(dir, "deep"));
	}
	assert_int_equal(test_count_fds(), fds);
}

static void links_are_removed_and_not_followed(void **state)
{
	const struct test_dir *dir = *state;
	struct err err = ERR_INIT;

	test_write(dir, "outside/file", "x");
	test_write(dir, "tree/a/f", "x");
	assert_int_equal(symlinkat("../../outside", dir->fd, "tree/a/out"), 0);
	assert_int_equal(symlinkat("/", dir->fd, "tree/root"), 0);
	assert_int_equal(mkfifoat(dir->fd, "tree/fifo", 0600), 0);
	assert_ok(path_remove_tree(dir->fd, "tree", &err), &err);
	assert_false(is_there(dir, "tree"));
	assert_true(is_there(dir, "outside/file"));
	assert_int_equal(symlinkat("outside", dir->fd, "link"), 0);
	assert_ok(path_remove_tree(dir->fd, "link", &err), &err);
	assert_false(is_there(dir, "link"));
	assert_true(is_there(dir, "outside/file"));
}

static void a_file_or_nothing_is_fine_too(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_free_ char *path = path_join(dir->path, "sub/f");
	struct err err = ERR_INIT;

	test_write(dir, "sub/f", "x");
	assert_ok(path_remove_tree(AT_FDCWD, path, &err), &err);
	assert_false(is_there(dir, "sub/f"));
	assert_ok(path_remove_tree(AT_FDCWD, path, &err), &err);
	assert_int_equal(path_remove_tree(dir->fd, ".", &err), -1);
	assert_err(&err, ERR_BUG, NULL);
	assert_int_equal(path_remove_tree(dir->fd, "sub/..", &err), -1);
	assert_int_equal(path_remove_tree(dir->fd, "sub/", &err), -1);
	assert_int_equal(path_remove_tree(dir->fd, "", &err), -1);
	assert_true(is_there(dir, "sub"));
}

static void wide_trees_go_too(void **state)
{
	const struct test_dir *dir = *state;
	struct err err = ERR_INIT;

	for (int i = 0; i < 30; i++) {
		for (int k = 0; k < 20; k++) {
			char name[64];

			(void)snprintf(name, sizeof(name), "wide/%d/%d/f", i, k);
			test_write(dir, name, "");
		}
	}
	assert_ok(path_remove_tree(dir->fd, "wide", &err), &err);
	assert_false(is_there(dir, "wide"));
}

/* Runs FN in a child as nobody (so that modes bind), with the folder its own. */
static int as_nobody(const struct test_dir *dir, int (*fn)(const struct test_dir *))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		if (geteuid() == 0 && (fchown(dir->fd, 65534, 65534) < 0 ||
					      setresgid(65534, 65534, 65534) < 0 ||
					      setresuid(65534, 65534, 65534) < 0))
			_exit(99);
		_exit(fn(dir));
	}
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int remove_locked_tree(const struct test_dir *dir)
{
	struct err err = ERR_INIT;

	for (int walk = 0; walk < 2; walk++) {
		path_force_walk(walk);
		if (path_mkdirs(dir->fd, "t/none/x", 0755, &err) < 0 ||
			path_mkdirs(dir->fd, "t/read/x", 0755, &err) < 0 ||
			path_mkdirs(dir->fd, "t/write/x", 0755, &err) < 0)
			return 1;
		if (fchmodat(dir->fd, "t/none", 0, 0) < 0 ||
			fchmodat(dir->fd, "t/read", 0500, 0) < 0 ||
			fchmodat(dir->fd, "t/write", 0300, 0) < 0 ||
			fchmodat(dir->fd, "t", 0555, 0) < 0)
			return 2;
		if (path_remove_tree(dir->fd, "t", &err) < 0)
			return 3;
		if (is_there(dir, "t"))
			return 4;
	}
	return 0;
}

static void folders_of_ours_that_forbid_it_are_opened_up(void **state)
{
	assert_int_equal(as_nobody(*state, remove_locked_tree), 0);
}

static int remove_of_others_fails(const struct test_dir *dir)
{
	struct err err = ERR_INIT;

	/* "theirs" belongs to root and is not ours to empty. */
	if (path_remove_tree(dir->fd, "theirs", &err) == 0)
		return 1;
	if (err.code != ERR_SYS || !strstr(err.msg, "permission denied"))
		return 2;
	return is_there(dir, "theirs/f") ? 0 : 3;
}

static void what_cannot_go_is_named(void **state)
{
	const struct test_dir *dir = *state;

	if (geteuid() != 0)
		test_skip("needs root, to make a folder of somebody else");
	test_write(dir, "theirs/f", "x");
	assert_int_equal(as_nobody(dir, remove_of_others_fails), 0);
}

static int remove_stops_at_mounts(const struct test_dir *dir)
{
	char path[4200];
	int top;

	if (unshare(CLONE_NEWNS) < 0)
		return 77;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 77;
	(void)snprintf(path, sizeof(path), "%s/t/bound", dir->path);
	if (mount(dir->path, path, NULL, MS_BIND, NULL) < 0)
		return 77;
	/* The fixture's descriptor is of the namespace before. */
	top = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int walk = 0; walk < 2; walk++) {
		struct err err = ERR_INIT;

		path_force_walk(walk);
		/* A bind mount has the device of its source: only the mount tells. */
		if (path_remove_tree(top, "t", &err) == 0)
			return 1;
		if (err.code != ERR_SYS || err.sys != EXDEV)
			return 2;
	}
	return is_there(dir, "precious") ? 0 : 3;
}

static void other_mounts_are_left_alone(void **state)
{
	const struct test_dir *dir = *state;
	int status = -1;
	pid_t pid;

	test_write(dir, "precious", "x");
	test_write(dir, "t/bound/x", "");
	pid = fork();
	if (pid == 0)
		_exit(remove_stops_at_mounts(dir));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		test_skip("no mount may be made here");
	assert_int_equal(status, 0);
}

static void a_copy_has_contents_modes_links_and_times(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_close_ int src = -1, dst = -1;
	struct timespec times[2] = { { 1000000, 5 }, { 2000000, 7 } };
	struct err err = ERR_INIT;
	struct stat st;
	char link[64] = "";
	char *text;
	_cleanup_free_ char *path = path_join(dir->path, "dst/sub/locked/f");

	test_write(dir, "src/run.sh", "#!/bin/sh\n");
	test_write(dir, "src/sub/locked/f", "deep");
	test_write(dir, "src/suid", "");
	assert_int_equal(mkdirat(dir->fd, "src/empty", 0700), 0);
	assert_int_equal(mkdirat(dir->fd, "dst", 0755), 0);
	assert_int_equal(symlinkat("../../outside", dir->fd, "src/sub/link"), 0);
	assert_int_equal(mkfifoat(dir->fd, "src/fifo", 0600), 0);
	assert_int_equal(fchmodat(dir->fd, "src/run.sh", 0755, 0), 0);
	assert_int_equal(fchmodat(dir->fd, "src/suid", 06755, 0), 0);
	assert_int_equal(utimensat(dir->fd, "src/run.sh", times, 0), 0);
	assert_int_equal(fchmodat(dir->fd, "src/sub/locked", 0555, 0), 0);
	src = openat(dir->fd, "src", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dst = openat(dir->fd, "dst", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_ok(path_copy_tree(src, dst, &err), &err);

	assert_int_equal(fstatat(dst, "run.sh", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_mtim.tv_sec, 2000000);
	assert_int_equal(fstatat(dst, "suid", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(fstatat(dst, "sub/locked", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0555);
	assert_int_equal(fstatat(dst, "empty", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_true(readlinkat(dst, "sub/link", link, sizeof(link) - 1) > 0);
	assert_string_equal(link, "../../outside");
	assert_int_equal(fstatat(dst, "fifo", &st, 0), -1);
	text = test_read(path);
	assert_string_equal(text, "deep");
	free(text);
	/* Nothing is overwritten. */
	assert_int_equal(path_copy_tree(src, dst, &err), -1);
	assert_int_equal(err.sys, EEXIST);
}

static void large_and_sparse_files_are_copied_whole(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_close_ int src = -1, dst = -1, fd = -1;
	struct err err = ERR_INIT;
	char last = 0;

	assert_int_equal(mkdirat(dir->fd, "src", 0755), 0);
	assert_int_equal(mkdirat(dir->fd, "dst", 0755), 0);
	fd = openat(dir->fd, "src/big", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(fd_pwrite_all(fd, "z", 1, (64 << 20) - 1), 0);
	src = openat(dir->fd, "src", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dst = openat(dir->fd, "dst", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_ok(path_copy_tree(src, dst, &err), &err);
	cleanup_closep(&fd);
	fd = openat(dst, "big", O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, &last, 1, (64 << 20) - 1), 1);
	assert_int_equal(last, 'z');
	assert_int_equal(lseek(fd, 0, SEEK_END), 64 << 20);
}

static void a_copy_into_itself_is_refused(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_close_ int src = -1, dst = -1;
	struct err err = ERR_INIT;

	test_write(dir, "src/a/f", "");
	assert_int_equal(mkdirat(dir->fd, "src/a/dst", 0755), 0);
	src = openat(dir->fd, "src", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dst = openat(dir->fd, "src/a/dst", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(path_copy_tree(src, dst, &err), -1);
	assert_err_has(&err, ERR_INPUT, "the copy would hold itself");
}

static void a_tree_too_deep_to_copy_is_an_error(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_close_ int src = -1, dst = -1;
	struct err err = ERR_INIT;
	size_t fds = test_count_fds();

	make_deep(dir, 3000);
	assert_int_equal(mkdirat(dir->fd, "dst", 0755), 0);
	src = openat(dir->fd, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dst = openat(dir->fd, "dst", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(path_copy_tree(src, dst, &err), -1);
	assert_int_equal(err.sys, ENAMETOOLONG);
	assert_int_equal(test_count_fds(), fds + 2);
}

#define DIR_TEST(fn) TEST_WITH(fn, test_dir_setup, teardown)

TEST_MAIN(TEST_CASE_WITH("RS16", the_deepest_tree_goes_with_few_descriptors, memory_setup,
		  teardown),
	TEST_CASE_WITH("RS16 FS01", links_are_removed_and_not_followed, test_dir_setup,
		teardown),
	DIR_TEST(a_file_or_nothing_is_fine_too),
	TEST_CASE_WITH("RS16", wide_trees_go_too, test_dir_setup, teardown),
	TEST_CASE_WITH("RS16", folders_of_ours_that_forbid_it_are_opened_up,
		test_dir_setup, teardown),
	TEST_CASE_WITH("RS16", what_cannot_go_is_named, test_dir_setup, teardown),
	TEST_CASE_WITH("RS16", other_mounts_are_left_alone, test_dir_setup, teardown),
	DIR_TEST(a_copy_has_contents_modes_links_and_times),
	DIR_TEST(large_and_sparse_files_are_copied_whole),
	DIR_TEST(a_copy_into_itself_is_refused),
	DIR_TEST(a_tree_too_deep_to_copy_is_an_error))
