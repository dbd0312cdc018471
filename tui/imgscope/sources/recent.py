"""Layer indexes kept in memory: images share layers, and a compressed archive is read whole each time."""

from __future__ import annotations

from collections import OrderedDict
from copy import copy
from threading import Lock

from imgscope.layers.index import LayerIndex


class Recent:
    """The indexes of the layers that were used last, by name; `limit` entries in all.

    One with problems is not kept. What is given has a list of problems of its own, for one image may
    find fault with a layer where another does not. Safe to use from several threads.
    """

    def __init__(self, limit: int) -> None:
        self._room = limit
        self._indexes: OrderedDict[str, LayerIndex] = OrderedDict()
        self._lock = Lock()

    def get(self, name: str) -> LayerIndex | None:
        with self._lock:
            if name not in self._indexes:
                return None
            self._indexes.move_to_end(name)
            return _clean(self._indexes[name])

    def put(self, name: str, index: LayerIndex) -> None:
        with self._lock:
            self._drop(name)
            if not index.problems:
                self._indexes[name] = _clean(index)
                self._room -= _weight(index)
                while self._room < 0:
                    self._drop(next(iter(self._indexes)))

    def clear(self) -> None:
        with self._lock:
            for name in list(self._indexes):
                self._drop(name)

    def _drop(self, name: str) -> None:
        if (index := self._indexes.pop(name, None)) is not None:
            self._room += _weight(index)


def _weight(index: LayerIndex) -> int:
    return len(index) + 1


def _clean(index: LayerIndex) -> LayerIndex:
    """The same columns, and no problems."""
    index = copy(index)
    index.problems = []
    return index
