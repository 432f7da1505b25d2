"""Numbers that identify a person or an account: cards by Luhn, IBANs by mod 97, telephone numbers by national plans.

Digits form groups with spaces, dashes, dots, commas or brackets between them, as people write and recognisers hear
them. All functions are pure; telephone plans come from the package phonenumbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from stt_lab.engines.pii.hits import PiiHit

_RUN = re.compile(r"(?<![\w@])\+?\(?\d+(?:[ ./()–,-]{1,3}\d+)*(?![\w@])")
MOST_DIGITS = 120  # per run: nobody says more at once, so a longer run counts as one number and is hidden as a whole


@dataclass(frozen=True)
class _Group:
    digits: str
    start: int
    end: int
    before: str  # separator from the previous group


def _groups(text: str, run: re.Match[str]) -> list[_Group]:
    made: list[_Group] = []
    last = run.start()
    for match in re.finditer(r"\d+", run[0]):
        start, end = run.start() + match.start(), run.start() + match.end()
        made.append(_Group(match[0], start, end, text[last:start]))
        last = end
    return made


def _windows(groups: list[_Group], least: int, most: int) -> Iterator[tuple[int, int, str]]:
    """Yield first group, group after the last and digits of all ranges with `least` to `most` digits; longest first."""
    for first in range(len(groups)):
        digits, ends = "", []
        for last in range(first, len(groups)):
            digits += groups[last].digits
            if len(digits) > most:
                break
            if len(digits) >= least:
                ends.append((first, last + 1, digits))
        yield from reversed(ends)


# Cards: ISO/IEC 7812


_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}"  # Visa: 13, 16 or 19 digits
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11}(?:\d{2})?"  # Diners Club
    r"|(?:6011|64[4-9]\d|65\d\d)\d{12}(?:\d{3})?"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|62\d{14,17}|81\d{14}"  # UnionPay
    r"|(?:50|5[6-9]|6\d)\d{10,17}"  # Maestro and similar
    r"|220[0-4]\d{12}"  # Mir
)


def luhn(digits: str) -> bool:
    """Return whether the last digit is the right check digit (ISO/IEC 7812-1, annex B)."""
    doubled = [int(digit) * 2 for digit in digits[-2::-2]]
    total = sum(map(int, digits[-1::-2])) + sum(value - 9 * (value > 9) for value in doubled)
    return total % 10 == 0


def cards(text: str) -> Iterator[PiiHit]:
    """Yield card numbers."""
    for run in _RUN.finditer(text):
        groups, behind = _groups(text, run), 0
        for first, last, digits in _windows(groups, 12, 19):
            if first >= behind and _ISSUERS.fullmatch(digits) and luhn(digits):
                yield PiiHit(groups[first].start, groups[last - 1].end, 1.0)
                behind = last


# IBANs: ISO 13616, with the registered lengths

_REGISTERED = """
    AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29
    ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20
    LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29
    PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20
    YE30
