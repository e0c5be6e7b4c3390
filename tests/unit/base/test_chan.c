/* SPDX-License-Identifier: Apache-2.0 */
/* Messages there and back, then everything a hostile peer may send instead. */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/chan.h"
#include "base/fd.h"
#include "base/path.h"

/* The wire format, written down once more: a change of it must be meant. */
struct wire {
	uint32_t magic;
	uint16_t version, flags;
	uint32_t head_len, body_len;
};

#define MAGIC 0x73634c31u
#define MEMFD 1

static int ends[2];
static size_t fds_before;

static int setup(void **state)
{
	struct err err = ERR_INIT;

	fds_before = test_count_fds();
	return chan_pair(ends, &err);
}

static int teardown(void **state)
{
	(void)close(ends[0]);
	cleanup_closep(&ends[1]);
	return test_count_fds() == fds_before ? 0 : -1; /* every test checks for leaks */
}

static struct json *head_of(const char *op)
{
	struct json *head = json_new_object();

	json_set_str(head, "op", op);
	return head;
}

static void heads_bodies_and_descriptors_arrive(void **state)
{
	_cleanup_(json_freep) struct json *head = head_of("put");
	struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT;
	int fds[2] = { open("/dev/null", O_RDONLY | O_CLOEXEC), -1 };
	struct stat a, b;
	int got;

	fds[1] = fds[0];
	json_set_int(head, "n", 42);
	assert_ok(chan_send(ends[0], head, "bo\0dy", 5, fds, 2, &err), &err);
	assert_int_equal(chan_recv(ends[1], &m, &err), 1);
	assert_string_equal(chan_msg_op(&m), "put");
	assert_int_equal(json_get_int(m.head, "n", 0), 42);
	assert_int_equal(m.body.len, 5);
	assert_memory_equal(m.body.buf, "bo\0dy", 6);
	assert_int_equal(m.fds_len, 2);
	assert_int_equal(m.fds[2], -1);
	got = chan_msg_take_fd(&m, 1);
	assert_int_equal(fcntl(got, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fstat(got, &a) || fstat(fds[0], &b), 0);
	assert_true(a.st_rdev == b.st_rdev);
	assert_int_equal(chan_msg_take_fd(&m, 1), -1);
	assert_int_equal(chan_msg_take_fd(&m, 2), -1);
	chan_msg_done(&m);
	chan_msg_done(&m);
	assert_string_equal(chan_msg_op(&m), "");
	(void)close(got);
	(void)close(fds[0]);
}

static void every_size_around_the_limits_arrives(void **state)
{
	static const size_t sizes[] = { 0, 1, CHAN_INLINE_MAX - 100, CHAN_INLINE_MAX - 28,
		CHAN_INLINE_MAX - 27, CHAN_INLINE_MAX - 26, CHAN_INLINE_MAX - 16,
		CHAN_INLINE_MAX, CHAN_INLINE_MAX + 1, 1 << 20, CHAN_BODY_MAX };
	_cleanup_(json_freep) struct json *head = head_of("x");
	_cleanup_free_ char *body = xcalloc(CHAN_BODY_MAX, 1);
	int fds[CHAN_FDS_MAX];

	for (size_t i = 0; i < CHAN_FDS_MAX; i++)
		fds[i] = 2;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct chan_msg m = CHAN_MSG_INIT;
		struct err err = ERR_INIT;

		if (sizes[i])
			body[sizes[i] - 1] = 'z';
		assert_ok(
			chan_send(ends[0], head, body, sizes[i], fds, CHAN_FDS_MAX, &err),
			&err);
		assert_int_equal(chan_recv(ends[1], &m, &err), 1);
		assert_int_equal(m.body.len, sizes[i]);
		assert_memory_equal(m.body.buf, body, sizes[i]);
		assert_int_equal(m.fds_len, CHAN_FDS_MAX);
		chan_msg_done(&m);
	}
}

static void a_large_head_arrives(void **state)
{
	_cleanup_(json_freep) struct json *head = head_of("big");
	_cleanup_free_ char *text = xmalloc(1000001);
	struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT;

	memset(text, 'h', 1000000);
	text[1000000] = '\0';
	json_set_str(head, "text", text);
	assert_ok(chan_send(ends[0], head, "b", 1, NULL, 0, &err), &err);
	assert_int_equal(chan_recv(ends[1], &m, &err), 1);
	assert_true(json_same(m.head, head));
	assert_string_equal(m.body.buf, "b");
	assert_int_equal(m.fds_len, 0);
	chan_msg_done(&m);
}

