/* SPDX-License-Identifier: Apache-2.0 */
/* A real sandbox: what a step sees, how it ends, what is left of it. */
#include "tests/unit/sandbox/box.h"

#include <arpa/inet.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "sandbox/sandbox-internal.h"

/* ---- what a step sees -------------------------------------------------------------- */

static void a_step_is_runner_in_a_world_of_its_own(void **state)
{
	struct box *b = *state;

	b->opts.hostname = "build-7";
	box_open(b);
	assert_says(b, "id; hostname; pwd",
		"uid=1001(runner) gid=1001(runner) groups=1001(runner)\nbuild-7\n/\n");
	assert_says(b, "getent passwd runner; getent hosts build-7 | tr -s ' '",
		"runner:x:1001:1001:Runner:/home/runner:/bin/bash\n127.0.1.1 build-7\n");
	assert_says(b, "grep -o '[a-z0-9]*:' /proc/net/dev; test -e /sys || echo none",
		"lo:\nnone\n");
	/* init, the forker, bash and what it runs */
	assert_int_equal(
		box_run(b, "n=$(ls -d /proc/[0-9]* | wc -l); test $n -ge 3 -a $n -le 6"),
		0);
}

static void its_files_are_private_and_the_system_is_read_only(void **state)
{
	struct box *b = *state;

	box_open(b);
	assert_int_equal(box_run(b, "for d in /tmp /var/tmp /run /dev/shm $HOME; do "
				    "touch $d/x && rm $d/x || exit 1; done"),
		0);
	assert_int_equal(box_run(b, "for d in / /usr /etc /dev /var /proc /home; do "
				    "touch $d/x 2>/dev/null && exit 1; done; true"),
		0);
	assert_says(b, "ls /etc/shadow /root /boot /mnt 2>/dev/null", "");
	assert_says(b,
		"cat /proc/keys /proc/interrupts /proc/kallsyms; ls /proc/acpi "
		"2>/dev/null",
		"");
}

