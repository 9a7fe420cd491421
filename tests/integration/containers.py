"""What a container engine does to the daemon, for the tests."""

import ctypes
import platform
import struct

import pytest

# Numbers of unshare and of the architecture, for the filter below.
SYSTEMS = {"x86_64": (272, 0xc000003e), "aarch64": (97, 0xc00000b7)}


def forbid_unshare():
    """What the default seccomp profile of container engines does."""
    number, arch = SYSTEMS[platform.machine()]
    load, equal, answer = 0x20, 0x15, 0x06
    program = b"".join(struct.pack("=HBBI", *row) for row in [
        (load, 0, 0, 4), (equal, 0, 3, arch), (load, 0, 0, 0), (equal, 0, 1, number),
        (answer, 0, 0, 0x00050001), (answer, 0, 0, 0x7fff0000)])  # EPERM; allow
    text = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack("@HP", 6, ctypes.addressof(text)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, head, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


needs_seccomp = pytest.mark.skipif(platform.machine() not in SYSTEMS,
                                   reason="no numbers for this architecture")
