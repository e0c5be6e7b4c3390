/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profile build: what a builder may do within its own namespaces, and that it is no way to
 * the host, to init, or to another slot's ids. Every refusal stands beside the act that is
 * granted, and beside the same act under profile standard or outside.
 */
#include "tests/unit/sandbox/box.h"

#include "sandbox/sandbox-internal.h"

#define SBIN "PATH=/usr/sbin:/usr/bin:/sbin:/bin; "

static void build_open(struct box *b)
{
	const struct sandbox_caps *caps;

	box_need(b);
	caps = sandbox_host_caps(b->host);
	if (*caps->no_build)
		test_skip(caps->no_build);
	b->opts.profile = SANDBOX_BUILD;
	assert_ok(sandbox_ids_widen(&b->opts.ids, &b->err), &b->err);
	box_open(b);
}

/* ---- what is granted ---------------------------------------------------------------- */

static void a_step_is_root_of_its_own_range_alone(void **state)
{
	struct box *b = *state;

	build_open(b);
	assert_says(b,
		"echo $(id -u) $(id -g); cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '",
		"0 0\n 0 1 65536\n 0 1 65536\n");
	assert_says(b,
		"touch /tmp/a && chown 65535:65535 /tmp/a && stat -c %u /tmp/a; "
		"chown 65536 /tmp/a 2>/dev/null; echo $?",
		"65535\n1\n");
	assert_says(b, "setpriv --reuid 1000 --regid 1000 --groups 20,30 id -G",
		"1000 20 30\n");
}

static void a_builder_mounts_and_makes_networks(void **state)
{
	struct box *b = *state;

	build_open(b);
	assert_says(b,
		SBIN
		"set -e; mount -t tmpfs none /tmp; mkdir /tmp/l /tmp/u /tmp/w /tmp/m; "
		"echo below > /tmp/l/f; mount -t overlay -o "
		"userxattr,lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w none /tmp/m; "
		"echo above > /tmp/m/f; cat /tmp/l/f /tmp/u/f; chroot / true; "
		"unshare -mpf --mount-proc sh -c 'echo $$'",
		"below\nabove\n1\n");
	/* A container's fresh /sys, and networks with packet filters. */
	assert_says(b,
		SBIN
		"set -e; unshare -mn sh -c 'mount -t sysfs -o ro none /sys; ls /sys/class/net'; "
		"ip link add br0 type bridge; ip link add v0 type veth peer name v1; "
		"ip link set v0 master br0; ls /sys/class/net | tr '\\n' ' '; "
		"echo 1 > /proc/sys/net/ipv4/ip_forward",
		"lo\nbr0 lo v0 v1 ");
	assert_says(b, SBIN "ip -o -4 addr show lo | grep -c " SANDBOX_BUILD_ADDR "/32",
		"1\n");
}

static void standard_may_do_none_of_it(void **state)
{
	struct box *b = *state;

	box_open(b);
	assert_says(b,
		SBIN "mount -t tmpfs none /tmp 2>/dev/null || echo no; "
		     "chroot / true 2>/dev/null || echo no; "
		     "unshare -m true 2>/dev/null || echo no; "
		     "ip link add br0 type bridge 2>/dev/null || echo no; "
		     "nsenter --net=/proc/self/ns/net true 2>/dev/null || echo no; "
		     "ls /sys 2>/dev/null || echo no",
		"no\nno\nno\nno\nno\nno\n");
}

/* ---- what is not --------------------------------------------------------------------- */

static void the_host_is_out_of_reach(void **state)
{
	static const char *const refused[] = {
		/* devices, file systems of the host's, its settings */
		"mknod /tmp/vda b 254 0",
		"mknod /tmp/mem c 1 1",
		"mount -t ext4 /dev/vda /tmp",
		"echo /tmp/x > /proc/sys/kernel/core_pattern",
		"echo 1 > /proc/sys/vm/drop_caches",
		"echo b > /proc/sysrq-trigger",
		"echo x > /sys/kernel/uevent_helper",
		"echo 0 > /sys/fs/cgroup/cgroup.freeze",
		"mkdir /sys/fs/cgroup/mine",
		/* the covers, and the read-only system */
		"umount /proc/keys",
		"umount /var/hidden",
		"umount /usr",
		"mount -o remount,rw,bind /usr",
		"mount -o remount,rw /",
		"mount --bind /var/hidden/proc /tmp",
		"touch /usr/bin/x",
		"test -e /etc/shadow",
		/* a user namespace below, where no rule of ours would hold */
		"unshare -U true",
		"unshare -T true",
		/* init, of another user namespace */
		"kill -9 1",
		"cat /proc/1/environ",
		"head -c1 /proc/1/mem",
		"ls /proc/1/root/",
		"readlink /proc/1/ns/mnt",
		"nsenter -t 1 -m true",
		"nsenter -t 1 -n true",
		"nsenter -t 1 -U true",
		/* the forker, the one process of ours in this namespace */
		"head -c1 /proc/2/mem",
		"ls /proc/2/root/",
		"nsenter -t 2 -m true",
	};
	struct box *b = *state;

	build_open(b);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		_cleanup_free_ char *script = xasprintf(
			SBIN "{ %s; } >/dev/null 2>&1; [ $? != 0 ]", refused[i]);

		if (box_run(b, script) != 0)
			fail_msg("'%s' is not refused: %s", refused[i], b->out.buf);
	}
	/* The control: the same words on what is the job's own. */
	assert_says(b,
		SBIN "set -e; sleep 100 & p=$!; disown; cat /proc/$p/environ >/dev/null; "
		     "ls /proc/$p/root/ >/dev/null; nsenter -t $p -m true; kill $p; "
		     "mkdir /tmp/d; mount -t tmpfs none /tmp/d; umount /tmp/d; echo done",
		"done\n");
	assert_says(b,
		"ls -A /var/hidden | wc -l; ls -ld /sys/fs/cgroup/cgroup.procs | wc -l",
		"0\n1\n");
}

