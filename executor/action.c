/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Remote actions come from two places: prepared by core (spec "actions", below actions/),
 * or from the folder of work trees given to `sluice run`, through the helper. A job with
 * one that cannot be had fails before its first step, as on GitHub, even when the step
 * would be skipped.
 */
#include "executor/action.h"

#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/agent.h"
#include "executor/assist.h"
#include "workflows/workflow.h"

#define ACTION_FILE_MAX (1u << 20)

static const char *const action_files[] = { "action.yml", "action.yaml" };

bool action_is_composite(const struct used_action *a)
{
	return a->meta && a->meta->using == ACTION_COMPOSITE;
}

bool action_is_node(const struct used_action *a)
{
	return a->meta && a->meta->using == ACTION_NODE;
}

static void used_free(struct used_action *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->steps_len; i++)
		spec_step_done(&a->steps[i]);
	free(a->steps);
	action_free(a->meta);
	strbuf_done(&a->text);
	free(a->uses);
	free(a->repository);
	free(a->path);
	free(a->ref);
	free(a->sha);
	free(a->cache_dir);
	free(a->rel);
	free(a->inside);
	free(a);
}
DEFINE_CLEANUP(struct used_action, used_free);

static struct used_action *used_new(const char *uses, enum used_kind kind)
{
	struct used_action *a = xcalloc(1, sizeof(*a));

	a->uses = xstrdup(uses);
	a->kind = kind;
	strbuf_init(&a->text);
	return a;
}

static const struct used_action *keep(struct jobrun *job, struct used_action *a)
{
	GROW(job->actions, job->actions_alloc, job->actions_len + 1);
	job->actions[job->actions_len++] = a;
	return a;
}

void actions_done(struct jobrun *job)
{
	for (size_t i = 0; i < job->actions_len; i++)
		used_free(job->actions[i]);
	free(job->actions);
	job->actions = NULL;
	job->actions_len = job->actions_alloc = 0;
}

/* ---- metadata ---- */

static int read_composite(struct used_action *a, struct err *err)
{
	size_t n = json_count(a->meta->steps);

	if (n > LIMIT_STEPS)
		return err_set(
			err, ERR_LIMIT, "%zu steps are more than %d", n, LIMIT_STEPS);
	a->steps = xcalloc(n ? n : 1, sizeof(*a->steps));
	for (size_t i = 0; i < n; i++) {
		if (spec_step_read(json_at(a->meta->steps, i), i, &a->steps[i], err) < 0)
			return err_wrap(err, "step %zu", i + 1);
		a->steps_len = i + 1;
	}
	return 0;
}

/* TEXT is in place; NAME is the file's, for messages. */
static int read_meta(struct used_action *a, const char *name, struct err *err)
{
	_cleanup_free_ char *file = *a->rel ? path_join(a->rel, name) : xstrdup(name);
	struct diagnostics d = DIAGNOSTICS_INIT;
	int result = action_parse(file, a->text.buf, a->text.len, &a->meta, &d, err);

	diagnostics_done(&d);
	if (result < 0)
		return -1;
	if (a->meta->using == ACTION_DOCKER)
		return err_set(err, ERR_UNSUPPORTED,
			"'%s' runs in a container, which this build cannot start",
			a->uses);
	return a->meta->using == ACTION_COMPOSITE ? read_composite(a, err) : 0;
}

static char *below(const char *dir, const char *name)
{
	return *dir ? path_join(dir, name) : xstrdup(name);
}

/* ---- local ---- */

static int read_local(struct jobrun *job, struct used_action *a, struct err *err)
{
	struct err why = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(action_files); i++) {
		_cleanup_free_ char *path = below(a->rel, action_files[i]);
		struct agent_file f = { .dir = a->dir,
			.path = path,
			.max = ACTION_FILE_MAX,
			.text = STRBUF_INIT };

		if (agent_get(job, &f, 1, err) < 0)
			return -1;
		if (f.err.code == ERR_NONE) {
			a->text = f.text;
			return read_meta(a, action_files[i], err);
		}
		strbuf_done(&f.text);
		if (f.err.code != ERR_NOT_FOUND)
			why = f.err;
	}
	if (why.code != ERR_NONE)
		return err_set(err, why.code, "cannot read the action '%s': %s", a->uses,
			why.msg);
	return err_set(err, ERR_NOT_FOUND,
		"Can't find 'action.yml', 'action.yaml' or 'Dockerfile' under '%s'. Did "
		"you "
		"forget to run actions/checkout before running your local action?",
		a->inside);
}

static int local_action(struct jobrun *job, const char *uses, const char *path,
	const struct used_action **ret, struct err *err)
{
	_cleanup_(used_freep) struct used_action *a = used_new(uses, USED_LOCAL);
	_cleanup_free_ char *joined = path_join(job->workspace, path);

	a->inside = path_normalise(joined);
	if (!str_starts(a->inside, job->workspace) ||
		agent_place(job, a->inside, &a->dir, &a->rel, err) < 0)
		return err_set(err, ERR_INPUT, "'%s' leads out of the workspace", uses);
	if (read_local(job, a, err) < 0)
		return -1;
	*ret = keep(job, take_ptr(a));
	return 0;
}

