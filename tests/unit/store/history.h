/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A life of the store out of bytes: three bytes are one act (what, whom, how). Every act
 * is held against a small model: what state the job had to be in, and which it is in then;
 * a refused act must leave the state alone and have an honest reason. For the model test,
 * the crash test and the fuzzer alike, so nothing here asserts: the first thing wrong is
 * written to `why`.
 */
#ifndef TESTS_UNIT_STORE_HISTORY_H
#define TESTS_UNIT_STORE_HISTORY_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "store/check.h"
#include "store/deliveries.h"
#include "store/environments.h"
#include "store/gates.h"
#include "store/jobs.h"
#include "store/repos.h"
#include "store/runs.h"
#include "store/store.h"

struct history {
	struct store *s;
	int64_t repo;
	int64_t hook;
	int64_t skew;
	uint64_t salt; /* makes deliveries of one store differ from life to life */
	int acks; /* -1, or where promises kept by others are written: one line each */
	char why[512];
};

static const uint8_t history_key[CRYPTO_MASTER_LEN] = "the key of tests: 32 bytes long.";
static const struct actor history_actors[] = {
	{ "user", "mira", NULL },
	{ "user", "lena", NULL },
	{ "user", "omar", NULL },
};

#define HISTORY_SHA    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HISTORY_DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static bool history_fail(struct history *h, const char *what, const struct err *err)
{
	if (!*h->why)
		(void)snprintf(h->why, sizeof(h->why), "%s: %s: %s", what,
			err ? err_code_name(err->code) : "", err ? err->msg : "");
	return false;
}

/* Refusals that a caller can meet; all else is our mistake. */
static bool history_is_honest(const struct err *err)
{
	switch (err->code) {
	case ERR_INPUT:
	case ERR_LIMIT:
	case ERR_NOT_FOUND:
	case ERR_CONFLICT:
	case ERR_DENIED:
	case ERR_UNAVAILABLE:
		return true;
	case ERR_NONE:
	case ERR_TIMEOUT:
	case ERR_CORRUPT:
	case ERR_UNSUPPORTED:
	case ERR_SYS:
	case ERR_BUG:
		break;
	}
	return false;
}

static void history_ack(struct history *h, const char *what, int64_t id)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s %lld\n", what, (long long)id);

	if (h->acks >= 0 && write(h->acks, line, (size_t)n) != n)
		abort();
}

static int64_t history_value(struct history *h, const char *sql, int64_t arg)
{
	const struct db_arg args[] = { db_arg_int(arg) };
	struct err err = ERR_INIT;
	int64_t v = -1;

	if (db_value_args(store_db(h->s), &v, -1, &err, sql, args, 1))
		(void)history_fail(h, sql, &err);
	return v;
}

/* ---- the world --------------------------------------------------------------------- */

static bool history_environment(struct history *h, const char *name, const char *rules)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;
	int got = json_parse(rules, strlen(rules), &j, &err);

	if (got == 0)
		got = environments_set(
			h->s, h->repo, name, j, &history_actors[0], NULL, &err);
	json_free(j);
	return got == 0 || history_fail(h, "environment", &err);
}

static bool history_found(struct history *h)
{
	struct err err = ERR_INIT;
	const struct repo_new repo = { "acme/archive", "gitea", "https://x.example/a.git",
		NULL, NULL };

	if (store_set_key(h->s, history_key, &err))
		return history_fail(h, "key", &err);
	h->repo = history_value(h, "SELECT min(id) FROM repos WHERE 0 <> ?", 1);
	h->hook = history_value(h, "SELECT min(id) FROM hooks WHERE 0 <> ?", 1);
	if (h->repo > 0)
		return true;
	if (repos_add(h->s, &repo, &history_actors[0], &h->repo, &err) ||
		hooks_add(h->s, h->repo, "gitea", NULL, &history_actors[0], &h->hook,
			NULL, &err))
		return history_fail(h, "repository", &err);
	return history_environment(h, "open", "{}") &&
	       history_environment(h, "two",
		       "{\"reviewers\": [\"mira\", \"lena\"], \"required\": 2}") &&
	       history_environment(h, "slow",
		       "{\"reviewers\": [\"*\"], \"wait_minutes\": 5, \"expires_minutes\": 60}");
}

