import colorsys
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torchmetrics.functional.image import total_variation as torchmetrics_total_variation

from labs import LabsError
from labs.functional.style import (
    CONVENTIONS,
    content_loss,
    gram,
    keep_luminance_of,
    luminance,
    match_colors,
    pass_style_loss,
    style_loss,
    total_variation,
)

LAYOUTS = [torch.contiguous_format, torch.channels_last]
SHAPES = [(3, 4, 5, 7), (1, 1, 1, 1), (2, 6, 1, 3)]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def random_images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def looped_gram(features: np.ndarray) -> np.ndarray:
    """Sum over the positions, one product at a time, as equation 3 reads."""
    channels, height, width = features.shape
    result = np.zeros((channels, channels))
    for i, j, row, column in itertools.product(range(channels), range(channels), range(height), range(width)):
        result[i, j] += features[i, row, column] * features[j, row, column]
    return result


def numpy_loss(kind: str, convention: str, generated: np.ndarray, target: np.ndarray) -> float:
    """One picture (channels, height, width), written from the papers."""
    channels, positions = generated.shape[0], generated.shape[1] * generated.shape[2]
    if kind == "content":
        squares = (generated - target) ** 2
        return float(0.5 * squares.sum() if convention == "gatys" else squares.mean())
    grams = looped_gram(generated), looped_gram(target)
    if convention == "handout_004":
        return float(((grams[0] - grams[1]) ** 2).sum() / channels**2)
    if convention == "tutorial":  # gram_matrix and F.mse_loss of the tutorial, for a batch of one
        size = 1 * channels * positions
        return float(((grams[0] / size - grams[1] / size) ** 2).mean())
    return float(((grams[0] - grams[1]) ** 2).sum() / (4 * channels**2 * positions**2))


def loss(kind: str, generated: Tensor, target: Tensor, **kwargs: Any) -> Tensor:
    if kind == "content":
        return content_loss(generated, target, **kwargs)
    return style_loss(generated, gram(target), **kwargs)


