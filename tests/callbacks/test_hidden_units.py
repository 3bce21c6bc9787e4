from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from drawn_faces import PEOPLE, SIZE, faces, trained
from PIL import Image

from labs import LabsError
from labs.callbacks.hidden_units import HiddenUnits, telling_units
from labs.functional.roughness import roughness
from labs.modules.classifier import Classifier
from labs.nets.mlp import MLP
from labs.nets.torchvision_nets import build_net

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*in eval")


def test_l2_makes_the_weights_of_hidden_units_smooth(shared: Path) -> None:
    """The rough start decays where the pixels do not hold it, and what is left looks like a face."""
    data = faces(shared)
    data.setup("fit")
    images = torch.cat(list(data.every("train", torch.device("cpu"))))
    labels = torch.from_numpy(data.images["train"].labels[data.rows["train"]])
    rough = []
    for weight_decay in (0.0, 1e-3, 1e-2):
        torch.manual_seed(0)
        net = MLP(num_classes=PEOPLE, image_size=SIZE, hidden_units=30)
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, weight_decay=weight_decay)
        for _ in range(500):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(images), labels).backward()
            optimizer.step()
        assert (net(images).argmax(dim=1) == labels).all()
        rough.append(float(roughness(net.hidden.weight.detach().view(-1, 3, SIZE, SIZE)).mean()))
    assert rough[0] > rough[1] > rough[2], rough
    assert rough[2] < 0.75 * rough[0], rough


def test_it_draws_two_units_and_says_how_rough_all_are(shared: Path, tmp_path: Path) -> None:
    callback = HiddenUnits(classes=["Cleo Fernhollow", "Ada Quillmoor"])
    trained(shared, tmp_path, [callback])
    with Image.open(tmp_path / "images" / "hidden_units.png") as picture:
        assert picture.width > 500
    head, *rows = [line.split("\t") for line in (tmp_path / "hidden_units.tsv").read_text().splitlines()]
    assert head == ["unit", "roughness", "class", "contribution"]
    assert len(rows) == 20
    assert [row[2] for row in sorted(rows, key=lambda row: row[2]) if row[2]] == ["Ada Quillmoor", "Cleo Fernhollow"]


def test_the_unit_that_contributes_most_is_found_and_none_twice() -> None:
    hidden = torch.tensor([[1.0, 0.0, 5.0], [3.0, 0.0, 5.0], [0.0, 2.0, 5.0], [0.0, 4.0, 5.0]])
    labels = torch.tensor([0, 0, 1, 1])
    weights = torch.tensor([[2.0, -1.0, 9.0], [-2.0, 1.0, 9.0]])  # the third answers to everybody alike
    first, second = telling_units(hidden, labels, weights, [0, 1])
    assert first == (0, 0, 2.0 * (2.0 - 1.0))
    assert second == (1, 1, 1.0 * (3.0 - 1.5))
    assert [unit.number for unit in telling_units(hidden, labels, weights, [0, 0])] == [0, 1]


def test_what_it_cannot_draw_is_refused_before_anything_trains(shared: Path) -> None:
    data = faces(shared)
    data.setup("fit")
    trainer: Any = SimpleNamespace(datamodule=data)
    with pytest.raises(LabsError, match="expected the names of two classes"):
        HiddenUnits(classes=["Ada Quillmoor"])
    perceptron = Classifier(
        net=MLP(num_classes=PEOPLE, image_size=SIZE, hidden_units=4), num_classes=PEOPLE, optimizer=torch.optim.Adam
    )
    with pytest.raises(LabsError, match="there is no class Nobody; the classes are: Ada Quillmoor"):
        HiddenUnits(classes=["Ada Quillmoor", "Nobody"]).setup(trainer, perceptron, "fit")
    other = Classifier(
        net=build_net(name="resnet_small", num_classes=PEOPLE), num_classes=PEOPLE, optimizer=torch.optim.Adam
    )
    with pytest.raises(LabsError, match="SmallResNet has no hidden layer over the pixels"):
        HiddenUnits().setup(trainer, other, "fit")


def test_white_noise_is_as_rough_as_the_formula_says() -> None:
    """E|x - y| of two normal numbers is 2 / sqrt(pi), E|x| is sqrt(2 / pi): twice their ratio is 2 sqrt(2)."""
    noise = torch.randn(4, 3, 200, 200)
    assert roughness(noise).numpy() == pytest.approx(2 * np.sqrt(2), rel=0.01)
    torch.testing.assert_close(roughness(-7 * noise), roughness(noise))
    assert roughness(torch.zeros(1, 1, 4, 4)).item() == 0
