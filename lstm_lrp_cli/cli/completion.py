"""`lrp completion`."""

from __future__ import annotations

import click

from lstm_lrp_cli.cli.help import Command

SHELLS = ("bash", "zsh", "fish")


@click.command(
    cls=Command,
    examples=(
        'eval "$(lrp completion bash)"',
        'lrp completion zsh > "${fpath[1]}/_lrp"',
        "lrp completion fish > ~/.config/fish/completions/lrp.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what lets SHELL complete commands, options and their values.

    \b
    bash: put the first example into ~/.bashrc (bash 4.4 or later).
    zsh: run the second once; or put eval "$(lrp completion zsh)" behind
         compinit in ~/.zshrc.
    fish: run the third once.

    It holds in new shells. The program must be found by the name of lrp.
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(ctx.find_root().command, {}, "lrp", "_LRP_COMPLETE").source())
