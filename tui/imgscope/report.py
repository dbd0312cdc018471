"""An analysis and a forest as JSON (the contract) and as text.

The JSON is versioned by `SCHEMA`: a key may be added without a new number, none changes or goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from json import JSONEncoder, dumps
from typing import TYPE_CHECKING, Any

from imgscope.images.history import instruction, one_line
from imgscope.images.model import short_id
from imgscope.text import bar, clean, count_text, path_text, percent_text, size_text

if TYPE_CHECKING:
    from imgscope.analysis import Analysis
    from imgscope.findings.waste import WastedPath
    from imgscope.images.ancestry import Forest, Node

SCHEMA = 1


def analysis_json(analysis: Analysis, reference: str, source: str) -> dict[str, Any]:
    """The documented object of `imgscope analyze --json`. All sizes in bytes."""
    wasted = [
        {
            "path": path_text(wasted.path),
            "dead": wasted.dead,
            "cause": str(wasted.cause),
            "stored_in": list(wasted.stored_in),
            "dead_since": wasted.dead_since,
        }
        for wasted in analysis.waste.paths
    ]
    return _analysis_json(analysis, reference, source, wasted)


def analysis_json_text(analysis: Analysis, reference: str, source: str) -> Iterator[str]:
    """What `json.dumps(analysis_json(…), indent=2)` gives, in pieces.

    There may be as many wasted paths as files; json would take ten times as long, and hold all of them.
    """
    from imgscope.layers.overlay import Cause

    text = dumps(_analysis_json(analysis, reference, source, []), indent=2)
    before, empty, after = text.partition('\n  "wasted": []')  # no string in JSON has a line break
    quoted = JSONEncoder().encode
    causes = {cause: quoted(str(cause)) for cause in Cause}
    yield before
    start, end = empty[:-1], empty
    for wasted in analysis.waste.paths:
        layers = ",\n        ".join(map(str, wasted.stored_in))
        yield (
            f'{start}\n    {{\n      "path": {quoted(path_text(wasted.path))},\n'
            f'      "dead": {wasted.dead},\n      "cause": {causes[wasted.cause]},\n'
            f'      "stored_in": [\n        {layers}\n      ],\n'
            f'      "dead_since": {wasted.dead_since}\n    }}'
        )
        start, end = ",", "\n  ]"
    yield end + after


def _analysis_json(
    analysis: Analysis, reference: str, source: str, wasted: list[dict[str, Any]]
) -> dict[str, Any]:
    from imgscope.findings.dive import figures

    image, overlay, waste = analysis.image, analysis.overlay, analysis.waste
    dive = figures(overlay)
    layers = []
    for layer, index, measured in zip(image.layers, overlay.layers, waste.layers, strict=True):
        counts = overlay.counts(layer.index)
        layers.append(
            {
                "index": layer.index,
                "diff_id": layer.diff_id,
                # a layer that is stored unpacked is the tar that its diff ID names
                "digest": layer.digest
                or index.digest
                or (layer.diff_id if index.tar_size or not index.problems else None),
                "size": measured.size,
                "compressed_size": index.compressed_size if index.digest else layer.compressed_size,
                "live": measured.live,
                "dead": measured.dead,
                "entries": index.entries,
                "added": counts.added,
                "changed": counts.changed,
                "removed": counts.removed,
                "created_by": layer.history.created_by if layer.history else "",
            }
        )
    return {
        "schema": SCHEMA,
        "reference": reference,
        "id": image.id,
        "source": source,
        "platform": str(image.platform),
        "size": analysis.size,
        "layers": layers,
        "live": waste.live,
        "dead": waste.dead,
        "efficiency": waste.efficiency,
        "wasted": wasted,
        "problems": [
            {"layer": problem.layer, "offset": problem.offset, "message": problem.message}
            for problem in analysis.problems
        ],
        "dive": {
            "efficiency": dive.efficiency,
            "wastedBytes": dive.wasted_bytes,
            "userWastedPercent": dive.user_wasted_percent,
        },
    }


def analysis_text(analysis: Analysis, reference: str, source: str, *, most: int = 20) -> Iterator[str]:
    """The readable report, line by line; at most `most` wasted paths."""
    image, waste = analysis.image, analysis.waste
    partial = "  (partial: see the problems below)" if analysis.problems else ""
    name = image.name if image.references else ""
    words = dict.fromkeys((reference, name, short_id(image.id), str(image.platform), f"from {source}"))
    yield "  ".join(clean(word) for word in words if word)
    yield (
        f"{size_text(analysis.size)} in {count_text(len(image.layers), 'layer')}: "
        f"{size_text(waste.live)} live, {size_text(waste.dead)} dead, "
        f"efficiency {percent_text(waste.efficiency)}{partial}"
    )
    yield ""
    if image.layers:
        yield _row("#", "", "size", "dead", "added", "changed", "removed", "instruction")
    most_bytes = max((layer.size for layer in waste.layers), default=0)
    for layer, measured in zip(image.layers, waste.layers, strict=True):
        counts = analysis.overlay.counts(layer.index)
        step = clean(one_line(instruction(layer.history))) if layer.history else ""
        yield _row(
            layer.index,
            bar(measured.size, most_bytes, 10),
            size_text(measured.size),
            size_text(measured.dead),
            counts.added,
            counts.changed,
            counts.removed,
            step[:100],
        )
    if waste.paths:
        yield ""
        yield f"wasted: {size_text(waste.dead)} under {count_text(len(waste.paths), 'path')}"
        for wasted in waste.paths[:most]:
            yield f"{size_text(wasted.dead):>9}  {path_text(wasted.path)}  {cause_text(wasted)}"
        if len(waste.paths) > most:
            yield f"{'':9}  … and {count_text(len(waste.paths) - most, 'more path')}; --json lists all"
    if analysis.problems:
        yield ""
        yield f"problems: {len(analysis.problems)}"
        for problem in analysis.problems:
            where = f"layer {problem.layer}" if problem.layer else "image"
            at = f", byte {problem.offset}" if problem.offset is not None else ""
            yield f"  {where}{at}: {clean(problem.message)}"


def _row(*cells: object) -> str:
    widths = (">3", "<10", ">8", ">8", ">7", ">7", ">7", "")
    return "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def cause_text(wasted: WastedPath) -> str:
    """`stored by 2, removed by 3`."""
    verb = {"removed": "removed", "overwritten": "replaced", "metadata": "stored again"}[str(wasted.cause)]
    stored = ", ".join(map(str, wasted.stored_in))
    return f"stored by {stored}, {verb} by {wasted.dead_since}"


def forest_json(forest: Forest) -> dict[str, Any]:
    """The documented object of `imgscope tree --json`: nodes, parents before children."""
    return {"schema": SCHEMA, "nodes": [_node_json(node) for node, _ in forest.walk()]}


def _node_json(node: Node) -> dict[str, Any]:
    return {
        "id": node.id,
        "references": list(node.references),
        "size": node.size,
        "parent": node.parent,
        "parent_candidates": list(node.candidates),
        "virtual": node.virtual,
        "platform": str(node.image.platform) if node.image else None,
        "layers": node.layers,
    }


def node_name(node: Node) -> str:
    """What a node is called on screen."""
    if node.virtual:
        return f"shared base, {count_text(node.layers, 'layer')}"
    if node.references:
        return clean(", ".join(node.references))
    return f"<untagged> {short_id(node.id)}"


def branches(forest: Forest, folded: Collection[str] = ()) -> Iterator[tuple[Node, str]]:
    """The nodes in display order, each with its branch drawn; what is below the `folded` ids is left out."""
    rails: list[bool] = []  # per depth: does the branch go on below?
    hidden: int | None = None  # depth from which on nodes are folded away
    for node, depth in forest.walk():
        if hidden is not None and depth > hidden:
            continue
        hidden = depth if node.id in folded else None
        siblings = forest.nodes[node.place].children if node.place else forest.roots
        last = siblings[-1] == node.id
        del rails[depth:]
        indent = "".join("│  " if more else "   " for more in rails[1:])
        rails.append(not last)
        yield node, indent + (("└─ " if last else "├─ ") if depth else "")


def candidate_names(forest: Forest, node: Node) -> list[str]:
    """What the images are called of which one is the parent of a node."""
    return sorted(node_name(forest.nodes[item]) for item in node.candidates)


def forest_text(forest: Forest) -> Iterator[str]:
    """The forest as lines with branches drawn."""
    twins = forest.twins
    for node, branch in branches(forest):
        line = f"{branch}{node_name(node)}"
        if node.id in twins and node.image:
            line += f"  {clean(str(node.image.platform))}"
        if node.candidates:
            line += f"  (on one of {', '.join(candidate_names(forest, node))})"
        yield f"{line}  {size_text(node.size) if node.size is not None else ''}".rstrip()
