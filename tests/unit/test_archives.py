"""Archives of every kind, opened as a person opens them: the same image comes out of each."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from imgscope.analysis import Analysis, analyze
from imgscope.errors import CancelledError, FormatError, NotFoundError
from imgscope.images.model import Platform
from imgscope.job import Job
from imgscope.layers.index import Kind, LayerIndex
from imgscope.report import analysis_json
from imgscope.sources import archive
from imgscope.sources import blobs as blobs_module
from imgscope.sources.archive import ArchiveSource
from imgscope.sources.recent import Recent
from tests.support import archives as made
from tests.support.archives import Blob, Layout, Link, Made, Members, named, write
from tests.support.needs import require_tool
from tests.support.stacks import file, folder, layer_tar, symlink, whiteout

HOST = Platform.host()
FOREIGN = "s390x" if HOST.architecture != "s390x" else "ppc64le"

TARS = [
    layer_tar([folder("etc"), file("etc/a", b"a" * 1000), file("etc/b", b"b" * 500), symlink("etc/l", "a")]),
    layer_tar([whiteout("etc/a"), file("etc/c", b"c" * 30)]),
    layer_tar([file("etc/b", b"B" * 500), file("[slug].js", b"{}")]),
]
KINDS: dict[str, Callable[[Made], Members]] = {
    "docker save, old": made.docker_save_old,
    "docker save, new": made.docker_save_new,
    "kaniko": made.kaniko,
    "jib": made.jib,
    "podman": made.podman,
    "oci": made.oci,
}


def image(form: Callable[[bytes], Blob] = made.plain, *names: str, tars: list[bytes] = TARS) -> Made:
    return Made(tuple(form(tar) for tar in tars), names or ("test:latest",), "linux", HOST.architecture)


def analysed(path: Path, reference: str | None = None, platform: Platform | None = None) -> Analysis:
    source = ArchiveSource(path)
    try:
        return analyze(source, source.find(reference, platform))
    finally:
        source.close()


def paths(analysis: Analysis) -> list[list[str]]:
    return [
        [os.fsdecode(layer.path(entry)) for entry in range(len(layer))] for layer in analysis.overlay.layers
    ]


def messages(analysis: Analysis) -> list[str]:
    return [problem.message for problem in analysis.problems]


def refusal(path: Path, reference: str | None = None, platform: Platform | None = None) -> str:
    """The sentence of an error."""
    with pytest.raises((NotFoundError, FormatError)) as caught:
        analysed(path, reference, platform)
    message = str(caught.value)
    assert message.endswith(".")
    assert not message.endswith("..")
    assert "\n" not in message
    return message


def assert_is_the_image(analysis: Analysis, expected: Made) -> None:
    assert analysis.problems == ()
    assert analysis.image.id == expected.id
    assert analysis.image.diff_ids == tuple(layer.diff_id for layer in expected.layers)
    assert analysis.image.platform == HOST
    assert [layer.history.created_by for layer in analysis.image.layers if layer.history] == [
        "step 1",
        "step 2",
        "step 3",
    ]
    found = [[path for path in layer if path != "stargz.index.json"] for layer in paths(analysis)]
    assert found == [["etc", "etc/a", "etc/b", "etc/l"], ["etc/a", "etc/c"], ["etc/b", "[slug].js"]]
    wasted = {wasted.path: (wasted.dead, str(wasted.cause)) for wasted in analysis.waste.paths}
    table = wasted.pop(b"stargz.index.json", (0, ""))[0]
    assert wasted == {b"etc/a": (1000, "removed"), b"etc/b": (500, "overwritten")}
    assert analysis.waste.dead == 1500 + table
    assert analysis.size == analysis.waste.live + analysis.waste.dead


# -- every kind ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", made.FORMS)
@pytest.mark.parametrize("packing", ["", "tar", "tar.gz", "tar.zst", "tar.xz"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_in_every_packing(
    tmp_path: Path, kind: str, packing: str, form: Callable[[bytes], Blob]
) -> None:
    expected = image(form)
    path = write(tmp_path / ".".join(filter(None, ["image", packing])), KINDS[kind](expected))
    analysis = analysed(path)
    assert_is_the_image(analysis, expected)
    assert analysis.image.references[0].endswith("test:latest")
    for layer, index, stored in zip(
        analysis.image.layers, analysis.overlay.layers, expected.layers, strict=True
    ):
        assert layer.digest in (None, stored.digest)
        assert index.digest in (None, stored.digest)
        assert index.diff_id in (None, stored.diff_id)
        if form is made.plain:
            assert (layer.compressed_size, index.compressed_size) == (None, None)
        else:
            assert layer.compressed_size in (None, len(stored.data))
            assert (index.compressed_size, index.digest) == (len(stored.data), stored.digest)


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        (kind, form)
        for kind in ("docker-archive", "oci-archive", "oci")
        for form in (made.plain, made.gzipped, made.zstandard)
        if (kind, form) != ("docker-archive", made.zstandard)  # there is no such for skopeo
    ],
)
def test_what_skopeo_writes(tmp_path: Path, kind: str, form: Callable[[bytes], Blob]) -> None:
    expected = image(form)
    layout = write(tmp_path / "from", made.oci(expected))
    target = tmp_path / ("image" if kind == "oci" else "image.tar")
    done = subprocess.run(
        [
            *(require_tool("skopeo"), "--insecure-policy", "copy"),
            *(f"oci:{layout}:latest", f"{kind}:{target}:test:latest"),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    analysis = analysed(target)
    assert_is_the_image(analysis, expected)
    assert analysis.image.references == (("docker.io/library/" if kind[0] == "d" else "") + "test:latest",)


def test_a_plain_layer_that_its_manifest_calls_compressed(tmp_path: Path) -> None:
    """So skopeo writes them, in docker-archive to oci."""
    lying = tuple(replace(layer, form="+gzip") for layer in image().layers)
    for name in ("folder", "image.tar"):
        analysis = analysed(write(tmp_path / name, made.oci(replace(image(), layers=lying))))
        assert [layer.compressed_size for layer in analysis.image.layers] == [None] * 3
        assert analysis.problems == ()


@pytest.mark.parametrize(("name", "form"), [("image.tar", made.plain), ("image.tar.gz", made.gzipped)])
def test_layers_come_in_the_order_they_are_stored(
    tmp_path: Path, name: str, form: Callable[[bytes], Blob], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_KEPT", 0)
    members = made.kaniko(image(form))
    config, first, second, third, manifest = members
    stored = {key: members[key] for key in (third, first, manifest, config, second)}
    source = ArchiveSource(write(tmp_path / name, stored))
    assert [number for number, _ in source.index(source.find(None), Job())] == [3, 1, 2]
    assert_is_the_image(analyze(source, source.find(None)), image(form))
    source.close()


@pytest.mark.parametrize("name", ["folder", "image.tar", "image.tar.gz"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_that_is_used_twice(tmp_path: Path, kind: str, name: str) -> None:
    tars = [TARS[0], TARS[1], TARS[0]]
    analysis = analysed(write(tmp_path / name, KINDS[kind](image(made.gzipped, tars=tars))))
    assert analysis.problems == ()
    assert [layer.total for layer in analysis.overlay.layers] == [1500, 30, 1500]
    assert analysis.waste.dead == 1500


def test_old_layers_that_are_symlinks(tmp_path: Path) -> None:
    two = image(made.plain, "b:1", tars=[TARS[1], TARS[0]])  # its layers have ids of their own
    members = made.docker_save_old(image(made.plain, "a:1"), two)
    assert sum(isinstance(data, Link) for data in members.values()) == 2
    for name in ("folder", "image.tar", "image.tar.gz"):
        path = write(tmp_path / name, members)
        assert [layer.total for layer in analysed(path, "b:1").overlay.layers] == [30, 1500]
        assert_is_the_image(analysed(path, "a:1"), image())


def test_links_that_lead_nowhere_or_in_circles(tmp_path: Path) -> None:
    members = made.podman(image())
    first, second, third = [name for name in members if name.endswith(".tar") and "/" not in name]
    members[first], members[second], members[third] = Link(second), Link(first), Link("/etc/passwd")
    for name in ("folder", "image.tar", "image.tar.gz"):
        analysis = analysed(write(tmp_path / name, members))
        assert len(messages(analysis)) == 3
        assert all("not in the archive" in message for message in messages(analysis))


def test_an_image_of_no_layers(tmp_path: Path) -> None:
    for kind, members in KINDS.items():
        empty = Made((), architecture=HOST.architecture, extra={"history": [{"empty_layer": True}]})
        analysis = analysed(write(tmp_path / f"{kind}.tar", members(empty)))
        assert (analysis.size, analysis.waste.efficiency, analysis.problems) == (0, 1.0, ())
        assert analysis.image.layers == ()


def test_layers_of_nothing(tmp_path: Path) -> None:
    nothing = image(tars=[bytes(1024), layer_tar([])])
    for name in ("folder", "image.tar", "image.tar.gz"):
        analysis = analysed(write(tmp_path / name, made.docker_save_old(nothing)))
        assert (analysis.size, analysis.problems) == (0, ())


# -- which image --------------------------------------------------------------------------------------


@pytest.fixture(params=["folder", "image.tar", "image.tar.gz"])
def several(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    one = image(made.gzipped, "one:1", "localhost:5000/team/one:latest")
    two = image(made.plain, "two:2", tars=TARS[:2])
    bare = Made((made.plain(TARS[1]),), (), architecture=HOST.architecture)
    return write(tmp_path / str(request.param), made.docker_save_new(one, two, bare))


@pytest.mark.parametrize(
    ("reference", "layers"),
    [
        ("one:1", 3),
        ("docker.io/library/one:1", 3),
        ("localhost:5000/team/one:latest", 3),
        ("localhost:5000/team/one", 3),
        ("two:2", 2),
        ("2", 2),
        ("latest", 3),
        ("@0", 3),
        ("@1", 2),
        ("@2", 1),
        (None, 3),
    ],
)
def test_an_image_by_name_tag_or_place(several: Path, reference: str | None, layers: int) -> None:
    analysis = analysed(several, reference)
    assert len(analysis.image.layers) == layers
    assert analysis.problems == ()


def test_an_image_by_its_id(several: Path) -> None:
    bare = Made((made.plain(TARS[1]),), (), architecture=HOST.architecture)
    for reference in (bare.id, made.encoded(bare.id), made.encoded(bare.id)[:12]):
        assert analysed(several, reference).image.id == bare.id


def test_what_is_there_is_listed(several: Path) -> None:
    message = refusal(several, "three:1")
    assert "no image 'three:1'" in message
    bare = Made((made.plain(TARS[1]),), (), architecture=HOST.architecture)
    for name in ("one:1", "localhost:5000/team/one:latest", "two:2", made.encoded(bare.id)[:12]):
        assert name in message
    assert "'@3'" in refusal(several, "@3")


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    images = [Made((), (f"image:{number}",)) for number in range(50)]
    message = refusal(write(tmp_path / "image.tar", made.kaniko(*images)), "no:1")
    assert "image:19" in message
    assert message.endswith("image:19 and 30 more.")


def multi_platform(*, host: bool = True) -> Members:
    """What buildx writes for several platforms: an index in the index, each with an attestation."""
    layout = Layout()
    kinds = [("linux", FOREIGN, ""), ("linux", "arm", "v7"), ("windows", "amd64", "")]
    if host:
        kinds.insert(1, ("linux", HOST.architecture, HOST.variant))
    platforms = [
        layout.image(Made((made.gzipped(TARS[0]),) * number, (), *kind), platform=True)
        for number, kind in enumerate(kinds, 1)
    ]
    inner = layout.index(*platforms, *map(layout.attestation, platforms))
    return layout.members(named(inner, "multi:1"))


@pytest.mark.parametrize("name", ["folder", "image.tar", "image.tar.gz"])
def test_the_platform_of_the_host_or_another(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, multi_platform())
    for reference in (None, "multi:1", "1"):
        found = analysed(path, reference)
        assert (len(found.image.layers), found.image.platform) == (2, HOST)
        assert found.problems == ()
    for text, layers in {
        f"linux/{FOREIGN}": 1,
        "linux/arm/v7": 3,
        "linux/arm": 3,
        "windows/amd64": 4,
    }.items():
        assert len(analysed(path, "multi:1", Platform.parse(text)).image.layers) == layers
    message = refusal(path, "multi:1", Platform.parse("linux/riscv64"))
    assert "linux/riscv64" in message
    assert all(text in message for text in (f"linux/{FOREIGN}", "linux/arm/v7", "windows/amd64", str(HOST)))
    assert "unknown" not in message  # an attestation is no platform


def test_no_image_for_the_host(tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "folder", multi_platform(host=False)))
    assert str(HOST) in message
    assert "--platform" in message


def test_the_only_image_needs_no_platform(tmp_path: Path) -> None:
    path = write(tmp_path / "image.tar", made.oci(Made((), architecture=FOREIGN)))
    assert analysed(path).image.platform == Platform("linux", FOREIGN)
    assert str(HOST) in refusal(path, None, HOST)


def test_the_first_of_several_on_the_platform_of_the_host(tmp_path: Path) -> None:
    layout = Layout()
    foreign = layout.image(Made((), (), architecture=FOREIGN), platform=True)
    here = layout.image(image(), platform=True)
    other = layout.image(image(tars=TARS[:1]), platform=True)
    first = layout.index(foreign, here)
    path = write(tmp_path / "image.tar", layout.members(named(first, "first:1"), named(other, "other:1")))
    assert len(analysed(path).image.layers) == 3


def test_artifacts_are_no_images(tmp_path: Path) -> None:
    layout = Layout()
    chart = named(layout.artifact(), "chart:1")
    path = write(tmp_path / "image.tar", layout.members(chart))
    assert "application/vnd.cncf.helm.config.v1+json" in refusal(path)
    path = write(tmp_path / "both.tar", layout.members(chart, named(layout.image(image()), "image:1")))
    assert len(analysed(path).image.layers) == 3
    assert "artifact" in refusal(path, "chart:1")


def test_an_empty_layout(tmp_path: Path) -> None:
    path = write(tmp_path / "folder", Layout().members())
    assert refusal(path) == f"There is no image in oci:{path}: it is empty."


# -- damaged and missing ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["folder", "image.tar", "image.tar.gz"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_that_is_missing(tmp_path: Path, kind: str, name: str) -> None:
    members = KINDS[kind](image(made.gzipped))
    # the second one's data, whatever it is called
    gone = next(key for key, data in members.items() if data == image(made.gzipped).layers[1].data)
    del members[gone]
    analysis = analysed(write(tmp_path / name, members))
    [problem] = analysis.problems
    assert (problem.layer, problem.offset) == (2, None)
    assert problem.message == f"the layer's data ({gone}) is not in the archive"
    assert paths(analysis)[1] == []
    assert analysis.size == 2002


@pytest.mark.parametrize("name", ["folder", "image.tar", "image.tar.gz"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_config_that_is_missing(tmp_path: Path, kind: str, name: str) -> None:
    members = KINDS[kind](image())
    gone = next(key for key, data in members.items() if data == image().config)
    del members[gone]
    message = refusal(write(tmp_path / name, members))
    assert "test:latest: its config" in message or "latest: its config" in message
    assert made.encoded(image().id) in message or gone in message


@pytest.mark.parametrize("kind", ["kaniko", "oci"])
def test_a_broken_image_spares_the_others(tmp_path: Path, kind: str) -> None:
    write_both: Callable[..., Members] = made.kaniko if kind == "kaniko" else made.oci
    broken, sound = image(made.plain, "broken:1", tars=TARS[:1]), image(made.plain, "sound:1")
    members = write_both(broken, sound)
    config = next(key for key, data in members.items() if data == broken.config)
    for bad in (None, b"{", b"[]", b'{"rootfs": 5}', b'{"rootfs": {"diff_ids": [1]}}'):
        changed = {key: data for key, data in members.items() if key != config}
        if bad is not None:
            changed[config] = bad
        path = write(tmp_path / f"{hash(bad)}.tar", changed)
        assert_is_the_image(analysed(path, "sound:1"), image())
        assert "no image 'broken:1'" in refusal(path, "broken:1")


@pytest.mark.parametrize("form", [made.gzipped, made.zstandard])
@pytest.mark.parametrize("name", ["folder", "image.tar", "image.tar.gz"])
def test_a_digest_that_does_not_fit(tmp_path: Path, name: str, form: Callable[[bytes], Blob]) -> None:
    expected = image(form)
    other = form(TARS[1] + bytes(512))
    members = made.oci(expected)
    members[f"blobs/sha256/{made.encoded(expected.layers[1].digest)}"] = other.data
    [problem] = analysed(write(tmp_path / name, members)).problems
    assert problem.layer == 2
    assert other.diff_id in problem.message
    assert expected.layers[1].diff_id in problem.message


def test_a_config_or_manifest_whose_digest_does_not_fit(tmp_path: Path) -> None:
    members = made.oci(image())
    for key, data in list(members.items()):
        if isinstance(data, bytes) and key.startswith("blobs/") and data.startswith(b"{"):
            members[key] = data + b" "
    found = messages(analysed(write(tmp_path / "image.tar", members)))
    assert len(found) == 2
    assert "manifest's content does not have the digest" in found[0]
    assert "config's digest is" in found[1]


@pytest.mark.parametrize("name", ["folder", "image.tar", "image.tar.gz"])
def test_a_layer_that_is_cut(tmp_path: Path, name: str) -> None:
    expected = image(made.gzipped)
    members = made.oci(expected)
    key = f"blobs/sha256/{made.encoded(expected.layers[0].digest)}"
    members[key] = expected.layers[0].data[:-40]
    analysis = analysed(write(tmp_path / name, members))
    [problem] = analysis.problems
    assert problem.layer == 1
    assert "the gzip stream ends early" in problem.message
    assert paths(analysis)[0][:2] == ["etc", "etc/a"]


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
@pytest.mark.parametrize("form", made.FORMS)
def test_digests_of_a_layer_that_is_read_whole(form: Callable[[bytes], Blob], size: int) -> None:
    """The tar may be broken: its digests are still those of all its bytes, read in whatever pieces."""
    sound = form(TARS[0])
    broken = bytearray(TARS[0])
    broken[1000] ^= 1
    for layer in (sound, form(bytes(broken)) if form is not made.estargz else sound):
        chunks = (layer.data[at : at + size] for at in range(0, len(layer.data), size))
        index = blobs_module.index_blob(chunks, Job())
        assert (index.diff_id, index.digest) == (layer.diff_id, layer.digest)
        assert index.compressed_size == (len(layer.data) if layer.form else None)
        assert bool(index.problems) == (layer is not sound)
    index = blobs_module.index_blob([sound.data[:-9]], Job())
    assert index.digest == made.digest(sound.data[:-9])
    if sound.form == "+gzip":  # what it unpacks to is not known then
        assert index.diff_id is None


def test_a_bomb_can_be_left(tmp_path: Path) -> None:
    job = Job()
    chunks = iter([made.gzipped(bytes(64 << 20)).data])
    job.cancel()
    with pytest.raises(CancelledError):
        blobs_module.index_blob(chunks, job)


@pytest.mark.parametrize("name", ["folder", "image.tar", "image.tar.gz"])
def test_a_layer_that_is_no_layer(tmp_path: Path, name: str) -> None:
    members = made.kaniko(image())
    key = next(key for key in members if key.endswith(".gz"))
    for number, data in enumerate((b"", b"x", os.urandom(3000), b'{"json": true}')):
        (tmp_path / str(number)).mkdir()
        analysis = analysed(write(tmp_path / str(number) / name, members | {key: data}))
        assert [problem.layer for problem in analysis.problems] == [1]
        assert analysis.size == 532


def test_an_archive_that_is_cut(tmp_path: Path) -> None:
    """manifest.json comes last: without it nothing is known. With it first, what is there is shown."""
    members = made.kaniko(image())
    whole = made.pack(members)
    path = tmp_path / "image.tar"
    path.write_bytes(whole[:5000])
    message = refusal(path)
    assert message.startswith(f"{path} is damaged: ")
    assert "at byte" in message
    first = {"manifest.json": members["manifest.json"], image().id: members[image().id]}
    whole = made.pack(first | members).rstrip(b"\0")
    for cut in range(3000, len(whole), 700):
        for form in (bytes, gzip.compress):
            path.write_bytes(form(whole[:cut]))
            analysis = analysed(path)
            assert analysis.problems
            assert any("of the archive)" in message for message in messages(analysis))
    path.write_bytes(gzip.compress(whole)[:-30])
    assert any("gzip stream ends early" in message for message in messages(analysed(path)))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"{}", "no list of images"),
        (b"[5]", "no object"),
        (b'[{"Layers": {}}]', "'layers' that is no list"),
        (b"[" * 100_000, "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (b"[" + b" " * (5 << 20) + b"]", "the limit is"),
    ],
)
def test_a_manifest_that_is_none(tmp_path: Path, document: bytes, reason: str) -> None:
    for name in ("folder", "image.tar", "image.tar.gz"):
        assert reason in refusal(write(tmp_path / name, {"manifest.json": document}))


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    assert "neither manifest.json nor index.json" in refusal(
        write(tmp_path / "other.tar", {"src/main.c": b"int main;"})
    )
    assert "older than Docker 1.10" in refusal(write(tmp_path / "old.tar", {"repositories": b"{}"}))


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a\0b", "\udc80", "n" * 300, "", ".", "x/.."])
def test_names_that_lead_out_or_are_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_bytes(TARS[0])
    config = image().config
    manifest = json.dumps([{"Config": "config.json", "Layers": [name, name, name]}]).encode()
    for where in ("folder", "image.tar", "image.tar.gz"):
        path = write(tmp_path / where, {"config.json": config, "manifest.json": manifest})
        analysis = analysed(path)
        assert [problem.layer for problem in analysis.problems] == [1, 2, 3]
        assert analysis.size == 0
    (tmp_path / "folder/manifest.json").write_text(json.dumps([{"Config": name}]))
    assert "its config" in refusal(tmp_path / "folder") or "cannot be read" in refusal(tmp_path / "folder")


def test_many_files_are_not_open_at_once(tmp_path: Path) -> None:
    images = [
        image(made.plain, f"x:{number}", tars=[layer_tar([file(f"{number}", b"x")])]) for number in range(50)
    ]
    source = ArchiveSource(write(tmp_path / "folder", made.oci(*images)))
    before = len(os.listdir("/dev/fd"))
    for found in next(iter(source.images(Job()))):
        assert analyze(source, found).problems == ()
    assert len(os.listdir("/dev/fd")) == before
    source.close()


def test_documents_of_a_stream_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs_module, "KEPT_LIMIT", 10_000)
    members = made.kaniko(image())
    assert_is_the_image(analysed(write(tmp_path / "image.tar.gz", members)), image())
    many: Members = {f"{number}.json": b"{" + b" " * 900 for number in range(20)}
    assert "more than 10000 bytes" in refusal(write(tmp_path / "many.tar.gz", many | members))


# -- layers that are read once ------------------------------------------------------------------------


def reports(path: Path, *, fresh: bool) -> list[dict[str, object]]:
    """What is said of every image, and the bytes that were read for it, by one source or by one each."""
    found = []
    source = ArchiveSource(path)
    for image in source.found.images:
        if fresh:
            source.close()
            source = ArchiveSource(path)
        job = Job()
        report = analysis_json(analyze(source, image, job), "", "")
        found.append({**report, "read": job.done})
    source.close()
    return found


@pytest.mark.parametrize("name", ["folder", "image.tar", "image.tar.gz"])
@pytest.mark.parametrize(
    "kind", [made.docker_save_old, made.docker_save_new, made.kaniko, made.podman, made.oci]
)
def test_a_layer_that_images_share_is_read_once(
    tmp_path: Path, kind: Callable[..., Members], name: str
) -> None:
    images = [image(made.gzipped, "all:1"), image(made.gzipped, "two:1", tars=TARS[:2])]
    path = write(tmp_path / name, kind(*images))
    together, apart = (reports(path, fresh=fresh) for fresh in (False, True))
    once, again = [report.pop("read") for report in together], [report.pop("read") for report in apart]
    if name == "image.tar.gz":  # it was read when it was opened
        assert once == again == [0, 0]
    else:
        assert once == [again[0], 0]
        assert again[1] != 0
    assert together == apart


@pytest.mark.parametrize("name", ["folder", "image.tar", "image.tar.gz"])
def test_what_is_wrong_with_a_layer_is_said_of_each_image_by_itself(tmp_path: Path, name: str) -> None:
    right, wrong = image(made.gzipped, "right:1"), image(made.gzipped, "wrong:1")
    other = replace(wrong.layers[1], tar=b"what the config says, and the layer is not")
    wrong = replace(wrong, layers=(wrong.layers[0], other, wrong.layers[2]))
    for images in ([right, wrong], [wrong, right]):
        folder = tmp_path / images[0].names[0]
        folder.mkdir()
        path = write(folder / name, made.oci(*images))
        found = {str(report["problems"]): report["id"] for report in reports(path, fresh=False)}
        assert found.pop("[]") == right.id
        [(problem, identifier)] = found.items()
        assert identifier == wrong.id
        assert other.diff_id in problem


def test_a_damaged_layer_is_said_to_be_damaged_each_time(tmp_path: Path) -> None:
    images = [image(made.gzipped, "a:1"), image(made.gzipped, "b:1", tars=TARS[:2])]
    members = made.oci(*images)
    key = f"blobs/sha256/{made.encoded(images[0].layers[0].digest)}"
    members[key] = images[0].layers[0].data[:-40]
    for name in ("folder", "image.tar", "image.tar.gz"):
        path = write(tmp_path / name, members)
        problems = [report["problems"] for report in reports(path, fresh=False)]
        assert problems[0] == problems[1] != []


def test_a_folder_that_changes_is_read_anew(tmp_path: Path) -> None:
    members = made.podman(image())
    path = write(tmp_path / "folder", members)
    source = ArchiveSource(path)
    assert [layer.total for layer in analyze(source, source.find(None)).overlay.layers] == [1500, 30, 502]
    first = next(name for name, data in members.items() if data == TARS[0])
    (path / first).write_bytes(TARS[1])
    [[found]] = source.images(Job())
    assert [layer.total for layer in analyze(source, found).overlay.layers] == [30, 30, 502]
    source.close()


def test_no_more_is_kept_than_may_be() -> None:
    def index(entries: int) -> LayerIndex:
        index = LayerIndex()
        for number in range(entries):
            index.add(b"%d" % number, Kind.FILE)
        return index

    recent = Recent(100)
    for number in range(50):
        recent.put(str(number), index(24))
        assert recent.get("0" if number < 4 else str(number - 1)) is not None
    kept = {name for name in map(str, range(50)) if recent.get(name)}
    assert len(kept) == 4
    assert "49" in kept
    recent.put("49", index(1000))
    assert recent.get("49") is None
    recent.put("a", index(99))
    assert len(recent.get("a") or ()) == 99
    recent.clear()
    assert recent.get("a") is None


# -- the job ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["folder", "image.tar", "image.tar.gz"])
def test_progress_and_cancellation(tmp_path: Path, name: str) -> None:
    told: list[tuple[int, int | None]] = []
    job = Job(lambda done, total: told.append((done, total)))
    # a compressed archive is read when it is opened
    source = ArchiveSource(write(tmp_path / name, made.oci(image(made.gzipped))), job=job)
    analyze(source, source.find(None), job)
    assert told
    done, total = told[-1]
    assert total is not None
    assert done > 0
    job = Job()
    job.cancel()
    with pytest.raises(CancelledError):
        analyze(source, source.find(None), job)
    source.close()


def test_what_it_is_called(tmp_path: Path) -> None:
    for name, members, label in (
        ("folder", made.oci(image()), "oci"),
        ("save.tar", made.docker_save_new(image()), "docker-archive"),
        ("save.tar.gz", made.kaniko(image()), "docker-archive"),
        ("oci.tar", made.oci(image()), "oci-archive"),
    ):
        source = ArchiveSource(write(tmp_path / name, members))
        assert source.label == f"{label}:{tmp_path / name}"
        source.close()
