"""What a lab host is told about the way to the network."""

from __future__ import annotations

import pytest
import uplink

DUMP = """\
APT "";
Acquire::Retries "3";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::http::Proxy::mirror.example "DIRECT";
Acquire::https::Proxy "";
Acquire::Check-Valid-Until "false";
Acquire::Languages:: "en";
Dir::Cache "var/cache/apt";
"""


def test_apt_settings_are_those_that_decide_whether_apt_gets_through() -> None:
    assert uplink.apt_settings(DUMP) == [
        'Acquire::Retries "3";',
        'Acquire::http::Proxy "http://proxy.example:3128";',
        'Acquire::http::Proxy::mirror.example "DIRECT";',
        'Acquire::Check-Valid-Until "false";',
    ]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param(["nameserver 192.0.2.53\n"], ["192.0.2.53"], id="ordinary"),
        pytest.param(
            ["# nameserver 192.0.2.1\nsearch example.org\n nameserver  2001:db8::1 \n"],
            ["2001:db8::1"],
            id="words",
        ),
        pytest.param(
            ["nameserver 127.0.0.53\n", "nameserver 192.0.2.53\n"], ["192.0.2.53"], id="behind a stub"
        ),
        pytest.param(["nameserver ::1\nnameserver 192.0.2.53\n"], ["192.0.2.53"], id="beside a stub"),
        pytest.param(
            ["nameserver 192.0.2.1\n", "nameserver 192.0.2.2\n"], ["192.0.2.1"], id="first file wins"
        ),
        pytest.param(["nameserver fe80::1%eth0\n"], [], id="link-local"),
        pytest.param(["nameserver\nnameserver name.example\n"], [], id="no address"),
        pytest.param([], [], id="no file"),
    ],
)
def test_nameservers_are_those_another_host_can_reach(texts: list[str], expected: list[str]) -> None:
    assert uplink.nameservers(texts) == expected