static void too_much_is_refused_before_it_is_sent(void **state)
{
	_cleanup_(json_freep) struct json *head = head_of("x");
	struct err err = ERR_INIT;

	assert_int_equal(
		chan_send(ends[0], head, "", (size_t)CHAN_BODY_MAX + 1, NULL, 0, &err),
		-1);
	assert_err_has(&err, ERR_LIMIT, "a message 'x' of");
}

static void ends_and_emptiness_are_told_apart(void **state)
{
	struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT;

	assert_int_equal(fd_set_nonblock(ends[0], true), 0);
	assert_int_equal(chan_recv(ends[0], &m, &err), -1);
	assert_err(&err, ERR_UNAVAILABLE, "no message yet");
	assert_ok(chan_send_op(ends[1], "last", &err), &err);
	assert_ok(chan_send_op(ends[0], "unread", &err), &err);
	cleanup_closep(&ends[1]);
	ends[1] = -1;
	assert_int_equal(chan_recv(ends[0], &m, &err), 1);
	assert_string_equal(chan_msg_op(&m), "last");
	chan_msg_done(&m);
	assert_int_equal(chan_recv(ends[0], &m, &err), 0);
	assert_int_equal(chan_recv(ends[0], &m, &err), 0);
	assert_int_equal(chan_send_op(ends[0], "x", &err), -1);
	assert_err(&err, ERR_SYS, NULL);
	assert_int_equal(err.sys, EPIPE);
}

static void a_slow_peer_is_no_failure(void **state)
{
	struct err err = ERR_INIT;
	struct chan_msg m = CHAN_MSG_INIT;
	int sent = 0, got = 0;

	assert_int_equal(fd_set_nonblock(ends[0], true), 0);
	assert_int_equal(fd_set_nonblock(ends[1], true), 0);
	while (sent < 100000 && chan_send_op(ends[0], "x", &err) == 0)
		sent++;
	assert_err(&err, ERR_UNAVAILABLE, NULL);
	while (chan_recv(ends[1], &m, &err) == 1) {
		chan_msg_done(&m);
		got++;
	}
	assert_int_equal(got, sent);
}

/* ---- hostile ---- */

/* Sends raw bytes with descriptors; the receiver must answer ERR_INPUT with PART. */
static void refused(
	const void *bytes, size_t len, const int *fds, size_t fds_len, const char *part)
{
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * 64)];
	} control;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT;
	size_t before = test_count_fds();

	if (fds_len) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * fds_len);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * fds_len);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * fds_len);
	}
	assert_int_equal(sendmsg(ends[0], &mh, MSG_NOSIGNAL), len);
	assert_int_equal(chan_recv(ends[1], &m, &err), -1);
	assert_err_has(&err, ERR_INPUT, part);
	assert_null(m.head);
	assert_int_equal(m.fds_len, 0);
	assert_int_equal(test_count_fds(), before);
}

/* A frame of HEAD and LEN more bytes behind the header. */
static void refused_frame(struct wire w, const char *rest, size_t len, const char *part)
{
	char buf[256];

	memcpy(buf, &w, sizeof(w));
	memcpy(buf + sizeof(w), rest, len);
	refused(buf, sizeof(w) + len, NULL, 0, part);
}

