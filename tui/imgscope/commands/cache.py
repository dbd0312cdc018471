"""What imgscope keeps of layers it has read: cache."""

from __future__ import annotations

import time
from argparse import Namespace
from datetime import UTC, datetime

from imgscope.commands import Add, print_json, print_lines
from imgscope.text import age_text, clean, count_text, size_text

SCHEMA = 1


def register(add: Add) -> None:
    """Add the command to the parser."""
    cache = add("cache", "show what is kept on disk of the layers that were read, or clear it", _cache)
    cache.add_argument("action", nargs="?", choices=["clear"], metavar="clear", help="remove it all")
    cache.add_argument("--json", action="store_true", help="as JSON, in bytes")


def _cache(options: Namespace) -> int:
    from imgscope.config import cache_folder, is_cache_off, load
    from imgscope.layers.cache import IndexCache

    cache = IndexCache(cache_folder(), load().cache_limit)
    if options.action == "clear":
        gone = cache.clear()
        if options.json:
            print_json({"schema": SCHEMA, "layers": gone.layers, "bytes": gone.size})
        else:
            layers = count_text(gone.layers, "layer")
            print_lines([f"Removed what was kept of {layers}; freed {size_text(gone.size)}"])
        return 0
    used = cache.usage()
    oldest, newest = _moment(used.oldest), _moment(used.newest)
    off = is_cache_off()
    if options.json:
        print_json(
            {
                "schema": SCHEMA,
                "folder": str(cache.folder),
                "enabled": not off,
                "problem": cache.refused,
                "layers": used.layers,
                "bytes": used.size,
                "limit": cache.limit,
                "oldest": oldest,
                "newest": newest,
            }
        )
        return 0
    layers = count_text(used.layers, "layer")
    lines = [
        f"folder  {cache.folder}",
        f"kept    {layers}, {size_text(used.size)} of at most {size_text(cache.limit)}",
    ]
    if used.layers:
        lines.append(f"used    the newest {age_text(newest)} ago, the oldest {age_text(oldest)} ago")
    if cache.refused:
        lines.append(f"not in use: {cache.refused}")
    elif off:
        lines.append("not in use: it is turned off")
    print_lines(clean(line) for line in lines)
    return 0


def _moment(seconds: float | None) -> str | None:
    """As RFC 3339 text; a time that is no date is now."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(min(seconds, time.time()), UTC).isoformat(timespec="seconds")
