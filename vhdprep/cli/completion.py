"""``vhdprep completion``: what a shell must be told so that it completes commands, options and rule ids."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

VARIABLE = "_VHDPREP_COMPLETE"
"""Set by those scripts when they ask what may come next."""


class Shell(StrEnum):
    """Shells that typer has scripts for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"
    PWSH = "pwsh"


ShellArgument = Annotated[Shell, typer.Argument(metavar="bash|zsh|fish|powershell|pwsh", help="Of which shell.", show_default=False)]


def completion(shell: ShellArgument) -> None:
    """Print the script that makes a shell complete commands, options and rule ids.

    bash: vhdprep completion bash > ~/.local/share/bash-completion/completions/vhdprep;
    zsh: vhdprep completion zsh > ~/.zfunc/_vhdprep (with ~/.zfunc in fpath, before compinit);
    fish: vhdprep completion fish > ~/.config/fish/completions/vhdprep.fish;
    PowerShell: vhdprep completion powershell >> $PROFILE
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # imported there for its users, without saying so

    typer.echo(get_completion_script(prog_name="vhdprep", complete_var=VARIABLE, shell=shell.value))


def answer() -> None:
    """Get ready to tell a shell what may come next."""
    from typer.completion import get_completion_inspect_parameters

    get_completion_inspect_parameters()  # makes typer's way of asking known, which it otherwise does only for options of its own
