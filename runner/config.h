/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: one YAML file, strict keys, each key also as SLUICE_ and its path in
 * capitals with `_` for `.` (lists by comma). Flag beats environment beats file beats
 * default. One table (config_keys in config.c) is the source of parsing, of
 * `sluice config check`, and of docs/configuration.md.
 *
 * Order of use: config_load, read the fields, config_free. A reload loads a second one
 * and takes it only when it is whole and right.
 */
#ifndef RUNNER_CONFIG_H
#define RUNNER_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strvec.h"

struct config {
	char *file; /* where it was read from, or NULL */
	/* places */
	char *data_dir;	    /* absolute */
	char *key_file;	    /* the master key; default DATA.key */
	char *user;	    /* as root: what core and the executors drop to */
	/* HTTP */
	char *listen;	    /* "127.0.0.1:8480"; port 0 picks a free one */
	char *external_url; /* NULL: http://LISTEN */
	char *tls_certificate, *tls_key; /* PEM files, both or none */
	struct strvec trusted_proxies;	 /* addresses whose X-Forwarded-* count */
	/* jobs */
	int64_t capacity;		/* jobs at a time; 0: number of processors */
	struct strvec labels;		/* labels offered; "*" offers every one */
	int64_t label_wait_ms;		/* a label nobody offers ends the job after this */
	char *profile;			/* for trusted work: strict or standard */
	int64_t job_memory, job_pids;	/* limits of one job; 0: none */
	int64_t job_cpu_percent;	/* of one processor; 0: none */
	int64_t job_disk, job_files;	/* of a job's directory: bytes, entries; 0: none */
	int64_t job_minutes;		/* default of timeout-minutes */
	/* network of jobs */
	char *network_default;		/* for trusted work: none, proxy, egress, host */
	char *network_untrusted;	/* default none */
	struct strvec network_allow;	/* HOST[:PORT], *.SUFFIX, CIDR */
	bool network_only_allowed;	/* allow-list mode: all else is refused */
	struct strvec network_relay;	/* PORT=ADDRESS:PORT, for trusted work */
	/* actions and git */
	char *actions_dir;  /* a folder OWNER/REPO of git work trees, or NULL */
	char *actions_url;  /* where OWNER/REPO is cloned from, or NULL */
	/* keeping */
	int64_t keep_artifacts_ms, keep_logs_ms;
	int64_t keep_held_ms;	/* failed jobs for sluice shell; 0: none */
	int64_t keep_held_jobs; /* as many at most */
	int64_t keep_held_size; /* bytes of one at most; 0: any */
	/* log */
	char *log_level;
};

/*
 * FILE NULL: $SLUICE_CONFIG, else /etc/sluice/sluice.yml if it exists, else none.
 * OVERRIDES are "key=value" from flags. On error the three lines of a finding
 * (place, source line, caret) go to REPORT when it is not NULL.
 */
int config_load(const char *file, const struct strvec *overrides, FILE *report,
	struct config **ret, struct err *err);
void config_free(struct config *c);
DEFINE_CLEANUP(struct config, config_free);

/* `sluice config check`: every value and where it came from. */
void config_print(const struct config *c, FILE *f);
/* docs/configuration.md and a commented example file. */
void config_print_markdown(FILE *f);
void config_print_example(FILE *f);

/* "30s" "10m" "24h" "90d" or "0", in milliseconds; -1: it is none. */
int config_duration(const char *text, int64_t *ret);

/* The address part and the port of `listen`; 0 or -1. */
int config_listen(const struct config *c, char **ret_host, int *ret_port, struct err *err);

#endif
