/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failcall REPORT PROCESS N COMMAND [ARGUMENT]...
 *
 * Runs COMMAND and lets one system call of one of the processes it makes fail with EIO, once:
 * the Nth of PROCESS, counted until the first step of a job begins. What is made below, and in
 * which confinement it is executed, is read from /proc at the very moment; nobody else's word
 * is taken for it. PROCESS is a path of forks: "m" is COMMAND, "m.2" its second child, "m.2.1"
 * that one's first. N 0: none fails, and all are counted.
 *
 * REPORT is a folder. In REPORT/report stand
 *	process PROCESS NAME CALLS	each that was counted, by the name it had at the end
 *	failed PROCESS N NUMBER		the call that failed
 *	exec HASH WEAK PROGRAM		a program executed in the pid namespace of a job;
 *					REPORT/HASH and REPORT/WEAK tell how it was confined:
 *					ids, rights, filters, namespaces, mounts, limits; and what
 *					a job may lack that is named weaker: its cgroups
 *
 * Not counted are calls that give back or look at what cannot fail (close, exit, munmap, signal
 * masks, the clock), and waiting. Exit status: that of COMMAND, 2 when it cannot be traced.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strvec.h"

#define CANNOT 2

#if defined(__x86_64__)
#include <sys/user.h>

#define STEP_PROGRAM "bash" /* with it the set-up is over */

struct process {
	struct process *next;
	pid_t pid;
	char role[64];
	char name[32];
	unsigned children, calls;
	bool has_role; /* its parent's word has come */
	bool is_stopped; /* and waits for that */
	bool is_failing; /* at the exit of the call it is told so */
	bool in_call;
};

static struct process *processes;
static const char *report_dir, *wanted_role;
static unsigned wanted_call;
static bool is_set_up;
static FILE *report;

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "failcall: %s: %s\n", what, strerror(errno));
	exit(CANNOT);
}

static struct process *find(pid_t pid)
{
	struct process *p;

	for (p = processes; p; p = p->next)
		if (p->pid == pid)
			return p;
	p = xcalloc(1, sizeof(*p));
	p->pid = pid;
	p->next = processes;
	processes = p;
	return p;
}

static void read_proc(pid_t pid, const char *file, struct strbuf *out)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	strbuf_clear(out);
	(void)fd_read_file(AT_FDCWD, path, 1 << 20, out, NULL); /* "" when it has gone */
}

static void note_name(struct process *p)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	read_proc(p->pid, "comm", &text);
	if (text.len)
		(void)snprintf(p->name, sizeof(p->name), "%.*s",
			(int)strcspn(text.buf, "\n"), text.buf);
}

/* ---- how a program is confined ---- */

static void add_lines(struct strbuf *out, const char *text, const char *const *starts)
{
	for (const char *line = text; line && *line;) {
		size_t len = strcspn(line, "\n");

		for (const char *const *s = starts; *s; s++)
			if (!strncmp(line, *s, strlen(*s)))
				strbuf_addf(out, "%.*s\n", (int)len, line);
		line += len + (line[len] == '\n');
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/*
 * Of a line of mountinfo: where, how, of what kind; not its numbers, nor folders outside, and in
 * the order of their names. What is read-only in /etc is there or is missed, and hides nothing;
 * what a job's own podman mounts comes and goes.
 */
static void add_mounts(struct strbuf *out, struct strbuf *soft, char *text)
{
	_cleanup_(strvec_done) struct strvec mounts = STRVEC_INIT;
	char *line, *save = NULL;

	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char where[256], how[256];
		const char *kind = strstr(line, " - ");

		if (!kind || sscanf(line, "%*s %*s %*s %*s %255s %255s", where, how) != 2 ||
			(str_starts(where, "/etc/") && str_starts(how, "ro,")) ||
			str_starts(where, "/var/lib/containers/storage/"))
			continue;
		if (str_eq(where, "/")) { /* a copy of a root that cannot be mapped */
			strbuf_addf(soft, "/ is of %.*s\n", (int)strcspn(kind + 3, " "), kind + 3);
			kind = " - any";
		}
		strvec_pushf(&mounts, "%s %s %.*s", where, how, (int)strcspn(kind + 3, " "),
			kind + 3);
	}
	if (mounts.len)
		qsort(mounts.v, mounts.len, sizeof(*mounts.v), by_name);
	strvec_foreach (mount, &mounts)
		strbuf_addf(out, "%s\n", *mount);
}

static void add_namespaces(struct strbuf *out, pid_t pid)
{
	static const char *const kinds[] = { "user", "mnt", "pid", "net", "ipc", "uts", "cgroup" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char theirs[64], ours[64];
		struct stat a, b;

		(void)snprintf(theirs, sizeof(theirs), "/proc/%d/ns/%s", (int)pid, kinds[i]);
		(void)snprintf(ours, sizeof(ours), "/proc/self/ns/%s", kinds[i]);
		strbuf_addf(out, "%s %s\n", kinds[i],
			stat(theirs, &a) < 0 || stat(ours, &b) < 0 ? "unknown"
			: a.st_ino == b.st_ino			   ? "OF THE HOST"
								   : "own");
	}
}

static uint64_t keep(const struct strbuf *text)
{
	uint64_t hash = 14695981039346656037ull;
	char path[4096];
	int fd;

	for (size_t i = 0; i < text->len; i++)
		hash = (hash ^ (unsigned char)text->buf[i]) * 1099511628211ull;
	(void)snprintf(path, sizeof(path), "%s/%016" PRIx64, report_dir, hash);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd >= 0) {
		(void)fd_write_all(fd, text->buf, text->len);
		(void)close(fd);
	}
	return hash;
}

