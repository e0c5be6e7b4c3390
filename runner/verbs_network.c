/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allow-lists as people keep them: what is in force, what was learnt, and the one step from
 * the second to the first, which takes the digest of what was shown.
 */
#include <stdio.h>
#include <string.h>

#include "base/crypto.h"
#include "base/mem.h"
#include "executor/proxy.h"
#include "runner/network.h"
#include "runner/verbs.h"
#include "store/environments.h"
#include "store/query.h"

#define DIGEST_SHOWN 12

/* Whose list a call is about. */
struct subject {
	struct repo repo;
	struct environment environment; /* name NULL: the repository's list */
};

static void subject_done(struct subject *s)
{
	repo_done(&s->repo);
	environment_done(&s->environment);
}

static bool arg_subject(struct verb_call *v, struct subject *ret)
{
	const char *name = json_get_str(v->args, "environment", "");
	struct err err = ERR_INIT;

	if (!verb_arg_repo(v, &ret->repo))
		return false;
	if (!name[0] || environments_find(v->core->store, ret->repo.id, name,
				&ret->environment, &err) == 0)
		return true;
	verb_fail(v, &err, "its rules come first: sluice environments apply FILE");
	return false;
}

static const struct json *list_of(const struct subject *s)
{
	return s->environment.name ? json_get(s->environment.rules, "network_allow")
				   : json_get(s->repo.settings, "network.allow");
}

/* The list TAKEN replaces the one in force; what a list needs besides is set with it. */
static int set_list(struct verb_call *v, struct subject *s, struct json *taken,
	bool ends_learning, struct err *err)
{
	_cleanup_(json_freep) struct json *list = taken, *rules = NULL;
	struct store *store = v->core->store;
	int64_t id;

	if (network_check("network.allow", list, err) < 0)
		return -1;
	if (s->environment.name) {
		rules = json_clone(s->environment.rules);
		json_set(rules, "network_allow", json_share(list));
		if (ends_learning)
			json_unset(rules, "network_learn");
		return environments_set(store, s->repo.id, s->environment.name, rules,
			&v->actor, &id, err);
	}
	if (repos_set(store, s->repo.id, "network.allow", json_share(list), &v->actor,
		    err) < 0)
		return -1;
	if (!ends_learning)
		return 0;
	return repos_set(store, s->repo.id, "network.only_allowed", json_new_bool(true),
		       &v->actor, err) < 0 ||
			       repos_set(store, s->repo.id, "network.learn", NULL,
				       &v->actor, err) < 0
		       ? -1
		       : 0;
}

static bool has(const struct json *list, const char *entry)
{
	for (size_t i = 0; i < json_count(list); i++)
		if (str_eq(json_as_str(json_at(list, i), ""), entry))
			return true;
	return false;
}

/* ---- what is in force ---- */

static void network_show(struct verb_call *v)
{
	_cleanup_(subject_done) struct subject s = { 0 };
	struct network_asked a = { .repo = &s.repo, .is_trusted = true };
	struct json *n = NULL;
	struct err err = ERR_INIT;

	if (!arg_subject(v, &s))
		return;
	a.environment = s.environment.name ? s.environment.name : "";
	if (network_rules(v->core, &a, &n, &err) < 0)
		verb_fail(v, &err, NULL);
	else
		verb_ok(v, n);
}

/* ---- one entry ---- */

static void network_allow(struct verb_call *v)
{
	_cleanup_(subject_done) struct subject s = { 0 };
	const char *entry;
	struct json *list;
	struct err err = ERR_INIT;

	if (!verb_arg_str(v, "entry", &entry) || !arg_subject(v, &s))
		return;
	list = list_of(&s) ? json_clone(list_of(&s)) : json_new_array();
	if (!has(list, entry))
		json_push_str(list, entry);
	if (set_list(v, &s, list, false, &err) < 0)
		verb_fail(v, &err, NULL);
	else
		verb_ok(v, NULL);
}

/* ---- learning ---- */

/*
 * {"items": [{"entry", "count", "bytes_in", "bytes_out", "job_id"}], "digest", "learns"}:
 * what passed under the rule of learning and stands in no list yet.
 */
static int learnt(
	struct verb_call *v, const struct subject *s, struct json **ret, struct err *err)
{
	_cleanup_free_ char *rule =
		network_learn_rule(s->environment.name ? s->environment.name : "");
	_cleanup_(json_freep) struct json *rows = NULL;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct json *items = json_new_array(), *j = json_new_object();
	char digest[SHA256_HEX_MAX];

	json_set(j, "items", items);
	if (query_learnt(v->core->store, s->repo.id, rule, &rows, err) < 0) {
		json_free(j);
		return -1;
	}
	for (size_t i = 0; i < json_count(rows); i++) {
		struct json *row = json_at(rows, i);
		const char *host = json_get_str(row, "host", "");
		_cleanup_free_ char *entry =
			xasprintf(strchr(host, ':') ? "[%s]:%lld" : "%s:%lld", host,
				(long long)json_get_int(row, "port", 0));

		if (has(list_of(s), entry) || has(list_of(s), host))
			continue;
		json_set_str(row, "entry", entry);
		json_push(items, json_share(row));
		strbuf_addf(&text, "%s\n", entry);
	}
	crypto_sha256_hex(text.buf, text.len, digest);
	digest[DIGEST_SHOWN] = '\0';
	json_set_str(j, "digest", digest);
	json_set_bool(j, "learns",
		s->environment.name
			? json_get_bool(s->environment.rules, "network_learn", false)
			: json_get_bool(s->repo.settings, "network.learn", false));
	*ret = j;
	return 0;
}

static void network_learned(struct verb_call *v)
{
	_cleanup_(subject_done) struct subject s = { 0 };
	struct json *j = NULL;
	struct err err = ERR_INIT;

	if (!arg_subject(v, &s))
		return;
	if (learnt(v, &s, &j, &err) < 0)
		verb_fail(v, &err, NULL);
	else
		verb_ok(v, j);
}

/* The list grows by what was shown, is held to from now on, and learning ends. */
static void network_keep(struct verb_call *v)
{
	_cleanup_(subject_done) struct subject s = { 0 };
	_cleanup_(json_freep) struct json *j = NULL;
	const struct json *items;
	const char *digest;
	struct json *list, *ret;
	struct err err = ERR_INIT;

	if (!verb_arg_str(v, "digest", &digest) || !arg_subject(v, &s))
		return;
	if (learnt(v, &s, &j, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	if (!str_eq(json_get_str(j, "digest", ""), digest)) {
		err_set(&err, ERR_CONFLICT, "more was learnt since '%.40s' was shown",
			digest);
		verb_fail(v, &err, "look again: sluice network learned OWNER/NAME");
		return;
	}
	items = json_get(j, "items");
	list = list_of(&s) ? json_clone(list_of(&s)) : json_new_array();
	for (size_t i = 0; i < json_count(items); i++)
		json_push_str(list, json_get_str(json_at(items, i), "entry", ""));
	if (set_list(v, &s, list, true, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	ret = json_new_object();
	json_set_int(ret, "added", (int64_t)json_count(items));
	verb_ok(v, ret);
}

const struct verb verbs_network[] = {
	{ "network.show", SCOPE_READ, false, network_show },
	{ "network.allow", SCOPE_ADMIN, true, network_allow },
	{ "network.learned", SCOPE_READ, false, network_learned },
	{ "network.keep", SCOPE_ADMIN, true, network_keep },
	{ NULL, 0, false, NULL },
};
