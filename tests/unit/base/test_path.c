/* SPDX-License-Identifier: Apache-2.0 */
/* Opens beneath a folder are tested twice: by openat2 and by the walk of older kernels. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/path.h"
#include "base/path-internal.h"

static int tree_setup(void **state)
{
	struct test_dir *dir;

	if (test_dir_setup(state) < 0)
		return -1;
	dir = *state;
	test_write(dir, "outside", "outside");
	test_write(dir, "root/file", "file");
	test_write(dir, "root/a/b/deep", "deep");
	return symlinkat("a/b", dir->fd, "root/short") ||
	       symlinkat("../a/b/deep", dir->fd, "root/a/across") ||
	       symlinkat("../outside", dir->fd, "root/escape") ||
	       symlinkat("../../outside", dir->fd, "root/a/escape") ||
	       symlinkat("/etc/passwd", dir->fd, "root/absolute") ||
	       symlinkat("/proc/self/root", dir->fd, "root/magic") ||
	       symlinkat("loop", dir->fd, "root/loop") ||
	       symlinkat("short/../b/deep", dir->fd, "root/twisted") ||
	       symlinkat("nowhere", dir->fd, "root/dangling") ||
	       symlinkat(".", dir->fd, "root/self");
}

static int tree_teardown(void **state)
{
	path_force_walk(false);
	return test_dir_teardown(state);
}

enum want { TEXT, REFUSED, MISSING, OTHER };

static void opens_lead_nowhere_else(const struct test_dir *dir, enum path_flags flags)
{
	const bool strict = flags & PATH_NO_SYMLINKS;
	const struct {
		const char *path, *text;
		enum want want, want_strict;
	} rows[] = {
		{ "file", "file", TEXT, TEXT },
		{ "./file", "file", TEXT, TEXT },
		{ "a/../file", "file", TEXT, TEXT },
		{ "a/b/../b/./deep", "deep", TEXT, TEXT },
		{ "a//b///deep", "deep", TEXT, TEXT },
		{ "short/deep", "deep", TEXT, REFUSED },
		{ "short/../../file", "file", TEXT, REFUSED },
		{ "a/across", "deep", TEXT, REFUSED },
		{ "twisted", "deep", TEXT, REFUSED },
		{ "self/self/self/file", "file", TEXT, REFUSED },
		{ "../outside", NULL, REFUSED, REFUSED },
		{ "a/../../outside", NULL, REFUSED, REFUSED },
		{ "..", NULL, REFUSED, REFUSED },
		{ "escape", NULL, REFUSED, REFUSED },
		{ "a/escape", NULL, REFUSED, REFUSED },
		{ "short/../escape", NULL, REFUSED, REFUSED },
		{ "absolute", NULL, REFUSED, REFUSED },
		{ "magic/etc/passwd", NULL, REFUSED, REFUSED },
		{ "/etc/passwd", NULL, REFUSED, REFUSED },
		{ "loop", NULL, REFUSED, REFUSED },
		{ "loop/x", NULL, REFUSED, REFUSED },
		{ "", NULL, MISSING, MISSING },
		{ "none", NULL, MISSING, MISSING },
		{ "none/x", NULL, MISSING, MISSING },
		{ "file/x", NULL, MISSING, MISSING },
		{ "file/", NULL, MISSING, MISSING },
		{ "file/.", NULL, MISSING, MISSING },
		{ "file/..", NULL, MISSING, MISSING },
		{ "dangling", NULL, MISSING, REFUSED },
	};
	_cleanup_close_ int root =
		openat(dir->fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum want want = strict ? rows[i].want_strict : rows[i].want;
		struct err err = ERR_INIT;
		int fd = path_open(root, rows[i].path, O_RDONLY, 0, flags, &err);
		char buf[32] = "";
		enum want got = fd >= 0			    ? TEXT
				: err.code == ERR_INPUT	    ? REFUSED
				: err.code == ERR_NOT_FOUND ? MISSING
							    : OTHER;

		if (got != want)
			fail_msg("'%s' (strict %d): %s", rows[i].path, strict,
				fd >= 0 ? "opened" : err.msg);
		if (fd < 0)
			continue;
		assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		assert_true(read(fd, buf, sizeof(buf) - 1) > 0);
		(void)close(fd);
		assert_string_equal(buf, rows[i].text);
	}
}

static void no_path_leads_out_of_its_folder(void **state)
{
	size_t before = test_count_fds();

	for (int walk = 0; walk < 2; walk++) {
		path_force_walk(walk);
		opens_lead_nowhere_else(*state, 0);
		opens_lead_nowhere_else(*state, PATH_NO_SYMLINKS);
	}
	assert_int_equal(test_count_fds(), before);
}

/* In a child until it is killed: a folder and a link to the outside trade places. */
static pid_t start_exchanging(int root)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	for (;;)
		if (renameat2(root, "flip", root, "flop", RENAME_EXCHANGE) < 0)
			_exit(1);
}

