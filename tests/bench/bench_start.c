/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cold start of `sluice lint`, beside programs that do nothing: milliseconds from fork to
 * the end, by the clock and of the processor (least and median), taken in turns so that a
 * busy moment meets all of them. Arguments: rounds (101), the program (build/sluice).
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define ROUNDS_MAX 2001

extern char **environ;

struct sample {
	double clock_ms[ROUNDS_MAX], cpu_ms[ROUNDS_MAX];
};

static double now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail */
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static double ms_of(const struct timeval *tv)
{
	return (double)tv->tv_sec * 1e3 + (double)tv->tv_usec / 1e3;
}

static void take(const char *const *argv, struct sample *s, int round)
{
	posix_spawn_file_actions_t actions;
	double start = now_ms();
	struct rusage use;
	int status;
	pid_t pid;

	if (posix_spawn_file_actions_init(&actions) != 0 ||
		posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0) !=
			0 ||
		posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)argv,
			environ) != 0 ||
		wait4(pid, &status, 0, &use) != pid || status != 0) {
		fprintf(stderr, "%s does not run\n", argv[0]);
		exit(1);
	}
	s->clock_ms[round] = now_ms() - start;
	s->cpu_ms[round] = ms_of(&use.ru_utime) + ms_of(&use.ru_stime);
	(void)posix_spawn_file_actions_destroy(&actions); /* always 0 */
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	static const char file[] = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n"
				   "    steps:\n      - run: make\n";
	char path[] = "/tmp/sluice-bench-XXXXXX";
	const char *sluice = argc > 2 ? argv[2] : "build/sluice";
	int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 101;
	int fd = mkstemp(path);
	const struct {
		const char *name;
		const char *argv[6];
	} programs[] = {
		{ "true", { "/bin/true" } },
		{ "sh -c :", { "sh", "-c", ":" } },
		{ "git --version", { "git", "--version" } },
		{ "sluice version", { sluice, "version" } },
		{ "sluice lint", { sluice, "lint", path } },
	};
	struct sample *samples = xcalloc(ARRAY_SIZE(programs), sizeof(*samples));

	if (rounds < 1 || rounds > ROUNDS_MAX || fd < 0 ||
		write(fd, file, strlen(file)) != (ssize_t)strlen(file))
		return 2;
	for (int r = 0; r < rounds; r++)
		for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
			take(programs[i].argv, &samples[i], r);
	printf("%-16s %9s %9s %9s %9s   (ms, least and median of %d)\n",
		"start and end of", "clock", "", "processor", "", rounds);
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		struct sample *s = &samples[i];

		qsort(s->clock_ms, (size_t)rounds, sizeof(double), by_size);
		qsort(s->cpu_ms, (size_t)rounds, sizeof(double), by_size);
		printf("%-16s %9.2f %9.2f %9.2f %9.2f\n", programs[i].name,
			s->clock_ms[0], s->clock_ms[rounds / 2], s->cpu_ms[0],
			s->cpu_ms[rounds / 2]);
	}
	free(samples);
	(void)close(fd);
	(void)unlink(path); /* ours, in /tmp */
	return 0;
}
