/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree object of any bytes, checked out beside a canary. First byte: mode bits of what
 * the entries' ids mean (a blob, a link, another tree). Nothing may be written outside the
 * workspace, nor into its .git but by us.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "executor/git-internal.h"

static void must(bool holds)
{
	if (!holds)
		abort();
}

static size_t entries(int dir)
{
	DIR *d = fdopendir(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	size_t n = 0;

	must(d != NULL);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static git_oid put(git_odb *odb, git_object_t type, const void *p, size_t len)
{
	git_oid oid;

	must(git_odb_write(&oid, odb, p, len, type) == 0);
	return oid;
}

/* "MODE NAME\0" from the input; the id after it is replaced by one that exists. */
static void make_tree(struct strbuf *sb, const uint8_t *data, size_t size,
	const git_oid *blob, const git_oid *link, const git_oid *tree)
{
	while (size > 0) {
		const uint8_t *nul = memchr(data, 0, size);
		size_t n = nul ? (size_t)(nul - data) : size;
		const git_oid *oid = blob;

		if (n > 5 && memcmp(data, "40000", 5) == 0)
			oid = tree;
		else if (n > 6 && memcmp(data, "120000", 6) == 0)
			oid = link;
		strbuf_add(sb, data, n);
		strbuf_addc(sb, '\0');
		strbuf_add(sb, oid->id, GIT_OID_RAWSZ);
		data += n + (nul != NULL);
		size -= n + (nul != NULL);
	}
}

static void names(const char *name, size_t len)
{
	const char *why;

	if (git_name_is_safe(name, len, false, &why)) {
		must(len > 0 && !memchr(name, '/', len) && !memchr(name, '\0', len));
		must(!(len == 4 && strncasecmp(name, ".git", 4) == 0));
		must(!(len == 2 && memcmp(name, "..", 2) == 0) &&
			!(len == 1 && *name == '.'));
	} else {
		must(why != NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[] = "/tmp/sluice-fuzz.XXXXXX";
	struct strbuf tree = STRBUF_INIT, commit = STRBUF_INIT;
	_cleanup_free_ char *mirror = NULL;
	git_repository *repo = NULL;
	git_commit *c = NULL;
	git_odb *odb = NULL;
	git_oid blob, link, sub, root_oid, oid;
	char hex[GIT_OID_HEXSZ + 1];
	struct git_files counts;
	struct err err = ERR_INIT;
	int root, out;

	names((const char *)data, size);
	must(git_setup(&err) == 0 && mkdtemp(path));
	root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mirror = xasprintf("%s/m.git", path);
	must(git_make_mirror(mirror, &err) == 0 &&
		git_open_mirror(mirror, &repo, &err) == 0);
	must(git_repository_odb(&odb, repo) == 0 && mkdirat(root, "out", 0755) == 0);
	blob = put(odb, GIT_OBJECT_BLOB, "text\n", 5);
	link = put(odb, GIT_OBJECT_BLOB, "..", 2);
	make_tree(&tree, (const uint8_t *)"100644 planted", 14, &blob, &link, &blob);
	sub = put(odb, GIT_OBJECT_TREE, tree.buf, tree.len);
	strbuf_clear(&tree);
	make_tree(&tree, data, size, &blob, &link, &sub);
	root_oid = put(odb, GIT_OBJECT_TREE, tree.buf, tree.len);
	git_hex(&root_oid, hex);
	strbuf_addf(&commit,
		"tree %s\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\nx\n", hex);
	oid = put(odb, GIT_OBJECT_COMMIT, commit.buf, commit.len);
	must(git_commit_lookup(&c, repo, &oid) == 0);
	out = openat(root, "out", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (git_write_files(repo, c, out, NULL, NULL, &counts, &err) < 0)
		must(err.msg[0] != '\0');
	must(entries(root) == 2);
	must(faccessat(root, "planted", F_OK, 0) < 0 &&
		faccessat(out, ".git", F_OK, 0) < 0);
	git_commit_free(c);
	git_odb_free(odb);
	git_repository_free(repo);
	strbuf_done(&tree);
	strbuf_done(&commit);
	close(out);
	must(path_remove_tree(root, "out", &err) == 0 &&
		path_remove_tree(root, "m.git", &err) == 0);
	close(root);
	must(rmdir(path) == 0);
	return 0;
}
