/* SPDX-License-Identifier: Apache-2.0 */
/* The error value. Messages are cut, never overflowed, and never inside a UTF-8 letter. */
#define ERR_IMPLEMENTATION
#include "base/err.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

static const char *const code_names[] = {
	[ERR_NONE] = "none",
	[ERR_INPUT] = "input",
	[ERR_LIMIT] = "limit",
	[ERR_NOT_FOUND] = "not_found",
	[ERR_CONFLICT] = "conflict",
	[ERR_DENIED] = "denied",
	[ERR_UNAVAILABLE] = "unavailable",
	[ERR_TIMEOUT] = "timeout",
	[ERR_CORRUPT] = "corrupt",
	[ERR_UNSUPPORTED] = "unsupported",
	[ERR_SYS] = "sys",
	[ERR_BUG] = "bug",
};

/*
 * The C library's own words start with a capital and may be translated; these are the
 * ones a person meets, as our messages are written.
 */
static const char *const sys_texts[] = {
	[EPERM] = "operation not permitted",
	[ENOENT] = "no such file or directory",
	[ESRCH] = "no such process",
	[EINTR] = "interrupted system call",
	[EIO] = "input/output error",
	[ENXIO] = "no such device or address",
	[E2BIG] = "argument list too long",
	[ENOEXEC] = "exec format error",
	[EBADF] = "bad file descriptor",
	[ECHILD] = "no child processes",
	[EAGAIN] = "resource temporarily unavailable",
	[ENOMEM] = "cannot allocate memory",
	[EACCES] = "permission denied",
	[EFAULT] = "bad address",
	[ENOTBLK] = "block device required",
	[EBUSY] = "device or resource busy",
	[EEXIST] = "file exists",
	[EXDEV] = "invalid cross-device link",
	[ENODEV] = "no such device",
	[ENOTDIR] = "not a directory",
	[EISDIR] = "is a directory",
	[EINVAL] = "invalid argument",
	[ENFILE] = "too many open files in system",
	[EMFILE] = "too many open files",
	[ENOTTY] = "inappropriate ioctl for device",
	[ETXTBSY] = "text file busy",
	[EFBIG] = "file too large",
	[ENOSPC] = "no space left on device",
	[ESPIPE] = "illegal seek",
	[EROFS] = "read-only file system",
	[EMLINK] = "too many links",
	[EPIPE] = "broken pipe",
	[EDOM] = "numerical argument out of domain",
	[ERANGE] = "numerical result out of range",
	[EDEADLK] = "resource deadlock avoided",
	[ENAMETOOLONG] = "file name too long",
	[ENOLCK] = "no locks available",
	[ENOSYS] = "function not implemented",
	[ENOTEMPTY] = "directory not empty",
	[ELOOP] = "too many levels of symbolic links",
	[ENODATA] = "no data available",
	[ETIME] = "timer expired",
	[EPROTO] = "protocol error",
	[EBADMSG] = "bad message",
	[EOVERFLOW] = "value too large for defined data type",
	[EILSEQ] = "invalid or incomplete multibyte or wide character",
	[EUSERS] = "too many users",
	[ENOTSOCK] = "socket operation on non-socket",
	[EDESTADDRREQ] = "destination address required",
	[EMSGSIZE] = "message too long",
	[EPROTOTYPE] = "protocol wrong type for socket",
	[ENOPROTOOPT] = "protocol not available",
	[EPROTONOSUPPORT] = "protocol not supported",
	[ESOCKTNOSUPPORT] = "socket type not supported",
	[EOPNOTSUPP] = "operation not supported",
	[EAFNOSUPPORT] = "address family not supported by protocol",
	[EADDRINUSE] = "address already in use",
	[EADDRNOTAVAIL] = "cannot assign requested address",
	[ENETDOWN] = "network is down",
	[ENETUNREACH] = "network is unreachable",
	[ENETRESET] = "network dropped connection on reset",
	[ECONNABORTED] = "software caused connection abort",
	[ECONNRESET] = "connection reset by peer",
	[ENOBUFS] = "no buffer space available",
	[EISCONN] = "transport endpoint is already connected",
	[ENOTCONN] = "transport endpoint is not connected",
	[ESHUTDOWN] = "cannot send after transport endpoint shutdown",
	[ETOOMANYREFS] = "too many references: cannot splice",
	[ETIMEDOUT] = "connection timed out",
	[ECONNREFUSED] = "connection refused",
	[EHOSTDOWN] = "host is down",
	[EHOSTUNREACH] = "no route to host",
	[EALREADY] = "operation already in progress",
	[EINPROGRESS] = "operation now in progress",
	[ESTALE] = "stale file handle",
	[EUCLEAN] = "structure needs cleaning",
	[EREMOTEIO] = "remote i/o error",
	[EDQUOT] = "disk quota exceeded",
	[ECANCELED] = "operation canceled",
	[ENOKEY] = "required key not available",
	[EOWNERDEAD] = "owner died",
};

