"""Looks for what must be nowhere: the number and the code of a card, in any disguise."""

import base64
import hashlib
import re
from pathlib import Path

# So many digits in a row are too much. The last four are kept.
PART = 8
# Digits that are set apart are a number all the same.
BETWEEN = re.compile(r"(?<=\d)(?:[ \-./_,:]|%20|\\u00a0)(?=\d)")
# Fewer different digits than that are found in many a number.
TELLING = 4


class CardSearch:
    """A search for some cards: for their numbers, and for their codes where those are telling."""

    def __init__(
        self, *numbers: str, codes: tuple[str, ...] = (), words: tuple[str, ...] = ()
    ) -> None:
        """Look for parts of the numbers, for codes that stand alone, and for words as they are."""
        self._forms: dict[str, str] = {}
        for number in numbers:
            self._add(number)
        self._forms |= dict.fromkeys(words, "word")
        every = "|".join(re.escape(one) for one in [*codes, *map(_base64, codes)]) or "(?!)"
        self._codes = re.compile(rf"(?<![0-9A-Za-z.+/])(?:{every})(?![0-9A-Za-z])")

    def found(self, text: str) -> list[str]:
        """What is in a text, and in what form."""
        plain = BETWEEN.sub("", text)
        lower = text.lower()
        hits = {
            f"{what}: {form}"
            for form, what in self._forms.items()
            if form in text or form in plain or (what == "hex" and form in lower)
        }
        return sorted(hits | {f"code: {one}" for one in self._codes.findall(text)})

    def found_in_files(self, folder: Path) -> list[str]:
        """The same in all files below a folder, byte for byte."""
        files = [one for one in folder.rglob("*") if one.is_file()]
        return [
            f"{one.name}: {hit}"
            for one in files
            for hit in self.found(one.read_bytes().decode("latin-1"))
            # Beside binary numbers anything may stand alone.
            if not hit.startswith("code")
        ]

    def _add(self, number: str) -> None:
        self._forms[number] = "number"
        self._forms[number[:-4]] = "most of the number"
        for digits, what in ((number, "part"), (number[::-1], "reversed")):
            for start in range(len(digits) - PART + 1):
                part = digits[start : start + PART]
                if len(set(part)) >= TELLING:
                    self._forms[part] = what
        self._forms[number[:-4].encode().hex()] = "hex"
        for before in range(3):
            # What stands beside it changes the ends only.
            encoded = base64.b64encode(b"." * before + number.encode()).decode()
            self._forms[encoded[4 if before else 0 : -4]] = "base64"
        for digest in (hashlib.md5, hashlib.sha1, hashlib.sha256):
            self._forms[digest(number.encode()).hexdigest()] = "hex"


def _base64(code: str) -> str:
    return base64.b64encode(code.encode()).decode().rstrip("=")
