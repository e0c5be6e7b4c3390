/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a spawner that outlives whoever started it. Between it and us stands a keeper:
 * a parent that does nothing but restart it, so that a spawner with root's rights comes
 * back with them although core has given them up.
 */
#include "runner/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strvec.h"
#include "executor/helper.h"

enum {
	START_MS = 5000,
	RESTART_FIRST_US = 20 * 1000,
	RESTART_LAST_US = 5000 * 1000,
};

int spawner_is_there(const char *data_dir, struct err *err)
{
	_cleanup_free_ char *path = path_join(data_dir, SPAWNER_LOCK);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	int rc;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_sys(err, "cannot open '%s'", path);
	rc = fd_is_locked(fd);
	return rc < 0 ? err_sys(err, "cannot look at '%s'", path) : rc;
}

/* stderr of a process nobody waits for must not be a pipe that somebody reads to its end. */
static int stand_alone(const char *data_dir)
{
	_cleanup_free_ char *path = path_join(data_dir, "run/spawner.log");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int out =
		open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
		dup2(out >= 0 ? out : null, 2) < 0)
		return -1;
	fd_close_from(3, NULL, 0);
	return chdir("/");
}

static _Noreturn void keep(const char *const *argv)
{
	useconds_t pause_us = RESTART_FIRST_US;

	(void)prctl(PR_SET_NAME, "sluice-keeper");
	for (;;) {
		int64_t began = clock_boot_ms();
		int status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			(void)prctl(PR_SET_PDEATHSIG, 0);
			/* This very program, also after its file was replaced. */
			execv(strcmp(argv[0], "sluice") == 0 ? "/proc/self/exe" : argv[0],
				(char *const *)argv);
			_exit(127);
		}
		while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		/* Its own decision, or another one has the lock: nothing to keep. */
		if (pid > 0 && WIFEXITED(status))
			_exit(WEXITSTATUS(status));
		if (clock_boot_ms() - began > START_MS)
			pause_us = RESTART_FIRST_US;
		(void)usleep(pause_us);
		if (pause_us < RESTART_LAST_US)
			pause_us *= 2;
	}
}

/* Waits until the lock is held; PID is the one in between, which has ended by itself. */
static int await_lock(const char *data_dir, struct err *err)
{
	int64_t end = clock_boot_ms() + START_MS;

	while (clock_boot_ms() < end) {
		int rc = spawner_is_there(data_dir, err);

		if (rc != 0)
			return rc < 0 ? -1 : 0;
		(void)poll(NULL, 0, 2);
	}
	return err_set(err, ERR_TIMEOUT,
		"the spawner did not start within %d s; see '%s/run/spawner.log'",
		START_MS / 1000, data_dir);
}

int spawner_exec(const struct spawner_options *o, struct err *err)
{
	_cleanup_(strvec_done) struct strvec argv = STRVEC_INIT;
	_cleanup_free_ char *program = helper_path_of("sluice-spawner", err);

	if (!program)
		return -1;
	(void)strvec_push(&argv, "sluice-spawner");
	(void)strvec_pushf(&argv, "--data=%s", o->data_dir);
	(void)strvec_pushf(&argv, "--helper=%s", o->helper);
	if (o->has_user) {
		(void)strvec_pushf(&argv, "--uid=%u", (unsigned)o->uid);
		(void)strvec_pushf(&argv, "--gid=%u", (unsigned)o->gid);
	}
	if (o->lingers)
		(void)strvec_push(&argv, "--lingers");
	(void)execv(program, argv.v);
	return err_sys(err, "cannot start '%s'", program);
}

int spawner_start(const char *data_dir, const char *const *argv, struct err *err)
{
	sigset_t none;
	pid_t pid = fork();

	if (pid < 0)
		return err_sys(err, "cannot fork a spawner");
	if (pid == 0) {
		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		(void)signal(SIGTERM, SIG_DFL);
		(void)signal(SIGINT, SIG_DFL);
		if (setsid() < 0 || stand_alone(data_dir) < 0)
			_exit(1);
		if (fork() == 0)
			keep(argv);
		_exit(0);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return await_lock(data_dir, err);
}
