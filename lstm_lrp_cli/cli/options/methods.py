"""The options that name methods, and those that set them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from msgspec import Struct

from lstm_lrp_cli.engine.methods import LRP_METHODS, METHODS, Settings
from lstm_lrp_cli.errors import WrongUsage
from lstm_lrp_cli.explaining.settings import SETTINGS, Setting, parse_method, parse_methods
from .arguments import Command, group

# What help says of settings in names.
SET_IN_NAME = "with settings as in lrp-all:eps=1e-6."
DEFAULTS = Settings()


class NumberRange(click.FloatRange):
    """Refuses nan and infinity as well, which a range of numbers lets through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not float("-inf") < number < float("inf"):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


POSITIVE = NumberRange(min=0, min_open=True)


def _type_of(setting: Setting) -> Any:
    """How click reads and tells of a setting."""
    if setting.kind is str:
        return click.STRING if setting.read is None else click.types.FuncParamType(reader(setting))
    return {float: NumberRange, int: click.IntRange}[setting.kind](setting.least, setting.most)


def reader(setting: Setting) -> Callable[[str], Any]:
    """What reads a setting that is no number."""

    def read(text: str) -> Any:
        try:
            return setting.of(text)
        except ValueError as error:
            raise click.BadParameter(f"{error}.") from error

    return read


def _has_shown_default(name: str) -> bool:
    """Whether click fills in a setting's default, and tells of it with the range."""
    return isinstance(getattr(DEFAULTS, name), float)


def setting_option(name: str) -> Callable[[Command], Command]:
    """The option of a setting of methods."""
    setting, default = SETTINGS[name], getattr(DEFAULTS, name)
    is_shown = _has_shown_default(name)
    told = getattr(default, "name", default)
    return click.option(
        f"--{name.replace('_', '-')}",
        type=_type_of(setting),
        default=default if is_shown else None,
        show_default=is_shown,
        metavar=setting.value,
        help=setting.help + ("" if is_shown or told is None else f"  [default: {told}]"),
    )


class SettingOptions(Struct, frozen=True):
    """What methods are set to that do not say it in their names."""

    values: dict[str, Any]

    def given(self, methods: tuple[str, ...]) -> dict[str, Any]:
        """Those that are given, and those with a default that one of the methods takes.

        One command line, or a variable of the environment, may serve several methods by turns,
        so that a setting with a default is no wrong usage where none takes it.
        """
        takers = {key for name in methods for key in METHODS[parse_method(name).kind].takes}
        return {
            key: value
            for key, value in self.values.items()
            if key in takers or not _has_shown_default(key)
        }

    def files(self, methods: tuple[str, ...]) -> dict[str, Path | None]:
        """What may be files of what methods are set to, whole or behind any of the signs."""
        texts = [text for text in (*self.values.values(), *methods) if isinstance(text, str)]
        ends = (text.rpartition(sign)[2] for text in texts for sign in ("=", ":"))
        parts = (part for text in texts for part in re.split("[;:=]", text))
        return {name.strip(): Path(name.strip()) for name in (*texts, *ends, *parts)}


def setting_options(*names: str) -> Callable[[Command], Command]:
    """The options of these settings, which arrive as one value."""
    options = map(setting_option, names)
    return group("settings", lambda **values: SettingOptions(values), *options)


def methods_option(
    *names: str, default: str = "lrp-all", listed: str = ", ".join(METHODS), **more: Any
) -> Callable[[Command], Command]:
    """The option that names one or several methods."""
    return click.option(
        *names,
        **{"callback": method_names, **more},
        default=default,
        show_default=True,
        metavar="NAME,...",
        shell_complete=complete_methods,
        help=f"{listed}; {SET_IN_NAME}",
    )


def method_names(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """The methods that a list names."""
    try:
        return tuple(named.name for named in parse_methods(value))
    except WrongUsage as error:
        raise click.BadParameter(error.problem, ctx, param) from error


def rule_name(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """The one rule of LRP that is named."""
    if value.split(":")[0].strip() not in LRP_METHODS:
        listed = ", ".join(map(repr, LRP_METHODS))
        raise click.BadParameter(f"{value!r} is not one of {listed}.", ctx, param)
    try:
        return (parse_method(value).name,)
    except WrongUsage as error:
        raise click.BadParameter(error.problem, ctx, param) from error


def complete_methods(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """What a shell completes the last name of a list of methods to, or a setting in it."""
    *named, begun = incomplete.split(",")
    before = "".join(f"{name}," for name in named)
    kind, *settings = begun.split(":")
    if settings and kind in METHODS:
        before += begun.removesuffix(settings[-1])
        keys = (f"{key.replace('_', '-')}=" for key in METHODS[kind].takes)
        return [f"{before}{key}" for key in keys if key.startswith(settings[-1])]
    return [f"{before}{name}" for name in METHODS if name.startswith(begun) and name not in named]


def tolerance_option(default: float | None, note: str = "") -> Callable[[Command], Command]:
    """The option that says how near scores must come; a default of None is explained by a note."""
    return click.option(
        "--tolerance",
        type=POSITIVE,
        default=default,
        show_default=default is not None,
        metavar="NUMBER",
        help=f"What scores may differ by, relative to scores over 1.  {note}".rstrip(),
    )
