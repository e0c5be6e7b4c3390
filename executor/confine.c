/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Set-up in the order that undoes itself: folders, sandbox, agent, way out. What needs more
 * rights than ours is asked of the spawner.
 */
#include "executor/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/agent.h"
#include "executor/containers.h"
#include "executor/diskwatch.h"
#include "executor/ends.h"
#include "executor/helper.h"
#include "executor/process.h"
#include "executor/rootfs.h"
#include "executor/step.h"
#include "executor/wayout.h"

#define KILL_MS     10000
#define ORPHANS_MAX 64

/* ---- folders ---- */

static const struct {
	const char *name;   /* below the job's directory */
	const char *inside; /* NULL: not mounted */
	enum sandbox_mount_flags flags;
} places[] = {
	/* Parents before children: this is the order of the mounts. */
	[DIR_HOME] = { JOB_DIR_HOME, INSIDE_HOME, SANDBOX_MOUNT_RW | SANDBOX_MOUNT_OWN },
	[DIR_WORK] = { JOB_DIR_WORK, INSIDE_WORK, SANDBOX_MOUNT_RW | SANDBOX_MOUNT_OWN },
	[DIR_TEMP] = { JOB_DIR_TEMP, INSIDE_TEMP, SANDBOX_MOUNT_RW | SANDBOX_MOUNT_OWN },
	[DIR_ACTIONS] = { JOB_DIR_ACTIONS, INSIDE_ACTIONS,
		SANDBOX_MOUNT_RW | SANDBOX_MOUNT_OWN },
	[DIR_TOOL] = { JOB_DIR_TOOL, INSIDE_TOOL, SANDBOX_MOUNT_RW | SANDBOX_MOUNT_OWN },
	[DIR_TMP] = { "tmp", "/tmp", SANDBOX_MOUNT_RW | SANDBOX_MOUNT_OWN },
	[DIR_VARTMP] = { "vartmp", "/var/tmp", SANDBOX_MOUNT_RW | SANDBOX_MOUNT_OWN },
	[DIR_CONTAINERS] = { "containers", INSIDE_CONTAINERS,
		SANDBOX_MOUNT_RW | SANDBOX_MOUNT_OWN },
	[DIR_ROOT] = { "rootfs", NULL, 0 },
	[DIR_STAGE] = { "stage", NULL, 0 },
};

static const char *repo_name(const struct jobrun *job)
{
	const char *full = json_get_str(job->spec->github, "repository", "");
	const char *name = path_base(full);

	return path_is_name(name) ? name : "work";
}

int confine_dirs(struct jobrun *job, struct err *err)
{
	job->repo_name = xstrdup(repo_name(job));
	job->workspace_rel = xasprintf("%s/%s", job->repo_name, job->repo_name);
	job->workspace = xasprintf("%s/%s", INSIDE_WORK, job->workspace_rel);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if ((i == DIR_CONTAINERS && !containers_wanted(job)) ||
			(i == DIR_ROOT && !rootfs_is_own(job)))
			continue;
		/* Readable for the job's id, which may be another: core's 0700 is above it. */
		if (mkdirat(job->opt->job_dir, places[i].name, 0755) < 0 &&
			errno != EEXIST)
			return err_sys(err, "cannot make '%s'", places[i].name);
		job->dirs[i] = path_open(job->opt->job_dir, places[i].name,
			O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
		if (job->dirs[i] < 0)
			return -1;
	}
	job->dirs[DIR_STORE] = job->opt->store_dir;
	if (geteuid() == 0 && job->opt->ids.service_uid != 0) {
		const struct sandbox_ids *ids = &job->opt->ids;

		/* The agent is not root inside: the folders it shares with us. */
		if (fchown(job->dirs[DIR_STAGE], ids->service_uid, ids->service_gid) <
				0 ||
			(job->dirs[DIR_ROOT] >= 0 &&
				fchown(job->dirs[DIR_ROOT], ids->service_uid,
					ids->service_gid) < 0) ||
			(job->dirs[DIR_STORE] >= 0 &&
				fchown(job->dirs[DIR_STORE], ids->service_uid,
					ids->service_gid) < 0))
			return err_sys(err, "cannot hand over the job's folders");
	}
	if (json_get_bool(job->spec->source_doc, "in_place", false)) {
		const char *tree = json_get_str(job->spec->source_doc, "path", "");

		job->dirs[DIR_TREE] = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (job->dirs[DIR_TREE] < 0)
			return err_sys(err, "cannot open '%s'", tree);
	}
	return 0;
}

