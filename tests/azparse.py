"""Parse lines of the Azure CLI with its own parser: JSON lists of arguments on standard input, one result for each on standard output.

Runs in a Python that has azure-cli, apart from the project's. Nobody is logged in and nothing is sent: arguments are parsed only.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys

from azure.cli.core import get_default_cli


def parsed(arguments: list[str]) -> str | None:
    """None where the Azure CLI takes these arguments (without ``az``), else what it says."""
    cli = get_default_cli()
    invocation = cli.invocation = cli.invocation_cls(
        cli_ctx=cli, parser_cls=cli.parser_cls, commands_loader_cls=cli.commands_loader_cls, help_cls=cli.help_cls
    )
    command = next(
        " ".join(arguments[:number]) for number in range(len(arguments), 0, -1) if not any(word.startswith("-") for word in arguments[:number])
    )
    invocation.data["command_string"] = command
    loader = invocation.commands_loader
    loader.load_command_table(arguments)
    if command not in loader.command_table:
        return f"no command {command!r}"
    loader.command_table = {command: loader.command_table[command]}
    loader.load_arguments(command)
    invocation.parser.load_command_table(loader)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            invocation.parser.parse_args(arguments)
    except SystemExit:
        return said.getvalue() or "refused"
    return None


if __name__ == "__main__":
    json.dump([parsed(arguments) for arguments in json.load(sys.stdin)], sys.stdout)
