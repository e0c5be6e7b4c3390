/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who a job is on the host. Three ways to write the outer map, one way to read it back:
 * whatever the writer said, the map the kernel shows must be the one we wanted, and no id
 * of the host's 0 may be in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/sandbox-internal.h"

uint32_t idmap_len(const struct sandbox_ids *ids)
{
	return ids->is_wide ? ids->range_len : 1;
}

static bool holds(uint32_t first, uint32_t len, uint32_t id)
{
	return id >= first && id - first < len;
}

int idmap_check(const struct sandbox_ids *ids, struct err *err)
{
	bool self = ids->how == SANDBOX_IDMAP_SELF;
	uint32_t len = idmap_len(ids);

	if (!ids->service_uid || !ids->service_gid)
		return err_set(err, ERR_DENIED,
			"a job must not be mapped to the host's id 0: give a service id");
	if (self && ids->is_wide)
		return err_set(err, ERR_DENIED, "the service's own id is no range");
	if (self)
		return 0;
	if (!len)
		return err_set(err, ERR_DENIED, "a range of no ids");
	if (!ids->job_uid || !ids->job_gid)
		return err_set(
			err, ERR_DENIED, "a job must not be mapped to the host's id 0");
	if (holds(ids->job_uid, len, ids->service_uid) ||
		holds(ids->job_gid, len, ids->service_gid))
		return err_set(err, ERR_DENIED,
			"a job must not be mapped to the service's own id %u",
			ids->service_uid);
	/* The last one of 32 bits is "no id"; past it the range would hold the host's 0. */
	if (ids->job_uid > UINT32_MAX - len || ids->job_gid > UINT32_MAX - len)
		return err_set(err, ERR_DENIED,
			"a job must not be mapped past the last id there is");
	return 0;
}

/* ---- writing ----------------------------------------------------------------------- */

static int write_proc(pid_t pid, const char *file, const char *text, struct err *err)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	if (child_write_file(AT_FDCWD, path, text) < 0)
		return err_sys(err, "cannot write '%s'", path);
	return 0;
}

static int write_direct(pid_t pid, const struct sandbox_ids *ids, struct err *err)
{
	uint32_t len = idmap_len(ids);
	char uid[96], gid[96];

	(void)snprintf(gid, sizeof(gid), "0 %u 1\n1 %u %u\n", ids->service_gid,
		ids->job_gid, len);
	(void)snprintf(uid, sizeof(uid), "0 %u 1\n1 %u %u\n", ids->service_uid,
		ids->job_uid, len);
	if (write_proc(pid, "gid_map", gid, err) < 0)
		return -1;
	return write_proc(pid, "uid_map", uid, err);
}

static int write_self(pid_t pid, const struct sandbox_ids *ids, struct err *err)
{
	char uid[48], gid[48];

	(void)snprintf(gid, sizeof(gid), "0 %u 1\n", ids->service_gid);
	(void)snprintf(uid, sizeof(uid), "0 %u 1\n", ids->service_uid);
	if (write_proc(pid, "setgroups", "deny", err) < 0)
		return -1;
	if (write_proc(pid, "gid_map", gid, err) < 0)
		return -1;
	return write_proc(pid, "uid_map", uid, err);
}

