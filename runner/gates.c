/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What time does to gates, and what has to be swept now and then. Deadlines are wall
 * clock in the store; the timer here only says when to look again.
 */
#include "runner/core-internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/gates.h"
#include "store/tokens.h"

enum {
	/* The wall clock may be set: never sleep longer than this on its word. */
	LOOK_AGAIN_MS = 60 * 1000,
	SWEEP_MS = 3600 * 1000,
};

static void on_gate_timer(struct loop *l, void *data)
{
	struct core *c = data;

	(void)l;
	c->gate_timer = NULL;
	core_wake(c);
}

static void on_sweep(struct loop *l, void *data)
{
	struct core *c = data;
	const struct actor core = ACTOR_CORE;
	struct keep_found found = { 0 };
	struct err err = ERR_INIT;

	(void)l;
	c->sweep_timer = NULL;
	if (core_begin(c, &err) < 0 || sessions_sweep(c->store, &err) < 0 ||
		keep_collect(c, false, &core, &found, &err) < 0)
		core_trouble(c, "cannot sweep", &err);
	held_sweep(c);
	core_wake(c);
}

static void look_again(struct core *c)
{
	int64_t left = c->gate_due - clock_wall_ms();

	if (c->gate_timer || !c->gate_due)
		return;
	if (left < 1)
		left = 1;
	c->gate_timer = loop_add_timer(
		c->loop, left < LOOK_AGAIN_MS ? left : LOOK_AGAIN_MS, on_gate_timer, c);
}

void gates_pass(struct core *c)
{
	struct err err = ERR_INIT;

	if (!c->sweep_timer)
		c->sweep_timer = loop_add_timer(c->loop, SWEEP_MS, on_sweep, c);
	if (!c->are_gates_dirty && (!c->gate_due || clock_wall_ms() < c->gate_due)) {
		look_again(c);
		return;
	}
	c->are_gates_dirty = false;
	loop_remove(c->gate_timer);
	c->gate_timer = NULL;
	if (core_begin(c, &err) < 0 || gates_tick(c->store, &c->gate_due, &err) < 0) {
		core_trouble(c, "cannot look after gates", &err);
		c->gate_due = clock_wall_ms() + 1000;
	}
	look_again(c);
}
