"""`ClassVisualization` in Lightning's trainer, on a tiny net, beside the notebook's loop written out."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from class_pictures import ASCENT, SIZE, data, fit, module, tiny
from scipy.ndimage import gaussian_filter
from torch import Tensor
from trained_run import write_trained_run

from labs import LabsError
from labs.functional.ascent import jitter_of, seeded
from labs.modules.class_visualization import ClassVisualization
from labs.runs.trained_net import trained_net

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec"),  # of Lightning, about itself
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
]


def notebook(target: int, steps: int, lr: float, l2: float, form: str, most: int) -> Tensor:
    """Make one picture as the courses' notebooks do: the image itself is shifted and shifted back."""
    net = tiny()
    image = torch.randn(3, SIZE, SIZE, generator=seeded(0, target))[None]
    low, high = (net.normalizer(torch.full((1, 3, 1, 1), value)) for value in (0.0, 1.0))
    for step in range(steps):
        down, right = jitter_of(most, 0, step)
        image = image.roll((down, right), (2, 3)).requires_grad_()
        score = net.net(image)[0, target]
        score.backward()
        length = image.detach().norm()
        gradient = image.grad - l2 * (2 * image.detach() if form == "square" else image.detach() / length)
        image = (image.detach() + lr * gradient / gradient.norm()).roll((-down, -right), (2, 3))
        image = torch.maximum(torch.minimum(image, high), low)
        if step % 3 == 0:
            image = torch.from_numpy(gaussian_filter(image.numpy(), 0.5, axes=(2, 3)))
    return image[0]


@pytest.mark.parametrize(("form", "l2"), [("square", 1e-2), ("norm", 0.1), ("square", 0.0)])
def test_pictures_are_those_of_the_notebooks_loop(tmp_path: Path, form: Any, l2: float) -> None:
    one = fit(module(l2=l2, l2_form=form, jitter=4, blur_every=3, steps=7), tmp_path)
    expected = torch.stack([notebook(target, 7, 2.0, l2, form, 4) for target in (0, 1)])
    torch.testing.assert_close(one.canvas.detach(), expected, atol=1e-4, rtol=1e-4)


