/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Archives unpacked into a folder beside a canary, with small limits. Nothing may appear
 * or change outside the folder, and the limits hold.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/path.h"
#include "executor/helper-internal.h"

static void must(bool holds)
{
	if (!holds)
		abort();
}

static size_t entries(int dir)
{
	DIR *d = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	size_t n = 0;

	must(d != NULL);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void unpack(int in, int out)
{
	static const char request[] = "{\"max_bytes\": 1048576, \"max_entries\": 200}";
	struct json *answer = json_new_object();
	struct chan_msg m = CHAN_MSG_INIT;
	struct strbuf body = STRBUF_INIT;
	const int fds[] = { in, out };
	struct helper_request r = {
		.msg = &m, .fds = fds, .fds_len = 2, .answer = answer, .body = &body
	};
	struct err err = ERR_INIT;

	must(json_parse(request, sizeof(request) - 1, &m.head, &err) == 0);
	r.head = m.head;
	if (archive_op_unpack(&r, &err) < 0)
		must(err.msg[0] != '\0');
	else
		must(json_get_int(answer, "bytes", 0) <= 1 << 20);
	json_free(answer);
	chan_msg_done(&m);
	strbuf_done(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/tmp/sluice-fuzz.XXXXXX", canary[8] = "";
	struct err err = ERR_INIT;
	int in = fd_memfd("archive", data, size, &err), root, out, fd;

	must(in >= 0 && mkdtemp(path));
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(root >= 0 && mkdirat(root, "out", 0755) == 0 &&
		mkdirat(root, "canary", 0755) == 0);
	fd = openat(root, "canary/file", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	must(fd >= 0 && write(fd, "canary", 6) == 6);
	out = openat(root, "out", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unpack(in, out);
	must(entries(root) == 2);
	must(pread(fd, canary, 7, 0) == 6 && strcmp(canary, "canary") == 0);
	close(fd);
	close(out);
	close(in);
	must(path_remove_tree(root, "out", &err) == 0 &&
		path_remove_tree(root, "canary", &err) == 0);
	close(root);
	must(rmdir(path) == 0);
	return 0;
}
