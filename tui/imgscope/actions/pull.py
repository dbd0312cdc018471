"""Pulling an image: which layers come, and whether anything changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from imgscope.actions.credentials import Credentials
from imgscope.actions.engine import Engine
from imgscope.actions.plan import Done, Event, Plan, Said, command
from imgscope.actions.registry import WantsLogin
from imgscope.actions.stream import auth_required, open_registry, post, progress, registry_error
from imgscope.errors import EngineError, ImgscopeError, NotFoundError
from imgscope.images.model import Image, Platform, chain_ids, short_id
from imgscope.images.reference import Reference, same
from imgscope.job import Job
from imgscope.text import size_text


@dataclass(frozen=True, slots=True)
class Pull:
    """One image by tag or digest; of an index the engine's platform, or the one asked for."""

    engine: Engine
    reference: str
    platform: Platform | None = None
    credentials: Credentials = field(default_factory=Credentials)

    def describe(self) -> Plan:
        """The bytes that come, and what becomes of the image that has the name now.

        Raises `AuthRequired`; `NotFoundError` where the registry has no such image.
        """
        reference = self._parsed()
        name = reference.familiar
        present = self._present()
        lines = [f"from the repository {reference.path} of the registry {reference.domain}"]
        keeps: tuple[str, ...] = ()
        sends, estimate = None, False
        try:
            image = self._offered(reference)
            if image is None:
                lines.append("which layers it has is not known")
            elif present is not None and image.id == present.id:
                lines.append(f"{name} is up to date: {short_id(present.id)}")
                sends = 0
            else:
                coming = self._coming(image)
                sends = sum(coming)
                # where the engine has a layer but never saw it packed as it is there, it comes again
                estimate = len(coming) < len(image.layers)
                here = len(image.layers) - len(coming)
                lines.append(
                    f"{len(coming)} of {len(image.layers)} layers to fetch: {size_text(sends)}, compressed"
                    + (f"; {here} {'is' if here == 1 else 'are'} here already" if here else "")
                )
                keeps = self._replaced(name, present)
        except WantsLogin:
            raise auth_required(reference.domain, self.credentials) from None
        except NotFoundError:
            raise
        except ImgscopeError as error:
            lines.append(f"what comes is not known: {str(error).rstrip('.')}")
        options = ["--platform", str(self.platform)] if self.platform else []
        return Plan(
            title=f"Pull {name}",
            command=command("docker", "pull", *options, name),
            lines=tuple(lines),
            keeps=keeps,
            sends=sends,
            estimate=estimate,
        )

    def execute(self, job: Job) -> Iterator[Event]:
        """`Done.result` is the id of the image."""
        reference = self._parsed()
        name = reference.familiar
        before = self._present()
        query = {
            "fromImage": f"{reference.domain}/{reference.path}",
            "tag": reference.digest or str(reference.tag),
            **({"platform": str(self.platform)} if self.platform else {}),
        }
        headers = {"X-Registry-Auth": self.credentials.header(reference.domain)}
        try:
            for event in post(self.engine, "/images/create", query, headers, job):
                told = progress(event)
                if told is not None and not (isinstance(told, Said) and told.text.startswith("Status: ")):
                    yield told
        except ImgscopeError as error:
            what = f"{name} was not pulled"
            raise registry_error(error, what, reference.domain, self.credentials) from None
        after = self._present()
        if after is None:
            raise EngineError(f"The engine ended the pull of {name}, but has no such image; pull it again.")
        if before is not None and before.id == after.id:
            yield Done(f"{name} is up to date: {short_id(after.id)}", result=after.id)
        else:
            yield Done(f"Pulled {name}: {short_id(after.id)}", result=after.id)

    def _parsed(self) -> Reference:
        return Reference.parse(self.reference).with_default_tag()

    def _present(self) -> Image | None:
        """The image that has the name now."""
        try:
            return self.engine.source.find(str(self._parsed()))
        except NotFoundError:
            return None

    # -- asking -----------------------------------------------------------------------------------

    def _offered(self, reference: Reference) -> Image | None:
        """The image that would come; None where it is of a form that tells no layers."""
        with open_registry(self.engine, reference, self.credentials) as registry:
            asked = reference.digest or str(reference.tag)
            images = registry.images(asked)
            if not images:
                if registry.manifest_exists(asked):
                    return None
                there = ", ".join(registry.tags()[:20])
                raise NotFoundError(
                    f"There is no image {reference.familiar} in the registry"
                    + (f"; the repository has the tags {there}." if there else ", nor such a repository.")
                )
        if len(images) == 1 and self.platform is None:
            return images[0]
        wanted = self.platform or self._own_platform()
        fitting = [image for image in images if _fits(image.platform, wanted)]
        if not fitting:
            there = ", ".join(str(image.platform) for image in images)
            raise NotFoundError(f"{reference.familiar} is not there for {wanted}, only for {there}.")
        return fitting[0]

    def _own_platform(self) -> Platform:
        with self.engine.errors():
            version = self.engine.client.version()
        return Platform(str(version.get("Os") or "linux"), str(version.get("Arch") or "amd64"))

    def _coming(self, image: Image) -> list[int]:
        """The compressed sizes of the layers whose stack (chain ID) no image of the engine has."""
        with self.engine.errors():
            listed = self.engine.client.images()
        here: set[str] = set()
        for item in listed:
            try:
                with self.engine.errors():
                    found = self.engine.client.inspect_image(item["Id"])
            except NotFoundError:  # removed meanwhile
                continue
            here.update(chain_ids((found.get("RootFS") or {}).get("Layers") or []))
        chains = chain_ids(image.diff_ids)
        return [
            layer.compressed_size or 0
            for chain, layer in zip(chains, image.layers, strict=True)
            if chain not in here
        ]

    def _replaced(self, name: str, present: Image | None) -> tuple[str, ...]:
        if present is None:
            return ()
        left = [other for other in present.references if not same(other, name)]
        stays = f"as {', '.join(left)}" if left else "without a name, and becomes dangling"
        return (f"{short_id(present.id)}, which has the name now, stays {stays}",)


def _fits(found: Platform, wanted: Platform) -> bool:
    return (found.os, found.architecture) == (wanted.os, wanted.architecture) and wanted.variant in (
        "",
        found.variant,
    )
