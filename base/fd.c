/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors: whole reads and writes, whole files, locks, pidfds. */
#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/memfd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

ssize_t fd_read_full(int fd, void *buf, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, (char *)buf + got, len - got);

		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

int fd_write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_pwrite_all(int fd, const void *buf, size_t len, off_t at)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_read_to_end(int fd, size_t max, struct strbuf *sb, struct err *err)
{
	size_t before = sb->len;

	for (;;) {
		size_t got = sb->len - before;
		size_t want = got < 64 * 1024 ? 64 * 1024 : got;
		ssize_t n;

		/* One byte over the limit tells that there is more. */
		if (want > max - got)
			want = max - got + 1;
		strbuf_reserve(sb, want);
		n = fd_read_full(fd, sb->buf + sb->len, want);
		if (n < 0) {
			int sys = errno;

			strbuf_truncate(sb, before);
			errno = sys;
			return err_sys(err, "cannot read");
		}
		strbuf_commit(sb, (size_t)n);
		if (sb->len - before > max) {
			strbuf_truncate(sb, before);
			return err_set(err, ERR_LIMIT, "larger than %zu bytes", max);
		}
		if ((size_t)n < want)
			return 0;
	}
}

static int open_error(const char *path, struct err *err)
{
	int sys = errno;

	err_sys(err, "cannot open '%s'", path);
	if (!err)
		return -1;
	if (sys == ENOENT || sys == ENOTDIR)
		err->code = ERR_NOT_FOUND;
	else if (sys == ELOOP)
		err_set(err, ERR_INPUT, "'%s' is a symlink, not a regular file", path);
	else if (sys == ENXIO) /* a socket */
		err_set(err, ERR_INPUT, "'%s' is not a regular file", path);
	return -1;
}

int fd_read_file(
	int dir, const char *path, size_t max, struct strbuf *sb, struct err *err)
{
	const int how = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY;
	_cleanup_close_ int fd = openat(dir, path, how);
	struct stat st;

	if (fd < 0)
		return open_error(path, err);
	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot stat '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT, "'%s' is not a regular file", path);
	if (st.st_size > 0 && (uintmax_t)st.st_size > max)
		return err_set(
			err, ERR_LIMIT, "'%s' is larger than %zu bytes", path, max);
	if (fd_read_to_end(fd, max, sb, err) < 0)
		return err_wrap(err, "'%s'", path);
	return 0;
}

/* The temporary name cannot be guessed, so nobody can put something in its place. */
static int create_temp(
	int dir, mode_t mode, char *name, size_t size, int *ret_fd, struct err *err)
{
	_cleanup_close_ int fd = -1;
	uint64_t random = 0;

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return err_sys(err, "cannot get random bytes");
	(void)snprintf(name, size, ".tmp-%016llx", (unsigned long long)random);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "cannot create '%s'", name);
	if (fchmod(fd, mode) < 0) {
		err_sys(err, "cannot set the mode of '%s'", name);
		(void)unlinkat(dir, name, 0);
		return -1;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

static int move_into_place(int dir, const char *temp, const char *name,
	enum fd_replace_flags flags, struct err *err)
{
	int r;

	if (!(flags & FD_REPLACE_NEW)) {
		r = renameat(dir, temp, dir, name);
	} else {
		r = (int)syscall(SYS_renameat2, dir, temp, dir, name, 1U /* NOREPLACE */);
		if (r < 0 && (errno == EINVAL || errno == ENOSYS)) {
			/* A file system without it: a hard link fails on an existing name too. */
			r = linkat(dir, temp, dir, name, 0);
			if (r == 0)
				r = unlinkat(dir, temp, 0);
		}
	}
	if (r == 0)
		return 0;
	if (errno == EEXIST)
		return err_set(err, ERR_CONFLICT, "'%s' exists already", name);
	return err_sys(err, "cannot replace '%s'", name);
}

static int sync_folder(int dir, struct err *err)
{
	_cleanup_close_ int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* Where a folder cannot be synced (EINVAL) the file system keeps the order itself. */
	if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
		return err_sys(err, "cannot sync the folder");
	return 0;
}

static int write_temp(int fd, const void *data, size_t len, enum fd_replace_flags flags,
	struct err *err)
{
	if (fd_write_all(fd, data, len) < 0)
		return err_sys(err, "cannot write");
	if (!(flags & FD_REPLACE_NOSYNC) && fsync(fd) < 0)
		return err_sys(err, "cannot sync");
	return 0;
}

int fd_replace_file(int dir, const char *name, const void *data, size_t len, mode_t mode,
	enum fd_replace_flags flags, struct err *err)
{
	_cleanup_close_ int fd = -1;
	char temp[32];

	if (!*name || strchr(name, '/'))
		return err_set(err, ERR_BUG, "'%s' is not a file name", name);
	if (create_temp(dir, mode, temp, sizeof(temp), &fd, err) < 0)
		return err_wrap(err, "cannot write '%s'", name);
	if (write_temp(fd, data, len, flags, err) < 0) {
		(void)unlinkat(dir, temp, 0); /* what remains is only litter */
		return err_wrap(err, "'%s'", name);
	}
	if (move_into_place(dir, temp, name, flags, err) < 0) {
		(void)unlinkat(dir, temp, 0);
		return -1;
	}
	if (!(flags & FD_REPLACE_NOSYNC))
		return sync_folder(dir, err);
	return 0;
}

int fd_set_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -1;
	return fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

int fd_set_cloexec(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags < 0)
		return -1;
	return fcntl(fd, F_SETFD, on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC);
}

