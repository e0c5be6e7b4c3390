/* SPDX-License-Identifier: Apache-2.0 */
/* Operating: repo, secret, var, token, key, environments, check. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/cmd.h"
#include "runner/remote.h"
#include "workflows/yaml.h"

/* One word after the verb ("add", "list") and what it does. */
struct sub {
	const char *name;
	int args; /* exact number of further arguments */
	int (*run)(const struct cli_args *a);
};

static int run_sub(const struct cli_args *a, const struct sub *subs)
{
	_cleanup_(strbuf_done) struct strbuf words = STRBUF_INIT;
	const char *word = cli_arg(a, 0);

	for (const struct sub *s = subs; s->name; s++) {
		strbuf_addf(&words, "%s%s", words.len ? ", " : "", s->name);
		if (strcmp(s->name, word) != 0)
			continue;
		if ((int)cli_count(a) - 1 != s->args)
			return cli_error(a, CLI_USAGE, "'%s' takes %d argument%s", word, s->args,
				s->args == 1 ? "" : "s");
		return s->run(a);
	}
	return cli_error(a, CLI_USAGE, "unknown word '%s'; it is one of: %s", word, words.buf);
}

/* Calls VERB, prints JSON or, with nothing asked for, DONE with the second argument. */
static int simple(const struct cli_args *a, const char *verb, struct json *args,
	const char *done)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	int r = remote_call(a, verb, args, &ret);

	if (r == 0 && !remote_print_json(a, ret))
		fprintf(stderr, done, cli_arg(a, 1) ? cli_arg(a, 1) : "");
	return r;
}

static void print_items(const struct cli_args *a, const struct json *list,
	const char *const *members, const char *const *heads)
{
	const struct json *items = json_get(list, "items");
	struct cli_table *t;

	if (remote_print_json(a, list))
		return;
	if (json_count(items) == 0) {
		fputs("none yet\n", stderr);
		return;
	}
	t = cli_table_new(heads, -1);
	for (size_t i = 0; i < json_count(items); i++) {
		char *cells[5] = { NULL };

		for (size_t c = 0; c < 5 && members[c]; c++) {
			const struct json *v = json_get(json_at(items, i), members[c]);

			cells[c] = str_ends(members[c], "_at") ?
				remote_when(json_at(items, i), members[c]) :
				json_is(v, JSON_KIND_STRING) ? xstrdup(json_as_str(v, "")) :
				v && !json_is(v, JSON_KIND_NULL) ? json_text(v) :
								   xstrdup("");
		}
		cli_table_row(t, cells[0], cells[1], cells[2], cells[3], cells[4]);
		for (size_t c = 0; c < 5; c++)
			free(cells[c]);
	}
	cli_table_print(t, stdout);
	cli_table_free(t);
}

static int list(const struct cli_args *a, const char *verb, struct json *args,
	const char *const *members, const char *const *heads)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	int r = remote_call(a, verb, args, &ret);

	if (r == 0)
		print_items(a, ret, members, heads);
	return r;
}

/* ---- repo ---- */

static int read_secret_file(const struct cli_args *a, const char *path, struct json *args,
	const char *member)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	struct err err = ERR_INIT;

	if (fd_read_file(AT_FDCWD, path, 64 * KiB, &sb, &err) < 0)
		return cli_fail(a, &err);
	json_set(args, member, json_new_strn(sb.buf, sb.len));
	return 0;
}

