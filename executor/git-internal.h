/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the git_*.c files, the only ones that know libgit2. */
#ifndef EXECUTOR_GIT_INTERNAL_H
#define EXECUTOR_GIT_INTERNAL_H

#include <git2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "base/strvec.h"

#define GIT_TREE_ENTRIES_MAX 2000000 /* files of one commit */
#define GIT_TREE_DEPTH_MAX   256
#define GIT_PATH_MAX	     4096
#define GIT_BLOB_MAX	     (2LL << 30)
#define GIT_MESSAGE_MAX	     (64 * 1024)
#define GIT_REF_MAX	     1024 /* bytes of a ref's name */

DEFINE_CLEANUP(git_repository, git_repository_free);
DEFINE_CLEANUP(git_commit, git_commit_free);
DEFINE_CLEANUP(git_tree, git_tree_free);
DEFINE_CLEANUP(git_blob, git_blob_free);
DEFINE_CLEANUP(git_object, git_object_free);
DEFINE_CLEANUP(git_reference, git_reference_free);
DEFINE_CLEANUP(git_remote, git_remote_free);
DEFINE_CLEANUP(git_odb, git_odb_free);
DEFINE_CLEANUP(git_odb_object, git_odb_object_free);
DEFINE_CLEANUP(git_revwalk, git_revwalk_free);
DEFINE_CLEANUP(git_diff, git_diff_free);
DEFINE_CLEANUP(git_index, git_index_free);
DEFINE_CLEANUP(git_config, git_config_free);
DEFINE_CLEANUP(git_packbuilder, git_packbuilder_free);
DEFINE_CLEANUP(git_tree_entry, git_tree_entry_free);
DEFINE_CLEANUP(git_reference_iterator, git_reference_iterator_free);
DEFINE_CLEANUP(git_status_list, git_status_list_free);

/* libgit2 once per process: no system or user configuration, bounded memory. */
int git_setup(struct err *err);

/* A folder of another user handed to us by descriptor is fine if its .git is theirs too. */
int git_vouch(int fd, struct err *err);

/* libgit2's last error as ours; RC tells the code. Returns -1. */
int git_fault(struct err *err, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Opens the bare repository at PATH, and nothing above it. */
int git_open_mirror(const char *path, git_repository **ret, struct err *err);

/* 40 lower-case digits. Abbreviations are never resolved. */
bool git_sha_is(const char *s);
int git_sha(const char *s, git_oid *ret, struct err *err);
/* "refs/..." as git allows it, and nothing a program could take for an option. */
bool git_ref_is(const char *name);
/* The commit that NAME (a full ref) leads to, through tags. */
int git_ref_commit(git_repository *repo, const char *name, git_oid *ret, struct err *err);
/* SHA is that commit or behind it. */
int git_is_behind(git_repository *repo, const git_oid *tip, const git_oid *sha);
void git_hex(const git_oid *oid, char buf[GIT_OID_HEXSZ + 1]);
int git_lookup_commit(
	git_repository *repo, const char *sha, git_commit **ret, struct err *err);

/* May NAME be an entry of a tree that we write to a disk? WHY gets the reason. */
bool git_name_is_safe(const char *name, size_t len, bool is_link, const char **why);

/* ---- where it comes from (git_url.c, git_fetch.c) ---- */

enum git_scheme { GIT_URL_HTTPS, GIT_URL_HTTP, GIT_URL_SSH, GIT_URL_GIT, GIT_URL_FILE };

struct git_url {
	enum git_scheme scheme;
	char *user; /* NULL: none */
	char *host; /* NULL for a file */
	int port;   /* 0: the scheme's */
	char *path; /* absolute for a file */
	char *text; /* what is handed on; no password in it */
};

#define GIT_URL_INIT                                     \
	{                                                \
		GIT_URL_HTTPS, NULL, NULL, 0, NULL, NULL \
	}

void git_url_done(struct git_url *u);
/* IS_LOCAL: a registered path or file:// is fine. */
int git_url_parse(const char *text, bool is_local, bool is_insecure, struct git_url *ret,
	struct err *err);

struct git_source {
	struct git_url url;
	struct strvec specs;			  /* refspecs */
	const char *user, *host_key, *proxy, *ca; /* the request's */
	const char *secret;			  /* token or private key */
	size_t secret_len;
	int64_t depth, timeout_ms;
	bool no_program; /* libgit2 even where git is installed */
};

#define GIT_SOURCE_INIT                                   \
	{                                                 \
		.url = GIT_URL_INIT, .specs = STRVEC_INIT \
	}

/* From the fields url, refs, user, host_key, ... of a request; borrows from it. */
int git_source_read(const struct json *head, const char *secret, size_t secret_len,
	struct git_source *ret, struct err *err);
void git_source_done(struct git_source *s);
int git_make_mirror(const char *path, struct err *err); /* fine if it is there */
int git_fetch(const struct git_source *s, const char *mirror, const char **ret_method,
	struct err *err);
/* OID is in a ref below one of the REFS that end in '/'. */
bool git_held_below(git_repository *repo, const struct json *refs, const git_oid *oid);

/* ---- sets of ids (git_set.c), in the order they came ---- */

struct git_set;

struct git_set *git_set_new(void);
void git_set_free(struct git_set *s);
bool git_set_has(const struct git_set *s, const git_oid *oid);
bool git_set_add(struct git_set *s, const git_oid *oid); /* false: it was there */
size_t git_set_len(const struct git_set *s);
const git_oid *git_set_at(const struct git_set *s, size_t i); /* until the next add */

/* ---- writing packs (git_pack.c) ---- */

struct git_pack;

/* A pack of whole objects, stored without compression: made fast, read by every git. */
int git_pack_new(int dir, struct git_pack **ret, struct err *err);
void git_pack_free(struct git_pack *p); /* removes what was not finished */
DEFINE_CLEANUP(struct git_pack, git_pack_free);
int git_pack_add(struct git_pack *p, const git_oid *oid, git_object_t type,
	const void *data, size_t len, struct err *err);
bool git_pack_has(const struct git_pack *p, const git_oid *oid);
/* All that COMMITS lead to. 1: it would be more than MAX bytes, the pack is of no use. */
int git_pack_add_history(struct git_pack *p, git_repository *repo,
	const struct git_set *commits, uint64_t max, struct err *err);
/* Writes pack-SHA.pack and .idx into the folder. */
int git_pack_finish(struct git_pack *p, struct err *err);

/* ---- a commit to files (git_files.c), a .git for them (git_checkout.c) ---- */

/* Packs (as hard links if asked and possible) and loose objects of one .git to another. */
int git_copy_objects(int from_git, int to_git, bool is_link, struct err *err);
/* A plain configuration; URL and BRANCH may be NULL. */
int git_write_config(
	const char *git_path, const char *url, const char *branch, struct err *err);

struct git_files {
	int64_t files, bytes;
};

/*
 * Writes the tree of COMMIT beneath the empty folder DIR (-1: no files at all). PACK (may
 * be NULL) gets all its objects, INDEX (may be NULL) its entries with what stat says of the
 * files.
 */
int git_write_files(git_repository *repo, git_commit *commit, int dir,
	struct git_pack *pack, git_index *index, struct git_files *ret, struct err *err);

#endif
