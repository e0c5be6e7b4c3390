/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `sluice run` runs: the tree, the workflow files in it that want the event, and the
 * event itself out of flags, payload and the tree's own git.
 */
#include "runner/run-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/helper.h"
#include "runner/github_context.h"
#include "runner/tree.h"
#include "workflows/workflow.h"

#define WORKFLOW_DIR ".github/workflows"

/* ---- the tree ---------------------------------------------------------------------- */

static char *absolute(const char *path, struct err *err)
{
	char *full = realpath(path, NULL);

	if (!full)
		(void)err_sys(err, "cannot open '%s'", path);
	return full;
}

/* Upwards to the folder that has .git; else where we stand. */
static char *find_root(void)
{
	char *at = realpath(".", NULL);
	_cleanup_free_ char *first = at ? xstrdup(at) : NULL;

	while (at && *at && strcmp(at, "/") != 0) {
		_cleanup_free_ char *git = path_join(at, ".git");

		if (access(git, F_OK) == 0)
			return at;
		*strrchr(at, '/') = '\0';
	}
	free(at);
	return take_ptr(first);
}

static int open_tree(const struct run_options *o, struct tree *t, struct err *err)
{
	t->root = o->dir ? absolute(o->dir, err) : find_root();
	if (!t->root)
		return o->dir ? -1 : err_sys(err, "cannot tell the working directory");
	t->root_fd = open(t->root, O_DIRECTORY | O_CLOEXEC);
	if (t->root_fd < 0)
		return err_sys(err, "cannot open '%s'", t->root);
	t->actions_dir = o->actions_dir;
	return 0;
}

/* ---- the files --------------------------------------------------------------------- */

static bool is_workflow_name(const char *name)
{
	return str_ends(name, ".yml") || str_ends(name, ".yaml");
}

static char *path_in_tree(const struct tree *t, const char *full)
{
	size_t n = strlen(t->root);

	if (strncmp(full, t->root, n) == 0 && full[n] == '/')
		return xstrdup(full + n + 1);
	return xasprintf(WORKFLOW_DIR "/%s", path_base(full));
}

static void read_triggers(struct run_file *f)
{
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct workflow *w = NULL;

	workflow_parse_lenient(f->path, f->data.buf, f->data.len, &w, &d);
	diagnostics_done(&d);
	f->name = xstrdup(w && !str_eq(w->name, f->path) ? w->name : "");
	if (!w)
		return;
	for (size_t i = 0; i < w->triggers_len; i++)
		(void)strvec_push(&f->events, w->triggers[i].event);
	workflow_free(w);
}

static int add_file(
	struct run_event *e, const char *path, const char *shown, struct err *err)
{
	_cleanup_free_ char *full = absolute(path, err);
	struct run_file *f;

	if (!full)
		return -1;
	if (e->files_len >= LIMIT_WORKFLOW_FILES)
		return err_set(err, ERR_LIMIT, "more than %d workflow files",
			LIMIT_WORKFLOW_FILES);
	e->files = xreallocarray(e->files, e->files_len + 1, sizeof(*e->files));
	f = &e->files[e->files_len];
	*f = (struct run_file){ .data = STRBUF_INIT, .events = STRVEC_INIT };
	if (tree_read_file(full, &f->data, err) < 0) {
		strbuf_done(&f->data);
		return -1;
	}
	e->files_len++;
	f->path = path_in_tree(e->tree, full);
	f->shown = xstrdup(shown);
	read_triggers(f);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int add_dir(struct run_event *e, const char *dir, struct err *err)
{
	DIR *d = opendir(dir);
	const struct dirent *de;
	struct strvec names = STRVEC_INIT;
	int rc = 0;

	if (!d)
		return err_sys(err, "cannot open '%s'", dir);
	while ((de = readdir(d)))
		if (is_workflow_name(de->d_name))
			(void)strvec_push(&names, de->d_name);
	(void)closedir(d);
	qsort(names.v, names.len, sizeof(*names.v), by_name);
	strvec_foreach (name, &names) {
		_cleanup_free_ char *path = path_join(dir, *name);
		struct stat st;

		if (rc == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode))
			rc = add_file(e, path, *name, err);
	}
	strvec_done(&names);
	if (rc == 0 && e->files_len == 0)
		return err_set(
			err, ERR_NOT_FOUND, "no workflow (*.yml, *.yaml) in '%s'", dir);
	return rc;
}

static bool wants(const struct run_file *f, const char *event)
{
	strvec_foreach (name, &f->events)
		if (str_eq(*name, event))
			return true;
	return false;
}

/* "push (a.yml, b.yml), release (c.yml)" */
static void list_events(const struct run_event *e, struct strbuf *out)
{
	struct strvec seen = STRVEC_INIT;

	for (size_t i = 0; i < e->files_len; i++)
		strvec_foreach (name, &e->files[i].events) {
			const char *sep = "";

			if (strvec_has(&seen, *name))
				continue;
			(void)strvec_push(&seen, *name);
			strbuf_addf(out, "%s%s (", out->len ? ", " : "", *name);
			for (size_t k = 0; k < e->files_len; k++)
				if (wants(&e->files[k], *name)) {
					strbuf_addf(out, "%s%s", sep,
						path_base(e->files[k].path));
					sep = ", ";
				}
			strbuf_addc(out, ')');
		}
	strvec_done(&seen);
}

