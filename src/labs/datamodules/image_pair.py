"""Pairs of a content and a style picture, for neural style transfer; all pairs of a run are one batch."""

import hashlib
import itertools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from torch import Tensor
from torch.utils.data import DataLoader

from labs import LabsError
from labs.datamodules.embedded.photographs import PHOTOGRAPHS
from labs.datamodules.read_picture import cover, file_name, identity, read_picture, resize, to_tensor, unique_names

LONGEST = 4  # maximum aspect ratio


class Pairs(NamedTuple):
    """A batch of pictures; those of a pair have the same index."""

    contents: Tensor  # (pairs, 3, height, width), RGB in [0, 1], float32
    styles: Tensor  # the same shape


class ImagePair(pl.LightningDataModule):
    """Load content and style pictures of one size, every content with every style, as one batch per epoch.

    A content picture keeps its aspect ratio. A style picture is resized to cover the content and center-cropped to its
    size, because Gram losses compare pictures of equal size.

    Args:
        content: files, or names of embedded pictures (`labs.datamodules.embedded.photographs`).
        style: files or names, like `content`.
        image_size: shorter side of the content pictures, in pixels.
        embedded: whether to label the run as embedded data.
        crop: `square` center-crops content pictures to a square, `none` keeps all of them.
        pairs: list of [content, style], which replaces `content` and `style`.
    """

    def __init__(
        self,
        *,
        content: str | list[str],
        style: str | list[str],
        image_size: int,
        embedded: bool,
        crop: Literal["none", "square"] = "none",
        pairs: list[list[str]] | None = None,
    ) -> None:
        super().__init__()
        if not 16 <= image_size <= 4096:
            raise LabsError(f"datamodule.image_size={image_size}: expected 16 to 4096 pixels for the shorter side.")
        listed = _product(content, style) if pairs is None else _checked(pairs)
        self.contents, self.styles = [content for content, _ in listed], [style for _, style in listed]
        self.names = unique_names(listed)
        used = dict.fromkeys([*self.contents, *self.styles])
        self.credits = [PHOTOGRAPHS[source].credit_line for source in used if source in PHOTOGRAPHS]
        self.image_size, self.crop, self.embedded, self.pairs = image_size, crop, embedded, pairs
        self.height = self.width = 0  # in pixels; known after setup, like `pictures`
        self._notes: list[str] = []

    @property
    def labels(self) -> list[str]:
        """The labels that every number of a run on this data must show."""
        return ["embedded data"] if self.embedded else []

    def setup(self, stage: str) -> None:
        """Read each picture once and resize all of them to one size.

        Raises:
            LabsError: a picture cannot be read or is too narrow, or the content pictures differ in size.
        """
        if self.height:
            return
        contents = {source: self._content(source) for source in dict.fromkeys(self.contents)}
        self.height, self.width = self._one_size(contents)
        styles = {source: self._style(source) for source in dict.fromkeys(self.styles)}
        self.pictures = Pairs(
            torch.stack([contents[source] for source in self.contents]),
            torch.stack([styles[source] for source in self.styles]),
        )
        self._describe()

    def facts(self) -> dict[str, Any]:
        """Return the facts about the data for `metrics.json`; `size` is [height, width] in pixels."""
        data = {"labels": self.labels, "pictures": self.names, "credits": self.credits}
        return data | {"size": [self.height, self.width]}

    def train_dataloader(self) -> DataLoader[Pairs]:
        """Load all pairs as one batch, the same read-only tensors in each epoch."""
        return DataLoader([self.pictures], batch_size=None)  # type: ignore[arg-type]  # a list works as a dataset

    def test_dataloader(self) -> DataLoader[Pairs]:
        """Load all pairs as one batch."""
        return self.train_dataloader()

    def state_dict(self) -> dict[str, Any]:
        """Return which pictures a checkpoint was made from."""
        return {"names": self.names, "size": [self.height, self.width], "digest": self._digest()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Refuse to resume from a checkpoint with other pictures."""
        here = self.state_dict()
        if state_dict["digest"] != here["digest"]:
            then, now = (f"{', '.join(s['names'])} at {_by(s['size'])}, {s['digest']}" for s in (state_dict, here))
            raise LabsError(
                f"the checkpoint was made from other pictures ({then}; here {now}); "
                "start a new run instead of resuming this one."
            )

    def _content(self, source: str) -> Tensor:
        image, words = read_picture(source, key=self._key("content"))
        self._notes += [f"content {source}: converted ({', '.join(words)})"] if words else []
        if self.crop == "square":
            return to_tensor(cover(image, self.image_size, self.image_size))
        if max(image.size) > LONGEST * min(image.size):
            size = _by(image.size[::-1])
            raise LabsError(
                f"{self._key('content')}={source}: {size} pixels (height x width), so one side is more than {LONGEST} "
                "times as long as the other; type datamodule.crop=square to crop it."
            )
        return to_tensor(resize(image, self.image_size))

    def _one_size(self, contents: dict[str, Tensor]) -> tuple[int, int]:
        """Return the common height and width of all content pictures."""
        sizes = {_by(content.shape[1:]): source for source, content in contents.items()}
        if len(sizes) > 1:
            found = " and ".join(f"{size} ({source})" for size, source in sizes.items())
            separate = "each alone" if self.pairs else f"each alone with -m datamodule.content={','.join(contents)}"
            raise LabsError(
                "the pictures of a run are optimized together and need the same size, found (height x width) "
                f"{found}; type datamodule.crop=square, or run {separate}"
            )
        height, width = next(iter(contents.values())).shape[1:]
        return height, width

    def _style(self, source: str) -> Tensor:
        image, words = read_picture(source, key=self._key("style"))
        enlarged = max(self.width / image.width, self.height / image.height)
        left = self.width * self.height / (enlarged**2 * image.width * image.height)
        notes = [f"converted ({', '.join(words)})"] if words else []
        notes += [f"cropped to {int(100 * left)} % of its area to match the content's shape"] if left < 0.99 else []
        notes += [f"enlarged {enlarged:.1f} times, including its brush strokes"] if enlarged > 1.5 else []
        self._notes += [f"style {source}: {', and '.join(notes)}"] if notes else []
        return to_tensor(cover(image, self.height, self.width))

    def _key(self, role: str) -> str:
        return f"datamodule.{role if self.pairs is None else 'pairs'}"

    def _digest(self) -> str:
        hashed = hashlib.sha256(str(tuple(self.pictures.contents.shape)).encode())
        for tensor in self.pictures:
            hashed.update(tensor.numpy().tobytes())
        return hashed.hexdigest()[:12]

    @rank_zero_only
    def _describe(self) -> None:
        contents, styles = (", ".join(map(file_name, dict.fromkeys(s))) for s in (self.contents, self.styles))
        what = f"{contents} with {styles}" if self.pairs is None else ", ".join(self.names)
        count = f"{len(self.names)} pair{'s' * (len(self.names) > 1)}"
        labels = f" ({', '.join(self.labels)})" if self.labels else ""
        for line in (f"{what}: {count} at {_by([self.height, self.width])}{labels}", *self._notes):
            Console(emoji=False).print(line, markup=False, highlight=False, soft_wrap=True)


def _product(content: str | list[str], style: str | list[str]) -> list[tuple[str, str]]:
    """Pair every content with every style, content by content."""
    contents, styles = ([typed] if isinstance(typed, str) else typed for typed in (content, style))
    if not contents or not styles:
        key = "style" if contents else "content"
        raise LabsError(f"datamodule.{key}=[]: expected at least one picture, such as datamodule.{key}=[a.jpg,b.jpg].")
    return _once(list(itertools.product(contents, styles)))


def _checked(pairs: list[list[str]]) -> list[tuple[str, str]]:
    if not pairs or any(isinstance(pair, str) or len(pair) != 2 for pair in pairs):
        raise LabsError(
            f"datamodule.pairs={pairs}: expected pairs of content and style, such as "
            "datamodule.pairs=[[astronaut,hubble],[coffee,ihc]], or null for every content with every style."
        )
    return _once([(content, style) for content, style in pairs])


def _once(listed: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Raise an error if a pair is repeated."""
    same = [(identity(content), identity(style)) for content, style in listed]
    for pair, key in zip(listed, same):
        if same.count(key) > 1:
            raise LabsError(f"datamodule: the pair {', '.join(pair)} is repeated; type each picture once.")
    return listed


def _by(size: Sequence[int]) -> str:
    return "x".join(map(str, size))
