/* SPDX-License-Identifier: Apache-2.0 */
/* A confined worker keeps what it was given and loses the rest; each test has its control. */
#include "tests/unit/sandbox/box.h"

#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <netinet/in.h>

#include "sandbox/sandbox-internal.h"

/* AddressSanitizer keeps terabytes of shadow and dies where a limit holds. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_SHADOW 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define HAS_SHADOW 1
#endif
#ifndef HAS_SHADOW
#define HAS_SHADOW 0
#endif

struct given {
	struct test_dir *dir;
	int rw, ro;
	struct sandbox_worker w;
	bool confine;
};

/* What a worker managed to do. */
enum {
	CAN_READ_RO = 1 << 0,
	CAN_WRITE_RO = 1 << 1,
	CAN_WRITE_RW = 1 << 2,
	CAN_READ_ETC = 1 << 3,
	CAN_SOCKET = 1 << 4,
	CAN_FORK = 1 << 5,
	CAN_ALG = 1 << 6,
	CAN_TALK = 1 << 7,
};

static int attempts(const struct given *g)
{
	int did = 0, pair[2] = { -1, -1 };
	pid_t pid;
	char c;

	did |= openat(g->ro, "file", O_RDONLY) >= 0 ? CAN_READ_RO : 0;
	did |= openat(g->ro, "file", O_WRONLY) >= 0 ? CAN_WRITE_RO : 0;
	did |= openat(g->rw, "new", O_WRONLY | O_CREAT, 0600) >= 0 ? CAN_WRITE_RW : 0;
	did |= open("/etc/passwd", O_RDONLY) >= 0 ? CAN_READ_ETC : 0;
	did |= socket(AF_INET, SOCK_STREAM, 0) >= 0 ? CAN_SOCKET : 0;
	did |= socket(AF_NETLINK, SOCK_RAW, 9) >= 0 ? CAN_ALG : 0;
	pid = fork();
	if (pid == 0)
		_exit(0);
	did |= pid > 0 && waitpid(pid, NULL, 0) == pid ? CAN_FORK : 0;
	if (pipe(pair) == 0 && write(pair[1], "x", 1) == 1 && read(pair[0], &c, 1) == 1)
		did |= CAN_TALK;
	return did;
}

