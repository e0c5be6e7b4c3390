/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A journal of any bytes: recovery keeps a prefix that verifies, a second recovery finds
 * nothing more to cut, and a frame added afterwards is read back.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "executor/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count(const struct journal_frame *f, void *data, struct err *err)
{
	(void)err; /* it cannot fail */
	if (!f->payload)
		abort();
	++*(uint64_t *)data;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("journal", MFD_CLOEXEC);
	_cleanup_(strbuf_done) struct strbuf frame = STRBUF_INIT;
	_cleanup_(json_freep) struct json *j = json_new_object();
	uint64_t seq, end, again_seq, again_end, n = 0;
	struct err err = ERR_INIT;

	if (fd < 0 || fd_write_all(fd, data, size) < 0)
		abort();
	if (journal_recover(fd, &seq, &end, &err) < 0 || end > size)
		abort();
	if (journal_recover(fd, &again_seq, &again_end, &err) < 0 || again_seq != seq ||
		again_end != end || lseek(fd, 0, SEEK_END) != (off_t)end)
		abort();
	journal_encode(JOURNAL_STATE, seq + 1, j, &frame);
	if (fd_pwrite_all(fd, frame.buf, frame.len, (off_t)end) < 0 ||
		journal_each(fd, 0, 0, count, &n, &again_end, &err) < 0)
		abort();
	if (n != seq + 1 || again_end != end + frame.len)
		abort();
	return 0;
}
