/* SPDX-License-Identifier: Apache-2.0 */
/* One line to one command; the words and quirks are those of the runner's ActionCommand.cs. */
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "executor/command-internal.h"
#include "executor/command.h"

static const struct {
	const char *name;
	bool omits_echo;
} kinds[] = {
	[COMMAND_ADD_MASK] = { "add-mask", true },
	[COMMAND_ADD_MATCHER] = { "add-matcher", false },
	[COMMAND_ADD_PATH] = { "add-path", false },
	[COMMAND_DEBUG] = { "debug", true },
	[COMMAND_ECHO] = { "echo", false },
	[COMMAND_ENDGROUP] = { "endgroup", true },
	[COMMAND_ERROR] = { "error", true },
	[COMMAND_GROUP] = { "group", true },
	[COMMAND_REPO_PATH] = { "internal-set-repo-path", false },
	[COMMAND_NOTICE] = { "notice", true },
	[COMMAND_REMOVE_MATCHER] = { "remove-matcher", false },
	[COMMAND_SAVE_STATE] = { "save-state", false },
	[COMMAND_SET_ENV] = { "set-env", false },
	[COMMAND_SET_OUTPUT] = { "set-output", false },
	[COMMAND_STOP] = { "stop-commands", false },
	[COMMAND_WARNING] = { "warning", true },
};

#define NAMED (COMMAND_WARNING + 1)

const char *command_name(enum command_kind kind)
{
	return kind < NAMED		? kinds[kind].name
	       : kind == COMMAND_RESUME ? "resume"
					: "command";
}

bool command_omits_echo(enum command_kind kind)
{
	return kind < NAMED ? kinds[kind].omits_echo : false;
}

static bool name_is(const char *name, size_t len, const char *want)
{
	return strlen(want) == len && strncasecmp(name, want, len) == 0;
}

bool command_kind_of(const struct command_state *st, const char *name, size_t len,
	enum command_kind *ret)
{
	if (st->token && name_is(name, len, st->token)) {
		*ret = COMMAND_RESUME;
		return true;
	}
	for (size_t i = 0; i < NAMED; i++) {
		if (name_is(name, len, kinds[i].name)) {
			*ret = (enum command_kind)i;
			return true;
		}
	}
	return false;
}

void command_done(struct command *c)
{
	for (size_t i = 0; i < c->props_len; i++) {
		free(c->props[i].name);
		free(c->props[i].value);
	}
	free(c->data);
	*c = (struct command)COMMAND_INIT;
}

const char *command_prop(const struct command *c, const char *name)
{
	for (size_t i = 0; i < c->props_len; i++) {
		if (strcasecmp(c->props[i].name, name) == 0)
			return c->props[i].value;
	}
	return NULL;
}

/* ---- escapes ---- */

struct escape {
	const char *code;
	char c;
};

/* In this order, one after the other, as the runner does: %25 last, so %250A gives %0A. */
static const struct escape data_escapes[] = { { "%0D", '\r' }, { "%0A", '\n' },
	{ "%25", '%' }, { NULL, 0 } };
static const struct escape prop_escapes[] = { { "%0D", '\r' }, { "%0A", '\n' },
	{ "%3A", ':' }, { "%2C", ',' }, { "%25", '%' }, { NULL, 0 } };
static const struct escape old_escapes[] = { { "%3B", ';' }, { "%0D", '\r' },
	{ "%0A", '\n' }, { "%5D", ']' }, { "%25", '%' }, { NULL, 0 } };

static char *unescape(
	const char *p, size_t len, const struct escape *table, size_t *ret_len)
{
	char *out = xmalloc(len + 1);
	size_t n = 0;

	/* One pass gives the same as the runner's many: no code makes part of another but
	 * through '%', and %25 comes last. */
	for (size_t i = 0; i < len;) {
		const struct escape *e = table;

		if (p[i] != '%' || len - i < 3) {
			out[n++] = p[i++];
			continue;
		}
		while (e->code && memcmp(p + i, e->code, 3) != 0)
			e++;
		out[n++] = e->code ? e->c : '%';
		i += e->code ? 3 : 1;
	}
	out[n] = '\0';
	if (ret_len)
		*ret_len = n;
	return out;
}

