/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses that are not the internet. See netrange.h. */
#include "base/netrange.h"

#include "base/cleanup.h"

const struct netrange netranges4[] = {
	{ "169.254.169.254", 32, "metadata" },
	{ "169.254.170.2", 32, "metadata" },
	{ "169.254.170.23", 32, "metadata" },
	{ "100.100.100.200", 32, "metadata" },
	{ "192.0.0.192", 32, "metadata" },
	{ "168.63.129.16", 32, "metadata" },
	{ "0.0.0.0", 8, "reserved" },
	{ "10.0.0.0", 8, "private-address" },
	{ "100.64.0.0", 10, "cgnat" },
	{ "127.0.0.0", 8, "loopback" },
	{ "169.254.0.0", 16, "link-local" },
	{ "172.16.0.0", 12, "private-address" },
	{ "192.0.0.0", 24, "reserved" },
	{ "192.0.2.0", 24, "reserved" },
	{ "192.88.99.0", 24, "reserved" },
	{ "192.168.0.0", 16, "private-address" },
	{ "198.18.0.0", 15, "reserved" },
	{ "198.51.100.0", 24, "reserved" },
	{ "203.0.113.0", 24, "reserved" },
	{ "224.0.0.0", 4, "multicast" },
	{ "240.0.0.0", 4, "reserved" },
};

const struct netrange netranges6[] = {
	{ "fd00:ec2::254", 128, "metadata" },
	{ "fd20:ce::254", 128, "metadata" },
	{ "::1", 128, "loopback" },
	{ "::", 128, "reserved" },
	{ "::", 96, "reserved" },
	{ "64:ff9b:1::", 48, "private-address" },
	{ "100::", 64, "reserved" },
	{ "2001::", 23, "reserved" },
	{ "2001:db8::", 32, "reserved" },
	{ "3fff::", 20, "reserved" },
	{ "5f00::", 16, "reserved" },
	{ "fc00::", 7, "private-address" },
	{ "fe80::", 10, "link-local" },
	{ "fec0::", 10, "private-address" },
	{ "ff00::", 8, "multicast" },
};

const size_t netranges4_len = ARRAY_SIZE(netranges4);
const size_t netranges6_len = ARRAY_SIZE(netranges6);
