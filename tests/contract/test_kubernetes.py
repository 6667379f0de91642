"""The manifests in deploy/kubernetes fit the programs, the images and each other."""

import json
import re
from typing import Any

import pytest
import yaml
from support.kustomize import rendered
from support.manifests import KUBERNETES, OVERLAYS, Manifests, of_overlay, selects
from support.source import ROOT

from booking_svc.config import BookingSettings
from chassis.settings import AuthSettings, ServiceSettings, describe, is_secret, load
from chassis.tls_settings import TlsSettings
from gateway.config import GatewaySettings
from inventory_svc.config import InventorySettings
from payment_svc.config import PaymentSettings

# By the names that things have here: no underscore is allowed in them.
SETTINGS = {
    "booking-svc": BookingSettings,
    "gateway": GatewaySettings,
    "inventory-svc": InventorySettings,
    "payment-svc": PaymentSettings,
}
SERVICES = SETTINGS.keys() - {"gateway"}
TLS_SETTINGS = {
    *(variable for variable, _, _ in describe(TlsSettings)),
    "GATEWAY_TLS_CERT_FILE",
    "GATEWAY_TLS_KEY_FILE",
}
# Good values for what a Secret has.
SECRETS = {
    "database-url": "mysql+aiomysql://user:password@host/name",
    "mock-database-url": "mysql+aiomysql://user:password@host/name",
    "redis-url": "redis://redis:6379/0",
    "jwt-secret": "x" * 32,
    "stripe-api-key": "sk_test_x",
    "webhook-secrets": "whsec_" + "x" * 32,
}
# Connections of a process to its database, and of payment_svc to the mock provider's books.
CONNECTIONS, OF_THE_MOCK = 21, 20
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Manifests:
    return of_overlay(request.param)


def program(name: str) -> str:
    """What a thing here is called everywhere else."""
    return name.replace("-", "_")


def setting(name: str, of: str) -> str:
    return f"{name.removesuffix('-svc').upper()}_{of}"


def known(name: str) -> dict[str, bool]:
    """Every setting of a program, and whether it is a secret."""
    classes = [SETTINGS[name], TlsSettings, *([] if name == "gateway" else [AuthSettings])]
    return {
        described[0]: is_secret(field.annotation) or described[0].endswith("_DATABASE_URL")
        for one in classes
        for described, field in zip(describe(one), one.model_fields.values(), strict=True)
    }


