/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lives of the store (history.h) that are killed: at random moments, and, built with
 * FAULTS=1, at every point there is. Afterwards it opens, every invariant holds, what was
 * acknowledged is there, no at-most-once job was released twice, and life goes on to the
 * end of every run. Children only do and exit; all looking is done by the parent.
 */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/fd.h"
#include "tests/unit/store/history.h"

struct scene {
	struct test_dir *dir;
	char *db;
	char *acks;
};

static int setup(void **state)
{
	struct scene *x = xcalloc(1, sizeof(*x));

	x->dir = test_tempdir();
	x->db = xasprintf("%s/sluice.db", x->dir->path);
	x->acks = xasprintf("%s/acks", x->dir->path);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct scene *x = *state;

	clock_skew_wall(0);
	test_tempdir_free(x->dir);
	free(x->db);
	free(x->acks);
	free(x);
	return 0;
}

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Never returns: 0 lived to the end, 1 something was wrong, 137 hit a fault point. */
static _Noreturn void child(const struct scene *x, uint64_t seed, size_t acts)
{
	struct history h = { .salt = seed };
	struct err err = ERR_INIT;
	uint8_t *data = xmalloc(acts * 3);
	uint64_t r = seed * 2654435761u + 88172645463325252u;

	for (size_t i = 0; i < acts * 3; i++)
		data[i] = (uint8_t)(next(&r) >> 24);
	h.acks = open(x->acks, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (h.acks < 0 || store_open(x->db, STORE_CREATE | STORE_ANY_FS, &h.s, &err) ||
		!history_live(&h, data, acts * 3)) {
		(void)fprintf(stderr, "# child: %s %s\n", h.why, err.msg);
		_exit(1);
	}
	store_free(h.s);
	_exit(0);
}

/* After DELAY_US the child is killed; 0: it is waited for. Its status. */
static int run_child(const struct scene *x, uint64_t seed, size_t acts, long delay_us)
{
	pid_t pid = fork();
	int status = -1;

	assert_true(pid >= 0);
	if (pid == 0)
		child(x, seed, acts);
	if (delay_us > 0) {
		struct timespec ts = { delay_us / 1000000, (delay_us % 1000000) * 1000 };

		(void)nanosleep(&ts, NULL);
		(void)kill(pid, SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Each line a promise: the delivery is there, and no job is named twice as released. */
static void check_acks(const struct scene *x, struct history *h)
{
	_cleanup_free_ char *text = NULL;
	char *line, *save = NULL;
	_cleanup_(strbuf_done) struct strbuf released = STRBUF_INIT;

	if (access(x->acks, F_OK) != 0)
		return;
	text = test_read(x->acks);
	for (line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		long long id =
			strtoll(strchr(line, ' ') ? strchr(line, ' ') : "0", NULL, 10);
		_cleanup_free_ char *mark = xasprintf(" %lld ", id);

		if (str_starts(line, "delivery ") &&
			history_value(h, "SELECT count(*) FROM deliveries WHERE id = ?",
				id) != 1)
			fail_msg("delivery %lld was acknowledged and is gone", id);
		if (!str_starts(line, "released "))
			continue;
		if (history_value(h,
			    "SELECT count(*) FROM jobs WHERE id = ? AND releases = 1",
			    id) != 1)
			fail_msg("job %lld was released, the store does not know", id);
		if (strstr(released.buf, mark))
			fail_msg("job %lld was released twice", id);
		strbuf_adds(&released, mark);
	}
}

static void look(const struct scene *x, const char *after)
{
	struct history h = { .acks = -1 };
	struct err err = ERR_INIT;

	if (access(x->db, F_OK) != 0)
		return; /* killed before there was anything */
	if (store_open(x->db, STORE_CREATE | STORE_ANY_FS, &h.s, &err))
		fail_msg("%s: cannot open: %s", after, err.msg);
	(void)history_check(&h);
	check_acks(x, &h);
	store_free(h.s);
	if (*h.why)
		fail_msg("%s: %s", after, h.why);
}

static void come_to_an_end(const struct scene *x)
{
	struct history h = { .acks = -1 };
	struct err err = ERR_INIT;

	assert_ok(store_open(x->db, STORE_CREATE | STORE_ANY_FS, &h.s, &err), &err);
	(void)(history_found(&h) && history_drain(&h));
	store_free(h.s);
	clock_skew_wall(0);
	if (*h.why)
		fail_msg("%s", h.why);
}

static void killed_at_any_moment_it_opens_and_holds(void **state)
{
	struct scene *x = *state;
	const char *rounds = getenv("SLUICE_KILLS");
	uint64_t r = (uint64_t)time(NULL) | 1;
	int killed = 0;

	(void)printf("# seed %llu\n", (unsigned long long)r);
	for (long i = 0; i < (rounds ? strtol(rounds, NULL, 10) : 20); i++) {
		uint64_t seed = next(&r);
		int status = run_child(x, seed, 400, 1 + (long)(next(&r) % 60000));

		if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
			fail_msg("child with seed %llu ended with %d",
				(unsigned long long)seed, WEXITSTATUS(status));
		killed += WIFSIGNALED(status);
		look(x, "after a kill");
	}
	assert_true(killed > 0);
	come_to_an_end(x);
}

#ifdef SLUICE_FAULTS
#define POINTS_MAX 64

struct point {
	char name[64];
	long passed;
};

static size_t list_points(const struct scene *x, uint64_t seed, struct point *points)
{
	_cleanup_free_ char *list = xasprintf("%s/points", x->dir->path);
	_cleanup_free_ char *text = NULL;
	char *line, *save = NULL;
	size_t n = 0;

	(void)unlink(list);
	setenv("SLUICE_FAULT_LIST", list, 1);
	assert_int_equal(run_child(x, seed, 300, 0), 0);
	unsetenv("SLUICE_FAULT_LIST");
	text = test_read(list);
	for (line = strtok_r(text, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		size_t i = 0;

		while (i < n && strcmp(points[i].name, line) != 0)
			i++;
		if (i == n) {
			assert_true(n < POINTS_MAX);
			n++;
			points[i] = (struct point){ .passed = 0 };
			(void)snprintf(
				points[i].name, sizeof(points[i].name), "%s", line);
		}
		points[i].passed++;
	}
	return n;
}

static void start_anew(const struct scene *x)
{
	static const char *const ends[] = { "", "-wal", "-shm" };

	for (size_t i = 0; i < 3; i++) {
		_cleanup_free_ char *path = xasprintf("%s%s", x->db, ends[i]);

		(void)unlink(path);
	}
	(void)unlink(x->acks);
}

static void die_at(const struct scene *x, uint64_t seed, const struct point *p, long nth)
{
	_cleanup_free_ char *fault = xasprintf("%s:%ld", p->name, nth);
	int status;

	start_anew(x);
	setenv("SLUICE_FAULT", fault, 1);
	status = run_child(x, seed, 300, 0);
	unsetenv("SLUICE_FAULT");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 137)
		fail_msg("%s was not reached: status %x", fault, status);
	look(x, fault);
	/* And on, in another life on the same rows. */
	assert_int_equal(run_child(x, seed + 1, 60, 0), 0);
	look(x, fault);
}

static void killed_at_every_point_it_opens_and_holds(void **state)
{
	struct scene *x = *state;
	struct point points[POINTS_MAX];
	const uint64_t seed = 1; /* a life that passes nearly all of them */
	size_t n;

	n = list_points(x, seed, points);
	if (n < 18)
		fail_msg("only %zu points were passed, the last is %s", n,
			points[n - 1].name);
	for (size_t i = 0; i < n; i++) {
		const long nths[] = { 1, points[i].passed / 3, points[i].passed * 2 / 3,
			points[i].passed };
		long last = 0;

		(void)printf("# %s x %ld\n", points[i].name, points[i].passed);
		for (size_t k = 0; k < 4; k++) {
			if (nths[k] <= last)
				continue;
			die_at(x, seed, &points[i], nths[k]);
			last = nths[k];
		}
	}
	come_to_an_end(x);
}
#else
static void killed_at_every_point_it_opens_and_holds(void **state)
{
	test_skip("built without FAULTS=1");
}
#endif

TEST_MAIN(TEST_WITH(killed_at_any_moment_it_opens_and_holds, setup, teardown),
	TEST_WITH(killed_at_every_point_it_opens_and_holds, setup, teardown))
