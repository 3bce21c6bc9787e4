"""Maps of validation images while a classifier learns: they show the net as it is, and change nothing of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from labs import LabsError
from labs.callbacks.execution import Execution
from labs.callbacks.explain import Explain
from labs.callbacks.feature_cache import FeatureCache
from labs.callbacks.freeze import Freeze
from labs.callbacks.reseed import Reseed
from labs.datamodules.digits import Digits
from labs.datamodules.image_classification import ImageClassification
from labs.inspection.maps import maps_of
from labs.modules.classifier import Classifier
from labs.nets.torchvision_nets import build_net


class Watch(pl.Callback):
    """Keep what an epoch has measured, and the state of the generator behind it."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.random: list[Tensor] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.rows.append({name: value.item() for name, value in trainer.callback_metrics.items()})
        self.random.append(torch.random.get_rng_state())


def run(folder: Path, explain: Explain | None, *, frozen: bool = False, net: nn.Module | None = None,
        **how: Any) -> tuple[Classifier, ImageClassification, Watch, FeatureCache]:  # fmt: skip
    torch.manual_seed(0)
    source = Digits(digits=[0, 1, 2], train_per_class=8, embedded=True, folder=str(folder))
    data = ImageClassification(
        source=source, num_classes=3, image_size=16, batch_size=8, embedded=True, normalization="half",
        augment={"flip": not frozen}, validation_fraction=0.5,
    )  # fmt: skip
    module = Classifier(
        net=net or build_net(name="resnet_small", num_classes=3), num_classes=3,
        optimizer=lambda groups: torch.optim.SGD(groups, lr=0.02),
    )  # fmt: skip
    watch, cache = Watch(), FeatureCache(mode="auto", folder=str(folder / "features"))
    callbacks = [Reseed(0), Freeze(patterns=["backbone"] if frozen else []), cache, Execution(), explain, watch]
    trainer = pl.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, callbacks=list(filter(None, callbacks)), **how,
    )  # fmt: skip
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)
    watch.rows.append({name: value.item() for name, value in trainer.callback_metrics.items()})
    return module, data, watch, cache


CASES: dict[str, dict[str, Any]] = {
    "everything trains": {},
    "stored features": {"frozen": True},
    "bfloat16": {"precision": "bf16-mixed"},
}


@pytest.mark.parametrize("case", CASES)
def test_it_shows_the_net_as_it_is_and_changes_no_number(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[Tensor, Tensor]] = []
    monkeypatch.setattr("labs.callbacks.explain.explained_sheet", lambda *given: drawn.append(given[:2]))
    alone, _, watched_alone, _ = run(tmp_path, None, **CASES[case])
    explain = Explain(every=2, images=4, method="smoothgrad" if case == "everything trains" else "saliency")
    module, _, watched, cache = run(tmp_path, explain, **CASES[case])
    assert (cache.cut is not None) is CASES[case].get("frozen", False)
    assert watched.rows == watched_alone.rows
    assert all(torch.equal(one, other) for one, other in zip(watched.random, watched_alone.random, strict=True))
    state = alone.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert len(drawn) == 3  # before training, after epoch 2 and after the last one
    images, maps = drawn[-1]
    assert images.shape == (4, 3, 16, 16)
    assert 0 <= images.min() <= images.max() <= 1
    normalized = (images - 0.5) / 1.0
    with torch.no_grad():
        answers = module.net.eval()(normalized).argmax(1)
    torch.testing.assert_close(maps, maps_of(module.net, normalized, answers, method=explain.method))


def test_sheets_are_drawn(tmp_path: Path) -> None:
    run(tmp_path, Explain(every=2, images=2))
    sheets = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert sheets == ["explained-000.png", "explained-002.png", "explained-003.png"]
    with Image.open(tmp_path / "images" / sheets[-1]) as sheet:
        assert sheet.width == 1408


def test_a_net_without_such_a_map_is_refused_before_it_trains(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(768, 3))
    with pytest.raises(LabsError, match="has no ReLU, which guided backpropagation needs"):
        run(tmp_path, Explain(method="guided_backprop"), net=net)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "salience"}, "callbacks.explain.method=salience: expected saliency, gradient, .* or grad_cam"),
        ({"every": 0}, "callbacks.explain.every=0: expected 1 or more"),
        ({"images": 0}, "callbacks.explain.images=0: expected 1 or more"),
    ],
)
def test_words_that_mean_nothing(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabsError, match=message):
        Explain(**options)
