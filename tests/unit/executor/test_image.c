/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/fd.h"
#include "base/path.h"
#include "executor/archive-internal.h"
#include "executor/helper-internal.h"

struct item {
	const char *name;
	unsigned type;	  /* AE_IF*, or 0 for a hard link */
	const char *data; /* or the link's target */
	mode_t mode;
	int uid;
	size_t len; /* of DATA where it holds NUL */
};

#define LAYER_ITEMS 6

static int craft(struct test_dir *dir, const char *name, const struct item *items)
{
	struct archive *a = archive_write_new();
	int fd = openat(dir->fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	archive_write_set_format_pax(a);
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	for (size_t i = 0; i < LAYER_ITEMS && items[i].name; i++) {
		struct archive_entry *e = archive_entry_new();
		const char *data = items[i].data ? items[i].data : "";
		bool is_file = items[i].type == AE_IFREG;
		size_t len = items[i].len ? items[i].len : strlen(data);

		archive_entry_set_pathname(e, items[i].name);
		archive_entry_set_filetype(e, items[i].type ? items[i].type : AE_IFREG);
		archive_entry_set_perm(e, items[i].mode ? items[i].mode : 0644);
		archive_entry_set_uid(e, items[i].uid);
		archive_entry_set_gid(e, items[i].uid);
		archive_entry_set_size(e, is_file ? (la_int64_t)len : 0);
		if (items[i].type == AE_IFLNK)
			archive_entry_set_symlink(e, data);
		if (items[i].type == 0)
			archive_entry_set_hardlink(e, data);
		assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
		if (is_file)
			archive_write_data(a, data, len);
		archive_entry_free(e);
	}
	archive_write_close(a);
	archive_write_free(a);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* One layer over the other, into out/; what layers_add said in the end. */
static int stack(struct test_dir *dir, const struct item (*layers)[LAYER_ITEMS], size_t n,
	struct layers *l, struct err *err)
{
	int rc = 0;

	(void)path_remove_tree(dir->fd, "out", NULL);
	assert_int_equal(mkdirat(dir->fd, "out", 0755), 0);
	*l = (struct layers)LAYERS_INIT;
	l->root = openat(dir->fd, "out", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	l->owners =
		openat(dir->fd, "owners", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	l->max_bytes = 1 << 20;
	l->max_entries = 100;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		int fd = craft(dir, "layer", layers[i]);

		rc = layers_add(l, fd, err);
		close(fd);
	}
	if (rc == 0)
		rc = layers_finish(l, err);
	return rc;
}

static void drop(struct layers *l)
{
	close(l->root);
	close(l->owners);
	layers_done(l);
}

/* ---- what a layer may not do ------------------------------------------------------- */

static const struct {
	struct item layers[2][LAYER_ITEMS];
	const char *part; /* of the refusal */
} refused[] = {
	{ { { { "../escape", AE_IFREG, "x", 0, 0 } } }, "leads out" },
	{ { { { "a/../../escape", AE_IFREG, "x", 0, 0 } } }, "leads out" },
	{ { { { "/escape", AE_IFREG, "x", 0, 0 } } }, "leads out" },
	{ { { { "./../escape", AE_IFREG, "x", 0, 0 } } }, "leads out" },
	{ { { { "..", AE_IFDIR, NULL, 0755, 0 } } }, "leads out" },
	{ { { { "h", 0, "../outside", 0, 0 } } }, "no file of the image" },
	{ { { { "h", 0, "/etc/passwd", 0, 0 } } }, "no file of the image" },
	{ { { { "up", AE_IFLNK, "../outside", 0, 0 }, { "h", 0, "up", 0, 0 } } },
		"no file of the image" },
	/* through a link a hard link stays within, too: there is no such file */
	{ { { { "l", AE_IFLNK, "/..", 0, 0 }, { "h", 0, "l/outside", 0, 0 } } },
		"no file of the image" },
	{ { { { "a", AE_IFDIR, NULL, 0755, 0 } }, { { ".wh...", AE_IFREG, "", 0, 0 } } },
		"takes nothing away" },
	{ { { { "a", AE_IFDIR, NULL, 0755, 0 } }, { { "a/.wh..", AE_IFREG, "", 0, 0 } } },
		"takes nothing away" },
	{ { { { "a", AE_IFDIR, NULL, 0755, 0 } }, { { "a/.wh.", AE_IFREG, "", 0, 0 } } },
		"takes nothing away" },
	{ { { { "a", AE_IFLNK, "b", 0, 0 }, { "b", AE_IFLNK, "a", 0, 0 },
		  { "a/x", AE_IFREG, "", 0, 0 } } },
		"too many links" },
};

static void refuses_every_way_out_of_the_image(void **state)
{
	struct test_dir *dir = *state;

	test_write(dir, "outside", "canary");
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct err err = ERR_INIT;
		struct layers l;
		_cleanup_free_ char *path = xasprintf("%s/outside", dir->path);
		_cleanup_free_ char *canary = NULL;

		if (stack(dir, refused[i].layers, 2, &l, &err) == 0)
			fail_msg("case %zu was unpacked", i);
		drop(&l);
		assert_has(err.msg, refused[i].part);
		assert_int_equal(faccessat(dir->fd, "escape", F_OK, 0), -1);
		canary = test_read(path);
		assert_string_equal(canary, "canary");
	}
}

/* ---- what stays within, though it looks as if it led out ---------------------------- */

static void obeys_links_as_inside_the_image(void **state)
{
	static const struct item layers[2][LAYER_ITEMS] = {
		{ { "run", AE_IFDIR, NULL, 0755, 0 },
			{ "var/run", AE_IFLNK, "/run", 0, 0 },
			{ "up", AE_IFLNK, "../../../../../..", 0, 0 },
			{ "usr/lib/", AE_IFDIR, NULL, 0755, 0 },
			{ "lib", AE_IFLNK, "usr/lib", 0, 0 } },
		{ { "var/run/pid", AE_IFREG, "1", 0, 0 },
			{ "up/outside", AE_IFREG, "inside", 0, 0 },
			{ "lib/so", AE_IFREG, "elf", 0755, 0 },
			{ "usr/lib/other", 0, "lib/so", 0, 0 } },
	};
	struct test_dir *dir = *state;
	struct err err = ERR_INIT;
	struct layers l;
	_cleanup_free_ char *path = xasprintf("%s/outside", dir->path);
	_cleanup_free_ char *canary = NULL;
	struct stat st;

	test_write(dir, "outside", "canary");
	assert_ok(stack(dir, layers, 2, &l, &err), &err);
	assert_int_equal(faccessat(l.root, "run/pid", F_OK, 0), 0);
	assert_int_equal(faccessat(l.root, "outside", F_OK, 0), 0);
	assert_int_equal(fstatat(l.root, "usr/lib/so", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(st.st_mode & 07777, 0755);
	drop(&l);
	canary = test_read(path);
	assert_string_equal(canary, "canary");
}

static void whiteouts_take_away_what_lower_layers_brought(void **state)
{
	static const struct item layers[3][LAYER_ITEMS] = {
		{ { "a/old", AE_IFREG, "1", 0, 0 }, { "a/kept", AE_IFREG, "1", 0, 0 },
			{ "b/x/y", AE_IFREG, "1", 0, 0 },
			{ "c/file", AE_IFREG, "1", 0, 0 }, { "d", AE_IFREG, "1", 0, 0 },
			{ "e/in", AE_IFREG, "1", 0, 0 } },
		/* an entry of its own layer survives, whichever comes first */
		{ { "a/.wh.old", AE_IFREG, "", 0, 0 }, { "b/new", AE_IFREG, "2", 0, 0 },
			{ "b/.wh..wh..opq", AE_IFREG, "", 0, 0 },
			{ "nowhere/.wh.x", AE_IFREG, "", 0, 0 },
			{ "d", AE_IFDIR, NULL, 0755, 0 },
			{ "d/now-a-folder", AE_IFREG, "2", 0, 0 } },
		{ { "e", AE_IFREG, "3", 0, 0 }, { "c", AE_IFLNK, "a", 0, 0 },
			{ ".wh..wh.aufs", AE_IFREG, "", 0, 0 } },
	};
	struct test_dir *dir = *state;
	struct err err = ERR_INIT;
	struct layers l;
	struct stat st;

	assert_ok(stack(dir, layers, 3, &l, &err), &err);
	assert_int_equal(faccessat(l.root, "a/old", F_OK, 0), -1);
	assert_int_equal(faccessat(l.root, "a/kept", F_OK, 0), 0);
	assert_int_equal(faccessat(l.root, "b/x", F_OK, 0), -1);
	assert_int_equal(faccessat(l.root, "b/new", F_OK, 0), 0);
	assert_int_equal(faccessat(l.root, "d/now-a-folder", F_OK, 0), 0);
	assert_int_equal(fstatat(l.root, "e", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(fstatat(l.root, "c", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(st.st_mode));
	drop(&l);
}

static void leaves_out_devices_and_drops_set_id(void **state)
{
	static const struct item layers[1][LAYER_ITEMS] = {
		{ { "dev/sda", AE_IFBLK, NULL, 0, 0 },
			{ "dev/null", AE_IFCHR, NULL, 0, 0 },
			{ "pipe", AE_IFIFO, NULL, 0, 0 },
			{ "su", AE_IFREG, "x", 06755, 42 },
			{ "tmp", AE_IFDIR, NULL, 01777, 0 },
			{ "shut", AE_IFDIR, NULL, 0555, 0 } },
	};
	struct test_dir *dir = *state;
	_cleanup_free_ char *path = xasprintf("%s/owners", dir->path);
	_cleanup_free_ char *owners = NULL;
	struct err err = ERR_INIT;
	struct layers l;
	struct stat st;

	assert_ok(stack(dir, layers, 1, &l, &err), &err);
	assert_int_equal(l.left_out, 3);
	assert_int_equal(fstatat(l.root, "dev/sda", &st, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(fstatat(l.root, "pipe", &st, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(fstatat(l.root, "su", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(fstatat(l.root, "tmp", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 01777);
	assert_int_equal(fstatat(l.root, "shut", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, 0555);
	drop(&l);
	owners = test_read(path);
	assert_string_equal(owners, "42 42 su"); /* up to its NUL */
}

static void stops_at_bombs(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_free_ char *big = xcalloc(1, 3 << 20);
	struct item layers[1][LAYER_ITEMS] = { { { "big", AE_IFREG, big, 0, 0 } } };
	struct err err = ERR_INIT;
	struct layers l;
	int fd;

	memset(big, 'z', (3 << 20) - 1);
	assert_int_equal(
		stack(dir, (const struct item(*)[LAYER_ITEMS])layers, 1, &l, &err), -1);
	assert_err_has(&err, ERR_LIMIT, "more than 1 MiB");
	drop(&l);
	err_clear(&err);
	assert_ok(
		stack(dir, (const struct item(*)[LAYER_ITEMS])layers, 0, &l, &err), &err);
	l.max_entries = 1;
	layers[0][0] = (struct item){ "a", AE_IFREG, "1", 0, 0 };
	layers[0][1] = (struct item){ "b", AE_IFREG, "1", 0, 0 };
	fd = craft(dir, "layer", layers[0]);
	assert_int_equal(layers_add(&l, fd, &err), -1);
	assert_err_has(&err, ERR_LIMIT, "more than 1 entries");
	close(fd);
	drop(&l);
}

/* ---- images ------------------------------------------------------------------------ */

static char *put_blob(struct test_dir *dir, const char *text, size_t len)
{
	char hex[SHA256_HEX_MAX];
	_cleanup_free_ char *path =
		xasprintf("oci/blobs/sha256/%s", crypto_sha256_hex(text, len, hex));
	int fd;

	assert_int_equal(path_mkdirs(dir->fd, "oci/blobs/sha256", 0755, NULL), 0);
	fd = openat(dir->fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_int_equal(fd_write_all(fd, text, len), 0);
	close(fd);
	return xasprintf("{\"digest\": \"sha256:%s\", \"size\": %zu}", hex, len);
}

/* A layout with one layer that holds the file `mark`. */
static void put_layout(struct test_dir *dir)
{
	static const struct item items[LAYER_ITEMS] = { { "mark", AE_IFREG, "hello", 0,
		0 } };
	struct strbuf layer = STRBUF_INIT;
	_cleanup_free_ char *d = NULL, *manifest = NULL, *m = NULL, *index = NULL;
	int fd;

	(void)path_remove_tree(dir->fd, "oci", NULL);
	fd = craft(dir, "layer", items);
	assert_int_equal(fd_read_to_end(fd, 1 << 20, &layer, NULL), 0);
	close(fd);
	d = put_blob(dir, layer.buf, layer.len);
	strbuf_done(&layer);
	manifest = xasprintf("{\"schemaVersion\": 2, \"layers\": [%s]}", d);
	m = put_blob(dir, manifest, strlen(manifest));
	index = xasprintf("{\"manifests\": [%s]}", m);
	test_write(dir, "oci/index.json", index);
	test_write(dir, "oci/oci-layout", "{\"imageLayoutVersion\": \"1.0.0\"}");
}

static int unpack(struct test_dir *dir, const char *source, const char *request,
	struct json **ret, struct err *err)
{
	struct chan_msg m = CHAN_MSG_INIT;
	struct strbuf body = STRBUF_INIT;
	int fds[2], rc;
	struct helper_request r = { .msg = &m,
		.fds = fds,
		.fds_len = 2,
		.answer = json_new_object(),
		.body = &body };

	(void)path_remove_tree(dir->fd, "dest", NULL);
	assert_int_equal(mkdirat(dir->fd, "dest", 0755), 0);
	fds[0] = openat(dir->fd, source, O_RDONLY | O_CLOEXEC);
	fds[1] = openat(dir->fd, "dest", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_ok(json_parse(request, strlen(request), &m.head, err), err);
	r.head = m.head;
	rc = image_op_unpack(&r, err);
	close(fds[0]);
	close(fds[1]);
	chan_msg_done(&m);
	strbuf_done(&body);
	*ret = r.answer;
	return rc;
}

static void unpacks_a_layout_and_says_its_digest(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_(json_freep) struct json *answer = NULL;
	_cleanup_free_ char *path = xasprintf("%s/dest/root/mark", dir->path);
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;

	put_layout(dir);
	assert_ok(unpack(dir, "oci", "{}", &answer, &err), &err);
	text = test_read(path);
	assert_string_equal(text, "hello");
	assert_string_equal(json_get_str(answer, "kind", ""), "oci");
	assert_int_equal(strlen(json_get_str(answer, "digest", "")), 64);
}

/* Each byte that a digest stands for is looked at: manifest and layer alike. */
static void refuses_a_blob_that_was_changed(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_free_ char *path = xasprintf("%s/oci/blobs/sha256", dir->path);
	size_t seen = 0;

	for (size_t which = 0; which < 2; which++) {
		struct json *answer = NULL;
		struct err err = ERR_INIT;
		struct dirent *e;
		size_t i = 0;
		DIR *d;

		put_layout(dir);
		d = opendir(path);
		while ((e = readdir(d))) {
			int fd;

			if (e->d_name[0] == '.' || i++ != which)
				continue;
			fd = openat(dirfd(d), e->d_name, O_WRONLY | O_CLOEXEC);
			assert_int_equal(pwrite(fd, "#", 1, 0), 1);
			close(fd);
			seen++;
		}
		closedir(d);
		assert_int_equal(unpack(dir, "oci", "{}", &answer, &err), -1);
		assert_err_has(&err, ERR_INPUT, "damaged");
		json_free(answer);
	}
	assert_int_equal(seen, 2);
}

static void a_plain_tar_is_one_layer(void **state)
{
	static const struct item items[LAYER_ITEMS] = { { "./bin", AE_IFLNK, "usr/bin", 0,
								0 },
		{ "./usr/bin/", AE_IFDIR, NULL, 0755, 0 },
		{ "./usr/bin/x\\y", AE_IFREG, "1", 0, 0 } };
	struct test_dir *dir = *state;
	_cleanup_(json_freep) struct json *answer = NULL;
	struct err err = ERR_INIT;

	close(craft(dir, "plain.tar", items));
	assert_ok(unpack(dir, "plain.tar", "{}", &answer, &err), &err);
	assert_string_equal(json_get_str(answer, "kind", ""), "tar");
	assert_int_equal(faccessat(dir->fd, "dest/root/usr/bin/x\\y", F_OK, 0), 0);
}

/* As `docker save` writes it; then with a layer that its configuration does not know. */
static void unpacks_a_saved_image_by_its_diff_ids(void **state)
{
	static const struct item mark[LAYER_ITEMS] = { { "mark", AE_IFREG, "hello", 0, 0,
		0 } };
	struct test_dir *dir = *state;

	for (int is_wrong = 0; is_wrong < 2; is_wrong++) {
		struct json *answer = NULL;
		struct err err = ERR_INIT;
		struct strbuf layer = STRBUF_INIT;
		char hex[SHA256_HEX_MAX];
		_cleanup_free_ char *config = NULL;
		int fd = craft(dir, "layer", mark);

		assert_int_equal(fd_read_to_end(fd, 1 << 20, &layer, NULL), 0);
		close(fd);
		(void)crypto_sha256_hex(layer.buf, layer.len, hex);
		if (is_wrong)
			hex[0] = hex[0] == '0' ? '1' : '0';
		config = xasprintf("{\"rootfs\": {\"diff_ids\": [\"sha256:%s\"]}}", hex);
		{
			const struct item set[LAYER_ITEMS] = {
				{ "manifest.json", AE_IFREG,
					"[{\"Config\": \"c.json\", \"Layers\": "
					"[\"l/layer.tar\"]}]",
					0, 0, 0 },
				{ "c.json", AE_IFREG, config, 0, 0, 0 },
				{ "l/layer.tar", AE_IFREG, layer.buf, 0, 0, layer.len },
			};

			close(craft(dir, "saved.tar", set));
		}
		strbuf_done(&layer);
		assert_int_equal(
			unpack(dir, "saved.tar", "{}", &answer, &err), is_wrong ? -1 : 0);
		if (is_wrong)
			assert_err_has(&err, ERR_INPUT, "damaged");
		else
			assert_string_equal(json_get_str(answer, "kind", ""), "docker");
		json_free(answer);
	}
}

TEST_MAIN(TEST_DIR(refuses_every_way_out_of_the_image),
	TEST_DIR(obeys_links_as_inside_the_image),
	TEST_DIR(whiteouts_take_away_what_lower_layers_brought),
	TEST_DIR(leaves_out_devices_and_drops_set_id), TEST_DIR(stops_at_bombs),
	TEST_DIR(unpacks_a_layout_and_says_its_digest),
	TEST_DIR(refuses_a_blob_that_was_changed), TEST_DIR(a_plain_tar_is_one_layer),
	TEST_DIR(unpacks_a_saved_image_by_its_diff_ids))
