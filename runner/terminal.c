/* SPDX-License-Identifier: Apache-2.0 */
/* One poll loop; what is typed ahead waits here until the far side takes it. */
#include "runner/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

#define CHUNK	     4096
#define END_OF_INPUT "\004" /* Ctrl-D, as the far side's terminal takes it */

static volatile sig_atomic_t was_resized, was_told_to_end;

static void on_signal(int sig)
{
	if (sig == SIGWINCH)
		was_resized = 1;
	else
		was_told_to_end = 1;
}

static void window(struct winsize *ret)
{
	*ret = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	if (ioctl(1, TIOCGWINSZ, ret) < 0 || !ret->ws_col || !ret->ws_row) {
		ret->ws_row = 24;
		ret->ws_col = 80;
	}
}

void terminal_describe(struct json *j)
{
	const char *term = getenv("TERM");
	struct winsize size;

	window(&size);
	json_set_int(j, "rows", size.ws_row);
	json_set_int(j, "cols", size.ws_col);
	json_set_str(j, "term", term && isatty(0) ? term : "dumb");
}

struct join {
	int near, chan;
	char typed[CHUNK];
	size_t typed_len;
	bool input_ended, far_ended;
};

/* Every byte by itself, whatever it means: the far side's terminal has the meanings. */
static bool make_raw(struct termios *ret_old)
{
	struct termios raw;

	if (tcgetattr(0, ret_old) < 0)
		return false;
	raw = *ret_old;
	cfmakeraw(&raw);
	return tcsetattr(0, TCSAFLUSH, &raw) == 0;
}

static void take_input(struct join *j)
{
	ssize_t n = read(0, j->typed, sizeof(j->typed));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		j->typed_len = (size_t)n;
		return;
	}
	j->input_ended = true;
	(void)memcpy(j->typed, END_OF_INPUT, 1);
	j->typed_len = 1;
}

static void give_input(struct join *j)
{
	ssize_t n = write(j->near, j->typed, j->typed_len);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		j->far_ended = true;
		return;
	}
	j->typed_len -= (size_t)n;
	(void)memmove(j->typed, j->typed + n, j->typed_len);
}

static void take_output(struct join *j)
{
	char buf[CHUNK];
	ssize_t n = read(j->near, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	/* EIO: nobody has the far end open any more. */
	if (n <= 0 || fd_write_all(1, buf, (size_t)n) < 0)
		j->far_ended = true;
}

/* What the shell printed before it ended is still in there. */
static void drain(struct join *j)
{
	struct pollfd p = { .fd = j->near, .events = POLLIN };

	while (!j->far_ended && poll(&p, 1, 0) > 0 && (p.revents & POLLIN))
		take_output(j);
}

static int turn(struct join *j, struct chan_msg *ret, struct err *err)
{
	struct pollfd p[3] = {
		{ .fd = j->input_ended || j->typed_len ? -1 : 0, .events = POLLIN },
		{ .fd = j->far_ended ? -1 : j->near,
			.events = (short)(POLLIN | (j->typed_len ? POLLOUT : 0)) },
		{ .fd = j->chan, .events = POLLIN },
	};
	struct winsize size;

	if (was_resized) {
		was_resized = 0;
		window(&size);
		(void)ioctl(j->near, TIOCSWINSZ, &size); /* it is only a size */
	}
	if (poll(p, ARRAY_SIZE(p), -1) < 0)
		return errno == EINTR ? 2 : err_sys(err, "cannot wait for the terminal");
	if (p[1].revents & (POLLIN | POLLHUP | POLLERR))
		take_output(j);
	if (p[1].revents & POLLOUT)
		give_input(j);
	if (p[0].revents)
		take_input(j);
	if (p[2].revents) {
		drain(j);
		return chan_recv(j->chan, ret, err);
	}
	return 2;
}

int terminal_join(int near, int chan, struct chan_msg *ret, struct err *err)
{
	static const int sigs[] = { SIGWINCH, SIGTERM, SIGHUP, SIGINT };
	struct join j = { .near = near, .chan = chan };
	struct sigaction sa = { .sa_handler = on_signal }, old[ARRAY_SIZE(sigs)];
	struct termios before;
	bool is_raw;
	int rc = 2;

	for (size_t i = 0; i < ARRAY_SIZE(sigs); i++)
		(void)sigaction(sigs[i], &sa, &old[i]);
	is_raw = isatty(0) && make_raw(&before);
	(void)fd_set_nonblock(near, true);
	was_resized = 1;
	while (rc == 2 && !was_told_to_end)
		rc = turn(&j, ret, err);
	if (is_raw)
		(void)tcsetattr(
			0, TCSADRAIN, &before); /* nothing better to do than leave */
	for (size_t i = 0; i < ARRAY_SIZE(sigs); i++)
		(void)sigaction(sigs[i], &old[i], NULL);
	return rc == 2 ? 0 : rc;
}
