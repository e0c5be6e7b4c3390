/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the worst files that keep every limit cost to lint and to plan: milliseconds of
 * processor time (the least of five) and memory. The aim is 100 ms and 32 MiB; what is over
 * it is marked. Arguments: only the files of these names; `-w`: write the file itself.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "tests/lib/worst.h"
#include "workflows/plan.h" /* what is measured: the Makefile links what is included */

#define ROUNDS 5

static struct worst_cost least(void (*fn)(struct strbuf *file), struct strbuf *file)
{
	struct worst_cost best = worst_measure(fn, file);

	for (int i = 1; i < ROUNDS; i++) {
		struct worst_cost c = worst_measure(fn, file);

		if (c.us < best.us)
			best.us = c.us;
		if (c.memory > best.memory)
			best.memory = c.memory;
		best.has_died |= c.has_died;
	}
	return best;
}

static const char *verdict(const struct worst_cost *lint, const struct worst_cost *plan)
{
	if (lint->has_died || plan->has_died)
		return "  DIED";
	if (lint->us > WORST_CPU_MS * 1000 || plan->us > WORST_CPU_MS * 1000)
		return "  over the time";
	if (lint->memory > WORST_MEMORY || plan->memory > WORST_MEMORY)
		return "  over the memory";
	return "";
}

static bool is_picked(const char *name, int argc, char **argv)
{
	bool is = argc == 1;

	for (int i = 1; i < argc; i++)
		is |= strcmp(argv[i], name) == 0;
	return is;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "-w") == 0) {
		for (size_t i = 0; i < worst_files_len; i++) {
			_cleanup_(strbuf_done) struct strbuf file = STRBUF_INIT;

			if (strcmp(worst_files[i].name, argv[2]) != 0)
				continue;
			worst_files[i].make(&file);
			(void)fwrite(file.buf, 1, file.len, stdout);
		}
		return 0;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0); /* each line when it is known */
	printf("%-28s %8s %8s %8s %8s\n", "file", "lint ms", "MiB", "plan ms", "MiB");
	for (size_t i = 0; i < worst_files_len; i++) {
		_cleanup_(strbuf_done) struct strbuf file = STRBUF_INIT;
		struct worst_cost lint, plan;

		if (!is_picked(worst_files[i].name, argc, argv))
			continue;
		worst_files[i].make(&file);
		lint = least(worst_lint, &file);
		plan = least(worst_plan, &file);
		printf("%-28s %8.1f %8.1f %8.1f %8.1f%s\n", worst_files[i].name,
			(double)lint.us / 1000, (double)lint.memory / (double)MiB,
			(double)plan.us / 1000, (double)plan.memory / (double)MiB,
			verdict(&lint, &plan));
	}
	return 0;
}
