"""Dockerfile, compose.yaml and what stands in deploy/ say what they must, and fit the programs."""

import re
import tomllib
from typing import Any

import pytest
import yaml
from support.source import ROOT

from booking_svc.config import BookingSettings
from chassis.settings import AuthSettings, describe
from chassis.tls_settings import TlsSettings
from gateway.config import GatewaySettings
from inventory_svc.config import InventorySettings
from payment_svc.config import PaymentSettings

SETTINGS = {
    "booking_svc": BookingSettings,
    "gateway": GatewaySettings,
    "inventory_svc": InventorySettings,
    "payment_svc": PaymentSettings,
}
STORES = {"mysql", "redis", "prometheus", "grafana"}
TOOLS = {"holdfast", "auditor"}
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# No registry is called localhost: nobody else can give us what has one of our names.
OURS = re.compile(r"localhost/holdfast/(\w+):local")
STAGE = re.compile(r"^FROM (\S+) AS (\w+)$", re.MULTILINE)
EVERYWHERE = "0.0.0.0"  # noqa: S104 - in a container, where nothing else is


def composed() -> dict[str, Any]:
    """What compose.yaml says, with its merges done."""
    told: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return told


SERVICES: dict[str, dict[str, Any]] = composed()["services"]


def stage(name: str) -> str:
    """What the Dockerfile says from `FROM … AS name` on."""
    (part,) = re.findall(
        rf"^FROM \S+ AS {name}$(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL
    )
    return str(part)


def setting(program: str, name: str) -> str:
    """A variable of a program."""
    return f"{program.removesuffix('_svc').upper()}_{name}"


def seconds(value: str) -> float:
    return float(value.removesuffix("s"))


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_can_do_no_more_than_it_must(name: str) -> None:
    """Every container is read only, without capabilities, bounded, and its log is rotated."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    once = name in TOOLS or name.endswith("_migrate")
    assert service["restart"] == ("no" if once else "unless-stopped")


@pytest.mark.parametrize("name", SERVICES)
def test_versions_are_pinned(name: str) -> None:
    """Every image is one of ours or has a tag that says which version."""
    service = SERVICES[name]
    if name in STORES:
        assert re.search(r":v?\d+\.\d+[\w.-]*$", service["image"])
    else:
        assert OURS.fullmatch(service["image"])


def test_each_image_is_built_once() -> None:
    """One service builds each image of ours, from the target of its name; nobody pulls one.

    Two that build one tag do so at the same time, and one of them fails.
    """
    built = {}
    for name in SERVICES.keys() - STORES:
        service = SERVICES[name]
        if "build" in service:
            assert service["image"] not in built
            built[service["image"]] = service["build"]["target"]
        else:
            assert service["pull_policy"] == "never"
    for image, target in built.items():
        found = OURS.fullmatch(image)
        assert found
        assert found[1] == target
    assert built.keys() == {SERVICES[name]["image"] for name in SERVICES.keys() - STORES}


def test_what_can_be_reached() -> None:
    """Only the gateway, Prometheus and Grafana have ports, on loopback; data has no way out."""
    published = {name: one["ports"] for name, one in SERVICES.items() if "ports" in one}
    assert published.keys() == {"gateway", "prometheus", "grafana"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert composed()["networks"]["data"] == {"internal": True}
    assert SERVICES["mysql"]["networks"] == SERVICES["redis"]["networks"] == ["data"]


def test_what_is_waited_for_can_be_waited_for() -> None:
    """Who is waited for until healthy has a health check; all have but what runs once."""
    for name, service in SERVICES.items():
        once = name in TOOLS or name.endswith("_migrate")
        assert ("healthcheck" in service) is not once
        for other, wanted in service.get("depends_on", {}).items():
            finished = wanted["condition"] == "service_completed_successfully"
            assert finished is other.endswith("_migrate")
            assert finished or wanted["condition"] == "service_healthy"


@pytest.mark.parametrize("program", SETTINGS)
def test_a_program_is_told_only_what_it_knows(program: str) -> None:
    """Every variable of a program's container is a setting of it, of tokens, TLS or traces."""
    settings = (SETTINGS[program], AuthSettings, TlsSettings)
    known = {name for one in settings for name, _, _ in describe(one)}
    told = SERVICES[program]["environment"].keys()
    assert {one for one in told if not one.startswith("OTEL_")} <= known
    assert (setting(program, "DATABASE_URL") in told) is (program != "gateway")
    assert ("AUTH_JWT_SECRET" in told) is (program != "gateway")


