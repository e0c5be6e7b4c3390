# SPDX-License-Identifier: Apache-2.0
# counts.py KIND [SECONDS]: takes as many of a kind as there are to be had, says "KIND N ERRNO", and
# holds them for that long: inotify, queues (POSIX messages), terminals, timers, epoll, descriptors.
import ctypes, os, select, sys, time

libc = ctypes.CDLL(None, use_errno=True)
MOST = 120000


class Attr(ctypes.Structure):
    _fields_ = [(k, ctypes.c_long) for k in ("flags", "maxmsg", "msgsize", "cur")] + [("pad", ctypes.c_long * 4)]


def inotify(i):
    return libc.inotify_init1(0)


def queues(i):
    at = Attr(0, 10, 8192, 0)
    return libc.mq_open(b"/counts-%d-%d" % (os.getpid(), i), 0o102, 0o600, ctypes.byref(at))


def terminals(i):
    try:
        return os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
    except OSError as e:
        ctypes.set_errno(e.errno)
        return -1


def timers(i):
    return libc.timer_create(1, None, ctypes.byref(ctypes.c_void_p()))


def epoll(i):
    return libc.epoll_create1(0)


def descriptors(i):
    return libc.dup(2)


kind = sys.argv[1]
n = 0
while n < MOST and globals()[kind](n) >= 0:
    n += 1
error = ctypes.get_errno()
if kind == "queues":
    for i in range(n if len(sys.argv) < 3 else 0):
        libc.mq_unlink(b"/counts-%d-%d" % (os.getpid(), i))
# Descriptors may be used up: what is said goes by the one that is open.
os.write(1, b"%s %d %d\n" % (kind.encode(), n, 0 if n == MOST else error))
if len(sys.argv) > 2:
    time.sleep(float(sys.argv[2]))
    if kind == "queues":
        for i in range(n):
            libc.mq_unlink(b"/counts-%d-%d" % (os.getpid(), i))
