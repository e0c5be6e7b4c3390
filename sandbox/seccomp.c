/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only module that includes libseccomp. Two filters, because libseccomp cannot say "any
 * argument but these" beside "this call": one decides by call number (allow, EPERM, else
 * ENOSYS), one looks at arguments and allows the rest. The kernel takes the stricter answer
 * of the two; between two errnos the filter loaded last wins, so calls whose arguments
 * decide are plainly allowed by the first.
 *
 * High bits: the kernel looks at 32 bits of most of these arguments. Masks here test single
 * bits or all 64, so junk above bit 31 is refused, never let through (CVE-2019-10063).
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/sandbox-internal.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

static void filter_free(void **ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

static int err_seccomp(struct err *err, int rc, const char *what)
{
	return err_set(err, ERR_UNSUPPORTED,
		"cannot build the system call filter (%s): %s", what, err_sys_text(-rc));
}

static int filter_start(uint32_t otherwise, void **ret, struct err *err)
{
	_cleanup_(filter_free) void *ctx = seccomp_init(otherwise);
	int rc;

	if (!ctx)
		return err_seccomp(err, -ENOMEM, "init");
	/* Another architecture's numbers mean other calls: whoever uses them is out. */
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (rc < 0)
		return err_seccomp(err, rc, "bad architecture");
	/* A binary tree instead of a list: 9 compares a call instead of 200. */
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (rc < 0 && rc != -EOPNOTSUPP && rc != -EINVAL)
		return err_seccomp(err, rc, "optimize");
	*ret = take_ptr(ctx);
	return 0;
}

static int filter_export(void *ctx, struct filter *ret, struct err *err)
{
	_cleanup_close_ int fd = memfd_create("filter", MFD_CLOEXEC);
	_cleanup_free_ struct sock_filter *code = NULL;
	struct stat st;
	int rc;

	if (fd < 0)
		return err_sys(err, "cannot make a memory file");
	rc = seccomp_export_bpf(ctx, fd);
	if (rc < 0)
		return err_seccomp(err, rc, "export");
	if (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, "cannot read the filter back");
	if (st.st_size <= 0 || (size_t)st.st_size % sizeof(*code) ||
		(size_t)st.st_size / sizeof(*code) > BPF_MAXINSNS)
		return err_set(err, ERR_BUG, "the filter has an odd size");
	code = xmalloc((size_t)st.st_size);
	if (fd_read_full(fd, code, (size_t)st.st_size) != st.st_size)
		return err_sys(err, "cannot read the filter back");
	ret->len = (unsigned short)((size_t)st.st_size / sizeof(*code));
	ret->code = take_ptr(code);
	return 0;
}

/*
 * The number here, or negative where this architecture has no such call. The numbers of
 * the newest calls are the same everywhere.
 */
int filter_call_number(const struct call *c)
{
	int nr = seccomp_syscall_resolve_name(c->name);

	return nr >= 0 ? nr : c->nr;
}

size_t sandbox_calls_allowed(unsigned sets)
{
	size_t n = 0;

	for (size_t i = 0; i < sandbox_calls_len; i++)
		n += (sandbox_calls[i].sets & sets) &&
		     filter_call_number(&sandbox_calls[i]) >= 0;
	return n;
}

/* Only these: 0, PER_LINUX32, UNAME26 with and without, no address randomisation, "ask". */
static const uint64_t personalities[] = { 0, 0x8, 0x20000, 0x20008, 0x40000, 0xffffffff };

static int allow_personalities(void *ctx, int nr)
{
	for (size_t i = 0; i < ARRAY_SIZE(personalities); i++) {
		int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1,
			SCMP_A0_64(SCMP_CMP_EQ, personalities[i]));

		if (rc < 0)
			return rc;
	}
	return 0;
}

int filter_compile_calls(unsigned sets, struct filter *ret, struct err *err)
{
	_cleanup_(filter_free) void *ctx = NULL;
	/* Init falls back to nothing; a short filter loads in a fifth of the time. */
	bool is_short = sets == CALL_INIT;

	if (filter_start(SCMP_ACT_ERRNO(is_short ? EPERM : ENOSYS), &ctx, err) < 0)
		return -1;
	for (size_t i = 0; i < sandbox_calls_len; i++) {
		const struct call *c = &sandbox_calls[i];
		int nr = filter_call_number(c);
		int rc;

		if (nr < 0 || (is_short && !(c->sets & sets)))
			continue;
		if ((c->sets & sets) && !strcmp(c->name, "personality"))
			rc = allow_personalities(ctx, nr);
		else
			rc = seccomp_rule_add(ctx,
				c->sets & sets ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM),
				nr, 0);
		if (rc < 0)
			return err_seccomp(err, rc, c->name);
	}
	return filter_export(ctx, ret, err);
}

static const uint64_t clone_flags[] = {
	CLONE_NEWTIME,
	CLONE_NEWNS,
	CLONE_NEWCGROUP,
	CLONE_NEWUTS,
	CLONE_NEWIPC,
	CLONE_NEWUSER,
	CLONE_NEWPID,
	CLONE_NEWNET,
};

