/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/path.h"
#include "executor/git-internal.h"
#include "executor/git.h"

/* libgit2 1.5 loses what PCRE2 gave it whenever it looks for an expression in a
 * configuration; that is in the library, and its process ends after a fetch. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libpcre2\n";
}

/* A bare repository made object by object, so that it can hold what git would refuse. */
struct rig {
	struct test_dir *dir;
	git_repository *mirror;
	int mirror_fd, repos_fd, ws_fd;
	char *mirror_path, *repos_path;
};

static int rig_setup(void **state)
{
	struct rig *r = xcalloc(1, sizeof(*r));
	struct err err = ERR_INIT;

	r->dir = test_tempdir();
	if (git_setup(&err) < 0 ||
		path_mkdirs(r->dir->fd, "repos/1.git", 0755, &err) < 0 ||
		path_mkdirs(r->dir->fd, "ws", 0755, &err) < 0 ||
		path_mkdirs(r->dir->fd, "tmp", 0755, &err) < 0)
		abort();
	r->repos_path = xasprintf("%s/repos", r->dir->path);
	r->mirror_path = xasprintf("%s/repos/1.git", r->dir->path);
	if (git_make_mirror(r->mirror_path, &err) < 0 ||
		git_open_mirror(r->mirror_path, &r->mirror, &err) < 0)
		abort();
	r->repos_fd = open(r->repos_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r->mirror_fd = open(r->mirror_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r->ws_fd = openat(r->dir->fd, "ws", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = r;
	return 0;
}

static int rig_teardown(void **state)
{
	struct rig *r = *state;

	git_repository_free(r->mirror);
	close(r->repos_fd);
	close(r->mirror_fd);
	close(r->ws_fd);
	free(r->repos_path);
	free(r->mirror_path);
	test_tempdir_free(r->dir);
	free(r);
	git_libgit2_shutdown();
	return 0;
}

/* ---- objects ---- */

static git_oid put(struct rig *r, git_object_t type, const void *data, size_t len)
{
	_cleanup_(git_odb_freep) git_odb *odb = NULL;
	git_oid oid;

	assert_int_equal(git_repository_odb(&odb, r->mirror), 0);
	assert_int_equal(git_odb_write(&oid, odb, data, len, type), 0);
	return oid;
}

static git_oid blob(struct rig *r, const char *text)
{
	return put(r, GIT_OBJECT_BLOB, text, strlen(text));
}

static void entry(struct strbuf *tree, const char *mode, const char *name, git_oid oid)
{
	strbuf_addf(tree, "%s %s", mode, name);
	strbuf_addc(tree, '\0');
	strbuf_add(tree, oid.id, GIT_OID_RAWSZ);
}

static git_oid tree(struct rig *r, struct strbuf *sb)
{
	git_oid oid = put(r, GIT_OBJECT_TREE, sb->buf, sb->len);

	strbuf_done(sb);
	return oid;
}

static git_oid commit(
	struct rig *r, git_oid tree_oid, const git_oid *parent, const char *ref)
{
	struct strbuf sb = STRBUF_INIT;
	char hex[GIT_OID_HEXSZ + 1];
	git_reference *out;
	git_oid oid;

	git_hex(&tree_oid, hex);
	strbuf_addf(&sb, "tree %s\n", hex);
	if (parent) {
		git_hex(parent, hex);
		strbuf_addf(&sb, "parent %s\n", hex);
	}
	strbuf_adds(&sb, "author A <a@b.c> 1700000000 +0100\n"
			 "committer C <c@d.e> 1700000001 -0230\n\nsubject\n\nbody\n");
	oid = put(r, GIT_OBJECT_COMMIT, sb.buf, sb.len);
	strbuf_done(&sb);
	if (ref) {
		assert_int_equal(
			git_reference_create(&out, r->mirror, ref, &oid, 1, NULL), 0);
		git_reference_free(out);
	}
	return oid;
}

/* README, bin/run (executable), bin/link -> ../README, .github/workflows/{a.yml,b.txt}. */
static git_oid sample_tree(struct rig *r, const char *readme)
{
	struct strbuf bin = STRBUF_INIT, flows = STRBUF_INIT, github = STRBUF_INIT;
	struct strbuf root = STRBUF_INIT;

	entry(&bin, "120000", "link", blob(r, "../README"));
	entry(&bin, "100755", "run", blob(r, "#!/bin/sh\n"));
	entry(&flows, "100644", "a.yml", blob(r, "on: push\n"));
	entry(&flows, "100644", "b.txt", blob(r, "no workflow\n"));
	entry(&github, "40000", "workflows", tree(r, &flows));
	entry(&root, "40000", ".github", tree(r, &github));
	entry(&root, "100644", "README", blob(r, readme));
	entry(&root, "40000", "bin", tree(r, &bin));
	return tree(r, &root);
}

static git_oid sample(
	struct rig *r, const char *readme, const git_oid *parent, const char *ref)
{
	return commit(r, sample_tree(r, readme), parent, ref);
}

/* ---- calls ---- */

struct answer {
	int rc;
	struct err err;
	struct json *head;
	struct strbuf body;
};

static void answer_done(struct answer *a)
{
	json_free(a->head);
	strbuf_done(&a->body);
}

static struct answer call(helper_op_fn *before, helper_op_fn *fn, const char *state,
	const int *fds, size_t fds_len, const char *text)
{
	struct answer a = { 0, ERR_INIT, json_new_object(), STRBUF_INIT };
	struct chan_msg m = CHAN_MSG_INIT;
	struct helper_request r = { .msg = &m,
		.fds = fds,
		.fds_len = fds_len,
		.state = (void *)state,
		.answer = a.head,
		.body = &a.body };

	assert_ok(json_parse(text, strlen(text), &m.head, &a.err), &a.err);
	r.head = m.head;
	a.rc = before ? before(&r, &a.err) : 0;
	if (a.rc == 0)
		a.rc = fn(&r, &a.err);
	chan_msg_done(&m);
	return a;
}

static struct answer read_op(struct rig *r, helper_op_fn *fn, const char *text)
{
	return call(NULL, fn, r->repos_path, &r->repos_fd, 1, text);
}

static struct answer checkout(struct rig *r, git_oid oid, const char *more)
{
	const int fds[] = { r->mirror_fd, r->ws_fd };
	char hex[GIT_OID_HEXSZ + 1];
	_cleanup_free_ char *text = NULL;

	git_hex(&oid, hex);
	text = xasprintf("{\"op\": \"checkout\", \"sha\": \"%s\"%s}", hex, more);
	return call(git_checkout_before, git_op_checkout, r->mirror_path, fds, 2, text);
}

static char *ws_read(struct rig *r, const char *path)
{
	struct strbuf sb = STRBUF_INIT;
	struct err err = ERR_INIT;

	assert_ok(fd_read_file(r->ws_fd, path, 1 << 20, &sb, &err), &err);
	return strbuf_take(&sb);
}

static void ws_is(struct rig *r, const char *path, const char *want)
{
	_cleanup_free_ char *got = ws_read(r, path);

	assert_string_equal(got, want);
}

static git_repository *ws_open(struct rig *r)
{
	_cleanup_free_ char *path = xasprintf("%s/ws", r->dir->path);
	git_repository *repo = NULL;

	assert_int_equal(git_repository_open(&repo, path), 0);
	return repo;
}

static size_t ws_changes(git_repository *repo)
{
	git_status_list *list;
	git_status_options o = GIT_STATUS_OPTIONS_INIT;
	size_t n;

	o.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED;
	assert_int_equal(git_status_list_new(&list, repo, &o), 0);
	n = git_status_list_entrycount(list);
	git_status_list_free(list);
	return n;
}

/* ---- checkout ---- */

static void writes_exactly_the_commit_and_a_git_that_agrees(void **state)
{
	static const char *const ways[] = { ", \"trusted\": false", ", \"trusted\": true",
		", \"trusted\": true, \"link\": true", ", \"depth\": 0",
		", \"trusted\": true, \"depth\": 0", ", \"depth\": 2" };
	struct rig *r = *state;
	git_oid first = sample(r, "one\n", NULL, NULL);
	git_oid second = sample(r, "two\n", &first, "refs/heads/main");

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		_cleanup_free_ char *more =
			xasprintf("%s, \"clean\": true, \"ref\": \"refs/heads/main\","
				  " \"url\": \"https://x.example/a/b\"",
				ways[i]);
		struct answer a = checkout(r, second, more);
		_cleanup_(git_repository_freep) git_repository *repo = NULL;
		char target[32] = "";
		struct stat st;

		assert_ok(a.rc, &a.err);
		assert_int_equal(json_get_int(a.head, "files", 0), 5);
		ws_is(r, "README", "two\n");
		ws_is(r, ".github/workflows/a.yml", "on: push\n");
		assert_int_equal(fstatat(r->ws_fd, "bin/run", &st, 0), 0);
		assert_int_equal(st.st_mode & 0777, 0755);
		assert_int_equal(
			readlinkat(r->ws_fd, "bin/link", target, sizeof(target)), 9);
		assert_string_equal(target, "../README");
		ws_is(r, ".git/HEAD", "ref: refs/heads/main\n");
		repo = ws_open(r);
		assert_int_equal(ws_changes(repo), 0);
		answer_done(&a);
	}
}

static void cuts_the_history_where_it_was_told_to(void **state)
{
	struct rig *r = *state;
	git_oid a = sample(r, "1\n", NULL, NULL), b = sample(r, "2\n", &a, NULL);
	git_oid c = sample(r, "3\n", &b, "refs/heads/main");
	struct answer one = checkout(r, c, ", \"depth\": 2");
	char hex[GIT_OID_HEXSZ + 1];
	_cleanup_free_ char *want = NULL;

	assert_ok(one.rc, &one.err);
	git_hex(&b, hex);
	want = xasprintf("%s\n", hex);
	ws_is(r, ".git/shallow", want);
	assert_true(json_get_bool(one.head, "shallow", false));
	answer_done(&one);
}

static bool ws_has(struct rig *r, const git_oid *oid)
{
	_cleanup_(git_repository_freep) git_repository *repo = ws_open(r);
	_cleanup_(git_odb_freep) git_odb *odb = NULL;

	assert_int_equal(git_repository_odb(&odb, repo), 0);
	return git_odb_exists(odb, oid) == 1;
}

static void untrusted_work_gets_nothing_but_its_own_history(void **state)
{
	struct rig *r = *state;
	git_oid base = sample(r, "base\n", NULL, NULL);
	git_oid other = sample(r, "secret branch\n", &base, "refs/heads/other");
	git_oid mine = sample(r, "mine\n", &base, "refs/heads/main");
	git_oid secret = blob(r, "secret branch\n");
	struct answer a = checkout(r, mine, ", \"depth\": 0");

	assert_ok(a.rc, &a.err);
	assert_true(ws_has(r, &mine));
	assert_true(ws_has(r, &base));
	assert_false(ws_has(r, &other));
	assert_false(ws_has(r, &secret));
	answer_done(&a);
	a = checkout(r, mine, ", \"depth\": 1, \"clean\": true");
	assert_ok(a.rc, &a.err);
	assert_false(ws_has(r, &base));
	assert_false(ws_has(r, &secret));
	answer_done(&a);
	/* The control: with trust and all of the history it is there. */
	a = checkout(r, mine, ", \"depth\": 0, \"clean\": true, \"trusted\": true");
	assert_ok(a.rc, &a.err);
	assert_true(ws_has(r, &other));
	assert_true(ws_has(r, &secret));
	answer_done(&a);
}

/* The link count of the one pack in the workspace. */
static nlink_t pack_links(struct rig *r)
{
	int fd = openat(r->ws_fd, ".git/objects/pack", O_RDONLY | O_DIRECTORY);
	DIR *d = fdopendir(fd);
	struct dirent *e;
	struct stat st = { 0 };

	while ((e = readdir(d))) {
		if (str_ends(e->d_name, ".pack"))
			assert_int_equal(fstatat(fd, e->d_name, &st, 0), 0);
	}
	closedir(d);
	return st.st_nlink;
}

static void packs_are_hard_links_only_when_asked(void **state)
{
	struct rig *r = *state;
	git_oid c = sample(r, "x\n", NULL, "refs/heads/main");
	_cleanup_(git_pack_freep) struct git_pack *pack = NULL;
	_cleanup_close_ int dir =
		openat(r->mirror_fd, "objects/pack", O_RDONLY | O_DIRECTORY);
	struct git_set *set = git_set_new();
	struct err err = ERR_INIT;

	(void)git_set_add(set, &c);
	assert_ok(git_pack_new(dir, &pack, &err), &err);
	assert_int_equal(git_pack_add_history(pack, r->mirror, set, 1 << 20, &err), 0);
	assert_ok(git_pack_finish(pack, &err), &err);
	git_set_free(set);
	for (int link = 0; link < 2; link++) {
		struct answer a = checkout(r, c,
			link ? ", \"trusted\": true, \"depth\": 0, \"clean\": true, \"link\": true"
			     : ", \"trusted\": true, \"depth\": 0, \"clean\": true");
		assert_ok(a.rc, &a.err);
		assert_int_equal(json_get_bool(a.head, "linked", false), link);
		assert_int_equal(pack_links(r), (nlink_t)link + 1);
		answer_done(&a);
	}
}

static void follows_the_attributes_for_line_ends(void **state)
{
	struct rig *r = *state;
	struct strbuf root = STRBUF_INIT;
	struct answer a;

	entry(&root, "100644", ".gitattributes",
		blob(r, "*.bat text eol=crlf\n*.x filter=evil\n"));
	entry(&root, "100644", "a.bat", blob(r, "one\ntwo\n"));
	entry(&root, "100644", "a.sh", blob(r, "one\ntwo\n"));
	entry(&root, "100644", "a.x", blob(r, "plain\n"));
	a = checkout(r, commit(r, tree(r, &root), NULL, NULL), "");
	assert_ok(a.rc, &a.err);
	ws_is(r, "a.bat", "one\r\ntwo\r\n");
	ws_is(r, "a.sh", "one\ntwo\n");
	ws_is(r, "a.x", "plain\n");
	answer_done(&a);
}

static void refuses_a_workspace_that_is_not_empty(void **state)
{
	struct rig *r = *state;
	git_oid c = sample(r, "x\n", NULL, NULL);
	struct answer a;

	test_write(r->dir, "ws/left", "over");
	a = checkout(r, c, "");
	assert_int_equal(a.rc, -1);
	assert_err(&a.err, ERR_CONFLICT, "the workspace is not empty");
	answer_done(&a);
	a = checkout(r, c, ", \"clean\": true, \"path\": \"sub/dir\"");
	assert_ok(a.rc, &a.err);
	ws_is(r, "sub/dir/README", "x\n");
	ws_is(r, "left", "over");
	answer_done(&a);
	a = checkout(r, c, ", \"path\": \"../out\"");
	assert_err_has(&a.err, ERR_INPUT, "is no path in the workspace");
	answer_done(&a);
}

/* ---- GIT01, GIT02: trees made to leave the workspace ---- */

static const struct {
	const char *mode, *name;
} nasty[] = {
	{ "100644", ".git" },
	{ "40000", ".git" },
	{ "120000", ".git" },
	{ "100644", ".GIT" },
	{ "40000", ".Git" },
	{ "40000", ".git " },
	{ "40000", ".git." },
	{ "40000", ".git. . " },
	{ "40000", "git~1" },
	{ "40000", "GIT~1" },
	{ "40000", "git~1 " },
	{ "120000", "gi7eba~1" },
	{ "40000", ".git::$INDEX_ALLOCATION" },
	{ "40000", ".git:stream" },
	{ "40000", ".g\xe2\x80\x8c"
		   "it" },
	{ "40000", ".gi\xe2\x80\x8d"
		   "T" },
	{ "40000", "\xef\xbb\xbf.git" },
	{ "40000", ".git\xe2\x80\xae" },
	{ "40000", ".\xe2\x81\xaagit" },
	{ "40000", ".." },
	{ "40000", "." },
	{ "100644", ".." },
	{ "100644", "a/b" },
	{ "100644", "../x" },
	{ "100644", "/etc/passwd" },
	{ "100644", "a\\b" },
	{ "100644", "..\\x" },
	{ "40000", ".git\\hooks" },
	{ "120000", ".gitmodules" },
	{ "120000", ".GITMODULES" },
	{ "120000", "gitmod~1" },
	{ "120000", ".gitmodules " },
	{ "120000", ".gitmod\xe2\x80\x8dules" },
	{ "160000", ".git" },
	{ "100644", "" },
};

static void never_writes_a_tree_that_is_made_to_get_out(void **state)
{
	struct rig *r = *state;

	for (size_t i = 0; i < ARRAY_SIZE(nasty); i++) {
		struct strbuf root = STRBUF_INIT, sub = STRBUF_INIT;
		bool is_dir = strcmp(nasty[i].mode, "40000") == 0;
		struct answer a;
		git_oid inner;

		entry(&sub, "100755", "post-checkout",
			blob(r, "#!/bin/sh\ntouch ../../marker\n"));
		inner = is_dir ? tree(r, &sub) : blob(r, "../../marker");
		strbuf_done(&sub);
		entry(&root, nasty[i].mode, nasty[i].name, inner);
		a = checkout(
			r, commit(r, tree(r, &root), NULL, NULL), ", \"clean\": true");
		if (a.rc == 0)
			fail_msg("'%s' (%s) was written", nasty[i].name, nasty[i].mode);
		answer_done(&a);
		assert_int_equal(faccessat(r->dir->fd, "marker", F_OK, 0), -1);
		assert_int_equal(
			faccessat(r->ws_fd, ".git/hooks/post-checkout", F_OK, 0), -1);
	}
}

static void a_link_and_a_folder_of_one_name_are_refused(void **state)
{
	struct rig *r = *state;
	struct strbuf root = STRBUF_INIT, sub = STRBUF_INIT;
	struct answer a;

	entry(&sub, "100644", "planted", blob(r, "x"));
	entry(&root, "120000", "a", blob(r, ".."));
	entry(&root, "40000", "a", tree(r, &sub));
	a = checkout(r, commit(r, tree(r, &root), NULL, NULL), "");
	assert_int_equal(a.rc, -1);
	assert_err_has(&a.err, ERR_INPUT, "'a' is there twice");
	assert_int_equal(faccessat(r->dir->fd, "planted", F_OK, 0), -1);
	answer_done(&a);
}

static void names_that_only_look_bad_are_fine(void **state)
{
	static const char *const good[] = { ".gitignore", ".gitmodules", ".github", "git",
		"git~2", "..a", "...", "a.git", ".git2", "-rf", "a b", "x:y",
		"caf\xc3\xa9", "\xff\xfe", "new\nline", "gitmod~1" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const char *why;

		if (!git_name_is_safe(good[i], strlen(good[i]), false, &why))
			fail_msg("'%s': %s", good[i], why);
	}
}

/* ---- reading a mirror ---- */

static void resolves_names_without_guessing(void **state)
{
	struct rig *r = *state;
	git_oid a = sample(r, "1\n", NULL, "refs/heads/main");
	git_oid b = sample(r, "2\n", &a, "refs/tags/v1");
	char hex[GIT_OID_HEXSZ + 1];
	static const struct {
		const char *ref, *full, *kind;
	} cases[] = { { "main", "refs/heads/main", "branch" },
		{ "v1", "refs/tags/v1", "tag" },
		{ "refs/heads/main", "refs/heads/main", "branch" } };
	static const char *const none[] = { "HEAD~1", "main^", "@{-1}", "--all", "nope",
		"refs/heads/nope", "main:README", ":/subject", "1234567" };

	(void)b;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text =
			xasprintf("{\"repo\": \"1\", \"ref\": \"%s\"}", cases[i].ref);
		struct answer x = read_op(r, git_op_resolve, text);

		assert_ok(x.rc, &x.err);
		assert_string_equal(json_get_str(x.head, "ref", ""), cases[i].full);
		assert_string_equal(json_get_str(x.head, "kind", ""), cases[i].kind);
		answer_done(&x);
	}
	git_hex(&a, hex);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		_cleanup_free_ char *text =
			xasprintf("{\"repo\": \"1\", \"ref\": \"%s\"}", none[i]);
		struct answer x = read_op(r, git_op_resolve, text);

		if (x.rc == 0)
			fail_msg("'%s' was resolved", none[i]);
		answer_done(&x);
	}
}

