/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS messages as far as a resolver for one job needs them: a query is read strictly, an
 * answer is made of addresses. What another server says is never passed on. Pure.
 */
#ifndef EXECUTOR_DNS_H
#define EXECUTOR_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "executor/proxy-internal.h"

#define DNS_MAX	   512 /* of a message over UDP */
#define DNS_TTL	   30
#define DNS_TYPE_A 1

enum dns_code { DNS_OK = 0, DNS_BAD_FORM = 1, DNS_FAILED = 2, DNS_NO_NAME = 3 };

struct dns_query {
	char name[PROXY_HOST_MAX]; /* lower case, as proxy_host makes it */
	uint16_t type;		   /* DNS_TYPE_A, or one that has no answer here */
	size_t question;	   /* bytes of the message up to its end */
};

/* 0 a query with one question; 1 one that is answered BAD_FORM; -1 to be ignored. */
int dns_parse(const uint8_t *data, size_t len, struct dns_query *ret);
/*
 * The answer to QUERY, the message Q was read from: CODE and the IPv4 ones of ADDRS that
 * fit. Q->question 0: the head alone. Its length.
 */
size_t dns_answer(const uint8_t *query, const struct dns_query *q, enum dns_code code,
	const union proxy_addr *addrs, size_t addrs_len, uint8_t out[DNS_MAX]);

#endif