class Products(TorchDispatchMode):
    """Note dtype and precision of every matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[torch.dtype, str]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten.bmm.default, torch.ops.aten.mm.default):
            self.seen.append((args[0].dtype, torch.get_float32_matmul_precision()))
        return func(*args, **(kwargs or {}))


class TestGram:
    @pytest.mark.parametrize("shape", SHAPES)
    def test_it_sums_the_products_of_channels(self, shape: tuple[int, ...]) -> None:
        features = random(*shape)
        expected = np.stack([looped_gram(one) for one in features.double().numpy()])
        np.testing.assert_allclose(gram(features), expected, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
    @pytest.mark.parametrize("autocast", [False, True])
    def test_it_is_float32_whatever_the_features_are(self, dtype: torch.dtype, autocast: bool) -> None:
        features = random(2, 8, 16, 16).to(dtype)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            result = gram(features)
        assert result.dtype == torch.float32
        exact = features.double().flatten(2) @ features.double().flatten(2).mT
        torch.testing.assert_close(result.double(), exact, rtol=1e-5, atol=1e-4)

    def test_the_products_are_taken_in_full_precision(self) -> None:
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("medium")
        try:
            with Products() as products, torch.autocast("cpu", torch.bfloat16):
                gram(random(2, 3, 4, 4))
            after = torch.get_float32_matmul_precision()
        finally:
            torch.set_float32_matmul_precision(before)
        assert products.seen == [(torch.float32, "highest")]
        assert after == "medium"

    def test_the_layout_does_not_matter(self) -> None:
        features = random(2, 8, 5, 7)
        torch.testing.assert_close(gram(features.contiguous(memory_format=torch.channels_last)), gram(features))

    def test_float16_does_not_overflow(self) -> None:
        features = torch.full((1, 1, 64, 64), 100.0, dtype=torch.float16)
        assert gram(features).item() == 64 * 64 * 100**2


@pytest.mark.parametrize("kind", ["content", "style"])
class TestLosses:
    @pytest.mark.parametrize("convention", CONVENTIONS)
    @pytest.mark.parametrize("shape", SHAPES)
    def test_each_picture_has_the_loss_of_the_papers(self, kind: str, convention: str, shape: tuple[int, ...]) -> None:
        generated, target = random(*shape), random(*shape, seed=1)
        expected = [
            numpy_loss(kind, convention, g, t) for g, t in zip(generated.double().numpy(), target.double().numpy())
        ]
        result = loss(kind, generated, target, convention=convention)
        assert result.shape == (shape[0],)
        np.testing.assert_allclose(result, expected, rtol=1e-5)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_the_conventions_differ_by_the_stated_factor(self, kind: str, shape: tuple[int, ...]) -> None:
        channels, positions = shape[1], shape[2] * shape[3]
        factor = 4 / channels**2 if kind == "style" else 2 / (channels * positions)
        generated, target = random(*shape), random(*shape, seed=1)
        tutorial, gatys = (loss(kind, generated, target, convention=c) for c in ("tutorial", "gatys"))
        torch.testing.assert_close(tutorial, factor * gatys)

    def test_the_tutorial_is_the_default(self, kind: str) -> None:
        generated, target = random(2, 3, 4, 4), random(2, 3, 4, 4, seed=1)
        assert torch.equal(loss(kind, generated, target), loss(kind, generated, target, convention="tutorial"))

    def test_a_picture_costs_nothing_beside_itself(self, kind: str) -> None:
        features = random(2, 3, 4, 4)
        for convention in CONVENTIONS:
            assert torch.equal(loss(kind, features, features, convention=convention), torch.zeros(2))

    def test_pictures_do_not_see_each_other(self, kind: str) -> None:
        generated, target = random(3, 4, 5, 5), random(3, 4, 5, 5, seed=1)
        together = loss(kind, generated, target)
        generated[1] = float("nan")
        apart = loss(kind, generated, target)
        assert torch.equal(apart[[0, 2]], together[[0, 2]])
        assert apart[1].isnan()

    def test_half_features_give_float32_losses(self, kind: str) -> None:
        generated, target = random(2, 3, 4, 4).bfloat16(), random(2, 3, 4, 4, seed=1).bfloat16()
        with torch.autocast("cpu", torch.bfloat16):
            result = loss(kind, generated, target)
        assert result.dtype == torch.float32
        torch.testing.assert_close(result, loss(kind, generated.float(), target.float()))

    def test_an_unknown_convention_is_explained(self, kind: str) -> None:
        with pytest.raises(LabsError, match="style_loss=gatis: expected tutorial, gatys or handout_004"):
            loss(kind, random(1, 2, 2, 2), random(1, 2, 2, 2), convention="gatis")


def test_the_gradients_are_those_of_equations_2_and_6() -> None:
    generated, target = random(2, 4, 3, 5).requires_grad_(), random(2, 4, 3, 5, seed=1)
    (content,) = torch.autograd.grad(content_loss(generated, target, convention="gatys").sum(), generated)
    torch.testing.assert_close(content, generated.detach() - target)
    (style,) = torch.autograd.grad(style_loss(generated, gram(target), convention="gatys").sum(), generated)
    flat, difference = generated.detach().flatten(2), gram(generated.detach()) - gram(target)
    torch.testing.assert_close(style, (difference @ flat / (4**2 * 15**2)).view_as(style))


def test_a_style_picture_serves_a_batch() -> None:
    generated, style = random(3, 4, 5, 5), random(1, 4, 5, 5, seed=1)
    assert torch.equal(style_loss(generated, gram(style)), style_loss(generated, gram(style.expand(3, 4, 5, 5))))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_hand_out_forgets_to_normalise_the_gram_matrices(shape: tuple[int, ...]) -> None:
    """Its style is 1/N^2 sum (G - A)^2 with raw Gram matrices, its content the tutorial's 1/(N M) sum (F - P)^2."""
    channels, positions = shape[1], shape[2] * shape[3]
    generated, target = random(*shape).double().numpy(), random(*shape, seed=1).double().numpy()
    style, content = [], []
    for one, other in zip(generated, target):
        style.append(((looped_gram(one) - looped_gram(other)) ** 2).sum() / channels**2)
        content.append(((one - other) ** 2).sum() / (channels * positions))
    images, targets = torch.from_numpy(generated), torch.from_numpy(target)
    tutorial = style_loss(images, gram(targets)).double()
    gatys = style_loss(images, gram(targets), convention="gatys").double()
    np.testing.assert_allclose(style, (channels * positions) ** 2 * tutorial, rtol=1e-5)
    np.testing.assert_allclose(style, 4 * positions**2 * gatys, rtol=1e-5)
    np.testing.assert_allclose(content, content_loss(images, targets), rtol=1e-5)
    theirs = {"convention": "handout_004"}
    np.testing.assert_allclose(style_loss(images, gram(targets), **theirs), style, rtol=1e-5)
    assert torch.equal(content_loss(images, targets, **theirs), content_loss(images, targets))


