/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What our processes use between fork and exec, and how they tell of a failure: one note
 * on a socket, worded by the parent. Nothing here allocates or takes a lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "sandbox/sandbox-internal.h"

int note_pair(int ret[2], struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0)
		return err_sys(err, "cannot make a socket pair");
	return 0;
}

int note_send(int fd, const struct note *n, const int *fds, size_t fds_len)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * SPAWN_FDS)];
	} control;
	struct iovec iov = { .iov_base = (void *)n, .iov_len = sizeof(*n) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t rc;

	if (fds_len > SPAWN_FDS) {
		errno = EINVAL;
		return -1;
	}
	if (fds_len) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fds_len);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int) * fds_len);
		memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * fds_len);
	}
	do
		rc = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (rc < 0 && errno == EINTR);
	return rc < 0 ? -1 : 0;
}

/* Takes what came beside the bytes; what is not wanted is closed. */
static void take_control(struct msghdr *msg, int *fds, size_t fds_max, struct ucred *cred)
{
	size_t got = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_CREDENTIALS && cred)
			memcpy(cred, CMSG_DATA(c), sizeof(*cred));
		if (c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (got < fds_max)
				fds[got++] = fd;
			else
				(void)close(fd); /* nobody asked for it */
		}
	}
}

int note_recv(int fd, int flags, struct note *ret, int *fds, size_t fds_max,
	struct ucred *ret_cred)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * SPAWN_FDS) +
			   CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec iov = { .iov_base = ret, .iov_len = sizeof(*ret) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t rc;

	for (size_t i = 0; i < fds_max; i++)
		fds[i] = -1;
	/* ECONNRESET, once: it left without reading; its last words may still lie here. */
	do
		rc = recvmsg(fd, &msg, flags | MSG_CMSG_CLOEXEC);
	while (rc < 0 && (errno == EINTR || errno == ECONNRESET));
	if (rc < 0)
		return -1;
	if (rc == 0)
		return 0;
	take_control(&msg, fds, fds_max, ret_cred);
	if ((size_t)rc != sizeof(*ret) || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		errno = EPROTO;
		return -1;
	}
	ret->what[sizeof(ret->what) - 1] = '\0';
	ret->name[sizeof(ret->name) - 1] = '\0';
	return 1;
}

int err_note(struct err *err, const struct note *n)
{
	errno = n->sys;
	if (!n->sys)
		return err_set(err, ERR_UNSUPPORTED, "%s", n->what);
	if (*n->name)
		return err_sys(err, "cannot %s '%s'", n->what, n->name);
	return err_sys(err, "cannot %s", n->what);
}

int note_await(int fd, int64_t deadline, struct note *ret, struct ucred *ret_cred,
	const char *who, struct err *err)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - clock_boot_ms();
		int rc = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (rc < 0 && errno == EINTR)
			continue;
		if (rc < 0)
			return err_sys(err, "cannot wait for %s", who);
		if (rc == 0)
			return err_set(
				err, ERR_TIMEOUT, "%s did not answer in time", who);
		rc = note_recv(fd, MSG_DONTWAIT, ret, NULL, 0, ret_cred);
		if (rc < 0 && errno == EAGAIN)
			continue;
		if (rc < 0)
			return err_sys(err, "cannot hear %s", who);
		if (rc == 0)
			return err_set(err, ERR_UNAVAILABLE, "%s is gone", who);
		if (ret->kind == NOTE_FAILED)
			return err_note(err, ret);
		return 0;
	}
}

void child_cat(char *buf, size_t size, const char *s)
{
	size_t at = strlen(buf);

	while (*s && at + 1 < size)
		buf[at++] = *s++;
	buf[at] = '\0';
}

char *child_digits(uint64_t v, char *buf)
{
	char reversed[24];
	size_t n = 0, at = 0;

	do
		reversed[n++] = (char)('0' + v % 10);
	while ((v /= 10));
	while (n)
		buf[at++] = reversed[--n];
	buf[at] = '\0';
	return buf;
}

void child_fail(struct child *c, int sys, const char *what, const char *name)
{
	struct note n = { .kind = NOTE_FAILED, .sys = sys };

	n.pid = (int32_t)getpid();
	child_cat(n.what, sizeof(n.what), what);
	if (name)
		child_cat(n.name, sizeof(n.name), name);
	(void)note_send(c->fd, &n, NULL, 0); /* the parent also sees us gone */
	_exit(127);
}

long child_must(struct child *c, long rc, const char *what, const char *name)
{
	if (c->fault.in == c->in && ++c->calls == c->fault.nth)
		child_fail(c, EIO, what, name);
	if (rc < 0)
		child_fail(c, errno, what, name);
	return rc;
}

int child_write_file(int dir, const char *path, const char *text)
{
	int fd = openat(dir, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	size_t len = strlen(text);
	ssize_t rc;
	int saved;

	if (fd < 0)
		return -1;
	rc = write(fd, text, len); /* these files take one write or none */
	saved = errno;
	(void)close(fd);
	errno = rc < 0 ? saved : EIO;
	return rc == (ssize_t)len ? 0 : -1;
}

int child_set_caps(uint64_t keep)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

	for (int i = 0; i < 2; i++)
		data[i].permitted = data[i].effective = (uint32_t)(keep >> (32 * i));
	return (int)syscall(SYS_capset, &head, data);
}

int child_drop_caps(uint64_t keep, uint64_t bounding)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -1;
	for (unsigned long cap = 0; cap < 64; cap++)
		if (!(bounding >> cap & 1) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
			if (errno == EINVAL && cap)
				break; /* beyond the last one this kernel has */
			return -1;
		}
	return child_set_caps(keep);
}

void child_reset_signals(void)
{
	struct sigaction sa;
	sigset_t none;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = SIG_DFL;
	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &sa, NULL); /* KILL, STOP and libc's own refuse */
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}
