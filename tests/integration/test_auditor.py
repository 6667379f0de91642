"""The auditor on hand-made databases: each single thing that is wrong is found, by its code."""
# ruff: noqa: S608 - statements of our own

import json
import sqlite3
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import MetaData, create_engine, insert, make_url, text
from support.audited import CONFIRMED, JOURNAL, PARKED, REFERENCES, world
from support.databases import Databases, on_mariadb, url_of
from support.silent import silent_server
from support.spoiled import SPOILED, Spoiled, one_more, said

from auditor import CannotRead, Code, Urls, audit, examine, reading
from auditor.__main__ import main
from auditor.reading import read_all
from chassis.database import Database
from payment_svc.providers.mock_ledger import MockLedger

TABLES = {
    "booking": "booking_svc.persistence.tables",
    "payment": "payment_svc.persistence.tables",
    "inventory": "inventory_svc.persistence.tables",
    "provider": "payment_svc.providers.mock_ledger",
}
LATE_PAYMENT = (
    "UPDATE payments SET transaction_id = 'txn_pay_C', next_ask_at = '2026-11-16 10:31:00'"
    " WHERE payment_id = 'pay_C'"
)


def tables_of(name: str) -> MetaData:
    metadata: MetaData = import_module(TABLES[name]).metadata
    return metadata


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The world in files of SQLite: `booking.db` and so on."""
    for name, tables in world().items():
        engine = create_engine(f"sqlite:///{tmp_path / name}.db")
        with engine.begin() as connection:
            tables_of(name).create_all(connection)
            for table, rows in tables.items():
                if rows:
                    connection.execute(insert(tables_of(name).tables[table]), rows)
        engine.dispose()
    return tmp_path


def spoil(folder: Path, database: str, sql: str) -> None:
    connection = sqlite3.connect(folder / f"{database}.db")
    connection.executescript(sql)
    connection.close()


def by_another(url: str, sql: str) -> None:
    """At once, and by a connection of its own."""
    parsed = make_url(url)
    driver = {"sqlite": "sqlite", "mysql": "mysql+pymysql"}[parsed.get_backend_name()]
    engine = create_engine(parsed.set(drivername=driver))
    with engine.begin() as connection:
        connection.execute(text(sql))
    engine.dispose()


def urls_in(folder: Path) -> Urls:
    return Urls(*(f"sqlite+aiosqlite:///{folder / name}.db" for name in TABLES))


def options_for(folder: Path) -> list[str]:
    return [
        word for name in TABLES for word in (f"--{name}", f"sqlite+aiosqlite:///{folder / name}.db")
    ]


@pytest.fixture
async def on_server(databases: Databases) -> dict[str, Database]:
    """The world on either kind of server, in the schemas that the migrations make."""
    made: dict[str, Database] = {}
    for name in ("booking", "payment", "inventory"):
        made[name] = await databases.fresh(f"{name}_svc")
    made["provider"] = databases.open(await databases.empty())
    await MockLedger(made["provider"]).create()
    for name, tables in world().items():
        async with made[name].writer.begin() as connection:
            for table, rows in tables.items():
                if rows:
                    await connection.execute(insert(tables_of(name).tables[table]), rows)
    return made


async def test_where_all_is_well_nothing_is_found(on_server: dict[str, Database]) -> None:
    """Bookings that ended in every way, in the services' own schemas, are as they must be."""
    urls = Urls(*(url_of(on_server[name]) for name in TABLES))
    report = await examine(urls, answers=JOURNAL, settled=True)
    assert report.findings == []
    assert (report.bookings, report.payments, report.seats, report.answers) == (5, 7, 6, 7)
    assert report.parked == [REFERENCES[PARKED]]
    assert report.asked_provider


