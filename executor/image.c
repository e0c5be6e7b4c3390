/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A root file system out of an image: an OCI layout (a folder or a tar of one), a tar as
 * `docker save` writes it, or a plain tar of the tree. What names something by its digest
 * is believed only after the digest was computed: index -> manifest -> layers, or
 * configuration -> layers. Works in the helper, on descriptors.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/archive-internal.h"
#include "executor/helper-internal.h"

#define CHUNK	   (256 * 1024)
#define PARTS	   "parts"
#define INDEX_TYPE "application/vnd.oci.image.index.v1+json"
#define LIST_TYPE  "application/vnd.docker.distribution.manifest.list.v2+json"

struct image {
	int dir; /* of the layout, or of the unpacked tar */
	const char *tag;
	struct layers layers;
	char digest[SHA256_HEX_MAX];
	const char *kind;
};

/* ---- what a digest names ----------------------------------------------------------- */

static int hash_file(int fd, char *hex, struct err *err)
{
	_cleanup_(sha256_freep) struct sha256 *sha = sha256_new();
	_cleanup_free_ char *buf = xmalloc(CHUNK);
	uint8_t digest[SHA256_LEN];
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, "cannot read the image");
	while ((n = fd_read_full(fd, buf, CHUNK)) > 0)
		sha256_add(sha, buf, (size_t)n);
	if (n < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_sys(err, "cannot read the image");
	sha256_end(sha, digest);
	hex_encode(digest, sizeof(digest), hex);
	return 0;
}

/* "sha256:HEX" as HEX, lent; NULL with *ERR. */
static const char *hex_of(const char *digest, struct err *err)
{
	const char *hex = digest + strlen("sha256:");

	if (str_starts(digest, "sha256:") && strlen(hex) == 64 &&
		strspn(hex, "0123456789abcdef") == 64)
		return hex;
	(void)err_set(err, ERR_INPUT, "'%.80s' is no sha256 digest", digest);
	return NULL;
}

static int open_part(const struct image *im, const char *path, int *ret, struct err *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (!path_is_clean(path))
		return err_set(err, ERR_INPUT, "'%.100s' is no path in the image", path);
	/* Older tars of docker's name a layer by a link beside it: beneath is enough. */
	fd = path_open(im->dir, path, O_RDONLY | O_NONBLOCK, 0, 0, err);
	if (fd < 0)
		return err_wrap(err, "the image");
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_INPUT, "'%.100s' of the image is no file", path);
	*ret = take_fd(&fd);
	return 0;
}

static int check_hash(int fd, const char *hex, const char *what, struct err *err)
{
	char got[SHA256_HEX_MAX];

	if (hash_file(fd, got, err) < 0)
		return -1;
	if (strcmp(got, hex) != 0)
		return err_set(err, ERR_INPUT,
			"%s is damaged: its sha256 is %.12s..., not %.12s...", what, got,
			hex);
	return 0;
}

/* The blob that descriptor D ({"digest", "size"}) names, read and found right. */
static int open_blob(const struct image *im, const struct json *d, const char *what,
	int *ret, struct err *err)
{
	const char *hex = hex_of(json_get_str(d, "digest", ""), err);
	int64_t size = json_get_int(d, "size", -1);
	_cleanup_close_ int fd = -1;
	char path[96];
	struct stat st;

	if (!hex)
		return -1;
	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", hex);
	if (open_part(im, path, &fd, err) < 0)
		return -1;
	if (fstat(fd, &st) < 0 || (size >= 0 && st.st_size != size))
		return err_set(err, ERR_INPUT,
			"%s is damaged: it has %lld bytes, not %" PRId64, what,
			(long long)st.st_size, size);
	if (check_hash(fd, hex, what, err) < 0)
		return -1;
	*ret = take_fd(&fd);
	return 0;
}

static int read_json(int fd, const char *what, struct json **ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	if (fd_read_to_end(fd, LIMIT_IMAGE_JSON, &text, err) < 0 ||
		json_parse(text.buf ? text.buf : "", text.len, ret, err) < 0)
		return err_wrap(err, "%s", what);
	return 0;
}

/* ---- OCI --------------------------------------------------------------------------- */

static bool is_index(const struct json *d)
{
	const char *type = json_get_str(d, "mediaType", "");

	return str_eq(type, INDEX_TYPE) || str_eq(type, LIST_TYPE);
}

static const char *own_architecture(void)
{
#if defined(__x86_64__)
	return "amd64";
#elif defined(__aarch64__)
	return "arm64";
#elif defined(__riscv)
	return "riscv64";
#elif defined(__powerpc64__)
	return "ppc64le";
#elif defined(__s390x__)
	return "s390x";
#else
	return "386";
#endif
}

