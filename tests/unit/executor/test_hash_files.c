/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "executor/hash_files.h"

/* What the call must give for these contents in this order; heap. */
static char *digest_of(const char *const *contents)
{
	_cleanup_(strbuf_done) struct strbuf all = STRBUF_INIT;
	char hex[SHA256_HEX_MAX];

	for (size_t i = 0; contents[i]; i++) {
		uint8_t one[SHA256_LEN];

		crypto_sha256(contents[i], strlen(contents[i]), one);
		strbuf_add(&all, one, sizeof(one));
	}
	if (all.len == 0)
		return xstrdup("");
	return xstrdup(crypto_sha256_hex(all.buf, all.len, hex));
}

static char *hash(
	struct test_dir *dir, const char *root_path, const char *const *patterns)
{
	struct hash_files_options opt = { .root_path = root_path };
	struct strbuf sb = STRBUF_INIT;
	struct err err = ERR_INIT;
	size_t n = 0;

	while (patterns[n])
		n++;
	assert_ok(hash_files_in(dir->fd, &opt, patterns, n, &sb, &err), &err);
	return strbuf_take(&sb);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NOTHING	  ((const char *const[]){ NULL })

static void fill(struct test_dir *dir)
{
	test_write(dir, "b.txt", "b");
	test_write(dir, "a.txt", "a");
	test_write(dir, "sub/z.txt", "z");
	test_write(dir, "sub/deep/y.txt", "y");
	test_write(dir, "sub.txt", "s");
	test_write(dir, "other/x.md", "x");
	test_write(dir, ".hidden", "h");
}

static void files_are_hashed_in_the_order_of_the_walk(void **state)
{
	const struct {
		const char *const *patterns, *const *contents;
	} cases[] = {
		{ LIST("a.txt"), LIST("a") },
		{ LIST("./a.txt"), LIST("a") },
		{ LIST("*.txt"), LIST("a", "b", "s") },
		{ LIST("**/*.txt"),
			LIST("a", "b", "y", "z", "s") }, /* sub, then sub.txt */
		{ LIST("**"), LIST("h", "a", "b", "x", "y", "z", "s") },
		{ LIST("sub"), LIST("y", "z") },
		{ LIST("sub/"), LIST("y", "z") },
		{ LIST("other/*", "a.txt"),
			LIST("x", "a") }, /* in the order of the patterns */
		{ LIST("a.txt", "*.txt"), LIST("a", "b", "s") },
		{ LIST("sub/**", "!**/y.txt"), LIST("z") },
		{ LIST("sub/**", "!**/*.txt", "sub/z.txt"), LIST("z") },
		{ LIST("a.txt\n# comment\n\n  b.txt  "), LIST("a", "b") },
		{ LIST("nothing/**"), NOTHING },
		{ LIST("!a.txt"), NOTHING },
		{ LIST("/etc/passwd"), NOTHING },
		{ LIST("~/x"), NOTHING },
		{ LIST("/work/space/a.txt"), LIST("a") },
		{ LIST("/work/space/sub/**"), LIST("y", "z") },
		{ LIST("/work/spaced/a.txt"), NOTHING },
		{ LIST("--follow-symbolic-links", "a.txt"), LIST("a") },
	};
	struct test_dir *dir = *state;

	fill(dir);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *want = digest_of(cases[i].contents);
		_cleanup_free_ char *got = hash(dir, "/work/space/", cases[i].patterns);

		if (strcmp(got, want) != 0)
			fail_msg("'%s' gives '%s'", cases[i].patterns[0], got);
	}
}

static void links_count_when_they_lead_to_files_within(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_free_ char *plain = NULL, *all = NULL, *follow = NULL;
	_cleanup_free_ char *no_follow = digest_of(LIST("h", "a", "b", "b", "y", "z"));
	_cleanup_free_ char *with =
		digest_of(LIST("h", "a", "b", "b", "y", "z", "y", "z"));

	test_write(dir, ".hidden", "h");
	test_write(dir, "a.txt", "a");
	test_write(dir, "b.txt", "b");
	test_write(dir, "sub/z", "z");
	test_write(dir, "sub/y", "y");
	assert_int_equal(symlinkat("b.txt", dir->fd, "link.txt"), 0);
	assert_int_equal(symlinkat("sub", dir->fd, "tree"), 0);
	assert_int_equal(symlinkat("..", dir->fd, "sub/up"), 0);
	assert_int_equal(symlinkat("/etc/passwd", dir->fd, "out"), 0);
	assert_int_equal(symlinkat("../../../../../etc/passwd", dir->fd, "out2"), 0);
	assert_int_equal(symlinkat("nowhere", dir->fd, "broken"), 0);
	assert_int_equal(symlinkat("loop", dir->fd, "loop"), 0);
	all = hash(dir, NULL, LIST("**"));
	assert_string_equal(all, no_follow);
	follow = hash(dir, NULL, LIST("--follow-symbolic-links", "**"));
	assert_string_equal(follow, with);
	plain = hash(dir, NULL, LIST("out", "out2", "broken", "loop"));
	assert_string_equal(plain, "");
}

static void pipes_and_folders_do_not_hang_it(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_free_ char *want = digest_of(LIST("a")), *got = NULL;

	assert_int_equal(mkfifoat(dir->fd, "pipe", 0600), 0);
	assert_int_equal(symlinkat("pipe", dir->fd, "to-pipe"), 0);
	assert_int_equal(mkdirat(dir->fd, "empty", 0700), 0);
	test_write(dir, "zz", "a");
	got = hash(dir, NULL, LIST("**"));
	assert_string_equal(got, want);
}

static void too_many_entries_are_refused(void **state)
{
	struct test_dir *dir = *state;
	struct hash_files_options opt = { .entries_max = 10 };
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	struct err err = ERR_INIT;
	char name[16];

	for (int i = 0; i < 12; i++) {
		(void)snprintf(name, sizeof(name), "f%d", i);
		test_write(dir, name, "x");
	}
	assert_int_equal(hash_files_in(dir->fd, &opt, LIST("**"), 1, &sb, &err), -1);
	assert_err(&err, ERR_LIMIT, "hashFiles: more than 10 files and folders");
	assert_int_equal(sb.len, 0);
}

static void bad_patterns_are_named(void **state)
{
	struct test_dir *dir = *state;
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	struct err err = ERR_INIT;

	assert_int_equal(hash_files(dir->fd, LIST("../x"), 1, &sb, &err), -1);
	assert_err(&err, ERR_INPUT,
		"hashFiles: '../x': '.' and '..' are not allowed as parts of a path "
		"pattern");
	assert_int_equal(hash_files(dir->fd, LIST("--nope", "x"), 2, &sb, &err), -1);
	assert_err(&err, ERR_INPUT,
		"hashFiles: unknown option '--nope'; there is '--follow-symbolic-links'");
}

static void no_descriptor_is_left_open(void **state)
{
	struct test_dir *dir = *state;
	size_t before = test_count_fds();
	char *got;

	fill(dir);
	got = hash(dir, NULL, LIST("**", "!sub"));
	free(got);
	assert_int_equal(test_count_fds(), before);
}

TEST_MAIN(TEST_DIR(files_are_hashed_in_the_order_of_the_walk),
	TEST_DIR(links_count_when_they_lead_to_files_within),
	TEST_CASE_WITH("FS04", pipes_and_folders_do_not_hang_it, test_dir_setup,
		test_dir_teardown),
	TEST_DIR(too_many_entries_are_refused), TEST_DIR(bad_patterns_are_named),
	TEST_DIR(no_descriptor_is_left_open))
