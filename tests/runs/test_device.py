from collections.abc import Iterator

import pytest
import torch

from labs import LabsError
from labs.runs.device import prepare_device


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def turing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU of the generation before Ampere: neither TensorFloat-32 nor bfloat16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)


@pytest.fixture
def ampere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)


@pytest.mark.usefixtures("cpu")
class TestCpu:
    @pytest.mark.parametrize("accelerator", ["auto", "cpu"])
    @pytest.mark.parametrize("precision", ["16-mixed"])
    def test_fp16_names_what_to_type(self, accelerator: str, precision: str) -> None:
        with pytest.raises(LabsError, match=r"precision=fp16 .* type precision=bf16 or precision=fp32"):
            prepare_device(accelerator, precision, "highest")

    @pytest.mark.parametrize("accelerator", ["auto", "cpu"])
    @pytest.mark.parametrize("matmul_precision", ["high", "medium"])
    def test_tf32_names_what_to_type(self, accelerator: str, matmul_precision: str) -> None:
        with pytest.raises(LabsError, match=r"precision=tf32 .* type precision=fp32 or precision=bf16"):
            prepare_device(accelerator, "32-true", matmul_precision)

    @pytest.mark.parametrize("accelerator", ["gpu", "cuda"])
    def test_a_missing_gpu_is_refused(self, accelerator: str) -> None:
        with pytest.raises(LabsError, match="type trainer=cpu"):
            prepare_device(accelerator, "32-true", "highest")

    @pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
    def test_what_a_cpu_can_do_is_accepted_and_applied(self, precision: str) -> None:
        torch.set_float32_matmul_precision("medium")
        torch.backends.cudnn.allow_tf32 = True
        prepare_device("cpu", precision, "highest")
        assert torch.get_float32_matmul_precision() == "highest"
        assert torch.backends.cudnn.allow_tf32 is False

    def test_a_refusal_changes_nothing(self) -> None:
        torch.set_float32_matmul_precision("medium")
        with pytest.raises(LabsError):
            prepare_device("cpu", "16-mixed", "highest")
        assert torch.get_float32_matmul_precision() == "medium"


def test_an_unknown_rounding_is_refused() -> None:
    with pytest.raises(LabsError, match="matmul_precision=tf32: expected highest, high or medium"):
        prepare_device("cpu", "32-true", "tf32")


@pytest.mark.usefixtures("turing")
class TestOlderGpu:
    def test_tf32(self) -> None:
        with pytest.raises(LabsError, match=r"Ampere .* type precision=fp32 or precision=fp16"):
            prepare_device("gpu", "32-true", "high")

    def test_bf16_is_not_emulated(self) -> None:
        with pytest.raises(LabsError, match="type precision=fp16 or precision=fp32"):
            prepare_device("auto", "bf16-mixed", "highest")

    def test_fp16_is_accepted(self) -> None:
        prepare_device("gpu", "16-mixed", "highest")

    def test_the_cpu_can_still_be_chosen(self) -> None:
        prepare_device("cpu", "bf16-mixed", "highest")
        with pytest.raises(LabsError, match="precision=fp16 needs a GPU"):
            prepare_device("cpu", "16-mixed", "highest")


@pytest.mark.usefixtures("ampere")
@pytest.mark.parametrize(("matmul_precision", "tf32"), [("highest", False), ("high", True), ("medium", True)])
def test_products_and_convolutions_are_rounded_alike(matmul_precision: str, tf32: bool) -> None:
    prepare_device("auto", "bf16-mixed", matmul_precision)
    assert torch.get_float32_matmul_precision() == matmul_precision
    assert torch.backends.cudnn.allow_tf32 is tf32
