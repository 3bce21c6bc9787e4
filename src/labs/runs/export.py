"""Write a trained net for other programs: ONNX, or PyTorch's own exported program.

What is written takes RGB in [0, 1], of any batch size, and gives logits and probabilities; the normalization is inside.
How an image is brought to that size, the names of the classes and the labels are in the metadata.
"""

import contextlib
import io
import json
import logging
import re
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from labs import LabsError
from labs.runs.directory import one_line
from labs.runs.trained_net import TrainedNet
from labs.storage.files import new_file, replacing

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
SUFFIXES = {"onnx": ".onnx", "torch_export": ".pt2"}
METADATA = "labs.json"  # the file inside a .pt2
NEAR = 1e-3  # by which probabilities may differ, of what other programs compute


class _WithPreprocessing(nn.Module):
    """A net behind its normalization, with the softmax."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: TrainedNet) -> None:
        super().__init__()
        self.net = net.net
        for name, values in zip(("mean", "std"), net.normalizer.statistics.cpu(), strict=True):
            self.register_buffer(name, values.clone())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits and probabilities (batch, classes) of images in [0, 1]."""
        logits = self.net((images - self.mean) / self.std).float()
        return logits, logits.softmax(dim=1)


def check_packages() -> None:
    """Refuse to begin without what ONNX needs.

    Raises:
        LabsError: says what to install.
    """
    if missing := [package for package in PACKAGES if find_spec(package) is None]:
        raise LabsError(f"export=onnx needs {', '.join(missing)}; type pip install {' '.join(missing)}.")


def export_net(net: TrainedNet, form: str, folder: Path) -> Path:
    """Write a net to a new file in a folder, compare its answers with the net's own, and return the file.

    Args:
        net: on the CPU.
        form: `onnx` or `torch_export`.
        folder: that is there.

    Raises:
        LabsError: a package is missing, or the net cannot be written in this form.
    """
    if form == "onnx":
        check_packages()
    whole = _WithPreprocessing(net).eval()
    images = torch.rand(2, 3, net.image_size, net.image_size, generator=torch.Generator().manual_seed(0))
    path = new_file(folder, re.sub(r"[^\w.-]+", "-", net.name), SUFFIXES[form])
    other = torch.cat([images, images.flip(0)[:1]])  # another size of batch
    with torch.no_grad():
        expected = whole(other)[1]
    with replacing(path) as staged:
        try:
            with _quiet():
                write = _write_onnx if form == "onnx" else _write_program
                found = write(whole, images, other, metadata(net), staged)
        except (OSError, LabsError):
            raise
        except Exception as error:
            raise LabsError(f"export={form}: {net.name} cannot be written so ({one_line(error)}).") from error
        difference = float((found - expected).abs().max())
        if not difference <= NEAR:
            raise LabsError(f"export={form}: what was written answers otherwise than the net, by {difference:.3g}.")
    return path


def metadata(net: TrainedNet) -> dict[str, str]:
    """Return what another program must know of a net, as texts; lists are JSON."""
    size = net.image_size
    if net.resize is None:
        steps = f"resize until the image covers {size} x {size} (Lanczos, aspect ratio kept), cut the center"
    else:
        steps = f"squeeze to {net.resize} x {net.resize} (bilinear), cut the central {size} x {size}"
    return {
        "name": net.name,
        "classes": json.dumps(net.classes, ensure_ascii=False),
        "labels": json.dumps(net.labels, ensure_ascii=False),
        "image_size": str(size),
        "input": f"images: float32 RGB in [0, 1], (batch, 3, {size}, {size}); they are normalized inside",
        "preprocessing": f"{steps}, divide by 255",
        "output": "logits and probabilities, (batch, classes)",
    }


def _write_onnx(whole: nn.Module, images: Tensor, other: Tensor, facts: dict[str, str], path: Path) -> Tensor:
    import onnx
    import onnxruntime

    program = torch.onnx.export(
        whole, (images,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False,
        input_names=["images"], output_names=["logits", "probabilities"],
    )  # fmt: skip
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, facts)
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(np.asarray(session.run(["probabilities"], {"images": other.numpy()})[0]))


def _write_program(whole: nn.Module, images: Tensor, other: Tensor, facts: dict[str, str], path: Path) -> Tensor:
    program = torch.export.export(whole, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, path, extra_files={METADATA: json.dumps(facts, ensure_ascii=False)})
    with torch.no_grad():
        probabilities: Tensor = torch.export.load(path).module()(other)[1]
    return probabilities


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporters print and warn of to themselves: a failure is an exception."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
