"""Pages of HTML from the package's templates: one file each, nothing loaded, no script."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from session_client.drawing import figure, n, seconds


def render(template: str, **values: Any) -> str:
    """Return the page; every value is escaped."""
    environment = Environment(
        loader=PackageLoader("session_client"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(coordinate=n, figure=figure, seconds=seconds)
    return environment.get_template(template).render(**values) + "\n"
