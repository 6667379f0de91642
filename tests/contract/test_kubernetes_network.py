"""Who may talk to whom in deploy/kubernetes, how they know each other, and where secrets are."""

import ipaddress
import json
import re
from typing import Any

import pytest
from support.kustomize import Resource, documents
from support.manifests import KUBERNETES, OVERLAYS, Manifests, of_overlay
from support.source import ROOT

GATEWAY, BOOKING = "gateway", "booking-svc"
PAYMENT, INVENTORY = "payment-svc", "inventory-svc"
PROGRAMS = {GATEWAY: 8080, BOOKING: 50051, PAYMENT: 50052, INVENTORY: 50053}
METRICS = {GATEWAY: 9100, BOOKING: 9101, PAYMENT: 9102, INVENTORY: 9103}
STORES = {"mysql": 3306, "redis": 6379}
CALLS = {
    (GATEWAY, BOOKING),
    (GATEWAY, PAYMENT),
    (GATEWAY, INVENTORY),
    (BOOKING, PAYMENT),
    (BOOKING, INVENTORY),
}
# With the mock provider, which sends webhooks.
WEBHOOKS = {(PAYMENT, GATEWAY)}
DATA = {(one, "mysql") for one in (BOOKING, PAYMENT, INVENTORY)} | {(BOOKING, "redis")}
DATA |= {(f"{one}-migration", "mysql") for one in (BOOKING, PAYMENT, INVENTORY)}
# Of Stripe; of nobody whom we know; of what must not be reached.
OUTSIDE, PRIVATE = "198.51.100.7", ("10.1.2.3", "169.254.169.254", "172.16.0.1", "192.168.0.1")
PAGE = (ROOT / "docs/kubernetes.md").read_text()


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Manifests:
    return of_overlay(request.param)


def calls(overlay: Manifests) -> set[tuple[str, str]]:
    """Every pair of pods of which the first may call the second where that listens."""
    ports = {
        name: port for name, port in {**PROGRAMS, **STORES}.items() if name in overlay.templates
    }
    return {
        (caller, called)
        for caller in overlay.templates
        for called, port in ports.items()
        if overlay.may_call(caller, called, port)
    }


def test_who_may_call_whom() -> None:
    """In each overlay exactly those pods may call each other that have something to say."""
    assert calls(of_overlay("production")) == CALLS
    assert calls(of_overlay("development")) == CALLS | WEBHOOKS | DATA


def test_no_pod_is_forgotten(overlay: Manifests) -> None:
    """Nothing goes in or out of any pod of the namespace but what a policy allows."""
    nothing = overlay.all("NetworkPolicy")["nothing"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name in overlay.templates:
        assert [] in overlay.policies(name, "Egress")
        assert [] in overlay.policies(name, "Ingress")


def peers(overlay: Manifests, name: str, direction: str) -> list[tuple[Any, int]]:
    """Whom a pod may talk to, or hear from, who is no pod of the namespace, and at which port."""
    side = "to" if direction == "Egress" else "from"
    return [
        (peer, port)
        for rules in overlay.policies(name, direction)
        for rule in rules
        for peer in rule[side]
        if "podSelector" not in peer
        for one in rule["ports"]
        for port in range(one["port"], one.get("endPort", one["port"]) + 1)
    ]


def reached(overlay: Manifests, name: str, address: str) -> set[int]:
    """The ports at which a pod may call an address outside of the cluster."""
    where = ipaddress.ip_address(address)
    return {
        port
        for peer, port in peers(overlay, name, "Egress")
        if "ipBlock" in peer
        and where in ipaddress.ip_network(peer["ipBlock"]["cidr"])
        and not any(where in ipaddress.ip_network(one) for one in peer["ipBlock"].get("except", ()))
    }


def test_who_may_leave_the_cluster() -> None:
    """Only payments reach the Internet, by HTTPS, and nobody what is private but the databases."""
    production, database = of_overlay("production"), "192.0.2.9"
    for name in production.templates:
        assert reached(production, name, OUTSIDE) == ({443} if name == PAYMENT else set())
        assert not any(reached(production, name, address) for address in PRIVATE)
        to_data = reached(production, name, database) - {443}
        wanted = {3306} if (name, "mysql") in DATA else set()
        assert to_data == wanted | ({6379, 26379} if name == BOOKING else set())
        assert not reached(of_overlay("development"), name, OUTSIDE)


@pytest.mark.parametrize("name", PROGRAMS)
def test_prometheus_and_names(name: str, overlay: Manifests) -> None:
    """Every program tells its metrics to the namespace of Prometheus, and may look up names."""
    monitoring = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    }
    system = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    assert (monitoring, METRICS[name]) in peers(overlay, name, "Ingress")
    assert (system, 53) in peers(overlay, name, "Egress")


def test_who_may_come_from_outside() -> None:
    """From other namespaces than that of Prometheus only the gateway is called, and only there."""
    production = of_overlay("production")
    for name in PROGRAMS:
        came = [
            (peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port)
            for peer, port in peers(production, name, "Ingress")
            if port not in METRICS.values()
        ]
        assert came == ([("ingress", 8080)] if name == GATEWAY else [])


