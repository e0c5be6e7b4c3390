/* SPDX-License-Identifier: Apache-2.0 */
/* Core's turn (one transaction, then its consequences) and its life. See core.h. */
#include "runner/core-internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/helper.h"
#include "runner/ingest.h"
#include "runner/planner.h"
#include "store/secrets.h"

enum {
	/* Passes in one turn: each may free something for the next. */
	PASSES_MAX = 8,
	COMMIT_RETRY_MS = 1000,
	GIT_DEADLINE_MS = 11 * 60 * 1000, /* LIMIT_GIT_SECONDS and a margin */
	PLANNER_DEADLINE_MS = 5000,
};

/* ---- the turn ---------------------------------------------------------------------- */

void core_trouble(struct core *c, const char *what, const struct err *why)
{
	log_err("%s: %s", what, why->msg);
	if (db_is_broken(store_db(c->store))) {
		/* What the disk holds is unknown now; a fresh start reads it (SECURITY DB04). */
		log_err("the store cannot be trusted any more: core ends");
		_exit(1);
	}
}

int core_begin(struct core *c, struct err *err)
{
	if (c->is_open)
		return 0;
	if (store_begin(&c->tx, c->store, err) < 0)
		return -1;
	c->is_open = true;
	return 0;
}

void core_after(struct core *c, core_after_fn *fn, void *data)
{
	struct after *a;

	if (!c->is_open) {
		fn(c, NULL, data);
		return;
	}
	a = xcalloc(1, sizeof(*a));
	a->fn = fn;
	a->data = data;
	*c->after_last = a;
	c->after_last = &a->next;
}

void core_wake(struct core *c)
{
	c->wants_pass = true;
}

static void on_retry(struct loop *l, void *data)
{
	struct core *c = data;

	(void)l;
	c->retry_timer = NULL;
	core_wake(c);
}

void core_retry_in(struct core *c, int64_t ms)
{
	if (!c->retry_timer)
		c->retry_timer = loop_add_timer(c->loop, ms, on_retry, c);
}

static void run_after(struct core *c, const struct err *why)
{
	struct after *list = c->after_first;

	c->after_first = NULL;
	c->after_last = &c->after_first;
	while (list) {
		struct after *a = list;

		list = a->next;
		a->fn(c, why, a->data);
		free(a);
	}
}

static void commit(struct core *c)
{
	struct err err = ERR_INIT;
	int rc;

	FP("core.commit.before");
	rc = store_commit(&c->tx, &err);
	c->is_open = false;
	store_end(&c->tx);
	FP("core.commit.after");
	if (rc == 0) {
		if (c->o->committed)
			c->o->committed(c->o->committed_data);
		run_after(c, NULL);
		return;
	}
	core_trouble(c, "cannot commit", &err);
	run_after(c, &err);
	core_retry_in(c, COMMIT_RETRY_MS);
}

static void pass(struct core *c)
{
	c->wants_pass = false;
	gates_pass(c);
	ingest_pass(c);
	attend_pass(c);
	scheduler_pass(c);
	held_pass(c);
}

static void on_turn(struct loop *l, void *data)
{
	struct core *c = data;

	(void)l;
	for (int i = 0; i < PASSES_MAX; i++) {
		if (c->wants_pass && c->is_started && !c->is_stopping)
			pass(c);
		if (!c->is_open)
			break;
		commit(c);
	}
	if (c->wants_pass && c->is_started && !c->is_stopping)
		core_retry_in(c, 0);
}

static void on_change(const struct store_change *ch, void *data)
{
	struct core *c = data;

	core_wake(c);
	if (ch->gate)
		c->are_gates_dirty = true;
	if (c->o->watch.changed)
		c->o->watch.changed(ch, c->o->watch.data);
	web_changed(c, ch);
}

/* ---- life -------------------------------------------------------------------------- */