/* ---- what only the spawner may do ---- */

static int ask_spawner(struct jobrun *job, struct json *head, struct err *err)
{
	json_set_int(head, "seq", ++job->spawner_seq);
	if (chan_send(job->opt->spawner, head, NULL, 0, NULL, 0, err) < 0)
		return err_wrap(err, "cannot ask the spawner");
	return 0;
}

/* The answer to what was asked last; one before it that nobody has waited for is dropped. */
static int hear_spawner(const struct jobrun *job, struct chan_msg *ret, struct err *err)
{
	int64_t seq;

	do {
		int got;

		chan_msg_done(ret);
		got = chan_recv(job->opt->spawner, ret, err);
		if (got == 0)
			return err_set(err, ERR_UNAVAILABLE, "the spawner has gone");
		if (got < 0)
			return err_wrap(err, "the spawner");
		seq = json_get_int(ret->head, "seq", -1);
	} while (seq > 0 && seq < job->spawner_seq);
	if (seq != job->spawner_seq)
		return err_set(err, ERR_BUG, "the spawner answers something else");
	return helper_answer_err(ret->head, err);
}

int confine_ask_spawner(
	struct jobrun *job, struct json *head, struct chan_msg *ret, struct err *err)
{
	return ask_spawner(job, head, err) < 0 ? -1 : hear_spawner(job, ret, err);
}

static int spawner_maps(
	pid_t pid, const struct sandbox_ids *ids, void *data, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;

	/* The spawner knows which ids are this job's: it does not take our word for them. */
	json_set_str(head, "op", "maps");
	json_set_int(head, "pid", pid);
	json_set_bool(head, "wide", ids->is_wide);
	return confine_ask_spawner(data, head, &m, err);
}

/* It is at it while we plan the sandbox; spawner_cgroup hears what came of it. */
static int ask_cgroup(
	struct jobrun *job, const struct sandbox_limits *limits, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	struct json *l = json_new_object();

	json_set_int(l, "memory", (int64_t)limits->memory);
	json_set_int(l, "pids", (int64_t)limits->pids);
	json_set_int(l, "cpu_percent", limits->cpu_percent);
	json_set_str(head, "op", "cgroup"); /* it knows the name of our group */
	json_set(head, "limits", l);
	return ask_spawner(job, head, err);
}

static int spawner_cgroup(const char *name, const struct sandbox_limits *limits,
	struct sandbox_cgroup *ret, void *data, struct err *err)
{
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct sandbox_cgroup cg = SANDBOX_CGROUP_INIT;
	const struct json *present;
	size_t next = 0;

	if (hear_spawner(data, &m, err) < 0)
		return -1;
	cg.kind = (enum sandbox_cgroup_kind)json_get_int(
		m.head, "kind", SANDBOX_CGROUP_NONE);
	cg.controllers = (enum sandbox_controllers)json_get_int(m.head, "controllers", 0);
	cg.is_birthplace = json_get_bool(m.head, "birthplace", false);
	present = json_get(m.head, "present");
	for (size_t i = 0; i < json_count(present) && i < SANDBOX_CGROUP_FDS; i++)
		if (json_as_bool(json_at(present, i), false))
			cg.fds[i] = chan_msg_take_fd(&m, next++);
	/* Then, for the same ones, the files that are written to enter. */
	for (size_t i = 0; i < SANDBOX_CGROUP_FDS; i++)
		if (cg.fds[i] >= 0)
			cg.enter[i] = chan_msg_take_fd(&m, next++);
	*ret = cg;
	return 0;
}

static int spawner_uncgroup(const char *name, void *data, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;

	json_set_str(head, "op", "uncgroup");
	return confine_ask_spawner(data, head, &m, err);
}

static int spawner_route(pid_t init, void *data, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;

	json_set_str(head, "op", "route");
	json_set_int(head, "pid", init);
	return confine_ask_spawner(data, head, &m, err);
}

/* ---- the sandbox ---- */