/* Runs newuidmap or newgidmap; its words are the error. */
static int run_tool(const char *tool, pid_t pid, unsigned service, unsigned job,
	unsigned len, struct err *err)
{
	char pid_text[16], service_text[16], job_text[16], len_text[16];
	_cleanup_(strbuf_done) struct strbuf said = STRBUF_INIT;
	_cleanup_close_ int out = -1, in = -1;
	int ends[2], status;
	pid_t child;

	(void)snprintf(pid_text, sizeof(pid_text), "%d", (int)pid);
	(void)snprintf(service_text, sizeof(service_text), "%u", service);
	(void)snprintf(job_text, sizeof(job_text), "%u", job);
	(void)snprintf(len_text, sizeof(len_text), "%u", len);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	out = ends[0];
	in = ends[1];
	child = fork();
	if (child < 0)
		return err_sys(err, "cannot fork");
	if (child == 0) {
		const char *const argv[] = { tool, pid_text, "0", service_text, "1", "1",
			job_text, len_text, NULL };
		const char *const env[] = { "PATH=/usr/bin:/bin", NULL };

		if (dup2(in, 2) >= 0)
			execve(tool, (char *const *)argv, (char *const *)env);
		_exit(127);
	}
	(void)close(take_fd(&in));
	(void)fd_read_to_end(out, 4096, &said, NULL); /* only its words are lost */
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, "cannot wait for '%s'", tool);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	strbuf_truncate(&said, strcspn(said.buf, "\n"));
	return err_set(err, ERR_DENIED, "'%s' refused: %s", tool,
		said.len ? said.buf : "it could not be run");
}

/*
 * The kernel's choice when memory runs out is a job, not the server. Init says so of itself, too;
 * but only what a writer with CAP_SYS_RESOURCE has set is also the least that the process and
 * all its children can go back to. Without one they can go back to what the server has.
 */
static void prefer_for_oom(pid_t pid)
{
	_cleanup_close_ int fd = proc_open(pid, "oom_score_adj", O_WRONLY);

	if (fd >= 0)
		(void)!write(fd, OOM_SCORE_ADJ, strlen(OOM_SCORE_ADJ));
}

int sandbox_write_maps(pid_t pid, const struct sandbox_ids *ids, struct err *err)
{
	if (idmap_check(ids, err) < 0)
		return -1;
	prefer_for_oom(pid);
	switch (ids->how) {
	case SANDBOX_IDMAP_ROOT:
		return write_direct(pid, ids, err);
	case SANDBOX_IDMAP_NEWUIDMAP:
		if (run_tool("/usr/bin/newgidmap", pid, ids->service_gid, ids->job_gid,
			    idmap_len(ids), err) < 0)
			return -1;
		return run_tool("/usr/bin/newuidmap", pid, ids->service_uid, ids->job_uid,
			idmap_len(ids), err);
	case SANDBOX_IDMAP_SELF:
		return write_self(pid, ids, err);
	}
	return err_set(err, ERR_BUG, "no way to write an id map was chosen");
}

/* ---- reading back ------------------------------------------------------------------ */

int idmap_parse(const char *text, uint32_t (*ret)[3], size_t max, size_t *ret_len)
{
	size_t n = 0;

	while (*text) {
		unsigned long long v[3];
		int used = 0;

		if (n == max || sscanf(text, " %llu %llu %llu %n", &v[0], &v[1], &v[2],
					&used) != 3)
			return -1;
		for (int i = 0; i < 3; i++) {
			if (v[i] > UINT32_MAX)
				return -1;
			ret[n][i] = (uint32_t)v[i];
		}
		n++;
		text += used;
	}
	*ret_len = n;
	return 0;
}

int idmap_verify(pid_t pid, const char *file, const uint32_t (*want)[3], size_t want_len,
	struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	uint32_t got[4][3];
	char path[64];
	size_t len;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	if (fd_read_file(AT_FDCWD, path, 4096, &text, err) < 0)
		return -1;
	if (idmap_parse(text.buf, got, ARRAY_SIZE(got), &len) < 0)
		return err_set(err, ERR_DENIED, "'%s' cannot be understood", path);
	for (size_t i = 0; i < len; i++)
		if (got[i][1] == 0)
			return err_set(
				err, ERR_DENIED, "'%s' holds the host's id 0", path);
	if (len != want_len || memcmp(got, want, len * sizeof(got[0])) != 0)
		return err_set(err, ERR_DENIED, "'%s' is not the map asked for", path);
	return 0;
}

