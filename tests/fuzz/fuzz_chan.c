/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The input is one packet as a hostile peer sends it. The first byte says how many
 * descriptors come along, its top bit whether the rest past the header goes into a sealed
 * memory file instead.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/chan.h"
#include "base/fd.h"

#define HEADER 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_raw(int fd, const uint8_t *data, size_t size, const int *fds, size_t n)
{
	struct iovec iov = { (void *)(uintptr_t)data, size };
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(sizeof(int) * 128)];
	} control;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		mh.msg_control = control.buf;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
	}
	(void)sendmsg(fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT); /* too large: nothing to receive */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int mem = -1;
	struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT;
	int ends[2], fds[128];
	size_t n;

	if (size < 1 || size > CHAN_INLINE_MAX + 4096 || chan_pair(ends, &err) < 0)
		return 0;
	n = data[0] & 63;
	for (size_t i = 0; i < n; i++)
		fds[i] = 2;
	if (data[0] & 128 && size > 1 + HEADER) {
		mem = fd_memfd("fuzz", data + 1 + HEADER, size - 1 - HEADER, &err);
		if (mem >= 0)
			fds[n++] = mem;
		size = 1 + HEADER;
	}
	send_raw(ends[0], data + 1, size - 1, fds, n);
	(void)fd_set_nonblock(ends[1], true);
	if (chan_recv(ends[1], &m, &err) == 1) {
		if (!*chan_msg_op(&m) || m.fds_len > CHAN_FDS_MAX)
			abort();
		/* What was taken can be sent on. */
		if (chan_send(ends[0], m.head, m.body.buf, m.body.len, m.fds, m.fds_len, &err) < 0)
			abort();
	}
	chan_msg_done(&m);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return 0;
}
