/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/local.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "executor/helper.h"
#include "runner/account.h"
#include "runner/config.h"
#include "runner/core.h"
#include "store/tokens.h"

struct asking {
	struct loop *loop;
	struct json *result;
	struct err why;
	bool is_done;
};

static void on_done(struct json *result, const struct err *why, const char *hint, void *data)
{
	struct asking *a = data;

	a->is_done = true;
	a->result = result;
	if (why && hint)
		err_set(&a->why, why->code, "%.160s; %.80s", why->msg, hint);
	else if (why)
		a->why = *why;
	loop_stop(a->loop, 0);
}

static int ask(const struct config *c, const char *verb, const struct json *args,
	struct json **ret, struct err *err)
{
	_cleanup_free_ char *db = path_join(c->data_dir, "db/sluice.db");
	_cleanup_free_ char *helper = helper_path(err);
	/* The loop goes last: core takes its sources out of it. */
	_cleanup_(loop_freep) struct loop *loop = NULL;
	_cleanup_(core_freep) struct core *core = NULL;
	struct core_options o = { .data_dir = c->data_dir, .store = db, .helper = helper,
		.base_url = c->external_url ? c->external_url : "", .spawner_chan = -1,
		.has_git = true, .profile = c->profile, .network = c->network_default,
		.network_untrusted = c->network_untrusted,
		.network_allow = c->network_allow, .network_relay = c->network_relay,
		.network_only_allowed = c->network_only_allowed,
		.keep_artifacts_ms = c->keep_artifacts_ms, .keep_logs_ms = c->keep_logs_ms,
		.keep_held_ms = c->keep_held_ms, .keep_held_jobs = c->keep_held_jobs };
	struct core_principal who = { .kind = "user", .name = "admin", .scopes = SCOPE_ADMIN };
	struct asking a = { .why = ERR_INIT };
	uint8_t key[CRYPTO_MASTER_LEN];
	struct account account;
	int r;

	if (!helper || account_find(c->user, &account, err) < 0)
		return -1;
	if (access(db, F_OK) < 0)
		return err_set(err, ERR_NOT_FOUND,
			"there is no server's data in '%s'; give --data DIR or --server URL",
			c->data_dir);
	if (account_key(&account, c->key_file, c->data_dir, key, err) < 0 ||
		account_become(&account, err) < 0 || loop_new(&loop, err) < 0)
		return -1;
	r = core_new(loop, &o, key, &core, err);
	explicit_bzero(key, sizeof(key));
	if (r < 0)
		return -1;
	a.loop = loop;
	/* Never core_start: nothing is recovered, planned or scheduled from here. */
	core_verb(core, verb, &who, args, on_done, &a);
	if (!a.is_done && loop_run(loop, err) < 0)
		return -1;
	if (a.why.code != ERR_NONE) {
		*err = a.why;
		return -1;
	}
	*ret = a.result;
	return 0;
}

int local_call(const char *data_dir, const char *config, const char *verb,
	const struct json *args, struct json **ret, struct err *err)
{
	_cleanup_(config_freep) struct config *c = NULL;
	_cleanup_(strvec_done) struct strvec over = STRVEC_INIT;
	_cleanup_close_ int lock = -1;

	strvec_pushf(&over, "data=%s", data_dir);
	if (config_load(config, &over, NULL, &c, err) < 0 ||
		account_lock(c->data_dir, &lock, err) < 0)
		return -1;
	return ask(c, verb, args, ret, err);
}
