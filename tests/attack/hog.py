#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""hog.py WHAT MIB: takes MIB of memory in one of the ways there are, then says so."""
import ctypes
import fcntl
import mmap
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
what, size = sys.argv[1], int(sys.argv[2]) << 20
MEGA = 1 << 20


def touch(m):
    for i in range(0, size, 4096):
        m[i] = 1


def anonymous():
    touch(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def shared():
    fd = os.memfd_create("hog")
    os.ftruncate(fd, size)
    touch(mmap.mmap(fd, size))


def sysv():
    key = libc.shmget(0, ctypes.c_size_t(size), 0o1600)
    libc.shmat.restype = ctypes.c_void_p
    at = libc.shmat(key, None, 0)
    libc.shmctl(key, 0, None)
    for i in range(0, size, 4096):
        ctypes.c_char.from_address(at + i).value = b"x"


def pipes():
    left, ends = size, []
    while left > 0:
        r, w = os.pipe()
        ends += [r, w]
        try:
            fcntl.fcntl(w, 1031, MEGA)
        except OSError:
            pass
        os.set_blocking(w, False)
        try:
            while left > 0:
                left -= os.write(w, b"x" * 65536)
        except BlockingIOError:
            pass


def tables():
    """A page of zeros every 2 MiB: nothing but the page table is of our own."""
    span = size // 4096 * 2 * MEGA
    m = mmap.mmap(-1, span, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
    m.madvise(mmap.MADV_NOHUGEPAGE)
    for i in range(0, span, 2 * MEGA):
        m[i]


def tmpfs():
    with open("/dev/shm/hog", "wb") as f:
        for _ in range(size // MEGA):
            f.write(b"x" * MEGA)


globals()[what]()
print("took it")