def default(name: str, field: str) -> Any:
    return SETTINGS[name].model_fields[field].default


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_one_of_the_program(name: str, overlay: Manifests) -> None:
    """A program is told only what it knows, and whatever is a secret by a Secret alone."""
    settings = known(name)
    for variable, value in overlay.environment(name).items():
        assert variable in settings
        assert isinstance(value, tuple) is settings.get(variable, False)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_programs_take_their_settings(
    name: str, overlay: Manifests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With good values in the Secrets, every program accepts all that it is told."""
    # Files of certificates would have to be there; test_kubernetes_network.py looks at their names.
    for variable, value in overlay.environment(name).items():
        if variable not in TLS_SETTINGS:
            told = value if isinstance(value, str) else SECRETS[value[1]]
            monkeypatch.setenv(variable, told)
    settings = load(SETTINGS[name])
    port = default(name, "listen").rpartition(":")[2]
    assert settings.listen == f"0.0.0.0:{port}"
    if isinstance(settings, ServiceSettings):
        assert settings.database_url == SECRETS["database-url"]
        auth = load(AuthSettings)
        assert bool(auth.jwt_secret.get_secret_value()) is not bool(auth.jwks_file)


@pytest.mark.parametrize("name", SETTINGS)
def test_ports_are_where_they_are_looked_for(name: str, overlay: Manifests) -> None:
    """Container, Service and scraper name the ports at which the program listens."""
    told = overlay.environment(name)
    ports = {one["name"]: one["containerPort"] for one in overlay.container(name)["ports"]}
    spoken = "http" if name == "gateway" else "grpc"
    assert told[setting(name, "LISTEN")] == f"0.0.0.0:{ports[spoken]}"
    assert told[setting(name, "METRICS_LISTEN")] == f"0.0.0.0:{ports['metrics']}"
    in_compose = COMPOSE[program(name)]["environment"][setting(name, "METRICS_LISTEN")]
    assert told[setting(name, "METRICS_LISTEN")] == in_compose
    metadata = overlay.templates[name]["metadata"]
    assert metadata["annotations"]["prometheus.io/port"] == str(ports["metrics"])
    assert metadata["labels"]["app.kubernetes.io/component"] == program(name)
    service = overlay.all("Service")[name]["spec"]
    assert [one["port"] for one in service["ports"]] == [ports[spoken]]
    assert [one["targetPort"] for one in service["ports"]] == [spoken]
    # Whom gRPC balances over must be seen one by one.
    assert (service.get("clusterIP") == "None") is (name != "gateway")


def test_targets_are_services(overlay: Manifests) -> None:
    """Every target is a headless Service of the overlay, at a port that the policies allow."""
    found = 0
    for name in SETTINGS:
        for variable, value in overlay.environment(name).items():
            if variable.endswith("_TARGET"):
                target = re.fullmatch(r"dns:///([\w-]+):(\d+)", str(value))
                assert target
                assert variable.endswith(f"_{setting(target[1], 'TARGET')}")
                (port,) = overlay.all("Service")[target[1]]["spec"]["ports"]
                assert port["port"] == int(target[2])
                assert overlay.may_call(name, target[1], port["port"])
                found += 1
    assert found == 5


def test_selectors_mean_one_thing_each(overlay: Manifests) -> None:
    """Every Deployment, Service and budget means the pods of its own name, and no others."""
    selectors = [
        (name, one["spec"]["selector"]["matchLabels"])
        for kind in ("Deployment", "StatefulSet", "PodDisruptionBudget")
        for name, one in overlay.all(kind).items()
    ]
    selectors += [(name, one["spec"]["selector"]) for name, one in overlay.all("Service").items()]
    for name, labels in selectors:
        meant = [
            other
            for other, template in overlay.templates.items()
            if labels.items() <= template["metadata"]["labels"].items()
        ]
        assert meant == [name]
    for policy in overlay.all("NetworkPolicy").values():
        selector = policy["spec"]["podSelector"]
        templates = overlay.templates.values()
        assert any(selects(selector, one["metadata"]["labels"]) for one in templates)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_program_is_there_when_a_machine_goes(name: str, overlay: Manifests) -> None:
    """Each program has two replicas or more, apart, of which one at most is taken at a time."""
    budget = overlay.all("PodDisruptionBudget")[name]["spec"]
    assert budget["maxUnavailable"] == 1
    scaler = overlay.all("HorizontalPodAutoscaler")[name]["spec"]
    assert scaler["scaleTargetRef"]["name"] == name
    assert 2 <= scaler["minReplicas"] < scaler["maxReplicas"]
    deployment = overlay.all("Deployment")[name]["spec"]
    # The scaler's number counts, and no apply takes it back.
    assert "replicas" not in deployment
    rolling = deployment["strategy"]["rollingUpdate"]
    assert (rolling["maxUnavailable"], rolling["maxSurge"]) == (0, 1)
    pod = deployment["template"]["spec"]
    spread = {one["topologyKey"] for one in pod["topologySpreadConstraints"]}
    assert spread == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    assert pod["serviceAccountName"] == name
    assert name in overlay.all("ServiceAccount")


@pytest.mark.parametrize("name", SETTINGS)
def test_a_stop_has_its_time_here_too(name: str, overlay: Manifests) -> None:
    """A pod is killed only after its pause, the grace of its program, and ten seconds more."""
    container = overlay.container(name)
    pause_s = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    given_s = overlay.templates[name]["spec"]["terminationGracePeriodSeconds"]
    assert given_s >= pause_s + default(name, "shutdown_grace_s") + 10
    assert setting(name, "SHUTDOWN_GRACE_S") not in overlay.environment(name)
    # To the gateway come callers who do not hear from the connection that it goes.
    assert (pause_s > 0) is (name == "gateway")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_nobody_is_killed_for_a_database(name: str, overlay: Manifests) -> None:
    """A service that serves is ready, and one that answers is alive, whatever it answers."""
    container = overlay.container(name)
    asked = {kind: container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")}
    command = ["python", "-m", program(name)]
    assert asked["startup"]["exec"]["command"] == [*command, "alive"]
    assert asked["liveness"]["exec"]["command"] == [*command, "alive"]
    assert asked["readiness"]["exec"]["command"] == [*command, "health"]
    source = (ROOT / program(name) / "__main__.py").read_text()
    assert '["alive"]' in source
    assert '["health"]' in source
    assert f"ENTRYPOINT {json.dumps(command)}\n" in DOCKERFILE
    assert all(one["timeoutSeconds"] > 3 for one in asked.values())


def test_the_gateway_outlives_its_services(overlay: Manifests) -> None:
    """The gateway starts when its services serve; then it is ready and alive without them."""
    container = overlay.container("gateway")
    asked = {kind: container[f"{kind}Probe"] for kind in ("startup", "liveness", "readiness")}
    paths = {kind: one["httpGet"]["path"] for kind, one in asked.items()}
    assert paths == {"startup": "/readyz", "liveness": "/healthz", "readiness": "/healthz"}
    encrypted = "GATEWAY_TLS_CERT_FILE" in overlay.environment("gateway")
    for one in asked.values():
        assert (one["httpGet"].get("scheme") == "HTTPS") is encrypted
        assert one["httpGet"]["port"] == "http"


def test_a_pod_can_do_no_more_than_it_must(overlay: Manifests) -> None:
    """Every pod is nobody, without capabilities, token or a file system that it could write."""
    for name, template in overlay.templates.items():
        pod, container = template["spec"], overlay.container(name)
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"].keys() == {"memory"}
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        volumes = {one["name"] for one in pod["volumes"]}
        claims = overlay.all("StatefulSet").get(name, {"spec": {}})["spec"]
        volumes |= {one["metadata"]["name"] for one in claims.get("volumeClaimTemplates", ())}
        assert volumes == {one["name"] for one in container["volumeMounts"]}


def test_programs_run_as_the_user_of_their_image(overlay: Manifests) -> None:
    """Programs and migrations run as the user of the Dockerfile, stores as that of compose.yaml."""
    for name, template in overlay.templates.items():
        context = template["spec"]["securityContext"]
        user = f"{context['runAsUser']}:{context['runAsGroup']}"
        if name in COMPOSE and "user" in COMPOSE[name]:
            assert user == COMPOSE[name]["user"]
        else:
            assert f"USER {user}\n" in DOCKERFILE
            assert template["spec"]["shareProcessNamespace"] is True


def test_images_are_those_that_are_built() -> None:
    """To try it, images have the names of compose.yaml; production renames all, to one version."""
    tried, produced = (of_overlay(name) for name in OVERLAYS)
    for name in tried.templates:
        in_compose = COMPOSE[program(name).removesuffix("_migration")]["image"]
        assert tried.container(name)["image"] == in_compose
    ours = {name: produced.container(name)["image"] for name in produced.templates}
    for name, image in ours.items():
        path, _, tag = image.rpartition(":")
        assert path.endswith(f"/holdfast/{program(name).removesuffix('_migration')}")
        assert not path.startswith("localhost")
        assert re.fullmatch(r"\d+\.\d+\.\d+", tag)
    assert len({image.rpartition(":")[2] for image in ours.values()}) == 1


def test_each_service_has_a_migration(overlay: Manifests) -> None:
    """Each service has a Job that brings its own database to the schema of the same image."""
    assert overlay.all("Job").keys() == {f"{name}-migration" for name in SERVICES}
    for name in SERVICES:
        job = f"{name}-migration"
        container = overlay.container(job)
        assert container["args"] == ["migrate"]
        assert "command" not in container
        assert container["image"] == overlay.container(name)["image"]
        url = setting(name, "DATABASE_URL")
        assert overlay.environment(job) == {url: overlay.environment(name)[url]}
        assert overlay.templates[job]["spec"]["restartPolicy"] == "Never"
        assert overlay.templates[job]["spec"]["serviceAccountName"] in overlay.all("ServiceAccount")


def test_what_removes_is_a_job_of_its_own() -> None:
    """What runs when the old version is gone is the same Jobs, told of that phase."""
    before = rendered(KUBERNETES / "overlays/production/migrations")
    after = Manifests(rendered(KUBERNETES / "overlays/production/post-migrations"))
    for name in after.all("Job"):
        container = after.container(name)
        assert container.pop("args") == ["migrate", "--phase", "post"]
        assert {**container, "args": ["migrate"]} == Manifests(before).container(name)


def test_the_database_has_room_for_all() -> None:
    """The MySQL that it is tried with takes the connections of as many replicas as there may be."""
    overlay = of_overlay("development")
    most = {
        name: overlay.all("HorizontalPodAutoscaler")[name]["spec"]["maxReplicas"] + 1
        for name in SERVICES
    }
    wanted = CONNECTIONS * sum(most.values()) + OF_THE_MOCK * most["payment-svc"]
    (argument,) = overlay.container("mysql")["args"]
    assert int(argument.removeprefix("--max-connections=")) >= wanted
    said = (KUBERNETES / "base/booking-svc.yaml").read_text()
    at_rest = CONNECTIONS * (sum(most.values()) - len(most))
    assert f"have {at_rest}, and {CONNECTIONS * sum(most.values())} while" in said
