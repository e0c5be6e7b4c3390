/* SPDX-License-Identifier: Apache-2.0 */
/* The table of configuration keys, and what is made of it. */
#include "runner/config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "runner/labels.h"
#include "workflows/yaml.h"

enum config_type {
	CONFIG_STRING,
	CONFIG_LIST,
	CONFIG_BOOL,
	CONFIG_INT,
	CONFIG_DURATION, /* milliseconds; 30s 10m 24h 90d */
	CONFIG_SIZE,	 /* bytes; 512M 4G */
	CONFIG_ENUM,	 /* a string out of `words` */
};

struct config_key {
	const char *path;
	enum config_type type;
	size_t offset;
	const char *preset;   /* as text; NULL: unset */
	int64_t min, max;     /* of numbers */
	const char *words[5]; /* of CONFIG_ENUM */
	const char *help;
};

#define KEY(member) offsetof(struct config, member)
#define YEAR_MS (366LL * 86400 * 1000)

static const struct config_key config_keys[] = {
	{ "data", CONFIG_STRING, KEY(data_dir), NULL, 0, 0, { NULL },
		"the data directory: database, mirrors, logs. One local file system, 0700" },
	{ "key_file", CONFIG_STRING, KEY(key_file), NULL, 0, 0, { NULL },
		"the master key, 0400, outside the data directory. Default: DATA.key" },
	{ "user", CONFIG_STRING, KEY(user), "sluice", 0, 0, { NULL },
		"started as root: the account that everything but the spawner runs as" },
	{ "listen", CONFIG_STRING, KEY(listen), "127.0.0.1:8480", 0, 0, { NULL },
		"ADDRESS:PORT; port 0 picks a free one" },
	{ "external_url", CONFIG_STRING, KEY(external_url), NULL, 0, 0, { NULL },
		"how others reach this server, as in https://ci.example.com" },
	{ "tls.certificate", CONFIG_STRING, KEY(tls_certificate), NULL, 0, 0, { NULL },
		"PEM file with the chain; without it TLS ends at a proxy" },
	{ "tls.key", CONFIG_STRING, KEY(tls_key), NULL, 0, 0, { NULL },
		"PEM file with the private key" },
	{ "trusted_proxies", CONFIG_LIST, KEY(trusted_proxies), NULL, 0, 0, { NULL },
		"addresses whose X-Forwarded-For and -Proto are believed" },
	{ "capacity", CONFIG_INT, KEY(capacity), "0", 0, 10000, { NULL },
		"jobs that run at a time; 0: one for each processor" },
	{ "labels", CONFIG_LIST, KEY(labels), "*", 0, 0, { NULL },
		"runs-on labels offered here, * every one; LABEL=IMAGE, LABEL=/DIR: with this "
		"root, LABEL=IMAGE:root: which trusted jobs may change as root" },
	{ "label_wait", CONFIG_DURATION, KEY(label_wait_ms), "10m", 0, YEAR_MS, { NULL },
		"a job whose label nobody offers ends after this long" },
	{ "profile", CONFIG_ENUM, KEY(profile), "standard", 0, 0,
		{ "strict", "standard", "build", NULL },
		"confinement of trusted work; untrusted work is always strict" },
	{ "limits.memory", CONFIG_SIZE, KEY(job_memory), "4G", 0, LLONG_MAX, { NULL },
		"memory of one job; 0: no limit" },
	{ "limits.pids", CONFIG_INT, KEY(job_pids), "4096", 0, 4194304, { NULL },
		"processes of one job; 0: no limit" },
	{ "limits.cpu", CONFIG_INT, KEY(job_cpu_percent), "0", 0, 100000, { NULL },
		"percent of one processor for one job; 0: no limit" },
	{ "limits.disk", CONFIG_SIZE, KEY(job_disk), "20G", 0, LLONG_MAX, { NULL },
		"bytes of a job's files, counted every few seconds, and of one at once; 0: no limit" },
	{ "limits.files", CONFIG_INT, KEY(job_files), "4000000", 0, LLONG_MAX, { NULL },
		"how many files and folders a job may have, counted likewise; 0: no limit" },
	{ "limits.minutes", CONFIG_INT, KEY(job_minutes), "360", 1, 525600, { NULL },
		"timeout-minutes of a job that names none" },
	{ "network.default", CONFIG_ENUM, KEY(network_default), "proxy", 0, 0,
		{ "none", "proxy", "egress", "host", NULL }, "network of trusted work" },
	{ "network.untrusted", CONFIG_ENUM, KEY(network_untrusted), "none", 0, 0,
		{ "none", "proxy", NULL }, "network of work from strangers" },
	{ "network.allow", CONFIG_LIST, KEY(network_allow), NULL, 0, 0, { NULL },
		"HOST[:PORT], *.SUFFIX or CIDR that may be reached though it is private" },
	{ "network.only_allowed", CONFIG_BOOL, KEY(network_only_allowed), "false", 0, 0,
		{ NULL }, "refuse every host that network.allow does not name" },
	{ "network.relay", CONFIG_LIST, KEY(network_relay), NULL, 0, 0, { NULL },
		"PORT=ADDRESS:PORT: on the loopback of trusted jobs, and where it leads to" },
	{ "actions.dir", CONFIG_STRING, KEY(actions_dir), NULL, 0, 0, { NULL },
		"a folder with a git work tree OWNER/REPO for each action" },
	{ "actions.url", CONFIG_STRING, KEY(actions_url), NULL, 0, 0, { NULL },
		"where actions are cloned from, as in https://github.com" },
	{ "keep.artifacts", CONFIG_DURATION, KEY(keep_artifacts_ms), "90d", 0, 100 * YEAR_MS,
		{ NULL }, "artifacts older than this are removed; 0: never" },
	{ "keep.logs", CONFIG_DURATION, KEY(keep_logs_ms), "90d", 0, 100 * YEAR_MS, { NULL },
		"logs of jobs older than this are removed, those of deployments never; 0: none is" },
	{ "keep.held", CONFIG_DURATION, KEY(keep_held_ms), "1h", 0, YEAR_MS, { NULL },
		"a failed job of trusted work can be entered for this long (sluice shell); 0: none" },
	{ "keep.held_jobs", CONFIG_INT, KEY(keep_held_jobs), "3", 1, 1000, { NULL },
		"as many of them at a time, the latest" },
	{ "keep.held_size", CONFIG_SIZE, KEY(keep_held_size), "4G", 0, LLONG_MAX, { NULL },
		"bytes of one at most; larger ones are not held; 0: any" },
	{ "log_level", CONFIG_ENUM, KEY(log_level), "info", 0, 0,
		{ "error", "warn", "info", "debug", NULL }, "of the server's own log" },
};

