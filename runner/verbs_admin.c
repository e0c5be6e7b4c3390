/* SPDX-License-Identifier: Apache-2.0 */
/* What an administrator keeps: repositories, rules, secrets, variables, tokens, keys. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runner/ingest.h"
#include "runner/network.h"
#include "runner/verbs.h"
#include "sandbox/sandbox.h"
#include "store/environments.h"
#include "store/query.h"
#include "store/secrets.h"

#define LINK_VALID_MS (24 * 3600 * 1000LL)
#define OLD_SECRET_MS (3600 * 1000LL) /* a rotated hook secret still works this long */

static void answer(struct verb_call *v, int r, struct json **j, const struct err *err)
{
	if (r < 0) {
		verb_fail(v, err, NULL);
		return;
	}
	query_public(*j);
	verb_ok(v, *j);
}

static void done(struct verb_call *v, int r, const struct err *err)
{
	if (r < 0)
		verb_fail(v, err, NULL);
	else
		verb_ok(v, NULL);
}

/* ---- repositories ---- */

static const char *const forges[] = { "github", "gitea", "gitlab", "generic", NULL };

static bool known_forge(const char *forge)
{
	for (size_t i = 0; forges[i]; i++)
		if (strcmp(forges[i], forge) == 0)
			return true;
	return false;
}

/* A path of this machine is an administrator's word; anything else names its protocol. */
static bool url_is_fetchable(const char *url)
{
	return url[0] == '/' || str_starts(url, "file:///") ||
	       str_starts(url, "https://") || str_starts(url, "http://") ||
	       str_starts(url, "ssh://") || str_starts(url, "git://") ||
	       (strchr(url, '@') && strchr(url, ':') && url[0] != '-');
}

/* "user@host:path" is ssh too, as git has it. */
static bool url_is_ssh(const char *url)
{
	return str_starts(url, "ssh://") || (url[0] != '/' && !strstr(url, "://"));
}

