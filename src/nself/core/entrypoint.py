"""Rows of a domain's `entrypoints.py`: every way in, naming services and inputs by string.

A reference reads `usage.service:record`: module below `nself.domains`, then the function. Nothing is
imported until the row is used, so that a command loads its own domain and no other.
"""

from __future__ import annotations

from typing import Generic, Literal, NamedTuple, TypeVar


class Command(NamedTuple):
    """`nself <path>` runs `use(app, input)` and renders what it returns."""

    path: str
    use: str
    input: str
    help: str
    example: str
    aliases: tuple[str, ...] = ()
    check: str | None = None
    """Name of a boolean field of the result: exit 3 where it is false."""
    audited: bool = False
    """Privileged: who did it is written into the audit log, before and after."""
    money: bool = False
    """It is audited and moves money: STRIPE_REQUIRE_2FA has the operator confirm it."""
    exits: str | None = None
    """Name of an integer field of the result, which is not printed: the exit code."""


class Route(NamedTuple):
    """`method path` of the HTTP API runs `use(app, input)`; path and query parameters fill the input."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    use: str
    input: str
    scope: str
    help: str
    example: str
    """An input as JSON: what its path, its query and its body say together."""
    refusal: str | None = None
    """Name of a boolean field of the result: answer 429 with the same body where it is false."""
    audited: bool = False
    """As of a command; the actor is the API key."""
    shared: bool = False
    """It tells of nobody in particular: a key that is bound to a user may ask it too."""


class Intent(NamedTuple):
    """A recorded wish to call Stripe.

    `call(stripe, params, key) -> snapshot` runs outside any transaction, `settle(tx, intent, picture) -> bool` in the one
    that records the outcome (without one the picture is stored in the mirror and that is all), `find(stripe, intent) ->
    snapshot or None` looks a lost outcome up at Stripe.
    """

    kind: str
    call: str
    find: str
    settle: str | None = None


class Mirror(NamedTuple):
    """Stripe's objects of `kind` (of `nself.gateway.kinds`) are stored with `apply(tx, pictures) -> bool`."""

    kind: str
    apply: str


class Reaction(NamedTuple):
    """`use(app, tx, changes)` runs in the transaction that stored changed objects of `kind`.

    Its effects are rows with a key made of the object and what became of it, so that they come once.
    """

    kind: str
    use: str


class Scheduled(NamedTuple):
    """Work of kind `type` that runs `use(app)` again and again; `every` is a setting's name or a duration like `1m`."""

    type: str
    use: str
    every: str
    help: str
    long: bool = False
    """It may take hours: it is done beside the others, which do not wait for it."""


class Attachment(NamedTuple):
    """What a mail's reference `{kind}:{id}` stands for: `use(app, id) -> Attached`, called when the mail is sent.

    It raises Unavailable where it cannot be made yet, which delays the mail, and NotFound where it never can.
    """

    kind: str
    use: str


class Attached(NamedTuple):
    """A file of a mail: `mime` like `application/pdf`."""

    name: str
    mime: str
    content: bytes


class Causes(NamedTuple):
    """`use` names a tuple of root causes (`nself.diagnosis.Cause`), which `billing doctor` looks for."""

    use: str


Row = Command | Route | Intent | Mirror | Reaction | Scheduled | Attachment | Causes


T = TypeVar("T")


class Rows(list[T], Generic[T]):
    """A result of rows, and what is to be said of them on stderr."""

    def __init__(self, rows: list[T], notes: list[str]) -> None:
        super().__init__(rows)
        self.notes = notes

    def remarks(self) -> list[str]:
        return self.notes
