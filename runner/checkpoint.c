/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints beside the commit path, see checkpoint.h. */
#include "runner/checkpoint.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/rpc.h"
#include "store/check.h"
#include "store/store.h"

enum {
	/*
	 * After the first commit that was not moved yet. Not sooner: the commit after a
	 * complete checkpoint starts the log anew and syncs its head besides.
	 */
	SOON_MS = 2000,
	MANY_PAGES = 4096, /* from then on: */
	FULL_MS = 200,
	QUIET_MS = 15000, /* without a commit: then the file is cut as well */
	DEADLINE_MS = 10 * 60 * 1000,
};

struct checkpoint {
	struct loop *loop;
	struct worker_options o;
	struct worker_pool *pool;
	struct loop_source *soon, *quiet;
	int64_t last_ms; /* of the last commit */
	int64_t soon_ms; /* what `soon` was armed with */
	bool is_working, is_due;
};

static void ask(struct checkpoint *c, bool truncate);

static void on_quiet(struct loop *l, void *data)
{
	struct checkpoint *c = data;
	int64_t idle = clock_boot_ms() - c->last_ms;

	c->quiet = NULL;
	if (idle + 10 < QUIET_MS)
		c->quiet = loop_add_timer(l, QUIET_MS - idle, on_quiet, c);
	else
		ask(c, true);
}

static void on_moved(
	struct chan_msg *answer, const struct err *why, const char *hint, void *data)
{
	struct checkpoint *c = data;

	(void)answer;
	(void)hint;
	c->is_working = false;
	if (why)
		log_warnx("checkpoint: %s", why->msg);
	if (c->is_due)
		checkpoint_due(c, 0);
}

static void ask(struct checkpoint *c, bool truncate)
{
	struct json *head;

	if (c->is_working)
		return;
	c->is_working = true;
	c->is_due = false;
	head = json_new_object();
	json_set_str(head, "op", "checkpoint");
	json_set_bool(head, "truncate", truncate);
	(void)worker_call(c->pool, head, NULL, 0, 0, on_moved, c);
}

static void on_soon(struct loop *l, void *data)
{
	struct checkpoint *c = data;

	c->soon = NULL;
	ask(c, false);
	if (!c->quiet)
		c->quiet = loop_add_timer(l, QUIET_MS, on_quiet, c);
}

void checkpoint_due(struct checkpoint *c, int wal_pages)
{
	int64_t ms = wal_pages < MANY_PAGES ? SOON_MS : FULL_MS;

	c->last_ms = clock_boot_ms();
	c->is_due = true;
	if (c->is_working || (c->soon && c->soon_ms <= ms))
		return;
	loop_remove(c->soon);
	c->soon_ms = ms;
	c->soon = loop_add_timer(c->loop, ms, on_soon, c);
}

static void on_checked(
	struct chan_msg *answer, const struct err *why, const char *hint, void *data)
{
	const struct json *list;

	(void)hint;
	(void)data;
	if (why) {
		log_err("the check of the store could not be made: %s", why->msg);
		return;
	}
	list = json_get(answer->head, "findings");
	for (size_t i = 0; i < json_count(list); i++)
		log_err("check: %s %s", json_get_str(json_at(list, i), "id", ""),
			json_get_str(json_at(list, i), "text", ""));
	if (json_get_int(answer->head, "broken", 0) == 0)
		log_info("check: clean, %" PRId64 " runs, %" PRId64 " audit rows",
			json_get_int(answer->head, "runs", 0),
			json_get_int(answer->head, "audit_rows", 0));
}

void checkpoint_check(struct checkpoint *c)
{
	struct json *head = json_new_object();

	json_set_str(head, "op", "check");
	(void)worker_call(c->pool, head, NULL, 0, 0, on_checked, c);
}

int checkpoint_new(
	struct loop *l, const char *const *argv, struct checkpoint **ret, struct err *err)
{
	_cleanup_(checkpoint_freep) struct checkpoint *c = xcalloc(1, sizeof(*c));

	c->loop = l;
	c->o = (struct worker_options)WORKER_OPTIONS_INIT;
	c->o.name = "checkpointer";
	c->o.argv = argv;
	c->o.deadline_ms = DEADLINE_MS;
	if (worker_pool_new(l, &c->o, &c->pool, err) < 0)
		return -1;
	*ret = take_ptr(c);
	return 0;
}

void checkpoint_free(struct checkpoint *c)
{
	if (!c)
		return;
	loop_remove(c->soon);
	loop_remove(c->quiet);
	worker_pool_free(c->pool);
	free(c);
}

pid_t checkpoint_pid(const struct checkpoint *c)
{
	pid_t pid = 0;

	return worker_pids(c->pool, &pid, 1) > 0 ? pid : 0;
}

/* ---- the process ------------------------------------------------------------------- */

struct checker {
	const char *database;
	struct store *store;
};

/* Opened late: at the first start core has to make the file. */
static int have_store(struct checker *k, struct err *err)
{
	return k->store ? 0 : store_open(k->database, 0, &k->store, err);
}

static void on_finding(const struct check_finding *f, void *data)
{
	struct json *o = json_new_object();

	json_set_str(o, "id", f->id);
	json_set_str(o, "text", f->text);
	json_push(data, o);
}

static int serve(
	struct checker *k, const struct chan_msg *m, struct json **ret, struct err *err)
{
	struct check_summary s;
	struct json *findings;
	int pages = 0;

	if (have_store(k, err) < 0)
		return -1;
	*ret = json_new_object();
	if (str_eq(chan_msg_op(m), "checkpoint")) {
		if (store_checkpoint(k->store, json_get_bool(m->head, "truncate", false),
			    &pages, err) < 0)
			return -1;
		json_set_int(*ret, "wal_pages", pages);
		return 0;
	}
	if (!str_eq(chan_msg_op(m), "check"))
		return err_set(err, ERR_UNSUPPORTED, "unknown op");
	findings = json_new_array();
	json_set(*ret, "findings", findings);
	if (store_check(k->store, CHECK_QUICK, on_finding, findings, &s, err) < 0)
		return -1;
	json_set_int(*ret, "broken", s.broken);
	json_set_int(*ret, "runs", s.runs);
	json_set_int(*ret, "jobs", s.jobs);
	json_set_int(*ret, "audit_rows", s.audit_rows);
	return 0;
}

int checkpointer_main(const char *database)
{
	struct checker k = { database, NULL };
	struct err err = ERR_INIT;
	int n;

	(void)prctl(PR_SET_NAME, "sluice-ckpt");
	(void)prctl(PR_SET_DUMPABLE, 0);
	log_open("checkpointer", LOG_INFO);
	(void)signal(SIGPIPE, SIG_IGN);
	for (;;) {
		_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
		struct json *fields = NULL;
		struct err why = ERR_INIT;
		int64_t seq;

		n = chan_recv(WORKER_CHAN_FD, &m, &err);
		if (n <= 0)
			break;
		seq = json_get_int(m.head, "seq", 0);
		if (serve(&k, &m, &fields, &why) < 0) {
			json_free(fields);
			n = rpc_refuse(WORKER_CHAN_FD, seq, &why, NULL, &err);
		} else {
			n = rpc_answer(
				WORKER_CHAN_FD, seq, fields, NULL, 0, NULL, 0, &err);
		}
		if (n < 0)
			break;
	}
	store_free(k.store);
	return n < 0 ? 1 : 0;
}
