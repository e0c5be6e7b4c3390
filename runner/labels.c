/* SPDX-License-Identifier: Apache-2.0 */
/* Labels and their roots, as text. */
#include "runner/labels.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/path.h"

#define AS_ROOT ":root"

void label_root_done(struct label_root *r)
{
	free(r->image);
	free(r->dir);
	*r = (struct label_root){ 0 };
}

char *labels_name(const char *item)
{
	return xstrndup(item, strcspn(item, "="));
}

int labels_read(const char *item, struct label_root *ret, struct err *err)
{
	const char *what = strchr(item, '=');
	_cleanup_(label_root_done) struct label_root r = { 0 };
	_cleanup_free_ char *text = NULL;

	if (what == item)
		return err_set(err, ERR_INPUT, "'labels': '%s' names no label", item);
	text = xstrdup(what ? what + 1 : "host");
	if (str_ends(text, AS_ROOT)) {
		text[strlen(text) - strlen(AS_ROOT)] = '\0';
		r.is_root = true;
	}
	if (text[0] == '/')
		r.dir = xstrdup(text);
	else if (!str_eq(text, "host"))
		r.image = xstrdup(text);
	if (r.image && !path_is_name(r.image))
		return err_set(err, ERR_INPUT,
			"'labels': '%s': it takes LABEL=IMAGE, LABEL=/DIR or LABEL=host",
			item);
	if (r.is_root && !r.image)
		return err_set(err, ERR_INPUT,
			"'labels': '%s': jobs are root in an image alone; make one: "
			"sluice image build NAME",
			item);
	ret->image = take_ptr(r.image);
	ret->dir = take_ptr(r.dir);
	ret->is_root = r.is_root;
	return 0;
}

int labels_check(const struct strvec *offered, struct err *err)
{
	for (size_t i = 0; i < offered->len; i++) {
		struct label_root r = { 0 };

		if (labels_read(offered->v[i], &r, err) < 0)
			return -1;
		label_root_done(&r);
	}
	return 0;
}

/* The item for LABEL, else that of "*", else NULL. */
static const char *find(const struct strvec *offered, const char *label)
{
	const char *any = NULL;

	for (size_t i = 0; i < offered->len; i++) {
		_cleanup_free_ char *name = labels_name(offered->v[i]);

		if (strcasecmp(name, label) == 0)
			return offered->v[i];
		if (str_eq(name, "*"))
			any = offered->v[i];
	}
	return any;
}

bool labels_offer(const struct strvec *offered, const char *label)
{
	return find(offered, label) != NULL;
}

const char *labels_missing(const struct strvec *offered, const struct json *labels)
{
	for (size_t i = 0; i < json_count(labels); i++) {
		const char *label = json_as_str(json_at(labels, i), "");

		if (!labels_offer(offered, label))
			return label;
	}
	return NULL;
}

static bool is_same(const struct label_root *a, const struct label_root *b)
{
	return str_eq(a->image, b->image) && str_eq(a->dir, b->dir) &&
	       a->is_root == b->is_root;
}

int labels_root(const struct strvec *offered, const struct json *labels,
	struct label_root *ret, struct err *err)
{
	_cleanup_(label_root_done) struct label_root all = { 0 };
	const char *first = NULL;

	for (size_t i = 0; i < json_count(labels); i++) {
		const char *label = json_as_str(json_at(labels, i), "");
		const char *item = find(offered, label);
		struct label_root r = { 0 };

		/* One that says nothing of a root leaves that to the others. */
		if (!item || !strchr(item, '='))
			continue;
		if (labels_read(item, &r, err) < 0)
			return -1;
		if (!first) {
			first = label;
			all = r;
			continue;
		}
		if (!is_same(&all, &r)) {
			label_root_done(&r);
			return err_set(err, ERR_INPUT,
				"the labels '%s' and '%s' stand for different roots; name "
				"one of them in runs-on",
				first, label);
		}
		label_root_done(&r);
	}
	ret->image = take_ptr(all.image);
	ret->dir = take_ptr(all.dir);
	ret->is_root = all.is_root;
	return 0;
}