class TestPassStyleLoss:
    """Beside `style_loss` and automatic differentiation."""

    def both(
        self, features: Tensor, target: Tensor, convention: str, later: Callable[[Tensor], Tensor] = lambda x: x * 0
    ) -> list[tuple[Tensor, Tensor]]:
        """Return losses and gradient, ours and theirs, where the losses of pictures count differently."""
        results = []
        for ours in (True, False):
            leaf = features.clone().requires_grad_()
            if ours:
                passed, losses = pass_style_loss(leaf, target, convention=convention)
            else:
                passed, losses = leaf, style_loss(leaf, target, convention=convention)
            weights = torch.arange(1.0, len(leaf) + 1) - 1.5
            ((weights * losses).sum() + later(passed).sum()).backward()
            assert leaf.grad is not None
            results.append((losses.detach(), leaf.grad))
        return results

    @pytest.mark.parametrize("convention", CONVENTIONS)
    @pytest.mark.parametrize("targets", ["each its own", "one for all"])
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("shape", SHAPES)
    def test_losses_and_gradients_are_the_same(
        self, convention: str, targets: str, layout: torch.memory_format, shape: tuple[int, ...]
    ) -> None:
        target = gram(random(*shape, seed=1))
        target = target if targets == "each its own" else target[:1]
        ours, theirs = self.both(random(*shape).contiguous(memory_format=layout), target, convention)
        assert torch.equal(ours[0], theirs[0])
        assert theirs[1].flatten(1).any(1).all()
        torch.testing.assert_close(ours[1], theirs[1])

    @pytest.mark.parametrize("convention", CONVENTIONS)
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("later_layout", LAYOUTS)
    def test_what_later_layers_send_back_is_added(
        self, convention: str, layout: torch.memory_format, later_layout: torch.memory_format
    ) -> None:
        features, target = random(3, 4, 5, 7).contiguous(memory_format=layout), gram(random(3, 4, 5, 7, seed=1))

        def later(maps: Tensor) -> Tensor:
            maps = maps.contiguous(memory_format=later_layout)
            return style_loss(maps.sin(), target, convention=convention) + maps.exp().mean((1, 2, 3))

        ours, theirs = self.both(features, target, convention, later)
        torch.testing.assert_close(ours[1], theirs[1])
        alone, _ = self.both(features, target, convention)
        assert not torch.allclose(ours[1], alone[1])

    @pytest.mark.parametrize("convention", CONVENTIONS)
    def test_the_gradient_is_that_of_finite_differences(self, convention: str) -> None:
        features, target = random(2, 3, 4, 4).double(), gram(random(2, 3, 4, 4, seed=1))
        (_, gradient), _ = self.both(features, target, convention)
        direction, step = random(2, 3, 4, 4, seed=2).double(), 1e-2
        moved = [
            pass_style_loss(features + sign * step * direction, target, convention=convention)[1] for sign in (1, -1)
        ]
        slope = (moved[0] - moved[1]) / (2 * step)
        weights = torch.tensor([-0.5, 0.5])  # as in `both`
        np.testing.assert_allclose((gradient * direction).sum((1, 2, 3)), weights * slope, rtol=2e-3)

    @pytest.mark.parametrize("convention", CONVENTIONS)
    def test_bfloat16_features(self, convention: str) -> None:
        features, target = random(2, 4, 6, 6).bfloat16(), gram(random(2, 4, 6, 6, seed=1))
        ours, theirs = self.both(features, target, convention, lambda maps: maps.square() * 0.01)
        assert ours[0].dtype == torch.float32
        assert ours[1].dtype == torch.bfloat16
        assert torch.equal(ours[0], theirs[0])
        whole = self.both(features.float(), target, convention, lambda maps: maps.square() * 0.01)[1][1]
        error = (ours[1].float() - whole).flatten(1).norm(dim=1) / whole.flatten(1).norm(dim=1)
        assert (error < 2**-7).all()  # bfloat16 keeps eight bits

    def test_the_features_go_on_as_they_are(self) -> None:
        features = random(2, 3, 4, 5).requires_grad_()
        passed, _ = pass_style_loss(features, gram(random(2, 3, 4, 5, seed=1)))
        assert torch.equal(passed, features)
        assert passed.data_ptr() == features.data_ptr()
        passed.pow(3).sum().backward()  # where the losses have no part
        torch.testing.assert_close(features.grad, 3 * features.detach().square())

    def test_it_is_differentiated_once(self) -> None:
        features, weights = random(1, 3, 4, 5).requires_grad_(), torch.ones(1, requires_grad=True)
        _, losses = pass_style_loss(features, gram(random(1, 3, 4, 5, seed=1)))
        (gradient,) = torch.autograd.grad((weights * losses).sum(), features, create_graph=True)
        with pytest.raises(RuntimeError, match="once_differentiable"):
            gradient.sum().backward()

    def test_an_unknown_convention_is_explained(self) -> None:
        with pytest.raises(LabsError, match="style_loss=gatis: expected tutorial, gatys or handout_004"):
            pass_style_loss(random(1, 2, 2, 2), gram(random(1, 2, 2, 2)), convention="gatis")


