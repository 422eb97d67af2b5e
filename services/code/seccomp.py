"""System calls refused to a sandboxed program, as a filter for the kernel.

Refused are calls that reach other processes, other namespaces and rarely used parts of the kernel, and calls that take
memory that no limit of a process counts: shared memory outside of the sandbox's own, sized folders.
"""

import errno
import platform
import struct

_X86_64 = 0xC000_003E, {
    "clone": 56, "clone3": 435, "mmap": 9,
    "shmget": 29, "shmat": 30, "msgget": 68, "ptrace": 101, "syslog": 103, "modify_ldt": 154, "pivot_root": 155,
    "chroot": 161, "acct": 163, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169,
    "init_module": 175, "delete_module": 176, "quotactl": 179, "mq_open": 240, "kexec_load": 246, "add_key": 248,
    "request_key": 249, "keyctl": 250, "unshare": 272, "vmsplice": 278, "perf_event_open": 298, "fanotify_init": 300,
    "name_to_handle_at": 303, "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
    "kcmp": 312, "finit_module": 313, "memfd_create": 319, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323,
}  # fmt: skip
_AARCH64 = 0xC000_00B7, {
    "clone": 220, "clone3": 435, "mmap": 222,
    "umount2": 39, "mount": 40, "pivot_root": 41, "chroot": 51, "quotactl": 60, "vmsplice": 75, "acct": 89,
    "unshare": 97, "kexec_load": 104, "init_module": 105, "delete_module": 106, "syslog": 116, "ptrace": 117,
    "reboot": 142, "mq_open": 180, "msgget": 186, "shmget": 194, "shmat": 196, "add_key": 217, "request_key": 218,
    "keyctl": 219, "swapon": 224, "swapoff": 225, "perf_event_open": 241, "fanotify_init": 262,
    "name_to_handle_at": 264, "open_by_handle_at": 265, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271,
    "kcmp": 272, "finit_module": 273, "memfd_create": 279, "bpf": 280, "userfaultfd": 282, "kexec_file_load": 294,
}  # fmt: skip
_EVERYWHERE = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_getfd": 438, "mount_setattr": 442,
    "memfd_secret": 447,
}  # fmt: skip
_MACHINES = {"x86_64": _X86_64, "aarch64": _AARCH64}

_NAMESPACES = 0x7E02_0000
"""Flags of clone() that make a namespace."""
_SHARED_ANONYMOUS = 0x21
"""Flags of mmap(): memory that belongs to no single process."""
_X32 = 0x4000_0000

_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000
_NUMBER, _ARCHITECTURE = 0, 4
_FIRST, _FOURTH = 16, 40
"""Offsets of a call's number, its architecture, and the low half of an argument."""


def filter_here() -> bytes | None:
    """Return the filter for this machine, as `bwrap --seccomp` takes it; None if the call numbers are unknown."""
    known = _MACHINES.get(platform.machine())
    return None if known is None else _filter(*known)


def _filter(architecture: int, calls: dict[str, int]) -> bytes:
    refused = [number for name, number in calls.items() if name not in ("clone", "clone3", "mmap")]
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        *_answered(_AT_LEAST, _X32, errno.ENOSYS),
        *_answered(_EQUAL, calls["clone3"], errno.ENOSYS),
        *(line for number in (*refused, *_EVERYWHERE.values()) for line in _answered(_EQUAL, number, errno.EPERM)),
        *_flagged(calls["clone"], _FIRST, _NAMESPACES, all_of=False),
        *_flagged(calls["mmap"], _FOURTH, _SHARED_ANONYMOUS, all_of=True),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _answered(test: int, value: int, error: int) -> list[tuple[int, int, int, int]]:
    return [(test, 0, 1, value), (_RETURN, 0, 0, _ERRNO | error)]


def _flagged(call: int, argument: int, flags: int, *, all_of: bool) -> list[tuple[int, int, int, int]]:
    """Refuse a call by flags in an argument: by any of them, or by all of them together."""
    test = (_EQUAL, 0, 1, flags) if all_of else (_EQUAL, 1, 0, 0)
    return [
        (_EQUAL, 0, 4, call),
        (_LOAD, 0, 0, argument),
        (_AND, 0, 0, flags),
        test,
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_LOAD, 0, 0, _NUMBER),
    ]
