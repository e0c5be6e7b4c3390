/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays inputs through a fuzz target without libFuzzer: every argument is a file. Tells
 * which one it is at, so that a crash names its input.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/strbuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		struct strbuf input = STRBUF_INIT;
		struct err err = ERR_INIT;

		if (fd_read_file(AT_FDCWD, argv[i], 64u << 20, &input, &err) < 0) {
			(void)fprintf(stderr, "%s\n", err.msg);
			return 1;
		}
		(void)printf("# %s\n", argv[i]);
		(void)fflush(stdout);
		(void)LLVMFuzzerTestOneInput((const uint8_t *)input.buf, input.len);
		strbuf_done(&input);
	}
	return 0;
}
