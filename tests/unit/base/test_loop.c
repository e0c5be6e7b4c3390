/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/loop.h"

#define PIPES 8

struct fixture {
	struct loop *loop;
	struct loop_source *sources[PIPES];
	int ends[PIPES][2];
	int calls[PIPES];
	int order[64];
	size_t order_len;
	int count;
};

static struct fixture *f; /* handlers get it by data where that reads better */

static int setup(void **state)
{
	struct err err = ERR_INIT;

	f = xcalloc(1, sizeof(*f));
	for (size_t i = 0; i < PIPES; i++)
		if (pipe2(f->ends[i], O_CLOEXEC | O_NONBLOCK) < 0)
			return -1;
	*state = f;
	return loop_new(&f->loop, &err);
}

static int teardown(void **state)
{
	loop_free(f->loop);
	for (size_t i = 0; i < PIPES; i++) {
		cleanup_closep(&f->ends[i][0]);
		cleanup_closep(&f->ends[i][1]);
	}
	free(f);
	return 0;
}

static void turn(int ms)
{
	struct err err = ERR_INIT;

	assert_ok(loop_once(f->loop, ms, &err), &err);
}

static void make_readable(size_t i)
{
	assert_int_equal(write(f->ends[i][1], "x", 1), 1);
}

static void note(int what)
{
	if (f->order_len < ARRAY_SIZE(f->order))
		f->order[f->order_len++] = what;
}

static void on_read(struct loop *l, int fd, uint32_t events, void *data)
{
	int *calls = data;
	char c;

	(*calls)++;
	(void)!read(fd, &c, 1);
}

static void ready_descriptors_are_called(void **state)
{
	for (size_t i = 0; i < 3; i++)
		f->sources[i] = loop_add_fd(
			f->loop, f->ends[i][0], EPOLLIN, on_read, &f->calls[i]);
	turn(0);
	assert_int_equal(f->calls[0] + f->calls[1] + f->calls[2], 0);
	make_readable(0);
	make_readable(2);
	turn(-1);
	turn(0);
	assert_int_equal(f->calls[0], 1);
	assert_int_equal(f->calls[1], 0);
	assert_int_equal(f->calls[2], 1);
	loop_mod_fd(f->sources[0], 0);
	make_readable(0);
	turn(0);
	assert_int_equal(f->calls[0], 1);
	loop_mod_fd(f->sources[0], EPOLLIN);
	turn(0);
	assert_int_equal(f->calls[0], 2);
}

static void what_cannot_be_watched_is_said(void **state)
{
	_cleanup_close_ int file = open("Makefile", O_RDONLY | O_CLOEXEC);
	struct loop_source *s =
		loop_add_fd(f->loop, f->ends[0][0], EPOLLIN, on_read, f->calls);

	assert_non_null(s);
	assert_null(loop_add_fd(f->loop, file, EPOLLIN, on_read, f->calls));
	assert_int_equal(errno, EPERM);
	assert_null(loop_add_fd(f->loop, f->ends[0][0], EPOLLIN, on_read, f->calls));
	assert_int_equal(errno, EEXIST);
	assert_null(loop_add_fd(f->loop, -1, EPOLLIN, on_read, f->calls));
	assert_int_equal(errno, EBADF);
	make_readable(0);
	turn(0);
	assert_int_equal(f->calls[0], 1);
}

static void remove_all(struct loop *l, int fd, uint32_t events, void *data)
{
	f->count++;
	for (size_t i = 0; i < PIPES; i++) {
		loop_remove(f->sources[i]);
		f->sources[i] = NULL;
	}
}

static void a_handler_may_remove_every_source_of_its_batch(void **state)
{
	for (size_t i = 0; i < PIPES; i++) {
		make_readable(i);
		f->sources[i] =
			loop_add_fd(f->loop, f->ends[i][0], EPOLLIN, remove_all, NULL);
	}
	turn(0);
	assert_int_equal(f->count, 1);
	turn(0);
	assert_int_equal(f->count, 1);
	loop_remove(NULL);
}

