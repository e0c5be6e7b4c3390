/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <arpa/inet.h>

#include "executor/dns.h"

#define HEAD	 "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define GOOD	 "\4good\7example\0"
#define IN_A	 "\0\1\0\1"
#define IN_AAAA	 "\0\x1c\0\1"
#define BYTES(s) (s), sizeof(s) - 1

static const struct {
	const char *data;
	size_t len;
	const char *name;
	int want;
	uint16_t type;
} queries[] = {
	{ BYTES(HEAD GOOD IN_A), "good.example", 0, DNS_TYPE_A },
	{ BYTES(HEAD "\4GooD\7EXAMPLE\0" IN_A), "good.example", 0, DNS_TYPE_A },
	{ BYTES(HEAD GOOD IN_AAAA), "good.example", 0, 28 },
	{ BYTES(HEAD GOOD IN_A "\0\0\x29\x10\0\0\0\0\0\0\0"), "good.example", 0,
		DNS_TYPE_A },
	{ BYTES(""), NULL, -1, 0 },
	{ BYTES("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00"), NULL, -1, 0 },
	/* An answer, and another opcode: never answered. */
	{ BYTES("\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" GOOD IN_A), NULL, -1,
		0 },
	{ BYTES("\x12\x34\x28\x00\x00\x01\x00\x00\x00\x00\x00\x00" GOOD IN_A), NULL, -1,
		0 },
	{ BYTES("\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00" GOOD IN_A), NULL, 1,
		0 },
	{ BYTES("\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), NULL, 1, 0 },
	{ BYTES(HEAD "\4good\7exam"), NULL, 1, 0 },
	{ BYTES(HEAD GOOD "\0\1\0"), NULL, 1, 0 },
	{ BYTES(HEAD GOOD "\0\1\0\3"), NULL, 1, 0 }, /* CHAOS */
	{ BYTES(HEAD "\0" IN_A), NULL, 1, 0 },	     /* the root */
	{ BYTES(HEAD "\xc0\x0c" IN_A), NULL, 1, 0 }, /* a name that points at itself */
	{ BYTES(HEAD "\x0cgood.example\0" IN_A), NULL, 1, 0 },
	{ BYTES(HEAD "\4go\0d\7example\0" IN_A), NULL, 1, 0 },
	{ BYTES(HEAD "\4go d\7example\0" IN_A), NULL, 1, 0 },
};

static void reads_queries_strictly(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
		struct dns_query q;
		int got = dns_parse((const uint8_t *)queries[i].data, queries[i].len, &q);

		if (got != queries[i].want)
			fail_msg("case %zu: %d", i, got);
		if (got != 0)
			continue;
		assert_string_equal(q.name, queries[i].name);
		assert_int_equal(q.type, queries[i].type);
	}
}

static void answers_with_the_addresses_that_fit(void **state)
{
	static const char want[] =
		"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" GOOD IN_A
		"\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\x0b\0\0\2";
	static const uint8_t query[] = HEAD GOOD IN_A;
	union proxy_addr addrs[64];
	uint8_t out[DNS_MAX];
	struct dns_query q;

	assert_int_equal(dns_parse(query, sizeof(query) - 1, &q), 0);
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++)
		assert_true(proxy_addr_parse(
			i == 1 ? "2606:4700::1" : "11.0.0.2", &addrs[i]));
	/* The IPv6 one is left out: there is no route for it. */
	assert_int_equal(dns_answer(query, &q, DNS_OK, addrs, 2, out), sizeof(want) - 1);
	assert_memory_equal(out, want, sizeof(want) - 1);
	assert_true(
		dns_answer(query, &q, DNS_OK, addrs, ARRAY_SIZE(addrs), out) <= DNS_MAX);
	assert_int_equal(out[7], (DNS_MAX - q.question) / 16);
}

static void says_that_there_is_no_such_name_and_that_a_query_is_broken(void **state)
{
	static const uint8_t query[] = HEAD GOOD IN_A;
	uint8_t out[DNS_MAX];
	struct dns_query q;

	assert_int_equal(dns_parse(query, sizeof(query) - 1, &q), 0);
	assert_int_equal(
		dns_answer(query, &q, DNS_NO_NAME, NULL, 0, out), sizeof(query) - 1);
	assert_int_equal(out[3], 0x83);
	assert_int_equal(out[7], 0);
	q.question = 0;
	assert_int_equal(dns_answer(query, &q, DNS_BAD_FORM, NULL, 0, out), 12);
	assert_int_equal(out[3], 0x81);
	assert_int_equal(out[5], 0);
}

TEST_MAIN(TEST(reads_queries_strictly), TEST(answers_with_the_addresses_that_fit),
	TEST(says_that_there_is_no_such_name_and_that_a_query_is_broken))