static const char *where_hooks_are(const char *forge)
{
	static const struct {
		const char *forge, *words;
	} says[] = {
		{ "github", "GitHub, Settings > Webhooks > Add: both, application/json, pushes and "
			    "pull requests" },
		{ "gitea", "Gitea, Settings > Webhooks > Add: both, application/json, push and pull "
			   "request" },
		{ "gitlab", "GitLab, Settings > Webhooks > Add: both, push, tag and merge request "
			    "events" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(says); i++)
		if (str_eq(forge, says[i].forge))
			return says[i].words;
	return "sluice hook install PATH for a bare repository on this machine, or a webhook of its "
	       "forge with both";
}

static int repo_add(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *args = json_new_object();
	_cleanup_(json_freep) struct json *ret = NULL;
	const char *name = cli_arg(a, 1);
	int r = 0;

	if (!cli_get(a, "url"))
		return cli_error(a, CLI_USAGE, "where is it? give --url URL");
	json_set_str(args, "repo", name);
	json_set_str(args, "url", cli_get(a, "url"));
	json_set_str(args, "forge", cli_get(a, "forge") ? cli_get(a, "forge") : "generic");
	if (cli_get(a, "ssh-key"))
		r = read_secret_file(a, cli_get(a, "ssh-key"), args, "ssh_key");
	if (r)
		return r;
	if (cli_get(a, "host-key"))
		json_set_str(args, "host_key", cli_get(a, "host-key"));
	if (cli_has(a, "token-stdin")) {
		_cleanup_free_ char *token = remote_read_value(a, "Token (not shown): ");

		if (!token)
			return CLI_NO;
		json_set_str(args, "token", token);
	}
	r = remote_call(a, "repo.add", json_share(args), &ret);
	if (r || remote_print_json(a, ret))
		return r;
	printf("repo: %s, %s\n", name, json_get_str(ret, "message", "added"));
	printf("  hook address  %s\n", json_get_str(ret, "hook_address", ""));
	printf("  hook secret   %s (%zu characters)   shown this once; a new one: sluice repo "
	       "rotate %s\n",
		json_get_str(ret, "hook_secret", ""),
		strlen(json_get_str(ret, "hook_secret", "")), name);
	fprintf(stderr, "next: %s; then: sluice repo check %s\n",
		where_hooks_are(json_get_str(args, "forge", "")), name);
	return CLI_OK;
}

static int repo_list(const struct cli_args *a)
{
	static const char *const members[] = { "name", "forge", "url", "default_branch", NULL };
	static const char *const heads[] = { "REPOSITORY", "FORGE", "URL", "BRANCH", NULL };

	return list(a, "repo.list", NULL, members, heads);
}

static struct json *repo_args(const struct cli_args *a)
{
	struct json *args = json_new_object();

	json_set_str(args, "repo", cli_arg(a, 1));
	return args;
}

static int repo_check(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	int r = remote_call(a, "repo.check", repo_args(a), &ret);

	if (r)
		return r;
	r = json_get_bool(ret, "reachable", false) ? CLI_OK : CLI_NO;
	if (remote_print_json(a, ret))
		return r;
	if (r != CLI_OK)
		return cli_error(a, CLI_NO, "cannot reach '%s': %s; %s", cli_arg(a, 1),
			json_get_str(ret, "message", "no answer"),
			json_get_str(ret, "hint", "look at the server's log"));
	printf("repo: %s: %s\n", cli_arg(a, 1), json_get_str(ret, "message", "reachable"));
	return CLI_OK;
}

static int repo_remove(const struct cli_args *a)
{
	return simple(a, "repo.remove", repo_args(a), "repo: %s removed; its runs are kept\n");
}

static int repo_rotate(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	int r = remote_call(a, "repo.rotate", repo_args(a), &ret);

	if (r || remote_print_json(a, ret))
		return r;
	printf("%s\n", json_get_str(ret, "hook_secret", ""));
	fputs("repo: the old secret no longer works; this one is shown this once\n", stderr);
	return CLI_OK;
}

static int repo_set(const struct cli_args *a)
{
	struct json *args = repo_args(a);
	const char *pair = cli_arg(a, 2), *eq = strchr(pair, '=');
	_cleanup_free_ char *key = xstrndup(pair, strcspn(pair, "="));

	if (!eq) {
		json_free(args);
		return cli_error(a, CLI_USAGE, "'%s' is no KEY=VALUE", pair);
	}
	json_set_str(args, "key", key);
	json_set_str(args, "value", eq + 1);
	return simple(a, "repo.set", args, "repo: %s set\n");
}

static int run_repo(const struct cli_args *a)
{
	static const struct sub subs[] = {
		{ "add", 1, repo_add },
		{ "list", 0, repo_list },
		{ "check", 1, repo_check },
		{ "remove", 1, repo_remove },
		{ "rotate", 1, repo_rotate },
		{ "set", 2, repo_set },
		{ NULL, 0, NULL },
	};

	return run_sub(a, subs);
}

/* ---- secret and var ---- */

static struct json *scoped(const struct cli_args *a)
{
	struct json *args = json_new_object();

	if (remote_repo(a))
		json_set_str(args, "repo", remote_repo(a));
	if (cli_get(a, "env"))
		json_set_str(args, "environment", cli_get(a, "env"));
	if (cli_arg(a, 1))
		json_set_str(args, "name", cli_arg(a, 1));
	return args;
}

/* To stderr: "today", or how long ago. */
static void say_day(int64_t at)
{
	int64_t age = clock_wall_ms() - at;
	char text[CLOCK_TEXT_MAX];

	if (age < 24 * 3600 * 1000)
		fputs("today", stderr);
	else
		fprintf(stderr, "%s ago", clock_age(age, text));
}

static int secret_set(const struct cli_args *a)
{
	_cleanup_free_ char *prompt =
		xasprintf("Value of %s (not shown): ", cli_arg(a, 1));
	_cleanup_free_ char *value = remote_read_value(a, prompt);
	_cleanup_(json_freep) struct json *ret = NULL;
	struct json *args;
	int r;

	if (!value)
		return CLI_NO;
	args = scoped(a);
	json_set_str(args, "value", value);
	r = remote_call(a, "secret.set", args, &ret);
	if (r == 0 && !remote_print_json(a, ret)) {
		fprintf(stderr, "secret: %s%s%s set, %zu bytes, first set ", cli_arg(a, 1),
			remote_repo(a) ? " of " : "", remote_repo(a) ? remote_repo(a) : "",
			strlen(value));
		say_day(remote_time(ret, "created_at"));
		fputs("; used from the next released job on\n", stderr);
	}
	return r;
}

static int secret_list(const struct cli_args *a)
{
	static const char *const members[] = { "name", "environment", "version", "updated_at",
		NULL };
	static const char *const heads[] = { "NAME", "ENVIRONMENT", "VERSION", "SET", NULL };

	return list(a, "secret.list", scoped(a), members, heads);
}

static int secret_remove(const struct cli_args *a)
{
	return simple(a, "secret.remove", scoped(a), "secret: %s removed\n");
}

static int run_secret(const struct cli_args *a)
{
	static const struct sub subs[] = {
		{ "set", 1, secret_set },
		{ "list", 0, secret_list },
		{ "remove", 1, secret_remove },
		{ NULL, 0, NULL },
	};

	return run_sub(a, subs);
}

static int var_set(const struct cli_args *a)
{
	struct json *args = scoped(a);

	json_set_str(args, "value", cli_arg(a, 2));
	return simple(a, "var.set", args, "var: %s set\n");
}

static int var_list(const struct cli_args *a)
{
	static const char *const members[] = { "name", "environment", "value", NULL };
	static const char *const heads[] = { "NAME", "ENVIRONMENT", "VALUE", NULL };

	return list(a, "var.list", scoped(a), members, heads);
}

static int var_remove(const struct cli_args *a)
{
	return simple(a, "var.remove", scoped(a), "var: %s removed\n");
}

static int run_var(const struct cli_args *a)
{
	static const struct sub subs[] = {
		{ "set", 2, var_set },
		{ "list", 0, var_list },
		{ "remove", 1, var_remove },
		{ NULL, 0, NULL },
	};

	return run_sub(a, subs);
}

/* ---- token and key ---- */

static int print_once(const struct cli_args *a, const char *verb, struct json *args,
	const char *member, const char *words)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	int r = remote_call(a, verb, args, &ret);

	if (r || remote_print_json(a, ret))
		return r;
	printf("%s\n", json_get_str(ret, member, ""));
	fprintf(stderr, "%s\n", words);
	return CLI_OK;
}

