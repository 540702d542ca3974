"""`lrp completion`."""

import click

from .options.help import Command

SHELLS = ("bash", "zsh", "fish")


@click.command(
    cls=Command,
    examples=(
        'eval "$(lrp completion bash)"',
        'lrp completion zsh > "${fpath[1]}/_lrp"',
        "lrp completion fish > ~/.config/fish/completions/lrp.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL")
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what lets SHELL (bash, zsh or fish) complete commands, options and values.

    \b
    bash: put the first example into ~/.bashrc (bash 4.4 or later).
    zsh: run the second once; or put eval "$(lrp completion zsh)" behind
         compinit in ~/.zshrc.
    fish: run the third once.

    It holds in new shells. The program must be found by the name of lrp.
    """
    click.echo(completion_script(ctx.find_root().command, shell))


def completion_script(program: click.Command, shell: str) -> str:
    """What a shell runs once, to ask the program for completions from then on."""
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    script = made(program, {}, "lrp", "_LRP_COMPLETE").source()
    # Click's script for fish takes what stands before a comma for all, also in a list of methods.
    return script.replace('string split ","', 'string split --max 1 ","')
