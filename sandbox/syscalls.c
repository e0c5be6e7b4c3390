/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table behind all filters: who may make which call. A call that is listed but not
 * in the set asked for gets EPERM, an honest refusal; one that is not listed gets ENOSYS,
 * which libc and runtimes know how to fall back from (clone3, the new mount calls, and
 * everything a future kernel adds). Arguments are the other filter's matter, see seccomp.c.
 */
#include "sandbox/sandbox-internal.h"

/* Everyone of ours and every step. */
#define BASE   (CALL_STEP | CALL_WORKER | CALL_AGENT)
#define FILES  (CALL_STEP | CALL_WORKER | CALL_AGENT)
#define STEP   CALL_STEP
#define INIT   CALL_INIT
#define NET    (CALL_STEP | CALL_WORKER_NET)
#define EXEC   (CALL_STEP | CALL_WORKER_EXEC)
#define FORK   (CALL_STEP | CALL_WORKER_FORK | CALL_WORKER_EXEC)
#define DEBUG  (CALL_STANDARD | CALL_BUILD)
#define BUILD  CALL_BUILD
#define NOBODY 0

/* clang-format off */
#define C(name, sets) { #name, -1, (sets) }

const struct call sandbox_calls[] = {
	/* reading and writing what is open */
	C(read, BASE | INIT), C(write, BASE | INIT), C(readv, BASE), C(writev, BASE | INIT),
	C(pread64, BASE), C(pwrite64, BASE), C(preadv, BASE), C(pwritev, BASE),
	C(preadv2, BASE), C(pwritev2, BASE), C(close, BASE | INIT),
	C(close_range, BASE | INIT), C(lseek, BASE), C(_llseek, BASE), C(dup, BASE),
	C(dup2, BASE), C(dup3, BASE), C(fcntl, BASE | INIT), C(fcntl64, BASE), C(ioctl, BASE),
	C(pipe, BASE), C(pipe2, BASE), C(sendfile, BASE), C(sendfile64, BASE),
	C(splice, BASE), C(tee, BASE), C(copy_file_range, BASE), C(fadvise64, BASE),
	C(readahead, BASE), C(sync_file_range, BASE), C(fsync, BASE), C(fdatasync, BASE),
	C(sync, STEP), C(syncfs, BASE), C(flock, BASE), C(fallocate, BASE),
	C(ftruncate, BASE), C(ftruncate64, BASE), C(cachestat, STEP),

	/* names */
	C(open, FILES), C(openat, FILES), C(openat2, FILES), C(creat, FILES),
	C(access, FILES), C(faccessat, FILES), C(faccessat2, FILES), C(stat, FILES),
	C(stat64, FILES), C(lstat, FILES), C(lstat64, FILES), C(fstat, BASE),
	C(fstat64, BASE), C(newfstatat, BASE), C(fstatat64, BASE), C(statx, BASE),
	C(statfs, FILES), C(statfs64, FILES), C(fstatfs, BASE), C(fstatfs64, BASE),
	C(getcwd, FILES), C(chdir, FILES), C(fchdir, FILES), C(getdents, FILES),
	C(getdents64, FILES), C(readlink, FILES), C(readlinkat, FILES), C(mkdir, FILES),
	C(mkdirat, FILES), C(rmdir, FILES), C(link, FILES), C(linkat, FILES),
	C(symlink, FILES), C(symlinkat, FILES), C(unlink, FILES), C(unlinkat, FILES),
	C(rename, FILES), C(renameat, FILES), C(renameat2, FILES), C(truncate, FILES),
	C(truncate64, FILES), C(chmod, FILES), C(fchmod, FILES), C(fchmodat, FILES),
	{ "fchmodat2", 452, FILES }, C(umask, FILES), C(utime, FILES), C(utimes, FILES),
	C(futimesat, FILES), C(utimensat, FILES), C(chown, STEP | CALL_AGENT),
	C(lchown, STEP | CALL_AGENT), C(fchown, STEP | CALL_AGENT),
	C(fchownat, STEP | CALL_AGENT), C(mknod, STEP), C(mknodat, STEP),
	C(getxattr, FILES), C(lgetxattr, FILES), C(fgetxattr, FILES), C(listxattr, FILES),
	C(llistxattr, FILES), C(flistxattr, FILES), C(setxattr, STEP), C(lsetxattr, STEP),
	C(fsetxattr, STEP), C(removexattr, STEP), C(lremovexattr, STEP),
	C(fremovexattr, STEP | CALL_AGENT), C(inotify_init, STEP), C(inotify_init1, STEP),
	C(inotify_add_watch, STEP), C(inotify_rm_watch, STEP),

	/* waiting */
	C(poll, BASE | INIT), C(ppoll, BASE | INIT), C(select, BASE), C(pselect6, BASE),
	C(epoll_create, BASE), C(epoll_create1, BASE), C(epoll_ctl, BASE),
	C(epoll_ctl_old, STEP), C(epoll_wait, BASE), C(epoll_wait_old, STEP),
	C(epoll_pwait, BASE), C(epoll_pwait2, BASE), C(eventfd, BASE), C(eventfd2, BASE),
	C(signalfd, BASE), C(signalfd4, BASE), C(timerfd_create, BASE),
	C(timerfd_settime, BASE), C(timerfd_gettime, BASE), C(pause, BASE),

	/* memory */
	C(brk, BASE | INIT), C(mmap, BASE | INIT), C(mmap2, BASE), C(munmap, BASE | INIT),
	C(mprotect, BASE), C(mremap, BASE), C(madvise, BASE), C(mincore, STEP),
	C(msync, BASE), C(mlock, BASE), C(mlock2, BASE), C(munlock, BASE),
	C(munlockall, STEP), C(membarrier, BASE), C(memfd_create, BASE), C(pkey_alloc, STEP),
	C(pkey_free, STEP), C(pkey_mprotect, STEP), { "map_shadow_stack", 453, BASE },
	{ "mseal", 462, BASE },

	/* processes and threads */
	C(clone, FORK | CALL_WORKER_NET), C(fork, FORK), C(vfork, FORK), C(execve, EXEC),
	C(execveat, EXEC),
	C(exit, BASE | INIT), C(exit_group, BASE | INIT), C(wait4, BASE | INIT),
	C(waitid, BASE | INIT), C(waitpid, BASE), C(kill, BASE | INIT), C(tkill, BASE),
	C(tgkill, BASE | INIT), C(pidfd_open, BASE), C(pidfd_send_signal, BASE),
	C(getpid, BASE | INIT), C(getppid, BASE), C(gettid, BASE | INIT), C(getpgrp, BASE),
	C(getpgid, BASE), C(setpgid, STEP | CALL_WORKER_FORK), C(getsid, BASE),
	C(setsid, STEP | CALL_WORKER_FORK), C(getuid, BASE), C(geteuid, BASE),
	C(getgid, BASE), C(getegid, BASE), C(getresuid, BASE), C(getresgid, BASE),
	C(getgroups, BASE), C(setuid, STEP), C(setgid, STEP), C(setreuid, STEP),
	C(setregid, STEP), C(setresuid, STEP), C(setresgid, STEP), C(setfsuid, STEP),
	C(setfsgid, STEP), C(setgroups, STEP), C(capget, BASE), C(capset, STEP),
	C(prctl, BASE), C(arch_prctl, BASE), C(set_tid_address, BASE),
	C(set_robust_list, BASE), C(get_robust_list, STEP), C(rseq, BASE),
	C(set_thread_area, STEP), C(get_thread_area, STEP), C(restart_syscall, BASE | INIT),
	C(getpriority, BASE), C(setpriority, BASE), C(ioprio_get, STEP), C(ioprio_set, STEP),
	C(getrlimit, BASE), C(ugetrlimit, STEP), C(setrlimit, STEP | CALL_WORKER),
	C(prlimit64, BASE), C(getrusage, BASE), C(times, BASE), C(sched_yield, BASE),
	C(sched_getaffinity, BASE), C(sched_setaffinity, STEP), C(sched_getattr, STEP),
	C(sched_setattr, STEP), C(sched_getparam, STEP), C(sched_setparam, STEP),
	C(sched_getscheduler, STEP), C(sched_setscheduler, STEP),
	C(sched_get_priority_max, STEP), C(sched_get_priority_min, STEP),
	C(sched_rr_get_interval, STEP), C(personality, STEP), C(getcpu, BASE),
	C(uname, BASE), C(sysinfo, BASE), C(getrandom, BASE | INIT), C(seccomp, STEP),
	C(landlock_create_ruleset, STEP), C(landlock_add_rule, STEP),
	C(landlock_restrict_self, STEP),
	C(riscv_flush_icache, BASE),

	/* futexes, signals, time */
	C(futex, BASE | INIT), C(futex_waitv, BASE), { "futex_wake", 454, BASE },
	{ "futex_wait", 455, BASE }, { "futex_requeue", 456, BASE },
	C(rt_sigaction, BASE | INIT), C(rt_sigprocmask, BASE | INIT),
	C(rt_sigreturn, BASE | INIT), C(rt_sigpending, BASE), C(rt_sigsuspend, BASE),
	C(rt_sigtimedwait, BASE), C(rt_sigqueueinfo, STEP), C(rt_tgsigqueueinfo, STEP),
	C(sigaltstack, BASE | INIT), C(sigreturn, BASE), C(alarm, BASE), C(getitimer, BASE),
	C(setitimer, BASE), C(timer_create, BASE), C(timer_settime, BASE),
	C(timer_gettime, BASE), C(timer_getoverrun, BASE), C(timer_delete, BASE),
	C(nanosleep, BASE), C(clock_nanosleep, BASE), C(clock_gettime, BASE | INIT),
	C(clock_getres, BASE), C(gettimeofday, BASE), C(time, BASE),

	/* sockets; a message over one that is open needs no right to make one */
	C(socket, NET | INIT), C(socketpair, NET | CALL_WORKER_FORK), C(bind, NET | INIT),
	C(listen, NET | INIT), C(accept, NET | CALL_WORKER_ACCEPT),
	C(accept4, NET | CALL_WORKER_ACCEPT), C(connect, NET),
	C(getsockname, BASE), C(getpeername, BASE), C(getsockopt, BASE),
	C(setsockopt, BASE | INIT), C(shutdown, BASE), C(sendto, BASE), C(recvfrom, BASE),
	C(sendmsg, BASE | INIT), C(recvmsg, BASE | INIT), C(sendmmsg, NET), C(recvmmsg, NET),
	C(send, BASE), C(recv, BASE),

	/* System V and POSIX messages: databases, multiprocessing */
	C(shmget, STEP), C(shmat, STEP), C(shmdt, STEP), C(shmctl, STEP), C(semget, STEP),
	C(semop, STEP), C(semtimedop, STEP), C(semctl, STEP), C(msgget, STEP),
	C(msgsnd, STEP), C(msgrcv, STEP), C(msgctl, STEP), C(mq_open, STEP),
	C(mq_unlink, STEP), C(mq_timedsend, STEP), C(mq_timedreceive, STEP),
	C(mq_notify, STEP), C(mq_getsetattr, STEP),

	/* debuggers and leak checkers; safe because init and forker are beyond Landlock's
	 * domain and not dumpable, and other jobs are in other pid namespaces */
	C(ptrace, DEBUG), C(process_vm_readv, DEBUG), C(process_vm_writev, DEBUG),

	/* image builders and the containers they start, within namespaces of the job's own */
	C(mount, BUILD), C(umount, BUILD), C(umount2, BUILD), C(pivot_root, BUILD),
	C(chroot, BUILD), C(unshare, BUILD), C(setns, BUILD), C(keyctl, BUILD),
	C(sethostname, BUILD), C(setdomainname, BUILD),

	/* known and refused */
	C(bpf, NOBODY), C(perf_event_open, NOBODY), C(add_key, NOBODY),
	C(request_key, NOBODY), C(userfaultfd, NOBODY), C(kexec_load, NOBODY),
	C(kexec_file_load, NOBODY), C(open_by_handle_at, NOBODY),
	C(name_to_handle_at, NOBODY), C(init_module, NOBODY), C(finit_module, NOBODY),
	C(delete_module, NOBODY), C(create_module, NOBODY), C(query_module, NOBODY),
	C(get_kernel_syms, NOBODY), C(iopl, NOBODY), C(ioperm, NOBODY), C(quotactl, NOBODY),
	C(quotactl_fd, NOBODY), C(syslog, NOBODY), C(swapon, NOBODY), C(swapoff, NOBODY),
	C(reboot, NOBODY), C(settimeofday, NOBODY), C(clock_settime, NOBODY),
	C(clock_adjtime, NOBODY), C(adjtimex, NOBODY), C(stime, NOBODY), C(acct, NOBODY),
	C(fanotify_init, NOBODY), C(fanotify_mark, NOBODY), C(lookup_dcookie, NOBODY),
	C(io_uring_setup, NOBODY), C(io_uring_enter, NOBODY), C(io_uring_register, NOBODY),
	C(mbind, NOBODY), C(set_mempolicy, NOBODY), C(get_mempolicy, NOBODY),
	C(set_mempolicy_home_node, NOBODY), C(move_pages, NOBODY), C(migrate_pages, NOBODY),
	C(vhangup, NOBODY), C(modify_ldt, NOBODY), C(uselib, NOBODY), C(ustat, NOBODY),
	C(sysfs, NOBODY), C(_sysctl, NOBODY), C(nfsservctl, NOBODY), C(vmsplice, NOBODY),
	C(vm86, NOBODY), C(vm86old, NOBODY),
	C(kcmp, NOBODY), C(pidfd_getfd, NOBODY), C(process_madvise, NOBODY),
	C(process_mrelease, NOBODY), C(mlockall, NOBODY), C(memfd_secret, NOBODY),
	C(remap_file_pages, NOBODY), C(pciconfig_read, NOBODY), C(pciconfig_write, NOBODY),
	C(pciconfig_iobase, NOBODY), C(s390_pci_mmio_read, NOBODY),
	C(s390_pci_mmio_write, NOBODY),
};
/* clang-format on */

const size_t sandbox_calls_len = ARRAY_SIZE(sandbox_calls);
