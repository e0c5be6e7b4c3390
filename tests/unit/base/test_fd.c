/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/path.h"

static void whole_reads_and_writes_cross_a_pipe(void **state)
{
	enum { LEN = 300000 };
	_cleanup_free_ char *data = xmalloc(LEN);
	_cleanup_free_ char *back = xmalloc(LEN + 10);
	int ends[2], status;
	pid_t pid;

	for (size_t i = 0; i < LEN; i++)
		data[i] = (char)(i * 7);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		_exit(fd_write_all(ends[1], data, LEN) == 0 ? 0 : 1);
	(void)close(ends[1]);
	assert_int_equal(fd_read_full(ends[0], back, LEN + 10), LEN);
	assert_memory_equal(back, data, LEN);
	assert_int_equal(fd_read_full(ends[0], back, 5), 0);
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(fd_read_full(-1, back, 5), -1);
	assert_int_equal(fd_write_all(-1, data, 5), -1);
}

static void reading_to_the_end_keeps_to_its_limit(void **state)
{
	static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 200000 };
	struct test_dir *dir = *state;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_close_ int fd =
			openat(dir->fd, "f", O_RDWR | O_CREAT | O_TRUNC, 0600);
		_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;
		struct err err = ERR_INIT;

		assert_int_equal(ftruncate(fd, (off_t)sizes[i]), 0);
		strbuf_adds(&b, "kept");
		assert_ok(fd_read_to_end(fd, sizes[i], &b, &err), &err);
		assert_int_equal(b.len, 4 + sizes[i]);
		if (sizes[i] == 0)
			continue;
		strbuf_truncate(&b, 4);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_int_equal(fd_read_to_end(fd, sizes[i] - 1, &b, &err), -1);
		assert_err(&err, ERR_LIMIT, NULL);
		assert_string_equal(b.buf, "kept");
	}
}