static void reads_workflow_files_of_one_folder(void **state)
{
	struct rig *r = *state;
	git_oid c = sample(r, "x\n", NULL, NULL);
	char hex[GIT_OID_HEXSZ + 1];
	_cleanup_free_ char *text = NULL;
	const struct json *f;
	struct answer a;

	git_hex(&c, hex);
	text = xasprintf(
		"{\"repo\": \"1\", \"sha\": \"%s\", \"dirs\": [\".github/workflows\", \"none\"],"
		"\"suffixes\": [\".yml\"], \"paths\": [\"README\", \"bin/link\", \"gone\"]}",
		hex);
	a = read_op(r, git_op_files, text);
	assert_ok(a.rc, &a.err);
	assert_int_equal(json_count(json_get(a.head, "files")), 3);
	f = json_at(json_get(a.head, "files"), 0);
	assert_string_equal(json_get_str(f, "path", ""), ".github/workflows/a.yml");
	assert_memory_equal(a.body.buf + json_get_int(f, "offset", 0), "on: push\n",
		(size_t)json_get_int(f, "size", 0));
	f = json_at(json_get(a.head, "files"), 2);
	assert_string_equal(json_get_str(f, "error", ""), "is no regular file");
	answer_done(&a);
}

static void lists_changed_paths_up_to_a_limit(void **state)
{
	struct rig *r = *state;
	git_oid a = sample(r, "1\n", NULL, NULL), b = sample(r, "2\n", &a, NULL);
	char from[GIT_OID_HEXSZ + 1], to[GIT_OID_HEXSZ + 1];
	_cleanup_free_ char *one = NULL, *all = NULL;
	struct answer x;

	git_hex(&a, from);
	git_hex(&b, to);
	one = xasprintf("{\"repo\": \"1\", \"from\": \"%s\", \"to\": \"%s\"}", from, to);
	x = read_op(r, git_op_changes, one);
	assert_ok(x.rc, &x.err);
	assert_int_equal(json_count(json_get(x.head, "paths")), 1);
	assert_string_equal(
		json_as_str(json_at(json_get(x.head, "paths"), 0), ""), "README");
	assert_false(json_get_bool(x.head, "truncated", true));
	answer_done(&x);
	all = xasprintf(
		"{\"repo\": \"1\", \"from\": null, \"to\": \"%s\", \"max\": 3}", to);
	x = read_op(r, git_op_changes, all);
	assert_ok(x.rc, &x.err);
	assert_int_equal(json_count(json_get(x.head, "paths")), 3);
	assert_true(json_get_bool(x.head, "truncated", false));
	answer_done(&x);
}

