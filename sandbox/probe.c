/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this kernel and this account offer, found by doing it in short-lived children: a
 * version number or a sysctl says what might be, an EPERM says what is. Sysctls and files
 * are read only to word the reason and the mend.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/mounts-internal.h"
#include "sandbox/sandbox-internal.h"

#define ROOT_RANGE     3000000000u /* far from what account tools hand out */
#define ROOT_RANGE_LEN 65536u

static void fact(struct sandbox_caps *caps, enum sandbox_facility f,
	enum sandbox_state state, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void fact(struct sandbox_caps *caps, enum sandbox_facility f,
	enum sandbox_state state, const char *fmt, ...)
{
	va_list ap;

	caps->facts[f].state = state;
	va_start(ap, fmt);
	(void)vsnprintf(caps->facts[f].words, sizeof(caps->facts[f].words), fmt, ap);
	va_end(ap);
}

static void mend(struct sandbox_caps *caps, enum sandbox_facility f, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void mend(struct sandbox_caps *caps, enum sandbox_facility f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(caps->facts[f].mend, sizeof(caps->facts[f].mend), fmt, ap);
	va_end(ap);
}

/* ---- ids --------------------------------------------------------------------------- */

static bool have_caps(uint64_t wanted)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

	if (syscall(SYS_capget, &head, data) < 0)
		return false;
	return ((data[0].effective | (uint64_t)data[1].effective << 32) & wanted) ==
	       wanted;
}

static void user_name(char *buf, size_t size)
{
	struct passwd pw, *found = NULL;
	char space[4096];

	(void)snprintf(buf, size, "%u", geteuid());
	if (getpwuid_r(geteuid(), &pw, space, sizeof(space), &found) == 0 && found)
		(void)snprintf(buf, size, "%s", found->pw_name);
}

/* The first range of USER (or of its number) with more than one id. */
static bool sub_range(
	const char *file, const char *user, uint32_t *ret, uint32_t *ret_len)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_(strvec_done) struct strvec lines = STRVEC_INIT;
	char number[16];

	(void)snprintf(number, sizeof(number), "%u", geteuid());
	if (fd_read_file(AT_FDCWD, file, 1 << 20, &text, NULL) < 0)
		return false;
	strvec_split(&lines, text.buf, '\n');
	strvec_foreach (line, &lines) {
		_cleanup_(strvec_done) struct strvec f = STRVEC_INIT;
		long long first, len;

		strvec_split(&f, *line, ':');
		if (f.len != 3 ||
			(strcmp(f.v[0], user) != 0 && strcmp(f.v[0], number) != 0))
			continue;
		if (str_to_int(f.v[1], 1, UINT32_MAX, &first) < 0 ||
			str_to_int(f.v[2], 2, UINT32_MAX, &len) < 0)
			continue;
		*ret = (uint32_t)first;
		*ret_len = (uint32_t)len;
		return true;
	}
	return false;
}

/* The first id behind all ranges of both files: two accounts must never share one. */
static uint32_t first_free_id(void)
{
	static const char *const files[] = { "/etc/subuid", "/etc/subgid" };
	long long free_from = 165536;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
		_cleanup_(strvec_done) struct strvec lines = STRVEC_INIT;

		if (fd_read_file(AT_FDCWD, files[i], 1 << 20, &text, NULL) < 0)
			continue;
		strvec_split(&lines, text.buf, '\n');
		strvec_foreach (line, &lines) {
			_cleanup_(strvec_done) struct strvec f = STRVEC_INIT;
			long long first, len;

			strvec_split(&f, *line, ':');
			if (f.len == 3 && str_to_int(f.v[1], 1, UINT32_MAX, &first) == 0 &&
				str_to_int(f.v[2], 1, UINT32_MAX, &len) == 0 &&
				first + len > free_from)
				free_from = first + len;
		}
	}
	return (uint32_t)free_from;
}

