/* SPDX-License-Identifier: Apache-2.0 */
/* Signature first, on the raw body; then the shape; then the rows. */
#include "webhooks/receive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "store/deliveries.h"
#include "store/repos.h"
#include "webhooks/event.h"
#include "webhooks/signature.h"

/*
 * A delivery does not say whose secret signed it before it is parsed, so the secrets are
 * tried. So many bytes are hashed for one delivery at most; where there are more hooks the
 * address has to name the repository (?repo=OWNER/NAME), which costs one try.
 */
#define WORK_MAX (256LL * 1024 * 1024)
#define FORGES	 4
#define STALE_MS 60000 /* secrets that rotated out are dropped within a minute */

static const char *const forges[FORGES] = { "github", "gitea", "gitlab", "generic" };

struct secrets {
	struct hook_secret *v;
	size_t len;
	int64_t version;
	int64_t at; /* boot clock; 0 never */
};

struct receiver {
	struct secrets of[FORGES];
};

struct receiver *receiver_new(void)
{
	return xcalloc(1, sizeof(struct receiver));
}

void receiver_free(struct receiver *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < FORGES; i++)
		hook_secrets_free(r->of[i].v, r->of[i].len);
	free(r);
}

static int refresh(struct receiver *r, struct store *s, size_t forge, struct err *err)
{
	struct secrets *have = &r->of[forge];
	struct hook_secret *v;
	size_t len;
	int64_t now = clock_boot_ms();

	if (have->at && have->version == hooks_version(s) && now - have->at < STALE_MS)
		return 0;
	if (hooks_secrets(s, forges[forge], &v, &len, err))
		return -1;
	hook_secrets_free(have->v, have->len);
	*have = (struct secrets){ v, len, hooks_version(s), now ? now : 1 };
	return 0;
}

/* ---- answers ----------------------------------------------------------------------- */

static int answer(struct hook_answer *a, int status, const char *message)
{
	a->status = status;
	(void)snprintf(a->message, sizeof(a->message), "%s", message);
	return 0;
}

/* One answer for no hook, no signature and a wrong one. */
static int refuse(struct hook_answer *a)
{
	return answer(a, 401, "no hook here has this signature");
}

/* ---- who signed -------------------------------------------------------------------- */

static bool is_candidate(const struct hook_secret *h, const char *repo)
{
	return !repo || strcasecmp(h->repo_name, repo) == 0;
}

static bool is_signed_by(const struct hook_request *q, const struct hook_secret *h)
{
	return signature_matches(
		q->forge, q->headers, q->body, q->len, h->secret, h->secret_len);
}

/* The first hook from FROM on whose secret signed it; the length when there is none. */
static size_t find_signer(
	const struct secrets *s, const struct hook_request *q, size_t from)
{
	int64_t work = 0;

	for (size_t i = from; i < s->len; i++) {
		if (!is_candidate(&s->v[i], q->repo))
			continue;
		work += (int64_t)q->len + 1024;
		if (work > WORK_MAX)
			break;
		if (is_signed_by(q, &s->v[i]))
			return i;
	}
	return s->len;
}

static bool is_of_repo(const struct hook_secret *h, const struct hook_event *e)
{
	if (strcasecmp(h->repo_name, e->repo) != 0)
		return false;
	return !*h->forge_id || !*e->repo_id || str_eq(h->forge_id, e->repo_id);
}

/* Two repositories may have been given the same secret: then the body's name decides. */
static size_t find_owner(const struct secrets *s, const struct hook_request *q,
	const struct hook_event *e, size_t signer)
{
	for (size_t i = signer; i < s->len; i = find_signer(s, q, i + 1))
		if (is_of_repo(&s->v[i], e))
			return i;
	return s->len;
}

/* ---- rows -------------------------------------------------------------------------- */

static struct delivery_new delivery_of(const struct hook_request *q,
	const struct hook_secret *h, const struct hook_event *e)
{
	struct delivery_new d = {
		.hook = h->hook,
		.repo = h->repo,
		.forge = q->forge,
		.key = e ? e->key : "",
		.event = e ? e->name : "",
		.body_len = (int64_t)q->len,
		.peer = q->peer,
		.request = q->request,
	};

	crypto_sha256(q->body, q->len, d.body_sha256);
	return d;
}

static int note(struct store *s, const struct delivery_new *d, enum delivery_state state,
	const char *reason, int status, struct hook_answer *a, struct err *err)
{
	if (deliveries_note(s, d, state, reason, &a->delivery, err))
		return -1;
	return answer(a, status, reason);
}

