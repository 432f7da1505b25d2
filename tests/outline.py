"""HTML as a browser would read it, and a text that wants to become markup."""

from __future__ import annotations

from html.parser import HTMLParser

NASTY = "<script>alert(1)</script> \" onmouseover='x' ${document.title} {{value}} & \u202e"


class Outline(HTMLParser):
    """The tags, attributes and texts that a browser would see."""

    VOID = frozenset({"br", "rect"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


TAGS = {
    "section", "div", "audio", "video", "p", "span", "small", "svg", "rect", "i", "ul", "li", "button", "details",
    "summary", "em", "b", "table", "thead", "tbody", "tr", "th", "td", "br", "code",
}  # fmt: skip