"""
_LENGTHS = {code[:2]: int(code[2:]) for code in _REGISTERED.split()}
_IBAN = re.compile(
    r"(?<![^\W_])([a-z])[ .,-]{0,2}([a-z])(?:[ .,-]{0,2}\d){2}(?:[ .,-]{0,2}[a-z\d]){11,29}", re.I | re.A
)


def mod97(code: str) -> bool:
    """Return whether the check digits are right (ISO 7064)."""
    return int("".join(str(int(char, 36)) for char in code[4:] + code[:4])) % 97 == 1


def ibans(text: str) -> Iterator[PiiHit]:
    """Yield IBANs."""
    for match in _IBAN.finditer(text):
        length = _LENGTHS.get((match[1] + match[2]).upper(), 0)
        places = [i for i in range(match.start(), match.end()) if text[i].isalnum()][:length]
        whole = 0 < length <= len(places) and not text[places[-1] + 1 : places[-1] + 2].isalnum()
        if whole and mod97("".join(text[i] for i in places)):
            yield PiiHit(match.start(), places[-1] + 1, 1.0)


# Telephones

REGIONS = (  # plans for numbers without a country code; regions with a leading zero first
    *("GB", "DE", "FR", "AU", "IT", "NL", "BE", "CH", "AT", "IE", "SE", "FI", "NZ", "ZA", "IN", "JP", "BR", "TR"),
    *("ES", "PT", "PL", "DK", "NO", "US"),
)
BEFORE = 70  # characters before a number that show what it is
_ABOUT = re.compile(
    r"\b(?:phone|telephone|tel|mobile|cell|cellphone|landline|hotline|line|fax|whatsapp|text|texts?|call|called|calling|"
    r"calls|ring|rings?|dial|reach|number|numbers|desk|office|voicemail|message|contact|handy|anrufen|nummer|tel[eé]fono|"
    r"t[eé]l[eé]phone|num[eé]ro|portable)\b",
    re.I,
)
_OTHER = re.compile(
    r"\b(?!(?:phone|telephone|mobile|cell|contact|fax|home|work|office|direct|best|emergency|new|old|the|my|your|his|her|"
    r"our|their|a|that|this|whose|what|another|other|same|and|good)\b)[a-z]+ numbers?\b"
    r"|\b(?:order|invoice|ticket|case|serial|policy|part|tracking|reference|booking|isbn|issn|barcode|sku|model|version|"
    r"batch|card|account|iban|container|meter|page|room|licen[cs]e|passport|registration|vin)\b",
    re.I,
)


def phones(text: str) -> Iterator[PiiHit]:
    """Yield telephone numbers."""
    for run in _RUN.finditer(text):
        groups = _groups(text, run)
        if sum(len(group.digits) for group in groups) > MOST_DIGITS:
            yield PiiHit(groups[0].start, groups[-1].end, 0.4)
            continue
        yield from _phones(text, groups)


def _phones(text: str, groups: list[_Group]) -> Iterator[PiiHit]:
    behind = 0
    for first, last, digits in _windows(groups, 7, 15):
        if first < behind or (first and _is_tight(groups[first])) or (last < len(groups) and _is_tight(groups[last])):
            continue
        sign = "+" in groups[first].before
        whole = (first == 0 or "," in groups[first].before) and (last == len(groups) or "," in groups[last].before)
        score = _phone(text, groups[first:last], digits, sign, whole)
        if score:
            before = groups[first].before
            opened = len(before) - len(before.rstrip("+("))
            yield PiiHit(groups[first].start - opened, groups[last - 1].end, score)
            behind = last


def _phone(text: str, groups: list[_Group], digits: str, sign: bool, whole: bool) -> float:
    """Return the score of groups as a telephone number; 0 if they are none."""
    if sign:
        return 0.9 if _valid(f"+{digits}") else 0.5 * whole
    if digits.startswith("00") and _valid(f"+{digits[2:]}"):
        return 0.9
    sizes = tuple(len(group.digits) for group in groups)
    about = _about(text[max(0, groups[0].start - BEFORE) : groups[0].start])
    if about < 0 and not (digits[0] == "0" and sizes[0] > 1):
        return 0.0
    if digits[0] == "0" and 9 <= len(digits) <= 12 and not _decimal(groups):
        return 0.8 if any(_valid(digits, region) for region in REGIONS) else 0.5 * whole
    if sizes in ((3, 3, 4), (1, 3, 3, 4)) and _valid(digits, "US"):
        return 0.8
    if about > 0 and whole and (len(digits) >= 9 or len(groups) > 1):
        return 0.6
    return 0.0


def _about(before: str) -> int:
    """Return 1 if the text before last mentions a telephone, -1 for another kind of number, 0 for neither."""
    phone = max((match.end() for match in _ABOUT.finditer(before)), default=-1)
    other = max((match.end() for match in _OTHER.finditer(before)), default=-1)
    return 0 if phone == other else 1 if phone > other else -1


def _is_tight(group: _Group) -> bool:
    """Return whether a group belongs to the one before, as in an ISBN."""
    return not any(char in " ," for char in group.before)


def _decimal(groups: list[_Group]) -> bool:
    return len(groups) == 2 and groups[0].digits == "0" and groups[1].before == "."


def _valid(number: str, region: str | None = None) -> bool:
    import phonenumbers

    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False
