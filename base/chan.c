/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame: a fixed header, then head and body, in one packet; or the header alone, and
 * head and body in a sealed memory file that is the last descriptor. Both ends run on one
 * machine, so numbers are in its own byte order.
 */
#include "base/chan.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"

#define FRAME_MAGIC   0x73634c31u /* "1Lcs" on little-endian machines */
#define FRAME_VERSION 1

enum frame_flags {
	FRAME_MEMFD = 1 << 0, /* head and body are in the last descriptor */
};

struct frame {
	uint32_t magic;
	uint16_t version;
	uint16_t flags;
	uint32_t head_len;
	uint32_t body_len;
};

_Static_assert(sizeof(struct frame) == 16, "the frame header has no holes");

/* What one packet brought. */
struct packet {
	struct frame frame;
	size_t len; /* bytes behind the header */
	char bytes[CHAN_INLINE_MAX];
	int fds[CHAN_FDS_MAX + 1];
	size_t fds_len;
};

static void packet_done(struct packet *p)
{
	for (size_t i = 0; i < p->fds_len; i++)
		cleanup_closep(&p->fds[i]);
}

/* ---- messages ---- */

void chan_msg_done(struct chan_msg *m)
{
	json_free(m->head);
	strbuf_done(&m->body);
	for (size_t i = 0; i < m->fds_len; i++)
		cleanup_closep(&m->fds[i]);
	*m = (struct chan_msg)CHAN_MSG_INIT;
}

const char *chan_msg_op(const struct chan_msg *m)
{
	return json_get_str(m->head, "op", "");
}

int chan_msg_take_fd(struct chan_msg *m, size_t i)
{
	return i < m->fds_len ? take_fd(&m->fds[i]) : -1;
}

/* ---- sockets ---- */

int chan_pair(int ret[2], struct err *err)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return err_sys(err, "cannot make a socket pair");
	ret[0] = fds[0];
	ret[1] = fds[1];
	return 0;
}

/*
 * An address has room for 107 bytes of path; a longer one is reached through the
 * descriptor of its folder, which *RET_DIR must keep open while the address is used.
 */
static int make_address(
	const char *path, struct sockaddr_un *addr, int *ret_dir, struct err *err)
{
	const char *base = path_base(path);
	_cleanup_free_ char *folder = xstrndup(path, (size_t)(base - path));
	int n;

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if (strlen(path) < sizeof(addr->sun_path)) {
		memcpy(addr->sun_path, path, strlen(path));
		return 0;
	}
	*ret_dir = open(*folder ? folder : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*ret_dir < 0)
		return err_sys(err, "cannot open the folder of '%s'", path);
	n = snprintf(addr->sun_path, sizeof(addr->sun_path), "/proc/self/fd/%d/%s",
		*ret_dir, base);
	if (n < 0 || (size_t)n >= sizeof(addr->sun_path))
		return err_set(err, ERR_LIMIT, "socket name '%s' is too long", base);
	return 0;
}

int chan_listen(const char *path, int *ret, struct err *err)
{
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int fd = -1;
	struct sockaddr_un addr;
	struct stat st;

	if (make_address(path, &addr, &dir, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	/* Only a socket of an earlier life goes, never a file somebody put there. */
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && unlink(path) < 0)
		return err_sys(err, "cannot remove '%s'", path);
	/* The mode of the socket before bind is the mode of the name: no umask, no race. */
	if (fchmod(fd, 0600) < 0)
		return err_sys(err, "cannot set the mode of '%s'", path);
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "cannot bind '%s'", path);
	if (listen(fd, 128) < 0)
		return err_sys(err, "cannot listen on '%s'", path);
	*ret = take_fd(&fd);
	return 0;
}

int chan_connect(const char *path, int *ret, struct err *err)
{
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int fd = -1;
	struct sockaddr_un addr;

	if (make_address(path, &addr, &dir, err) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(err, "cannot make a socket");
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0) {
		int sys = errno;

		err_sys(err, "cannot connect to '%s'", path);
		if (err && (sys == ENOENT || sys == ECONNREFUSED || sys == EAGAIN))
			err->code = ERR_UNAVAILABLE; /* nobody listens, or is too busy */
		return -1;
	}
	*ret = take_fd(&fd);
	return 0;
}

int chan_accept(int listener, int *ret, struct err *err)
{
	int fd;

	do
		fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
	if (fd < 0 && errno == EAGAIN)
		return err_set(err, ERR_UNAVAILABLE, "nobody is connecting");
	if (fd < 0)
		return err_sys(err, "cannot accept");
	*ret = fd;
	return 0;
}

int chan_peer(int fd, pid_t *ret_pid, uid_t *ret_uid, struct err *err)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return err_sys(err, "cannot tell who is at the other end");
	*ret_pid = cred.pid;
	*ret_uid = cred.uid;
	return 0;
}