/* vsnprintf may have cut a letter in two: drop its first half. */
static void drop_half_letter(char *msg)
{
	size_t len = strlen(msg);
	size_t start = len;
	size_t want;

	if (len < ERR_MSG_MAX - 1)
		return;
	while (start > 0 && len - start < 4 &&
		((unsigned char)msg[start - 1] & 0xc0) == 0x80)
		start--;
	if (start == 0 || (unsigned char)msg[start - 1] < 0xc0)
		return;
	start--;
	want = (unsigned char)msg[start] >= 0xf0   ? 4
	       : (unsigned char)msg[start] >= 0xe0 ? 3
						   : 2;
	if (len - start < want)
		msg[start] = '\0';
}

static int err_fill(struct err *err, enum err_code code, int sys, const char *msg)
{
	size_t len = strnlen(msg, ERR_MSG_MAX - 1);

	if (!err)
		return -1;
	err->code = code;
	err->sys = sys;
	memcpy(err->msg, msg, len);
	err->msg[len] = '\0';
	drop_half_letter(err->msg);
	return -1;
}

int err_vset(struct err *err, enum err_code code, const char *fmt, va_list ap)
{
	char msg[ERR_MSG_MAX]; /* the arguments may point into err->msg */

	(void)vsnprintf(msg, sizeof(msg), fmt, ap);
	return err_fill(err, code, 0, msg);
}

int err_set(struct err *err, enum err_code code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	err_vset(err, code, fmt, ap);
	va_end(ap);
	return -1;
}

int err_sys(struct err *err, const char *fmt, ...)
{
	int sys = errno;
	char what[ERR_MSG_MAX];
	char msg[ERR_MSG_MAX + 128];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	(void)snprintf(msg, sizeof(msg), "%s: %s", what, err_sys_text(sys));
	err_fill(err, ERR_SYS, sys, msg);
	errno = sys;
	return -1;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	char prefix[ERR_MSG_MAX];
	char msg[2 * ERR_MSG_MAX + 2];
	va_list ap;

	if (!err)
		return -1;
	va_start(ap, fmt);
	(void)vsnprintf(prefix, sizeof(prefix), fmt, ap);
	va_end(ap);
	(void)snprintf(msg, sizeof(msg), "%s: %s", prefix, err->msg);
	return err_fill(err, err->code, err->sys, msg);
}

void err_clear(struct err *err)
{
	*err = (struct err)ERR_INIT;
}

const char *err_code_name(enum err_code code)
{
	if ((size_t)code >= ARRAY_SIZE(code_names))
		return "bug";
	return code_names[code];
}

const char *err_sys_text(int sys)
{
	const char *text = NULL;

	if (sys == 0)
		return "no error";
	if (sys > 0 && (size_t)sys < ARRAY_SIZE(sys_texts))
		text = sys_texts[sys];
	if (!text)
		text = strerrordesc_np(sys); /* rare ones, never translated */
	return text ? text : "unknown error";
}
