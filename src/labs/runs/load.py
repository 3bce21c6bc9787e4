"""Rebuild a trained net from its run directory."""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn
from yaml import YAMLError

from labs import LabsError
from labs.functional.normalization import Normalization, Normalizer
from labs.nets.eval_mode import evaluating
from labs.practicals import sheet_of
from labs.runs.computed import register_arithmetic
from labs.runs.directory import labels_of, one_line, printable, read_facts
from labs.runs.guarded import bounded_memory, without_network
from labs.runs.newest import chosen_run
from labs.runs.recipe import read_recipe_text, without_aliases
from labs.runs.references import check_references
from labs.runs.trained_net import TrainedNet, fixed
from labs.runs.trusted import check_targets
from labs.storage.checkpoint_files import read_checkpoint
from labs.storage.files import typed_path

LARGEST = 4096  # pixels of the side of an image: one that a file asks for could fill the memory
LONGEST = 1000  # letters of the name of a class
ALWAYS = 1 << 30  # bytes that a net and its answer may take, beyond four times those of its checkpoint
AS_IT_WAS = "Type a run directory as train.py left it."


def load_run(run_dir: Path | str, *, trust: bool = False) -> TrainedNet:
    """Load the net of a run that classifies images, with its classes and its preprocessing.

    Args:
        run_dir: a run directory, or a folder of runs, such as that of an experiment or of a grid: then the newest
            finished run counts, and the `run` of the result says which it is. Somebody may have handed the directory
            over, so no code that it names is run.
        trust: build whatever its recipe names, all the same.

    Returns:
        The net, on the CPU whatever it was trained on.

    Raises:
        LabsError: the directory is not that of a run, cannot be read, or the run has saved no weights yet.
    """
    return load_run_directory(chosen_run(run_dir).directory, trust=trust)


def load_run_directory(run_dir: Path | str, *, trust: bool = False) -> TrainedNet:
    """Load the net of one run directory, as `load_run` does."""
    run, directory = f"run={run_dir}", typed_path(run_dir, "run")
    with without_network("" if trust else run):
        return _load(directory, run, trust=trust)


def _load(run_dir: Path, run: str, *, trust: bool) -> TrainedNet:
    cfg = _recipe(run_dir / ".hydra" / "config.yaml", run, ("practical", "datamodule._target_", "module"), trust=trust)
    answers = sheet_of(cfg.practical).answers
    if answers is None:
        raise LabsError(
            f"{run}: runs of practical {cfg.practical} answer about no image; type the run directory of one "
            "that classifies."
        )
    labels = labels_of(run_dir, run)
    checkpoint, notes = _checkpoint(run_dir, answers, run)
    try:
        saved = read_checkpoint(checkpoint)
    except LabsError as error:
        raise LabsError(f"{run}: {error} Type another run directory, or train once more with rerun=true.") from error
    with nullcontext() if trust else bounded_memory(ALWAYS + 4 * checkpoint.stat().st_size):
        return _rebuilt(cfg, saved, run_dir, run, checkpoint, labels + notes, trust=trust)


def _rebuilt(
    cfg: DictConfig, saved: dict[str, Any], run_dir: Path, run: str, checkpoint: Path, labels: list[str], *, trust: bool
) -> TrainedNet:
    """Build the net that a recipe names, and give it the saved weights."""
    module = _module(cfg, run, trust=trust)
    try:
        module.load_state_dict(saved["state_dict"])
        data = saved[cfg.datamodule._target_.rpartition(".")[2]]
        mean, std = ([float(value) for value in data["normalization"][name]] for name in ("mean", "std"))
        classes = [_class_name(name) for name in data["classes"]]
        size, resize = int(data["image_size"]), int(data["resize"])
        if not 0 < size <= resize <= LARGEST:
            raise ValueError(f"it saw images of {size} pixels, cut from {resize}")  # noqa: TRY301
        facts = read_facts(run_dir)
        name = f"{facts.get('experiment', run_dir.name)}, seed {facts.get('seed', '?')}"
        normalizer = Normalizer(Normalization("run", tuple(mean), tuple(std)))
        net = fixed(_inner(module, torch.rand(2, 3, size, size)))
        trained = TrainedNet(name, net, classes, normalizer, size, resize, labels, run_dir.resolve())
        if (logits := trained.predict(torch.zeros(1, 3, size, size)).shape[1]) != len(classes):
            raise ValueError(f"it names {len(classes)} classes of {logits}")  # noqa: TRY301
    except Exception as error:
        raise LabsError(
            f"{run}: {checkpoint} does not fit the recipe beside it, it is of another net or practical "
            f"({one_line(error)}). {AS_IT_WAS}"
        ) from error
    return trained


def _class_name(name: Any) -> str:
    if not isinstance(name, (str, int)):  # a nested list could be written at any length
        raise TypeError(f"a class is named by a {type(name).__name__}")
    return printable(str(name)[:LONGEST])