/* ---- send ---- */

union fd_control {
	struct cmsghdr align;
	char buf[CMSG_SPACE(sizeof(int) * (CHAN_FDS_MAX + 1))];
};

static void attach_fds(
	struct msghdr *mh, union fd_control *control, const int *fds, size_t n)
{
	struct cmsghdr *c;

	if (n == 0)
		return;
	memset(control, 0, sizeof(*control));
	mh->msg_control = control->buf;
	mh->msg_controllen = CMSG_SPACE(sizeof(int) * n);
	c = CMSG_FIRSTHDR(mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
}

static int send_packet(int fd, struct iovec *iov, size_t iov_len, const int *fds,
	size_t fds_len, struct err *err)
{
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = iov_len };
	union fd_control control;
	ssize_t n;

	attach_fds(&mh, &control, fds, fds_len);
	do
		n = sendmsg(fd, &mh, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	if (errno == EAGAIN)
		return err_set(err, ERR_UNAVAILABLE, "the other end is slow: try again");
	if (errno == ECONNRESET)
		errno = EPIPE; /* the same to every caller: it is gone */
	return err_sys(err, "cannot send a message");
}

static int send_inline(int fd, struct frame *frame, const char *head, const void *body,
	const int *fds, size_t fds_len, struct err *err)
{
	struct iovec iov[] = {
		{ frame, sizeof(*frame) },
		{ (void *)(uintptr_t)head, frame->head_len },
		{ (void *)(uintptr_t)body, frame->body_len },
	};

	return send_packet(fd, iov, ARRAY_SIZE(iov), fds, fds_len, err);
}

static int send_memfd(int fd, struct frame *frame, const char *head, const void *body,
	const int *fds, size_t fds_len, struct err *err)
{
	const struct iovec parts[] = {
		{ (void *)(uintptr_t)head, frame->head_len },
		{ (void *)(uintptr_t)body, frame->body_len },
	};
	struct iovec iov = { frame, sizeof(*frame) };
	_cleanup_close_ int mem = -1;
	int all[CHAN_FDS_MAX + 1];

	mem = fd_memfd_parts("sluice-message", parts, ARRAY_SIZE(parts), err);
	if (mem < 0)
		return -1;
	frame->flags |= FRAME_MEMFD;
	if (fds_len)
		memcpy(all, fds, fds_len * sizeof(int));
	all[fds_len] = mem;
	return send_packet(fd, &iov, 1, all, fds_len + 1, err);
}

int chan_send(int fd, const struct json *head, const void *body, size_t len,
	const int *fds, size_t fds_len, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct frame frame = { FRAME_MAGIC, FRAME_VERSION, 0, 0, 0 };

	assert(*json_get_str(head, "op", "") && fds_len <= CHAN_FDS_MAX);
	json_write(head, 0, &text);
	if (text.len > CHAN_HEAD_MAX || len > CHAN_BODY_MAX)
		return err_set(err, ERR_LIMIT, "a message '%s' of %zu bytes is too large",
			json_get_str(head, "op", ""), text.len + len);
	frame.head_len = (uint32_t)text.len;
	frame.body_len = (uint32_t)len;
	if (sizeof(frame) + text.len + len <= CHAN_INLINE_MAX)
		return send_inline(fd, &frame, text.buf, body, fds, fds_len, err);
	return send_memfd(fd, &frame, text.buf, body, fds, fds_len, err);
}

int chan_send_op(int fd, const char *op, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_new_object();

	json_set_str(head, "op", op);
	return chan_send(fd, head, NULL, 0, NULL, 0, err);
}

/* ---- receive ---- */

/* Takes every descriptor the kernel installed; false if there was anything else. */
static bool collect_fds(struct msghdr *mh, struct packet *p)
{
	bool is_clean = true;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			is_clean = false;
			continue;
		}
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (p->fds_len < ARRAY_SIZE(p->fds)) {
				p->fds[p->fds_len++] = fd;
			} else {
				(void)close(fd);
				is_clean = false;
			}
		}
	}
	return is_clean;
}

