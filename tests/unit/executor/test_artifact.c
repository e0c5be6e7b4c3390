/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/path.h"
#include "executor/artifact.h"
#include "executor/blob.h"

struct places {
	struct test_dir *dir;
	int work, store, out;
};

static int open_dir(const struct test_dir *dir, const char *name)
{
	assert_int_equal(mkdirat(dir->fd, name, 0755), 0);
	return openat(dir->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int setup(void **state)
{
	struct places *p = xcalloc(1, sizeof(*p));

	p->dir = test_tempdir();
	p->work = open_dir(p->dir, "work");
	p->store = open_dir(p->dir, "store");
	p->out = open_dir(p->dir, "out");
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct places *p = *state;

	(void)close(p->work);
	(void)close(p->store);
	(void)close(p->out);
	test_tempdir_free(p->dir);
	free(p);
	return 0;
}

static void make(const struct places *p, const char *name)
{
	_cleanup_free_ char *path = path_join("work", name);

	test_write(p->dir, path, name);
}

/* PATTERNS one a line; the files of the artifact as "a b c", or the error. */
static char *pack(
	const struct places *p, const char *patterns, bool hidden, struct err *err)
{
	_cleanup_(json_freep) struct json *request = json_new_object(), *result = NULL;
	_cleanup_(json_freep) struct json *manifest = NULL;
	_cleanup_(strvec_done) struct strvec lines = STRVEC_INIT;
	_cleanup_(strbuf_done) struct strbuf names = STRBUF_INIT, text = STRBUF_INIT;
	struct json *list = json_new_array();
	const char *hex;
	char path[128];

	err_clear(err);
	strvec_split(&lines, patterns, '\n');
	strvec_foreach (l, &lines)
		json_push_str(list, *l);
	json_set(request, "patterns", list);
	json_set_bool(request, "hidden", hidden);
	json_set_str(request, "name", "n");
	if (artifact_pack(p->work, p->store, request, &result, err) < 0)
		return NULL;
	hex = json_get_str(result, "sha256", "");
	(void)snprintf(path, sizeof(path), "sha256/%.2s/%s", hex, hex);
	assert_ok(fd_read_file(p->store, path, 1 << 20, &text, err), err);
	assert_ok(json_parse(text.buf, text.len, &manifest, err), err);
	for (size_t i = 0; i < json_count(json_get(manifest, "files")); i++)
		strbuf_addf(&names, "%s%s", i ? " " : "",
			json_get_str(
				json_at(json_get(manifest, "files"), i), "path", "?"));
	strbuf_addf(&names, " <%s>", json_get_str(result, "root", "?"));
	return strbuf_take(&names);
}

static const struct {
	const char *patterns;
	bool hidden;
	const char *want;
} cases[] = {
	{ "dist", false, "a.txt sub/b.txt <dist>" },
	{ "dist", true, ".h a.txt sub/.k/c sub/b.txt <dist>" },
	{ "dist/", false, "a.txt sub/b.txt <dist>" },
	{ "dist/**", false, "a.txt sub/b.txt <dist>" },
	{ "dist/*.txt", false, "a.txt <dist>" },
	{ "dist/**/*.txt", false, "a.txt sub/b.txt <dist>" },
	{ "dist/a.txt", false, "a.txt <dist>" },
	{ "one.txt", false, "one.txt <>" },
	{ "dist/a.txt\ndist/sub/b.txt", false, "a.txt sub/b.txt <dist>" },
	{ "dist/sub\none.txt", false, "dist/sub/b.txt one.txt <>" },
	{ "dist\n!dist/sub", false, "a.txt <dist>" },
	{ "dist\n!dist/**/*.txt\ndist/a.txt", false, "a.txt <dist>" },
	{ "**/b.txt", false, "dist/sub/b.txt <>" },
	{ ".", false, "dist/a.txt dist/sub/b.txt one.txt <>" },
	{ "dist/.h", true, ".h <dist>" },
	{ "nothing*", false, NULL },
	{ "dist/.h", false, NULL },
	{ "!dist", false, NULL },
};

static void picks_the_files_that_upload_artifact_picks(void **state)
{
	struct places *p = *state;

	make(p, "dist/a.txt");
	make(p, "dist/sub/b.txt");
	make(p, "dist/.h");
	make(p, "dist/sub/.k/c");
	make(p, "one.txt");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = ERR_INIT;
		_cleanup_free_ char *got =
			pack(p, cases[i].patterns, cases[i].hidden, &err);

		if (!cases[i].want) {
			assert_null(got);
			assert_err(&err, ERR_NOT_FOUND, NULL);
			continue;
		}
		assert_ok(got ? 0 : -1, &err);
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("'%s' gives '%s', not '%s'", cases[i].patterns, got,
				cases[i].want);
	}
}

static void links_are_followed_only_within(void **state)
{
	struct places *p = *state;
	struct err err = ERR_INIT;
	_cleanup_free_ char *got = NULL;

	make(p, "d/real");
	assert_int_equal(symlinkat("real", p->work, "d/in"), 0);
	assert_int_equal(symlinkat("/etc/passwd", p->work, "d/abs"), 0);
	assert_int_equal(symlinkat("../../store", p->work, "d/up"), 0);
	assert_int_equal(symlinkat(".", p->work, "d/self"), 0);
	assert_int_equal(mkfifoat(p->work, "d/fifo", 0600), 0);
	got = pack(p, "d", false, &err);
	assert_ok(got ? 0 : -1, &err);
	assert_has(got, "in real");
	assert_null(strstr(got, "abs"));
	assert_null(strstr(got, "up"));
	assert_null(strstr(got, "fifo"));
}

static void round_trip(struct places *p, const char *patterns)
{
	_cleanup_(json_freep) struct json *request = json_new_object(), *facts = NULL;
	_cleanup_(json_freep) struct json *back = NULL;
	struct json *list = json_new_array();
	struct err err = ERR_INIT;

	json_push_str(list, patterns);
	json_set(request, "patterns", list);
	assert_ok(artifact_pack(p->work, p->store, request, &facts, &err), &err);
	assert_ok(artifact_unpack(p->out, p->store, json_get_str(facts, "sha256", ""),
			  getuid(), getgid(), &back, &err),
		&err);
	assert_int_equal(
		json_get_int(facts, "files", -1), json_get_int(back, "files", -2));
	assert_int_equal(json_get_int(facts, "size", -1), json_get_int(back, "size", -2));
}

static void what_goes_in_comes_out(void **state)
{
	struct places *p = *state;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct stat st;
	struct err err = ERR_INIT;

	make(p, "d/x/y");
	make(p, "d/run");
	assert_int_equal(fchmodat(p->work, "d/run", 0755, 0), 0);
	round_trip(p, "d");
	assert_ok(fd_read_file(p->out, "x/y", 100, &text, &err), &err);
	assert_string_equal(text.buf, "d/x/y");
	assert_int_equal(fstatat(p->out, "run", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
	/* Again, over what is there. */
	round_trip(p, "d");
}

static void never_writes_through_a_planted_link(void **state)
{
	struct places *p = *state;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_(json_freep) struct json *request = json_new_object(), *facts = NULL;
	_cleanup_(json_freep) struct json *back = NULL;
	struct json *list = json_new_array();
	struct err err = ERR_INIT;

	make(p, "d/file");
	make(p, "d/sub/file");
	test_write(p->dir, "victim", "untouched");
	assert_int_equal(symlinkat("../victim", p->out, "file"), 0);
	json_push_str(list, "d");
	json_set(request, "patterns", list);
	assert_ok(artifact_pack(p->work, p->store, request, &facts, &err), &err);
	assert_int_equal(symlinkat("../store", p->out, "sub"), 0);
	/* A link in place of a folder stops it, one in place of a file is replaced. */
	assert_int_equal(
		artifact_unpack(p->out, p->store, json_get_str(facts, "sha256", ""),
			getuid(), getgid(), &back, &err),
		-1);
	assert_ok(fd_read_file(p->dir->fd, "victim", 100, &text, &err), &err);
	assert_string_equal(text.buf, "untouched");
	assert_int_equal(faccessat(p->store, "file", F_OK, 0), -1);
}

static void a_hostile_manifest_is_refused(void **state)
{
	static const char *const manifests[] = {
		"{\"files\":[{\"path\":\"../x\",\"sha256\":\"%s\"}]}",
		"{\"files\":[{\"path\":\"/x\",\"sha256\":\"%s\"}]}",
		"{\"files\":[{\"path\":\"a/./b\",\"sha256\":\"%s\"}]}",
		"{\"files\":[{\"path\":\"\",\"sha256\":\"%s\"}]}",
		"{\"files\":[{\"path\":\"x\",\"sha256\":\"../../%s\"}]}",
		"not json %s",
	};
	struct places *p = *state;
	char blob[SHA256_HEX_MAX], hex[SHA256_HEX_MAX];
	struct err err = ERR_INIT;

	assert_ok(blob_put(p->store, "data", 4, blob, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(manifests); i++) {
		_cleanup_free_ char *text = xasprintf(manifests[i], blob);
		struct json *facts = NULL;

		assert_ok(blob_put(p->store, text, strlen(text), hex, &err), &err);
		assert_int_equal(artifact_unpack(p->out, p->store, hex, getuid(),
					 getgid(), &facts, &err),
			-1);
	}
	assert_int_equal(artifact_unpack(p->out, p->store, "short", getuid(), getgid(),
				 NULL, &err),
		-1);
	assert_err(&err, ERR_NOT_FOUND, NULL);
}

static void too_much_is_refused_before_it_is_kept(void **state)
{
	struct places *p = *state;
	_cleanup_(json_freep) struct json *request = json_new_object(), *facts = NULL;
	struct json *list = json_new_array();
	struct err err = ERR_INIT;

	make(p, "d/some_file");
	json_push_str(list, "d");
	json_set(request, "patterns", list);
	json_set_int(request, "max", 5);
	assert_int_equal(artifact_pack(p->work, p->store, request, &facts, &err), -1);
	assert_err_has(&err, ERR_LIMIT, "'d/some_file'");
}

#define WITH(fn) TEST_WITH(fn, setup, teardown)
TEST_MAIN(WITH(picks_the_files_that_upload_artifact_picks),
	TEST_CASE_WITH("FS01", links_are_followed_only_within, setup, teardown),
	WITH(what_goes_in_comes_out),
	TEST_CASE_WITH("FS01", never_writes_through_a_planted_link, setup, teardown),
	WITH(a_hostile_manifest_is_refused), WITH(too_much_is_refused_before_it_is_kept))
