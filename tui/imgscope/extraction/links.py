"""Where a path leads, symlinks followed by rule and never by the system."""

from __future__ import annotations

from collections.abc import Callable

FOLLOWED = 40  # symlinks on one way, as Linux follows (path_resolution(7))
_STEPS = 4096  # parts of names on one way; more is no way but a bomb

LinkAt = Callable[[bytes], bytes | None]


def follow(here: list[bytes], path: bytes, link_at: LinkAt, *, rooted: bool) -> list[bytes] | None:
    """The place that a path, read in the directory `here`, comes to, as the names from the root.

    `link_at` gives the target of the symlink that stands at a place, None where none does. Where `rooted`,
    the root is that of a chroot: absolute paths start there and `..` stays in it. Else both lead out. A part
    that is not there counts as a directory. None where it leads out, or around in a circle.
    """
    place, left = list(here), [b""]
    target: bytes | None = path
    followed = 0
    for _ in range(_STEPS):
        if target is not None:
            if target.startswith(b"/"):
                if not rooted:
                    return None
                place.clear()
            left += target.split(b"/", _STEPS)[::-1]
            target = None
        part = left.pop()
        if not left:
            return place
        if part == b"..":
            if place:
                place.pop()
            elif not rooted:
                return None
        elif part not in (b"", b"."):
            place.append(part)
            target = link_at(b"/".join(place))
            if target is not None:
                place.pop()
                followed += 1
                if followed > FOLLOWED:
                    return None
    return None