/* Names of groups have the numbers of a run in them. */
static void add_groups(struct strbuf *out, const char *text)
{
	bool was_digit = false;

	for (; *text; text++) {
		bool is_digit = (*text >= '0' && *text <= '9') || (*text >= 'a' && *text <= 'f');

		if (!is_digit)
			strbuf_addf(out, "%c", *text);
		else if (!was_digit)
			strbuf_adds(out, "#");
		was_digit = is_digit;
	}
}

static void note_exec(struct process *p)
{
	static const char *const status[] = { "Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:",
		"Seccomp:", "Seccomp_filters:", NULL };
	static const char *const depth[] = { "NSpid:", NULL };
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT, hard = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf soft = STRBUF_INIT, line = STRBUF_INIT;

	note_name(p);
	read_proc(p->pid, "status", &text);
	add_lines(&line, text.len ? text.buf : "", depth);
	if (!line.len || !strchr(strchr(line.buf, '\t') + 1, '\t'))
		return; /* in the pid namespace of no job */
	is_set_up = is_set_up || str_eq(p->name, STEP_PROGRAM);
	add_lines(&hard, text.buf, status);
	for (size_t i = 0; i < 2; i++) {
		read_proc(p->pid, i ? "gid_map" : "uid_map", &text);
		strbuf_add(&hard, text.buf, text.len);
	}
	add_namespaces(&hard, p->pid);
	read_proc(p->pid, "limits", &text);
	strbuf_add(&hard, text.buf, text.len);
	read_proc(p->pid, "mountinfo", &text);
	add_mounts(&hard, &soft, text.buf);
	read_proc(p->pid, "cgroup", &text);
	add_groups(&soft, text.buf);
	read_proc(p->pid, "oom_score_adj", &text);
	strbuf_addf(&soft, "oom_score_adj %s", text.buf);
	fprintf(report, "exec %016" PRIx64 " %016" PRIx64 " %s\n", keep(&hard), keep(&soft),
		p->name);
}

/* ---- calls ---- */

static bool is_counted(long nr)
{
	static const long never[] = { SYS_close, SYS_exit, SYS_exit_group, SYS_brk, SYS_munmap,
		SYS_madvise, SYS_rt_sigreturn, SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_futex,
		SYS_clock_gettime, SYS_gettimeofday, SYS_getpid, SYS_gettid, SYS_getppid,
		SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_umask, SYS_set_robust_list,
		SYS_restart_syscall, SYS_poll, SYS_ppoll, SYS_epoll_wait, SYS_epoll_pwait,
		SYS_wait4, SYS_waitid, SYS_getrandom };

	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		if (nr == never[i])
			return false;
	return nr >= 0;
}

