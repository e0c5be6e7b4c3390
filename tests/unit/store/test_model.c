/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Seeded random lives of the store, each act against a model, each life to its end.
 * SLUICE_SEED picks the first seed, SLUICE_LIVES how many.
 */
#include "tests/lib/test.h"

#include "tests/unit/store/history.h"

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static void fill(uint64_t seed, uint8_t *data, size_t size)
{
	uint64_t x = seed * 2654435761u + 88172645463325252u;

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)(next(&x) >> 24);
}

static long number(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text ? strtol(text, NULL, 10) : otherwise;
}

static void live(uint64_t seed, size_t acts)
{
	struct history h = { .acks = -1, .salt = seed };
	uint8_t *data = xmalloc(acts * 3);
	struct err err = ERR_INIT;

	fill(seed, data, acts * 3);
	assert_ok(store_open(":memory:", STORE_CREATE, &h.s, &err), &err);
	(void)(history_live(&h, data, acts * 3) && history_check(&h) &&
		history_drain(&h));
	store_free(h.s);
	clock_skew_wall(0);
	free(data);
	if (*h.why)
		fail_msg("seed %llu: %s", (unsigned long long)seed, h.why);
}

static void any_order_of_acts_keeps_the_invariants_and_comes_to_an_end(void **state)
{
	uint64_t seed = (uint64_t)number("SLUICE_SEED", 1);
	long lives = number("SLUICE_LIVES", 60);

	for (long i = 0; i < lives; i++)
		live(seed + (uint64_t)i, 120 + (size_t)(i % 7) * 40);
}

TEST_MAIN(TEST(any_order_of_acts_keeps_the_invariants_and_comes_to_an_end))