static int choose(const struct run_options *o, struct run_event *e, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf have = STRBUF_INIT;
	size_t n = 0;

	e->name = xstrdup(o->event ? o->event : "push");
	if (!o->event && !o->payload && e->files_len == 1 &&
		!wants(&e->files[0], "push") && e->files[0].events.len > 0) {
		free(e->name);
		e->name = xstrdup(e->files[0].events.v[0]);
	}
	for (size_t i = 0; i < e->files_len; i++) {
		/* A file that cannot be read is planned too: that is where it is said. */
		e->files[i].is_wanted =
			wants(&e->files[i], e->name) || e->files[i].events.len == 0;
		n += e->files[i].is_wanted;
	}
	if (n > 0)
		return 0;
	list_events(e, &have);
	return err_set(err, ERR_NOT_FOUND,
		"no workflow here has 'on: %s'; these have: %s", e->name, have.buf);
}

int run_event_open(const struct run_options *o, struct run_event *e, struct err *err)
{
	_cleanup_free_ char *where = NULL;
	struct stat st;

	e->tree = xcalloc(1, sizeof(*e->tree));
	*e->tree = (struct tree)TREE_INIT;
	if (open_tree(o, e->tree, err) < 0)
		return -1;
	e->root = e->tree->root;
	where = o->where ? xstrdup(o->where) : path_join(e->tree->root, WORKFLOW_DIR);
	if (stat(where, &st) < 0)
		return o->where ? err_sys(err, "cannot open '%s'", where)
				: err_set(err, ERR_NOT_FOUND,
					  "no '" WORKFLOW_DIR
					  "' in '%s'; name a file or a "
					  "folder with -W",
					  e->tree->root);
	if ((S_ISDIR(st.st_mode) ? add_dir(e, where, err)
				 : add_file(e, where, where, err)) < 0)
		return -1;
	return choose(o, e, err);
}

void run_event_done(struct run_event *e)
{
	for (size_t i = 0; i < e->files_len; i++) {
		free(e->files[i].path);
		free(e->files[i].shown);
		free(e->files[i].name);
		strbuf_done(&e->files[i].data);
		strvec_done(&e->files[i].events);
	}
	free(e->files);
	free(e->name);
	free(e->repository);
	free(e->git.sha);
	free(e->git.ref);
	free(e->git.branch);
	free(e->git.url);
	json_free(e->github);
	json_free(e->inputs);
	json_free(e->document);
	if (e->tree)
		tree_done(e->tree);
	free(e->tree);
}

int run_event_source(struct run_event *e, const char *repository, const char *ref,
	const char *path, struct strbuf *out, struct err *err)
{
	const struct source s = { repository, ref, path };

	return tree_load(&s, out, err, e->tree);
}

/* ---- the tree's own git ------------------------------------------------------------ */

static int ask_git(struct run_event *e, struct err *err)
{
	_cleanup_(helper_cleanup) struct helper h = HELPER_INIT;
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	_cleanup_(json_freep) struct json *head = json_new_object();
	struct helper_options o = HELPER_OPTIONS_INIT;

	o.mode = "tree";
	o.fds = &e->tree->root_fd;
	o.fds_len = 1;
	json_set_str(head, "op", "info");
	if (helper_spawn(&o, &h, err) < 0 ||
		helper_call(&h, head, NULL, 0, NULL, 0, 30000, &m, err) < 0)
		return -1;
	e->git.sha = xstrdup_null(json_get_str(m.head, "sha", NULL));
	e->git.ref = xstrdup_null(json_get_str(m.head, "ref", NULL));
	e->git.branch = xstrdup_null(json_get_str(m.head, "branch", NULL));
	e->git.url = xstrdup_null(json_get_str(m.head, "url", NULL));
	e->git.changed =
		json_get_int(m.head, "changed_count", 0); /* with the untracked */
	e->git.is_git = json_get_bool(m.head, "is_git", false);
	return 0;
}

/* "https://host/owner/name.git", "git@host:owner/name" -> "owner/name", heap, or NULL. */
static char *repository_of(const char *url)
{
	const char *end, *slash, *owner;

	if (!url)
		return NULL;
	end = url + strlen(url);
	if (str_ends(url, ".git"))
		end -= 4;
	for (slash = end; slash > url && slash[-1] != '/'; slash--)
		;
	if (slash - 1 <= url)
		return NULL;
	for (owner = slash - 1; owner > url && owner[-1] != '/' && owner[-1] != ':';
		owner--)
		;
	if (owner >= slash - 1 || slash == end)
		return NULL;
	return xstrndup(owner, (size_t)(end - owner));
}

