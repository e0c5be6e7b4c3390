/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failed jobs that are kept for a person to enter: which are, until when, and how they go.
 * Executors put them into held/JOB-TRY by themselves; the folder is the first to know. It
 * gets its row when its executor has gone, or at the next look. Rows go first, and a
 * folder whose row says "removed" is thrown away again, so that a crash between the two is
 * made good by any later look.
 */
#include "runner/core-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/hold.h"
#include "executor/link.h"
#include "runner/config.h"
#include "store/holds.h"

enum {
	ROWS_MAX = 1024,
	LOOK_AGAIN_MS = 60 * 1000, /* the wall clock may be set */
	IN_USE_MS = 10 * 1000,	   /* somebody is in there: looked at again */
};

int64_t held_ms(const struct core *c, const struct repo *repo)
{
	const struct json *own = json_get(repo->settings, "keep.held");
	int64_t ms;

	if (json_is(own, JSON_KIND_INT) && json_as_int(own, 0) == 0)
		return 0;
	if (json_is(own, JSON_KIND_STRING) &&
		config_duration(json_as_str(own, ""), &ms) == 0)
		return ms;
	return c->o->keep_held_ms;
}

static void folder_name(char buf[64], int64_t job, int64_t try)
{
	(void)snprintf(buf, 64, "held/%" PRId64 "-%" PRId64, job, try);
}

