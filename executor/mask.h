/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets in output become "***" before the first byte reaches a disk or a socket.
 *
 * One `struct mask` per job holds the patterns; each stream of bytes (stdout and stderr of
 * a step) has a `struct mask_stream`, because a secret may arrive in two writes. Values may
 * be added at any time and count from the next byte on, held-back bytes included.
 *
 * What is masked for a value V (blanks at both ends trimmed): V whole, with LF and with
 * CRLF, and each trimmed line of V; and of each of these
 *	base64 at all three alignments, standard and URL alphabet, padded or not, with and
 *	without a trailing newline in the data, wrapped at 76 and at 64 columns;
 *	hexadecimal of either case; percent encoding (either case, blank as %20 or +);
 *	JSON (also with \/ and \u003c forms, non-ASCII as \u), XML, C, shell (inside "",
 *	inside '', as `set -x` and printf %q write it), doubled ' (expressions), an argument
 *	with \" ; V without its double quotes; the parts PowerShell prints around `&`.
 * Not promised: any other transformation (reversed, compressed, UTF-16, colours put
 * between the characters).
 *
 * Leftmost first, then longest; matches do not overlap; the output does not depend on how
 * the bytes were cut. A value over MASK_PIECE bytes is matched piece by piece and still
 * gives one "***". Only bytes that may yet become a match are held back, at most
 * MASK_PIECE - 1 of them.
 *
 * Cost: Wu-Manber over 4-byte blocks, never more than a few steps a byte: text that is
 * made to defeat it is scanned by an automaton with a flat cost, with the same output.
 */
#ifndef EXECUTOR_MASK_H
#define EXECUTOR_MASK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"

#define MASK_STARS	   "***"
#define MASK_PIECE	   512
#define MASK_PATTERN_BYTES (32u << 20) /* all patterns of a job together */

struct mask;

struct mask *mask_new(void);
void mask_free(struct mask *m); /* overwrites the patterns */
DEFINE_CLEANUP(struct mask, mask_free);

enum mask_verdict {
	MASK_ADDED, /* masked from now on */
	MASK_KNOWN, /* was masked already */
	MASK_BLANK, /* empty or blank: nothing to mask, warn */
	MASK_SHORT, /* under LIMIT_MASK_MIN bytes, also line by line: not masked, warn */
};

/*
 * Adds a secret or an `::add-mask::` value. ERR_LIMIT when the job has too many (LIMIT_MASKS
 * values, MASK_PATTERN_BYTES): nothing was added, and the caller must fail the job, since
 * what it prints next could not be masked.
 */
int mask_add(struct mask *m, const char *value, size_t len, enum mask_verdict *ret,
	struct err *err);

bool mask_is_empty(const struct mask *m);

/* One-shot, for names, summaries, annotations, error texts: appends to OUT. */
void mask_text(struct mask *m, const char *data, size_t len, struct strbuf *out);
/* The same for a string; heap. NULL stays NULL. */
char *mask_str(struct mask *m, const char *s);
/* True if mask_text would change something: such an output is dropped. */
bool mask_contains(struct mask *m, const char *data, size_t len);

struct mask_stream;

/* M must outlive the stream. */
struct mask_stream *mask_stream_new(struct mask *m);
void mask_stream_free(struct mask_stream *s);
DEFINE_CLEANUP(struct mask_stream, mask_stream_free);

/* Appends to OUT what is decided after these bytes. DATA must not alias OUT. */
void mask_stream_write(
	struct mask_stream *s, const char *data, size_t len, struct strbuf *out);
/* The end of a step: nothing more can follow, so appends all that is held back. */
void mask_stream_flush(struct mask_stream *s, struct strbuf *out);
/* Bytes held back now. */
size_t mask_stream_held(const struct mask_stream *s);

#endif