/* ---- the line ---- */

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* "k=v": empty names and values are dropped, as .NET's split without empties does. */
static void add_prop(
	struct command *c, const char *p, size_t len, const struct escape *table)
{
	const char *end = p + len;
	const char *eq;

	while (p < end && *p == '=')
		p++;
	eq = memchr(p, '=', (size_t)(end - p));
	if (!eq)
		return;
	len = (size_t)(eq - p);
	while (eq < end && *eq == '=')
		eq++;
	if (eq == end || len == 0 || c->props_len == COMMAND_PROPS_MAX ||
		memchr(p, '\0', len))
		return;
	for (size_t i = 0; i < c->props_len; i++) {
		if (name_is(p, len, c->props[i].name)) {
			free(c->props[i].value);
			c->props[i].value = unescape(eq, (size_t)(end - eq), table, NULL);
			return;
		}
	}
	c->props[c->props_len].name = xstrndup(p, len);
	c->props[c->props_len++].value = unescape(eq, (size_t)(end - eq), table, NULL);
}

/* INFO is "name k=v,k=v". False when the name is none. */
static bool parse_info(const struct command_state *st, const char *info, size_t len,
	char sep, const struct escape *table, struct command *ret)
{
	const char *end = info + len;
	const char *blank = memchr(info, ' ', len);

	if (!command_kind_of(st, info, blank ? (size_t)(blank - info) : len, &ret->kind))
		return false;
	if (!blank)
		return true;
	info = blank;
	if (sep == ',') {
		while (info < end && is_blank(*info))
			info++;
		while (end > info && is_blank(end[-1]))
			end--;
	} else {
		info++;
	}
	while (info < end) {
		const char *stop = memchr(info, sep, (size_t)(end - info));

		if (!stop)
			stop = end;
		add_prop(ret, info, (size_t)(stop - info), table);
		info = stop + 1;
	}
	return true;
}

static bool parse_new(
	const struct command_state *st, const char *line, size_t len, struct command *ret)
{
	const char *end = line + len;
	const char *data;

	while (line < end && is_blank(*line))
		line++;
	if (end - line < 4 || memcmp(line, "::", 2) != 0)
		return false;
	line += 2;
	data = memmem(line, (size_t)(end - line), "::", 2);
	if (!data || !parse_info(st, line, (size_t)(data - line), ',', prop_escapes, ret))
		return false;
	data += 2;
	ret->data = unescape(data, (size_t)(end - data), data_escapes, &ret->data_len);
	return true;
}

static bool parse_old(
	const struct command_state *st, const char *line, size_t len, struct command *ret)
{
	const char *end = line + len;
	const char *info = memmem(line, len, "##[", 3);
	const char *data;

	if (!info)
		return false;
	info += 3;
	data = memchr(info, ']', (size_t)(end - info));
	if (!data || !parse_info(st, info, (size_t)(data - info), ';', old_escapes, ret))
		return false;
	data++;
	ret->data = unescape(data, (size_t)(end - data), old_escapes, &ret->data_len);
	return true;
}

bool command_scan(
	const struct command_state *st, const char *line, size_t len, struct command *ret)
{
	struct command c = COMMAND_INIT;

	if (!parse_new(st, line, len, &c) && !parse_old(st, line, len, &c))
		return false;
	if (st->token && c.kind != COMMAND_RESUME) {
		command_done(&c);
		return false;
	}
	*ret = c;
	return true;
}

/* ---- stop-commands ---- */

void command_state_done(struct command_state *st)
{
	free(st->token);
	st->token = NULL;
}

int command_stop(struct command_state *st, const struct command *c, struct err *err)
{
	const struct command_state none = COMMAND_STATE_INIT;
	enum command_kind kind;

	if (c->data_len == 0 || strlen(c->data) != c->data_len ||
		name_is(c->data, c->data_len, "pause-logging") ||
		command_kind_of(&none, c->data, c->data_len, &kind))
		return err_set(err, ERR_INPUT, "%s", COMMAND_TOKEN_FAULT);
	command_state_done(st);
	st->token = xstrdup(c->data);
	return 0;
}

void command_resume(struct command_state *st)
{
	command_state_done(st);
}
