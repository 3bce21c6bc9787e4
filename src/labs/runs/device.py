"""Refuse a precision that the device cannot do, and set how matrix products are rounded."""

import torch

from labs import LabsError

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def prepare_device(accelerator: str, precision: str, matmul_precision: str) -> None:
    """Check `precision` on the device that will train, and apply `matmul_precision` to products and convolutions.

    Args:
        accelerator: as in `trainer.accelerator`: `auto`, `cpu`, `gpu`, ...
        precision: as in `trainer.precision`: `32-true`, `bf16-mixed`, `16-mixed`, ...
        matmul_precision: `highest` (fp32), `high` (TensorFloat-32) or `medium`.

    Raises:
        LabsError: the device has no such precision; the message names one that it has.
    """
    if matmul_precision not in ("highest", "high", "medium"):
        raise LabsError(f"matmul_precision={matmul_precision}: expected highest, high or medium.")
    if precision not in PRECISIONS:
        raise LabsError(f"trainer.precision={precision}: type precision=fp32, precision=bf16 or precision=fp16.")
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise LabsError(
            f"trainer.accelerator={accelerator}: this machine has no CUDA GPU that torch can use; type trainer=cpu."
        )
    on_gpu = torch.cuda.is_available() and accelerator in ("auto", "gpu", "cuda")
    if not on_gpu and precision == "16-mixed":
        raise LabsError("precision=fp16 needs a GPU; on a CPU type precision=bf16 or precision=fp32.")
    if not on_gpu and matmul_precision != "highest":
        raise LabsError(
            "precision=tf32 needs an NVIDIA GPU (Ampere or later); on a CPU type precision=fp32 or precision=bf16."
        )
    if on_gpu and matmul_precision != "highest" and torch.cuda.get_device_capability()[0] < 8:
        raise LabsError("precision=tf32 needs an NVIDIA GPU, Ampere or later; type precision=fp32 or precision=fp16.")
    if on_gpu and precision.startswith("bf16") and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise LabsError("precision=bf16 is not supported by this GPU; type precision=fp16 or precision=fp32.")
    torch.set_float32_matmul_precision(matmul_precision)
    torch.backends.cudnn.allow_tf32 = matmul_precision != "highest"
