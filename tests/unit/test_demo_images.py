"""The demo images: sound as an OCI layout, the same bytes everywhere, and shaped as the notes say.

They are read here with json and tarfile alone, so that nothing of imgscope's own readers is trusted.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from imgscope.sources.demo import layout as maker
from tests.support.needs import require_tool

# Of index.json, and through its digests of every blob: the bytes are the same on every Python and host.
# A wanted change of the images changes it; then put the new one here.
INDEX_SHA256 = "a91c9002f6f311456fa4861a911870cb1745411d155a02cbf8c4950e4729afd1"

REFERENCES = [
    "debian:a",
    "ruby:b",
    "golang:c",
    "rails-4.2:d",
    "rails-3.2:e",
    "bigfile:latest",
    "simple-node:case-1",
    "simple-node:case-2",
    "kuard:blue",
]
LISTS = "var/lib/apt/lists"
PACKAGES = f"{LISTS}/deb.debian.org_debian_dists_bookworm_main_binary-amd64_Packages"


@dataclass(frozen=True)
class Made:
    """One image as read back from the layout."""

    manifest: dict[str, Any]
    config: dict[str, Any]
    layers: list[dict[str, tarfile.TarInfo]]  # per layer: path → header
    sha256: list[dict[str, str]]  # per layer: path of a file → digest of its content

    @property
    def diff_ids(self) -> list[str]:
        return list(self.config["rootfs"]["diff_ids"])

    def size(self, layer: int) -> int:
        """Bytes of file content in a layer, counted from 1."""
        return sum(entry.size for entry in self.layers[layer - 1].values())


def blob(folder: Path, digest: str) -> Path:
    return folder.joinpath("blobs", *digest.split(":"))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "new" / "layout"
    maker.write_layout(folder)
    return folder


@pytest.fixture(scope="module")
def images(layout: Path) -> dict[str, Made]:
    found = {}
    for descriptor in json.loads((layout / "index.json").read_bytes())["manifests"]:
        manifest = json.loads(blob(layout, descriptor["digest"]).read_bytes())
        layers, digests = [], []
        for layer in manifest["layers"]:
            with tarfile.open(blob(layout, layer["digest"]), "r:") as tar:
                members = tar.getmembers()
                entries = {member.name: member for member in members}
                assert len(entries) == len(members), "no path twice in one layer"
                layers.append(entries)
                read = {
                    member.name: file.read()
                    for member in members
                    if member.isreg() and (file := tar.extractfile(member))
                }
                digests.append({name: hashlib.sha256(data).hexdigest() for name, data in read.items()})
        name = descriptor["annotations"]["org.opencontainers.image.ref.name"]
        config = json.loads(blob(layout, manifest["config"]["digest"]).read_bytes())
        found[name] = Made(manifest, config, layers, digests)
    return found


# --- the layout ------------------------------------------------------------------------------------


def test_every_image_has_its_name_and_is_a_manifest_of_its_own(layout: Path, images: dict[str, Made]) -> None:
    index = json.loads((layout / "index.json").read_bytes())
    assert list(images) == REFERENCES
    assert len(index["manifests"]) == len(REFERENCES)
    for descriptor in index["manifests"]:
        assert descriptor["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
        assert "platform" not in descriptor  # nothing to choose by, whatever the host
    assert json.loads((layout / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_every_descriptor_tells_the_digest_and_size_of_its_blob(
    layout: Path, images: dict[str, Made]
) -> None:
    index = json.loads((layout / "index.json").read_bytes())
    descriptors = [*index["manifests"]]
    for image in images.values():
        descriptors += [image.manifest["config"], *image.manifest["layers"]]
    for descriptor in descriptors:
        data = blob(layout, descriptor["digest"]).read_bytes()
        assert descriptor["size"] == len(data)
        assert descriptor["digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
    stored = {f"sha256:{path.name}" for path in (layout / "blobs" / "sha256").iterdir()}
    assert stored == {descriptor["digest"] for descriptor in descriptors}, "no blob that nothing refers to"


def test_diff_ids_are_the_digests_of_the_plain_tars(layout: Path, images: dict[str, Made]) -> None:
    for image in images.values():
        plain = [blob(layout, layer["digest"]).read_bytes() for layer in image.manifest["layers"]]
        assert image.diff_ids == ["sha256:" + hashlib.sha256(data).hexdigest() for data in plain]
        assert {layer["mediaType"] for layer in image.manifest["layers"]} == {
            "application/vnd.oci.image.layer.v1.tar"
        }


def test_all_of_it_is_20_mb_at_most(layout: Path) -> None:
    assert sum(path.stat().st_size for path in layout.rglob("*") if path.is_file()) <= 20_000_000


# --- reproducible ----------------------------------------------------------------------------------


def test_index_digest_is_the_one_written_here(layout: Path) -> None:
    assert hashlib.sha256((layout / "index.json").read_bytes()).hexdigest() == INDEX_SHA256


@pytest.mark.parametrize(
    ("umask", "environment"),
    [
        (0o077, {"PYTHONHASHSEED": "1", "TZ": "Pacific/Auckland", "LC_ALL": "C"}),
        (0o002, {"PYTHONHASHSEED": "2", "TZ": "America/New_York", "LC_ALL": "C.UTF-8", "PYTHONUTF8": "0"}),
    ],
)
def test_same_bytes_under_another_umask_hash_seed_time_zone_and_locale(
    layout: Path, tmp_path: Path, umask: int, environment: dict[str, str]
) -> None:
    root = Path(maker.__file__).parents[3]
    subprocess.run(
        [sys.executable, "-m", "imgscope.sources.demo.layout", str(tmp_path / "other")],
        env={**os.environ, **environment, "PYTHONPATH": str(root)},
        umask=umask,
        check=True,
    )
    assert contents(tmp_path / "other") == contents(layout)


def test_writing_over_a_layout_changes_nothing(layout: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(layout, again)
    maker.write_layout(again)
    assert contents(again) == contents(layout)


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["{file}/below"]])
def test_the_command_refuses_what_it_cannot_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: Sequence[str]
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    assert maker.main([argument.format(file=file) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1


# --- configs and history ---------------------------------------------------------------------------


def test_history_has_one_step_per_layer(images: dict[str, Made]) -> None:
    for image in images.values():
        steps = [step for step in image.config["history"] if not step.get("empty_layer")]
        assert len(steps) == len(image.layers) == len(image.diff_ids)
        assert any(step.get("empty_layer") for step in image.config["history"])


def test_time_only_moves_on(images: dict[str, Made]) -> None:
    for image in images.values():
        steps = [datetime.fromisoformat(step["created"]) for step in image.config["history"]]
        assert steps == sorted(steps)
        assert datetime.fromisoformat(image.config["created"]) == steps[-1]
        assert {step.year for step in steps} <= {2025, 2026}
        layers = [
            datetime.fromisoformat(step["created"]).timestamp()
            for step in image.config["history"]
            if not step.get("empty_layer")
        ]
        for created, entries in zip(layers, image.layers, strict=True):
            assert max(entry.mtime for entry in entries.values()) <= created
        for earlier, later in itertools.pairwise(layers):
            assert earlier < later


def test_both_builders_write_the_history(images: dict[str, Made]) -> None:
    for name, image in images.items():
        classic = name.endswith((":a", ":b", ":c", ":d", ":e"))
        for step in image.config["history"]:
            assert step["created_by"].startswith("/bin/sh -c ") == classic
            assert (step.get("comment") == "buildkit.dockerfile.v0") != classic
            if not classic and re.match("RUN|COPY|ADD", step["created_by"]):
                assert step["created_by"].endswith(" # buildkit")


def test_configs_are_those_of_real_images(images: dict[str, Made]) -> None:
    for image in images.values():
        assert (image.config["os"], image.config["architecture"]) == ("linux", "amd64")
        assert any(variable.startswith("PATH=") for variable in image.config["config"]["Env"])
    node = images["simple-node:case-1"].config["config"]
    assert node == images["simple-node:case-2"].config["config"]
    assert (node["Cmd"], list(node["ExposedPorts"])) == (["npm", "start"], ["3000/tcp"])
    kuard = images["kuard:blue"].config["config"]
    assert (kuard["User"], list(kuard["ExposedPorts"])) == ("nobody:nobody", ["8080/tcp"])
    assert images["bigfile:latest"].config["config"]["Entrypoint"] == ["/usr/local/bin/server"]


# --- ancestry and sizes ----------------------------------------------------------------------------


def common(left: Made, right: Made) -> int:
    """How many layers two images share from the bottom."""
    pairs = zip(left.diff_ids, right.diff_ids, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


@pytest.mark.parametrize(
    ("parent", "child"),
    [
        ("debian:a", "ruby:b"),
        ("debian:a", "golang:c"),
        ("ruby:b", "rails-4.2:d"),
        ("ruby:b", "rails-3.2:e"),
    ],
)
def test_parent_is_a_strict_prefix_of_its_child(images: dict[str, Made], parent: str, child: str) -> None:
    below, above = images[parent], images[child]
    assert common(below, above) == len(below.diff_ids) < len(above.diff_ids)
    assert below.config["created"] < above.config["created"]
    assert above.config["history"][: len(below.config["history"])] == below.config["history"]


@pytest.mark.parametrize(
    ("left", "right", "shared"),
    [
        ("ruby:b", "golang:c", 1),
        ("rails-4.2:d", "rails-3.2:e", 2),
        ("simple-node:case-1", "simple-node:case-2", 3),  # a base without a name
        ("debian:a", "simple-node:case-1", 0),
        ("debian:a", "bigfile:latest", 0),
        ("debian:a", "kuard:blue", 0),
        ("bigfile:latest", "kuard:blue", 0),
    ],
)
def test_forks_share_their_base_and_nothing_else(
    images: dict[str, Made], left: str, right: str, shared: int
) -> None:
    assert common(images[left], images[right]) == shared
    assert len(set(images[left].diff_ids) & set(images[right].diff_ids)) == shared


def test_sizes_are_a_hundredth_of_the_notes(images: dict[str, Made]) -> None:
    assert images["debian:a"].size(1) == 1_670_000
    assert images["ruby:b"].size(2) == 1_600_000
    assert images["golang:c"].size(2) == 6_180_000
    for name in ("rails-4.2:d", "rails-3.2:e"):
        image = images[name]
        assert sum(image.size(layer) for layer in range(3, len(image.layers) + 1)) == 830_000


def test_contents_differ_within_a_layer(images: dict[str, Made]) -> None:
    """Filler is drawn from its path. Small licences are alike, as in real images."""
    for image in images.values():
        for entries, digests in zip(image.layers, image.sha256, strict=True):
            large = [digest for path, digest in digests.items() if entries[path].size > 600]
            assert len(set(large)) == len(large)


# --- what each image shows -------------------------------------------------------------------------


def test_every_folder_comes_before_what_is_in_it(images: dict[str, Made]) -> None:
    for image in images.values():
        for entries in image.layers:
            seen: set[str] = set()
            for path, entry in entries.items():
                parent = path.rpartition("/")[0]
                assert not parent or parent in seen
                if entry.isdir():
                    seen.add(path)


def test_unchanged_folders_keep_what_they_were(images: dict[str, Made]) -> None:
    """As in real layers: the folders above a change come along, and only those it touched changed."""
    base, layer = images["debian:a"].layers[0], images["ruby:b"].layers[1]
    assert layer["usr"].mtime == base["usr"].mtime
    assert layer["usr/bin"].mtime > base["usr/bin"].mtime
    assert (layer["usr"].mode, layer["usr"].uid) == (base["usr"].mode, base["usr"].uid)


def test_debian_is_usr_merged_with_odd_modes_and_hardlinks(images: dict[str, Made]) -> None:
    base = images["debian:a"].layers[0]
    assert {name: base[name].linkname for name in ("bin", "lib", "lib64", "sbin")} == {
        "bin": "usr/bin",
        "lib": "usr/lib",
        "lib64": "usr/lib64",
        "sbin": "usr/sbin",
    }
    assert not [path for path in base if path.startswith(("bin/", "lib/", "sbin/"))]
    assert base["usr/bin/perl5.36.0"].islnk()
    assert base["usr/bin/perl5.36.0"].linkname == "usr/bin/perl"
    assert base["usr/bin/su"].mode == 0o4755
    assert base["tmp"].mode == 0o1777
    assert (base["etc/shadow"].mode, base["etc/shadow"].gid) == (0o640, 42)


@pytest.mark.parametrize("name", ["ruby:b", "golang:c"])
def test_apt_overwrites_with_other_content(images: dict[str, Made], name: str) -> None:
    base, upper = images[name].sha256[:2]
    for path in (PACKAGES, "etc/ld.so.cache", "var/lib/dpkg/status", "var/log/dpkg.log"):
        assert base[path] != upper[path]
    assert images[name].layers[0][PACKAGES].size == images[name].layers[1][PACKAGES].size > 500_000
    assert "var/cache/apt/pkgcache.bin" in upper


def test_rails_4_removes_the_lists_too_late(images: dict[str, Made]) -> None:
    entries = images["rails-4.2:d"].layers[-1]
    assert images["rails-4.2:d"].size(4) == 0
    assert {path for path in entries if "/.wh." in path} == {
        PACKAGES.replace("/deb.", "/.wh.deb."),
        f"{LISTS}/.wh.deb.debian.org_debian_dists_bookworm_InRelease",
        f"{LISTS}/.wh.lock",
        f"{LISTS}/.wh.partial",
    }


def test_golang_makes_the_lists_folder_anew(images: dict[str, Made]) -> None:
    entries = images["golang:c"].layers[2]
    assert f"{LISTS}/.wh..wh..opq" in entries
    assert entries[f"{LISTS}/partial"].isdir()


def test_rails_3_stores_the_app_again_for_its_owner_alone(images: dict[str, Made]) -> None:
    image = images["rails-3.2:e"]
    before, after = image.layers[-2:]
    again = [path for path in after if path.startswith("srv/blog")]
    assert again == [path for path in before if path.startswith("srv/blog")]
    for path in again:
        old, new = before[path], after[path]
        assert (old.uid, new.uid) == (0, 33)
        assert (old.mode, old.mtime, old.size) == (new.mode, new.mtime, new.size)
        assert image.sha256[-2].get(path) == image.sha256[-1].get(path)
    assert image.size(len(image.layers)) == 50_000


def test_bigfile_is_stored_removed_and_still_there(images: dict[str, Made]) -> None:
    stored, removed, added = images["bigfile:latest"].layers
    assert stored["BigFile"].size == 3_000_000
    assert list(removed) == [".wh.BigFile"]
    assert added["usr/local/bin/server"].mode == 0o755
    assert images["bigfile:latest"].size(3) < stored["BigFile"].size / 5


def test_the_cases_of_simple_node_differ_in_order_alone(images: dict[str, Made]) -> None:
    first, second = images["simple-node:case-1"], images["simple-node:case-2"]
    assert len(first.layers) == len(second.layers) == 5
    assert first.sha256[3] == second.sha256[4]
    assert list(first.sha256[3]) == ["app/server.js"]
    assert first.sha256[4] == second.sha256[3]
    assert {"app/package.json", "app/node_modules/express/package.json"} <= first.sha256[4].keys()
    modules = [path for path in first.sha256[4] if path.startswith("app/node_modules/")]
    assert 60 <= len(modules) <= 150


def test_kuard_is_one_static_binary(images: dict[str, Made]) -> None:
    assert list(images["kuard:blue"].layers[-1]) == ["kuard"]


# --- other programs read them ----------------------------------------------------------------------


@pytest.mark.engine
@pytest.mark.parametrize("name", REFERENCES)
def test_skopeo_reads_every_image(layout: Path, images: dict[str, Made], name: str) -> None:
    told = run("skopeo", "inspect", f"oci:{layout}:{name}")
    assert json.loads(told)["Layers"] == images[name].diff_ids


@pytest.mark.engine
def test_umoci_lists_every_image(layout: Path) -> None:
    assert run("umoci", "ls", "--layout", str(layout)).split() == REFERENCES


@pytest.mark.engine
@pytest.mark.parametrize("name", REFERENCES)
def test_umoci_unpacks_what_the_notes_say(layout: Path, tmp_path: Path, name: str) -> None:
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    run("umoci", "unpack", *rootless, "--image", f"{layout}:{name}", str(tmp_path / "bundle"))
    root = tmp_path / "bundle" / "rootfs"
    there, gone = {
        "debian:a": (["usr/bin/bash", PACKAGES], []),
        "ruby:b": (["usr/bin/ruby3.1", "usr/bin/bash", PACKAGES], []),
        "golang:c": (["usr/lib/go-1.19/bin/go", f"{LISTS}/partial"], [PACKAGES, f"{LISTS}/lock"]),
        "rails-4.2:d": (["usr/local/bin/rails", LISTS], [PACKAGES, f"{LISTS}/partial"]),
        "rails-3.2:e": (["srv/blog/app/models/post.rb", PACKAGES], []),
        "bigfile:latest": (["usr/local/bin/server"], ["BigFile"]),
        "simple-node:case-1": (["app/server.js", "app/node_modules/express/index.js"], []),
        "simple-node:case-2": (["app/server.js", "app/node_modules/express/index.js"], []),
        "kuard:blue": (["kuard"], []),
    }[name]
    assert [path for path in there if not (root / path).exists()] == []
    assert [path for path in gone if (root / path).exists()] == []
    assert not list(root.rglob(".wh.*"))


@pytest.mark.engine
def test_skopeo_turns_one_into_a_docker_archive(layout: Path, tmp_path: Path) -> None:
    archive = tmp_path / "ruby.tar"
    run("skopeo", "--insecure-policy", "copy", f"oci:{layout}:ruby:b", f"docker-archive:{archive}:ruby:b")
    with tarfile.open(archive) as tar:
        file = tar.extractfile("manifest.json")
        assert file
        (manifest,) = json.load(file)
    assert manifest["RepoTags"] == ["docker.io/library/ruby:b"]
    assert len(manifest["Layers"]) == 2


def run(program: str, *arguments: str) -> str:
    return subprocess.run(
        [require_tool(program), *arguments], check=True, capture_output=True, text=True
    ).stdout