/* ---- acts on runs ------------------------------------------------------------------ */

static bool history_deliver(struct history *h, unsigned how, int64_t *ret_event)
{
	struct delivery_new d = { .hook = h->hook,
		.repo = h->repo,
		.forge = "gitea",
		.event = "push",
		.peer = "" };
	struct event_new e = { .kind = "push",
		.name = "push",
		.ref = "refs/heads/main",
		.head_sha = HISTORY_SHA,
		.actor = "omar",
		.trust = (how & 64) ? TRUST_UNTRUSTED : TRUST_TRUSTED };
	struct accept_result r;
	struct err err = ERR_INIT;
	char key[64];

	/* A sixth of them repeats an earlier one. */
	(void)snprintf(key, sizeof(key), "%llu-%u", (unsigned long long)h->salt,
		(how % 6) ? (unsigned)history_value(
				    h, "SELECT count(*) + ? FROM deliveries", 0)
			  : 0);
	d.key = key;
	crypto_sha256(key, strlen(key), d.body_sha256);
	if (deliveries_accept(h->s, &d, &e, &r, &err))
		return history_fail(h, "deliver", &err);
	history_ack(h, "delivery", r.delivery);
	*ret_event = r.outcome == ACCEPT_NEW ? r.event : 0;
	return true;
}

static bool history_plan(struct history *h, unsigned how, int64_t event)
{
	static const char *const needs_a[] = { "a", NULL }, *const needs_ab[] = { "a",
		"b", NULL };
	static const struct node_new nodes[] = { { "a", NULL, NULL, false },
		{ "b", NULL, needs_a, false }, { "c", NULL, needs_ab, false },
		{ "d", NULL, NULL, false } };
	static const char *const shas[] = { HISTORY_SHA "a", HISTORY_SHA "b" };
	struct json *plan = json_new_object();
	struct run_new in = { .event = event,
		.workflow_path = ".github/workflows/ci.yml",
		.workflow_name = "CI",
		.title = "t",
		.plan = plan,
		.workflow_digest = HISTORY_DIGEST,
		.sha = shas[how & 1],
		.ref = "refs/heads/main",
		.branch = "main",
		.nodes = nodes,
		.nodes_len = 1 + how % 4,
		.needs_maintainer = (how & 64) != 0 };
	struct err err = ERR_INIT;
	int64_t id;
	int got;

	if (how & 8)
		in.concurrency = (struct concurrency){ (how & 16) ? "g" : "G2",
			(how & 32) != 0, (how & 128) != 0 };
	got = runs_create(h->s, event, &in, 1, &id, &err);
	json_free(plan);
	return got == 0 || history_fail(h, "plan", &err);
}

static bool history_event(struct history *h, unsigned how)
{
	struct err err = ERR_INIT;
	int64_t event;

	if (!history_deliver(h, how, &event))
		return false;
	if (!event)
		return true;
	if (how % 11 == 0)
		return events_fail(h->s, event, "no", NULL, &err) == 0 ||
		       history_fail(h, "fail an event", &err);
	return history_plan(h, how, event);
}

static int64_t history_pick_run(struct history *h, unsigned whom)
{
	int64_t n = history_value(h, "SELECT count(*) FROM runs WHERE 0 <> ?", 1);

	/* The youngest sixteen: older ones have mostly ended. */
	return n <= 0 ? 0 : n - (int64_t)(whom % (n < 16 ? n : 16));
}

static bool history_cancel_run(struct history *h, unsigned whom, unsigned how)
{
	struct err err = ERR_INIT;
	int64_t run = history_pick_run(h, whom);

	return !run ||
	       runs_cancel(h->s, run, "asked", (how & 1) != 0, &history_actors[how % 3],
		       &err) == 0 ||
	       history_is_honest(&err) || history_fail(h, "cancel", &err);
}

