/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A prepared root for attacks under profile `root`, which is never the host's own: an empty
 * tree with links into /usr, which is mounted over it. Each sandbox gets the tree anew, since
 * one is attached once, and a folder of its own for what it changes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "sandbox/attack-internal.h"
#include "sandbox/sandbox-internal.h"

#define PARENT "/var/tmp"

static int fill(int dir, struct err *err)
{
	static const char *const folders[] = { "root", "root/usr", "root/etc", "root/opt",
		"root/tmp", "root/var" };
	static const char *const links[] = { "bin", "sbin", "lib", "lib32", "lib64" };

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (mkdirat(dir, folders[i], 0755) < 0)
			return err_sys(err, "cannot make '%s'", folders[i]);
	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		_cleanup_free_ char *to = xasprintf("usr/%s", links[i]);
		_cleanup_free_ char *at = xasprintf("root/%s", links[i]);

		if (symlinkat(to, dir, at) < 0)
			return err_sys(err, "cannot make '%s'", at);
	}
	return 0;
}

int attack_root_open(struct attack_root *r, struct err *err)
{
	if (geteuid() != 0)
		return err_set(err, ERR_UNSUPPORTED,
			"only root can prepare a root in the ids of a job");
	(void)snprintf(r->path, sizeof(r->path), PARENT "/sluice-attack.XXXXXX");
	if (!mkdtemp(r->path)) {
		*r->path = '\0';
		return err_sys(err, "cannot make a folder in '" PARENT "'");
	}
	r->dir = open(r->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (r->dir < 0 || fchmod(r->dir, 0755) < 0)
		return err_sys(err, "cannot open '%s'", r->path);
	r->usr = open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r->usr < 0)
		return err_sys(err, "cannot open '/usr'");
	if (fill(r->dir, err) < 0)
		return -1;
	r->tree = openat(r->dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return r->tree < 0 ? err_sys(err, "cannot open the root") : 0;
}

void attack_root_done(struct attack_root *r)
{
	_cleanup_close_ int parent = -1;

	cleanup_closep(&r->tree);
	cleanup_closep(&r->usr);
	cleanup_closep(&r->dir);
	if (!*r->path)
		return;
	parent = open(PARENT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent >= 0) /* what stays is a folder of /var/tmp */
		(void)path_remove_tree(parent, path_base(r->path), NULL);
}

static int fresh_upper(struct attack_root *r, const struct sandbox_ids *ids, struct err *err)
{
	_cleanup_close_ int fd = -1;
	char name[32];

	(void)snprintf(name, sizeof(name), "upper-%u", ++r->uppers);
	if (mkdirat(r->dir, name, 0755) < 0)
		return err_sys(err, "cannot make '%s'", name);
	fd = openat(r->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, ids->service_uid, ids->service_gid) < 0)
		return err_sys(err, "cannot give away '%s'", name);
	return take_fd(&fd);
}

int attack_sandbox(const struct attack_world *w, const struct sandbox_options *wanted,
	struct sandbox **ret, struct err *err)
{
	struct sandbox_options o = *wanted;
	_cleanup_close_ int tree = -1, upper = -1;

	if (!profile_traits(o.profile)->owns_root)
		return sandbox_open(w->host, &o, ret, err);
	upper = fresh_upper(w->root, &w->sandbox->ids, err);
	if (upper < 0 || sandbox_root_map(w->root->tree, &o.ids, &tree, err) < 0)
		return -1;
	o.rootfs = tree;
	o.root_upper = upper;
	return sandbox_open(w->host, &o, ret, err);
}
