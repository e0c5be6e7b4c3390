/* SPDX-License-Identifier: Apache-2.0 */
/* sluice-helper MODE: started by sluice alone; see helper.h for what it is told. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "executor/helper-internal.h"
#include "executor/helper.h"

static int usage(void)
{
	(void)fputs(
		"sluice-helper is started by sluice and does nothing by hand\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	const struct helper_mode *mode = argc == 2 ? helper_mode_find(argv[1]) : NULL;
	int fds[HELPER_FDS_MAX];
	size_t fds_len = 0;

	if (!mode || fcntl(HELPER_FD_CHAN, F_SETFD, FD_CLOEXEC) < 0)
		return usage();
	for (int fd = HELPER_FD_FIRST; fd < HELPER_FD_FIRST + HELPER_FDS_MAX; fd++) {
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			break;
		fds[fds_len++] = fd;
	}
	(void)umask(022);
	(void)signal(SIGPIPE, SIG_IGN);
	log_open("helper", LOG_WARN);
	/* Not by way of exit handlers: the confinement has no room for what they may do. */
	_exit(helper_serve(mode, HELPER_FD_CHAN, fds, fds_len));
}