static void an_impostor_commit_is_reachable_from_nothing(void **state)
{
	struct rig *r = *state;
	git_oid a = sample(r, "1\n", NULL, "refs/heads/main");
	git_oid impostor = sample(r, "evil\n", &a, NULL);
	char hex[GIT_OID_HEXSZ + 1];

	for (int i = 0; i < 2; i++) {
		_cleanup_free_ char *text = NULL;
		struct answer x;

		git_hex(i ? &impostor : &a, hex);
		text = xasprintf("{\"repo\": \"1\", \"sha\": \"%s\"}", hex);
		x = read_op(r, git_op_reachable, text);
		assert_ok(x.rc, &x.err);
		assert_int_equal(json_get_bool(x.head, "reachable", i), !i);
		answer_done(&x);
	}
}

/* ---- fetch ---- */

static void fetches_into_a_mirror_and_says_when_a_commit_is_gone(void **state)
{
	struct rig *r = *state;
	git_oid a = sample(r, "1\n", NULL, "refs/heads/main");
	git_oid lost = sample(r, "lost\n", &a, NULL);
	char hex[GIT_OID_HEXSZ + 1], gone[GIT_OID_HEXSZ + 1];

	git_hex(&a, hex);
	git_hex(&lost, gone);
	for (int lib = 0; lib < 2; lib++) {
		_cleanup_free_ char *good = xasprintf(
			"{\"repo\": \"m%d\", \"url\": \"%s\", \"local\": true, \"no_program\": %s,"
			" \"refs\": [\"refs/heads/main\"], \"sha\": \"%s\"}",
			lib, r->mirror_path, lib ? "true" : "false", hex);
		_cleanup_free_ char *bad = xasprintf(
			"{\"repo\": \"m%d\", \"url\": \"file://%s\", \"local\": true,"
			" \"no_program\": %s, \"refs\": [\"refs/heads/\"], \"sha\": \"%s\"}",
			lib, r->mirror_path, lib ? "true" : "false", gone);
		struct answer x = read_op(r, git_op_fetch, good);

		assert_ok(x.rc, &x.err);
		assert_string_equal(
			json_get_str(json_get(x.head, "refs"), "refs/heads/main", ""),
			hex);
		answer_done(&x);
		x = read_op(r, git_op_fetch, bad);
		assert_int_equal(x.rc, -1);
		assert_err_has(&x.err, ERR_NOT_FOUND, "it was removed or replaced since");
		answer_done(&x);
	}
}

