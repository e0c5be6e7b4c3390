/* SPDX-License-Identifier: Apache-2.0 */
/* The near end of the agent: requests that turn the loop until they are answered. */
#include "executor/agent.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/agent-internal.h"
#include "executor/artifact.h"
#include "executor/helper.h"

#define BROKEN_WAIT_MS 5000

struct agent {
	struct agent_process process;
	int64_t seq;
	bool is_busy;
	size_t posted; /* answers nobody has waited for yet */
	struct err posted_err;
};

int agent_process_start(const struct sandbox *sandbox, struct sandbox_agent *a,
	const int pair[2], struct agent_process *ret, struct err *err)
{
	int result;

	a->keep = &pair[1];
	a->keep_len = 1;
	result = sandbox_agent(sandbox, a, &ret->pid, &ret->pidfd, err);
	(void)close(pair[1]); /* it has its own */
	if (result < 0)
		(void)close(pair[0]); /* nobody is there */
	else
		ret->chan = pair[0];
	return result;
}

void agent_process_stop(struct agent_process *p, bool is_killed)
{
	(void)close(p->chan); /* its end of file ends it */
	if (is_killed)
		(void)fd_pidfd_signal(p->pidfd, SIGKILL);
	while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	(void)close(p->pidfd); /* reaped */
}

int agent_start(struct jobrun *job, const struct sandbox *sandbox, struct err *err)
{
	bool is_self = job->opt->ids.how == SANDBOX_IDMAP_SELF;
	int pair[2] = { -1, -1 }, rw[DIRS], ro[2];
	struct agent_server s = { .dirs = job->dirs,
		.workspace = job->workspace,
		.workspace_rel = job->workspace_rel };
	struct sandbox_agent a = { .fn = agent_serve, .data = &s, .rw = rw, .ro = ro };
	struct agent *agent;

	if (chan_pair(pair, err) < 0)
		return -1;
	s.chan = pair[1];
	s.uid = s.gid = is_self ? 0 : 1;
	for (int i = 0; i < DIRS; i++)
		if (job->dirs[i] >= 0)
			rw[a.rw_len++] = job->dirs[i];
	/* What it copies actions from; Landlock looks at paths, not at who opened them. */
	if (job->opt->actions_dir >= 0)
		ro[a.ro_len++] = job->opt->actions_dir;
	if (job->root_is_copy)
		ro[a.ro_len++] = job->prepared.tree;
	agent = xcalloc(1, sizeof(*agent));
	if (agent_process_start(sandbox, &a, pair, &agent->process, err) < 0) {
		free(agent);
		return err_wrap(err, "cannot start the job's agent");
	}
	job->agent = agent;
	return 0;
}

void agent_stop(struct jobrun *job)
{
	struct agent *a = job->agent;

	if (!a)
		return;
	job->agent = NULL;
	agent_process_stop(&a->process, a->is_busy);
	free(a);
}

struct waiting {
	struct chan_msg *to;
	struct loop_source *source;
	bool is_done;
	int result;
	struct err err;
};

static void on_answer(struct loop *l, int fd, uint32_t events, void *data)
{
	struct waiting *w = data;
	int got = chan_recv(fd, w->to, &w->err);

	if (got == 0)
		(void)err_set(&w->err, ERR_BUG, "the job's agent ended");
	w->result = got == 1 ? 0 : -1;
	w->is_done = true;
	loop_remove(w->source);
}

static void on_agent_late(struct loop *l, void *data)
{
	*(bool *)data = true;
}

/*
 * The agent is ours and lives on when the job breaks: what it is about is soon over, and
 * it is needed for cleaning. Only one that does not answer then is given up.
 */
static void wait_for(struct jobrun *job, const struct waiting *w)
{
	struct loop_source *timer;
	bool is_late = false;

	job_wait(job, &w->is_done);
	if (w->is_done)
		return;
	timer = loop_add_timer(job->loop, BROKEN_WAIT_MS, on_agent_late, &is_late);
	while (!w->is_done && !is_late)
		if (loop_once(job->loop, -1, NULL) < 0)
			break;
	if (!is_late)
		loop_remove(timer);
}