static bool history_rerun(struct history *h, unsigned whom, unsigned how)
{
	struct err err = ERR_INIT;
	int64_t run = history_pick_run(h, whom), attempt;
	static const enum rerun_what whats[] = { RERUN_ALL, RERUN_FAILED, RERUN_JOB };

	return !run ||
	       runs_rerun(h->s, run, whats[how % 3], (how & 4) ? "b" : "a",
		       &history_actors[(how >> 3) % 3], &attempt, &err) == 0 ||
	       history_is_honest(&err) || history_fail(h, "rerun", &err);
}

static bool history_vote(struct history *h, unsigned whom, unsigned how)
{
	struct err err = ERR_INIT;
	int64_t n = history_value(h, "SELECT count(*) FROM gates WHERE 0 <> ?", 1);
	struct gate_result r;
	struct gate_vote v = { .who = history_actors[how % 3],
		.has_scope = (how & 64) == 0,
		.approves = (how & 12) != 0,
		.digest = HISTORY_DIGEST };

	if (n <= 0)
		return true;
	v.gate = n - (int64_t)(whom % (n < 16 ? n : 16));
	return gates_vote(h->s, &v, &r, &err) == 0 || history_is_honest(&err) ||
	       history_fail(h, "vote", &err);
}

static bool history_tick(struct history *h, unsigned how)
{
	struct err err = ERR_INIT;
	int64_t next;

	h->skew += (int64_t)how * 20000;
	clock_skew_wall(h->skew);
	return gates_tick(h->s, &next, &err) == 0 || history_fail(h, "tick", &err);
}

/* ---- acts on jobs: the model ------------------------------------------------------- */

#define ST(x) (1u << JOB_##x)

enum history_act {
	ACT_EXPAND,
	ACT_SETTLE,
	ACT_CLAIM,
	ACT_UNCLAIM,
	ACT_RELEASE,
	ACT_START,
	ACT_EXIT,
	ACT_FINISH,
	ACT_DIE,
	ACT_CANCEL,
	ACT_FAIL,
	ACT_RESOLVE,
	ACTS,
};

static const struct {
	const char *name;
	unsigned from; /* states in which it may succeed */
	unsigned to;   /* and what the job is then */
} history_model[ACTS] = {
	[ACT_EXPAND] = { "expand", ST(WAITING),
		ST(WAITING) | ST(QUEUED) | ST(AWAITING_APPROVAL) | ST(COMPLETED) },
	[ACT_SETTLE] = { "settle", ST(WAITING), ST(COMPLETED) },
	[ACT_CLAIM] = { "claim", ST(QUEUED), ST(CLAIMED) },
	[ACT_UNCLAIM] = { "unclaim", ST(CLAIMED), ST(QUEUED) | ST(COMPLETED) },
	[ACT_RELEASE] = { "release", ST(CLAIMED), ST(RELEASED) },
	[ACT_START] = { "start",
		ST(CLAIMED) | ST(RELEASED) | ST(RUNNING) | ST(FINALISING) |
			ST(CANCELLING) | ST(LOST),
		ST(CLAIMED) | ST(RUNNING) | ST(FINALISING) | ST(CANCELLING) | ST(LOST) },
	[ACT_EXIT] = { "exit",
		ST(CLAIMED) | ST(RELEASED) | ST(RUNNING) | ST(CANCELLING) | ST(LOST),
		ST(FINALISING) },
	[ACT_FINISH] = { "finish", ST(FINALISING), ST(COMPLETED) },
	/* Of a state in which nothing was alive, death is nothing. */
	[ACT_DIE] = { "die", ~0u,
		ST(WAITING) | ST(AWAITING_APPROVAL) | ST(QUEUED) | ST(LOST) |
			ST(COMPLETED) | ST(FINALISING) },
	[ACT_CANCEL] = { "cancel", ~(ST(COMPLETED) | ST(FINALISING)),
		ST(COMPLETED) | ST(CANCELLING) | ST(LOST) },
	[ACT_FAIL] = { "fail",
		ST(WAITING) | ST(AWAITING_APPROVAL) | ST(QUEUED) | ST(CLAIMED),
		ST(COMPLETED) },
	[ACT_RESOLVE] = { "resolve", ST(LOST), ST(COMPLETED) },
};

