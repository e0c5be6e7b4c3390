/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program `sluice-spawner`, which `sluice spawner` becomes once it has read the
 * configuration. Executors and all that is inside a sandbox are forks of it: it links no
 * database and no HTTP server, whose mappings every one of these forks would copy.
 */
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/spawner.h"

static int read_id(const char *text, uid_t *ret)
{
	long long v;

	if (!text || str_to_int(text, 0, UINT_MAX - 1, &v) < 0)
		return -1;
	*ret = (uid_t)v;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option names[] = {
		{ "data", required_argument, NULL, 'd' },
		{ "helper", required_argument, NULL, 'h' },
		{ "uid", required_argument, NULL, 'u' },
		{ "gid", required_argument, NULL, 'g' },
		{ "lingers", no_argument, NULL, 'l' },
		{ NULL, 0, NULL, 0 },
	};
	struct spawner_options o = SPAWNER_OPTIONS_INIT;
	bool has_gid = false, is_wrong = false;
	int c;

	(void)signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of write */
	(void)prctl(PR_SET_NAME, "sluice-spawner");
	log_open("spawner", LOG_INFO);
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
		switch (c) {
		case 'd':
			o.data_dir = optarg;
			break;
		case 'h':
			o.helper = optarg;
			break;
		case 'u':
			is_wrong |= read_id(optarg, &o.uid) < 0;
			o.has_user = true;
			break;
		case 'g':
			is_wrong |= read_id(optarg, &o.gid) < 0;
			has_gid = true;
			break;
		case 'l':
			o.lingers = true;
			break;
		default:
			is_wrong = true;
		}
	/* Half an account would be root's group. */
	if (is_wrong || optind != argc || !o.data_dir || !o.helper ||
		o.has_user != has_gid) {
		log_err("this is started by 'sluice spawner' alone");
		return SPAWNER_USAGE;
	}
	return spawner_run(&o);
}