static int ask(struct jobrun *job, struct json *head, const void *body, size_t len,
	int fd, struct err *err)
{
	struct agent *a = job->agent;

	if (!a || a->is_busy)
		return err_set(err, ERR_UNAVAILABLE, "the job's agent is not there");
	json_set_int(head, "seq", ++a->seq);
	if (chan_send(a->process.chan, head, body, len, &fd, fd >= 0 ? 1 : 0, err) < 0)
		return err_wrap(err, "the job's agent");
	return 0;
}

/* The next answer; what it says is not looked at. */
static int hear(struct jobrun *job, struct chan_msg *ret, struct err *err)
{
	struct agent *a = job->agent;
	struct waiting w = { .to = ret };

	a->is_busy = true;
	w.source = loop_add_fd(job->loop, a->process.chan, EPOLLIN, on_answer, &w);
	wait_for(job, &w);
	if (!w.is_done) {
		loop_remove(w.source);
		return err_set(err, ERR_UNAVAILABLE, "the job has broken");
	}
	a->is_busy = false;
	if (w.result < 0 && err)
		*err = w.err;
	return w.result;
}

static int hear_posted(struct jobrun *job, struct err *err)
{
	struct agent *a = job->agent;

	while (a && !a->is_busy && a->posted) {
		_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
		struct err why = ERR_INIT;

		if (hear(job, &m, err) < 0)
			return -1;
		a->posted--;
		if (helper_answer_err(m.head, &why) < 0 && !a->posted_err.code)
			a->posted_err = why;
	}
	return 0;
}

static int call(struct jobrun *job, struct json *head, const void *body, size_t len,
	int fd, struct chan_msg *ret, struct err *err)
{
	_cleanup_(chan_msg_done) struct chan_msg own = CHAN_MSG_INIT;
	struct chan_msg *to = ret ? ret : &own;

	if (hear_posted(job, err) < 0 || ask(job, head, body, len, fd, err) < 0 ||
		hear(job, to, err) < 0)
		return -1;
	return helper_answer_err(to->head, err);
}

static int post(struct jobrun *job, struct json *head, const void *body, size_t len,
	struct err *err)
{
	if (ask(job, head, body, len, -1, err) < 0)
		return -1;
	job->agent->posted++;
	return 0;
}

int agent_settle(struct jobrun *job, struct err *err)
{
	if (hear_posted(job, err) < 0)
		return -1;
	if (!job->agent || !job->agent->posted_err.code)
		return 0;
	if (err)
		*err = job->agent->posted_err;
	return -1;
}

static struct json *head_for(const char *op, enum job_dir dir, const char *path)
{
	struct json *head = json_new_object();

	json_set_str(head, "op", op);
	json_set_int(head, "dir", (int64_t)dir);
	json_set_str(head, "path", path);
	return head;
}

static int simple(struct jobrun *job, const char *op, enum job_dir dir, const char *path,
	struct err *err)
{
	_cleanup_(json_freep) struct json *head = head_for(op, dir, path);

	return call(job, head, NULL, 0, -1, NULL, err);
}

int agent_post_mkdirs(
	struct jobrun *job, enum job_dir dir, const char *path, struct err *err)
{
	_cleanup_(json_freep) struct json *head = head_for("mkdirs", dir, path);

	return post(job, head, NULL, 0, err);
}

int agent_is_dir(struct jobrun *job, enum job_dir dir, const char *path, struct err *err)
{
	return simple(job, "is_dir", dir, path, err);
}

int agent_clear(struct jobrun *job, bool in_left[DIRS], struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct json *dirs = json_new_array();
	const struct json *left;

	json_set_str(head, "op", "clear");
	json_set(head, "dirs", dirs);
	for (int i = 0; i < DIRS; i++)
		if (in_left[i])
			json_push(dirs, json_new_int(i));
	if (call(job, head, NULL, 0, -1, &m, err) < 0)
		return -1;
	for (int i = 0; i < DIRS; i++)
		in_left[i] = false;
	left = json_get(m.head, "left");
	for (size_t i = 0; i < json_count(left); i++) {
		int64_t dir = json_get_int(json_at(left, i), "dir", -1);

		if (dir < 0 || dir >= DIRS)
			return err_set(err, ERR_BUG, "the agent cleared another folder");
		in_left[dir] = true;
		(void)err_set(err, ERR_SYS, "%s",
			json_get_str(json_at(left, i), "message", ""));
	}
	return 0;
}

