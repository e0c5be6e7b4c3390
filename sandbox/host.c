/* SPDX-License-Identifier: Apache-2.0 */
/* What was probed and compiled once; the names of things; may a job run here. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "sandbox/sandbox-internal.h"

int64_t number_read(int dir, const char *file)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	long long v;

	if (dir == -1 || fd_read_file(dir, file, 4096, &text, NULL) < 0)
		return -1;
	strbuf_truncate(&text, strcspn(text.buf, "\n"));
	if (!strcmp(text.buf, "max"))
		return INT64_MAX;
	return str_to_int(text.buf, 0, INT64_MAX, &v) < 0 ? -1 : v;
}

/* As an account that makes jobs sees them: in its own user namespace. */
static void read_shares(struct share *shares)
{
	static const char *const files[SHARES] = { "sys/user/max_inotify_instances",
		"sys/user/max_inotify_watches", "sys/user/max_cgroup_namespaces",
		"sys/user/max_ipc_namespaces", "sys/user/max_mnt_namespaces",
		"sys/user/max_net_namespaces", "sys/user/max_pid_namespaces",
		"sys/user/max_time_namespaces", "sys/user/max_uts_namespaces",
		"sys/user/max_fanotify_groups" };

	for (size_t i = 0; i < SHARES; i++) {
		_cleanup_free_ char *path = xasprintf("/proc/%s", files[i]);
		int64_t all = number_read(AT_FDCWD, path);

		shares[i].file = files[i];
		if (all >= SHARE_OF_JOB && all <= INT32_MAX)
			shares[i].part = (uint64_t)all / SHARE_OF_JOB;
	}
}