#define KEYS ARRAY_SIZE(config_keys)

/* Set from elsewhere: never a configuration key, never worth a warning. */
static const char *const other_env[] = { "SLUICE_CONFIG", "SLUICE_SERVER", "SLUICE_TOKEN",
	"SLUICE_TOKEN_FILE", "SLUICE_REPO", "SLUICE_LOG", "SLUICE_FAULT", "SLUICE_HELPER",
	NULL };


/* What config_print shows: kept beside the configuration. */
struct config_full {
	struct config c;
	const char *origin[KEYS];
};

static void *member(const struct config *c, const struct config_key *k)
{
	return (char *)(uintptr_t)c + k->offset;
}

static int parse_unit(const char *text, const char *units, const int64_t *factors,
	int64_t *ret)
{
	size_t len = strlen(text);
	int64_t factor = 1;
	long long n;
	_cleanup_free_ char *digits = NULL;
	const char *unit = len ? strchr(units, text[len - 1]) : NULL;

	if (unit && *unit) {
		factor = factors[unit - units];
		len--;
	}
	digits = xstrndup(text, len);
	if (str_to_int(digits, 0, LLONG_MAX / factor, &n) < 0)
		return -1;
	*ret = n * factor;
	return 0;
}

static int parse_duration(const char *text, int64_t *ret)
{
	static const int64_t factors[] = { 1000, 60000, 3600000, 86400000 };

	if (strcmp(text, "0") != 0 && !strchr("smhd", text[strlen(text) - 1]))
		return -1;
	return parse_unit(text, "smhd", factors, ret);
}