/* Of cgroup v1 it can mount what it can see; the way out by release_agent is host root's. */
static void the_old_way_out_of_cgroups_is_shut(void **state)
{
	struct box *b = *state;

	build_open(b);
	(void)box_run(b, SBIN
		"n=0; mkdir /tmp/cg; "
		"for c in memory pids cpu devices freezer rdma net_cls perf_event; do "
		"mount -t cgroup -o $c none /tmp/cg 2>/dev/null || continue; "
		"n=$((n + 1)); "
		"(echo /tmp/x > /tmp/cg/release_agent) 2>/dev/null && echo release $c; "
		"(echo 1 > /tmp/cg/notify_on_release) 2>/dev/null && echo notify $c; "
		"mkdir /tmp/cg/mine 2>/dev/null && echo mkdir $c; "
		"(echo max > /tmp/cg/pids.max) 2>/dev/null && echo limit; "
		"(echo -1 > /tmp/cg/memory.limit_in_bytes) 2>/dev/null && echo limit; "
		"umount /tmp/cg; done; echo mounted $n");
	if (str_eq(b->out.buf, "mounted 0\n"))
		test_skip("this host has no hierarchy of cgroup v1 to mount");
	if (!str_starts(b->out.buf, "mounted "))
		fail_msg("%s", b->out.buf);
}

static void what_is_not_the_namespaces_is_refused_as_ever(void **state)
{
	struct box *b = *state;

	build_open(b);
	/* SOCK_RAW of NETLINK_AUDIT, AF_PACKET, AF_VSOCK; netfilter is the control. */
	assert_says(b,
		"python3 -c '\nimport socket\nfor f, p in ((16, 9), (16, 15), (17, 0), (40, 0), (16, 12), (16, 0)):\n"
		"  try: socket.socket(f, socket.SOCK_RAW, p); print(f, p, \"made\")\n"
		"  except OSError as e: print(f, p, e.errno)\n'",
		"16 9 97\n16 15 97\n17 0 97\n40 0 97\n16 12 made\n16 0 made\n");
}

/* ---- its end ------------------------------------------------------------------------- */

static int clear_work(void *data)
{
	static const char *const names[] = { "u0", "d", "l", "u", "w", "m" };
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		rc |= path_remove_tree(*(const int *)data, names[i], NULL);
	return rc < 0;
}

static void files_of_the_whole_range_can_be_removed(void **state)
{
	struct box *b = *state;
	_cleanup_close_ int work = -1;
	struct sandbox_mount m = { .inside = "/work",
		.flags = SANDBOX_MOUNT_RW | SANDBOX_MOUNT_OWN };
	struct sandbox_agent a = {
		.fn = clear_work, .data = &work, .rw = &work, .rw_len = 1
	};
	struct stat st;
	int pidfd, status;
	pid_t pid;

	box_need(b);
	b->dir = test_tempdir();
	assert_int_equal(mkdirat(b->dir->fd, "work", 0755), 0);
	work = openat(b->dir->fd, "work", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	m.fd = work;
	b->opts.mounts = &m;
	b->opts.mounts_len = 1;
	build_open(b);
	b->opts.mounts_len = 0;
	/* What an engine leaves: folders without any right, of an image's accounts. */
	assert_says(b,
		SBIN
		"set -e; cd /work; mkdir -m 0 u0; mkdir d; touch d/f; "
		"chown -R 65534:65534 d; chmod 0 d; mkdir l u w m; "
		"mount -t overlay -o userxattr,lowerdir=l,upperdir=u,workdir=w none m; "
		"echo x > m/x; stat -c %a w/work",
		"0\n");
	assert_int_equal(fstatat(work, "d", &st, 0), 0);
	assert_int_equal(st.st_uid, b->opts.ids.job_uid + 65534);
	assert_ok(sandbox_kill(b->sb, 10000, &b->err), &b->err);
	assert_ok(sandbox_agent(b->sb, &a, &pid, &pidfd, &b->err), &b->err);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)close(pidfd);
	assert_int_equal(status, 0);
	assert_int_equal(fstatat(work, "d", &st, 0), -1);
	assert_int_equal(fstatat(work, "w", &st, 0), -1);
}