int idmap_verify_outer(pid_t pid, const struct sandbox_ids *ids, struct err *err)
{
	uint32_t len = idmap_len(ids);
	const uint32_t uid[2][3] = { { 0, ids->service_uid, 1 },
		{ 1, ids->job_uid, len } };
	const uint32_t gid[2][3] = { { 0, ids->service_gid, 1 },
		{ 1, ids->job_gid, len } };
	size_t lines = ids->how == SANDBOX_IDMAP_SELF ? 1 : 2;

	if (idmap_verify(pid, "uid_map", uid, lines, err) < 0)
		return -1;
	return idmap_verify(pid, "gid_map", gid, lines, err);
}

int idmap_verify_step(pid_t pid, const struct sandbox_ids *ids, struct err *err)
{
	bool self = ids->how == SANDBOX_IDMAP_SELF;
	uint32_t inside = ids->is_wide ? 0 : SANDBOX_UID, len = idmap_len(ids);
	const uint32_t uid[1][3] = { { inside, self ? ids->service_uid : ids->job_uid,
		len } };
	const uint32_t gid[1][3] = { { inside, self ? ids->service_gid : ids->job_gid,
		len } };

	if (idmap_verify(pid, "uid_map", uid, 1, err) < 0)
		return -1;
	return idmap_verify(pid, "gid_map", gid, 1, err);
}

/*
 * Ranges begin behind the single ids: whatever slot has which, no two overlap. A
 * subordinate range of one length, as account tools give it, has room for none.
 */
#define SINGLES 65536

static void range_for(
	const struct sandbox_caps *caps, unsigned slot, struct sandbox_ids *ids)
{
	uint64_t at = SINGLES + (uint64_t)slot * SANDBOX_RANGE_LEN;
	uint64_t end = at + SANDBOX_RANGE_LEN;

	if (caps->idmap == SANDBOX_IDMAP_ROOT) {
		/* Root asks nobody: as far as there are numbers. */
		if (caps->sub_uid + end > UINT32_MAX || caps->sub_gid + end > UINT32_MAX)
			return;
	} else if (end > caps->sub_uid_len || end > caps->sub_gid_len) {
		return;
	}
	ids->range_uid = caps->sub_uid + (uid_t)at;
	ids->range_gid = caps->sub_gid + (gid_t)at;
	ids->range_len = SANDBOX_RANGE_LEN;
}

int sandbox_ids_widen(struct sandbox_ids *ids, struct err *err)
{
	if (!ids->range_len)
		return err_set(err, ERR_UNSUPPORTED,
			ids->how == SANDBOX_IDMAP_SELF
				? "no id range: this account has none of its own"
				: "no id range is left for this job's slot");
	ids->job_uid = ids->range_uid;
	ids->job_gid = ids->range_gid;
	ids->is_wide = true;
	return idmap_check(ids, err);
}

int sandbox_ids_for(const struct sandbox_caps *caps, uid_t service_uid, gid_t service_gid,
	unsigned slot, struct sandbox_ids *ret, struct err *err)
{
	struct sandbox_ids ids = { .how = caps->idmap };

	if (caps->idmap == SANDBOX_IDMAP_SELF) {
		ids.service_uid = ids.job_uid = geteuid();
		ids.service_gid = ids.job_gid = getegid();
	} else {
		if ((uint64_t)slot + 1 >= caps->sub_uid_len ||
			(uint64_t)slot + 1 >= caps->sub_gid_len || slot + 1 >= SINGLES)
			return err_set(err, ERR_LIMIT,
				"no id is left for job slot %u of %u", slot,
				caps->sub_uid_len);
		/* An account maps itself; only root may name another for the service. */
		if (caps->idmap == SANDBOX_IDMAP_NEWUIDMAP) {
			service_uid = geteuid();
			service_gid = getegid();
		}
		ids.service_uid = service_uid ? service_uid : caps->sub_uid;
		ids.service_gid = service_gid ? service_gid : caps->sub_gid;
		ids.job_uid = caps->sub_uid + 1 + slot;
		ids.job_gid = caps->sub_gid + 1 + slot;
		range_for(caps, slot, &ids);
	}
	if (idmap_check(&ids, err) < 0)
		return -1;
	*ret = ids;
	return 0;
}