class TestTotalVariation:
    @pytest.mark.parametrize("shape", [(3, 3, 8, 5), (1, 1, 1, 1), (2, 3, 1, 4)])
    def test_it_agrees_with_torchmetrics(self, shape: tuple[int, ...]) -> None:
        images = random_images(*shape)
        torch.testing.assert_close(total_variation(images), torchmetrics_total_variation(images, reduction="none"))

    def test_one_bright_pixel_has_four_edges_in_each_channel(self) -> None:
        image = torch.zeros(1, 3, 5, 5)
        image[:, :, 2, 2] = 0.5
        assert total_variation(image).tolist() == [4 * 0.5 * 3]


class TestLuminance:
    # Far from black and white, so that nothing leaves [0, 1].
    content, generated = 0.3 + 0.4 * random_images(2, 3, 6, 7), 0.4 + 0.2 * random_images(2, 3, 6, 7, seed=1)

    def test_grey_pictures_are_those_of_pillow(self) -> None:
        images = (random_images(2, 3, 6, 7) * 255).round() / 255
        grey = luminance(images)
        assert grey.shape == images.shape
        for channel in range(3):
            assert torch.equal(grey[:, channel], grey[:, 0])
        for one, image in zip(grey[:, 0], images):
            pixels = Image.fromarray((image * 255).round().byte().permute(1, 2, 0).numpy()).convert("L")
            assert abs(np.asarray(pixels) / 255 - one.numpy()).max() < 0.51 / 255
        torch.testing.assert_close(luminance(grey), grey)

    def test_the_luminance_is_that_of_the_generated(self) -> None:
        result = keep_luminance_of(self.generated, colors_of=self.content)
        for one, other in zip(result, self.generated):
            greys = [
                np.asarray(Image.fromarray((i * 255).round().byte().permute(1, 2, 0).numpy()).convert("L"), dtype=int)
                for i in (one, other)
            ]
            assert abs(greys[0] - greys[1]).max() <= 1  # rounded to bytes twice

    def test_the_colours_are_those_of_the_content(self) -> None:
        result = keep_luminance_of(self.generated, colors_of=self.content)
        for one, other in zip(*(images.permute(0, 2, 3, 1).reshape(-1, 3) for images in (result, self.content))):
            # I and Q, the difference colours of NTSC; its Y has rounder weights than ours
            assert colorsys.rgb_to_yiq(*one.tolist())[1:] == pytest.approx(colorsys.rgb_to_yiq(*other.tolist())[1:])

    def test_a_grey_content_becomes_the_grey_of_the_generated(self) -> None:
        grey = torch.full((2, 3, 6, 7), 0.2, dtype=torch.float64)
        result = keep_luminance_of(self.generated, colors_of=grey)
        weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
        expected = torch.einsum("bchw,c->bhw", self.generated, weights)[:, None].expand_as(result)
        torch.testing.assert_close(result, expected)

    def test_a_picture_is_its_own_result(self) -> None:
        torch.testing.assert_close(keep_luminance_of(self.content, colors_of=self.content), self.content)