int config_duration(const char *text, int64_t *ret)
{
	return text[0] ? parse_duration(text, ret) : -1;
}

static int parse_size(const char *text, int64_t *ret)
{
	static const int64_t factors[] = { KiB, MiB, GiB, 1024 * GiB };

	return parse_unit(text, "KMGT", factors, ret);
}

static int set_enum(const struct config_key *k, char **at, const char *text,
	struct err *err)
{
	for (size_t i = 0; k->words[i]; i++) {
		if (strcmp(k->words[i], text) == 0) {
			free(*at);
			*at = xstrdup(text);
			return 0;
		}
	}
	_cleanup_(strbuf_done) struct strbuf words = STRBUF_INIT;

	for (size_t i = 0; k->words[i]; i++)
		strbuf_addf(&words, "%s%s", i ? ", " : "", k->words[i]);
	return err_set(err, ERR_INPUT, "'%s' is '%s'; it takes one of: %s", k->path, text,
		words.buf);
}

static int set_number(const struct config_key *k, int64_t *at, const char *text,
	struct err *err)
{
	static const char *const forms[] = {
		[CONFIG_INT] = "a whole number",
		[CONFIG_DURATION] = "a duration such as 30s, 10m, 24h or 90d",
		[CONFIG_SIZE] = "a size such as 512M or 4G",
	};
	int64_t n = 0;
	long long whole = 0;
	int r;

	if (k->type == CONFIG_DURATION) {
		r = text[0] ? parse_duration(text, &n) : -1;
	} else if (k->type == CONFIG_SIZE) {
		r = parse_size(text, &n);
	} else {
		r = str_to_int(text, LLONG_MIN, LLONG_MAX, &whole);
		n = whole;
	}
	if (r < 0)
		return err_set(err, ERR_INPUT, "'%s' is '%s'; it takes %s", k->path, text,
			forms[k->type]);
	if (n < k->min || n > k->max)
		return err_set(err, ERR_INPUT, "'%s' is '%s', which is out of range", k->path,
			text);
	*at = n;
	return 0;
}

static int set_bool(const struct config_key *k, bool *at, const char *text, struct err *err)
{
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return err_set(err, ERR_INPUT, "'%s' is '%s'; it takes true or false", k->path,
			text);
	*at = text[0] == 't';
	return 0;
}

static void set_list(struct strvec *at, const char *text)
{
	_cleanup_(strvec_done) struct strvec parts = STRVEC_INIT;

	strvec_clear(at);
	strvec_split(&parts, text, ',');
	strvec_foreach(item, &parts) {
		const char *s = *item + strspn(*item, " ");
		size_t len = strlen(s);

		while (len && s[len - 1] == ' ')
			len--;
		if (len)
			strvec_push_take(at, xstrndup(s, len));
	}
}

static int set_text(struct config *c, const struct config_key *k, const char *text,
	struct err *err)
{
	void *at = member(c, k);

	switch (k->type) {
	case CONFIG_STRING:
		free(*(char **)at);
		*(char **)at = text[0] ? xstrdup(text) : NULL;
		return 0;
	case CONFIG_ENUM:
		return set_enum(k, at, text, err);
	case CONFIG_LIST:
		set_list(at, text);
		return 0;
	case CONFIG_BOOL:
		return set_bool(k, at, text, err);
	case CONFIG_INT:
	case CONFIG_DURATION:
	case CONFIG_SIZE:
		return set_number(k, at, text, err);
	}
	return err_set(err, ERR_BUG, "configuration key '%s' has no type", k->path);
}

