"""What a run is: its recipe in normal form, and the same in plain words."""

import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from labs import LabsError
from labs.cli.check import check_data, check_places, check_practical, check_seed
from labs.cli.overrides import expand, quote
from labs.nets.imagenet_weights import content_of, label_of
from labs.practicals import sheet_of
from labs.runs.computed import without_resolvers
from labs.runs.directory import labels_of_weights, read_facts, weights_file
from labs.runs.life import Run
from labs.runs.processes import forget_stray_ranks
from labs.runs.recipe import FOLD, THE_CALL, Recipe, digest_of_file, is_part, normal_form
from labs.runs.requeue import begin, remember

THE_SEED = "the run's"  # stands for the number in everything that follows the seed


def run_of(cfg: DictConfig, job: Any) -> Run:
    """Return the run of a command, in its directory; `job` is Hydra's own configuration."""
    check_places(cfg.paths)
    try:
        return _run_of(cfg, job)
    except BaseException:
        with suppress(OSError):  # Hydra has made the directory, and there will be no run in it
            Path(cfg.paths.run_dir).rmdir()
        raise


def _run_of(cfg: DictConfig, job: Any) -> Run:
    if job.job.chdir:
        raise LabsError(
            "hydra.job.chdir=true: folders are relative to where the command is typed; leave it out, and type "
            "paths.outputs=<folder> or paths.data=<folder>."
        )
    forget_stray_ranks(cfg.trainer.devices, cfg.trainer.num_nodes, cfg.trainer.accelerator)
    check_data(cfg, job.runtime.choices, job.runtime.config_sources)
    typed: Any = OmegaConf.to_container(job.overrides.task, resolve=False)
    recipe = describe(cfg, dict(job.runtime.choices), typed)
    documents = {"config": without_resolvers(cfg), "overrides": job.overrides.task}
    texts = {f".hydra/{name}.yaml": OmegaConf.to_yaml(content) for name, content in documents.items()}
    run = Run(Path(cfg.paths.run_dir), recipe, texts, resume=cfg.resume, rerun=cfg.rerun)
    begin(run.directory)
    if job.mode != RunMode.MULTIRUN and not any(word.startswith("hydra.run.dir=") for word in job.overrides.hydra):
        remember(run.directory, Path(cfg.paths.outputs))
    return run


def describe(cfg: DictConfig, choices: Mapping[str, str], overrides: list[str]) -> Recipe:
    """Return the recipe of a run, from its composed configuration and from what was typed for it."""
    check_seed(cfg.seed)
    check_practical(cfg.practical)
    typed = [override for override in overrides if is_part(override.partition("=")[0], THE_CALL)]
    axes = {name: choice for name, choice in choices.items() if str(choice) != "None" and not set("/@") & set(name)}
    typed_weights = str(OmegaConf.select(cfg, "module.net.weights"))
    weights, start = _weights(cfg, typed_weights, choices)
    facts = {
        "experiment": choices["experiment"],
        "practical": cfg.practical,
        "data": choices["data"],
        "seed": cfg.seed,
        "command": shlex.join(["python", "train.py", *typed]),
        "choices": {n: choice for n, choice in axes.items() if n not in ("experiment", "data") and is_part(n)},
        "settings": _settings(cfg, typed, axes, weights),
    }
    started = label_of(weights) if typed_weights == "imagenet" else ""
    if labels := [started] if started else labels_of_weights(Path(typed_weights).expanduser()):
        facts["start_labels"] = labels
    fold = OmegaConf.select(cfg, FOLD)
    facts |= {} if fold is None else {"fold": fold}
    text = normal_form({"experiment": choices["experiment"], **_resolved(cfg, weights)}, cfg.seed, start, fold)
    return Recipe(text, facts)


def upstream(cfg: DictConfig, net: str) -> tuple[DictConfig, Recipe]:
    """Return the configuration and the recipe of the run that makes the embedded weights of a net."""
    name = OmegaConf.select(cfg, "module.net.name")  # one option may build several nets: net=timm, net.name=...
    composed = compose(
        "train",
        overrides=[
            f"experiment={cfg.upstream.experiment}",
            f"net={net}",
            *([f"++module.net.name={quote(str(name))}"] if name else []),
            f"datamodule.image_size={cfg.datamodule.image_size}",
            f"trainer.accelerator={cfg.trainer.accelerator}",
            f"trust={str(cfg.trust).lower()}",
            f"paths.data={quote(cfg.paths.data)}",
            *expand(list(cfg.upstream.overrides)),
        ],
        return_hydra_config=True,
    )
    choices = {str(name): str(choice) for name, choice in composed.hydra.runtime.choices.items()}
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    own.paths.run_dir = ""
    return own, describe(own, choices, [f"experiment={cfg.upstream.experiment}", f"net={net}"])


def _resolved(cfg: DictConfig, weights: str) -> dict[str, Any]:
    """Return the settings; what refers to a path or to the seed is the same everywhere and for every seed."""
    known = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if is_part(str(key), THE_CALL)])
    known.paths = dict.fromkeys(cfg.paths, "")
    known.seed, known.trial = THE_SEED, None
    if OmegaConf.select(known, FOLD) is not None:
        known.datamodule.fold = None  # recorded on its own, like the seed
    if OmegaConf.is_config(OmegaConf.select(known, "module.net")):  # anything else is refused by its type
        known.module.net.weights = weights
    resolved: Any = OmegaConf.to_container(known, resolve=True)
    # the seed is recorded on its own; the others count by the settings that they lead to
    elsewhere = ("seed", "pretrained", "offline_weights", "sgd_lr_factor", "upstream")
    return {name: value for name, value in resolved.items() if name not in elsewhere}


def _weights(cfg: DictConfig, weights: str, choices: Mapping[str, str]) -> tuple[str, str]:
    """Return what identifies weights wherever they lie, and the content of those of a run."""
    if weights == "embedded" and cfg.upstream.experiment is not None:
        return f"embedded: {upstream(cfg, choices['net'])[1].key}", ""
    if weights == "imagenet":
        net: Any = OmegaConf.to_container(cfg.module.net, resolve=True)
        return content_of(net), ""
    file = weights_file(Path(weights).expanduser())
    if file is None:
        return weights, ""
    digest = digest_of_file(file)
    run = read_facts(Path(weights).expanduser())
    return (f"a run of {run.get('experiment')}", digest) if run else (f"sha256 {digest}", "")


def _settings(cfg: DictConfig, typed: list[str], axes: Mapping[str, str], weights: str) -> dict[str, Any]:
    """Return the settings that were typed beyond the axes, and those that are always recorded, by full name."""
    names = [*sheet_of(cfg.practical).settings, *sorted(o.partition("=")[0].lstrip("+") for o in typed)]
    others = ("~", "hydra.", "paths.")
    names = [name for name in names if name not in axes and name != "seed" and not name.startswith(others)]
    found = {name: OmegaConf.select(cfg, name) for name in names}
    settings = {
        n: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for n, v in found.items() if v is not None
    }
    if "module.net.weights" in settings:  # its path differs from seed to seed; `command` has it
        settings["module.net.weights"] = weights
    return settings
