"""Runs the programs in the file systems of their images, as compose.yaml says: scripts/images.

There is no container engine here: of what one does, this does the file system that cannot be
written, the user, the lost capabilities, the environment, the names of hosts and the signals. All
share one network, in which only loopback is.
"""

import base64
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pymysql
import yaml

from support.mariadb import PrivateMariaDb

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$\{(\w+)(?::[?-]([^}]*))?\}")
SERVICES = ("inventory_svc", "payment_svc", "booking_svc")
PROGRAMS = (*SERVICES, "gateway")
COMPILERS = ("gcc", "cc", "c++", "g++", "clang", "ld", "make", "rustc", "go")
# The mock provider lets it succeed whatever chance says: docs/scenarios.md.
CARD = {
    "type": "CREDIT_CARD",
    "cardNumber": "4242424242424242",
    "expiryMonth": 12,
    "expiryYear": 2040,
    "cvv": "123",
}
WAIT_S = 60.0


def filled(value: Any, environment: Mapping[str, str]) -> Any:
    """A part of compose.yaml with its variables replaced, as Compose does it."""
    if isinstance(value, dict):
        return {key: filled(one, environment) for key, one in value.items()}
    if isinstance(value, list):
        return [filled(one, environment) for one in value]
    if not isinstance(value, str):
        return value
    return VARIABLE.sub(lambda found: environment.get(found[1], found[2] or ""), value)


def made_secrets() -> dict[str, str]:
    """What `make up` makes, for one run."""
    users = ("BOOKING", "PAYMENT", "INVENTORY", "PROVIDER")
    return {
        "AUTH_JWT_SECRET": secrets.token_hex(32),
        "PAYMENT_WEBHOOK_SECRETS": f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}",
        # Of the private server, whose root has none.
        "MYSQL_ROOT_PASSWORD": "",
        **{f"MYSQL_{user}_PASSWORD": secrets.token_hex(24) for user in users},
    }


class Container:
    """A service of compose.yaml, in the file system of its image."""

    def __init__(self, folder: Path, service: Mapping[str, Any], hosts: Path) -> None:
        target = service["image"].rpartition("/")[2].partition(":")[0]
        self._config = json.loads((folder / f"{target}.json").read_text())["Docker"]["config"]
        self._service = service
        self.tree = Path((folder / f"{target}.path").read_text().strip())
        self._view = Path(folder / "views" / target)
        if not self._view.exists():
            self._look(hosts)

    @property
    def health(self) -> list[str]:
        """The command of its health check."""
        return self._config["Healthcheck"]["Test"][1:]

    def command(self, *command: str) -> list[str]:
        """Run this in it, with nothing that its image and compose.yaml do not say."""
        user, group = self._config["User"].split(":")
        plain = ["--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"]
        environment = [*self._config["Env"]]
        environment += [f"{key}={one}" for key, one in self._service["environment"].items()]
        in_it = ["chroot", str(self._view), "/usr/bin/setpriv", f"--reuid={user}"]
        return [*in_it, f"--regid={group}", *plain, "/usr/bin/env", "-i", *environment, *command]

    def own_command(self, *arguments: str) -> list[str]:
        """Run what its image is for."""
        entry = self._service.get("entrypoint") or self._config["Entrypoint"]
        return self.command(*entry, *(arguments or self._service.get("command", ())))

    def _look(self, hosts: Path) -> None:
        """A view of the tree that cannot be written but for what a container has."""
        self._view.mkdir(parents=True)
        # Before it is read only: what bind mounts are mounted on.
        (self.tree / "etc/hosts").touch()
        mount("--bind", self.tree, self._view)
        mount("-o", "remount,bind,ro", self._view)
        mount("-t", "proc", "proc", self._view / "proc")
        mount("--rbind", "/dev", self._view / "dev")
        mount("-t", "tmpfs", "tmpfs", self._view / "tmp")
        mount("--bind", hosts, self._view / "etc/hosts")


def mount(*arguments: object) -> None:
    done(["mount", *map(str, arguments)])


def ended(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself."""
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)


def done(command: list[str]) -> str:
    """The same; it must end well."""
    result = ended(command)
    require(result.returncode == 0, f"{command[-3:]} failed: {result.stdout}{result.stderr}")
    return result.stdout.strip()


def require(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - it is the claim
    if not holds:
        sys.exit(f"images: {otherwise}")


def say(text: str) -> None:
    sys.stdout.write(f"images: {text}\n")
    sys.stdout.flush()


def inspect(name: str, container: Container) -> None:
    """What is in an image, and what a program in it may do."""
    require(done(container.command("id", "-u")) == "10001", f"{name} is not run as 10001")
    for tool in COMPILERS:
        found = ended(container.command("sh", "-c", f"command -v {tool}"))
        require(found.returncode != 0, f"{name} has a compiler: {found.stdout}")
    writing = ended(container.command("touch", "/opt/holdfast/x", "/x"))
    require(writing.stderr.count("Read-only file system") == 2, f"{name} can write")
    ours = container.tree / "opt/holdfast"
    loose = done(["find", str(ours), "!", "-type", "l", "(", "!", "-user", "0", "-o",
                  "-perm", "/022", ")"])  # fmt: skip
    require(not loose, f"{name} could change itself: {loose}")
    has_pip = ended(container.command("python", "-c", "import pip"))
    require(has_pip.returncode != 0, f"{name} has pip")
    capabilities = done(container.command("grep", "CapEff", "/proc/self/status"))
    require(set(capabilities.split()[1]) == {"0"}, f"{name} has capabilities: {capabilities}")


@contextmanager
def databases(
    environment: Mapping[str, str], command: Sequence[str], folder: Path
) -> Iterator[None]:
    """MariaDB in MySQL's place, and Redis with its command, where compose.yaml has them."""
    server = PrivateMariaDb()
    server._port = 3306
    redis = None
    try:
        server.start()
        prepare(server._folder / "socket", environment, folder)
        redis = subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL)
        yield
    finally:
        if redis is not None:
            redis.terminate()
            redis.wait(WAIT_S)
        server.stop()