static bool is_wanted(const struct image *im, const struct json *d, bool by_tag)
{
	const struct json *platform = json_get(d, "platform");
	const char *name = json_get_str(
		json_get(d, "annotations"), "org.opencontainers.image.ref.name", "");

	if (by_tag && im->tag)
		return str_eq(name, im->tag) ||
		       (str_ends(name, im->tag) &&
			       name[strlen(name) - strlen(im->tag) - 1] == ':');
	if (!platform)
		return true;
	return str_eq(json_get_str(platform, "os", "linux"), "linux") &&
	       str_eq(json_get_str(platform, "architecture", own_architecture()),
		       own_architecture());
}

/* The one descriptor of INDEX that is meant. */
static const struct json *choose(
	const struct image *im, const struct json *index, bool by_tag, struct err *err)
{
	const struct json *list = json_get(index, "manifests"), *found = NULL;
	size_t n = 0;

	for (size_t i = 0; i < json_count(list); i++) {
		if (!is_wanted(im, json_at(list, i), by_tag))
			continue;
		found = json_at(list, i);
		n++;
	}
	if (n == 1)
		return found;
	if (n == 0)
		(void)err_set(err, ERR_NOT_FOUND, "the image holds no %s '%.60s'",
			by_tag && im->tag ? "tag" : "build for",
			by_tag && im->tag ? im->tag : own_architecture());
	else
		(void)err_set(err, ERR_INPUT,
			"the layout holds %zu images: add the tag, as in oci:DIR:TAG", n);
	return NULL;
}

static int add_layers(struct image *im, const struct json *manifest, struct err *err)
{
	const struct json *list = json_get(manifest, "layers");
	size_t n = json_count(list);

	if (n == 0 || n > LIMIT_IMAGE_LAYERS)
		return err_set(err, ERR_LIMIT, "an image of %zu layers", n);
	for (size_t i = 0; i < n; i++) {
		_cleanup_close_ int fd = -1;
		char what[32];

		(void)snprintf(what, sizeof(what), "layer %zu", i + 1);
		if (open_blob(im, json_at(list, i), what, &fd, err) < 0)
			return -1;
		if (layers_add(&im->layers, fd, err) < 0)
			return err_wrap(err, "%s", what);
	}
	return 0;
}

static int unpack_oci(struct image *im, struct err *err)
{
	_cleanup_(json_freep) struct json *at = NULL;
	_cleanup_close_ int fd = -1;
	const struct json *d;

	if (open_part(im, "index.json", &fd, err) < 0 ||
		read_json(fd, "index.json", &at, err) < 0)
		return -1;
	/* An index may name an index: of tags, then of architectures. */
	for (int level = 0; level < 4; level++) {
		struct json *next = NULL;
		bool has_more;

		d = choose(im, at, level == 0, err);
		if (!d)
			return -1;
		(void)close(take_fd(&fd));
		if (open_blob(im, d, "the manifest", &fd, err) < 0 ||
			read_json(fd, "the manifest", &next, err) < 0)
			return -1;
		has_more = is_index(d) || json_get(next, "manifests");
		(void)snprintf(im->digest, sizeof(im->digest), "%s",
			json_get_str(d, "digest", "") + strlen("sha256:"));
		json_free(at);
		at = next;
		if (!has_more)
			return add_layers(im, at, err);
	}
	return err_set(err, ERR_LIMIT, "the image's indexes name one another");
}

/* ---- docker save ------------------------------------------------------------------- */

static const struct json *choose_tagged(
	const struct image *im, const struct json *list, struct err *err)
{
	if (!im->tag && json_count(list) == 1)
		return json_at(list, 0);
	for (size_t i = 0; im->tag && i < json_count(list); i++) {
		const struct json *tags = json_get(json_at(list, i), "RepoTags");

		for (size_t k = 0; k < json_count(tags); k++)
			if (str_eq(json_as_str(json_at(tags, k), ""), im->tag))
				return json_at(list, i);
	}
	(void)err_set(err, im->tag ? ERR_NOT_FOUND : ERR_INPUT,
		im->tag ? "the tar holds no image '%.100s'"
			: "the tar holds several images%.0s",
		im->tag ? im->tag : "");
	return NULL;
}

