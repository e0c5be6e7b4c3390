/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root of a job. One that the job may change needs its files in the job's ids: shown so
 * by whoever may (root: we, or the spawner), or copied by the agent.
 */
#include "executor/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/log.h"
#include "base/mem.h"
#include "executor/agent.h"
#include "executor/confine.h"

bool rootfs_is_own(const struct jobrun *job)
{
	return str_eq(job->spec->profile, "root");
}

static int open_plain(struct jobrun *job, struct err *err)
{
	const struct spec *s = job->spec;

	if (s->root_digest) {
		if (rootstore_open(
			    job->opt->roots_dir, s->root_digest, &job->prepared, err) < 0)
			return err_wrap(err, "'%s'", s->root_name);
		job->root_fd = fcntl(job->prepared.tree, F_DUPFD_CLOEXEC, 3);
	} else if (s->root_path) {
		job->root_fd = open(s->root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	} else {
		return 0;
	}
	if (job->root_fd < 0)
		return err_sys(err, "cannot open '%s'",
			s->root_path ? s->root_path : s->root_name);
	return 0;
}

static int ask_for_map(struct jobrun *job, int *ret, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;

	json_set_str(head, "op", "root");
	json_set_str(head, "digest", job->spec->root_digest);
	if (confine_ask_spawner(job, head, &m, err) < 0)
		return -1;
	*ret = chan_msg_take_fd(&m, 0);
	return *ret < 0 ? err_set(err, ERR_BUG, "the spawner sent no root") : 0;
}

/* The root in the job's ids, as a mount; ERR_UNSUPPORTED: it has to be copied. */
static int map_root(struct jobrun *job, const struct sandbox_options *o, int *ret,
	struct err *err)
{
	if (o->privileged.write_maps)
		return ask_for_map(job, ret, err);
	if (geteuid() != 0)
		return err_set(err, ERR_UNSUPPORTED, "this account cannot map ids of files");
	if (!rootstore_is_owned(&job->prepared))
		return err_set(err, ERR_UNSUPPORTED, "the root was not prepared by root");
	return sandbox_root_map(job->root_fd, &o->ids, ret, err);
}

static int open_own(struct jobrun *job, struct sandbox_options *o, struct err *err)
{
	struct err why = ERR_INIT;
	int tree = -1;

	if (!job->spec->root_digest)
		return err_set(err, ERR_DENIED,
			"profile 'root' needs a label that maps to an image: see sluice "
			"image build");
	if (map_root(job, o, &tree, &why) == 0) {
		(void)close(job->root_fd); /* a folder */
		job->root_fd = tree;
		o->root_upper = job->dirs[DIR_ROOT];
		return 0;
	}
	if (why.code != ERR_UNSUPPORTED) {
		if (err)
			*err = why;
		return -1;
	}
	log_info("the root is copied: %s", why.msg);
	job->root_is_copy = true;
	(void)close(job->root_fd); /* a folder */
	job->root_fd = fcntl(job->dirs[DIR_ROOT], F_DUPFD_CLOEXEC, 3);
	return job->root_fd < 0 ? err_sys(err, "cannot open the job's own root") : 0;
}

int rootfs_open(struct jobrun *job, struct sandbox_options *o, struct err *err)
{
	if (open_plain(job, err) < 0)
		return -1;
	if (o->profile == SANDBOX_ROOT && open_own(job, o, err) < 0)
		return -1;
	o->rootfs = job->root_fd;
	return 0;
}

int rootfs_fill(struct jobrun *job, struct err *err)
{
	if (!job->root_is_copy)
		return 0;
	if (agent_copy(job, job->prepared.tree, DIR_ROOT, "", err) < 0 ||
		agent_own(job, DIR_ROOT, job->prepared.owners, err) < 0)
		return err_wrap(err, "cannot copy the root '%s'", job->spec->root_name);
	return 0;
}

void rootfs_facts(const struct jobrun *job, struct json *facts, struct json *weaker)
{
	const struct spec *s = job->spec;
	_cleanup_free_ char *text = NULL;

	if (s->root_digest)
		text = xasprintf("root %s (%.12s)", s->root_name, s->root_digest);
	else if (s->root_path)
		text = xasprintf("root %s", s->root_path);
	if (text)
		json_set_str(facts, "root", text);
	if (job->root_is_copy)
		json_push_str(weaker, "root: a private copy, not an overlay");
}

void rootfs_close(struct jobrun *job)
{
	cleanup_closep(&job->root_fd);
	job->root_fd = -1;
	rootstore_close(&job->prepared);
}

bool rootfs_has(const struct jobrun *job, const char *path)
{
	_cleanup_close_ int host =
		job->root_fd < 0 ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	/* A tree that is mounted nowhere yet is looked into all the same. */
	int root = job->prepared.tree >= 0 ? job->prepared.tree
		   : job->root_fd >= 0	   ? job->root_fd
					   : host;

	return root >= 0 && faccessat(root, path, X_OK, AT_SYMLINK_NOFOLLOW) == 0;
}
