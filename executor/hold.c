/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two halves: what the steps were, noted while they run and with every secret replaced by
 * its name; and the move, whose order is: processes are dead, the exit record is durable,
 * files are the service's and hold no secret, all is in JOB-TRY.new, the rename.
 */
#include "executor/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/confine.h"
#include "executor/hold_tree.h"
#include "executor/link.h"

#define TAKE_MS	   60000
#define NOTES_MAX  (8u << 20) /* of all steps together; later ones are not saved */
#define RESULT_MAX (1u << 20)

struct hold {
	struct json *steps; /* by number */
	size_t size;
	int failed; /* -1: none yet */
};

struct hold *hold_new(const struct jobrun *job)
{
	enum sandbox_profile profile;
	struct hold *h;

	/* Where ids are a range, whose file was whose would be lost. */
	if (!job->spec->trusted || !job->spec->hold || job->opt->held_dir < 0 ||
		job->dirs[DIR_TREE] >= 0 ||
		sandbox_profile_parse(job->spec->profile, &profile) < 0 ||
		sandbox_profile_is_wide(profile))
		return NULL;
	h = xcalloc(1, sizeof(*h));
	h->steps = json_new_object();
	h->failed = -1;
	return h;
}

void hold_free(struct hold *h)
{
	if (!h)
		return;
	json_free(h->steps);
	free(h);
}

/* ---- texts by reference ---- */

struct hit {
	size_t at, len;
	const char *name;
};

/* The first secret in TEXT, the longest of those that begin there. */
static bool find_secret(const struct value *secrets, const char *text, struct hit *ret)
{
	bool found = false;

	for (size_t i = 0; i < value_count(secrets); i++) {
		const struct value *v = value_member_at(secrets, i);
		const char *at;
		size_t len;

		if (value_kind_of(v) != VALUE_STRING)
			continue;
		len = strlen(value_str(v));
		at = len >= LIMIT_MASK_MIN ? strstr(text, value_str(v)) : NULL;
		if (!at || (found && ((size_t)(at - text) > ret->at ||
					     ((size_t)(at - text) == ret->at &&
						     len <= ret->len))))
			continue;
		*ret = (struct hit){ (size_t)(at - text), len, value_key_at(secrets, i) };
		found = true;
	}
	return found;
}

/* NULL when something masked is in it that no secret of the job's is the whole of. */
static struct json *save_text(const struct jobrun *job, const char *text)
{
	struct json *ret, *parts;
	struct hit hit = { 0 };

	if (!mask_contains(job->mask, text, strlen(text)))
		return json_new_str(text);
	ret = json_new_object();
	parts = json_new_array();
	json_set(ret, "parts", parts);
	while (find_secret(job->secrets, text, &hit)) {
		struct json *ref = json_new_object();

		if (hit.at)
			json_push(parts, json_new_strn(text, hit.at));
		json_set_str(ref, "secret", hit.name);
		json_push(parts, ref);
		text += hit.at + hit.len;
	}
	if (*text)
		json_push_str(parts, text);
	for (size_t i = 0; i < json_count(parts); i++) {
		const struct json *p = json_at(parts, i);

		if (!json_is(p, JSON_KIND_STRING) ||
			!mask_contains(job->mask, json_as_str(p, ""), json_str_len(p)))
			continue;
		json_free(ret);
		return NULL;
	}
	return ret;
}

char *hold_text(const struct json *text, bool *ret_had)
{
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;
	const struct json *parts = json_get(text, "parts");

	*ret_had = json_count(parts) > 0;
	for (size_t i = 0; i < json_count(parts); i++)
		strbuf_adds(&b, json_as_str(json_at(parts, i), ""));
	return xstrdup(json_is(text, JSON_KIND_STRING) ? json_as_str(text, "")
		       : b.buf			       ? b.buf
						       : "");
}

static bool save_into(
	const struct jobrun *job, struct json *to, const char *key, const char *text)
{
	struct json *saved = save_text(job, text);

	if (!saved)
		return false;
	json_set(to, key, saved);
	return true;
}

static const char *save_env(
	const struct jobrun *job, const struct strvec *env, struct json *list)
{
	strvec_foreach (v, env) {
		struct json *e = json_new_object();
		size_t n = strcspn(*v, "=");

		json_push(list, e);
		json_set(e, "name", json_new_strn(*v, n));
		if (mask_contains(job->mask, *v, n) ||
			!save_into(job, e, "value", (*v)[n] ? *v + n + 1 : ""))
			return "a variable holds a masked value that is no secret's whole";
	}
	return NULL;
}

