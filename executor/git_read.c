/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of mode `git` that read a mirror. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/git-internal.h"
#include "executor/git.h"

#define REFS_MAX    10000
#define COMMITS_MAX 1000

int git_start(struct helper_request *r, struct err *err)
{
	char *path = NULL;

	if (helper_reach(r->fds[0], &path, err) < 0)
		return -1;
	r->state = path;
	return git_setup(err);
}

/* The bare repository the request names. */
static int open_mirror(
	const struct helper_request *r, git_repository **ret, struct err *err)
{
	const char *name = helper_str(r->head, "repo", err);
	const char *repos = r->state;
	_cleanup_free_ char *path = NULL;
	struct stat st;

	if (!name)
		return -1;
	if (!path_is_name(name))
		return err_set(err, ERR_INPUT, "'%.60s' is no name of a mirror", name);
	path = xasprintf("%s/%s.git", repos, name);
	if (lstat(path, &st) < 0)
		return err_set(err, ERR_NOT_FOUND, "there is no mirror '%s' yet", name);
	return git_open_mirror(path, ret, err);
}

static struct json *oid_json(const git_oid *oid)
{
	char hex[GIT_OID_HEXSZ + 1];

	git_hex(oid, hex);
	return json_new_str(hex);
}

static struct json *person_json(const git_signature *who)
{
	struct json *o = json_new_object();

	json_set_str(o, "name", who ? who->name : "");
	json_set_str(o, "email", who ? who->email : "");
	json_set_int(o, "time_ms", who ? who->when.time * 1000 : 0);
	json_set_int(o, "offset", who ? who->when.offset : 0);
	return o;
}

static void commit_json(git_commit *c, struct json *o)
{
	const char *message = git_commit_message(c);
	struct json *parents = json_new_array();

	json_set(o, "sha", oid_json(git_commit_id(c)));
	json_set(o, "tree", oid_json(git_commit_tree_id(c)));
	for (unsigned i = 0; i < git_commit_parentcount(c) && i < 64; i++)
		json_push(parents, oid_json(git_commit_parent_id(c, i)));
	json_set(o, "parents", parents);
	json_set(o, "message",
		json_new_strn(message ? message : "",
			message ? strnlen(message, GIT_MESSAGE_MAX) : 0));
	json_set(o, "author", person_json(git_commit_author(c)));
	json_set(o, "committer", person_json(git_commit_committer(c)));
}

int git_op_commit(struct helper_request *r, struct err *err)
{
	_cleanup_(git_repository_freep) git_repository *repo = NULL;
	_cleanup_(git_commit_freep) git_commit *c = NULL;

	if (open_mirror(r, &repo, err) < 0 ||
		git_lookup_commit(repo, helper_str(r->head, "sha", err), &c, err) < 0)
		return -1;
	commit_json(c, r->answer);
	return 0;
}

int git_op_commits(struct helper_request *r, struct err *err)
{
	_cleanup_(git_repository_freep) git_repository *repo = NULL;
	_cleanup_(git_commit_freep) git_commit *to = NULL;
	_cleanup_(git_revwalk_freep) git_revwalk *walk = NULL;
	const char *from = json_get_str(r->head, "from", NULL);
	int64_t max = json_get_int(r->head, "max", COMMITS_MAX);
	struct json *list = json_new_array();
	struct json *newest;
	git_oid oid;
	int rc;

	json_set(r->answer, "commits", list);
	if (open_mirror(r, &repo, err) < 0 ||
		git_lookup_commit(repo, helper_str(r->head, "to", err), &to, err) < 0)
		return -1;
	rc = git_revwalk_new(&walk, repo);
	if (rc == 0)
		rc = git_revwalk_push(walk, git_commit_id(to));
	if (rc == 0)
		rc = git_revwalk_sorting(walk, GIT_SORT_TOPOLOGICAL | GIT_SORT_TIME);
	/* A `from` that is gone (a forced push) leaves the whole history, cut at MAX. */
	if (rc == 0 && git_sha_is(from) && git_oid_fromstr(&oid, from) == 0)
		(void)git_revwalk_hide(walk, &oid);
	if (rc < 0)
		return git_fault(err, rc, "cannot walk the history");
	newest = json_new_array();
	while ((rc = git_revwalk_next(&oid, walk)) == 0 &&
		(int64_t)json_count(newest) < max) {
		_cleanup_(git_commit_freep) git_commit *c = NULL;
		struct json *o;

		if (git_commit_lookup(&c, repo, &oid) < 0)
			break;
		o = json_new_object();
		commit_json(c, o);
		json_push(newest, o);
	}
	for (size_t i = json_count(newest); i-- > 0;)
		json_push(list, json_share(json_at(newest, i)));
	json_free(newest);
	json_set_bool(r->answer, "truncated", rc == 0);
	return 0;
}