int sandbox_host_open(struct sandbox_host **ret, struct err *err)
{
	_cleanup_(sandbox_host_freep) struct sandbox_host *host =
		xcalloc(1, sizeof(*host));
	const struct {
		unsigned sets;
		struct filter *to;
	} filters[] = {
		{ CALL_STRICT, &host->strict },
		{ CALL_STANDARD, &host->standard },
		{ CALL_BUILD, &host->build },
		{ CALL_INIT, &host->init },
		{ CALL_AGENT, &host->agent },
		{ CALL_PROXY, &host->proxy },
	};

	if (sandbox_probe(&host->caps, err) < 0)
		return -1;
	read_shares(host->shares);
	/* Without filters none can be compiled either, and sandbox_decide says no. */
	if (host->caps.facts[SANDBOX_FACILITY_SECCOMP].state != SANDBOX_OK) {
		*ret = take_ptr(host);
		return 0;
	}
	if (verify_own_filters(&host->filters_outside, err) < 0)
		return -1;
	if (filter_compile_args(CALL_STEP, &host->args, err) < 0 ||
		filter_compile_args(CALL_BUILD, &host->build_args, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
		if (filter_compile_calls(filters[i].sets, filters[i].to, err) < 0)
			return -1;
	*ret = take_ptr(host);
	return 0;
}

void sandbox_host_free(struct sandbox_host *host)
{
	if (!host)
		return;
	filter_done(&host->args);
	filter_done(&host->build_args);
	filter_done(&host->build);
	filter_done(&host->strict);
	filter_done(&host->standard);
	filter_done(&host->init);
	filter_done(&host->agent);
	filter_done(&host->proxy);
	free(host);
}

const struct sandbox_caps *sandbox_host_caps(const struct sandbox_host *host)
{
	return &host->caps;
}

/* ---- names ------------------------------------------------------------------------- */

static const char *const profiles[] = {
	[SANDBOX_STRICT] = "strict",
	[SANDBOX_STANDARD] = "standard",
	[SANDBOX_ROOT] = "root",
	[SANDBOX_BUILD] = "build",
};

/* What a profile changes in how its sandbox is made; the calls are in syscalls.c. */
static const struct traits traits[] = {
	[SANDBOX_STRICT] = { 0 },
	[SANDBOX_STANDARD] = { 0 },
	[SANDBOX_ROOT] = { .is_wide = true, .owns_root = true, .caps = ROOT_CAPS },
	[SANDBOX_BUILD] = { .is_wide = true, .owns_mounts = true, .caps = ~0ULL },
};

const struct traits *profile_traits(enum sandbox_profile p)
{
	return &traits[p];
}

bool sandbox_profile_is_wide(enum sandbox_profile p)
{
	return traits[p].is_wide;
}

static const char *const networks[] = {
	[SANDBOX_NET_NONE] = "none",
	[SANDBOX_NET_PROXY] = "proxy",
	[SANDBOX_NET_EGRESS] = "egress",
	[SANDBOX_NET_HOST] = "host",
};

static const char *const facilities[] = {
	[SANDBOX_FACILITY_NAMESPACES] = "namespaces",
	[SANDBOX_FACILITY_SECCOMP] = "seccomp",
	[SANDBOX_FACILITY_LANDLOCK] = "landlock",
	[SANDBOX_FACILITY_PROC] = "proc",
	[SANDBOX_FACILITY_IDS] = "ids",
	[SANDBOX_FACILITY_CGROUP] = "cgroup",
	[SANDBOX_FACILITY_NETWORK] = "network",
	[SANDBOX_FACILITY_CALLS] = "calls",
};

static int index_of(const char *const *names, size_t len, const char *name)
{
	for (size_t i = 0; i < len; i++)
		if (!strcmp(names[i], name))
			return (int)i;
	return -1;
}

const char *sandbox_profile_name(enum sandbox_profile p)
{
	return profiles[p];
}

int sandbox_profile_parse(const char *name, enum sandbox_profile *ret)
{
	int i = index_of(profiles, ARRAY_SIZE(profiles), name);

	if (i < 0)
		return -1;
	*ret = (enum sandbox_profile)i;
	return 0;
}

const char *sandbox_network_name(enum sandbox_network n)
{
	return networks[n];
}

int sandbox_network_parse(const char *name, enum sandbox_network *ret)
{
	int i = index_of(networks, ARRAY_SIZE(networks), name);

	if (i < 0)
		return -1;
	*ret = (enum sandbox_network)i;
	return 0;
}

const char *sandbox_facility_name(enum sandbox_facility f)
{
	return facilities[f];
}

/* ---- may it run -------------------------------------------------------------------- */

void sandbox_caps_weaker(const struct sandbox_caps *caps, struct strvec *out)
{
	for (int i = 0; i < SANDBOX_FACILITIES; i++)
		if (caps->facts[i].state == SANDBOX_WEAKER)
			strvec_push(out, caps->facts[i].weaker);
}

static int decide_untrusted(const struct sandbox_caps *caps, enum sandbox_profile profile,
	enum sandbox_network network, struct err *err)
{
	/* What a stranger's code is never run without. */
	static const enum sandbox_facility whole[] = { SANDBOX_FACILITY_IDS,
		SANDBOX_FACILITY_CGROUP };

	if (profile != SANDBOX_STRICT)
		return err_set(err, ERR_DENIED,
			"untrusted work runs under profile 'strict', never '%s'",
			profiles[profile]);
	if (network == SANDBOX_NET_HOST)
		return err_set(
			err, ERR_DENIED, "untrusted work never gets the host's network");
	if (network == SANDBOX_NET_EGRESS)
		return err_set(
			err, ERR_DENIED, "untrusted work never gets a routed network");
	for (size_t i = 0; i < ARRAY_SIZE(whole); i++)
		if (caps->facts[whole[i]].state != SANDBOX_OK)
			return err_set(err, ERR_DENIED,
				"untrusted work is refused here: %s",
				caps->facts[whole[i]].weaker);
	return 0;
}

static int decide_build(
	const struct sandbox_caps *caps, enum sandbox_network network, struct err *err)
{
	if (*caps->no_build)
		return err_set(err, ERR_UNSUPPORTED,
			"profile 'build' cannot be had here: %s", caps->no_build);
	/* It is root over its network, as containers want it: no rule of ours could lie there. */
	if (network != SANDBOX_NET_PROXY && network != SANDBOX_NET_NONE)
		return err_set(err, ERR_UNSUPPORTED,
			"profile 'build' makes networks of its own and never gets level "
			"'%s': use 'proxy' or 'none'",
			networks[network]);
	return 0;
}

int sandbox_decide(const struct sandbox_caps *caps, enum sandbox_profile profile,
	enum sandbox_trust trust, enum sandbox_network network, struct err *err)
{
	for (int i = 0; i < SANDBOX_FACILITIES; i++)
		if (caps->facts[i].state == SANDBOX_MISSING)
			return err_set(err, ERR_UNSUPPORTED,
				"no job can run here until '%s' is mended: %s",
				facilities[i], caps->facts[i].words);
	if (profile == SANDBOX_BUILD && trust == SANDBOX_TRUSTED &&
		decide_build(caps, network, err) < 0)
		return -1;
	if (trust == SANDBOX_UNTRUSTED)
		return decide_untrusted(caps, profile, network, err);
	if (network == SANDBOX_NET_EGRESS && caps->no_egress[0])
		return err_set(err, ERR_UNSUPPORTED,
			"network level 'egress' cannot be had here: %s", caps->no_egress);
	return 0;
}