static int start_git(
	pid_t *ret_pid, int *ret_pidfd, int *ret_chan, void *data, struct err *err)
{
	struct core *c = data;
	_cleanup_close_ int repos = openat(c->data, "repos", O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int tmp = openat(c->data, "tmp", O_DIRECTORY | O_CLOEXEC);
	struct helper_options o = HELPER_OPTIONS_INIT;
	struct helper h = HELPER_INIT;
	int fds[2] = { repos, tmp };

	if (repos < 0 || tmp < 0)
		return err_sys(err, "cannot open 'repos' or 'tmp'");
	o.mode = "git";
	o.fds = fds;
	o.fds_len = 2;
	if (helper_spawn(&o, &h, err) < 0)
		return -1;
	*ret_pid = h.pid;
	*ret_pidfd = h.pidfd;
	*ret_chan = h.chan;
	return 0;
}

static int start_workers(struct core *c, struct err *err)
{
	c->planner_options = (struct worker_options)WORKER_OPTIONS_INIT;
	c->planner_options.name = "planner";
	c->planner_options.size = c->o->planners ? c->o->planners : 1;
	c->planner_options.argv = c->o->planner_argv;
	c->planner_options.run = planner_main;
	c->planner_options.deadline_ms = PLANNER_DEADLINE_MS;
	if (worker_pool_new(c->loop, &c->planner_options, &c->planner, err) < 0)
		return -1;
	if (!c->o->has_git)
		return 0;
	c->git_options = (struct worker_options)WORKER_OPTIONS_INIT;
	c->git_options.name = "git worker";
	c->git_options.size = 2;
	c->git_options.start = start_git;
	c->git_options.data = c;
	c->git_options.deadline_ms = GIT_DEADLINE_MS;
	return worker_pool_new(c->loop, &c->git_options, &c->git, err);
}

static void on_gone(int64_t job, int64_t try, int status, int sig, void *data)
{
	log_debug("job=%" PRId64 " try=%" PRId64 " executor ended status=%d signal=%d",
		job, try, status, sig);
	attend_gone(data, job, try);
}

static void on_link(bool is_up, void *data)
{
	struct core *c = data;

	if (is_up && c->is_started && c->o->has_git)
		held_sweep(c); /* it takes the spawner to throw anything away */
	if (is_up)
		core_wake(c);
	else
		c->spawner_losses++;
}

static int start_spawn(struct core *c, struct err *err)
{
	c->spawn_options = (struct spawn_options){ .data_dir = c->o->data_dir,
		.chan = c->o->spawner_chan,
		.argv = c->o->spawner_argv,
		.gone = on_gone,
		.link = on_link,
		.data = c };
	return spawn_new(c->loop, &c->spawn_options, &c->spawn, err);
}

static int open_store(struct core *c, const uint8_t *key, struct err *err)
{
	if (store_open(c->o->store, STORE_CREATE, &c->store, err) < 0)
		return -1;
	if (key && store_set_key(c->store, key, err) < 0)
		return -1;
	store_on_change(c->store, on_change, c);
	if (key && secrets_key_fits(c->store, err) == 0)
		return err_set(err, ERR_DENIED,
			"the master key does not open this store; give the right 'key_file'");
	return 0;
}

int core_new(struct loop *l, const struct core_options *o, const uint8_t *key,
	struct core **ret, struct err *err)
{
	_cleanup_(core_freep) struct core *c = xcalloc(1, sizeof(*c));

	c->loop = l;
	c->began = clock_boot_ms();
	c->o = o;
	c->after_last = &c->after_first;
	c->data = open(o->data_dir, O_DIRECTORY | O_CLOEXEC);
	if (c->data < 0)
		return err_sys(err, "cannot open '%s'", o->data_dir);
	/* Children first: none of them may ever have held the store's descriptors. */
	if (start_workers(c, err) < 0 || start_spawn(c, err) < 0 ||
		open_store(c, key, err) < 0)
		return -1;
	(void)loop_add_turn(l, on_turn, c);
	*ret = take_ptr(c);
	return 0;
}

int core_start(struct core *c, struct err *err)
{
	if (recovery_run(c, err) < 0)
		return -1;
	c->is_started = true;
	c->are_holds_dirty = true;
	if (c->o->has_git)
		held_sweep(c);
	core_wake(c);
	core_retry_in(c, 0);
	return 0;
}

void core_free(struct core *c)
{
	if (!c)
		return;
	c->is_stopping = true;
	if (c->is_open)
		store_end(&c->tx);
	c->is_open = false;
	while (c->after_first) {
		struct after *a = c->after_first;

		c->after_first = a->next;
		free(a);
	}
	web_done(c);
	hooks_done(c);
	ingest_done(c);
	scheduler_done(c);
	usage_done(c);
	attend_free_all(c);
	worker_pool_free(c->planner);
	worker_pool_free(c->git);
	git_calls_done(c);
	spawn_free(c->spawn);
	loop_remove(c->gate_timer);
	loop_remove(c->retry_timer);
	loop_remove(c->sweep_timer);
	loop_remove(c->held_timer);
	store_free(c->store);
	if (c->data >= 0)
		(void)close(c->data);
	free(c);
}

void core_set_options(struct core *c, const struct core_options *o)
{
	c->o = o;
	web_settings(c);
	core_wake(c);
}

struct store *core_store(struct core *c)
{
	return c->store;
}

size_t core_live_count(const struct core *c)
{
	return c->lives_len;
}

void core_set_run_hooks(struct core *c, const struct core_run_hooks *h)
{
	c->run = *h;
}

void core_cancel_all(struct core *c, const char *reason, bool force)
{
	const struct actor who = { "user", "terminal", NULL };
	struct err err = ERR_INIT;
	int64_t ids[256];
	int n;

	if (core_begin(c, &err) < 0) {
		core_trouble(c, "cannot cancel", &err);
		return;
	}
	n = runs_active(c->store, 0, ids, ARRAY_SIZE(ids), &err);
	for (int i = 0; i < n; i++)
		if (runs_cancel(c->store, ids[i], reason, force, &who, &err) < 0)
			core_trouble(c, "cannot cancel", &err);
	for (struct live *v = c->lives; v && force; v = v->next)
		attend_cancel(c, v->job, reason, true);
	core_wake(c);
	core_retry_in(c, 0);
}

static void on_left(const struct json *answer, const struct err *why, void *data)
{
	(void)answer; /* we are ending: whatever it says */
	(void)why;
	(void)data;
}

bool core_has_spawner(const struct core *c)
{
	return spawn_is_up(c->spawn);
}

void core_spawn_web(struct core *c, const int fds[3], spawn_done_fn *done, void *data)
{
	struct json *head = json_new_object();

	json_set_str(head, "op", "web");
	spawn_call_fds(c->spawn, head, fds, 3, done, data);
}

void core_say_leave(struct core *c)
{
	struct json *head = json_new_object();

	json_set_str(head, "op", "leave");
	spawn_call(c->spawn, head, on_left, NULL);
}

static struct json *pids_of(const struct worker_pool *p)
{
	struct json *list = json_new_array();
	pid_t pids[16];
	size_t n = p ? worker_pids(p, pids, ARRAY_SIZE(pids)) : 0;

	for (size_t i = 0; i < n && i < ARRAY_SIZE(pids); i++)
		json_push(list, json_new_int(pids[i]));
	return list;
}

struct json *core_pids(const struct core *c)
{
	struct json *j = json_new_object();

	json_set_int(j, "core", getpid());
	json_set(j, "planner", pids_of(c->planner));
	json_set(j, "git", pids_of(c->git));
	json_set_int(j, "spawner", spawn_pid(c->spawn));
	return j;
}