static const char *kind_of(const char *ref)
{
	return strncmp(ref, "refs/heads/", 11) == 0  ? "branch"
	       : strncmp(ref, "refs/tags/", 10) == 0 ? "tag"
						     : "other";
}

static int answer_ref(
	struct helper_request *r, git_repository *repo, const char *ref, struct err *err)
{
	git_oid oid;

	if (git_ref_commit(repo, ref, &oid, err) < 0)
		return -1;
	json_set(r->answer, "sha", oid_json(&oid));
	json_set_str(r->answer, "ref", ref);
	json_set_str(r->answer, "kind", kind_of(ref));
	return 0;
}

int git_op_resolve(struct helper_request *r, struct err *err)
{
	static const char *const prefixes[] = { "refs/heads/", "refs/tags/" };
	_cleanup_(git_repository_freep) git_repository *repo = NULL;
	const char *ref = helper_str(r->head, "ref", err);

	if (!ref || open_mirror(r, &repo, err) < 0)
		return -1;
	if (git_sha_is(ref)) {
		_cleanup_(git_commit_freep) git_commit *c = NULL;

		if (git_lookup_commit(repo, ref, &c, err) < 0)
			return -1;
		json_set_str(r->answer, "sha", ref);
		json_set(r->answer, "ref", NULL);
		json_set_str(r->answer, "kind", "commit");
		return 0;
	}
	if (git_ref_is(ref))
		return answer_ref(r, repo, ref, err);
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		_cleanup_free_ char *full = xasprintf("%s%.1024s", prefixes[i], ref);

		if (git_ref_is(full) && answer_ref(r, repo, full, NULL) == 0)
			return 0;
	}
	return err_set(err, ERR_NOT_FOUND, "there is no branch or tag '%.100s'", ref);
}

int git_op_refs(struct helper_request *r, struct err *err)
{
	_cleanup_(git_repository_freep) git_repository *repo = NULL;
	_cleanup_(git_reference_iterator_freep) git_reference_iterator *it = NULL;
	const char *prefix = json_get_str(r->head, "prefix", "refs/");
	int64_t max = json_get_int(r->head, "max", REFS_MAX);
	struct json *list = json_new_array();
	const char *name;
	bool is_cut = false;
	int rc;

	json_set(r->answer, "refs", list);
	if (open_mirror(r, &repo, err) < 0)
		return -1;
	rc = git_reference_iterator_new(&it, repo);
	while (rc == 0 && !is_cut && git_reference_next_name(&name, it) == 0) {
		struct json *o;
		git_oid oid;

		if (strncmp(name, prefix, strlen(prefix)) != 0 ||
			git_ref_commit(repo, name, &oid, NULL) < 0)
			continue;
		is_cut = (int64_t)json_count(list) >= max;
		if (is_cut)
			break;
		o = json_new_object();
		json_set_str(o, "name", name);
		json_set(o, "sha", oid_json(&oid));
		json_push(list, o);
	}
	json_set_bool(r->answer, "truncated", is_cut);
	return rc < 0 ? git_fault(err, rc, "cannot list the refs") : 0;
}

/* REFS (array of full names; absent: all branches and tags) until one holds SHA. */
static bool holding_ref(
	git_repository *repo, const struct json *refs, const git_oid *sha, char **ret_ref)
{
	_cleanup_(git_reference_iterator_freep) git_reference_iterator *it = NULL;
	const char *name;
	git_oid tip;

	for (size_t i = 0; i < json_count(refs); i++) {
		name = json_as_str(json_at(refs, i), "");
		if (git_ref_is(name) && git_ref_commit(repo, name, &tip, NULL) == 0 &&
			git_is_behind(repo, &tip, sha)) {
			*ret_ref = xstrdup(name);
			return true;
		}
	}
	if (refs || git_reference_iterator_new(&it, repo) < 0)
		return false;
	while (git_reference_next_name(&name, it) == 0) {
		if (strcmp(kind_of(name), "other") != 0 &&
			git_ref_commit(repo, name, &tip, NULL) == 0 &&
			git_is_behind(repo, &tip, sha)) {
			*ret_ref = xstrdup(name);
			return true;
		}
	}
	return false;
}

bool git_held_below(git_repository *repo, const struct json *refs, const git_oid *oid)
{
	_cleanup_(git_reference_iterator_freep) git_reference_iterator *it = NULL;
	const char *name;
	git_oid tip;

	if (git_reference_iterator_new(&it, repo) < 0)
		return false;
	while (git_reference_next_name(&name, it) == 0) {
		for (size_t i = 0; i < json_count(refs); i++) {
			const char *prefix = json_as_str(json_at(refs, i), "");

			if (str_ends(prefix, "/") && str_starts(name, prefix) &&
				git_ref_commit(repo, name, &tip, NULL) == 0 &&
				git_is_behind(repo, &tip, oid))
				return true;
		}
	}
	return false;
}

