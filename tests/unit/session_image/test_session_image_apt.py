"""What a build is told about reaching the distribution's mirror."""

from __future__ import annotations

from roles.session_image.module_utils.session_image_apt import apt_settings


def test_only_what_decides_whether_apt_gets_through_is_passed_on() -> None:
    dump = """\
APT::Architecture "amd64";
Acquire::Retries "3";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3142";
Acquire::http::Proxy-Auto-Detect "/usr/bin/find-proxy";
Acquire::Check-Valid-Until "false";
DPkg::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb";
"""
    assert apt_settings(dump).splitlines() == [
        'Acquire::Retries "3";',
        'Acquire::http::Proxy "http://proxy.example:3142";',
        'Acquire::Check-Valid-Until "false";',
    ]
