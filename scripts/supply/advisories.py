"""What is known against packages, as OSV tells it, and what of that is allowed for a time."""

import datetime as dt
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from scripts.supply.locks import Package

# OSV takes a thousand at once.
BATCH = 1000
CONNECT_S, ANSWER_S = 2.0, 5.0


class Unreachable(Exception):
    """The advisories cannot be asked for; the text says why."""


@dataclass(frozen=True)
class Advisory:
    """What is known against one version."""

    package: Package
    id: str
    # The same under other names.
    aliases: tuple[str, ...] = ()
    summary: str = ""
    fixed: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """It in a line."""
        names = ", ".join((self.id, *self.aliases))
        fixed = f" Fixed in {', '.join(self.fixed)}." if self.fixed else ""
        return f"{self.package.name} {self.package.version}: {names}: {self.summary}.{fixed}"


@dataclass(frozen=True)
class Exemption:
    """What is allowed all the same, and until when."""

    id: str
    reason: str
    until: dt.date


def exemptions(path: Path) -> list[Exemption]:
    """Those of a file.

    Raises:
        ValueError: one lacks its id, its reason or its last day.
    """
    found = [
        Exemption(one.get("id", ""), one.get("reason", "").strip(), one.get("until"))
        for one in tomllib.loads(path.read_text()).get("allowed", [])
    ]
    for one in found:
        if not (one.id and one.reason and type(one.until) is dt.date):
            message = f"{path.name}: each needs an id, a reason and `until`, a date: {one.id}"
            raise ValueError(message)
    return found


def known(packages: Sequence[Package], url: str) -> list[Advisory]:
    """All that OSV at this address knows against these.

    Raises:
        Unreachable: as named.
    """
    try:
        with httpx.Client(base_url=url, timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S)) as osv:
            found = _found(osv, packages)
            told = [
                _advisory(package, _json(osv.get(f"/v1/vulns/{id_}"))) for package, id_ in found
            ]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, KeyError) as error:
        message = f"{type(error).__name__}: {error}"[:200]
        raise Unreachable(message) from None
    return _once([one for one in told if one is not None])


def refused(
    advisories: Iterable[Advisory], allowed: Iterable[Exemption], today: dt.date
) -> list[str]:
    """What keeps the check from passing, a line each."""
    by_id = {one.id: one for one in allowed}
    lines = []
    for advisory in advisories:
        names = (advisory.id, *advisory.aliases)
        exempt = next((by_id[name] for name in names if name in by_id), None)
        if exempt is None:
            lines.append(advisory.shown)
        elif exempt.until < today:
            lines.append(f"{advisory.shown} It was allowed until {exempt.until}: {exempt.reason}")
    return lines


def _found(osv: httpx.Client, packages: Sequence[Package]) -> list[tuple[Package, str]]:
    found: list[tuple[Package, str]] = []
    # With the page that is to come of each.
    asked = [(one, "") for one in packages]
    while asked:
        now, asked = asked[:BATCH], asked[BATCH:]
        body = {"queries": [_query(*one) for one in now]}
        results = _json(osv.post("/v1/querybatch", json=body))["results"]
        for (package, _), result in zip(now, results, strict=True):
            found += [(package, one["id"]) for one in (result or {}).get("vulns", ())]
            if (result or {}).get("next_page_token"):
                asked.append((package, result["next_page_token"]))
    return found


def _query(package: Package, page: str) -> dict[str, Any]:
    query = {
        "package": {"name": package.name, "ecosystem": "PyPI"},
        "version": package.version,
    }
    return {**query, "page_token": page} if page else query


def _json(response: httpx.Response) -> Any:
    if response.status_code != httpx.codes.OK:
        message = f"{response.url} answers {response.status_code}"
        raise ValueError(message)
    return response.json()


def _advisory(package: Package, told: Mapping[str, Any]) -> Advisory | None:
    """None: it was taken back."""
    if told.get("withdrawn"):
        return None
    fixed = {
        event["fixed"]
        for affected in told.get("affected", ())
        if affected.get("package", {}).get("name", "").lower() == package.name
        for versions in affected.get("ranges", ())
        if versions.get("type") == "ECOSYSTEM"
        for event in versions.get("events", ())
        if "fixed" in event
    }
    summary = (told.get("summary") or told.get("details") or "no summary").splitlines()[0]
    aliases = tuple(sorted(told.get("aliases", ())))
    return Advisory(package, told["id"], aliases, summary.rstrip("."), tuple(sorted(fixed)))


def _once(advisories: Iterable[Advisory]) -> list[Advisory]:
    """Each once, though several databases tell of it under names of their own."""
    kept: list[Advisory] = []
    for one in advisories:
        names = {one.id, *one.aliases}
        if not any(
            one.package == other.package and names & {other.id, *other.aliases} for other in kept
        ):
            kept.append(one)
    return kept