static int token_create(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	_cleanup_free_ char *scope = NULL;
	struct json *args = json_new_object();
	int r;

	json_set_str(args, "name", cli_arg(a, 1));
	json_set_str(args, "scope", cli_get(a, "scope") ? cli_get(a, "scope") : "read");
	if (cli_get(a, "expires"))
		json_set_str(args, "expires", cli_get(a, "expires"));
	scope = xstrdup(json_get_str(args, "scope", ""));
	r = remote_call(a, "token.create", args, &ret);
	if (r || remote_print_json(a, ret))
		return r;
	/* The token alone on stdout, so that it can be piped. */
	printf("%s\n", json_get_str(ret, "token", ""));
	fprintf(stderr, "token: %s, scope %s", cli_arg(a, 1), scope);
	if (json_is(json_get(ret, "expires_at"), JSON_KIND_STRING))
		fprintf(stderr, ", until %.10s", json_get_str(ret, "expires_at", ""));
	fputs("; shown this once, only its hash is kept\n", stderr);
	return CLI_OK;
}

static int token_list(const struct cli_args *a)
{
	static const char *const members[] = { "name", "scopes", "expires_at", "used_at", NULL };
	static const char *const heads[] = { "NAME", "SCOPES", "EXPIRES", "USED", NULL };

	return list(a, "token.list", NULL, members, heads);
}

static int token_revoke(const struct cli_args *a)
{
	struct json *args = json_new_object();

	json_set_str(args, "name", cli_arg(a, 1));
	return simple(a, "token.revoke", args, "token: %s revoked\n");
}