static void close_and_reuse(struct loop *l, int fd, uint32_t events, void *data)
{
	f->count++;
	/* Wrong order, but it happens: closed first, and the number is taken at once. */
	for (size_t i = 1; i < 3; i++) {
		if (f->sources[i] == NULL)
			continue;
		assert_int_equal(
			dup3(f->ends[7][0], f->ends[i][0], O_CLOEXEC), f->ends[i][0]);
		f->sources[PIPES - i] =
			loop_add_fd(l, f->ends[i][0], EPOLLIN, on_read, &f->calls[i]);
		assert_non_null(f->sources[PIPES - i]);
		loop_remove(f->sources[i]);
		f->sources[i] = NULL;
	}
	loop_remove(f->sources[0]);
	f->sources[0] = NULL;
}

static void a_reused_number_keeps_its_new_source(void **state)
{
	make_readable(0);
	f->sources[0] =
		loop_add_fd(f->loop, f->ends[0][0], EPOLLIN, close_and_reuse, NULL);
	for (size_t i = 1; i < 3; i++)
		f->sources[i] = loop_add_fd(
			f->loop, f->ends[i][0], EPOLLIN, on_read, &f->calls[5]);
	turn(0);
	assert_int_equal(f->count, 1);
	make_readable(7);
	make_readable(7);
	turn(0);
	assert_int_equal(f->calls[5], 0);
	assert_int_equal(f->calls[1] + f->calls[2], 2);
}

static void add_another(struct loop *l, int fd, uint32_t events, void *data)
{
	on_read(l, fd, events, &f->count);
	make_readable(1);
	if (!f->sources[1])
		f->sources[1] =
			loop_add_fd(l, f->ends[1][0], EPOLLIN, on_read, &f->calls[1]);
}

static void a_handler_may_add_sources(void **state)
{
	make_readable(0);
	f->sources[0] = loop_add_fd(f->loop, f->ends[0][0], EPOLLIN, add_another, NULL);
	turn(0);
	assert_int_equal(f->count, 1);
	turn(0);
	assert_int_equal(f->calls[1], 1);
}

static void on_timer(struct loop *l, void *data)
{
	note((int)(intptr_t)data);
}

static void timers_fire_once_in_order_of_time_then_age(void **state)
{
	static const int order[] = { 4, 5, 1, 2, 3 };
	int64_t start = clock_boot_ms();

	loop_add_timer(f->loop, 10, on_timer, (void *)1);
	loop_add_timer(f->loop, 20, on_timer, (void *)2);
	loop_add_timer(f->loop, 30, on_timer, (void *)3);
	loop_add_timer(f->loop, 0, on_timer, (void *)4);
	loop_add_timer(f->loop, -5, on_timer, (void *)5);
	loop_add_timer(f->loop, INT64_MAX, on_timer, (void *)6);
	for (int i = 0; i < 100 && f->order_len < 5; i++)
		turn(1000);
	assert_int_equal(f->order_len, 5);
	assert_memory_equal(f->order, order, sizeof(order));
	assert_true(clock_boot_ms() - start >= 29);
	assert_true(clock_boot_ms() - start < 5000);
	turn(5);
	assert_int_equal(f->order_len, 5);
}

static void again_at_once(struct loop *l, void *data)
{
	f->count++;
	loop_add_timer(l, 0, again_at_once, NULL);
}

static void a_timer_of_nothing_waits_for_the_next_turn(void **state)
{
	loop_add_timer(f->loop, 0, again_at_once, NULL);
	for (int i = 1; i <= 5; i++) {
		turn(-1);
		assert_int_equal(f->count, i);
	}
}

static void cancel_others(struct loop *l, void *data)
{
	f->count++;
	for (size_t i = 0; i < PIPES; i++) {
		loop_remove(f->sources[i]);
		f->sources[i] = NULL;
	}
}

static void a_removed_timer_never_fires(void **state)
{
	for (size_t i = 0; i < PIPES; i++)
		f->sources[i] = loop_add_timer(f->loop, 0, cancel_others, NULL);
	turn(-1);
	turn(0);
	assert_int_equal(f->count, 1);
}

