"""What the real daemon and both of its builders leave of an image: documents, and a Dockerfile of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from imgscope.images.ancestry import build
from imgscope.images.base import base_of
from imgscope.images.dockerfile import Line, dockerfile
from imgscope.images.documents import Document, Kind, whole_config
from imgscope.images.facts import facts
from imgscope.images.model import Image
from imgscope.job import Job
from imgscope.sources.engine import EngineSource
from tests.support.engine import Engine

DOCKERFILE = """\
FROM {base}
ARG VERSION=1
ARG FLAVOUR
LABEL com.example.who="a b" org.opencontainers.image.title=it
ENV A="x y" B=z
WORKDIR /srv
COPY --chown=1:2 one two /srv/
ADD one /added
SHELL ["/bin/sh", "-ec"]
RUN echo "$VERSION && $FLAVOUR" > /said && \\
    echo 'a  b'   >> /said \\
    && cat /said
EXPOSE 80 53/udp
VOLUME /data
STOPSIGNAL SIGINT
HEALTHCHECK --interval=30s --retries=5 CMD test -e /said
ONBUILD RUN echo later
USER 1000:1000
ENTRYPOINT ["/bin/sh", "-c", "exec \\"$@\\"", "sh"]
CMD echo "it runs"
"""
WORDS = ["FROM", "ARG", "ARG", "LABEL", "ENV", "WORKDIR", "COPY", "ADD", "SHELL", "RUN", "EXPOSE", "VOLUME"]
WORDS += ["STOPSIGNAL", "HEALTHCHECK", "ONBUILD", "USER", "ENTRYPOINT", "CMD"]


@pytest.fixture
def source(engine: Engine) -> Iterator[EngineSource]:
    with closing(EngineSource.connect(engine.host)) as source:
        yield source


@pytest.fixture(params=["classic", "buildkit"])
def name(request: pytest.FixtureRequest, engine: Engine, busybox_base: str) -> Iterator[str]:
    """An image with every instruction, built by one of the builders."""
    name = engine.name(f"documents/{request.param}:1")
    files: dict[str, str | bytes] = {
        "one": "1\n",
        "two": "2\n",
        "Dockerfile": DOCKERFILE.format(base=busybox_base),
    }
    engine.build(files, name, "--build-arg", "FLAVOUR=sweet", buildkit=request.param == "buildkit")
    yield name
    engine.docker("rmi", "--force", name)


def lines_of(source: EngineSource, image: Image) -> list[Line]:
    *_, images = source.images(Job())
    return dockerfile(image, base_of(image, build(images)))


def test_a_dockerfile_names_the_same_instructions_and_builds_the_same_image(
    source: EngineSource, engine: Engine, name: str, busybox_base: str
) -> None:
    classic = "classic" in name
    image = source.find(name)
    lines = lines_of(source, image)
    found = [line.word for line in lines if line.word]
    # BuildKit does not tell where ONBUILD stood
    assert found == (WORDS if classic else [*(word for word in WORDS if word != "ONBUILD"), "ONBUILD"])
    text = [line.text for line in lines]
    assert f"FROM {busybox_base}" in text
    assert 'ENV A="x y" B=z' in text
    assert 'CMD echo "it runs"' in text
    assert "    && cat /said" in text
    assert any("FLAVOUR=sweet" in line.text for line in lines)
    copy = next(line for line in lines if line.word == "COPY")
    assert copy.text.startswith("COPY --chown=1:2 ") is classic  # only the classic builder keeps this,
    assert copy.text.endswith((" /srv/", " /srv"))
    assert ("one two" in copy.text) is not classic  # and only BuildKit what was copied
    run = next(line for line in lines if line.word == "RUN")
    assert run.layer is not None
    assert run.size == image.layers[run.layer - 1].size

    # a builder takes it, and what comes of it runs in the same way
    again = engine.name("documents/again:1")
    known = [line.replace(f"FROM {busybox_base}", f"FROM {busybox_base}\nARG BUILT=again") for line in text]
    for place, line in enumerate(known):
        if line.startswith(("COPY ", "ADD ")):
            words = line.split()
            sources = "one two" if line.startswith("COPY") else "one"
            known[place] = " ".join(
                [*(word for word in words[:2] if word.startswith(("C", "A", "--"))), sources, words[-1]]
            )
    files: dict[str, str | bytes] = {"one": "1\n", "two": "2\n", "Dockerfile": "\n".join(known) + "\n"}
    try:
        engine.build(files, again, "--build-arg", "FLAVOUR=sweet", buildkit=not classic)
        mine, theirs = ({**source.find(tag).config, "Image": ""} for tag in (again, name))
        for key in ("Env", "Cmd", "Entrypoint", "Labels", "User", "WorkingDir", "ExposedPorts", "Volumes"):
            assert mine[key] == theirs[key], key
        for key in ("Healthcheck", "OnBuild", "Shell", "StopSignal"):
            assert mine[key] == theirs[key], key
    finally:
        engine.docker("rmi", "--force", again, check=False)


def test_the_documents_of_an_engine(
    source: EngineSource, engine: Engine, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = source.find(name)
    found = source.documents(image, Job())
    count = len(image.layers)
    if engine.own:  # its data root can be read
        assert [document.kind for document in found[: count + 1]] == [Kind.CONFIG, *[Kind.LAYER] * count]
        assert found[0].verified
        assert found[0].data is not None
        assert json.loads(found[0].data)["rootfs"]["diff_ids"] == list(image.diff_ids)
        assert [document.layer for document in found[1 : count + 1]] == list(range(1, count + 1))
    told = found[-1]
    assert (told.kind, told.name) == (Kind.OTHER, "docker image inspect")
    assert told.data is not None
    assert json.loads(told.data)["Id"] == image.id
    rows = {fact.name: fact.value for fact in facts(image, whole_config(image, found)) if fact.name}
    assert rows["interval"] == "30s"
    assert rows["cmd"] == 'echo "it runs" (shell form: /bin/sh -ec)'
    assert rows["user"] == "1000:1000"
    assert rows["ports"] == "53/udp"

    # where the data root cannot be read, the API tells; nothing is saved for it
    def refuse(*arguments: object) -> None:
        raise AssertionError("the whole image was asked for")

    monkeypatch.setattr(source, "_layer_stores", lambda job: ())
    monkeypatch.setattr(source, "_save", refuse)
    less = source.documents(image, Job())
    assert [document.kind for document in less] == [Kind.CONFIG, *[Kind.LAYER] * count, Kind.OTHER]
    assert less[0].digest == image.id
    assert less[0].data is None
    assert "in its own words" in less[0].note
    assert whole_config(image, less)["Id"] == image.id


def test_a_pulled_image_tells_its_digest(source: EngineSource, tmp_path: Path, busybox_base: str) -> None:
    image = source.find(busybox_base)
    told = Image(image.id, layers=image.layers, digests=(f"example.com/a@sha256:{'d' * 64}",))
    found: list[Document] = list(source.documents(told, Job()))
    assert (found[0].kind, found[0].digest) == (Kind.MANIFEST, f"sha256:{'d' * 64}")
    assert "registry" in found[0].note
