"""Personal data with a form of its own: e-mail, IP and street addresses, and dates of birth. Pure."""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from stt_lab.engines.pii.hits import PiiHit
from stt_lab.engines.pii.spoken import written

# E-mail. Top-level domains are not checked against a list, because addresses within an intranet count too

_MAIL = re.compile(r"(?<![\w.+-])[\w.!#$%&'*+/=?^`{|}~-]{1,64}@(?:[^\W_](?:[\w-]*[^\W_])?\.)+[^\W\d_]{2,63}(?!\w)")
_SAID = r"[\w+-]{1,64}"  # a word of an address
_MAIL_SAID = re.compile(
    rf"(?<![\w@])(?:{_SAID}(?: (?:dot|underscore|dash|hyphen) |\.)){{0,4}}{_SAID} at {_SAID}"
    rf"(?:(?: dot | ?\. ?){_SAID}){{0,3}} dot [a-z]{{2,24}}(?: dot [a-z]{{2,3}})?(?!\w)",
    re.I,
)


def mails(text: str) -> Iterator[PiiHit]:
    """Yield e-mail addresses, written or spoken."""
    for match in _MAIL.finditer(text):
        yield PiiHit(match.start(), match.end(), 0.95)
    for match in _MAIL_SAID.finditer(text):  # "ada dot lovelace at example dot org"
        yield PiiHit(match.start(), match.end(), 0.6)


# IP addresses


_IP = re.compile(
    r"(?<![\w.:-])(?:\d{1,3}(?:\.\d{1,3}){3}|(?=[\da-f:]*:[\da-f:]*:)[\da-f:]{2,39}(?:\d{1,3}(?:\.\d{1,3}){3})?)"
    r"(?:%\w+)?(?:/\d{1,3})?(?![\w:-]|\.\w)",
    re.I,
)
_VERSION = re.compile(
    r"\b(?:version|versions|v|ver|release|releases|released|build|firmware|driver|patch|upgrade|upgraded|update|updated|"
    r"software|section|chapter|clause|paragraph|article|rule)\b",
    re.I,
)
_MACHINE = re.compile(
    r"\b(?:ip|ips|ipv[46]|address|addresses|hosts?|servers?|machines?|nodes?|gateways?|routers?|subnet|dns|ping|proxy)\b",
    re.I,
)
NEAR = 60  # characters before a number that show what it is


def machines(text: str) -> Iterator[PiiHit]:
    """Yield IP addresses, unless the text before shows a version number."""
    for match in _IP.finditer(text):
        if not _is_machine(match[0]):
            continue
        before = text[max(0, match.start() - NEAR) : match.start()]
        version = max((found.end() for found in _VERSION.finditer(before)), default=-1)
        machine = max((found.end() for found in _MACHINE.finditer(before)), default=-1)
        if machine >= version:
            yield PiiHit(match.start(), match.end(), 0.95 if machine >= 0 else 0.7)


def _is_machine(said: str) -> bool:
    try:
        ipaddress.ip_interface(said)
    except ValueError:
        return False
    return any(char not in ":0" for char in said)  # "::" and similar belong to nobody


