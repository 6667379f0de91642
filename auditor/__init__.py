"""The auditor: reads the databases of a stack, knows none of its code, and says what is wrong."""

from auditor.evidence import Books
from auditor.examine import Report, audit, examine
from auditor.findings import Code, Finding
from auditor.reading import CannotRead, Urls

__all__ = ["Books", "CannotRead", "Code", "Finding", "Report", "Urls", "audit", "examine"]
