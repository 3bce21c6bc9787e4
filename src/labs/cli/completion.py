"""Tab completion in bash, for `python train.py <Tab>`: names of experiments, axes, options and settings.

It reads `conf/` as text and composes nothing, so that an answer takes no longer than the interpreter's start.
"""

import re
from collections.abc import Sequence

from labs.cli.options import config_folder, groups, options_of
from labs.cli.short_forms import SHORT_FORMS

FLAGS = ("--help", "--list", "--cfg", "--info", "--multirun", "--version")

# Words are completed for train.py alone; everything else that python runs keeps the completion that it had: files.
BASH = r"""_labs_complete() {
    local word="${COMP_WORDS[COMP_CWORD]}" program="${COMP_WORDS[1]}"
    COMPREPLY=()
    if [[ "$COMP_CWORD" -gt 1 && "${program##*/}" == train.py && -f "$program" ]]; then
        local IFS=$'\n'
        COMPREPLY=($("${COMP_WORDS[0]}" "$program" --complete "${COMP_WORDS[@]:2:COMP_CWORD-1}" 2> /dev/null))
        [[ "${COMPREPLY[0]}" == *[=./] ]] && compopt -o nospace 2> /dev/null
    fi
    [[ ${#COMPREPLY[@]} -gt 0 || "$word" != *=* ]] || COMPREPLY=($(compgen -f -P "${word%%=*}=" -- "${word#*=}"))
    [[ ${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- "$word"))
}
COMP_WORDBREAKS=${COMP_WORDBREAKS//=/}
complete -o filenames -F _labs_complete python python3"""


def candidates(words: Sequence[str]) -> list[str]:
    """Return what the last of the words may become.

    Args:
        words: behind `train.py`, as far as they are typed.
    """
    word = words[-1] if words else ""
    name, equals, value = word.partition("=")
    if equals:
        done, _, last = value.rpartition(",")  # several values: experiment=cub_full,cub_<Tab>
        head = f"{name}={done}," if done else f"{name}="
        return [f"{head}{option}" for option in options_of(name) if option.startswith(last)]
    if word.startswith("-"):
        return [flag for flag in FLAGS if flag.startswith(word)]
    group, dot, _ = word.partition(".")
    if dot:
        return [f"{group}.{key}=" for key in _settings_of(group) if f"{group}.{key}=".startswith(word)]
    if {"-h", "--help"} & set(words[:-1]):
        names = [*options_of("experiment"), *options_of("grid"), *options_of("search"), *groups()]
    else:
        names = [f"{name}=" for name in (*(group for group in groups() if group != "hydra"), *SHORT_FORMS, "seed")]
        names += [f"{name}=" for name in ("resume", "retry", "rerun")]
        names += options_of("experiment") if word else []
    return sorted(name for name in set(names) if name.startswith(word))


def _settings_of(group: str) -> list[str]:
    """Return the settings that any option of an axis has."""
    found: set[str] = set()
    for file in (config_folder() / group).glob("*.yaml"):
        found.update(re.findall(r"^([a-z]\w*):", file.read_text(encoding="utf-8"), re.MULTILINE))
    return sorted(found - {"defaults"})