static bool says_outside(int fd)
{
	char buf[16] = "";
	bool is = fd >= 0 && read(fd, buf, sizeof(buf) - 1) > 0 &&
		  !strcmp(buf, "outside");

	if (fd >= 0)
		(void)close(fd);
	return is;
}

static void no_exchange_on_the_way_leads_out(void **state)
{
	const struct test_dir *dir = *state;
	const int rounds = getenv("SLUICE_TORTURE") ? 200000 : 4000;
	_cleanup_close_ int root =
		openat(dir->fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int seen = 0, leaked = 0, opened = 0;
	pid_t pid;

	test_write(dir, "out/text", "outside");
	test_write(dir, "root/flip/text", "inside");
	assert_int_equal(symlinkat("../out", root, "flop"), 0);
	pid = start_exchanging(root);
	for (int i = 0; i < rounds; i++) {
		int fd;

		/* The control: by its path the outside is seen now and then. */
		seen += says_outside(openat(root, "flip/text", O_RDONLY | O_CLOEXEC));
		path_force_walk(i % 2);
		fd = path_open(root, "flip/text", O_RDONLY, 0, 0, NULL);
		opened += fd >= 0;
		leaked += says_outside(fd);
	}
	path_force_walk(0);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	assert_int_equal(leaked, 0);
	assert_true(seen > 0);
	assert_true(opened > 0);
}

static void the_words_say_why(void **state)
{
	struct test_dir *dir = *state;

	for (int walk = 0; walk < 2; walk++) {
		struct err err = ERR_INIT;

		path_force_walk(walk);
		assert_int_equal(
			path_open(dir->fd, "root/../../x", O_RDONLY, 0, 0, &err), -1);
		assert_err(&err, ERR_INPUT, "'root/../../x' leads out of its folder");
		assert_int_equal(err.sys, EXDEV);
		assert_int_equal(path_open(dir->fd, "root/short", O_RDONLY, 0,
					 PATH_NO_SYMLINKS, &err),
			-1);
		assert_err(
			&err, ERR_INPUT, "'root/short' has a symlink where none may be");
		assert_int_equal(
			path_open(dir->fd, "root/none", O_RDONLY, 0, 0, &err), -1);
		assert_err(&err, ERR_NOT_FOUND,
			"cannot open 'root/none': no such file or directory");
		assert_int_equal(errno, ENOENT);
	}
}

static void files_are_created_beneath_only(void **state)
{
	const int create = O_WRONLY | O_CREAT | O_EXCL;
	struct test_dir *dir = *state;
	_cleanup_close_ int root =
		openat(dir->fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int walk = 0; walk < 2; walk++) {
		_cleanup_free_ char *name = xasprintf("a/new%d", walk);
		struct err err = ERR_INIT;
		struct stat st;
		int fd;

		path_force_walk(walk);
		fd = path_open(root, name, create, 0640, 0, &err);
		assert_ok(fd, &err);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0640 & ~022);
		(void)close(fd);
		assert_int_equal(path_open(root, name, create, 0640, 0, &err), -1);
		assert_err(&err, ERR_CONFLICT, NULL);
		/* O_EXCL does not follow a dangling link, O_CREAT alone does, but not outside. */
		assert_int_equal(path_open(root, "dangling", create, 0600, 0, &err), -1);
		assert_err(&err, ERR_CONFLICT, NULL);
		assert_int_equal(path_open(root, "escape", O_WRONLY | O_CREAT | O_TRUNC,
					 0600, 0, &err),
			-1);
		assert_err(&err, ERR_INPUT, NULL);
		assert_int_equal(
			path_open(root, "a/", O_WRONLY | O_CREAT, 0600, 0, &err), -1);
		assert_err(&err, ERR_SYS, NULL);
		/* Mode without O_CREAT is ignored, as open does. */
		fd = path_open(root, "file", O_RDONLY, 0777, 0, &err);
		assert_ok(fd, &err);
		(void)close(fd);
		fd = path_open(root, "dangling", O_WRONLY | O_CREAT, 0600, 0, &err);
		assert_ok(fd, &err);
		(void)close(fd);
		assert_int_equal(unlinkat(root, "nowhere", 0), 0);
	}
	{
		_cleanup_free_ char *path = path_join(dir->path, "outside");
		_cleanup_free_ char *text = test_read(path);

		assert_string_equal(text, "outside");
	}
}

