/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process inside that steps are forked from, and a step until its exec.
 *
 * The forker owns the inner user namespace's first seat: it keeps the service's id, which
 * is not mapped there, and SETUID and SETGID over the one id that is. It puts on
 * no_new_privs, Landlock and both filters *once*; a step inherits them, so there is no
 * moment at which a step lacks one, a further step costs a fork, and all steps of a job
 * share one Landlock domain. What a step still does before its exec is allowed to steps
 * anyway. Steps are forked as our siblings: init is their parent and reaps them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "sandbox/sandbox-internal.h"

/* ---- a step ----------------------------------------------------------------------- */

struct command {
	const char *cwd;
	char **argv, **env;
	mode_t umask;
	bool has_terminal;
	uint64_t fsize;
};

static char *next_string(char **at, const char *end)
{
	char *s = *at;
	size_t left = (size_t)(end - s);
	size_t len = strnlen(s, left);

	if (len == left)
		return NULL;
	*at = s + len + 1;
	return s;
}

/* The memory file is the caller's own and sealed, yet nothing in it is taken on trust. */
static int command_read(int fd, struct command *ret)
{
	struct blob *head;
	struct stat st;
	char **list, *at, *end;
	size_t n, size;

	errno = EPROTO;
	if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(*head))
		return -1;
	head = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (head == MAP_FAILED)
		return -1;
	errno = EPROTO;
	if (head->magic != BLOB_MAGIC || !head->argc || head->argc > BLOB_STRINGS_MAX ||
		head->envc > BLOB_STRINGS_MAX)
		return -1;
	n = (size_t)head->argc + head->envc + 2;
	size = n * sizeof(*list);
	list = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, /* cppcheck-suppress invalidFunctionArg */
		0);
	if (list == MAP_FAILED)
		return -1;
	errno = EPROTO;
	at = (char *)(head + 1);
	end = (char *)head + st.st_size;
	ret->cwd = next_string(&at, end);
	ret->argv = list;
	ret->env = list + head->argc + 1;
	for (uint32_t i = 0; ret->cwd && i < head->argc; i++)
		if (!(ret->argv[i] = next_string(&at, end)))
			return -1;
	for (uint32_t i = 0; ret->cwd && i < head->envc; i++)
		if (!(ret->env[i] = next_string(&at, end)))
			return -1;
	ret->umask = head->umask & 0777;
	ret->has_terminal = head->has_terminal != 0;
	ret->fsize = head->fsize;
	return ret->cwd && at == end ? 0 : -1;
}

static const char *path_of(char *const *env)
{
	for (; *env; env++)
		if (!strncmp(*env, "PATH=", 5))
			return *env + 5;
	return "/usr/local/bin:/usr/bin:/bin";
}

/* execvpe without allocation, and without its fallback to a shell. errno says why not. */
static void command_exec(const struct command *cmd)
{
	const char *name = cmd->argv[0], *path = path_of(cmd->env);
	int worst = ENOENT;

	if (strchr(name, '/') || !*name) {
		(void)execve(name, cmd->argv, cmd->env);
		return;
	}
	while (path) {
		size_t len = strcspn(path, ":");
		char file[4096];

		if (len + strlen(name) + 2 <= sizeof(file)) {
			memcpy(file, path, len);
			file[len] = '\0';
			child_cat(file, sizeof(file), len ? "/" : "./");
			child_cat(file, sizeof(file), name);
			(void)execve(file, cmd->argv, cmd->env);
			if (errno != ENOENT && errno != ENOTDIR)
				worst = errno;
		}
		path = path[len] ? path + len + 1 : NULL;
	}
	errno = worst;
}

