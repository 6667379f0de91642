"""Cards: no text in any table of any database contains the number of one."""

import re
from array import array
from collections.abc import Sequence
from typing import Any

from auditor.findings import Code, Finding

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
# With every digit as a zero, what has a card number in it has one of these.
ZEROS = bytes.maketrans(b"123456789", b"000000000")
SHAPES = (b"0" * 13, b"0000 0000", b"0000-0000")
# Twice a digit, its own digits added up.
DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


class CardScan:
    """Looks for card numbers while rows go by: no text has to be kept for it.

    Our own ids are numbers too, and one in ten of them passes for a card's by its check digit:
    a number that is an id in these databases is none. So what was seen is judged at the end.
    """

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._seen: set[tuple[str, str]] = set()
        self._ids = array("q")

    def look_at(self, where: str, values: Sequence[Any]) -> None:
        """Look at values of a column, `database.table.column`; bytes as letters they may be."""
        if where.endswith("_id"):
            self._ids.extend(one for one in values if isinstance(one, int))
        if not {str, bytes} & set(map(type, values)):
            return
        texts = [one for one in values if isinstance(one, str)]
        texts += [one.decode("latin-1") for one in values if isinstance(one, bytes)]
        if _may_have_cards("\n".join(texts)):
            self._seen |= {(where, number) for one in texts for number in card_numbers(one)}

    def findings(self) -> list[Finding]:
        """No text and no bytes contain what can only be a card number."""
        ids = {int(number) for _, number in self._seen}.intersection(self._ids)
        return [
            Finding(Code.CARD_STORED, where, f"has a card number that ends in {number[-4:]}")
            for where, number in self._seen
            if int(number) not in ids
        ]


def card_numbers(text: str) -> list[str]:
    """The runs of digits in a text that are the number of a card."""
    words = DIGESTS.sub(".", text)
    runs = (re.sub(r"[ -]", "", found.group()) for found in RUNS.finditer(words))
    return [run for run in runs if NETWORKS.fullmatch(run) and passes_luhn(run)]


def passes_luhn(number: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[0::2]) + sum(DOUBLED[digit] for digit in digits[1::2])) % 10 == 0


def _may_have_cards(text: str) -> bool:
    """Whether it is worth a closer look: fast, and seldom wrongly true."""
    shapes = text.encode("ascii", "replace").translate(ZEROS)
    return any(one in shapes for one in SHAPES)