static void thousands_of_timers_keep_their_order(void **state)
{
	enum { N = 5000 };
	struct loop_source **all = xcalloc(N, sizeof(struct loop_source *));
	uint32_t seed = 12345;

	for (int i = 0; i < N; i++) {
		seed = seed * 1664525 + 1013904223;
		all[i] = loop_add_timer(f->loop, 100000 + seed % 50000, on_timer, NULL);
	}
	loop_add_timer(f->loop, 1, on_timer, (void *)42);
	for (int i = 0; i < N; i++) {
		seed = seed * 1664525 + 1013904223;
		if (seed % 3)
			loop_remove(all[i]);
	}
	free(all);
	for (int i = 0; i < 100 && f->order_len == 0; i++)
		turn(100);
	assert_int_equal(f->order_len, 1);
	assert_int_equal(f->order[0], 42);
}

static void on_signal(struct loop *l, const struct signalfd_siginfo *si, void *data)
{
	note((int)si->ssi_signo + 100 * (int)(intptr_t)data);
}

static void remove_self_and_next(
	struct loop *l, const struct signalfd_siginfo *si, void *data)
{
	f->count++;
	loop_remove(f->sources[0]);
	loop_remove(f->sources[1]);
	f->sources[0] = NULL;
	f->sources[1] = NULL;
}

static void signals_reach_all_their_sources(void **state)
{
	f->sources[0] = loop_add_signal(f->loop, SIGUSR1, remove_self_and_next, NULL);
	f->sources[1] = loop_add_signal(f->loop, SIGUSR1, on_signal, (void *)1);
	f->sources[2] = loop_add_signal(f->loop, SIGUSR2, on_signal, (void *)2);
	f->sources[3] = loop_add_signal(f->loop, SIGUSR1, on_signal, (void *)3);
	assert_int_equal(raise(SIGUSR1), 0);
	turn(1000);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->order_len, 1);
	assert_int_equal(f->order[0], SIGUSR1 + 300);
	assert_int_equal(raise(SIGUSR2), 0);
	turn(1000);
	assert_int_equal(f->order[1], SIGUSR2 + 200);
	assert_int_equal(f->count, 1);
}

static bool is_blocked(int sig)
{
	sigset_t now;

	(void)sigprocmask(SIG_BLOCK, NULL, &now);
	return sigismember(&now, sig);
}

static void the_mask_is_put_back(void **state)
{
	struct loop_source *a, *b;
	sigset_t own;

	(void)sigemptyset(&own);
	(void)sigaddset(&own, SIGUSR2);
	(void)sigprocmask(SIG_BLOCK, &own, NULL);
	a = loop_add_signal(f->loop, SIGUSR1, on_signal, NULL);
	b = loop_add_signal(f->loop, SIGUSR1, on_signal, NULL);
	(void)loop_add_signal(f->loop, SIGUSR2, on_signal, NULL);
	(void)loop_add_signal(f->loop, SIGHUP, on_signal, NULL);
	assert_true(is_blocked(SIGUSR1) && is_blocked(SIGHUP));
	loop_remove(a);
	assert_true(is_blocked(SIGUSR1));
	loop_remove(b);
	assert_false(is_blocked(SIGUSR1));
	loop_free(f->loop);
	f->loop = NULL;
	assert_false(is_blocked(SIGHUP));
	assert_true(is_blocked(SIGUSR2)); /* was so before us */
	(void)sigprocmask(SIG_UNBLOCK, &own, NULL);
}

static void on_turn(struct loop *l, void *data)
{
	note((int)(intptr_t)data);
}

static void on_read_noted(struct loop *l, int fd, uint32_t events, void *data)
{
	int ignored = 0;

	on_read(l, fd, events, &ignored);
	note(1);
}

static void the_turn_ends_after_all_that_was_ready(void **state)
{
	static const int order[] = { 1, 1, 1, 9, 8 };

	(void)loop_add_turn(f->loop, on_turn, (void *)9);
	(void)loop_add_turn(f->loop, on_turn, (void *)8);
	for (size_t i = 0; i < 3; i++) {
		(void)loop_add_fd(f->loop, f->ends[i][0], EPOLLIN, on_read_noted, NULL);
		make_readable(i);
	}
	turn(-1);
	assert_int_equal(f->order_len, 5);
	assert_memory_equal(f->order, order, sizeof(order));
}