static void take_stdio(struct child *c, int *fds, bool no_input)
{
	if (no_input)
		fds[SPAWN_IN] = (int)child_must(
			c, open("/dev/null", O_RDONLY | O_CLOEXEC), "open", "/dev/null");
	child_must(c, dup2(fds[SPAWN_IN], 0), "set standard input", NULL);
	child_must(c, dup2(fds[SPAWN_OUT], 1), "set standard output", NULL);
	child_must(c, dup2(fds[SPAWN_ERR], 2), "set standard error", NULL);
	/* All are close-on-exec from birth; this is for the one somebody forgets one day. */
	child_must(c, (long)syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC),
		"close what is open", NULL);
}

static void become_step(struct child *c, const struct plan *p)
{
	const uid_t id = p->step_inside;
	const char *who = id ? SANDBOX_USER : "root";
	sigset_t none;

	sigemptyset(&none);
	child_must(c, sigprocmask(SIG_SETMASK, &none, NULL), "unblock signals", NULL);
	child_must(c, setsid(), "start a session", NULL);
	child_must(c, syscall(SYS_setresgid, id, id, id), "become the group", who);
	child_must(c, syscall(SYS_setresuid, id, id, id), "become the user", who);
	child_must(
		c, child_set_caps(p->traits->caps), "drop the last capabilities", NULL);
	child_must(c, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "die with init", NULL);
	if (getppid() != 1)
		_exit(127);
}

static void enter_cwd(struct child *c, const char *cwd)
{
	char seen[4096];

	child_must(c, chdir(cwd), "enter", cwd);
	/* "(unreachable)/..." would be a folder of the host's (CVE-2024-21626). */
	if (child_must(c, syscall(SYS_getcwd, seen, sizeof(seen)), "see where we are",
		    NULL) < 2 ||
		seen[0] != '/')
		child_fail(c, EXDEV, "enter", cwd);
}

static noreturn void step_main(const struct plan *p, int *fds, bool no_input)
{
	struct child c = {
		.fd = fds[SPAWN_STATUS], .fault = p->fault, .in = SANDBOX_FAULT_STEP
	};
	struct note n = { .kind = NOTE_READY };
	struct command cmd = { 0 };

	(void)close(p->spawn);
	become_step(&c, p);
	child_must(&c, command_read(fds[SPAWN_BLOB], &cmd), "read the command", NULL);
	if (!cmd.cwd || !cmd.argv[0])
		child_fail(&c, EPROTO, "read the command", NULL);
	take_stdio(&c, fds, no_input);
	if (cmd.has_terminal)
		child_must(&c, ioctl(0, TIOCSCTTY, 0), "take the terminal", NULL);
	if (cmd.fsize)
		child_must(&c, rlimits_set(RLIMIT_FSIZE, cmd.fsize),
			"limit the file size", NULL);
	(void)umask(cmd.umask);
	enter_cwd(&c, cmd.cwd);

	n.pid = (int32_t)getpid();
	child_must(&c, note_send(c.fd, &n, NULL, 0), "tell the caller", NULL);
	if (note_recv(c.fd, 0, &n, NULL, 0, NULL) != 1 || n.kind != NOTE_GO)
		_exit(127); /* not verified, or the caller is gone */
	command_exec(&cmd);
	child_fail(&c, errno, "execute", cmd.argv[0]);
}

/* ---- the forker -------------------------------------------------------------------- */

/* By the call that would do it, before a filter could give the answer in its place. */
static void verify_shut(struct child *c)
{
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	if (pid > 0 || (errno != ENOSPC && errno != EUSERS))
		child_fail(c, pid > 0 ? EPERM : errno,
			"verify that nested user namespaces are shut", NULL);
}

