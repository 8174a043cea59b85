"""`python main.py completion bash|zsh`: a script for the shell, made of the commands and the table of methods.

It asks nothing of the running service, so that a key press never waits. Whoever evaluates it may type `holdfast` for
`python main.py`; the words after `ctl` are methods, then the parameters of the method.
"""

import re
import sys
from collections.abc import Mapping, Sequence

from adapters.admin.methods import METHODS

DONE, USAGE = 0, 2
SHELLS = ("bash", "zsh")
CTL_WORDS = ("watch", "--json", "--csv", "--follow", "--settings", "--timeout", "--help")
_PARAMETER = re.compile(r"\b([a-z_]+)=")
_BASH = """\
# eval "$(python main.py completion bash)"
holdfast() {{ {python} {main} "$@"; }}
_holdfast() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" words=""
    # A '=' ends a word for the shell: what stands after it is the operator's own.
    if [[ "$current" == "=" || "${{COMP_WORDS[COMP_CWORD-1]}}" == "=" ]]; then return; fi
    if (( COMP_CWORD == 1 )); then
        words="{commands}"
    elif [[ "${{COMP_WORDS[1]}}" == ctl ]]; then
        if (( COMP_CWORD == 2 )); then
            words="{methods}"
        else
            case "${{COMP_WORDS[2]}}" in
{cases}
            esac
            words="$words {options}"
        fi
    elif [[ "${{COMP_WORDS[1]}}" == completion ]]; then
        words="{shells}"
    else
        COMPREPLY=($(compgen -f -- "$current"))
        return
    fi
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    if [[ "${{COMPREPLY[0]}}" == *= ]]; then compopt -o nospace 2>/dev/null; fi
}}
complete -F _holdfast holdfast
"""
_ZSH = """\
# eval "$(python main.py completion zsh)"
(( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit -u; }}
holdfast() {{ {python} {main} "$@"; }}
_holdfast() {{
    local offered=""
    # What stands after a '=' is the operator's own.
    if [[ "$words[CURRENT]" == *=* ]]; then return 1; fi
    if (( CURRENT == 2 )); then
        offered="{commands}"
    elif [[ "$words[2]" == ctl ]]; then
        if (( CURRENT == 3 )); then
            offered="{methods}"
        else
            case "$words[3]" in
{cases}
            esac
            offered="$offered {options}"
        fi
    elif [[ "$words[2]" == completion ]]; then
        offered="{shells}"
    else
        _files
        return
    fi
    local -a each=(${{=offered}})
    compadd -S '' -- ${{(M)each:#*=}}
    local none=$?
    compadd -- ${{each:#*=}} || return $none
}}
compdef _holdfast holdfast
"""
_SCRIPTS = {"bash": (_BASH, "words"), "zsh": (_ZSH, "offered")}
"""The text of each, and its variable of what is offered."""


def main(words: Sequence[str], commands: Sequence[str]) -> int:
    """Print the script; returns the exit code."""
    if len(words) != 1 or words[0] not in SHELLS:
        sys.stderr.write('usage: main.py completion bash|zsh   such as: eval "$(python main.py completion bash)"\n')
        return USAGE
    sys.stdout.write(script(words[0], commands, python=sys.executable, main_py=sys.argv[0]))
    return DONE


def script(shell: str, commands: Sequence[str], *, python: str, main_py: str) -> str:
    """What the shell evaluates."""
    text, variable = _SCRIPTS[shell]
    cases = [
        f'                {name}) {variable}="{" ".join(names)}" ;;' for name, names in parameters().items() if names
    ]
    return text.format(
        python=_quoted(python),
        main=_quoted(main_py),
        commands=" ".join(commands),
        methods=" ".join([*(method.name for method in METHODS), *CTL_WORDS]),
        cases="\n".join(cases),
        options=" ".join(CTL_WORDS[1:]),
        shells=" ".join(SHELLS),
    )


def parameters() -> Mapping[str, Sequence[str]]:
    """The parameters of each method, as its usage names them, with their '='."""
    return {method.name: [f"{name}=" for name in _PARAMETER.findall(method.usage)] for method in METHODS}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
