/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses that are not the internet, by class. One table for all who refuse them: the
 * proxy of a job, its resolver, the packet filter of a routed job.
 *
 * Sources: the IANA special-purpose registries for IPv4 and IPv6; the addresses under which
 * clouds hand out credentials.
 */
#ifndef BASE_NETRANGE_H
#define BASE_NETRANGE_H

#include <stddef.h>

struct netrange {
	const char *text; /* "10.0.0.0" */
	unsigned bits;
	/* "private-address", "cgnat", "loopback", "link-local", "metadata", "multicast",
	 * "reserved" */
	const char *class;
};

/* The first match counts: a metadata service comes before what is around it. */
extern const struct netrange netranges4[], netranges6[];
extern const size_t netranges4_len, netranges6_len;

#endif
