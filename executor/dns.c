/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages, RFC 1035. See dns.h. */
#include "executor/dns.h"

#include <string.h>

#define HEAD	   12
#define LABEL_MAX  63
#define CLASS_IN   1
#define ANSWER_LEN 16 /* a pointer to the name, type, class, TTL, length, address */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/*
 * The labels at AT as a dotted name of *RET_LEN bytes, which may be any; where they end, 0 for
 * none. A query has no pointers. A dot inside a label would make another name of it.
 */
static size_t read_name(const uint8_t *data, size_t len, size_t at,
	char name[PROXY_HOST_MAX], size_t *ret_len)
{
	size_t n = 0;

	while (at < len && data[at] != 0) {
		size_t label = data[at++];

		if (label > LABEL_MAX || len - at < label ||
			n + label + 2 > PROXY_HOST_MAX || memchr(data + at, '.', label))
			return 0;
		if (n > 0)
			name[n++] = '.';
		memcpy(name + n, data + at, label);
		n += label;
		at += label;
	}
	if (at >= len || n == 0)
		return 0;
	*ret_len = n;
	return at + 1;
}

int dns_parse(const uint8_t *data, size_t len, struct dns_query *ret)
{
	char name[PROXY_HOST_MAX];
	size_t at, name_len = 0;

	*ret = (struct dns_query){ .question = 0 };
	/* No answers, which two servers could send each other for ever; no other opcodes. */
	if (len < HEAD || (data[2] & 0xf8) != 0)
		return -1;
	if (get16(data + 4) != 1)
		return 1;
	at = read_name(data, len, HEAD, name, &name_len);
	if (at == 0 || len - at < 4 || !proxy_host(name, name_len, ret->name) ||
		get16(data + at + 2) != CLASS_IN)
		return 1;
	ret->type = get16(data + at);
	ret->question = at + 4;
	return 0;
}

size_t dns_answer(const uint8_t *query, const struct dns_query *q, enum dns_code code,
	const union proxy_addr *addrs, size_t addrs_len, uint8_t out[DNS_MAX])
{
	size_t at = q->question ? q->question : HEAD;
	unsigned answers = 0;

	memset(out, 0, HEAD);
	memcpy(out, query, 2);
	out[2] = (uint8_t)(0x80 | (query[2] & 0x01)); /* an answer; recursion as wanted */
	out[3] = (uint8_t)(0x80 | code);	      /* which is to be had */
	if (q->question) {
		put16(out + 4, 1);
		memcpy(out + HEAD, query + HEAD, q->question - HEAD);
	}
	for (size_t i = 0; i < addrs_len && at + ANSWER_LEN <= DNS_MAX; i++) {
		uint8_t *p = out + at;

		if (addrs[i].sa.sa_family != AF_INET)
			continue;
		put16(p, 0xc000 | HEAD);
		put16(p + 2, DNS_TYPE_A);
		put16(p + 4, CLASS_IN);
		put16(p + 6, 0);
		put16(p + 8, DNS_TTL);
		put16(p + 10, 4);
		memcpy(p + 12, &addrs[i].in.sin_addr, 4);
		at += ANSWER_LEN;
		answers++;
	}
	put16(out + 6, answers);
	return at;
}