static void ids_self(struct sandbox_caps *caps, const char *user)
{
	uint32_t first = first_free_id();

	caps->idmap = SANDBOX_IDMAP_SELF;
	fact(caps, SANDBOX_FACILITY_IDS, SANDBOX_WEAKER,
		"'%s' has no range in /etc/subuid and /etc/subgid: all jobs share the "
		"service's "
		"own id",
		user);
	(void)snprintf(caps->facts[SANDBOX_FACILITY_IDS].weaker,
		sizeof(caps->facts[0].weaker),
		"ids: all jobs share the service's own id");
	mend(caps, SANDBOX_FACILITY_IDS,
		"sudo usermod --add-subuids %u-%u --add-subgids %u-%u %s", first, first + 65535,
		first, first + 65535, user);
	if (access("/usr/bin/newuidmap", X_OK) == 0)
		return;
	fact(caps, SANDBOX_FACILITY_IDS, SANDBOX_WEAKER,
		"newuidmap is not installed: all jobs share the service's own id");
	mend(caps, SANDBOX_FACILITY_IDS, "sudo apt-get install uidmap");
}

static void probe_ids(struct sandbox_caps *caps)
{
	char user[64];

	user_name(user, sizeof(user));
	if (have_caps(1ULL << CAP_SETUID | 1ULL << CAP_SETGID)) {
		caps->idmap = SANDBOX_IDMAP_ROOT;
		caps->sub_uid = caps->sub_gid = ROOT_RANGE;
		caps->sub_uid_len = caps->sub_gid_len = ROOT_RANGE_LEN;
		fact(caps, SANDBOX_FACILITY_IDS, SANDBOX_OK,
			"%u-%u, as root: an id of its own for each job", ROOT_RANGE,
			ROOT_RANGE + ROOT_RANGE_LEN - 1);
		return;
	}
	ids_self(caps, user);
	if (access("/usr/bin/newuidmap", X_OK) < 0 ||
		access("/usr/bin/newgidmap", X_OK) < 0 ||
		!sub_range("/etc/subuid", user, &caps->sub_uid, &caps->sub_uid_len) ||
		!sub_range("/etc/subgid", user, &caps->sub_gid, &caps->sub_gid_len))
		return;
	caps->idmap = SANDBOX_IDMAP_NEWUIDMAP;
	*caps->facts[SANDBOX_FACILITY_IDS].weaker = '\0';
	*caps->facts[SANDBOX_FACILITY_IDS].mend = '\0';
	fact(caps, SANDBOX_FACILITY_IDS, SANDBOX_OK,
		"%u-%u for '%s': an id of its own for each job", caps->sub_uid,
		caps->sub_uid + caps->sub_uid_len - 1, user);
}

/* newuidmap is there but refused: the reason counts more than the guess. */
static void ids_refused(struct sandbox_caps *caps, const char *why)
{
	char user[64];

	user_name(user, sizeof(user));
	ids_self(caps, user);
	fact(caps, SANDBOX_FACILITY_IDS, SANDBOX_WEAKER,
		"%.120s: all jobs share the service's own id", why);
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		mend(caps, SANDBOX_FACILITY_IDS,
			"run the spawner without NoNewPrivileges= (see deploy/systemd)");
	else
		mend(caps, SANDBOX_FACILITY_IDS,
			"sudo chmod u+s /usr/bin/newuidmap /usr/bin/newgidmap");
}

/* ---- namespaces and mounts --------------------------------------------------------- */

enum try_stage { TRY_MOUNT, TRY_PROC, TRY_NET, TRY_CGROUP, TRY_SYS, TRY_CGROUP2, TRY_END };

static void report(int fd, enum try_stage stage, long rc)
{
	struct note n = { .kind = NOTE_READY, .id = stage, .sys = rc < 0 ? errno : 0 };

	(void)note_send(fd, &n, NULL, 0); /* the parent sees us gone */
}

