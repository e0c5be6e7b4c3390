/* SPDX-License-Identifier: Apache-2.0 */
/* Repositories and the hooks that may speak for them. */
#ifndef STORE_REPOS_H
#define STORE_REPOS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/strbuf.h"
#include "store/audit.h"
#include "store/store.h"

struct repo {
	int64_t id;
	char *full_name; /* "acme/archive"; unique without case */
	char *forge;	 /* "github", "gitea", "gitlab", "generic" */
	char *url;	 /* what the mirror is fetched from */
	char *forge_id;	 /* the forge's own number for it, "" until first seen */
	char *default_branch;
	struct json *settings; /* an object, see REPO_SETTINGS in repos.c */
	bool is_enabled;
	bool wants_statuses; /* outbox rows for commit statuses are made */
	int64_t created_at;
};
void repo_done(struct repo *r);

struct repo_new {
	const char *full_name;
	const char *forge;
	const char *url;
	const char *default_branch;  /* may be NULL: "main" */
	const struct json *settings; /* may be NULL */
};
/* ERR_CONFLICT when the name is taken, ERR_INPUT when it is no OWNER/NAME. */
int repos_add(struct store *s, const struct repo_new *in, const struct actor *who,
	int64_t *ret_id, struct err *err);
int repos_get(struct store *s, int64_t id, struct repo *ret, struct err *err);
int repos_find(struct store *s, const char *full_name, struct repo *ret, struct err *err);
/* Stops taking events of it. Its runs stay readable; its hooks and secrets are deleted. */
int repos_remove(struct store *s, int64_t id, const struct actor *who, struct err *err);
/* Sets one setting (VALUE taken; NULL removes it). */
int repos_set(struct store *s, int64_t id, const char *key, struct json *value,
	const struct actor *who, struct err *err);
int repos_set_default_branch(
	struct store *s, int64_t id, const char *branch, struct err *err);
/* Remembers the forge's id of a repository; ERR_CONFLICT if another one is known. */
int repos_bind_forge_id(
	struct store *s, int64_t id, const char *forge_id, struct err *err);

/*
 * Credentials of the mirror ("ssh-key", "token", "host-key"), sealed. An empty plain text
 * deletes. repos_credential: ERR_NOT_FOUND when there is none.
 */
int repos_set_credential(struct store *s, int64_t id, const char *kind, const void *plain,
	size_t len, const struct actor *who, struct err *err);
int repos_credential(struct store *s, int64_t id, const char *kind, struct strbuf *out,
	struct err *err);

/*
 * A hook is a secret of one forge bound to one repository. hooks_add makes a secret of 40
 * characters when SECRET is NULL; *RET_SECRET is heap, shown once. While a secret is
 * rotated the old one stays valid until OLD_UNTIL.
 */
int hooks_add(struct store *s, int64_t repo, const char *forge, const char *secret,
	const struct actor *who, int64_t *ret_id, char **ret_secret, struct err *err);
int hooks_rotate(struct store *s, int64_t hook, int64_t old_valid_ms,
	const struct actor *who, char **ret_secret, struct err *err);
/* The hook of a repository; ERR_NOT_FOUND. */
int hooks_find(struct store *s, int64_t repo, int64_t *ret_id, struct err *err);

/* All live secrets of one forge, opened: core keeps them in memory while it serves. */
struct hook_secret {
	int64_t hook;
	int64_t repo;
	char *repo_name;
	char *forge_id;
	char *secret; /* wiped by hook_secrets_free */
	size_t secret_len;
};
int hooks_secrets(struct store *s, const char *forge, struct hook_secret **ret,
	size_t *ret_len, struct err *err);
void hook_secrets_free(struct hook_secret *list, size_t len);
/* Grows with every change of hooks: a cached list older than this is stale. */
int64_t hooks_version(struct store *s);

/* Variables: ENVIRONMENT "" is the repository's own; REPO 0 the instance's. */
int vars_set(struct store *s, int64_t repo, const char *environment, const char *name,
	const char *value, const struct actor *who, struct err *err);
int vars_delete(struct store *s, int64_t repo, const char *environment, const char *name,
	const struct actor *who, struct err *err);
/* The `vars` context of a job: instance, repository, environment, later wins. */
int vars_context(struct store *s, int64_t repo, const char *environment,
	struct json **ret, struct err *err);

#endif
