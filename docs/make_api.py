"""Write docs/api.md: the names of the Python API, from their docstrings.

Run it from anywhere, with the package installed:

    python docs/make_api.py
"""

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import lstm_lrp_cli as lrp
from lstm_lrp_cli.explaining.attention import AttentionWeights

PAGE = Path(__file__).parent / "api.md"
ORDER = (
    *("load", "read", "sequences", "explain", "predict", "write"),
    *("Explainer", "Explanation", "Model", "UnusableInput"),
)

INTRODUCTION = """\
# Python API

The ten names of the package. This page is generated from their docstrings: run
`python docs/make_api.py`. Each example is run by a test, in the folder of
[sample_models/sentiment_keras](../sample_models/README.md), where `model` is what
`lrp.load("model.h5")` gives. [notebook.ipynb](notebook.ipynb) shows them at work.

```python
import lstm_lrp_cli as lrp

model = lrp.load("model.h5")
[e] = lrp.explain(model, "a fine and moving film")
e
```

In a notebook, the last line shows the heat map. Where the same is an option of the command line, it
has the same name and meaning there. While the library computes, NumPy's matrix products take one
thread; afterwards they have as many as before.
"""


def page() -> str:
    """The whole page as Markdown."""
    entries = [entry(name, getattr(lrp, name)) for name in ORDER]
    return "\n".join([INTRODUCTION, *entries, entry("Explanation.attention", AttentionWeights)])


def entry(name: str, given: object) -> str:
    """What is said of one name."""
    sections = sections_of(given)
    lines = [f"## {name}\n", f"```python\n{signature(name, given)}\n```\n", sections.pop("")]
    for title, text in sections.items():
        lines.append(f"**{title}**\n\n{examples(text) if title == 'Examples' else items(text)}")
    own = list(properties(given))
    if own:
        lines.append("**Attributes**\n\n" + "\n".join(own) + "\n")
    return "\n".join(lines)


def signature(name: str, given: object) -> str:
    """As one calls it, without annotations, which the text has in words."""
    if name in ("Explanation", "Explanation.attention", "Model", "UnusableInput"):
        return f"lrp.{name}"
    parameters = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in inspect.signature(given).parameters.values()
        if each.name != "self"
    ]
    return f"lrp.{name}{inspect.Signature(parameters)}"


def sections_of(given: object) -> dict[str, str]:
    """The parts of a docstring in NumPy's style, by their titles; "" is what stands before."""
    found = {"": ""}
    parts = re.split(r"^(\w+)\n-+\n", inspect.getdoc(given) or "", flags=re.MULTILINE)
    found[""] = parts[0]
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        found[title] = text
    return found


def items(text: str) -> str:
    """What is listed with explanations, as a list; text that is none, as it is."""
    if not re.search(r"^\S.*\n +\S", text, re.MULTILINE) and " : " not in text:
        return text
    lines = []
    for line in text.rstrip().splitlines():
        if line.startswith(" "):
            lines.append(f"  {line.strip()}")
        elif line:
            name, _, kind = line.partition(" : ")
            lines.append(f"- `{name}`{f': {kind}' if kind else ''}\\")
    listed = "\n".join(lines) + "\n"
    return re.sub(r"\\\n(?=- |$)", "\n", listed)


def examples(text: str) -> str:
    return f"```pycon\n{text.strip()}\n```\n"


def properties(given: object) -> Iterator[str]:
    """What an object tells beside its parameters, with the first sentence of each."""
    if inspect.isfunction(given):
        return
    for name, value in vars(given).items():
        if isinstance(value, property) and not name.startswith("_") and value.__doc__:
            yield f"- `{name}`: {' '.join(value.__doc__.split(chr(10) * 2)[0].split())}"


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
