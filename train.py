"""Run a practical: compose the recipe, check it, seed, build, fit, test.

python train.py experiment=cub_layer1_frozen trainer.devices=1
python train.py --help
"""

from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from labs.cli import command_line


@hydra.main(version_base="1.3", config_path="conf", config_name="train")
def main(cfg: DictConfig) -> None:
    """Train the composed recipe and say where the results are."""
    from hydra.core.hydra_config import HydraConfig

    from labs.cli.again import alone_in, go_on_here
    from labs.cli.describe import describe
    from labs.cli.report_back import leave_no_trace, say_results

    job = HydraConfig.get()
    overrides: Any = OmegaConf.to_container(job.overrides.task, resolve=False)
    with alone_in(Path(cfg.paths.run_dir)), leave_no_trace(cfg):
        recipe = describe(cfg, dict(job.runtime.choices), overrides)
        needed = go_on_here(cfg, recipe["key"])
        if needed:
            train(cfg, recipe)
    say_results(cfg, recipe, before=not needed)


def train(cfg: DictConfig, recipe: dict[str, Any]) -> dict[str, float]:
    """Train and test one recipe in `cfg.paths.run_dir`; return the final metrics by name, such as `test/acc`."""
    from labs.cli.check import build, check_recipe
    from labs.cli.quiet import quiet

    quiet()
    check_recipe(cfg)  # before any data or device is touched

    import lightning.pytorch as pl

    from labs.callbacks.record import Record, tested
    from labs.callbacks.tensorboard import TensorBoardCards
    from labs.cli.embedded_weights import embedded_weights
    from labs.runs.device import prepare_device

    quiet()  # again: Lightning sets its own levels when it is imported
    prepare_device(cfg.trainer.accelerator, cfg.trainer.precision, cfg.matmul_precision)
    if cfg.module.net.weights == "embedded":
        cfg.module.net.weights = str(embedded_weights(cfg, recipe["choices"]["net"], train))

    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    run_dir = Path(cfg.paths.run_dir)
    datamodule = build(cfg.datamodule, "datamodule")
    module = build(cfg.module, "module")
    record = Record(run_dir, recipe, resumes=cfg.resume)
    callbacks = [build(node, f"callbacks.{name}") for name, node in cfg.callbacks.items() if node]
    loggers = [build(node, f"logger.{name}") for name, node in cfg.logger.items() if node]
    trainer = build(cfg.trainer, "trainer", callbacks=[record, TensorBoardCards(recipe), *callbacks], logger=loggers)

    last = run_dir / "checkpoints" / "last.ckpt"
    with record:
        trainer.fit(module, datamodule, ckpt_path=last if cfg.resume and last.is_file() else None)
        chosen = tested(trainer)
        trainer.test(module, datamodule, ckpt_path=chosen.best_model_path or None if chosen else None, verbose=False)
    return dict(record.facts["metrics"])


if __name__ == "__main__":
    command_line(main)
