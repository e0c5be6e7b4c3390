/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Held jobs as the spawner sees them: which of them tie up a job id, and how they go. A tree
 * is moved to quarantine first, which is at once, and removed by a child, which may take
 * long; what a crash leaves in quarantine goes at the next start.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "executor/hold.h"
#include "executor/link.h"
#include "runner/spawner-internal.h"

#define LEFT_MAX 4096 /* names of quarantine looked at in one start */

bool spawner_read_slot(int dir, unsigned *ret)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	long long slot;

	if (fd_read_file(dir, JOB_FILE_SLOT, 32, &text, NULL) < 0 ||
		str_to_int(text.buf, 0, SLOTS_MAX - 1, &slot) < 0)
		return false;
	*ret = (unsigned)slot;
	return true;
}

int spawner_held_dir(const struct spawner *s, int64_t job, int64_t try, struct err *err)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "held/%" PRId64 "-%" PRId64, job, try);
	fd = openat(s->data, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(err, "cannot open '%s'", path);
	return fd;
}

/* ---- removing --------------------------------------------------------------------- */

static _Noreturn void remover_main(
	struct spawner *s, const struct child *self, int dir, const struct strvec *names)
{
	struct err err = ERR_INIT;
	int status = 0;

	loop_abandon(s->loop);
	spawner_close_own(s, self);
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGINT, SIG_DFL);
	strvec_foreach (name, names) {
		if (path_remove_tree(dir, *name, &err) == 0)
			continue;
		log_warnx("left in quarantine as '%s': %s", *name, err.msg);
		status = 1;
	}
	_exit(status);
}

/* HAS_SLOT: the files are of the id SLOT, which is free again when they are gone. */
static int start_remover(struct spawner *s, int quarantine, const struct strvec *names,
	bool has_slot, unsigned slot, struct err *err)
{
	struct child *c = xcalloc(1, sizeof(*c));
	pid_t pid;

	*c = (struct child){ .kind = CHILD_REMOVER,
		.has_slot = has_slot,
		.slot = slot,
		.pidfd = -1,
		.chan = -1,
		.dir = -1 };
	pid = fork();
	if (pid == 0)
		remover_main(s, c, quarantine, names);
	if (pid < 0) {
		free(c);
		return err_sys(err, "cannot fork a remover");
	}
	return spawner_watch(s, c, pid, err);
}

int spawner_discard(
	struct spawner *s, int64_t job, int64_t try, bool is_new, struct err *err)
{
	_cleanup_close_ int quarantine = openat(
		s->data, "quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_close_ int dir = -1;
	_cleanup_(strvec_done) struct strvec names = STRVEC_INIT;
	char from[96], to[128];
	unsigned slot = 0;
	bool has_slot;

	if (spawner_find(s, job, try))
		return err_set(err, ERR_CONFLICT, "it is in use");
	(void)snprintf(from, sizeof(from), "held/%" PRId64 "-%" PRId64 "%s", job, try,
		is_new ? HELD_NEW_SUFFIX : "");
	dir = openat(s->data, from, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0 && errno == ENOENT)
		return 0;
	if (dir < 0 || quarantine < 0)
		return err_sys(err, "cannot open '%s'", from);
	if (spawner_lock_is_held(dir) != 0)
		return err_set(err, ERR_CONFLICT, "it is in use");
	has_slot = spawner_read_slot(dir, &slot);
	(void)snprintf(
		to, sizeof(to), "%s-%" PRId64, from + strlen("held/"), clock_wall_ms());
	if (renameat(s->data, from, quarantine, to) < 0)
		return err_sys(err, "cannot move '%s' to quarantine", from);
	(void)strvec_push(&names, to);
	return start_remover(s, quarantine, &names, has_slot, slot, err);
}

/* ---- what a start finds ------------------------------------------------------------- */

static void each_name(struct spawner *s, const char *folder,
	void (*fn)(struct spawner *s, int dir, const char *name, void *data), void *data)
{
	int fd = openat(s->data, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;

	if (!d) {
		if (fd >= 0)
			(void)close(fd); /* nothing was opened on it */
		return;
	}
	while ((e = readdir(d)))
		if (path_is_name(e->d_name))
			fn(s, fd, e->d_name, data);
	(void)closedir(d); /* read only */
}

static void look_at_slot(struct spawner *s, int held, const char *name, void *data)
{
	_cleanup_close_ int dir =
		openat(held, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	(void)data;
	if (dir >= 0)
		spawner_adopt_slot(s, dir);
}

static void list_left(struct spawner *s, int quarantine, const char *name, void *data)
{
	struct strvec *names = data;

	(void)s;
	(void)quarantine;
	if (names->len < LEFT_MAX)
		(void)strvec_push(names, name);
}

void spawner_look_at_held(struct spawner *s)
{
	_cleanup_close_ int quarantine = openat(
		s->data, "quarantine", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_(strvec_done) struct strvec names = STRVEC_INIT;
	struct err err = ERR_INIT;

	each_name(s, "held", look_at_slot, NULL);
	each_name(s, "quarantine", list_left, &names);
	if (names.len && quarantine >= 0 &&
		start_remover(s, quarantine, &names, false, 0, &err) < 0)
		log_warnx("quarantine stays as it is: %s", err.msg);
}
