"""The forest of all local images: which image was built on which.

Engines know the parent of an image only where they built it themselves, so it is told from layers
and history. For an image C, the first of rules 1 to 4 that finds something decides:

1. The engine's own parent, followed through untagged intermediate images, where its layers are the
   first layers of C, or all of them.
2. An image with the very layers of C, where its history is a strict prefix of C's: the longest.
   Images with the same layers and no such order are siblings.
3. An image whose layers are a strict prefix of C's, but not none: the longest. Where several have
   that same layer list, the one whose history is the longest strict prefix of C's.
4. An image of no layers, whose history is not empty and a strict prefix of C's: the longest.
5. Where several images are as good, C has no parent but candidates. It is drawn under the nearest
   image that all the candidates are or come from.
6. Layers that several images drawn at one place share, beyond the place's own, become a virtual
   node where these images part, unless an image of their platform has exactly these layers.

Rules 2 to 6 look among images of the same platform, and steps of a history are equal as
`history.identity` says. The order of the input does not matter; two images with one id are one image
with all their references. Nothing here raises, whatever the images claim.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter

from imgscope.images.history import identity
from imgscope.images.model import Image, Platform, chain_id

_ROOT = 0  # of a trie: the empty sequence


@dataclass(frozen=True, slots=True)
class Node:
    """One image of the forest, or the layers that several share (virtual).

    `id` is the image's, or "chain:" and the chain ID. `parent` is the node it was built on: None for
    a root and where `candidates` (image ids) tie. `place` is the node to draw it under, None for a
    root: the parent, or in a tie the nearest node that is certain. A virtual node may stand between
    an image and the image it was built on. `siblings` are the images of the same platform and
    layers, none built on the other. `layers` and `size` (bytes, unpacked; None where unknown) count
    from the bottom, those of the parent included. `children` are the ids drawn under it, in order.
    """

    id: str
    image: Image | None
    parent: str | None
    candidates: tuple[str, ...]
    siblings: tuple[str, ...]
    layers: int
    size: int | None
    diff_ids: tuple[str, ...]
    children: tuple[str, ...]
    place: str | None

    @property
    def virtual(self) -> bool:
        return self.image is None

    @property
    def references(self) -> tuple[str, ...]:
        return self.image.references if self.image else ()


@dataclass(frozen=True, slots=True)
class Forest:
    """All nodes by id, in the order of `walk`, and the ids of those that stand on nothing."""

    nodes: Mapping[str, Node]
    roots: tuple[str, ...]

    def walk(self) -> Iterator[tuple[Node, int]]:
        """Every node once with its depth (roots: 0), each before what is drawn under it."""
        return _walk(self.roots, self.nodes)

    def tree_of(self, identifier: str) -> Forest:
        """The one tree in which an image stands; the whole forest where it is in none."""
        root = identifier if identifier in self.nodes else None
        while root is not None and (place := self.nodes[root].place) is not None:
            root = place
        if root is None:
            return self
        return Forest({node.id: node for node, _ in _walk((root,), self.nodes)}, (root,))

    @property
    def twins(self) -> frozenset[str]:
        """Ids of the images whose first name another image has, too: the same for other platforms."""
        names = Counter(node.references[0] for node in self.nodes.values() if node.references)
        return frozenset(
            node.id for node in self.nodes.values() if node.references and names[node.references[0]] > 1
        )


def build(images: Sequence[Image]) -> Forest:
    """The forest of these images.

    Untagged images that are an engine parent of another are intermediate: followed, but no nodes.
    Children and roots are in order of their first reference (numbers by value), then virtual nodes
    by the first image they hold, then untagged images.
    """
    stacks = _Stacks(images)
    return _Drawing(stacks, _Lineage(stacks)).forest()


def unique_bytes(images: Sequence[Image]) -> dict[str, int | None]:
    """For each image, the unpacked bytes of the layers that no other image uses.

    A layer is known by its chain ID, as engines store it. None where the size of such a layer, or
    which layers the image has, is unknown. Intermediate images go with those built on them: they
    use nothing of their own and get 0.
    """
    stacks = _Stacks(images)
    users = [0] * len(stacks.layers)
    for image in stacks.nodes.values():
        for node in stacks.layers.down(stacks.top[image.id]):
            users[node] += 1
    found: dict[str, int | None] = dict.fromkeys(stacks.images, 0)
    for image in stacks.nodes.values():
        total: int | None = 0 if _layers_known(image) else None
        for node in stacks.layers.down(stacks.top[image.id]):
            if users[node] > 1:
                break
            total = _plus(total, stacks.sizes.get(node))
        found[image.id] = total
    return found


class _Trie:
    """Sequences as paths from one root: equal prefixes share their nodes, which are numbers."""

    def __init__(self) -> None:
        self.parents = [_ROOT]
        self.depths = [0]
        self._steps: dict[tuple[int, Hashable], int] = {}

    def __len__(self) -> int:
        return len(self.parents)

    def add(self, items: Iterable[Hashable]) -> list[int]:
        """The nodes of all non-empty prefixes, shortest first."""
        node, path = _ROOT, []
        for item in items:
            known = self._steps.get((node, item))
            if known is None:
                known = self._steps[node, item] = len(self.parents)
                self.parents.append(node)
                self.depths.append(self.depths[node] + 1)
            node = known
            path.append(node)
        return path

    def down(self, node: int) -> Iterator[int]:
        """The node and all above it but the root, longest prefix first."""
        while node != _ROOT:
            yield node
            node = self.parents[node]

    def starts(self, prefix: int, node: int) -> bool:
        """Whether the sequence `prefix` is a prefix of the sequence `node`, or equal."""
        depth = self.depths[prefix]
        while self.depths[node] > depth:
            node = self.parents[node]
        return node == prefix


class _Stacks:
    """The images by id, their layer lists as a trie, and the engine's parents as far as they hold."""

    def __init__(self, images: Sequence[Image]) -> None:
        self.images: dict[str, Image] = {}  # in order of id, so that nothing depends on the input's order
        for image in sorted(images, key=_rank):
            known = self.images.setdefault(image.id, image)
            if known is not image:
                names = tuple(dict.fromkeys((*known.references, *image.references)))
                self.images[image.id] = replace(known, references=names)

        self.layers = _Trie()
        self.top: dict[str, int] = {}  # image → the trie node of all its layers
        self.sizes: dict[int, int] = {}  # trie node → bytes of its last layer, where any image tells
        for image in self.images.values():
            path = self.layers.add(image.diff_ids)
            self.top[image.id] = path[-1] if path else _ROOT
            for node, layer in zip(path, image.layers, strict=True):
                if layer.size is not None:
                    self.sizes[node] = max(layer.size, self.sizes.get(node, 0))

        self.engine = self._engine_parents()
        named = set(self.engine.values())
        self.nodes = {
            image.id: image for image in self.images.values() if image.references or image.id not in named
        }

    def _engine_parents(self) -> dict[str, str]:
        parents = {
            image.id: image.parent
            for image in self.images.values()
            if image.parent in self.top and self._may_stand_on(image, self.images[image.parent])
        }
        # no engine makes a circle; a file may claim one, and then none of it is believed
        seen: set[str] = set()
        for start in list(parents):
            trail: dict[str, None] = {}
            at: str | None = start
            while at is not None and at not in seen:
                seen.add(at)
                trail[at] = None
                at = parents.get(at)
            if at in trail:
                steps = list(trail)
                for member in steps[steps.index(at) :]:
                    del parents[member]
        return parents

    def _may_stand_on(self, image: Image, parent: Image) -> bool:
        """Whether the layers allow it; an engine does not tell those of the steps of a build."""
        if not (_layers_known(image) and _layers_known(parent)):
            return True
        return self.layers.starts(self.top[parent.id], self.top[image.id])