def load_data(run_dir: Path, folder: str, *, trust: bool = False) -> pl.LightningDataModule:
    """Load the images that a run was trained and tested on, set up as they were then.

    Args:
        run_dir: as in `load_run`.
        folder: where datasets are on this machine.
        trust: as in `load_run`.

    Raises:
        LabsError: the directory is not that of a run, or its images are not there.
    """
    run = f"run={run_dir}"
    cfg = _recipe(run_dir / ".hydra" / "config.yaml", run, ("practical", "datamodule"), folder, trust=trust)
    try:
        if not trust:
            check_targets(OmegaConf.to_container(cfg.datamodule, resolve=True), "datamodule", run)
        data = instantiate(cfg.datamodule, _convert_="all")
    except LabsError:
        raise
    except Exception as error:
        if isinstance(error.__cause__, LabsError):
            raise error.__cause__ from None
        raise LabsError(
            f"{run}: its images cannot be read as .hydra/config.yaml says ({one_line(error.__cause__ or error)})."
        ) from error
    assert isinstance(data, pl.LightningDataModule)
    data.prepare_data()
    data.setup("test")
    return data


def _recipe(file: Path, run: str, sections: Sequence[str], data: str = "data", *, trust: bool) -> DictConfig:
    """Read the recipe that a run recorded, with places of here in it; older ones compute with our resolvers.

    Args:
        file: of the recipe.
        run: how the directory was typed.
        sections: that are going to be resolved.
        data: the folder of datasets.
        trust: whatever the recipe refers to is followed.
    """
    if not os.path.lexists(file):
        raise LabsError(
            f"{run}: .hydra/config.yaml is missing, so this is no trained run; "
            "type the run directory that train.py printed, such as run=outputs/<experiment>/<time>."
        )
    register_arithmetic()
    why = "it is no recipe"
    try:
        cfg = OmegaConf.create(without_aliases(read_recipe_text(file)))
        if isinstance(cfg, DictConfig) and "practical" in cfg:
            cfg.paths = {"run_dir": str(file.parents[1]), "data": data, "outputs": "outputs", "weights": None}
            if not trust:
                check_references(OmegaConf.to_container(cfg, resolve=False), *sections)
            if isinstance(cfg.practical, str):
                return cfg
    except (OSError, ValueError, RecursionError, YAMLError, OmegaConfBaseException) as error:
        why = one_line(error)
    raise LabsError(f"{run}: {file} cannot be read ({why}). {AS_IT_WAS}")


def _checkpoint(run_dir: Path, answers: str, run: str) -> tuple[Path, list[str]]:
    """Return the checkpoint that answers, and what has to be said of it."""
    folder = run_dir / "checkpoints"
    file, last = folder / f"{answers}.ckpt", folder / "last.ckpt"
    if os.path.lexists(file):  # whatever it is: no other checkpoint is taken in its place
        return file, []
    if read_facts(run_dir).get("status") != "finished":
        raise LabsError(
            f"{run}: checkpoints/{file.name} is missing, so this is no trained run yet; "
            f"go on with it: python train.py resume={run_dir}"
        )
    if last.is_file():  # what was tested where no epoch was chosen
        return last, ["last epoch"]
    kept = ", ".join(path.name for path in sorted(folder.glob("*.ckpt"))) or "none"
    raise LabsError(
        f"{run}: the run has finished, but its checkpoints/{file.name} is not there (there are: {kept}). "
        "Type another run directory, or train once more with rerun=true."
    )


def _module(cfg: DictConfig, run: str, *, trust: bool) -> pl.LightningModule:
    """Build the method with its net from a recipe, without the weights that it started from."""
    try:
        _start_from_nothing(cfg.module)
        if not trust:
            check_targets(OmegaConf.to_container(cfg.module, resolve=True), "module", run)
        module = instantiate(cfg.module, _convert_="all")
    except LabsError:
        raise
    except Exception as error:
        why = one_line(error.__cause__ or error)
        raise LabsError(f"{run}: no net can be built from .hydra/config.yaml ({why}). {AS_IT_WAS}") from error
    if not isinstance(module, pl.LightningModule):
        raise LabsError(f"{run}: .hydra/config.yaml builds a {type(module).__name__}, which is no net. {AS_IT_WAS}")
    return module


def _start_from_nothing(node: Any) -> None:
    """Take out of a recipe where weights come from: the checkpoint brings its own."""
    if OmegaConf.is_list(node):
        for item in node:
            _start_from_nothing(item)
    elif OmegaConf.is_dict(node):
        for name in node:
            if name in ("weights", "start"):
                node[name] = "random"
            elif name == "weights_folder":
                node[name] = None
            else:
                _start_from_nothing(node[name])


def _inner(module: pl.LightningModule, images: Tensor) -> nn.Module:
    """Return the net that a method has trained, if it gives what the method answers; else the method."""
    net = getattr(module, "net", None)
    if not isinstance(net, nn.Module):
        return module
    with evaluating(module), torch.no_grad():
        answer = net(images)
        return net if isinstance(answer, Tensor) and torch.equal(answer, module(images)) else module
