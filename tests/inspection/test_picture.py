from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image
from torch import Tensor, nn
from torchvision import models

from labs.inspection.graph import trace_net
from labs.inspection.picture import draw_architecture
from labs.inspection.placement import place_boxes
from labs.nets.small_resnet import SmallResNet


class _Looping(nn.Module):
    """Cannot be traced: it branches on its data."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.act = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        maps = self.conv(images)
        return self.act(maps) if maps.sum() < 1e9 else maps


@pytest.fixture
def draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Figure]:
    """Draw without writing, and hand the figure over."""
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))

    def _draw(net: nn.Module, size: int = 64, title: str = "") -> Figure:
        draw_architecture(net, (3, size, size), tmp_path / "net.png", title=title)
        return figures[-1]

    return _draw


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def _hatched(figure: Figure) -> int:
    return sum(isinstance(p, Rectangle) and bool(p.get_hatch()) for p in figure.axes[0].patches)


def _meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return models.get_model(name)


def test_it_writes_a_png_and_no_global_figure(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "net.png"
    draw_architecture(SmallResNet(num_classes=4), (3, 16, 16), path, title="small")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert min(image.size) > 500
        assert len(image.convert("RGB").getcolors(1 << 24) or []) > 50
    assert plt.get_fignums() == []


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "vgg16"])
def test_every_layer_with_weights_is_named_or_folded_into_its_convolution(
    draw: Callable[..., Figure], name: str
) -> None:
    net = _meta(name)
    texts = _texts(draw(net, title="my net"))
    for layer, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert texts.count(layer) == 1, layer
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())
    assert texts.count("bn") == norms
    assert "my net" in texts


@pytest.mark.filterwarnings("ignore:The default weight initialization")
@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "densenet121", "inception_v3"])
def test_boxes_stand_apart_and_below_what_feeds_them(name: str) -> None:
    graph = trace_net(_meta(name), (3, 80, 80))
    boxes = place_boxes(graph, shape=0.2)
    assert sorted(i for box in boxes for i in box.ops) == list(range(len(graph.ops)))
    places = [(box.rank, box.lane) for box in boxes]
    assert len(set(places)) == len(places)
    for box in boxes:
        assert all(boxes[i].rank < box.rank and boxes[i].column <= box.column for i in box.inputs)


def test_drawn_boxes_do_not_overlap(draw: Callable[..., Figure]) -> None:
    figure = draw(_meta("squeezenet1_1"))
    frames = [p for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]
    corners = sorted({(p.get_x(), p.get_y()) for p in frames})
    width, height = frames[0].get_width(), frames[0].get_height()
    for i, (x, y) in enumerate(corners):
        for other_x, other_y in corners[i + 1 :]:
            assert abs(x - other_x) >= width or abs(y - other_y) >= height
    assert all(x + width <= figure.get_figwidth() and y + height <= figure.get_figheight() for x, y in corners)


def test_a_residual_block_is_folded_as_the_papers_draw_it() -> None:
    graph = trace_net(SmallResNet(num_classes=4), (3, 16, 16))
    runs = [[graph.ops[i].kind for i in box.ops] for box in place_boxes(graph, shape=0.2)]
    conv, norm, act = "convolution", "normalization", "activation"
    assert runs[:5] == [["input"], [conv, norm, act], [conv, norm, act], [conv, norm], ["join", act]]
    assert runs[-2:] == [["pooling", "reshape"], ["linear"]]


class _PreActivation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.act, self.second = nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(images)
        return maps + self.second(self.act(maps))


def test_what_only_one_branch_passes_through_is_not_folded() -> None:
    graph = trace_net(_PreActivation(), (3, 8, 8))
    runs = [[graph.ops[i].name for i in box.ops] for box in place_boxes(graph, shape=0.2)]
    assert runs == [["input"], ["first"], ["act"], ["second"], ["add"]]


def test_frozen_layers_are_hatched(draw: Callable[..., Figure]) -> None:
    net = SmallResNet(num_classes=4)
    assert _hatched(draw(net)) == 0
    net.layer1.requires_grad_(False)
    figure = draw(net)
    assert _hatched(figure) == 4 + 4 + 1  # convolutions, batch norms, the legend
    assert "frozen" in _texts(figure)


def test_a_net_that_cannot_be_traced_is_drawn_as_a_chain(draw: Callable[..., Figure]) -> None:
    texts = _texts(draw(_Looping()))
    assert "conv" in texts
    assert "relu" in texts
    assert any("cannot be traced" in text for text in texts)