static void who_kills_the_forker_ends_its_own_job_alone(void **state)
{
	struct box *b = *state;
	const char *const argv[] = { "true", NULL };
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	struct err err = ERR_INIT;
	int id;

	build_open(b);
	(void)box_run(b, "kill -9 2");
	cmd.argv = argv;
	cmd.env = box_env;
	cmd.out = cmd.errfd = STDERR_FILENO;
	assert_int_equal(sandbox_spawn(b->sb, &cmd, &id, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_ok(sandbox_kill(b->sb, 10000, &err), &err);
}

static void ids_and_profile_fit_together_or_nothing_is_made(void **state)
{
	struct box *b = *state;
	struct err err = ERR_INIT;

	box_need(b);
	if (*sandbox_host_caps(b->host)->no_build)
		test_skip(sandbox_host_caps(b->host)->no_build);
	b->opts.profile = SANDBOX_BUILD; /* with the one id */
	assert_int_equal(sandbox_open(b->host, &b->opts, &b->sb, &err), -1);
	assert_err(&err, ERR_BUG, "profile 'build' with ids that do not fit it");
	err_clear(&err);
	assert_ok(sandbox_ids_widen(&b->opts.ids, &err), &err);
	b->opts.profile = SANDBOX_STANDARD;
	assert_int_equal(sandbox_open(b->host, &b->opts, &b->sb, &err), -1);
	assert_int_equal(err.code, ERR_BUG);
	err_clear(&err);
	b->opts.profile = SANDBOX_BUILD;
	b->opts.trust = SANDBOX_UNTRUSTED;
	assert_int_equal(sandbox_open(b->host, &b->opts, &b->sb, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
}

/* Each set-up call of init and forker in turn: the path of a builder is another one. */
static void no_step_starts_when_any_set_up_call_fails(void **state)
{
	static const struct {
		enum sandbox_fault_in in;
		unsigned at_least;
	} sweeps[] = { { SANDBOX_FAULT_INIT, 100 }, { SANDBOX_FAULT_FORKER, 14 } };
	struct box *b = *state;

	box_need(b);
	if (*sandbox_host_caps(b->host)->no_build)
		test_skip(sandbox_host_caps(b->host)->no_build);
	b->opts.profile = SANDBOX_BUILD;
	assert_ok(sandbox_ids_widen(&b->opts.ids, &b->err), &b->err);
	for (size_t i = 0; i < ARRAY_SIZE(sweeps); i++) {
		unsigned nth = 0;

		for (bool opened = false; !opened; nth++) {
			struct err err = ERR_INIT;

			if (nth > 500)
				fail_msg("no end of set-up calls");
			b->opts.fault = (struct sandbox_fault){ sweeps[i].in, nth + 1 };
			opened = sandbox_open(b->host, &b->opts, &b->sb, &err) == 0;
			if (!opened && (!err.code || !*err.msg))
				fail_msg("call %u fails in silence", nth + 1);
			sandbox_free(b->sb);
			b->sb = NULL;
		}
		if (nth < sweeps[i].at_least)
			fail_msg("only %u calls were tried", nth);
	}
}

TEST_MAIN(TEST_WITH(a_step_is_root_of_its_own_range_alone, box_setup, box_teardown),
	TEST_WITH(a_builder_mounts_and_makes_networks, box_setup, box_teardown),
	TEST_WITH(standard_may_do_none_of_it, box_setup, box_teardown),
	TEST_WITH(the_host_is_out_of_reach, box_setup, box_teardown),
	TEST_WITH(the_old_way_out_of_cgroups_is_shut, box_setup, box_teardown),
	TEST_WITH(what_is_not_the_namespaces_is_refused_as_ever, box_setup, box_teardown),
	TEST_WITH(files_of_the_whole_range_can_be_removed, box_setup, box_teardown),
	TEST_WITH(who_kills_the_forker_ends_its_own_job_alone, box_setup, box_teardown),
	TEST_WITH(
		ids_and_profile_fit_together_or_nothing_is_made, box_setup, box_teardown),
	TEST_WITH(no_step_starts_when_any_set_up_call_fails, box_setup, box_teardown))
