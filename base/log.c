/* SPDX-License-Identifier: Apache-2.0 */
/* Our own log, one JSON object a line. The one place with mutable globals besides main. */
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/strbuf.h"

#define LOG_MSG_MAX 8192

static const char *const level_names[] = {
	[LOG_ERR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

static struct {
	const char *program;
	const char *request;
	enum log_level level;
	int fd;
} logger = { "sluice", NULL, LOG_INFO, 2 };

void log_open(const char *program, enum log_level level)
{
	const char *asked = getenv("SLUICE_LOG");

	logger.program = program;
	logger.level = level;
	for (size_t i = 0; asked && i < ARRAY_SIZE(level_names); i++)
		if (str_eq(asked, level_names[i]))
			logger.level = (enum log_level)i;
}

void log_set_fd(int fd)
{
	logger.fd = fd;
}

void log_set_request(const char *id)
{
	logger.request = id;
}

static void log_line(enum log_level level, int sys, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

static void log_line(enum log_level level, int sys, const char *fmt, va_list ap)
{
	_cleanup_(json_freep) struct json *line = NULL;
	_cleanup_(strbuf_done) struct strbuf msg = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
	char now[CLOCK_TEXT_MAX];

	if (level > logger.level)
		return;
	strbuf_vaddf(&msg, fmt, ap);
	if (msg.len > LOG_MSG_MAX)
		strbuf_truncate(&msg, LOG_MSG_MAX);
	if (sys)
		strbuf_addf(&msg, ": %s", err_sys_text(sys));
	line = json_new_object();
	json_set_str(line, "time", clock_format(clock_wall_ms(), now));
	json_set_str(line, "level", level_names[level]);
	json_set_str(line, "program", logger.program);
	json_set_int(line, "pid", getpid());
	if (logger.request)
		json_set_str(line, "request", logger.request);
	json_set_str(line, "msg", msg.buf);
	json_write(line, 0, &out);
	strbuf_addc(&out, '\n');
	/* One write, so that lines of several processes do not mix; nobody to tell if it fails. */
	(void)fd_write_all(logger.fd, out.buf, out.len);
}

/* Callers on their way out of an error still need errno. */
#define LOG_BODY(level, sys)                        \
	do {                                        \
		int saved_ = errno;                 \
		va_list ap_;                        \
		va_start(ap_, fmt);                 \
		log_line((level), (sys), fmt, ap_); \
		va_end(ap_);                        \
		errno = saved_;                     \
	} while (0)

void log_err(const char *fmt, ...)
{
	LOG_BODY(LOG_ERR, 0);
}

void log_warn(const char *fmt, ...)
{
	LOG_BODY(LOG_WARN, saved_);
}

void log_warnx(const char *fmt, ...)
{
	LOG_BODY(LOG_WARN, 0);
}

void log_info(const char *fmt, ...)
{
	LOG_BODY(LOG_INFO, 0);
}

void log_debug(const char *fmt, ...)
{
	LOG_BODY(LOG_DEBUG, 0);
}
