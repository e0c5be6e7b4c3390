/* SPDX-License-Identifier: Apache-2.0 */
/* The callers' side of the helper program; see helper.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/helper.h"

#define HIGH 64 /* descriptors are put out of the way before they take their places */

char *helper_path(struct err *err)
{
	return helper_path_of("sluice-helper", err);
}

char *helper_path_of(const char *name, struct err *err)
{
	static const char *const places[] = { "", "../libexec/sluice/" };
	_cleanup_free_ char *self = path_self();
	char *slash = self ? strrchr(self, '/') : NULL;

	if (!slash) {
		(void)err_set(err, ERR_SYS, "cannot tell where this program lies");
		return NULL;
	}
	slash[1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char *path = xasprintf("%s%s%s", self, places[i], name);

		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	(void)err_set(err, ERR_NOT_FOUND,
		"there is no '%s' beside this program (%.120s) nor in "
		"../libexec/sluice: install it again",
		name, self);
	return NULL;
}

int helper_open(int *ret_fd, struct err *err)
{
	_cleanup_free_ char *path = helper_path(err);
	int fd;

	if (!path)
		return -1;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "cannot open '%s'", path);
	*ret_fd = fd;
	return 0;
}

/* What the child needs, made before the fork. */
struct launch {
	int exe, chan, null, log, report;
	const int *fds;
	size_t fds_len;
	char *const *argv;
	char *const *envp;
	pid_t parent;
	bool dies_with_us;
};

/* Async-signal-safe from here to exec. */
static void place(const struct launch *l)
{
	const int *list[] = { &l->chan, &l->null, &l->log };
	int high[3 + HELPER_FDS_MAX];
	int keep[3 + HELPER_FDS_MAX + 5];
	size_t keep_len = 0;

	for (size_t i = 0; i < 3 + l->fds_len; i++) {
		high[i] = fcntl(i < 3 ? *list[i] : l->fds[i - 3], F_DUPFD_CLOEXEC, HIGH);
		if (high[i] < 0)
			return;
	}
	for (size_t i = 0; i < 3 + l->fds_len; i++) {
		if (dup2(high[i], (int)i) < 0)
			return;
		keep[keep_len++] = (int)i;
	}
	/* EXE and REPORT are above all places: the caller has seen to that. */
	if (l->exe < l->report) {
		keep[keep_len++] = l->exe;
		keep[keep_len++] = l->report;
	} else {
		keep[keep_len++] = l->report;
		keep[keep_len++] = l->exe;
	}
	fd_close_from(3 + (int)l->fds_len, keep + 3 + l->fds_len, 2);
	(void)syscall(SYS_execveat, l->exe, "", l->argv, l->envp, AT_EMPTY_PATH);
}

static void child(const struct launch *l)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;
	int sys;

	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &dfl, NULL); /* KILL and STOP refuse, rightly */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (l->dies_with_us) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		if (getppid() != l->parent)
			_exit(127);
	}
	place(l);
	sys = errno;
	if (write(l->report, &sys, sizeof(sys)) < 0)
		_exit(126);
	_exit(127);
}

static int spawn(struct launch *l, struct helper *ret, int report_out, struct err *err)
{
	int sys = 0;
	pid_t pid;

	l->parent = getpid();
	pid = fork();
	if (pid < 0)
		return err_sys(err, "cannot fork for the helper");
	if (pid == 0)
		child(l);
	ret->pid = pid;
	(void)close(l->report); /* the child has its own */
	l->report = -1;
	if (fd_read_full(report_out, &sys, sizeof(sys)) > 0) {
		(void)waitpid(pid, NULL, 0); /* it is gone already */
		errno = sys;
		return err_sys(err, "cannot run the helper program");
	}
	ret->pidfd = fd_pidfd_open(pid);
	return 0;
}

/* A descriptor that cannot be one of the helper's places. */
static int out_of_the_way(int *fd, struct err *err)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, HIGH + 64);

	if (high < 0)
		return err_sys(err, "cannot copy a descriptor");
	(void)close(*fd); /* the copy lives */
	*fd = high;
	return 0;
}

