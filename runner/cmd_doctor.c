/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice doctor: what this host and account offer, one line a facility, each lack with the
 * command that mends it, and a verdict. --attack tries the escape cases on this very host.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "runner/cmd.h"
#include "runner/config.h"
#include "sandbox/attack.h"
#include "sandbox/sandbox.h"

/* Beyond what the sandbox knows: the data directory. */
enum { DOCTOR_DISK = SANDBOX_FACILITIES, DOCTOR_PRIVATE, DOCTOR_FACTS };

struct doctor {
	struct sandbox_caps caps;
	struct sandbox_fact facts[DOCTOR_FACTS];
	const char *names[DOCTOR_FACTS];
};

/* ---- the data directory ------------------------------------------------------------ */

static const struct {
	long magic;
	const char *name;
	bool is_bad; /* SQLite's locks and fsync are not what they must be */
} filesystems[] = {
	{ 0xef53, "ext4", false },
	{ 0x58465342, "xfs", false },
	{ 0x9123683e, "btrfs", false },
	{ 0x01021994, "tmpfs", false },
	{ 0x2fc12fc1, "zfs", false },
	{ 0x794c7630, "overlay", false },
	{ 0x6969, "nfs", true },
	{ 0xfe534d42, "smb", true },
	{ 0x65735546, "fuse", true },
	{ 0x01021997, "9p", true },
};

static void look_at_disk(const char *dir, struct sandbox_fact *f)
{
	const char *name = "an unknown file system";
	bool is_bad = false;
	struct statfs fs;

	if (statfs(dir, &fs) < 0) {
		f->state = SANDBOX_WEAKER;
		(void)snprintf(f->words, sizeof(f->words), "cannot look at '%.100s': %s",
			dir, err_sys_text(errno));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(filesystems); i++)
		if ((long)fs.f_type == filesystems[i].magic) {
			name = filesystems[i].name;
			is_bad = filesystems[i].is_bad;
		}
	(void)snprintf(f->words, sizeof(f->words),
		"%s, no quota: a job's disk is counted, %lld GB free", name,
		(long long)fs.f_bavail * (long long)fs.f_bsize / 1000000000);
	if (!is_bad)
		return;
	f->state = SANDBOX_MISSING;
	(void)snprintf(f->words, sizeof(f->words),
		"%s: the data must be on a local file system", name);
	(void)snprintf(f->mend, sizeof(f->mend),
		"sluice serve --data DIR   (a DIR on ext4, xfs ...)");
}

/* The nearest folder above PATH that exists; heap. */
static char *existing_parent(const char *path)
{
	char *at = xstrdup(path);

	while (access(at, F_OK) < 0 && strrchr(at, '/') && strrchr(at, '/') != at)
		*strrchr(at, '/') = '\0';
	if (access(at, F_OK) < 0) {
		free(at);
		at = xstrdup("/");
	}
	return at;
}

static void look_at_privacy(const struct config *c, struct sandbox_fact *f)
{
	struct stat data, key;

	if (stat(c->data_dir, &data) < 0) {
		(void)snprintf(f->words, sizeof(f->words),
			"no data yet: '%.100s' will be made 0700", c->data_dir);
		return;
	}
	if (data.st_mode & 0077) {
		f->state = SANDBOX_MISSING;
		(void)snprintf(f->words, sizeof(f->words),
			"others can look into '%.100s' (%04o)", c->data_dir,
			(unsigned)(data.st_mode & 07777));
		(void)snprintf(
			f->mend, sizeof(f->mend), "sudo chmod 700 %.300s", c->data_dir);
		return;
	}
	if (stat(c->key_file, &key) == 0 && (key.st_mode & 0377)) {
		f->state = SANDBOX_MISSING;
		(void)snprintf(f->words, sizeof(f->words),
			"the master key '%.100s' is %04o, not 0400", c->key_file,
			(unsigned)(key.st_mode & 07777));
		(void)snprintf(
			f->mend, sizeof(f->mend), "sudo chmod 400 %.300s", c->key_file);
		return;
	}
	(void)snprintf(f->words, sizeof(f->words),
		"data 0700; key %.100s 0400, outside the data; no other user can read "
		"them",
		c->key_file);
}

/* ---- printing ---------------------------------------------------------------------- */

static const char *const state_marks[] = { "success", "warning", "failure" };
static const char *const state_names[] = { "ok", "weaker", "missing" };

static const char *mark_of(enum sandbox_state s)
{
	return s == SANDBOX_WEAKER ? "!" : cli_mark(state_marks[s]);
}

