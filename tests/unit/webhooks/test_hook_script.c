/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The script runs in a real repository, with a curl of ours first in PATH that keeps what
 * it was given: the body must be read by our own reader, and its signature must match.
 */
#include "tests/lib/test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "webhooks/event.h"
#include "webhooks/hook_script.h"
#include "webhooks/signature.h"

#define SECRET "7Jq2abcdefghijklmnopqrstuvwxyz0123456-_9"

static const char fake_curl[] =
	"#!/bin/sh\n"
	"out=$SLUICE_TEST_OUT\n"
	"n=0; while [ -e \"$out/$n.body\" ]; do n=$((n + 1)); done\n"
	"while [ $# -gt 0 ]; do\n"
	"\tcase $1 in\n"
	"\t-H) case $2 in X-Sluice-Signature*) printf %s \"${2#*: }\" > \"$out/$n.sig\" ;; esac; shift ;;\n"
	"\t--data-binary) cat \"${2#@}\" > \"$out/$n.body\"; shift ;;\n"
	"\t-o) echo '{\"message\":\"no\"}' > \"$2\"; shift ;;\n"
	"\thttp*) printf %s \"$1\" > \"$out/$n.url\" ;;\n"
	"\tesac\n"
	"\tshift\n"
	"done\n"
	"ps -eo args | grep -c '" SECRET
	"' | grep -qv '^[01]$' && echo seen > \"$out/leak\"\n"
	"printf %s \"${SLUICE_TEST_CODE:-202}\"\n";

static int sh(const char *script)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", script, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static bool has_tools(void)
{
	return sh("command -v git openssl awk od >/dev/null 2>&1") == 0;
}

static void set_up(const struct test_dir *dir, const char *repo)
{
	_cleanup_(strbuf_done) struct strbuf script = STRBUF_INIT;
	const struct hook_script h = { "https://ci.example.com/hooks/generic", repo,
		"main" };
	_cleanup_free_ char *curl = xasprintf("%s/bin/curl", dir->path);
	_cleanup_free_ char *hook = xasprintf("%s/r.git/hooks/post-receive", dir->path);
	_cleanup_free_ char *made = xasprintf(
		"cd %s && git init -q --bare -b main r.git 2>/dev/null && git init -q -b main w "
		"&& mkdir -p out",
		dir->path);
	_cleanup_free_ char *path = xasprintf("%s/bin:%s", dir->path, getenv("PATH"));
	_cleanup_free_ char *out = xasprintf("%s/out", dir->path);

	assert_int_equal(sh(made), 0);
	hook_script_write(&h, &script);
	test_write(dir, "r.git/hooks/post-receive", script.buf);
	test_write(dir, "r.git/" HOOK_SECRET_FILE, SECRET "\n");
	test_write(dir, "bin/curl", fake_curl);
	assert_int_equal(chmod(curl, 0755), 0);
	assert_int_equal(chmod(hook, 0755), 0);
	setenv("PATH", path, 1);
	setenv("SLUICE_TEST_OUT", out, 1);
	setenv("SLUICE_PUSHER", "mira \"the\\great\"", 1);
	setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
	setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
}

static void clean_up(const char *path)
{
	setenv("PATH", path, 1);
	unsetenv("SLUICE_TEST_OUT");
	unsetenv("SLUICE_PUSHER");
	unsetenv("SLUICE_TEST_CODE");
}

#define GIT                                                                        \
	"git -c user.name='Mira \"M\" \\ Maas' -c user.email=mira@example.com -c " \
	"commit.gpgsign=false "

static void push(const struct test_dir *dir, const char *script)
{
	_cleanup_free_ char *text = xasprintf("cd %s/w && %s", dir->path, script);

	assert_int_equal(sh(text), 0);
}

static void read_sent(const struct test_dir *dir, int n, struct hook_event *ret)
{
	_cleanup_free_ char *body_path = xasprintf("%s/out/%d.body", dir->path, n);
	_cleanup_free_ char *sig_path = xasprintf("%s/out/%d.sig", dir->path, n);
	_cleanup_free_ char *body = test_read(body_path);
	_cleanup_free_ char *sig = test_read(sig_path);
	_cleanup_(json_freep) struct json *headers = json_new_object();
	struct err err = ERR_INIT;

	json_set_str(headers, "x-sluice-signature", sig);
	json_set_str(headers, "x-sluice-event", "push");
	assert_true(signature_matches(
		"generic", headers, body, strlen(body), SECRET, strlen(SECRET)));
	if (hook_event_read("generic", headers, body, strlen(body), ret, &err))
		fail_msg("%s: %s", err.msg, body);
}