# Dates of birth: a date after a word that asks for one

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY, _YEAR = r"\d{1,2}(?:st|nd|rd|th)?", r"(?:1[89]|20)\d\d"
_DATE = re.compile(
    rf"(?<![\w./-])(?:(?:the )?{_DAY}(?: day)?(?: of)? {_MONTH}(?:,? (?:of )?(?P<a>{_YEAR}|'\d\d))?"
    rf"|{_MONTH} (?:the )?{_DAY}(?:,? (?P<b>{_YEAR}))?"
    rf"|{_MONTH},? (?P<c>{_YEAR})"
    rf"|(?:the )?{_DAY} of the {_DAY}(?:,? (?:of )?(?P<d>{_YEAR}|\d\d))?"
    rf"|\d{{1,2}}([./ -])\d{{1,2}}\5(?P<e>{_YEAR}|\d\d)"
    rf"|(?P<f>{_YEAR})([./-])\d{{1,2}}\8\d{{1,2}})(?![\w/]|[.-]\d)",
    re.I,
)
_BORN = re.compile(
    r"\b(?P<many>(?:dates|days|years) of birth|birth ?dates|birthdays|they were born|(?:they|you) were all born|"
    r"everyone was born|when (?:each|everybody|they))\b"
    r"|\b(?:born|date of birth|day of birth|birth ?date|birth ?day|d\.?o\.?b\b\.?)",
    re.I,
)
AHEAD, AHEAD_OF_MANY = 110, 1500  # characters that may lie between, for one person and for several
NEXT = 60  # characters after a date of birth within which another full date is one too: "and mine is ..."
BEHIND = 30  # characters between a date and a later keyword: "the 4th of May, that's my birthday"


_Date = tuple[int, int, bool]  # start, end, whether it has a year


def births(text: str) -> Iterator[PiiHit]:
    """Yield dates of birth: dates near words that ask for one."""
    form = written(text)
    dates = [(match.start(), match.end(), _has_year(match)) for match in _DATE.finditer(form.text)]
    yield from map(form.hit, dict.fromkeys(_births(form.text, dates)))


def _births(text: str, dates: list[_Date]) -> Iterator[PiiHit]:
    starts, ends = [date[0] for date in dates], [date[1] for date in dates]  # both grow
    chained: set[int] = set()
    for born in _BORN.finditer(text):
        many = born["many"] is not None
        first = bisect_left(starts, born.end())
        later = dates[first : bisect_right(starts, born.end() + (AHEAD_OF_MANY if many else AHEAD))]
        found = [date for date in later if date[2]] if many else _chain(dates, first, chained) if later else ()
        for start, end, _ in found:
            yield PiiHit(start, end, 0.8)
        before = bisect_right(ends, born.start()) - 1
        if not later and before >= 0 and born.start() - ends[before] <= BEHIND:
            yield PiiHit(starts[before], ends[before], 0.7)


def _chain(dates: list[_Date], place: int, chained: set[int]) -> Iterator[_Date]:
    """Yield a date and full dates right after it, up to one that an earlier chain yielded; add their places."""
    while place not in chained:
        chained.add(place)
        yield dates[place]
        end = dates[place][1]
        for other in range(place + 1, len(dates)):
            if dates[other][0] - end > NEXT:
                break
            if dates[other][2]:
                place = other
                break


def _has_year(match: re.Match[str]) -> bool:
    return any(match[name] for name in "abcdef")


# Street addresses

