"""A file that is being looked at: its content as far as it was read, as text in rows, and what it is."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from threading import Lock

from imgscope.job import Job
from imgscope.viewing import jsonform
from imgscope.viewing.content import MEGABYTE, Content, Spool
from imgscope.viewing.preview import Encoding, Preview, preview
from imgscope.viewing.rows import Rows, Utf8

_BLOCK = 1 << 16
_MOST = 1_000_000  # places that a search keeps


class Document:
    """All methods that take time are for threads; what they made is read by the screen at any time."""

    def __init__(self, name: bytes, content: Content) -> None:
        self.name = name
        self.content = content
        self.preview = Preview(None, "")
        self.utf8: Utf8 | None = None
        self.rows: Rows | None = None  # of a text, pretty or as it is
        self.is_pretty = False
        self._pretty: Spool | None = None
        self._stopped = False
        self._told = 0  # bytes that `preview` was made of
        self._turn = Lock()

    @property
    def could_be_json(self) -> bool:
        """Whether it looks like JSON that may be made readable."""
        raw, size = self.content.raw, self.content.size
        return (
            self.utf8 is not None and size <= jsonform.LIMIT and raw.read(0, 512).lstrip()[:1] in (b"{", b"[")
        )

    def read(self, upto: int, told: Callable[[], None] = lambda: None) -> None:
        """Read on until `upto` bytes are there, or all, and put them into rows. Raises `CancelledError`."""
        self._stopped = False
        while self.content.raw.size < upto and not self.content.ended and not self._stopped:
            self.content.pull(min(self.content.raw.size + MEGABYTE, upto), told)
            try:
                self._extend()
            except OSError as error:  # a text in another encoding is kept twice
                self.content.fail(f"The rest cannot be kept: {error.strerror or error}.")

    def stop(self) -> None:
        """End the `read` that is under way, as soon as its next bytes come; one may read on later."""
        self._stopped = True
        self.content.stop()

    def _extend(self) -> None:
        content = self.content
        with self._turn:
            have = content.raw.size
            if not self._told or (content.ended and self._told < have):
                self._told = have
                found = preview(self.name, content.raw.read, content.size)
                # in what encoding it is read is settled by what is seen first
                encoding = self.preview.encoding if self.utf8 else found.encoding
                self.preview = Preview(encoding, found.summary)
                if self.utf8 is None and encoding is not None:
                    self.utf8 = Utf8(content.raw, encoding)
            if self.utf8 is not None:
                self.utf8.extend()
                if self.rows is not None and not self.is_pretty:
                    self.rows.extend(ended=content.ended)

    def lay_out(self, limit: int, *, pretty: bool, around: int = 0) -> None:
        """Make rows of no more than `limit` cells, of JSON made readable where `pretty` and it is JSON.

        They go some way beyond the byte `around`; `catch_up` makes the rest.
        """
        if pretty and self._pretty is None and self.could_be_json and self.content.ended:
            data = self.content.raw.read(0, self.content.size)
            made = None if self.content.problem else jsonform.pretty(data)
            self._pretty = Spool(made) if made is not None else None
        with self._turn:
            if self.utf8 is None:
                return
            self.is_pretty = pretty and self._pretty is not None
            spool = self._pretty if self.is_pretty and self._pretty is not None else self.utf8.spool
            rows = Rows(spool, limit)
            rows.extend(ended=self.is_pretty or self.content.ended, upto=around + MEGABYTE)
            self.rows = rows

    def catch_up(self) -> None:
        """Make the rows that `lay_out` left out, and let others have their turn in between."""
        rows, done = self.rows, -1
        while rows is not None and rows is self.rows and done < rows.done:
            done = rows.done
            with self._turn:
                rows.extend(ended=self.is_pretty or self.content.ended, upto=done + MEGABYTE)

    def as_text(self) -> None:
        """Take what is no text for one all the same."""
        with self._turn:
            if self.utf8 is None:
                self.preview = Preview(Encoding.LATIN1, self.preview.summary)
                self.utf8 = Utf8(self.content.raw, Encoding.LATIN1)
                self.utf8.extend()

    def close(self) -> None:
        self.content.close()
        for spool in (self.utf8 and self.utf8.spool, self._pretty):
            if spool is not None:
                spool.close()


class Search:
    """Where a word is in a spool: capitals count where it has some. No regular expression.

    Places are in bytes, `starts` rising; what one place has no other has.
    """

    def __init__(self, word: str, spool: Spool) -> None:
        self.word = word
        self.spool = spool
        self.starts = array("q")
        self._folds = word == word.lower()
        self._needle = word.encode("utf-8", "surrogateescape")
        if self._folds:
            self._needle = self._needle.lower()
        self._done = 0

    @property
    def length(self) -> int:
        """Bytes of each place."""
        return len(self._needle)

    def extend(self, job: Job | None = None) -> None:
        """Look at what has come since; raises `CancelledError`."""
        while self._needle and len(self.starts) < _MOST:
            data = self.spool.read(self._done, _BLOCK + self.length - 1)
            if len(data) < self.length:
                return
            if job is not None:
                job.check()
            if self._folds:
                data = data.lower()
            at = 0
            while (found := data.find(self._needle, at)) >= 0 and len(self.starts) < _MOST:
                self.starts.append(self._done + found)
                at = found + self.length
            self._done += max(len(data) - self.length + 1, at)