bool held_is_in_use(const struct core *c, int64_t job, int64_t try)
{
	_cleanup_close_ int dir = -1, fd = -1;
	char name[64];

	folder_name(name, job, try);
	dir = openat(c->data, name, O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return false;
	fd = openat(dir, JOB_FILE_LOCK, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 && fd_is_locked(fd) == 1;
}

/* ---- throwing away ---------------------------------------------------------------- */

static void on_discarded(const struct json *answer, const struct err *why, void *data)
{
	(void)answer;
	(void)data;
	if (why)
		log_info("a held job stays for now: %s",
			why->msg); /* the next look tries */
}

static void discard(struct core *c, int64_t job, int64_t try, bool is_new)
{
	struct json *head;

	if (!spawn_is_up(c->spawn))
		return;
	head = json_new_object();
	json_set_str(head, "op", "discard");
	json_set_int(head, "job", job);
	json_set_int(head, "try", try);
	json_set_bool(head, "is_new", is_new);
	spawn_call(c->spawn, head, on_discarded, NULL);
}

struct going {
	int64_t job, try;
};

static void after_remove(struct core *c, const struct err *why, void *data)
{
	struct going *g = data;

	if (!why)
		discard(c, g->job, g->try, false);
	free(g);
}

int held_remove(struct core *c, const struct hold_row *h, const char *why,
	const struct actor *who, struct err *err)
{
	struct going *g;

	if (core_begin(c, err) < 0 || holds_remove(c->store, h->job, why, who, err) < 0)
		return -1;
	log_info("job=%" PRId64 " is held no longer: %s", h->job, why);
	g = xcalloc(1, sizeof(*g));
	*g = (struct going){ h->job, h->try };
	core_after(c, after_remove, g);
	c->are_holds_dirty = true;
	return 0;
}

/* ---- taking in -------------------------------------------------------------------- */

static int read_small(int dir, const char *name, struct strbuf *text)
{
	return fd_read_file(dir, name, HELD_STATE_MAX, text, NULL);
}

static int take_in(struct core *c, int dir, int64_t job, int64_t try, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_(json_freep) struct json *state = NULL;
	_cleanup_(repo_done) struct repo repo = { 0 };
	struct job j = { 0 };
	struct hold_new h = { .job = job, .try = try };
	int rc;

	if (read_small(dir, HELD_FILE_STATE, &text) < 0 ||
		json_parse(text.buf, text.len, &state, NULL) < 0) {
		discard(c, job, try, false); /* not one of ours, or damaged */
		return 0;
	}
	if (jobs_get(c->store, job, &j, err) < 0)
		return -1;
	rc = repos_get(c->store, j.repo, &repo, err);
	job_done(&j);
	if (rc < 0)
		return -1;
	h.step = json_get_int(state, "step", -1);
	h.files = json_get_int(state, "files", 0);
	h.bytes = json_get_int(state, "bytes", 0);
	h.removed = json_get(state, "removed");
	h.expires_at = clock_wall_ms() + held_ms(c, &repo);
	if (core_begin(c, err) < 0 || holds_add(c->store, &h, err) < 0)
		return -1;
	log_info("job=%" PRId64 " is held: %" PRId64 " files, %" PRId64 " bytes", job,
		h.files, h.bytes);
	c->are_holds_dirty = true;
	core_wake(c);
	return 0;
}

/* held/JOB-TRY is there: what is to become of it? */
static void look_at(struct core *c, int dir, int64_t job, int64_t try)
{
	enum hold_state state = HOLD_EARLY;
	struct err err = ERR_INIT;
	int rc = holds_state(c->store, job, try, &state, &err);

	if (rc == 0 && state == HOLD_UNKNOWN)
		rc = take_in(c, dir, job, try, &err);
	else if (rc == 0 && (state == HOLD_REFUSED || state == HOLD_REMOVED))
		discard(c, job, try, false);
	if (rc < 0)
		core_trouble(c, "cannot look after a held job", &err);
}

/* Why it is not, if its executor wanted to. */
static void look_at_note(struct core *c, int64_t job, int64_t try)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct err err = ERR_INIT;
	char name[96];

	(void)snprintf(name, sizeof(name), "jobs/%" PRId64 "/%" PRId64 "/" HELD_FILE_WHY,
		job, try);
	if (fd_read_file(c->data, name, 4096, &text, NULL) < 0 || !text.len)
		return;
	if (core_begin(c, &err) < 0 || holds_note(c->store, job, text.buf, &err) < 0)
		core_trouble(c, "cannot note why a job is not held", &err);
}

void held_look(struct core *c, int64_t job, int64_t try)
{
	_cleanup_close_ int dir = -1;
	char name[64];

	if (!c->o->has_git) /* `sluice run` holds nothing */
		return;
	folder_name(name, job, try);
	dir = openat(c->data, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir >= 0)
		look_at(c, dir, job, try);
	else
		look_at_note(c, job, try);
}

/* ---- the look over all of them ------------------------------------------------------ */

static bool executor_lives(const struct core *c, int64_t job, int64_t try)
{
	_cleanup_close_ int fd = -1;
	char name[96];

	(void)snprintf(name, sizeof(name), "jobs/%" PRId64 "/%" PRId64 "/" JOB_FILE_LOCK,
		job, try);
	fd = openat(c->data, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 && fd_is_locked(fd) == 1;
}

static void look_at_name(struct core *c, int held, const char *name)
{
	_cleanup_close_ int dir = -1;
	long long job, try;
	char rest[8] = "";
	int n = sscanf(name, "%lld-%lld%7s", &job, &try, rest);

	if (n < 2 || job <= 0 || try <= 0)
		return; /* nobody of us made it */
	if (str_eq(rest, HELD_NEW_SUFFIX)) {
		if (!executor_lives(c, job, try))
			discard(c, job, try, true);
		return;
	}
	dir = openat(held, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir >= 0 && !rest[0])
		look_at(c, dir, job, try);
}

static bool folder_is_there(const struct core *c, const struct hold_row *h)
{
	char name[64];

	folder_name(name, h->job, h->try);
	return faccessat(c->data, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       errno != ENOENT;
}

static void look_at_rows(struct core *c)
{
	const struct actor core = ACTOR_CORE;
	struct hold_row rows[ROWS_MAX];
	struct err err = ERR_INIT;
	int n = holds_list(c->store, rows, ROWS_MAX, &err);

	if (n < 0)
		core_trouble(c, "cannot list the held jobs", &err);
	for (int i = 0; i < n; i++)
		if (!folder_is_there(c, &rows[i]) &&
			held_remove(c, &rows[i], "its folder is gone", &core, &err) < 0)
			core_trouble(c, "cannot let a held job go", &err);
}

void held_sweep(struct core *c)
{
	int fd = openat(c->data, "held", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;

	if (!d) {
		if (fd >= 0)
			(void)close(fd); /* nothing was opened on it */
		return;
	}
	while ((e = readdir(d)))
		if (path_is_name(e->d_name))
			look_at_name(c, fd, e->d_name);
	(void)closedir(d); /* read only */
	look_at_rows(c);
}

/* ---- time, number and space ---------------------------------------------------------- */

static void on_timer(struct loop *l, void *data)
{
	struct core *c = data;

	(void)l;
	c->held_timer = NULL;
	c->are_holds_dirty = true;
	core_wake(c);
}

/* Why the I-th of N, the first to expire first, has to go; NULL: it stays. */
static const char *why_go(
	const struct core *c, const struct hold_row *h, int i, int n, int64_t now)
{
	if (h->expires_at <= now)
		return "its time is over";
	if (n - i > c->o->keep_held_jobs)
		return "keep.held_jobs later ones are held";
	return c->is_disk_low ? "the disk is short" : NULL;
}

/* The time until the next of them has to be looked at. */
static int64_t let_go(struct core *c, const struct hold_row *rows, int n)
{
	const struct actor core = ACTOR_CORE;
	int64_t now = clock_wall_ms(), wait = INT64_MAX;
	struct err err = ERR_INIT;

	c->holds_len = n;
	for (int i = 0; i < n; i++) {
		const char *why = why_go(c, &rows[i], i, n, now);
		int64_t left = why ? IN_USE_MS : rows[i].expires_at - now;

		if (why && !held_is_in_use(c, rows[i].job, rows[i].try)) {
			if (held_remove(c, &rows[i], why, &core, &err) < 0)
				core_trouble(c, "cannot let a held job go", &err);
			continue;
		}
		if (left < wait)
			wait = left;
	}
	return wait;
}

void held_pass(struct core *c)
{
	struct hold_row rows[ROWS_MAX];
	struct err err = ERR_INIT;
	int64_t wait;
	int n;

	if (!c->o->has_git || (!c->are_holds_dirty && !(c->is_disk_low && c->holds_len &&
							      !c->held_timer)))
		return;
	c->are_holds_dirty = false;
	n = holds_list(c->store, rows, ROWS_MAX, &err);
	if (n < 0)
		core_trouble(c, "cannot list the held jobs", &err);
	wait = n > 0 ? let_go(c, rows, n) : INT64_MAX;
	loop_remove(c->held_timer);
	c->held_timer = NULL;
	if (wait < INT64_MAX)
		c->held_timer = loop_add_timer(c->loop,
			wait < LOOK_AGAIN_MS ? wait : LOOK_AGAIN_MS, on_timer, c);
}