static void remove_own_turn(struct loop *l, void *data)
{
	f->count++;
	loop_remove(f->sources[0]);
	f->sources[1] = loop_add_turn(l, on_turn, (void *)5);
}

static void a_turn_may_remove_itself_and_add_the_next(void **state)
{
	f->sources[0] = loop_add_turn(f->loop, remove_own_turn, NULL);
	turn(0);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->order_len, 0);
	turn(0);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->order_len, 1);
}

static void nested(struct loop *l, int fd, uint32_t events, void *data)
{
	struct err err = ERR_INIT;
	int ignored = 0;

	f->count++;
	on_read(l, fd, events, &ignored);
	loop_remove(f->sources[1]);
	f->sources[1] = NULL;
	(void)loop_once(l, 0, &err); /* must not free what the outer batch holds */
}

static void a_turn_within_a_turn_is_safe(void **state)
{
	for (size_t i = 0; i < 2; i++) {
		make_readable(i);
		f->sources[i] =
			loop_add_fd(f->loop, f->ends[i][0], EPOLLIN, nested, NULL);
	}
	turn(0);
	assert_int_equal(f->count, 1);
}

static void stop_with_seven(struct loop *l, void *data)
{
	loop_stop(l, 7);
}

static void run_returns_what_stop_says(void **state)
{
	struct err err = ERR_INIT;

	loop_add_timer(f->loop, 1, stop_with_seven, NULL);
	assert_int_equal(loop_run(f->loop, &err), 7);
	loop_stop(f->loop, 3);
	assert_int_equal(loop_run(f->loop, &err), 3);
	loop_add_timer(f->loop, 1, stop_with_seven, NULL);
	assert_int_equal(loop_run(f->loop, &err), 7);
}

static void an_abandoned_loop_of_a_child_leaves_the_parents_whole(void **state)
{
	int status;
	pid_t pid;

	f->sources[0] =
		loop_add_fd(f->loop, f->ends[0][0], EPOLLIN, on_read, &f->calls[0]);
	(void)loop_add_signal(f->loop, SIGUSR1, on_signal, NULL);
	pid = fork();
	if (pid == 0) {
		loop_abandon(f->loop);
		_exit(is_blocked(SIGUSR1) ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	make_readable(0);
	assert_int_equal(raise(SIGUSR1), 0);
	turn(1000);
	turn(0);
	assert_int_equal(f->calls[0], 1);
	assert_int_equal(f->order_len, 1);
}

static void a_loop_takes_and_gives_back_its_descriptors(void **state)
{
	size_t before = test_count_fds();
	struct loop *l = NULL;
	struct err err = ERR_INIT;

	assert_ok(loop_new(&l, &err), &err);
	assert_true(test_count_fds() > before);
	loop_free(l);
	loop_free(NULL);
	assert_int_equal(test_count_fds(), before);
}

#define LOOP(fn) TEST_WITH(fn, setup, teardown)

TEST_MAIN(LOOP(ready_descriptors_are_called), LOOP(what_cannot_be_watched_is_said),
	LOOP(a_handler_may_remove_every_source_of_its_batch),
	LOOP(a_reused_number_keeps_its_new_source), LOOP(a_handler_may_add_sources),
	LOOP(timers_fire_once_in_order_of_time_then_age),
	LOOP(a_timer_of_nothing_waits_for_the_next_turn),
	LOOP(a_removed_timer_never_fires), LOOP(thousands_of_timers_keep_their_order),
	LOOP(signals_reach_all_their_sources), LOOP(the_mask_is_put_back),
	LOOP(the_turn_ends_after_all_that_was_ready),
	LOOP(a_turn_may_remove_itself_and_add_the_next),
	LOOP(a_turn_within_a_turn_is_safe), LOOP(run_returns_what_stop_says),
	LOOP(an_abandoned_loop_of_a_child_leaves_the_parents_whole),
	LOOP(a_loop_takes_and_gives_back_its_descriptors))
