"""Figures of two domains: a map of their features before and after training, and the images themselves."""

import textwrap
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import lightning.pytorch as pl
import matplotlib
import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from torch import Tensor

from labs import LabsError
from labs.callbacks.notes import of_the_run
from labs.callbacks.tensorboard import show_figures
from labs.datamodules.domain_splits import Domain
from labs.datamodules.protocols import AdaptsDomains, TwoDomains, handed_over
from labs.drawing.figures import Figure
from labs.functional.tiles import tiled
from labs.nets.eval_mode import evaluating

AT_ONCE = 500  # images that go through the net together
PERPLEXITY = 30.0  # of t-SNE, if there are enough images
DOMAIN_LOOKS: dict[Domain, tuple[str, str]] = {"source": ("#0072B2", "o"), "target": ("#D55E00", "^")}
# Paul Tol's muted colors and black, which people with color blindness can distinguish
CLASS_COLORS = (
    "#CC6677", "#332288", "#DDCC77", "#117733", "#88CCEE", "#882255", "#44AA99", "#999933", "#AA4499", "#000000",
)  # fmt: skip
TURNS = 8
SHOWN, COLUMNS = 24, 8  # images of a domain and a split in `domains.png`


class Features(NamedTuple):
    """Features of test images of both domains, on the CPU."""

    features: Tensor  # (count, features)
    labels: Tensor  # (count,)
    is_target: Tensor  # (count,) bool


