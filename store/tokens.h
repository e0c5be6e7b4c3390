/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may ask: API tokens, one-time links, browser sessions, approval keys. Only SHA-256
 * of tokens is stored; approval keys are sealed, since HMAC needs them.
 */
#ifndef STORE_TOKENS_H
#define STORE_TOKENS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "store/audit.h"

enum scope {
	SCOPE_READ = 1 << 0,
	SCOPE_RUN = 1 << 1,
	SCOPE_APPROVE = 1 << 2,
	SCOPE_ADMIN = 1 << 3, /* includes the others */
};
/* "read,approve" to bits; 0 with ERR_INPUT for an unknown word. */
enum scope scopes_parse(const char *text, struct err *err);
/* Bits to "read,approve" in BUF of 32. */
const char *scopes_text(enum scope scopes, char *buf);
static inline bool scopes_have(enum scope have, enum scope want)
{
	return (have & SCOPE_ADMIN) || (have & want) == want;
}

struct principal {
	char *kind; /* "user", "key", "token" */
	char *name; /* "mira", "key:demo" */
	enum scope scopes;
	int64_t id;	    /* token or session */
	int64_t gate;	    /* of a one-time link for one gate, 0 none */
	int64_t expires_at; /* 0 never */
};
void principal_done(struct principal *p);

/* "slt_..." is returned once, heap. EXPIRES_AT 0: never. USER is who acts with it. */
int tokens_create(struct store *s, const char *name, const char *user, enum scope scopes,
	int64_t expires_at, const struct actor *who, char **ret_token, struct err *err);
int tokens_revoke(
	struct store *s, const char *name, const struct actor *who, struct err *err);
/* ERR_DENIED for anything that is no live token: unknown, expired, revoked. Reads only. */
int tokens_check(
	struct store *s, const char *token, struct principal *ret, struct err *err);
/* Writes down that it was used, at most once in ten minutes. */
int tokens_used(struct store *s, int64_t id, struct err *err);

/* A link that signs in once. GATE not 0: only that gate can be seen and decided with it. */
int links_create(struct store *s, const char *user, enum scope scopes, int64_t gate,
	int64_t valid_ms, const struct actor *who, char **ret_token, struct err *err);
/* What a link is for, without using it up (GET shows). ERR_DENIED. Reads only. */
int links_peek(
	struct store *s, const char *token, struct principal *ret, struct err *err);

/* Uses up a link and makes a session (a new one each time: no fixation). */
int sessions_open_link(struct store *s, const char *link, int64_t valid_ms,
	char **ret_session, struct principal *ret, struct err *err);
/* A session for somebody already known (API token, peer credentials). */
int sessions_open(struct store *s, const char *user, enum scope scopes, int64_t valid_ms,
	char **ret_session, struct err *err);
int sessions_check(struct store *s, const char *session, struct principal *ret,
	struct err *err); /* reads only */
int sessions_close(struct store *s, const char *session, struct err *err);
/* Deletes expired sessions, links and nonces. */
int sessions_sweep(struct store *s, struct err *err);

/* Approval keys: "key:NAME" as a reviewer. The secret is shown once, heap, 64 digits. */
int keys_create(struct store *s, const char *name, const struct actor *who,
	char **ret_secret, struct err *err);
int keys_revoke(
	struct store *s, const char *name, const struct actor *who, struct err *err);
/* The bytes of a live key appended to OUT; ERR_DENIED. */
int keys_open(struct store *s, const char *name, struct strbuf *out, struct err *err);

#endif
