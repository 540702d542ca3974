"""Completion, as the shells themselves ask for it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from forking import forked_lrp

from lstm_lrp_cli.cli.main import COMMANDS
from lstm_lrp_cli.engine.methods import METHODS

ROOT = Path(__file__).parents[2]
GRADIENTS = [name for name in METHODS if name.startswith("gradient")]

# What a shell does when the tab key is pressed, the words so far being its arguments.
BASH = """
eval "$(lrp completion bash)"
complete -p lrp > /dev/null || exit 1
compopt() { asked+=("$2"); }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); asked=()
_lrp_completion lrp
[[ ${asked[*]} == default ]] && COMPREPLY=($(compgen -f -- "${!#}"))
printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = """
lrp completion fish | source
complete -C "$argv"
"""
# The prompt stands there when the line can be edited; what was typed must not look like it.
ZSH = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'autoload -U compinit; compinit -u -D; bindkey "^I" complete-word'
zpty -w shell 'eval "$(lrp completion zsh)"; PS1="rea""dy> "'
zpty -r shell out '*ready> *'
zpty -n -w shell "$*"$'\\t'
zpty -w shell ' END'
zpty -r shell out '*END*'
print -r -- $out
zpty -d shell
"""


@pytest.fixture
def environment(tmp_path):
    """An environment in which `lrp` is found by its name."""
    program = tmp_path / "bin" / "lrp"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {" ".join(forked_lrp())} "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}


@pytest.fixture
def folder(tmp_path):
    """A folder with files to be completed."""
    work = tmp_path / "work"
    work.mkdir()
    for name in ("model.h5", "sentences.txt", "sentences.jsonl"):
        (work / name).touch()
    return work


def ask(shell, *arguments, environment, folder):
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    done = subprocess.run(
        [shell, *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        timeout=180,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=["bash", "fish"])
def completed(request, environment, folder):
    """What the last of the words can become."""

    def complete(*words):
        where = {"environment": environment, "folder": folder}
        if request.param == "bash":
            lines = ask("bash", "--norc", "-c", BASH, "bash", *words, **where).splitlines()
        else:
            line = " ".join(words)
            lines = ask("fish", "--no-config", "-c", FISH, line, **where).splitlines()
        # fish shows what an option means as well.
        return sorted(line.split("\t")[0] for line in lines if line)

    return complete


class TestCompletion:
    def test_of_commands(self, completed):
        assert completed("lrp", "ex") == ["explain"]
        assert completed("lrp", "") == sorted(COMMANDS)

    def test_of_options(self, completed):
        assert completed("lrp", "explain", "--la") == ["--label", "--labelled"]

    def test_of_choices(self, completed):
        assert completed("lrp", "check", "--format", "") == ["json", "table"]
        assert completed("lrp", "completion", "") == ["bash", "fish", "zsh"]

    def test_of_words_that_others_stand_beside(self, completed):
        assert completed("lrp", "explain", "--target", "g") == ["gold"]
        assert completed("lrp", "explain", "--step", "l") == ["last"]

    def test_of_the_last_method_of_a_list(self, completed):
        assert completed("lrp", "explain", "--method", "gr") == GRADIENTS
        expected = [f"lrp-all,occlusion,{name}" for name in GRADIENTS]
        assert completed("lrp", "evaluate", "--methods", "lrp-all,occlusion,gr") == expected

    def test_of_methods_that_are_not_in_the_list(self, completed):
        found = completed("lrp", "explain", "--method", "lrp-all,lrp-")
        assert found == ["lrp-all,lrp-abs", "lrp-all,lrp-half", "lrp-all,lrp-prop"]

    def test_of_settings_in_a_method_s_name(self, completed):
        begun = "random,lrp-all:eps=1:b"
        assert completed("lrp", "explain", "--method", "lrp-all:e") == ["lrp-all:eps="]
        expected = ["random,lrp-all:eps=1:bias-factor="]
        assert completed("lrp", "evaluate", "--methods", begun) == expected

    def test_of_files(self, completed):
        assert completed("lrp", "explain", "mo") == ["model.h5"]
        both = ["sentences.jsonl", "sentences.txt"]
        assert completed("lrp", "explain", "model.h5", "sent") == both
        assert completed("lrp", "explain", "--mapping", "mo") == ["model.h5"]


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        ("lrp exp", "lrp explain"),
        ("lrp explain --method lrp-all,occ", "--method lrp-all,occlusion"),
        ("lrp explain mod", "lrp explain model.h5"),
    ],
)
def test_zsh_completes_on_its_line(environment, folder, begun, expected):
    shown = ask("zsh", "-f", "-c", ZSH, "zsh", begun, environment=environment, folder=folder)
    assert expected in re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", shown)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_all_that_is_printed(run, shell):
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_LRP_COMPLETE" in result.stdout
    assert result.stderr == ""


def test_another_shell_is_wrong_usage(run):
    assert run("completion", "tcsh").exit_code == 2


@pytest.mark.parametrize("words", ["lrp ex", "lrp explain --method lrp-all,gr"])
def test_is_answered_without_numpy(environment, words):
    """It is asked at every press of the tab key."""
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from lstm_lrp_cli.__main__ import run\n"
        "run()\n"
    )
    asked = {"_LRP_COMPLETE": "bash_complete", "COMP_WORDS": words}
    asked["COMP_CWORD"] = str(len(words.split()) - 1)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, **asked},
        capture_output=True,
        timeout=180,
        text=True,
    )
    assert done.stdout
    modules = set(done.stderr.split())
    assert not modules & {"numpy", "rich", "h5py", "yaml"}
    assert "lstm_lrp_cli.cli.check" not in modules
