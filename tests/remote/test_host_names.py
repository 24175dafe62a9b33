"""What a user may call a device."""

from __future__ import annotations

import pytest

from yardarm.errors import UsageError
from yardarm.flow import hosts


@pytest.mark.parametrize("host", ["pi:0", "pi:65536", "pi:99999", "me@pi:0", "[::1]:70000"])
def test_a_port_that_cannot_be(host: str) -> None:
    with pytest.raises(UsageError, match="port"):
        hosts.resolve(host)


@pytest.mark.parametrize(("host", "port"), [("pi", 22), ("pi:1", 1), ("pi:65535", 65535)])
def test_a_port_that_can_be(host: str, port: int) -> None:
    assert hosts.resolve(host).port == port
