"""The errors of the command line: a sentence for the person who typed the command."""


class Failure(Exception):
    """The command cannot do what it was asked to; the text says why, and what to do."""


class Unreachable(Failure):
    """Nothing answers where a service should be."""
