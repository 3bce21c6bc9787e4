import hashlib
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models

from labs import LabsError
from labs.nets import torchvision_nets
from labs.nets.small_resnet import SmallResNet
from labs.nets.torchvision_nets import build_net, head_name

FULL = [name for name, (_, imagenet) in torchvision_nets._NETS.items() if imagenet]


def _on_meta(name: str, **kwargs: Any) -> nn.Module:
    with torch.device("meta"):  # shapes without memory or arithmetic
        return build_net(name=name, **{"num_classes": 7, **kwargs})


def _small(**kwargs: Any) -> nn.Module:
    return build_net(name="resnet_small", **{"num_classes": 5, **kwargs})


def _lightning_checkpoint(net: nn.Module, path: Path) -> Path:
    state = {f"net.{name}": tensor for name, tensor in net.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": {**state, "test_acc.total": torch.zeros(1)}, "epoch": 3}, path)
    return path


def _same(left: nn.Module, right: nn.Module, *, head: bool) -> bool:
    other = right.state_dict()
    return all(torch.equal(t, other[n]) for n, t in left.state_dict().items() if n.startswith("fc.") == head)


@pytest.mark.parametrize("name", torchvision_nets._NETS)
def test_every_net_answers_with_the_classes_asked_for(name: str) -> None:
    net = _on_meta(name)
    assert net(torch.zeros(2, 3, 64, 64, device="meta")).shape == (2, 7)
    head = net.get_submodule(head_name(net))
    assert isinstance(head, nn.Linear | nn.Conv2d)
    assert head.weight.shape[0] == 7


@pytest.mark.parametrize("name", FULL)
def test_imagenet_weights_are_the_pinned_ones_of_the_same_net(name: str) -> None:
    build, weights = torchvision_nets._NETS[name]
    assert build is models.get_model_builder(name)
    assert weights is models.get_model_weights(name)["IMAGENET1K_V1"]


@pytest.mark.parametrize("name", ["alexnet", "vgg16", "vgg19", "squeezenet1_0", "squeezenet1_1"])
def test_the_smallest_image_is_the_true_minimum(name: str) -> None:
    smallest = models.get_model_weights(name)["IMAGENET1K_V1"].meta["min_size"][0]
    net = _on_meta(name, image_size=smallest)
    net(torch.zeros(2, 3, smallest, smallest, device="meta"))
    with pytest.raises(RuntimeError):
        net(torch.zeros(2, 3, smallest - 1, smallest - 1, device="meta"))
    with pytest.raises(LabsError, match=rf"{name} .*{smallest}x{smallest}.*datamodule\.image_size=64"):
        _on_meta(name, image_size=smallest - 1)


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(LabsError, match=r"did you mean resnet18\?.*vgg16.*other classifiers of torchvision"):
        build_net(name="resnet-18", num_classes=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, "at least 2 classes"),
        ({"weights": "embedded"}, r"works only with train\.py"),
        ({"weights": "imagenet"}, "no ImageNet weights"),
        ({"weights": "imagnet"}, r"did you mean imagenet\?"),
        ({"weights": "nowhere/run.ckpt"}, "no such file"),
    ],
)
def test_mistakes_are_explained(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LabsError, match=message):
        _small(**arguments)


def test_a_lightning_checkpoint_fills_the_backbone_and_leaves_a_new_head(tmp_path: Path) -> None:
    trained = _small()
    trained.get_buffer("bn1.running_mean").fill_(3.0)
    path = _lightning_checkpoint(trained, tmp_path / "a.ckpt")
    net = _small(weights=str(path))
    assert _same(trained, net, head=False)
    assert not _same(trained, net, head=True)
    assert _small(weights=str(path), num_classes=9).fc.out_features == 9  # type: ignore[union-attr]
    kept = _small(weights=str(path), keep_head=True)
    assert _same(trained, kept, head=False)
    assert _same(trained, kept, head=True)


def test_a_run_directory_means_its_best_checkpoint(tmp_path: Path) -> None:
    trained = _small()
    last = _lightning_checkpoint(_small(), tmp_path / "checkpoints" / "last.ckpt")
    with pytest.raises(LabsError, match=rf"best\.ckpt.*weights={last}"):
        _small(weights=str(tmp_path))
    _lightning_checkpoint(trained, tmp_path / "checkpoints" / "best.ckpt")
    assert _same(trained, _small(weights=str(tmp_path)), head=False)