static void frames_that_lie_are_refused(void **state)
{
	static const char head[] = "{\"op\":\"x\"}"; /* 10 bytes */
	const struct {
		struct wire w;
		size_t len;
		const char *part;
	} rows[] = {
		{ { 0, 1, 0, 10, 0 }, 10, "does not start as ours" },
		{ { MAGIC, 2, 0, 10, 0 }, 10, "of version 2, not 1" },
		{ { MAGIC, 0, 0, 10, 0 }, 10, "of version 0" },
		{ { MAGIC, 1, 2, 10, 0 }, 10, "unknown flags" },
		{ { MAGIC, 1, 0x8000, 10, 0 }, 10, "unknown flags" },
		{ { MAGIC, 1, 0, 9, 0 }, 10, "another length" },
		{ { MAGIC, 1, 0, 11, 0 }, 10, "another length" },
		{ { MAGIC, 1, 0, 10, 1 }, 10, "another length" },
		{ { MAGIC, 1, 0, 10, 0xffffffff }, 10, "larger than any" },
		{ { MAGIC, 1, 0, 0xffffffff, 11 }, 10, "larger than any" },
		{ { MAGIC, 1, 0, CHAN_HEAD_MAX + 1, 0 }, 10, "larger than any" },
		{ { MAGIC, 1, 0, 0, 10 }, 10, "the head of a message: json:1:" },
		{ { MAGIC, 1, 0, 0, 0 }, 0, "the head of a message: json:1:" },
		{ { MAGIC, 1, 0, 5, 5 }, 10, "the head of a message: json:1:" },
		{ { MAGIC, 1, MEMFD, 10, 0 }, 0, "without the file" },
		{ { MAGIC, 1, MEMFD, 10, 0 }, 10, "without the file" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		refused_frame(rows[i].w, head, rows[i].len, rows[i].part);
	/* The control: the same bytes with true numbers are taken. */
	{
		struct wire w = { MAGIC, 1, 0, 10, 0 };
		struct chan_msg m = CHAN_MSG_INIT;
		struct err err = ERR_INIT;
		char buf[26];

		memcpy(buf, &w, sizeof(w));
		memcpy(buf + sizeof(w), head, 10);
		assert_int_equal(send(ends[0], buf, sizeof(buf), 0), sizeof(buf));
		assert_int_equal(chan_recv(ends[1], &m, &err), 1);
		chan_msg_done(&m);
	}
}

static void heads_that_are_no_message_are_refused(void **state)
{
	static const char *const heads[] = { "[]", "null", "\"op\"", "{}", "{\"op\":1}",
		"{\"op\":\"\"}", "{\"op\":null}", "{\"op\":\"a\",\"op\":\"b\"}",
		"{\"OP\":\"x\"}" };

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		struct wire w = { MAGIC, 1, 0, (uint32_t)strlen(heads[i]), 0 };

		refused_frame(w, heads[i], strlen(heads[i]), "the head of a message");
	}
}

static void short_and_long_packets_are_refused(void **state)
{
	_cleanup_free_ char *big = xcalloc(CHAN_INLINE_MAX + 100, 1);
	struct wire w = { MAGIC, 1, 0, 10, CHAN_INLINE_MAX };
	struct err err = ERR_INIT;
	struct chan_msg m = CHAN_MSG_INIT;

	refused("x", 1, NULL, 0, "shorter than its header");
	refused(big, 15, NULL, 0, "shorter than its header");
	memcpy(big, &w, sizeof(w));
	refused(big, CHAN_INLINE_MAX + 100, NULL, 0, "larger than a packet");
	/* An empty packet cannot be told from the end: it is one. */
	assert_int_equal(send(ends[0], "", 0, 0), 0);
	assert_int_equal(chan_recv(ends[1], &m, &err), 0);
}

static void surplus_descriptors_are_closed_and_refused(void **state)
{
	static const char head[] = "{\"op\":\"x\"}";
	struct wire w = { MAGIC, 1, 0, 10, 0 };
	char buf[26];
	int fds[64];

	memcpy(buf, &w, sizeof(w));
	memcpy(buf + sizeof(w), head, 10);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = 2;
	refused(buf, sizeof(buf), fds, CHAN_FDS_MAX + 1, "too many descriptors");
	refused(buf, sizeof(buf), fds, CHAN_FDS_MAX + 2, "larger than a packet");
	refused(buf, sizeof(buf), fds, 64, "larger than a packet");
	/* Descriptors of a malformed frame are closed too. */
	w.magic = 1;
	memcpy(buf, &w, sizeof(w));
	refused(buf, sizeof(buf), fds, 3, "does not start as ours");
}

/* A memory file with TEXT and these seals. */
static int memory_file(const char *text, int seals)
{
	int fd = (int)syscall(SYS_memfd_create, "t", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void files_that_may_change_are_refused(void **state)
{
	static const char head[] = "{\"op\":\"x\"}body";
	const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	const struct wire w = { MAGIC, 1, MEMFD, 10, 4 };
	const int weak[] = { 0, F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_WRITE | F_SEAL_GROW,
		F_SEAL_WRITE | F_SEAL_SHRINK, F_SEAL_SEAL,
		F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE };
	struct wire wrong = w;
	int fd, pipes[2];

	for (size_t i = 0; i < ARRAY_SIZE(weak); i++) {
		fd = memory_file(head, weak[i]);
		refused(&w, sizeof(w), &fd, 1, "not sealed");
		(void)close(fd);
	}
	fd = open("Makefile", O_RDONLY | O_CLOEXEC);
	refused(&w, sizeof(w), &fd, 1, "not sealed");
	(void)close(fd);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	refused(&w, sizeof(w), pipes, 1, "not sealed");
	(void)close(pipes[0]);
	(void)close(pipes[1]);
	fd = memory_file(head, all);
	wrong.body_len = 5;
	refused(&wrong, sizeof(wrong), &fd, 1, "another size");
	wrong.body_len = 3;
	refused(&wrong, sizeof(wrong), &fd, 1, "another size");
	/* Bytes in the packet as well: which would count? */
	{
		char buf[sizeof(w) + 1] = "";

		memcpy(buf, &w, sizeof(w));
		refused(buf, sizeof(buf), &fd, 1, "without the file");
	}
	(void)close(fd);
}

static void a_well_sealed_file_is_taken(void **state)
{
	const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	const struct wire w = { MAGIC, 1, MEMFD, 10, 4 };
	int fd = memory_file("{\"op\":\"x\"}body", all);
	struct iovec iov = { (void *)(uintptr_t)&w, sizeof(w) };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int))];
	} control = { .buf = "" };
	struct msghdr mh = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
	struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(ends[0], &mh, 0), sizeof(w));
	assert_int_equal(chan_recv(ends[1], &m, &err), 1);
	assert_string_equal(chan_msg_op(&m), "x");
	assert_string_equal(m.body.buf, "body");
	assert_int_equal(m.fds_len, 0);
	chan_msg_done(&m);
	(void)close(fd);
}

