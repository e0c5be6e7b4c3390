/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For scripts: one helper, some requests.
 *	helper_call HELPER MODE [PATH...] -- JSON [@BODY-FILE] [JSON ...]
 * PATHs are opened and become descriptors 3, 4, ... (a file ending in '+' is created; '-' is
 * a socket to which stdin goes and from which stdout comes after the requests). Each
 * answer is one line of JSON on stdout, with "body" if there is one. Exit 1 if any failed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "executor/helper.h"

static int die(const char *what, const struct err *err)
{
	(void)fprintf(stderr, "%s: %s\n", what, err->msg);
	return 2;
}

static int open_path(const char *path, int *ret_talk)
{
	size_t n = strlen(path);
	int pair[2];

	if (strcmp(path, "-") == 0 &&
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0) {
		*ret_talk = pair[0];
		return pair[1];
	}

	if (n > 0 && path[n - 1] == '+') {
		char *name = xstrndup(path, n - 1);
		int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

		free(name);
		return fd;
	}
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Stdin to the socket, then all that comes back to stdout. */
static int talk(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(0, buf, sizeof(buf))) > 0) {
		if (fd_write_all(fd, buf, (size_t)n) < 0)
			return 1;
	}
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		if (fd_write_all(1, buf, (size_t)n) < 0)
			return 1;
	}
	return n < 0;
}

static int call(struct helper *h, const char *text, const char *body_file)
{
	struct err err = ERR_INIT;
	struct json *head = NULL;
	struct chan_msg m = CHAN_MSG_INIT;
	struct strbuf body = STRBUF_INIT;
	char *out;

	if (json_parse(text, strlen(text), &head, &err) < 0)
		return die("request", &err);
	if (body_file && fd_read_file(AT_FDCWD, body_file, 1 << 26, &body, &err) < 0)
		return die("body", &err);
	if (helper_call(h, head, body.buf, body.len, NULL, 0, 120000, &m, &err) < 0) {
		struct json *fault = helper_answer_fault(1, &err);

		out = json_text(fault);
		(void)printf("%s\n", out);
		free(out);
		json_free(fault);
		json_free(head);
		strbuf_done(&body);
		return 1;
	}
	if (m.body.len > 0)
		json_set(m.head, "body", json_new_strn(m.body.buf, m.body.len));
	out = json_text(m.head);
	(void)printf("%s\n", out);
	free(out);
	chan_msg_done(&m);
	json_free(head);
	strbuf_done(&body);
	return 0;
}

int main(int argc, char **argv)
{
	struct helper_options o = HELPER_OPTIONS_INIT;
	struct helper h = HELPER_INIT;
	struct err err = ERR_INIT;
	int fds[HELPER_FDS_MAX];
	int rc = 0, i = 3, talk_fd = -1;

	if (argc < 5)
		return 2;
	o.exe = open(argv[1], O_PATH | O_CLOEXEC);
	o.mode = argv[2];
	for (; i < argc && strcmp(argv[i], "--") != 0 && o.fds_len < HELPER_FDS_MAX;
		i++) {
		fds[o.fds_len] = open_path(argv[i], &talk_fd);
		if (fds[o.fds_len++] < 0) {
			perror(argv[i]);
			return 2;
		}
	}
	o.fds = fds;
	if (helper_spawn(&o, &h, &err) < 0)
		return die("spawn", &err);
	for (i++; i < argc; i++) {
		const char *body =
			i + 1 < argc && argv[i + 1][0] == '@' ? argv[i + 1] + 1 : NULL;
		int r = call(&h, argv[i], body);

		rc = r > rc ? r : rc;
		i += body != NULL;
	}
	for (size_t j = 0; j < o.fds_len; j++)
		(void)close(fds[j]);
	(void)fflush(stdout);
	if (talk_fd >= 0 && rc == 0)
		rc = talk(talk_fd);
	helper_done(&h, 5000);
	return rc;
}
