"""The demo images: an OCI layout made on the spot, gone when it is closed."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from imgscope.sources.archive import ArchiveSource
from imgscope.sources.demo_images import write_layout


class DemoSource(ArchiveSource):
    """The images of the notes, with no engine and no network."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="imgscope-demo-"))
        try:
            write_layout(self._folder)
            super().__init__(self._folder, "demo images")
        except BaseException:
            self._remove()
            raise

    def close(self) -> None:
        super().close()
        self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
