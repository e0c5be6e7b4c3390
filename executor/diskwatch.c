/* SPDX-License-Identifier: Apache-2.0 */
/* See diskwatch.h. Both ends: the one that counts, and the one that hears of it. */
#include "executor/diskwatch.h"

#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "executor/agent.h"
#include "executor/walk.h"

#define EVERY_MS  10000
#define REST	  20   /* of so much time one part is spent counting */
#define PATH_LONG 3500 /* no program works in such a folder; what lies there cannot be counted */

struct disk_watch {
	struct agent_process process;
	struct loop_source *source;
};

/* ---- counting ---- */

struct counting {
	int dirs[DIRS];
	size_t dirs_len;
	int chan;
	int64_t bytes, files;
	bool is_too_deep;
};

static int count_entry(int dir, const char *rel, const char *name, const struct stat *st,
	void *data, struct err *err)
{
	struct counting *c = data;
	int64_t bytes = (int64_t)st->st_blocks * 512;

	(void)dir;
	(void)name;
	(void)err;
	c->files++;
	c->bytes += S_ISREG(st->st_mode) && st->st_nlink > 1 ? bytes / (int64_t)st->st_nlink
							     : bytes;
	if (!S_ISDIR(st->st_mode) || strlen(rel) < PATH_LONG)
		return 0;
	c->is_too_deep = true;
	return 1;
}

static int tell(const struct counting *c)
{
	_cleanup_(json_freep) struct json *head = json_new_object();

	json_set_str(head, "op", "disk");
	json_set_int(head, "bytes", c->bytes);
	json_set_int(head, "files", c->files);
	json_set_bool(head, "too_deep", c->is_too_deep);
	return chan_send(c->chan, head, NULL, 0, NULL, 0, NULL);
}

static int count_run(void *data)
{
	struct counting *c = data;
	int64_t rest = EVERY_MS;

	(void)prctl(PR_SET_NAME, "sluice-disk");
	for (;;) {
		struct pollfd p = { .fd = c->chan, .events = POLLIN };
		int64_t began;

		if (poll(&p, 1, (int)rest) > 0)
			return 0; /* nobody asks: the executor has gone */
		began = clock_boot_ms();
		c->bytes = c->files = 0;
		c->is_too_deep = false;
		/* A folder that is changed while it is looked at is counted as far as it goes. */
		for (size_t i = 0; i < c->dirs_len; i++)
			(void)walk_tree(c->dirs[i], count_entry, c, NULL);
		if (tell(c) < 0)
			return 0;
		rest = (clock_boot_ms() - began) * REST;
		rest = rest < EVERY_MS ? EVERY_MS : rest > EVERY_MS * REST ? EVERY_MS * REST : rest;
	}
}

/* ---- hearing of it ---- */

static int64_t limit_of(const struct jobrun *job, const char *name)
{
	return json_get_int(job->spec->limits, name, 0);
}

static void over(struct jobrun *job, const char *text)
{
	struct job_note note = { .level = "error", .message = text };
	struct err err = ERR_INIT;

	job_say(job, 0, "##[error]%s", text);
	job_annotate(job, 0, &note);
	(void)err_set(&err, ERR_LIMIT, "%s", text);
	job_break(job, &err);
}

static void on_count(struct loop *l, int fd, uint32_t events, void *data)
{
	struct jobrun *job = data;
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	_cleanup_free_ char *text = NULL;
	int64_t disk = limit_of(job, "disk"), most = limit_of(job, "files");
	int64_t bytes, files;

	(void)l;
	(void)events;
	if (chan_recv(fd, &m, NULL) <= 0) {
		loop_remove(job->disk_watch->source);
		job->disk_watch->source = NULL;
		return;
	}
	bytes = json_get_int(m.head, "bytes", 0);
	files = json_get_int(m.head, "files", 0);
	if (disk > 0 && bytes > disk)
		text = xasprintf("disk limit: the job's files take %lld MiB of %lld MiB (limits.disk)",
			(long long)(bytes / MiB), (long long)(disk / MiB));
	else if (most > 0 && files > most)
		text = xasprintf("disk limit: the job has %lld files of %lld (limits.files)",
			(long long)files, (long long)most);
	else if (json_get_bool(m.head, "too_deep", false))
		text = xasprintf("disk limit: the job's folders are too deep to be counted");
	if (text)
		over(job, text);
}

int disk_watch_start(struct jobrun *job, const struct sandbox *sandbox, struct err *err)
{
	struct counting c = { 0 };
	struct sandbox_agent a = { .fn = count_run, .data = &c, .ro = c.dirs };
	struct disk_watch *w;
	int pair[2];

	if (limit_of(job, "disk") <= 0 && limit_of(job, "files") <= 0)
		return 0;
	if (chan_pair(pair, err) < 0)
		return -1;
	for (int i = 0; i < DIR_STAGE; i++)
		if (job->dirs[i] >= 0)
			c.dirs[c.dirs_len++] = job->dirs[i];
	c.chan = pair[1];
	a.ro_len = c.dirs_len;
	w = xcalloc(1, sizeof(*w));
	if (agent_process_start(sandbox, &a, pair, &w->process, err) < 0) {
		free(w);
		return err_wrap(err, "cannot watch the job's disk");
	}
	job->disk_watch = w;
	return 0;
}

void disk_watch_listen(struct jobrun *job)
{
	struct disk_watch *w = job->disk_watch;

	if (w)
		w->source = loop_add_fd(job->loop, w->process.chan, EPOLLIN, on_count, job);
}

void disk_watch_stop(struct jobrun *job)
{
	struct disk_watch *w = take_ptr(job->disk_watch);

	if (!w)
		return;
	loop_remove(w->source);
	agent_process_stop(&w->process, true); /* in the middle of counting, perhaps */
	free(w);
}