/* ---- remote ---- */

static int actions_root(const struct jobrun *job)
{
	return job->opt->actions_dir;
}

static const char *prepared_dir(
	const struct jobrun *job, const char *uses, const char **sha)
{
	const struct json *list = job->spec->actions;

	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *j = json_at(list, i);

		if (str_eq(json_get_str(j, "uses", ""), uses)) {
			*sha = json_get_str(j, "sha", "");
			return json_get_str(j, "dir", NULL);
		}
	}
	return NULL;
}

/*
 * From the folder of work trees, else over the network: the helper writes OWNER/REPO/SHA
 * below actions/ and tells which commit the ref is.
 */
static int import_action(
	struct jobrun *job, struct used_action *a, const struct uses *u, struct err *err)
{
	const struct spec *s = job->spec;
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	_cleanup_close_ int fd = -1;
	int fds[2] = { actions_root(job), job->dirs[DIR_STAGE] };

	if (s->actions_dir) {
		_cleanup_free_ char *tree = path_join(s->actions_dir, a->repository);

		fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0 && !s->actions_url)
		return err_set(err, ERR_NOT_FOUND,
			"Unable to resolve action `%s`, repository not found: %s; %s", a->uses,
			s->actions_dir ? "it is not in 'actions.dir'" :
					 "this server knows no actions but its own",
			"set 'actions.url' to fetch such from, or put it below 'actions.dir' "
			"(sluice run: --actions-dir)");
	if (actions_root(job) < 0)
		return err_set(
			err, ERR_UNSUPPORTED, "there is no place to keep actions in");
	json_set_str(head, "op", "action");
	json_set_str(head, "owner", u->owner);
	json_set_str(head, "repo", u->repo);
	json_set_str(head, "ref", u->ref);
	if (u->path && *u->path)
		json_set_str(head, "path", u->path);
	if (fd >= 0)
		json_set_bool(head, "local", true);
	else
		json_set_str(head, "url", s->actions_url);
	if (assist(job, "actions", fds, 2, head, fd, 0, &m, err) < 0)
		return err_wrap(err, "Unable to resolve action `%s`", a->uses);
	a->sha = xstrdup(json_get_str(m.head, "sha", ""));
	a->cache_dir = xstrdup(json_get_str(m.head, "dir", ""));
	if (!path_is_name(a->sha) || !path_is_clean(a->cache_dir))
		return err_set(err, ERR_BUG, "the helper's answer names no commit");
	return 0;
}

static int read_remote_meta(struct jobrun *job, struct used_action *a, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(action_files); i++) {
		_cleanup_free_ char *dir = below(a->cache_dir, a->path);
		_cleanup_free_ char *path =
			path_join(*a->path ? dir : a->cache_dir, action_files[i]);
		struct err why = ERR_INIT;

		strbuf_clear(&a->text);
		if (fd_read_file(actions_root(job), path, ACTION_FILE_MAX, &a->text,
			    &why) == 0)
			return read_meta(a, action_files[i], err);
		if (why.code != ERR_NOT_FOUND) {
			if (err)
				*err = why;
			return -1;
		}
	}
	return err_set(err, ERR_NOT_FOUND,
		"Can't find 'action.yml', 'action.yaml' or 'Dockerfile' for action '%s'",
		a->uses);
}

static int resolve(struct jobrun *job, const char *uses, int depth,
	const struct used_action **ret, struct err *err);

/* Actions that the steps of a composite use, recursively. */
static int resolve_nested(
	struct jobrun *job, const struct used_action *a, int depth, struct err *err)
{
	if (depth >= LIMIT_COMPOSITE_DEPTH)
		return err_set(err, ERR_LIMIT,
			"'%s': composite actions are nested more than %d deep", a->uses,
			LIMIT_COMPOSITE_DEPTH);
	for (size_t i = 0; i < a->steps_len; i++) {
		const struct used_action *ignored;
		const char *uses = a->steps[i].uses;

		if (uses && !str_starts(uses, "./") && !str_starts(uses, "$/") &&
			resolve(job, uses, depth + 1, &ignored, err) < 0)
			return -1;
	}
	return 0;
}

static int remote_action(struct jobrun *job, const char *uses, const struct uses *u,
	int depth, const struct used_action **ret, struct err *err)
{
	_cleanup_(used_freep) struct used_action *a = used_new(uses, USED_REMOTE);
	const char *sha = NULL, *dir;

	a->repository = xasprintf("%s/%s", u->owner, u->repo);
	a->path = xstrdup(u->path ? u->path : "");
	a->ref = xstrdup(u->ref);
	if (*a->path && !path_is_clean(a->path))
		return err_set(err, ERR_INPUT, "'%s' is not a path beneath", uses);
	dir = prepared_dir(job, uses, &sha);
	if (dir && path_is_clean(dir) && path_is_name(sha)) {
		a->cache_dir = xstrdup(dir);
		a->sha = xstrdup(sha);
	} else if (import_action(job, a, u, err) < 0) {
		return -1;
	}
	a->dir = DIR_ACTIONS;
	a->rel = *a->path ? xasprintf("%s/%s/%s", a->repository, a->sha, a->path)
			  : xasprintf("%s/%s", a->repository, a->sha);
	a->inside = xasprintf("%s/%s", INSIDE_ACTIONS, a->rel);
	if (read_remote_meta(job, a, err) < 0)
		return -1;
	/* In the list before its own steps are: one that uses itself ends at the depth. */
	*ret = keep(job, take_ptr(a));
	return resolve_nested(job, *ret, depth, err);
}

