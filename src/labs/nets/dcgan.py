"""DCGAN and conditional DCGAN: a generator and a discriminator for images of 32 or 64 pixels.

Radford, Metz and Chintala, "Unsupervised representation learning with deep convolutional generative adversarial
networks", ICLR 2016, at the sizes of hand-out 002, parts 2-d and 2-e (32 pixels, batch norm after every convolution but
the last, no biases). Conditional: Mirza and Osindero, "Conditional generative adversarial nets", 2014. A separate
convolution embeds the label, as a one-hot vector, and the result is concatenated with the embedded latent or image.
"""

from pathlib import Path
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labs import LabsError
from labs.storage.checkpoint_files import read_checkpoint

# Multiples of ngf and ndf, from the smallest feature map (4x4 pixels) to the largest.
WIDTHS = {32: (4, 2, 1), 64: (8, 4, 2, 1)}


class Generator(nn.Module):
    """Map latents to images.

    Args:
        image_size: 32 or 64 pixels.
        channels: Channels of the images.
        nz: Size of the latent.
        ngf: Filters before the last convolution; each earlier stage has twice as many.
        num_classes: Number of labels of a conditional net. None: unconditional.
    """

    def __init__(self, *, image_size: int, channels: int, nz: int, ngf: int, num_classes: int | None) -> None:
        super().__init__()
        widths = [ngf * factor for factor in WIDTHS[image_size]]
        self.num_classes = num_classes
        self.embed_latent = _block(nn.ConvTranspose2d(nz, widths[0], 4, bias=False), nn.ReLU(True))
        if num_classes is not None:
            self.embed_label = _block(nn.ConvTranspose2d(num_classes, widths[0], 4, bias=False), nn.ReLU(True))
        before = [widths[0] * (1 if num_classes is None else 2), *widths[1:]]
        self.body = nn.Sequential(
            *(
                _block(nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False), nn.ReLU(True))
                for wide, narrow in zip(before, widths[1:])
            ),
            nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return images (batch, channels, size, size) in [-1, 1] from latents (batch, nz) and labels (batch,).

        An unconditional generator ignores the labels.
        """
        features = self.embed_latent(latents[:, :, None, None])
        if self.num_classes is not None:
            wanted = F.one_hot(labels, self.num_classes).to(features.dtype)[:, :, None, None]
            features = torch.cat([features, self.embed_label(wanted)], dim=1)
        return self.body(features)


class Discriminator(nn.Module):
    """Map images to the logit of being real.

    Args:
        image_size: 32 or 64 pixels.
        channels: Channels of the images.
        ndf: Filters of the first convolution; each later stage has twice as many.
        num_classes: Number of labels of a conditional net. None: unconditional.
    """

    def __init__(self, *, image_size: int, channels: int, ndf: int, num_classes: int | None) -> None:
        super().__init__()
        widths = [ndf * factor for factor in reversed(WIDTHS[image_size])]
        self.image_size, self.num_classes = image_size, num_classes
        self.embed_image = _block(nn.Conv2d(channels, widths[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True))
        if num_classes is not None:
            self.embed_label = _block(nn.Conv2d(num_classes, widths[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True))
        before = [widths[0] * (1 if num_classes is None else 2), *widths[1:]]
        self.body = nn.Sequential(
            *(
                _block(nn.Conv2d(narrow, wide, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True))
                for narrow, wide in zip(before, widths[1:])
            ),
            nn.Conv2d(widths[-1], 1, 4, bias=False),
        )

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return logits (batch,) for images (batch, channels, size, size) in [-1, 1] and labels (batch,).

        An unconditional discriminator ignores the labels.
        """
        features = self.embed_image(images)
        if self.num_classes is not None:
            claimed = F.one_hot(labels, self.num_classes).to(images.dtype)[:, :, None, None]
            planes = claimed.expand(-1, -1, self.image_size, self.image_size)
            features = torch.cat([features, self.embed_label(planes)], dim=1)
        return self.body(features).flatten()


