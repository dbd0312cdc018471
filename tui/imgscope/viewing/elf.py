"""What an ELF file is, by its headers (System V ABI, "Object Files"; elf.h for the numbers)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

At = Callable[[int, int], bytes]  # (offset, size) → the bytes there, fewer where they are not known (yet)

_TYPES = {1: "relocatable object", 2: "executable", 3: "shared object", 4: "core dump"}
_MACHINES = {
    2: "SPARC",
    3: "i386",
    8: "MIPS",
    20: "PowerPC",
    21: "PowerPC64",
    22: "s390x",
    40: "ARM",
    43: "SPARC64",
    62: "x86-64",
    183: "AArch64",
    243: "RISC-V",
    247: "eBPF",
    258: "LoongArch",
}
_MOST = 4096  # program or section headers that are looked at
_DYNAMIC, _INTERPRETER = 2, 3  # p_type
_SYMBOLS = 2  # sh_type: SHT_SYMTAB, what strip removes
_PATH = 4096  # bytes of an interpreter's path that are looked at


def elf_summary(at: At) -> str:
    """One line: class, byte order, machine, kind, how it is linked, its interpreter, whether it is stripped.

    What lies beyond the bytes that are known is left out.
    """
    head = at(0, 64)
    wide, big = head[4:5] == b"\x02", head[5:6] == b"\x02"
    order = ">" if big else "<"
    words = [f"ELF {64 if wide else 32}-bit {'MSB' if big else 'LSB'}"]
    try:
        kind, machine = struct.unpack_from(f"{order}HH", head, 16)
        programs, sections = struct.unpack_from(
            f"{order}QQ" if wide else f"{order}II", head, 32 if wide else 28
        )
        program_size, program_count, section_size, section_count = struct.unpack_from(
            f"{order}HHHH", head, 54 if wide else 42
        )
    except struct.error:
        return ", ".join([*words, "cut within its header"])
    segments = list(_segments(at, order, wide, programs, program_size, program_count))
    kinds = {segment[0] for segment in segments}
    name = _TYPES.get(kind, f"of type {kind}")
    if kind == 3 and _INTERPRETER in kinds:
        name = "executable (PIE)"
    words += [_MACHINES.get(machine, f"machine {machine}"), name]
    if kind in (2, 3) and segments:
        words.append("dynamically linked" if kinds & {_DYNAMIC, _INTERPRETER} else "statically linked")
    for found, offset, size in segments:
        if found == _INTERPRETER and (path := at(offset, min(size, _PATH)).rstrip(b"\0")):
            words.append(f"interpreter {path.decode('utf-8', 'surrogateescape')}")
            break
    stripped = _is_stripped(at, order, sections, section_size, section_count)
    if kind in (2, 3) and stripped is not None:
        words.append("stripped" if stripped else "not stripped")
    return ", ".join(words)


def _segments(
    at: At, order: str, wide: bool, offset: int, size: int, count: int
) -> Iterator[tuple[int, int, int]]:
    """(p_type, p_offset, p_filesz) of the program headers."""
    if size < (56 if wide else 32):
        return
    table = at(offset, size * min(count, _MOST))
    for start in range(0, len(table) - size + 1, size):
        if wide:
            found, _, place, _, _, length = struct.unpack_from(f"{order}IIQQQQ", table, start)
        else:
            found, place, _, _, length = struct.unpack_from(f"{order}IIIII", table, start)
        yield found, place, length


def _is_stripped(at: At, order: str, offset: int, size: int, count: int) -> bool | None:
    """Whether there is no table of symbols; None where the section headers are not known."""
    if not offset or not count:
        return True
    count = min(count, _MOST)
    table = at(offset, size * count)
    if size < 8 or len(table) < size * count:
        return None
    types = (struct.unpack_from(f"{order}I", table, start + 4)[0] for start in range(0, len(table), size))
    return _SYMBOLS not in types
