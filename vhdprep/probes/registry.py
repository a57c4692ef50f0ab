"""What makes a function a probe. One declaration serves the loader, the schema and the manual."""

from __future__ import annotations

from functools import cached_property
from inspect import Parameter, cleandoc, signature
from typing import TYPE_CHECKING, NamedTuple, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from vhdprep.guest.image import Image
    from vhdprep.model import Observation


class ParameterInfo(NamedTuple):
    """One parameter of a probe."""

    name: str
    type: type
    """str, int, bool or tuple (of strings)."""
    choices: tuple[str, ...]
    """Allowed values, of a Literal."""
    required: bool


class Probe:
    """A way of looking at an image."""

    def __init__(self, look: Callable[..., Observation], returns: str, *, exact: bool, each_disk: bool, certain: bool = False) -> None:
        """Keep what the decorator was told."""
        self.look = look
        self.returns = returns
        """What a rule can compare with, in words."""
        self.exact = exact
        """False = it guesses; such a probe may warn, never block."""
        self.each_disk = each_disk
        """It looks at a disk as a file or a table: rules of such probes alone are asked of every disk of the machine."""
        self.certain = certain
        """It can always look: at what the user wrote."""

    @property
    def name(self) -> str:
        """The word rules use."""
        return self.look.__name__

    @property
    def manual(self) -> str:
        """The docstring."""
        return cleandoc(self.look.__doc__ or "")

    @cached_property
    def parameters(self) -> dict[str, ParameterInfo]:
        """Parameters by name."""
        hints = get_type_hints(self.look)
        found = {}
        for name, parameter in signature(self.look).parameters.items():
            if parameter.kind is Parameter.KEYWORD_ONLY:
                found[name] = _describe(name, hints[name], required=parameter.default is Parameter.empty)
        return found

    def __call__(self, image: Image, **params: Any) -> Observation:
        """Look; raises ``Unreadable`` when it cannot."""
        return self.look(image, **params)


def probe(*, returns: str, exact: bool = True, each_disk: bool = False, certain: bool = False) -> Callable[[Callable[..., Observation]], Probe]:
    """Declare a function a probe; it takes the image and keyword-only parameters."""

    def declare(look: Callable[..., Observation]) -> Probe:
        return Probe(look, returns, exact=exact, each_disk=each_disk, certain=certain)

    return declare


def _describe(name: str, hint: Any, *, required: bool) -> ParameterInfo:
    arguments = tuple(each for each in get_args(hint) if each is not type(None))
    if get_origin(hint) is tuple:
        inner = get_args(arguments[0])
        return ParameterInfo(name, tuple, inner if inner else (), required)
    if arguments and all(isinstance(each, str) for each in arguments):
        return ParameterInfo(name, str, arguments, required)
    return ParameterInfo(name, arguments[0] if arguments else hint, (), required)