static int wrong_repo(struct store *s, const struct hook_request *q,
	const struct hook_secret *h, const struct hook_event *e, struct hook_answer *a,
	struct err *err)
{
	struct delivery_new d = delivery_of(q, h, e);
	_cleanup_free_ char *reason = NULL;
	_cleanup_(json_freep) struct json *detail = json_new_object();
	const struct actor who = { "hook", q->forge, q->request };

	reason = xasprintf(
		"this hook is for '%s', the body names '%.100s'", h->repo_name, e->repo);
	json_set_str(detail, "named", e->repo);
	json_set_str(detail, "peer", q->peer);
	if (audit_add(s, &who, "hook.wrong_repo", "hook", h->hook, 0, detail, err))
		return -1;
	return note(s, &d, DELIVERY_REJECTED, reason, 403, a, err);
}

/* Remembers the forge's number the first time, and the default branch whenever it differs. */
static int learn(struct store *s, struct hook_secret *h, const struct hook_event *e,
	struct err *err)
{
	if (!*h->forge_id && *e->repo_id) {
		if (repos_bind_forge_id(s, h->repo, e->repo_id, err))
			return -1;
		free(h->forge_id);
		h->forge_id = xstrdup(e->repo_id);
	}
	return *e->default_branch
		       ? repos_set_default_branch(s, h->repo, e->default_branch, err)
		       : 0;
}

static int accept(struct store *s, const struct hook_request *q, struct hook_secret *h,
	const struct hook_event *e, struct hook_answer *a, struct err *err)
{
	struct delivery_new d = delivery_of(q, h, e);
	struct event_new event = hook_event_lend(e);
	struct accept_result r;

	if (e->kind == HOOK_PING)
		return note(s, &d, DELIVERY_IGNORED, "pong", 200, a, err);
	if (e->kind == HOOK_OTHER)
		return note(s, &d, DELIVERY_IGNORED, e->ignore, 200, a, err);
	if (deliveries_accept(s, &d, &event, &r, err))
		return -1;
	a->delivery = r.delivery;
	a->event = r.event;
	switch (r.outcome) {
	case ACCEPT_NEW:
		return e->ignore ? answer(a, 200, e->ignore) : answer(a, 202, "accepted");
	case ACCEPT_DUPLICATE:
		return answer(a, 200, "duplicate");
	case ACCEPT_REPLANNED:
		return answer(a, 202, "accepted again: it failed before");
	}
	return err_set(err, ERR_BUG, "an outcome nobody knows");
}

static int receive_signed(struct store *s, struct secrets *known,
	const struct hook_request *q, size_t signer, struct hook_answer *a,
	struct err *err)
{
	_cleanup_(hook_event_done) struct hook_event e = { 0 };
	struct err why = ERR_INIT;
	size_t owner;

	if (hook_event_read(q->forge, q->headers, q->body, q->len, &e, &why)) {
		struct delivery_new d = delivery_of(q, &known->v[signer], NULL);

		return note(s, &d, DELIVERY_REJECTED, why.msg, 400, a, err);
	}
	owner = find_owner(known, q, &e, signer);
	if (owner == known->len)
		return wrong_repo(s, q, &known->v[signer], &e, a, err);
	if (learn(s, &known->v[owner], &e, err))
		return -1;
	return accept(s, q, &known->v[owner], &e, a, err);
}

int receive_hook(struct receiver *r, struct store *s, const struct hook_request *q,
	struct hook_answer *ret, struct err *err)
{
	_cleanup_(store_end) struct store_tx tx = STORE_TX_INIT;
	struct hook_answer a = { 0 };
	size_t forge = 0, signer;

	while (forge < FORGES && !str_eq(forges[forge], q->forge))
		forge++;
	if (forge == FORGES) {
		*ret = a;
		return answer(ret, 404, "no such forge");
	}
	if (refresh(r, s, forge, err))
		return -1;
	signer = find_signer(&r->of[forge], q, 0);
	if (signer == r->of[forge].len) {
		*ret = a;
		return refuse(ret);
	}
	if ((q->begin && q->begin(q->data, err)) || store_begin(&tx, s, err) ||
		receive_signed(s, &r->of[forge], q, signer, &a, err) ||
		store_commit(&tx, err))
		return -1;
	*ret = a;
	return 0;
}