static int token_link(const struct cli_args *a)
{
	struct json *args = json_new_object();

	if (cli_get(a, "user"))
		json_set_str(args, "user", cli_get(a, "user"));
	if (cli_get(a, "gate"))
		json_set_str(args, "gate", cli_get(a, "gate"));
	return print_once(a, "login.link", args, "url", "token: this link signs in once");
}

static int run_token(const struct cli_args *a)
{
	static const struct sub subs[] = {
		{ "create", 1, token_create },
		{ "list", 0, token_list },
		{ "revoke", 1, token_revoke },
		{ "link", 0, token_link },
		{ NULL, 0, NULL },
	};

	return run_sub(a, subs);
}

static int key_add(const struct cli_args *a)
{
	struct json *args = json_new_object();

	json_set_str(args, "name", cli_arg(a, 1));
	return print_once(a, "key.add", args, "secret",
		"key: signs approvals as a reviewer of its own name; shown this once");
}

static int key_list(const struct cli_args *a)
{
	static const char *const members[] = { "name", "created_at", NULL };
	static const char *const heads[] = { "NAME", "MADE", NULL };

	return list(a, "key.list", NULL, members, heads);
}

static int key_revoke(const struct cli_args *a)
{
	struct json *args = json_new_object();

	json_set_str(args, "name", cli_arg(a, 1));
	return simple(a, "key.revoke", args, "key: %s revoked\n");
}

static int run_key(const struct cli_args *a)
{
	static const struct sub subs[] = {
		{ "add", 1, key_add },
		{ "list", 0, key_list },
		{ "revoke", 1, key_revoke },
		{ NULL, 0, NULL },
	};

	return run_sub(a, subs);
}

/* ---- environments ---- */

/* "v2.3.1 9ac0d12" */
static char *what_runs(const struct json *now)
{
	return json_is(now, JSON_KIND_OBJECT) ?
		xasprintf("%s %.7s", json_get_str(now, "branch", ""),
			json_get_str(now, "sha", "")) :
		xstrdup("nothing yet");
}

static int env_list(const struct cli_args *a)
{
	static const char *const heads[] = { "ENVIRONMENT", "REPOSITORY", "NOW RUNS", "SINCE",
		"BY", "RULES", "STATE", NULL };
	_cleanup_(json_freep) struct json *ret = NULL;
	const struct json *items;
	struct cli_table *t;
	int r = remote_call(a, "env.list", scoped(a), &ret);

	if (r || remote_print_json(a, ret))
		return r;
	items = json_get(ret, "items");
	if (json_count(items) == 0) {
		fputs("no environment yet: a job with 'environment:' makes one, or sluice "
		      "environments apply FILE\n", stderr);
		return CLI_OK;
	}
	t = cli_table_new(heads, 5);
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *e = json_at(items, i), *now = json_get(e, "now");
		long long waiting = (long long)json_get_int(e, "waiting", 0);
		_cleanup_free_ char *runs = what_runs(now);
		_cleanup_free_ char *since = remote_when(now, "completed_at");
		_cleanup_free_ char *state =
			waiting ? xasprintf("%s %lld waiting", cli_mark("waiting"), waiting) :
				  xstrdup("");

		cli_table_row(t, json_get_str(e, "name", ""), json_get_str(e, "repo", ""), runs,
			since, json_get_str(now, "actor", ""), json_get_str(e, "rules_text", ""),
			state);
	}
	cli_table_print(t, stdout);
	cli_table_free(t);
	return CLI_OK;
}

/* FILE: a mapping of environment names to their rules; docs/environments.md. */
static int env_apply(const struct cli_args *a)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_(yaml_doc_freep) struct yaml_doc *doc = NULL;
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct json *args;
	struct err err = ERR_INIT;
	const char *file = cli_arg(a, 1);

	if (!remote_repo(a))
		return cli_error(a, CLI_USAGE, "which repository? give --repo OWNER/NAME or set "
					       "SLUICE_REPO");
	if (fd_read_file(AT_FDCWD, file, LIMIT_WORKFLOW_FILE, &text, &err) < 0)
		return cli_fail(a, &err);
	if (yaml_parse(file, text.buf, text.len, &doc, &d) < 0 ||
		!yaml_is(doc->root, YAML_MAPPING)) {
		if (diagnostics_to_err(&d, &err) == 0)
			err_set(&err, ERR_INPUT, "'%s' is no mapping of environments", file);
		diagnostics_done(&d);
		return cli_fail(a, &err);
	}
	diagnostics_done(&d);
	args = json_new_object();
	json_set_str(args, "repo", remote_repo(a));
	json_set(args, "environments", yaml_to_json(doc->root));
	return simple(a, "env.apply", args, "environments: the rules of %s are in force\n");
}