static void read_limits(const struct jobrun *job, struct sandbox_limits *l)
{
	const struct json *j = job->spec->limits;
	double cpus = json_get_real(j, "cpus", 0);
	const struct {
		const char *name;
		uint64_t *to;
	} numbers[] = { { "memory", &l->memory }, { "pids", &l->pids },
		{ "disk", &l->fsize } };

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		int64_t v = json_get_int(j, numbers[i].name, 0);

		if (v > 0)
			*numbers[i].to = (uint64_t)v;
	}
	if (cpus > 0 && cpus < 10000)
		l->cpu_percent = (uint32_t)(cpus * 100.0);
}

static int read_policy(
	const struct jobrun *job, struct sandbox_options *o, struct err *err)
{
	const struct spec *s = job->spec;

	if (sandbox_profile_parse(s->profile, &o->profile) < 0)
		return err_set(err, ERR_INPUT, "unknown profile '%s'", s->profile);
	if (sandbox_network_parse(s->network, &o->network) < 0)
		return err_set(err, ERR_INPUT, "unknown network level '%s'", s->network);
	o->trust = s->trusted ? SANDBOX_TRUSTED : SANDBOX_UNTRUSTED;
	o->ids = job->opt->ids;
	if (sandbox_profile_is_wide(o->profile) && sandbox_ids_widen(&o->ids, err) < 0)
		return err_wrap(err, "profile '%s'", s->profile);
	read_limits(job, &o->limits);
	o->cgroup_name = job->opt->cgroup_name;
	o->cgroup_tree = job->opt->cgroups;
	o->privileged.data = (void *)job;
	if (job->opt->spawner >= 0)
		o->privileged.make_route = spawner_route;
	if (o->network == SANDBOX_NET_EGRESS)
		o->resolv_conf = "nameserver 127.0.0.1\n"; /* of the way out */
	if (!job->opt->asks_spawner || job->opt->spawner < 0)
		return 0;
	o->privileged.write_maps = spawner_maps;
	if (o->cgroup_name && !o->cgroup_tree) {
		o->privileged.make_cgroup = spawner_cgroup;
		o->privileged.remove_cgroup = spawner_uncgroup;
	}
	return 0;
}

static int open_host(struct jobrun *job, const struct sandbox_host **ret, struct err *err)
{
	if (!job->opt->host && sandbox_host_open(&job->own_host, err) < 0)
		return -1;
	*ret = job->opt->host ? job->opt->host : job->own_host;
	return 0;
}

static void on_sandbox(struct loop *l, int fd, uint32_t events, void *data)
{
	process_events(data);
}

static int on_mapped(const struct sandbox *sb, void *data, struct err *err)
{
	struct jobrun *job = data;

	if (agent_start(job, sb, err) < 0 || rootfs_fill(job, err) < 0)
		return -1;
	/* While init builds the root; confine_open hears what came of it. */
	if (agent_post_mkdirs(job, DIR_WORK, job->workspace_rel, err) < 0)
		return -1;
	if (!job->opt->is_shell && ends_write_event(job, err) < 0)
		return -1;
	return disk_watch_start(job, sb, err);
}

