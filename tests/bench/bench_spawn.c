/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What confinement costs: /bin/true by plain fork and exec, as the first step of a fresh
 * sandbox (until its exit is known), as a further step of one that stands, and through
 * bwrap with all namespaces. All in turns in one run, so that load hits each alike; read
 * the ratios, not the milliseconds.
 *
 *	bench_spawn [ROUNDS]
 */
#include <errno.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "sandbox/sandbox.h"

#define ROUNDS_MAX 2000

enum kind { PLAIN, FIRST, OPENING, ENDING, NO_CGROUP, FURTHER, BWRAP, KINDS };
static const char *const names[KINDS] = {
	[PLAIN] = "fork and exec",
	[FIRST] = "first confined step",
	[OPENING] = "  of it: sandbox_open",
	[ENDING] = "  then: kill, wait, remove",
	[NO_CGROUP] = "first, without a cgroup",
	[FURTHER] = "further confined step",
	[BWRAP] = "bwrap --unshare-all",
};
static int64_t took[KINDS][ROUNDS_MAX];

static void die(const char *what, const struct err *err)
{
	fprintf(stderr, "bench_spawn: %s: %s\n", what, err ? err->msg : strerror(errno));
	exit(1);
}

static int run_plain(const char *const *argv)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		die("fork", NULL);
	if (pid == 0) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(126);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid", NULL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void run_step(struct sandbox *sb)
{
	static const char *const argv[] = { "/bin/true", NULL };
	static const char *const env[] = { "PATH=/usr/bin:/bin", NULL };
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	struct sandbox_event ev;
	struct err err = ERR_INIT;
	int id;

	cmd.argv = argv;
	cmd.env = env;
	cmd.out = 1;
	cmd.errfd = 2;
	if (sandbox_spawn(sb, &cmd, &id, &err) < 0)
		die("spawn", &err);
	for (;;) {
		struct pollfd p = { .fd = sandbox_fd(sb), .events = POLLIN };

		(void)poll(&p, 1, 10000);
		while (sandbox_next_event(sb, &ev, &err) == 1)
			if (ev.kind == SANDBOX_EVENT_EXIT && ev.id == id) {
				if (ev.code != 0)
					die("the step failed", &err);
				return;
			}
	}
}

static int by_value(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int64_t median(enum kind k, int rounds)
{
	qsort(took[k], (size_t)rounds, sizeof(took[k][0]), by_value);
	return took[k][rounds / 2];
}

static bool have_bwrap;

/* The kernel takes a network namespace apart later, and the next one made waits for it:
 * nobody pays for who went before. */
static int64_t start(void)
{
	(void)usleep(15000);
	return clock_boot_us();
}

/* OPENING and ENDING may be left out: KINDS. */
static void first_step(const struct sandbox_host *host,
	const struct sandbox_options *opts, int i, enum kind all, enum kind opening,
	enum kind ending)
{
	struct err err = ERR_INIT;
	struct sandbox *sb;
	int64_t at = start();

	if (sandbox_open(host, opts, &sb, &err) < 0)
		die("open", &err);
	if (opening != KINDS)
		took[opening][i] = clock_boot_us() - at;
	run_step(sb);
	took[all][i] = clock_boot_us() - at;
	/* bwrap does not wait for this: it leaves as soon as it knows the exit code. */
	at = clock_boot_us();
	if (sandbox_kill(sb, 10000, &err) < 0)
		die("kill", &err);
	sandbox_free(sb);
	if (ending != KINDS)
		took[ending][i] = clock_boot_us() - at;
}

static void round_of(const struct sandbox_host *host, const struct sandbox_options *opts,
	struct sandbox *standing, int i)
{
	static const char *const plain[] = { "/bin/true", NULL };
	static const char *const bwrap[] = { "/usr/bin/bwrap", "--unshare-all",
		"--die-with-parent", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin",
		"/bin", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64",
		"/lib64", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
		"/bin/true", NULL };
	struct sandbox_options bare = *opts;
	int64_t at = start();

	(void)run_plain(plain);
	took[PLAIN][i] = clock_boot_us() - at;
	first_step(host, opts, i, FIRST, OPENING, ENDING);
	/* The layers bwrap has, and our filters and Landlock on top. */
	bare.cgroup_name = NULL;
	first_step(host, &bare, i, NO_CGROUP, KINDS, KINDS);

	at = start();
	run_step(standing);
	took[FURTHER][i] = clock_boot_us() - at;

	at = start();
	if (have_bwrap && run_plain(bwrap) != 0)
		have_bwrap = false;
	took[BWRAP][i] = clock_boot_us() - at;
}

static void print(int rounds)
{
	int64_t plain = median(PLAIN, rounds), bwrap = median(BWRAP, rounds);

	printf("%-24s %10s %8s %8s   (medians of %d)\n", "", "us", "/plain", "/bwrap",
		rounds);
	for (int k = 0; k < KINDS; k++) {
		int64_t m = median(k, rounds);

		if (k == BWRAP && !have_bwrap) {
			printf("%-24s not to be had here\n", names[k]);
			continue;
		}
		printf("%-24s %10lld %8.2f", names[k], (long long)m,
			(double)m / (double)plain);
		if (have_bwrap)
			printf(" %8.2f", (double)m / (double)bwrap);
		printf("\n");
	}
	if (have_bwrap)
		printf("targets: first step <= 0.60 of bwrap, further step <= 0.50\n");
}

int main(int argc, char **argv)
{
	struct sandbox_options opts = SANDBOX_OPTIONS_INIT;
	struct sandbox_cgroup_tree *tree = NULL;
	struct sandbox_host *host;
	struct sandbox *standing;
	struct err err = ERR_INIT;
	int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 100;
	char name[32], other[32];

	if (rounds < 1 || rounds > ROUNDS_MAX)
		rounds = 100;
	if (sandbox_host_open(&host, &err) < 0)
		die("host", &err);
	if (sandbox_cgroup_tree_open(&tree, &err) < 0)
		die("cgroups", &err);
	opts.profile = SANDBOX_STANDARD;
	opts.trust = SANDBOX_TRUSTED;
	opts.limits.memory = 256 << 20;
	opts.cgroup_tree = tree;
	if (sandbox_ids_for(sandbox_host_caps(host), 0, 0, 0, &opts.ids, &err) < 0)
		die("ids", &err);
	(void)snprintf(name, sizeof(name), "bench-%d-a", (int)getpid());
	(void)snprintf(other, sizeof(other), "bench-%d-b", (int)getpid());
	opts.cgroup_name = name;
	if (sandbox_open(host, &opts, &standing, &err) < 0)
		die("open", &err);
	opts.cgroup_name = other;
	have_bwrap = access("/usr/bin/bwrap", X_OK) == 0;
	for (int i = 0; i < rounds; i++)
		round_of(host, &opts, standing, i);
	print(rounds);
	sandbox_free(standing);
	sandbox_cgroup_tree_free(tree);
	sandbox_host_free(host);
	return 0;
}