static void a_mounted_folder_is_the_jobs_and_only_what_was_asked_for(void **state)
{
	struct box *b = *state;
	struct sandbox_mount mounts[2];
	int rw, ro;

	box_need(b);
	b->dir = test_tempdir();
	test_write(b->dir, "ro/file", "hello\n");
	assert_int_equal(mkdirat(b->dir->fd, "rw", 0700), 0);
	rw = openat(b->dir->fd, "rw", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ro = openat(b->dir->fd, "ro", O_PATH | O_DIRECTORY | O_CLOEXEC);
	mounts[0] = (struct sandbox_mount){ rw, "/home/runner/work",
		SANDBOX_MOUNT_RW | SANDBOX_MOUNT_OWN };
	mounts[1] = (struct sandbox_mount){ ro, "/home/runner/work/deep/tools", 0 };
	b->opts.mounts = mounts;
	b->opts.mounts_len = 2;
	box_open(b);
	(void)close(rw);
	(void)close(ro);
	assert_says(b,
		"cd /home/runner/work && umask 027 && echo ran > made && cat "
		"deep/tools/file && "
		"(echo x > deep/tools/no) 2>/dev/null || echo refused; stat -c %a:%U "
		"made .",
		"hello\nrefused\n640:runner\n700:runner\n");
}

static void an_input_that_is_odd_is_refused_before_anything_is_made(void **state)
{
	struct box *b = *state;
	struct sandbox_mount m = { 0, "/proc/x", 0 };

	box_need(b);
	b->dir = test_tempdir();
	m.fd = b->dir->fd;
	b->opts.mounts = &m;
	b->opts.mounts_len = 1;
	assert_int_equal(sandbox_open(b->host, &b->opts, &b->sb, &b->err), -1);
	assert_err(&b->err, ERR_INPUT, "nothing may be mounted on '/proc/x'");
	m.inside = "/a/../b";
	assert_int_equal(sandbox_open(b->host, &b->opts, &b->sb, &b->err), -1);
	assert_err(&b->err, ERR_INPUT, "'/a/../b' is not a clean absolute path");
	b->opts.mounts_len = 0;
	b->opts.hostname = "a b";
	assert_int_equal(sandbox_open(b->host, &b->opts, &b->sb, &b->err), -1);
	assert_err(&b->err, ERR_INPUT, "'a b' is no host name");
}

static void a_symlink_on_the_way_to_a_mount_point_is_not_followed(void **state)
{
	struct box *b = *state;
	struct sandbox_mount mounts[2];
	int rw;

	box_need(b);
	b->dir = test_tempdir();
	assert_int_equal(mkdirat(b->dir->fd, "rw", 0755), 0);
	rw = openat(b->dir->fd, "rw", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(symlinkat("/usr", rw, "deep"), 0);
	mounts[0] = (struct sandbox_mount){ rw, "/home/runner/work", SANDBOX_MOUNT_RW };
	mounts[1] =
		(struct sandbox_mount){ b->dir->fd, "/home/runner/work/deep/tools", 0 };
	b->opts.mounts = mounts;
	b->opts.mounts_len = 2;
	assert_int_equal(sandbox_open(b->host, &b->opts, &b->sb, &b->err), -1);
	(void)close(rw);
	assert_err_has(
		&b->err, ERR_SYS, "cannot make the place 'home/runner/work/deep/tools'");
}

static void the_environment_is_the_commands_and_nothing_else(void **state)
{
	struct box *b = *state;

	(void)setenv("OUTSIDE_SECRET", "leaky", 1);
	box_open(b);
	assert_says(b, "env | cut -d= -f1 | sort | tr '\\n' ' '",
		"ASAN_OPTIONS HOME LANG PATH PWD SHLVL _ ");
	(void)unsetenv("OUTSIDE_SECRET");
}

static bool memory_has(pid_t pid, const char *needle)
{
	_cleanup_fclose_ FILE *maps = NULL;
	_cleanup_close_ int mem = -1;
	char path[64], line[512];
	bool found = false;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	mem = open(path, O_RDONLY | O_CLOEXEC);
	while (maps && mem >= 0 && !found && fgets(line, sizeof(line), maps)) {
		unsigned long from, to;
		_cleanup_free_ char *bytes = NULL;
		ssize_t n;

		if (sscanf(line, "%lx-%lx rw", &from, &to) != 2 || to - from > 64 << 20)
			continue;
		bytes = xmalloc(to - from);
		n = pread(mem, bytes, to - from, (off_t)from);
		found = n > 0 && memmem(bytes, (size_t)n, needle, strlen(needle)) != NULL;
	}
	return found;
}

static void a_secret_of_a_step_is_never_in_init_or_the_forker(void **state)
{
	struct box *b = *state;
	char secret[40];
	const char *env[] = { "PATH=/usr/bin:/bin", secret, NULL };
	const char *const argv[] = { "sleep", "1000", NULL };
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int id;

	if (geteuid() != 0)
		test_skip("only root may read the memory of init from outside");
	box_open(b); /* before the secret is there, as the header says */
	(void)snprintf(secret, sizeof(secret), "TOKEN=%08lx%08lx", random(), random());
	cmd.argv = argv;
	cmd.env = env;
	cmd.out = cmd.errfd = null;
	assert_ok(sandbox_spawn(b->sb, &cmd, &id, &b->err), &b->err);
	assert_true(memory_has(sandbox_pid(b->sb, id), secret)); /* the control */
	assert_false(memory_has(b->sb->init.pid, secret));
	assert_false(memory_has(b->sb->init.pid + 1, secret));
}

/* ---- starting and ending ----------------------------------------------------------- */

static void exit_codes_and_signals_are_kept_apart(void **state)
{
	struct box *b = *state;

	box_open(b);
	assert_int_equal(box_run(b, "exit 7"), 7);
	assert_int_equal(b->end.signal, 0);
	assert_int_equal(box_run(b, "kill -9 $$"), -1);
	assert_int_equal(b->end.signal, SIGKILL);
	assert_false(b->end.is_oom);
	assert_int_equal(box_run(b, "exit 137"), 137);
	assert_int_equal(b->end.signal, 0);
}

static void a_program_that_is_not_there_is_said_and_the_next_one_runs(void **state)
{
	struct box *b = *state;
	const char *const argv[] = { "no-such-program", NULL };
	const char *const folder[] = { "/usr", NULL };
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	int id = -5;

	box_open(b);
	cmd.argv = argv;
	cmd.env = box_env;
	cmd.out = cmd.errfd = 2;
	assert_int_equal(sandbox_spawn(b->sb, &cmd, &id, &b->err), -1);
	assert_err(&b->err, ERR_NOT_FOUND, "there is no program 'no-such-program'");
	assert_int_equal(id, -5);
	cmd.argv = folder;
	assert_int_equal(sandbox_spawn(b->sb, &cmd, &id, &b->err), -1);
	assert_err_has(&b->err, ERR_SYS, "cannot execute '/usr': permission denied");
	cmd.argv = argv;
	cmd.cwd = "/no/such/folder";
	assert_int_equal(sandbox_spawn(b->sb, &cmd, &id, &b->err), -1);
	assert_err_has(&b->err, ERR_SYS, "cannot enter '/no/such/folder'");
	assert_says(b, "echo still here", "still here\n");
}

static void many_words_and_odd_bytes_arrive_as_they_are(void **state)
{
	struct box *b = *state;
	_cleanup_(strvec_done) struct strvec argv = STRVEC_INIT;
	_cleanup_free_ char *big = xmalloc(100001);
	_cleanup_close_ int out = memfd_create("out", MFD_CLOEXEC);
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	int id;

	box_open(b);
	memset(big, 'x', 100000);
	big[100000] = '\0';
	strvec_push(&argv, "bash");
	strvec_push(&argv, "-c");
	strvec_push(&argv, "printf '%s:' $# ${#1} ${#2} \"$3\" \"$4\"");
	strvec_push(&argv, "name");
	strvec_push(&argv, big);
	strvec_push(&argv, big);
	strvec_push(&argv, "");
	strvec_push(&argv, "a\nb\x01\xff");
	cmd.argv = (const char *const *)argv.v;
	cmd.env = box_env;
	cmd.out = cmd.errfd = out;
	assert_ok(sandbox_spawn(b->sb, &cmd, &id, &b->err), &b->err);
	box_wait(b, id);
	(void)lseek(out, 0, SEEK_SET);
	assert_ok(fd_read_to_end(out, 1 << 20, &b->out, &b->err), &b->err);
	assert_string_equal(b->out.buf, "4:100000:100000::a\nb\x01\xff:");
}

static void a_signal_reaches_the_whole_group_of_a_step(void **state)
{
	struct box *b = *state;
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int id;

	box_open(b);
	id = box_start(b, "sleep 1000 & wait; sleep 1000", null);
	assert_ok(sandbox_signal(b->sb, id, SIGTERM, &b->err), &b->err);
	box_wait(b, id);
	assert_int_equal(b->end.signal, SIGTERM);
	assert_says(b, "pgrep -x sleep | wc -l", "0\n");
	assert_ok(
		sandbox_signal(b->sb, id, SIGTERM, &b->err), &b->err); /* gone is fine */
}

static bool is_alive(pid_t pid)
{
	return kill(pid, 0) == 0 || errno == EPERM;
}

static void a_daemon_lives_on_between_steps_and_dies_with_the_job(void **state)
{
	struct box *b = *state;
	struct sandbox_process list[16];
	pid_t daemon = 0;
	int n;

	box_open(b);
	assert_int_equal(
		box_run(b,
			"setsid env -i bash -c 'trap \"\" TERM HUP INT; exec -a daemon "
			"sleep 1000' </dev/null >/dev/null 2>&1 & "
			"until pgrep -x sleep >/dev/null; do :; done"),
		0);
	assert_says(b, "pgrep -c sleep", "1\n");
	n = sandbox_processes(b->sb, list, ARRAY_SIZE(list), &b->err);
	for (int i = 0; i < n; i++)
		if (!strcmp(list[i].name, "sleep"))
			daemon = list[i].pid;
	assert_ok(sandbox_kill(b->sb, 10000, &b->err), &b->err);
	assert_int_equal(box_event(b).kind, SANDBOX_EVENT_GONE);
	if (n < 0)
		test_skip("no cgroup here to name the daemon by");
	assert_true(daemon > 0);
	assert_false(is_alive(daemon));
}

/* One may kill what another left running, and trace it: one domain for all of a job. */
static void steps_of_a_job_reach_each_other(void **state)
{
	struct box *b = *state;

	box_open(b);
	assert_int_equal(
		box_run(b, "sleep 1000 >/dev/null 2>&1 & echo $! > /tmp/pid"), 0);
	assert_says(b,
		"readlink /proc/$(cat /tmp/pid)/exe; kill $(cat /tmp/pid) && echo killed",
		"/usr/bin/sleep\nkilled\n");
}

static void orphans_are_reaped(void **state)
{
	struct box *b = *state;

	box_open(b);
	assert_int_equal(
		box_run(b, "for i in {1..100}; do (sleep 0 &) ; done; sleep 0.3"), 0);
	assert_says(
		b, "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l", "0\n");
}

/*
 * Init reaps a flood of orphans: a step that starts and ends in the midst of it is not taken
 * for one of them.
 */
static void a_short_step_among_many_orphans_is_heard(void **state)
{
	struct box *b = *state;
	const char *const argv[] = { "true", NULL };
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int id;

	box_open(b);
	for (int i = 0; i < 3; i++)
		(void)box_start(b,
			"exec perl -e 'while (1) { my $p = fork; if (!$p) { fork; fork; "
			"exit 0 } waitpid $p, 0 }'",
			null);
	cmd.argv = argv;
	cmd.env = box_env;
	cmd.out = cmd.errfd = null;
	for (int i = 0; i < 300; i++) {
		assert_ok(sandbox_spawn(b->sb, &cmd, &id, &b->err), &b->err);
		box_wait(b, id);
		assert_int_equal(b->end.code, 0);
	}
}

/* Another step may kill it: that ends it, or is the reason why it did not start. */
static void a_step_that_is_killed_as_it_starts_is_not_waited_for(void **state)
{
	struct box *b = *state;
	const char *const argv[] = { "sleep", "0.002", NULL };
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int killed = 0, id;

	box_open(b);
	(void)box_start(b,
		"exec perl -e 'my $top = $$; while (1) { "
		"for my $p ($top + 1 .. $top + 400) { kill 9, $p } }'",
		null);
	cmd.argv = argv;
	cmd.env = box_env;
	cmd.out = cmd.errfd = null;
	for (int i = 0; i < 200; i++) {
		if (sandbox_spawn(b->sb, &cmd, &id, NULL) < 0) {
			killed++;
			continue;
		}
		box_wait(b, id);
		killed += b->end.signal == SIGKILL;
	}
	assert_true(killed > 0); /* the control: it does hit some of them */
}

static void steps_run_side_by_side_and_end_in_their_own_order(void **state)
{
	struct box *b = *state;
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int first, second;

	box_open(b);
	first = box_start(b, "sleep 0.4; exit 1", null);
	second = box_start(b, "exit 2", null);
	assert_true(second > first);
	box_wait(b, second);
	assert_int_equal(b->end.code, 2);
	box_wait(b, first);
	assert_int_equal(b->end.code, 1);
}

static void killing_it_ends_each_step_then_the_sandbox(void **state)
{
	struct box *b = *state;
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct sandbox_event ev;
	int id;

	box_open(b);
	id = box_start(b, "trap '' TERM INT HUP; sleep 1000; sleep 1000", null);
	assert_ok(sandbox_kill(b->sb, 10000, &b->err), &b->err);
	ev = box_event(b);
	assert_int_equal(ev.kind, SANDBOX_EVENT_EXIT);
	assert_int_equal(ev.id, id);
	assert_int_equal(ev.signal, SIGKILL);
	assert_int_equal(box_event(b).kind, SANDBOX_EVENT_GONE);
	assert_int_equal(sandbox_next_event(b->sb, &ev, &b->err), 0);
	assert_ok(sandbox_kill(b->sb, 1000, &b->err), &b->err); /* twice is fine */
}

/* The caller dies: in a child of ours that opens a sandbox and is killed -9. */
static void everything_dies_with_the_caller(void **state)
{
	struct box *b = *state;
	int told[2], status;
	pid_t caller, inside = 0;
	int64_t deadline;

	box_need(b);
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	caller = fork();
	if (caller == 0) {
		const char *const argv[] = { "sleep", "1000", NULL };
		struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
		pid_t pid;
		int id;

		cmd.argv = argv;
		cmd.env = box_env;
		cmd.out = cmd.errfd = 2;
		if (sandbox_open(b->host, &b->opts, &b->sb, NULL) < 0 ||
			sandbox_spawn(b->sb, &cmd, &id, NULL) < 0)
			_exit(1);
		pid = sandbox_pid(b->sb, id);
		(void)!write(told[1], &pid, sizeof(pid));
		(void)raise(SIGKILL);
		_exit(2);
	}
	(void)close(told[1]);
	(void)waitpid(caller, &status, 0);
	assert_int_equal(read(told[0], &inside, sizeof(inside)), sizeof(inside));
	(void)close(told[0]);
	assert_true(WIFSIGNALED(status));
	deadline = clock_boot_ms() + 5000;
	while (is_alive(inside) && clock_boot_ms() < deadline)
		(void)usleep(10000);
	assert_false(is_alive(inside));
	if (b->tree)
		assert_ok(sandbox_cgroup_remove(b->tree, b->cgroup, &b->err), &b->err);
}

static void nothing_is_left_open_when_it_is_freed(void **state)
{
	struct box *b = *state;
	size_t before;

	box_need(b);
	before = test_count_fds();
	for (int i = 0; i < 3; i++) {
		box_open(b);
		(void)box_run(b, "true");
		sandbox_free(b->sb);
		b->sb = NULL;
	}
	assert_int_equal(test_count_fds(), before);
}

/* ---- limits ------------------------------------------------------------------------ */

static bool has_controllers(const struct box *b, enum sandbox_controllers wanted)
{
	return b->tree && (sandbox_host_caps(b->host)->controllers & wanted) == wanted;
}

static void too_much_memory_ends_the_job_and_says_so(void **state)
{
	struct box *b = *state;
	struct sandbox_event ev;
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	bool oom = false;
	int id;

	box_need(b);
	if (!has_controllers(b, SANDBOX_CTL_MEMORY))
		test_skip("no memory controller here");
	b->opts.limits.memory = 32 << 20;
	box_open(b);
	id = box_start(b,
		"sleep 1000 & head -c 200M /dev/zero | tail -c 190M; sleep 1000", null);
	for (;;) {
		ev = box_event(b);
		if (ev.kind == SANDBOX_EVENT_OOM)
			oom = true;
		if (ev.kind != SANDBOX_EVENT_EXIT)
			continue;
		assert_int_equal(ev.id, id);
		break;
	}
	assert_true(oom);
	assert_true(ev.is_oom);
	assert_string_equal(ev.hint, "killed: the job used all its memory");
	assert_int_equal(box_event(b).kind, SANDBOX_EVENT_GONE);
}

static void a_fork_bomb_meets_the_process_limit(void **state)
{
	struct box *b = *state;

	box_need(b);
	b->opts.limits.pids = 40;
	box_open(b);
	assert_int_not_equal(
		box_run(b, "for i in {1..100}; do sleep 5 & done 2>/dev/null; "
			   "n=$(jobs -p | wc -l); kill $(jobs -p); test $n -ge 100"),
		0);
	/* The job goes on, and so does everyone else. */
	assert_says(b, "echo alive", "alive\n");
}

static void a_file_past_the_limit_is_explained(void **state)
{
	struct box *b = *state;

	box_need(b);
	b->opts.limits.fsize = 1 << 20;
	box_open(b);
	(void)box_run(b, "exec head -c 2M /dev/zero > /tmp/big");
	assert_int_equal(b->end.signal, SIGXFSZ);
	assert_string_equal(
		b->end.hint, "killed for writing past the limit on the size of a file");
}

/* Init's is beyond a step of any rights; its own is where the writer of the maps had the right. */
static void a_step_cannot_spare_itself_when_memory_runs_out(void **state)
{
	struct box *b = *state;
	const char *script = "cd /proc; echo 900 >self/oom_score_adj; cat self/oom_score_adj; "
			     "for p in 1 2; do echo -1000 2>/dev/null >$p/oom_score_adj || "
			     "cat $p/oom_score_adj; done; bash -c 'echo 499 "
			     "2>/dev/null >/proc/self/oom_score_adj && echo lowered || echo kept'";
	bool may = geteuid() == 0 && prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE, 0, 0, 0) == 1;

	box_need(b);
	box_open(b);
	assert_says(b, script, may ? "900\n500\n500\nkept\n" : "900\n500\n500\nlowered\n");
	if (!may)
		test_skip("that it keeps its own takes CAP_SYS_RESOURCE, which this account lacks");
}

static void limits_of_a_step_are_set(void **state)
{
	struct box *b = *state;
	struct sandbox_stats s;

	box_need(b);
	b->opts.limits.nofile = 1234;
	box_open(b);
	assert_says(b, "ulimit -n; ulimit -Hn; ulimit -c; ulimit -r; ulimit -s",
		"1234\n1234\n0\n0\n8192\n");
	assert_says(b, "cat /proc/self/oom_score_adj", "500\n");
	assert_ok(sandbox_stats(b->sb, &s, &b->err), &b->err);
	if (has_controllers(b, SANDBOX_CTL_MEMORY | SANDBOX_CTL_PIDS)) {
		assert_true(s.memory > 0);
		assert_int_equal(s.pids, 0);
		assert_int_equal(s.oom_kills, 0);
	}
}

/* Until the file is longer than it was, at most ten seconds. */
static bool grows_beyond(int fd, off_t size)
{
	struct stat st;

	for (int i = 0; i < 5000; i++) {
		if (fstat(fd, &st) == 0 && st.st_size > size)
			return true;
		(void)usleep(2000);
	}
	return false;
}

static void a_frozen_job_stands_still(void **state)
{
	struct box *b = *state;
	_cleanup_close_ int out = memfd_create("out", MFD_CLOEXEC);
	struct stat before, after;

	box_need(b);
	if (!b->tree || sandbox_host_caps(b->host)->cgroup == SANDBOX_CGROUP_NONE)
		test_skip("no cgroup here");
	box_open(b);
	(void)box_start(b, "while :; do echo x; done", out);
	assert_true(grows_beyond(out, 0));
	assert_ok(sandbox_freeze(b->sb, true, &b->err), &b->err);
	(void)fstat(out, &before);
	(void)usleep(50000);
	(void)fstat(out, &after);
	assert_int_equal(after.st_size, before.st_size);
	assert_ok(sandbox_freeze(b->sb, false, &b->err), &b->err);
	assert_true(grows_beyond(out, before.st_size));
	assert_ok(sandbox_freeze(b->sb, true, &b->err), &b->err);
	assert_ok(
		sandbox_kill(b->sb, 10000, &b->err), &b->err); /* frozen ones die, too */
}

/* ---- network ----------------------------------------------------------------------- */

static void a_listener_inside_is_served_outside(void **state)
{
	struct box *b = *state;
	_cleanup_close_ int fd = -1, got = -1;
	int id;

	box_need(b);
	b->opts.network = SANDBOX_NET_PROXY;
	box_open(b);
	assert_ok(sandbox_listen(b->sb, "127.0.0.1", 80, &fd, &b->err), &b->err);
	assert_int_equal(sandbox_listen(b->sb, "127.0.0.1", 80, &got, &b->err), -1);
	assert_err_has(&b->err, ERR_SYS, "cannot listen on 127.0.0.1 port 80 inside");
	_cleanup_close_ int out = memfd_create("out", MFD_CLOEXEC);
	id = box_start(b,
		"exec 3<>/dev/tcp/127.0.0.1/80; read -r line <&3; echo got $line", out);
	{
		struct pollfd p = { .fd = fd, .events = POLLIN };

		assert_int_equal(poll(&p, 1, BOX_TIMEOUT_MS), 1);
	}
	got = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(got >= 0);
	assert_int_equal(write(got, "hello\n", 6), 6);
	box_wait(b, id);
	(void)lseek(out, 0, SEEK_SET);
	assert_ok(fd_read_to_end(out, 4096, &b->out, &b->err), &b->err);
	assert_string_equal(b->out.buf, "got hello\n");
}

static void an_event_heard_while_listening_still_wakes_the_loop(void **state)
{
	struct box *b = *state;
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	_cleanup_close_ int fd = -1;
	int id;

	box_open(b);
	id = box_start(b, "exit 3", null);
	(void)usleep(100000); /* so that its end lies in the socket */
	assert_ok(sandbox_listen(b->sb, "::1", 8080, &fd, &b->err), &b->err);
	box_wait(b, id);
	assert_int_equal(b->end.code, 3);
}

/* ---- never ------------------------------------------------------------------------- */

static void a_map_to_the_hosts_root_is_refused(void **state)
{
	struct box *b = *state;

	box_need(b);
	b->opts.ids.service_uid = 0;
	assert_int_equal(sandbox_open(b->host, &b->opts, &b->sb, &b->err), -1);
	assert_err(&b->err, ERR_DENIED,
		"a job must not be mapped to the host's id 0: give a service id");
}

static void untrusted_work_without_limits_is_refused(void **state)
{
	struct box *b = *state;

	box_need(b);
	b->opts.profile = SANDBOX_STRICT;
	b->opts.trust = SANDBOX_UNTRUSTED;
	b->opts.cgroup_name = NULL;
	assert_int_equal(sandbox_open(b->host, &b->opts, &b->sb, &b->err), -1);
	assert_int_equal(b->err.code, ERR_DENIED);
}

struct sweep {
	enum sandbox_fault_in in;
	const char *what;
	unsigned at_least; /* set-up calls we know to be there */
};

/* SB26: each set-up call failing in turn; a step that ran would leave its mark. */
static void sweep_faults(struct box *b, const struct sweep *s)
{
	_cleanup_close_ int out = memfd_create("out", MFD_CLOEXEC);
	const char *const argv[] = { "echo", "ran", NULL };
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	bool opened = false;
	unsigned nth = 0;
	struct stat st;
	int id;

	cmd.argv = argv;
	cmd.env = box_env;
	cmd.out = cmd.errfd = out;
	while (!opened) {
		struct err err = ERR_INIT;

		if (++nth > 500)
			fail_msg("%s: no end of set-up calls", s->what);
		b->opts.fault = (struct sandbox_fault){ s->in, nth };
		if (sandbox_open(b->host, &b->opts, &b->sb, &err) == 0 &&
			sandbox_spawn(b->sb, &cmd, &id, &err) == 0) {
			/* Init failed as it said READY: the step was killed before its exec. */
			box_wait(b, id);
			opened = b->end.code == 0;
			if (b->end.signal == SIGKILL)
				(void)err_set(&err, ERR_UNAVAILABLE, "killed");
		}
		assert_int_equal(fstat(out, &st), 0);
		if (!opened && (st.st_size || !err.code || !*err.msg))
			fail_msg("%s call %u: %s, %s", s->what, nth,
				st.st_size ? "ran" : "silent", err.msg);
		sandbox_free(b->sb);
		b->sb = NULL;
	}
	assert_int_equal(st.st_size, 4); /* the control: without a fault it does run */
	if (nth < s->at_least)
		fail_msg("%s: only %u calls were tried", s->what, nth);
}

static void no_step_starts_when_any_set_up_call_fails(void **state)
{
	static const struct sweep sweeps[] = {
		{ SANDBOX_FAULT_CALLER, "the caller's", 8 },
		{ SANDBOX_FAULT_INIT, "init's", 100 },
		{ SANDBOX_FAULT_FORKER, "the forker's", 10 },
		{ SANDBOX_FAULT_STEP, "a step's", 12 },
	};
	struct box *b = *state;
	size_t before;

	box_need(b);
	before = test_count_fds();
	for (size_t i = 0; i < ARRAY_SIZE(sweeps); i++)
		sweep_faults(b, &sweeps[i]);
	assert_int_equal(test_count_fds(), before);
}

TEST_MAIN(TEST_WITH(a_step_is_runner_in_a_world_of_its_own, box_setup, box_teardown),
	TEST_WITH(its_files_are_private_and_the_system_is_read_only, box_setup,
		box_teardown),
	TEST_WITH(a_mounted_folder_is_the_jobs_and_only_what_was_asked_for, box_setup,
		box_teardown),
	TEST_WITH(an_input_that_is_odd_is_refused_before_anything_is_made, box_setup,
		box_teardown),
	TEST_CASE_WITH("FS01", a_symlink_on_the_way_to_a_mount_point_is_not_followed, box_setup,
		box_teardown),
	TEST_WITH(the_environment_is_the_commands_and_nothing_else, box_setup,
		box_teardown),
	TEST_CASE_WITH("SB12", a_secret_of_a_step_is_never_in_init_or_the_forker, box_setup,
		box_teardown),
	TEST_WITH(exit_codes_and_signals_are_kept_apart, box_setup, box_teardown),
	TEST_WITH(a_program_that_is_not_there_is_said_and_the_next_one_runs, box_setup,
		box_teardown),
	TEST_WITH(many_words_and_odd_bytes_arrive_as_they_are, box_setup, box_teardown),
	TEST_WITH(a_signal_reaches_the_whole_group_of_a_step, box_setup, box_teardown),
	TEST_CASE_WITH("RS06", a_daemon_lives_on_between_steps_and_dies_with_the_job, box_setup,
		box_teardown),
	TEST_WITH(steps_of_a_job_reach_each_other, box_setup, box_teardown),
	TEST_CASE_WITH("RS09", orphans_are_reaped, box_setup, box_teardown),
	TEST_CASE_WITH("RS09", a_short_step_among_many_orphans_is_heard, box_setup, box_teardown),
	TEST_WITH(a_step_that_is_killed_as_it_starts_is_not_waited_for, box_setup,
		box_teardown),
	TEST_WITH(steps_run_side_by_side_and_end_in_their_own_order, box_setup,
		box_teardown),
	TEST_CASE_WITH("RS08", killing_it_ends_each_step_then_the_sandbox, box_setup, box_teardown),
	TEST_CASE_WITH("RS06", everything_dies_with_the_caller, box_setup, box_teardown),
	TEST_WITH(nothing_is_left_open_when_it_is_freed, box_setup, box_teardown),
	TEST_CASE_WITH("RS02", too_much_memory_ends_the_job_and_says_so, box_setup, box_teardown),
	TEST_CASE_WITH("RS01", a_fork_bomb_meets_the_process_limit, box_setup, box_teardown),
	TEST_CASE_WITH("RS03", a_file_past_the_limit_is_explained, box_setup, box_teardown),
	TEST_CASE_WITH("RS02", a_step_cannot_spare_itself_when_memory_runs_out, box_setup,
		box_teardown),
	TEST_WITH(limits_of_a_step_are_set, box_setup, box_teardown),
	TEST_WITH(a_frozen_job_stands_still, box_setup, box_teardown),
	TEST_WITH(a_listener_inside_is_served_outside, box_setup, box_teardown),
	TEST_WITH(an_event_heard_while_listening_still_wakes_the_loop, box_setup,
		box_teardown),
	TEST_CASE_WITH("SB16", a_map_to_the_hosts_root_is_refused, box_setup, box_teardown),
	TEST_CASE_WITH("SB26", untrusted_work_without_limits_is_refused, box_setup, box_teardown),
	TEST_CASE_WITH("SB26", no_step_starts_when_any_set_up_call_fails, box_setup, box_teardown))
