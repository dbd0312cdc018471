"""A crash at any step of a change leaves a valid layout: every process here is really killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imgscope.analysis import analyze
from imgscope.sources.archive import ArchiveSource
from tests.support.layouts import (
    blobs,
    copied_by_skopeo,
    end,
    everything,
    listed,
    prune,
    remove,
    simple,
    tag,
    umoci,
    umoci_names,
)

# Runs an action in a fork for each step, and has the kernel kill that fork at the step: before the
# system call, after it, or (of a write) in the middle. Prints how each fork ended.
KILLER = """
import json, os, shutil, signal, sys
from pathlib import Path
from imgscope.actions.layout import LayoutPrune, LayoutRemove, LayoutStore, LayoutTag
from imgscope.job import Job

base, out, when, what, *words = sys.argv[1:]
STEPS = ("open", "write", "fchown", "fchmod", "fsync", "close", "replace", "unlink")

def attempt(folder, number):
    count = 0
    def dying(name, real):
        def call(*words, **more):
            nonlocal count
            if name == "open" and not words[1] & os.O_CREAT:
                return real(*words, **more)
            count += 1
            if count < number:
                return real(*words, **more)
            if when == "after":
                real(*words, **more)
            if when == "half" and name == "write":
                real(words[0], bytes(words[1])[: len(words[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return call
    store = LayoutStore(Path(folder))
    action = {"tag": LayoutTag, "remove": lambda store, *names: LayoutRemove(store, names),
              "prune": LayoutPrune}[what](store, *words)
    for name in STEPS:
        setattr(os, name, dying(name, getattr(os, name)))
    list(action.execute(Job()))

ends = []
while not ends or ends[-1] != 0:
    folder = f"{out}/{len(ends)}"
    shutil.copytree(base, folder)
    child = os.fork()
    if child == 0:
        try:
            attempt(folder, len(ends) + 1)
        except BaseException as error:
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    if len(ends) > 200 or ends[-1] not in (0, -signal.SIGKILL):
        break
print(json.dumps(ends))
"""

ACTIONS = {
    "a new name": ("tag", "app:1", "x:1"),
    "a name moves": ("tag", "app:1", "base:1"),
    "remove": ("remove", "app:1"),
    "remove all": ("remove", "app:1", "app:2", "base:1"),
    "prune": ("prune",),
}


def carry_out(folder: Path, what: str, *words: str) -> None:
    if what == "tag":
        end(tag(folder, *words))
    elif what == "remove":
        end(remove(folder, *words))
    else:
        end(prune(folder))


def check_whole(folder: Path, out: Path) -> None:
    """Every image is there and whole: for imgscope, for umoci, and for skopeo, which checks each digest."""
    source = ArchiveSource(folder)
    images = source.found.images
    assert not source.found.others
    for image in images:
        assert not analyze(source, image).image.problems
    source.close()
    names = [name for name, _ in listed(folder) if name]
    assert umoci_names(folder) == names
    assert list(copied_by_skopeo(folder, out)) == names
    assert len(images) == len({digest for _, digest in listed(folder)})


@pytest.mark.engine
@pytest.mark.parametrize("when", ["before", "after", "half"])
@pytest.mark.parametrize("action", ACTIONS)
def test_killed_at_every_step(action: str, when: str, tmp_path: Path) -> None:
    base = simple(tmp_path / "base")
    old = listed(base)
    after = shutil.copytree(base, tmp_path / "after")
    carry_out(after, *ACTIONS[action])
    new = listed(after)
    end(prune(after))

    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(base), str(tmp_path), when, *ACTIONS[action]],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    *killed, last = json.loads(done.stdout)
    assert last == 0, done.stderr
    assert set(killed) == {-signal.SIGKILL}
    # lock, close, unlink; and where index.json changes, all of its way
    assert len(killed) >= (5 if action == "prune" else 9)

    seen = set()
    for number in range(len(killed)):
        folder = tmp_path / str(number)
        state = listed(folder)
        assert state in (old, new)  # one or the other, never between
        seen.add(json.dumps(state))
        if state == old and old != new:
            assert blobs(folder) == blobs(base)  # nothing goes before the new index is in place
        check_whole(folder, tmp_path / f"out{number}")
        # no lock is left: the same change goes through, and what is left over is collected
        if state == old:
            carry_out(folder, *ACTIONS[action])
        end(prune(folder))
        assert everything(folder) == everything(after)
        umoci("gc", "--layout", folder)
        assert blobs(folder) == blobs(after)
    assert seen == {json.dumps(old), json.dumps(new)}