@pytest.mark.parametrize("program", SETTINGS)
def test_a_program_listens_where_it_is_looked_for(program: str) -> None:
    """A program listens on every address of its container, at the port of its default."""
    listen = SERVICES[program]["environment"][setting(program, "LISTEN")]
    default = SETTINGS[program].model_fields["listen"].default
    assert listen == f"{EVERYWHERE}:{default.rpartition(':')[2]}"
    assert f"ENV {setting(program, 'LISTEN')}={listen}\n" in stage(program)
    # It is refused without that, or certificates.
    plaintext = "TLS_PLAINTEXT_BEYOND_LOOPBACK"
    assert SERVICES[program]["environment"][plaintext] == "true"
    assert f"ENV {plaintext}=true\n" in stage("runtime")
    assert f"EXPOSE {listen.rpartition(':')[2]}\n" in stage(program)


def test_callers_know_where_the_called_are() -> None:
    """Every target in compose.yaml is a program of it, at the port where that listens."""
    found = 0
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if variable.endswith("_TARGET"):
                found += 1
                program, _, port = value.partition(":")
                listen = SERVICES[program]["environment"][setting(program, "LISTEN")]
                assert variable.endswith(f"_{setting(program, 'TARGET')}")
                assert listen.endswith(f":{port}")
                assert set(SERVICES[program]["networks"]) & set(service["networks"])
    assert found == 5


@pytest.mark.parametrize("program", SETTINGS)
def test_a_stop_has_its_time(program: str) -> None:
    """A container is killed only when its program has had its grace to stop, and some more."""
    grace_s = SETTINGS[program].model_fields["shutdown_grace_s"].default
    assert seconds(SERVICES[program]["stop_grace_period"]) >= grace_s + 10
    assert "STOPSIGNAL SIGTERM\n" in stage("runtime")


def test_a_migration_has_what_its_program_has() -> None:
    """Each service has a migration, of the same image and database, and waits until it is done."""
    for program in SETTINGS.keys() - {"gateway"}:
        name = program.replace("svc", "migrate")
        url = setting(program, "DATABASE_URL")
        assert SERVICES[name]["command"] == ["migrate"]
        assert SERVICES[name]["image"] == SERVICES[program]["image"]
        told = SERVICES[program]["environment"][url]
        assert SERVICES[name]["environment"] == {url: told}
        assert name in SERVICES[program]["depends_on"]


def test_each_service_has_its_own_database() -> None:
    """Every database URL has a user and a database of one name, and the script makes just those."""
    urls = {
        value
        for service in SERVICES.values()
        for variable, value in service.get("environment", {}).items()
        if variable.endswith("DATABASE_URL")
    }
    pattern = r"mysql\+aiomysql://(\w+):\$\{MYSQL_(\w+)_PASSWORD:\?[^}]*\}@mysql/(\w+)"
    parts = [re.fullmatch(pattern, url) for url in urls]
    assert all(part and part[1] == part[2].lower() == part[3] for part in parts)
    script = (ROOT / "deploy/mysql/databases.sh").read_text()
    made = re.findall(r'^ +database (\w+) "\$MYSQL_(\w+)_PASSWORD"$', script, re.MULTILINE)
    assert sorted(name for name, _ in made) == sorted(part[1] for part in parts if part)
    assert all(name == user.lower() for name, user in made)


def test_every_file_that_is_mounted_is_there() -> None:
    """Every folder that a container is given exists, and it may not write there.

    A single file would stay the one that it was when the container was made.
    """
    mounts = [one for service in SERVICES.values() for one in service.get("volumes", ())]
    ours = [one.split(":") for one in mounts if one.startswith(".")]
    assert ours
    for path, _, mode in ours:
        assert (ROOT / path).is_dir()
        assert mode == "ro"
    named = {one.split(":")[0] for one in mounts if not one.startswith(".")}
    assert named == composed()["volumes"].keys()


def test_every_target_is_used() -> None:
    """compose.yaml runs every image of the Dockerfile, and no other of ours."""
    stages = {name: base for base, name in STAGE.findall(DOCKERFILE)}
    targets = {name for name, base in stages.items() if base == "runtime"}
    assert {one["build"]["target"] for one in SERVICES.values() if "build" in one} == targets
    assert targets == {*SETTINGS, "holdfast"}
    # Both stages that are not of the same Python.
    assert stages["build"] == stages["runtime"] == "${BASE}"


@pytest.mark.parametrize("program", SETTINGS)
def test_an_image_asks_for_health_as_its_container_does(program: str) -> None:
    """Image and container ask the program itself, and a signal reaches it without a shell."""
    asked = SERVICES[program]["healthcheck"]["test"]
    assert asked == ["CMD", "python", "-m", program, "health"]
    in_image = ", ".join(f'"{word}"' for word in asked[1:])
    assert f"CMD [{in_image}]\n" in stage(program)
    assert f'ENTRYPOINT ["python", "-m", "{program}"]\n' in stage(program)