static void env_name(const struct config_key *k, struct strbuf *sb)
{
	strbuf_clear(sb);
	strbuf_adds(sb, "SLUICE_");
	for (const char *p = k->path; *p; p++)
		strbuf_addc(sb, *p == '.' ? '_' : *p >= 'a' && *p <= 'z' ? *p - 32 : *p);
}

static int apply_defaults(struct config_full *f, struct err *err)
{
	for (size_t i = 0; i < KEYS; i++) {
		f->origin[i] = "default";
		if (config_keys[i].preset &&
			set_text(&f->c, &config_keys[i], config_keys[i].preset, err) < 0)
			return -1;
	}
	return 0;
}

static int apply_environment(struct config_full *f, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf name = STRBUF_INIT;

	for (size_t i = 0; i < KEYS; i++) {
		const char *v;

		env_name(&config_keys[i], &name);
		v = getenv(name.buf);
		if (!v)
			continue;
		if (set_text(&f->c, &config_keys[i], v, err) < 0)
			return err_wrap(err, "environment variable %s", name.buf);
		f->origin[i] = "environment";
	}
	return 0;
}

static bool known_env(const char *name, size_t len)
{
	_cleanup_(strbuf_done) struct strbuf known = STRBUF_INIT;

	for (size_t i = 0; other_env[i]; i++)
		if (strlen(other_env[i]) == len && memcmp(other_env[i], name, len) == 0)
			return true;
	for (size_t i = 0; i < KEYS; i++) {
		env_name(&config_keys[i], &known);
		if (known.len == len && memcmp(known.buf, name, len) == 0)
			return true;
	}
	return false;
}

/* A mistyped SLUICE_ name would otherwise be silence. */
static void warn_unknown_env(FILE *report)
{
	_cleanup_(strbuf_done) struct strbuf name = STRBUF_INIT;
	_cleanup_(strvec_done) struct strvec names = STRVEC_INIT;

	if (!report)
		return;
	for (size_t i = 0; i < KEYS; i++) {
		env_name(&config_keys[i], &name);
		strvec_push(&names, name.buf);
	}
	for (char **e = environ; *e; e++) {
		size_t len = strcspn(*e, "=");
		_cleanup_free_ char *word = NULL;
		const char *near;

		if (strncmp(*e, "SLUICE_", 7) != 0 || known_env(*e, len))
			continue;
		word = xstrndup(*e, len);
		near = str_nearest(word, (const char *const *)names.v);
		fprintf(report, "config: warning: unknown variable %s%s%s%s\n", word,
			near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	}
}

static const struct config_key *find_key(const char *path)
{
	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(config_keys[i].path, path) == 0)
			return &config_keys[i];
	return NULL;
}

static bool is_section(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < KEYS; i++)
		if (strncmp(config_keys[i].path, path, len) == 0 &&
			config_keys[i].path[len] == '.')
			return true;
	return false;
}

static void unknown_key(const char *file, const struct yaml_node *key, const char *path,
	struct diagnostics *d)
{
	const char *names[KEYS + 1];
	struct diag *item;

	for (size_t i = 0; i < KEYS; i++)
		names[i] = config_keys[i].path;
	names[KEYS] = NULL;
	item = diag_add(d, file, key->mark, SEVERITY_ERROR, "config-key",
		"unknown key '%s'", path);
	diag_nearest(item, path, names);
}

/* A list of scalars joined by commas: the one form set_text knows. */
static int list_text(const struct yaml_node *n, struct strbuf *out)
{
	_cleanup_(arena_freep) struct arena *a = arena_new();

	for (size_t i = 0; i < n->len; i++) {
		if (!yaml_is_scalar(n->items[i]) || strchr(n->items[i]->str, ','))
			return -1;
		strbuf_addf(out, "%s%s", i ? "," : "", yaml_text(n->items[i], a));
	}
	return 0;
}

