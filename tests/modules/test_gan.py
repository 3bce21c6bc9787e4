"""`GAN` in Lightning's trainer, beside a plain PyTorch loop, on a few of scikit-learn's digits and tiny nets."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from labs import LabsError
from labs.callbacks.reseed import Reseed
from labs.datamodules.image_generation import ImageGeneration
from labs.datamodules.mnist import MNIST
from labs.datamodules.sources import LabeledImages
from labs.functional.latents import seeded_latents
from labs.modules.gan import GAN
from labs.nets.dcgan import DCGAN

ADAM = partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999))
NZ = 6


class FewDigits(MNIST):
    """Seventy of the embedded digits."""

    def load(self, size: int) -> LabeledImages:
        images = super().load(size)
        rows = slice(0, 70 * 71, 71)  # of all ten classes: the digits are sorted
        return images._replace(
            pixels=images.pixels[rows],
            labels=images.labels[rows],
            names=images.names[rows],
            is_test=images.is_test[rows],
        )


def data(tmp_path: Path, batch_size: int = 8) -> ImageGeneration:
    source = FewDigits(embedded=True, folder=str(tmp_path))
    sizes: dict[str, Any] = {"num_classes": 10, "image_size": 32, "channels": 1, "batch_size": batch_size}
    return ImageGeneration(source=source, embedded=True, **sizes)


def net(num_classes: int | None = None, **options: Any) -> DCGAN:
    torch.manual_seed(1)
    return DCGAN(image_size=32, channels=1, num_classes=num_classes, **{"nz": NZ, "ngf": 4, "ndf": 4, **options})


def fit(module: GAN, tmp_path: Path, *, epochs: int = 1, batches: float | int = 1.0, **options: Any) -> pl.Trainer:
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        limit_train_batches=batches,
        default_root_dir=tmp_path,
        callbacks=[Reseed(0), *options.pop("callbacks", [])],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **options,
    )
    trainer.fit(module, data(tmp_path))
    return trainer


def plain_loop(nets: DCGAN, tmp_path: Path, loss: str, epochs: int) -> list[tuple[float, float]]:
    """Train as PyTorch's DCGAN example does: two optimizers, binary cross-entropy, the fakes detached for one step."""
    images = data(tmp_path)
    images.setup("fit")
    discriminator_optimizer, generator_optimizer = (ADAM(n.parameters()) for n in (nets.discriminator, nets.generator))
    losses = []
    for epoch in range(epochs):
        loader: Any = images.train_dataloader()
        loader.sampler.set_epoch(epoch)
        torch.manual_seed(int(np.random.SeedSequence([0, epoch, 0]).generate_state(3)[2]))
        for positions in loader:
            batch = images.batch("train", positions)
            fake = nets.generator(torch.randn(len(positions), NZ), batch.labels)
            ones, zeros = torch.ones(len(positions)), torch.zeros(len(positions))
            discriminator_optimizer.zero_grad()
            real_loss = F.binary_cross_entropy_with_logits(nets.discriminator(batch.images, batch.labels), ones)
            fake_loss = F.binary_cross_entropy_with_logits(nets.discriminator(fake.detach(), batch.labels), zeros)
            (real_loss + fake_loss).backward()
            discriminator_optimizer.step()
            generator_optimizer.zero_grad()
            logits = nets.discriminator(fake, batch.labels)
            fooled = (
                F.binary_cross_entropy_with_logits(logits, ones)
                if loss == "non_saturating"
                else -F.binary_cross_entropy_with_logits(logits, zeros)
            )
            fooled.backward()
            generator_optimizer.step()
            losses.append(((real_loss + fake_loss).item(), fooled.item()))
    return losses


