/* SPDX-License-Identifier: Apache-2.0 */
/* Profile root: a prepared root that the job may change, and what that does not open. */
#include "tests/unit/sandbox/box.h"

#include <sys/wait.h>

/* A root with bash, some tools and what they link; run by bash in the test's folder. */
static const char make_root[] =
	"set -e; mkdir -p root/usr/bin root/etc root/root root/opt; ln -s usr/bin root/bin\n"
	"for b in bash cat chown grep id ls mkdir mknod rm stat touch; do\n"
	"  cp -L $(command -v $b) root/usr/bin/\n"
	"  ldd $(command -v $b) | grep -oE '/[^ ]+' | while read -r lib; do\n"
	"    to=root/usr/${lib#/usr/}; to=${to/\\/usr\\/\\//\\/usr\\/}\n"
	"    mkdir -p \"$(dirname \"$to\")\"; [ -e \"$to\" ] || cp -L \"$lib\" \"$to\"\n"
	"  done\n"
	"done\n"
	"for d in lib lib64; do [ ! -d root/usr/$d ] || ln -s usr/$d root/$d; done\n"
	"ln -s bash root/usr/bin/sh; echo ours >root/opt/mark\n"
	"echo root:x:0:0:root:/root:/bin/bash >root/etc/passwd\n"
	"touch root/opt/daemons; chown 1:1 root/opt/daemons; chmod 755 root\n";

static int shell(const struct test_dir *dir, const char *script)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		if (fchdir(dir->fd) == 0)
			execl("/bin/bash", "bash", "-c", script, (char *)NULL);
		_exit(127);
	}
	(void)waitpid(pid, &status, 0);
	return status;
}

