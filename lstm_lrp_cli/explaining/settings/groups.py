"""What is taken as one, as users give it: spans of tokens or steps, words, groups of features."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_lrp_cli.engine.methods import Groups, InputGroups
from lstm_lrp_cli.errors import UnusableInput, WrongUsage, reading
from lstm_lrp_cli.inputs.stream import whole_number

if TYPE_CHECKING:
    from lstm_lrp_cli.model import Booleans, Integers
    from lstm_lrp_cli.model.model import Input, Model

KEYWORD = "groups"
# What stands before a file.
EACH = "file:"
WORDS = "words"
# More steps than a sequence can have.
LONGEST = 2**62
SPAN = re.compile(r"-?\d*\s*:\s*-?\d*")
# What begins a word among pieces, in BERT's vocabularies what goes on with one.
BEGINNINGS = ("\u2581", "\u0120", " ")
GOES_ON = "##"
# What ends a word, and what stands behind a piece that goes on.
ENDS, GOES_ON_BEHIND = "</w>", "@@"
# A token of no word; <0x0A> is a byte of one.
SPECIAL = re.compile(r"<(?!0x)[^<>\s]+>|\[[^\[\]\s]+\]")


def span_slice(given: str | slice | tuple[int, int]) -> slice:
    """The tokens of a span, as Python has them: from 0, or from -1 backwards.

    Raises
    ------
    ValueError
    """
    if not isinstance(given, str):
        start, stop = (given.start, given.stop) if isinstance(given, slice) else tuple(given)
    else:
        try:
            start, stop = (int(part) if part.strip() else None for part in given.split(":"))
        except ValueError:
            raise ValueError(
                f"{given!r} is not FROM:TO, such as 2:5, :3 or -2: (from 0; TO is not in it)"
            ) from None
    if start is not None and stop is not None and start >= stop and (start < 0) == (stop < 0):
        raise ValueError(f"{given!r} has no tokens in it, whatever there is")
    return slice(_bounded(start), _bounded(stop))


def _bounded(bound: int | None) -> int | None:
    """A bound of a span, no further out than arrays can count, where there are no tokens anyway."""
    return None if bound is None else max(-LONGEST, min(bound, LONGEST))


def resolve_groups(given: Any, model: Model) -> Groups:
    """What is taken as one, of what the command line or a program says.

    Parameters
    ----------
    given : str, int, dict, list or array
        A text as docs/methods.md has it; so many steps; a dict with lists of features by name or,
        of several inputs, with what each groups; a list of spans (FROM, TO); or an array of whole
        numbers, (features,) or (steps, features), that are the same where numbers are one.
    model : Model

    Raises
    ------
    WrongUsage
        The model has no such features, or nothing to group so.
    UnusableInput
        A file cannot be used.
    """
    if isinstance(given, Groups):
        return given
    if not model.several_inputs:
        return Groups(_name(given), (_of_input(given, model.only_input),))
    named = _by_input(given) if isinstance(given, str) else given
    if not isinstance(named, Mapping) or any(name not in model.input_names for name in named):
        listed, first = ", ".join(model.input_names), model.input_names[0]
        raise WrongUsage(
            f"{_name(given)!r} does not name inputs of the model ({listed}); expected NAME=.. for "
            f"some of them: {first}=...",
            KEYWORD,
        )
    found = [
        _of_input(named[name], read) if name in named else InputGroups()
        for name, read in zip(model.input_names, model.inputs, strict=True)
    ]
    return Groups(_name(given), tuple(found))


def _by_input(text: str) -> dict[str, str]:
    """What a text says of each of several inputs."""
    pieces = [piece.partition("=") for piece in text.split(";")]
    return {name.strip(): value.strip() for name, _, value in pieces}


def _name(given: Any) -> str:
    """What is given, as the command line would have it."""
    if isinstance(given, Mapping):
        return ";".join(f"{key}={_name(value)}" for key, value in given.items())
    if isinstance(given, slice):
        start, stop = ("" if each is None else each for each in (given.start, given.stop))
        return f"{start}:{stop}"
    if isinstance(given, tuple):
        return ":".join(map(str, given))
    if isinstance(given, list):
        return ",".join(map(_name, given))
    shape = getattr(given, "shape", ())
    return f"array {tuple(shape)}" if shape else str(given)


def _of_input(given: Any, read: Input) -> InputGroups:
    """What is taken as one at one input."""
    if isinstance(given, str):
        text = given.strip()
        found = _of_file(text, read) if text.startswith(EACH) else _of_text(text, read)
    elif isinstance(given, Mapping):
        found = InputGroups(features=_table(given, read))
    elif getattr(given, "shape", ()):
        found = InputGroups(features=_of_array(given, read))
    elif isinstance(given, Iterable):
        found = _of_text(_name(list(given)), read)
    else:
        found = _of_text(str(given), read)
    if not read.steps and (found.spans or found.every):
        raise WrongUsage("groups steps, and the input is one vector a sequence.", KEYWORD)
    return found


def _of_text(text: str, read: Input) -> InputGroups:
    """Of words; of spans or so many steps, and behind them of features by name."""
    if text == WORDS:
        begins, ends = _words(read)
        return InputGroups(begins=begins, ends=ends)
    spans: list[slice] = []
    every: int | None = None
    members: dict[str, list[str]] = {}
    for piece in (each.strip() for each in re.split("[,;]", text)):
        name, equals, first = (each.strip() for each in piece.partition("="))
        if equals:
            if name in members:
                raise WrongUsage(f"{text!r} names the group {name} twice.", KEYWORD)
            members[name] = [first]
        elif members:
            members[next(reversed(members))].append(piece)
        elif SPAN.fullmatch(piece):
            spans.append(_span(piece))
        elif every is None and whole_number(piece):
            every = int(piece)
        else:
            raise WrongUsage(f"{piece!r} is {_wanted(read)}", KEYWORD)
    if spans and every:
        raise WrongUsage(f"{text!r} has spans, and a number of steps; expected one.", KEYWORD)
    _refuse_overlap(spans)
    return InputGroups(tuple(spans), every, features=_table(members, read) if members else None)


def _span(piece: str) -> slice:
    try:
        return span_slice(piece)
    except ValueError as error:
        raise WrongUsage(f"{error}.", KEYWORD) from error


def _wanted(read: Input) -> str:
    """What could be taken as one at an input, as a message ends."""
    of_steps = "spans (2:5,5:8), or a number of steps" * read.steps
    if read.embedding is not None:
        return f"none of {WORDS}, {of_steps}."
    features = f"features (weather=rain,snow) or {EACH}FILE"
    return f"none of {of_steps}, {features}." if of_steps else f"neither {features}."


def _refuse_overlap(spans: list[slice]) -> None:
    """Refuse spans of which two have the same steps, whatever the sequence."""
    known = sorted(
        (each.start or 0, LONGEST if each.stop is None else each.stop)
        for each in spans
        if (each.start or 0) >= 0 and (each.stop is None or each.stop >= 0)
    )
    for (start, stop), (other, end) in pairwise(known):
        if other < stop:
            ends = ["" if each == LONGEST else each for each in (stop, end)]
            raise WrongUsage(
                f"{start}:{ends[0]} and {other}:{ends[1]} have the same steps.", KEYWORD
            )


def _table(members: Mapping[str, Any], read: Input) -> Integers:
    """The group of each feature, shape (1, features); those in none are alone."""
    import numpy as np

    if read.embedding is not None:
        raise WrongUsage("groups features, and the input has tokens.", KEYWORD)
    table = np.full(read.size, -1)
    for number, (name, own) in enumerate(members.items()):
        if isinstance(own, str) or not isinstance(own, Iterable):
            raise WrongUsage(f"{name} is {own!r}; expected a list of features.", KEYWORD)
        for member in own:
            place = feature_number(str(member), read, KEYWORD)
            if table[place] >= 0:
                raise WrongUsage(
                    f"the feature {member} is in {name} and in another group, or in it twice.",
                    KEYWORD,
                )
            table[place] = number
    alone = table < 0
    table[alone] = len(members) + np.arange(np.count_nonzero(alone))
    return np.unique(table, return_inverse=True)[1][np.newaxis]


def feature_number(name: str, read: Input, keyword: str) -> int:
    """The place of a feature, by its name or its number.

    Raises
    ------
    WrongUsage
        The input has no such feature, or its features have no names.
    """
    if read.features and name in read.features:
        return read.features.index(name)
    number = whole_number(name if read.features else name.removeprefix("feature_"))
    if number is not None and number < read.size:
        return number
    if read.features is None:
        raise WrongUsage(
            f"there is no feature {name!r}: the model does not say what its {read.size} features "
            f"are called; add `features: [..]` to its mapping, or say it by number, from 0 to "
            f"{read.size - 1}.",
            keyword,
        )
    raise WrongUsage(
        f"there is no feature {name!r}; expected one of {', '.join(read.features)}.", keyword
    )


def _of_array(given: Any, read: Input) -> Integers:
    """Group numbers of an array, (1, features) or (steps, features), from 0 on."""
    import numpy as np

    array = np.asarray(given)
    if read.embedding is not None:
        raise WrongUsage("groups features, and the input has tokens.", KEYWORD)
    if array.dtype.kind not in "iu" or array.ndim not in (1, 2) or array.shape[-1] != read.size:
        raise WrongUsage(
            f"is {array.dtype} {tuple(array.shape)}; expected whole numbers, ({read.size},) or "
            f"(steps, {read.size}).",
            KEYWORD,
        )
    if not array.size:
        raise WrongUsage("has no steps.", KEYWORD)
    numbers = np.unique(array, return_inverse=True)[1]
    return numbers.reshape(-1, read.size)


def _of_file(text: str, read: Input) -> InputGroups:
    """Of a .npy array, or of a JSON object with lists of features by name."""
    path = text.removeprefix(EACH).strip()
    with reading(path):
        return InputGroups(features=_features_of_file(path, read))


def _features_of_file(path: str, read: Input) -> Integers:
    if path.lower().endswith(".npy"):
        from lstm_lrp_cli.loading.files.numpy import open_npy

        if not Path(path).is_file():
            raise UnusableInput(path, "there is no such file")
        return _of_array(open_npy(Path(path), path), read)
    from lstm_lrp_cli.loading.mapping.yaml import read_yaml

    content = read_yaml(Path(path))  # of which JSON is a part
    if not isinstance(content, dict) or not all(isinstance(own, list) for own in content.values()):
        raise UnusableInput(
            path, "is no object with lists of features; expected {NAME: [FEATURE, ..], ..}"
        )
    return _table(content, read)


def _words(read: Input) -> tuple[Booleans, Booleans]:
    """By the id of a token, whether a word begins with it, and whether one ends with it."""
    import numpy as np

    if read.embedding is None or read.vocabulary is None:
        what = "numbers" if read.embedding is None else "tokens without a vocabulary"
        raise WrongUsage(f"{WORDS} are of tokens, and the input has {what}.", KEYWORD)
    rows = len(read.embedding.weights)
    begins, ends = np.zeros((2, rows), dtype=bool)
    known = {token: number for token, number in read.vocabulary.ids.items() if number < rows}
    if read.tokenization.split == "characters":
        spaces = [number for token, number in known.items() if token.isspace()]
        begins[spaces] = ends[spaces] = True
        return begins, ends
    begins_word, ends_word = _marked(known)
    for token, number in known.items():
        special = SPECIAL.fullmatch(token) is not None
        begins[number], ends[number] = special or begins_word(token), special or ends_word(token)
    return begins, ends


def _marked(tokens: Iterable[str]) -> tuple[Callable[[str], bool], Callable[[str], bool]]:
    """Whether a token begins a word, and whether it ends one, as most of a vocabulary show it."""

    def no(token: str) -> bool:
        return False

    kinds: dict[Callable[[str], bool], tuple[Callable[[str], bool], Callable[[str], bool]]] = {
        (marks := _with(BEGINNINGS)): (marks, no),
        (goes_on := _with((GOES_ON,))): (lambda token: not goes_on(token), no),
        (marks := _behind(ENDS)): (no, marks),
        (open_end := _behind(GOES_ON_BEHIND)): (no, lambda token: not open_end(token)),
    }
    counts = {marked: sum(map(marked, tokens)) for marked in kinds}
    most = max(counts, key=lambda marked: counts[marked])
    if not counts[most]:
        raise WrongUsage(
            f"no token of the vocabulary is a piece of a word (##.., \u2581.., \u0120.., ..@@, "
            f"..</w>): tokens are {WORDS} already.",
            KEYWORD,
        )
    return kinds[most]


def _with(beginnings: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a token begins with one of some signs."""
    return lambda token: token.startswith(beginnings)


def _behind(ending: str) -> Callable[[str], bool]:
    return lambda token: token.endswith(ending)
