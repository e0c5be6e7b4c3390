/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folders of the data directory and who may look into them. The directory itself is
 * 0700 and so is most of it; what web reads is open to the account's group, since web has
 * the group, and as root a uid of its own: it gets db/, jobs/ and store/ as descriptors
 * and can name nothing beside them.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "executor/link.h"
#include "runner/core.h"

static const struct {
	const char *name;
	mode_t mode;
} folders[] = {
	{ "db", 0710 }, { "run", 0700 }, { "repos", 0700 }, { "jobs", 0710 },
	{ "store", 0710 }, { "store/sha256", 0710 }, { "actions", 0700 }, { "roots", 0700 },
	{ "held", 0700 }, { "quarantine", 0700 }, { "tmp", 0700 },
};

/*
 * ext4 passes over the inodes deleted of late in a folder's group, one by one, before it
 * takes a free one, and a job makes and deletes dozens. As a top folder, `jobs` has those
 * of each job in a group of their own. A file system that knows no such thing says no.
 */
static void spread_jobs(int data)
{
	_cleanup_close_ int jobs =
		openat(data, "jobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int flags = 0;

	if (jobs < 0 || ioctl(jobs, FS_IOC_GETFLAGS, &flags) < 0 ||
		(flags & FS_TOPDIR_FL))
		return;
	flags |= FS_TOPDIR_FL;
	(void)ioctl(jobs, FS_IOC_SETFLAGS, &flags); /* a hint, no more */
}

static int set_mode(int dir, const char *name, mode_t mode, struct err *err)
{
	if (fchmodat(dir, name, mode, 0) < 0 && errno != ENOENT) /* not every try has all */
		return err_sys(err, "cannot open '%s' to the group", name);
	return 0;
}

/*
 * NAME beneath PARENT as 0710, its entries (of FILES, or all) as MODE; DEPTH folders down.
 * The folder above is opened last, so that a crash on the way finds work left.
 */
static int open_to_group(int parent, const char *name, int depth, const char *const *files,
	mode_t mode, struct err *err)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	int r = 0;

	if (!dir) {
		if (fd >= 0)
			(void)close(fd);
		return errno == ENOTDIR || errno == ELOOP || errno == ENOENT
			       ? 0 /* nothing of ours */
			       : err_sys(err, "cannot open '%s'", name);
	}
	for (size_t i = 0; r == 0 && depth == 0 && files && files[i]; i++)
		r = set_mode(fd, files[i], mode, err);
	while (r == 0 && !(depth == 0 && files) && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		if (depth > 0)
			r = open_to_group(fd, e->d_name, depth - 1, files, mode, err);
		else
			r = set_mode(fd, e->d_name, mode, err);
	}
	if (r == 0 && fchmod(fd, 0710) < 0)
		r = err_sys(err, "cannot open '%s' to the group", name);
	(void)closedir(dir);
	return r;
}

/* What was made before web had a uid of its own is 0700 and 0600. */
static int renew_modes(int data, struct err *err)
{
	static const char *const of_try[] = { JOB_FILE_LOG, JOB_FILE_INDEX, JOB_FILE_JOURNAL,
		NULL };
	static const char *const of_db[] = { "sluice.db", "sluice.db-wal", NULL };
	static const struct {
		const char *name;
		int depth;
		const char *const *files;
		mode_t mode;
	} trees[] = {
		{ "jobs", 2, of_try, 0640 },
		{ "store/sha256", 1, NULL, 0440 },
		{ "db", 0, of_db, 0640 },
	};
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(trees); i++)
		if (fstatat(data, trees[i].name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			!(st.st_mode & S_IXGRP) &&
			open_to_group(data, trees[i].name, trees[i].depth, trees[i].files,
				trees[i].mode, err) < 0)
			return -1;
	return set_mode(data, "store", 0710, err);
}

int core_prepare_dirs(const char *data_dir, struct err *err)
{
	_cleanup_close_ int dir = -1;

	if (path_mkdirs_own(data_dir, 0700, err) < 0)
		return -1;
	dir = open(data_dir, O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, "cannot open '%s'", data_dir);
	if (renew_modes(dir, err) < 0)
		return err_wrap(err, "in '%s'", data_dir);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (path_mkdirs(dir, folders[i].name, folders[i].mode, err) < 0)
			return err_wrap(err, "cannot make '%s/%s'", data_dir, folders[i].name);
	spread_jobs(dir);
	return 0;
}
