/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own log: one JSON object a line on stderr, {"time","level","program","msg", ...}.
 * FMT is the message; further facts are appended by the caller as `key=value` in it.
 * workflows/ and sandbox/ never call this: whoever handles an error logs it, once.
 * No secret, ever. Control characters are escaped by the JSON string.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/*
 * PROGRAM names the process ("core", "web"); $SLUICE_LOG (error, warn, info, debug) wins
 * over LEVEL.
 */
void log_open(const char *program, enum log_level level);
void log_set_fd(int fd); /* default 2 */
/* A request id for all lines from here on; NULL for none. Borrowed. */
void log_set_request(const char *id);

void log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Adds the words of errno. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