static void a_push_is_told_signed_whatever_is_in_its_commits(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_free_ char *path = xstrdup(getenv("PATH")), *url_path = NULL,
			    *url = NULL;
	_cleanup_free_ char *leak = xasprintf("%s/out/leak", dir->path);
	_cleanup_(hook_event_done) struct hook_event first = { 0 }, second = { 0 },
						     tag = { 0 }, gone = { 0 };
	const struct json *commits;

	if (!has_tools())
		test_skip("git, openssl, awk or od is missing");
	set_up(dir, "acme/archive");
	push(dir,
		"echo 1 > a && git add a && " GIT
		"commit -q -m 'Say \"hello\" \\ $(id) `id`\n\nwith a\ttab and \xff\xc3\xa4' && "
		"git push -q ../r.git main 2>/dev/null");
	read_sent(dir, 0, &first);
	assert_int_equal(first.kind, HOOK_PUSH);
	assert_string_equal(first.repo, "acme/archive");
	assert_string_equal(first.ref, "refs/heads/main");
	assert_string_equal(first.base_sha, "");
	assert_string_equal(first.title, "Say \"hello\" \\ $(id) `id`");
	assert_string_equal(first.actor, "mira \"the\\great\"");
	commits = json_path(first.document, "github.event.commits");
	assert_int_equal(json_count(commits), 1);
	assert_string_equal(
		json_as_str(json_path(json_at(commits, 0), "author.name"), ""),
		"Mira \"M\" \\ Maas");

	push(dir, "for i in $(seq 1 30); do echo $i > a; " GIT
		  "commit -q -a -m \"c $i\"; done; " GIT
		  "tag -a -m v1 v1 && git push -q ../r.git main v1 2>/dev/null");
	read_sent(dir, 1, &second);
	commits = json_path(second.document, "github.event.commits");
	assert_int_equal(json_count(commits), 20); /* the newest, oldest of them first */
	assert_string_equal(json_get_str(json_at(commits, 19), "message", ""), "c 30");
	assert_string_equal(
		json_get_str(json_at(commits, 19), "id", ""), second.head_sha);
	assert_string_equal(second.base_sha, first.head_sha);
	/* An annotated tag is told as the commit it names. */
	read_sent(dir, 2, &tag);
	assert_int_equal(tag.kind, HOOK_TAG);
	assert_string_equal(tag.head_sha, second.head_sha);

	push(dir, "git push -q ../r.git :v1 2>/dev/null");
	read_sent(dir, 3, &gone);
	assert_int_equal(gone.kind, HOOK_DELETE);
	url_path = xasprintf("%s/out/0.url", dir->path);
	url = test_read(url_path);
	assert_string_equal(
		url, "https://ci.example.com/hooks/generic?repo=acme/archive");
	assert_int_equal(access(leak, F_OK), -1);
	clean_up(path);
}

static void a_failing_delivery_never_fails_the_push(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_free_ char *path = xstrdup(getenv("PATH"));
	_cleanup_free_ char *said_path = xasprintf("%s/said", dir->path), *said = NULL;

	if (!has_tools())
		test_skip("git, openssl, awk or od is missing");
	set_up(dir, "acme/archive");
	setenv("SLUICE_TEST_CODE", "401", 1);
	push(dir, "echo 1 > a && git add a && " GIT
		  "commit -q -m x && git push -q ../r.git main 2> ../said");
	said = test_read(said_path);
	assert_has(said, "answered 401");
	push(dir, "rm ../r.git/" HOOK_SECRET_FILE " && echo 2 > a && " GIT
		  "commit -q -a -m y && git push -q ../r.git main 2> ../said");
	free(said);
	said = test_read(said_path);
	assert_has(said, "no run was started");
	clean_up(path);
}

static void values_cannot_break_out_of_the_script(void **state)
{
	const struct test_dir *dir = *state;
	_cleanup_(strbuf_done) struct strbuf script = STRBUF_INIT;
	_cleanup_free_ char *run = NULL;
	const struct hook_script h = { "x'; touch pwned; '",
		"$(touch pwned)`touch pwned`", "'" };
	_cleanup_free_ char *pwned = xasprintf("%s/pwned", dir->path);

	hook_script_write(&h, &script);
	assert_has(script.buf, HOOK_SCRIPT_MARK);
	assert_null(strstr(script.buf, SECRET));
	test_write(dir, "hook", script.buf);
	run = xasprintf("cd %s && git init -q --bare -b main . 2>/dev/null; "
			"echo x > " HOOK_SECRET_FILE "; sh ./hook < /dev/null",
		dir->path);
	assert_int_equal(sh(run), 0);
	assert_int_equal(access(pwned, F_OK), -1);
}

TEST_MAIN(TEST_DIR(a_push_is_told_signed_whatever_is_in_its_commits),
	TEST_DIR(a_failing_delivery_never_fails_the_push),
	TEST_DIR(values_cannot_break_out_of_the_script))
