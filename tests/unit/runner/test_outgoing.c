/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/fd.h"
#include "runner/outgoing.h"

#define MANY 2000

static struct {
	struct loop *loop;
	int near, far;
	struct loop_source *source;
	struct outgoing out;
	int failures;
} t;

static void on_near(struct loop *l, int fd, uint32_t events, void *data)
{
	struct err err = ERR_INIT;

	if ((events & EPOLLOUT) && outgoing_drain(&t.out, &err) < 0)
		t.failures++;
}

static int set_up(void **state)
{
	int pair[2];
	struct err err = ERR_INIT;

	memset(&t, 0, sizeof(t));
	assert_int_equal(loop_new(&t.loop, &err), 0);
	assert_int_equal(chan_pair(pair, &err), 0);
	t.near = pair[0];
	t.far = pair[1];
	assert_int_equal(fd_set_nonblock(t.near, true), 0);
	assert_int_equal(fd_set_nonblock(t.far, true), 0);
	t.source = loop_add_fd(t.loop, t.near, EPOLLIN, on_near, NULL);
	outgoing_init(&t.out, t.near, t.source, 1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	outgoing_done(&t.out);
	loop_remove(t.source);
	loop_free(t.loop);
	(void)close(t.near);
	if (t.far >= 0)
		(void)close(t.far);
	return 0;
}

static struct json *message(int n)
{
	struct json *j = json_new_object();

	json_set_str(j, "op", "answer");
	json_set_int(j, "seq", n);
	return j;
}

static int send_one(int n, struct err *err)
{
	_cleanup_(json_freep) struct json *head = message(n);

	return outgoing_send(&t.out, head, "body", 4, err);
}

/* How many lie in the socket, each the one after the last. */
static int receive_all(int next)
{
	struct err err = ERR_INIT;

	for (;;) {
		_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;

		if (chan_recv(t.far, &m, &err) <= 0)
			return next;
		assert_int_equal(json_get_int(m.head, "seq", -1), next);
		assert_int_equal(m.body.len, 4);
		next++;
	}
}

static void no_message_is_lost_and_their_order_is_kept(void **state)
{
	struct err err = ERR_INIT;
	_cleanup_(json_freep) struct json *head = message(0);
	int sent = 0, got;

	for (; sent < MANY / 4; sent++)
		assert_int_equal(send_one(sent, &err), 0);
	assert_non_null(t.out.first);
	/* The control: a socket that is asked directly says no. */
	assert_int_equal(chan_send(t.near, head, NULL, 0, NULL, 0, &err), -1);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	got = receive_all(0);
	assert_true(got > 0 && got < sent);
	for (int i = 0; i < MANY && got < MANY; i++) {
		for (int k = 0; k < 3 && sent < MANY && t.out.bytes < 1 << 19; k++)
			assert_int_equal(send_one(sent++, &err), 0);
		assert_int_equal(loop_once(t.loop, 0, &err), 0);
		got = receive_all(got);
	}
	assert_int_equal(got, MANY);
	assert_null(t.out.first);
	assert_int_equal(t.out.bytes, 0);
	assert_int_equal(t.failures, 0);
}

static void more_than_the_limit_is_refused(void **state)
{
	struct err err = ERR_INIT;
	int sent = 0;

	while (sent < 100000 && send_one(sent, &err) == 0)
		sent++;
	assert_err_has(&err, ERR_LIMIT, "too much is waiting");
	assert_true(sent > (1 << 20) / 2048 && sent < 100000);
}

static void a_peer_that_left_is_an_error_and_nothing_waits_for_it(void **state)
{
	struct err err = ERR_INIT;

	for (int i = 0; i < MANY / 4; i++)
		assert_int_equal(send_one(i, &err), 0);
	(void)close(t.far);
	t.far = -1;
	assert_int_equal(outgoing_drain(&t.out, &err), -1);
	assert_null(t.out.first);
	assert_int_equal(send_one(0, &err), -1);
	assert_int_equal(err.code, ERR_SYS);
}

TEST_MAIN(TEST_WITH(no_message_is_lost_and_their_order_is_kept, set_up, tear_down),
	TEST_WITH(more_than_the_limit_is_refused, set_up, tear_down),
	TEST_WITH(
		a_peer_that_left_is_an_error_and_nothing_waits_for_it, set_up, tear_down))
