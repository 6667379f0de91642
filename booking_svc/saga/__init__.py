"""The sagas: their table, the machine that moves along it, the runner that awaits.

A saga is a row that says which step is next. Nothing about it is kept in memory only,
except the card, which is never stored.
"""