static int set_credentials(struct verb_call *v, int64_t repo, struct err *err)
{
	static const struct {
		const char *arg, *kind;
	} kinds[] = {
		{ "token", "token" },
		{ "ssh_key", "ssh-key" },
		{ "host_key", "host-key" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct json *j = json_get(v->args, kinds[i].arg);

		if (json_str_len(j) > 0 &&
			repos_set_credential(v->core->store, repo, kinds[i].kind,
				json_as_str(j, ""), json_str_len(j), &v->actor, err) < 0)
			return -1;
	}
	return 0;
}

static void repo_add(struct verb_call *v)
{
	const char *name, *url, *forge = json_get_str(v->args, "forge", "generic");
	struct repo_new in = { .forge = forge,
		.default_branch = json_get_str(v->args, "branch", NULL) };
	_cleanup_free_ char *secret = NULL, *address = NULL;
	struct json *ret;
	struct err err = ERR_INIT;
	int64_t id, hook;

	if (!verb_arg_str(v, "repo", &name) || !verb_arg_str(v, "url", &url))
		return;
	if (!known_forge(forge) || !url_is_fetchable(url)) {
		if (known_forge(forge))
			err_set(&err, ERR_INPUT, "'%.100s' is no address git can fetch from", url);
		else
			err_set(&err, ERR_INPUT, "unknown forge '%.32s'", forge);
		verb_fail(v, &err,
			known_forge(forge)
				? "https://..., ssh://..., or the absolute path of a repository here"
				: "it is one of: github, gitea, gitlab, generic");
		return;
	}
	if (url_is_ssh(url) && !json_get_str(v->args, "host_key", "")[0]) {
		err_set(&err, ERR_INPUT,
			"'%.100s' is fetched by ssh, and no host key was given to know it by", url);
		verb_fail(v, &err, "give --host-key \"$(ssh-keyscan HOST)\" after comparing it "
				   "with what the host's keeper publishes");
		return;
	}
	in.full_name = name;
	in.url = url;
	if (repos_add(v->core->store, &in, &v->actor, &id, &err) < 0 ||
		set_credentials(v, id, &err) < 0 ||
		hooks_add(v->core->store, id, forge, NULL, &v->actor, &hook, &secret, &err) < 0) {
		verb_fail(v, &err,
			err.code == ERR_CONFLICT ? "sluice repo set changes it, sluice repo remove "
						   "takes it away" : NULL);
		return;
	}
	address = xasprintf("%s/hooks/%s", v->core->o->base_url ? v->core->o->base_url : "", forge);
	ret = json_new_object();
	json_set_int(ret, "id", id);
	json_set_str(ret, "repo", name);
	json_set_str(ret, "hook_address", address);
	json_set_str(ret, "hook_secret", secret);
	json_set_str(ret, "message", "added");
	verb_ok(v, ret);
}

static void repo_list(struct verb_call *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer(v, query_repos(v->core->store, &j, &err), &j, &err);
}

static void repo_show(struct verb_call *v)
{
	const char *name;
	struct json *j = NULL;
	struct err err = ERR_INIT;

	if (!verb_arg_str(v, "repo", &name))
		return;
	if (query_repo(v->core->store, name, &j, &err) < 0) {
		if (err.code == ERR_NOT_FOUND)
			err_set(&err, ERR_NOT_FOUND, "no repository '%.200s'", name);
		verb_fail(v, &err, "sluice repo list shows them");
		return;
	}
	query_public(j);
	verb_ok(v, j);
}

static void on_checked(struct json *result, const struct err *why, void *data)
{
	struct verb_call *v = data;
	_cleanup_(json_freep) struct json *owned = result;
	struct json *ret;
	char words[96];

	ret = json_new_object();
	json_set_bool(ret, "reachable", why == NULL);
	if (why) { /* a forge that is away is an answer, not a fault of this server's */
		json_set_str(ret, "message", why->msg);
		json_set_str(ret, "hint",
			"is the address right, and does its token or key still work?");
		verb_ok(v, ret);
		return;
	}
	snprintf(words, sizeof(words), "reachable, its branches fetched by %.20s in %lld ms",
		json_get_str(owned, "method", "libgit2"), (long long)json_get_int(owned, "ms", 0));
	json_set_str(ret, "message", words);
	verb_ok(v, ret);
}

static void repo_check(struct verb_call *v)
{
	_cleanup_(repo_done) struct repo r = { 0 };
	_cleanup_(strbuf_done) struct strbuf body = STRBUF_INIT;
	struct json *refs, *head = NULL;
	struct err err = ERR_INIT;

	if (!verb_arg_repo(v, &r))
		return;
	refs = json_new_array();
	json_push_str(refs, "refs/heads/");
	if (git_fetch_head(v->core, &r, refs, NULL, &head, &body, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	git_ask(v->core, head, body.buf, body.len, 0, on_checked, v);
}

static void repo_remove(struct verb_call *v)
{
	_cleanup_(repo_done) struct repo r = { 0 };
	struct err err = ERR_INIT;

	if (verb_arg_repo(v, &r))
		done(v, repos_remove(v->core->store, r.id, &v->actor, &err), &err);
}

static void repo_rotate(struct verb_call *v)
{
	_cleanup_(repo_done) struct repo r = { 0 };
	_cleanup_free_ char *secret = NULL, *address = NULL;
	struct json *ret;
	struct err err = ERR_INIT;
	int64_t hook;

	if (!verb_arg_repo(v, &r))
		return;
	if (hooks_find(v->core->store, r.id, &hook, &err) < 0 ||
		hooks_rotate(v->core->store, hook, OLD_SECRET_MS, &v->actor, &secret, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	address = xasprintf("%s/hooks/%s", v->core->o->base_url ? v->core->o->base_url : "",
		r.forge);
	ret = json_new_object();
	json_set_str(ret, "hook_address", address);
	json_set_str(ret, "hook_secret", secret);
	verb_ok(v, ret);
}

/* "true", "12", "a,b" as the JSON the setting wants; the store checks the key. */
static struct json *setting_value(const char *key, const char *text)
{
	long long n;
	struct json *list;
	_cleanup_(strvec_done) struct strvec parts = STRVEC_INIT;

	if (str_eq(text, "true") || str_eq(text, "false"))
		return json_new_bool(text[0] == 't');
	if (str_to_int(text, INT64_MIN, INT64_MAX, &n) == 0)
		return json_new_int(n);
	if (!str_ends(key, ".allow") && !str_ends(key, ".relay") && !str_ends(key, "labels"))
		return json_new_str(text);
	list = json_new_array();
	strvec_split(&parts, text, ',');
	strvec_foreach(item, &parts) if ((*item)[0]) json_push_str(list, *item);
	return list;
}

/* The profile of a repository's trusted work, in place of the server's. */
static int check_profile(const char *key, const struct json *value, struct err *err)
{
	enum sandbox_profile p;

	if (!str_eq(key, "profile") || !value)
		return 0;
	if (sandbox_profile_parse(json_as_str(value, ""), &p) < 0 || p == SANDBOX_ROOT)
		return err_set(err, ERR_INPUT,
			"a profile is one of 'strict', 'standard', 'build'");
	return 0;
}

static void repo_set(struct verb_call *v)
{
	_cleanup_(repo_done) struct repo r = { 0 };
	const char *key, *value = json_get_str(v->args, "value", "");
	_cleanup_(json_freep) struct json *set = NULL;
	struct err err = ERR_INIT;
	int rc;

	if (!verb_arg_str(v, "key", &key) || !verb_arg_repo(v, &r))
		return;
	set = value[0] ? setting_value(key, value) : NULL;
	if (str_eq(key, "default_branch"))
		rc = repos_set_default_branch(v->core->store, r.id, value, &err);
	else if ((rc = network_check(key, set, &err)) == 0 &&
		 (rc = check_profile(key, set, &err)) == 0)
		rc = repos_set(v->core->store, r.id, key, json_share(set), &v->actor, &err);
	done(v, rc, &err);
}

/* ---- environments ---- */

/* Their form is the store's to check, their words are not known there. */
static int check_network_rules(const struct json *rules, struct err *err)
{
	json_foreach(it, rules) if (str_starts(it.key, "network_") &&
		network_check(it.key, it.value, err) < 0) return -1;
	return 0;
}

static void env_apply(struct verb_call *v)
{
	_cleanup_(repo_done) struct repo r = { 0 };
	const struct json *list = json_get(v->args, "environments");
	struct err err = ERR_INIT;
	int64_t id;

	if (!verb_arg_repo(v, &r))
		return;
	if (json_count(list) == 0) {
		err_set(&err, ERR_INPUT, "no environment was given");
		verb_fail(v, &err, "a mapping of names to rules, as in docs/environments.md");
		return;
	}
	json_foreach(it, list) {
		if (check_network_rules(it.value, &err) < 0 ||
			environments_set(v->core->store, r.id, it.key, it.value,
				&v->actor, &id, &err) < 0) {
			err_wrap(&err, "environment '%.64s'", it.key);
			verb_fail(v, &err,
				"docs/environments.md lists the rules; nothing was changed");
			return;
		}
	}
	verb_ok(v, NULL);
}

static void env_remove(struct verb_call *v)
{
	_cleanup_(repo_done) struct repo r = { 0 };
	const char *name;
	struct err err = ERR_INIT;

	if (verb_arg_str(v, "name", &name) && verb_arg_repo(v, &r))
		done(v, environments_delete(v->core->store, r.id, name, &v->actor, &err), &err);
}

/* ---- secrets and variables ---- */

/* What secret.list says of one: never its value. NULL: there is none. */
static struct json *secret_facts(
	struct verb_call *v, int64_t repo, const char *environment, const char *name)
{
	_cleanup_(json_freep) struct json *page = NULL;
	const struct json *items;
	struct err err = ERR_INIT;

	if (query_secrets(v->core->store, repo, &page, &err) < 0)
		return NULL;
	items = json_get(page, "items");
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *one = json_at(items, i);

		if (strcasecmp(json_get_str(one, "name", ""), name) == 0 &&
			str_eq(json_get_str(one, "environment", ""), environment))
			return json_clone(one);
	}
	return NULL;
}

static void secret_set(struct verb_call *v)
{
	const char *name, *environment = json_get_str(v->args, "environment", "");
	const struct json *value = json_get(v->args, "value");
	struct json *facts;
	struct err err = ERR_INIT;
	int64_t repo;

	if (!verb_arg_str(v, "name", &name) || !verb_arg_scope(v, &repo))
		return;
	if (secrets_set(v->core->store, repo, environment, name, json_as_str(value, ""),
		    json_str_len(value), &v->actor, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	facts = secret_facts(v, repo, environment, name);
	if (facts)
		query_public(facts);
	verb_ok(v, facts);
}

static void secret_list(struct verb_call *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;
	int64_t repo;

	if (verb_arg_scope(v, &repo))
		answer(v, query_secrets(v->core->store, repo, &j, &err), &j, &err);
}

static void secret_remove(struct verb_call *v)
{
	const char *name;
	struct err err = ERR_INIT;
	int64_t repo;

	if (verb_arg_str(v, "name", &name) && verb_arg_scope(v, &repo))
		done(v,
			secrets_delete(v->core->store, repo,
				json_get_str(v->args, "environment", ""), name, &v->actor, &err),
			&err);
}

static void var_set(struct verb_call *v)
{
	const char *name;
	struct err err = ERR_INIT;
	int64_t repo;

	if (verb_arg_str(v, "name", &name) && verb_arg_scope(v, &repo))
		done(v,
			vars_set(v->core->store, repo, json_get_str(v->args, "environment", ""),
				name, json_get_str(v->args, "value", ""), &v->actor, &err),
			&err);
}

static void var_list(struct verb_call *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;
	int64_t repo;

	if (verb_arg_scope(v, &repo))
		answer(v, query_vars(v->core->store, repo, &j, &err), &j, &err);
}

static void var_remove(struct verb_call *v)
{
	const char *name;
	struct err err = ERR_INIT;
	int64_t repo;

	if (verb_arg_str(v, "name", &name) && verb_arg_scope(v, &repo))
		done(v,
			vars_delete(v->core->store, repo,
				json_get_str(v->args, "environment", ""), name, &v->actor, &err),
			&err);
}

/* ---- tokens, links, keys ---- */

/* "90d", "12h" from now; 0: never. */
static bool expiry(struct verb_call *v, int64_t *ret)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = { { 'd', 86400000 }, { 'h', 3600000 }, { 'm', 60000 } };
	const char *text = json_get_str(v->args, "expires", "");
	size_t len = strlen(text);
	struct err err = ERR_INIT;
	long long n;

	*ret = 0;
	if (len == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		_cleanup_free_ char *digits = xstrndup(text, len - 1);

		if (text[len - 1] == units[i].unit && str_to_int(digits, 1, 36500, &n) == 0) {
			*ret = clock_wall_ms() + n * units[i].ms;
			return true;
		}
	}
	err_set(&err, ERR_INPUT, "'expires' is '%.32s'; it takes an age such as 90d or 12h", text);
	verb_fail(v, &err, NULL);
	return false;
}

static void token_create(struct verb_call *v)
{
	const char *name;
	enum scope scopes;
	_cleanup_free_ char *token = NULL;
	struct json *ret;
	struct err err = ERR_INIT;
	int64_t expires;

	if (!verb_arg_str(v, "name", &name) || !expiry(v, &expires))
		return;
	scopes = scopes_parse(json_get_str(v->args, "scope", "read"), &err);
	if (scopes == 0 ||
		tokens_create(v->core->store, name, json_get_str(v->args, "user", name), scopes,
			expires, &v->actor, &token, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	ret = json_new_object();
	json_set_str(ret, "token", token);
	json_set_str(ret, "name", name);
	json_set_int(ret, "expires_at", expires);
	query_public(ret);
	verb_ok(v, ret);
}

static void token_list(struct verb_call *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer(v, query_tokens(v->core->store, &j, &err), &j, &err);
}

static void token_revoke(struct verb_call *v)
{
	const char *name;
	struct err err = ERR_INIT;

	if (verb_arg_str(v, "name", &name))
		done(v, tokens_revoke(v->core->store, name, &v->actor, &err), &err);
}

static void login_link(struct verb_call *v)
{
	_cleanup_free_ char *token = NULL, *url = NULL;
	const char *gate_text = json_get_str(v->args, "gate", "");
	const char *user = json_get_str(v->args, "user", "admin");
	enum scope scopes;
	struct json *ret;
	struct err err = ERR_INIT;
	long long gate = json_get_int(v->args, "gate", 0);

	if (gate_text[0] && str_to_int(gate_text, 1, INT64_MAX, &gate) < 0)
		gate = 0;
	/* A link for one gate approves; the other is a full sign-in of its user. */
	scopes = gate ? SCOPE_READ | SCOPE_APPROVE :
			scopes_parse(json_get_str(v->args, "scope", "admin"), &err);
	if (scopes == 0 || links_create(v->core->store, user, scopes, gate, LINK_VALID_MS,
				   &v->actor, &token, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	url = xasprintf("%s/approve/%s", v->core->o->base_url ? v->core->o->base_url : "", token);
	ret = json_new_object();
	json_set_str(ret, "url", url);
	json_set_str(ret, "token", token);
	verb_ok(v, ret);
}

static void key_add(struct verb_call *v)
{
	const char *name;
	_cleanup_free_ char *secret = NULL;
	struct json *ret;
	struct err err = ERR_INIT;

	if (!verb_arg_str(v, "name", &name))
		return;
	if (keys_create(v->core->store, name, &v->actor, &secret, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	ret = json_new_object();
	json_set_str(ret, "name", name);
	json_set_str(ret, "secret", secret);
	verb_ok(v, ret);
}

static void key_list(struct verb_call *v)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	answer(v, query_keys(v->core->store, &j, &err), &j, &err);
}

static void key_revoke(struct verb_call *v)
{
	const char *name;
	struct err err = ERR_INIT;

	if (verb_arg_str(v, "name", &name))
		done(v, keys_revoke(v->core->store, name, &v->actor, &err), &err);
}

const struct verb verbs_admin[] = {
	{ "repo.add", SCOPE_ADMIN, true, repo_add },
	{ "repo.list", SCOPE_READ, false, repo_list },
	{ "repo.show", SCOPE_READ, false, repo_show },
	{ "repo.check", SCOPE_ADMIN, false, repo_check },
	{ "repo.remove", SCOPE_ADMIN, true, repo_remove },
	{ "repo.rotate", SCOPE_ADMIN, true, repo_rotate },
	{ "repo.set", SCOPE_ADMIN, true, repo_set },
	{ "env.apply", SCOPE_ADMIN, true, env_apply },
	{ "env.remove", SCOPE_ADMIN, true, env_remove },
	{ "secret.set", SCOPE_ADMIN, true, secret_set },
	{ "secret.list", SCOPE_READ, false, secret_list },
	{ "secret.remove", SCOPE_ADMIN, true, secret_remove },
	{ "var.set", SCOPE_ADMIN, true, var_set },
	{ "var.list", SCOPE_READ, false, var_list },
	{ "var.remove", SCOPE_ADMIN, true, var_remove },
	{ "token.create", SCOPE_ADMIN, true, token_create },
	{ "token.list", SCOPE_ADMIN, false, token_list },
	{ "token.revoke", SCOPE_ADMIN, true, token_revoke },
	{ "login.link", SCOPE_ADMIN, true, login_link },
	{ "key.add", SCOPE_ADMIN, true, key_add },
	{ "key.list", SCOPE_ADMIN, false, key_list },
	{ "key.revoke", SCOPE_ADMIN, true, key_revoke },
	{ NULL, 0, false, NULL },
};
