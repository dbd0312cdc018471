"""A form: labelled fields, checked while typing, that become one thing (an action, options) or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Checkbox, Input, Static

from imgscope.errors import ImgscopeError
from imgscope.text import clean

T = TypeVar("T")
Values = dict[str, str]  # what was typed; a flag is "yes" or ""


@dataclass(frozen=True, slots=True)
class Field:
    """One line of a form. `secret` hides what is typed; a `flag` is a box to tick ("yes" or "")."""

    name: str
    label: str
    value: str = ""
    hint: str = ""
    secret: bool = False
    flag: bool = False


class Tick(Checkbox, inherit_bindings=False):
    """A box that tells by its sign, not only by its colour; enter is left to the form."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "toggle_button", "Tick", show=False, id="form.tick", tooltip="Tick the box, or not")
    ]

    def render(self) -> Content:
        return Content("[x]" if self.value else "[ ]")


class FormScreen(ModalScreen[T | None], Generic[T]):
    """Fields under a title. `make` turns the values into the result; its `ImgscopeError` is shown.

    `note` gives a line about the values as they stand, as "this moves the name from …".
    """

    DEFAULT_CSS = """
    FormScreen { align: center middle; background: $background 60%; }
    #form {
        width: 90;
        max-width: 100%;
        height: auto;
        max-height: 90%;
        padding: 1 2;
        background: $surface;

        .form-title { margin-bottom: 1; }
        .form-row { height: 1; margin-bottom: 1; }
        .form-label { width: 20; color: $text-muted; }
        Input { width: 1fr; }
        #form-note { height: auto; min-height: 1; }
        #form-keys { dock: bottom; height: 1; margin-top: 1; color: $accent; }
    }
    """
    AUTO_FOCUS = "Input, Checkbox"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "cancel", id="form.leave"),
        Binding("enter", "submit", "go on", id="form.submit"),
        # at once: the letters that are typed after it must not overtake it
        Binding("tab", "app.focus_next", "next field", show=False, priority=True, id="form.next"),
        Binding(
            "shift+tab", "app.focus_previous", "previous field", show=False, priority=True, id="form.previous"
        ),
    ]

    def __init__(
        self,
        title: str,
        fields: Sequence[Field],
        make: Callable[[Values], T],
        note: Callable[[Values], str] | None = None,
    ) -> None:
        super().__init__()
        self._title = title
        self._fields = fields
        self._make = make
        self._note = note

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="form", can_focus=False):
            yield Static(Content.assemble((clean(self._title), "bold $primary")), classes="form-title")
            for field in self._fields:
                with Horizontal(classes="form-row"):
                    yield Static(clean(field.label), classes="form-label", markup=False)
                    if field.flag:
                        yield Tick(value=bool(field.value), id=f"field-{field.name}", compact=True)
                    else:
                        yield Input(
                            clean(field.value),
                            placeholder=clean(field.hint),
                            password=field.secret,
                            id=f"field-{field.name}",
                            compact=True,
                        )
            yield Static("", id="form-note", markup=False)
            yield Static("enter goes on  tab next  space ticks  esc cancels", id="form-keys", markup=False)

    def on_mount(self) -> None:
        self._check()

    @property
    def values(self) -> Values:
        """What stands in the fields."""
        found: Values = {}
        for field in self._fields:
            widget = self.query_one(f"#field-{field.name}")
            if isinstance(widget, Checkbox):
                found[field.name] = "yes" if widget.value else ""
            elif isinstance(widget, Input):
                found[field.name] = widget.value if field.secret else widget.value.strip()
        return found

    @on(Input.Changed)
    @on(Checkbox.Changed)
    def _check(self) -> None:
        values = self.values
        note = self.query_one("#form-note", Static)
        try:
            self._make(values)
        except ImgscopeError as error:
            note.update(Content.assemble((clean(str(error)), "$error")))
            return
        note.update(Content.assemble((clean(self._note(values) if self._note else ""), "$foreground 60%")))

    @on(Input.Submitted)
    def action_submit(self) -> None:
        try:
            self.dismiss(self._make(self.values))
        except ImgscopeError as error:
            self.query_one("#form-note", Static).update(Content.assemble((clean(str(error)), "bold $error")))

    def action_leave(self) -> None:
        self.dismiss(None)
