"""Giving an image one more name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from imgscope.actions.engine import Engine
from imgscope.actions.plan import Done, Event, Plan, command
from imgscope.errors import NotFoundError, UsageError
from imgscope.images.model import Image, short_id
from imgscope.images.reference import Reference, same
from imgscope.job import Job
from imgscope.text import age_text


def parse_tag(text: str) -> Reference:
    """A name that an image can be given or pushed by: `latest` where it has no tag.

    Raises `UsageError` that says what is wrong with it and at which character.
    """
    reference = Reference.parse(text)
    if reference.digest is not None:
        raise UsageError(
            f"{text!r} has a digest, and digests cannot be given; leave out '@' and what follows."
        )
    return reference.with_default_tag()


@dataclass(frozen=True, slots=True)
class Tag:
    """`source` is a reference or an id on the engine, `target` the new reference."""

    engine: Engine
    source: str
    target: str

    def describe(self) -> Plan:
        """Whether the name is new or moves from another image, and what becomes of that one."""
        target = parse_tag(self.target).familiar
        image = self.engine.source.find(self.source)
        lines = [f"{image.name} ({short_id(image.id)}) gets the name {target}"]
        keeps: list[str] = []
        untags: tuple[str, ...] = ()
        other = self._holder(target)
        if other is not None and other.id == image.id:
            lines = [f"{target} is this image's name already ({short_id(image.id)}); nothing changes"]
        elif other is not None:
            untags = (target,)
            age = age_text(other.created)
            made = f", made {age} ago" if age != "–" else ""
            lines.append(f"the name moves from another image, {short_id(other.id)}{made}")
            left = [name for name in other.references if not same(name, target)]
            if left:
                keeps.append(f"{short_id(other.id)} stays as {', '.join(left)}")
            elif other.digests:
                keeps.append(
                    f"{short_id(other.id)} stays by its digest only, and becomes dangling: "
                    "docker image prune would remove it"
                )
            else:
                keeps.append(
                    f"{short_id(other.id)} stays without a name, and becomes dangling: "
                    "docker image prune would remove it"
                )
        return Plan(
            title=f"Tag {target}",
            command=command("docker", "tag", self.source, target),
            lines=tuple(lines),
            untags=untags,
            keeps=tuple(keeps),
        )

    def execute(self, job: Job) -> Iterator[Event]:
        """`Done.result` is the id of the image that has the name now."""
        target = parse_tag(self.target)
        image = self.engine.source.find(self.source)
        other = self._holder(target.familiar)
        job.check()
        with self.engine.errors():
            self.engine.client.tag(image.id, f"{target.domain}/{target.path}", target.tag, force=True)
        moved = other is not None and other.id != image.id
        yield Done(
            f"{target.familiar} is {short_id(image.id)} now",
            untagged=(target.familiar,) if moved else (),
            result=image.id,
        )

    def _holder(self, target: str) -> Image | None:
        """The image that has the name now."""
        try:
            return self.engine.source.find(target)
        except NotFoundError:
            return None
