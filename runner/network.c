/* SPDX-License-Identifier: Apache-2.0 */
/* What a job may talk to, out of three places. See network.h. */
#include "runner/network.h"

#include <string.h>

#include "base/mem.h"
#include "executor/proxy.h"
#include "sandbox/sandbox.h"
#include "store/environments.h"

#define HINT_MAX 200

/* The host part of a URL or of HOST:PATH, heap, or NULL. */
static char *host_of(const char *url)
{
	const char *at = strstr(url, "://");
	const char *from = at ? at + 3 : url;
	const char *user = strchr(from, '@');
	size_t len;

	if (!at && !strchr(url, ':'))
		return NULL; /* a path */
	if (user && (!strchr(from, '/') || user < strchr(from, '/')))
		from = user + 1;
	len = strcspn(from, at ? "/" : ":");
	return len ? xstrndup(from, len) : NULL;
}

static void push_all(struct json *to, const struct json *from)
{
	for (size_t i = 0; i < json_count(from); i++)
		json_push_str(to, json_as_str(json_at(from, i), ""));
}

static struct json *list_of(const struct strvec *v)
{
	struct json *l = json_new_array();

	strvec_foreach (s, v)
		json_push_str(l, *s);
	return l;
}

char *network_learn_rule(const char *environment)
{
	return environment[0] ? xasprintf("learn %s", environment) : xstrdup("learn");
}

/* ---- the command that would allow ---- */

static char *local_hint(const struct core *c, const char *node)
{
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;

	strbuf_adds(&out, "SLUICE_NETWORK_ALLOW=");
	strvec_foreach (s, &c->o->network_allow)
		strbuf_addf(&out, "%s,", *s);
	strbuf_adds(&out, "%s sluice run");
	if (node && *node)
		strbuf_addf(&out, " -j %s", node);
	return strbuf_take(&out);
}

/* The whole new list, since that is what `repo set` takes; a long one has its own verb. */
static char *repository_hint(const struct repo *repo)
{
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
	const struct json *list = json_get(repo->settings, "network.allow");

	strbuf_addf(&out, "sluice repo set %s network.allow=", repo->full_name);
	for (size_t i = 0; i < json_count(list); i++)
		strbuf_addf(&out, "%s,", json_as_str(json_at(list, i), ""));
	strbuf_adds(&out, "%s");
	if (out.len > HINT_MAX) {
		strbuf_clear(&out);
		strbuf_addf(&out, "sluice network allow %s %%s", repo->full_name);
	}
	return strbuf_take(&out);
}

static char *hint_of(
	const struct core *c, const struct network_asked *a, const char *environment)
{
	if (c->o->is_run)
		return local_hint(c, a->node);
	if (environment)
		return xasprintf("sluice network allow %s %%s --env %s",
			a->repo->full_name, environment);
	return repository_hint(a->repo);
}

/* ---- the lists ---- */

/* The environment's own list, if it has one; *RET_NAME as it is written there, or NULL. */
static int environment_list(struct core *c, const struct network_asked *a, struct json *n,
	char **ret_name, struct err *err)
{
	struct environment e = { 0 };
	struct json *allow = NULL;
	bool learns = false;

	*ret_name = NULL;
	if (!a->environment[0] || c->o->is_run)
		return 0;
	if (environments_find(c->store, a->repo->id, a->environment, &e, err) < 0) {
		if (err->code != ERR_NOT_FOUND)
			return -1;
		err_clear(err); /* the default rules: no list */
		return 0;
	}
	allow = json_get(e.rules, "network_allow");
	learns = json_get_bool(e.rules, "network_learn", false) && a->is_trusted;
	if (allow || learns) {
		struct json *own = json_new_array();

		push_all(own, allow);
		json_set(n, "allow", own);
		json_set_bool(n, "only_allowed", true);
		*ret_name = xstrdup(e.name);
		if (learns) {
			_cleanup_free_ char *rule = network_learn_rule(e.name);

			json_set_str(n, "learn", rule);
		}
	}
	environment_done(&e);
	return 0;
}

