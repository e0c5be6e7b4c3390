/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors. All of ours are CLOEXEC from birth. Reads and writes here finish or fail;
 * EINTR is handled. Files are replaced whole (temp, fsync, rename, fsync of the folder).
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/strbuf.h"

/* Bytes read (less than LEN only at end of file), or -1. */
ssize_t fd_read_full(int fd, void *buf, size_t len);
int fd_write_all(int fd, const void *buf, size_t len); /* 0, or -1 with errno */
int fd_pwrite_all(int fd, const void *buf, size_t len, off_t at);

/* Appends what is left of FD to SB; ERR_LIMIT when it is more than MAX bytes. */
int fd_read_to_end(int fd, size_t max, struct strbuf *sb, struct err *err);

/*
 * Appends the whole of a *regular* file beneath DIR (AT_FDCWD for the working directory)
 * to SB. Opened O_NONBLOCK|O_NOFOLLOW and checked with fstat, so a FIFO planted there
 * cannot hang us. ERR_NOT_FOUND, ERR_LIMIT, ERR_INPUT (no regular file), ERR_SYS.
 */
int fd_read_file(int dir, const char *path, size_t max, struct strbuf *sb,
	struct err *err);

enum fd_replace_flags {
	FD_REPLACE_NOSYNC = 1 << 0, /* skip fsync: the file may be lost with the power */
	FD_REPLACE_NEW = 1 << 1,    /* fail with ERR_CONFLICT if it exists */
};

/* Writes DIR/NAME whole or not at all. NAME holds no slash. */
int fd_replace_file(int dir, const char *name, const void *data, size_t len, mode_t mode,
	enum fd_replace_flags flags, struct err *err);

int fd_set_nonblock(int fd, bool on);
int fd_set_cloexec(int fd, bool on);
/* A memory file holding DATA, sealed against any change; position 0. */
int fd_memfd(const char *name, const void *data, size_t len, struct err *err);
/* The same of several pieces, one behind the other. */
int fd_memfd_parts(
	const char *name, const struct iovec *parts, size_t len, struct err *err);
/* Closes everything from LOW up but the sorted KEEP list. Async-signal-safe. */
void fd_close_from(int low, const int *keep, size_t keep_len);
/* Takes an OFD write lock on FD: 1 taken, 0 held by somebody else, -1 with errno. */
int fd_lock(int fd);
/* Someone holds an OFD write lock on FD: 1 yes, 0 no, -1 with errno. */
int fd_is_locked(int fd);
/* pidfd helpers: -1 with errno. */
int fd_pidfd_open(pid_t pid);
int fd_pidfd_signal(int pidfd, int sig);

#endif