/* Push characters into a terminal, paste on a console, change the line discipline. */
static const uint64_t ioctls[] = { TIOCSTI, 0x541c /* TIOCLINUX */, TIOCSETD };

/* Those that no profile makes: what lies in them would be beyond our rules. */
static bool is_never(uint64_t flag)
{
	return flag == CLONE_NEWUSER || flag == CLONE_NEWTIME;
}

static int refuse_flags(void *ctx, const char *call, bool all)
{
	int nr = seccomp_syscall_resolve_name(call);

	for (size_t i = 0; i < ARRAY_SIZE(clone_flags); i++) {
		int rc;

		if (!all && !is_never(clone_flags[i]))
			continue;
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 1,
			SCMP_A0_64(SCMP_CMP_MASKED_EQ, clone_flags[i], clone_flags[i]));
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int refuse_ioctls(void *ctx)
{
	int nr = seccomp_syscall_resolve_name("ioctl");

	for (size_t i = 0; i < ARRAY_SIZE(ioctls); i++) {
		int rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 1,
			SCMP_A1_64(SCMP_CMP_MASKED_EQ, 0xffffffff, ioctls[i]));

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int refuse_netlink(void *ctx, int nr, bool has_filters)
{
	const uint32_t no = SCMP_ACT_ERRNO(EAFNOSUPPORT);

	if (!has_filters)
		return seccomp_rule_add(ctx, no, nr, 2,
			SCMP_A0_64(SCMP_CMP_EQ, AF_NETLINK),
			SCMP_A2_64(SCMP_CMP_NE, NETLINK_ROUTE));
	for (uint64_t p = 1; p < NETLINK_NETFILTER; p++) {
		int rc = seccomp_rule_add(ctx, no, nr, 2,
			SCMP_A0_64(SCMP_CMP_EQ, AF_NETLINK),
			SCMP_A2_64(SCMP_CMP_EQ, p));

		if (rc < 0)
			return rc;
	}
	return seccomp_rule_add(ctx, no, nr, 2, SCMP_A0_64(SCMP_CMP_EQ, AF_NETLINK),
		SCMP_A2_64(SCMP_CMP_GT, NETLINK_NETFILTER));
}

/*
 * UNIX, INET, INET6, and NETLINK for routes, of a builder for packet filters too; each
 * other family is attack surface.
 */
static int refuse_families(void *ctx, const char *call, bool has_filters)
{
	const uint32_t no = SCMP_ACT_ERRNO(EAFNOSUPPORT);
	int nr = seccomp_syscall_resolve_name(call);
	int rc = seccomp_rule_add(ctx, no, nr, 1, SCMP_A0_64(SCMP_CMP_GT, AF_NETLINK));

	for (uint64_t f = 0; rc >= 0 && f < AF_NETLINK; f++) {
		if (f == AF_UNIX || f == AF_INET || f == AF_INET6)
			continue;
		rc = seccomp_rule_add(ctx, no, nr, 1, SCMP_A0_64(SCMP_CMP_EQ, f));
	}
	if (rc < 0)
		return rc;
	return refuse_netlink(ctx, nr, has_filters);
}

/*
 * RLIMIT_CORE stays 1 (see rlimits.c): who sets it to 0, as programs with secrets do, is told
 * that it was done, for no core will be written.
 */
static int keep_core_limit(void *ctx)
{
	const uint32_t done = SCMP_ACT_ERRNO(0);
	int rc = seccomp_rule_add(ctx, done, seccomp_syscall_resolve_name("setrlimit"), 1,
		SCMP_A0_64(SCMP_CMP_MASKED_EQ, 0xffffffff, RLIMIT_CORE));

	if (rc < 0)
		return rc;
	return seccomp_rule_add(ctx, done, seccomp_syscall_resolve_name("prlimit64"), 2,
		SCMP_A1_64(SCMP_CMP_MASKED_EQ, 0xffffffff, RLIMIT_CORE),
		SCMP_A2_64(SCMP_CMP_NE, 0));
}

int filter_compile_args(unsigned sets, struct filter *ret, struct err *err)
{
	_cleanup_(filter_free) void *ctx = NULL;
	bool builds = sets == CALL_BUILD;
	int rc;

	if (filter_start(SCMP_ACT_ALLOW, &ctx, err) < 0)
		return -1;
	rc = refuse_flags(ctx, "clone", !builds);
	if (rc >= 0 && builds)
		rc = refuse_flags(ctx, "unshare", false);
	if (rc >= 0)
		rc = refuse_ioctls(ctx);
	if (rc >= 0)
		rc = refuse_families(ctx, "socket", builds);
	if (rc >= 0)
		rc = refuse_families(ctx, "socketpair", builds);
	if (rc >= 0)
		rc = keep_core_limit(ctx);
	if (rc < 0)
		return err_seccomp(err, rc, "arguments");
	return filter_export(ctx, ret, err);
}

void filter_done(struct filter *f)
{
	free(f->code);
	f->code = NULL;
	f->len = 0;
}

int filter_load(const struct filter *f)
{
	struct sock_fprog prog = { .len = f->len, .filter = f->code };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}
