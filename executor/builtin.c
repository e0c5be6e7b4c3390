/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Actions that are part of this program, by name: they need what only the server has (the
 * mirror, the store), and no network. Their inputs and words are those of the originals.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/agent.h"
#include "executor/assist.h"
#include "executor/step.h"
#include "workflows/glob.h"

static bool is_true(const struct steprun *st, const char *input)
{
	return strcasecmp(step_input(st, input), "true") == 0;
}

static int refuse_input(const struct steprun *st, const char *name)
{
	const char *v = step_input(st, name);

	return *v && strcasecmp(v, "false") != 0;
}

static int set_output(
	struct steprun *st, const char *name, const char *value, struct err *err)
{
	return step_set_output(st, name, value, strlen(value), err);
}

/* ---- actions/checkout ---- */

static const char *const checkout_inputs[][2] = {
	{ "repository", NULL },
	{ "ref", NULL },
	{ "token", NULL },
	{ "ssh-key", NULL },
	{ "ssh-known-hosts", NULL },
	{ "ssh-strict", "true" },
	{ "ssh-user", "git" },
	{ "persist-credentials", "true" },
	{ "path", NULL },
	{ "clean", "true" },
	{ "filter", NULL },
	{ "sparse-checkout", NULL },
	{ "sparse-checkout-cone-mode", "true" },
	{ "fetch-depth", "1" },
	{ "fetch-tags", "false" },
	{ "show-progress", "true" },
	{ "lfs", "false" },
	{ "submodules", "false" },
	{ "set-safe-directory", "true" },
	{ "github-server-url", NULL },
	{ NULL, NULL },
};

/* Beneath the workspace: the clean path in its directory. */
static int checkout_place(
	struct steprun *st, enum job_dir *dir, char **rel, struct err *err)
{
	const char *path = step_input(st, "path");
	_cleanup_free_ char *joined = NULL, *inside = NULL;
	size_t n = strlen(st->job->workspace);

	joined =
		*path ? path_join(st->job->workspace, path) : xstrdup(st->job->workspace);
	inside = path_normalise(joined);
	if (path[0] == '/' || strncmp(inside, st->job->workspace, n) != 0 ||
		(inside[n] && inside[n] != '/'))
		return err_set(err, ERR_INPUT, "Repository path '%s' is not under '%s'",
			path, st->job->workspace);
	return agent_place(st->job, inside, dir, rel, err);
}

static int check_checkout(struct steprun *st, struct err *err)
{
	static const char *const unbuilt[] = { "sparse-checkout", "filter", "lfs",
		"submodules" };
	const char *repository = step_input(st, "repository");
	_cleanup_free_ char *own = value_text(value_get(st->job->github, "repository"));

	if (*repository && strcasecmp(repository, own) != 0)
		return err_set(err, ERR_UNSUPPORTED,
			"checking out another repository ('%s') is not built yet: only "
			"'%s' is "
			"at hand",
			repository, own);
	for (size_t i = 0; i < ARRAY_SIZE(unbuilt); i++)
		if (refuse_input(st, unbuilt[i]))
			return err_set(err, ERR_UNSUPPORTED,
				"the input '%s' of actions/checkout is not built yet",
				unbuilt[i]);
	return 0;
}

static bool is_full_sha(const char *s)
{
	size_t n = strlen(s);

	return (n == 40 || n == 64) && strspn(s, "0123456789abcdefABCDEF") == n;
}

/* The `ref` input as a commit of the mirror. */
static int resolve_ref(struct steprun *st, const char *ref, char **ret_sha,
	char **ret_ref, struct err *err)
{
	struct jobrun *job = st->job;
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	int fds[2] = { job->opt->repos_dir, job->dirs[DIR_STAGE] };
	const char *mirror = json_get_str(job->spec->source_doc, "mirror", "");
	_cleanup_free_ char *name = str_ends(mirror, ".git")
					    ? xstrndup(mirror, strlen(mirror) - 4)
					    : xstrdup(mirror);
	const char *full;

	json_set_str(head, "op", "resolve");
	json_set_str(head, "repo", name);
	json_set_str(head, "ref", ref);
	if (assist(job, "git", fds, 2, head, -1, step_time_left(st), &m, err) < 0)
		return err_wrap(err, "the ref '%s'", ref);
	full = json_get_str(m.head, "ref", NULL);
	*ret_sha = xstrdup(json_get_str(m.head, "sha", ""));
	*ret_ref = full ? xstrdup(full) : NULL;
	return 0;
}

