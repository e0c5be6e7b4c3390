/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step, seen from the caller: the command goes into a sealed memory file, its
 * descriptors to the forker; the new process says READY, we look at it from outside, tell
 * init to watch it, and say GO. Whatever goes wrong before that ends it by closing its
 * socket: it has executed nothing.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "sandbox/sandbox-internal.h"

static int blob_make(const struct sandbox_command *cmd, int *ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf b = STRBUF_INIT;
	struct blob head = { .magic = BLOB_MAGIC,
		.umask = cmd->umask,
		.has_terminal = cmd->has_terminal,
		.fsize = cmd->fsize };
	int fd;

	for (const char *const *s = cmd->argv; *s; s++)
		head.argc++;
	for (const char *const *s = cmd->env; s && *s; s++)
		head.envc++;
	if (!head.argc || head.argc > BLOB_STRINGS_MAX || head.envc > BLOB_STRINGS_MAX)
		return err_set(err, ERR_LIMIT, "a command of %u words and %u variables",
			head.argc, head.envc);
	strbuf_add(&b, &head, sizeof(head));
	strbuf_add(&b, cmd->cwd, strlen(cmd->cwd) + 1);
	for (const char *const *s = cmd->argv; *s; s++)
		strbuf_add(&b, *s, strlen(*s) + 1);
	for (const char *const *s = cmd->env; s && *s; s++)
		strbuf_add(&b, *s, strlen(*s) + 1);
	fd = fd_memfd("command", b.buf, b.len, err);
	explicit_bzero(b.buf, b.len); /* it may hold secrets */
	if (fd < 0)
		return -1;
	*ret = fd;
	return 0;
}

static struct step *free_step(struct sandbox *sb)
{
	for (int i = 0; i < STEPS_MAX; i++)
		if (!sb->steps[i].id)
			return &sb->steps[i];
	return NULL;
}

static int hand_over(struct sandbox *sb, const struct sandbox_command *cmd, int blob,
	int status, struct err *err)
{
	struct note n = { .kind = NOTE_SPAWN, .status = cmd->in < 0 };
	int fds[SPAWN_FDS] = {
		[SPAWN_BLOB] = blob,
		[SPAWN_IN] = cmd->in < 0 ? blob : cmd->in,
		[SPAWN_OUT] = cmd->out,
		[SPAWN_ERR] = cmd->errfd,
		[SPAWN_STATUS] = status,
	};

	if (caller_call(sb, note_send(sb->spawn, &n, fds, SPAWN_FDS)) == 0)
		return 0;
	if (errno == EPIPE || errno == ECONNRESET)
		return err_set(err, ERR_UNAVAILABLE,
			"an earlier step has killed the process that starts steps");
	return err_sys(err, "cannot hand a step to the sandbox");
}

/* Who sent READY is who the kernel says it was: number and id cannot be made up. */
static int verify_step(struct sandbox *sb, const struct ucred *cred, struct err *err)
{
	bool self = sb->ids.how == SANDBOX_IDMAP_SELF;
	struct status_want want = {
		.uid = self ? sb->ids.service_uid : sb->ids.job_uid,
		.gid = self ? sb->ids.service_gid : sb->ids.job_gid,
		.caps = sb->traits->caps,
		.bounding = sb->traits->caps,
		.filters_min = sb->host->filters_outside + 2,
		.no_groups = !self,
	};
	_cleanup_close_ int pidfd = fd_pidfd_open(cred->pid);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	if (caller_call(sb, pidfd) < 0)
		return err_sys(err, "cannot look at the step");
	if (cred->uid != want.uid || cred->gid != want.gid)
		return err_set(err, ERR_DENIED, "the step runs as %u, not as %u",
			cred->uid, want.uid);
	if (verify_status(cred->pid, &want, "the step", err) < 0)
		return -1;
	if (idmap_verify_step(cred->pid, &sb->ids, err) < 0)
		return -1;
	/* Alive still: so it was this process that we looked at. */
	if (caller_call(sb, poll(&p, 1, 0)) != 0)
		return err_set(
			err, ERR_UNAVAILABLE, "the step ended before it was started");
	return 0;
}