static const struct {
	const char *url;
	bool is_local, is_ok;
} urls[] = {
	{ "https://x.example/a/b.git", false, true },
	{ "https://u@x.example:8443/a", false, true },
	{ "ssh://git@x.example/a/b", false, true },
	{ "git@x.example:a/b.git", false, true },
	{ "git://x.example/a", false, true },
	{ "http://127.0.0.1:3000/a", false, true },
	{ "http://localhost/a", false, true },
	{ "/srv/a.git", true, true },
	{ "file:///srv/a.git", true, true },
	{ "https://[::1]:3000/a", false, true },
	{ "https://u:p@x.example/a", false, false },
	{ "http://x.example/a", false, false },
	{ "/srv/a.git", false, false },
	{ "file:///etc", false, false },
	{ "file://host/etc", true, false },
	{ "ext::sh -c id", true, false },
	{ "ext::sh", true, false },
	{ "fd::17", true, false },
	{ "-oProxyCommand=x", true, false },
	{ "ssh://-oProxyCommand=x/a", false, false },
	{ "ssh://x.example/a';id'", false, false },
	{ "ssh://x.example/$(id)", false, false },
	{ "-u@x.example:a", false, false },
	{ "git@x.example:a;b", false, false },
	{ "git@x.example:a\nb", false, false },
	{ "https://x.example/a b", false, false },
	{ "https://x.example", false, false },
	{ "https://x.example:99999/a", false, false },
	{ "https:///a", false, false },
	{ "ftp://x.example/a", false, false },
	{ "", false, false },
	{ "x", false, false },
	{ "https://x.example\\@y/a", false, false },
};