static void repository_list(
	const struct core *c, const struct network_asked *a, struct json *n)
{
	const struct json *s = a->repo->settings;
	bool learns = json_get_bool(s, "network.learn", false) && a->is_trusted;
	struct json *allow = list_of(&c->o->network_allow);

	push_all(allow, json_get(s, "network.allow"));
	json_set(n, "allow", allow);
	json_set_bool(n, "only_allowed",
		learns || c->o->network_only_allowed ||
			json_get_bool(s, "network.only_allowed", false));
	if (learns)
		json_set_str(n, "learn", "learn");
}

static const char *level_of(
	const struct core *c, const struct network_asked *a, const struct json *n)
{
	const char *own = json_get_str(a->repo->settings, "network.level", NULL);
	const char *level = own ? own : c->o->network;

	if (!a->is_trusted)
		return c->o->network_untrusted;
	if (json_get_bool(n, "only_allowed", false) && !str_eq(level, "none"))
		return "proxy";
	return level;
}

int network_rules(
	struct core *c, const struct network_asked *a, struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *n = json_new_object();
	_cleanup_free_ char *host = host_of(a->repo->url);
	_cleanup_free_ char *environment = NULL, *hint = NULL;

	if (environment_list(c, a, n, &environment, err) < 0)
		return -1;
	if (!environment)
		repository_list(c, a, n);
	json_set_str(n, "level", level_of(c, a, n));
	if (host)
		json_set_str(n, "forge", host);
	hint = hint_of(c, a, environment);
	json_set_str(n, "hint", hint);
	if (a->is_trusted) {
		struct json *relays = list_of(&c->o->network_relay);

		push_all(relays, json_get(a->repo->settings, "network.relay"));
		json_set(n, "relay", relays);
	}
	*ret = take_ptr(n);
	return 0;
}

/* ---- what may be set ---- */

static int check_entries(const struct json *value, struct err *err)
{
	_cleanup_(json_freep) struct json *rules = json_new_object();
	struct proxy_policy *p = NULL;

	json_set(rules, "allow", json_clone(value));
	if (proxy_policy_new(rules, &p, err) < 0)
		return -1;
	proxy_policy_free(p);
	return 0;
}

static int check_relays(const struct json *value, struct err *err)
{
	if (json_count(value) > PROXY_RELAYS)
		return err_set(err, ERR_LIMIT, "more than %d relays", PROXY_RELAYS);
	for (size_t i = 0; i < json_count(value); i++) {
		union proxy_addr addr;
		uint16_t port;

		if (proxy_relay_parse(
			    json_as_str(json_at(value, i), ""), &port, &addr, err) < 0)
			return -1;
	}
	return 0;
}

int network_check(const char *key, const struct json *value, struct err *err)
{
	const char *name = str_starts(key, "network.") || str_starts(key, "network_")
				   ? key + strlen("network.")
				   : NULL;
	enum sandbox_network level;

	if (!name || !value)
		return 0; /* not ours; taken away */
	if (str_eq(name, "allow") || str_eq(name, "relay")) {
		if (!json_is(value, JSON_KIND_ARRAY))
			return err_set(err, ERR_INPUT, "'%s' is no list", key);
		return str_eq(name, "allow") ? check_entries(value, err)
					     : check_relays(value, err);
	}
	if (str_eq(name, "learn") || str_eq(name, "only_allowed"))
		return json_is(value, JSON_KIND_BOOL)
			       ? 0
			       : err_set(err, ERR_INPUT, "'%s' is true or false", key);
	if (str_eq(name, "level"))
		return sandbox_network_parse(json_as_str(value, ""), &level) == 0
			       ? 0
			       : err_set(err, ERR_INPUT,
					 "'%s' is none, proxy, egress or host", key);
	return err_set(err, ERR_INPUT,
		"unknown setting '%.64s'; of the network there are level, allow, "
		"only_allowed, learn, relay",
		key);
}
