"""`lrp` itself: its commands, loaded when they are called, and its exit statuses."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from lstm_lrp_cli import __version__
from lstm_lrp_cli.errors import UnusableInput, lack_of_memory, printable
from lstm_lrp_cli.terminal.text import LONGEST_MESSAGE, legible, say, telling_left_out
from .options.help import Command, write_examples

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


COMMANDS = {
    "check": "Prove the forward pass and the conservation of relevance.",
    "compare": "Compare explanations by two models, methods or versions.",
    "convert": "Write a model as plain weights and a complete mapping.",
    "evaluate": "Compare methods that explain, on your own sequences.",
    "explain": "Explain predictions: a relevance for every token or step.",
    "match": "Search the mapping that gives your framework's scores.",
    "inspect": "Show what is in a model file, and how it is read.",
    "predict": "Predict alone: scores, probabilities and classes.",
    "summarize": "Question a corpus of explanations: tokens, classes, errors.",
    "completion": "Print what lets a shell complete commands and options.",
}
EXAMPLES = (
    "lrp inspect model.h5",
    "lrp check model.h5 sentences.txt --expected scores.npy",
    "lrp explain model.h5 sentences.txt",
    "lrp explain model.h5 sentences.txt -o relevance.tsv",
    "lrp COMMAND --help",
)
UNUSABLE = 3
INTERRUPTED = 130
# What Linux's loader says of a library that has no place in memory.
OUT_OF_MEMORY = "failed to map segment"


class LrpGroup(click.Group):
    """Imports a command only when it is called, and turns errors into exit statuses."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        if name == "completion":
            return completion
        command: click.Command = getattr(importlib.import_module(f"lstm_lrp_cli.cli.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(formatter, EXAMPLES)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands by name, of which none is imported, and the options."""
        from click.shell_completion import CompletionItem

        commands = (name for name in COMMANDS if name.startswith(incomplete))
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(name, help=COMMANDS[name]) for name in commands), *options]

    def main(self, *arguments: Any, **settings: Any) -> Any:
        try:
            return super().main(*arguments, **settings)
        except OSError as error:  # help, or the version, that standard output does not take
            _drop_output()
            say(f"{error.filename or 'output'}: {error.strerror or error}")
            sys.exit(UNUSABLE)

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        try:
            return super().make_context(*arguments, **settings)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except click.UsageError as error:
            raise _legible(error) from error

    def invoke(self, ctx: click.Context) -> Any:  # noqa: C901 - a case each
        try:
            with telling_left_out():
                return super().invoke(ctx)
        except UnusableInput as error:
            return _stop(ctx, error, f"{error.where}: {error.problem}", error.paste)
        except BrokenPipeError:
            _drop_output()  # the reader has what it wanted
            ctx.exit(0)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except click.UsageError as error:
            raise _legible(error) from error
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except MemoryError as error:
            return _stop(ctx, error, lack_of_memory(error))
        except OSError as error:
            try:
                # Where reading failed, what was written before it still goes out.
                if sys.stdout is not None:
                    sys.stdout.flush()
            except OSError:
                _drop_output()
            return _stop(ctx, error, f"{error.filename or 'output'}: {error.strerror or error}")
        except Exception as error:
            # Python 3.11 wraps what is raised as a class is made, so a signal's too.
            if isinstance(error.__cause__, KeyboardInterrupt):
                ctx.exit(INTERRUPTED)
            if isinstance(error.__cause__, SystemExit):
                raise error.__cause__ from None
            if isinstance(error, ImportError) and OUT_OF_MEMORY in str(error):
                return _stop(ctx, error, "there is not enough memory for the libraries of lrp")
            return _stop(
                ctx, error, f"internal error: {error!r}; please report it, with LRP_DEBUG=1 set"
            )


def _legible(error: click.UsageError) -> click.UsageError:
    """An error of usage in one line that is safe to show: arguments may be any text."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error
    return click.UsageError(legible(error.format_message()), error.ctx)


def _drop_output() -> None:
    """Forget what standard output did not take: Python would complain again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _stop(ctx: click.Context, error: BaseException, message: str, paste: str = "") -> None:
    if os.environ.get("LRP_DEBUG"):
        raise error
    say(message)
    for line in paste.splitlines():
        click.echo(legible(line) if len(line) > LONGEST_MESSAGE else printable(line), err=True)
    ctx.exit(UNUSABLE)


@click.group(cls=LrpGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="lrp")
def main() -> None:
    """Explain trained LSTM models with Layer-wise Relevance Propagation.

    \b
    Exit status: 0 done; 1 a check failed; 2 wrong usage;
    3 a model, mapping or input that cannot be used; 4 a cluster was lost;
    128 + n ended by signal n (130: interrupted).
    """


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
