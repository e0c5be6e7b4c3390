/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the attacks of attack_table.c: outside, as the control, then inside, and judges.
 * What the probes look for outside (a listener, an abstract socket, planted files, shared
 * memory, stray descriptors) is put there first and taken away at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/attack-internal.h"
#include "sandbox/attack.h"
#include "sandbox/sandbox-internal.h"

#define PROBE_INSIDE	 "/opt/attack/probe"
#define PROBE_TIMEOUT_MS 20000
#define DECOYS		 16

/* ---- bait -------------------------------------------------------------------------- */

static const char *const marker_dirs[] = { "/tmp", "/var/tmp", "/dev/shm" };

struct bait {
	int listener, abstract, named;
	int port;
	int shm;
	char name[64];
	int decoys[DECOYS];
	pid_t target; /* sleeps outside, ours: what init is inside */
};

static int bait_sockets(struct bait *b, struct err *err)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = sizeof(at);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	b->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	b->abstract = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (b->listener < 0 || b->abstract < 0 ||
		bind(b->listener, (struct sockaddr *)&at, sizeof(at)) < 0 ||
		listen(b->listener, 8) < 0 ||
		getsockname(b->listener, (struct sockaddr *)&at, &len) < 0)
		return err_sys(err, "cannot listen for the attacks");
	b->port = ntohs(at.sin_port);
	memcpy(un.sun_path + 1, b->name, strlen(b->name));
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(b->name));
	if (bind(b->abstract, (struct sockaddr *)&un, len) < 0 ||
		listen(b->abstract, 8) < 0)
		return err_sys(err, "cannot listen for the attacks");
	un = (struct sockaddr_un){ .sun_family = AF_UNIX };
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "/tmp/%s.s", b->name);
	b->named = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (b->named < 0 || bind(b->named, (struct sockaddr *)&un, sizeof(un)) < 0 ||
		listen(b->named, 8) < 0)
		return err_sys(err, "cannot listen for the attacks");
	return 0;
}

static void bait_files(const struct bait *b)
{
	for (size_t i = 0; i < ARRAY_SIZE(marker_dirs); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", marker_dirs[i], b->name);
		_cleanup_close_ int fd = open(
			path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);

		if (fd >= 0)
			(void)fchmod(fd, 0644); /* not there: that probe is "not shown" */
	}
}

static int bait_open(struct bait *b, struct err *err)
{
	_cleanup_free_ char *random = crypto_random_hex(8);

	*b = (struct bait){ .listener = -1,
		.abstract = -1,
		.named = -1,
		.shm = -1,
		.target = -1 };
	(void)snprintf(b->name, sizeof(b->name), "sluice-attack-%s", random);
	for (int i = 0; i < DECOYS; i++)
		b->decoys[i] = open(
			"/dev/null", O_RDONLY); /* NOLINT: without CLOEXEC, on purpose */
	bait_files(b);
	b->target = fork();
	if (b->target == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		for (;;)
			(void)pause();
	}
	if (b->target < 0)
		return err_sys(err, "cannot fork");
	b->shm = shmget((key_t)b->target, 1, IPC_CREAT | 0666);
	return bait_sockets(b, err);
}

static void bait_done(struct bait *b)
{
	for (int i = 0; i < DECOYS; i++)
		cleanup_closep(&b->decoys[i]);
	for (size_t i = 0; i < ARRAY_SIZE(marker_dirs); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", marker_dirs[i], b->name);

		(void)unlink(path);
	}
	if (b->named >= 0) {
		_cleanup_free_ char *path = xasprintf("/tmp/%s.s", b->name);

		(void)unlink(path);
	}
	if (b->shm >= 0)
		(void)shmctl(b->shm, IPC_RMID, NULL);
	if (b->target > 0) {
		(void)kill(b->target, SIGKILL);
		(void)waitpid(b->target, NULL, 0);
	}
	cleanup_closep(&b->listener);
	cleanup_closep(&b->abstract);
	cleanup_closep(&b->named);
}

