"""The options of `run` as they were typed: what the journal keeps of them, and how --resume takes them up."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from session_client.journal import Options

_OF_ONE_RUN = ("--results", "--resume", "--overwrite", "--quiet", "--json")
"""What the next run says anew."""

_SOURCES = ("--sizes", "--sizes-file", "--requests")
"""Each stands in place of the others."""

_TRACE = "trace:"


def given(words: Sequence[str], switches: Sequence[str]) -> Options:
    """Return the options that stand in a command line which the parser has taken, with their values.

    words are those behind the subcommand; switches are the options that take no value.
    """
    found: Options = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in switches:
            found[name] = []
        else:
            found.setdefault(name, []).append(value if equals else next(rest))
    return found


def to_keep(options: Options, arguments: argparse.Namespace) -> Options:
    """Return what the journal keeps: files by their full names, so that it holds from any folder.

    arguments are the options as the parser understood them.
    """
    kept = {}
    for name, values in options.items():
        if name in _OF_ONE_RUN:
            continue
        if isinstance(getattr(arguments, name[2:].replace("-", "_")), Path):
            values = [str(Path(value).absolute()) for value in values]
        elif name == "--arrivals":
            values = [
                _TRACE + str(Path(value.removeprefix(_TRACE)).absolute())
                if value.startswith(_TRACE)
                else value
                for value in values
            ]
        kept[name] = values
    return kept


def joined(kept: Mapping[str, Sequence[str]], options: Options) -> list[str]:
    """Return a command line with the options that were kept, less those that are given now, and these."""
    replaced = {*options, *(_SOURCES if any(source in options for source in _SOURCES) else ())}
    together = {name: values for name, values in kept.items() if name not in replaced} | options
    return [
        word
        for name, values in together.items()
        for word in ([f"{name}={value}" for value in values] or [name])
    ]
