"""The keys that change something: each gathers what an action needs, then shows it from plan to end.

The flows are coroutines that wait for their dialogs; what blocks runs in threads. `MainScreen` says
which images are meant and lists them anew after every action.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual import on, work
from textual.app import SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.screen import Screen

from imgscope.config import load
from imgscope.errors import AuthRequired, ImgscopeError, UsageError
from imgscope.images.model import Image, Platform, short_id
from imgscope.sources.base import Source
from imgscope.text import clean
from imgscope.ui import messages
from imgscope.ui.loader import in_thread

if TYPE_CHECKING:
    from imgscope.actions.credentials import Credentials
    from imgscope.actions.engine import Engine
    from imgscope.actions.layout import LayoutStore
    from imgscope.actions.plan import Action, Done
    from imgscope.ui.screens.action import ActionScreen
    from imgscope.ui.screens.form import Field, Values

T = TypeVar("T")


class ActingScreen(Screen[None]):
    """A screen on which images can be acted on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "run", "run", show=False, id="act.run", tooltip="Run a container: docker run"),
        Binding(
            "s", "shell", "shell", show=False, id="act.shell", tooltip="Open a shell in it: docker run -it"
        ),
        Binding("t", "tag", "tag", show=False, id="act.tag", tooltip="Give it another name: docker tag"),
        Binding("p", "push", "push", show=False, id="act.push", tooltip="Push to a registry: docker push"),
        Binding("P", "pull", "pull", show=False, id="act.pull", tooltip="Pull from a registry: docker pull"),
        Binding(
            "b", "build", "build", show=False, id="act.build", tooltip="Build from a folder: docker build"
        ),
        Binding(
            "d",
            "remove",
            "remove",
            show=False,
            id="act.remove",
            tooltip="Remove its names, or all of it: docker rmi",
        ),
        Binding(
            "x", "prune", "prune", show=False, id="act.prune", tooltip="Prune by kinds: docker system prune"
        ),
        Binding(
            "c",
            "clean",
            "clean up",
            show=False,
            id="act.clean",
            tooltip="Remove all that can go, in one plan",
        ),
        Binding(
            "L", "login", "log in", show=False, id="act.login", tooltip="Log in to a registry: docker login"
        ),
        Binding(
            "o",
            "containers",
            "containers",
            show=False,
            id="act.containers",
            tooltip="The containers of the image: docker ps",
        ),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.source: Source | None = None
        self.read_only = bool(os.environ.get("IMGSCOPE_READ_ONLY"))
        self._always_ask = load().confirm == "always"
        self._logins: Credentials | None = None
        self._made: Image | None = None  # a new image, to be opened as soon as it is listed

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """One action at a time: a key that repeats starts no second one."""
        if f"action_{action}" in vars(ActingScreen):
            busy = any(item.group == "act" and not item.is_finished for item in self.workers)
            return None if busy else True
        return super().check_action(action, parameters)

    # -- what the screen gives ------------------------------------------------------------------------

    def chosen(self) -> Sequence[Image]:
        """The images that a key means: those marked, else the one under the cursor."""
        raise NotImplementedError

    def holder(self, name: str) -> Image | None:
        """The image that has a name now, as far as the list knows."""
        raise NotImplementedError

    def acted(self, done: Done) -> None:
        """Something changed: look again."""
        raise NotImplementedError

    # -- the ground -----------------------------------------------------------------------------------
    def _may(self, what: str) -> bool:
        """Whether anything may be changed; a word on it where not."""
        if self.read_only:
            self._say(f"imgscope is read-only here: {what} is switched off.")
        return not self.read_only

    def _engine(self, what: str, *, changes: bool = True) -> Engine | None:
        """The engine in use, or None with a word on why this cannot be done."""
        if changes and not self._may(what):
            return None
        from imgscope.actions.engine import Engine
        from imgscope.sources.engine import EngineSource

        if not isinstance(self.source, EngineSource):
            where = self.source.label if self.source else "nothing yet"
            self._say(f"To {what}, an engine is needed; this is {where}.")
            return None
        return Engine(self.source)

    def _place(self, what: str) -> Engine | LayoutStore | None:
        """The engine in use, or the OCI layout; None with a word on why this cannot be done."""
        from imgscope.sources.archive import ArchiveSource

        if not isinstance(self.source, ArchiveSource):
            return self._engine(what)
        if not self._may(what):
            return None
        if self.source.folder is None:
            self._say(
                f"{self.source.label} is an archive, and archives are not changed; to {what}, an engine or "
                "an OCI layout in a folder is needed."
            )
            return None
        from imgscope.actions.layout import LayoutStore

        try:
            return LayoutStore(self.source.folder)
        except ImgscopeError as error:
            self._say(str(error))
            return None

    def _one(self) -> Image | None:
        images = self.chosen()
        if not images:
            self._say("There is no image under the cursor.")
        return images[0] if images else None

    def _say(self, text: str) -> None:
        self.notify(clean(text), severity="warning", markup=False, timeout=8)

    @property
    def _credentials(self) -> Credentials:
        """The logins of this run: typed ones are kept in memory only."""
        if self._logins is None:
            from imgscope.actions.credentials import Credentials

            self._logins = Credentials()
        return self._logins

    async def _do(self, action: Action, forced: Action | None = None, *, ask: bool = True) -> Done | None:
        """Show an action from its plan to its end; after a login where a registry wants one."""
        while True:
            screen = await self._show(action, forced, ask=ask)
            failure = screen.failure
            if not isinstance(failure, AuthRequired) or not await self._log_in(
                failure.registry, str(failure)
            ):
                return screen.done

    async def _show(
        self, action: Action, forced: Action | None = None, *, ask: bool = True, containers: bool = False
    ) -> ActionScreen:
        """Show an action until its screen is closed; what it began may have changed something."""
        from imgscope.actions.plan import Done
        from imgscope.ui.screens.action import ActionScreen

        ask = ask or self._always_ask
        self.app.clear_notifications()
        screen = ActionScreen(action, forced=forced, ask=ask, containers=containers)
        await self.app.push_screen_wait(screen)
        if screen.begun:
            self.acted(screen.done or Done(""))
        return screen

    async def _form(
        self,
        title: str,
        fields: Sequence[Field],
        make: Callable[[Values], T],
        note: Callable[[Values], str] | None = None,
    ) -> T | None:
        from imgscope.ui.screens.form import FormScreen

        self.app.clear_notifications()  # they would lie on the fields of a small terminal
        return await self.app.push_screen_wait(FormScreen(title, fields, make, note))

    async def _thread(self, function: Callable[[], T]) -> T | None:
        """What blocks, in a thread; its error is told."""
        try:
            return await in_thread(function)
        except ImgscopeError as error:
            self._say(str(error))
            return None

    # -- names and registries -------------------------------------------------------------------------

    @work(group="act")
    async def action_tag(self) -> None:
        place, images = self._place("tag"), self.chosen()
        if place is None:
            return
        from imgscope.ui.screens.form import Field

        for image in images:
            first = next(iter(image.references), "")
            make = await self._thread(partial(_tagging, place, first or image.id))
            if make is None:
                return
            action = await self._form(
                f"Another name for {image.name}",
                [Field("name", "new name", first, "repository:tag")],
                make,
                partial(self._moves, image),
            )
            if action is None:
                return
            await self._do(action)

    def _moves(self, image: Image, values: Values) -> str:
        """What becomes of the image that has the typed name now."""
        other = self.holder(values["name"])
        if other is None:
            return "nobody has this name yet"
        if other.id == image.id:
            return "this image has the name already"
        left = len(other.references) - 1
        rest = (
            f"which keeps {left} other name{'' if left == 1 else 's'}"
            if left
            else "which is left without a name"
        )
        return f"the name moves from {short_id(other.id)}, {rest}"

    @work(group="act")
    async def action_push(self) -> None:
        engine, images = self._engine("push"), self.chosen()
        if engine is None or not images:
            return
        from imgscope.actions.push import Push
        from imgscope.ui.screens.form import Field

        for image in images:
            if not image.references:
                self._say("An image without a name cannot be pushed; t gives it one.")
                continue
            name = image.references[0]
            if len(image.references) > 1:
                picked = await self._form(
                    f"Push one of {len(image.references)} names",
                    [Field("name", "name", name, ", ".join(image.references))],
                    lambda values: values["name"],
                    lambda _, image=image: "it has " + ", ".join(image.references),  # type: ignore[misc]
                )
                if picked is None:
                    return
                name = picked
            await self._do(Push(engine, name, self._credentials))

    @work(group="act")
    async def action_pull(self) -> None:
        engine = self._engine("pull")
        if engine is None:
            return
        from imgscope.actions.pull import Pull
        from imgscope.actions.tag import parse_tag
        from imgscope.ui.screens.form import Field

        def make(values: Values) -> Pull:
            platform = Platform.parse(values["platform"]) if values["platform"] else None
            return Pull(engine, parse_tag(values["name"]).familiar, platform, self._credentials)

        action = await self._form(
            "Pull an image",
            [Field("name", "image", "", "repository:tag"), Field("platform", "platform", "", "the engine's")],
            make,
        )
        if action is not None:
            await self._do(action)

    @work(group="act")
    async def action_login(self) -> None:
        if self._engine("log in") is not None:
            await self._log_in("docker.io")

    async def _log_in(self, registry: str, why: str = "") -> bool:
        """Ask for a login and check it, until it is good; False where the person leaves it."""
        engine = self._engine("log in")
        if engine is None:
            return False
        from imgscope.actions.login import LogIn
        from imgscope.ui.screens.form import Field

        credentials = self._credentials
        helper = credentials.helper(registry)

        def make(values: Values) -> LogIn:
            action = LogIn(
                engine,
                values["registry"],
                values["username"],
                values["password"],
                credentials,
                store=bool(values.get("store")),
            )
            action.describe()
            return action

        username = ""
        while True:
            fields = [
                Field("registry", "registry", registry),
                Field("username", "user name", username),
                Field("password", "password", secret=True),
            ]
            if helper is not None:
                fields.append(Field("store", f"keep in {helper}", flag=True))
            title = why or "Log in; the password is kept in memory for this run only"
            action = await self._form(title, fields, make)
            if action is None:
                return False
            screen = await self._show(action, ask=False)
            if screen.done is not None:
                return True
            registry, username, why = action.registry, action.username, str(screen.failure or "")

    # -- containers -----------------------------------------------------------------------------------

    @work(group="act")
    async def action_run(self) -> None:
        engine, image = self._engine("run"), self._one()
        if engine is None or image is None:
            return
        from imgscope.actions.options import RunOptions
        from imgscope.actions.run import Run, interactive_command, interactive_environment
        from imgscope.ui.screens.form import Field

        reference = image.references[0] if image.references else image.id
        known = await self._thread(lambda: engine.source.find(reference))
        if known is None:
            return
        start = RunOptions.for_image(known).texts()
        labels = {
            "name": ("name", "made up by the engine"),
            "detach": ("in the background", ""),
            "remove": ("remove after exit", ""),
            "ports": ("ports", "8080:80 127.0.0.1:3000:3000"),
            "env": ("environment", "NAME=VALUE …"),
            "volumes": ("volumes", "/host/path:/in/container …"),
            "command": ("command", "the image's own"),
            "entrypoint": ("entrypoint", "the image's own"),
            "network": ("network", "bridge"),
            "restart": ("restart", "no, always, on-failure:3, unless-stopped"),
        }
        fields = [
            Field(key, label, start[key], hint, flag=key in ("detach", "remove"))
            for key, (label, hint) in labels.items()
        ]
        options = await self._form(f"Run {image.name}", fields, RunOptions.from_texts)
        if options is None:
            return
        if options.detach:
            await self._do(Run(engine, known, options, reference), ask=False)
            return
        command = await self._thread(lambda: interactive_command(engine, known, options, reference))
        if command is not None:
            self._in_terminal(command, interactive_environment(engine))

    @work(group="act")
    async def action_shell(self) -> None:
        engine, image = self._engine("open a shell"), self._one()
        if engine is None or image is None:
            return
        from imgscope.actions.run import Shell, interactive_environment

        reference = image.references[0] if image.references else image.id
        command = await self._thread(Shell(engine, image, reference).command)
        if command is not None:
            self._in_terminal(command, interactive_environment(engine))

    def _in_terminal(self, command: Sequence[str], environment: dict[str, str]) -> None:
        """Give the terminal to a program, and take it back when that ends."""
        import subprocess

        from imgscope.actions.plan import Done

        try:
            with self.app.suspend():
                print(f"$ {' '.join(map(clean, command))}", flush=True)
                status = subprocess.run(command, env=environment, check=False).returncode
        except (SuspendNotSupported, OSError) as error:
            self._say(f"The terminal cannot be lent here: {error}.")
            return
        self.refresh(layout=True)
        self.acted(Done(f"it ended with status {status}"))

    # -- building and removing ------------------------------------------------------------------------

    @work(group="act")
    async def action_build(self) -> None:
        engine = self._engine("build")
        if engine is None:
            return
        from imgscope.actions.build import Build
        from imgscope.ui.screens.form import Field

        def make(values: Values) -> Build:
            folder = Path(values["folder"] or ".").expanduser()
            return Build(engine, folder, values["tag"])

        action = await self._form(
            "Build an image",
            [Field("folder", "folder", ".", "with a Dockerfile"), Field("tag", "name", "", "repository:tag")],
            make,
        )
        done = await self._do(action) if action is not None else None
        if done is not None:
            self._made = await self._thread(lambda: engine.source.find(done.result))

    @on(messages.ImagesListed)
    def _show_made(self, message: messages.ImagesListed) -> None:
        """Open what was built, once it has its place in the list."""
        if self._made is not None and self._made.id in message.forest.nodes:
            self.post_message(messages.Found(self._made))
            self._made = None

    @work(group="act")
    async def action_remove(self) -> None:
        place, images = self._place("remove"), self.chosen()
        if place is None or not images:
            return
        from imgscope.actions.engine import Engine
        from imgscope.actions.layout import LayoutRemove
        from imgscope.actions.remove import Remove
        from imgscope.ui.screens.containers import ContainersScreen
        from imgscope.ui.screens.form import Field

        # the narrow form: one name of each; where one image has several, the person says which
        names = tuple(dict.fromkeys(next(iter(image.references), image.id) for image in images))
        if len(images) == 1 and len(references := images[0].references) > 1:
            picked = await self._form(
                f"Remove names of an image that has {len(references)}; it goes with the last",
                [Field("names", "names", references[0], " ".join(references))],
                _names,
                lambda _: "it has " + ", ".join(references),
            )
            if picked is None:
                return
            names = picked
        if not isinstance(place, Engine):
            await self._do(LayoutRemove(place, names), LayoutRemove(place, names, force=True))
            return
        while True:
            screen = await self._show(Remove(place, names), Remove(place, names, force=True), containers=True)
            if not screen.to_containers:
                return
            await self.app.push_screen_wait(ContainersScreen(place, images))

    @work(group="act")
    async def action_prune(self) -> None:
        place = self._place("prune")
        if place is None:
            return
        from imgscope.actions.engine import Engine
        from imgscope.actions.layout import LayoutPrune
        from imgscope.actions.prune import DEFAULT, KINDS, TITLES, Filters, Prune
        from imgscope.ui.screens.form import Field

        if not isinstance(place, Engine):
            await self._do(LayoutPrune(place), LayoutPrune(place, force=True))
            return
        engine = place
        fields = [Field(kind, TITLES[kind], "yes" if kind in DEFAULT else "", flag=True) for kind in KINDS]
        fields.append(Field("until", "older than", "", "24h, 30d, 2026-01-31; all where empty"))
        fields.append(Field("labels", "with the labels", "", "KEY or KEY=VALUE …"))

        def make(values: Values) -> Prune:
            filters = Filters.parse(values["until"], values["labels"].split())
            return Prune(engine, [kind for kind in KINDS if values[kind]], filters)

        action = await self._form("Prune: what nothing uses", fields, make)
        if action is not None:
            await self._do(action)

    @work(group="act")
    async def action_clean(self) -> None:
        engine = self._engine("clean up")
        if engine is None:
            return
        from imgscope.actions.clean import CleanUp
        from imgscope.ui.screens.checklist import CleanScreen

        action = CleanUp(engine)
        if await self.app.push_screen_wait(CleanScreen(action)):
            await self._do(action, ask=False)

    @work(group="act")
    async def action_containers(self) -> None:
        engine, image = self._engine("list containers", changes=False), self._one()
        if engine is None or image is None:
            return
        from imgscope.actions.plan import Done
        from imgscope.ui.screens.containers import ContainersScreen

        await self.app.push_screen_wait(ContainersScreen(engine, [image], read_only=self.read_only))
        self.acted(Done(""))


def _names(values: Values) -> tuple[str, ...]:
    """The names that were typed, with blanks between them."""
    if not values["names"]:
        raise UsageError("Write one name or more, with blanks between them.")
    return tuple(values["names"].split())


def _tagging(place: Engine | LayoutStore, source: str) -> Callable[[Values], Action]:
    """What makes a name that was typed into the action that gives it."""
    from imgscope.actions.layout import LayoutStore, LayoutTag
    from imgscope.actions.layout.names import spelled
    from imgscope.actions.tag import Tag, parse_tag

    if isinstance(place, LayoutStore):
        manifests = place.index().manifests
        return lambda values: LayoutTag(place, source, spelled(values["name"], manifests))
    return lambda values: Tag(place, source, parse_tag(values["name"]).familiar)
