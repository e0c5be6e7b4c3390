/* SPDX-License-Identifier: Apache-2.0 */
/* A file of the store appears under its digest whole and durable, or not at all. */
#include "executor/blob.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strbuf.h"

#define COPY_SIZE (256 * 1024)

static void blob_path(const char *hex, char buf[96])
{
	(void)snprintf(buf, 96, "sha256/%.2s/%s", hex, hex);
}

/* A temporary file beneath STORE; its name goes to NAME. */
static int temp_open(int store, char name[64], int *ret, struct err *err)
{
	_cleanup_free_ char *random = crypto_random_hex(12);

	if (store < 0)
		return err_set(err, ERR_UNSUPPORTED, "this job has no artifact store");
	if (path_mkdirs(store, "sha256", 0710, err) < 0)
		return -1;
	(void)snprintf(name, 64, "sha256/.new-%s", random);
	*ret = path_open(
		store, name, O_RDWR | O_CREAT | O_EXCL, 0440, PATH_NO_SYMLINKS, err);
	return *ret < 0 ? -1 : 0;
}

static int sync_dir(int store, const char *path, struct err *err)
{
	_cleanup_close_ int fd =
		path_open(store, path, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);

	if (fd < 0)
		return -1;
	return fsync(fd) < 0 ? err_sys(err, "cannot sync the store") : 0;
}

/* Names the finished temporary file by its content. */
static int temp_publish(
	int store, int fd, const char *name, const char *hex, struct err *err)
{
	char path[96], dir[16];
	struct stat st;

	blob_path(hex, path);
	(void)snprintf(dir, sizeof(dir), "sha256/%.2s", hex);
	if (fstatat(store, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		(void)unlinkat(store, name, 0); /* it is there: ours was for nothing */
		return 0;
	}
	if (fsync(fd) < 0)
		return err_sys(err, "cannot sync the store");
	if (path_mkdirs(store, dir, 0710, err) < 0)
		return -1;
	if (renameat(store, name, store, path) < 0)
		return err_sys(err, "cannot name a file of the store");
	return sync_dir(store, dir, err);
}

int blob_copy(int from, int to, uint64_t max, char hex[SHA256_HEX_MAX],
	uint64_t *ret_size, struct err *err)
{
	_cleanup_(sha256_freep) struct sha256 *sha = sha256_new();
	_cleanup_free_ char *buf = xmalloc(COPY_SIZE);
	uint8_t digest[SHA256_LEN];
	uint64_t size = 0;
	ssize_t n;

	while ((n = fd_read_full(from, buf, COPY_SIZE)) > 0) {
		size += (uint64_t)n;
		if (size > max)
			return err_set(err, ERR_LIMIT, "is larger than %llu bytes",
				(unsigned long long)max);
		sha256_add(sha, buf, (size_t)n);
		if (to >= 0 && fd_write_all(to, buf, (size_t)n) < 0)
			return err_sys(err, "cannot write");
	}
	if (n < 0)
		return err_sys(err, "cannot read");
	sha256_end(sha, digest);
	hex_encode(digest, sizeof(digest), hex);
	*ret_size = size;
	return 0;
}

int blob_put_file(int store, int fd, uint64_t max, char hex[SHA256_HEX_MAX],
	uint64_t *ret_size, struct err *err)
{
	_cleanup_close_ int to = -1;
	char name[64];

	if (temp_open(store, name, &to, err) < 0)
		return -1;
	if (blob_copy(fd, to, max, hex, ret_size, err) < 0 ||
		temp_publish(store, to, name, hex, err) < 0) {
		(void)unlinkat(store, name, 0); /* the error is what counts */
		return -1;
	}
	return 0;
}

int blob_put(int store, const void *data, size_t len, char hex[SHA256_HEX_MAX],
	struct err *err)
{
	_cleanup_close_ int to = -1;
	char name[64];

	if (temp_open(store, name, &to, err) < 0)
		return -1;
	(void)crypto_sha256_hex(data, len, hex);
	if (fd_write_all(to, data, len) < 0) {
		(void)err_sys(err, "cannot write into the store");
		(void)unlinkat(store, name, 0); /* the error is what counts */
		return -1;
	}
	if (temp_publish(store, to, name, hex, err) < 0) {
		(void)unlinkat(store, name, 0); /* likewise */
		return -1;
	}
	return 0;
}

static bool is_digest(const char *hex)
{
	return strlen(hex) == SHA256_HEX_MAX - 1 &&
	       strspn(hex, "0123456789abcdef") == SHA256_HEX_MAX - 1;
}

int blob_open(int store, const char *hex, int *ret, struct err *err)
{
	char path[96];

	if (store < 0 || !is_digest(hex))
		return err_set(
			err, ERR_NOT_FOUND, "there is no such object in the store");
	blob_path(hex, path);
	*ret = path_open(store, path, O_RDONLY, 0, PATH_NO_SYMLINKS, err);
	return *ret < 0 ? -1 : 0;
}