/* ---- sockets with names ---- */

static void speak_over(const char *path)
{
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT;
	int listener = -1, a = -1, b = -1;
	struct stat st;
	pid_t pid;
	uid_t uid;

	assert_ok(chan_listen(path, &listener, &err), &err);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(chan_accept(listener, &a, &err), -1);
	assert_err(&err, ERR_UNAVAILABLE, NULL);
	assert_ok(chan_connect(path, &b, &err), &err);
	assert_ok(chan_accept(listener, &a, &err), &err);
	assert_ok(chan_peer(a, &pid, &uid, &err), &err);
	assert_int_equal(pid, getpid());
	assert_int_equal(uid, geteuid());
	assert_ok(chan_send_op(b, "hello", &err), &err);
	assert_int_equal(chan_recv(a, &m, &err), 1);
	assert_string_equal(chan_msg_op(&m), "hello");
	(void)close(a);
	(void)close(b);
	(void)close(listener);
	/* The name of the dead is taken over. */
	assert_ok(chan_listen(path, &listener, &err), &err);
	(void)close(listener);
}

static void named_sockets_work_at_any_length(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_(strbuf_done) struct strbuf deep = STRBUF_INIT;
	_cleanup_free_ char *brief = path_join(dir->path, "sock");
	_cleanup_free_ char *longer = NULL;
	struct err err = ERR_INIT;
	size_t before = test_count_fds();

	speak_over(brief);
	strbuf_adds(&deep, dir->path);
	while (deep.len < 300)
		strbuf_adds(&deep, "/a-rather-long-name-of-a-folder");
	assert_ok(path_mkdirs_own(deep.buf, 0700, &err), &err);
	longer = path_join(deep.buf, "sock");
	speak_over(longer);
	assert_int_equal(test_count_fds(), before);
}

static void nobody_listening_is_worth_another_try(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_free_ char *path = path_join(dir->path, "sock");
	struct err err = ERR_INIT;
	int fd = -1;

	assert_int_equal(chan_connect(path, &fd, &err), -1);
	assert_err(&err, ERR_UNAVAILABLE, NULL);
	assert_int_equal(err.sys, ENOENT);
	assert_ok(chan_listen(path, &fd, &err), &err);
	(void)close(fd);
	assert_int_equal(chan_connect(path, &fd, &err), -1);
	assert_err(&err, ERR_UNAVAILABLE, NULL);
	assert_int_equal(err.sys, ECONNREFUSED);
}

static void listening_removes_no_file(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_free_ char *path = path_join(dir->path, "file");
	struct err err = ERR_INIT;
	int fd = -1;

	test_write(dir, "file", "precious");
	assert_int_equal(chan_listen(path, &fd, &err), -1);
	assert_err_has(&err, ERR_SYS, "address already in use");
	assert_int_equal(access(path, R_OK), 0);
}

#define PAIR(fn) TEST_WITH(fn, setup, teardown)

TEST_MAIN(PAIR(heads_bodies_and_descriptors_arrive),
	PAIR(every_size_around_the_limits_arrives), PAIR(a_large_head_arrives),
	PAIR(too_much_is_refused_before_it_is_sent),
	PAIR(ends_and_emptiness_are_told_apart), PAIR(a_slow_peer_is_no_failure),
	PAIR(frames_that_lie_are_refused), PAIR(heads_that_are_no_message_are_refused),
	PAIR(short_and_long_packets_are_refused),
	PAIR(surplus_descriptors_are_closed_and_refused),
	PAIR(files_that_may_change_are_refused), PAIR(a_well_sealed_file_is_taken),
	TEST_DIR(named_sockets_work_at_any_length),
	TEST_DIR(nobody_listening_is_worth_another_try),
	TEST_DIR(listening_removes_no_file))