static void takes_only_addresses_that_run_nothing(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		struct git_url u = GIT_URL_INIT;
		struct err err = ERR_INIT;
		int rc = git_url_parse(urls[i].url, urls[i].is_local, false, &u, &err);

		if ((rc == 0) != urls[i].is_ok)
			fail_msg("'%s': %s", urls[i].url, rc ? err.msg : "was taken");
		if (rc == 0)
			git_url_done(&u);
	}
}

static void refuses_refs_and_credentials_that_are_something_else(void **state)
{
	static const char *const refs[] = { "main", "--upload-pack=x", "refs/heads/a..b",
		"refs/heads/$(id)\\n", "refs/heads/a b", "refs/heads/.lock",
		"refs/heads/*", "" };

	for (size_t i = 0; i < ARRAY_SIZE(refs); i++) {
		_cleanup_(json_freep) struct json *head = json_new_object();
		struct json *list = json_new_array();
		struct git_source s;
		struct err err = ERR_INIT;

		json_set_str(head, "url", "https://x.example/a");
		json_push_str(list, refs[i]);
		json_set(head, "refs", list);
		if (git_source_read(head, "tok", 3, &s, &err) == 0)
			fail_msg("'%s' was taken", refs[i]);
		json_set(head, "refs", json_new_array());
		assert_int_equal(git_source_read(head, "a\nb", 3, &s, &err), -1);
		assert_err_has(&err, ERR_INPUT, "is no token or key");
	}
}

