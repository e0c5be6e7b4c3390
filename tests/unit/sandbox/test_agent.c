/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job agent: root over the job's files and nothing else. And the caller without rights
 * of its own, whose maps and cgroup somebody else makes.
 */
#include "tests/unit/sandbox/box.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/path.h"
#include "sandbox/sandbox-internal.h"

struct work {
	int dir, ro, outside;
};

static int reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Each bit is a thing that is not as it must be. */
static int agent_works(void *data)
{
	const struct work *w = data;
	int bad = 0, fd;

	fd = openat(w->dir, "from-agent", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	bad |= fd < 0 || fchown(fd, 1, 1) < 0 ? 1 : 0;
	/* what the step has locked away, and what it made: read, changed, removed */
	fd = openat(w->dir, "locked/secret", O_RDONLY | O_CLOEXEC);
	bad |= fd < 0 ? 2 : 0;
	bad |= unlinkat(w->dir, "locked/secret", 0) < 0 ? 4 : 0;
	bad |= unlinkat(w->dir, "locked", AT_REMOVEDIR) < 0 ? 8 : 0;
	/* and what it may not */
	bad |= openat(w->ro, "file", O_RDONLY | O_CLOEXEC) < 0 ? 16 : 0;
	bad |= openat(w->ro, "file", O_WRONLY | O_CLOEXEC) >= 0 ? 32 : 0;
	bad |= open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 ? 64 : 0;
	bad |= socket(AF_INET, SOCK_STREAM, 0) >= 0 ||
			       socket(AF_UNIX, SOCK_STREAM, 0) >= 0
		       ? 128
		       : 0;
	return bad;
}

static int agent_escapes(void *data)
{
	const struct work *w = data;
	int bad = 0;

	bad |= execl("/bin/true", "true", NULL) == 0 ? 1 : 0;
	bad |= fork() >= 0 ? 2 : 0;
	bad |= fcntl(w->outside, F_GETFD) >= 0 ? 4 : 0;
	bad |= kill(getppid(), 0) == 0 ? 8 : 0;
	bad |= fchown(w->dir, 0, 0) == 0 && geteuid() != 0 ? 16 : 0;
	bad |= mknodat(w->dir, "node", S_IFCHR | 0600, 0x101) == 0 ? 32 : 0;
	bad |= prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 ? 64 : 0;
	return bad;
}

static void open_with_work(struct box *b, struct work *w)
{
	struct sandbox_mount m = { -1, "/home/runner/work",
		SANDBOX_MOUNT_RW | SANDBOX_MOUNT_OWN };

	box_need(b);
	b->dir = test_tempdir();
	assert_int_equal(mkdirat(b->dir->fd, "work", 0755), 0);
	test_write(b->dir, "ro/file", "x");
	assert_int_equal(fchmodat(b->dir->fd, "ro/file", 0666, 0), 0);
	w->dir = openat(b->dir->fd, "work", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w->ro = openat(b->dir->fd, "ro", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	w->outside = open("/dev/null", O_RDONLY); /* without CLOEXEC, on purpose */
	m.fd = w->dir;
	b->opts.mounts = &m;
	b->opts.mounts_len = 1;
	box_open(b);
	b->opts.mounts_len = 0;
}

static int run_agent(struct box *b, struct work *w, int (*fn)(void *))
{
	struct sandbox_agent a = {
		.fn = fn, .data = w, .rw = &w->dir, .rw_len = 1, .ro = &w->ro, .ro_len = 1
	};
	_cleanup_close_ int pidfd = -1;
	pid_t pid;

	assert_ok(sandbox_agent(b->sb, &a, &pid, &pidfd, &b->err), &b->err);
	return reap(pid);
}

static void close_work(struct work *w)
{
	(void)close(w->dir);
	(void)close(w->ro);
	(void)close(w->outside);
}

static void the_agent_is_master_of_the_jobs_files_alone(void **state)
{
	struct box *b = *state;
	struct work w;

	open_with_work(b, &w);
	assert_int_equal(
		box_run(b,
			"cd ~/work && mkdir -m 700 locked && echo s > locked/secret && "
			"chmod 000 locked/secret && chmod 000 locked"),
		0);
	if (sandbox_host_caps(b->host)->idmap == SANDBOX_IDMAP_SELF)
		test_skip("with one id for all there is nothing to be master over");
	assert_int_equal(run_agent(b, &w, agent_works), 0);
	assert_says(b,
		"cd ~/work && ls && stat -c %U from-agent && echo more >> from-agent",
		"from-agent\nrunner\n");
	close_work(&w);
}

static void the_agent_cannot_leave(void **state)
{
	struct box *b = *state;
	struct work w;

	open_with_work(b, &w);
	assert_int_equal(run_agent(b, &w, agent_escapes), 0);
	close_work(&w);
}

static int agent_cleans(void *data)
{
	const struct work *w = data;
	struct err err = ERR_INIT;

	return path_remove_tree(w->dir, "deep", &err) < 0;
}

static void the_agent_cleans_up_after_the_job_is_dead(void **state)
{
	struct box *b = *state;
	struct work w;

	open_with_work(b, &w);
	assert_int_equal(box_run(b, "cd ~/work && mkdir -p deep/er && touch deep/er/x && "
				    "ln -s /etc deep/link && chmod 000 deep/er"),
		0);
	assert_ok(sandbox_kill(b->sb, 10000, &b->err), &b->err);
	assert_int_equal(run_agent(b, &w, agent_cleans), 0);
	assert_int_equal(faccessat(w.dir, "deep", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	close_work(&w);
}

static void an_agent_that_cannot_be_confined_does_not_run(void **state)
{
	struct box *b = *state;
	struct work w;
	int no_directory = -1, bad_fd = 9999;
	struct sandbox_agent a = {
		.fn = agent_works, .data = &w, .rw = &bad_fd, .rw_len = 1
	};

	open_with_work(b, &w);
	assert_int_equal(
		sandbox_agent(b->sb, &a, &no_directory, &no_directory, &b->err), -1);
	assert_err_has(&b->err, ERR_SYS, "cannot add a Landlock rule");
	assert_int_equal(no_directory, -1);
	close_work(&w);
}

/* ---- a caller that has to ask ------------------------------------------------------ */

#define ASKER 54322

/* What goes over the socket to whoever may: PID, or 0 for a cgroup. */
struct asked {
	int fd;
	const struct box *box;
};

static int ask_maps(pid_t pid, const struct sandbox_ids *ids, void *data, struct err *err)
{
	const struct asked *a = data;
	int rc = -1;

	(void)ids;
	if (write(a->fd, &pid, sizeof(pid)) != sizeof(pid) ||
		read(a->fd, &rc, sizeof(rc)) != sizeof(rc) || rc < 0)
		return err_set(err, ERR_DENIED, "the other side did not write the maps");
	return 0;
}

static int asker_main(struct box *b, int fd)
{
	struct asked a = { .fd = fd, .box = b };
	const char *const argv[] = { "sh", "-c", "test $(id -u) = 1001", NULL };
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	int id;

	if (setgroups(0, NULL) < 0 || setresgid(ASKER, ASKER, ASKER) < 0 ||
		setresuid(ASKER, ASKER, ASKER) < 0)
		return 3;
	b->opts.privileged.write_maps = ask_maps;
	b->opts.privileged.data = &a;
	b->opts.cgroup_name = NULL;
	if (sandbox_open(b->host, &b->opts, &b->sb, &b->err) < 0) {
		fprintf(stderr, "# asker: %s\n", b->err.msg);
		return 4;
	}
	cmd.argv = argv;
	cmd.env = box_env;
	cmd.out = cmd.errfd = 2;
	if (sandbox_spawn(b->sb, &cmd, &id, &b->err) < 0) {
		fprintf(stderr, "# asker: %s\n", b->err.msg);
		return 5;
	}
	for (;;) {
		struct pollfd p = { .fd = sandbox_fd(b->sb), .events = POLLIN };
		struct sandbox_event ev;

		(void)poll(&p, 1, 1000);
		if (sandbox_next_event(b->sb, &ev, NULL) == 1 &&
			ev.kind == SANDBOX_EVENT_EXIT) {
			sandbox_free(b->sb);
			return ev.code;
		}
	}
}

/* The asker's executor is an ordinary account and undumpable, as ours is. */
static void a_caller_without_rights_has_its_maps_written_by_another(void **state)
{
	struct box *b = *state;
	int pair[2], rc;
	pid_t asker, child;

	box_need(b);
	if (geteuid() != 0)
		test_skip("only root may write another's maps");
	b->opts.ids.service_uid = b->opts.ids.service_gid = ASKER;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	asker = fork();
	if (asker == 0) {
		(void)close(pair[0]);
		_exit(asker_main(b, pair[1]));
	}
	(void)close(pair[1]);
	if (read(pair[0], &child, sizeof(child)) == sizeof(child)) {
		rc = sandbox_write_maps(child, &b->opts.ids, &b->err);
		assert_int_equal(write(pair[0], &rc, sizeof(rc)), sizeof(rc));
	}
	(void)close(pair[0]);
	assert_int_equal(reap(asker), 0);
}

TEST_MAIN(TEST_WITH(the_agent_is_master_of_the_jobs_files_alone, box_setup, box_teardown),
	TEST_WITH(the_agent_cannot_leave, box_setup, box_teardown),
	TEST_CASE_WITH("RS16", the_agent_cleans_up_after_the_job_is_dead, box_setup,
		box_teardown),
	TEST_WITH(an_agent_that_cannot_be_confined_does_not_run, box_setup, box_teardown),
	TEST_WITH(a_caller_without_rights_has_its_maps_written_by_another, box_setup,
		box_teardown))
