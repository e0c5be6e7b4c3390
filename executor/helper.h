/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper program `sluice-helper MODE`: everything that parses strangers' bytes with a
 * large library (git, archives, TLS, regular expressions) happens there, confined, with
 * just the descriptors it was given. This header is both ends' contract and the callers'
 * side of it.
 *
 * In the helper, descriptor 0 is the chan (base/chan.h), 1 is /dev/null, 2 the log, and 3,
 * 4, ... are the descriptors of helper_options.fds in order. Its environment is empty but
 * for SLUICE_LOG, its argv is the mode alone: no credential is ever in either. Before the
 * first message is read it confines itself (no new privileges, Landlock to descriptors 3..
 * and what the mode needs, seccomp, rlimits; no network outside `git`, `actions` and
 * `connect`). It ends when the chan does.
 *
 * Requests and answers are as in ARCHITECTURE.md 2: {"op", "seq", ...} is answered by
 * {"op": "answer", "seq", "ok": true, ...} or {"ok": false, "error": {"code", "message",
 * "hint"?}}. Paths in answers are bytes as JSON strings; one that is not UTF-8 has U+FFFD.
 *
 * ---- mode `git` (core's long-lived worker) ----- fds: repos/ directory, tmp/ directory
 * Mirrors are repos/NAME.git, bare. NAME is path_is_name.
 *   fetch   {repo, url, refs: ["refs/heads/main", "refs/pull/3/merge", "refs/heads/"
 *            (ending in '/': all below) ...], sha?, depth?, local?: true when `repo add`
 *            registered a path or file://, insecure?: true for http:// beyond loopback,
 *            user?, host_key? (known_hosts lines), proxy?, ca?: path of a CA bundle,
 *            timeout_ms?}; body = token or private key
 *            -> {refs: {REF: sha, ...}, reachable (sha is reachable from one of refs),
 *                method: "git"|"libgit2", bytes, ms}
 *            Refs are kept under their own names; pull and merge request refs too. A sha
 *            that no ref holds is ERR_NOT_FOUND "commit SHA is not in ..." (never fetched
 *            by sha alone unless the refs list holds the sha itself).
 *   resolve {repo, ref: "main"|"refs/..."|sha (full)} -> {sha, ref (full name or null),
 *            kind: "branch"|"tag"|"other"|"commit"}
 *   refs    {repo, prefix?: "refs/tags/", max?} -> {refs: [{name, sha}], truncated}
 *   reachable {repo, sha, refs?: [...]} -> {reachable, ref: the first that holds it}
 *   commit  {repo, sha} -> {sha, tree, parents[], message, author{name,email,time_ms,
 *            offset}, committer{...}}
 *   commits {repo, from, to, max?} -> {commits: [as above, oldest first], truncated}
 *   files   {repo, sha, dirs?: [".github/workflows"] (regular files right in it), suffixes?:
 *            [".yml", ".yaml"], paths?: [single files], max_bytes?, max_files?}
 *            -> {files: [{path, blob, mode, size, offset, error?}], truncated}; body =
 *            the texts one after another. A path that is not there is left out.
 *   changes {repo, from (null: an empty tree), to, max?} -> {paths: [...], truncated,
 *            merge_base?}; {three_dot: true} compares with the merge base
 *   remove  {repo} -> {}
 *
 * ---- mode `checkout` (one-shot) ---- fds: the mirror directory, the workspace directory
 * (empty or with nothing but what `clean` may remove). The files are the caller's; the
 * job's agent gives them to the job, but for what has a second name (hard-linked packs).
 *   checkout {sha, ref? ("refs/heads/main"), path?: beneath the workspace, trusted,
 *            depth (0 = all), tags?: bool, url? (shown as origin; holds no credential),
 *            link?: with trusted, packs become hard links of the mirror's: only where the
 *            job's id is not the owner of the mirror, or it could change the mirror
 *            submodules?: false only, lfs?: false only, clean?: bool, persist?: ignored,
 *            sparse?: [...]: refused with ERR_UNSUPPORTED}
 *            -> {sha, ref, files, bytes, ms, linked, shallow}
 *
 * ---- mode `tree` (one-shot, `sluice run`) ---- fds: the user's tree, the workspace
 *   tree    {path?: beneath the workspace} -> {sha (null: no commit), ref, branch, files,
 *            bytes, changed: [paths that differ from HEAD, at most 1000], changed_count,
 *            untracked_count, url (origin without credentials), is_git}
 *            Outside git everything is copied. The copy has a `.git` of its own whose
 *            index is the user's, so `git status` says what it says to the user.
 *   info    {} -> the same without copying (fds: the tree alone suffices)
 *
 * ---- mode `pack` (one-shot) ---- fds: root directory, output file
 *   pack    {format: "zip"|"tar.zst"|"tar.gz"|"tar", paths: [globs of upload-artifact: one
 *            a line, `!` excludes, ** any], strip_common?: true (least common ancestor is
 *            the archive's root, as actions/upload-artifact), hidden?: bool, level?: 0..9,
 *            max_bytes?} -> {files, bytes, size, sha256, empty: true when nothing matched}
 * ---- mode `unpack` (one-shot) ---- fds: archive file, destination directory
 *   unpack  {path?: beneath the destination, strip?: components, links?: symbolic links
 *            may lead out (never followed here), max_bytes?, max_entries?, max_ratio?,
 *            mode_mask?} -> {files, bytes}
 *            Only tar and zip with gzip or zstd are read. A hostile entry (absolute, '..',
 *            through a symlink, device, FIFO) fails the whole with ERR_INPUT.
 *
 * ---- mode `image` (one-shot) ---- fds: an OCI layout (folder) or a tar, an empty folder
 *   unpack  {tag?, max_bytes?, max_entries?} -> {digest (hex), kind: "oci"|"docker"|"tar",
 *            layers, files, bytes, left_out: devices and the like}
 *            Makes root/ and owners ("UID GID PATH\0" of what is not root's). All files are
 *            the caller's own; nothing is ever opened beyond root/ (executor/image.c).
 *
 * ---- mode `match` (one per job that has matchers) ---- no fds
 *   add     body = the matcher file -> {owners: [...]}
 *   remove  {owner} -> {removed}
 *   lines   body = lines, each ended by LF -> {issues: [{line: index in this body, owner,
 *            severity, file, fromPath, line_number, column, code, message}], dropped?: [owner]}
 *
 * ---- mode `connect` (one-shot) ---- fds: a connected stream socket
 *   connect {url: "https://host[:port]", ca?, proxy?} -> {}; then bytes are relayed between
 *            the descriptor and the TLS connection until either ends.
 *
 * ---- mode `actions` (the executor's, before GO) ---- fds: actions/ directory, tmp/
 *   action  {owner, repo, ref, path?, url: "https://github.com" (base) or local: true with
 *            one descriptor attached, the git work tree of OWNER/REPO,
 *            kind?, ca?, proxy?}; body = token -> {sha, dir: "OWNER/REPO/SHA", cached,
 *            digest: of the tree}. A short sha is refused; a ref is resolved each time, a full
 *            sha is taken from actions/ without the network.
 *   read    {dir, path, max?} -> {}; body = the file (action.yml), ERR_NOT_FOUND
 */
#ifndef EXECUTOR_HELPER_H
#define EXECUTOR_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/chan.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"

#define HELPER_FD_CHAN	0
#define HELPER_FD_FIRST 3
#define HELPER_FDS_MAX	8

/* Beside this program, else ../libexec/sluice/; heap. ERR_NOT_FOUND says where it looked. */
char *helper_path(struct err *err);
char *helper_path_of(const char *name, struct err *err); /* another program of ours */
/* The helper opened for fexecve: works where its path cannot be seen (job namespaces). */
int helper_open(int *ret_fd, struct err *err);

struct helper_options {
	const char *mode;
	const int *fds; /* stay the caller's */
	size_t fds_len;
	int exe;	   /* from helper_open; -1: found here */
	int log;	   /* stderr of the helper; -1: ours */
	bool dies_with_us; /* PDEATHSIG */
};

#define HELPER_OPTIONS_INIT                                \
	{                                                  \
		.exe = -1, .log = -1, .dies_with_us = true \
	}

struct helper {
	pid_t pid;
	int pidfd;
	int chan;
};

#define HELPER_INIT        \
	{                  \
		-1, -1, -1 \
	}

/* Forks and executes it. The chan is the caller's end, blocking. */
int helper_spawn(const struct helper_options *o, struct helper *ret, struct err *err);
/* Closes the chan, waits up to MS (-1: for ever), then kills; reaps. Fine on HELPER_INIT. */
void helper_done(struct helper *h, int ms);
static inline void helper_cleanup(struct helper *h)
{
	helper_done(h, 2000);
}

/*
 * One request and its answer, blocking, at most MS (-1: for ever; ERR_TIMEOUT: the helper
 * is no longer usable). HEAD gets "seq" itself and stays the caller's. "ok": false
 * becomes -1 with the helper's code and message. RET (may be NULL) is chan_msg_done'd by
 * the caller.
 */
int helper_call(struct helper *h, struct json *head, const void *body, size_t len,
	const int *fds, size_t fds_len, int ms, struct chan_msg *ret, struct err *err);

/* Turns an answer into 0 or -1 with its error; for callers with a loop of their own. */
int helper_answer_err(const struct json *answer, struct err *err);
/* The reverse: an error as {"op": "answer", "seq", "ok": false, "error"}. */
struct json *helper_answer_fault(int64_t seq, const struct err *err);
/* The code of a name of err_code_name; ERR_BUG for an unknown one. */
enum err_code helper_err_code(const char *name);

#endif
