/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masking throughput: a log of words in 64 KiB writes with 0, 16, 100 and 1,000 secrets,
 * copy to the output included; then texts made to be slow. One line a case: what, MB/s.
 * PERFORMANCE.md asks for 400 MB/s with 1,000.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "executor/mask.h"

#define CHUNK 65536

static uint32_t seed = 7;

static uint32_t rnd(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 8;
}

/* Lines of words as compilers and test runners print them; SECRET once in 20,000 words. */
static char *make_log(size_t size, char (*secrets)[48], size_t n)
{
	static const char *const words[] = { "compiling", "src/main.c",
		"warning:", "unused", "variable", "std::vector", "ok", "100%", "[=====>",
		"FAILED", "test_parse", "12ms", "sha256:9f86d081884c7d65", "GET",
		"/api/v1/runs/17", "200", "took" };
	char *log = xmalloc(size + 64);
	size_t at = 0;

	while (at < size) {
		const char *w = words[rnd() % (sizeof(words) / sizeof(words[0]))];

		if (n > 0 && rnd() % 20000 == 0)
			w = secrets[rnd() % n];
		at += (size_t)snprintf(log + at, 60, "%s%c", w, rnd() % 9 ? ' ' : '\n');
	}
	return log;
}

static void measure(const char *what, struct mask *m, const char *text, size_t len)
{
	double best = 0;

	for (int round = 0; round < 3; round++) {
		struct mask_stream *s = mask_stream_new(m);
		struct strbuf out = STRBUF_INIT;
		int64_t start = clock_boot_us(), took;

		for (size_t at = 0; at < len; at += CHUNK) {
			mask_stream_write(
				s, text + at, len - at < CHUNK ? len - at : CHUNK, &out);
			strbuf_clear(&out);
		}
		mask_stream_flush(s, &out);
		took = clock_boot_us() - start;
		if ((double)len / (double)took > best)
			best = (double)len / (double)took;
		strbuf_done(&out);
		mask_stream_free(s);
	}
	(void)printf("mask %-34s %8.0f MB/s\n", what, best);
}

static void with_secrets(size_t n, size_t len, size_t size)
{
	struct err err = ERR_INIT;
	enum mask_verdict v;
	struct mask *m = mask_new();
	char(*secrets)[48] = xcalloc(n ? n : 1, sizeof(*secrets));
	char *log;
	char what[64];
	int64_t start = clock_boot_us();

	for (size_t i = 0; i < n; i++) {
		static const char set[] =
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

		for (size_t j = 0; j < len; j++)
			secrets[i][j] = set[rnd() % 64];
		if (mask_add(m, secrets[i], len, &v, &err) < 0)
			exit(1);
	}
	snprintf(what, sizeof(what), "%zu secrets of %zu bytes", n, len);
	if (n > 0)
		(void)printf("mask %-34s %8.2f ms to add\n", what,
			(double)(clock_boot_us() - start) / 1000);
	log = make_log(size, secrets, n);
	measure(what, m, log, size);
	free(log);
	free(secrets);
	mask_free(m);
}

/* Secrets that share all but their end, text that is almost them at every byte. */
static void near_misses(size_t size)
{
	struct err err = ERR_INIT;
	enum mask_verdict v;
	struct mask *m = mask_new();
	char *text = xmalloc(size);
	char secret[300];

	memset(text, 'a', size);
	memset(secret, 'a', sizeof(secret));
	for (int i = 0; i < 100; i++) {
		snprintf(secret + 40 + i, 16, "%d", i % 10);
		if (mask_add(m, secret, strlen(secret), &v, &err) < 0)
			exit(1);
		secret[40 + i] = 'a';
	}
	measure("near misses at every byte", m, text, size);
	for (size_t i = 64; i < size; i += 64)
		text[i] = '5';
	measure("near misses, some matches", m, text, size);
	free(text);
	mask_free(m);
}

int main(int argc, char **argv)
{
	size_t size = (size_t)(argc > 1 ? atol(argv[1]) : 128) << 20;

	with_secrets(0, 0, size);
	with_secrets(16, 32, size);
	with_secrets(16, 4, size);
	with_secrets(100, 32, size);
	with_secrets(1000, 32, size);
	with_secrets(1000, 8, size);
	near_misses(size / 8);
	return 0;
}
