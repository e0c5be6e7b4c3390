/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs `sluice serve` starts of itself: web, planner, spawner. Web gets what it
 * needs as the first message of the chan it was born with.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/log.h"
#include "base/mem.h"
#include "executor/helper.h"
#include "runner/account.h"
#include "runner/checkpoint.h"
#include "runner/cmd.h"
#include "runner/config.h"
#include "runner/spawner.h"
#include "runner/web.h"
#include "runner/worker.h"

static int first_message(struct chan_msg *m)
{
	struct err err = ERR_INIT;

	if (chan_recv(WORKER_CHAN_FD, m, &err) != 1 || !str_eq(chan_msg_op(m), "start")) {
		log_err("this is started by 'sluice serve' alone");
		return -1;
	}
	return 0;
}

int cmd_web(int argc, char **argv)
{
	struct chan_msg m = CHAN_MSG_INIT;
	struct strvec trusted = STRVEC_INIT;
	struct web_options o = { .core = WORKER_CHAN_FD };
	const struct json *proxies;

	(void)argc;
	(void)argv;
	(void)prctl(PR_SET_NAME, "sluice-web");
	log_open("web", LOG_INFO);
	if (first_message(&m) < 0)
		return 1;
	proxies = json_get(m.head, "trusted_proxies");
	for (size_t i = 0; i < json_count(proxies); i++)
		strvec_push(&trusted, json_as_str(json_at(proxies, i), ""));
	o.listeners[0] = chan_msg_take_fd(&m, 0);
	o.listeners[1] = chan_msg_take_fd(&m, 1);
	o.db = chan_msg_take_fd(&m, 2);
	o.jobs = chan_msg_take_fd(&m, 3);
	o.store = chan_msg_take_fd(&m, 4);
	o.url = json_get_str(m.head, "url", "http://127.0.0.1");
	o.confinement = json_get_str(m.head, "confinement", "full");
	o.owner = (uid_t)json_get_int(m.head, "owner", -1);
	o.tls_certificate = json_get_str(m.head, "tls_certificate", NULL);
	o.tls_key = json_get_str(m.head, "tls_key", NULL);
	o.trusted_proxies = &trusted;
	return web_main(&o);
}

static int run_spawner(const struct cli_args *a)
{
	_cleanup_(config_freep) struct config *c = NULL;
	_cleanup_(strvec_done) struct strvec over = STRVEC_INIT;
	_cleanup_free_ char *helper = NULL;
	struct spawner_options o = SPAWNER_OPTIONS_INIT;
	struct account account;
	struct err err = ERR_INIT;

	(void)prctl(PR_SET_NAME, "sluice-spawner");
	log_open("spawner", LOG_INFO);
	if (cli_get(a, "data"))
		strvec_pushf(&over, "data=%s", cli_get(a, "data"));
	if (config_load(cli_get(a, "config"), &over, stderr, &c, &err) < 0)
		return cli_fail(a, &err);
	helper = helper_path(&err);
	if (!helper || account_find(c->user, &account, &err) < 0 ||
		account_prepare(&account, c->data_dir, &err) < 0)
		return cli_fail(a, &err);
	o.data_dir = c->data_dir;
	o.helper = helper;
	o.has_user = account.is_root;
	o.uid = account.uid;
	o.gid = account.gid;
	o.lingers = getenv("NOTIFY_SOCKET") || getenv("INVOCATION_ID"); /* a unit of systemd */
	(void)spawner_exec(&o, &err);
	return cli_fail(a, &err);
}

static const struct cli_opt spawner_opts[] = {
	{ "config", 0, "FILE", "the server's configuration" },
	{ "data", 0, "DIR", "the data directory" },
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_spawner = { "spawner", NULL, "[--config FILE] [--data DIR]",
	"The part of a server that owns the jobs' sandboxes (sluice-spawner.service)",
	spawner_opts, "sluice spawner --data /var/lib/sluice", NULL, 0, 0, run_spawner, NULL };

static int main_checkpointer(int argc, char **argv)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	return argc == 2 ? checkpointer_main(argv[1]) : CLI_USAGE;
}

const struct cli_verb verb_checkpointer = { "checkpointer", NULL, "DATABASE",
	"The part of a server that keeps checkpoints off the commit path", NULL,
	"sluice checkpointer db/sluice.db", NULL, 0, 1, NULL, main_checkpointer };
