"""Pushing tags to a registry: what it lacks is sent, and no more is promised than that."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field, replace

from imgscope.actions.credentials import Credentials
from imgscope.actions.engine import Engine
from imgscope.actions.plan import Done, Event, Plan, Transfer, command
from imgscope.actions.registry import Blob, RegistryClient, WantsLogin
from imgscope.actions.stream import auth_required, open_registry, post, progress, registry_error
from imgscope.actions.tag import parse_tag
from imgscope.errors import EngineError, ImgscopeError, NotFoundError, UsageError
from imgscope.images.model import Image, short_id
from imgscope.images.reference import Reference
from imgscope.job import Job
from imgscope.text import age_text, size_text

_TAGS_ASKED = 16  # other tags of the repository whose layers are looked at
_OTHERS_ASKED = 8  # images in other repositories of the registry
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PODMAN_END = re.compile(r": digest: (sha256:[0-9a-f]{64}) size: \d+$")  # Podman 4 has no aux event


@dataclass(slots=True)
class _Pushed:
    """What one push came to: the digest of the manifest, and the layers (12 hex digits) that were sent."""

    digest: str = ""
    layers: set[str] = field(default_factory=set)
    told: bool = False  # whether the engine told of layers: Podman does not


@dataclass(slots=True)
class _Layers:
    """The layers of a push by diff ID, sorted by what the registry has of them."""

    sizes: dict[str, int | None]  # unpacked bytes of all
    there: dict[str, Blob] = field(default_factory=dict)  # the engine knows that the registry has them
    found: dict[str, Blob] = field(default_factory=dict)  # the registry has them; the engine may not know
    mounted: dict[str, str] = field(default_factory=dict)  # it has them in another repository

    @property
    def missing(self) -> list[str]:
        known = {*self.there, *self.found, *self.mounted}
        return [diff_id for diff_id in self.sizes if diff_id not in known]


@dataclass(frozen=True, slots=True)
class Push:
    """One tag, or all tags of a repository where `all_tags`."""

    engine: Engine
    reference: str
    credentials: Credentials = field(default_factory=Credentials)
    all_tags: bool = False

    def describe(self) -> Plan:
        """Which layers the registry lacks, and the bytes that will travel. Raises `AuthRequired`."""
        references = self._references()
        images = [self.engine.source.find(str(reference)) for reference in references]
        layers = _Layers({layer.diff_id: layer.size for image in images for layer in image.layers})
        first = references[0]
        lines = [f"to the repository {first.path} of the registry {first.domain}"]
        asked = True
        try:
            with open_registry(self.engine, first, self.credentials) as registry:
                for reference, image in zip(references, images, strict=True):
                    lines.append(_tag_line(registry, reference, image))
                self._sort(layers, registry, references)
        except WantsLogin:
            raise auth_required(first.domain, self.credentials) from None
        except ImgscopeError as error:
            asked = False
            lines.append(f"which layers it has is not known: {str(error).rstrip('.')}")
        missing = layers.missing
        sends = sum(layers.sizes[diff_id] or 0 for diff_id in missing)
        # a layer is compressed while it is sent, and only what is not sent at all is known beforehand
        estimate = bool(missing or layers.found or layers.mounted)
        lines += _layer_lines(layers, sends, asked)
        name = f"{replace(first, tag=None).familiar}" if self.all_tags else first.familiar
        return Plan(
            title=f"Push {name}" + (f", {len(references)} tags" if self.all_tags else ""),
            command=command("docker", "push", *(["--all-tags"] if self.all_tags else []), name),
            lines=tuple(lines),
            sends=sends,
            estimate=estimate,
        )

    def execute(self, job: Job) -> Iterator[Event]:
        """`Done.result` is the digest of the (last) manifest, `Done.sent` the compressed bytes sent."""
        references = self._references()
        pushes: list[_Pushed] = []
        for reference in references:
            pushes.append((yield from self._push(reference, job)))  # noqa: PERF401 - no comprehension yields
        sizes = [self._sent(*pair) for pair in zip(references, pushes, strict=True)]
        sent = sum(size or 0 for size in sizes) if None not in sizes else None
        layers = sum(len(push.layers) for push in pushes)
        said = "no layer was sent" if not layers else f"{layers} layer{'' if layers == 1 else 's'} sent"
        amount = f", {size_text(sent)}" if layers and sent is not None else ""
        tail = f"; {said}{amount}" if all(push.told for push in pushes) else ""
        names = ", ".join(reference.familiar for reference in references)
        digest = pushes[-1].digest
        yield Done(f"Pushed {names} as {digest}{tail}", result=digest, sent=sent)

    def _references(self) -> list[Reference]:
        if not self.all_tags:
            return [parse_tag(self.reference)]
        wanted = Reference.parse(self.reference)
        if wanted.tag or wanted.digest:
            raise UsageError(
                f"{self.reference!r} names one tag; give the repository only to push all its tags."
            )
        with self.engine.errors():
            listed = self.engine.client.images()
        names = sorted(name for item in listed for name in item.get("RepoTags") or [])
        found = [item for item in _parsed(names) if (item.domain, item.path) == (wanted.domain, wanted.path)]
        if not found:
            raise NotFoundError(f"No image of {self.engine.label} has a tag in {wanted.familiar}.")
        return found

    # -- asking -----------------------------------------------------------------------------------

    def _sort(self, layers: _Layers, registry: RegistryClient, references: list[Reference]) -> None:
        """Ask for the manifests that may name the layers, the likeliest first, until all are found."""
        here, elsewhere = self._digests(references[0], set(layers.sizes))

        def take(kind: dict[str, Blob], name: str) -> None:
            missing = set(layers.missing)
            kind.update(
                (diff_id, blob) for diff_id, blob in registry.blobs(name).items() if diff_id in missing
            )

        # the engine skips a layer where it knows the digest that the registry has it under: it pulled
        # or pushed it, and then keeps the digest of the manifest as well
        for digest in here:
            take(layers.there, digest)
        own = [str(reference.tag) for reference in references]
        for tag in own:
            if layers.missing:
                take(layers.found, tag)
        if layers.missing:
            for tag in [tag for tag in registry.tags() if tag not in own][:_TAGS_ASKED]:
                if layers.missing:
                    take(layers.found, tag)
        for path, digest in elsewhere[:_OTHERS_ASKED]:
            if not layers.missing:
                break
            missing = set(layers.missing)
            with registry.repository(path) as other:
                blobs = other.blobs(digest)
            for diff_id, blob in blobs.items():
                if diff_id in missing and registry.has(blob.digest):
                    layers.found[diff_id] = blob
                elif diff_id in missing:
                    layers.mounted[diff_id] = path

    def _digests(self, target: Reference, wanted: set[str]) -> tuple[list[str], list[tuple[str, str]]]:
        """Manifests of the target's registry that the engine knows to have one of the layers.

        Digests in the target's repository; repository and digest in others.
        """
        with self.engine.errors():
            listed = self.engine.client.images()
        here: list[str] = []
        elsewhere: list[tuple[str, str]] = []
        for item in listed:
            known = [name for name in _parsed(item.get("RepoDigests") or []) if name.domain == target.domain]
            if not known:
                continue
            try:
                with self.engine.errors():
                    found = self.engine.client.inspect_image(item["Id"])
            except NotFoundError:
                continue
            if wanted.isdisjoint((found.get("RootFS") or {}).get("Layers") or []):
                continue
            here += [str(name.digest) for name in known if name.path == target.path]
            elsewhere += [(name.path, str(name.digest)) for name in known if name.path != target.path]
        return here, elsewhere

    # -- doing ------------------------------------------------------------------------------------

    def _push(self, reference: Reference, job: Job) -> Generator[Event, None, _Pushed]:
        """Push one tag."""
        pushed = _Pushed()
        podman = self.engine.label.startswith("podman")
        path = f"/images/{reference.domain}/{reference.path}/push"
        headers = {"X-Registry-Auth": self.credentials.header(reference.domain)}
        try:
            for event in post(self.engine, path, {"tag": str(reference.tag)}, headers, job):
                aux = event.get("aux")
                if isinstance(aux, dict) and _DIGEST.fullmatch(str(aux.get("Digest"))):
                    pushed.digest = str(aux["Digest"])
                elif podman and (end := _PODMAN_END.search(str(event.get("status")))):
                    pushed.digest = end[1]
                told = progress(event)
                if isinstance(told, Transfer):
                    pushed.told = True
                    if told.status == "Pushed":
                        pushed.layers.add(told.part)
                if told is not None:
                    yield told
        except ImgscopeError as error:
            what = f"{reference.familiar} was not pushed"
            raise registry_error(error, what, reference.domain, self.credentials) from None
        if not pushed.digest:  # errors raise nothing by themselves; only this tells that it is done
            raise EngineError(f"The engine ended the push of {reference.familiar} half-way; push it again.")
        return pushed

    def _sent(self, reference: Reference, pushed: _Pushed) -> int | None:
        """The bytes of the layers sent as the registry stores them, where it tells."""
        if not pushed.layers:
            return 0 if pushed.told else None
        try:
            with open_registry(self.engine, reference, self.credentials) as registry:
                blobs = registry.blobs(pushed.digest)
        except ImgscopeError:
            return None
        sizes = [blob.size for diff_id, blob in blobs.items() if short_id(diff_id) in pushed.layers]
        return sum(sizes) if len(sizes) == len(pushed.layers) else None


def _tag_line(registry: RegistryClient, reference: Reference, image: Image) -> str:
    """What the tag names in the registry now: a push moves it without asking."""
    there = registry.images(str(reference.tag))
    if not there:
        return f"{reference.tag} is new there"
    if any(other.id == image.id for other in there):
        return f"{reference.tag} names this image there already"
    age = age_text(there[0].created)
    made = f", made {age} ago" if age != "–" else ""
    return f"{reference.tag} names another image there, {short_id(there[0].id)}{made}, and moves to this one"


def _layer_lines(layers: _Layers, sends: int, asked: bool) -> list[str]:
    def count(number: int) -> str:
        return f"{number} layer{'' if number == 1 else 's'}"

    lines = []
    if layers.there:
        lines.append(f"{count(len(layers.there))} it has already: not sent")
    if layers.found:
        lines.append(
            f"{count(len(layers.found))} it has already: not sent, unless this engine never pushed "
            "or pulled them there and so does not know"
        )
    for path in dict.fromkeys(layers.mounted.values()):
        number = sum(other == path for other in layers.mounted.values())
        lines.append(f"{count(number)} it has in {path}: not sent where it lets them be mounted from there")
    if missing := len(layers.missing):
        all_of_them = "" if asked else "at most "
        lines.append(
            f"{count(missing)} to send: {all_of_them}about {size_text(sends)}, "
            "unpacked; compressed on the way it is mostly less"
        )
    else:
        lines.append("no layer to send, only the manifest and the config")
    return lines


def _parsed(names: Iterable[str]) -> Iterator[Reference]:
    for name in names:
        try:
            yield Reference.parse(name)
        except UsageError:  # <none>, or a name that today's grammar refuses
            continue
