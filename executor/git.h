/* SPDX-License-Identifier: Apache-2.0 */
/* The git operations of the helper, one per op of helper.h; see there for the fields. */
#ifndef EXECUTOR_GIT_H
#define EXECUTOR_GIT_H

#include "executor/helper-internal.h"

/* Before the confinement: libgit2, and where the first folder lies. */
int git_start(struct helper_request *r, struct err *err);
int git_tree_start(struct helper_request *r, struct err *err);
/* Adds the registered local path of a fetch to the folders its child may read. */
void git_local_source(const struct helper_request *r, int *ro, size_t *ro_len);

/* Mode `git`: state is the path of repos/ as libgit2 reaches it (heap string). */
int git_op_fetch(struct helper_request *r, struct err *err);
int git_op_resolve(struct helper_request *r, struct err *err);
int git_op_refs(struct helper_request *r, struct err *err);
int git_op_reachable(struct helper_request *r, struct err *err);
int git_op_commit(struct helper_request *r, struct err *err);
int git_op_commits(struct helper_request *r, struct err *err);
int git_op_files(struct helper_request *r, struct err *err);
int git_op_changes(struct helper_request *r, struct err *err);
int git_op_remove(struct helper_request *r, struct err *err);

/* Mode `checkout`. */
int git_checkout_before(struct helper_request *r, struct err *err);
int git_op_checkout(struct helper_request *r, struct err *err);
/* Mode `tree`. */
int git_op_tree(struct helper_request *r, struct err *err);
int git_op_info(struct helper_request *r, struct err *err);
/* Mode `actions`. */
int git_op_action(struct helper_request *r, struct err *err);
int git_op_action_read(struct helper_request *r, struct err *err);

#endif
