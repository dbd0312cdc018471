"""Docker's and OCI's JSON, as their writers write it and as nobody should."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgscope.errors import FormatError, ImgscopeError, LimitError, NotFoundError
from imgscope.images import manifest
from imgscope.images.manifest import Found, blob_name, check, image_from_config, parse, read_archive
from imgscope.images.model import Platform
from tests.support import archives as made
from tests.support.archives import Layout, Made, Members, named

ONE = Made((made.plain(b"one"), made.gzipped(b"two")), ("one:1", "one:latest"))


def found_in(members: Members) -> Found:
    def read(name: str) -> bytes:
        data = members.get(name)
        if not isinstance(data, bytes):
            raise NotFoundError(f"There is no {name!r}.")
        return data

    return read_archive(frozenset(members), read, "the test")


def config_with(**changes: Any) -> bytes:
    return made.document({**json.loads(ONE.config), **changes})


# -- configs ------------------------------------------------------------------------------------------


def test_an_image_of_its_config() -> None:
    image = image_from_config(ONE.config, identifier=ONE.id, references=ONE.names)
    assert image.id == ONE.id
    assert image.references == ("one:1", "one:latest")
    assert image.diff_ids == tuple(layer.diff_id for layer in ONE.layers)
    assert [layer.index for layer in image.layers] == [1, 2]
    assert [layer.history and layer.history.created_by for layer in image.layers] == ["step 1", "step 2"]
    assert image.config == {"Cmd": ["sh"]}
    assert image.problems == ()


def test_steps_that_make_no_layer() -> None:
    steps = [
        {"created_by": "ADD a", "created": "2024-01-01T00:00:00Z", "comment": "first"},
        {"created_by": "ENV x=y", "empty_layer": True},
        {"created_by": "RUN b"},
    ]
    image = image_from_config(config_with(history=steps))
    assert [layer.history and layer.history.created_by for layer in image.layers] == ["ADD a", "RUN b"]
    assert [step.empty_layer for step in image.history] == [False, True, False]
    assert image.history[0].created == "2024-01-01T00:00:00Z"
    assert image.history[0].comment == "first"


def test_what_does_not_fit_is_told() -> None:
    [problem] = image_from_config(ONE.config, identifier="sha256:" + "0" * 64).problems
    assert ONE.id in problem
    [problem] = image_from_config(config_with(history=[{"created_by": "only one"}])).problems
    assert "history" in problem
    blob = image_from_config(ONE.config).layers[:1]
    [problem] = image_from_config(ONE.config, blobs=blob).problems
    assert "1 layers" in problem
    assert "2 diff IDs" in problem


@pytest.mark.parametrize("history", [None, [], "missing"])
def test_an_image_that_has_no_history(history: object) -> None:
    config = json.loads(ONE.config)
    config["history"] = history
    if history == "missing":
        del config["history"]
    image = image_from_config(made.document(config))
    assert [layer.history for layer in image.layers] == [None, None]
    assert image.problems == ()


@pytest.mark.parametrize(
    ("told", "platform"),
    [
        ({"os": "linux", "architecture": "arm", "variant": "v7"}, "linux/arm/v7"),
        ({"os": "linux", "architecture": "arm64", "variant": "v8"}, "linux/arm64"),
        ({"os": "windows", "architecture": "amd64"}, "windows/amd64"),
        ({"os": None, "architecture": ""}, "linux/unknown"),
        ({"os": "\x1b[31mred", "architecture": "amd64\n"}, "unknown/unknown"),
        ({"os": 5, "architecture": ["amd64"]}, "linux/unknown"),
    ],
)
def test_platforms(told: dict[str, object], platform: str) -> None:
    assert str(image_from_config(config_with(**told)).platform) == platform


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rootfs": []}, "'rootfs' that is no object"),
        ({"rootfs": {"diff_ids": {}}}, "'diff_ids' that is no list"),
        ({"rootfs": {"diff_ids": [None]}}, "a diff ID that is no text"),
        ({"history": {}}, "'history' that is no list"),
    ],
)
def test_configs_that_are_none(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        image_from_config(config_with(**changes))


def test_documents() -> None:
    assert parse(b'{"a": 1}', "it") == {"a": 1}
    for data in (b"", b"{", b"nonsense", b"\xff", b"[" * 10**6, b'{"a": ' + b"1" * 5000 + b"}"):
        with pytest.raises(FormatError, match="it is not valid JSON"):
            parse(data, "it")
    for data in (b"[]", b"1", b"null", b'"text"'):
        with pytest.raises(FormatError, match="it is no JSON object"):
            parse(data, "it")
    with pytest.raises(LimitError, match=str(manifest.DOCUMENT_LIMIT)):
        parse(b" " * (manifest.DOCUMENT_LIMIT + 1), "it")


# -- digests ------------------------------------------------------------------------------------------


def test_digests() -> None:
    assert check(b"data", made.digest(b"data"), "blob") == ()
    assert check(b"data", "sha512:" + hashlib.sha512(b"data").hexdigest(), "blob") == ()
    assert "does not have the digest" in check(b"data", made.digest(b"other"), "blob")[0]
    assert "cannot be checked" in check(b"data", "md5:" + "0" * 32, "blob")[0]


def test_where_a_digest_is_kept() -> None:
    assert blob_name("sha256:" + "a" * 64) == "blobs/sha256/" + "a" * 64
    assert blob_name("sha512:" + "a" * 128) == "blobs/sha512/" + "a" * 128
    for text in (
        "",
        "sha256:",
        "a" * 64,
        "sha256:../../etc/passwd",
        "../x:" + "a" * 64,
        "sha256:" + "a/" * 40,
    ):
        assert blob_name(text) is None


# -- manifest.json ------------------------------------------------------------------------------------


def test_docker_manifests() -> None:
    [image] = found_in(made.docker_save_old(ONE)).images
    assert image.references == ("one:1", "one:latest")
    assert [layer.blob.endswith("/layer.tar") for layer in image.layers] == [True, True]
    assert [layer.digest for layer in image.layers] == [None, None]


def test_an_image_without_a_name() -> None:
    [image] = found_in(made.docker_save_old(Made(ONE.layers, ()))).images
    assert image.references == ()
    assert image.name == made.encoded(image.id)[:12]


def test_newer_archives_have_both_forms() -> None:
    [image] = found_in(made.docker_save_new(ONE)).images
    assert image.references == ("one:1", "one:latest")
    assert [layer.digest for layer in image.layers] == [layer.digest for layer in ONE.layers]
    assert [layer.compressed_size for layer in image.layers] == [None, len(ONE.layers[1].data)]
    assert image.manifest_digest is not None


def test_what_only_the_layout_has_is_there_too() -> None:
    layout = Layout()
    described = [named(layout.image(Made(ONE.layers[:1], ())), "two:2"), layout.image(ONE)]
    members = {**made.docker_save_new(ONE), **layout.members(*described)}
    assert [image.references for image in found_in(members).images] == [("one:1", "one:latest"), ("two:2",)]


def test_one_config_listed_twice_is_one_image() -> None:
    again = Made(ONE.layers, ("other:1",))
    for members in (made.kaniko(ONE, again), made.oci(ONE, again), made.docker_save_new(ONE, again)):
        [image] = found_in(members).images
        assert image.references == ("one:1", "one:latest", "other:1")


def test_keys_in_lower_case_and_names_with_a_dot() -> None:
    members = made.jib(ONE)
    document = json.loads(members["manifest.json"])  # type: ignore[arg-type]
    document[0]["config"] = "./config.json"
    members["manifest.json"] = made.document(document)
    [image] = found_in(members).images
    assert image.id == ONE.id
    assert image.problems == ()


def test_the_parent_that_old_engines_tell() -> None:
    members = made.docker_save_old(ONE)
    document = json.loads(members["manifest.json"])  # type: ignore[arg-type]
    document[0]["Parent"] = "sha256:" + "0" * 64
    [image] = found_in({**members, "manifest.json": made.document(document)}).images
    assert image.parent == "sha256:" + "0" * 64


# -- index.json ---------------------------------------------------------------------------------------


def test_a_reference_of_an_index_is_that_of_its_manifests() -> None:
    layout = Layout()
    manifests = [
        layout.image(Made(ONE.layers, (), "linux", name), platform=True) for name in ("amd64", "arm64")
    ]
    found = found_in(layout.members(named(layout.index(layout.index(*manifests)), "multi:1")))
    assert [(image.references, str(image.platform)) for image in found.images] == [
        (("multi:1",), "linux/amd64"),
        (("multi:1",), "linux/arm64"),
    ]


def test_the_descriptor_knows_the_platform_best() -> None:
    layout = Layout()
    described = layout.image(ONE)
    for told, platform in (
        ({"os": "linux", "architecture": "arm", "variant": "v6"}, Platform("linux", "arm", "v6")),
        ({"os": "unknown", "architecture": "unknown"}, Platform("linux", "amd64")),
        (None, Platform("linux", "amd64")),
    ):
        [image] = found_in(layout.members({**described, "platform": told})).images
        assert image.platform == platform


def test_attestations_are_left_out() -> None:
    layout = Layout()
    described = layout.image(ONE, platform=True)
    found = found_in(layout.members(layout.index(described, layout.attestation(described))))
    assert len(found.images) == 1
    assert found.others == ()


def index_of(manifests: Sequence[object]) -> bytes:
    return made.document({"schemaVersion": 2, "manifests": manifests})


def test_an_index_that_holds_itself() -> None:
    """Its digest cannot be right, but who checks?"""
    name = "sha256:" + "1" * 64
    loop = index_of([{"digest": name}, {"digest": name, "annotations": {}}])
    found = found_in({"index.json": loop, "blobs/sha256/" + "1" * 64: loop})
    assert found.images == ()


def test_indexes_nested_without_end() -> None:
    members: Members = {}
    below = "sha256:" + "f" * 64
    for number in range(20):
        name = f"{number:064x}"
        members[f"blobs/sha256/{name}"] = index_of([{"digest": below}])
        below = f"sha256:{name}"
    with pytest.raises(LimitError, match=f"deeper than {manifest.NESTING_LIMIT}"):
        found_in({**members, "index.json": index_of([{"digest": below}])})


def test_more_manifests_than_anyone_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "MANIFEST_LIMIT", 5)
    layout = Layout()
    described = layout.image(ONE)
    found = found_in(layout.members(*(named(described, f"name:{number}") for number in range(50))))
    [image] = found.images
    assert len(image.references) == 5
    [other] = found.others
    assert "more than 5 manifests" in other


def test_what_is_no_image_is_said_to_be_none() -> None:
    layout = Layout()
    gone = {"digest": "sha256:" + "0" * 64}
    found = found_in(
        layout.members(named(layout.artifact(), "chart:1"), named(gone, "gone:1"), {"digest": "what"}, gone)
    )
    assert found.images == ()
    assert [text.partition(": ")[0] for text in found.others] == [
        "chart:1",
        "gone:1",
        "a manifest",
        gone["digest"],
    ]


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"manifests": {}}, "'manifests' that is no list"),
        ([], "no JSON object"),
        ({"manifests": [{"digest": "sha256:" + "1" * 64}]}, "no JSON object"),
    ],
)
def test_an_index_that_is_none(document: object, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        found_in({"index.json": made.document(document), "blobs/sha256/" + "1" * 64: b"[1]"})


@pytest.mark.parametrize("layers", [[5], {}, ["text"]])
def test_a_manifest_whose_layers_are_none(layers: object) -> None:
    layout = Layout()
    config = layout.blob(ONE.config, made.CONFIG)
    broken = layout.blob(made.document({"config": config, "layers": layers}), made.MANIFEST)
    with pytest.raises(FormatError, match="layer"):
        found_in(layout.members(broken))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from([ONE.id, "config.json"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("Config", "config", "Layers", "layers", "RepoTags", "manifests", "digest", "mediaType"),
                    *(
                        "annotations",
                        "platform",
                        "os",
                        "size",
                        "rootfs",
                        "diff_ids",
                        "history",
                        "empty_layer",
                    ),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON, JSON, JSON)
@settings(max_examples=300)
def test_no_json_breaks_it(top: object, index: object, config: object) -> None:
    name = f"blobs/sha256/{made.encoded(ONE.id)}"
    for members in (
        {"manifest.json": top, "config.json": config, name: config},
        {"index.json": index, name: config},
        {"manifest.json": top, "index.json": index, "config.json": config, name: config},
        {
            "manifest.json": [{"Config": "config.json", "Layers": top, "RepoTags": index}],
            "config.json": config,
        },
        {
            "index.json": {"manifests": [{"digest": ONE.id, "platform": top}]},
            name: {"config": {"digest": ONE.id}},
        },
    ):
        documents: Members = {key: made.document(value) for key, value in members.items()}
        with suppress(ImgscopeError):
            ids = {made.digest(data) for data in documents.values() if isinstance(data, bytes)}
            assert {image.id for image in found_in(documents).images} <= ids