def test_a_plain_state_dict_without_batch_counters_is_read(tmp_path: Path) -> None:
    trained = _small()
    state = {n: t for n, t in trained.state_dict().items() if not n.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    assert _same(trained, _small(weights=str(tmp_path / "old.pth")), head=False)


def test_weights_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    state = _small().state_dict()
    state["stem.weight"] = state.pop("conv1.weight")
    state["bn1.weight"] = torch.ones(3)
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(LabsError) as error:
        _small(weights=str(tmp_path / "other.pt"))
    for part in ("1 missing: conv1.weight", "1 unexpected: stem.weight", "expected 16, found 3", "net="):
        assert part in str(error.value)


def test_a_head_of_another_size_cannot_be_kept(tmp_path: Path) -> None:
    path = _lightning_checkpoint(_small(num_classes=4), tmp_path / "a.ckpt")
    with pytest.raises(LabsError, match=r"fc\.weight \(expected 5x64, found 4x64\)(.|\n)*keep_head"):
        _small(weights=str(path), keep_head=True)


class _Code:
    """Runs code when it is unpickled: it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.mkdir, (self.folder,))


def test_a_file_cannot_run_code(tmp_path: Path) -> None:
    torch.save({**_small().state_dict(), "extra": _Code(tmp_path / "made")}, tmp_path / "bad.ckpt")
    with pytest.raises(LabsError, match=r"bad\.ckpt cannot be read as a checkpoint"):
        _small(weights=str(tmp_path / "bad.ckpt"))
    assert not (tmp_path / "made").exists()


def test_files_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.ckpt"
    path.write_bytes(b"not a file of torch.save")
    with pytest.raises(LabsError, match="cannot be read as a checkpoint"):
        _small(weights=str(path))
    torch.save([torch.zeros(1)], path)
    with pytest.raises(LabsError, match="expected a dictionary of tensors, found a list"):
        _small(weights=str(path))


def test_imagenet_weights_are_taken_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tests/nets/test_weight_files.py` has where else they come from."""
    trained = _small(num_classes=10)
    torch.save(trained.state_dict(), tmp_path / "original")
    content = (tmp_path / "original").read_bytes()
    name = f"small-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    weights = SimpleNamespace(url=f"https://weights.invalid/{name}", meta={"min_size": (1, 1)})
    monkeypatch.setitem(torchvision_nets._NETS, "resnet_small", (SmallResNet, weights))
    (tmp_path / name).write_bytes(content)
    net = _small(weights="imagenet", weights_folder=str(tmp_path))
    assert _same(trained, net, head=False)
    (tmp_path / name).write_bytes(content[:-1] + b"!")
    with pytest.raises(LabsError, match=name):
        _small(weights="imagenet", weights_folder=str(tmp_path))


@pytest.mark.parametrize("name", ["mobilenet_v2", "densenet121", "convnext_tiny", "shufflenet_v2_x0_5"])
def test_other_classifiers_of_torchvision_have_a_head_for_our_classes(name: str) -> None:
    net = _on_meta(name)
    assert net(torch.zeros(2, 3, 64, 64, device="meta")).shape == (2, 7)
    assert net.get_submodule(head_name(net)).weight.shape[0] == 7


def test_files_of_torchvision_are_pinned_by_their_names() -> None:
    """Those that are left out answer twice while they train, or have no weights of this name."""
    for name in models.list_models(module=models):
        weights = models.get_model_weights(name).__members__.get("IMAGENET1K_V1")
        assert weights is None or re.search(r"-[0-9a-f]{8,}\.pth$", weights.url), name
        assert torchvision_nets.is_known(name) is (name not in ("googlenet", "inception_v3"))


def test_the_head_of_any_other_net_is_its_last_layer() -> None:
    assert head_name(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Linear(4, 4), nn.ReLU())) == "1"
    named = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    named.head_name = "0"  # type: ignore[assignment]
    assert head_name(named) == "0"
    with pytest.raises(LabsError, match="no linear layer"):
        head_name(nn.Sequential(nn.ReLU()))
