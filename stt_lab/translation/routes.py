"""Find the way from a language to another through the directions that are there. Pure."""

from __future__ import annotations

from collections.abc import Collection

PIVOT = "en"  # between other languages
TRADITIONAL = "zh-Hant"  # is written from zh by OpenCC


def route(source: str | None, target: str, here: Collection[str]) -> tuple[str, ...]:
    """Return the directions to take, such as ("pt-en", "en-es"), the direct one if it is there; () without a way."""
    written = "zh" if target == TRADITIONAL else target
    spoken = "zh" if source == TRADITIONAL else source
    ways = ((f"{spoken}-{written}",), (f"{spoken}-{PIVOT}", f"{PIVOT}-{written}"))
    if spoken is None or spoken == written:
        return ()
    return next((way for way in ways if all(leg in here for leg in way)), ())


def reachable(here: Collection[str]) -> tuple[str, ...]:
    """Return all pairs that these directions translate, with those through English, in order."""
    languages = sorted({code for leg in here for code in leg.split("-", 1)})
    codes = [*languages, *([TRADITIONAL] if "zh" in languages else [])]
    return tuple(f"{one}-{two}" for one in codes for two in codes if route(one, two, here))