static long try_tmpfs(void)
{
	int fd = tree_new("tmpfs", NULL, MOUNT_ATTR_NOSUID);

	if (fd < 0)
		return -1;
	return tree_restrict(fd, MOUNT_ATTR_RDONLY) < 0
		       ? -1
		       : tree_attach(fd, AT_FDCWD, "/usr");
}

static noreturn void try_main(int fd)
{
	struct note n = { .kind = NOTE_WAITING };

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	(void)note_send(fd, &n, NULL, 0);
	if (note_recv(fd, 0, &n, NULL, 0, NULL) != 1)
		_exit(1);
	(void)syscall(SYS_setresgid, 0, 0, 0);
	(void)syscall(SYS_setresuid, 0, 0, 0);
	report(fd, TRY_NET, network_loopback_up());
	report(fd, TRY_CGROUP, unshare(CLONE_NEWCGROUP));
	report(fd, TRY_SYS, tree_new("sysfs", NULL, MOUNT_ATTR_NOSUID));
	report(fd, TRY_CGROUP2, tree_new("cgroup2", NULL, MOUNT_ATTR_NOSUID));
	report(fd, TRY_PROC, tree_new("proc", NULL, MOUNT_ATTR_NOSUID));
	report(fd, TRY_MOUNT, try_tmpfs());
	report(fd, TRY_END, 0);
	_exit(0);
}

struct tried {
	int clone_errno;
	int errnos[TRY_END];
	bool is_mapped;
	struct err map_err;
};

static void end_child(const struct ns_child *c)
{
	(void)kill(c->pid, SIGKILL);
	while (waitpid(c->pid, NULL, 0) < 0 && errno == EINTR)
		;
	(void)close(c->pidfd);
}

static void listen_to_try(int fd, struct tried *ret)
{
	int64_t deadline = clock_boot_ms() + 5000;
	struct note n;

	while (note_await(fd, deadline, &n, NULL, "the probe", NULL) == 0 &&
		n.id < TRY_END)
		ret->errnos[n.id] = n.sys;
}

static int try_all(const struct sandbox_ids *ids, struct tried *ret, struct err *err)
{
	const uint64_t flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
			       CLONE_NEWIPC | CLONE_NEWUTS;
	_cleanup_close_ int ours = -1, theirs = -1;
	struct ns_child child = { -1, -1 };
	struct note n;
	int pair[2], rc;

	*ret = (struct tried){ .map_err = ERR_INIT };
	for (int i = 0; i < TRY_END; i++)
		ret->errnos[i] = EPERM;
	if (note_pair(pair, err) < 0)
		return -1;
	ours = pair[0];
	theirs = pair[1];
	rc = ns_clone(flags, -1, &child);
	if (rc == 0) {
		(void)close(take_fd(&ours));
		try_main(theirs);
	}
	if (rc < 0) {
		ret->clone_errno = errno;
		return 0;
	}
	(void)close(take_fd(&theirs));
	if (note_await(ours, clock_boot_ms() + 5000, &n, NULL, "the probe",
		    &ret->map_err) == 0 &&
		sandbox_write_maps(child.pid, ids, &ret->map_err) == 0) {
		ret->is_mapped = true;
		n = (struct note){ .kind = NOTE_MAPPED };
		if (note_send(ours, &n, NULL, 0) == 0)
			listen_to_try(ours, ret);
	}
	end_child(&child);
	return 0;
}

static int try_ids(struct sandbox_caps *caps, struct tried *ret, struct err *err)
{
	struct sandbox_ids ids = { .how = caps->idmap };

	switch (caps->idmap) {
	case SANDBOX_IDMAP_ROOT:
	case SANDBOX_IDMAP_NEWUIDMAP:
		ids.service_uid =
			caps->idmap == SANDBOX_IDMAP_ROOT ? caps->sub_uid : geteuid();
		ids.service_gid =
			caps->idmap == SANDBOX_IDMAP_ROOT ? caps->sub_gid : getegid();
		ids.job_uid = caps->sub_uid + 1;
		ids.job_gid = caps->sub_gid + 1;
		break;
	case SANDBOX_IDMAP_SELF:
		ids.service_uid = geteuid();
		ids.service_gid = getegid();
		break;
	}
	return try_all(&ids, ret, err);
}