int fd_memfd(const char *name, const void *data, size_t len, struct err *err)
{
	const struct iovec part = { (void *)(uintptr_t)data, len };

	return fd_memfd_parts(name, &part, 1, err);
}

int fd_memfd_parts(
	const char *name, const struct iovec *parts, size_t len, struct err *err)
{
	const unsigned how = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	_cleanup_close_ int fd =
		(int)syscall(SYS_memfd_create, name, how | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = (int)syscall(SYS_memfd_create, name, how);
	if (fd < 0)
		return err_sys(err, "cannot make a memory file");
	for (size_t i = 0; i < len; i++)
		if (fd_write_all(fd, parts[i].iov_base, parts[i].iov_len) < 0)
			return err_sys(err, "cannot fill a memory file");
	if (fcntl(fd, F_ADD_SEALS,
		    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return err_sys(err, "cannot seal a memory file");
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, "cannot rewind a memory file");
	return take_fd(&fd);
}

static bool is_kept(int fd, const int *keep, size_t keep_len)
{
	for (size_t i = 0; i < keep_len; i++)
		if (keep[i] == fd)
			return true;
	return false;
}

struct dirent64_raw {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

/* Closes what one buffer of /proc/self/fd names; returns how many were closed. */
static int close_listed(
	const char *buf, long n, int self, int low, const int *keep, size_t keep_len)
{
	int closed = 0;

	for (long at = 0; at < n;) {
		const struct dirent64_raw *d = (const void *)(buf + at);
		int fd = 0;

		at += d->reclen;
		for (const char *p = d->name; *p; p++) {
			/* "." and "..": not a number. */
			if (*p < '0' || *p > '9') {
				fd = -1;
				break;
			}
			fd = fd * 10 + (*p - '0');
		}
		if (fd < low || fd == self || is_kept(fd, keep, keep_len))
			continue;
		(void)close(fd);
		closed++;
	}
	return closed;
}

/*
 * Without close_range (old kernels, strict containers): read /proc/self/fd with the raw
 * call, since opendir allocates and this runs between fork and exec.
 */
static void close_from_slowly(int low, const int *keep, size_t keep_len)
{
	int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct dirent64_raw) char buf[4096];
	struct rlimit limit = { 1024, 1024 };
	int closed = 1;

	/* Closing while listing may skip some: list until nothing is left to close. */
	while (dir >= 0 && closed > 0) {
		long n;

		closed = 0;
		(void)lseek(dir, 0, SEEK_SET);
		while ((n = syscall(SYS_getdents64, dir, buf, sizeof(buf))) > 0)
			closed += close_listed(buf, n, dir, low, keep, keep_len);
	}
	if (dir >= 0) {
		(void)close(dir);
		return;
	}
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	for (int fd = low; (rlim_t)fd < limit.rlim_cur && fd < 65536; fd++)
		if (!is_kept(fd, keep, keep_len))
			(void)close(fd);
}

static int close_range_raw(unsigned first, unsigned last)
{
	return first > last ? 0 : (int)syscall(SYS_close_range, first, last, 0U);
}

/* For the tests: the way of kernels without close_range. */
void fd_close_from_without_range(int low, const int *keep, size_t keep_len);

void fd_close_from_without_range(int low, const int *keep, size_t keep_len)
{
	close_from_slowly(low, keep, keep_len);
}

void fd_close_from(int low, const int *keep, size_t keep_len)
{
	unsigned first = (unsigned)low;

	for (size_t i = 0; i < keep_len; i++) {
		if (keep[i] < 0 || (unsigned)keep[i] < first)
			continue;
		if (keep[i] > 0 && close_range_raw(first, (unsigned)keep[i] - 1) < 0) {
			close_from_slowly(low, keep, keep_len);
			return;
		}
		first = (unsigned)keep[i] + 1;
	}
	if (close_range_raw(first, UINT_MAX) < 0)
		close_from_slowly(low, keep, keep_len);
}

int fd_lock(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 1;
	return errno == EAGAIN || errno == EACCES ? 0 : -1;
}

int fd_is_locked(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
		return -1;
	return lock.l_type != F_UNLCK;
}

int fd_pidfd_open(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0U); /* CLOEXEC by itself */
}

int fd_pidfd_signal(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0U);
}