static void on_call(struct process *p)
{
	struct __ptrace_syscall_info info;
	struct user_regs_struct r;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, p->pid, (void *)sizeof(info), &info) <= 0)
		return;
	p->in_call = info.op == PTRACE_SYSCALL_INFO_ENTRY;
	if (!p->in_call) {
		if (!p->is_failing || ptrace(PTRACE_GETREGS, p->pid, NULL, &r) < 0)
			return;
		p->is_failing = false;
		r.rax = (unsigned long)-EIO;
		(void)ptrace(PTRACE_SETREGS, p->pid, NULL, &r);
		return;
	}
	if (is_set_up || ptrace(PTRACE_GETREGS, p->pid, NULL, &r) < 0 ||
		!is_counted((long)r.orig_rax))
		return;
	p->calls++;
	if (p->calls != wanted_call || !str_eq(p->role, wanted_role))
		return;
	note_name(p);
	fprintf(report, "failed %s %u %ld %s\n", p->role, p->calls, (long)r.orig_rax, p->name);
	r.orig_rax = (unsigned long)-1;
	p->is_failing = ptrace(PTRACE_SETREGS, p->pid, NULL, &r) == 0;
}

static void go_on(struct process *p, int sig)
{
	bool is_looked_at = !is_set_up || p->in_call;

	(void)ptrace(is_looked_at ? PTRACE_SYSCALL : PTRACE_CONT, p->pid, NULL, (long)sig);
}

static void on_fork(struct process *parent)
{
	unsigned long pid;
	struct process *p;

	if (ptrace(PTRACE_GETEVENTMSG, parent->pid, NULL, &pid) < 0)
		return;
	p = find((pid_t)pid);
	p->has_role = true;
	(void)snprintf(p->role, sizeof(p->role), "%.50s.%u", parent->role, ++parent->children);
	note_name(parent);
	memcpy(p->name, parent->name, sizeof(p->name));
	if (p->is_stopped)
		go_on(p, 0);
	p->is_stopped = false;
}

static void forget(struct process *p)
{
	struct process **at = &processes;

	if (p->calls)
		fprintf(report, "process %s %s %u\n", p->role, p->name, p->calls);
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	free(p);
}

static void on_stop(struct process *p, int status)
{
	int event = status >> 16, sig = WSTOPSIG(status);

	if (!p->has_role) { /* the parent is heard of later */
		p->is_stopped = true;
		return;
	}
	switch (event) {
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		on_fork(p);
		sig = 0;
		break;
	case PTRACE_EVENT_EXEC:
		note_exec(p);
		sig = 0;
		break;
	case PTRACE_EVENT_EXIT:
		note_name(p);
		sig = 0;
		break;
	case PTRACE_EVENT_STOP: /* its first, or stopped as a group: then it goes on */
		sig = 0;
		break;
	default:
		if (sig == (SIGTRAP | 0x80)) {
			on_call(p);
			sig = 0;
		}
	}
	go_on(p, sig);
}

#define OPTIONS                                                                         \
	(PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |                \
		PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT | PTRACE_O_TRACESYSGOOD |        \
		PTRACE_O_EXITKILL)

static int trace(char **argv)
{
	int status, result = CANNOT;
	pid_t pid, first = fork();
	struct process *p;

	if (first == 0) {
		(void)raise(SIGSTOP);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (first < 0 || waitpid(first, &status, WUNTRACED) != first ||
		ptrace(PTRACE_SEIZE, first, NULL, (long)OPTIONS) < 0)
		give_up("cannot trace");
	p = find(first);
	p->has_role = true;
	(void)snprintf(p->role, sizeof(p->role), "m");
	if (kill(first, SIGCONT) < 0) /* our own child */
		give_up("cannot go on");
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		p = find(pid);
		if (WIFSTOPPED(status)) {
			on_stop(p, status);
			continue;
		}
		if (pid == first)
			result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		forget(p);
	}
	return result;
}

int main(int argc, char **argv)
{
	_cleanup_free_ char *path = NULL;
	int result;

	if (argc < 5) {
		fprintf(stderr, "usage: failcall REPORT PROCESS N COMMAND...\n");
		return CANNOT;
	}
	report_dir = argv[1];
	wanted_role = argv[2];
	wanted_call = (unsigned)strtoul(argv[3], NULL, 10);
	if (mkdir(report_dir, 0755) < 0 && errno != EEXIST)
		give_up(report_dir);
	path = xasprintf("%s/report", report_dir);
	report = fopen(path, "we");
	if (!report)
		give_up(path);
	(void)setvbuf(report, NULL, _IOLBF, 0); /* it may be killed for its time */
	result = trace(argv + 4);
	return fclose(report) == 0 ? result : CANNOT;
}
#else
int main(void)
{
	fprintf(stderr, "failcall: not for this processor\n");
	return CANNOT;
}
#endif
