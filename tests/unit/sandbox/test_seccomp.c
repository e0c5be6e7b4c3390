/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filters against the table they are made from: the compiled code runs in an
 * interpreter here, for every number, foreign architectures and junk in the high bits, so
 * no kernel and no right is needed.
 */
#include "tests/lib/test.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "sandbox/sandbox-internal.h"

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#else
#define NATIVE 0
#endif

static uint32_t load(const struct seccomp_data *d, uint32_t at)
{
	uint32_t v;

	assert_true(at % 4 == 0 && at + 4 <= sizeof(*d));
	memcpy(&v, (const char *)d + at, sizeof(v));
	return v;
}

static bool jumps(const struct sock_filter *f, uint32_t a)
{
	switch (BPF_OP(f->code)) {
	case BPF_JEQ:
		return a == f->k;
	case BPF_JGT:
		return a > f->k;
	case BPF_JGE:
		return a >= f->k;
	case BPF_JSET:
		return (a & f->k) != 0;
	}
	fail_msg("an odd jump %x", f->code);
	return false;
}

/* What the kernel would answer. Only what libseccomp emits is known here. */
static uint32_t verdict(const struct filter *f, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (size_t at = 0, n = 0; at < f->len && n < 10000; n++) {
		const struct sock_filter *i = &f->code[at++];

		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
			a = load(d, i->k);
			break;
		case BPF_ALU:
			assert_int_equal(i->code, BPF_ALU | BPF_AND | BPF_K);
			a &= i->k;
			break;
		case BPF_JMP:
			if (BPF_OP(i->code) == BPF_JA)
				at += i->k;
			else
				at += jumps(i, a) ? i->jt : i->jf;
			break;
		case BPF_RET:
			return i->k;
		default:
			fail_msg("an odd instruction %x", i->code);
		}
	}
	fail_msg("the filter does not end");
	return 0;
}

static uint32_t ask(const struct filter *f, uint32_t arch, int nr, uint64_t a0,
	uint64_t a1, uint64_t a2)
{
	struct seccomp_data d = { .nr = nr, .arch = arch, .args = { a0, a1, a2 } };

	return verdict(f, &d);
}

static uint32_t refusal(int sys)
{
	return SECCOMP_RET_ERRNO | (uint32_t)sys;
}

static const struct {
	const char *name;
	unsigned sets;
} compiled[] = {
	{ "strict", CALL_STRICT },
	{ "standard", CALL_STANDARD },
	{ "agent", CALL_AGENT },
	{ "worker", CALL_WORKER },
	{ "worker with a network", CALL_WORKER | CALL_WORKER_NET },
};

static const struct call *row_of(int nr)
{
	for (size_t i = 0; i < sandbox_calls_len; i++)
		if (filter_call_number(&sandbox_calls[i]) == nr)
			return &sandbox_calls[i];
	return NULL;
}

static uint32_t wanted(int nr, unsigned sets)
{
	const struct call *c = row_of(nr);

	if (!c)
		return refusal(ENOSYS);
	return c->sets & sets ? SECCOMP_RET_ALLOW : refusal(EPERM);
}

static void each_number_gets_the_answer_of_the_table(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	if (!NATIVE)
		test_skip("this architecture is not in the test");
	for (size_t i = 0; i < ARRAY_SIZE(compiled); i++) {
		_cleanup_(filter_done) struct filter f = { 0 };

		assert_ok(filter_compile_calls(compiled[i].sets, &f, &err), &err);
		for (int nr = 0; nr < 1024; nr++) {
			uint32_t got = ask(&f, NATIVE, nr, 0, 0, 0);

			if (got != wanted(nr, compiled[i].sets))
				fail_msg(
					"%s: call %d gets %x", compiled[i].name, nr, got);
			/* High bits of an argument never turn a refusal into a yes. */
			if (got != SECCOMP_RET_ALLOW)
				assert_int_equal(
					ask(&f, NATIVE, nr, ~0ull << 32, ~0ull, ~0ull),
					got);
		}
	}
}

