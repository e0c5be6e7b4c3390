/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content-addressed store as an executor sees it: sha256/AA/HEX beneath a folder.
 * Temporary file, fsync, rename, fsync of the folder; one that exists is left alone.
 */
#ifndef EXECUTOR_BLOB_H
#define EXECUTOR_BLOB_H

#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/err.h"

int blob_put(int store, const void *data, size_t len, char hex[SHA256_HEX_MAX],
	struct err *err);
/* The rest of an open file; *RET_SIZE bytes, at most MAX. */
int blob_put_file(int store, int fd, uint64_t max, char hex[SHA256_HEX_MAX],
	uint64_t *ret_size, struct err *err);
/* For reading; ERR_NOT_FOUND when HEX is no digest or not there. */
int blob_open(int store, const char *hex, int *ret, struct err *err);
/* Copies FROM to TO (-1: nowhere), at most MAX bytes, and tells their digest and number. */
int blob_copy(int from, int to, uint64_t max, char hex[SHA256_HEX_MAX],
	uint64_t *ret_size, struct err *err);

#endif
