"""Text of strangers on terminals, which obey what is in it."""


def harmless(text: str, kept: str = "") -> str:
    """The same, but for what would move a cursor or make a line of its own.

    Users choose their names, their reasons and their paths; a terminal obeys what is in them.
    """
    return "".join(one if one.isprintable() or one in kept else "\ufffd" for one in text)