static void apply_node(struct config_full *f, const char *file, const struct config_key *k,
	const struct yaml_node *value, struct diagnostics *d)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct err err = ERR_INIT;

	if (yaml_is(value, YAML_SEQUENCE) && k->type == CONFIG_LIST) {
		if (list_text(value, &text) < 0)
			err_set(&err, ERR_INPUT, "'%s' takes a list of words without commas",
				k->path);
	} else if (yaml_is_scalar(value)) {
		strbuf_adds(&text, yaml_is(value, YAML_NULL) ? "" : value->str);
	} else {
		err_set(&err, ERR_INPUT, "'%s' takes %s", k->path,
			k->type == CONFIG_LIST ? "a list" : "one value");
	}
	if (err.code == ERR_NONE)
		(void)set_text(&f->c, k, text.buf, &err); /* err says whether it failed */
	if (err.code != ERR_NONE) {
		diag_add(d, file, value->mark, SEVERITY_ERROR, "config-value", "%s", err.msg);
		return;
	}
	f->origin[k - config_keys] = "file";
}

static void apply_mapping(struct config_full *f, const char *file, const char *prefix,
	const struct yaml_node *map, struct diagnostics *d)
{
	for (size_t i = 0; i < map->len; i++) {
		const struct yaml_pair *p = &map->pairs[i];
		_cleanup_free_ char *path = xasprintf("%s%s", prefix, p->key->str);
		const struct config_key *k = find_key(path);

		if (k) {
			apply_node(f, file, k, p->value, d);
		} else if (is_section(path) && yaml_is(p->value, YAML_MAPPING)) {
			_cleanup_free_ char *inner = xasprintf("%s.", path);

			apply_mapping(f, file, inner, p->value, d);
		} else {
			unknown_key(file, p->key, path, d);
		}
	}
}

static int report_findings(struct diagnostics *d, const struct strbuf *text, FILE *report,
	struct err *err)
{
	if (!diagnostics_has_errors(d))
		return 0;
	diagnostics_sort(d);
	for (size_t i = 0; report && i < d->len; i++) {
		_cleanup_(strbuf_done) struct strbuf lines = STRBUF_INIT;

		diag_write_text(&d->items[i], text->buf, text->len, &lines);
		fwrite(lines.buf, 1, lines.len, report);
	}
	return diagnostics_to_err(d, err);
}

/* Nothing but comments: what `config example` prints before anybody has changed it. */
static bool says_nothing(const struct strbuf *text)
{
	const char *p = text->buf, *end = text->buf + text->len;

	while (p < end) {
		const char *line_end = memchr(p, '\n', (size_t)(end - p));

		p += strspn(p, " \t\r");
		if (p < end && *p != '#' && *p != '\n')
			return false;
		p = line_end ? line_end + 1 : end;
	}
	return true;
}

static int apply_file(struct config_full *f, const char *file, FILE *report,
	struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_(yaml_doc_freep) struct yaml_doc *doc = NULL;
	struct diagnostics d = DIAGNOSTICS_INIT;
	int r;

	if (fd_read_file(AT_FDCWD, file, LIMIT_WORKFLOW_FILE, &text, err) < 0)
		return err_wrap(err, "configuration");
	if (says_nothing(&text))
		return 0;
	if (yaml_parse(file, text.buf, text.len, &doc, &d) == 0) {
		if (yaml_is(doc->root, YAML_MAPPING))
			apply_mapping(f, file, "", doc->root, &d);
		else if (doc->root && !yaml_is(doc->root, YAML_NULL))
			diag_add(&d, file, doc->root->mark, SEVERITY_ERROR, "config-key",
				"a configuration is a mapping of keys");
	}
	r = report_findings(&d, &text, report, err);
	diagnostics_done(&d);
	return r;
}