static int run_environments(const struct cli_args *a)
{
	static const struct sub subs[] = {
		{ "list", 0, env_list },
		{ "apply", 1, env_apply },
		{ NULL, 0, NULL },
	};

	return cli_count(a) == 0 ? env_list(a) : run_sub(a, subs);
}

/* ---- check ---- */

static int run_check(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	const struct json *findings;
	char took[CLOCK_TEXT_MAX];
	int r = remote_call(a, "check", NULL, &ret);

	if (r)
		return r;
	findings = json_get(ret, "findings");
	if (!remote_print_json(a, ret)) {
		for (size_t i = 0; i < json_count(findings); i++)
			printf("%s  %s\n", json_get_str(json_at(findings, i), "invariant", ""),
				json_get_str(json_at(findings, i), "message", ""));
		if (json_count(findings))
			printf("check: %lld of %lld invariants broken; the server starts no deploy "
			       "until a person has looked\n",
				(long long)json_get_int(ret, "broken", 0),
				(long long)json_get_int(ret, "invariants", 0));
		else
			printf("check: clean in %s: %s\n",
				clock_duration(json_get_int(ret, "took_ms", 0), took),
				json_get_str(ret, "summary", ""));
	}
	return json_count(findings) ? CLI_NO : CLI_OK;
}

static const struct cli_opt repo_opts[] = {
	{ "url", 0, "URL", "where it is cloned from, or its path on this machine" },
	{ "forge", 0, "NAME", "github, gitea, gitlab or generic (the default)" },
	{ "ssh-key", 0, "FILE", "private key to fetch with" },
	{ "host-key", 0, "LINE", "the server's key, as in known_hosts; ssh needs it" },
	{ "token-stdin", 0, NULL, "read a token to fetch with from stdin" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};
static const struct cli_opt scope_opts[] = {
	{ "repo", 0, "OWNER/NAME", "of this repository ($SLUICE_REPO); else of all" },
	{ "env", 0, "ENV", "of this environment alone" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};
static const struct cli_opt token_opts[] = {
	{ "scope", 0, "WORDS", "read, run, approve, admin; by comma (default read)" },
	{ "expires", 0, "AGE", "as in 90d" },
	{ "user", 0, "NAME", "link: who signs in (default admin)" },
	{ "gate", 0, "GATE", "link: for this gate alone" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};
static const struct cli_opt plain_opts[] = {
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_repo = { "repo", "operate",
	"add OWNER/NAME --url URL [--forge F] [--ssh-key FILE]\n"
	"list | check OWNER/NAME | rotate OWNER/NAME | remove OWNER/NAME\n"
	"set OWNER/NAME KEY=VALUE",
	"Add, check, change and remove repositories", repo_opts,
	"sluice repo add acme/shop --url https://git.example.com/acme/shop.git", NULL, 1,
	3, run_repo, NULL };
const struct cli_verb verb_secret = { "secret", "operate",
	"set NAME [--repo OWNER/NAME] [--env ENV]\n"
	"list | remove NAME",
	"Keep secrets, sealed with the master key; set reads stdin, or asks", scope_opts,
	"sluice secret set SLACK_WEBHOOK --repo acme/archive", NULL, 1, 2, run_secret, NULL };
const struct cli_verb verb_var = { "var", "operate",
	"set NAME VALUE [--repo OWNER/NAME] [--env ENV]\nlist | remove NAME",
	"Keep variables (the vars context)", scope_opts,
	"sluice var set REGION eu-1 --repo acme/archive", NULL, 1, 3, run_var, NULL };
const struct cli_verb verb_token = { "token", "operate",
	"create NAME [--scope WORDS] [--expires AGE]\nlist | revoke NAME\nlink [--user NAME]",
	"Make API tokens and one-time links to sign in", token_opts,
	"sluice token create dashboard --scope read --expires 90d", NULL, 1, 2, run_token, NULL };
const struct cli_verb verb_key = { "key", "operate", "add NAME | list | revoke NAME",
	"Keep the keys that sign approvals", plain_opts, "sluice key add chatops", NULL, 1, 2,
	run_key, NULL };
const struct cli_verb verb_environments = { "environments", "look",
	"[list]\napply FILE --repo OWNER/NAME", "List environments, or set their rules",
	scope_opts, "sluice environments apply environments.yml --repo acme/takeoff", NULL, 0, 2,
	run_environments, NULL };
const struct cli_verb verb_check = { "check", "operate", "",
	"Verify the invariants, the audit chain and the database", plain_opts, "sluice check",
	NULL, 0, 0, run_check, NULL };