static int history_expand(
	struct history *h, const struct job *j, unsigned how, struct err *err)
{
	static const char *const environments[] = { "", "", "", "open", "two", "slow",
		"new", "" };
	static const char *const labels[] = { "ubuntu-latest", NULL };
	struct job_row_new rows[3];
	struct json *spec = json_new_object();
	struct job_expansion x = { rows, 1 + how % 3, (how & 64) ? 1 : 0, (how & 32) != 0,
		NULL };
	int got;

	for (size_t i = 0; i < x.rows_len; i++)
		rows[i] = (struct job_row_new){ .name = "x",
			.spec = spec,
			.labels = labels,
			.environment = environments[(how >> 2) % 8],
			.is_deployment = true,
			.is_once = (how & 128) != 0,
			.continues_on_error = (how % 7) == 0,
			.concurrency = { (how % 5) == 0 ? "g" : "", (how & 2) != 0,
				(how & 1) != 0 } };
	got = jobs_expand(h->s, j->id, &x, err);
	json_free(spec);
	return got;
}

static int history_frames(struct history *h, const struct job *j,
	const struct job_update *u, struct err *err)
{
	const struct job_frames f = { j->id, j->epoch, j->frames + 1, j->frames + 1,
		j->log_size + 10, u, 1 };

	return jobs_apply(h->s, &f, err);
}

static int history_release(struct history *h, const struct job *j, struct err *err)
{
	struct secret_list list = SECRET_LIST_INIT;
	const struct job_release r = { j->id, j->epoch, NULL };
	int got = jobs_release(h->s, &r, &list, err);

	secret_list_done(&list);
	if (got == 0 && j->is_once)
		history_ack(h, "released", j->id);
	return got;
}

static int history_do(struct history *h, enum history_act act, const struct job *j,
	unsigned how, struct err *err)
{
	static const enum conclusion ends[] = { CONCLUSION_SUCCESS, CONCLUSION_FAILURE,
		CONCLUSION_CANCELLED, CONCLUSION_SUCCESS };
	const struct job_update started = { .kind = JOB_UPDATE_STARTED, .at = 1 };
	const struct job_update ended = { .kind = JOB_UPDATE_EXIT,
		.conclusion = ends[how % 4] };
	enum job_state now;
	int64_t epoch, try;

	switch (act) {
	case ACT_EXPAND:
		return history_expand(h, j, how, err);
	case ACT_SETTLE:
		return jobs_settle(h->s, j->id,
			(how & 1) ? CONCLUSION_SKIPPED : CONCLUSION_FAILURE, "its if",
			NULL, NULL, err);
	case ACT_CLAIM:
		return jobs_claim(h->s, j->id, "local", &epoch, &try, err);
	case ACT_UNCLAIM:
		return jobs_unclaim(h->s, j->id, j->epoch, "no", err);
	case ACT_RELEASE:
		return history_release(h, j, err);
	case ACT_START:
		return history_frames(h, j, &started, err);
	case ACT_EXIT:
		return history_frames(h, j, &ended, err);
	case ACT_FINISH:
		return jobs_finish(h->s, j->id, j->epoch, HISTORY_DIGEST, 1, err);
	case ACT_DIE:
		return jobs_died(h->s, j->id, j->epoch, "dead", &now, err);
	case ACT_CANCEL:
		return jobs_cancel(h->s, j->id, "asked", &history_actors[how % 3], err);
	case ACT_FAIL:
		return jobs_fail(h->s, j->id, "cannot", err);
	case ACT_RESOLVE:
		return jobs_resolve_lost(
			h->s, j->id, ends[how % 4], "", &history_actors[how % 3], err);
	case ACTS:
		break;
	}
	return -1;
}

