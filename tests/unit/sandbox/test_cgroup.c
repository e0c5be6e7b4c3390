/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups: the v2 files against a folder of plain files (few machines have all of
 * them to give), what is really here against the kernel.
 */
#include "tests/unit/sandbox/box.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "sandbox/cgroup-internal.h"
#include "sandbox/sandbox-internal.h"

static struct sandbox_cgroup fake(struct test_dir *dir)
{
	struct sandbox_cgroup cg = SANDBOX_CGROUP_INIT;

	cg.kind = SANDBOX_CGROUP_V2;
	cg.controllers = SANDBOX_CTL_MEMORY | SANDBOX_CTL_PIDS | SANDBOX_CTL_CPU;
	cg.fds[0] = dir->fd;
	return cg;
}

static void says(const struct test_dir *dir, const char *file, const char *words)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", dir->path, file);
	_cleanup_free_ char *text = test_read(path);

	assert_string_equal(text, words);
}

static void v2_limits_are_written_where_they_belong(void **state)
{
	static const char *const files[] = { "memory.max", "memory.high",
		"memory.swap.max", "memory.oom.group", "pids.max", "cpu.max" };
	const struct sandbox_limits limits = {
		.memory = 100 << 20, .pids = 50, .cpu_percent = 150
	};
	struct test_dir *dir = *state;
	struct sandbox_cgroup cg = fake(dir);
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		test_write(dir, files[i], "");
	assert_ok(cgroup_limit(&cg, &limits, &err), &err);
	says(dir, "memory.max", "104857600");
	says(dir, "memory.high", "94371840");
	says(dir, "memory.swap.max", "0");
	says(dir, "memory.oom.group", "1");
	says(dir, "pids.max", "52");
	says(dir, "cpu.max", "150000 100000");
}

static void a_limit_that_does_not_take_is_an_error(void **state)
{
	const struct sandbox_limits limits = { .memory = 100 << 20 };
	struct test_dir *dir = *state;
	struct sandbox_cgroup cg = fake(dir);
	struct err err = ERR_INIT;

	assert_int_equal(cgroup_limit(&cg, &limits, &err), -1);
	assert_err(&err, ERR_SYS,
		"cannot write the limit 'memory.max': no such file or directory");
	/* longer than what is written: what is read back is another number */
	test_write(dir, "memory.max", "9999999999999999\n");
	assert_int_equal(cgroup_limit(&cg, &limits, &err), -1);
	assert_err(&err, ERR_UNSUPPORTED, "the limit 'memory.max' did not take");
}

static void v2_counters_are_read(void **state)
{
	static const char *const files[][2] = {
		{ "memory.current", "1000\n" },
		{ "memory.peak", "2000\n" },
		{ "pids.current", "5\n" },
		{ "cpu.stat", "usage_usec 777\nuser_usec 1\n" },
		{ "memory.events",
			"low 0\nhigh 3\noom 1\noom_kill 2\noom_group_kill 9\n" },
	};
	struct test_dir *dir = *state;
	struct sandbox_cgroup cg = fake(dir);
	struct sandbox_stats s;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		test_write(dir, files[i][0], files[i][1]);
	cgroup_stats(&cg, &s);
	assert_int_equal(s.memory, 1000);
	assert_int_equal(s.memory_peak, 2000);
	assert_int_equal(s.pids, 3);
	assert_int_equal(s.pids_peak, -1); /* an older kernel has none */
	assert_int_equal(s.cpu_us, 777);
	assert_int_equal(s.oom_kills, 2);
}

static void it_waits_until_nobody_is_left(void **state)
{
	struct test_dir *dir = *state;
	struct sandbox_cgroup cg = fake(dir);
	struct err err = ERR_INIT;

	test_write(dir, "cgroup.events", "populated 1\nfrozen 0\n");
	assert_int_equal(cgroup_wait_empty(&cg, clock_boot_ms() + 30, &err), -1);
	assert_err(&err, ERR_TIMEOUT, "processes of the job cannot be killed");
	test_write(dir, "cgroup.events", "populated 0\nfrozen 0\n");
	assert_ok(cgroup_wait_empty(&cg, clock_boot_ms() + 30, &err), &err);
}

