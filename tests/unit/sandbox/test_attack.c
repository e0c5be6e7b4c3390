/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The escape cases, each with its control, under each profile and each kind of account
 * that can be had here. This program is its own probe.
 */
#include "tests/unit/sandbox/box.h"

#include <grp.h>
#include <sys/prctl.h>

#include "sandbox/attack.h"

#define PLAIN_ID 54321 /* no account, no subordinate range */

static const char *const prefix[] = { "--probe", NULL };

struct tally {
	int held, broke, not_shown;
	struct strbuf *words;
};

static void on_attack(const struct sandbox_attack_result *r, void *data)
{
	struct tally *t = data;

	t->held += r->verdict == SANDBOX_ATTACK_HELD;
	t->not_shown += r->verdict == SANDBOX_ATTACK_NOT_SHOWN;
	if (r->verdict == SANDBOX_ATTACK_HELD)
		return;
	if (r->verdict == SANDBOX_ATTACK_BROKE_THROUGH)
		t->broke++;
	strbuf_addf(t->words, "%s %s: %s\n", r->id, r->what, r->words);
}

/* 0, or 1 with what went wrong in WORDS. */
static int attack(const struct sandbox_host *host, enum sandbox_profile profile,
	int not_shown_max, struct strbuf *words)
{
	struct sandbox_attack_options opts = {
		.sandbox = SANDBOX_OPTIONS_INIT, .prefix = prefix, .fn = on_attack
	};
	struct tally t = { .words = words };
	struct err err = ERR_INIT;

	opts.data = &t;
	opts.sandbox.profile = profile;
	opts.sandbox.trust = SANDBOX_TRUSTED;
	if (sandbox_ids_for(sandbox_host_caps(host), 0, 0, 60, &opts.sandbox.ids, &err) <
			0 ||
		sandbox_attack_run(host, &opts, &err) < 0) {
		strbuf_addf(words, "%s\n", err.msg);
		return 1;
	}
	return t.broke || t.held < 38 - not_shown_max || t.not_shown > not_shown_max;
}

static void attack_here(struct box *b, enum sandbox_profile profile)
{
	box_need(b);
	/* As a plain user some controls are refused outside as well; the others need a limit
	 * on memory and a piped core_pattern. */
	if (attack(b->host, profile, geteuid() ? 10 : 2, &b->out) != 0)
		fail_msg("%s", b->out.buf);
}

static void strict_holds_against_all_of_them(void **state)
{
	attack_here(*state, SANDBOX_STRICT);
}

static void standard_holds_against_all_of_them(void **state)
{
	attack_here(*state, SANDBOX_STANDARD);
}

static void it_holds_for_a_plain_user_too(void **state)
{
	_cleanup_(strbuf_done) struct strbuf words = STRBUF_INIT;
	int said[2], status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0)
		test_skip("the tests above were of a plain user");
	if (access("/proc/self/exe", X_OK) < 0)
		test_skip("our own program cannot be found");
	assert_int_equal(pipe2(said, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct sandbox_host *host = NULL;
		struct err err = ERR_INIT;
		int rc = 2;

		if (setgroups(0, NULL) < 0 ||
			setresgid(PLAIN_ID, PLAIN_ID, PLAIN_ID) < 0 ||
			setresuid(PLAIN_ID, PLAIN_ID, PLAIN_ID) < 0 || chdir("/") < 0)
			_exit(3);
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
		if (sandbox_host_open(&host, &err) < 0 ||
			sandbox_decide(sandbox_host_caps(host), SANDBOX_STANDARD,
				SANDBOX_TRUSTED, SANDBOX_NET_NONE, &err) < 0)
			strbuf_adds(&words, err.msg);
		else
			rc = attack(host, SANDBOX_STANDARD, 10, &words);
		(void)!write(said[1], words.buf, words.len);
		_exit(rc);
	}
	(void)close(said[1]);
	(void)fd_read_to_end(said[0], 65536, &words, NULL);
	(void)close(said[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		test_skip(words.buf);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("%s", words.buf);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(strict_holds_against_all_of_them, box_setup, box_teardown),
		TEST_WITH(standard_holds_against_all_of_them, box_setup, box_teardown),
		TEST(it_holds_for_a_plain_user_too),
	};

	if (argc > 1 && !strcmp(argv[1], "--probe"))
		return sandbox_attack_probe((const char *const *)argv + 2);
	return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