static long long depth_of(const struct steprun *st)
{
	long long depth = 1;

	if (str_to_int(step_input(st, "fetch-depth"), 0, 1LL << 31, &depth) < 0)
		depth = 1;
	return depth;
}

static int from_mirror(struct steprun *st, int stage, struct json **ret, struct err *err)
{
	struct jobrun *job = st->job;
	const struct json *source = job->spec->source_doc;
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	_cleanup_close_ int mirror = -1;
	_cleanup_free_ char *sha = NULL, *ref = NULL;
	const char *asked = step_input(st, "ref"), *url;
	int fds[2];

	if (*asked && !str_eq(asked, json_get_str(source, "sha", "")) &&
		!str_eq(asked, json_get_str(source, "ref", ""))) {
		if (resolve_ref(st, asked, &sha, &ref, err) < 0)
			return -1;
	} else {
		sha = xstrdup(json_get_str(source, "sha", ""));
		ref = is_full_sha(asked)
			      ? NULL
			      : xstrdup_null(json_get_str(source, "ref", NULL));
	}
	mirror = path_open(job->opt->repos_dir, json_get_str(source, "mirror", ""),
		O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
	if (mirror < 0)
		return err_wrap(err, "the mirror of the repository");
	json_set_str(head, "op", "checkout");
	json_set_str(head, "sha", sha);
	if (ref)
		json_set_str(head, "ref", ref);
	json_set_bool(head, "trusted", job->spec->trusted);
	json_set_int(head, "depth", depth_of(st));
	json_set_bool(head, "tags", is_true(st, "fetch-tags"));
	url = json_get_str(source, "clone_url", NULL);
	if (url)
		json_set_str(head, "url", url);
	fds[0] = mirror;
	fds[1] = stage;
	if (assist(job, "checkout", fds, 2, head, -1, step_time_left(st), &m, err) < 0)
		return -1;
	*ret = json_share(m.head);
	return 0;
}

/* `sluice run`: the tree as it stands, uncommitted changes and all. */
static int from_tree(struct steprun *st, int stage, struct json **ret, struct err *err)
{
	struct jobrun *job = st->job;
	const char *path = json_get_str(job->spec->source_doc, "path", "");
	const char *asked = step_input(st, "ref");
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	_cleanup_close_ int tree = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fds[2] = { tree, stage };

	if (tree < 0)
		return err_sys(err, "cannot open '%s'", path);
	if (*asked)
		step_warning(st,
			"the tree is taken as it stands; the ref '%s' is not looked at",
			asked);
	json_set_str(head, "op", "tree");
	if (assist(job, "tree", fds, 2, head, -1, step_time_left(st), &m, err) < 0)
		return -1;
	*ret = json_share(m.head);
	return 0;
}

static void say_checkout(struct steprun *st, const struct json *facts)
{
	const char *sha = json_get_str(facts, "sha", "");
	const char *ref = json_get_str(facts, "ref", NULL);
	int64_t changed = json_get_int(facts, "changed_count", 0);

	job_say(st->job, st->n, "%lld files%s%s%s%s",
		(long long)json_get_int(facts, "files", 0), *sha ? ", commit " : "", sha,
		ref ? ", " : "", ref ? ref : "");
	if (changed)
		job_say(st->job, st->n, "with %lld changed files that are not committed",
			(long long)changed);
}

static int do_checkout(struct steprun *st, struct err *err)
{
	struct jobrun *job = st->job;
	_cleanup_(json_freep) struct json *facts = NULL;
	_cleanup_free_ char *rel = NULL;
	_cleanup_close_ int stage = -1;
	enum job_dir dir;
	char name[64];
	int result;

	if (check_checkout(st, err) < 0 || checkout_place(st, &dir, &rel, err) < 0)
		return -1;
	if (job->spec->source == SPEC_SOURCE_NONE)
		return err_set(
			err, ERR_UNSUPPORTED, "this job has no repository to check out");
	if (dir == DIR_TREE && !*rel) {
		job_say(job, st->n, "the workspace is the tree itself (in place)");
		return 0;
	}
	if (assist_stage(job, name, &stage, err) < 0)
		return -1;
	result = job->spec->source == SPEC_SOURCE_TREE
			 ? from_tree(st, stage, &facts, err)
			 : from_mirror(st, stage, &facts, err);
	if (result == 0)
		result = assist_hand_over(job, stage, err);
	if (result == 0)
		result = agent_adopt(job, name, dir, rel,
			strcasecmp(step_input(st, "clean"), "false") == 0, err);
	if (result < 0) {
		(void)path_remove_tree(
			job->dirs[DIR_STAGE], name, NULL); /* goes with the job */
		return -1;
	}
	say_checkout(st, facts);
	return set_output(st, "commit", json_get_str(facts, "sha", ""), err) < 0
		       ? -1
		       : set_output(st, "ref", json_get_str(facts, "ref", ""), err);
}

/* ---- artifacts ---- */

static const char *const upload_inputs[][2] = {
	{ "name", "artifact" },
	{ "path", NULL },
	{ "if-no-files-found", "warn" },
	{ "retention-days", NULL },
	{ "compression-level", "6" },
	{ "overwrite", "false" },
	{ "include-hidden-files", "false" },
	{ "archive", "true" },
	{ NULL, NULL },
};

static int check_artifact_name(const char *name, struct err *err)
{
	const char *bad = strpbrk(name, "\":<>|*?\r\n\\/");

	if (!*name || strlen(name) > 256)
		return err_set(
			err, ERR_INPUT, "the artifact's name is empty or too long");
	if (bad)
		return err_set(err, ERR_INPUT,
			"The artifact name is not valid: %s. Contains the following "
			"character: %c",
			name, *bad);
	return 0;
}

/* The lines of `path` as patterns beneath one directory. */
static int read_patterns(struct steprun *st, struct json *request, struct err *err)
{
	struct json *list = json_new_array();
	_cleanup_(strvec_done) struct strvec lines = STRVEC_INIT;
	enum job_dir first = DIRS;

	json_set(request, "patterns", list);
	strvec_split(&lines, step_input(st, "path"), '\n');
	strvec_foreach (l, &lines) {
		const char *text = *l + strspn(*l, " \t\r");
		size_t len = strlen(text);
		_cleanup_free_ char *trimmed = NULL, *rel = NULL;
		enum job_dir dir;
		bool negated;

		while (len && strchr(" \t\r", text[len - 1]))
			len--;
		if (!len || *text == '#')
			continue;
		trimmed = xstrndup(text, len);
		negated = trimmed[0] == '!';
		if (agent_place(st->job, trimmed + negated, &dir, &rel, err) < 0)
			return -1;
		if (first == DIRS)
			first = dir;
		if (dir != first)
			return err_set(err, ERR_UNSUPPORTED,
				"the paths of one artifact must lie in one folder: the "
				"workspace, "
				"RUNNER_TEMP or HOME");
		if (negated) {
			_cleanup_free_ char *joined = xasprintf("!%s", rel);

			json_push_str(list, joined);
		} else {
			json_push_str(list, rel);
		}
	}
	if (first == DIRS)
		return err_set(err, ERR_INPUT, "Input required and not supplied: path");
	json_set_int(request, "dir", (int64_t)first);
	json_set_str(request, "path", "");
	return 0;
}

static int no_files(struct steprun *st, struct err *err)
{
	const char *how = step_input(st, "if-no-files-found");
	const char *path = step_input(st, "path");

	if (str_eq(how, "error"))
		return err_set(err, ERR_NOT_FOUND,
			"No files were found with the provided path: %s. No artifacts "
			"will be "
			"uploaded.",
			path);
	if (!str_eq(how, "ignore"))
		step_warning(st,
			"No files were found with the provided path: %s. No artifacts "
			"will be uploaded.",
			path);
	return 0;
}

static void frame_artifact(struct steprun *st, const char *name, const struct json *facts)
{
	struct json *frame = json_new_object();
	long long days = 0;

	json_set_int(frame, "n", st->n);
	json_set_str(frame, "name", name);
	json_set_str(frame, "sha256", json_get_str(facts, "sha256", ""));
	json_set_int(frame, "size", json_get_int(facts, "size", 0));
	json_set_int(frame, "files", json_get_int(facts, "files", 0));
	json_set_bool(frame, "overwrite", is_true(st, "overwrite"));
	if (str_to_int(step_input(st, "retention-days"), 1, 400, &days) == 0)
		json_set_int(frame, "expires_days", days);
	job_frame(st->job, JOURNAL_ARTIFACT, frame);
}

static int do_upload(struct steprun *st, struct err *err)
{
	struct jobrun *job = st->job;
	const char *name = step_input(st, "name");
	_cleanup_(json_freep) struct json *request = json_new_object(), *facts = NULL;
	_cleanup_free_ char *shown = mask_str(job->mask, name);

	if (check_artifact_name(name, err) < 0 || read_patterns(st, request, err) < 0)
		return -1;
	if (!str_eq(shown, name))
		return err_set(err, ERR_INPUT, "the artifact's name holds a secret");
	if (json_get(job->artifacts, name) && !is_true(st, "overwrite"))
		return err_set(err, ERR_CONFLICT,
			"Failed to CreateArtifact: (409) Conflict: an artifact with this "
			"name "
			"already exists on the workflow run");
	json_set_str(request, "name", name);
	json_set_bool(request, "hidden", is_true(st, "include-hidden-files"));
	if (agent_pack(job, request, &facts, err) < 0)
		return err->code == ERR_NOT_FOUND ? no_files(st, err) : -1;
	frame_artifact(st, name, facts);
	json_set_str(job->artifacts, name, json_get_str(facts, "sha256", ""));
	job_say(job, st->n,
		"Artifact %s has been successfully uploaded: %lld files, %lld bytes",
		name, (long long)json_get_int(facts, "files", 0),
		(long long)json_get_int(facts, "size", 0));
	return set_output(st, "artifact-id", json_get_str(facts, "sha256", ""), err) < 0
		       ? -1
		       : set_output(st, "artifact-digest",
				 json_get_str(facts, "sha256", ""), err);
}

static const char *const download_inputs[][2] = {
	{ "name", NULL },
	{ "artifact-ids", NULL },
	{ "path", NULL },
	{ "pattern", NULL },
	{ "merge-multiple", "false" },
	{ "github-token", NULL },
	{ "repository", NULL },
	{ "run-id", NULL },
	{ "skip-decompress", "false" },
	{ "digest-mismatch", "error" },
	{ NULL, NULL },
};

static int unpack_one(struct steprun *st, const char *name, enum job_dir dir,
	const char *rel, struct err *err)
{
	struct jobrun *job = st->job;
	const char *sha256 = json_get_str(job->artifacts, name, "");
	_cleanup_(json_freep) struct json *request = json_new_object(), *facts = NULL;

	json_set_int(request, "dir", (int64_t)dir);
	json_set_str(request, "path", rel);
	json_set_str(request, "sha256", sha256);
	if (agent_unpack(job, request, &facts, err) < 0)
		return err_wrap(err, "artifact '%s'", name);
	job_say(job, st->n, "%s: %lld files, %lld bytes", name,
		(long long)json_get_int(facts, "files", 0),
		(long long)json_get_int(facts, "size", 0));
	return 0;
}

/* Every artifact whose name fits, each into a folder of its own unless merged. */
static int unpack_many(
	struct steprun *st, enum job_dir dir, const char *rel, struct err *err)
{
	const char *pattern = step_input(st, "pattern");
	_cleanup_(glob_freep) struct glob *glob = NULL;
	struct glob_error why = { 0, "" };
	int found = 0;

	if (*pattern && glob_path_compile(pattern, strlen(pattern), &glob, &why) < 0)
		return err_set(err, ERR_INPUT, "the pattern '%s': %s", pattern, why.msg);
	json_foreach (it, st->job->artifacts) {
		_cleanup_free_ char *to = NULL;

		if (glob && !glob_match(glob, it.key, strlen(it.key)))
			continue;
		found++;
		if (is_true(st, "merge-multiple"))
			to = xstrdup(rel);
		else
			to = *rel ? path_join(rel, it.key) : xstrdup(it.key);
		if (unpack_one(st, it.key, dir, to, err) < 0)
			return -1;
	}
	job_say(st->job, st->n, "Total of %d artifact(s) downloaded", found);
	return 0;
}

static int check_download(struct steprun *st, struct err *err)
{
	static const char *const unbuilt[] = { "artifact-ids", "run-id" };
	const char *repository = step_input(st, "repository");
	_cleanup_free_ char *own = value_text(value_get(st->job->github, "repository"));
	_cleanup_free_ char *run = value_text(value_get(st->job->github, "run_id"));

	for (size_t i = 0; i < ARRAY_SIZE(unbuilt); i++) {
		const char *v = step_input(st, unbuilt[i]);

		if (*v && !str_eq(v, run))
			return err_set(err, ERR_UNSUPPORTED,
				"the input '%s' of actions/download-artifact is not "
				"built yet",
				unbuilt[i]);
	}
	if (*repository && strcasecmp(repository, own) != 0)
		return err_set(err, ERR_UNSUPPORTED,
			"artifacts of another repository ('%s') are not at hand",
			repository);
	return 0;
}

static int do_download(struct steprun *st, struct err *err)
{
	struct jobrun *job = st->job;
	const char *name = step_input(st, "name");
	const char *path = step_input(st, "path");
	_cleanup_free_ char *rel = NULL, *joined = NULL, *inside = NULL;
	enum job_dir dir;
	int result;

	if (check_download(st, err) < 0 ||
		agent_place(job, *path ? path : ".", &dir, &rel, err) < 0)
		return -1;
	if (*name && !json_get(job->artifacts, name))
		return err_set(err, ERR_NOT_FOUND,
			"Unable to download artifact(s): Artifact not found for name: %s",
			name);
	result = *name ? unpack_one(st, name, dir, rel, err)
		       : unpack_many(st, dir, rel, err);
	if (result < 0)
		return -1;
	joined = path[0] == '/' ? xstrdup(path)
				: path_join(job->workspace, *path ? path : ".");
	inside = path_normalise(joined);
	return set_output(st, "download-path", inside, err);
}

/* ---- actions/cache: always a miss ---- */

static const char *const cache_inputs[][2] = {
	{ "path", NULL },
	{ "key", NULL },
	{ "restore-keys", NULL },
	{ "upload-chunk-size", NULL },
	{ "enableCrossOsArchive", "false" },
	{ "fail-on-cache-miss", "false" },
	{ "lookup-only", "false" },
	{ "save-always", "false" },
	{ NULL, NULL },
};

static int do_cache(struct steprun *st, struct err *err)
{
	const char *key = step_input(st, "key");

	if (!*key)
		return err_set(err, ERR_INPUT, "Input required and not supplied: key");
	if (is_true(st, "fail-on-cache-miss"))
		return err_set(err, ERR_NOT_FOUND,
			"Failed to restore cache entry. Exiting as fail-on-cache-miss is "
			"set. "
			"Input key: %s",
			key);
	job_say(st->job, st->n, "Cache not found for input keys: %s", key);
	job_say(st->job, st->n,
		"caches are not built yet: every look is a miss, nothing is saved");
	return set_output(st, "cache-primary-key", key, err) < 0
		       ? -1
		       : set_output(st, "cache-hit", "", err);
}

static int do_cache_save(struct steprun *st, struct err *err)
{
	(void)err; /* it cannot fail */
	job_say(st->job, st->n, "caches are not built yet: nothing is saved");
	return 0;
}

/* ---- the table ---- */

static const struct {
	const char *path; /* within the repository; "" is the repository itself */
	struct builtin builtin;
} builtins[] = {
	{ "", { "actions/checkout", do_checkout, checkout_inputs } },
	{ "", { "actions/upload-artifact", do_upload, upload_inputs } },
	{ "", { "actions/download-artifact", do_download, download_inputs } },
	{ "", { "actions/cache", do_cache, cache_inputs } },
	{ "restore", { "actions/cache", do_cache, cache_inputs } },
	{ "save", { "actions/cache", do_cache_save, cache_inputs } },
};

const struct builtin *builtin_find(const char *repository, const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(builtins); i++)
		if (strcasecmp(builtins[i].builtin.name, repository) == 0 &&
			str_eq(builtins[i].path, path))
			return &builtins[i].builtin;
	return NULL;
}