static bool history_job(struct history *h, enum history_act act, int64_t id, unsigned how)
{
	struct job before = { 0 }, after = { 0 };
	struct err err = ERR_INIT, why = ERR_INIT;
	bool good = true, done;

	if (jobs_get(h->s, id, &before, &err))
		return history_fail(h, "get", &err);
	done = history_do(h, act, &before, how, &why) == 0;
	if (jobs_get(h->s, id, &after, &err)) {
		job_done(&before);
		return history_fail(h, "get", &err);
	}
	if (done && !(history_model[act].from & (1u << before.state)))
		good = history_fail(h, "done where it must not be", NULL);
	if (done && !(history_model[act].to & (1u << after.state)))
		good = history_fail(h, "led to a state it must not", NULL);
	if (!done && (after.state != before.state || after.epoch != before.epoch))
		good = history_fail(h, "refused and still changed", &why);
	if (!done && !history_is_honest(&why))
		good = history_fail(h, history_model[act].name, &why);
	if (before.state == JOB_COMPLETED && after.conclusion != before.conclusion)
		good = history_fail(h, "a conclusion changed", NULL);
	if (!good && strlen(h->why) < 400)
		(void)snprintf(h->why + strlen(h->why), sizeof(h->why) - strlen(h->why),
			" (%s of job %lld, %s to %s)", history_model[act].name,
			(long long)id, state_name(MACHINE_JOB, (int)before.state),
			state_name(MACHINE_JOB, (int)after.state));
	job_done(&before);
	job_done(&after);
	return good;
}

static int64_t history_pick_job(struct history *h, unsigned whom)
{
	/* Live ones first; ended ones now and then, since nothing may wake them. */
	int64_t n = history_value(h,
		whom % 8
			? "SELECT count(*) FROM jobs WHERE state <> 'completed' AND 0 <> ?"
			: "SELECT count(*) FROM jobs WHERE 0 <> ?",
		1);

	if (n <= 0)
		return 0;
	return history_value(h,
		whom % 8
			? "SELECT id FROM jobs WHERE state <> 'completed' ORDER BY id LIMIT 1 OFFSET ?"
			: "SELECT id FROM jobs ORDER BY id LIMIT 1 OFFSET ?",
		(int64_t)(whom % (unsigned)n));
}

static bool history_act(struct history *h, unsigned what, unsigned whom, unsigned how)
{
	int64_t job;

	switch (what % 18) {
	case 0:
		return history_event(h, how);
	case 1:
		return history_cancel_run(h, whom, how);
	case 2:
		return history_rerun(h, whom, how);
	case 3:
	case 4:
		return history_vote(h, whom, how);
	case 5:
		return history_tick(h, how);
	default:
		job = history_pick_job(h, whom);
		return !job ||
		       history_job(h, (enum history_act)((what % 18) - 6), job, how);
	}
}

/* ---- whole lives ------------------------------------------------------------------- */

static void history_finding(const struct check_finding *f, void *data)
{
	struct history *h = data;

	if (!*h->why)
		(void)snprintf(h->why, sizeof(h->why), "check: %s %s", f->id, f->text);
}

static bool history_check(struct history *h)
{
	struct check_summary sum;
	struct err err = ERR_INIT;

	if (store_check(h->s, CHECK_QUICK, history_finding, h, &sum, &err))
		return history_fail(h, "check", &err);
	return sum.broken == 0;
}

static bool history_live(struct history *h, const uint8_t *data, size_t size)
{
	if (!history_found(h))
		return false;
	for (size_t i = 0; i + 2 < size; i += 3)
		if (!history_act(h, data[i], data[i + 1], data[i + 2]))
			return false;
	return true;
}

/* The next job in one of the states of LIST (SQL), 0 none. */
static int64_t history_next(struct history *h, const char *sql, int64_t after)
{
	int64_t id = history_value(h, sql, after);

	return id > 0 ? id : 0;
}