static void namespaces_missing(struct sandbox_caps *caps, int sys)
{
	const enum sandbox_facility f = SANDBOX_FACILITY_NAMESPACES;

	if (number_read(AT_FDCWD, "/proc/sys/kernel/unprivileged_userns_clone") == 0) {
		fact(caps, f, SANDBOX_MISSING,
			"user namespaces are for root alone "
			"(unprivileged_userns_clone=0)");
		mend(caps, f,
			"echo kernel.unprivileged_userns_clone=1 | sudo tee "
			"/etc/sysctl.d/60-sluice.conf\nsudo sysctl --system");
	} else if (number_read(AT_FDCWD, "/proc/sys/user/max_user_namespaces") == 0) {
		fact(caps, f, SANDBOX_MISSING,
			"user namespaces are switched off (max_user_namespaces=0)");
		mend(caps, f,
			"echo user.max_user_namespaces=15000 | sudo tee "
			"/etc/sysctl.d/60-sluice.conf\nsudo sysctl --system");
	} else {
		fact(caps, f, SANDBOX_MISSING, "they cannot be made: %s",
			err_sys_text(sys));
		mend(caps, f,
			"docker run --security-opt seccomp=unconfined --security-opt "
			"systempaths=unconfined ...\n"
			"podman run --security-opt seccomp=unconfined --security-opt "
			"unmask=ALL ...");
	}
}

static void mounts_missing(struct sandbox_caps *caps, int sys)
{
	const enum sandbox_facility f = SANDBOX_FACILITY_NAMESPACES;

	if (number_read(AT_FDCWD, "/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1) {
		fact(caps, f, SANDBOX_MISSING,
			"AppArmor takes all rights inside a new user namespace "
			"(apparmor_restrict_unprivileged_userns=1)");
		mend(caps, f,
			"sudo install -m644 deploy/apparmor/sluice "
			"/etc/apparmor.d/sluice\n"
			"sudo apparmor_parser -r /etc/apparmor.d/sluice");
	} else if (sys == ENOSYS) {
		fact(caps, f, SANDBOX_MISSING,
			"the mount calls by descriptor are missing (Linux before 5.12, "
			"or a filter)");
	} else {
		fact(caps, f, SANDBOX_MISSING, "nothing can be mounted in a new one: %s",
			err_sys_text(sys));
	}
}

/* Which covers on /proc make the kernel refuse a fresh one. */
static void proc_missing(struct sandbox_caps *caps, int sys)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_(strvec_done) struct strvec lines = STRVEC_INIT;
	char first[64] = "";
	int covers = 0;

	(void)fd_read_file(AT_FDCWD, "/proc/self/mountinfo", 1 << 20, &text, NULL);
	strvec_split(&lines, text.buf, '\n');
	strvec_foreach (line, &lines) {
		char *at = strstr(*line, " /proc/");

		if (!at)
			continue;
		if (!covers++)
			(void)snprintf(first, sizeof(first), "%.*s",
				(int)strcspn(at + 1, " "), at + 1);
	}
	if (!covers) {
		fact(caps, SANDBOX_FACILITY_PROC, SANDBOX_MISSING,
			"a fresh /proc is refused: %s", err_sys_text(sys));
		return;
	}
	fact(caps, SANDBOX_FACILITY_PROC, SANDBOX_MISSING,
		"a fresh /proc is refused: the container masks %s and %d more paths",
		first, covers - 1);
	mend(caps, SANDBOX_FACILITY_PROC,
		"docker run --security-opt systempaths=unconfined --security-opt "
		"seccomp=unconfined ...\n"
		"podman run --security-opt unmask=ALL --security-opt seccomp=unconfined "
		"...");
}

