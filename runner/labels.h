/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the configuration offers: labels of `runs-on`, each with the root its jobs get.
 *	LABEL			the host's system
 *	LABEL=IMAGE		a root of `sluice image build IMAGE`
 *	LABEL=/DIR		a prepared folder, read only
 *	LABEL=IMAGE:root	trusted jobs are root in it and may change it (profile root)
 * "*" stands for every label that is not named itself.
 */
#ifndef RUNNER_LABELS_H
#define RUNNER_LABELS_H

#include <stdbool.h>

#include "base/err.h"
#include "base/json.h"
#include "base/strvec.h"

struct label_root {
	char *image;  /* name in the store of roots, or NULL */
	char *dir;    /* absolute, or NULL; both NULL: the host's system */
	bool is_root; /* profile root for trusted work */
};
void label_root_done(struct label_root *r);

/* Every item is one of the forms above; ERR_INPUT names the one that is not. */
int labels_check(const struct strvec *offered, struct err *err);
/* "LABEL" of an item, heap. */
char *labels_name(const char *item);
bool labels_offer(const struct strvec *offered, const char *label);
/* The first of LABELS (an array) that nobody offers, lent by it; NULL: all are. */
const char *labels_missing(const struct strvec *offered, const struct json *labels);
/* The root of ITEM. */
int labels_read(const char *item, struct label_root *ret, struct err *err);
/*
 * The root for a job with LABELS (an array); ERR_INPUT when two of them ask for different
 * ones.
 */
int labels_root(const struct strvec *offered, const struct json *labels,
	struct label_root *ret, struct err *err);

#endif
