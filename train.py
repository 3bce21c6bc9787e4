"""Run a practical: compose the recipe, check it, seed, build, fit, test.

python train.py experiment=cub_layer1_frozen
python train.py --help
"""

from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig, OmegaConf

from labs.cli import command_line, past_hydra

if TYPE_CHECKING:
    from labs.runs.life import Run


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
@past_hydra
def main(cfg: DictConfig) -> None:
    """Train the composed recipe and say where the results are."""
    from hydra.core.hydra_config import HydraConfig

    from labs.cli.describe import run_of
    from labs.cli.report_back import say_results

    with run_of(cfg, HydraConfig.get()) as run:
        if run.is_needed:
            train(cfg, run)
    say_results(run, outputs=cfg.paths.outputs)


def train(cfg: DictConfig, run: "Run") -> dict[str, float]:
    """Train and test in the directory of a run; return the final metrics by name, such as `test/acc`."""
    from labs import LabsError
    from labs.cli.check import build, check_loggers, check_recipe
    from labs.cli.quiet import quiet

    quiet()
    check_recipe(cfg)  # before any data or device is touched
    check_loggers(cfg)

    import lightning.pytorch as pl
    from lightning.pytorch.utilities.model_helpers import is_overridden

    from labs.cache.limit import keep_within_limit
    from labs.callbacks.estimate import Estimate
    from labs.callbacks.learning_watch import LearningWatch
    from labs.callbacks.record import Record, weights_tested
    from labs.callbacks.resumption import Resumption
    from labs.callbacks.stop_signals import StopSignals
    from labs.callbacks.tensorboard import TensorBoardCards
    from labs.cli.embedded_weights import embedded_weights
    from labs.runs.checkpoints import WholeCheckpoints, last_checkpoint
    from labs.runs.device import prepare_device
    from labs.runs.requeue import cluster
    from labs.runs.threads import share_work

    quiet()  # again: Lightning sets its own levels when it is imported
    keep_within_limit(Path(cfg.paths.data))
    prepare_device(cfg.trainer.accelerator, cfg.trainer.precision, cfg.matmul_precision)
    if OmegaConf.select(cfg, "module.net.weights") == "embedded":
        cfg.module.net.weights = str(embedded_weights(cfg, run.recipe.facts["choices"]["net"], train))

    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    datamodule = build(cfg.datamodule, "datamodule")
    module = build(cfg.module, "module")
    share_work(module, datamodule)
    callbacks = [build(node, f"callbacks.{name}") for name, node in cfg.callbacks.items() if node]
    own = [StopSignals(), LearningWatch(), Record(run), Resumption(run.recipe.text), TensorBoardCards(run.recipe.facts)]
    callbacks = [*own, Estimate(), *filter(None, callbacks)]
    loggers = [build(node, f"logger.{name}") for name, node in cfg.logger.items() if node]
    plugins = [WholeCheckpoints(), *cluster(run.directory)]
    trainer = build(cfg.trainer, "trainer", callbacks=callbacks, logger=loggers, plugins=plugins)

    if is_overridden("training_step", module):  # some methods train nothing
        going_on = last_checkpoint(run.directory, asked=cfg.resume) if run.resumes else None
        trainer.fit(module, datamodule, ckpt_path=going_on, weights_only=True)
    elif cfg.validate_only:
        raise LabsError("validate_only=true: this practical trains nothing, so only its test gives numbers.")
    if not cfg.validate_only:
        trainer.test(module, datamodule, ckpt_path=weights_tested(trainer), verbose=False, weights_only=True)
    return dict(run.facts["metrics"])


if __name__ == "__main__":
    command_line(main)