/* ---- running a probe --------------------------------------------------------------- */

static void probe_argv(struct strvec *argv, const char *program,
	const struct sandbox_attack_options *opts, const struct attack *a,
	const struct bait *b, bool inside)
{
	strvec_push(argv, program);
	strvec_push_all(argv, opts->prefix);
	strvec_push(argv, a->id);
	strvec_pushf(argv, "outer=%d", (int)b->target);
	strvec_pushf(argv, "port=%d", b->port);
	strvec_pushf(argv, "abstract=%s", b->name);
	strvec_pushf(argv, "marker=%s", b->name);
	strvec_pushf(argv, "profile=%s", sandbox_profile_name(opts->sandbox.profile));
	if (inside)
		strvec_push(argv, "inside");
}

static const char *const probe_env[] = { "PATH=/usr/bin:/bin",
	"ASAN_OPTIONS=detect_leaks=0", NULL };

static int control_run(const struct sandbox_attack_options *opts, const struct attack *a,
	const struct bait *b, int out)
{
	_cleanup_(strvec_done) struct strvec argv = STRVEC_INIT;
	int status;
	pid_t pid;

	probe_argv(&argv, "/proc/self/exe", opts, a, b, false);
	pid = fork();
	if (pid == 0) {
		if (dup2(out, 1) >= 0)
			execve("/proc/self/exe", argv.v, (char *const *)probe_env);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

int attack_await(struct sandbox *sb, int id)
{
	int64_t deadline = clock_boot_ms() + PROBE_TIMEOUT_MS;
	struct sandbox_event ev;

	for (;;) {
		struct pollfd p = { .fd = sandbox_fd(sb), .events = POLLIN };
		int64_t left = deadline - clock_boot_ms();

		while (sandbox_next_event(sb, &ev, NULL) == 1) {
			if (ev.kind == SANDBOX_EVENT_EXIT && ev.id == id)
				return ev.is_oom ? 1 : ev.code == 0 ? 0 : -1;
			if (ev.kind == SANDBOX_EVENT_GONE)
				return -1;
		}
		if (left <= 0)
			return -1;
		(void)poll(&p, 1, (int)left);
	}
}

int attack_spawn(const struct attack_world *w, struct sandbox *sb, const struct attack *a,
	int out, int *ret_id)
{
	_cleanup_(strvec_done) struct strvec argv = STRVEC_INIT;
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;

	probe_argv(&argv, PROBE_INSIDE, w->opts, a, w->bait, true);
	cmd.argv = (const char *const *)argv.v;
	cmd.env = probe_env;
	cmd.out = out;
	cmd.errfd = 2;
	return sandbox_spawn(sb, &cmd, ret_id, NULL);
}

static int inside_run(const struct attack_world *w, struct sandbox *sb,
	const struct attack *a, int out)
{
	_cleanup_(sandbox_freep) struct sandbox *alone = NULL;
	int id, rc;

	if (a->flags & ATTACK_ALONE) {
		if (attack_sandbox(w, w->tight, &alone, NULL) < 0)
			return -1;
		sb = alone;
	}
	if (attack_spawn(w, sb, a, out, &id) < 0)
		return -1;
	rc = attack_await(sb, id);
	if (rc == 1)
		(void)dprintf(out, "memory %d\n", ATTACK_OOM);
	return rc < 0 ? -1 : 0;
}

/* ---- judging ----------------------------------------------------------------------- */

static bool is_held(const struct attack *a, int value)
{
	if (value == 0)
		return a->zero_is_held;
	for (int i = 0; i < ATTACK_ERRNOS_MAX; i++)
		if (a->held[i] && a->held[i] == value)
			return true;
	return false;
}

static void value_words(int value, char *buf, size_t size)
{
	const char *name =
		value > 0 && value < ATTACK_KILLED ? strerrorname_np(value) : NULL;

	if (value >= ATTACK_OOM)
		(void)snprintf(buf, size, "killed: out of the job's memory");
	else if (value >= ATTACK_MASKED)
		(void)snprintf(buf, size, "masked");
	else if (value >= ATTACK_KILLED)
		(void)snprintf(buf, size, "killed by SIG%s",
			sigabbrev_np(value - ATTACK_KILLED));
	else if (value == 0)
		(void)snprintf(buf, size, "allowed");
	else
		(void)snprintf(buf, size, "%s", name ? name : "an odd errno");
}

static int read_back(int fd, struct strvec *lines)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	if (lseek(fd, 0, SEEK_SET) < 0 || fd_read_to_end(fd, 1 << 20, &text, NULL) < 0)
		return -1;
	strvec_split(lines, text.buf, '\n');
	return 0;
}

/* The value after "NAME " among LINES, or -1. */
static int value_of(const struct strvec *lines, const char *name, size_t len)
{
	strvec_foreach (line, lines)
		if (!strncmp(*line, name, len) && (*line)[len] == ' ')
			return (int)strtol(*line + len + 1, NULL, 10);
	return -1;
}

static const struct attack_design *design_of(
	const struct attack *a, enum sandbox_profile profile)
{
	for (size_t i = 0; i < ATTACK_DESIGNS_MAX; i++)
		if (a->designs[i].words && a->designs[i].profile == profile)
			return &a->designs[i];
	return NULL;
}

/* Is NAME a word of LIST? */
static bool is_listed(const char *list, const char *name, size_t len)
{
	while (*list) {
		size_t word = strcspn(list, " ");

		if (word == len && strncmp(list, name, len) == 0)
			return true;
		list += word + strspn(list + word, " ");
	}
	return false;
}

static void judge(const struct attack *a, const struct attack_design *design,
	const struct strvec *outside, const struct strvec *inside,
	struct sandbox_attack_result *r, struct strbuf *what, struct strbuf *words)
{
	size_t tried = 0, works_outside = 0;
	char said[48] = "";

	strvec_foreach (line, inside) {
		size_t len = strcspn(*line, " ");
		int value;

		if (!**line || (design && is_listed(design->lines, *line, len)))
			continue;
		value = (int)strtol(*line + len, NULL, 10);
		tried++;
		works_outside += !is_held(a, value_of(outside, *line, len));
		if (!is_held(a, value)) {
			value_words(value, said, sizeof(said));
			strbuf_addf(words, "%s%.*s: %s", words->len ? ", " : "", (int)len,
				*line, said);
		}
		if (!*said && !a->zero_is_held)
			value_words(value, said, sizeof(said));
	}
	if (a->flags & ATTACK_COUNTED)
		strbuf_addf(what, "%zu ", tried);
	if (words->len || !tried) {
		r->verdict = SANDBOX_ATTACK_BROKE_THROUGH;
		if (!tried)
			strbuf_adds(words, "it could not be tried");
	} else if (works_outside || a->no_control) {
		r->verdict = SANDBOX_ATTACK_HELD;
		strbuf_addf(words, "%s; %s%s", *said ? said : "nothing there",
			a->no_control ? "no control: " : "control worked",
			a->no_control ? a->no_control : "");
	} else {
		r->verdict = SANDBOX_ATTACK_NOT_SHOWN;
		strbuf_adds(words, "this account is refused outside, too");
	}
}

static void compare(const struct attack_world *w, struct sandbox *sb,
	const struct attack *a, struct sandbox_attack_result *r, struct strbuf *what,
	struct strbuf *words)
{
	_cleanup_(strvec_done) struct strvec outside = STRVEC_INIT, inside = STRVEC_INIT;
	_cleanup_close_ int out = memfd_create("outside", MFD_CLOEXEC);
	_cleanup_close_ int in = memfd_create("inside", MFD_CLOEXEC);
	const char *why = a->unshown ? a->unshown(w) : NULL;

	if (why && (a->flags & ATTACK_UNTRIED)) {
		r->verdict = SANDBOX_ATTACK_NOT_SHOWN;
		strbuf_adds(words, why);
		return;
	}
	/* A control that dies half-way has said what it has said. */
	(void)control_run(w->opts, a, w->bait, out);
	if (inside_run(w, sb, a, in) < 0 || read_back(out, &outside) < 0 ||
		read_back(in, &inside) < 0) {
		r->verdict = SANDBOX_ATTACK_BROKE_THROUGH;
		strbuf_adds(words, "the probe did not run to its end");
		return;
	}
	judge(a, design_of(a, w->sandbox->profile), &outside, &inside, r, what, words);
	if (!why || r->verdict == SANDBOX_ATTACK_BROKE_THROUGH)
		return;
	r->verdict = SANDBOX_ATTACK_NOT_SHOWN;
	strbuf_clear(words);
	strbuf_adds(words, why);
}

static void attack_one(
	const struct attack_world *w, struct sandbox *sb, const struct attack *a)
{
	struct sandbox_attack_result r = { .id = a->id,
		.is_headline = a->flags & ATTACK_HEADLINE };
	_cleanup_(strbuf_done) struct strbuf what = STRBUF_INIT, words = STRBUF_INIT;
	const struct attack_design *design = design_of(a, w->sandbox->profile);

	r.design = design ? design->words : NULL;
	if (a->judge)
		r.verdict = a->judge(w, a, &words);
	else
		compare(w, sb, a, &r, &what, &words);
	strbuf_adds(&what, a->what);
	r.what = what.buf;
	r.words = words.buf;
	w->opts->fn(&r, w->opts->data);
}

/* What a job of an attack on limits may have; the probes know these figures. */
static void tighten(struct sandbox_options *o, const struct sandbox_options *wanted)
{
	o->limits = (struct sandbox_limits){
		.memory = 96 << 20,
		.pids = 64,
		.fsize = 16 << 20,
		.nofile = 256,
		.shm = 8 << 20,
	};
	o->cgroup_tree = wanted->cgroup_tree;
	o->cgroup_name = wanted->cgroup_name;
}

int sandbox_attack_run(const struct sandbox_host *host,
	const struct sandbox_attack_options *opts, struct err *err)
{
	_cleanup_close_ int exe = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	_cleanup_(sandbox_freep) struct sandbox *sb = NULL;
	_cleanup_(bait_done) struct bait bait = {
		.listener = -1, .abstract = -1, .named = -1, .shm = -1, .target = -1
	};
	_cleanup_(attack_root_done) struct attack_root root = ATTACK_ROOT_INIT;
	_cleanup_free_ struct sandbox_mount *mounts =
		xcalloc(opts->sandbox.mounts_len + 2, sizeof(*mounts));
	struct sandbox_options with = opts->sandbox, tight;
	struct attack_world w = {
		.host = host, .opts = opts, .sandbox = &with, .tight = &tight, .bait = &bait,
		.root = &root
	};

	for (int i = 0; i < DECOYS; i++)
		bait.decoys[i] = -1;
	if (exe < 0)
		return err_sys(err, "cannot open our own program");
	if (bait_open(&bait, err) < 0)
		return -1;
	if (with.mounts_len)
		memcpy(mounts, with.mounts, with.mounts_len * sizeof(*mounts));
	mounts[with.mounts_len++] =
		(struct sandbox_mount){ exe, PROBE_INSIDE, SANDBOX_MOUNT_FILE };
	if (profile_traits(with.profile)->owns_root) {
		if (attack_root_open(&root, err) < 0)
			return -1;
		mounts[with.mounts_len++] = (struct sandbox_mount){ root.usr, "/usr", 0 };
	}
	with.mounts = mounts;
	with.cgroup_name = NULL;
	tight = with;
	tighten(&tight, &opts->sandbox);
	if (attack_sandbox(&w, &with, &sb, err) < 0)
		return -1;
	for (size_t i = 0; i < sandbox_attacks_len; i++)
		if (!opts->only || !strcmp(opts->only, sandbox_attacks[i].id))
			attack_one(&w, sb, &sandbox_attacks[i]);
	return sandbox_kill(sb, 10000, err);
}