static enum cli_color color_of(enum sandbox_state s)
{
	static const enum cli_color colors[] = { CLI_GREEN, CLI_YELLOW, CLI_RED };

	return colors[s];
}

static void print_mend(const char *mend)
{
	_cleanup_(strvec_done) struct strvec lines = STRVEC_INIT;
	const char *lead = "mend: ";

	if (!*mend)
		return;
	strvec_split(&lines, mend, '\n');
	strvec_foreach (line, &lines) {
		printf("              %s%s\n", lead, *line);
		lead = "      ";
	}
}

/* Parts that are there and only support others are told when they fail. */
static bool is_shown(const struct doctor *d, int i, bool verbose)
{
	return verbose || d->facts[i].state != SANDBOX_OK ||
	       (i != SANDBOX_FACILITY_PROC && i != SANDBOX_FACILITY_CALLS);
}

static void print_facts(const struct cli_args *a, const struct doctor *d)
{
	for (int i = 0; i < DOCTOR_FACTS; i++) {
		const struct sandbox_fact *f = &d->facts[i];

		if (!is_shown(d, i, cli_verbose(a)) ||
			(cli_quiet(a) && f->state == SANDBOX_OK))
			continue;
		printf("%s%s%s %-11s %s\n", cli_color(stdout, color_of(f->state)),
			mark_of(f->state), cli_color(stdout, CLI_PLAIN), d->names[i],
			f->words);
		print_mend(f->mend);
	}
}

static void list_state(const struct doctor *d, enum sandbox_state s, const char *around,
	struct strbuf *out)
{
	for (int i = 0; i < DOCTOR_FACTS; i++)
		if (d->facts[i].state == s)
			strbuf_addf(out, "%s%s%s%s", out->len ? ", " : "", around,
				d->names[i], around);
}

/* May a job of this kind run here, by the rule the executor itself obeys? */
static bool may(const struct doctor *d, enum sandbox_profile p, enum sandbox_trust t)
{
	return sandbox_decide(&d->caps, p, t, SANDBOX_NET_NONE, NULL) == 0;
}

static bool is_missing(const struct doctor *d)
{
	for (int i = 0; i < DOCTOR_FACTS; i++)
		if (d->facts[i].state == SANDBOX_MISSING)
			return true;
	return false;
}

static void verdict(const struct doctor *d, struct strbuf *out)
{
	_cleanup_(strbuf_done) struct strbuf missing = STRBUF_INIT, weaker = STRBUF_INIT;
	bool untrusted = may(d, SANDBOX_STRICT, SANDBOX_UNTRUSTED);
	bool build = may(d, SANDBOX_BUILD, SANDBOX_TRUSTED);
	bool root = d->caps.idmap != SANDBOX_IDMAP_SELF; /* it needs a range of ids */

	list_state(d, SANDBOX_MISSING, "'", &missing);
	list_state(d, SANDBOX_WEAKER, "", &weaker);
	if (missing.len) {
		strbuf_addf(out, "no job can run here until %s %s mended.", missing.buf,
			strchr(missing.buf, ',') ? "are" : "is");
		return;
	}
	strbuf_addf(out, "%sstandard%s%s", untrusted ? "strict, " : "",
		build ? ", build" : "", root ? ", root" : "");
	if (!weaker.len)
		strbuf_adds(out, ". Nothing is missing.");
	else
		strbuf_addf(out, ", named weaker (%s).", weaker.buf);
	if (!untrusted)
		strbuf_addf(out, " Untrusted work is refused%s.",
			build || root ? "" : "; profiles build and root are not there");
	if (!build && root)
		strbuf_addf(out, " No profile build: %s.", d->caps.no_build);
}

static struct json *facts_json(const struct doctor *d)
{
	struct json *list = json_new_array();

	for (int i = 0; i < DOCTOR_FACTS; i++) {
		_cleanup_(strvec_done) struct strvec mend = STRVEC_INIT;
		struct json *one = json_new_object(), *commands = json_new_array();

		if (*d->facts[i].mend)
			strvec_split(&mend, d->facts[i].mend, '\n');
		strvec_foreach (line, &mend)
			json_push_str(commands, *line);
		json_set_str(one, "name", d->names[i]);
		json_set_str(one, "state", state_names[d->facts[i].state]);
		json_set_str(one, "words", d->facts[i].words);
		json_set_str(one, "weaker", d->facts[i].weaker);
		json_set(one, "mend", commands);
		json_push(list, one);
	}
	return list;
}