@pytest.fixture
def certificates() -> dict[str, Resource]:
    """What cert-manager is asked for, by the Secret that it makes."""
    every = of_overlay("production").all("Certificate").values()
    return {one["spec"]["secretName"]: one["spec"] for one in every}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_has_a_certificate(name: str, certificates: dict[str, Resource]) -> None:
    """A program shows a certificate of its own name, for calling and for being called."""
    production = of_overlay("production")
    (secret,) = [
        one["secret"]["secretName"]
        for one in production.templates[name]["spec"]["volumes"]
        if one["name"] == "certificate"
    ]
    certificate = certificates[secret]
    assert certificate["commonName"] == name
    # By this its callers have it, and an operator by loopback.
    assert {name, f"{name}.holdfast.svc", "localhost"} == set(certificate["dnsNames"])
    assert certificate["ipAddresses"] == ["127.0.0.1"]
    assert {"server auth", "client auth"} <= set(certificate["usages"])
    assert certificate["issuerRef"]["name"] in production.all("Issuer")
    (folder,) = [
        one["mountPath"]
        for one in production.container(name)["volumeMounts"]
        if one["name"] == "certificate"
    ]
    told = production.environment(name)
    files = {one for variable, one in told.items() if "TLS_" in variable and "_FILE" in variable}
    assert files == {f"{folder}/{part}" for part in ("tls.crt", "tls.key", "ca.crt")}


def test_services_are_known_by_their_certificates(certificates: dict[str, Resource]) -> None:
    """Whoever calls as a service has a certificate of that name, and the scopes that it needs."""
    production = of_overlay("production")
    named = [name for one in certificates.values() for name in one.get("dnsNames", ())]
    for name in PROGRAMS:
        services = json.loads(str(production.environment(name)["TLS_SERVICES"]))
        assert services == {BOOKING: "inventory payments"}
        # Nobody else has that name.
        assert named.count(BOOKING) == 1
    asked = (ROOT / "booking_svc/wiring.py").read_text()
    assert '"inventory payments"' in asked


def test_plaintext_is_for_trying() -> None:
    """Only to try it do programs speak plaintext beyond loopback; else they are told not to."""
    for name in PROGRAMS:
        told = {one: of_overlay(one).environment(name) for one in OVERLAYS}
        assert told["development"]["TLS_PLAINTEXT_BEYOND_LOOPBACK"] == "true"
        assert "TLS_CERT_FILE" not in told["development"]
        assert told["production"]["TLS_PLAINTEXT_BEYOND_LOOPBACK"] == "false"


def test_prometheus_knows_the_programs(certificates: dict[str, Resource]) -> None:
    """Each program has a monitor that checks its certificate by its name."""
    monitors = documents(KUBERNETES / "components/pod-monitor/pod-monitors.yaml")
    assert {one["metadata"]["name"] for one in monitors} == PROGRAMS.keys()
    for one in monitors:
        (endpoint,) = one["spec"]["podMetricsEndpoints"]
        name = one["metadata"]["name"]
        assert one["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": name}
        assert one["spec"]["jobLabel"] == "app.kubernetes.io/component"
        assert (endpoint["port"], endpoint["scheme"]) == ("metrics", "https")
        security = endpoint["tlsConfig"]
        assert security["serverName"] == name
        assert security["ca"]["secret"]["name"] in certificates


def wanted_secrets(overlay: Manifests) -> dict[str, set[str]]:
    """The Secrets that must be made by hand, and their keys."""
    made = {one["spec"]["secretName"] for one in overlay.all("Certificate").values()}
    wanted: dict[str, set[str]] = {}
    for name, template in overlay.templates.items():
        for value in overlay.environment(name).values():
            if isinstance(value, tuple):
                wanted.setdefault(value[0], set()).add(value[1])
        for volume in template["spec"]["volumes"]:
            if "secret" in volume and volume["secret"]["secretName"] not in made:
                keys = {one["key"] for one in volume["secret"]["items"]}
                wanted.setdefault(volume["secret"]["secretName"], set()).update(keys)
    return wanted


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_page_makes_every_secret(name: str) -> None:
    """docs/kubernetes.md says how to make just those Secrets that are wanted, with their keys."""
    _, _, section = PAGE.partition(f"<!-- secrets: {name} -->")
    block = section.split("```")[1].replace("\\\n", " ")
    made = {
        found[1]: set(re.findall(r"--from-(?:literal|file)=([\w.-]+)=", found[2]))
        for found in re.finditer(r"^secret ([\w-]+)(.*)$", block, re.MULTILINE)
    }
    assert made == wanted_secrets(of_overlay(name))


def test_no_secret_is_here() -> None:
    """No manifest has a Secret, only the names of some."""
    for overlay in OVERLAYS:
        assert of_overlay(overlay).all("Secret") == {}
    for path in KUBERNETES.rglob("*.yaml"):
        assert not re.search(r"whsec_\w|sk_(test|live)_|-----BEGIN|:[^/\s]+@", path.read_text())