class _Group:
    """The nodes of one platform and layer list, in order of id."""

    def __init__(self) -> None:
        self.members: list[str] = []
        self._by_history: dict[int, list[str]] | None = None

    def by_history(self, histories: Mapping[str, int]) -> dict[int, list[str]]:
        if self._by_history is None:
            self._by_history = {}
            for member in self.members:
                self._by_history.setdefault(histories[member], []).append(member)
        return self._by_history


class _Histories(dict[str, int]):
    """Image → the trie node of its whole history, read when it is asked for."""

    def __init__(self, images: Mapping[str, Image]) -> None:
        super().__init__()
        self.trie = _Trie()
        self._images = images

    def __missing__(self, image: str) -> int:
        path = self.trie.add(map(identity, self._images[image].history))
        self[image] = path[-1] if path else _ROOT
        return self[image]

    def length(self, image: str) -> int:
        return self.trie.depths[self[image]]

    def prefixes(self, image: str) -> Iterator[int]:
        """The strict prefixes of an image's history, longest first, the empty one last."""
        node = self[image]
        while node != _ROOT:
            node = self.trie.parents[node]
            yield node


class _Lineage:
    """Rules 1 to 5: parents, candidates and siblings among the images that are nodes."""

    def __init__(self, stacks: _Stacks) -> None:
        self._top = stacks.top
        self._layers = stacks.layers
        self._histories = _Histories(stacks.images)
        self.groups: dict[Platform, dict[int, _Group]] = {}
        for image in stacks.nodes.values():
            groups = self.groups.setdefault(image.platform, {})
            groups.setdefault(self._top[image.id], _Group()).members.append(image.id)

        self._engine: dict[str, str] = {}
        for child in stacks.nodes:
            parent = stacks.engine.get(child)
            while parent is not None and parent not in stacks.nodes:
                parent = stacks.engine.get(parent)
            if parent is not None and stacks.layers.starts(self._top[parent], self._top[child]):
                self._engine[child] = parent

        self.parents = {image.id: self._parents(image) for image in stacks.nodes.values()}
        self.siblings = dict.fromkeys(stacks.nodes, ()) | dict(self._all_siblings())

    def _parents(self, image: Image) -> tuple[str, ...]:
        """The ids of the images that may be the parent: none, one, or those that tie, sorted."""
        engine = self._engine.get(image.id)
        if engine is not None:
            return (engine,)
        groups = self.groups[image.platform]
        top = self._top[image.id]
        if top != _ROOT:
            found = self._by_history(image.id, groups[top])
            if found:
                return found
        for node in self._layers.down(top):
            group = groups.get(node) if node != top else None
            if group is not None:
                single = len(group.members) == 1
                return (
                    tuple(group.members)
                    if single
                    else self._by_history(image.id, group) or tuple(group.members)
                )
        bare = groups.get(_ROOT)
        return self._by_history(image.id, bare, least=1) if bare else ()

    def _by_history(self, child: str, group: _Group, least: int = 0) -> tuple[str, ...]:
        """The members whose history is the longest strict prefix of the child's, of `least` steps or more."""
        members = group.by_history(self._histories)
        for prefix in self._histories.prefixes(child):
            if self._histories.trie.depths[prefix] < least:
                break
            found = tuple(member for member in members.get(prefix, ()) if self._may_hold(member, child))
            if found:
                return found
        return ()

    def _may_hold(self, parent: str, child: str) -> bool:
        """False where an engine's word and the history could close a circle among equal layers.

        Under an image that took its parent from history, the engine's parents hang as a tree. That
        tree must hang on one whose own first image has a shorter history, so that no circle closes.
        """
        top = self._top[child]
        if self._top[parent] != top:
            return True
        while (above := self._engine.get(parent)) is not None and self._top[above] == top:
            parent = above
        return self._histories.length(parent) < self._histories.length(child)

    def _all_siblings(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        for groups in self.groups.values():
            for top, group in groups.items():
                # without layers there is nothing to share (and they may just not be known yet)
                if top != _ROOT and len(group.members) > 1:
                    yield from self._group_siblings(group)

    def _group_siblings(self, group: _Group) -> Iterator[tuple[str, tuple[str, ...]]]:
        related = {member: {member} for member in group.members}
        by_history = group.by_history(self._histories)
        for member in group.members:
            above = [
                other for prefix in self._histories.prefixes(member) for other in by_history.get(prefix, ())
            ]
            at = member
            while (engine := self._engine.get(at)) in related:
                above.append(engine)
                at = engine
            related[member].update(above)
            for other in above:
                related[other].add(member)
        for member in group.members:
            known = related[member]
            yield member, tuple(other for other in group.members if other not in known)


@dataclass(slots=True)
class _Virtual:
    id: str
    node: int  # of the layer trie
    diff_ids: tuple[str, ...]
    place: str | None


class _Drawing:
    """Where each image is drawn, the virtual nodes between (rule 6), and the order of all."""

    def __init__(self, stacks: _Stacks, lineage: _Lineage) -> None:
        self._stacks = stacks
        self._lineage = lineage
        self._places = self._certain_places()
        self._virtual: dict[str, _Virtual] = {}
        self._insert_virtual()

    def forest(self) -> Forest:
        children = self._children()
        made = {
            identifier: self._node(identifier, tuple(children.get(identifier, ())))
            for identifier in (*self._stacks.nodes, *self._virtual)
        }
        roots = tuple(children.get(None, ()))
        return Forest({node.id: node for node, _ in _walk(roots, made)}, roots)

    def _node(self, identifier: str, children: tuple[str, ...]) -> Node:
        virtual = self._virtual.get(identifier)
        if virtual is not None:
            layers, size = len(virtual.diff_ids), self._size(virtual.node)
            place = virtual.place
            return Node(identifier, None, place, (), (), layers, size, virtual.diff_ids, children, place)
        image = self._stacks.nodes[identifier]
        parents = self._lineage.parents[identifier]
        place = self._places[identifier]
        return Node(
            identifier,
            image,
            parent=None if len(parents) > 1 else place,
            candidates=parents if len(parents) > 1 else (),
            siblings=self._lineage.siblings[identifier],
            layers=len(image.layers),
            size=self._image_size(image),
            diff_ids=image.diff_ids,
            children=children,
            place=place,
        )

    def _image_size(self, image: Image) -> int | None:
        if image.size is not None or not _layers_known(image):
            return image.size
        return self._size(self._stacks.top[image.id])

    def _size(self, top: int) -> int | None:
        total: int | None = 0
        for node in self._stacks.layers.down(top):
            total = _plus(total, self._stacks.sizes.get(node))
        return total

    def _certain_places(self) -> dict[str, str | None]:
        """Image → its parent, or the nearest image that all its candidates are or come from."""
        # a tie is a step of its own: many images may share one of many candidates
        graph: dict[str | tuple[str, ...], Sequence[str | tuple[str, ...]]] = {}
        for image, parents in self._lineage.parents.items():
            graph[image] = parents if len(parents) < 2 else (parents,)
            if len(parents) > 1:
                graph[parents] = parents
        places: dict[str, str | None] = {}
        ties: dict[tuple[str, ...], str | None] = {}
        for step in TopologicalSorter(graph).static_order():
            if isinstance(step, tuple):
                ties[step] = _common(step, places)
            else:
                parents = self._lineage.parents[step]
                places[step] = ties[parents] if len(parents) > 1 else parents[0] if parents else None
        return places

    def _insert_virtual(self) -> None:
        families: dict[tuple[str | None, Platform], list[str]] = {}
        for image in self._stacks.nodes.values():
            families.setdefault((self._places[image.id], image.platform), []).append(image.id)
        for (place, platform), members in families.items():
            if len(members) > 1:
                self._insert_shared(place, platform, members)

    def _insert_shared(self, place: str | None, platform: Platform, members: Sequence[str]) -> None:
        """Virtual nodes of the images drawn at one place: where their layer lists part."""
        top, trie, taken = self._stacks.top, self._stacks.layers, self._lineage.groups[platform]
        base = _ROOT if place is None else top[place]
        seen: set[int] = set()
        forks: dict[int, tuple[str, ...]] = {}  # trie node → its diff IDs
        for member in members:
            node = top[member]
            while node != base and node not in seen:
                seen.add(node)
                node = trie.parents[node]
                if node in seen and node not in taken and node not in forks:
                    depth = trie.depths[node]
                    forks[node] = tuple(layer.diff_id for layer in self._stacks.nodes[member].layers[:depth])

        names: dict[int, str] = {}

        def above(node: int) -> str | None:
            """The nearest virtual node over a trie node, else the place."""
            while node != base:
                node = trie.parents[node]
                if node in names:
                    return names[node]
            return place

        for node in sorted(forks, key=lambda node: trie.depths[node]):
            identifier = f"chain:{chain_id(forks[node])}"
            # the same layers may fork at two places, or on two platforms
            while identifier in self._virtual or identifier in self._stacks.images:
                identifier += "+"
            self._virtual[identifier] = _Virtual(identifier, node, forks[node], above(node))
            names[node] = identifier
        for member in members:
            self._places[member] = above(top[member])

    def _children(self) -> dict[str | None, list[str]]:
        """Node → the ids drawn under it, in order."""
        children: dict[str | None, list[str]] = {}
        for image, place in self._places.items():
            children.setdefault(place, []).append(image)
        order = {image.id: _order(image) for image in self._stacks.nodes.values()}
        # a virtual node goes by its first child, so the deepest come first
        depths = self._stacks.layers.depths
        for virtual in sorted(
            self._virtual.values(), key=lambda virtual: (-depths[virtual.node], virtual.id)
        ):
            children[virtual.id].sort(key=order.__getitem__)
            order[virtual.id] = (1, *order[children[virtual.id][0]][1:])
            children.setdefault(virtual.place, []).append(virtual.id)
        for members in children.values():
            members.sort(key=order.__getitem__)
        return children


def _rank(image: Image) -> tuple[str, int, tuple[str, ...], str, str]:
    return image.id, -len(image.layers), image.references, image.manifest_digest or "", str(image.platform)


def _order(image: Image) -> tuple[int, list[tuple[str, int, str]], str]:
    """Named images by name with numbers by value, `x:9` before `x:10`; then the untagged, by id."""
    name = image.references[0] if image.references else ""
    parts = re.findall(r"([^0-9]*)([0-9]*)", name.casefold())
    digits = [(text, number.lstrip("0")) for text, number in parts]
    return 0 if name else 2, [(text, len(number), number) for text, number in digits], f"{name}\0{image.id}"


def _common(images: Sequence[str], places: Mapping[str, str | None]) -> str | None:
    """The nearest image that each of these is or is drawn under, None where there is none."""
    trail = list(_up(images[0], places))
    ranks = {image: rank for rank, image in enumerate(trail)}
    lowest = 0
    for other in images[1:]:
        met = next((ranks[image] for image in _up(other, places) if image in ranks), None)
        if met is None:
            return None
        lowest = max(lowest, met)
    return trail[lowest]


def _up(image: str | None, places: Mapping[str, str | None]) -> Iterator[str]:
    while image is not None:
        yield image
        image = places[image]


def _walk(roots: Sequence[str], nodes: Mapping[str, Node]) -> Iterator[tuple[Node, int]]:
    todo = [(root, 0) for root in reversed(roots)]
    while todo:
        identifier, depth = todo.pop()
        node = nodes[identifier]
        yield node, depth
        todo += [(child, depth + 1) for child in reversed(node.children)]


def _layers_known(image: Image) -> bool:
    """An image of no layers has a history or no bytes; else a source just has not told them yet."""
    return bool(image.layers or image.history or image.size == 0)


def _plus(total: int | None, size: int | None) -> int | None:
    return None if total is None or size is None else total + size