static const struct used_action *find(const struct jobrun *job, const char *uses)
{
	for (size_t i = 0; i < job->actions_len; i++)
		if (job->actions[i]->kind != USED_LOCAL &&
			str_eq(job->actions[i]->uses, uses))
			return job->actions[i];
	return NULL;
}

static int resolve(struct jobrun *job, const char *uses, int depth,
	const struct used_action **ret, struct err *err)
{
	_cleanup_(arena_freep) struct arena *arena = arena_new();
	struct uses u = uses_parse(uses, arena);
	const struct used_action *known = find(job, uses);
	const struct builtin *b;

	if (known) {
		*ret = known;
		return depth < LIMIT_COMPOSITE_DEPTH
			       ? 0
			       : resolve_nested(job, known, depth, err);
	}
	if (u.kind == USES_DOCKER)
		return err_set(err, ERR_UNSUPPORTED,
			"'%s' runs in a container, which this build cannot start", uses);
	if (u.kind != USES_REMOTE)
		return err_set(err, ERR_INPUT, "'%s' is not an action", uses);
	{
		_cleanup_free_ char *repository = xasprintf("%s/%s", u.owner, u.repo);

		b = builtin_find(repository, u.path ? u.path : "");
	}
	if (b) {
		struct used_action *a = used_new(uses, USED_BUILTIN);

		a->builtin = b;
		a->rel = xstrdup("");
		a->inside = xstrdup(INSIDE_ACTIONS);
		*ret = keep(job, a);
		return 0;
	}
	return remote_action(job, uses, &u, depth, ret, err);
}

int actions_resolve(struct jobrun *job, struct err *err)
{
	for (size_t i = 0; i < job->spec->steps_len; i++) {
		const struct used_action *ignored;
		const char *uses = job->spec->steps[i].uses;

		if (uses && !str_starts(uses, "./") &&
			resolve(job, uses, 0, &ignored, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- into the job ---- */

static int place(struct jobrun *job, const struct used_action *a, struct err *err)
{
	_cleanup_free_ char *to = xasprintf("%s/%s", a->repository, a->sha);
	_cleanup_close_ int fd = -1;

	if (agent_is_dir(job, DIR_ACTIONS, to, NULL) == 0)
		return 0; /* two actions of one repository */
	fd = path_open(actions_root(job), a->cache_dir, O_RDONLY | O_DIRECTORY, 0,
		PATH_NO_SYMLINKS, err);
	if (fd < 0 || agent_copy(job, fd, DIR_ACTIONS, to, err) < 0)
		return err_wrap(err, "action '%s'", a->uses);
	return 0;
}

int actions_place(struct jobrun *job, struct err *err)
{
	for (size_t i = 0; i < job->actions_len; i++)
		if (job->actions[i]->kind == USED_REMOTE &&
			place(job, job->actions[i], err) < 0)
			return -1;
	return 0;
}

/* ---- at a step ---- */

/* `$/path` is a folder of the repository of the file that says so. */
static char *self_uses(const struct scope *scope, const char *path)
{
	const struct used_action *a = scope->action;

	if (!a || a->kind != USED_REMOTE)
		return xasprintf("./%s", path);
	return *path ? xasprintf("%s/%s@%s", a->repository, path, a->ref)
		     : xasprintf("%s@%s", a->repository, a->ref);
}

static char *effective_uses(const struct scope *scope, const char *uses)
{
	return str_starts(uses, "$/") ? self_uses(scope, uses + 2) : xstrdup(uses);
}

const struct used_action *action_known(
	const struct jobrun *job, const struct scope *scope, const char *uses)
{
	_cleanup_free_ char *text = effective_uses(scope, uses);

	return find(job, text);
}

int action_for(struct jobrun *job, const struct scope *scope, const char *uses,
	const struct used_action **ret, struct err *err)
{
	_cleanup_free_ char *text = effective_uses(scope, uses);
	size_t before = job->actions_len;
	struct json *frame;

	if (str_starts(text, "./") || str_eq(text, "."))
		return local_action(job, text, text, ret, err);
	if (resolve(job, text, scope->depth, ret, err) < 0 || actions_place(job, err) < 0)
		return -1;
	for (size_t i = before; i < job->actions_len; i++) {
		if (job->actions[i]->kind != USED_REMOTE)
			continue;
		frame = json_new_object();
		json_set_str(frame, "uses", job->actions[i]->uses);
		json_set_str(frame, "sha", job->actions[i]->sha);
		job_frame(job, JOURNAL_RESOLVED, frame);
	}
	return 0;
}
