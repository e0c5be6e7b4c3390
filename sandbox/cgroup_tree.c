/* SPDX-License-Identifier: Apache-2.0 */
/* Which control groups this account may use, and the place where jobs' groups are made. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "sandbox/cgroup-internal.h"
#include "sandbox/sandbox-internal.h"

static const struct {
	const char *name;
	enum sandbox_controllers bit;
} controllers[SANDBOX_CGROUP_FDS] = {
	[G_V2] = { "", 0 },
	[G_MEMORY] = { "memory", SANDBOX_CTL_MEMORY },
	[G_PIDS] = { "pids", SANDBOX_CTL_PIDS },
	[G_CPU] = { "cpu", SANDBOX_CTL_CPU },
};

/* ---- where we are ------------------------------------------------------------------ */

static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += len)
		if ((at == list || strchr(", ", at[-1])) && strchr(", \n", at[len]))
			return true;
	return false;
}

/* The path of our own group in the hierarchy of CONTROLLER ("" for v2); heap or NULL. */
static char *own_path(const char *text, const char *controller)
{
	_cleanup_(strvec_done) struct strvec lines = STRVEC_INIT;

	strvec_split(&lines, text, '\n');
	strvec_foreach (line, &lines) {
		char *names = strchr(*line, ':');
		char *path = names ? strchr(names + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		names++;
		if (*controller ? has_word(names, controller) : !*names)
			return xstrdup(path);
	}
	return NULL;
}

struct mountinfo {
	char *root, *point, *type, *options;
};

/* Fields 4 and 5, then what follows " - ": type, source, options. Cuts LINE. */
static bool mountinfo_parse(char *line, struct mountinfo *ret)
{
	char *tail = strstr(line, " - ");
	char *save = NULL, *field = NULL;

	if (!tail)
		return false;
	*tail = '\0';
	field = strtok_r(line, " ", &save);
	for (int i = 1; field && i < 4; i++)
		field = strtok_r(NULL, " ", &save);
	ret->root = field;
	ret->point = strtok_r(NULL, " ", &save);
	ret->type = strtok_r(tail + 3, " ", &save);
	(void)strtok_r(NULL, " ", &save);
	ret->options = strtok_r(NULL, " ", &save);
	return ret->root && ret->point && ret->type && ret->options;
}

/* The directory of our own group for CONTROLLER, as a path; NULL where there is none. */
static char *own_directory(
	const char *cgroups, const char *mounts, const char *controller)
{
	_cleanup_(strvec_done) struct strvec lines = STRVEC_INIT;
	_cleanup_free_ char *own = own_path(cgroups, controller);

	if (!own)
		return NULL;
	strvec_split(&lines, mounts, '\n');
	strvec_foreach (line, &lines) {
		struct mountinfo m;
		const char *rest = own;
		size_t len;

		if (!mountinfo_parse(*line, &m) ||
			strcmp(m.type, *controller ? "cgroup" : "cgroup2") != 0)
			continue;
		if (*controller && !has_word(m.options, controller))
			continue;
		/* A container sees its own group as the root of the mount. */
		len = strcmp(m.root, "/") ? strlen(m.root) : 0;
		if (len && !strncmp(own, m.root, len) && (!own[len] || own[len] == '/'))
			rest = own + len;
		return xasprintf("%s%s", m.point, strcmp(rest, "/") ? rest : "");
	}
	return NULL;
}

static void read_proc(const char *path, struct strbuf *sb)
{
	(void)fd_read_file(AT_FDCWD, path, 1 << 20, sb, NULL); /* empty: there are none */
}

static bool file_has_word(const char *dir, const char *file, const char *word)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_free_ char *path = path_join(dir, file);

	read_proc(path, &text);
	return has_word(text.buf, word);
}

struct places {
	enum sandbox_cgroup_kind kind;
	enum sandbox_controllers controllers;
	char *dirs[SANDBOX_CGROUP_FDS];
};

