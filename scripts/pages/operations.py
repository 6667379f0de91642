"""The parts of docs/operations.md that the code knows better: its settings and its metrics."""

import importlib
import re
from collections.abc import Iterable, Iterator
from types import ModuleType

from prometheus_client.metrics import MetricWrapperBase
from pydantic_settings import BaseSettings

from booking_svc.config import BookingSettings
from chassis import settings as shared
from chassis import tls_settings
from chassis.settings import describe
from gateway.config import GatewaySettings
from inventory_svc.config import InventorySettings
from payment_svc.config import PaymentSettings

PROGRAMS: dict[str, type[BaseSettings]] = {
    "booking_svc": BookingSettings,
    "payment_svc": PaymentSettings,
    "inventory_svc": InventorySettings,
    "gateway": GatewaySettings,
}
# Who measures what: the module, and the line above its table.
METRICS = {
    "chassis.metrics": "every program (the gateway serves no RPCs, and has no database)",
    "booking_svc.metrics": "booking_svc",
    "payment_svc.metrics": "payment_svc",
    "inventory_svc.metrics": "inventory_svc",
    "gateway.metrics": "gateway",
}
BEGIN, END = "<!-- made by make docs: {} -->", "<!-- end -->"


class PageError(Exception):
    """The page has no place for what is made, or more than one."""


def written(page: str) -> str:
    """The page, with all parts between markers made anew.

    Raises:
        PageError: a pair of markers is not there exactly once.
    """
    for name, lines in (("settings", _settings()), ("metrics", _metrics())):
        page = _replaced(page, name, "\n".join(lines))
    return page


def _replaced(page: str, name: str, text: str) -> str:
    begin = BEGIN.format(name)
    part = re.compile(f"({re.escape(begin)}\n).*?({re.escape(END)}\n)", re.DOTALL)
    replaced, count = part.subn(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", page)
    if count != 1:
        message = f"{begin} … {END} must be there once, and is {count} times"
        raise PageError(message)
    return replaced


def _settings() -> Iterator[str]:
    for program, settings in PROGRAMS.items():
        yield from _section(program, _setting_rows(settings))
    for settings in _shared_settings(shared):
        prefix = settings.model_config.get("env_prefix", "")
        yield from _section(f"{prefix}…, of every service", _setting_rows(settings))
    for settings in _shared_settings(tls_settings):
        prefix = settings.model_config.get("env_prefix", "")
        title = f"{prefix}…, of every program and of `holdfast`: see [TLS](tls.md)"
        yield from _section(title, _setting_rows(settings))


def _shared_settings(module: ModuleType) -> list[type[BaseSettings]]:
    """Those that belong to no program: they have a prefix of their own."""
    found = [one for one in vars(module).values() if isinstance(one, type)]
    ours = [one for one in found if one.__module__ == module.__name__]
    settings = [one for one in ours if issubclass(one, BaseSettings)]
    return [one for one in settings if one.model_config.get("env_prefix")]


def _setting_rows(settings: type[BaseSettings]) -> Iterator[Iterable[str]]:
    yield "variable", "default", "meaning"
    for variable, default, meaning in describe(settings):
        yield f"`{variable}`", default if default == "(empty)" else f"`{default}`", meaning


def _metrics() -> Iterator[str]:
    for name, title in METRICS.items():
        yield from _section(title, _metric_rows(importlib.import_module(name)))


def _metric_rows(module: ModuleType) -> Iterator[Iterable[str]]:
    yield "metric", "type", "labels", "meaning"
    for metric in vars(module).values():
        if isinstance(metric, MetricWrapperBase):
            (told,) = metric.describe()
            name = f"{told.name}_total" if told.type == "counter" else told.name
            # The library tells labels to nobody.
            labels = metric._labelnames  # noqa: SLF001
            shown = ", ".join(f"`{label}`" for label in labels)
            yield f"`{name}`", told.type, shown, told.documentation


def _section(title: str, rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A line, and a table whose first row is its head."""
    yield f"**{title}**"
    yield ""
    for number, row in enumerate(rows):
        cells = [cell.replace("|", r"\|") for cell in row]
        yield f"| {' | '.join(cells)} |"
        if not number:
            yield f"|{'---|' * len(cells)}"
    yield ""