static void another_architecture_is_killed_whatever_it_calls(void **state)
{
	static const uint32_t others[] = { AUDIT_ARCH_I386, AUDIT_ARCH_ARM,
		AUDIT_ARCH_S390, 0 };
	_cleanup_(filter_done) struct filter calls = { 0 }, args = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(filter_compile_calls(CALL_STANDARD, &calls, &err), &err);
	assert_ok(filter_compile_args(CALL_STEP, &args, &err), &err);
	for (int nr = 0; nr < 1024; nr++)
		for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
			assert_int_equal(ask(&calls, others[i], nr, 0, 0, 0),
				SECCOMP_RET_KILL_PROCESS);
			assert_int_equal(ask(&args, others[i], nr, 0, 0, 0),
				SECCOMP_RET_KILL_PROCESS);
		}
#ifdef __x86_64__
	for (int nr = 0; nr < 1024; nr++)
		assert_int_equal(ask(&calls, NATIVE, nr | 0x40000000, 0, 0, 0),
			SECCOMP_RET_KILL_PROCESS);
#endif
}

static void init_may_do_its_work_and_nothing_else(void **state)
{
	_cleanup_(filter_done) struct filter f = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	if (!NATIVE)
		test_skip("this architecture is not in the test");
	assert_ok(filter_compile_calls(CALL_INIT, &f, &err), &err);
	for (int nr = 0; nr < 1024; nr++) {
		const struct call *c = row_of(nr);

		assert_int_equal(ask(&f, NATIVE, nr, 0, 0, 0),
			c && (c->sets & CALL_INIT) ? SECCOMP_RET_ALLOW : refusal(EPERM));
	}
	assert_int_equal(ask(&f, NATIVE, SYS_execve, 0, 0, 0), refusal(EPERM));
	assert_int_equal(ask(&f, NATIVE, SYS_openat, 0, 0, 0), refusal(EPERM));
}

static void only_strict_refuses_to_trace(void **state)
{
	_cleanup_(filter_done) struct filter strict = { 0 }, standard = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	if (!NATIVE)
		test_skip("this architecture is not in the test");
	assert_ok(filter_compile_calls(CALL_STRICT, &strict, &err), &err);
	assert_ok(filter_compile_calls(CALL_STANDARD, &standard, &err), &err);
	for (int nr = 0; nr < 1024; nr++) {
		const struct call *c = row_of(nr);
		bool traces = c && (!strcmp(c->name, "ptrace") ||
					   str_starts(c->name, "process_vm_"));
		bool same = ask(&strict, NATIVE, nr, 0, 0, 0) ==
			    ask(&standard, NATIVE, nr, 0, 0, 0);

		assert_int_equal(same, !traces);
	}
}

#define JUNK (1ull << 40)
#define DONE (-1)