/* What cannot be saved, in words; NULL: all is. */
static const char *save_program(
	const struct jobrun *job, const struct hold_program *p, struct json *to)
{
	struct json *argv = json_new_array(), *env = json_new_array();
	const char *why;

	json_set(to, "argv", argv);
	json_set(to, "env", env);
	strvec_foreach (a, p->argv) {
		struct json *saved = save_text(job, *a);

		if (!saved)
			return "its command line holds a masked value";
		json_push(argv, saved);
	}
	why = save_env(job, p->env, env);
	if (why)
		return why;
	if (!save_into(job, to, "cwd", p->cwd))
		return "its folder has a masked value in its name";
	if (!p->script)
		return NULL;
	json_set_str(to, "script_path", p->script_path);
	return save_into(job, to, "script", p->script)
		       ? NULL
		       : "its script holds a masked value that is no secret's whole";
}

static struct json *unsaved(const char *name, const char *why)
{
	struct json *j = json_new_object();

	json_set_str(j, "name", name);
	json_set_str(j, "unsaved", why);
	return j;
}

void hold_note(struct steprun *st, const struct hold_program *p)
{
	struct hold *h = st->job->hold;
	_cleanup_free_ char *name = NULL, *text = NULL;
	const struct steprun *top = st;
	struct json *step;
	const char *why;
	char key[16];

	if (!h)
		return;
	while (top->caller)
		top = top->caller;
	name = mask_str(st->job->mask, top->name ? top->name : "");
	(void)snprintf(key, sizeof(key), "%d", st->n);
	step = json_new_object();
	json_set_str(step, "name", name);
	why = save_program(st->job, p, step);
	if (!why) {
		text = json_text(step);
		h->size += strlen(text);
		if (h->size > NOTES_MAX)
			why = "the steps of this job are too much to save";
	}
	if (why) {
		json_free(step);
		step = unsaved(name, why);
	}
	json_set(h->steps, key, step);
}

void hold_failed(const struct steprun *st)
{
	struct hold *h = st->job->hold;

	if (h && h->failed < 0)
		h->failed = st->n;
}

/* ---- the walk, in an agent of its own ---- */

struct reading {
	struct strbuf text;
	struct loop_source *source;
	bool is_done;
};

static void on_result(struct loop *l, int fd, uint32_t events, void *data)
{
	struct reading *r = data;
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0 && r->text.len < RESULT_MAX) {
		strbuf_add(&r->text, buf, (size_t)n);
		return;
	}
	loop_remove(r->source);
	r->source = NULL;
	r->is_done = true;
}

static int result_of(const struct reading *r, struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *j = NULL;
	const char *why;

	if (!r->is_done || json_parse(r->text.buf, r->text.len, &j, NULL) < 0)
		return err_set(err, ERR_UNAVAILABLE, "its files cannot be taken over");
	why = json_get_str(j, "error", NULL);
	if (why)
		return err_set(err, ERR_LIMIT, "%s", why);
	*ret = take_ptr(j);
	return 0;
}

/*
 * A fork of ours that has the masks in its memory: allowed here, where nothing of the job
 * lives any more, and only here. Its lines of sight are those of any agent.
 */
static int take_tree(struct jobrun *job, struct mask *mask, int64_t bytes_max,
	struct json **ret, struct err *err)
{
	struct hold_place places[DIRS];
	int rw[DIRS], pipe_fds[2], pidfd = -1;
	bool is_self = job->opt->ids.how == SANDBOX_IDMAP_SELF;
	struct hold_tree t = { .places = places,
		.uid = is_self ? 0 : 1,
		.gid = is_self ? 0 : 1,
		.mask = mask,
		.bytes_max = bytes_max,
		.deadline = clock_boot_ms() + TAKE_MS };
	struct sandbox_agent a = { .fn = hold_tree_run, .data = &t, .rw = rw };
	struct reading r = { .text = STRBUF_INIT };
	pid_t pid = 0;
	int rc;

	for (enum job_dir i = 0; i < DIR_STAGE; i++) {
		if (job->dirs[i] < 0)
			continue; /* not of this profile */
		places[t.places_len++] =
			(struct hold_place){ job->dirs[i], confine_place(i) };
		rw[a.rw_len++] = job->dirs[i];
	}
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	t.out = pipe_fds[1];
	a.keep = &pipe_fds[1];
	a.keep_len = 1;
	rc = sandbox_agent(job->sandbox, &a, &pid, &pidfd, err);
	(void)close(pipe_fds[1]); /* the agent has its own */
	if (rc == 0) {
		r.source = loop_add_fd(job->loop, pipe_fds[0], EPOLLIN, on_result, &r);
		job_wait(job, &r.is_done);
		loop_remove(r.source);
		(void)fd_pidfd_signal(pidfd, SIGKILL); /* it has ended, or broke */
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			continue;
		(void)close(pidfd); /* reaped */
		rc = result_of(&r, ret, err);
	}
	(void)close(pipe_fds[0]); /* read to its end */
	strbuf_done(&r.text);
	return rc;
}

