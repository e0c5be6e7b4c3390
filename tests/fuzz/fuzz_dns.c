/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries of a job's steps to its resolver. A name that is read is one proxy_host takes; the
 * answer repeats the question, is no longer than a message may be, and is never answered.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "executor/dns.h"

static void must(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	union proxy_addr addrs[PROXY_ADDRS] = { 0 };
	char again[PROXY_HOST_MAX];
	uint8_t out[DNS_MAX];
	struct dns_query q;
	int parsed;
	size_t n;

	if (len > DNS_MAX)
		return 0; /* recvfrom cuts it there */
	parsed = dns_parse(data, len, &q);
	if (parsed < 0)
		return 0;
	for (size_t i = 0; i < PROXY_ADDRS; i++)
		addrs[i].sa.sa_family = AF_INET;
	must(q.question <= len);
	must(parsed > 0 || proxy_host(q.name, strlen(q.name), again));
	n = dns_answer(data, &q, parsed ? DNS_BAD_FORM : DNS_OK, addrs,
		parsed ? 0 : PROXY_ADDRS, out);
	must(n >= 12 && n <= DNS_MAX);
	must(q.question == 0 || memcmp(out + 12, data + 12, q.question - 12) == 0);
	must(dns_parse(out, n, &q) == -1);
	return 0;
}
