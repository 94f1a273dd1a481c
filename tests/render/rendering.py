"""Renders templates as the roles do: through Ansible's own lookup plugin, from the roles' own defaults."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, reduce
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, lookup_loader
from ansible.template import Templar

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "tasks").is_dir())
TEMPLATES = sorted(path.name for path in (ROOT / "templates").glob("*.j2"))

REQUIRED: Mapping[str, Any] = {
    "session_server_image": "docker.io/library/singlethread:0123456789ab",
    "session_queue_image": "docker.io/library/session-queue:0123456789ab",
    "session_haproxy_image": "docker.io/library/session-haproxy:0123456789ab",
    "session_manifests_room": {"replicas": 5, "spare": True},
}
"""What the templates need beside the roles' defaults: the images, and what the cluster has room for."""


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that stands twice in a mapping; PyYAML would keep the last one silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"keys that stand twice: {twice}{node.start_mark}")
        return super().construct_mapping(node, deep)


@cache
def _loader() -> Any:
    init_plugin_loader()
    return DataLoader()


@cache
def defaults(role: str) -> Mapping[str, Any]:
    """Return a role's defaults as Ansible reads them: strings in them are templates, trusted as such."""
    path = ROOT / "roles" / role / "defaults" / "main.yml"
    loaded: Mapping[str, Any] = _loader().load_from_file(str(path), trusted_as_template=True) or {}
    return loaded


def render_text(template: str, **overrides: Any) -> str:
    """Render a template of the top-level folder from all roles' defaults, some of them overridden."""
    variables: dict[str, Any] = {}
    for role in ROLES:
        variables |= defaults(role)
    variables |= {**REQUIRED, **overrides}
    templar = Templar(loader=_loader(), variables=variables)
    lookup = lookup_loader.get("ansible.builtin.template", loader=_loader(), templar=templar)
    return str(lookup.run([str(ROOT / "templates" / template)], variables)[0])


def render(template: str, **overrides: Any) -> dict[str, Any]:
    """Render a manifest and parse it."""
    manifest: dict[str, Any] = yaml.load(render_text(template, **overrides), _UniqueKeys)
    return manifest


def at(manifest: Any, path: str) -> Any:
    """Return what stands at a path: keys and list positions, joined by dots."""
    return reduce(
        lambda value, key: value[int(key)] if isinstance(value, list) else value[key],
        path.split("."),
        manifest,
    )