static void a_name_that_leads_elsewhere_is_refused(void **state)
{
	static const char *const names[] = { "", ".", "..", "a/b", "../x", "-x", "sluice",
		"a b" };
	const struct sandbox_limits limits = { 0 };
	struct sandbox_cgroup_tree *tree;
	struct sandbox_cgroup cg;
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(sandbox_cgroup_tree_open(&tree, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(sandbox_cgroup_make(
					 tree, names[i], &limits, (uid_t)-1, &cg, &err),
			-1);
	assert_int_equal(sandbox_cgroup_remove(tree, "../x", &err), -1);
	sandbox_cgroup_tree_free(tree);
}

static void a_group_is_found_again_killed_and_removed(void **state)
{
	const struct sandbox_limits limits = {
		.memory = 64 << 20, .pids = 10, .cpu_percent = 50
	};
	_cleanup_(strvec_done) struct strvec names = STRVEC_INIT;
	_cleanup_(sandbox_cgroup_done) struct sandbox_cgroup cg = SANDBOX_CGROUP_INIT;
	int fds[SANDBOX_CGROUP_FDS] = { -1, -1, -1, -1 };
	struct sandbox_cgroup_tree *tree;
	struct sandbox_caps caps;
	struct err err = ERR_INIT;
	char name[48];
	int status;
	pid_t pid;

	(void)state;
	assert_ok(sandbox_probe(&caps, &err), &err);
	if (caps.cgroup == SANDBOX_CGROUP_NONE)
		test_skip(caps.facts[SANDBOX_FACILITY_CGROUP].words);
	(void)snprintf(name, sizeof(name), "test-group-%d", (int)getpid());
	assert_ok(sandbox_cgroup_tree_open(&tree, &err), &err);
	assert_ok(sandbox_cgroup_make(tree, name, &limits, (uid_t)-1, &cg, &err), &err);
	assert_int_equal(sandbox_cgroup_is_populated(tree, name, &err), 0);
	assert_int_equal(
		sandbox_cgroup_make(tree, name, &limits, (uid_t)-1, &cg, &err), -1);
	assert_int_equal(err.code, ERR_CONFLICT);
	sandbox_cgroup_list(tree, &names);
	assert_true(strvec_has(&names, name));

	assert_ok(cgroup_enter_fds(&cg, fds, &err), &err);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < SANDBOX_CGROUP_FDS; i++)
			if (fds[i] >= 0 && write(fds[i], "0", 1) != 1)
				_exit(1);
		for (;;)
			(void)pause();
	}
	for (int i = 0; i < 500 && sandbox_cgroup_is_populated(tree, name, &err) != 1;
		i++)
		(void)usleep(2000);
	assert_int_equal(sandbox_cgroup_is_populated(tree, name, &err), 1);
	assert_ok(sandbox_cgroup_remove(tree, name, &err), &err);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	strvec_clear(&names);
	sandbox_cgroup_list(tree, &names);
	assert_false(strvec_has(&names, name));
	assert_ok(sandbox_cgroup_remove(tree, name, &err), &err); /* twice is fine */
	for (int i = 0; i < SANDBOX_CGROUP_FDS; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	sandbox_cgroup_tree_free(tree);
}

#define ACCOUNT 54321

/* Whether ACCOUNT, in a fork of ours, may have a child born in CG; an errno, 0: it may. */
static int birth(const struct sandbox_cgroup *cg)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct ns_child child = { 0 };
		int rc;

		if (setresgid(ACCOUNT, ACCOUNT, ACCOUNT) < 0 ||
			setresuid(ACCOUNT, ACCOUNT, ACCOUNT) < 0)
			_exit(EPROTO);
		rc = ns_clone(0, cg->fds[0], &child);
		if (rc == 0)
			_exit(0);
		if (rc < 0)
			_exit(errno);
		_exit(waitpid(child.pid, NULL, 0) == child.pid ? 0 : ECHILD);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
								    : EINTR;
}

