"""What can be done to an OCI layout without an engine: tag, remove, prune.

Each works out its change from the folder anew, once for `describe` and once, under the lock, for
`execute`. In plans and in `Done`, `deletes` are the digests of the blobs that go, and bytes are those
of files on the disk. `command` names umoci, which does to layouts what docker does to an engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from imgscope.actions.layout import names
from imgscope.actions.layout.graph import Graph, Reach, refs
from imgscope.actions.layout.store import File, Index, LayoutError, LayoutStore, bytes_freed
from imgscope.actions.plan import Blocker, Done, Event, Plan, Said, command
from imgscope.errors import FormatError, UsageError
from imgscope.images.model import short_id
from imgscope.job import Job
from imgscope.text import size_text

_BLOCKERS = 3  # missing documents that a plan names


@dataclass(frozen=True, slots=True)
class _Change:
    """A plan, and what carries it out. `text` is the sentence of its end, less the bytes."""

    plan: Plan
    before: Index
    after: Index
    doomed: tuple[File, ...] = ()
    text: str = ""
    result: str = ""


@dataclass(frozen=True, slots=True)
class LayoutTag:
    """Give the image `source` (a name or an id; None: the only one) the name `target` as well."""

    store: LayoutStore
    source: str | None
    target: str

    def describe(self) -> Plan:
        """Whether the name is new or moves from another image, and what becomes of that one."""
        return self._change().plan

    def execute(self, job: Job) -> Iterator[Event]:
        """`Done.result` is the digest of the manifest or index that has the name now."""
        with self.store.locked():
            change = self._change()
            job.check()
            if change.after is not change.before:
                self.store.write(change.before, change.after)
        yield Done(change.text, untagged=change.plan.untags, result=change.result)

    def _change(self) -> _Change:
        index = self.store.index()
        manifests = index.manifests
        sources = self._sources(manifests)
        digests = {names.digest_of(manifests[at]) for at in sources}
        digest = names.digest_of(manifests[sources[0]])
        new = names.spelled(self.target, manifests)
        holders = names.named(manifests, new)
        if holders:
            new = names.name_of(manifests[holders[0]])
        source = names.name_of(manifests[sources[0]])
        plan = Plan(
            title=f"Tag {new}",
            command=command("umoci", "tag", "--image", f"{self.store.folder}:{source}", new)
            if source
            else command("imgscope", "tag", f"{self.store}:{short_id(digest)}", new),
        )
        text = f"{new} is {short_id(digest)} now"
        if holders and {names.digest_of(manifests[at]) for at in holders} == digests:
            unchanged = (f"{new} is this image's name already ({short_id(digest)}); nothing changes",)
            return _Change(replace(plan, lines=unchanged), index, index, text=text, result=digest)
        listed = names.moved(manifests, new, sources, holders)
        lines = [f"{source or short_id(digest)} ({short_id(digest)}) gets the name {new}"]
        keeps: list[str] = []
        if holders:
            left = names.digest_of(manifests[holders[0]])
            lines.append(f"the name moves from another image, {short_id(left)}")
            others = [
                name for item in listed if names.digest_of(item) == left and (name := names.name_of(item))
            ]
            keeps.append(
                f"{short_id(left)} stays as {names.listed(others)}"
                if others
                else f"{short_id(left)} stays without a name; it can be removed by its id"
            )
        plan = replace(plan, lines=tuple(lines), keeps=tuple(keeps), untags=(new,) if holders else ())
        return _Change(plan, index, index.having(listed), text=text, result=digest)

    def _sources(self, manifests: Sequence[object]) -> list[int]:
        if self.source is not None:
            return _find(self.store, manifests, self.source)
        found = [at for at, item in enumerate(manifests) if names.digest_of(item)]
        if not found:
            raise names.no_such("", manifests, str(self.store))
        if len({names.digest_of(manifests[at]) for at in found}) > 1:
            there = names.listed(dict.fromkeys(map(names.called, manifests)))
            raise UsageError(f"There are several images in {self.store}; name one of {there}.")
        return found[:1]


@dataclass(frozen=True, slots=True)
class LayoutRemove:
    """Remove names, and with its last name an image: its blobs go, those that nothing else refers to.

    An id (of the image, or the digest of its manifest) removes the image with its name; where it has
    several, only by `force`, as docker does. Descriptors without a name stay, unless named by id.
    """

    store: LayoutStore
    names: tuple[str, ...]
    force: bool = False

    def describe(self) -> Plan:
        """What goes and what stays, in bytes on the disk."""
        return self._change().plan

    def execute(self, job: Job) -> Iterator[Event]:
        """The names go first, all at once; then the blobs, one by one."""
        yield from _carry_out(self.store, self._change, job)

    def _change(self) -> _Change:
        if not self.names:
            raise UsageError(f"Say which image of {self.store} to remove.")
        index = self.store.index()
        manifests = index.manifests
        dropped: set[int] = set()
        blockers: list[Blocker] = []
        for name in self.names:
            found = _find(self.store, manifests, name)
            own = {mine for at in found if (mine := names.name_of(manifests[at]))}
            if len(own) > 1 and not self.force and not dropped.issuperset(found):
                blockers += [Blocker(f"it has the name {mine}", mine, forceable=True) for mine in sorted(own)]
            dropped.update(found)
        after = index.having([item for at, item in enumerate(manifests) if at not in dropped])
        graph = Graph(self.store.folder)
        stays = graph.reach(refs(after.document))
        goes = graph.reach(
            (ref for at in sorted(dropped) for ref in refs(manifests[at], "manifests")), strict=False
        )
        files = self.store.files()
        doomed = tuple(files[digest] for digest in goes.digests if digest in files and digest not in stays)
        shared = [files[digest] for digest in goes.digests if digest in files and digest in stays]
        untags = tuple(
            dict.fromkeys(name for at in sorted(dropped) if (name := names.name_of(manifests[at])))
        )
        lines = [f"untags {name}" for name in untags]
        lines += [_goes(doomed)] if doomed else ["deletes nothing: something else refers to all of it"]
        plan = Plan(
            title=f"Remove {names.listed(self.names)}",
            command=self._command(untags),
            lines=tuple(lines),
            frees=bytes_freed(doomed),
            deletes=tuple(file.digest for file in doomed),
            untags=untags,
            keeps=(
                *_kept_images(manifests, dropped, stays),
                *_shared(graph, after.manifests, shared),
                *_linked(self.store, doomed),
            ),
            blocked_by=(*blockers, *_unknown(stays, force=self.force)),
            destructive=True,
        )
        what = names.listed(untags) or names.listed(self.names)
        return _Change(plan, index, after, doomed, f"removed {what}")

    def _command(self, untags: Sequence[str]) -> str:
        if len(untags) == len(self.names):
            folder = str(self.store.folder)
            words = [command("umoci", "rm", "--image", f"{folder}:{name}") for name in untags]
            return " && ".join([*words, command("umoci", "gc", "--layout", folder)])
        return command("imgscope", "rmi", *(f"{self.store}:{name}" for name in self.names))


@dataclass(frozen=True, slots=True)
class LayoutPrune:
    """Delete the blobs that nothing in index.json leads to. No image goes, named or not."""

    store: LayoutStore
    force: bool = False

    def describe(self) -> Plan:
        """What goes, in bytes on the disk."""
        return self._change().plan

    def execute(self, job: Job) -> Iterator[Event]:
        """Delete the blobs one by one; index.json is not touched."""
        yield from _carry_out(self.store, self._change, job)

    def _change(self) -> _Change:
        index = self.store.index()
        stays = Graph(self.store.folder).reach(refs(index.document))
        files = self.store.files()
        doomed = tuple(file for digest, file in sorted(files.items()) if digest not in stays)
        lines = [_goes(doomed)] if doomed else ["every blob is in use"]
        if doomed:
            lines.append("a program that is just writing to the folder would lose what it has not listed yet")
        nameless = {names.digest_of(item) for item in index.manifests if not names.name_of(item)}
        nameless -= {names.digest_of(item) for item in index.manifests if names.name_of(item)}
        keeps = [f"{short_id(digest)} stays: an image without a name" for digest in sorted(nameless)]
        plan = Plan(
            title=f"Prune {self.store}",
            command=command("umoci", "gc", "--layout", str(self.store.folder)),
            lines=tuple(lines),
            frees=bytes_freed(doomed),
            deletes=tuple(file.digest for file in doomed),
            keeps=(*keeps, *_linked(self.store, doomed)),
            blocked_by=_unknown(stays, force=self.force),
            destructive=True,
        )
        return _Change(plan, index, index, doomed, f"deleted {_blobs(doomed)}")


def _carry_out(store: LayoutStore, work_out: Callable[[], _Change], job: Job) -> Iterator[Event]:
    """Change index.json if need be, then delete blobs. Whatever cannot be deleted spares the rest."""
    freed = 0
    deleted: list[str] = []
    failed: list[str] = []
    with store.locked():
        change = work_out()
        if change.plan.blocked_by:
            what = change.plan.blocked_by[0].what
            raise LayoutError(f"{change.plan.title}: refused, for {what}; force would do it.")
        job.check()
        if change.after is not change.before:
            store.write(change.before, change.after)
        for name in change.plan.untags:
            yield Said(f"untagged: {name}")
        # whoever knows no lock may have written index.json meanwhile; what it lists stays
        now = store.index()
        stays = Reach() if now.data == change.after.data else Graph(store.folder).reach(refs(now.document))
        for file in change.doomed:
            if file.digest in stays:
                continue
            job.check()
            try:
                freed += store.delete(file.digest)
            except OSError as error:
                failed.append(f"{file.digest}: {error.strerror or error}")
                continue
            deleted.append(file.digest)
            yield Said(f"deleted: {file.digest}")
        try:
            store.tidy()
        except OSError as error:
            failed.append(f"{error.filename}: {error.strerror or error}")
    if failed:
        raise LayoutError(
            f"{change.text.capitalize()}, but {len(failed)} files could not be ({failed[0]}); "
            f"prune {store} once that is mended."
        )
    yield Done(f"{change.text}; {size_text(freed)} freed", freed, tuple(deleted), change.plan.untags)


def _find(store: LayoutStore, manifests: Sequence[object], name: str) -> list[int]:
    """Where in the index an image is, by name, id, or tag; raises `NotFoundError` and `UsageError`."""
    return (
        names.named(manifests, name)
        or names.identified(manifests, name, _configs(store, manifests))
        or names.tagged(manifests, name, str(store))
        or _nowhere(store, manifests, name)
    )


def _nowhere(store: LayoutStore, manifests: Sequence[object], name: str) -> list[int]:
    raise names.no_such(name, manifests, str(store))


def _configs(store: LayoutStore, manifests: Sequence[object]) -> dict[str, str]:
    """The ids of the images that index.json lists, by the digests of their manifests."""
    graph = Graph(store.folder)
    found: dict[str, str] = {}
    for digest in map(names.digest_of, manifests):
        try:
            document = graph.document(digest)
        except FormatError:  # it has no id that anybody could know
            continue
        if document is not None:
            found[digest] = names.digest_of(document.get("config"))
    return found


def _goes(doomed: Sequence[File]) -> str:
    return f"deletes {_blobs(doomed)}, {size_text(bytes_freed(doomed))} on the disk"


def _blobs(files: Sequence[File]) -> str:
    return f"{len(files)} blob{'' if len(files) == 1 else 's'}"


def _kept_images(manifests: Sequence[object], dropped: set[int], stays: Reach) -> Iterator[str]:
    """A sentence for each image that loses a name and stays."""
    for digest in dict.fromkeys(names.digest_of(manifests[at]) for at in sorted(dropped)):
        if digest not in stays:
            continue
        left = [
            item for at, item in enumerate(manifests) if at not in dropped and names.digest_of(item) == digest
        ]
        if own := [name for item in left if (name := names.name_of(item))]:
            yield f"{short_id(digest)} stays as {names.listed(own)}"
        elif left:
            yield f"{short_id(digest)} stays without a name: it is listed without one, too"
        else:
            yield f"{short_id(digest)} stays: another image or artifact refers to it"


def _shared(graph: Graph, manifests: Sequence[object], shared: Sequence[File]) -> Iterator[str]:
    """A sentence on the blobs that other images have, too, and which images these are."""
    if not shared:
        return
    digests = {file.digest for file in shared}
    users = dict.fromkeys(
        names.called(item) for item in manifests if not digests.isdisjoint(_reached(graph, item))
    )
    size = size_text(sum(file.size for file in shared))
    stay = "stays, for it is" if len(shared) == 1 else "stay, for they are"
    yield f"{_blobs(shared)} ({size}) {stay} in {names.listed(users) or 'index.json'} too"


def _reached(graph: Graph, descriptor: object) -> dict[str, None]:
    return graph.reach(refs(descriptor, "manifests")).digests


def _linked(store: LayoutStore, doomed: Sequence[File]) -> Iterator[str]:
    """Sentences on bytes that deleting does not free, and on folders that are not looked into."""
    bound = sum(file.size for file in doomed) - bytes_freed(doomed)
    if bound:
        yield f"{size_text(bound)} stay on the disk: files there have other hard links"
    for name in store.linked_folders():
        yield f"blobs in {name} stay: it is a link to another folder"


def _unknown(stays: Reach, *, force: bool) -> tuple[Blocker, ...]:
    """What stands in the way where documents are not in the folder: nobody knows what they refer to."""
    if force:
        return ()
    found = [
        Blocker(f"{digest} is not in the folder, and blobs that only it refers to would go", digest, True)
        for digest in stays.missing
    ]
    return tuple(found[:_BLOCKERS])