static void print_json(const struct doctor *d)
{
	_cleanup_(strbuf_done) struct strbuf words = STRBUF_INIT;
	_cleanup_(json_freep) struct json *all = json_new_object();
	_cleanup_free_ char *text = NULL;
	struct json *profiles = json_new_array();

	verdict(d, &words);
	if (!is_missing(d)) {
		if (may(d, SANDBOX_STRICT, SANDBOX_UNTRUSTED))
			json_push_str(profiles, "strict");
		json_push_str(profiles, "standard");
		if (may(d, SANDBOX_BUILD, SANDBOX_TRUSTED))
			json_push_str(profiles, "build");
	}
	json_set(all, "facilities", facts_json(d));
	json_set_bool(all, "ok", !is_missing(d));
	json_set(all, "profiles", profiles);
	json_set_str(all, "verdict", words.buf);
	text = json_text(all);
	puts(text);
}

static int look(const struct cli_args *a)
{
	_cleanup_(config_freep) struct config *c = NULL;
	_cleanup_(strbuf_done) struct strbuf words = STRBUF_INIT;
	_cleanup_free_ char *dir = NULL;
	struct doctor d = { .names = { NULL } };
	struct err err = ERR_INIT;

	if (config_load(cli_get(a, "config"), NULL, stderr, &c, &err) < 0 ||
		sandbox_probe(&d.caps, &err) < 0)
		return cli_fail(a, &err);
	for (int i = 0; i < SANDBOX_FACILITIES; i++) {
		d.facts[i] = d.caps.facts[i];
		d.names[i] = sandbox_facility_name((enum sandbox_facility)i);
	}
	d.names[DOCTOR_DISK] = "disk";
	d.names[DOCTOR_PRIVATE] = "private";
	dir = existing_parent(c->data_dir);
	look_at_disk(dir, &d.facts[DOCTOR_DISK]);
	look_at_privacy(c, &d.facts[DOCTOR_PRIVATE]);
	if (cli_json(a)) {
		print_json(&d);
	} else {
		print_facts(a, &d);
		verdict(&d, &words);
		printf("verdict: %s\n", words.buf);
	}
	return is_missing(&d) ? CLI_NO : CLI_OK;
}

/* ---- attacks ----------------------------------------------------------------------- */

struct tally {
	const struct cli_args *args;
	struct json *items;
	int held, broke, not_shown;
	struct strbuf quiet_ids; /* what is not shown, for the last line */
};

/* One that held is told when it was asked for, or is one of those that people know; what
 * is not shown stands with its reason in the last line. */
static bool is_told(const struct cli_args *a, const struct sandbox_attack_result *r)
{
	return cli_verbose(a) || cli_arg(a, 0) || r->is_headline;
}

static void on_attack(const struct sandbox_attack_result *r, void *data)
{
	static const char *const words[] = { "held", "broke", "not shown" };
	static const enum sandbox_state states[] = { SANDBOX_OK, SANDBOX_MISSING,
		SANDBOX_WEAKER };
	struct tally *t = data;

	t->held += r->verdict == SANDBOX_ATTACK_HELD;
	t->broke += r->verdict == SANDBOX_ATTACK_BROKE_THROUGH;
	if (r->verdict == SANDBOX_ATTACK_NOT_SHOWN) {
		t->not_shown++;
		strbuf_addf(&t->quiet_ids, "%s%s: %s", t->quiet_ids.len ? ", " : "",
			r->id, r->words);
	}
	if (cli_json(t->args)) {
		struct json *one = json_new_object();

		json_set_str(one, "id", r->id);
		json_set_str(one, "what", r->what);
		json_set_str(one, "verdict", words[r->verdict]);
		json_set_str(one, "words", r->words);
		if (r->design)
			json_set_str(one, "by_design", r->design);
		json_push(t->items, one);
		return;
	}
	if (r->verdict != SANDBOX_ATTACK_BROKE_THROUGH &&
		(cli_quiet(t->args) || !is_told(t->args, r)))
		return;
	printf("%-5s %-49s %s%-9s%s  %s\n", r->id, r->what,
		cli_color(stdout, color_of(states[r->verdict])), words[r->verdict],
		cli_color(stdout, CLI_PLAIN), r->words);
	if (r->design && cli_verbose(t->args))
		printf("%-5s %-49s %s\n", "", "", r->design);
	(void)fflush(stdout); /* one line an attack, as it is known */
}

static void print_tally(const struct tally *t)
{
	int all = t->held + t->broke + t->not_shown;

	printf("%d attacks: %d held, %d broke through, %d not shown", all, t->held,
		t->broke, t->not_shown);
	if (t->not_shown)
		printf(" (%s)", t->quiet_ids.buf);
	puts(cli_verbose(t->args) || cli_arg(t->args, 0) ? "." : ".  -v: all of them");
}

