"""Write out what a text only abbreviates: numbers, dates, times, money, units and titles. Pure.

English is written out here; in other languages espeak-ng reads numbers, and abbreviations that would end a sentence
lose their point.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"))
IRREGULAR = {
    **{"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"},
    "twelve": "twelfth",
}
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
SHORT_MONTHS = "|".join(month[:3] for month in MONTHS) + "|Sept"
ABBREVIATIONS = {
    **{"Dr": "Doctor", "Mr": "Mister", "Mrs": "Missus", "Ms": "Miz", "Prof": "Professor", "St": "Saint"},
    **{"Jr": "Junior", "Sr": "Senior", "Gen": "General", "Col": "Colonel", "Capt": "Captain", "Lt": "Lieutenant"},
    **{"vs": "versus", "etc": "et cetera", "approx": "approximately", "No": "number", "Nos": "numbers"},
    **{"Ltd": "Limited", "Co": "Company", "Inc": "Incorporated", "Ave": "Avenue", "Blvd": "Boulevard"},
    **{"dept": "department", "est": "established", "fig": "figure", "vol": "volume", "Sgt": "Sergeant"},
}
ONLY_BEFORE_NUMBERS = {"No", "Nos", "fig", "vol"}
PHRASES = {"e.g.": "for example", "i.e.": "that is", "a.m.": "A M", "p.m.": "P M", "w/": "with", "w/o": "without"}
CURRENCIES = {
    **{"$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "pence"), "¥": ("yen", "")},
    "₹": ("rupee", "paisa"),
}
UNITS = {
    **{"km": "kilometer", "m": "meter", "cm": "centimeter", "mm": "millimeter", "kg": "kilogram", "g": "gram"},
    **{"mg": "milligram", "l": "liter", "ml": "milliliter", "ft": "foot", "lb": "pound", "lbs": "pound"},
    **{"oz": "ounce", "mph": "mile an hour", "kmh": "kilometer an hour", "km/h": "kilometer an hour"},
    **{"Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz", "MB": "megabyte", "GB": "gigabyte"},
    **{"°C": "degree Celsius", "°F": "degree Fahrenheit", "W": "watt", "kW": "kilowatt", "min": "minute", "h": "hour"},
}
PLURALS = {"foot": "feet", "hertz": "hertz", "kilohertz": "kilohertz", "megahertz": "megahertz"} | {
    "gigahertz": "gigahertz", "yen": "yen", "pence": "pence", "paisa": "paise",
}  # fmt: skip
SIGNS = {"&": " and ", "%": " percent", "@": " at ", "+": " plus ", "=": " equals ", "#": " number ", "°": " degrees "}
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_MARKUP = re.compile(r"<[^<>]{1,200}>|[*_`~^|\\\[\]{}]|https?://(?:www\.)?")


def readable(text: str, language: str) -> str:
    """Return a text as it is to be read out, without markup, emoji and signs that nobody says."""
    text = "".join(_sayable(char) for char in unicodedata.normalize("NFKC", _MARKUP.sub(" ", text)))
    if language == "en":
        for pattern, make in ENGLISH:
            text = pattern.sub(make, text)
    return re.sub(r" (?=[.,;:!?)])", "", re.sub(r"[ \t]+", " ", text)).strip()


def has_letters(text: str) -> bool:
    """Return whether there is anything to say: a letter or a digit."""
    return any(char.isalnum() for char in text)


def _sayable(char: str) -> str:
    kind = unicodedata.category(char)
    if kind in ("So", "Cf", "Cs", "Co", "Cn", "Sk") and char != "°":  # emoji and invisible characters
        return " "
    return " " if kind == "Cc" and char not in "\n\t" else char


def cardinal(number: int) -> str:
    """Return a number in words: 1984 is "one thousand nine hundred eighty-four"."""
    if number < 0:
        return f"minus {cardinal(-number)}"
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")
    if number < 1000:
        rest = f" {cardinal(number % 100)}" if number % 100 else ""
        return f"{ONES[number // 100]} hundred{rest}"
    for size, name in SCALES:
        if size <= number < size * 1000:
            rest = f" {cardinal(number % size)}" if number % size else ""
            return f"{cardinal(number // size)} {name}{rest}"
    return digits(str(number))


def digits(text: str) -> str:
    """Return digits one by one."""
    return " ".join(ONES[int(char)] for char in text if char.isdecimal())


def ordinal(number: int) -> str:
    """Return an ordinal in words: 21 is "twenty-first"."""
    said = cardinal(number)
    at = max(said.rfind(" "), said.rfind("-")) + 1
    head, last = said[:at], said[at:]
    if last in IRREGULAR:
        return head + IRREGULAR[last]
    return head + (f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th")


def year(number: int) -> str:
    """Return a year as it is read: 1984 is "nineteen eighty-four", 2005 "two thousand five"."""
    century, rest = divmod(number, 100)
    if not 1100 <= number < 2100 or 2000 <= number < 2010:
        return cardinal(number)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def decimal(text: str) -> str:
    """Return a number such as "1,234.05" in words."""
    whole, _, part = text.replace(",", "").partition(".")
    if len(whole) > 15:
        return digits(whole)
    if len(whole) > 1 and whole[0] == "0" and not part:
        return digits(whole)
    return cardinal(int(whole)) + (f" point {digits(part)}" if part else "")


def _plural(noun: str, number: str) -> str:
    if number in ("1", "1.0"):
        return noun
    head, space, rest = noun.partition(" ")
    return PLURALS.get(head, f"{head}s") + space + rest


def _money(found: re.Match[str]) -> str:
    unit, part = CURRENCIES[found["sign"]]
    amount, scale = found["amount"].replace(",", ""), found["scale"]
    if scale:
        names = {"k": "thousand", "m": "million", "bn": "billion", "b": "billion"}
        return f"{decimal(amount)} {names.get(scale.lower(), scale)} {_plural(unit, '2')}"
    whole, _, cents = amount.partition(".")
    made = f"{decimal(whole)} {_plural(unit, whole)}"
    if len(cents) == 2 and int(cents) and part:
        made += f" and {cardinal(int(cents))} {_plural(part, str(int(cents)))}"
    elif cents and int(cents):
        made = f"{decimal(amount)} {_plural(unit, amount)}"
    return made


def _iso_date(found: re.Match[str]) -> str:
    month, day = int(found["month"]), int(found["day"])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return found[0]
    return f"{MONTHS[month - 1]} {ordinal(day)}, {year(int(found['year']))}"


def _month_day(found: re.Match[str]) -> str:
    after = f", {year(int(found['year']))}" if found["year"] else ""
    return f"{_month(found['month'])} {ordinal(int(found['day']))}{after}"


def _day_month(found: re.Match[str]) -> str:
    after = f" {year(int(found['year']))}" if found["year"] else ""
    return f"the {ordinal(int(found['day']))} of {_month(found['month'])}{after}"


def _month(name: str) -> str:
    return next(month for month in MONTHS if month.startswith(name[:3]))


def _time(found: re.Match[str]) -> str:
    hour, minute = int(found["hour"]), int(found["minute"])
    if hour > 23 or minute > 59:
        return found[0]
    said = "o'clock" if not minute else f"oh {cardinal(minute)}" if minute < 10 else cardinal(minute)
    half = found["half"] or ""
    if half:
        said = "" if not minute else said
    return f"{cardinal(hour)} {said} {' '.join(half.replace('.', '').upper())}".replace("  ", " ").strip()


def _abbreviation(found: re.Match[str]) -> str:
    word = found["word"]
    if word in ONLY_BEFORE_NUMBERS and not re.match(r"\s*\d", found.string[found.end() :]):
        return found[0]
    ends = not found.string[found.end() :].strip()
    return ABBREVIATIONS[word] + ("." if ends else "")


def _decade(found: re.Match[str]) -> str:
    said = year(int(found[1]))
    return f"{said[:-1]}ies" if said.endswith("y") else f"{said}s"


_SCALE = "thousand|million|billion|trillion|bn|[kmbKMB]"
_UNIT = "|".join(sorted(map(re.escape, UNITS), key=len, reverse=True))
Make = Callable[[re.Match[str]], str]
_YEAR = r"(?P<year>1[1-9]\d\d|20\d\d)"
_MONTH_NAME = rf"(?P<month>{'|'.join(MONTHS)}|(?:{SHORT_MONTHS})\b\.?)"
ENGLISH: tuple[tuple[re.Pattern[str], Make], ...] = (  # in this order
    (re.compile(r"\b(?:e\.g\.|i\.e\.|[ap]\.m\.)|\bw/o?(?=\s)"), lambda found: PHRASES[found[0]]),
    (re.compile(rf"\b(?P<word>{'|'.join(ABBREVIATIONS)})\."), _abbreviation),
    (re.compile(r"\b(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)\b"), _iso_date),
    (re.compile(rf"\b{_MONTH_NAME} (?P<day>[0-3]?\d)(?:st|nd|rd|th)?\b(?:,? {_YEAR}\b)?"), _month_day),
    (re.compile(rf"\b(?:the )?(?P<day>[0-3]?\d)(?:st|nd|rd|th)?(?: of)? {_MONTH_NAME}\b(?:,? {_YEAR}\b)?"), _day_month),
    (re.compile(r"\b(?P<hour>\d{1,2}):(?P<minute>\d\d)(?:\s?(?P<half>[AaPp]\.?[Mm]\b\.?))?(?!:)"), _time),
    (re.compile(r"\b(?P<hour>\d{1,2})(?P<minute>(?=))\s?(?P<half>[AaPp][Mm])\b"), lambda found: _hour(found)),
    (
        re.compile(rf"(?P<sign>[$€£¥₹])\s?(?P<amount>{_NUMBER})(?:\s?(?P<scale>{_SCALE})\b)?"),
        _money,
    ),
    (re.compile(r"(?<=[\s($€£])-(?=\d)"), lambda found: "minus "),
    (re.compile(r"(?<=\d)\s?[-–]\s?(?=\d)"), lambda found: " to "),
    (re.compile(r"\b(1[1-9]\d0|20\d0)s\b"), _decade),
    (re.compile(r"\b(\d+)(?:st|nd|rd|th)\b"), lambda found: ordinal(int(found[1])) if len(found[1]) < 13 else found[1]),
    (
        re.compile(rf"(?<![\d.,])(?P<amount>{_NUMBER})\s?(?P<unit>{_UNIT})(?![\w/])"),
        lambda found: f"{decimal(found['amount'])} {_plural(UNITS[found['unit']], found['amount'])}",
    ),
    (re.compile(r"(?<![\w.,])(1[1-9]\d\d|20\d\d)(?!\w|[,.]\d)"), lambda found: year(int(found[1]))),
    (re.compile(_NUMBER), lambda found: f" {decimal(found[0])} "),
    (re.compile(r"[&%@+=#°]"), lambda found: SIGNS[found[0]]),
)  # fmt: skip


def _hour(found: re.Match[str]) -> str:
    return f"{cardinal(int(found['hour']))} {' '.join(found['half'].upper())}"
