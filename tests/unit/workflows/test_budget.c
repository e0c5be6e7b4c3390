/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a stranger that keep every limit and are as bad as they can be: each is linted,
 * and planned with its last job expanded, in a child whose processor time and memory are
 * measured. 100 ms and 32 MiB is what they may take; the test grants the time ten times,
 * for slow and busy machines (tests/bench/bench_worst.c prints what it is). What once took
 * minutes or gigabytes is among them.
 */
#include "tests/lib/test.h"

#include "base/limits.h"
#include "tests/lib/worst.h"

#define PATIENCE 10

static void check_cost(const char *what, const char *name,
	void (*fn)(struct strbuf *file), struct strbuf *file)
{
	struct worst_cost c = worst_measure(fn, file);

	if (c.has_died || c.us > PATIENCE * WORST_CPU_MS * 1000L ||
		c.memory > WORST_MEMORY)
		fail_msg("%s of %s: %ld ms, %ld KiB%s", what, name, c.us / 1000,
			c.memory / 1024, c.has_died ? ", died" : "");
}

static void no_file_takes_long_or_much(void **state)
{
	if (TEST_ASAN)
		test_skip("the address sanitizer answers for time and memory");
	for (size_t i = 0; i < worst_files_len; i++) {
		_cleanup_(strbuf_done) struct strbuf file = STRBUF_INIT;

		worst_files[i].make(&file);
		assert_true(file.len <= (size_t)LIMIT_WORKFLOW_FILE);
		check_cost("lint", worst_files[i].name, worst_lint, &file);
		check_cost("plan", worst_files[i].name, worst_plan, &file);
	}
}

TEST_MAIN(TEST(no_file_takes_long_or_much))