int hold_settle(struct jobrun *job, struct err *err)
{
	_cleanup_(json_freep) struct json *result = NULL;

	return take_tree(job, NULL, 0, &result, err);
}

/* ---- the move ---- */

/* A mask that came later than the note of a step counts for it as well. */
static void mask_steps(struct jobrun *job)
{
	struct json *steps = job->hold->steps;

	json_foreach (it, steps) {
		_cleanup_free_ char *one = json_text(it.value);
		_cleanup_free_ char *name = NULL;

		if (!mask_contains(job->mask, one, strlen(one)))
			continue;
		name = mask_str(job->mask, json_get_str(it.value, "name", ""));
		json_set(steps, it.key,
			unsaved(name, "a later step masked a value that it holds"));
	}
}

static int write_json(struct jobrun *job, int dir, const char *name, const struct json *j,
	struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	json_write(j, 0, &text);
	if (mask_contains(job->mask, text.buf, text.len))
		return err_set(
			err, ERR_DENIED, "what is known of it would show a secret");
	return fd_replace_file(dir, name, text.buf, text.len, 0600, 0, err);
}

static int write_state(struct jobrun *job, int dir, struct json *result, struct err *err)
{
	json_set_int(result, "version", 1);
	json_set_int(result, "job", job->spec->job_id);
	json_set_int(result, "try", job->spec->try);
	json_set_int(result, "step", job->hold->failed);
	mask_steps(job);
	if (write_json(job, dir, HELD_FILE_STEPS, job->hold->steps, err) < 0)
		return -1;
	return write_json(job, dir, HELD_FILE_STATE, result, err);
}

static int move_all(struct jobrun *job, int to, struct err *err)
{
	if (linkat(job->opt->job_dir, JOB_FILE_SPEC, to, JOB_FILE_SPEC, 0) < 0)
		return err_sys(err, "cannot keep the job's spec");
	for (enum job_dir i = 0; i < DIR_STAGE; i++) {
		if (job->dirs[i] < 0)
			continue;
		FP("hold.move");
		if (renameat(job->opt->job_dir, confine_place(i), to, confine_place(i)) <
			0)
			return err_sys(err, "cannot move '%s'", confine_place(i));
	}
	return 0;
}

static int fill_and_name(struct jobrun *job, const char *fresh, const char *name,
	struct json *result, struct err *err)
{
	int held = job->opt->held_dir;
	_cleanup_close_ int to =
		path_open(held, fresh, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);

	if (to < 0 || write_state(job, to, result, err) < 0 || move_all(job, to, err) < 0)
		return -1;
	FP("hold.before");
	if (fsync(to) < 0 || renameat(held, fresh, held, name) < 0)
		return err_sys(err, "cannot put it aside as 'held/%s'", name);
	FP("hold.after");
	return 0;
}

static int put_aside(struct jobrun *job, struct json *result, struct err *err)
{
	char name[64], fresh[80];

	(void)snprintf(name, sizeof(name), "%" PRId64 "-%" PRId64, job->spec->job_id,
		job->spec->try);
	(void)snprintf(fresh, sizeof(fresh), "%s" HELD_NEW_SUFFIX, name);
	if (mkdirat(job->opt->held_dir, fresh, 0700) < 0)
		return err_sys(err, "cannot make 'held/%s'", fresh);
	if (fill_and_name(job, fresh, name, result, err) < 0) {
		(void)path_remove_tree(job->opt->held_dir, fresh, NULL); /* or a sweep */
		return -1;
	}
	(void)fsync(job->opt->held_dir); /* what is not there after a crash is not held */
	return 0;
}

static void say_why(struct jobrun *job, const struct err *why)
{
	_cleanup_free_ char *text = mask_str(job->mask, why->msg);

	log_info("job=%" PRId64 " is not held: %s", job->spec->job_id, text);
	(void)fd_replace_file(job->opt->job_dir, HELD_FILE_WHY, text, strlen(text), 0600,
		FD_REPLACE_NOSYNC, NULL); /* then nobody learns why */
}

bool hold_take(struct jobrun *job)
{
	_cleanup_(json_freep) struct json *result = NULL;
	struct err err = ERR_INIT;

	if (!job->hold || !job->is_released || job->broken.code || !job->sandbox ||
		job_status(job) != RESULT_FAILURE)
		return false;
	FP("hold.take");
	if (take_tree(job, mask_is_empty(job->mask) ? NULL : job->mask,
		    job->spec->hold_bytes, &result, &err) == 0 &&
		put_aside(job, result, &err) == 0)
		return true;
	say_why(job, &err);
	return false;
}
