import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from labs import LabsError
from labs.callbacks.execution import Execution
from labs.nets.small_resnet import SmallResNet

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec", "ignore:.*does not have many workers", "ignore:.*shuffle")


class Module(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = SmallResNet(num_classes=3, width=16, blocks=1)  # narrower: oneDNN corrupts memory (AMD, 1 thread)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return nn.functional.cross_entropy(self.net(batch), torch.arange(len(batch)) % 3)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder: Path, execution: Execution, epochs: int = 2) -> Module:
    module = Module()
    images = torch.rand(12, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, callbacks=[execution],
    )  # fmt: skip
    trainer.fit(module, DataLoader(images, batch_size=6))  # type: ignore[arg-type]
    return module


def test_channels_last_changes_numbers_by_rounding_alone(tmp_path: Path) -> None:
    plain, ours = fit(tmp_path, Execution(channels_last=False)), fit(tmp_path, Execution())
    kernel = ours.net.layer1[0].conv1.weight
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    assert plain.net.layer1[0].conv1.weight.is_contiguous()
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_compiled_net_trains_alike_and_tells_its_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, execution = fit(tmp_path, Execution(), epochs=3), Execution(compile=True)
    ours = fit(tmp_path, execution, epochs=3)
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-4)
    assert execution.facts["compile_seconds"] > 0
    assert capsys.readouterr().out.count("Compilation took") == 1
    assert ours.state_dict().keys() == plain.state_dict().keys()


def test_without_a_compiler_nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("CXX", "")
    with pytest.raises(LabsError, match=r"compile=true: no C\+\+ compiler was found"):
        fit(tmp_path, Execution(compile=True))


@pytest.mark.parametrize(("precision", "clip", "fused", "refused"), [
    ("16-mixed", 1.0, True, True), ("16-mixed", None, True, False), ("16-mixed", 1.0, False, False),
    ("bf16-mixed", 1.0, True, False),
])  # fmt: skip
def test_scaled_gradients_of_a_fused_optimizer_cannot_be_clipped(
    precision: str, clip: float | None, fused: bool, refused: bool
) -> None:
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], fused=fused)
    trainer: Any = SimpleNamespace(optimizers=[optimizer], precision=precision, gradient_clip_val=clip)
    if refused:
        with pytest.raises(LabsError, match=r"type optimizer\.fused=false"):
            Execution().on_fit_start(trainer, Module())
    else:
        Execution().on_fit_start(trainer, Module())
