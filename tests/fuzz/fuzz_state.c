/* SPDX-License-Identifier: Apache-2.0 */
/*
 * F12: any bytes are a life of the store (tests/unit/store/history.h); no act may break
 * the model, the invariants or the way to the end.
 */
#include <stdint.h>
#include <stdlib.h>

#include "store/store.h"
#include "tests/unit/store/history.h"

#define ACTS_MAX 600

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct history h = { .acks = -1 };
	struct err err = ERR_INIT;

	if (size > 3 * ACTS_MAX)
		return 0;
	if (store_open(":memory:", STORE_CREATE, &h.s, &err))
		abort();
	if (!history_live(&h, data, size) || !history_check(&h) || !history_drain(&h)) {
		(void)fprintf(stderr, "%s\n", h.why);
		abort();
	}
	store_free(h.s);
	clock_skew_wall(0);
	return 0;
}
