/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"

static int ends[2];

static int setup(void **state)
{
	return pipe2(ends, O_CLOEXEC | O_NONBLOCK);
}

static int teardown(void **state)
{
	log_set_request(NULL);
	log_set_fd(2);
	unsetenv("SLUICE_LOG");
	(void)close(ends[0]);
	(void)close(ends[1]);
	return 0;
}

/* The next line as JSON, NULL if there is none. */
static struct json *next_line(void)
{
	char buf[16384];
	ssize_t n = read(ends[0], buf, sizeof(buf));
	struct json *j = NULL;
	struct err err = ERR_INIT;

	if (n <= 0)
		return NULL;
	assert_int_equal(buf[n - 1], '\n');
	assert_null(memchr(buf, '\n', (size_t)n - 1));
	assert_ok(json_parse(buf, (size_t)n, &j, &err), &err);
	return j;
}

static void a_line_is_one_object_with_its_facts(void **state)
{
	struct json *j;
	int64_t at = 0;

	log_open("core", LOG_INFO);
	log_set_fd(ends[1]);
	log_set_request("req-1");
	log_info("run=%d started\n\x1b[31m\"quoted\"", 7);
	j = next_line();
	assert_non_null(j);
	assert_string_equal(json_get_str(j, "level", ""), "info");
	assert_string_equal(json_get_str(j, "program", ""), "core");
	assert_string_equal(json_get_str(j, "request", ""), "req-1");
	assert_string_equal(
		json_get_str(j, "msg", ""), "run=7 started\n\x1b[31m\"quoted\"");
	assert_int_equal(clock_parse(json_get_str(j, "time", ""), &at), 0);
	assert_true(clock_wall_ms() - at < 60000);
	json_free(j);
}

static void warn_adds_errno_and_keeps_it(void **state)
{
	struct json *j;

	log_open("core", LOG_INFO);
	log_set_fd(ends[1]);
	errno = EACCES;
	log_warn("cannot read '%s'", "x");
	assert_int_equal(errno, EACCES);
	j = next_line();
	assert_string_equal(
		json_get_str(j, "msg", ""), "cannot read 'x': permission denied");
	json_free(j);
	errno = EACCES;
	log_warnx("odd");
	j = next_line();
	assert_string_equal(json_get_str(j, "msg", ""), "odd");
	assert_null(json_get(j, "request"));
	json_free(j);
}

static void what_is_below_the_level_is_not_written(void **state)
{
	log_open("core", LOG_WARN);
	log_set_fd(ends[1]);
	log_info("no");
	log_debug("no");
	assert_null(next_line());
	log_err("yes");
	json_free(next_line());
	setenv("SLUICE_LOG", "debug", 1);
	log_open("core", LOG_WARN);
	log_debug("yes");
	{
		struct json *j = next_line();

		assert_non_null(j);
		json_free(j);
	}
	setenv("SLUICE_LOG", "nonsense", 1);
	log_open("core", LOG_WARN);
	log_info("no");
	assert_null(next_line());
}

static void broken_and_endless_messages_are_still_json(void **state)
{
	_cleanup_free_ char *big = xmalloc(100001);
	struct json *j;

	memset(big, 'x', 100000);
	big[100000] = '\0';
	log_open("core", LOG_INFO);
	log_set_fd(ends[1]);
	log_info("%s", big);
	j = next_line();
	assert_int_equal(json_str_len(json_get(j, "msg")), 8192);
	json_free(j);
	log_info("\xff\xfe");
	j = next_line();
	assert_string_equal(json_get_str(j, "msg", ""), "\xef\xbf\xbd\xef\xbf\xbd");
	json_free(j);
}

TEST_MAIN(TEST_WITH(a_line_is_one_object_with_its_facts, setup, teardown),
	TEST_WITH(warn_adds_errno_and_keeps_it, setup, teardown),
	TEST_WITH(what_is_below_the_level_is_not_written, setup, teardown),
	TEST_WITH(broken_and_endless_messages_are_still_json, setup, teardown))