int agent_give(struct jobrun *job, enum job_dir dir, struct err *err)
{
	return simple(job, "give", dir, "", err);
}

int agent_adopt(struct jobrun *job, const char *from, enum job_dir dir, const char *path,
	bool merge, struct err *err)
{
	_cleanup_(json_freep) struct json *head = head_for("adopt", dir, path);

	json_set_str(head, "from", from);
	json_set_bool(head, "merge", merge);
	return call(job, head, NULL, 0, -1, NULL, err);
}

int agent_copy(
	struct jobrun *job, int tree, enum job_dir dir, const char *path, struct err *err)
{
	_cleanup_(json_freep) struct json *head = head_for("copy", dir, path);

	return call(job, head, NULL, 0, tree, NULL, err);
}

int agent_own(struct jobrun *job, enum job_dir dir, int owners, struct err *err)
{
	_cleanup_(json_freep) struct json *head = head_for("own", dir, "");

	return call(job, head, NULL, 0, owners, NULL, err);
}

int agent_open(
	struct jobrun *job, enum job_dir dir, const char *path, int *ret, struct err *err)
{
	_cleanup_(json_freep) struct json *head = head_for("open", dir, path);
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	int fd;

	if (call(job, head, NULL, 0, -1, &m, err) < 0)
		return -1;
	fd = chan_msg_take_fd(&m, 0);
	if (fd < 0)
		return err_set(err, ERR_BUG, "the agent sent no file");
	*ret = fd;
	return 0;
}

static struct json *head_for_put(
	const struct agent_file *files, size_t len, struct strbuf *body)
{
	struct json *head = json_new_object(), *list = json_new_array();

	json_set_str(head, "op", "put");
	json_set(head, "files", list);
	for (size_t i = 0; i < len; i++) {
		struct json *item = json_new_object();

		json_set_int(item, "dir", (int64_t)files[i].dir);
		json_set_str(item, "path", files[i].path);
		json_set_int(item, "mode", files[i].mode);
		json_set_int(item, "len", (int64_t)files[i].len);
		json_push(list, item);
		strbuf_add(body, files[i].data ? files[i].data : "", files[i].len);
	}
	return head;
}

int agent_post_put(
	struct jobrun *job, const struct agent_file *files, size_t len, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf body = STRBUF_INIT;
	_cleanup_(json_freep) struct json *head = head_for_put(files, len, &body);

	return post(job, head, body.buf, body.len, err);
}

int agent_put(struct jobrun *job, struct agent_file *files, size_t len, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf body = STRBUF_INIT;
	_cleanup_(json_freep) struct json *head = head_for_put(files, len, &body);
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	int result;

	result = call(job, head, body.buf, body.len, -1, &m, err);
	explicit_bzero(body.buf, body.len); /* scripts may hold secrets */
	if (result < 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		const struct json *id = json_at(json_get(m.head, "files"), i);

		files[i].dev = (uint64_t)json_get_int(id, "dev", 0);
		files[i].ino = (uint64_t)json_get_int(id, "ino", 0);
	}
	return 0;
}

int agent_get(struct jobrun *job, struct agent_file *files, size_t len, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct json *list = json_new_array();
	size_t at = 0;

	json_set_str(head, "op", "get");
	json_set(head, "files", list);
	for (size_t i = 0; i < len; i++) {
		struct json *item = json_new_object();

		json_set_int(item, "dir", (int64_t)files[i].dir);
		json_set_str(item, "path", files[i].path);
		json_set_int(item, "dev", (int64_t)files[i].dev);
		json_set_int(item, "ino", (int64_t)files[i].ino);
		json_set_int(item, "max", (int64_t)files[i].max);
		json_set_bool(item, "unlink", files[i].unlink);
		json_push(list, item);
	}
	if (call(job, head, NULL, 0, -1, &m, err) < 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		const struct json *item = json_at(json_get(m.head, "files"), i);
		size_t n = (size_t)json_get_int(item, "len", 0);
		const char *code = json_get_str(item, "code", NULL);

		if (n > m.body.len - at)
			return err_set(err, ERR_BUG, "the agent's answer is short");
		strbuf_add(&files[i].text, m.body.buf + at, n);
		at += n;
		if (code)
			(void)err_set(&files[i].err, helper_err_code(code), "%s",
				json_get_str(item, "message", ""));
	}
	return 0;
}