def test_an_image_holds_little_and_is_nobody() -> None:
    """The last stage has a user without rights, by number, and nothing but what was installed."""
    last = stage("runtime")
    assert "USER 10001:10001\n" in last
    assert re.findall(r"^COPY (.*)$", last, re.MULTILINE) == [
        "--from=build /opt/holdfast /opt/holdfast"
    ]
    assert "USER" not in "".join(stage(name) for name in (*SETTINGS, "holdfast"))
    for line in re.findall(r"pip.* install(?:\\\n|[^&\n])*", stage("build")):
        assert "--require-hashes" in line or "--no-index" in line


def test_the_images_have_the_version_of_the_project() -> None:
    """The version that the images are labelled with is the one in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"ARG VERSION={project['version']}\n" in DOCKERFILE


def test_the_locks_of_the_images_are_of_what_is_tested() -> None:
    """Whatever the images install, the tests have in the same version."""

    def versions(name: str) -> set[str]:
        return set(re.findall(r"^[\w.\[\]-]+==\S+", (ROOT / name).read_text(), re.MULTILINE))

    installed = versions("requirements.lock") | versions("requirements-build.lock")
    assert len(installed) > 50
    assert installed <= versions("requirements-dev.lock")


def test_what_the_build_sees() -> None:
    """The build is given what the Dockerfile copies, and nothing else of the folder."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = {
        path.rstrip("/")
        for line in re.findall(r"^COPY (?!--)(.*)$", stage("build"), re.MULTILINE)
        for path in line.split()[:-1]
    }
    assert "*" in lines
    assert kept == copied
    assert all((ROOT / path).exists() for path in copied)
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    packages = {path.split("/")[0] for path in wheel["targets"]["wheel"]["packages"]}
    assert packages <= copied


def test_prometheus_reads_every_program() -> None:
    """Each program is a job of its name, read where it tells its metrics; the alerts are loaded."""
    settings = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    jobs = {job["job_name"]: job["dns_sd_configs"] for job in settings["scrape_configs"]}
    assert jobs.keys() == SETTINGS.keys()
    for program, (place,) in jobs.items():
        listen = SERVICES[program]["environment"][setting(program, "METRICS_LISTEN")]
        assert listen == f"{EVERYWHERE}:{place['port']}"
        assert place["names"] == [program]
        assert "watch" in SERVICES[program]["networks"]
    assert all((ROOT / "deploy/prometheus" / name).exists() for name in settings["rule_files"])
    assert "./deploy/prometheus:/etc/prometheus:ro" in SERVICES["prometheus"]["volumes"]
    command = SERVICES["prometheus"]["command"]
    assert "--config.file=/etc/prometheus/prometheus.yml" in command
    assert "--enable-feature=auto-reload-config" in command


def test_a_proxy_is_for_the_way_out() -> None:
    """Prometheus and Grafana reach themselves and each other whatever proxy Docker names."""
    asking = [one["healthcheck"]["test"] for one in SERVICES.values() if "healthcheck" in one]
    by_http = [test for test in asking if test[1] == "wget"]
    assert len(by_http) == 2
    assert all(test[2:4] == ["-Y", "off"] for test in by_http)
    assert SERVICES["grafana"]["environment"]["NO_PROXY"] == "prometheus"


def test_grafana_finds_what_it_shows() -> None:
    """Grafana is given the dashboards where it is told to look, and asks our Prometheus."""
    provisioning = ROOT / "deploy/grafana/provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards/holdfast.yaml").read_text())[
        "providers"
    ]
    folder = provider["options"]["path"]
    assert f"./deploy/grafana/dashboards:{folder}:ro" in SERVICES["grafana"]["volumes"]
    assert "./docs:/usr/share/grafana/public/holdfast:ro" in SERVICES["grafana"]["volumes"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / home.replace(folder, "deploy/grafana/dashboards")).exists()
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())[
        "datasources"
    ]
    assert source["url"] == "http://prometheus:9090"
    assert set(SERVICES["grafana"]["networks"]) & set(SERVICES["prometheus"]["networks"])


def test_what_is_typed_names_containers() -> None:
    """Whatever the pages and `make up` say to do with `docker compose` is for a service of it."""
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "scripts/up"]
    command = re.compile(
        r"docker compose (?:run|exec|start|port|logs)(?: -\S+| --tail 50)*\s+([a-z]\w*)"
    )
    found = {name for page in pages for name in command.findall(page.read_text())}
    assert found > TOOLS
    assert found - SERVICES.keys() == set()


@pytest.mark.parametrize("program", SETTINGS)
def test_health_is_asked_where_the_program_listens(program: str) -> None:
    """Without a setting, health is asked for where the program listens without one."""
    default = SETTINGS[program].model_fields["listen"].default
    text = (ROOT / program / "__main__.py").read_text()
    kind = "gateway" if program == "gateway" else "service"
    assert f'probe.of_{kind}("{program}", "{default}")' in text