static bool history_drain_states(struct history *h, bool *moved)
{
	static const struct {
		const char *sql;
		enum history_act act;
	} steps[] = {
		{ "SELECT min(id) FROM jobs WHERE state = 'lost' AND id > ?",
			ACT_RESOLVE },
		{ "SELECT min(id) FROM jobs WHERE state = 'cancelling' AND id > ?",
			ACT_DIE },
		{ "SELECT min(id) FROM jobs WHERE state IN ('released', 'running') AND id > ?",
			ACT_EXIT },
		{ "SELECT min(id) FROM jobs WHERE state = 'finalising' AND id > ?",
			ACT_FINISH },
		{ "SELECT min(id) FROM jobs WHERE state = 'queued' AND id > ?",
			ACT_CLAIM },
		{ "SELECT min(id) FROM jobs WHERE state = 'claimed' AND id > ?",
			ACT_RELEASE },
		{ "SELECT min(id) FROM jobs WHERE state = 'claimed' AND id > ?",
			ACT_FAIL },
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		for (int64_t id = 0; (id = history_next(h, steps[i].sql, id)) != 0;) {
			*moved = true;
			if (!history_job(h, steps[i].act, id, 0))
				return false;
		}
	return true;
}

static bool history_drain_gates(struct history *h, bool *moved)
{
	struct err err = ERR_INIT;
	int64_t next;

	for (int64_t id = 0;
		(id = history_next(h,
			 "SELECT min(id) FROM gates WHERE state = 'pending' AND id > ?",
			 id)) != 0;)
		for (unsigned who = 0; who < 3; who++) {
			const struct gate_vote v = { .gate = id,
				.who = history_actors[who],
				.has_scope = true,
				.approves = true,
				.digest = HISTORY_DIGEST };
			struct gate_result r;

			if (gates_vote(h->s, &v, &r, &err) == 0)
				*moved = true;
			else if (!history_is_honest(&err))
				return history_fail(h, "drain vote", &err);
		}
	/* Longer than a wait timer; longer than any expiry when nobody is left to say yes. */
	h->skew += *moved ? 7 * 60 * 1000LL : 32 * 24 * 3600 * 1000LL;
	clock_skew_wall(h->skew);
	return gates_tick(h->s, &next, &err) == 0 || history_fail(h, "drain tick", &err);
}

static bool history_stuck(struct history *h)
{
	struct db_rows r = DB_ROWS_INIT;
	struct err err = ERR_INIT;
	int n = snprintf(h->why, sizeof(h->why), "never comes to its end:");

	if (db_query_args(store_db(h->s), &r, &err,
		    "SELECT printf(' run %d %s job %d %s: %s', r.id, r.state, j.id, j.state,"
		    " j.reason) FROM runs r JOIN jobs j ON j.run_id = r.id AND"
		    " j.attempt = r.attempt WHERE r.state <> 'completed' AND"
		    " j.state <> 'completed'",
		    NULL, 0) == 0)
		while (db_step(&r, &err) > 0 && n < (int)sizeof(h->why))
			n += snprintf(h->why + n, sizeof(h->why) - (size_t)n, "%s",
				db_str(&r, 0));
	db_rows_done(&r);
	return false;
}

/*
 * Everything goes on, everybody says yes: then every run has to come to its end. What is
 * left over was forgotten by somebody.
 */
static bool history_drain(struct history *h)
{
	int64_t ids[64];
	struct err err = ERR_INIT;
	int still = 0;

	for (int round = 0; round < 400; round++) {
		bool moved = false;
		int n = jobs_ready(h->s, 0, ids, 64, &err);

		if (n < 0)
			return history_fail(h, "ready", &err);
		for (int i = 0; i < n; i++) {
			moved = true;
			if (!history_job(h, ACT_EXPAND, ids[i], 1))
				return false;
		}
		if (!history_drain_states(h, &moved) || !history_drain_gates(h, &moved))
			return false;
		if (!moved && still++ > 1)
			break;
		if (moved)
			still = 0;
	}
	if (history_value(h,
		    "SELECT count(*) FROM runs WHERE state <> 'completed' AND 0 <> ?", 1))
		return history_stuck(h);
	return history_check(h);
}

#endif