int git_op_reachable(struct helper_request *r, struct err *err)
{
	_cleanup_(git_repository_freep) git_repository *repo = NULL;
	_cleanup_free_ char *ref = NULL;
	git_oid sha;
	bool found;

	if (open_mirror(r, &repo, err) < 0 ||
		git_sha(helper_str(r->head, "sha", err), &sha, err) < 0)
		return -1;
	found = holding_ref(repo, json_get(r->head, "refs"), &sha, &ref);
	json_set_bool(r->answer, "reachable", found);
	json_set(r->answer, "ref", ref ? json_new_str(ref) : NULL);
	return 0;
}

/* ---- files ---- */

struct reader {
	struct helper_request *r;
	git_repository *repo;
	git_odb *odb;
	struct json *list;
	int64_t max_bytes, max_files;
	bool is_cut;
};

static int add_file(
	struct reader *rd, const char *path, const git_tree_entry *e, struct err *err)
{
	_cleanup_(git_odb_object_freep) git_odb_object *obj = NULL;
	struct json *o = json_new_object();
	git_filemode_t mode = git_tree_entry_filemode(e);
	git_object_t type;
	size_t size;
	int rc;

	json_push(rd->list, o);
	json_set_str(o, "path", path);
	json_set(o, "blob", oid_json(git_tree_entry_id(e)));
	json_set_int(o, "mode", mode);
	json_set_int(o, "size", 0);
	json_set_int(o, "offset", (int64_t)rd->r->body->len);
	if (mode != GIT_FILEMODE_BLOB && mode != GIT_FILEMODE_BLOB_EXECUTABLE) {
		json_set_str(o, "error", "is no regular file");
		return 0;
	}
	rc = git_odb_read_header(&size, &type, rd->odb, git_tree_entry_id(e));
	if (rc < 0)
		return git_fault(err, rc, "'%s'", path);
	json_set_int(o, "size", (int64_t)size);
	if ((int64_t)size > rd->max_bytes || rd->r->body->len + size > CHAN_BODY_MAX) {
		json_set_str(o, "error", "is too large");
		return 0;
	}
	rc = git_odb_read(&obj, rd->odb, git_tree_entry_id(e));
	if (rc < 0)
		return git_fault(err, rc, "'%s'", path);
	strbuf_add(rd->r->body, git_odb_object_data(obj), git_odb_object_size(obj));
	return 0;
}

static bool has_suffix(const struct json *suffixes, const char *name)
{
	for (size_t i = 0; i < json_count(suffixes); i++) {
		if (str_ends(name, json_as_str(json_at(suffixes, i), "\n")))
			return true;
	}
	return json_count(suffixes) == 0;
}

static int add_folder(struct reader *rd, git_tree *root, const char *dir, struct err *err)
{
	_cleanup_(git_tree_entry_freep) git_tree_entry *at = NULL;
	_cleanup_(git_tree_freep) git_tree *tree = NULL;

	if (git_tree_entry_bypath(&at, root, dir) < 0 ||
		git_tree_entry_type(at) != GIT_OBJECT_TREE ||
		git_tree_lookup(&tree, rd->repo, git_tree_entry_id(at)) < 0)
		return 0; /* not there */
	for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
		const git_tree_entry *e = git_tree_entry_byindex(tree, i);
		_cleanup_free_ char *path = NULL;

		if (git_tree_entry_type(e) != GIT_OBJECT_BLOB ||
			!has_suffix(json_get(rd->r->head, "suffixes"),
				git_tree_entry_name(e)))
			continue;
		rd->is_cut = (int64_t)json_count(rd->list) >= rd->max_files;
		if (rd->is_cut)
			return 0;
		path = path_join(dir, git_tree_entry_name(e));
		if (add_file(rd, path, e, err) < 0)
			return -1;
	}
	return 0;
}

