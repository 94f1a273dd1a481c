"""How a session can end without the reply that it was begun for."""


class InvalidRequestError(ValueError):
    """The request cannot be worked on. The text goes to the client, so it says what to send instead."""


class WorkFailedError(Exception):
    """The work was begun and gave no result. The text goes to the client."""


class NoRequestError(Exception):
    """The client has sent nothing, as a probe does. It gets no answer, and an orderly end."""


class ClientLostError(Exception):
    """The client has gone, or is too slow with its request or its reply: its connection is reset."""