static void folders_and_links_open_as_such(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_close_ int root =
		openat(dir->fd, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int walk = 0; walk < 2; walk++) {
		static const char *const folders[] = { ".", "a", "a/", "a/.", "a/b/..",
			"short", "short/", "self" };
		struct err err = ERR_INIT;
		struct stat st;
		int fd;

		path_force_walk(walk);
		for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
			fd = path_open(
				root, folders[i], O_RDONLY | O_DIRECTORY, 0, 0, &err);
			assert_ok(fd, &err);
			(void)close(fd);
		}
		fd = path_open(
			root, "escape", O_PATH | O_NOFOLLOW, 0, PATH_NO_SYMLINKS, &err);
		assert_ok(fd, &err);
		assert_int_equal(fstat(fd, &st), 0);
		assert_true(S_ISLNK(st.st_mode));
		(void)close(fd);
	}
}

static void names_at_the_limits_are_errors_not_overflows(void **state)
{
	struct test_dir *dir = *state;
	char name[300];
	_cleanup_(strbuf_done) struct strbuf longest = STRBUF_INIT;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	while (longest.len < 5000)
		strbuf_adds(&longest, "root/../");
	strbuf_adds(&longest, "outside");
	for (int walk = 0; walk < 2; walk++) {
		struct err err = ERR_INIT;

		path_force_walk(walk);
		assert_int_equal(path_open(dir->fd, name, O_RDONLY, 0, 0, &err), -1);
		assert_int_equal(err.sys, ENAMETOOLONG);
		assert_int_equal(
			path_open(dir->fd, longest.buf, O_RDONLY, 0, 0, &err), -1);
		assert_int_equal(err.sys, ENAMETOOLONG);
	}
}

static void folders_are_made_but_never_through_a_link(void **state)
{
	struct test_dir *dir = *state;
	struct err err = ERR_INIT;
	struct stat st;

	assert_ok(path_mkdirs(dir->fd, "root/x/y/z", 0755, &err), &err);
	assert_ok(path_mkdirs(dir->fd, "root/x/y/z", 0755, &err), &err);
	assert_int_equal(fstatat(dir->fd, "root/x/y/z", &st, 0), 0);
	assert_int_equal(path_mkdirs(dir->fd, "root/short/new", 0755, &err), -1);
	assert_err(&err, ERR_SYS, NULL);
	assert_int_equal(fstatat(dir->fd, "root/a/b/new", &st, 0), -1);
	assert_int_equal(path_mkdirs(dir->fd, "root/file/new", 0755, &err), -1);
	assert_int_equal(path_mkdirs(dir->fd, "../new", 0755, &err), -1);
	assert_err(&err, ERR_INPUT, "'../new' is not a clean relative path");
	assert_int_equal(path_mkdirs(dir->fd, "/tmp/new", 0755, &err), -1);
	assert_int_equal(path_mkdirs(dir->fd, "", 0755, &err), -1);
}