int git_op_files(struct helper_request *r, struct err *err)
{
	_cleanup_(git_repository_freep) git_repository *repo = NULL;
	_cleanup_(git_commit_freep) git_commit *c = NULL;
	_cleanup_(git_tree_freep) git_tree *root = NULL;
	_cleanup_(git_odb_freep) git_odb *odb = NULL;
	const struct json *dirs = json_get(r->head, "dirs"),
			  *paths = json_get(r->head, "paths");
	struct reader rd = { r, NULL, NULL, json_new_array(),
		json_get_int(r->head, "max_bytes", LIMIT_WORKFLOW_FILE),
		json_get_int(r->head, "max_files", LIMIT_WORKFLOW_FILES), false };
	int rc;

	json_set(r->answer, "files", rd.list);
	if (open_mirror(r, &repo, err) < 0 ||
		git_lookup_commit(repo, helper_str(r->head, "sha", err), &c, err) < 0)
		return -1;
	rc = git_commit_tree(&root, c);
	if (rc == 0)
		rc = git_repository_odb(&odb, repo);
	if (rc < 0)
		return git_fault(err, rc, "cannot read the files of %s",
			json_get_str(r->head, "sha", ""));
	rd.repo = repo;
	rd.odb = odb;
	for (size_t i = 0; i < json_count(dirs); i++) {
		if (add_folder(&rd, root, json_as_str(json_at(dirs, i), ""), err) < 0)
			return -1;
	}
	for (size_t i = 0; i < json_count(paths) && !rd.is_cut; i++) {
		_cleanup_(git_tree_entry_freep) git_tree_entry *e = NULL;
		const char *path = json_as_str(json_at(paths, i), "");

		rd.is_cut = (int64_t)json_count(rd.list) >= rd.max_files;
		if (rd.is_cut || git_tree_entry_bypath(&e, root, path) < 0)
			continue;
		if (git_tree_entry_type(e) == GIT_OBJECT_BLOB &&
			add_file(&rd, path, e, err) < 0)
			return -1;
	}
	json_set_bool(r->answer, "truncated", rd.is_cut);
	return 0;
}

/* ---- changes ---- */

struct changes {
	struct json *paths;
	int64_t max;
	bool is_cut;
};

static int add_path(struct changes *ch, const char *path)
{
	if ((int64_t)json_count(ch->paths) >= ch->max) {
		ch->is_cut = true;
		return GIT_EUSER; /* ends the comparison */
	}
	json_push_str(ch->paths, path);
	return 0;
}

/* Called for each file as it is found; 1: not kept in the diff itself. */
static int on_delta(const git_diff *so_far, const git_diff_delta *d, const char *pathspec,
	void *payload)
{
	int rc =
		add_path(payload, d->new_file.path ? d->new_file.path : d->old_file.path);

	return rc < 0 ? rc : 1;
}

static int tree_of(git_repository *repo, const git_oid *oid, git_tree **ret)
{
	_cleanup_(git_commit_freep) git_commit *c = NULL;
	int rc = git_commit_lookup(&c, repo, oid);

	return rc < 0 ? rc : git_commit_tree(ret, c);
}

int git_op_changes(struct helper_request *r, struct err *err)
{
	_cleanup_(git_repository_freep) git_repository *repo = NULL;
	_cleanup_(git_tree_freep) git_tree *a = NULL;
	_cleanup_(git_tree_freep) git_tree *b = NULL;
	_cleanup_(git_diff_freep) git_diff *diff = NULL;
	const char *from = json_get_str(r->head, "from", NULL);
	git_diff_options o = GIT_DIFF_OPTIONS_INIT;
	struct changes ch = { json_new_array(),
		json_get_int(r->head, "max", LIMIT_CHANGED_FILES), false };
	git_oid from_oid, to_oid, base;
	int rc;

	json_set(r->answer, "paths", ch.paths);
	if (open_mirror(r, &repo, err) < 0 ||
		git_sha(helper_str(r->head, "to", err), &to_oid, err) < 0 ||
		(from && git_sha(from, &from_oid, err) < 0))
		return -1;
	if (from && json_get_bool(r->head, "three_dot", false)) {
		rc = git_merge_base(&base, repo, &from_oid, &to_oid);
		if (rc < 0)
			return git_fault(err, rc, "no common commit of %s and %s", from,
				json_get_str(r->head, "to", ""));
		from_oid = base;
		json_set(r->answer, "merge_base", oid_json(&base));
	}
	rc = from ? tree_of(repo, &from_oid, &a) : 0;
	if (rc == 0)
		rc = tree_of(repo, &to_oid, &b);
	o.flags = GIT_DIFF_SKIP_BINARY_CHECK;
	o.notify_cb = on_delta;
	o.payload = &ch;
	if (rc == 0)
		rc = git_diff_tree_to_tree(&diff, repo, a, b, &o);
	if (rc < 0 && !ch.is_cut)
		return git_fault(err, rc, "cannot compare %s with %s",
			from ? from : "nothing", json_get_str(r->head, "to", ""));
	json_set_bool(r->answer, "truncated", ch.is_cut);
	return 0;
}

int git_op_remove(struct helper_request *r, struct err *err)
{
	const char *name = helper_str(r->head, "repo", err);
	_cleanup_free_ char *dir = NULL;

	if (!name)
		return -1;
	if (!path_is_name(name))
		return err_set(err, ERR_INPUT, "'%.60s' is no name of a mirror", name);
	dir = xasprintf("%s.git", name);
	return path_remove_tree(r->fds[0], dir, err);
}
