"""The base of all settings: frozen pydantic models whose attribute docstrings describe their
fields.

A room's `settings.py` holds the sections of the config that the room uses, with types, limits and
defaults; the validation, the JSON schema and the reference of the config are made from them. These
modules are imported whenever a plan is made, so they import nothing heavy."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from engram.io.errors import EngramError
from engram.io.mistakes import error_lines, plain_values


class Settings(BaseModel):
    """Settings with checked values: no unknown key, a quoted number is not a number, and `true` is
    not 1."""

    # Building a validator takes milliseconds, so each one is built when it is first used.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, defer_build=True, allow_inf_nan=False
    )

    @classmethod
    def parse(cls, values: Any, where: str = "") -> Self:
        """Return the settings that a mapping, as YAML holds it, gives.

        Args:
            values: keys and values; `400.0` is accepted for an integer.
            where: the mapping's key in the config, which error messages begin with.

        Raises:
            EngramError: one line per mistake: the key, the value found, what is wanted.
        """
        settings = cls.parse_fields(values, where)
        if mistakes := list(settings.mistakes()):
            raise EngramError("\n".join(dict.fromkeys(mistakes)))
        return settings

    @classmethod
    def parse_fields(cls, values: Any, where: str = "") -> Self:
        """Return the settings as `parse` does, with each field checked for itself: `mistakes` is
        left to the caller.
        """
        path = (where,) if where else ()
        try:
            return cls.model_validate(plain_values(values, path))
        except ValidationError as error:
            found = error.errors(include_url=False)
        raise EngramError("\n".join(error_lines(found, cls, path)))

    def mistakes(self) -> Iterator[str]:
        """Yield one line for each mistake that the limits of single fields cannot express, nested
        settings included.
        """
        for value in self.__dict__.values():
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Settings):
                    yield from item.mistakes()

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked like any other."""
        return type(self)(**self.__dict__ | changes)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the fields, without pydantic's titles, which repeat their names."""
        described = handler(schema)
        own = handler.resolve_ref_schema(described)
        own.pop("title", None)
        own["description"] = " ".join((cls.__doc__ or "").split())
        texts = descriptions(cls)
        for name, entry in own["properties"].items():
            if name not in texts:
                raise TypeError(f"{cls.__name__}.{name} has no docstring")
            entry.pop("title", None)
            entry |= {"description": texts[name]}
        return described


def descriptions(settings: type[Settings]) -> dict[str, str]:
    """Return the docstring of every field, inherited ones included, on one line.

    Only the reference and the schema need them, so the source is read when they are made, and a
    plan does not wait for it.
    """
    texts: dict[str, str] = {}
    for base in reversed(settings.__mro__):
        if not issubclass(base, Settings) or base is Settings:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(docstring))),
                ):
                    texts[name] = " ".join(docstring.split())
    return texts


@dataclass(frozen=True)
class Items:
    """Annotates a tuple that a list in YAML gives."""

    least: int = 0
    """Fewest items."""
    most: int | None = None
    """Most items; None for no limit."""
    unique: bool = True
    """Whether an item may appear only once."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Let pydantic accept lists, count the items and compare them."""
        schema: Any = handler(source)
        schema |= {"min_length": self.least} if self.least else {}
        schema |= {"max_length": self.most} if self.most is not None else {}
        schema = core_schema.no_info_before_validator_function(_as_tuple, schema)
        if self.unique:
            schema = core_schema.no_info_after_validator_function(_unrepeated, schema)
        return schema

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Add `uniqueItems`."""
        return handler(schema) | ({"uniqueItems": True} if self.unique else {})


def section() -> Any:
    """Return the default of nested settings: their own defaults."""
    return Field(default={}, validate_default=True)


Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""A seed of random numbers, as torch and numpy take it."""
Share = Annotated[float, Field(gt=0, le=1)]
"""A fraction above 0."""
Bos = Literal["auto", True, False]
"""How it is decided what a model reads in front of every window; see `engram.lm.inputs`."""

Slug = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9_.-]{0,62}[a-z0-9])?$")]
"""The name of a folder."""


def _as_tuple(items: Any) -> Any:
    """Return a list as a tuple, and anything else as it is."""
    return tuple(items) if isinstance(items, list) else items


def _unrepeated(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the items, or raise an error that pydantic reports with the others."""
    seen = set()
    for item in items:
        if item in seen:
            raise PydanticCustomError("repeated", "an item appears twice", {"item": item})
        seen.add(item)
    return items