static int open_sandbox(struct jobrun *job, struct err *err)
{
	struct sandbox_options o = SANDBOX_OPTIONS_INIT;
	struct sandbox_mount mounts[ARRAY_SIZE(places) + 1];
	const struct sandbox_host *host;

	if (read_policy(job, &o, err) < 0 || open_host(job, &host, err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (places[i].inside && job->dirs[i] >= 0)
			mounts[o.mounts_len++] = (struct sandbox_mount){ job->dirs[i],
				places[i].inside, places[i].flags };
	if (job->dirs[DIR_TREE] >= 0)
		mounts[o.mounts_len++] = (struct sandbox_mount){ job->dirs[DIR_TREE],
			job->workspace, SANDBOX_MOUNT_RW };
	o.mounts = mounts;
	if (containers_wanted(job))
		containers_files(&o);
	if (rootfs_open(job, &o, err) < 0)
		return err_wrap(err, "the job's root");
	o.mapped = on_mapped;
	o.mapped_data = job;
	if (o.privileged.make_cgroup && ask_cgroup(job, &o.limits, err) < 0)
		return -1;
	if (sandbox_open(host, &o, &job->sandbox, err) < 0)
		return err_wrap(err, "the sandbox");
	job->sandbox_source = loop_add_fd(
		job->loop, sandbox_fd(job->sandbox), EPOLLIN, on_sandbox, job);
	disk_watch_listen(job);
	return 0;
}

/* ---- all of it ---- */

int confine_open(struct jobrun *job, struct err *err)
{
	if (open_sandbox(job, err) < 0)
		return -1;
	if (agent_settle(job, err) < 0)
		return err_wrap(err, "the workspace");
	return way_out_prepare(job, err);
}

struct json *confine_facts(const struct jobrun *job)
{
	_cleanup_(strvec_done) struct strvec weaker = STRVEC_INIT;
	struct json *j = json_new_object(), *list = json_new_array();
	const struct sandbox_host *host = job->opt->host ? job->opt->host : job->own_host;
	const struct sandbox_caps *caps = sandbox_host_caps(host);

	sandbox_weaker(job->sandbox, &weaker);
	strvec_foreach (w, &weaker)
		json_push_str(list, *w);
	if (job->containers_weaker)
		json_push_str(list, job->containers_weaker);
	json_set_str(j, "profile", job->spec->profile);
	json_set_str(j, "network", job->spec->network);
	json_set_int(j, "landlock", caps->landlock_abi);
	json_set_bool(j, "own_id", job->opt->ids.how != SANDBOX_IDMAP_SELF);
	json_set_bool(j, "cgroup", job->opt->cgroup_name != NULL);
	rootfs_facts(job, j, list);
	json_set(j, "weaker", list);
	return j;
}

/* A full disk is for the end to deal with, when the reserve is given back. */
static void sync_log(struct jobrun *job)
{
	struct err err = ERR_INIT;

	if (joblog_flush(job->log, NULL) == 0 && joblog_sync(job->log, &err) < 0)
		job_break(job, &err);
}

void confine_kill(struct jobrun *job)
{
	struct sandbox_process left[ORPHANS_MAX];
	struct err err = ERR_INIT;
	bool is_finishing;

	if (!job->sandbox || job->is_killed)
		return;
	job->is_killed = true;
	job->orphans = sandbox_processes(job->sandbox, left, ARRAY_SIZE(left), NULL);
	job->orphans -= job->own_processes;
	if (job->orphans < 0)
		job->orphans = 0;
	loop_remove(job->sandbox_source);
	job->sandbox_source = NULL;
	disk_watch_stop(job);
	is_finishing = way_out_finish(job); /* it ends while they do */
	(void)sandbox_kill_start(job->sandbox, NULL); /* said again, with its error, below */
	sync_log(job);				      /* so does the disk */
	if (sandbox_kill(job->sandbox, KILL_MS, &err) < 0)
		log_warnx("the job's processes do not die: %s", err.msg);
	process_strays_done(job);
	way_out_stop(job, is_finishing);
}

/* What the agent cannot remove, the spawner may. */
static void quarantine(struct jobrun *job, const char *name)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT;

	if (job->opt->spawner < 0)
		return;
	json_set_str(head, "op", "remove");
	json_set_str(head, "what", name);
	if (confine_ask_spawner(job, head, &m, &err) < 0)
		log_warnx("'%s' stays: %s", name, err.msg);
}

const char *confine_place(enum job_dir dir)
{
	return places[dir].name;
}

void confine_clean(struct jobrun *job, bool is_held)
{
	bool left[DIRS] = { false }, is_any_left = false;
	struct err err = ERR_INIT;

	/* Most are empty: nobody is needed to look into those. */
	for (size_t i = is_held ? DIR_STAGE : 0; i < ARRAY_SIZE(places); i++) {
		left[i] = job->dirs[i] >= 0 && unlinkat(job->opt->job_dir, places[i].name,
						       AT_REMOVEDIR) < 0;
		is_any_left |= left[i];
	}
	if (job->agent && is_any_left) {
		(void)agent_clear(job, left, &err); /* LEFT says what came of it */
		for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
			if (!left[i])
				continue;
			log_warnx("cannot clean '%s': %s", places[i].name, err.msg);
			quarantine(job, places[i].name);
		}
	}
	agent_stop(job);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		(void)unlinkat(
			job->opt->job_dir, places[i].name, AT_REMOVEDIR); /* core's GC */
}

void confine_close(struct jobrun *job)
{
	disk_watch_stop(job);
	agent_stop(job);
	way_out_done(job);
	rootfs_close(job);
	sandbox_free(job->sandbox);
	job->sandbox = NULL;
	sandbox_host_free(job->own_host);
	job->own_host = NULL;
}
