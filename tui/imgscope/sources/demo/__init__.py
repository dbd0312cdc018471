"""The demo images: an OCI layout made on the spot, gone when it is closed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from imgscope.sources.archive import ArchiveSource


class DemoSource(ArchiveSource):
    """The images of the notes, with no engine and no network."""

    def __init__(self) -> None:
        # not at the top: python -m imgscope.sources.demo.layout imports this package first
        from imgscope.sources.demo.layout import write_layout

        # removes itself at the end of the program, too, where nobody closes it
        self._temporary = TemporaryDirectory(prefix="imgscope-demo-", ignore_cleanup_errors=True)
        folder = Path(self._temporary.name)
        write_layout(folder)
        super().__init__(folder, "demo images")
        self.origin = "demo:"

    def close(self) -> None:
        super().close()
        self._temporary.cleanup()