static void who_was_handed_the_tree_may_give_birth_in_its_groups(void **state)
{
	_cleanup_(sandbox_cgroup_done) struct sandbox_cgroup cg = SANDBOX_CGROUP_INIT;
	const struct sandbox_limits limits = { .pids = 10 };
	struct sandbox_cgroup_tree *tree;
	struct err err = ERR_INIT;
	struct stat st;
	char name[48];
	int before, after = -1, status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		test_skip("only root can hand a tree to another account");
	assert_ok(sandbox_cgroup_tree_open(&tree, &err), &err);
	if (tree->parents[G_V2] < 0)
		test_skip("there is no v2 tree here");
	(void)snprintf(name, sizeof(name), "test-birth-%d", (int)getpid());
	assert_int_equal(fstatat(tree->parents[G_V2], "cgroup.procs", &st, 0), 0);
	assert_int_equal(fchownat(tree->parents[G_V2], "cgroup.procs", 0, 0, 0), 0);
	assert_ok(sandbox_cgroup_make(tree, name, &limits, ACCOUNT, &cg, &err), &err);
	assert_false(cg.is_birthplace);
	before = birth(&cg);
	/* In a child, since it moves who calls it. */
	pid = fork();
	if (pid == 0) {
		struct sandbox_cgroup again = SANDBOX_CGROUP_INIT;

		sandbox_cgroup_tree_hand(tree, ACCOUNT);
		(void)sandbox_cgroup_remove(tree, name, NULL);
		if (sandbox_cgroup_make(tree, name, &limits, ACCOUNT, &again, NULL) < 0)
			_exit(EPROTO);
		_exit(again.is_birthplace ? birth(&again) : ENOTSUP);
	}
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status))
		after = WEXITSTATUS(status);
	(void)!fchownat(tree->parents[G_V2], "cgroup.procs", st.st_uid, st.st_gid, 0);
	(void)sandbox_cgroup_remove(tree, name, NULL);
	sandbox_cgroup_tree_free(tree);
	assert_int_equal(before, EACCES);
	assert_int_equal(after, 0);
}

/* Another server or `sluice run` of this account comes and goes while we are idle. */
static void one_that_leaves_takes_the_place_from_nobody(void **state)
{
	_cleanup_(sandbox_cgroup_done) struct sandbox_cgroup cg = SANDBOX_CGROUP_INIT;
	const struct sandbox_limits limits = { .pids = 10 };
	struct sandbox_cgroup_tree *mine, *other;
	struct sandbox_caps caps;
	struct err err = ERR_INIT;
	char name[48];

	(void)state;
	assert_ok(sandbox_probe(&caps, &err), &err);
	if (caps.cgroup == SANDBOX_CGROUP_NONE)
		test_skip(caps.facts[SANDBOX_FACILITY_CGROUP].words);
	(void)snprintf(name, sizeof(name), "test-stays-%d", (int)getpid());
	assert_ok(sandbox_cgroup_tree_open(&mine, &err), &err);
	assert_ok(sandbox_cgroup_tree_open(&other, &err), &err);
	sandbox_cgroup_tree_free(other);
	assert_ok(sandbox_cgroup_make(mine, name, &limits, (uid_t)-1, &cg, &err), &err);
	assert_ok(sandbox_cgroup_remove(mine, name, &err), &err);
	sandbox_cgroup_tree_free(mine);
}

TEST_MAIN(TEST_DIR(v2_limits_are_written_where_they_belong),
	TEST_DIR(a_limit_that_does_not_take_is_an_error), TEST_DIR(v2_counters_are_read),
	TEST_DIR(it_waits_until_nobody_is_left),
	TEST(a_name_that_leads_elsewhere_is_refused),
	TEST(a_group_is_found_again_killed_and_removed),
	TEST(who_was_handed_the_tree_may_give_birth_in_its_groups),
	TEST(one_that_leaves_takes_the_place_from_nobody))
