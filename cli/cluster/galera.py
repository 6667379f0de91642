"""Three nodes of Galera: MariaDB whose nodes all have every commit before it is answered."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import URL, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from cli.cluster.parts import Part, bound_to_us, missing, program
from cli.cluster.ports import Ports
from cli.failure import Failure

NODES = (1, 2, 3)
DATABASES = ("booking", "payment", "inventory", "provider")
USER = "holdfast"
OS_USER = "mysql"
LIBRARIES = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera/libgalera_smm.so")
LIBRARIES_4 = ("/usr/lib/galera-4/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so")
SYNCED = "4"
CONNECT_TIMEOUT_S = 1
# What any Galera of ours must have, and what makes a small one of it.
OPTIONS = (
    "--binlog-format=ROW",
    "--default-storage-engine=InnoDB",
    "--innodb-autoinc-lock-mode=2",
    "--wsrep-on=ON",
    # A read sees what any node has acknowledged before it.
    "--wsrep-sync-wait=7",
    "--wsrep-sst-method=rsync",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-buffer-pool-size=128M",
    "--innodb-log-file-size=64M",
    "--performance-schema=OFF",
    "--max-connections=500",
)
# Who says nothing for two seconds is out: until then no node commits.
PATIENCE = (
    "evs.keepalive_period=PT0.5S;evs.inactive_check_period=PT0.5S;"
    "evs.suspect_timeout=PT2S;evs.inactive_timeout=PT4S;gcache.size=64M"
)


class Galera:
    """The nodes, with their data in a folder."""

    def __init__(self, ports: Ports, folder: Path, logs: Path, password: str) -> None:
        """Prepare; nothing is started.

        Raises:
            Failure: a program is not installed.
        """
        self._ports = ports
        self._folder = folder / "galera"
        self.password = password
        self._as_root = os.geteuid() == 0
        self._server = program("mariadbd", "mariadb-server")
        self._install = program("mariadb-install-db", "mariadb-server")
        program("rsync", "rsync")
        self._library = _library()
        self.nodes = [self._node(number, logs) for number in NODES]

    @property
    def addresses(self) -> str:
        """All nodes, in the order in which they are to be tried."""
        return ",".join(f"127.0.0.1:{self._ports.database(number)}" for number in NODES)

    def url(self, database: str, addresses: str = "") -> str:
        """Where a service finds a database; on all nodes, or on these."""
        where = addresses or self.addresses
        return f"mysql+aiomysql://{USER}:{self.password}@{where}/{database}"

    def install(self) -> None:
        """Make the folders of the nodes, and the first one's data; the others are given theirs.

        Raises:
            Failure: it could not be made.
        """
        for number in NODES:
            data = self._data(number)
            data.mkdir(parents=True, mode=0o700)
            if self._as_root:
                shutil.chown(data, OS_USER, OS_USER)
        as_user = [f"--user={OS_USER}"] if self._as_root else []
        # Temporary files of servers on one machine have the same names.
        where = [f"--{one}={self._data(NODES[0])}" for one in ("datadir", "tmpdir")]
        method = "--auth-root-authentication-method=normal"
        made = subprocess.run(  # noqa: S603 - as found above
            [self._install, "--no-defaults", *as_user, *where, method, "--skip-test-db"],
            check=False,
            capture_output=True,
            text=True,
        )
        if made.returncode:
            message = f"mariadb-install-db could not make a database:\n{made.stderr or made.stdout}"
            raise Failure(message)

    def create_databases(self) -> None:
        """Make the databases and the one account that may use them, on the first node."""
        url = URL.create("mysql+pymysql", "root", host="127.0.0.1", port=self.nodes[0].port)
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE USER {USER}@'%' IDENTIFIED BY '{self.password}'"))
            for name in DATABASES:
                connection.execute(text(f"CREATE DATABASE {name}"))
                connection.execute(text(f"GRANT ALL ON {name}.* TO {USER}@'%'"))
            # Nobody else gets in: what is here is found by every user of this machine.
            roots = connection.execute(
                text("SELECT Host FROM mysql.global_priv WHERE User IN ('root', '')")
            ).scalars()
            for host in roots.all():
                connection.execute(text(f"DROP USER IF EXISTS 'root'@'{host}', ''@'{host}'"))

    def _node(self, number: int, logs: Path) -> Part:
        as_user = OS_USER if self._as_root else ""
        data, ports = self._data(number), self._ports
        group = [f"127.0.0.1:{ports.group(one)}" for one in NODES]
        # A node that gives its data to another commits nothing meanwhile: not the first one.
        others = ",".join(f"galera-{one}" for one in reversed(NODES) if one != number)
        provider = (
            f"base_port={ports.group(number)};gmcast.listen_addr=tcp://{group[number - 1]};"
            f"ist.recv_addr=127.0.0.1:{ports.increment(number)};{PATIENCE}"
        )
        command = [
            *bound_to_us(as_user),
            self._server,
            "--no-defaults",
            *([f"--user={OS_USER}"] if as_user else []),
            f"--datadir={data}",
            f"--tmpdir={data}",
            f"--socket={data / 'socket'}",
            f"--pid-file={data / 'pid'}",
            f"--port={ports.database(number)}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            *OPTIONS,
            f"--wsrep-provider={self._library}",
            "--wsrep-cluster-name=holdfast",
            f"--wsrep-node-name=galera-{number}",
            f"--wsrep-node-address={group[number - 1]}",
            f"--wsrep-sst-receive-address=127.0.0.1:{ports.transfer(number)}",
            f"--wsrep-sst-donor={others}",
            f"--wsrep-cluster-address=gcomm://{','.join(group)}",
            f"--wsrep-provider-options={provider}",
        ]
        return Part(
            name=f"galera-{number}",
            command=command,
            ports=(
                ports.database(number),
                ports.group(number),
                ports.increment(number),
                ports.transfer(number),
            ),
            log=logs / f"galera-{number}.log",
            is_ready=lambda: self._is_synced(number),
            at_first=("--wsrep-new-cluster",) if number == NODES[0] else (),
        )

    def _data(self, number: int) -> Path:
        return self._folder / str(number)

    def _is_synced(self, number: int) -> bool:
        """Whether it has all that the others have, and takes statements."""
        for user, password in ((USER, self.password), ("root", None)):
            url = URL.create(
                "mysql+pymysql", user, password, "127.0.0.1", self._ports.database(number)
            )
            asked = _status(url)
            if asked is not None:
                return asked.get("wsrep_ready") == "ON" and asked["wsrep_local_state"] == SYNCED
        return False


def _status(url: URL) -> dict[str, str] | None:
    options = {"connect_timeout": CONNECT_TIMEOUT_S, "read_timeout": CONNECT_TIMEOUT_S}
    engine = create_engine(url, poolclass=NullPool, connect_args=options)
    question = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state')"
    try:
        with engine.connect() as connection:
            rows: Sequence[tuple[str, str]] = [
                (name, value) for name, value in connection.execute(text(question))
            ]
    except (SQLAlchemyError, OSError):
        return None
    return dict(rows)


def _library() -> str:
    found = next((one for one in (*LIBRARIES, *LIBRARIES_4) if Path(one).exists()), None)
    if found is None:
        raise Failure(missing("libgalera_smm.so", "galera-4"))
    return found
