/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The job agent: a process of ours in the job's outer user namespace that does all work on
 * the job's files (scripts, command files, ownership, hashFiles, artifacts, cleaning), so
 * that the executor never opens a path a step had a hand in. It is forked before any secret
 * is in memory, Landlocked to the job's directories and the store, without network.
 *
 * The calls below turn the job's loop until the agent has answered.
 */
#ifndef EXECUTOR_AGENT_H
#define EXECUTOR_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "executor/job.h"

/* Once the ids of SANDBOX are mapped; uses job->dirs. */
int agent_start(struct jobrun *job, const struct sandbox *sandbox, struct err *err);
void agent_stop(struct jobrun *job); /* fine when there is none */

/* A process of sandbox_agent with a chan to it. */
struct agent_process {
	pid_t pid;
	int pidfd, chan;
};
/* PAIR is taken: [0] stays with us, [1] is the one A's function was told of. */
int agent_process_start(const struct sandbox *sandbox, struct sandbox_agent *a,
	const int pair[2], struct agent_process *ret, struct err *err);
/* The end of its chan ends it; IS_KILLED: it may be in the middle of something. */
void agent_process_stop(struct agent_process *p, bool is_killed);

/* A file of the job: put writes it new (the job's id owns it), get reads it back. */
struct agent_file {
	enum job_dir dir;
	const char *path; /* clean, beneath the directory */
	mode_t mode;
	const char *data; /* put: its content */
	size_t len;
	uint64_t dev, ino;  /* put sets them, get demands them (0: any) */
	size_t max;	    /* get: ERR_LIMIT beyond it */
	bool unlink;	    /* get: remove it afterwards */
	struct strbuf text; /* get: its content; init by the caller */
	struct err err;	    /* get: what was wrong with this one */
};
int agent_put(struct jobrun *job, struct agent_file *files, size_t len, struct err *err);
/*
 * The same without waiting, and without dev and ino: later calls hear the answers first, and
 * agent_settle says whether one of them was an error. A few at a time, and small ones: the
 * agent answers each before it takes the next.
 */
int agent_post_put(
	struct jobrun *job, const struct agent_file *files, size_t len, struct err *err);
/* PATH and its parents; the job's id owns what is new. */
int agent_post_mkdirs(
	struct jobrun *job, enum job_dir dir, const char *path, struct err *err);
int agent_settle(struct jobrun *job, struct err *err);
/* 0 also when single files failed: look at each err. */
int agent_get(struct jobrun *job, struct agent_file *files, size_t len, struct err *err);

/* PATH ("" for the directory itself) is a folder now? ERR_NOT_FOUND, ERR_INPUT. */
int agent_is_dir(struct jobrun *job, enum job_dir dir, const char *path, struct err *err);
/*
 * Empties the job's folders that IN_LEFT names, and takes back those it could. ERR says why
 * not of the last of the others; -1: nobody answered.
 */
int agent_clear(struct jobrun *job, bool in_left[DIRS], struct err *err);
/* All of DIR becomes the job's, but for files that are hard-linked elsewhere. */
int agent_give(struct jobrun *job, enum job_dir dir, struct err *err);
/*
 * Gives what a helper left in DIR_STAGE/FROM to the job's id and moves it into PATH, over
 * what is there when MERGE, else PATH is cleared first. FROM is gone afterwards.
 */
int agent_adopt(struct jobrun *job, const char *from, enum job_dir dir, const char *path,
	bool merge, struct err *err);
/* Copies the folder TREE (a descriptor) into the new folder PATH for the job's id. */
int agent_copy(struct jobrun *job, int tree, enum job_dir dir, const char *path,
	struct err *err);
/* What OWNERS (rootstore.h) names in DIR belongs to those ids of the job's range. */
int agent_own(struct jobrun *job, enum job_dir dir, int owners, struct err *err);
/* A regular file beneath PATH, opened for reading. */
int agent_open(struct jobrun *job, enum job_dir dir, const char *path, int *ret,
	struct err *err);
/* hashFiles over the workspace. */
int agent_hash(struct jobrun *job, const char *const *patterns, size_t len,
	struct strbuf *out, struct err *err);
/*
 * Artifacts: files below PATH of DIR that PATTERNS select go to the store one by one, and
 * so does the manifest; {"sha256","size","files","root"} is *RET. ERR_NOT_FOUND: none.
 */
int agent_pack(struct jobrun *job, const struct json *request, struct json **ret,
	struct err *err);
/* The files of manifest SHA256 into PATH of DIR; *RET {"files","size"}. */
int agent_unpack(struct jobrun *job, const struct json *request, struct json **ret,
	struct err *err);
/* Puts DATA into the store; HEX gets its digest. */
int agent_store(
	struct jobrun *job, const char *data, size_t len, char *hex, struct err *err);

/* A path as the job sees it ("/home/runner/work/x/x/dist", "~/y", relative to the
 * workspace) as a directory and a clean path beneath it ("" for itself); heap. */
int agent_place(const struct jobrun *job, const char *inside, enum job_dir *ret_dir,
	char **ret_path, struct err *err);

#endif
