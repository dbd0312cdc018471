"""Bytes and names as people read them. Everything that an image names goes through `clean`."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_FRACTION = re.compile(r"(\.\d{6})\d+")  # Go writes nanoseconds, Python reads microseconds
_SHORT = {"second": "s", "seconds": "s", "minute": "min", "minutes": "min"}
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB", "RB", "QB")
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def size_text(count: int | None) -> str:
    """Bytes in decimal units, three digits, as docker prints them: 167 MB. None is unknown: ?"""
    if count is None:
        return "?"
    if count < 1000:
        return f"{count} B"
    # round first: 999,950 bytes are 1 MB, not 1e+03 kB
    count = round(count, 3 - len(str(count)))
    step = min((len(str(count)) - 1) // 3, len(_UNITS) - 1)
    return f"{count / 1000**step:.3g} {_UNITS[step]}"


def percent_text(part: float) -> str:
    """A part of 1 in percent: 83%. All is 100%, and nothing but all; so with 0%."""
    if 0.995 <= part < 1:
        return f"{min(part, 0.999):.1%}"
    if 0 < part <= 0.005:
        return f"{max(part, 0.001):.1%}"
    return f"{part:.0%}"


def today() -> datetime:
    """The moment that ages are counted to."""
    return datetime.now(UTC)


def date_of(created: str | None) -> datetime | None:
    """The moment that RFC 3339 text names, in UTC. None where that is no date, or one that nobody meant:
    reproducible builds make up 1970 and before."""
    try:
        then = datetime.fromisoformat(_FRACTION.sub(r"\1", created or ""))
        then = (then if then.tzinfo else then.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return then if then.timestamp() >= 86400 else None


def span_text(span: timedelta, *, months: bool = True) -> str:
    """A time in its largest unit: 2 days, 40 min; below nothing there is nothing.

    From 16 days on it is rounded to `months`, else told in days up to a year.
    """
    from humanize import naturaldelta  # only lists tell ages, and it takes its time

    text = naturaldelta(max(span, timedelta()), months=months).partition(",")[0]
    count, _, unit = text.partition(" ")
    if text == "a moment":
        count, unit = "0", "s"
    return f"{'1' if count in ('a', 'an') else count} {_SHORT.get(unit, unit)}"


def age_text(created: str | None, now: datetime | None = None) -> str:
    """An RFC 3339 date as an age: 2 days. – where there is none (see `date_of`)."""
    then = date_of(created)
    return "–" if then is None else span_text((now or today()) - then)


def count_text(number: int, noun: str) -> str:
    """How many there are of something: 1 layer, 2,000 layers."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def clean(text: str) -> str:
    """Text from outside, made safe for a terminal: one line, every invisible character shown.

    Control characters (C0, C1, ESC), bidi controls, zero-width and unassigned characters come as
    \\x1b, \\u202e; bytes that are no UTF-8 (surrogates, as os.fsdecode makes them) as \\xff.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text))


@lru_cache(maxsize=4096)
def _visible(character: str) -> str:
    if unicodedata.category(character) not in _INVISIBLE:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    return short or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )


def name_text(name: bytes) -> str:
    """A file name from a layer, made safe to show."""
    return clean(name.decode("utf-8", "surrogateescape"))


def path_text(path: bytes) -> str:
    """A path from a layer, absolute, made safe to show."""
    return "/" + name_text(path)


def bar(part: int, whole: int, width: int) -> str:
    """A bar of eighths of a cell: part of whole, at least a sliver for anything above 0."""
    if whole <= 0 or part <= 0 or width <= 0:
        return " " * width
    eighths = max(1, round(width * 8 * min(part, whole) / whole))
    full, rest = divmod(eighths, 8)
    return ("█" * full + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[rest]).ljust(width)
