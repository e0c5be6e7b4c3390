#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the rows of the table in workflows/fold.c: simple upper-case mappings beyond ASCII.

Each row is {first, last, step, delta}: every step-th code point from first to last maps to
itself plus delta. U+0131 and U+017F are left out, as .NET's ordinal comparison does, so that
no character beyond ASCII folds into ASCII.
"""
import sys


def simple_upper(code):
    c = chr(code)
    for folded in (c.upper(), c.title()):
        if len(folded) == 1 and folded != c:
            return ord(folded)
    return None


def main():
    pairs = []
    for code in range(0x80, 0x110000):
        if 0xD800 <= code < 0xE000 or code in (0x131, 0x17F):
            continue
        upper = simple_upper(code)
        if upper is not None and upper != code and upper >= 0x80:
            # a title-case mapping counts only where the full upper-case one is longer
            if len(chr(code).upper()) == 1 and ord(chr(code).upper()) != upper:
                continue
            pairs.append((code, upper - code))
    rows = []
    for code, delta in pairs:
        if rows:
            first, last, step, old = rows[-1]
            gap = code - last
            if old == delta and gap in (1, 2) and (first == last or gap == step):
                rows[-1] = [first, code, gap, old]
                continue
        rows.append([code, code, 1, delta])
    for first, last, step, delta in rows:
        sys.stdout.write("\t{ 0x%04X, 0x%04X, %d, %d },\n" % (first, last, step, delta))


if __name__ == "__main__":
    main()
