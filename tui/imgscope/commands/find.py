"""Where a path comes from, and which images have it: find.

`--json` gives, sizes in bytes::

    {"schema": 1,
     "images": [{"id", "references": [...],
                 "paths": [{"path", "there": in the final image or not,
                            "layers": [{"layer", "state", "changes": [...], "size", "dead"}]}]}],
     "not_read": [names of the images whose layers are not known without reading them]}

Exit status 1 where nothing was found, as grep has it.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from imgscope.commands import (
    Add,
    add_no_cache,
    add_platform,
    interruptible,
    platform,
    print_json,
    print_lines,
    warn,
)
from imgscope.errors import UsageError
from imgscope.images.model import Image
from imgscope.layers.whereabouts import Holder, Stop, Trace
from imgscope.report import SCHEMA
from imgscope.text import clean, path_text, size_text


def register(add: Add) -> None:
    """Add the command to the parser."""
    find = add("find", "tell which layers of which images have a path", _find)
    find.add_argument("pattern", metavar="PATTERN", help="a part of a name, a path, a glob, or ~ and a regex")
    find.add_argument(
        "reference", nargs="?", default="", metavar="REF", help="an image, or a source (default: the engine)"
    )
    find.add_argument("--json", action="store_true", help="as JSON, sizes in bytes")
    add_platform(find)
    add_no_cache(find)


def _find(options: Namespace) -> int:
    try:
        return _look(options)
    except TimeoutError as error:
        raise UsageError(str(error)) from None


def _look(options: Namespace) -> int:
    from imgscope.analysis import analyze, cache_for, known_indexes
    from imgscope.images.ancestry import build
    from imgscope.layers.index import LayerIndex
    from imgscope.layers.search import Pattern
    from imgscope.layers.whereabouts import holders, traces
    from imgscope.sources import open_source, parse_target

    wanted, pattern = platform(options), Pattern(options.pattern)
    if pattern.error:
        raise UsageError(f"{options.pattern!r} is {pattern.error}.")
    target = parse_target(options.reference)
    unknown: list[Image] = []
    with interruptible() as job, closing(open_source(target, job)) as source:
        if target.name is not None:
            image = source.find(target.name, wanted)
            analysis = analyze(source, image, job, cache=cache_for(source, off=options.no_cache))
            warn(analysis.problems)
            found = traces(analysis.overlay, pattern, job)
            all_found = [Holder(analysis.image, tuple(found))] if found else []
        else:
            *_, listed = source.images(job)
            # as the tree has them: without the steps of the classic builder
            images = [node.image for node, _ in build(listed).walk() if node.image is not None]
            known = known_indexes(source, {}, no_cache=options.no_cache)

            def indexes(image: Image) -> Sequence[LayerIndex] | None:
                if (layers := known(image, job)) is None:
                    unknown.append(image)
                return layers

            all_found = list(holders(images, indexes, pattern, job))
    if options.json:
        print_json(
            {
                "schema": SCHEMA,
                "images": [_holder_json(holder) for holder in all_found],
                "not_read": [image.name for image in unknown],
            }
        )
    else:
        print_lines(_lines(all_found))
        if unknown:
            names = ", ".join(clean(image.name) for image in unknown[:5]) + " …" * (len(unknown) > 5)
            word = f"not read yet, and so not searched: {names} (imgscope analyze reads one)"
            print_lines(["", word] if all_found else [word])
    return 0 if all_found else 1


def _lines(found: Sequence[Holder]) -> Iterator[str]:
    for holder in found:
        yield clean(holder.image.name)
        for trace in holder.traces:
            yield f"  {path_text(trace.path)}{'' if trace.there else '  (not in the image)'}"
            for stop in trace.stops:
                size = size_text(stop.size) if stop.size else ""
                yield f"    layer {stop.layer:<3} {stop.verb:<28} {size:>8}{' dead' * stop.dead}".rstrip()


def _holder_json(holder: Holder) -> dict[str, Any]:
    """One image: its id, names, and paths with what each layer did to them."""
    return {
        "id": holder.image.id,
        "references": list(holder.image.references),
        "paths": [_trace_json(trace) for trace in holder.traces],
    }


def _trace_json(trace: Trace) -> dict[str, Any]:
    return {
        "path": path_text(trace.path),
        "there": trace.there,
        "layers": [_stop_json(stop) for stop in trace.stops],
    }


def _stop_json(stop: Stop) -> dict[str, Any]:
    return {
        "layer": stop.layer,
        "state": stop.state.name.lower(),
        "changes": list(stop.changes),
        "size": stop.size,
        "dead": stop.dead,
    }
