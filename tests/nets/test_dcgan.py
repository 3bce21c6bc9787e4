"""Shapes, numbers of parameters counted by hand, initialisation, labels, and what the nets refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from labs import LabsError
from labs.functional.latents import seeded_latents
from labs.inspection.summary import summarize
from labs.nets.dcgan import DCGAN

LABELS = torch.tensor([0, 3, 9])


@pytest.mark.parametrize("image_size", [32, 64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("num_classes", [None, 10])
def test_shapes_and_range(image_size: int, channels: int, num_classes: int | None) -> None:
    net = DCGAN(image_size=image_size, channels=channels, nz=7, ngf=4, ndf=6, num_classes=num_classes)
    images = net.generator(torch.randn(3, 7), LABELS)
    assert images.shape == (3, channels, image_size, image_size)
    assert images.abs().max() <= 1
    assert net.discriminator(images, LABELS).shape == (3,)
    assert torch.equal(net.eval()(torch.zeros(3, 7), LABELS), net(torch.zeros(3, 7), LABELS))


def test_parameters_of_the_hand_out() -> None:
    """Kernels of 4x4: the notebook's 100-128-64-32-1 and 1-32-64-128-1, and two numbers a channel of batch norm."""
    net = DCGAN(image_size=32, channels=1)
    generator = 16 * (100 * 128 + 128 * 64 + 64 * 32 + 32 * 1) + 2 * (128 + 64 + 32)
    discriminator = 16 * (1 * 32 + 32 * 64 + 64 * 128 + 128 * 1) + 2 * (32 + 64 + 128)
    assert sum(p.numel() for p in net.generator.parameters()) == generator
    assert sum(p.numel() for p in net.discriminator.parameters()) == discriminator


def test_a_conditional_net_embeds_the_label_beside_the_rest() -> None:
    plain, conditional = (DCGAN(image_size=32, channels=1, num_classes=n) for n in (None, 10))
    more = {
        "generator": 16 * (10 * 128 + 128 * 64) + 2 * 128,  # the label's stage, and twice the input of the next one
        "discriminator": 16 * (10 * 32 + 32 * 64) + 2 * 32,
    }
    for name, count in more.items():
        sizes = [sum(p.numel() for p in getattr(net, name).parameters()) for net in (plain, conditional)]
        assert sizes[1] - sizes[0] == count


def test_64_pixels_take_one_stage_more() -> None:
    small, large = (DCGAN(image_size=size, channels=1) for size in (32, 64))
    for name in ("generator", "discriminator"):
        convolutions = [
            sum(isinstance(m, (nn.Conv2d, nn.ConvTranspose2d)) for m in getattr(net, name).modules())
            for net in (small, large)
        ]
        assert convolutions == [4, 5]


def test_labels_matter_in_both_nets() -> None:
    net = DCGAN(image_size=32, channels=1, nz=5, ngf=4, ndf=4, num_classes=10).eval()
    latent = torch.randn(1, 5).expand(3, -1)
    images = net.generator(latent, LABELS)
    assert not torch.allclose(images[0], images[1])
    same = images[:1].expand(3, -1, -1, -1)
    assert len(set(net.discriminator(same, LABELS).tolist())) == 3
    assert torch.allclose(net.generator(latent, LABELS.flip(0)), images.flip(0), atol=1e-6)


def test_an_unconditional_net_does_not_look_at_labels() -> None:
    net = DCGAN(image_size=32, channels=1, nz=5, ngf=4, ndf=4).eval()
    latents = torch.randn(3, 5)
    assert torch.equal(net(latents, LABELS), net(latents, LABELS.flip(0)))


def test_initialisation_of_the_paper() -> None:
    torch.manual_seed(0)
    net = DCGAN(image_size=64, channels=3)
    convolutions = [m for m in net.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for module in convolutions:
        assert module.weight.std().item() == pytest.approx(0.02, abs=0.002)
        assert module.bias is None
    weights = torch.cat([module.weight for module in norms])
    assert weights.mean().item() == pytest.approx(1, abs=0.005)
    assert weights.std().item() == pytest.approx(0.02, abs=0.003)
    assert all(module.bias.eq(0).all() for module in norms)


def test_default_initialisation_is_pytorchs() -> None:
    torch.manual_seed(0)
    net = DCGAN(image_size=32, channels=1, init="default")
    torch.manual_seed(0)
    first = nn.ConvTranspose2d(100, 128, 4, bias=False)
    assert torch.equal(net.generator.embed_latent[0].weight, first.weight)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"image_size": 28}, r"datamodule\.image_size=28: this net needs images of 32 or 64 pixels"),
        ({"nz": 0}, r"net\.nz=0: expected 1 or more, such as 100"),
        ({"ngf": 0}, r"net\.ngf=0"),
        ({"num_classes": 0}, r"net\.num_classes=0: expected 1 or more, such as 10"),
        ({"weights": "nowhere"}, r"weights=nowhere: no such file or run directory"),
    ],
)
def test_what_makes_no_sense_is_one_clear_line(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(LabsError, match=said) as refused:
        DCGAN(**{"image_size": 32, "channels": 1, **wrong})
    assert "\n" not in str(refused.value)


def test_weights_of_a_run(tmp_path: Path) -> None:
    small = {"image_size": 32, "channels": 1, "nz": 5, "ngf": 4, "ndf": 4}
    net = DCGAN(**small)  # type: ignore[arg-type]
    file = tmp_path / "checkpoints" / "last.ckpt"
    file.parent.mkdir()
    state = {f"net.{name}": value for name, value in net.state_dict().items()}
    torch.save({"state_dict": state, "gan": {"net": net.settings}}, file)
    again = DCGAN(**small, weights=str(tmp_path))  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))
    with pytest.raises(LabsError, match=r"belongs to another net: nz 5 \(here 100\), ngf 4 \(here 32\)"):
        DCGAN(image_size=32, channels=1, ndf=4, weights=str(tmp_path))
    torch.save({"state_dict": state}, file)
    with pytest.raises(LabsError, match="not a checkpoint of a generator"):
        DCGAN(**small, weights=str(file))  # type: ignore[arg-type]


@pytest.mark.parametrize("num_classes", [None, 10])
def test_both_nets_can_be_summarised(num_classes: int | None) -> None:
    net = DCGAN(image_size=32, channels=3, nz=5, ngf=4, ndf=4, num_classes=num_classes)
    for name, (view, shape) in net.views().items():
        summary = summarize(view, shape)
        assert summary.exact
        assert summary.total == sum(p.numel() for p in getattr(net, name).parameters())


def test_a_sample_depends_on_its_latent_alone_in_evaluation_mode() -> None:
    net = DCGAN(image_size=32, channels=1, nz=5, ngf=4, ndf=4).eval()
    latents = seeded_latents(6, 5, seed=0)
    zeros = torch.zeros(6, dtype=torch.long)
    alone = torch.cat([net.generator(latents[i : i + 1], zeros[:1]) for i in range(6)])
    assert torch.allclose(net.generator(latents, zeros), alone, atol=1e-6)
