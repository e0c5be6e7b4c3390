/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repositories of actions: a mirror per repository in actions/OWNER/REPO/mirror.git, and
 * the files of each commit that was asked for in actions/OWNER/REPO/SHA, written once and
 * never changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/git-internal.h"
#include "executor/git.h"

#define ACTION_FILE_MAX (1 * MiB)

struct action {
	const char *owner, *repo, *ref;
	char *dir; /* OWNER/REPO */
	git_repository *source;
};

static bool is_abbreviated(const char *ref)
{
	size_t n = strlen(ref);

	return n >= 7 && n < GIT_OID_HEXSZ && strspn(ref, "0123456789abcdef") == n;
}

/* A tag, then a branch, then a full id that a tag or a branch holds. */
static int resolve(struct action *a, git_oid *ret, struct err *err)
{
	static const char *const prefixes[] = { "refs/tags/", "refs/heads/",
		"refs/remotes/origin/" };
	git_reference_iterator *it = NULL;
	const char *name;
	git_oid tip;
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(prefixes) && !git_sha_is(a->ref); i++) {
		_cleanup_free_ char *full = xasprintf("%s%.1000s", prefixes[i], a->ref);

		if (git_ref_is(full) && git_ref_commit(a->source, full, ret, NULL) == 0)
			return 0;
	}
	if (git_ref_is(a->ref) && git_ref_commit(a->source, a->ref, ret, NULL) == 0)
		return 0;
	if (!git_sha_is(a->ref))
		return is_abbreviated(a->ref)
			       ? err_set(err, ERR_INPUT,
					 "the provided ref `%s` is the shortened version of a commit SHA, "
					 "which is not supported: use the full commit SHA instead",
					 a->ref)
			       : err_set(err, ERR_NOT_FOUND,
					 "unable to find version `%.100s`", a->ref);
	if (git_sha(a->ref, ret, err) < 0)
		return -1;
	/* A commit of a fork is in the same object store: only what a ref leads to counts. */
	if (git_reference_iterator_new(&it, a->source) == 0) {
		while (!found && git_reference_next_name(&name, it) == 0)
			found = git_ref_commit(a->source, name, &tip, NULL) == 0 &&
				git_is_behind(a->source, &tip, ret);
		git_reference_iterator_free(it);
	}
	return found ? 0
		     : err_set(err, ERR_NOT_FOUND,
			       "unable to find version `%s`: no branch or tag holds it",
			       a->ref);
}

