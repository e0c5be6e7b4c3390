/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/path.h"
#include "executor/archive-internal.h"
#include "executor/helper-internal.h"

struct answer {
	int rc;
	struct err err;
	struct json *head;
};

static struct answer call(helper_op_fn *fn, int a, int b, const char *text)
{
	struct answer x = { 0, ERR_INIT, json_new_object() };
	struct chan_msg m = CHAN_MSG_INIT;
	struct strbuf body = STRBUF_INIT;
	const int fds[] = { a, b };
	struct helper_request r = {
		.msg = &m, .fds = fds, .fds_len = 2, .answer = x.head, .body = &body
	};

	assert_ok(json_parse(text, strlen(text), &m.head, &x.err), &x.err);
	r.head = m.head;
	x.rc = fn(&r, &x.err);
	chan_msg_done(&m);
	strbuf_done(&body);
	return x;
}

/* ---- crafted archives ---- */

struct item {
	const char *name;
	unsigned type;	  /* AE_IF*, or 0 for a hard link */
	const char *data; /* or the link's target */
	mode_t mode;
};

static int craft(
	struct test_dir *dir, const char *format, const struct item *items, size_t n)
{
	struct archive *a = archive_write_new();
	int fd = openat(dir->fd, "in", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (strcmp(format, "zip") == 0) {
		archive_write_set_format_zip(a);
	} else {
		archive_write_set_format_pax(a);
		if (strcmp(format, "tar.gz") == 0)
			archive_write_add_filter_gzip(a);
		else if (strcmp(format, "tar.zst") == 0)
			archive_write_add_filter_zstd(a);
	}
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	for (size_t i = 0; i < n; i++) {
		struct archive_entry *e = archive_entry_new();
		const char *data = items[i].data ? items[i].data : "";
		bool is_file = items[i].type == AE_IFREG;

		archive_entry_set_pathname(e, items[i].name);
		archive_entry_set_filetype(e, items[i].type ? items[i].type : AE_IFREG);
		archive_entry_set_perm(e, items[i].mode ? items[i].mode : 0644);
		archive_entry_set_size(e, is_file ? (la_int64_t)strlen(data) : 0);
		if (items[i].type == AE_IFLNK)
			archive_entry_set_symlink(e, data);
		if (items[i].type == 0)
			archive_entry_set_hardlink(e, data);
		assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
		if (is_file)
			archive_write_data(a, data, strlen(data));
		archive_entry_free(e);
	}
	archive_write_close(a);
	archive_write_free(a);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static struct answer unpack(struct test_dir *dir, int in, const char *text)
{
	struct err err = ERR_INIT;
	int out;
	struct answer x;

	(void)path_remove_tree(dir->fd, "out", &err);
	assert_int_equal(mkdirat(dir->fd, "out", 0755), 0);
	out = openat(dir->fd, "out", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	x = call(archive_op_unpack, in, out, text);
	close(out);
	return x;
}

/* AR01: each must fail, and nothing may appear outside. */
static const struct {
	struct item items[3];
	const char *part;
} slips[] = {
	{ { { "../escape", AE_IFREG, "x", 0 } }, "leads out" },
	{ { { "a/../../escape", AE_IFREG, "x", 0 } }, "leads out" },
	{ { { "./../escape", AE_IFREG, "x", 0 } }, "leads out" },
	{ { { "/escape", AE_IFREG, "x", 0 } }, "leads out" },
	{ { { "//escape", AE_IFREG, "x", 0 } }, "leads out" },
	{ { { "a//b", AE_IFREG, "x", 0 } }, "leads out" },
	{ { { "a/./b", AE_IFREG, "x", 0 } }, "leads out" },
	{ { { "..", AE_IFDIR, NULL, 0755 } }, "leads out" },
	{ { { "../dir/", AE_IFDIR, NULL, 0755 } }, "leads out" },
	{ { { "..\\escape", AE_IFREG, "x", 0 } }, "backslashes" },
	{ { { "C:/escape", AE_IFREG, "x", 0 } }, "drives" },
	{ { { "c:escape", AE_IFREG, "x", 0 } }, "drives" },
	{ { { "l", AE_IFLNK, "/etc", 0 } }, "link that leads out" },
	{ { { "l", AE_IFLNK, "..", 0 } }, "link that leads out" },
	{ { { "a/l", AE_IFLNK, "../../x", 0 } }, "link that leads out" },
	{ { { "a/l", AE_IFLNK, "b/../../../x", 0 } }, "link that leads out" },
	{ { { "d", AE_IFDIR, NULL, 0755 }, { "l", AE_IFLNK, "d", 0 },
		  { "l/f", AE_IFREG, "x", 0 } },
		"" },
	{ { { "h", 0, "../outside", 0 } }, "link to no file" },
	{ { { "h", 0, "/etc/passwd", 0 } }, "link to no file" },
	{ { { "l", AE_IFLNK, "f", 0 }, { "h", 0, "l", 0 } }, "link to no file" },
	{ { { "p", AE_IFIFO, NULL, 0 } }, "device or a pipe" },
	{ { { "c", AE_IFCHR, NULL, 0 } }, "device or a pipe" },
	{ { { "b", AE_IFBLK, NULL, 0 } }, "device or a pipe" },
};

static void refuses_every_way_out_of_the_folder(void **state)
{
	struct test_dir *dir = *state;

	test_write(dir, "outside", "canary");
	for (size_t i = 0; i < ARRAY_SIZE(slips); i++) {
		size_t n = 0;
		int in;
		struct answer x;
		_cleanup_free_ char *path = xasprintf("%s/outside", dir->path);
		_cleanup_free_ char *canary = NULL;

		while (n < 3 && slips[i].items[n].name)
			n++;
		in = craft(dir, "tar", slips[i].items, n);
		x = unpack(dir, in, "{}");
		if (x.rc == 0)
			fail_msg("case %zu ('%s') was unpacked", i,
				slips[i].items[n - 1].name);
		assert_has(x.err.msg, slips[i].part);
		assert_int_equal(faccessat(dir->fd, "escape", F_OK, 0), -1);
		canary = test_read(path);
		assert_string_equal(canary, "canary");
		json_free(x.head);
		close(in);
	}
}

static void unpacks_the_formats_it_writes(void **state)
{
	static const char *const formats[] = { "tar", "tar.gz", "tar.zst", "zip" };
	static const struct item items[] = { { "./a/b", AE_IFREG, "one", 04755 },
		{ "a/c", AE_IFREG, "two", 0600 }, { "a/l", AE_IFLNK, "b", 0 },
		{ "d/", AE_IFDIR, NULL, 0700 }, { "a/c", AE_IFREG, "three", 0644 } };
	struct test_dir *dir = *state;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		int in = craft(dir, formats[i], items, ARRAY_SIZE(items));
		struct answer x = unpack(dir, in, "{}");
		_cleanup_free_ char *path = xasprintf("%s/out/a/c", dir->path);
		_cleanup_free_ char *text = NULL;
		struct stat st;

		assert_ok(x.rc, &x.err);
		assert_int_equal(json_get_int(x.head, "files", 0), 3);
		text = test_read(path);
		assert_string_equal(text, "three");
		assert_int_equal(fstatat(dir->fd, "out/a/b", &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0755);
		json_free(x.head);
		close(in);
	}
}

static void strips_leading_folders(void **state)
{
	static const struct item items[] = { { "top/a", AE_IFREG, "x", 0 },
		{ "top", AE_IFDIR, NULL, 0755 }, { "top/b/c", AE_IFREG, "y", 0 } };
	struct test_dir *dir = *state;
	int in = craft(dir, "tar", items, ARRAY_SIZE(items));
	struct answer x = unpack(dir, in, "{\"strip\": 1, \"path\": \"sub\"}");

	assert_ok(x.rc, &x.err);
	assert_int_equal(faccessat(dir->fd, "out/sub/a", F_OK, 0), 0);
	assert_int_equal(faccessat(dir->fd, "out/sub/b/c", F_OK, 0), 0);
	json_free(x.head);
	close(in);
}

/* AR02 */
static void stops_at_bombs(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_free_ char *zeros = xcalloc(1, 200 << 20);
	struct item big = { "big", AE_IFREG, zeros, 0 };
	static const struct {
		const char *limits, *part;
	} cases[] = {
		{ "{\"max_bytes\": 1048576}", "more than 1 MiB" },
		{ "{\"max_entries\": 1}", "more than 1 entries" },
		{ "{\"max_ratio\": 10}", "more than 10 times" },
	};

	memset(zeros, 'z', (200 << 20) - 1);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct item items[] = { { "small", AE_IFREG, "x", 0 }, big };
		int in = craft(dir, "tar.zst", items, 2);
		struct answer x = unpack(dir, in, cases[i].limits);

		assert_int_equal(x.rc, -1);
		assert_err_has(&x.err, ERR_LIMIT, cases[i].part);
		json_free(x.head);
		close(in);
	}
}

static void fails_on_what_is_no_archive(void **state)
{
	struct test_dir *dir = *state;
	int in;
	struct answer x;

	test_write(dir, "in", "Rar!\x1a\x07\x01 and then some more bytes to look at");
	in = openat(dir->fd, "in", O_RDONLY | O_CLOEXEC);
	x = unpack(dir, in, "{}");
	assert_int_equal(x.rc, -1);
	assert_err_has(&x.err, ERR_INPUT, "cannot read the archive");
	json_free(x.head);
	close(in);
}

static void knows_links_that_stay(void **state)
{
	assert_true(archive_link_stays("a/l", "../b"));
	assert_true(archive_link_stays("l", "b/../c"));
	assert_true(archive_link_stays("a/b/l", "../../c"));
	assert_false(archive_link_stays("a/b/l", "../../../c"));
	assert_false(archive_link_stays("l", "./../c"));
	assert_false(archive_link_stays("l", "/c"));
	assert_false(archive_link_stays("l", ""));
}

/* ---- packing ---- */

static const struct {
	const char *request;
	const char *want; /* names in the archive, in order */
} packs[] = {
	{ "{\"format\": \"tar\", \"paths\": [\"dist\"]}", "a.txt sub/b.txt " },
	{ "{\"format\": \"tar.gz\", \"paths\": [\"dist/**\\n!dist/sub/**\"]}", "a.txt " },
	{ "{\"format\": \"zip\", \"paths\": [\"dist/a.txt\"]}", "a.txt " },
	{ "{\"format\": \"tar.zst\", \"paths\": [\"dist/sub\", \"other/c.log\"]}",
		"dist/sub/b.txt other/c.log " },
	{ "{\"format\": \"tar\", \"paths\": [\"dist/sub/*.txt\"], \"strip_common\": false}",
		"dist/sub/b.txt " },
	{ "{\"format\": \"tar\", \"paths\": [\"dist\"], \"hidden\": true}",
		".hidden a.txt sub/b.txt " },
	{ "{\"format\": \"tar\", \"paths\": [\"nothing/**\"]}", "" },
};

static char *names_in(int fd)
{
	struct archive *a = archive_read_new();
	struct archive_entry *e;
	struct strbuf out = STRBUF_INIT;

	archive_read_support_format_tar(a);
	archive_read_support_format_zip(a);
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_format_empty(a);
	lseek(fd, 0, SEEK_SET);
	archive_read_open_fd(a, fd, 4096);
	while (archive_read_next_header(a, &e) == ARCHIVE_OK)
		strbuf_addf(&out, "%s ", archive_entry_pathname(e));
	archive_read_free(a);
	return strbuf_take(&out);
}

static void packs_what_the_patterns_select(void **state)
{
	struct test_dir *dir = *state;

	test_write(dir, "tree/dist/a.txt", "a");
	test_write(dir, "tree/dist/sub/b.txt", "b");
	test_write(dir, "tree/dist/.hidden", "h");
	test_write(dir, "tree/other/c.log", "c");
	assert_int_equal(symlinkat("/etc/passwd", dir->fd, "tree/dist/evil"), 0);
	assert_int_equal(mkfifoat(dir->fd, "tree/dist/pipe", 0600), 0);
	for (size_t i = 0; i < ARRAY_SIZE(packs); i++) {
		int root = openat(dir->fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		int out = openat(
			dir->fd, "out.bin", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		struct answer x = call(archive_op_pack, root, out, packs[i].request);
		_cleanup_free_ char *names = NULL;

		assert_ok(x.rc, &x.err);
		names = names_in(out);
		if (strcmp(names, packs[i].want) != 0)
			fail_msg("case %zu: '%s'", i, names);
		assert_int_equal(
			json_get_bool(x.head, "empty", false), !packs[i].want[0]);
		assert_int_equal(strlen(json_get_str(x.head, "sha256", "")), 64);
		json_free(x.head);
		close(root);
		close(out);
	}
}

TEST_MAIN(TEST_DIR(refuses_every_way_out_of_the_folder),
	TEST_DIR(unpacks_the_formats_it_writes), TEST_DIR(strips_leading_folders),
	TEST_DIR(stops_at_bombs), TEST_DIR(fails_on_what_is_no_archive),
	TEST(knows_links_that_stay), TEST_DIR(packs_what_the_patterns_select))