static bool is_full_name(const char *name)
{
	const char *slash = strchr(name, '/');

	return slash && slash > name && slash[1] && !strchr(slash + 1, '/');
}

static void set_repository(struct run_event *e)
{
	const char *named = json_get_str(e->github, "repository", NULL);
	_cleanup_free_ char *own = repository_of(e->git.url);
	_cleanup_free_ char *base = NULL;

	if (named && is_full_name(named)) {
		e->repository = xstrdup(named);
		return;
	}
	if (own && is_full_name(own)) {
		e->repository = take_ptr(own);
		return;
	}
	base = xstrdup(path_base(e->tree->root));
	for (char *p = base; *p; p++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-",
			    *p))
			*p = '-';
	e->repository = xasprintf("local/%s", *base && *base != '.' ? base : "tree");
}

/* ---- the event --------------------------------------------------------------------- */

static int read_payload(const struct run_options *o, struct json **ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	if (!o->payload) {
		*ret = NULL;
		return 0;
	}
	if (fd_read_file(AT_FDCWD, o->payload, LIMIT_HOOK_BODY, &text, err) < 0)
		return -1;
	if (json_parse(text.buf, text.len, ret, err) < 0)
		return err_wrap(err, "'%s'", o->payload);
	if (!json_is(*ret, JSON_KIND_OBJECT))
		return err_set(err, ERR_INPUT, "'%s' holds no JSON object", o->payload);
	return 0;
}

static void add_input(struct json *inputs, const char *pair)
{
	const char *eq = strchr(pair, '=');
	_cleanup_free_ char *name = xstrndup(pair, (size_t)(eq - pair));

	json_set_str(inputs, name, eq + 1);
}

static void set_inputs(
	const struct run_options *o, struct run_event *e, const struct json *payload)
{
	const struct json *given = json_get(payload, "inputs");

	e->inputs =
		json_is(given, JSON_KIND_OBJECT) ? json_clone(given) : json_new_object();
	strvec_foreach (pair, &o->inputs)
		add_input(e->inputs, *pair);
}

static void set_default(struct json *j, const char *key, const char *value)
{
	if (value && !json_get(j, key))
		json_set_str(j, key, value);
}

static const char *user_name(void)
{
	const struct passwd *pw = getpwuid(getuid());

	return pw ? pw->pw_name : "somebody";
}

static const char zero_sha[] = "0000000000000000000000000000000000000000";

static void fill_github(struct run_event *e)
{
	struct json *g = e->github, *event = json_get(g, "event");
	const char *slash;
	_cleanup_free_ char *owner = NULL;

	set_default(g, "sha", e->git.sha ? e->git.sha : zero_sha);
	if (!json_get(g, "ref")) {
		json_set_str(g, "ref", e->git.ref ? e->git.ref : "refs/heads/main");
		json_set_str(g, "ref_name", e->git.branch ? e->git.branch : "main");
		json_set_str(g, "ref_type", "branch");
	}
	set_default(g, "repository", e->repository);
	slash = strchr(e->repository, '/');
	owner = xstrndup(e->repository, (size_t)(slash - e->repository));
	set_default(g, "repository_owner", owner);
	set_default(g, "actor", user_name());
	set_default(g, "triggering_actor", json_get_str(g, "actor", ""));
	set_default(g, "base_ref", "");
	set_default(g, "head_ref", "");
	if (json_count(e->inputs) > 0 && json_is(event, JSON_KIND_OBJECT) &&
		!json_get(event, "inputs") && str_eq(e->name, "workflow_dispatch"))
		json_set(event, "inputs", json_clone(e->inputs));
}

int run_event_fill(const struct run_options *o, struct run_event *e, struct err *err)
{
	_cleanup_(json_freep) struct json *payload = NULL;

	if (read_payload(o, &payload, err) < 0 || ask_git(e, err) < 0)
		return -1;
	e->github = github_context_of(e->name, payload);
	set_inputs(o, e, payload);
	set_repository(e);
	fill_github(e);
	e->document = json_new_object();
	json_set(e->document, "github", json_share(e->github));
	json_set(e->document, "inputs", json_share(e->inputs));
	return 0;
}

void run_event_commit(const struct run_event *e, struct strbuf *out)
{
	if (!e->git.is_git) {
		strbuf_adds(out, "a tree without git");
		return;
	}
	strbuf_addf(out, "%s %.7s", e->git.branch ? e->git.branch : "detached",
		e->git.sha ? e->git.sha : "(no commit)");
	if (e->git.changed > 0)
		strbuf_addf(out, " + %" PRId64 " changed file%s", e->git.changed,
			e->git.changed == 1 ? "" : "s");
}

void run_event_files(const struct run_event *e, struct strbuf *out)
{
	const struct run_file *only = NULL;
	size_t n = 0;

	for (size_t i = 0; i < e->files_len; i++)
		if (e->files[i].is_wanted) {
			only = &e->files[i];
			n++;
		}
	if (n == 1)
		strbuf_adds(out, path_base(only->path));
	else
		strbuf_addf(out, "%zu workflows", n);
}