static void read_file_takes_regular_files_only(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;
	_cleanup_close_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct err err = ERR_INIT;

	test_write(dir, "real", "text");
	assert_ok(fd_read_file(dir->fd, "real", 4, &b, &err), &err);
	assert_string_equal(b.buf, "text");
	strbuf_clear(&b);
	assert_int_equal(fd_read_file(dir->fd, "real", 3, &b, &err), -1);
	assert_err(&err, ERR_LIMIT, "'real' is larger than 3 bytes");
	assert_int_equal(fd_read_file(dir->fd, "none", 3, &b, &err), -1);
	assert_err(&err, ERR_NOT_FOUND, "cannot open 'none': no such file or directory");
	assert_int_equal(fd_read_file(dir->fd, "real/x", 3, &b, &err), -1);
	assert_err(&err, ERR_NOT_FOUND, NULL);
	/* A FIFO nobody writes to would hang a plain open. */
	assert_int_equal(mkfifoat(dir->fd, "fifo", 0600), 0);
	assert_int_equal(fd_read_file(dir->fd, "fifo", 3, &b, &err), -1);
	assert_err(&err, ERR_INPUT, "'fifo' is not a regular file");
	assert_int_equal(symlinkat("real", dir->fd, "link"), 0);
	assert_int_equal(fd_read_file(dir->fd, "link", 3, &b, &err), -1);
	assert_err(&err, ERR_INPUT, "'link' is a symlink, not a regular file");
	assert_int_equal(mkdirat(dir->fd, "folder", 0700), 0);
	assert_int_equal(fd_read_file(dir->fd, "folder", 3, &b, &err), -1);
	assert_err(&err, ERR_INPUT, "'folder' is not a regular file");
	(void)snprintf(
		addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/sock", dir->fd);
	assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(fd_read_file(dir->fd, "sock", 3, &b, &err), -1);
	assert_err(&err, ERR_INPUT, "'sock' is not a regular file");
	assert_int_equal(b.len, 0);
	/* Says size 0 but holds text. */
	assert_ok(fd_read_file(AT_FDCWD, "/proc/self/status", 1 << 20, &b, &err), &err);
	assert_true(b.len > 100);
}

/* The number of names in the folder. */
static size_t count_names(const struct test_dir *dir)
{
	DIR *d = opendir(dir->path);
	size_t n = 0;

	while (readdir(d))
		n++;
	(void)closedir(d);
	return n - 2;
}

static void a_file_is_replaced_whole_with_its_mode(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_free_ char *path = path_join(dir->path, "f");
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;
	struct stat st;
	mode_t mask = umask(077);
	int r = fd_replace_file(dir->fd, "f", "one", 3, 0644, 0, &err);

	(void)umask(mask);
	assert_ok(r, &err);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_ok(
		fd_replace_file(dir->fd, "f", "second", 6, 0600, FD_REPLACE_NOSYNC, &err),
		&err);
	text = test_read(path);
	assert_string_equal(text, "second");
	assert_int_equal(
		fd_replace_file(dir->fd, "f", "x", 1, 0600, FD_REPLACE_NEW, &err), -1);
	assert_err(&err, ERR_CONFLICT, "'f' exists already");
	assert_ok(fd_replace_file(dir->fd, "g", "", 0, 0600, FD_REPLACE_NEW, &err), &err);
	assert_int_equal(count_names(dir), 2);
}

static void a_file_that_cannot_be_replaced_leaves_no_litter(void **state)
{
	struct test_dir *dir = *state;
	struct err err = ERR_INIT;

	assert_int_equal(mkdirat(dir->fd, "folder", 0700), 0);
	assert_int_equal(fd_replace_file(dir->fd, "folder", "x", 1, 0600, 0, &err), -1);
	assert_err(&err, ERR_SYS, NULL);
	assert_int_equal(fd_replace_file(dir->fd, "a/b", "x", 1, 0600, 0, &err), -1);
	assert_err(&err, ERR_BUG, NULL);
	assert_int_equal(fd_replace_file(dir->fd, "", "x", 1, 0600, 0, &err), -1);
	assert_int_equal(count_names(dir), 1);
}

static void a_symlink_is_replaced_and_not_followed(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_free_ char *target = path_join(dir->path, "target");
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;

	test_write(dir, "target", "safe");
	assert_int_equal(symlinkat("target", dir->fd, "f"), 0);
	assert_ok(fd_replace_file(dir->fd, "f", "new", 3, 0600, 0, &err), &err);
	text = test_read(target);
	assert_string_equal(text, "safe");
}

static void a_memory_file_cannot_be_changed(void **state)
{
	struct err err = ERR_INIT;
	char hel[] = "hel", lo[] = "lo";
	const struct iovec parts[] = { { hel, 3 }, { NULL, 0 }, { lo, 2 } };
	_cleanup_close_ int fd = fd_memfd_parts("t", parts, ARRAY_SIZE(parts), &err);
	char buf[6] = "";

	assert_ok(fd, &err);
	assert_int_equal(read(fd, buf, 6), 5);
	assert_string_equal(buf, "hello");
	assert_int_equal(pwrite(fd, "J", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(fd, 1), -1);
	assert_int_equal(ftruncate(fd, 10), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

static void flags_are_set_and_cleared(void **state)
{
	_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(fd_set_nonblock(fd, true), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_set_nonblock(fd, false), 0);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_int_equal(fd_set_cloexec(fd, false), 0);
	assert_false(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fd_set_cloexec(fd, true), 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(fd_set_nonblock(-1, true), -1);
	assert_int_equal(fd_set_cloexec(-1, true), -1);
}

void fd_close_from_without_range(int low, const int *keep, size_t keep_len);

/* In a child: after CLOSE only 0, 1, 2 and the kept ones are open. Its exit status. */
static int closes_all_but_kept(void (*close_from)(int, const int *, size_t))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int keep[] = { 7, 40, 41, 500 };
		int left = 0;

		for (int fd = 3; fd < 600; fd++)
			if (dup2(0, fd) != fd)
				_exit(2);
		close_from(3, keep, ARRAY_SIZE(keep));
		for (int fd = 0; fd < 1000; fd++)
			left += fcntl(fd, F_GETFD) >= 0;
		for (size_t i = 0; i < ARRAY_SIZE(keep); i++)
			if (fcntl(keep[i], F_GETFD) < 0)
				_exit(3);
		if (left != 7)
			_exit(4);
		close_from(3, NULL, 0);
		_exit(fcntl(7, F_GETFD) < 0 && fcntl(2, F_GETFD) >= 0 ? 0 : 5);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return WEXITSTATUS(status);
}

static void everything_but_the_kept_is_closed(void **state)
{
	assert_int_equal(closes_all_but_kept(fd_close_from), 0);
	assert_int_equal(closes_all_but_kept(fd_close_from_without_range), 0);
}

static void a_lock_belongs_to_the_open_file(void **state)
{
	struct test_dir *dir = *state;
	int a = openat(dir->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int b = openat(dir->fd, "lock", O_RDWR | O_CLOEXEC);
	int status;
	pid_t pid;

	assert_int_equal(fd_is_locked(b), 0);
	assert_int_equal(fd_lock(a), 1);
	assert_int_equal(fd_lock(a), 1);
	assert_int_equal(fd_lock(b), 0);
	assert_int_equal(fd_is_locked(b), 1);
	/* A child that inherits A holds the lock too: closing ours is not enough. */
	pid = fork();
	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	(void)close(a);
	assert_int_equal(fd_is_locked(b), 1);
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(fd_is_locked(b), 0);
	assert_int_equal(fd_lock(b), 1);
	(void)close(b);
	assert_int_equal(fd_lock(-1), -1);
	assert_int_equal(fd_is_locked(-1), -1);
}

static void a_pidfd_kills_the_very_process(void **state)
{
	int status;
	pid_t pid = fork();
	int fd;

	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	fd = fd_pidfd_open(pid);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fd_pidfd_signal(fd, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(fd_pidfd_signal(fd, SIGKILL), -1);
	assert_int_equal(errno, ESRCH);
	(void)close(fd);
}

TEST_MAIN(TEST(whole_reads_and_writes_cross_a_pipe),
	TEST_DIR(reading_to_the_end_keeps_to_its_limit),
	TEST_DIR(read_file_takes_regular_files_only),
	TEST_DIR(a_file_is_replaced_whole_with_its_mode),
	TEST_DIR(a_file_that_cannot_be_replaced_leaves_no_litter),
	TEST_DIR(a_symlink_is_replaced_and_not_followed),
	TEST(a_memory_file_cannot_be_changed), TEST(flags_are_set_and_cleared),
	TEST(everything_but_the_kept_is_closed),
	TEST_DIR(a_lock_belongs_to_the_open_file), TEST(a_pidfd_kills_the_very_process))