@on_mariadb
async def test_of_several_servers_one_that_answers_is_read(
    on_server: dict[str, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is away and one that hangs are passed over; if all hang, that is said."""
    monkeypatch.setattr(reading, "CONNECT_TIMEOUT_S", 0.5)
    async with silent_server() as silent:
        bad = f"@127.0.0.1:1,{silent}"
        urls = [url_of(on_server[name]) for name in TABLES]
        report = await examine(Urls(*(one.replace("@", f"{bad},") for one in urls)), settled=True)
        assert report.findings == []
        only = f"{bad}/{urls[0].rpartition('/')[2]}"
        with pytest.raises(CannotRead, match=r"the booking database at .*: no answer within"):
            await audit(Urls(urls[0].partition("@")[0] + only, *urls[1:]))


async def test_a_fault_is_found_on_every_server(on_server: dict[str, Database]) -> None:
    """One thing wrong in each of the databases is found in each of them."""
    changes = {
        "booking": "UPDATE bookings SET failure_message = '4242424242424242'",
        "payment": "UPDATE payments SET status = 'SUCCESS' WHERE payment_id = 'pay_G'",
        "inventory": "UPDATE seats SET booked = 0 WHERE seat_id = 1",
        "provider": "DELETE FROM provider_refunds",
    }
    for name, statement in changes.items():
        await on_server[name].write(
            lambda connection, statement=statement: connection.execute(text(statement))
        )
    urls = Urls(*(url_of(on_server[name]) for name in TABLES))
    assert {one.code for one in await audit(urls, answers=JOURNAL, settled=True)} == {
        Code.CARD_STORED,
        Code.PAYMENT_STATUS_DIFFERS,
        Code.RESERVATION_WITHOUT_SEAT,
        Code.RETURN_NOT_AT_PROVIDER,
        Code.PROVIDER_NOT_DUE,
    }


@pytest.mark.parametrize("spoiled", SPOILED.values(), ids=SPOILED)
async def test_each_thing_that_is_wrong_is_found(folder: Path, spoiled: Spoiled) -> None:
    """What is changed behind the services' backs is found, by its code, and nothing else."""
    spoil(folder, spoiled.database, spoiled.sql)
    found = await audit(urls_in(folder), answers=JOURNAL, settled=True)
    assert {one.code for one in found} == spoiled.codes, [str(one) for one in found]


def test_there_is_a_case_for_each_code() -> None:
    """Nothing that the auditor can say was never seen to be said."""
    seen = {code for spoiled in SPOILED.values() for code in spoiled.codes}
    # One entry of a journal more, and no change of a database: see its unit tests.
    assert set(Code) - seen == {Code.ANSWERED_TWICE}


UNSETTLED = {
    "a booking in the middle": said(
        "booking",
        "UPDATE sagas SET state = 'RUNNING' WHERE state = 'NEEDS_ATTENTION'",
        "BOOKING_NOT_SETTLED",
        "SAGA_NOT_SETTLED",
    ),
    "a payment that came too late": said("payment", LATE_PAYMENT, "PAYMENT_NOT_SETTLED"),
}


@pytest.mark.parametrize("spoiled", UNSETTLED.values(), ids=UNSETTLED)
async def test_what_is_on_its_way_is_wrong_only_when_settled(
    folder: Path, spoiled: Spoiled
) -> None:
    """What may still end well is a finding only when everything has had the time to end."""
    spoil(folder, spoiled.database, spoiled.sql)
    if spoiled.sql == LATE_PAYMENT:
        taken = "UPDATE provider_charges SET state = 'SUCCEEDED' WHERE reference = 'pay_C'"
        spoil(folder, "provider", taken)
    assert await audit(urls_in(folder), answers=JOURNAL) == []
    settled = await audit(urls_in(folder), answers=JOURNAL, settled=True)
    assert {one.code for one in settled} == spoiled.codes


async def test_what_an_operator_resolved_is_not_judged(folder: Path) -> None:
    """A booking of which a step was done by hand is named, and its money and seats are let be."""
    this = f"booking_id = {PARKED}"
    cancelled = "status = 'CANCELLED', cancelled_at = confirmed_at"
    event = f"subject = '{REFERENCES[PARKED]}'"
    for sql in (
        f"UPDATE bookings SET {cancelled} WHERE {this}",
        f"UPDATE sagas SET state = 'SUCCEEDED' WHERE {this}",
        f"UPDATE saga_steps SET outcome = 'RESOLVED' WHERE {this} AND step = 'refund'",
        one_more("outbox", event, "event_id = 99, kind = 'CANCELLED'"),
    ):
        spoil(folder, "booking", sql)
    report = await examine(urls_in(folder), answers=JOURNAL, settled=True)
    assert report.findings == []
    assert report.by_hand == [REFERENCES[PARKED]]


SEAT_GONE = "UPDATE seats SET booked = 0 WHERE seat_id = 1"
SEAT_BACK = "UPDATE seats SET booked = 1 WHERE seat_id = 1"
ANOTHER_GONE = "UPDATE seats SET booked = 0 WHERE seat_id = 2"


@pytest.mark.parametrize(
    ("meanwhile", "found", "gone"),
    [
        ("", ["reservation 1030 seat 1"], 0),
        (SEAT_BACK, [], 1),
        (f"{SEAT_BACK}; {ANOTHER_GONE}", [], 1),
        (ANOTHER_GONE, ["reservation 1030 seat 1"], 0),
    ],
    ids=["nothing changes", "it ends well", "another comes", "one more comes"],
)
async def test_what_is_found_once_is_not_reported(
    folder: Path, meanwhile: str, found: list[str], gone: int
) -> None:
    """What only one of two looks finds is under way: what both find is reported."""
    spoil(folder, "inventory", SEAT_GONE)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        spoil(folder, "inventory", meanwhile)

    report = await examine(urls_in(folder), answers=JOURNAL, again_s=7, sleep=sleep)
    assert [one.about for one in report.findings] == found
    assert (slept, report.gone) == ([7], gone)


@pytest.mark.parametrize(("sql", "settled"), [("", False), (SEAT_GONE, True)])
async def test_one_look_is_enough_at_rest(folder: Path, *, sql: str, settled: bool) -> None:
    """Nobody waits for a second look when nothing is found, or everything has ended."""
    spoil(folder, "inventory", sql)

    async def never(_seconds: float) -> None:
        pytest.fail("it waits")

    report = await examine(urls_in(folder), answers=JOURNAL, settled=settled, sleep=never)
    assert (len(report.findings), report.gone) == (int(settled), None)


async def test_all_databases_are_seen_as_they_were_at_the_beginning(
    on_server: dict[str, Database],
) -> None:
    """What changes in one database while another is read is not seen."""
    urls = Urls(*(url_of(on_server[name]) for name in TABLES))
    changes = {
        "inventory": SEAT_GONE,
        "payment": "DELETE FROM refunds",
        "provider": "DELETE FROM provider_charges",
    }

    def look(where: str, _values: Sequence[Any]) -> None:
        if where == "booking.bookings.status":
            for name, statement in changes.items():
                by_another(url_of(on_server[name]), statement)

    tables = await read_all(urls, look)
    assert len(tables["payment"]["refunds"]) == 1
    assert len(tables["provider"]["provider_charges"]) == 5
    assert sum(bool(one["booked"]) for one in tables["inventory"]["seats"]) == 2
    assert (await read_all(urls, lambda *_: None))["payment"]["refunds"] == []


async def test_a_column_that_is_not_there_is_named(folder: Path) -> None:
    """A database of another version is not half audited: what it lacks is said."""
    spoil(folder, "payment", "ALTER TABLE refunds RENAME COLUMN amount_minor TO amount")
    with pytest.raises(CannotRead, match=r"no refunds\.amount_minor$"):
        await audit(urls_in(folder))


async def test_old_books_of_the_provider_can_be_read(folder: Path) -> None:
    """What the mock provider's books of an older version lack is not missed."""
    for table, column in (
        ("refunds", "settles_at"),
        ("refunds", "decline_code"),
        ("charges", "scenario"),
    ):
        spoil(folder, "provider", f"ALTER TABLE provider_{table} DROP COLUMN {column}")
    spoil(folder, "provider", "DROP TABLE provider_webhooks")
    assert await audit(urls_in(folder), answers=JOURNAL, settled=True) == []
    spoil(folder, "provider", "DELETE FROM provider_refunds")
    found = {one.code for one in await audit(urls_in(folder), answers=JOURNAL, settled=True)}
    assert found == {Code.RETURN_NOT_AT_PROVIDER, Code.PROVIDER_NOT_DUE}


async def test_what_no_check_uses_is_not_kept(folder: Path) -> None:
    """Of a row only the columns are kept that checks use, and of an answer, that there is one."""
    tables = await read_all(urls_in(folder), lambda *_: None)
    kept = {row: dict(tables["booking"][row][0]) for row in ("bookings", "outbox")}
    assert kept["outbox"].keys() == {"kind", "subject", "sequence", "occurred_at"}
    assert kept["bookings"]["answer"] is True
    assert "user" not in tables["booking"]["bookings"][0]


def test_the_program_says_that_all_is_well(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a finding there is one line, the summary, and the exit code is 0."""
    journal = folder / "journal"
    torn = '{"key": "k-k", "user'
    journal.write_text("".join(f"{json.dumps(one)}\n" for one in JOURNAL) + torn)
    options = [*options_for(folder), "--journal", str(journal), "--settled"]
    assert main(options) == 0
    assert capsys.readouterr().out == (
        "0 findings, 5 bookings, 7 payments, 6 seats, 7 answers, provider asked,"
        f" parked for an operator: {REFERENCES[PARKED]}\n"
    )


def test_the_program_says_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each finding is a line that begins with its code, and the exit code is 1."""
    spoil(folder, "inventory", "UPDATE seats SET booked = 0 WHERE seat_id IN (1, 2)")
    assert main([*options_for(folder), "--again", "0"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == [
        "RESERVATION_WITHOUT_SEAT reservation 1030 seat 1",
        "RESERVATION_WITHOUT_SEAT reservation 1031 seat 2",
    ]
    assert lines[-1].startswith("2 findings, ")
    assert "looked twice: 0 more only the first time" in lines[-1]


def test_the_program_changes_nothing(folder: Path) -> None:
    """A file of SQLite that is looked at is the same afterwards, to the byte."""
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert main(options_for(folder)) == 0
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_the_program_reads_what_is_not_checkpointed(folder: Path) -> None:
    """What a killed program has left in the write-ahead log of SQLite is seen."""
    connection = sqlite3.connect(folder / "inventory.db")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("UPDATE seats SET booked = 0 WHERE seat_id = 1")
    connection.commit()
    left = {path: path.read_bytes() for path in folder.glob("inventory.db*")}
    connection.close()
    for path, content in left.items():
        path.write_bytes(content)
    assert main([*options_for(folder), "--again", "0"]) == 1


@pytest.mark.parametrize(
    ("name", "url", "expected"),
    [
        ("booking", "sqlite+aiosqlite:////nowhere/booking.db", "No such file"),
        ("booking", "sqlite+aiosqlite:///{folder}/payment.db", "is not a booking database"),
        ("payment", "nonsense", "not one that SQLAlchemy understands"),
        ("inventory", "mysql+aiomysql://me:secret@127.0.0.1:1/x", "cannot read the inventory"),
        ("inventory", "oracle+nodriver://me:secret@h/x", "cannot read the inventory"),
    ],
)
def test_the_program_says_that_it_cannot_read(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, url: str, expected: str
) -> None:
    """What cannot be read is named without its password, and the exit code is 2."""
    assert main([*options_for(folder), f"--{name}", url.format(folder=folder)]) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert "secret" not in told


def test_a_database_is_not_made_by_looking(folder: Path) -> None:
    """A file that is not there is not made."""
    url = f"sqlite+aiosqlite:///{folder / 'other.db'}"
    assert main([*options_for(folder), "--booking", url]) == 2
    assert not (folder / "other.db").exists()


@pytest.mark.parametrize("line", ["no JSON", "[]", "{}", '{"bookingId": "x"}'])
def test_a_bad_line_in_a_journal_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """A journal with a line that is no entry is not believed: the exit code is 2."""
    journal = folder / "journal"
    journal.write_text(f'{{"bookingId": {CONFIRMED}}}\n{line}\n')
    assert main([*options_for(folder), "--journal", str(journal)]) == 2
    assert f"{journal}:2 " in capsys.readouterr().err


def test_a_journal_that_is_not_there_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A journal that cannot be opened is an error, not an empty one."""
    assert main([*options_for(folder), "--journal", str(folder / "none")]) == 2
    assert "none" in capsys.readouterr().err


def test_urls_come_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The services' own variables say where the databases are, unless options do."""
    for name in ("booking", "payment", "inventory"):
        url = f"sqlite+aiosqlite:///{folder / name}.db"
        monkeypatch.setenv(f"{name.upper()}_DATABASE_URL", url)
    assert main([]) == 0
    monkeypatch.delenv("BOOKING_DATABASE_URL")
    with pytest.raises(SystemExit, match="2"):
        main([])