class DomainFeatures(pl.Callback):
    """Draw `images/features.png` and `images/domains.png`, and show both in TensorBoard.

    The first is a map of the features of test images of both domains, before and after training. Where adaptation
    works, the domains overlap and the classes are separate. Checkpoints contain the features from before training, so
    that a resumed run shows them, too.

    Args:
        method: `pca`, the plane of largest variance; `tsne`, which preserves neighborhoods but not distances.
        images: Number of test images per domain, evenly spaced.
        seed: Seed of t-SNE.
    """

    def __init__(self, *, method: Literal["pca", "tsne"] = "pca", images: int = 300, seed: int = 0) -> None:
        if method not in ("pca", "tsne"):
            raise LabsError(f"callbacks.features.method={method}: expected pca or tsne.")
        if images < 2:
            raise LabsError(f"callbacks.features.images={images}: expected 2 or more.")
        self.method, self.images, self.seed = method, images, seed
        self.before: Features | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse data without two domains."""
        handed_over(trainer, TwoDomains, to=self)

    @rank_zero_only
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute the features of the untrained net; a resumed run has them already."""
        if self.before is None and trainer.ckpt_path is None:
            self.before = take_features(pl_module, handed_over(trainer, TwoDomains, to=self), self.images)

    @rank_zero_only
    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw both figures with the tested weights."""
        data = handed_over(trainer, TwoDomains, to=self)
        clouds = {"before training": self.before, "after training": take_features(pl_module, data, self.images)}
        labels = of_the_run(trainer, data.labels)
        figures = {"features": self._maps(clouds, data, labels), "domains": domains_figure(data, pl_module.device)}
        show_figures(trainer, figures)

    def state_dict(self) -> dict[str, Any]:
        """Save the features before training."""
        return {} if self.before is None else self.before._asdict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the features from before training."""
        self.before = Features(**state_dict) if state_dict else None

    def _maps(self, clouds: dict[str, Features | None], data: TwoDomains, labels: Sequence[str]) -> Figure:
        known = {name: cloud for name, cloud in clouds.items() if cloud is not None}
        figure = Figure(figsize=(10.4, 4.3 * len(known) + 1.5), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
        each = int((~next(reversed(known.values())).is_target).sum())
        figure.suptitle(_title(f"Features of {each} test images of each domain", labels), fontsize=12)
        colors = class_colors(len(data.classes))
        for line, (name, cloud) in zip(figure.subplots(len(known), 2, squeeze=False), known.items(), strict=True):
            points, caption = project(cloud.features.numpy(), self.method, self.seed)
            by_domain = [DOMAIN_LOOKS["target" if target else "source"][0] for target in cloud.is_target]
            by_class = [colors[label] for label in cloud.labels]
            for axes, words, looks in zip(line, ("by domain", "by class"), (by_domain, by_class), strict=True):
                axes.set_title(f"{name}, {words}", fontsize=11)
                axes.set_xlabel(caption, fontsize=9)
                axes.set(xticks=[], yticks=[])
                _scatter(axes, points, cloud.is_target.numpy(), looks)
        names = {domain: f"{domain}: {data.sources[domain].name}" for domain in DOMAIN_LOOKS}
        domains = [_mark(color, marker, names[domain]) for domain, (color, marker) in DOMAIN_LOOKS.items()]
        figure.legend(handles=domains, loc="outside lower left", fontsize=9, frameon=False)
        if len(data.classes) <= len(CLASS_COLORS):
            classes = [_mark(color, "s", word) for color, word in zip(colors, data.classes, strict=True)]
            figure.legend(
                handles=classes, loc="outside lower right", ncols=5, fontsize=9, frameon=False, columnspacing=1.2,
                title="class (the marker shows the domain)", title_fontsize=9,
            )  # fmt: skip
        return figure


@torch.no_grad()
def take_features(module: pl.LightningModule, data: TwoDomains, images: int) -> Features:
    """Return the features of evenly spaced test images of both domains, computed in eval mode."""
    assert isinstance(module, AdaptsDomains)
    found = []
    with evaluating(module):
        for domain in DOMAIN_LOOKS:
            for positions in evenly(data.count("test", domain), images).to(module.device).split(AT_ONCE):
                batch = data.batch("test", domain, positions)
                features = module.features_and_logits(batch.images, domain)[0].float().cpu()
                found.append(Features(features, batch.labels.cpu(), torch.full((len(features),), domain == "target")))
    return Features(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def evenly(count: int, wanted: int) -> Tensor:
    """Return `wanted` evenly spaced positions below `count`, or all if there are fewer.

    Examples:
        >>> evenly(9, 3), evenly(2, 3)
        (tensor([0, 4, 8]), tensor([0, 1]))
    """
    return torch.from_numpy(np.linspace(0, count - 1, min(wanted, count)).astype(int))


def project(features: np.ndarray, method: str, seed: int) -> tuple[np.ndarray, str]:
    """Return a 2-D map (count, 2) of features (count, features), and a caption.

    Features that are not finite, after diverged training, give no points.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if not np.isfinite(features).all():
        return np.full((len(features), 2), np.nan), "not drawn: the features are not finite"
    if method == "tsne":
        perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
        points = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(features)
        return points, f"t-SNE, perplexity {perplexity:.3g}"
    if not np.ptp(features, axis=0).any():
        return np.zeros((len(features), 2)), "PCA: all features are the same"
    pca = PCA(n_components=2, svd_solver="full")
    points = pca.fit_transform(features)
    first, second = pca.explained_variance_ratio_
    return points, f"PCA: {100 * first:.0f} % and {100 * second:.0f} % of the variance"


def domains_figure(data: TwoDomains, device: torch.device) -> Figure:
    """Draw training and test images of both domains side by side, with the credits of photographs below."""
    figure = Figure(figsize=(10.4, 5.6), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06))
    figure.suptitle(_title("Two domains", data.labels), fontsize=12)
    panels = figure.subplots(2, 2)
    for line, (split, word) in zip(panels, {"train": "training", "test": "test"}.items(), strict=True):
        for axes, domain in zip(line, DOMAIN_LOOKS, strict=True):
            axes.imshow(_tiles(data, split, domain, device), interpolation="nearest")
            axes.set_axis_off()
            axes.set_title(f"{domain}, {word}: {data.sources[domain].name}", fontsize=10)
    if whose := data.facts()["credits"]:
        figure.supxlabel(textwrap.fill(f"Photographs: {' · '.join(whose)}.", 160), fontsize=7)
    return figure


def class_colors(classes: int) -> Sequence[Any]:
    """Return one color per class: from a palette of ten, or from a rainbow for more classes."""
    if classes <= len(CLASS_COLORS):
        return CLASS_COLORS[:classes]
    return [matplotlib.colormaps["turbo"](place / (classes - 1)) for place in range(classes)]


def _tiles(data: TwoDomains, split: str, domain: Domain, device: torch.device) -> np.ndarray:
    """Return images of a split of a domain as one picture (height, width, 3), normalization undone."""
    positions = evenly(data.count(split, domain), SHOWN).to(device)
    hidden = (split, domain) == ("train", data.unlabeled)
    images = (data.unlabeled_images(positions) if hidden else data.batch(split, domain, positions)).images.cpu()
    assert data.normalization is not None
    mean, std = (torch.tensor(numbers)[:, None, None] for numbers in data.normalization[1:])
    return tiled((images * std + mean).clamp(0, 1), COLUMNS)


def _title(words: str, labels: Sequence[str]) -> str:
    return "\n".join(filter(None, (words, " · ".join(labels))))


def _scatter(axes: Axes, points: np.ndarray, is_target: np.ndarray, looks: Sequence[Any]) -> None:
    """Draw source and target points in turns, so that neither hides the other."""
    colors = np.array([to_rgba(look) for look in looks])
    for rows in np.array_split(np.random.default_rng(0).permutation(len(points)), TURNS):
        for domain, (_, marker) in DOMAIN_LOOKS.items():
            chosen = rows[is_target[rows] == (domain == "target")]
            x, y = points[chosen].T
            axes.scatter(x, y, s=20, c=colors[chosen], marker=marker, linewidths=0, alpha=0.75)


def _mark(color: Any, marker: str, label: str) -> Line2D:
    return Line2D([], [], linestyle="", color=color, marker=marker, markersize=6, label=label)
