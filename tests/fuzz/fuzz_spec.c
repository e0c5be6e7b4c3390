/* SPDX-License-Identifier: Apache-2.0 */
/* A spec of any bytes: read whole, or refused with words. */
#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"
#include "executor/script.h"
#include "executor/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(const struct spec *s)
{
	for (size_t i = 0; i < s->steps_len; i++) {
		const struct spec_step *step = &s->steps[i];
		_cleanup_(shell_done) struct shell shell = SHELL_INIT;
		struct err err = ERR_INIT;

		if (!step->id || (!step->refused && !step->run == !step->uses))
			abort();
		if (shell_parse(step->shell, &shell, &err) == 0 && shell.argv.len == 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(spec_freep) struct spec *s = NULL;
	struct err err = ERR_INIT;

	if (spec_parse((const char *)data, size, &s, &err) < 0) {
		if (err.code == ERR_NONE || !err.msg[0] || s)
			abort();
		return 0;
	}
	if (!s->key || s->steps_len > LIMIT_STEPS)
		abort();
	look_at(s);
	return 0;
}