/* 1 a packet, 0 end, -1 error; descriptors that came are in P in any case. */
static int receive_packet(int fd, struct packet *p, struct err *err)
{
	union fd_control control;
	struct iovec iov[] = {
		{ &p->frame, sizeof(p->frame) },
		{ p->bytes, sizeof(p->bytes) },
	};
	struct msghdr mh = { .msg_iov = iov,
		.msg_iovlen = ARRAY_SIZE(iov),
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf) };
	bool is_clean;
	ssize_t n;

	/*
	 * A peer that closes with our words unread resets the connection: that is told once,
	 * and before the messages of it that are still waiting.
	 */
	do
		n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
	while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0 && errno == EAGAIN)
		return err_set(err, ERR_UNAVAILABLE, "no message yet");
	if (n < 0)
		return err_sys(err, "cannot receive a message");
	is_clean = collect_fds(&mh, p);
	if (n == 0)
		return 0;
	if (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || !is_clean)
		return err_set(
			err, ERR_INPUT, "a message is larger than a packet may be");
	if ((size_t)n < sizeof(p->frame))
		return err_set(err, ERR_INPUT, "a message is shorter than its header");
	p->len = (size_t)n - sizeof(p->frame);
	return 1;
}

static int check_frame(const struct frame *f, struct err *err)
{
	if (f->magic != FRAME_MAGIC)
		return err_set(err, ERR_INPUT, "a message does not start as ours do");
	if (f->version != FRAME_VERSION)
		return err_set(err, ERR_INPUT, "a message of version %u, not %d",
			f->version, FRAME_VERSION);
	if (f->flags & ~FRAME_MEMFD)
		return err_set(err, ERR_INPUT, "a message with unknown flags");
	if (f->head_len > CHAN_HEAD_MAX || f->body_len > CHAN_BODY_MAX)
		return err_set(err, ERR_INPUT, "a message is larger than any may be");
	return 0;
}

/* A file that may still change under us would let the sender alter what was checked. */
static int check_memfd(int fd, size_t size, struct err *err)
{
	const int need = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & need) != need)
		return err_set(err, ERR_INPUT, "a message in a file that is not sealed");
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size != (off_t)size)
		return err_set(err, ERR_INPUT, "a message in a file of another size");
	return 0;
}

static int read_at(int fd, char *buf, size_t len, off_t at, struct err *err)
{
	while (len > 0) {
		ssize_t n = pread(fd, buf, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "cannot read a message");
		if (n == 0)
			return err_set(err, ERR_INPUT, "a message ends early");
		buf += n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Fills HEAD and BODY from the file, which is dropped from the packet's descriptors. */
static int read_memfd(
	struct packet *p, struct strbuf *head, struct strbuf *body, struct err *err)
{
	_cleanup_close_ int mem = -1;
	size_t size = (size_t)p->frame.head_len + p->frame.body_len;

	if (p->fds_len == 0 || p->len != 0)
		return err_set(err, ERR_INPUT, "a message without the file it speaks of");
	mem = p->fds[--p->fds_len];
	if (check_memfd(mem, size, err) < 0)
		return -1;
	strbuf_reserve(head, p->frame.head_len);
	strbuf_reserve(body, p->frame.body_len);
	if (read_at(mem, head->buf, p->frame.head_len, 0, err) < 0 ||
		read_at(mem, body->buf, p->frame.body_len, p->frame.head_len, err) < 0)
		return -1;
	strbuf_commit(head, p->frame.head_len);
	strbuf_commit(body, p->frame.body_len);
	return 0;
}

static int read_inline(
	struct packet *p, struct strbuf *head, struct strbuf *body, struct err *err)
{
	if (p->fds_len > CHAN_FDS_MAX)
		return err_set(err, ERR_INPUT, "a message with too many descriptors");
	if (p->len != (size_t)p->frame.head_len + p->frame.body_len)
		return err_set(
			err, ERR_INPUT, "a message of another length than it says");
	strbuf_add(head, p->bytes, p->frame.head_len);
	strbuf_add(body, p->bytes + p->frame.head_len, p->frame.body_len);
	return 0;
}

int chan_recv(int fd, struct chan_msg *ret, struct err *err)
{
	_cleanup_(packet_done) struct packet p; /* not zeroed: it is large */
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	_cleanup_(strbuf_done) struct strbuf head = STRBUF_INIT;
	int r;

	p.fds_len = 0;
	r = receive_packet(fd, &p, err);
	if (r <= 0)
		return r;
	if (check_frame(&p.frame, err) < 0)
		return -1;
	r = p.frame.flags & FRAME_MEMFD ? read_memfd(&p, &head, &m.body, err)
					: read_inline(&p, &head, &m.body, err);
	if (r < 0)
		return -1;
	if (json_parse(head.buf, head.len, &m.head, err) < 0)
		return err_wrap(err, "the head of a message");
	if (!json_is(m.head, JSON_KIND_OBJECT) || !*chan_msg_op(&m))
		return err_set(err, ERR_INPUT, "the head of a message has no 'op'");
	for (; m.fds_len < p.fds_len; m.fds_len++)
		m.fds[m.fds_len] = take_fd(&p.fds[m.fds_len]);
	*ret = m;
	m = (struct chan_msg)CHAN_MSG_INIT;
	return 1;
}
