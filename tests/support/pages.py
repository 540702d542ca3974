"""The page of `lrp explain`, read back."""

import json
from html.parser import HTMLParser


class Page(HTMLParser):
    """A page, read as browsers read it.

    Attributes
    ----------
    elements : list of (str, dict)
        Every tag with its attributes, in order; those that end an element begin with a slash.
    texts : list of str
        What stands between each tag and the next.
    """

    def __init__(self, text):
        super().__init__()
        self.text = text
        self.elements, self.texts = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")

    def handle_endtag(self, tag):
        self.handle_starttag(f"/{tag}", [])

    def handle_data(self, data):
        if self.texts:
            self.texts[-1] += data

    def of(self, tag, **attributes):
        """The texts of all elements with these attributes."""
        return [
            text
            for (name, attrs), text in zip(self.elements, self.texts, strict=True)
            if name == tag and attributes.items() <= attrs.items()
        ]

    @property
    def shown(self):
        """All its text but styles, scripts and data, with one space between words."""
        kept = [
            text
            for (name, _), text in zip(self.elements, self.texts, strict=True)
            if name not in ("style", "script")
        ]
        return " ".join(" ".join(kept).split())

    @property
    def blocks(self):
        """The data, as it stands in the page."""
        return self.of("script", **{"class": "explanations"})

    @property
    def explanations(self):
        return [each for block in self.blocks for each in json.loads(block)]

    @property
    def about(self):
        [block] = self.of("script", id="about")
        [about] = json.loads(block)
        return about