# A capitalized word; atomic, since what follows a name never begins inside it
_NAME = r"(?>[^\W\d_a-z](?!['’])(?:[^\W\d_]|-)*(?!\d)(?:['’](?!m\b|ve\b|ll\b)\w+)?)"
_STREET = (
    r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Court|Ct|Row|Place|Pl|Square|Sq|Terrace|Way|Boulevard|Blvd|Close|"
    r"Crescent|Cres|Gardens|Grove|Hill|Mews|Parade|Highway|Hwy|Parkway|Pkwy|Quay|Walk|Landing|Alley|Circle|Loop|Trail|"
    r"Turnpike|Wharf|Yard|View|Rise|Green|Park|Steps|Mount|Embankment|Bridge|Crossing|Heights|Meadows?|Passage|Path|Pike|"
    r"Plaza|Point|Promenade|Ridge|Run|Strand|Vale|Villas|Wynd|Common|Croft|Dale|Fold|Gate|End|Approach|Broadway|"
    r"Esplanade|Cottages?|Buildings|Estate|Farm|House)\.?"
)
_PLAIN = "(?:Street|Road|Avenue|Lane|Drive|Row|Square|Terrace|Way|Boulevard|Close|Crescent|Gardens|Grove|Mews)"
_NUMBER = r"\d{1,5}(?:[-–/]\d{1,5})?[a-zA-Z]?"
_UNIT = r"(?:(?i:flat|apartment|apt\.?|unit|suite|ste\.?|floor|room|number|no\.?|#) ?\w{1,5})"
_ROAD = (
    rf"(?:(?:{_NAME}|of|the|\d{{1,3}}(?:st|nd|rd|th)) ){{1,4}}{_STREET}(?![\w-])"
    r"(?: (?:North|South|East|West|[NSEW]{1,2})\b)?"
)
_NUMBERED = r"(?:(?:County|State|Farm|Old|Rural) )*(?:Road|Route|Highway|Hwy|Interstate) \d{1,4}\b"
# Streets of German, Dutch and the Nordic countries in one word; of Romance languages with the type first
_ONE_WORD = (
    r"[^\W\d_a-z][\w-]{0,60}(?:stra(?:ss|ß)e|str\.|weg|platz|gasse|allee|ufer|damm|ring|straat|laan|gracht|plein|kade|vej|gade|"
    r"kajen|vägen|gatan|gata|veien|gaten|katu|tie)"
)
_OF = r"(?: (?:de|du|des|della|delle|dei|degli|del|dell'|di|da|do|dos|das|la|las|los|le|les|l'|d'))*"
_IN_FRONT = (
    r"(?:(?i:via|viale|piazza|corso|vicolo|rue|avenue|boulevard|place|quai|chemin|impasse|allée|calle|avenida|plaza|"
    rf"paseo|carrer|rua|travessa|praça|strada|ulica|ul\.){_OF}(?: ?{_NAME}){{1,3}})"
)
_POSTCODE = r"(?:[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}|(?:[A-Z]-)?\d{4,5}(?:-\d{4})?|\d{3} \d{2})"
_TOWN = rf"(?>{_NAME}(?:(?: |-)(?:{_NAME}|upon|on|under|le|am|an der|de|la))*)"
_STATE = (
    r"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|PA|RI|S[CD]|T[NX]|UT|V[AT]|"
    r"W[AIVY])"
)
_AFTER = (
    rf"(?:,? {_UNIT})?(?:, ?(?:in )?{_POSTCODE} {_TOWN}|, ?(?:in )?{_TOWN})?(?:,? {_STATE}\b)?(?:,? {_POSTCODE}(?!\w))?"
    rf"(?:, {_TOWN}(?=[.?!,;]|$))?"
)
# Street and number, number and street; a named house; a post office box; a postcode of the United Kingdom alone
_HOUSES = tuple(
    (re.compile(pattern), score)
    for pattern, score in (
        (rf"(?<![\w.,:/-])(?:{_UNIT},? )?{_NUMBER},? (?:{_NUMBERED}|{_ROAD})(?:{_AFTER})", 0.9),
        (rf"(?<!\w)(?:{_ONE_WORD}|{_IN_FRONT}),? {_NUMBER}(?!\w)(?:{_AFTER})", 0.9),
        (rf"(?<![\w.,:/-]){_NUMBER},? {_IN_FRONT}(?:{_AFTER})", 0.9),
        (
            rf"\b[Tt]he (?:{_NAME} )?{_NAME}, (?:{_NUMBER},? )?(?:{_NAME} ){{1,3}}{_PLAIN}\b(?:{_AFTER})",
            0.7,
        ),  # a house with a name
        (r"(?i:\b(?:p\.?o\.?|post office) box \d{1,6}\b)", 0.9),
        (r"(?<!\w)[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}(?!\w)", 0.6),
    )
)


def houses(text: str) -> Iterator[PiiHit]:
    """Yield street addresses."""
    form = written(text)
    for pattern, score in _HOUSES:
        for match in pattern.finditer(form.text):
            yield form.hit(PiiHit(match.start(), match.end(), score))
