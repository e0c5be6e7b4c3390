/* SPDX-License-Identifier: Apache-2.0 */
/* The attacks, a row each: what is tried, and what it may say inside. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "sandbox/attack-internal.h"

#define HELD(...)           \
	{                   \
		__VA_ARGS__ \
	}
#define FINE .zero_is_held = true
/* Not an escape in PROFILE: within namespaces and files that are the job's alone. */
#define BY_DESIGN(profile, lines, words) { SANDBOX_##profile, (lines), (words) }
#define UID_0 "setuid setgid"

/* clang-format off */
const struct attack sandbox_attacks[] = {
	{ "SB01", "forbidden system calls: mount bpf keyctl ...", attack_refused,
		HELD(EPERM), .flags = ATTACK_HEADLINE | ATTACK_COUNTED,
		.designs = { BY_DESIGN(BUILD, "", "mounts, chroot, namespaces and a host name of "
			"its own (mount umount2 pivot_root chroot unshare setns sethostname keyctl)") } },
	{ "SB02", "io_uring, which goes past a filter", attack_io_uring, HELD(EPERM) },
	{ "SB03", "the new mount calls, by number", attack_mount_api, HELD(ENOSYS) },
	{ "SB04", "clone3 with a user namespace in its struct", attack_clone3, HELD(ENOSYS) },
	{ "SB05", "clone with each namespace flag, also junk bits", attack_clone,
		HELD(EPERM),
		.designs = { BY_DESIGN(BUILD, "NEWNS NEWNS+junk NEWCGROUP NEWCGROUP+junk NEWUTS "
			"NEWUTS+junk NEWIPC NEWIPC+junk NEWPID NEWPID+junk NEWNET NEWNET+junk",
			"all namespaces but user and time") } },
	{ "SB06", "system calls of a kernel to come", attack_unknown, HELD(ENOSYS),
		.no_control = "no kernel knows them" },
	{ "SB07", "32-bit and x32 calls, around the filter", attack_arch,
		HELD(ATTACK_KILLED + SIGSYS) },
	{ "SB08", "sockets of every odd family", attack_families, HELD(EAFNOSUPPORT) },
	{ "SB09", "netlink beyond routes", attack_netlink, HELD(EAFNOSUPPORT),
		.designs = { BY_DESIGN(BUILD, "netlink-12",
			"packet filters of its own networks") } },
	{ "SB10", "push keys into a terminal, also with junk bits", attack_ioctl,
		HELD(EPERM, ENXIO) },
	{ "SB11", "weaken memory by personality", attack_personality, HELD(ENOSYS) },
	{ "SB12", "read the memory of init, executor, server", attack_memory,
		HELD(EACCES, EPERM, ESRCH, ENOENT), .flags = ATTACK_HEADLINE },
	{ "SB13", "nested user namespaces", attack_userns, HELD(EPERM, ENOSPC) },
	{ "SB14", "become root, or an id of another", attack_root, HELD(EINVAL, EPERM),
		.designs = { BY_DESIGN(ROOT, UID_0, "it is uid 0 of its own ids"),
			BY_DESIGN(BUILD, UID_0, "it is uid 0 of its own ids") } },
	{ "SB15", "capabilities or privileges left", attack_status, FINE,
		.designs = { BY_DESIGN(ROOT, "", "exactly CHOWN DAC_OVERRIDE FOWNER FSETID SETUID "
			"SETGID, over its own ids"),
			BY_DESIGN(BUILD, "", "all, over namespaces of its own") } },
	{ "SB16", "map a job to the host's root", .judge = attack_judge_root_map },
	{ "SB17", "write the kernel's switches", attack_write_kernel,
		HELD(EROFS, EACCES, ENOENT, EPERM, ATTACK_MASKED),
		.designs = { BY_DESIGN(BUILD, "/proc/sys/user/max_user_namespaces",
			"the limits of its own user namespace, under the job's (SB13)") } },
	{ "SB18", "read the kernel's secrets", attack_read_kernel,
		HELD(EACCES, ENOENT, EPERM, ATTACK_MASKED),
		.designs = { BY_DESIGN(BUILD, "/sys/firmware /sys/kernel/debug",
			"/sys as any account of the host sees it") } },
	{ "SB20", "descriptors left open", attack_descriptors, FINE },
	{ "SB21", "overwrite our program through /proc", attack_exe,
		HELD(EACCES, EROFS, EPERM) },
	{ "SB22", "device nodes", attack_devices, HELD(EPERM, EACCES, ENOENT) },
	{ "SB23", "signal init and processes outside", attack_signal, HELD(EPERM, ESRCH) },
	{ "SB24", "sockets of the host: abstract, docker, D-Bus ...", attack_sockets,
		HELD(ECONNREFUSED, EPERM, ENOENT, EACCES) },
	{ "SB25", "files and memory of others", attack_markers, HELD(ENOENT) },
	{ "SB26", "each call of the set-up failing in turn", .judge = attack_judge_faults },
	{ "SB28", "a thread without the filter", attack_threads, FINE },
	{ "SB29", "write into the system", attack_system_files, HELD(EROFS, EACCES),
		.designs = { BY_DESIGN(ROOT, "/attack-file /etc/attack-file /var/attack-file",
			"its own layer over the prepared root") } },
	{ "FS03", "a second name for files of others", attack_links,
		HELD(EXDEV, EPERM, ENOENT, EROFS, EACCES) },
	{ "NET01", "the host's loopback and a way out", attack_network,
		HELD(ECONNREFUSED, ENETUNREACH) },
	{ "NET04", "take a port from another", attack_port, FINE },
	{ "RS01", "a fork bomb", attack_forks, HELD(EAGAIN), .flags = ATTACK_ALONE },
	{ "RS02", "more memory than the job has", attack_hog, HELD(ATTACK_OOM),
		.flags = ATTACK_ALONE | ATTACK_UNTRIED, .unshown = attack_unshown_memory },
	{ "RS03", "a huge file, a full /dev/shm, too many files", attack_fill,
		HELD(EFBIG, ENOSPC, EDQUOT), .flags = ATTACK_ALONE },
	{ "RS05", "real-time priority", attack_realtime, HELD(EPERM, EACCES) },
	{ "RS06", "a daemon left behind", attack_daemon, .judge = attack_judge_daemon },
	{ "RS08", "a step that is deaf to signals", attack_deaf, .judge = attack_judge_deaf },
	{ "RS13", "descriptors and locked memory without end", attack_counts,
		HELD(EMFILE, ENOMEM, EPERM, EAGAIN), .flags = ATTACK_ALONE },
	{ "RS14", "lock or hide memory", attack_locked, HELD(EPERM) },
	{ "RS15", "a core dump to a program of the host", attack_core, HELD(EPERM),
		.unshown = attack_unshown_core },
	{ "RS17", "set the clock", attack_clock, HELD(EPERM) },
};
/* clang-format on */
const size_t sandbox_attacks_len = ARRAY_SIZE(sandbox_attacks);

int sandbox_attack_probe(const char *const *argv)
{
	struct attack_args a = { .abstract = "", .marker = "" };
	const char *id = argv[0];

	for (const char *const *s = id ? argv + 1 : argv; *s; s++) {
		if (!strcmp(*s, "inside"))
			a.inside = true;
		else if (str_starts(*s, "outer="))
			a.outer = (pid_t)strtol(*s + 6, NULL, 10);
		else if (str_starts(*s, "port="))
			a.port = (int)strtol(*s + 5, NULL, 10);
		else if (str_starts(*s, "abstract="))
			a.abstract = *s + 9;
		else if (str_starts(*s, "marker="))
			a.marker = *s + 7;
		else if (str_starts(*s, "profile="))
			(void)sandbox_profile_parse(*s + 8, &a.profile);
	}
	for (size_t i = 0; id && i < sandbox_attacks_len; i++) {
		if (strcmp(sandbox_attacks[i].id, id) != 0)
			continue;
		if (!sandbox_attacks[i].probe)
			return 2;
		sandbox_attacks[i].probe(&a);
		return fflush(stdout) == 0 ? 0 : 1;
	}
	return 2;
}