class Traced(pl.Callback):
    """Keep the losses of all epochs."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.losses += pl_module.trace  # type: ignore[arg-type, operator]


@pytest.mark.parametrize("num_classes", [None, 10])
@pytest.mark.parametrize("loss", ["non_saturating", "true"])
def test_the_trajectory_is_that_of_a_plain_loop(num_classes: int | None, loss: Any, tmp_path: Path) -> None:
    ours, theirs, traced = net(num_classes), net(num_classes), Traced()
    fit(GAN(net=ours, optimizer=ADAM, loss=loss), tmp_path, epochs=2, callbacks=[traced])
    expected = plain_loop(theirs, tmp_path, loss, epochs=2)
    assert len(expected) == 14  # 56 images in batches of 8
    assert torch.allclose(torch.stack(traced.losses), torch.tensor(expected), rtol=1e-3, atol=1e-4)
    for (name, value), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert torch.allclose(value.float(), other.float(), atol=5e-4), name  # 14 steps of 2e-4 each


class Watched(GAN):
    """Note which parameters have gradients after each backward pass, and which ask for them in it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seen: list[dict[str, set[bool]]] = []

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        super().manual_backward(loss, *args, **kwargs)
        nets = {"generator": self.net.generator, "discriminator": self.net.discriminator}
        self.seen.append({name: {p.grad is not None for p in n.parameters()} for name, n in nets.items()})
        self.asked = {name: {p.requires_grad for p in n.parameters()} for name, n in nets.items()}


def test_each_step_leaves_the_other_net_without_gradients(tmp_path: Path) -> None:
    module = Watched(net=net(), optimizer=ADAM)
    fit(module, tmp_path, batches=1)
    discriminator_step, generator_step = module.seen
    assert discriminator_step == {"generator": {False}, "discriminator": {True}}
    assert generator_step["generator"] == {True}
    assert module.asked == {"generator": {True}, "discriminator": {False}}
    assert all(p.requires_grad for p in module.net.parameters())


def test_the_discriminators_gradients_are_not_touched_by_the_generators_step(tmp_path: Path) -> None:
    module = Watched(net=net(), optimizer=ADAM)
    before: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any) -> None:
        gradients = [p.grad for p in module.net.discriminator.parameters() if p.grad is not None]
        before[:] = [g.clone() for g in gradients]

    module.net.discriminator.register_forward_pre_hook(keep)
    fit(module, tmp_path, batches=1)
    after = [p.grad for p in module.net.discriminator.parameters()]
    assert before
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize(
    ("discriminator_steps", "generator_steps", "iterations", "steps"),
    [(1, 1, 7, (7, 7)), (2, 1, 3, (3, 7)), (1, 2, 7, (14, 7))],
)
def test_an_iteration_is_a_step_of_both(
    discriminator_steps: int, generator_steps: int, iterations: int, steps: tuple[int, int], tmp_path: Path
) -> None:
    module = GAN(net=net(), optimizer=ADAM, discriminator_steps=discriminator_steps, generator_steps=generator_steps)
    trainer = fit(module, tmp_path)
    taken = [int(next(iter(o.state.values()))["step"]) for o in trainer.optimizers]
    assert (module.iterations, tuple(taken), len(module.trace)) == (iterations, steps, iterations)


def test_learning_rates_apart_and_their_schedule(tmp_path: Path) -> None:
    halve = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    module = GAN(net=net(), optimizer=ADAM, scheduler=halve, generator_lr=1e-3, discriminator_lr=4e-3)
    trainer = fit(module, tmp_path, epochs=2)
    assert [o.param_groups[0]["lr"] for o in trainer.optimizers] == pytest.approx([1e-3 / 4, 4e-3 / 4])
    module = GAN(net=net(), optimizer=ADAM)
    trainer = fit(module, tmp_path, batches=1)
    assert [o.param_groups[0]["lr"] for o in trainer.optimizers] == [2e-4, 2e-4]