class DCGAN(nn.Module):
    """A generator and its discriminator.

    Args:
        image_size: Height and width of the images: 32 or 64 pixels.
        channels: Channels of the images: 1 or 3.
        nz: Size of the latent.
        ngf: Filters of the generator's last stage.
        ndf: Filters of the discriminator's first stage.
        num_classes: Number of labels of a conditional net. None: unconditional.
        init: `dcgan`: convolution weights from N(0, 0.02), batch norm weights from N(1, 0.02) (the paper, section 3).
            `default`: PyTorch's initialization.
        weights: `random`, or the run directory or checkpoint file to start from.

    Raises:
        LabsError: If a size is out of range, or if the weights belong to another net.
    """

    def __init__(
        self,
        *,
        image_size: int,
        channels: int,
        nz: int = 100,
        ngf: int = 32,
        ndf: int = 32,
        num_classes: int | None = None,
        init: Literal["dcgan", "default"] = "dcgan",
        weights: str = "random",
    ) -> None:
        super().__init__()
        if image_size not in WIDTHS:
            raise LabsError(
                f"datamodule.image_size={image_size}: this net needs images of {' or '.join(map(str, WIDTHS))} pixels; "
                "type datamodule.image_size=32."
            )
        for name, value in {"channels": channels, "nz": nz, "ngf": ngf, "ndf": ndf, "num_classes": num_classes}.items():
            if value is not None and value < 1:
                raise LabsError(f"net.{name}={value}: expected 1 or more, such as {_USUAL[name]}.")
        sizes: dict[str, Any] = {"image_size": image_size, "channels": channels, "num_classes": num_classes}
        self.settings = {**sizes, "nz": nz, "ngf": ngf, "ndf": ndf}
        self.generator = Generator(nz=nz, ngf=ngf, **sizes)
        self.discriminator = Discriminator(ndf=ndf, **sizes)
        if init == "dcgan":
            self.apply(_dcgan_init)
        if weights != "random":
            self._load(Path(weights), weights)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Return the logits (batch,) of the images generated from latents (batch, nz)."""
        return self.discriminator(self.generator(latents, labels), labels)

    def views(self) -> dict[str, tuple[nn.Module, tuple[int, int, int]]]:
        """Return both nets as functions of one image, with its shape, for the summary and the architecture picture."""
        size, channels, nz = (self.settings[name] for name in ("image_size", "channels", "nz"))
        shapes = {"generator": (nz, 1, 1), "discriminator": (channels, size, size)}
        return {name: (_View(self.get_submodule(name), name), shape) for name, shape in shapes.items()}

    def check_same(self, settings: dict[str, Any], what: str) -> None:
        """Refuse weights of a net with other settings.

        Raises:
            LabsError: If settings differ. The message lists them.
        """
        other = {name: value for name, value in settings.items() if self.settings.get(name) != value}
        if other:
            here = {name: self.settings[name] for name in other}
            listed = ", ".join(f"{name} {_text(value)} (here {_text(here[name])})" for name, value in other.items())
            raise LabsError(f"{what} belongs to another net: {listed}; type the same settings, or start a new run.")

    def _load(self, path: Path, typed: str) -> None:
        file = path / "checkpoints" / "last.ckpt" if path.is_dir() else path
        if not file.is_file():
            raise LabsError(f"weights={typed}: no such file or run directory; type weights=random, or a run directory.")
        try:
            checkpoint = read_checkpoint(file)
        except LabsError as error:
            raise LabsError(f"weights={typed}: {error} Type weights=random, or a run directory.") from error
        parts = [part.get("net") for part in checkpoint.values() if isinstance(part, dict)]
        saved = [net for net in parts if isinstance(net, dict)]  # its settings
        tensors = checkpoint.get("state_dict")
        if not saved or not isinstance(tensors, dict):
            raise LabsError(
                f"weights={typed}: this is not a checkpoint of a generator and a discriminator. "
                "Type weights=random, or a run directory."
            )
        self.check_same(saved[0], f"weights={typed}")
        own = {n.removeprefix("net."): v for n, v in tensors.items() if str(n).startswith("net.")}
        try:
            self.load_state_dict(own)
        except RuntimeError as error:  # tensors are missing, or do not match the settings
            raise LabsError(f"weights={typed}: these are the weights of another net; type weights=random.") from error


class _View(nn.Module):
    """Call a net with one image, or with a latent as an image of one pixel; the label is always the first."""

    def __init__(self, net: nn.Module, name: str) -> None:
        super().__init__()
        self.add_module(name, net)
        self.name = name

    def forward(self, image: Tensor) -> Tensor:
        inputs = image[:, :, 0, 0] if self.name == "generator" else image
        label = image[:, 0, 0, 0].mul(0).long()
        return self.get_submodule(self.name)(inputs, label)


_USUAL = {"channels": 1, "nz": 100, "ngf": 32, "ndf": 32, "num_classes": 10}


def _text(value: Any) -> str:
    return "null" if value is None else str(value)


def _block(convolution: nn.Module, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(cast(int, convolution.out_channels)), activation)


def _dcgan_init(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