static void put_on(struct child *c, struct plan *p, int ruleset)
{
	const uint64_t keep = FORKER_CAPS | p->traits->caps;
	int kept[1] = { p->spawn };

	child_must(c, rlimits_apply(&p->limits), "set the limits", NULL);
	child_must(c, child_drop_caps(keep, p->traits->caps), "drop capabilities", NULL);
	child_must(c, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs", NULL);
	if (plan_has_ruleset(p))
		child_must(c, landlock_apply(ruleset), "apply Landlock", NULL);
	child_must(c, prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "become undumpable", NULL);
	child_must(c, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "die with init", NULL);
	child_must(
		c, prctl(PR_SET_NAME, "sluice-fork", 0, 0, 0), "name the forker", NULL);
	fd_close_from(3, kept, 1);
	child_must(c, filter_load(p->profile_args), "load the first filter", NULL);
	child_must(c, filter_load(p->profile), "load the second filter", NULL);
}

static void fork_step(const struct plan *p, const struct note *asked, int *fds)
{
	long pid = ns_fork_sibling();

	if (pid == 0)
		step_main(p, fds, asked->status != 0);
	if (pid < 0) {
		struct note n = { .kind = NOTE_FAILED, .sys = errno };

		child_cat(n.what, sizeof(n.what), "fork a step");
		(void)note_send(fds[SPAWN_STATUS], &n, NULL, 0); /* or it sees the end */
	}
	for (int i = 0; i < SPAWN_FDS; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

static void make_network(struct child *c)
{
	child_must(c, unshare(CLONE_NEWNET), "make a network namespace", NULL);
	child_must(c, network_loopback_up(), "bring up the loopback", NULL);
}

/*
 * Forked from init while that still has all rights in the outer namespace: what takes the
 * kernel longest, a network, is made here while init builds the root.
 */
static int make_namespaces(struct child *c, const struct plan *p, int init)
{
	struct note n = { .kind = NOTE_WAITING };
	int ruleset = -1;

	if (p->own_net && !p->traits->owns_mounts)
		make_network(c);
	child_must(c, unshare(CLONE_NEWUSER), "make the steps' user namespace", NULL);
	/* Below it, the network is the steps' own to change. */
	if (p->traits->owns_mounts) {
		make_network(c);
		child_must(c, network_loopback_address(SANDBOX_BUILD_ADDR),
			"give the loopback", SANDBOX_BUILD_ADDR);
	}
	child_must(c, note_send(init, &n, NULL, 0), "tell init", NULL);
	if (note_recv(init, 0, &n, &ruleset, 1, NULL) != 1 || n.kind != NOTE_MAPPED)
		_exit(127); /* init has failed, and said so */
	if (plan_has_ruleset(p))
		child_must(c, ruleset, "take the Landlock ruleset", NULL);
	/* Init has pivoted meanwhile: the old root is gone from under us. */
	child_must(c, chdir("/"), "enter", "/");
	/*
	 * A copy of the finished root, likewise the steps' own. All its mounts came from a
	 * namespace with more rights than this one: the kernel has locked them together, and
	 * no cover can be lifted.
	 */
	if (p->traits->owns_mounts) {
		child_must(c, unshare(CLONE_NEWNS | CLONE_NEWCGROUP),
			"make the steps' mount namespace", NULL);
		mounts_cgroup(c);
	}
	return ruleset;
}

void forker_main(struct plan *p, int init)
{
	struct child c = {
		.fd = p->spawn, .fault = p->fault, .in = SANDBOX_FAULT_FORKER
	};
	struct note n = { .kind = NOTE_READY };
	int keep[2] = { init, p->spawn };
	int fds[SPAWN_FDS], ruleset;

	if (keep[0] > keep[1]) {
		keep[0] = p->spawn;
		keep[1] = init;
	}
	fd_close_from(3, keep, 2);
	child_must(&c, prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "die with init", NULL);
	ruleset = make_namespaces(&c, p, init);
	verify_shut(&c);
	put_on(&c, p, ruleset);
	n.pid = (int32_t)getpid();
	child_must(&c, note_send(p->spawn, &n, NULL, 0), "tell the caller", NULL);
	while (note_recv(p->spawn, 0, &n, fds, SPAWN_FDS, NULL) == 1)
		if (n.kind == NOTE_SPAWN && fds[SPAWN_STATUS] >= 0)
			fork_step(p, &n, fds);
	_exit(0);
}