static int apply_overrides(struct config_full *f, const struct strvec *overrides,
	struct err *err)
{
	if (!overrides)
		return 0;
	strvec_foreach(item, overrides) {
		const char *eq = strchr(*item, '=');
		_cleanup_free_ char *path = xstrndup(*item, eq ? (size_t)(eq - *item) : 0);
		const struct config_key *k = find_key(path);

		if (!k)
			return err_set(err, ERR_BUG, "no configuration key '%s'", path);
		if (set_text(&f->c, k, eq + 1, err) < 0)
			return -1;
		f->origin[k - config_keys] = "flag";
	}
	return 0;
}

static char *absolute(const char *path)
{
	_cleanup_free_ char *cwd = NULL, *joined = NULL;

	if (path[0] == '/')
		return path_normalise(path);
	cwd = getcwd(NULL, 0);
	joined = path_join(cwd ? cwd : "/", path);
	return path_normalise(joined);
}

/* What depends on more than one key. */
static int finish(struct config *c, struct err *err)
{
	_cleanup_free_ char *dir = NULL, *host = NULL;
	int port;

	if (labels_check(&c->labels, err) < 0)
		return -1;
	if (!c->data_dir)
		c->data_dir = xstrdup(geteuid() == 0 ? "/var/lib/sluice" : "sluice-data");
	dir = c->data_dir;
	c->data_dir = absolute(dir);
	if (!c->key_file)
		c->key_file = xasprintf("%s.key", c->data_dir);
	if (str_starts(c->key_file, c->data_dir) &&
		c->key_file[strlen(c->data_dir)] == '/')
		return err_set(err, ERR_INPUT,
			"'key_file' lies inside the data directory; a backup of one must not "
			"hold the other: move it beside, as in %s.key",
			c->data_dir);
	if (!c->tls_certificate != !c->tls_key)
		return err_set(err, ERR_INPUT,
			"'tls.certificate' and 'tls.key' go together: set both or none");
	if (c->capacity == 0)
		c->capacity = sysconf(_SC_NPROCESSORS_ONLN) > 0 ?
			sysconf(_SC_NPROCESSORS_ONLN) :
			1;
	if (c->external_url && !str_starts(c->external_url, "http://") &&
		!str_starts(c->external_url, "https://"))
		return err_set(err, ERR_INPUT,
			"'external_url' is '%s'; it begins with http:// or https://",
			c->external_url);
	if (c->external_url && str_ends(c->external_url, "/"))
		c->external_url[strlen(c->external_url) - 1] = '\0';
	return config_listen(c, &host, &port, err);
}

int config_load(const char *file, const struct strvec *overrides, FILE *report,
	struct config **ret, struct err *err)
{
	_cleanup_free_ struct config_full *f = xcalloc(1, sizeof(*f));
	struct strvec empty = STRVEC_INIT;

	f->c.trusted_proxies = f->c.labels = f->c.network_allow = empty;
	f->c.network_relay = empty;
	if (!file)
		file = getenv("SLUICE_CONFIG");
	if (!file && access("/etc/sluice/sluice.yml", F_OK) == 0)
		file = "/etc/sluice/sluice.yml";
	f->c.file = xstrdup_null(file);
	if (apply_defaults(f, err) < 0 || (file && apply_file(f, file, report, err) < 0) ||
		apply_environment(f, err) < 0 || apply_overrides(f, overrides, err) < 0 ||
		finish(&f->c, err) < 0) {
		config_free(&take_ptr(f)->c);
		return -1;
	}
	warn_unknown_env(report);
	*ret = &take_ptr(f)->c;
	return 0;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < KEYS; i++) {
		const struct config_key *k = &config_keys[i];

		if (k->type == CONFIG_STRING || k->type == CONFIG_ENUM)
			free(*(char **)member(c, k));
		else if (k->type == CONFIG_LIST)
			strvec_done(member(c, k));
	}
	free(c->file);
	free(c); /* the first member of struct config_full */
}

static void value_text_of(const struct config *c, const struct config_key *k,
	struct strbuf *out)
{
	const void *at = member(c, k);
	const struct strvec *list = at;