static void places_done(struct places *p)
{
	for (int i = 0; i < SANDBOX_CGROUP_FDS; i++)
		free(p->dirs[i]);
}

/* Changes nothing. A directory we may not write to does not count. */
static void places_find(struct places *ret)
{
	_cleanup_(strbuf_done) struct strbuf cgroups = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf mounts = STRBUF_INIT;

	*ret = (struct places){ .kind = SANDBOX_CGROUP_NONE };
	read_proc("/proc/self/cgroup", &cgroups);
	read_proc("/proc/self/mountinfo", &mounts);
	for (int i = 0; i < SANDBOX_CGROUP_FDS; i++) {
		char *dir = own_directory(cgroups.buf, mounts.buf, controllers[i].name);

		if (dir && access(dir, W_OK | X_OK) < 0) {
			free(dir);
			dir = NULL;
		}
		ret->dirs[i] = dir;
		if (i != G_V2 && dir)
			ret->controllers |= controllers[i].bit;
	}
	if (ret->controllers) {
		ret->kind = SANDBOX_CGROUP_HYBRID;
	} else if (ret->dirs[G_V2]) {
		ret->kind = SANDBOX_CGROUP_V2;
		for (int i = 1; i < SANDBOX_CGROUP_FDS; i++)
			if (file_has_word(ret->dirs[G_V2], "cgroup.controllers",
				    controllers[i].name))
				ret->controllers |= controllers[i].bit;
		if (file_has_word(ret->dirs[G_V2], "cgroup.controllers", "io"))
			ret->controllers |= SANDBOX_CTL_IO;
	}
}

static void cgroup_words(const struct places *p, struct sandbox_fact *f)
{
	static const char *const kinds[] = { "none", "v1 limits, v2 kill and freeze",
		"v2" };
	char list[64] = "";

	for (int i = 1; i < SANDBOX_CGROUP_FDS; i++)
		if (p->controllers & controllers[i].bit) {
			child_cat(list, sizeof(list), " ");
			child_cat(list, sizeof(list), controllers[i].name);
		}
	if (p->controllers & SANDBOX_CTL_IO)
		child_cat(list, sizeof(list), " io");
	if (p->kind == SANDBOX_CGROUP_HYBRID && !p->dirs[G_V2])
		(void)snprintf(f->words, sizeof(f->words), "v1, no v2 tree:%s", list);
	else
		(void)snprintf(f->words, sizeof(f->words), "%s:%s", kinds[p->kind],
			*list ? list : " no controllers");
	if ((p->controllers & SANDBOX_CTL_MEMORY) && (p->controllers & SANDBOX_CTL_PIDS))
		return;
	f->state = SANDBOX_WEAKER;
	if (p->kind == SANDBOX_CGROUP_NONE)
		(void)snprintf(f->words, sizeof(f->words),
			"none is ours to use: memory and processes of a job are limited "
			"by rlimits alone");
	(void)snprintf(f->weaker, sizeof(f->weaker), "cgroup: no %s limit",
		p->controllers & SANDBOX_CTL_MEMORY ? "process"
		: p->controllers & SANDBOX_CTL_PIDS ? "memory"
						    : "memory or process");
	(void)snprintf(f->mend, sizeof(f->mend),
		"systemd-run --user --scope -p Delegate=yes sluice run ...\n"
		"sudo systemctl enable --now sluice-spawner.service   (the server)");
}

void cgroup_probe(struct sandbox_caps *caps)
{
	_cleanup_(places_done) struct places p = { 0 };

	places_find(&p);
	caps->cgroup = p.kind;
	caps->controllers = p.controllers;
	cgroup_words(&p, &caps->facts[SANDBOX_FACILITY_CGROUP]);
}

/* ---- the tree ---------------------------------------------------------------------- */