static int is_there(const struct helper_request *r, const char *dir)
{
	struct stat st;

	return fstatat(r->fds[0], dir, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

/* Into a folder of its own first, then under its name in one step. */
static int export_files(struct helper_request *r, struct action *a, git_commit *commit,
	const char *dir, struct err *err)
{
	_cleanup_free_ char *name = crypto_random_hex(8);
	_cleanup_free_ char *stage = xasprintf("action-%s", name);
	_cleanup_close_ int fd = -1;
	struct git_files counts;
	int rc;

	if (mkdirat(r->fds[1], stage, 0755) < 0)
		return err_sys(err, "cannot make a folder for an action");
	fd = openat(r->fds[1], stage, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	rc = fd < 0 ? err_sys(err, "cannot open a folder for an action")
		    : git_write_files(a->source, commit, fd, NULL, NULL, &counts, err);
	if (rc == 0)
		rc = path_mkdirs(r->fds[0], a->dir, 0755, err);
	if (rc == 0 && renameat(r->fds[1], stage, r->fds[0], dir) < 0 &&
		errno != EEXIST && errno != ENOTEMPTY)
		rc = err_sys(err, "cannot put an action in its place");
	(void)path_remove_tree(r->fds[1], stage, NULL); /* gone when it was renamed */
	return rc;
}

static int fetch_source(
	struct helper_request *r, struct action *a, const char *dir, struct err *err)
{
	const char *base = json_get_str(r->head, "url", "https://github.com");
	_cleanup_(json_freep) struct json *head = json_clone(r->head);
	_cleanup_free_ char *url = NULL;
	_cleanup_free_ char *mirror =
		xasprintf("%s/%s/mirror.git", (const char *)r->state, a->dir);
	struct json *refs = json_new_array();
	const char *method;
	struct git_source s;
	size_t n = strlen(base);
	int rc;

	while (n > 0 && base[n - 1] == '/')
		n--;
	url = xasprintf("%.*s/%s/%s", (int)n, base, a->owner, a->repo);
	json_set_str(head, "url", url);
	json_push_str(refs, "refs/heads/");
	json_push_str(refs, "refs/tags/");
	json_set(head, "refs", refs);
	if (path_mkdirs(r->fds[0], a->dir, 0755, err) < 0 ||
		git_make_mirror(mirror, err) < 0 ||
		git_source_read(head, r->msg->body.buf, r->msg->body.len, &s, err) < 0)
		return -1;
	rc = git_fetch(&s, mirror, &method, err);
	git_source_done(&s);
	return rc < 0 ? -1 : git_open_mirror(mirror, &a->source, err);
}

static int open_local(struct helper_request *r, struct action *a, struct err *err)
{
	int rc;

	if (!r->attached)
		return err_set(err, ERR_INPUT, "the request has no folder of the action");
	if (git_vouch(r->msg->fds[0], err) < 0)
		return -1;
	rc = git_repository_open_ext(
		&a->source, r->attached, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
	return rc < 0 ? git_fault(err, rc, "the folder of the action is no git work tree")
		      : 0;
}

static int provide(struct helper_request *r, struct action *a, struct err *err)
{
	bool is_local = json_get_bool(r->head, "local", false) && r->msg->fds_len > 0;
	_cleanup_(git_commit_freep) git_commit *commit = NULL;
	_cleanup_free_ char *known = xasprintf("%s/%s", a->dir, a->ref);
	_cleanup_free_ char *dir = NULL;
	char hex[GIT_OID_HEXSZ + 1];
	git_oid oid;
	bool is_cached;

	if (git_sha_is(a->ref) && is_there(r, known)) {
		json_set_str(r->answer, "sha", a->ref);
		json_set_str(r->answer, "dir", known);
		json_set_bool(r->answer, "cached", true);
		return 0;
	}
	if ((is_local ? open_local(r, a, err) : fetch_source(r, a, known, err)) < 0 ||
		resolve(a, &oid, err) < 0)
		return -1;
	git_hex(&oid, hex);
	if (git_lookup_commit(a->source, hex, &commit, err) < 0)
		return -1;
	dir = xasprintf("%s/%s", a->dir, hex);
	is_cached = is_there(r, dir);
	if (!is_cached && export_files(r, a, commit, dir, err) < 0)
		return -1;
	json_set_str(r->answer, "sha", hex);
	json_set_str(r->answer, "dir", dir);
	json_set_bool(r->answer, "cached", is_cached);
	git_hex(git_commit_tree_id(commit), hex);
	json_set_str(r->answer, "digest", hex);
	return 0;
}

int git_op_action(struct helper_request *r, struct err *err)
{
	struct action a = { .owner = helper_str(r->head, "owner", err),
		.repo = helper_str(r->head, "repo", err),
		.ref = helper_str(r->head, "ref", err) };
	int rc;

	if (!a.owner || !a.repo || !a.ref)
		return -1;
	if (!path_is_name(a.owner) || !path_is_name(a.repo) ||
		strlen(a.ref) > GIT_REF_MAX)
		return err_set(err, ERR_INPUT, "'%.60s/%.60s' is no repository", a.owner,
			a.repo);
	a.dir = xasprintf("%s/%s", a.owner, a.repo);
	rc = provide(r, &a, err);
	explicit_bzero(r->msg->body.buf, r->msg->body.len);
	git_repository_free(a.source);
	free(a.dir);
	return rc;
}

int git_op_action_read(struct helper_request *r, struct err *err)
{
	const char *dir = helper_str(r->head, "dir", err);
	const char *path = dir ? helper_str(r->head, "path", err) : NULL;
	int64_t max = json_get_int(r->head, "max", ACTION_FILE_MAX);
	_cleanup_close_ int fd = -1;

	if (!path)
		return -1;
	if (!path_is_clean(dir) || !path_is_clean(path))
		return err_set(err, ERR_INPUT, "'%.60s/%.100s' is no path of an action",
			dir, path);
	fd = path_open(r->fds[0], dir, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
	if (fd < 0)
		return -1;
	return fd_read_file(fd, path,
		max > 0 && max < ACTION_FILE_MAX ? (size_t)max : ACTION_FILE_MAX, r->body,
		err);
}