def prepare(socket: Path, environment: Mapping[str, str], folder: Path) -> None:
    """Run what the image of MySQL runs on a new volume, with a client that asks our server."""
    client = folder / "bin/mysql"
    client.parent.mkdir(exist_ok=True)
    client.write_text(f'#!/bin/sh\nexec mariadb --no-defaults --socket={socket} "$@"\n')
    client.chmod(0o700)
    told = {**os.environ, **environment, "PATH": f"{client.parent}:{os.environ['PATH']}"}
    subprocess.run([ROOT / "deploy/mysql/databases.sh"], env=told, check=True)


def keep_apart(environment: Mapping[str, str]) -> None:
    """Each user of the database sees its own, and no other."""
    for user in ("booking", "payment", "inventory", "provider"):
        password = environment[f"MYSQL_{user.upper()}_PASSWORD"]
        with pymysql.connect(host="127.0.0.1", user=user, password=password) as connection:
            cursor = connection.cursor()
            cursor.execute("SHOW DATABASES")
            seen = {name for (name,) in cursor.fetchall()} - {"information_schema"}
        require(seen == {user}, f"the user {user} sees {seen}")


def started(name: str, container: Container, log: Path) -> subprocess.Popen[bytes]:
    """A program, when its health check says that it serves; before, it must say that not."""
    require(ended(container.command(*container.health)).returncode == 1, f"{name} serves already")
    with log.open("wb") as output:
        process = subprocess.Popen(container.own_command(), stdout=output, stderr=output)
    began = time.monotonic()
    while True:
        asked = ended(container.command(*container.health))
        if asked.returncode == 0:
            say(f"{asked.stdout.strip()} after {time.monotonic() - began:.1f} s")
            return process
        require(process.poll() is None, f"{name} ended by itself: {log.read_text()}")
        require(time.monotonic() - began < WAIT_S, f"not healthy: {asked.stderr}")
        time.sleep(0.2)


def book(tools: Container) -> str:
    """A booking through the gateway, as anybody would make it."""
    token = {
        scope: done(tools.own_command("token", "--user", "ada", "--scope", scope))
        for scope in ("admin", "bookings")
    }
    with httpx.Client(base_url="http://127.0.0.1:8080/api", trust_env=False) as http:

        def post(path: str, body: Any, scope: str = "bookings") -> Any:
            headers = {"authorization": f"Bearer {token[scope]}", "idempotency-key": path}
            answer = http.post(path, json=body, headers=headers, timeout=WAIT_S)
            require(answer.is_success, f"{path}: {answer.text}")
            return answer.json()

        seats = [{"seatNumber": "A1", "price": 75.00}]
        event = post(
            "/inventory/events", {"name": "Gala", "currency": "USD", "seats": seats}, "admin"
        )
        order = {"eventId": event["eventId"], "seatNumbers": ["A1"]}
        held = post("/inventory/reservations", order)["reservations"]
        paid = {"reservationIds": [one["reservationId"] for one in held]}
        paid["paymentMethod"] = CARD
        booking = post("/bookings/confirm", paid)
    require(booking["status"] == "CONFIRMED", f"not confirmed: {booking}")
    return str(booking["bookingReference"])


def metered(services: Mapping[str, Any]) -> None:
    """Each program tells its metrics where Prometheus looks for them."""
    settings = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    for job in settings["scrape_configs"]:
        (place,) = job["dns_sd_configs"]
        url = f"http://127.0.0.1:{place['port']}/metrics"
        build = f'holdfast_build_info{{program="{job["job_name"]}"'
        require(build in httpx.get(url, trust_env=False).text, f"no metrics of it at {url}")
        require(place["names"] == [job["job_name"]] and job["job_name"] in services, str(place))


def main(folder: Path) -> None:
    """Start everything, book, look, and stop everything."""
    mount("--make-rprivate", "/")
    done(["ip", "link", "set", "lo", "up"])
    environment = made_secrets()
    described = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    services = filled(described, environment)
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost " + " ".join(services) + "\n")
    migrations = [name.replace("svc", "migrate") for name in SERVICES]
    made = [*PROGRAMS, *migrations, "holdfast", "auditor"]
    containers = {name: Container(folder, services[name], hosts) for name in made}
    for name in (*PROGRAMS, "holdfast"):
        inspect(name, containers[name])
    say("no root, no compiler, no pip, no capability, nothing that can be written")
    with ExitStack() as stack:
        stack.enter_context(databases(environment, services["redis"]["command"], folder))
        keep_apart(environment)
        for name in migrations:
            done(containers[name].own_command())
        running = {}
        for name in PROGRAMS:
            running[name] = started(name, containers[name], folder / f"{name}.log")
            stack.callback(running[name].kill)
        say(f"{book(containers['holdfast'])} is CONFIRMED")
        metered(services)
        say(done(containers["auditor"].own_command()).splitlines()[-1])
        for name in reversed(PROGRAMS):
            stop(name, running[name], containers[name])
        say("each has stopped in order, with exit code 0")


def stop(name: str, process: subprocess.Popen[bytes], container: Container) -> None:
    """End it as an engine does; it ends well, and its health check notices."""
    process.terminate()
    code = process.wait(WAIT_S)
    require(code == 0, f"{name} ended with {code}")
    asked = ended(container.command(*container.health))
    require(asked.returncode == 1, f"{name} is stopped, and its health check says otherwise")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
