"""Texts that mean harm: to logs, headers, terminals, statements of SQL, and to who formats them."""

# In each of them, so that one can see where they go.
MARK = "FORGED7"

TEXTS = {
    "a header": f"x\r\nx-{MARK}: 1\r\n\r\n<b>{MARK}</b>",
    "a line of a log": f'x\n{{"event": "{MARK}", "level": "error", "{MARK}": 1}}',
    "a field of a log": f'x", "{MARK}": "1',
    "a terminal": f"\x1b]0;{MARK}\x07\x1b[2J\x1b[1A\x9b31m",
    "an end of text": f"x\0{MARK}",
    "other ends of lines": f"x\u2028{MARK}\u2029\x85\x0b\x0c\x1c\x1e{MARK}",
    "another direction": f"\u202e{MARK}\u2066\u200f",
    "a tag": f"\U000e0041\u200b\ufeff{MARK}",
    "a statement": f"'; DROP TABLE bookings; -- {MARK} \\' \\",
    "a pattern": f"%_{MARK}%25\\_",
    "a format": f"%s%n%(x)s {{0}} {{{MARK}.__class__}} ${{jndi:x}} $(id) `id` :x ? {MARK}",
    "a length": MARK + "x" * 5000,
}