int agent_hash(struct jobrun *job, const char *const *patterns, size_t len,
	struct strbuf *out, struct err *err)
{
	_cleanup_(json_freep) struct json *head = head_for("hash", DIR_WORK, "");
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct json *list = json_new_array();

	json_set(head, "patterns", list);
	for (size_t i = 0; i < len; i++)
		json_push_str(list, patterns[i]);
	if (call(job, head, NULL, 0, -1, &m, err) < 0)
		return -1;
	strbuf_add(out, m.body.buf, m.body.len);
	return 0;
}

static int with_result(struct jobrun *job, const char *op, const struct json *request,
	struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_clone(request);
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;

	json_set_str(head, "op", op);
	if (call(job, head, NULL, 0, -1, &m, err) < 0)
		return -1;
	*ret = json_share(json_get(m.head, "result"));
	return 0;
}

int agent_pack(struct jobrun *job, const struct json *request, struct json **ret,
	struct err *err)
{
	return with_result(job, "pack", request, ret, err);
}

int agent_unpack(struct jobrun *job, const struct json *request, struct json **ret,
	struct err *err)
{
	return with_result(job, "unpack", request, ret, err);
}

int agent_store(
	struct jobrun *job, const char *data, size_t len, char *hex, struct err *err)
{
	_cleanup_(json_freep) struct json *head = head_for("store", DIR_STORE, "");
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	const char *digest;

	if (call(job, head, data, len, -1, &m, err) < 0)
		return -1;
	digest = json_get_str(m.head, "sha256", "");
	if (strlen(digest) != SHA256_HEX_MAX - 1)
		return err_set(err, ERR_BUG, "the agent sent no digest");
	memcpy(hex, digest, SHA256_HEX_MAX);
	return 0;
}

/* ---- places ---- */

static bool is_beneath(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) == 0 && (!path[n] || path[n] == '/');
}

int agent_place(const struct jobrun *job, const char *inside, enum job_dir *ret_dir,
	char **ret_path, struct err *err)
{
	/* The longest prefix first. */
	static const struct {
		const char *prefix;
		enum job_dir dir;
	} places[] = {
		{ INSIDE_TEMP, DIR_TEMP },
		{ INSIDE_ACTIONS, DIR_ACTIONS },
		{ INSIDE_WORK, DIR_WORK },
		{ INSIDE_HOME, DIR_HOME },
		{ INSIDE_TOOL, DIR_TOOL },
		{ "/var/tmp", DIR_VARTMP },
		{ "/tmp", DIR_TMP },
	};
	_cleanup_free_ char *joined = NULL, *path = NULL;

	if (inside[0] == '/')
		joined = xstrdup(inside);
	else if (inside[0] == '~' && (inside[1] == '/' || !inside[1]))
		joined = xasprintf("%s%s", INSIDE_HOME, inside + 1);
	else
		joined = path_join(job->workspace, inside);
	path = path_normalise(joined);
	if (job->dirs[DIR_TREE] >= 0 && is_beneath(path, job->workspace)) {
		size_t n = strlen(job->workspace);

		*ret_dir = DIR_TREE;
		*ret_path = xstrdup(path[n] ? path + n + 1 : "");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		size_t n = strlen(places[i].prefix);

		if (!is_beneath(path, places[i].prefix))
			continue;
		*ret_dir = places[i].dir;
		*ret_path = xstrdup(path[n] ? path + n + 1 : "");
		return 0;
	}
	return err_set(err, ERR_INPUT, "'%s' is outside the job's folders", inside);
}
