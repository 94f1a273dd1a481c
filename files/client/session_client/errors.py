"""The one exception that ends a command early."""


class CannotRunError(Exception):
    """The command cannot do what was asked. The text says what was wrong, where, and what to do about it."""
