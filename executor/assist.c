/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers run as the service, confined to the descriptors they get: never as the job. */
#include "executor/assist.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/limits.h"
#include "base/path.h"
#include "executor/walk.h"

struct wait {
	struct chan_msg *to;
	struct loop_source *source, *timer;
	bool is_done;
	int result;
	struct err err;
};

static void end_wait(struct wait *w, int result)
{
	w->result = result;
	w->is_done = true;
	loop_remove(w->source);
	loop_remove(w->timer);
	w->source = w->timer = NULL;
}

static void on_answer(struct loop *l, int fd, uint32_t events, void *data)
{
	struct wait *w = data;
	int got = chan_recv(fd, w->to, &w->err);

	if (got == 0)
		(void)err_set(&w->err, ERR_SYS, "sluice-helper ended without an answer");
	end_wait(w, got == 1 ? 0 : -1);
}

static void on_late(struct loop *l, void *data)
{
	struct wait *w = data;

	w->timer = NULL;
	(void)err_set(&w->err, ERR_TIMEOUT, "sluice-helper did not answer in time");
	end_wait(w, -1);
}

/* A cancelled job does not wait for a checkout. */
static void on_cancel_look(struct loop *l, void *data)
{
	struct wait *w = data;

	(void)err_set(&w->err, ERR_UNAVAILABLE, "the job was cancelled");
	end_wait(w, -1);
}

void assist_interrupt(struct jobrun *job)
{
	if (job->assist_cancel)
		job->assist_cancel(job->loop, job->assist_data);
}

int assist_call(struct jobrun *job, struct helper *h, struct json *head, const void *body,
	size_t len, int attached, int64_t timeout_ms, struct chan_msg *ret,
	struct err *err)
{
	struct chan_msg own = CHAN_MSG_INIT;
	struct wait w = { .to = ret ? ret : &own };
	int result;

	if (timeout_ms <= 0)
		timeout_ms = LIMIT_GIT_SECONDS * 1000LL;
	json_set_int(head, "seq", 1);
	if (chan_send(h->chan, head, body, len, &attached, attached >= 0 ? 1 : 0, err) <
		0)
		return err_wrap(err, "cannot ask sluice-helper");
	w.source = loop_add_fd(job->loop, h->chan, EPOLLIN, on_answer, &w);
	w.timer = loop_add_timer(job->loop, timeout_ms, on_late, &w);
	job->assist_cancel = on_cancel_look;
	/* cppcheck-suppress autoVariables ; only until the wait is over */
	job->assist_data = &w;
	job_wait(job, &w.is_done);
	job->assist_cancel = NULL;
	job->assist_data = NULL;
	if (!w.is_done) {
		(void)err_set(&w.err, ERR_UNAVAILABLE, "the job has broken");
		end_wait(&w, -1);
	}
	if (w.result < 0) {
		if (err)
			*err = w.err;
		result = -1;
	} else {
		result = helper_answer_err(w.to->head, err);
	}
	chan_msg_done(&own);
	return result;
}

int assist_start(struct jobrun *job, const char *mode, const int *fds, size_t fds_len,
	struct helper *ret, struct err *err)
{
	struct helper_options o = HELPER_OPTIONS_INIT;
	_cleanup_close_ int exe = -1;

	if (job->opt->helper) {
		exe = open(job->opt->helper, O_PATH | O_CLOEXEC);
		if (exe < 0)
			return err_sys(err, "cannot open '%s'", job->opt->helper);
	}
	o.mode = mode;
	o.fds = fds;
	o.fds_len = fds_len;
	o.exe = exe;
	return helper_spawn(&o, ret, err);
}

int assist(struct jobrun *job, const char *mode, const int *fds, size_t fds_len,
	struct json *head, int attached, int64_t timeout_ms, struct chan_msg *ret,
	struct err *err)
{
	_cleanup_(helper_cleanup) struct helper h = HELPER_INIT;

	if (assist_start(job, mode, fds, fds_len, &h, err) < 0)
		return -1;
	return assist_call(job, &h, head, NULL, 0, attached, timeout_ms, ret, err);
}

int assist_stage(struct jobrun *job, char name[64], int *ret_fd, struct err *err)
{
	_cleanup_free_ char *random = crypto_random_hex(8);

	(void)snprintf(name, 64, "stage-%s", random);
	if (mkdirat(job->dirs[DIR_STAGE], name, 0755) < 0)
		return err_sys(err, "cannot make a folder to work in");
	*ret_fd = path_open(job->dirs[DIR_STAGE], name, O_RDONLY | O_DIRECTORY, 0,
		PATH_NO_SYMLINKS, err);
	return *ret_fd < 0 ? -1 : 0;
}

static int hand_over(int dir, const char *rel, const char *name, const struct stat *st,
	void *data, struct err *err)
{
	const struct sandbox_ids *ids = data;

	/* Hard-linked packs stay root's: they are the mirror's as well. */
	if (S_ISREG(st->st_mode) && st->st_nlink > 1)
		return 0;
	if (fchownat(dir, name, ids->service_uid, ids->service_gid, AT_SYMLINK_NOFOLLOW) <
		0)
		return err_sys(err, "cannot hand over '%s'", rel);
	return 0;
}

int assist_hand_over(struct jobrun *job, int tree, struct err *err)
{
	const struct sandbox_ids *ids = &job->opt->ids;

	if (geteuid() != 0 || ids->service_uid == 0)
		return 0;
	if (walk_tree(tree, hand_over, (void *)ids, err) < 0)
		return -1;
	if (fchown(tree, ids->service_uid, ids->service_gid) < 0)
		return err_sys(err, "cannot hand over a folder");
	return 0;
}