int cgroup_open_dir(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/*
 * v2 lets a group hold processes or hand controllers on, not both: we go into a leaf of
 * our own first. The root group is exempt from that, and so is a tree without controllers.
 */
static int delegate(int own, enum sandbox_controllers bits, struct err *err)
{
	if (!bits)
		return 0;
	if (mkdirat(own, "sluice-self", 0755) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make the cgroup 'sluice-self'");
	if (child_write_file(own, "sluice-self/cgroup.procs", "0") < 0)
		return err_sys(err, "cannot enter the cgroup 'sluice-self'");
	return 0;
}

static void enable(int group, enum sandbox_controllers bits)
{
	static const struct {
		enum sandbox_controllers bit;
		const char *text;
	} all[] = { { SANDBOX_CTL_MEMORY, "+memory" }, { SANDBOX_CTL_PIDS, "+pids" },
		{ SANDBOX_CTL_CPU, "+cpu" }, { SANDBOX_CTL_IO, "+io" } };

	/* What could not be enabled is missing in the job's group, and is seen there. */
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (bits & all[i].bit)
			(void)child_write_file(
				group, "cgroup.subtree_control", all[i].text);
}

/*
 * The group "sluice" is shared by every server and `sluice run` of this account, and stays:
 * who removed it when leaving would take it from another that has it open and idle.
 */
static int tree_add(
	struct sandbox_cgroup_tree *t, const struct places *p, int i, struct err *err)
{
	_cleanup_close_ int own = -1;

	if (!p->dirs[i])
		return 0;
	own = open(p->dirs[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (own < 0)
		return err_sys(err, "cannot open '%s'", p->dirs[i]);
	if (i == G_V2 && p->kind == SANDBOX_CGROUP_V2) {
		if (delegate(own, p->controllers, err) < 0)
			return -1;
		enable(own, p->controllers);
	}
	if (mkdirat(own, "sluice", 0755) < 0 && errno != EEXIST)
		return err_sys(err, "cannot make '%s/sluice'", p->dirs[i]);
	t->parents[i] = cgroup_open_dir(own, "sluice");
	if (t->parents[i] < 0)
		return err_sys(err, "cannot open '%s/sluice'", p->dirs[i]);
	if (i == G_V2 && p->kind == SANDBOX_CGROUP_V2)
		enable(t->parents[i], p->controllers);
	return 0;
}

/* The kernel asks for the right over the nearest group that is above both. */
void sandbox_cgroup_tree_hand(struct sandbox_cgroup_tree *t, uid_t owner)
{
	_cleanup_close_ int self = -1;
	int place = t->parents[G_V2];

	if (place < 0)
		return;
	(void)mkdirat(place, CGROUP_SELF, 0755); /* or it is there */
	self = cgroup_open_dir(place, CGROUP_SELF);
	if (self >= 0 && child_write_file(self, "cgroup.procs", "0") == 0 &&
		fchownat(place, "cgroup.procs", owner, (gid_t)-1, 0) == 0)
		t->bearer = owner;
}

int sandbox_cgroup_tree_open(struct sandbox_cgroup_tree **ret, struct err *err)
{
	_cleanup_(sandbox_cgroup_tree_freep) struct sandbox_cgroup_tree *t =
		xcalloc(1, sizeof(*t));
	_cleanup_(places_done) struct places p = { 0 };

	for (int i = 0; i < SANDBOX_CGROUP_FDS; i++)
		t->parents[i] = -1;
	t->bearer = (uid_t)-1;
	places_find(&p);
	t->kind = p.kind;
	t->controllers = p.controllers;
	for (int i = 0; i < SANDBOX_CGROUP_FDS; i++)
		if (p.kind != SANDBOX_CGROUP_NONE && tree_add(t, &p, i, err) < 0)
			return -1;
	*ret = take_ptr(t);
	return 0;
}

void sandbox_cgroup_tree_free(struct sandbox_cgroup_tree *t)
{
	if (!t)
		return;
	for (int i = 0; i < SANDBOX_CGROUP_FDS; i++)
		cleanup_closep(&t->parents[i]);
	free(t);
}
