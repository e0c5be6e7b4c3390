#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""traces.py plant|search MARK: leaves MARK wherever one job could leave something for
another, or prints where it is found. With plant it goes on until its input ends."""
import ctypes
import os
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)
KEY = 0x51D1CE
DIRS = ["/tmp", "/var/tmp", "/dev/shm", "/run", os.environ.get("HOME", "/"), "/home/runner/work"]
CREATE = 0o1000


def ipc(flags):
    yield "shm", libc.shmget(KEY, 4096, flags)
    yield "sem", libc.semget(KEY, 1, flags)
    yield "msg", libc.msgget(KEY, flags)


def mq(mark, flags):
    name = ("/" + mark).encode()
    return libc.syscall(240, name[1:], flags, 0o666, None)


def plant(mark):
    for d in DIRS:
        try:
            with open(os.path.join(d, mark), "w") as f:
                f.write(mark)
        except OSError:
            pass
    list(ipc(CREATE | 0o666))
    mq(mark, os.O_CREAT | os.O_RDWR)
    global left
    left = socket.socket(socket.AF_UNIX)
    left.bind("\0" + mark)
    left.listen(4)
    libc.prctl(15, mark[:15].encode(), 0, 0, 0)


def search(mark):
    for d in DIRS:
        if os.path.exists(os.path.join(d, mark)):
            yield d
    for what, rc in ipc(0):
        if rc >= 0:
            yield what
    if mq(mark, os.O_RDWR) >= 0:
        yield "mq"
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect("\0" + mark)
        yield "abstract"
    except OSError:
        pass
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/comm" % pid) as f:
                if f.read().strip() == mark[:15] and int(pid) != os.getpid():
                    yield "process"
        except OSError:
            pass


if sys.argv[1] == "plant":
    plant(sys.argv[2])
    print("planted", flush=True)
    sys.stdin.read()
else:
    print(" ".join(search(sys.argv[2])))