static int attack(const struct cli_args *a, enum sandbox_profile profile)
{
	static const char *const prefix[] = { "doctor", "--probe", NULL };
	_cleanup_(sandbox_cgroup_tree_freep) struct sandbox_cgroup_tree *tree = NULL;
	_cleanup_(sandbox_host_freep) struct sandbox_host *host = NULL;
	_cleanup_(json_freep) struct json *all = json_new_object();
	char group[32];
	struct tally t = {
		.args = a, .items = json_new_array(), .quiet_ids = STRBUF_INIT
	};
	struct sandbox_attack_options opts = {
		.sandbox = SANDBOX_OPTIONS_INIT,
		.prefix = prefix,
		.only = cli_arg(a, 0),
		.fn = on_attack,
		.data = &t,
	};
	struct err err = ERR_INIT;
	int rc;

	json_set(all, "items", t.items);
	/* The strictest rules, but trusted: so that it can be tried on a weaker host, too. */
	opts.sandbox.trust = SANDBOX_TRUSTED;
	opts.sandbox.profile = profile;
	(void)snprintf(group, sizeof(group), "doctor-%d", (int)getpid());
	if (sandbox_cgroup_tree_open(&tree, NULL) == 0) {
		opts.sandbox.cgroup_tree = tree;
		opts.sandbox.cgroup_name = group;
	}
	if (sandbox_host_open(&host, &err) < 0 ||
		sandbox_ids_for(
			sandbox_host_caps(host), 0, 0, 0, &opts.sandbox.ids, &err) < 0 ||
		(sandbox_profile_is_wide(profile) &&
			sandbox_ids_widen(&opts.sandbox.ids, &err) < 0) ||
		sandbox_attack_run(host, &opts, &err) < 0) {
		strbuf_done(&t.quiet_ids);
		return cli_fail(a, &err);
	}
	rc = t.broke || !(t.held + t.not_shown) ? CLI_NO : CLI_OK;
	if (cli_json(a)) {
		_cleanup_free_ char *text = NULL;

		json_set_bool(all, "ok", rc == CLI_OK);
		text = json_text(all);
		puts(text);
	} else {
		print_tally(&t);
	}
	strbuf_done(&t.quiet_ids);
	return rc;
}

/* ---- the verb ---------------------------------------------------------------------- */

/* Inside a sandbox and outside, as the control: one attack, told by lines. */
static int probe(const struct cli_args *a)
{
	_cleanup_(strvec_done) struct strvec argv = STRVEC_INIT;

	strvec_push(&argv, cli_get(a, "probe"));
	for (size_t i = 0; i < cli_count(a); i++)
		strvec_push(&argv, cli_arg(a, i));
	return sandbox_attack_probe((const char *const *)argv.v);
}

static int run(const struct cli_args *a)
{
	enum sandbox_profile profile = SANDBOX_STRICT;

	if (cli_has(a, "probe"))
		return probe(a);
	if (cli_get(a, "profile") && sandbox_profile_parse(cli_get(a, "profile"), &profile) < 0)
		return cli_error(a, CLI_USAGE,
			"'%s' is no profile: strict, standard, root or build", cli_get(a, "profile"));
	if (cli_has(a, "attack"))
		return attack(a, profile);
	if (cli_count(a))
		return cli_error(a, CLI_USAGE,
			"'%s' is the id of an attack: give --attack, too", cli_arg(a, 0));
	return look(a);
}

static const struct cli_opt opts[] = {
	{ "attack", 0, NULL,
		"try the escapes here: each outside, then in a job" },
	{ "profile", 0, "NAME", "what --attack tries: strict, standard, root, build" },
	{ "format", 0, "text|json", "JSON is one object" },
	{ "config", 0, "FILE", "instead of $SLUICE_CONFIG or /etc/sluice/sluice.yml" },
	{ "probe", 0, "ID", "one attack's probe, used by --attack itself" },
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_doctor = {
	.name = "doctor",
	.group = "operate",
	.usage = "[--config FILE] [--format text|json]\n--attack [ID] [--profile NAME]",
	.summary = "Say what this host offers to confine jobs, and how to mend what is "
		   "missing",
	.opts = opts,
	.example = "sluice doctor --attack",
	.exits = "0 jobs can run, 1 they cannot (or an attack broke through), 2 usage",
	.args_min = 0,
	.args_max = -1,
	.run = run,
};

int cmd_doctor(int argc, char **argv)
{
	return cli_run(&verb_doctor, argc, argv);
}