/* What a container engine inside a job wants of the kernel, beyond what any job does. */
static void probe_build(struct sandbox_caps *caps, const struct tried *t)
{
	const uint64_t least = 2 * (uint64_t)SANDBOX_RANGE_LEN;

	if (caps->idmap == SANDBOX_IDMAP_SELF)
		(void)snprintf(caps->no_build, sizeof(caps->no_build),
			"it needs a range of ids for each job, and this account has none");
	else if (caps->idmap == SANDBOX_IDMAP_NEWUIDMAP &&
		 (caps->sub_uid_len < least || caps->sub_gid_len < least))
		(void)snprintf(caps->no_build, sizeof(caps->no_build),
			"it needs %u ids for each job behind the first %u, and /etc/subuid "
			"gives %u in all",
			SANDBOX_RANGE_LEN, SANDBOX_RANGE_LEN, caps->sub_uid_len);
	else if (t->errnos[TRY_SYS])
		(void)snprintf(caps->no_build, sizeof(caps->no_build),
			"a fresh /sys cannot be mounted: %s",
			err_sys_text(t->errnos[TRY_SYS]));
	else if (t->errnos[TRY_CGROUP2])
		(void)snprintf(caps->no_build, sizeof(caps->no_build),
			"cgroup2 cannot be mounted: %s",
			err_sys_text(t->errnos[TRY_CGROUP2]));
}

static int probe_namespaces(struct sandbox_caps *caps, struct err *err)
{
	struct tried t;

	if (try_ids(caps, &t, err) < 0)
		return -1;
	if (!t.clone_errno && !t.is_mapped && caps->idmap != SANDBOX_IDMAP_SELF) {
		ids_refused(caps, t.map_err.msg);
		if (try_ids(caps, &t, err) < 0)
			return -1;
	}
	fact(caps, SANDBOX_FACILITY_PROC, SANDBOX_OK, "fresh, masked");
	caps->userns = !t.clone_errno && t.is_mapped;
	caps->pidns = caps->userns;
	caps->netns = caps->userns && !t.errnos[TRY_NET];
	caps->mountns = caps->mount_calls = caps->userns && !t.errnos[TRY_MOUNT];
	caps->fresh_proc = caps->mountns && !t.errnos[TRY_PROC];
	fact(caps, SANDBOX_FACILITY_NAMESPACES, SANDBOX_OK,
		"user mount pid net ipc uts cgroup; nested ones shut");
	if (t.clone_errno)
		namespaces_missing(caps, t.clone_errno);
	else if (!t.is_mapped)
		fact(caps, SANDBOX_FACILITY_NAMESPACES, SANDBOX_MISSING, "%.150s",
			t.map_err.msg);
	else if (t.errnos[TRY_MOUNT])
		mounts_missing(caps, t.errnos[TRY_MOUNT]);
	else if (t.errnos[TRY_CGROUP])
		fact(caps, SANDBOX_FACILITY_NAMESPACES, SANDBOX_MISSING,
			"no cgroup namespace: %s", err_sys_text(t.errnos[TRY_CGROUP]));
	else if (t.errnos[TRY_PROC])
		proc_missing(caps, t.errnos[TRY_PROC]);
	probe_build(caps, &t);
	if (!caps->userns || !caps->mountns)
		fact(caps, SANDBOX_FACILITY_PROC, SANDBOX_MISSING,
			"needs the namespaces");
	return 0;
}

/* ---- the rest ---------------------------------------------------------------------- */