def test_the_averaged_generator(tmp_path: Path) -> None:
    """It follows average = decay * average + (1 - decay) * weights, after every iteration, and samples are its own."""
    decay = 0.7
    module = GAN(net=net(), optimizer=ADAM, ema=decay)
    kept: list[dict[str, Tensor]] = []

    class Keep(pl.Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            kept.append(copy.deepcopy(dict(module.net.generator.named_parameters())))

    fit(module, tmp_path, batches=4, callbacks=[Keep()])
    expected = {name: value.detach() for name, value in kept[0].items()}
    for weights in kept[1:]:
        expected = {name: decay * old + (1 - decay) * weights[name].detach() for name, old in expected.items()}
    assert module.averaged is not None
    for name, value in module.averaged.module.named_parameters():
        assert torch.allclose(value, expected[name], atol=1e-6), name
        assert not value.requires_grad
    latents, labels = seeded_latents(3, NZ, 0), torch.zeros(3, dtype=torch.long)
    by_average = module.averaged.module.eval()(latents, labels).add(1).div(2)
    assert torch.equal(module.sample(latents, labels), by_average)


def test_sampling_changes_nothing_and_is_a_function_of_the_latent(tmp_path: Path) -> None:
    module = GAN(net=net(10), optimizer=ADAM)
    fit(module, tmp_path)
    module.train()
    before = copy.deepcopy(module.state_dict())
    latents, labels = seeded_latents(5, NZ, 0), torch.arange(5)
    random = torch.random.get_rng_state()
    once, again = (module.sample(latents, labels) for _ in range(2))
    with_statistics = module.sample(latents, labels, batch_statistics=True)
    assert torch.equal(once, again)
    assert not torch.equal(once, with_statistics)
    assert torch.equal(random, torch.random.get_rng_state())
    assert module.net.generator.training
    assert 0 <= once.min() <= once.max() <= 1
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_samples_like_a_batch_depend_on_positions_and_labels(tmp_path: Path) -> None:
    module = GAN(net=net(10), optimizer=ADAM)
    images = data(tmp_path)
    images.setup("test")
    whole = images.batch("test", torch.arange(14))
    part = images.batch("test", torch.tensor([7, 3]))
    assert torch.allclose(module.samples_like(whole)[[7, 3]], module.samples_like(part), atol=1e-6)
    assert not torch.equal(module.samples_like(part, seed=1), module.samples_like(part, seed=0))


def test_bf16_keeps_weights_and_losses_in_single_precision(tmp_path: Path) -> None:
    traced, module = Traced(), GAN(net=net(), optimizer=ADAM)
    seen = set()
    module.net.generator.body[0][0].register_forward_hook(lambda _m, _i, output: seen.add(output.dtype))
    fit(module, tmp_path, precision="bf16-mixed", callbacks=[traced])
    assert seen == {torch.bfloat16}
    assert all(p.dtype == torch.float32 for p in module.parameters())
    losses = torch.stack(traced.losses)
    assert losses.dtype == torch.float32
    assert losses.isfinite().all()
    full = Traced()
    fit(GAN(net=net(), optimizer=ADAM), tmp_path, callbacks=[full])
    assert torch.allclose(losses[0], torch.stack(full.losses)[0], rtol=0.05)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"discriminator_steps": 0}, r"module\.discriminator_steps=0: expected 1 or more"),
        ({"generator_lr": 0.0}, r"module\.generator_lr=0\.0: expected a number above 0"),
        ({"ema": 1.0}, r"module\.ema=1\.0: expected a decay between 0 and 1"),
    ],
)
def test_what_makes_no_sense(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(LabsError, match=said):
        GAN(net=net(), optimizer=ADAM, **wrong)


def test_labels_that_the_net_was_not_made_for() -> None:
    with pytest.raises(LabsError, match=r"labels \[0, 12\]: this net can generate only the labels 0 to 9"):
        GAN(net=net(10), optimizer=ADAM).sample(torch.zeros(2, NZ), torch.tensor([12, 0]))


def test_data_with_more_labels_than_the_net_knows(tmp_path: Path) -> None:
    with pytest.raises(LabsError, match=r"net\.num_classes=5: the data has the labels 0 to 9"):
        fit(GAN(net=net(5), optimizer=ADAM), tmp_path)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"net": {"ngf": 6}}, r"the checkpoint belongs to another net: ngf 4 \(here 6\)"),
        ({"net": {"num_classes": 10}}, r"another net: num_classes null \(here 10\)"),
        ({"ema": 0.9}, r"differ in module\.ema"),
    ],
)
def test_a_checkpoint_of_another_net(other: dict[str, Any], said: str, tmp_path: Path) -> None:
    trainer = fit(GAN(net=net(), optimizer=ADAM), tmp_path, batches=1)
    trainer.save_checkpoint(tmp_path / "some.ckpt")
    module = GAN(net=net(**other.get("net", {})), optimizer=ADAM, ema=other.get("ema"))
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    with pytest.raises(LabsError, match=said):
        trainer.test(module, data(tmp_path), ckpt_path=tmp_path / "some.ckpt", verbose=False)
