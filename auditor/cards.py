"""Cards: no text in any table of any database contains the number of one."""

import re
from collections.abc import Iterator, Mapping

from auditor.evidence import Evidence
from auditor.findings import Code, Finding
from auditor.reading import Tables

# A word as long as a ULID, or longer, that has letters too: an id or a digest. By chance, one
# digest in a few hundred has digits in it that pass for a card's.
DIGESTS = re.compile(r"(?=\d*[A-Za-z])[0-9A-Za-z]{26,}")
# In one run, or in groups as they are printed on cards: 4-4-4-4 and 4-6-5.
RUNS = re.compile(
    r"\d{13,}"
    r"|(?<![0-9A-Za-z])\d{4}([ -])(?:\d{4}\1\d{4}\1\d{1,7}|\d{6}\1\d{4,5})(?![0-9A-Za-z])"
)
# How the numbers of the large networks begin, and how long they are.
NETWORKS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"
    r"|5[1-5]\d{14}"
    r"|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}"
    r"|3(?:0[0-5]|[689]\d)\d{11,16}"
    r"|35\d{14,17}"
    r"|6(?:011|4[4-9]\d|5\d\d|2\d\d)\d{12,15}"
    r"|(?:50|5[6-9]|6\d)\d{11,17}"
)
# Twice a digit, its own digits added up.
DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def no_cards(evidence: Evidence) -> Iterator[Finding]:
    """No text and no bytes contain what can only be a card number.

    Our own ids are numbers too, and one in ten of them passes for a card's by its check digit:
    a number that is an id in these databases is none.
    """
    databases = {
        "booking": evidence.booking,
        "payment": evidence.payment,
        "inventory": evidence.inventory,
        "provider": evidence.provider,
    }
    ids = {
        str(value)
        for tables in databases.values()
        for rows in tables.values()
        for row in rows
        for name, value in row.items()
        if isinstance(value, int) and name.endswith("_id")
    }
    for name, column, text in _texts(databases):
        for number in card_numbers(text):
            if number not in ids:
                found = f"has a card number that ends in {number[-4:]}"
                yield Finding(Code.CARD_STORED, f"{name}.{column}", found)


def card_numbers(text: str) -> list[str]:
    """The runs of digits in a text that are the number of a card."""
    words = DIGESTS.sub(".", text)
    runs = (re.sub(r"[ -]", "", found.group()) for found in RUNS.finditer(words))
    return [run for run in runs if NETWORKS.fullmatch(run) and passes_luhn(run)]


def passes_luhn(number: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[0::2]) + sum(DOUBLED[digit] for digit in digits[1::2])) % 10 == 0


def _texts(databases: Mapping[str, Tables]) -> Iterator[tuple[str, str, str]]:
    """Every text as (database and table, column, text); bytes as the letters that they may be."""
    for name, tables in databases.items():
        for table, rows in tables.items():
            for row in rows:
                for column, value in row.items():
                    if isinstance(value, bytes):
                        yield f"{name}.{table}", column, value.decode("latin-1")
                    elif isinstance(value, str):
                        yield f"{name}.{table}", column, value


CHECKS = (no_cards,)
