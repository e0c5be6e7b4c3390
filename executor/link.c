/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of the conversation between core and an executor, and the lock's holder. */
#include "executor/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/strbuf.h"

#define HOLDER_SIZE_MAX 4096

static struct json *head_new(const char *op)
{
	struct json *head = json_new_object();

	json_set_str(head, "op", op);
	return head;
}

struct json *link_hello(const struct link_hello *h)
{
	struct json *head = head_new("hello");

	json_set_int(head, "version", LINK_VERSION);
	json_set_int(head, "job", h->job);
	json_set_int(head, "attempt", h->attempt);
	json_set_int(head, "try", h->try);
	json_set_int(head, "epoch", h->epoch);
	json_set_str(head, "state", h->state);
	json_set_int(head, "frames", (int64_t)h->frames);
	json_set_int(head, "log", (int64_t)h->log);
	return head;
}

struct json *link_frames(uint64_t frames, uint64_t log)
{
	struct json *head = head_new("frames");

	json_set_int(head, "frames", (int64_t)frames);
	json_set_int(head, "log", (int64_t)log);
	return head;
}

struct json *link_go(int64_t epoch)
{
	struct json *head = head_new("go");

	json_set_int(head, "epoch", epoch);
	return head;
}

struct json *link_cancel(const char *reason, bool force)
{
	struct json *head = head_new("cancel");

	json_set_str(head, "reason", reason ? reason : "");
	json_set_bool(head, "force", force);
	return head;
}

struct json *link_abort(const char *reason)
{
	struct json *head = head_new("abort");

	json_set_str(head, "reason", reason ? reason : "");
	return head;
}

int link_read_hello(const struct json *head, struct link_hello *ret, struct err *err)
{
	struct link_hello h = {
		.job = json_get_int(head, "job", -1),
		.attempt = json_get_int(head, "attempt", -1),
		.try = json_get_int(head, "try", -1),
		.epoch = json_get_int(head, "epoch", -1),
		.state = json_get_str(head, "state", NULL),
	};
	int64_t frames = json_get_int(head, "frames", -1);
	int64_t log = json_get_int(head, "log", -1);

	if (!str_eq(json_get_str(head, "op", NULL), "hello"))
		return err_set(err, ERR_INPUT, "an executor's first word is not hello");
	if (json_get_int(head, "version", -1) != LINK_VERSION)
		return err_set(err, ERR_INPUT, "an executor speaks another version");
	if (h.job < 0 || h.attempt < 0 || h.try < 0 || h.epoch < 0 || !h.state ||
		frames < 0 || log < 0)
		return err_set(err, ERR_INPUT, "an executor's hello is incomplete");
	h.frames = (uint64_t)frames;
	h.log = (uint64_t)log;
	*ret = h;
	return 0;
}

/* ---- who holds the lock ---- */

static int read_boot_id(char *buf, size_t size, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	if (fd_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 256, &text, err) <
		0)
		return -1;
	text.buf[strcspn(text.buf, "\n")] = '\0';
	if (strlen(text.buf) + 1 > size)
		return err_set(err, ERR_CORRUPT, "the boot id is too long");
	memcpy(buf, text.buf, strlen(text.buf) + 1);
	return 0;
}

/* Field 22 of /proc/PID/stat; the name in field 2 may hold blanks and brackets. */
static int read_starttime(int64_t pid, int64_t *ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	char path[64];
	char *at;

	(void)snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
	if (fd_read_file(AT_FDCWD, path, HOLDER_SIZE_MAX, &text, err) < 0)
		return -1;
	at = strrchr(text.buf, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return err_set(err, ERR_CORRUPT, "cannot read '%s'", path);
	*ret = strtoll(at + 1, NULL, 10);
	return 0;
}

int link_holder_self(struct link_holder *ret, struct err *err)
{
	struct link_holder h = { .pid = getpid() };

	if (read_boot_id(h.boot_id, sizeof(h.boot_id), err) < 0 ||
		read_starttime(h.pid, &h.starttime, err) < 0)
		return -1;
	*ret = h;
	return 0;
}

int link_holder_write(int fd, const struct link_holder *h, struct err *err)
{
	_cleanup_free_ char *text =
		xasprintf("{\"boot_id\":\"%s\",\"pid\":%lld,\"starttime\":%lld}\n",
			h->boot_id, (long long)h->pid, (long long)h->starttime);

	if (ftruncate(fd, 0) < 0 || fd_pwrite_all(fd, text, strlen(text), 0) < 0)
		return err_sys(err, "cannot write the lock file");
	return 0;
}

int link_holder_read(int dir, struct link_holder *ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_(json_freep) struct json *j = NULL;
	struct link_holder h = { .pid = -1 };
	const char *boot_id;

	if (fd_read_file(dir, JOB_FILE_LOCK, HOLDER_SIZE_MAX, &text, err) < 0)
		return -1;
	if (json_parse(text.buf, text.len, &j, err) < 0)
		return err_wrap(err, "the lock file");
	boot_id = json_get_str(j, "boot_id", "");
	h.pid = json_get_int(j, "pid", -1);
	h.starttime = json_get_int(j, "starttime", -1);
	if (!*boot_id || strlen(boot_id) >= sizeof(h.boot_id) || h.pid <= 0)
		return err_set(err, ERR_INPUT, "the lock file names no holder");
	memcpy(h.boot_id, boot_id, strlen(boot_id) + 1);
	*ret = h;
	return 0;
}

bool link_holder_lives(const struct link_holder *h)
{
	char boot_id[sizeof(h->boot_id)];
	int64_t starttime;

	return read_boot_id(boot_id, sizeof(boot_id), NULL) == 0 &&
	       str_eq(boot_id, h->boot_id) &&
	       read_starttime(h->pid, &starttime, NULL) == 0 && starttime == h->starttime;
}
