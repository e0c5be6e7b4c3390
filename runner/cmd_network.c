/* SPDX-License-Identifier: Apache-2.0 */
/* Operating: allow-lists of the network, and what learning made of them. */
#include <stdio.h>
#include <string.h>

#include "runner/cmd.h"
#include "runner/remote.h"

static struct json *subject(const struct cli_args *a)
{
	struct json *args = json_new_object();

	json_set_str(args, "repo", cli_arg(a, 1));
	if (cli_get(a, "env"))
		json_set_str(args, "environment", cli_get(a, "env"));
	return args;
}

static void print_list(const char *name, const struct json *list)
{
	for (size_t i = 0; i < json_count(list); i++) {
		printf("%-8s ", i == 0 ? name : "");
		cli_put(stdout, json_as_str(json_at(list, i), ""));
		fputc('\n', stdout);
	}
}

static int show(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *n = NULL;
	int r = remote_call(a, "network.show", subject(a), &n);
	const char *learn;

	if (r || remote_print_json(a, n))
		return r;
	learn = json_get_str(n, "learn", NULL);
	printf("level    %s\n", json_get_str(n, "level", ""));
	printf("others   %s\n", learn ? "allowed and recorded: learning"
				: json_get_bool(n, "only_allowed", false)
					? "refused: only what is listed"
					: "allowed, unless they are private");
	print_list("allow", json_get(n, "allow"));
	print_list("relay", json_get(n, "relay"));
	return CLI_OK;
}

static int allow(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	struct json *args = subject(a);
	int r;

	json_set_str(args, "entry", cli_arg(a, 2));
	r = remote_call(a, "network.allow", args, &ret);
	if (r == 0 && !remote_print_json(a, ret))
		fprintf(stderr, "network: %s is allowed from the next job on\n",
			cli_arg(a, 2));
	return r;
}

static int learned(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	int r = remote_call(a, "network.learned", subject(a), &ret);
	const struct json *items = json_get(ret, "items");
	static const char *const heads[] = { "ENTRY", "TIMES", "FIRST JOB", NULL };
	struct cli_table *t;

	if (r || remote_print_json(a, ret))
		return r;
	if (json_count(items) == 0) {
		fputs(json_get_bool(ret, "learns", false)
				? "nothing yet: it learns from the jobs that run\n"
				: "nothing: learning is off (network.learn, network_learn)\n",
			stderr);
		return CLI_OK;
	}
	t = cli_table_new(heads, -1);
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *item = json_at(items, i);
		char count[24], job[24];

		(void)snprintf(count, sizeof(count), "%lld",
			(long long)json_get_int(item, "count", 0));
		(void)snprintf(job, sizeof(job), "%lld",
			(long long)json_get_int(item, "job_id", 0));
		cli_table_row(t, json_get_str(item, "entry", ""), count, job);
	}
	cli_table_print(t, stdout);
	cli_table_free(t);
	fprintf(stderr, "make it the list: sluice network keep %s %s%s%s\n",
		cli_arg(a, 1), json_get_str(ret, "digest", ""),
		cli_get(a, "env") ? " --env " : "",
		cli_get(a, "env") ? cli_get(a, "env") : "");
	return CLI_OK;
}

static int keep(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	struct json *args = subject(a);
	int r;

	json_set_str(args, "digest", cli_arg(a, 2));
	r = remote_call(a, "network.keep", args, &ret);
	if (r == 0 && !remote_print_json(a, ret))
		fprintf(stderr,
			"network: %lld added; from the next job on all else is refused\n",
			(long long)json_get_int(ret, "added", 0));
	return r;
}

static int run_network(const struct cli_args *a)
{
	static const struct {
		const char *name;
		size_t args;
		int (*run)(const struct cli_args *a);
	} subs[] = { { "show", 1, show }, { "allow", 2, allow },
		{ "learned", 1, learned }, { "keep", 2, keep } };

	for (size_t i = 0; i < ARRAY_SIZE(subs); i++) {
		if (!str_eq(subs[i].name, cli_arg(a, 0)))
			continue;
		if (cli_count(a) - 1 != subs[i].args)
			return cli_error(a, CLI_USAGE, "'%s' takes %zu argument%s",
				subs[i].name, subs[i].args, subs[i].args == 1 ? "" : "s");
		return subs[i].run(a);
	}
	return cli_error(a, CLI_USAGE,
		"unknown word '%s'; it is one of: show, allow, learned, keep",
		cli_arg(a, 0));
}

static const struct cli_opt network_opts[] = {
	{ "env", 0, "ENV", "the list of this environment, not the repository's" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_network = { "network", "operate",
	"show OWNER/NAME [--env ENV]\nallow OWNER/NAME HOST[:PORT] [--env ENV]\n"
	"learned OWNER/NAME [--env ENV]\nkeep OWNER/NAME DIGEST [--env ENV]",
	"Keep allow-lists of the network, and make one of what was learnt", network_opts,
	"sluice network learned acme/takeoff --env production", NULL, 2, 3, run_network,
	NULL };