def moments(image: Tensor) -> tuple[np.ndarray, np.ndarray]:
    pixels = image.flatten(1).numpy()
    return pixels.mean(1), np.cov(pixels, bias=True)


def mixed(images: Tensor, seed: int) -> Tensor:
    """Correlate the channels, as those of photographs are."""
    return torch.einsum("bchw,cd->bdhw", images, torch.eye(3).double() * 0.3 + random_images(3, 3, seed=seed) * 0.2)


class TestMatchColours:
    style, content = mixed(random_images(2, 3, 9, 8), 5), mixed(random_images(2, 3, 5, 6, seed=1), 6) ** 2

    def test_mean_and_covariance_are_those_of_the_target(self) -> None:
        result = match_colors(self.style, to=self.content)
        assert result.shape == self.style.shape
        for one, other in zip(result, self.content):
            for found, expected in zip(moments(one), moments(other)):
                np.testing.assert_allclose(found, expected, atol=1e-12)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_a_picture_is_its_own_match(self, dtype: torch.dtype) -> None:
        images = self.style.to(dtype)
        torch.testing.assert_close(match_colors(images, to=images), images)

    def test_a_second_match_changes_nothing(self) -> None:
        once = match_colors(self.style, to=self.content)
        torch.testing.assert_close(match_colors(once, to=self.content), once)

    @pytest.mark.parametrize("color", [(128, 128, 128), (200, 30, 90), (255, 255, 255)])
    @pytest.mark.parametrize("noise", [0, 1e-7, 1e-4])
    def test_a_style_of_one_color_takes_the_mean(self, color: tuple[int, int, int], noise: float) -> None:
        """Oracle: nothing varies, so x -> A (x - mean of x) + mean of `to` is the mean of `to`, whatever A is."""
        flat = torch.tensor(color).view(1, 3, 1, 1).div(255).expand(1, 3, 97, 103)
        flat = flat + noise * torch.rand(flat.shape, generator=torch.Generator().manual_seed(0))
        content = self.content[:1].float()
        result = match_colors(flat, to=content)
        torch.testing.assert_close(result, content.mean((2, 3), keepdim=True).expand_as(result), atol=1e-3, rtol=0)
        torch.testing.assert_close(result.clamp(0, 1).mean((2, 3)), content.mean((2, 3)))

    def test_the_order_of_the_channels_does_not_matter(self) -> None:
        swapped = match_colors(self.style.flip(1), to=self.content.flip(1)).flip(1)
        torch.testing.assert_close(swapped, match_colors(self.style, to=self.content))

    @pytest.mark.parametrize(
        "flatten",
        [
            lambda x: x.mean(1, keepdim=True).expand_as(x),
            lambda x: x.mean(1, keepdim=True) + 1e-7 * x,
            torch.zeros_like,
        ],
        ids=["grey", "nearly grey", "black"],
    )
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_grey_and_flat_pictures_stay_finite(self, flatten: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
        style, content = self.style.to(dtype), self.content.to(dtype)
        result = match_colors(flatten(style), to=content)
        torch.testing.assert_close(result.mean((2, 3)), content.mean((2, 3)))
        spread = torch.linalg.svdvals(result.flatten(2) - result.mean((2, 3))[..., None])
        assert (spread[:, 1:] < 1e-3).all(), "rounding was stretched to colours"
        greyed = match_colors(style, to=flatten(content))  # grey itself, since the colours of `to` do not vary
        torch.testing.assert_close(greyed, greyed.mean(1, keepdim=True).expand_as(greyed), atol=2e-3, rtol=0)
