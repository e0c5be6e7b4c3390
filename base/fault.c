/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

static void note(const char *path, const char *name)
{
	char line[128];
	size_t len = strlen(name);
	int fd;

	if (len >= sizeof(line))
		return;
	memcpy(line, name, len);
	line[len] = '\n';
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	(void)fd_write_all(
		fd, line, len + 1); /* a test that reads the list will notice */
	(void)close(fd);
}

void fault_point(const char *name)
{
	static unsigned long passed; /* of the one point asked for */
	const char *list = getenv("SLUICE_FAULT_LIST");
	const char *want = getenv("SLUICE_FAULT");
	size_t len = strlen(name);

	if (list)
		note(list, name);
	if (!want || strncmp(want, name, len) != 0 || want[len] != ':')
		return;
	if (++passed == strtoul(want + len + 1, NULL, 10))
		_exit(137);
}