	strbuf_clear(out);
	switch (k->type) {
	case CONFIG_STRING:
	case CONFIG_ENUM:
		strbuf_adds(out, *(char *const *)at ? *(char *const *)at : "");
		break;
	case CONFIG_LIST:
		for (size_t i = 0; i < list->len; i++)
			strbuf_addf(out, "%s%s", i ? "," : "", list->v[i]);
		break;
	case CONFIG_BOOL:
		strbuf_adds(out, *(const bool *)at ? "true" : "false");
		break;
	case CONFIG_DURATION:
		strbuf_addf(out, "%llds", (long long)*(const int64_t *)at / 1000);
		break;
	case CONFIG_INT:
	case CONFIG_SIZE:
		strbuf_addf(out, "%lld", (long long)*(const int64_t *)at);
		break;
	}
}

void config_print(const struct config *c, FILE *f)
{
	const struct config_full *full = (const struct config_full *)c;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	for (size_t i = 0; i < KEYS; i++) {
		value_text_of(c, &config_keys[i], &text);
		fprintf(f, "%-22s %-12s %s\n", config_keys[i].path, full->origin[i], text.buf);
	}
}

void config_print_markdown(FILE *f)
{
	_cleanup_(strbuf_done) struct strbuf name = STRBUF_INIT;

	fputs("# Configuration\n\nGenerated by `sluice config markdown` from the table that "
	      "the parser reads.\n\nOne YAML file: `--config FILE`, `$SLUICE_CONFIG` or "
	      "`/etc/sluice/sluice.yml`. Keys are strict: a mistyped one is an error with "
	      "its place. Each key is also an environment variable; a flag beats the "
	      "environment beats the file beats the default. `sluice config check` says "
	      "where each value came from; SIGHUP reads the file again and keeps the old "
	      "one when the new is wrong.\n\n"
	      "| key | variable | default | |\n| --- | --- | --- | --- |\n", f);
	for (size_t i = 0; i < KEYS; i++) {
		const struct config_key *k = &config_keys[i];

		env_name(k, &name);
		fprintf(f, "| `%s` | `%s` | %s%s%s | %s", k->path, name.buf,
			k->preset ? "`" : "", k->preset ? k->preset : "", k->preset ? "`" : "",
			k->help);
		for (size_t w = 0; k->words[w]; w++)
			fprintf(f, "%s`%s`", w ? ", " : ": ", k->words[w]);
		fputs(" |\n", f);
	}
}

/* One commented line for each key; sections are written once. */
void config_print_example(FILE *f)
{
	char section[64] = "";

	fputs("# sluice configuration. Every line is a default; remove the # to change it.\n"
	      "# sluice config check names what is wrong, and where each value came from.\n",
		f);
	for (size_t i = 0; i < KEYS; i++) {
		const struct config_key *k = &config_keys[i];
		const char *dot = strchr(k->path, '.');
		size_t len = dot ? (size_t)(dot - k->path) : 0;

		fprintf(f, "\n# %s\n", k->help);
		if (dot && strncmp(section, k->path, len + 1) != 0) {
			snprintf(section, sizeof(section), "%.*s.", (int)len, k->path);
			fprintf(f, "#%.*s:\n", (int)len, k->path);
		}
		fprintf(f, "#%s%s: %s\n", dot ? "  " : "", dot ? dot + 1 : k->path,
			k->preset ? (strcmp(k->preset, "*") == 0 ? "['*']" : k->preset) : "");
	}
}

int config_listen(const struct config *c, char **ret_host, int *ret_port, struct err *err)
{
	const char *colon = strrchr(c->listen, ':');
	const char *host = c->listen;
	long long port;
	size_t len = colon ? (size_t)(colon - host) : 0;

	if (!colon || len == 0 || str_to_int(colon + 1, 0, 65535, &port) < 0)
		return err_set(err, ERR_INPUT,
			"'listen' is '%s'; it takes ADDRESS:PORT, as in 127.0.0.1:8480",
			c->listen);
	if (host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	*ret_host = xstrndup(host, len);
	*ret_port = (int)port;
	return 0;
}
