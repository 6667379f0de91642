"""Two replicas of each service, and the gateway in front of them."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from cli import calls
from cli.cluster.parts import Part
from cli.cluster.ports import Ports
from cli.programs import GATEWAY, SERVICES, Program

REPLICAS = (1, 2)


def target(ports: Ports, program: Program) -> str:
    """Where a service is: all its replicas, for gRPC to choose from."""
    name = program.prefix.lower()
    return "ipv4:" + ",".join(f"127.0.0.1:{ports.service(name, one)}" for one in REPLICAS)


def replicas(ports: Ports, logs: Path, environment: Mapping[str, str]) -> list[Part]:
    """The replicas of all services, those that need no other first."""
    return [
        _part(
            one,
            f"{one.name}-{number}",
            ports.service(one.prefix.lower(), number),
            logs,
            environment,
        )
        for one in SERVICES
        for number in REPLICAS
    ]


def gateway(ports: Ports, logs: Path, environment: Mapping[str, str]) -> Part:
    """The gateway."""
    return _part(GATEWAY, GATEWAY.name, ports.gateway, logs, environment)


def _part(
    program: Program, name: str, port: int, logs: Path, environment: Mapping[str, str]
) -> Part:
    listen = f"127.0.0.1:{port}"
    return Part(
        name=name,
        command=[sys.executable, "-m", "cli.child", str(os.getpid()), program.name],
        ports=(port,),
        log=logs / f"{name}.log",
        is_ready=lambda: calls.is_ready(program, listen),
        environment={**environment, program.listen_variable: listen},
    )