static void arguments_are_looked_at_bit_by_bit(void **state)
{
	static const struct {
		const char *what;
		int nr;
		uint64_t a0, a1, a2;
		int refused; /* errno, 0: allowed, DONE: not done, and said to be */
	} cases[] = {
		{ "fork", SYS_clone, 17, 0, 0, 0 },
		{ "a thread", SYS_clone, 0x3d0f00, 0, 0, 0 },
		{ "a user namespace", SYS_clone, 0x10000000 | 17, 0, 0, EPERM },
		{ "with junk", SYS_clone, JUNK | 0x10000000 | 17, 0, 0, EPERM },
		{ "a time namespace", SYS_clone, 0x80, 0, 0, EPERM },
		{ "a mount namespace", SYS_clone, 0x20000, 0, 0, EPERM },
		{ "a network namespace", SYS_clone, 0x40000000, 0, 0, EPERM },
		{ "TIOCSTI", SYS_ioctl, 0, TIOCSTI, 0, EPERM },
		{ "TIOCSTI with junk", SYS_ioctl, 0, JUNK | TIOCSTI, 0, EPERM },
		{ "TIOCLINUX with junk", SYS_ioctl, 0, 0x123ull << 32 | 0x541c, 0,
			EPERM },
		{ "TIOCGWINSZ", SYS_ioctl, 0, TIOCGWINSZ, 0, 0 },
		{ "AF_UNIX", SYS_socket, AF_UNIX, 1, 0, 0 },
		{ "AF_INET6", SYS_socket, AF_INET6, 1, 0, 0 },
		{ "AF_ALG", SYS_socket, 38, 5, 0, EAFNOSUPPORT },
		{ "AF_ALG with junk", SYS_socket, 1ull << 32 | 38, 5, 0, EAFNOSUPPORT },
		{ "AF_UNIX with junk", SYS_socket, JUNK | AF_UNIX, 1, 0, EAFNOSUPPORT },
		{ "AF_PACKET", SYS_socket, AF_PACKET, 3, 0, EAFNOSUPPORT },
		{ "family 0", SYS_socket, 0, 1, 0, EAFNOSUPPORT },
		{ "netlink for routes", SYS_socket, AF_NETLINK, 3, 0, 0 },
		{ "netlink for audit", SYS_socket, AF_NETLINK, 3, 9, EAFNOSUPPORT },
		{ "a pair of AF_TIPC", SYS_socketpair, 30, 1, 0, EAFNOSUPPORT },
		{ "no cores", SYS_setrlimit, RLIMIT_CORE, 1, 0, DONE },
		{ "no cores with junk", SYS_setrlimit, JUNK | RLIMIT_CORE, 1, 0, DONE },
		{ "fewer files", SYS_setrlimit, RLIMIT_NOFILE, 1, 0, 0 },
		{ "no cores, by prlimit", SYS_prlimit64, 0, RLIMIT_CORE, 1, DONE },
		{ "asking for cores", SYS_prlimit64, 0, RLIMIT_CORE, 0, 0 },
		{ "an unrelated call", SYS_read, ~0ull, TIOCSTI, 0, 0 },
	};
	_cleanup_(filter_done) struct filter f = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	if (!NATIVE)
		test_skip("this architecture is not in the test");
	assert_ok(filter_compile_args(CALL_STEP, &f, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t got = ask(
			&f, NATIVE, cases[i].nr, cases[i].a0, cases[i].a1, cases[i].a2);
		uint32_t want = cases[i].refused == DONE ? refusal(0)
				: cases[i].refused	 ? refusal(cases[i].refused)
							 : SECCOMP_RET_ALLOW;

		if (got != want)
			fail_msg("%s gets %x", cases[i].what, got);
	}
}

static void personality_takes_six_values(void **state)
{
	static const uint64_t good[] = { 0, 8, 0x20000, 0x20008, 0x40000, 0xffffffff };
	static const uint64_t bad[] = { 1, 0x400000, 0x440000, 0xfffffffe, 1ull << 32,
		~0ull };
	_cleanup_(filter_done) struct filter f = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	if (!NATIVE)
		test_skip("this architecture is not in the test");
	assert_ok(filter_compile_calls(CALL_STRICT, &f, &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(ask(&f, NATIVE, SYS_personality, good[i], 0, 0),
			SECCOMP_RET_ALLOW);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(
			ask(&f, NATIVE, SYS_personality, bad[i], 0, 0), refusal(ENOSYS));
}

static void the_table_names_each_call_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < sandbox_calls_len; i++)
		for (size_t k = 0; k < i; k++)
			if (!strcmp(sandbox_calls[i].name, sandbox_calls[k].name))
				fail_msg("'%s' is there twice", sandbox_calls[i].name);
}

TEST_MAIN(TEST_CASE("SB01 SB03 SB06", each_number_gets_the_answer_of_the_table),
	TEST_CASE("SB07", another_architecture_is_killed_whatever_it_calls),
	TEST(init_may_do_its_work_and_nothing_else), TEST(only_strict_refuses_to_trace),
	TEST_CASE("SB05 SB08 SB09 SB10 SB13", arguments_are_looked_at_bit_by_bit), TEST_CASE("SB11", personality_takes_six_values),
	TEST(the_table_names_each_call_once))