static int unpack_docker(struct image *im, struct err *err)
{
	_cleanup_(json_freep) struct json *list = NULL, *config = NULL;
	_cleanup_close_ int fd = -1, config_fd = -1;
	const struct json *m, *paths, *ids;
	size_t n;

	if (open_part(im, "manifest.json", &fd, err) < 0 ||
		read_json(fd, "manifest.json", &list, err) < 0)
		return -1;
	m = choose_tagged(im, list, err);
	if (!m)
		return -1;
	if (open_part(im, json_get_str(m, "Config", ""), &config_fd, err) < 0 ||
		hash_file(config_fd, im->digest, err) < 0 ||
		read_json(config_fd, "the configuration", &config, err) < 0)
		return -1;
	paths = json_get(m, "Layers");
	ids = json_path(config, "rootfs.diff_ids");
	n = json_count(paths);
	if (n == 0 || n > LIMIT_IMAGE_LAYERS || n != json_count(ids))
		return err_set(err, ERR_INPUT, "an image of %zu layers and %zu digests",
			n, json_count(ids));
	for (size_t i = 0; i < n; i++) {
		const char *hex = hex_of(json_as_str(json_at(ids, i), ""), err);
		_cleanup_close_ int layer = -1;
		char what[32];

		(void)snprintf(what, sizeof(what), "layer %zu", i + 1);
		if (!hex ||
			open_part(im, json_as_str(json_at(paths, i), ""), &layer, err) <
				0 ||
			check_hash(layer, hex, what, err) < 0)
			return -1;
		if (layers_add(&im->layers, layer, err) < 0)
			return err_wrap(err, "%s", what);
	}
	return 0;
}

/* ---- which of them ----------------------------------------------------------------- */

static int unpack_tar(struct image *im, int tar, int dest, struct err *err)
{
	static const char *const marks[] = { "oci-layout", "manifest.json", NULL };
	int64_t found = layers_look(tar, marks, err);
	int rc;

	if (found < 0)
		return -1;
	if (!found) {
		im->kind = "tar";
		if (hash_file(tar, im->digest, err) < 0)
			return -1;
		return layers_add(&im->layers, tar, err);
	}
	if (mkdirat(dest, PARTS, 0700) < 0)
		return err_sys(err, "cannot make '" PARTS "'");
	im->dir =
		path_open(dest, PARTS, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
	if (im->dir < 0)
		return -1;
	rc = archive_unpack_to(tar, im->dir, im->layers.max_bytes, err);
	if (rc == 0 && (found & 1)) {
		im->kind = "oci";
		rc = unpack_oci(im, err);
	} else if (rc == 0) {
		im->kind = "docker";
		rc = unpack_docker(im, err);
	}
	(void)close(im->dir); /* a folder */
	if (rc < 0)
		return -1;
	return path_remove_tree(dest, PARTS, err);
}

static int unpack_any(struct image *im, int source, int dest, struct err *err)
{
	struct stat st;

	if (fstat(source, &st) < 0)
		return err_sys(err, "cannot look at the image");
	if (S_ISREG(st.st_mode))
		return unpack_tar(im, source, dest, err);
	if (!S_ISDIR(st.st_mode))
		return err_set(
			err, ERR_INPUT, "the image is neither a folder nor a file");
	if (faccessat(source, "oci-layout", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(err, ERR_INPUT,
			"the folder is no OCI layout: it has no 'oci-layout'");
	im->dir = source;
	im->kind = "oci";
	return unpack_oci(im, err);
}

static int open_dest(struct image *im, int dest, struct err *err)
{
	if (mkdirat(dest, "root", 0755) < 0)
		return err_sys(err, "cannot make the root's folder");
	/* A mkdir goes through our umask; what a job sees as '/' is open to all. */
	if (fchmodat(dest, "root", 0755, 0) < 0)
		return err_sys(err, "cannot open the root's folder to all");
	im->layers.root =
		path_open(dest, "root", O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
	if (im->layers.root < 0)
		return -1;
	im->layers.owners = path_open(
		dest, "owners", O_WRONLY | O_CREAT | O_EXCL, 0644, PATH_NO_SYMLINKS, err);
	return im->layers.owners < 0 ? -1 : 0;
}

static int64_t limit_of(const struct json *head, const char *key, int64_t max)
{
	int64_t v = json_get_int(head, key, max);

	return v > 0 && v < max ? v : max;
}

int image_op_unpack(struct helper_request *r, struct err *err)
{
	struct image im = { .dir = -1,
		.layers = LAYERS_INIT,
		.tag = json_get_str(r->head, "tag", NULL) };
	int rc;

	im.layers.max_bytes = limit_of(r->head, "max_bytes", LIMIT_IMAGE_SIZE);
	im.layers.max_entries = limit_of(r->head, "max_entries", LIMIT_ARCHIVE_ENTRIES);
	rc = open_dest(&im, r->fds[1], err);
	if (rc == 0)
		rc = unpack_any(&im, r->fds[0], r->fds[1], err);
	if (rc == 0)
		rc = layers_finish(&im.layers, err);
	layers_done(&im.layers);
	cleanup_closep(&im.layers.root);
	cleanup_closep(&im.layers.owners);
	json_set_str(r->answer, "digest", im.digest);
	json_set_str(r->answer, "kind", im.kind ? im.kind : "");
	json_set_int(r->answer, "layers", im.layers.count);
	json_set_int(r->answer, "files", im.layers.files);
	json_set_int(r->answer, "bytes", im.layers.bytes);
	json_set_int(r->answer, "left_out", im.layers.left_out);
	return rc;
}