/* Runs FN in a child, confined or (the control) not; returns its exit status. */
static int in_child(const struct given *g, int (*fn)(const struct given *))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct err err = ERR_INIT;

		if (g->confine && sandbox_confine_worker(NULL, &g->w, &err) < 0) {
			fprintf(stderr, "# %s\n", err.msg);
			_exit(255);
		}
		_exit(fn(g));
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int setup(void **state)
{
	struct given *g = xcalloc(1, sizeof(*g));

	g->dir = test_tempdir();
	test_write(g->dir, "ro/file", "x");
	test_write(g->dir, "rw/file", "x");
	g->ro = openat(g->dir->fd, "ro", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	g->rw = openat(g->dir->fd, "rw", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = g;
	return 0;
}

static int teardown(void **state)
{
	struct given *g = *state;

	(void)close(g->ro);
	(void)close(g->rw);
	test_tempdir_free(g->dir);
	free(g);
	return 0;
}

static void need_landlock(void)
{
	if (!landlock_abi())
		test_skip("this kernel has no Landlock");
}

static void the_planner_has_no_files_and_no_network(void **state)
{
	struct given *g = *state;

	need_landlock();
	assert_int_equal(in_child(g, attempts) & ~CAN_ALG,
		CAN_READ_RO | CAN_WRITE_RO | CAN_WRITE_RW | CAN_READ_ETC | CAN_SOCKET |
			CAN_FORK | CAN_TALK);
	g->confine = true;
	assert_int_equal(in_child(g, attempts), CAN_TALK);
}

static void the_helper_has_what_it_was_given(void **state)
{
	struct given *g = *state;

	need_landlock();
	g->confine = true;
	g->w.rw = &g->rw;
	g->w.rw_len = 1;
	g->w.ro = &g->ro;
	g->w.ro_len = 1;
	assert_int_equal(in_child(g, attempts), CAN_READ_RO | CAN_WRITE_RW | CAN_TALK);
	g->w.flags = SANDBOX_WORKER_NET | SANDBOX_WORKER_FORK;
	assert_int_equal(in_child(g, attempts),
		CAN_READ_RO | CAN_WRITE_RW | CAN_TALK | CAN_SOCKET | CAN_FORK);
}

static int exec_true(const struct given *g)
{
	(void)g;
	(void)execl("/bin/true", "true", NULL);
	return errno == EPERM || errno == EACCES ? 9 : 8;
}

static void only_a_worker_that_may_execute_does(void **state)
{
	struct given *g = *state;
	_cleanup_close_ int usr = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	need_landlock();
	assert_int_equal(in_child(g, exec_true), 0);
	g->confine = true;
	g->w.ro = &usr;
	g->w.ro_len = 1;
	assert_int_equal(in_child(g, exec_true), 9);
	g->w.flags = SANDBOX_WORKER_EXEC;
	assert_int_equal(in_child(g, exec_true), 0);
}

static int rights(const struct given *g)
{
	struct status_want want = {
		.uid = geteuid(), .gid = getegid(), .bounding = ~0ull, .filters_min = 2
	};
	int bad = 0;

	(void)g;
	bad |= prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ? 1 : 0;
	bad |= prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 2 ? 2 : 0;
	bad |= prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 ? 4 : 0;
	bad |= prctl(PR_CAPBSET_READ, 21, 0, 0, 0) == 1 && geteuid() == 0 ? 8 : 0;
	bad |= verify_status(getpid(), &want, "it", NULL) == 0 ? 0 : 16;
	return bad;
}

static int rights_seen(const struct given *g)
{
	/* /proc is beyond Landlock by then: what prctl says has to do. */
	return rights(g) & ~16;
}

static void it_gives_up_all_rights(void **state)
{
	struct given *g = *state;

	need_landlock();
	assert_int_not_equal(in_child(g, rights), 0);
	g->confine = true;
	assert_int_equal(in_child(g, rights_seen), 0);
}

static int eats_memory(const struct given *g)
{
	void *p = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)g;
	return p == MAP_FAILED ? 7 : 0;
}

static int opens_many(const struct given *g)
{
	int n = 0;

	(void)g;
	while (n < 200 && dup(0) >= 0)
		n++;
	return n < 200 ? 7 : 0;
}

static void its_limits_hold(void **state)
{
	struct given *g = *state;

	need_landlock();
	assert_int_equal(in_child(g, eats_memory), 0);
	assert_int_equal(in_child(g, opens_many), 0);
	g->confine = true;
	g->w.nofile = 32;
	assert_int_equal(in_child(g, opens_many), 7);
	g->w.memory = 32 << 20;
	if (!HAS_SHADOW)
		assert_int_equal(in_child(g, eats_memory), 7);
}

static int connects_out(const struct given *g)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)g;
	to.sin_addr.s_addr = htonl(0x7f000001);
	return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? 0 : 5;
}

static void separate_namespaces_are_a_bonus_that_breaks_nothing(void **state)
{
	struct given *g = *state;

	need_landlock();
	g->confine = true;
	g->w.flags = SANDBOX_WORKER_SEPARATE;
	assert_int_equal(in_child(g, attempts), CAN_TALK);
	g->w.flags = SANDBOX_WORKER_SEPARATE | SANDBOX_WORKER_NET;
	assert_int_equal(in_child(g, connects_out), 0); /* NET keeps the network */
}

TEST_MAIN(TEST_WITH(the_planner_has_no_files_and_no_network, setup, teardown),
	TEST_WITH(the_helper_has_what_it_was_given, setup, teardown),
	TEST_WITH(only_a_worker_that_may_execute_does, setup, teardown),
	TEST_WITH(it_gives_up_all_rights, setup, teardown),
	TEST_WITH(its_limits_hold, setup, teardown),
	TEST_WITH(separate_namespaces_are_a_bonus_that_breaks_nothing, setup, teardown))
