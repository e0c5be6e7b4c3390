/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/account.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "runner/core.h"

int account_find(const char *user, struct account *ret, struct err *err)
{
	struct passwd *pw;

	memset(ret, 0, sizeof(*ret));
	if (geteuid() != 0) {
		pw = getpwuid(geteuid());
		ret->uid = geteuid();
		ret->gid = getegid();
		snprintf(ret->name, sizeof(ret->name), "%s", pw ? pw->pw_name : "us");
		return 0;
	}
	pw = getpwnam(user);
	if (!pw)
		return err_set(err, ERR_NOT_FOUND,
			"there is no account '%.40s' to run as; make it: useradd --system "
			"--user-group --shell /usr/sbin/nologin %.40s   (or name another: 'user')",
			user, user);
	if (pw->pw_uid == 0)
		return err_set(err, ERR_INPUT, "'user' is '%.40s', which is root; name an account "
					       "without rights", user);
	ret->is_root = true;
	ret->uid = pw->pw_uid;
	ret->gid = pw->pw_gid;
	snprintf(ret->name, sizeof(ret->name), "%s", pw->pw_name);
	return 0;
}

int account_become(const struct account *a, struct err *err)
{
	if (a->is_root && (setgroups(0, NULL) < 0 || setresgid(a->gid, a->gid, a->gid) < 0 ||
				  setresuid(a->uid, a->uid, a->uid) < 0))
		return err_sys(err, "cannot become '%s'", a->name);
	/* The key is in our memory from here on. After the ids: they reset it. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return err_sys(err, "cannot become undumpable");
	return 0;
}

/* In a child, so that every folder is born with the right owner. */
static int prepare_as(const struct account *a, const char *data_dir, struct err *err)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return err_sys(err, "cannot fork");
	if (pid == 0) {
		struct err why = ERR_INIT;

		umask(027);
		if (account_become(a, &why) < 0 || core_prepare_dirs(data_dir, &why) < 0) {
			fprintf(stderr, "serve: %s\n", why.msg);
			_exit(1);
		}
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(err, ERR_DENIED,
			"'%s' cannot make its folders in '%s'; may it pass through every folder "
			"above?",
			a->name, data_dir);
	return 0;
}

int account_prepare(const struct account *a, const char *data_dir, struct err *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (a->is_root) {
		_cleanup_free_ char *parent = xstrdup(data_dir);
		char *slash = strrchr(parent, '/');

		if (slash && slash != parent)
			*slash = '\0';
		if (slash && slash != parent && path_mkdirs_own(parent, 0755, err) < 0)
			return -1;
		if (mkdir(data_dir, 0700) < 0 && errno != EEXIST)
			return err_sys(err, "cannot make '%s'", data_dir);
	} else if (path_mkdirs_own(data_dir, 0700, err) < 0) {
		return -1;
	}
	fd = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "cannot open '%s'", data_dir);
	if (a->is_root && st.st_uid == 0 && fchown(fd, a->uid, a->gid) < 0)
		return err_sys(err, "cannot give '%s' to '%s'", data_dir, a->name);
	if (!a->is_root && st.st_uid != a->uid)
		return err_set(err, ERR_DENIED, "'%s' belongs to another account (uid %u)",
			data_dir, (unsigned)st.st_uid);
	if (st.st_mode & 077)
		return err_set(err, ERR_DENIED,
			"others can look into '%s' (mode %04o); run: chmod 700 %s", data_dir,
			(unsigned)(st.st_mode & 07777), data_dir);
	return prepare_as(a, data_dir, err);
}

int account_lock(const char *data_dir, int *ret_fd, struct err *err)
{
	_cleanup_free_ char *path = path_join(data_dir, "lock");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return err_sys(err, "cannot open '%s'", path);
	r = fd_lock(fd);
	if (r < 0)
		return err_sys(err, "cannot lock '%s'", path);
	if (r == 0)
		return err_set(err, ERR_UNAVAILABLE,
			"another sluice serves '%s' (its lock is held); stop it first, or ask it",
			data_dir);
	*ret_fd = take_fd(&fd);
	return 0;
}

static int make_key(const struct account *a, const char *key_file,
	uint8_t ret[CRYPTO_MASTER_LEN], struct err *err)
{
	_cleanup_free_ char *dir = xstrdup(key_file);
	char hex[2 * CRYPTO_MASTER_LEN + 2];
	_cleanup_close_ int fd = -1, parent = -1;
	char *slash = strrchr(dir, '/');

	crypto_random(ret, CRYPTO_MASTER_LEN);
	hex_encode(ret, CRYPTO_MASTER_LEN, hex);
	hex[sizeof(hex) - 2] = '\n';
	fd = open(key_file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
	if (fd < 0)
		return err_sys(err, "cannot make the master key '%s'", key_file);
	if (a->is_root && fchown(fd, a->uid, a->gid) < 0)
		return err_sys(err, "cannot give '%s' to '%s'", key_file, a->name);
	if (fd_write_all(fd, hex, sizeof(hex) - 1) < 0 || fsync(fd) < 0)
		return err_sys(err, "cannot write '%s'", key_file);
	explicit_bzero(hex, sizeof(hex));
	*slash = '\0';
	parent = open(dir[0] ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent >= 0)
		(void)fsync(parent); /* some file systems have nothing to sync here */
	return 0;
}

static int read_key(const struct account *a, int fd, const char *key_file,
	uint8_t ret[CRYPTO_MASTER_LEN], struct err *err)
{
	char hex[2 * CRYPTO_MASTER_LEN + 8];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot look at '%s'", key_file);
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077))
		return err_set(err, ERR_DENIED,
			"others can read the master key '%s' (mode %04o); run: chmod 400 %s",
			key_file, (unsigned)(st.st_mode & 07777), key_file);
	if (st.st_uid != a->uid && st.st_uid != 0)
		return err_set(err, ERR_DENIED, "the master key '%s' belongs to another account",
			key_file);
	n = fd_read_full(fd, hex, sizeof(hex));
	if (n < 2 * CRYPTO_MASTER_LEN ||
		hex_decode(hex, 2 * CRYPTO_MASTER_LEN, ret, CRYPTO_MASTER_LEN) < 0)
		return err_set(err, ERR_CORRUPT,
			"'%s' holds no master key: 64 hexadecimal digits are expected", key_file);
	explicit_bzero(hex, sizeof(hex));
	return 0;
}

int account_key(const struct account *a, const char *key_file, const char *data_dir,
	uint8_t ret[CRYPTO_MASTER_LEN], struct err *err)
{
	_cleanup_free_ char *db = path_join(data_dir, "db/sluice.db");
	_cleanup_close_ int fd = open(key_file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd >= 0)
		return read_key(a, fd, key_file, ret, err);
	if (errno != ENOENT)
		return err_sys(err, "cannot open the master key '%s'", key_file);
	if (access(db, F_OK) == 0)
		return err_set(err, ERR_NOT_FOUND,
			"the master key '%s' is missing, but there is a database: without it its "
			"secrets are lost; put it back, or name it with key_file",
			key_file);
	return make_key(a, key_file, ret, err);
}
