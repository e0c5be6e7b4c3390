/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/fd.h"
#include "runner/config.h"
#include "runner/local.h"

static int data_dir(const struct cli_args *a, char **ret)
{
	_cleanup_(config_freep) struct config *c = NULL;
	_cleanup_(strvec_done) struct strvec over = STRVEC_INIT;
	struct err err = ERR_INIT;

	if (cli_get(a, "data"))
		strvec_pushf(&over, "data=%s", cli_get(a, "data"));
	if (config_load(cli_get(a, "config"), &over, NULL, &c, &err) < 0)
		return cli_fail(a, &err);
	*ret = xstrdup(c->data_dir);
	return 0;
}

int remote_client(const struct cli_args *a, struct client **ret)
{
	_cleanup_free_ char *dir = NULL;
	struct client_options o = { .server = cli_get(a, "server") };
	struct err err = ERR_INIT;
	int r = data_dir(a, &dir);

	if (r)
		return r;
	o.data_dir = dir;
	if (client_new(&o, ret, &err) < 0)
		return cli_fail(a, &err);
	return 0;
}

int remote_call(const struct cli_args *a, const char *verb, struct json *args,
	struct json **ret)
{
	_cleanup_(json_freep) struct json *owned = args;
	_cleanup_(client_freep) struct client *c = NULL;
	_cleanup_free_ char *dir = NULL;
	struct err err = ERR_INIT;
	int r = remote_client(a, &c);

	if (r)
		return r;
	if (client_call(c, verb, owned, ret, &err) == 0)
		return 0;
	/* Nobody there, and no other server was named: ask a core of our own. */
	if (client_is_absent(&err) && !cli_get(a, "server") && !getenv("SLUICE_SERVER")) {
		struct err local = ERR_INIT;

		r = data_dir(a, &dir);
		if (r)
			return r;
		if (dir && access(dir, R_OK | W_OK | X_OK) == 0) {
			if (local_call(dir, cli_get(a, "config"), verb, owned, ret, &local) == 0)
				return 0;
			return cli_fail(a, &local);
		}
	}
	return cli_fail(a, &err);
}

int remote_look(const struct cli_args *a, const char *verb, struct json *args,
	struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *owned = args;
	_cleanup_(client_freep) struct client *c = NULL;

	if (remote_client(a, &c))
		return err_set(err, ERR_UNAVAILABLE, "no server");
	return client_call(c, verb, owned, ret, err);
}

int64_t remote_time(const struct json *j, const char *key)
{
	const struct json *v = json_get(j, key);
	int64_t ms = 0;

	if (json_is(v, JSON_KIND_STRING))
		return clock_parse(json_as_str(v, ""), &ms) == 0 ? ms : 0;
	return json_as_int(v, 0);
}

char *remote_when(const struct json *j, const char *key)
{
	int64_t when = remote_time(j, key);
	char text[CLOCK_TEXT_MAX];

	if (when <= 0)
		return xstrdup("");
	if (!cli_is_terminal(stdout))
		return xstrdup(clock_format(when, text));
	return xstrdup(clock_age(clock_wall_ms() - when, text));
}

bool remote_print_json(const struct cli_args *a, const struct json *j)
{
	_cleanup_free_ char *text = NULL;

	if (!cli_json(a))
		return false;
	text = json_text(j);
	printf("%s\n", text);
	return true;
}

void remote_split(const char *text, char **ret_run, char **ret_rest)
{
	/* OWNER/NAME#N/JOB: the run ends at the first slash behind '#', if there is one. */
	const char *hash = strchr(text, '#');
	const char *slash = strchr(hash ? hash : text, '/');

	*ret_run = xstrndup(text, slash ? (size_t)(slash - text) : strlen(text));
	*ret_rest = xstrdup(slash ? slash + 1 : "");
}

const char *remote_repo(const struct cli_args *a)
{
	const char *repo = cli_get(a, "repo");

	return repo ? repo : getenv("SLUICE_REPO");
}

char *remote_read_value(const struct cli_args *a, const char *prompt)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	struct termios old, quiet;
	bool terminal = isatty(0) == 1 && isatty(2) == 1;
	struct err err = ERR_INIT;

	if (!terminal) {
		if (fd_read_to_end(0, LIMIT_ENV_VALUE, &sb, &err) < 0) {
			cli_fail(a, &err);
			return NULL;
		}
		/* One newline at the end is the shell's, not the value's. */
		if (sb.len && sb.buf[sb.len - 1] == '\n')
			strbuf_truncate(&sb, sb.len - 1);
		return strbuf_take(&sb);
	}
	fputs(prompt, stderr);
	if (tcgetattr(0, &old) == 0) {
		quiet = old;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		(void)tcsetattr(0, TCSAFLUSH, &quiet); /* else it echoes: still correct */
	}
	for (int c = getchar(); c != EOF && c != '\n'; c = getchar())
		strbuf_addc(&sb, (char)c);
	(void)tcsetattr(0, TCSAFLUSH, &old); /* nothing better to do than leave */
	fputc('\n', stderr);
	return strbuf_take(&sb);
}
