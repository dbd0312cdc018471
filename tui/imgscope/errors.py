"""What can go wrong, as one tree. Every message is one sentence: what, where, what to do.

::

    ImgscopeError                exit status 2
    ├── UsageError               the words of the call are off
    ├── NotFoundError            no such image, tag, file or platform; says what is there
    ├── LayoutError              an OCI layout cannot be changed (actions/layout/store.py)
    ├── FormatError              it is no image, or too damaged to say anything about
    │   ├── DamagedError         a stream is cut or broken; what was read before it counts
    │   └── LimitError           a claimed size or depth passes a stated limit
    └── EngineError              the engine does not answer, or refuses
        ├── BuildError           a step of a Dockerfile failed (actions/build.py)
        └── AuthRequired         a registry wants a login, or another one

    CancelledError               the person pressed esc; not an error, never shown as one

Damage that leaves something to show is no exception: it is a `Problem` of the layer index.
"""

from __future__ import annotations


class ImgscopeError(Exception):
    """Base of all errors that a person is told in one sentence."""


class UsageError(ImgscopeError):
    """The call itself is wrong."""


class NotFoundError(ImgscopeError):
    """What the reference names is not there."""


class FormatError(ImgscopeError):
    """The input is not an image, or cannot be read as one."""


class DamagedError(FormatError):
    """A stream ends early or breaks. Whoever reads it keeps what came before and notes a `Problem`."""


class LimitError(FormatError):
    """A size or depth that the input claims is beyond the stated limit."""


class EngineError(ImgscopeError):
    """The container engine cannot be reached or refused the request.

    `status` is the HTTP status of a refusal (409: a conflict), None where nothing answered.
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class AuthRequired(EngineError):  # noqa: N818 - what is to be done, not only what went wrong
    """A registry wants a login before it does what was asked. `registry` is its name, as in references.

    Whoever can ask the person for one does so and tries again.
    """

    def __init__(self, text: str, registry: str) -> None:
        super().__init__(text, 401)
        self.registry = registry


class CancelledError(Exception):
    """The work was cancelled by the person who started it."""