static int fresh_upper(struct box *b)
{
	(void)path_remove_tree(b->dir->fd, "upper", NULL);
	if (mkdirat(b->dir->fd, "upper", 0755) < 0 ||
		fchownat(b->dir->fd, "upper", b->opts.ids.service_uid,
			b->opts.ids.service_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (b->opts.root_upper >= 0)
		(void)close(b->opts.root_upper);
	b->opts.root_upper =
		openat(b->dir->fd, "upper", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return b->opts.root_upper;
}

static int setup(void **state)
{
	struct box *b = xcalloc(1, sizeof(*b));
	_cleanup_close_ int root = -1;

	box_init(b);
	*state = b;
	if (!b->missing && geteuid() != 0)
		b->missing = xstrdup("a root is shown in a job's ids by root alone");
	if (b->missing)
		return 0;
	b->dir = test_tempdir();
	/* The service's id, which is not ours, must get as far. */
	if (fchmod(b->dir->fd, 0755) < 0 || shell(b->dir, make_root) != 0 ||
		sandbox_ids_widen(&b->opts.ids, &b->err) < 0)
		return -1;
	b->opts.profile = SANDBOX_ROOT;
	root = openat(b->dir->fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || fresh_upper(b) < 0)
		return -1;
	if (sandbox_root_map(root, &b->opts.ids, &b->opts.rootfs, &b->err) < 0)
		b->missing = xstrdup(b->err.msg);
	return 0;
}

static int teardown(void **state)
{
	struct box *b = *state;

	if (b->opts.rootfs >= 0)
		(void)close(b->opts.rootfs);
	if (b->opts.root_upper >= 0)
		(void)close(b->opts.root_upper);
	return box_teardown(state);
}

static void a_step_is_root_with_exactly_six_rights(void **state)
{
	struct box *b = *state;

	box_open(b);
	assert_says(b,
		"id -u; id -g; grep -E 'Cap(Prm|Eff|Bnd|Inh|Amb)' /proc/self/status",
		"0\n0\nCapInh:\t0000000000000000\nCapPrm:\t00000000000000db\n"
		"CapEff:\t00000000000000db\nCapBnd:\t00000000000000db\n"
		"CapAmb:\t0000000000000000\n");
	assert_says(b, "read -r a b c </proc/self/uid_map; echo $a $b $c",
		"0 1 65536\n"); /* of the outer namespace, whose 1 is no id of the host's */
	assert_says(b, "stat -c '%u %n' / /opt/mark /opt/daemons /etc/hosts",
		"0 /\n0 /opt/mark\n1 /opt/daemons\n0 /etc/hosts\n");
}

static void what_it_changes_is_its_own_and_the_root_stays_as_it_was(void **state)
{
	struct box *b = *state;
	struct stat st;
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *mark = NULL;

	box_open(b);
	assert_says(b,
		"echo changed >/opt/mark && chown 42:7 /opt/mark && mkdir /new && rm -r "
		"/opt/daemons && cat /opt/mark && stat -c '%u:%g' /opt/mark; ls /opt",
		"changed\n42:7\nmark\n");
	path = xasprintf("%s/root/opt/mark", b->dir->path);
	mark = test_read(path);
	assert_string_equal(mark, "ours\n");
	assert_int_equal(fstatat(b->dir->fd, "root/opt/daemons", &st, 0), 0);
	assert_int_equal(fstatat(b->dir->fd, "root/new", &st, 0), -1);
	/* On the host its files are nobody's but the range's. */
	assert_int_equal(fstatat(b->dir->fd, "upper/upper/opt/mark", &st, 0), 0);
	assert_int_equal(st.st_uid, b->opts.ids.job_uid + 42);
	assert_int_equal(st.st_gid, b->opts.ids.job_gid + 7);
}

static void root_inside_is_root_of_nothing_else(void **state)
{
	struct box *b = *state;

	box_open(b);
	assert_says(b, "mknod /disk b 8 0 2>/dev/null || echo no device", "no device\n");
	assert_says(b,
		"{ echo x >/proc/sys/kernel/core_pattern; } 2>/dev/null || echo no",
		"no\n");
	assert_says(b, "{ echo x >/dev/.x; } 2>/dev/null || echo no; ls /dev/null",
		"no\n/dev/null\n");
	assert_says(b,
		"{ : </proc/kcore; } 2>/dev/null; cat /proc/1/environ 2>/dev/null; "
		"ls /proc/1/root 2>/dev/null; echo end",
		"end\n");
	/* The control: what a root may do in its own ids it may. */
	assert_says(b, "touch /f && chown 65535:65535 /f && stat -c %u /f", "65535\n");
	assert_says(b, "chown 65536 /f 2>/dev/null || echo not mapped", "not mapped\n");
	assert_says(b,
		"PATH=/usr/local/bin:$PATH; sudo -E -n id -u; sudo -- cat /opt/mark",
		"0\nours\n");
}

static void without_a_prepared_root_it_is_refused(void **state)
{
	struct box *b = *state;
	int rootfs;

	box_need(b);
	rootfs = b->opts.rootfs;
	b->opts.rootfs = -1;
	assert_int_equal(sandbox_open(b->host, &b->opts, &b->sb, &b->err), -1);
	assert_err(&b->err, ERR_DENIED,
		"profile 'root' needs a prepared root, never the host's");
	b->opts.rootfs = rootfs;
	b->opts.trust = SANDBOX_UNTRUSTED;
	assert_int_equal(sandbox_open(b->host, &b->opts, &b->sb, &b->err), -1);
	assert_err_has(&b->err, ERR_DENIED, "never 'root'");
}

/* A copy of the job's own is changed in place; no overlay is needed. */
static void a_copy_in_the_jobs_ids_does_as_well(void **state)
{
	struct box *b = *state;
	_cleanup_free_ char *script = NULL;

	box_need(b);
	script = xasprintf("cp -a root copy && chown -R %u:%u copy", b->opts.ids.job_uid,
		b->opts.ids.job_gid);
	assert_int_equal(shell(b->dir, script), 0);
	(void)close(b->opts.rootfs);
	(void)close(b->opts.root_upper);
	b->opts.root_upper = -1;
	b->opts.rootfs = openat(b->dir->fd, "copy", O_PATH | O_DIRECTORY | O_CLOEXEC);
	box_open(b);
	assert_says(b,
		"id -u; echo more >>/opt/mark; cat /opt/mark; touch /x && stat -c %u /x",
		"0\nours\nmore\n0\n");
}

/* SB19 */
static void folders_that_are_links_make_way(void **state)
{
	struct box *b = *state;
	_cleanup_free_ char *script = NULL;

	box_need(b);
	script = xasprintf(
		"cd root && mkdir -p ../secret && echo secret >../secret/f && "
		"rm -rf etc opt && for d in dev proc etc run tmp home var usr/local; "
		"do ln -s %s/secret $d; done",
		b->dir->path);
	assert_int_equal(shell(b->dir, script), 0);
	box_open(b);
	assert_says(b,
		"for d in dev proc etc run tmp home var usr/local; do "
		"[ -d /$d ] && [ ! -L /$d ] || echo $d; cat /$d/f 2>/dev/null; done; "
		"ls /dev/null /proc/self/status /etc/hosts /usr/local/bin/sudo",
		"/dev/null\n/etc/hosts\n/proc/self/status\n/usr/local/bin/sudo\n");
	assert_int_equal(shell(b->dir, "[ \"$(ls secret)\" = f ]"), 0);
}

static void no_step_starts_when_any_set_up_call_fails(void **state)
{
	struct box *b = *state;
	_cleanup_close_ int out = memfd_create("out", MFD_CLOEXEC);
	const char *const argv[] = { "bash", "-c", "echo ran", NULL };
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	bool opened = false;
	unsigned nth = 0;
	struct stat st;
	int id;

	box_need(b);
	cmd.argv = argv;
	cmd.env = box_env;
	cmd.out = cmd.errfd = out;
	while (!opened) {
		struct err err = ERR_INIT;

		if (++nth > 500)
			fail_msg("no end of set-up calls");
		assert_true(fresh_upper(b) >= 0);
		b->opts.fault = (struct sandbox_fault){ SANDBOX_FAULT_INIT, nth };
		/* A tree is attached once. */
		(void)close(b->opts.rootfs);
		{
			_cleanup_close_ int root = openat(
				b->dir->fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);

			assert_ok(sandbox_root_map(
					  root, &b->opts.ids, &b->opts.rootfs, &err),
				&err);
		}
		if (sandbox_open(b->host, &b->opts, &b->sb, &err) == 0 &&
			sandbox_spawn(b->sb, &cmd, &id, &err) == 0) {
			box_wait(b, id);
			opened = b->end.code == 0;
			if (b->end.signal == SIGKILL)
				(void)err_set(&err, ERR_UNAVAILABLE, "killed");
		}
		assert_int_equal(fstat(out, &st), 0);
		if (!opened && (st.st_size || !err.code || !*err.msg))
			fail_msg("call %u: %s, %s", nth, st.st_size ? "ran" : "silent",
				err.msg);
		sandbox_free(b->sb);
		b->sb = NULL;
	}
	assert_int_equal(st.st_size, 4); /* the control: without a fault it does run */
	assert_true(nth > 150);
}

TEST_MAIN(TEST_WITH(a_step_is_root_with_exactly_six_rights, setup, teardown),
	TEST_WITH(
		what_it_changes_is_its_own_and_the_root_stays_as_it_was, setup, teardown),
	TEST_WITH(root_inside_is_root_of_nothing_else, setup, teardown),
	TEST_WITH(without_a_prepared_root_it_is_refused, setup, teardown),
	TEST_WITH(a_copy_in_the_jobs_ids_does_as_well, setup, teardown),
	TEST_WITH(folders_that_are_links_make_way, setup, teardown),
	TEST_WITH(no_step_starts_when_any_set_up_call_fails, setup, teardown))
