/* SPDX-License-Identifier: Apache-2.0 */
/* Workers that answer, overrun, die and lie: the pool survives all of them. */
#include "tests/lib/test.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "runner/rpc.h"
#include "runner/worker.h"

/* What the forked worker does is told by the request itself. */
static int odd_worker(int chan, void *data)
{
	(void)data;
	for (;;) {
		_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
		struct err err = ERR_INIT;
		const char *op;
		int64_t seq;

		if (chan_recv(chan, &m, &err) <= 0)
			return 0;
		op = chan_msg_op(&m);
		seq = json_get_int(m.head, "seq", 0);
		if (str_eq(op, "echo")) {
			struct json *fields = json_new_object();

			json_set_int(fields, "pid", getpid());
			(void)rpc_answer(
				chan, seq, fields, m.body.buf, m.body.len, NULL, 0, &err);
		} else if (str_eq(op, "refuse")) {
			(void)err_set(&err, ERR_LIMIT, "too many cats");
			(void)rpc_refuse(chan, seq, &err, "bring fewer", &err);
		} else if (str_eq(op, "hang")) {
			(void)pause();
		} else if (str_eq(op, "die")) {
			(void)raise(SIGKILL);
		} else if (str_eq(op, "lie")) {
			(void)rpc_answer(chan, seq + 1, NULL, NULL, 0, NULL, 0, &err);
		}
	}
}

struct result {
	int calls;
	bool is_ok;
	enum err_code code;
	char msg[ERR_MSG_MAX];
	char hint[64];
	char body[64];
	int64_t pid;
};

struct fixture {
	struct loop *loop;
	struct worker_options o;
	struct worker_pool *pool;
	struct result r[8];
};

static int setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct err err = ERR_INIT;

	log_open("test", LOG_ERR);
	f->o = (struct worker_options)WORKER_OPTIONS_INIT;
	f->o.name = "odd worker";
	f->o.run = odd_worker;
	f->o.deadline_ms = 150;
	f->o.queue_max = 6;
	if (loop_new(&f->loop, &err) < 0 ||
		worker_pool_new(f->loop, &f->o, &f->pool, &err) < 0)
		return -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	worker_pool_free(f->pool);
	loop_free(f->loop);
	free(f);
	return 0;
}

static void on_done(
	struct chan_msg *answer, const struct err *why, const char *hint, void *data)
{
	struct result *r = data;

	r->calls++;
	r->is_ok = answer != NULL;
	r->code = why ? why->code : ERR_NONE;
	(void)snprintf(r->msg, sizeof(r->msg), "%s", why ? why->msg : "");
	(void)snprintf(r->hint, sizeof(r->hint), "%s", hint ? hint : "");
	if (answer) {
		(void)snprintf(r->body, sizeof(r->body), "%s", answer->body.buf);
		r->pid = json_get_int(answer->head, "pid", 0);
	}
}

static uint64_t ask(struct fixture *f, int i, const char *op, const char *body)
{
	struct json *head = json_new_object();

	json_set_str(head, "op", op);
	return worker_call(
		f->pool, head, body, body ? strlen(body) : 0, 0, on_done, &f->r[i]);
}

static void turn_until(struct fixture *f, int i)
{
	int64_t end = clock_boot_ms() + 5000;
	struct err err = ERR_INIT;

	while (!f->r[i].calls && clock_boot_ms() < end)
		assert_int_equal(loop_once(f->loop, 100, &err), 0);
	assert_int_equal(f->r[i].calls, 1);
}

static void answers_come_back_to_who_asked(void **state)
{
	struct fixture *f = *state;

	ask(f, 0, "echo", "first");
	ask(f, 1, "echo", "second");
	turn_until(f, 1);
	assert_true(f->r[0].is_ok);
	assert_string_equal(f->r[0].body, "first");
	assert_string_equal(f->r[1].body, "second");
	assert_int_equal(f->r[0].pid, f->r[1].pid);
	assert_int_equal(worker_queued(f->pool), 0);
}

static void a_refusal_keeps_its_code_words_and_hint(void **state)
{
	struct fixture *f = *state;

	ask(f, 0, "refuse", NULL);
	turn_until(f, 0);
	assert_false(f->r[0].is_ok);
	assert_int_equal(f->r[0].code, ERR_LIMIT);
	assert_string_equal(f->r[0].msg, "too many cats");
	assert_string_equal(f->r[0].hint, "bring fewer");
}

static void a_worker_that_overruns_is_killed_and_the_next_request_is_served(void **state)
{
	struct fixture *f = *state;
	int64_t began = clock_boot_ms();

	ask(f, 0, "hang", NULL);
	ask(f, 1, "echo", "after");
	turn_until(f, 0);
	assert_int_equal(f->r[0].code, ERR_TIMEOUT);
	assert_true(clock_boot_ms() - began >= 140);
	turn_until(f, 1);
	assert_true(f->r[1].is_ok);
	assert_string_equal(f->r[1].body, "after");
}

static void a_worker_that_dies_fails_its_request_alone(void **state)
{
	struct fixture *f = *state;

	ask(f, 0, "die", NULL);
	ask(f, 1, "echo", "x");
	turn_until(f, 1);
	assert_int_equal(f->r[0].calls, 1);
	assert_int_equal(f->r[0].code, ERR_UNAVAILABLE);
	assert_true(f->r[1].is_ok);
}

static void an_answer_with_another_number_is_a_lie_and_ends_the_worker(void **state)
{
	struct fixture *f = *state;

	ask(f, 0, "lie", NULL);
	ask(f, 1, "echo", "x");
	turn_until(f, 1);
	assert_int_equal(f->r[0].code, ERR_UNAVAILABLE);
	assert_true(f->r[1].is_ok);
}

static void a_worker_that_keeps_dying_comes_back_later_each_time(void **state)
{
	struct fixture *f = *state;
	int64_t began = clock_boot_ms();

	ask(f, 0, "die", NULL);
	ask(f, 1, "die", NULL);
	ask(f, 2, "die", NULL);
	ask(f, 3, "echo", "x");
	turn_until(f, 3);
	assert_true(clock_boot_ms() - began >= 50 + 100 - 10);
	assert_true(f->r[3].is_ok);
}

static void a_forgotten_request_calls_nobody(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	id = ask(f, 0, "echo", "a");
	ask(f, 1, "echo", "b");
	worker_forget(f->pool, id);
	turn_until(f, 1);
	assert_int_equal(f->r[0].calls, 0);
}

static void a_full_queue_is_said_at_once(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 6; i++)
		assert_true(ask(f, i, "echo", "x") > 0);
	assert_int_equal(ask(f, 6, "echo", "x"), 0);
	assert_int_equal(f->r[6].code, ERR_UNAVAILABLE);
	turn_until(f, 5);
}

static void a_large_body_travels_both_ways(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ char *big = xmalloc(300001);

	memset(big, 'x', 300000);
	big[300000] = '\0';
	ask(f, 0, "echo", big);
	turn_until(f, 0);
	assert_true(f->r[0].is_ok);
	assert_int_equal(strlen(f->r[0].body), sizeof(f->r[0].body) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			answers_come_back_to_who_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_refusal_keeps_its_code_words_and_hint, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_worker_that_overruns_is_killed_and_the_next_request_is_served,
			setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_worker_that_dies_fails_its_request_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(
			an_answer_with_another_number_is_a_lie_and_ends_the_worker, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			a_worker_that_keeps_dying_comes_back_later_each_time, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			a_forgotten_request_calls_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_full_queue_is_said_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_large_body_travels_both_ways, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
