"""Adversarial networks in the report: which published observations hold in these runs, in numbers."""

from collections.abc import Callable, Sequence

import pandas as pd

from labs.practicals.gan.run_sheet import read_losses
from labs.reporting.claims import Claim, higher, judge, lower, metric
from labs.reporting.recorded_run import Run
from labs.reporting.row import Row

LITTLE = 0.1  # of the other's FID
FITTING = 0.9  # of a conditional net's samples


def observations(rows: Sequence[Row]) -> list[str]:
    """Say of each observation of hand-out 002 (2-de, questions 5 and 6) whether it holds in these runs."""
    sentences = [sentence for claim in _CLAIMS if (sentence := judge(rows, claim)) is not None]
    rule = (
        "An observation of hand-out 002 holds if every seed agrees and the means differ by more than the larger "
        f"standard deviation over seeds; little is less than {LITTLE:g} of the other FID. Losses are those of the last "
        "tenth of the iterations. Parentheses after a mean give the seeds' lowest and highest value."
    )
    return [rule, *sentences] if sentences else []


def _last_tenth(column: str, summary: Callable[[pd.Series], float]) -> Callable[[Run], float | None]:
    def read(run: Run) -> float | None:
        losses = read_losses(run.directory)
        return None if losses is None else float(summary(losses[column].tail(max(1, len(losses) // 10))))

    return read


def _alike(ours: float, theirs: float) -> float:
    return LITTLE * theirs - abs(ours - theirs)


_BASE = "dcgan_mnist"
_FID = metric("test/fid")
_GENERATOR = _last_tenth("generator", lambda losses: losses.mean(skipna=False))
_SWING = _last_tenth("generator", lambda losses: losses.std(skipna=False))
_SIZES = "; the judge sees both at 32 pixels"

_CLAIMS = (
    Claim("More generator filters lower the FID", "dcgan_ngf128", _BASE, "FID", _FID, lower),
    Claim(
        "More generator filters lower the generator's loss", "dcgan_ngf128", _BASE, "its loss", _GENERATOR, lower
    ),
    Claim(
        "More discriminator filters keep the generator's loss high",
        "dcgan_ndf128", _BASE, "its loss", _GENERATOR, higher,
    ),
    Claim("PyTorch's initialization changes the FID little", "dcgan_default_init", _BASE, "FID", _FID, _alike),
    Claim("The true loss has a worse FID", "dcgan_true_loss", _BASE, "FID", _FID, higher),
    Claim("A learning rate ten times as high has a worse FID", "dcgan_lr_x10", _BASE, "FID", _FID, higher),
    Claim(
        "A learning rate ten times as high is less stable at the end",
        "dcgan_lr_x10", _BASE, "standard deviation of the generator's loss", _SWING, higher,
    ),
    Claim("A learning rate ten times as low has a worse FID", "dcgan_lr_div10", _BASE, "FID", _FID, higher),
    Claim(
        "30 epochs improve the FID of 5 little",
        "dcgan_long", _BASE, "FID", _FID, lambda ours, theirs: ours - (1 - LITTLE) * theirs,
    ),
    Claim("10 latent dimensions change the FID little", "dcgan_nz10", _BASE, "FID", _FID, _alike),
    Claim("1000 latent dimensions change the FID little", "dcgan_nz1000", _BASE, "FID", _FID, _alike),
    Claim("10 latent dimensions lose classes", "dcgan_nz10", _BASE, "classes", metric("test/coverage"), lower),
    Claim("64 x 64 pixels are worse than 32 x 32", "dcgan_mnist64", _BASE, "FID", _FID, higher, _SIZES),
    Claim("The conditional net has a better FID", "cdcgan_mnist", _BASE, "FID", _FID, lower),
    Claim(
        f"The conditional net draws the digit that it is asked for (more than {FITTING:g} of them)",
        "cdcgan_mnist", "cdcgan_mnist", "label agreement", metric("test/label_agreement"),
        lambda ours, _: ours - FITTING,
    ),
)  # fmt: skip