def test_every_step_has_the_length_that_was_typed(tmp_path: Path) -> None:
    class Watched(ClassVisualization):
        moved: list[Tensor] = []  # noqa: RUF012

        def climb(self, canvas: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            self.before = canvas.detach().clone()
            return super().climb(canvas, rows)

        def after_step(self, canvas: Tensor) -> None:
            self.moved.append((canvas - self.before).flatten(1).norm(dim=1))
            super().after_step(canvas)

    one = fit(module(Watched, optimizer=partial(torch.optim.SGD, lr=0.7)), tmp_path)
    torch.testing.assert_close(torch.cat(one.moved), torch.full((12,), 0.7))


def test_the_score_rises_and_pixels_stay_in_their_range(tmp_path: Path) -> None:
    one = module(steps=40, every=40, jitter=2)
    fit(one, tmp_path)
    start = torch.stack([torch.randn(3, SIZE, SIZE, generator=seeded(0, target)) for target in (0, 1)])
    scores = [one.looked_into.net(images).diagonal() for images in (start, one.canvas.detach())]
    assert (scores[1] > scores[0] + 1).all()
    assert one.results["prob"].min() > 0.9
    low, high = one.bounds
    assert ((one.canvas >= low - 1e-5) & (one.canvas <= high + 1e-5)).all()
    assert 0 <= one.pictures().min() <= one.pictures().max() <= 1


def test_a_run_that_goes_on_ends_as_one_that_was_not_stopped(tmp_path: Path) -> None:
    whole = fit(module(steps=5), tmp_path / "whole")
    fit(module(steps=5), tmp_path / "stopped", epochs=1)
    again = fit(module(steps=5), tmp_path / "on", resumed=tmp_path / "stopped" / "last.ckpt")
    assert again.evaluations == whole.evaluations == 5
    assert torch.equal(again.canvas, whole.canvas)
    assert torch.equal(again.results["judge_prob"], whole.results["judge_prob"])


def test_checkpoints_hold_pictures_only(tmp_path: Path) -> None:
    fit(module(), tmp_path)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert set(saved["state_dict"]) == {"canvas"}


def test_no_step_is_left_for_a_run_of_fewer(tmp_path: Path) -> None:
    fit(module(), tmp_path)
    with pytest.raises(LabsError, match="steps=2: the run has already taken 6 steps; type steps=6 or more"):
        fit(module(steps=2), tmp_path / "on", resumed=tmp_path / "last.ckpt")


def test_a_picture_does_not_depend_on_the_other_classes(tmp_path: Path) -> None:
    alone = fit(module(classes="dog"), tmp_path)
    beside = fit(module(at_once=1), tmp_path)
    torch.testing.assert_close(alone.canvas[0], beside.canvas[1])


def test_dropout_stays_off_and_the_net_as_it_was(tmp_path: Path) -> None:
    one = module()
    before = {name: values.clone() for name, values in one.looked_into.net.state_dict().items()}
    fit(one, tmp_path)
    assert not any(part.training for part in one.looked_into.net.modules())
    assert all(torch.equal(values, before[name]) for name, values in one.looked_into.net.state_dict().items())
    assert all(values.grad is None for values in one.looked_into.net.parameters())


def test_every_image_becomes_every_class(tmp_path: Path) -> None:
    one = fit(module(optimizer=partial(torch.optim.SGD, lr=1e-6), blur_every=0), tmp_path, images=["gravel", "chelsea"])
    assert one.names == ["gravel_cat", "gravel_dog", "chelsea_cat", "chelsea_dog"]
    assert one.titles[3] == "chelsea → dog"
    torch.testing.assert_close(one.pictures(), one.starts, atol=1e-4, rtol=0)


def test_numbers_are_of_the_pictures_as_they_are_saved(tmp_path: Path) -> None:
    one = fit(module(), tmp_path)
    saved = one.pictures().mul(255).round().byte().float() / 255
    for net, name in ((one.looked_into, "prob"), (one.judge, "judge_prob")):
        torch.testing.assert_close(one.results[name], net(saved).softmax(1).diagonal())
    assert one.captions[0].startswith("tiny: ")
    assert "\nother: " in one.captions[0]
    assert (one.results["rank"] == 1).all() == all("(sees" not in words.split("\nother")[0] for words in one.captions)


def test_a_judge_of_other_classes_is_left_out_and_one_of_another_size_sees_pictures_of_its_own(tmp_path: Path) -> None:
    assert module(judge=tiny("other", 1, ("bird", "cat"))).judge is None
    large = tiny("large", 2, ("old dog", "dog", "cat"))
    large.image_size = 24
    one = fit(module(judge=large), tmp_path)
    shown = torch.nn.functional.interpolate(
        one.pictures().mul(255).round() / 255, [24, 24], mode="bilinear", antialias=True
    )
    probs = large(shown).softmax(1)
    torch.testing.assert_close(one.results["judge_prob"], torch.stack([probs[0, 2], probs[1, 1]]))


def test_the_net_of_a_run_is_asked_for_its_own_classes(tmp_path: Path) -> None:
    net = trained_net(weights=str(write_trained_run(tmp_path / "trained")))
    one = fit(module(net=net, classes=[2, 3]), tmp_path / "run")
    assert one.judge is None  # it knows cats and dogs
    assert set(one.results) == {"prob", "rank"}
    assert one.pictures().shape == (2, 3, 16, 16)
    assert "embedded data" in one.labels


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": []}, r"module.classes=\[\]: expected a class"),
        ({"classes": "cow"}, "module.classes=cow: the net has no such class"),
        ({"classes": [3]}, "module.classes=3: expected 0 to 2"),
        ({"steps": 0}, "steps=0: expected 1 to"),
        ({"every": 0}, "every=0: expected 1"),
        ({"optimizer": partial(torch.optim.SGD, lr=0.0)}, "optimizer.lr=0.0: expected a number above 0"),
        ({"optimizer": partial(torch.optim.SGD, lr=-1.0)}, "optimizer: Invalid learning rate: -1.0"),
        ({"l2": -0.1}, "module.l2=-0.1: expected 0 or more"),
        ({"jitter": SIZE}, "module.jitter=16: expected 0 to 15"),
        ({"blur_every": -1}, "module.blur_every=-1"),
        ({"blur_sigma": 99.0}, "module.blur_sigma=99.0"),
        ({"at_once": 0}, "module.at_once=0: expected 1"),
        ({"devices": 2}, "trainer.devices=2: this method runs on one device"),
        ({"judge": tiny()}, "module.judge.name=tiny: the judge is the net itself"),
    ],
)
def test_mistakes_are_answered_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(LabsError, match=message) as caught:
        module(**options)
    assert "\n" not in str(caught.value)


def test_more_epochs_than_steps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabsError, match="type steps= and every="):
        fit(module(optimizer=ASCENT), tmp_path, epochs=9)


def test_a_run_that_was_cut_says_so(tmp_path: Path) -> None:
    class Look(pl.Callback):
        def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            found.extend(pl_module.labels)  # type: ignore[arg-type]

    found: list[str] = []
    one = module()
    trainer = pl.Trainer(max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
                         enable_model_summary=False, default_root_dir=tmp_path, callbacks=[Look()])  # fmt: skip
    trainer.fit(one, data())
    trainer.test(one, data(), verbose=False)
    assert found == ["random weights", "stopped early"]