static int release(struct sandbox *sb, int status, int id, pid_t inside, struct err *err)
{
	struct note watch = { .kind = NOTE_WATCH, .id = id, .pid = inside };
	struct note go = { .kind = NOTE_GO };

	if (caller_call(sb, note_send(sb->ctl, &watch, NULL, 0)) < 0)
		return err_sys(err, "cannot tell init of the step");
	if (note_send(status, &go, NULL, 0) < 0)
		return err_sys(err, "cannot release the step");
	return 0;
}

/* 0 once the program runs: exec closed the other end. */
static int await_exec(int status, int64_t deadline, const char *program, struct err *err)
{
	struct note n = { 0 };

	if (note_await(status, deadline, &n, NULL, "the step", err) == 0)
		return err_set(
			err, ERR_BUG, "the step said %u instead of running", n.kind);
	if (n.kind == NOTE_FAILED) {
		if (err && (n.sys == ENOENT || n.sys == ENOTDIR))
			return err_set(
				err, ERR_NOT_FOUND, "there is no program '%s'", program);
		return -1;
	}
	return err && err->code == ERR_UNAVAILABLE ? 0 : -1;
}

static int spawn(struct sandbox *sb, const struct sandbox_command *cmd, struct step *step,
	struct err *err)
{
	_cleanup_close_ int blob = -1, ours = -1, theirs = -1;
	int64_t deadline = clock_boot_ms() + SETUP_TIMEOUT_MS;
	struct ucred cred = { 0 };
	struct note n = { 0 };
	struct err end = ERR_INIT;
	int pair[2], on = 1;

	if (blob_make(cmd, &blob, err) < 0 || note_pair(pair, err) < 0)
		return -1;
	ours = pair[0];
	theirs = pair[1];
	if (caller_call(sb, setsockopt(ours, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on))) <
		0)
		return err_sys(err, "cannot ask for credentials");
	if (hand_over(sb, cmd, blob, theirs, err) < 0)
		return -1;
	(void)close(take_fd(&theirs));
	(void)close(take_fd(&blob));
	if (note_await(ours, deadline, &n, &cred, "the step", err) < 0)
		return -1;
	if (n.kind != NOTE_READY || n.pid < 2)
		return err_set(err, ERR_BUG, "the step did not say that it is ready");
	if (verify_step(sb, &cred, err) < 0)
		return -1;
	*step = (struct step){ .id = ++sb->last_id, .pid = cred.pid, .inside = n.pid };
	if (release(sb, ours, step->id, n.pid, err) == 0 &&
		await_exec(ours, deadline, cmd->argv[0], &end) == 0)
		return 0;
	if (err && end.code)
		*err = end;
	step->id = 0;
	return -1;
}

int sandbox_spawn(struct sandbox *sb, const struct sandbox_command *cmd, int *ret_id,
	struct err *err)
{
	struct err own = ERR_INIT;
	struct step *step = free_step(sb);

	err = err ? err : &own;
	if (sb->is_init_gone)
		return err_set(err, ERR_UNAVAILABLE, "the sandbox has ended");
	if (!step)
		return err_set(err, ERR_LIMIT, "%d steps of one job at once", STEPS_MAX);
	if (cmd->cwd[0] != '/' || cmd->out < 0 || cmd->errfd < 0)
		return err_set(err, ERR_BUG, "a command without a folder or an output");
	if (spawn(sb, cmd, step, err) < 0)
		return -1;
	*ret_id = step->id;
	return 0;
}

pid_t sandbox_pid(const struct sandbox *sb, int id)
{
	for (int i = 0; i < STEPS_MAX; i++)
		if (sb->steps[i].id == id && id > 0 && !sb->steps[i].is_over)
			return sb->steps[i].pid;
	return 0;
}