static void own_folders_are_made_through_links_too(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_free_ char *path = path_join(dir->path, "root/short/new//deeper/");
	_cleanup_free_ char *file = path_join(dir->path, "root/file");
	struct err err = ERR_INIT;
	struct stat st;

	assert_ok(path_mkdirs_own(path, 0700, &err), &err);
	assert_ok(path_mkdirs_own(path, 0700, &err), &err);
	assert_int_equal(fstatat(dir->fd, "root/a/b/new/deeper", &st, 0), 0);
	assert_ok(path_mkdirs_own("/", 0700, &err), &err);
	assert_int_equal(path_mkdirs_own(file, 0700, &err), -1);
	assert_err_has(&err, ERR_SYS, "not a directory");
}

static void clean_paths_and_names_are_told_from_others(void **state)
{
	static const struct {
		const char *path;
		bool is_clean, is_name;
	} rows[] = {
		{ "a", true, true },
		{ "a/b", true, false },
		{ "a.b-c_D9", true, true },
		{ "..a", true, false },
		{ "a..", true, true },
		{ "-a", true, false },
		{ ".a", true, false },
		{ "a b", true, false },
		{ "\xc3\xa9", true, false },
		{ "", false, false },
		{ ".", false, false },
		{ "..", false, false },
		{ "/", false, false },
		{ "/a", false, false },
		{ "a/", false, false },
		{ "a//b", false, false },
		{ "a/./b", false, false },
		{ "a/..", false, false },
		{ "../a", false, false },
	};
	char name[300];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (path_is_clean(rows[i].path) != rows[i].is_clean ||
			path_is_name(rows[i].path) != rows[i].is_name)
			fail_msg("'%s' is judged wrongly", rows[i].path);
	}
	memset(name, 'n', sizeof(name));
	name[256] = '\0';
	assert_false(path_is_name(name));
	name[255] = '\0';
	assert_true(path_is_name(name));
}

static void paths_join_and_fold_as_text(void **state)
{
	static const struct {
		const char *a, *b, *joined;
	} joins[] = { { "a", "b", "a/b" }, { "a/", "b", "a/b" }, { "/", "b", "/b" },
		{ "a", "/b", "/b" }, { "", "b", "b" }, { "a", "", "a" } };
	static const struct {
		const char *path, *folded;
	} folds[] = { { "", "." }, { ".", "." }, { "/", "/" }, { "a/./b//c", "a/b/c" },
		{ "a/../b", "b" }, { "a/..", "." }, { "../a", "../a" },
		{ "a/../../b", "../b" }, { "/..", "/" }, { "/a/../../b", "/b" },
		{ "a/", "a" }, { "../../..", "../../.." } };
	_cleanup_free_ char *self = path_self();

	for (size_t i = 0; i < ARRAY_SIZE(joins); i++) {
		_cleanup_free_ char *got = path_join(joins[i].a, joins[i].b);

		assert_string_equal(got, joins[i].joined);
	}
	for (size_t i = 0; i < ARRAY_SIZE(folds); i++) {
		_cleanup_free_ char *got = path_normalise(folds[i].path);

		assert_string_equal(got, folds[i].folded);
	}
	assert_string_equal(path_base("a/b"), "b");
	assert_string_equal(path_base("b"), "b");
	assert_string_equal(path_base("a/"), "");
	assert_string_equal(path_base(self), "test_path");
}

#define TREE(fn) TEST_WITH(fn, tree_setup, tree_teardown)

TEST_MAIN(TEST_CASE_WITH("FS01", no_path_leads_out_of_its_folder, tree_setup,
		  tree_teardown),
	TEST_CASE_WITH("FS02", no_exchange_on_the_way_leads_out, tree_setup,
		tree_teardown),
	TREE(the_words_say_why),
	TREE(files_are_created_beneath_only), TREE(folders_and_links_open_as_such),
	TREE(names_at_the_limits_are_errors_not_overflows),
	TEST_CASE_WITH("FS01", folders_are_made_but_never_through_a_link, tree_setup,
		tree_teardown),
	TREE(own_folders_are_made_through_links_too),
	TEST(clean_paths_and_names_are_told_from_others),
	TEST(paths_join_and_fold_as_text))