static void probe_landlock(struct sandbox_caps *caps)
{
	static const struct {
		int below;
		const char *words, *weaker;
	} levels[] = {
		{ 2, "files, no renames between folders, no truncate",
			"no truncate, no refer" },
		{ 3, "files, no truncate", "no truncate" },
		{ 4, "files", "" },
		{ 5, "files, TCP", "" },
		{ 6, "files, TCP, ioctl", "" },
		{ 1 << 30, "files, TCP, ioctl, scopes", "" },
	};
	struct sandbox_fact *f = &caps->facts[SANDBOX_FACILITY_LANDLOCK];
	int abi = caps->landlock_abi = landlock_abi();

	if (!abi) {
		fact(caps, SANDBOX_FACILITY_LANDLOCK, SANDBOX_MISSING, "%s",
			errno == EOPNOTSUPP
				? "built into this kernel but not switched on"
				: "this kernel has none (Linux 5.13 is the first)");
		if (errno == EOPNOTSUPP)
			mend(caps, SANDBOX_FACILITY_LANDLOCK,
				"add 'landlock' to lsm= on the kernel command line and "
				"restart");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		if (abi >= levels[i].below)
			continue;
		fact(caps, SANDBOX_FACILITY_LANDLOCK,
			*levels[i].weaker ? SANDBOX_WEAKER : SANDBOX_OK, "ABI %d: %s",
			abi, levels[i].words);
		if (*levels[i].weaker)
			(void)snprintf(f->weaker, sizeof(f->weaker),
				"landlock ABI %d (%s)", abi, levels[i].weaker);
		return;
	}
}

static void probe_seccomp(struct sandbox_caps *caps)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;
	unsigned outside;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0 ||
		verify_own_filters(&outside, NULL) < 0) {
		fact(caps, SANDBOX_FACILITY_SECCOMP, SANDBOX_MISSING,
			"this kernel cannot filter system calls, or does not count "
			"filters (5.9)");
		return;
	}
	fact(caps, SANDBOX_FACILITY_SECCOMP, SANDBOX_OK,
		"two filters, allow-list of %zu calls",
		sandbox_calls_allowed(CALL_STANDARD));
}

static void probe_calls(struct sandbox_caps *caps)
{
	struct open_how how = { .flags = O_PATH, .resolve = RESOLVE_BENEATH };
	_cleanup_close_ int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int opened =
		(int)syscall(SYS_openat2, dir, ".", &how, sizeof(how));
	_cleanup_close_ int pidfd = fd_pidfd_open(getpid());

	caps->openat2 = opened >= 0;
	caps->pidfd = pidfd >= 0;
	/* A size no kernel accepts: EINVAL says that the call is there. */
	caps->clone3 = syscall(SYS_clone3, NULL, 1) < 0 && errno == EINVAL;
	caps->into_cgroup = caps->clone3;
	if (!caps->pidfd)
		fact(caps, SANDBOX_FACILITY_CALLS, SANDBOX_MISSING,
			"no pidfd_open (Linux 5.3)");
	else
		fact(caps, SANDBOX_FACILITY_CALLS, SANDBOX_OK,
			"pidfd, mounts by descriptor%s%s",
			caps->openat2 ? ", openat2"
				      : "; openat2 is replaced by a slow walk",
			caps->clone3 ? ", clone3" : "; clone3 is replaced by clone");
}

static void probe_network(struct sandbox_caps *caps)
{
	caps->net_admin = have_caps(1ULL << CAP_NET_ADMIN | 1ULL << CAP_SYS_ADMIN);
	route_probe(caps);
	if (caps->netns && !caps->no_egress[0])
		fact(caps, SANDBOX_FACILITY_NETWORK, SANDBOX_OK, "none proxy egress host");
	else if (caps->netns)
		fact(caps, SANDBOX_FACILITY_NETWORK, SANDBOX_OK,
			"none proxy host; no egress: %s", caps->no_egress);
	else
		fact(caps, SANDBOX_FACILITY_NETWORK, SANDBOX_MISSING,
			"no network namespace with a loopback of its own");
}

int sandbox_probe(struct sandbox_caps *ret, struct err *err)
{
	struct sandbox_caps caps = { 0 };

	probe_ids(&caps);
	probe_seccomp(&caps);
	probe_landlock(&caps);
	probe_calls(&caps);
	if (probe_namespaces(&caps, err) < 0)
		return -1;
	cgroup_probe(&caps);
	probe_network(&caps);
	*ret = caps;
	return 0;
}