int helper_spawn(const struct helper_options *o, struct helper *ret, struct err *err)
{
	const char *level = getenv("SLUICE_LOG");
	_cleanup_free_ char *env = level ? xasprintf("SLUICE_LOG=%s", level) : NULL;
	_cleanup_free_ char *mode = xstrdup(o->mode);
	char *const argv[] = { (char[]){ "sluice-helper" }, mode, NULL };
	char *const envp[] = { env, NULL };
	_cleanup_close_ int exe = -1;
	_cleanup_close_ int null = -1;
	_cleanup_close_ int theirs = -1;
	_cleanup_close_ int ours = -1;
	_cleanup_close_ int report_in = -1;
	_cleanup_close_ int report_out = -1;
	struct helper h = HELPER_INIT;
	struct launch l = { .fds = o->fds,
		.fds_len = o->fds_len,
		.argv = argv,
		.envp = envp,
		.dies_with_us = o->dies_with_us };
	int pair[2];
	int rc;

	if (o->fds_len > HELPER_FDS_MAX)
		return err_set(err, ERR_BUG, "too many descriptors for the helper");
	if (o->exe >= 0)
		exe = fcntl(o->exe, F_DUPFD_CLOEXEC, HIGH);
	else if (helper_open(&exe, err) < 0)
		return -1;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (exe < 0 || null < 0 || pipe2(pair, O_CLOEXEC) < 0)
		return err_sys(err, "cannot prepare the helper");
	report_out = pair[0];
	report_in = pair[1];
	if (chan_pair(pair, err) < 0)
		return -1;
	ours = pair[0];
	theirs = pair[1];
	if (out_of_the_way(&exe, err) < 0 || out_of_the_way(&report_in, err) < 0)
		return -1;
	l.exe = exe;
	l.null = null;
	l.chan = theirs;
	l.log = o->log >= 0 ? o->log : 2;
	l.report = take_fd(&report_in);
	rc = spawn(&l, &h, report_out, err);
	if (l.report >= 0)
		(void)close(l.report); /* the fork failed */
	if (rc < 0)
		return -1;
	h.chan = take_fd(&ours);
	*ret = h;
	return 0;
}

void helper_done(struct helper *h, int ms)
{
	struct pollfd p = { .fd = h->pidfd, .events = POLLIN };

	cleanup_closep(&h->chan);
	if (h->pid > 0) {
		if (h->pidfd < 0 || poll(&p, 1, ms) <= 0)
			(void)kill(h->pid,
				SIGKILL); /* not reaped: the number is still its own */
		(void)waitpid(h->pid, NULL, 0); /* its answer has told what matters */
	}
	cleanup_closep(&h->pidfd);
	*h = (struct helper)HELPER_INIT;
}

/* ---- requests ---- */

enum err_code helper_err_code(const char *name)
{
	for (int code = ERR_NONE + 1; code < ERR_BUG; code++) {
		if (str_eq(name, err_code_name((enum err_code)code)))
			return (enum err_code)code;
	}
	return ERR_BUG;
}

int helper_answer_err(const struct json *answer, struct err *err)
{
	const struct json *e = json_get(answer, "error");

	if (json_get_bool(answer, "ok", false))
		return 0;
	return err_set(err, helper_err_code(json_get_str(e, "code", "")), "%s",
		json_get_str(e, "message", "the helper gives no reason"));
}

struct json *helper_answer_fault(int64_t seq, const struct err *err)
{
	struct json *answer = json_new_object();
	struct json *e = json_new_object();

	json_set_str(answer, "op", "answer");
	json_set_int(answer, "seq", seq);
	json_set_bool(answer, "ok", false);
	json_set_str(e, "code", err_code_name(err->code));
	json_set_str(e, "message", err->msg);
	json_set(answer, "error", e);
	return answer;
}

static int wait_answer(const struct helper *h, int ms, struct err *err)
{
	int64_t end = clock_boot_ms() + ms;
	struct pollfd p = { .fd = h->chan, .events = POLLIN };

	for (;;) {
		int64_t left = ms < 0 ? -1 : end - clock_boot_ms();
		int n = left < 0 && ms >= 0 ? 0 : poll(&p, 1, (int)left);

		if (n > 0)
			return 0;
		if (n == 0)
			return err_set(err, ERR_TIMEOUT,
				"the helper took longer than %d s", ms / 1000);
		if (errno != EINTR)
			return err_sys(err, "cannot wait for the helper");
	}
}

int helper_call(struct helper *h, struct json *head, const void *body, size_t len,
	const int *fds, size_t fds_len, int ms, struct chan_msg *ret, struct err *err)
{
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	int rc;

	json_set_int(head, "seq", 1); /* one at a time */
	if (chan_send(h->chan, head, body, len, fds, fds_len, err) < 0)
		return err_wrap(err, "the helper");
	if (wait_answer(h, ms, err) < 0)
		return -1;
	rc = chan_recv(h->chan, &m, err);
	if (rc < 0)
		return err_wrap(err, "the helper");
	if (rc == 0 || !str_eq(chan_msg_op(&m), "answer"))
		return err_set(
			err, ERR_UNAVAILABLE, "the helper ended without an answer");
	if (helper_answer_err(m.head, err) < 0)
		return -1;
	if (ret) {
		*ret = m;
		m = (struct chan_msg)CHAN_MSG_INIT;
	}
	return 0;
}
