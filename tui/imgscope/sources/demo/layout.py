"""Makes the images of the notes as an OCI image layout, on the spot: no engine, no network, no data files.

::

    debian:a ─┬─ ruby:b ─┬─ rails-4.2:d      the tree of the notes, A–E, 1/100 of their size
              │          └─ rails-3.2:e
              └─ golang:c
    bigfile:latest                           BigFile stored, removed, a static binary added
    (node, no tag) ─┬─ simple-node:case-1    server.js below the packages
                    └─ simple-node:case-2    server.js above them
    kuard:blue                               one static binary on a small base

Paths, modes and links are those of the real images; most contents are filler, and a file that a
later layer overwrites has other content there. The bytes written are the same everywhere and every
time: dates are fixed, layers are plain tars, nothing is drawn from the host.

`python -m imgscope.sources.demo.layout DIR` writes the layout into DIR.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from imgscope.sources.demo import family, services
from imgscope.sources.demo.build import OCI, ROOT, Descriptor, Put, as_json


def write_layout(folder: Path) -> None:
    """Write `oci-layout`, `index.json` and `blobs/sha256/*` (18.5 MB) into `folder`, made if need be.

    index.json comes last, so a folder that was left half written is no layout. Raises `OSError`.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(media_type: str, blob: bytes) -> Descriptor:
        digest = hashlib.sha256(blob).hexdigest()
        (blobs / digest).write_bytes(blob)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(blob)}

    manifests = [
        {**manifest, "annotations": {"org.opencontainers.image.ref.name": name}}
        for name, manifest in _images(put).items()
    ]
    index = {"schemaVersion": 2, "mediaType": f"{OCI}index.v1+json", "manifests": manifests}
    (folder / "oci-layout").write_bytes(as_json({"imageLayoutVersion": "1.0.0"}))
    (folder / "index.json").write_bytes(as_json(index))


def _images(put: Put) -> dict[str, Descriptor]:
    """Make everything; reference → descriptor of its manifest."""
    debian = family.debian(put)
    ruby = family.ruby(debian)
    node = services.node(put)
    irb = {**ROOT, "Env": [*ROOT["Env"], "LANG=C.UTF-8"], "Cmd": ["irb"]}
    return {
        "debian:a": debian.image({**ROOT, "Cmd": ["bash"]}),
        "ruby:b": ruby.image(irb),
        "golang:c": family.golang(debian),
        "rails-4.2:d": family.rails_4(ruby, irb),
        "rails-3.2:e": family.rails_3(ruby, irb),
        "bigfile:latest": services.bigfile(put),
        "simple-node:case-1": services.simple_node(node, 1),
        "simple-node:case-2": services.simple_node(node, 2),
        "kuard:blue": services.kuard(put),
    }


def main(arguments: list[str]) -> int:
    """Write the layout into the one folder named; returns the exit status."""
    if len(arguments) != 1:
        print("Usage: python -m imgscope.sources.demo.layout DIR", file=sys.stderr)
        return 2
    try:
        write_layout(Path(arguments[0]))
    except OSError as error:
        print(f"The demo images cannot be written to {arguments[0]!r}: {error.strerror}.", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