/* ---- a person's tree ---- */

static void copies_what_git_would_see_of_a_working_tree(void **state)
{
	struct rig *r = *state;
	git_oid c = sample(r, "two\n", NULL, "refs/heads/main");
	struct answer a = checkout(r, c,
		", \"ref\": \"refs/heads/main\", \"trusted\": true,"
		" \"depth\": 0, \"url\": \"https://tok@x.example/a\"");
	_cleanup_close_ int to = -1;
	_cleanup_(git_repository_freep) git_repository *repo = NULL;
	_cleanup_free_ char *from_path = xasprintf("%s/ws", r->dir->path);
	_cleanup_free_ char *to_path = xasprintf("%s/copy", r->dir->path);
	int fds[2];

	assert_ok(a.rc, &a.err);
	answer_done(&a);
	test_write(r->dir, "ws/README", "changed\n");
	test_write(r->dir, "ws/new/file", "untracked\n");
	test_write(r->dir, "ws/.gitignore", "*.o\nbuild/\n");
	test_write(r->dir, "ws/main.o", "object\n");
	test_write(r->dir, "ws/build/x", "object\n");
	assert_int_equal(unlinkat(r->ws_fd, "bin/run", 0), 0);
	assert_int_equal(mkdir(to_path, 0755), 0);
	to = open(to_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fds[0] = r->ws_fd;
	fds[1] = to;
	a = call(NULL, git_op_tree, from_path, fds, 2, "{}");
	assert_ok(a.rc, &a.err);
	assert_int_equal(json_get_int(a.head, "changed_count", 0), 4);
	assert_int_equal(json_get_int(a.head, "untracked_count", 0), 2);
	assert_string_equal(json_get_str(a.head, "branch", ""), "main");
	assert_string_equal(json_get_str(a.head, "url", ""), "https://x.example/a");
	answer_done(&a);
	assert_int_equal(faccessat(to, "new/file", F_OK, 0), 0);
	assert_int_equal(faccessat(to, "main.o", F_OK, 0), -1);
	assert_int_equal(faccessat(to, "build", F_OK, 0), -1);
	assert_int_equal(faccessat(to, "bin/run", F_OK, 0), -1);
	assert_int_equal(git_repository_open(&repo, to_path), 0);
	assert_int_equal(ws_changes(repo), 4);
}

static void copies_a_folder_without_git_as_it_is(void **state)
{
	struct rig *r = *state;
	_cleanup_free_ char *from_path = xasprintf("%s/plain", r->dir->path);
	_cleanup_close_ int from = -1;
	int fds[2];
	struct answer a;

	test_write(r->dir, "plain/a/b", "x");
	from = open(from_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fds[0] = from;
	fds[1] = r->ws_fd;
	a = call(NULL, git_op_tree, from_path, fds, 2, "{}");
	assert_ok(a.rc, &a.err);
	assert_false(json_get_bool(a.head, "is_git", true));
	ws_is(r, "a/b", "x");
	answer_done(&a);
}

#define TEST_RIG(fn) TEST_WITH(fn, rig_setup, rig_teardown)

TEST_MAIN(TEST_RIG(writes_exactly_the_commit_and_a_git_that_agrees),
	TEST_RIG(cuts_the_history_where_it_was_told_to),
	TEST_RIG(untrusted_work_gets_nothing_but_its_own_history),
	TEST_RIG(packs_are_hard_links_only_when_asked),
	TEST_RIG(follows_the_attributes_for_line_ends),
	TEST_RIG(refuses_a_workspace_that_is_not_empty),
	TEST_RIG(never_writes_a_tree_that_is_made_to_get_out),
	TEST_RIG(a_link_and_a_folder_of_one_name_are_refused),
	TEST(names_that_only_look_bad_are_fine),
	TEST_RIG(resolves_names_without_guessing),
	TEST_RIG(reads_workflow_files_of_one_folder),
	TEST_RIG(lists_changed_paths_up_to_a_limit),
	TEST_RIG(an_impostor_commit_is_reachable_from_nothing),
	TEST_RIG(fetches_into_a_mirror_and_says_when_a_commit_is_gone),
	TEST_RIG(takes_only_addresses_that_run_nothing),
	TEST_RIG(refuses_refs_and_credentials_that_are_something_else),
	TEST_RIG(copies_what_git_would_see_of_a_working_tree),
	TEST_RIG(copies_a_folder_without_git_as_it_is))
