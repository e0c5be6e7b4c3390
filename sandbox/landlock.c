/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Landlock by raw calls with constants of our own: the headers of a distribution know an
 * older interface than its kernel. What the running kernel's ABI lacks is left out (and
 * named by probe.c); below ABI 1 there is none and no job runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/sandbox-internal.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif

enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_CHAR = 1 << 6,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_MAKE_SOCK = 1 << 9,
	FS_MAKE_FIFO = 1 << 10,
	FS_MAKE_BLOCK = 1 << 11,
	FS_MAKE_SYM = 1 << 12,
	FS_REFER = 1 << 13,	/* ABI 2 */
	FS_TRUNCATE = 1 << 14,	/* ABI 3 */
	FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
};
enum { NET_BIND_TCP = 1 << 0, NET_CONNECT_TCP = 1 << 1 };     /* ABI 4 */
enum { SCOPE_ABSTRACT_UNIX = 1 << 0, SCOPE_SIGNAL = 1 << 1 }; /* ABI 6 */

/* Rights that mean something on a file; the kernel refuses the others for one. */
#define FS_OF_FILES \
	(FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct path_beneath {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

static const struct {
	int abi;
	uint64_t adds;
} fs_by_abi[] = {
	{ 1, FS_REFER - 1 },
	{ 2, FS_REFER },
	{ 3, FS_TRUNCATE },
	{ 5, FS_IOCTL_DEV },
};

static uint64_t fs_known(int abi)
{
	uint64_t all = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fs_by_abi); i++)
		if (abi >= fs_by_abi[i].abi)
			all |= fs_by_abi[i].adds;
	return all;
}

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* the version */);

	return abi > 0 ? (int)abi : 0;
}

int landlock_new(int abi, bool no_tcp)
{
	struct ruleset_attr attr = { .fs = fs_known(abi) };
	size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;

	if (abi >= 4 && no_tcp)
		attr.net = NET_BIND_TCP | NET_CONNECT_TCP;
	if (abi >= 6)
		attr.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
	return (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
}

int landlock_new_scopes(void)
{
	struct ruleset_attr attr = { .scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL };

	return (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
}

int landlock_allow(int ruleset, int abi, int dir, enum landlock_kind kind)
{
	static const uint64_t rights[] = {
		[LANDLOCK_READ] = FS_EXECUTE | FS_READ_FILE | FS_READ_DIR,
		[LANDLOCK_READ_ONLY] = FS_READ_FILE | FS_READ_DIR,
		[LANDLOCK_FULL] = ~(uint64_t)(FS_MAKE_CHAR | FS_MAKE_BLOCK),
		[LANDLOCK_WRITE_FILES] =
			FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE | FS_TRUNCATE,
		[LANDLOCK_DEVICES] = FS_READ_FILE | FS_READ_DIR | FS_WRITE_FILE |
				     FS_TRUNCATE | FS_IOCTL_DEV,
	};
	struct path_beneath rule = { .allowed = rights[kind] & fs_known(abi),
		.parent = dir };
	struct stat st;

	if (fstat(dir, &st) < 0)
		return -1;
	if (!S_ISDIR(st.st_mode))
		rule.allowed &= FS_OF_FILES;
	return (int)syscall(
		SYS_landlock_add_rule, ruleset, 1 /* path beneath */, &rule, 0);
}

int landlock_apply(int ruleset)
{
	return (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
}
