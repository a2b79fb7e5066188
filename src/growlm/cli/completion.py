"""``growlm completion``: a script that completes commands and options, for bash, zsh or fish."""

import argparse
from collections.abc import Mapping

from growlm.base.errors import RecipeError, nearest
from growlm.cli.main import COMMANDS
from growlm.cli.parser import command

Options = Mapping[str, tuple[str, ...]]
"""The options of each command."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("shell", metavar="SHELL", help=f"one of {', '.join(SHELLS)}")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    if options.shell not in SHELLS:
        fix = nearest(options.shell, SHELLS)
        raise RecipeError(f"one of {', '.join(SHELLS)}", got=f"'{options.shell}'", fix=fix)
    found = {name: _options(name) for name in COMMANDS}
    print(SHELLS[options.shell](found), end="")
    return 0


def _options(name: str) -> tuple[str, ...]:
    _, parser = command(name, meaning=COMMANDS[name])
    return tuple(sorted(word for word in parser.options if word.startswith("--")))


def _bash(options: Options) -> str:
    cases = "\n".join(
        f'    {name}) COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$word")) ;;'
        for name, words in options.items()
    )
    return f"""\
# growlm completion bash > ~/.local/share/bash-completion/completions/growlm
_growlm() {{
  local word="${{COMP_WORDS[COMP_CWORD]}}"
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join(options)}" -- "$word"))
    return
  fi
  [[ $word == -* ]] || return
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
}}
complete -o bashdefault -o default -F _growlm growlm
"""


def _zsh(options: Options) -> str:
    _, script = _bash(options).split("\n", 1)
    return f"""\
# growlm completion zsh > ~/.growlm.zsh; and in ~/.zshrc: source ~/.growlm.zsh
autoload -U +X compinit bashcompinit && compinit && bashcompinit
{script}"""


def _fish(options: Options) -> str:
    lines = ["# growlm completion fish > ~/.config/fish/completions/growlm.fish"]
    for name, words in options.items():
        text = COMMANDS[name].replace("'", "\\'")
        lines.append(f"complete -c growlm -n __fish_use_subcommand -f -a {name} -d '{text}'")
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        lines += [f"complete -c growlm {seen} -l {word.removeprefix('--')}" for word in words]
    return "\n".join(lines) + "\n"


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}
"""Every shell, with what writes its script."""
