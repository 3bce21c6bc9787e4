"""A hundred wrong commands, a hundred clear messages: exit code 2, no traceback, nothing left behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

# (what is typed, what the message must say)
MISTAKES: list[tuple[str, str]] = [
    # unknown options of groups
    ("experiment=cub_layer_frozen", "cub_layer1_frozen"),
    ("experiment=cub", "There are: cub_conv_frozen, cub_full"),
    ("experiment=Cub_Full", "cub_full"),
    ("grid=table4", "cub_table4"),
    ("data=offline", "online"),
    ("data=embeded", "data=embedded"),
    ("datamodule=cub", "cub200"),
    ("datamodule=cub201", "cub200"),
    ("module=classifer", "classifier"),
    ("net=resnet19", "resnet18"),
    ("net=vgg", "vgg16"),
    ("net=ResNet18", "resnet18"),
    ("weights=imagnet", "weights=imagenet"),
    ("weights=none", "random"),
    ("freeze=layer_1", "freeze=layer1"),
    ("freeze=all", "backbone"),
    ("freeze=backbon", "freeze=backbone"),
    ("normalization=image_net", "imagenet"),
    ("normalization=cub", "dataset"),
    ("augment=flip", "crop_flip"),
    ("feature_cache=on", "auto, off, require"),
    ("optimizer=SGD", "sgd"),
    ("optimizer=adamm", "adam"),
    ("scheduler=cos", "cosine"),
    ("scheduler=onecycle", "warmup_cosine"),
    ("precision=bf32", "bf16"),
    ("precision=16", "bf16"),
    ("trainer=tpu", "gpu"),
    ("logger=tensor_board", "tensorboard"),
    ("callbacks=all", "default"),
    ("debug=fast", "batches"),
    ("paths=cluster", "default"),
    # no numbers, and too little
    ("optimizer.lr=nan", "module.optimizer.lr=nan: expected a number"),
    ("optimizer.lr=inf", "module.optimizer.lr=inf: expected a number"),
    ("optimizer.momentum=-inf", "module.optimizer.momentum=-inf: expected a number"),
    ("module.label_smoothing=nan", "module.label_smoothing=nan: expected a number"),
    ("trainer.limit_train_batches=0", "nothing would be trained; type 1 or more."),
    ("trainer.limit_test_batches=0.0", "nothing would be tested; type 1 or more."),
    ("trainer.max_steps=0", "nothing would be trained"),
    ("trainer.strategy=ddp_spawn", "processes cannot be spawned; type trainer.strategy=ddp."),
    ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches=0: expected a whole number from 1."),
    ("trainer.check_val_every_n_epoch=0", "trainer.check_val_every_n_epoch=0: expected a whole number from 1."),
    ("trainer.val_check_interval=1000", "must be less than or equal to the number of the training batches"),
    ("datamodule.embedded=false", "data=embedded contradicts it; leave it out and choose by data=."),
    # unknown keys
    ("trainer.device=1", "trainer.devices"),
    ("trainer.epochs=5", "trainer.max_epochs"),
    ("trainer.max_epoch=5", "trainer.max_epochs"),
    ("trainer.gpus=1", "'trainer.gpus'"),
    ("datamodule.batchsize=8", "datamodule.batch_size"),
    ("datamodule.bs=8", "datamodule.bs"),
    ("datamodule.train_per_class=3", "datamodule.source.train_per_class"),
    ("max_epochs=3", "Type epochs=3."),
    ("seeds=1", "seed"),
    ("optimiser=adam", "optimizer"),
    ("optimizer.learning_rate=0.1", "module.optimizer"),
    ("optimizer.momentm=0.9", "momentum"),
    ("freeze.pattern=[layer1]", "callbacks.freeze.patterns"),
    ("freeze.bn=train", "batch_norm"),
    ("net.weight=random", "module.net.weights"),
    ("module.lr_scales=1", "module.lr_scale"),
    ("normalisation=dataset", "normalization"),
    ("path.data=/tmp", "paths.data"),
    ("~trainer.device", "trainer.device"),
    ("+trainer.device=1", "did you mean trainer.devices"),
    ("+module.dropout=0.5", "takes no argument 'dropout'"),
    ("+optimizer.amsgrid=true", "takes no argument 'amsgrid'"),
    ("+datamodule.mixup=true", "takes no argument 'mixup'"),
    ("+callbacks.freeze.mode=eval", "takes no argument 'mode'"),
    # values of another type
    ("trainer.max_epochs=abc", "expected a whole number or null"),
    ("trainer.max_epochs=2.5", "expected a whole number or null"),
    ("trainer.max_epochs=true", "expected a whole number or null"),
    ("trainer.max_epochs=", "expected a whole number or null"),
    ("trainer.log_every_n_steps=often", "trainer.log_every_n_steps"),
    ("datamodule.batch_size=8.5", "expected a whole number"),
    ("datamodule.batch_size=null", "expected a whole number"),
    ("datamodule.batch_size=[8]", "expected a whole number"),
    ("datamodule.image_size=large", "expected a whole number"),
    ("datamodule.validation_fraction=half", "expected a number"),
    ("datamodule.source.digits=5", "a list"),
    ("datamodule.source.digits=[a,b]", "datamodule.source.digits"),
    ("module.label_smoothing=yes", "expected a number"),
    ("module.lr_scale=fast", "module.lr_scale"),
    ("module.lr_scale={head: fast}", "module.lr_scale"),
    ("freeze.patterns=layer1", "callbacks.freeze.patterns"),
    ("freeze.batch_norm=off", "one of eval, affine, train"),
    ("freeze.batch_norm=true", "one of eval, affine, train"),
    ("freeze.unfreeze=layer4", "callbacks.freeze.unfreeze"),
    ("optimizer.lr=fast", "module.optimizer.lr"),
    ("seed=one", "seed=one"),
    ("seed=-1", "seed=-1"),
    ("seed=5000000000", "4294967295"),
    ("freeze=null", "Options of freeze"),
    ("trainer.max_epochs=0", "nothing would be trained"),
    ("draw_architecture=maybe", "expected true or false"),
    ("datamodule.validation=val", "one of train, test"),
    ("module.net.name=5", "expected a word"),
    # values that cannot be
    ("trainer.devices=0", "devices"),
    ("trainer.max_epochs=-5", "max_epochs"),
    ("trainer.precision=12", "precision"),
    ("trainer.accelerator=quantum", "accelerator"),
    ("trainer.strategy=magic", "strategy"),
    ("trainer.gradient_clip_algorithm=hard", "gradient"),
    ("matmul_precision=low", "highest"),
    ("datamodule.batch_size=0", "datamodule.batch_size=0"),
    ("datamodule.image_size=0", "datamodule.image_size=0"),
    ("datamodule.resize=4", "datamodule.resize"),
    ("datamodule.num_workers=-1", "datamodule.num_workers"),
    ("datamodule.num_classes=7", "num_classes=5"),
    ("datamodule.num_classes=1", "at least 2"),
    ("datamodule.validation_fraction=1.5", "a fraction in (0, 1)"),
    ("datamodule.source.digits=[5,5]", "different digits"),
    ("datamodule.source.digits=[5,12]", "from 0 to 9"),
    ("datamodule.source.train_per_class=1000", "2 to 150"),
    ("module.label_smoothing=1.5", "label_smoothing=1.5"),
    ("optimizer.lr=-1", "learning rate"),
    ("optimizer.momentum=-1", "momentum"),
    ("freeze.patterns=[layer9]", "'layer9' matches no parameter"),
    ("freeze.patterns=[Layer1]", "layer1"),
    ("freeze.patterns=['*']", "every parameter is frozen"),
    ("freeze.unfreeze={a: [layer1]}", "unfreeze"),
    ("freeze.unfreeze={2: layer1}", "unfreeze"),
    ("freeze.unfreeze={2: [layer9]}", "layer9"),
    ("freeze.unfreeze={0: [layer1]}", "epochs from 1"),
    ("module.lr_scale={layer9: 2}", "'layer9' matches no parameter"),
    ("module.net.name=resnet19", "resnet18"),
    ("augment.crop_scale=[0.9,0.2]", "crop_scale"),
    ("augment.crop_scale=[2]", "crop_scale"),
    ("augment.views=4", "no augmentation is random; type augment=crop_flip"),
    ("augment.color=2", "augment.color=2: expected a fraction in (0, 1)"),
    ("feature_cache=require", "conv1.weight is trainable. Type feature_cache=auto"),
    ("feature_cache.budget_gb=0", "feature_cache.budget_gb=0: expected a number of gigabytes"),
    ("feature_cache.mode=always", "expected one of auto, off, require"),
    ("compile=maybe", "compile=maybe: expected true or false."),
    ("channels_last=1", "channels_last=1: expected true or false."),
    ("callbacks.pictures.num_images=0", "num_images"),
    ("callbacks.best.mode=most", "mode"),
    ("scheduler=warmup_cosine scheduler.warmup_epochs=-1", "warmup_epochs"),
    # what is not there, or not on this machine
    ("data=online", "type data=embedded"),
    ("weights=outputs/nothing/here", "outputs/nothing/here"),
    ("resume=outputs/nothing/here", "there is no run in this directory"),
    ("retry=outputs/nothing/here", "there is no run in this directory"),
    ("net=alexnet", "at least 63x63"),
    ("net=vgg16", "at least 32x32"),
    ("module.net.weights=embedded upstream.experiment=null", "no embedded weights"),
    ("trainer.default_root_dir=x", "type hydra.run.dir=<folder>"),
    ("+trainer.overfit_batches=1", "type debug=overfit"),
    ("+trainer.callbacks=[]", "type callbacks.<name>="),
    ("+trainer.logger=true", "type logger=tensorboard"),
    ("trainer.use_distributed_sampler=true", "the datamodule's own sampler"),
    ("trainer.precision=64-true", "type precision=fp32, precision=bf16 or precision=fp16"),
    ("trainer.max_epochs=-1", "the training would not end"),
    ("trainer.max_epochs=null", "the training would not end"),
    ("hydra.job.chdir=true", "relative to where the command is typed"),
    ("seed=[0,1]", "seed=[0, 1]: expected a whole number"),
    ("++paths.data=3", "paths.data=3: expected a folder, such as paths.data=/scratch/data."),
    ("practical=true", "practical=true: expected the name of a practical"),
    ("trial=1", "trial=1: a search numbers its trials itself, and there is none; leave trial= out."),
    ("seed=1_1_1", "seed=1_1_1: expected a whole number"),
    ("callbacks=gan", "callbacks=gan works only with experiments of"),
    ("callbacks=domains", "callbacks=domains works only with experiments of"),
    ("callbacks=style_transfer", "callbacks=style_transfer works only with experiments of"),
    ("module.net=0.5", "module.net=0.5: expected settings with the _target_ of a Module"),
    ("module.net=null", "module.net=null: expected settings with the _target_ of a Module"),
    ("module.optimizer=0.5", "module.optimizer=0.5: expected settings"),
    ("style_loss=[[1],[2]]", "style_loss=[[1],[2]] is not an option"),
    ("optimizer.lr+=1", "typed as key=value"),
    # where nothing can be written
    ("hydra.run.dir=/dev/null", "/dev/null: File exists. Type another folder"),
    ("hydra.run.dir=/dev/null/x", "/dev/null/x: Not a directory. Type another folder"),
    ("paths.outputs=/dev/null/x", "Not a directory. Type another folder: paths.outputs=<folder>"),
    # what is taken away or added (tests/cli/test_prefixes.py has more)
    ("~freeze", "Options of freeze: backbone, batch_norms, convs"),
    ("~trainer.devices", "~trainer.devices: every recipe needs this setting; leave this word out."),
    ("datamodule.source.digits.9=3", "datamodule.source.digits.9=3 does not fit the recipe"),
    ("~freeze.unfreeze", "~callbacks.freeze.unfreeze: the setting is null already"),
    ("~freeze.unfreezes", "Did you mean callbacks.freeze.unfreeze?"),
    ("+seed=1", "type seed=1, without the +."),
    (
        "+datamodule.batch_size=8",
        "the recipe has a setting 'datamodule.batch_size': type datamodule.batch_size=<value>",
    ),
    # grammar
    ("quick", "typed as key=value"),
    ("seed", "such as seed=0"),
    ("trainer.max_epochs 5", "typed as key=value"),
    ("seed=0,1,2", "seed=0,1,2 has several values. To run each of them, type: python train.py -m"),
    ("--resolve", "The --resolve flag can only be used in conjunction with --cfg"),
    ("freeze.patterns=[layer1", "a bracket [ ] is not closed"),
    ("trainer.max_epochs=${nothing}", "nothing"),
]
ON_A_CPU = [
    ("precision=fp16", "precision=bf16"),
    ("precision=tf32", "precision=fp32"),
    ("trainer=gpu", "trainer=cpu"),
    ("trainer.accelerator=gpu", "trainer=cpu"),
]


def test_there_are_a_hundred() -> None:
    assert len({typed for typed, _ in MISTAKES}) == len(MISTAKES) >= 100


@pytest.mark.parametrize(("typed", "said"), MISTAKES, ids=[typed for typed, _ in MISTAKES])
def test_a_mistake_gets_one_clear_message(
    typed: str, said: str, train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = typed.split(" ") if " scheduler." in typed or " upstream." in typed else [typed]
    with pytest.raises(SystemExit) as exit_:
        train("weights=random", *arguments)
    message = capsys.readouterr().err
    assert exit_.value.code == 2
    assert "error:" in message
    assert said in message.partition("error:")[2]
    assert "Traceback" not in message
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == [], "a command that could not run leaves nothing behind"


@pytest.mark.skipif(torch.cuda.is_available(), reason="these are mistakes on a CPU")
@pytest.mark.parametrize(("typed", "said"), ON_A_CPU, ids=[typed for typed, _ in ON_A_CPU])
def test_what_this_device_cannot_do(
    typed: str, said: str, train: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        train("weights=random", typed)
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err


GANS = [
    ("net.nz=0", "net.nz=0: expected 1 or more, such as 100."),
    ("datamodule.image_size=28", "this net needs images of 32 or 64 pixels"),
    ("datamodule.channels=3", "the images of 5,000 digits of MNIST have 1; type datamodule.channels=1."),
    ("net=resnet18", "a GAN needs a generator and a discriminator. Type net=dcgan."),
    ("datamodule=digits", "for example experiment=digits_layer1_frozen"),
    ("callbacks=default", "Pictures does not work with ImageGeneration: it needs labeled images"),
    ("compile=true", "nothing is compiled in this practical"),
    ("feature_cache=require", "this practical cannot use stored features"),
    ("optimizer=lbfgs", "Type optimizer=adam_gan"),
    ("optimizer.lr=0", "optimizer.lr=0: nothing would be trained"),
    ("scheduler=plateau", "Type scheduler=step"),
    ("trainer.max_steps=10", "would count the steps of both optimizers"),
    ("callbacks.samples.labels=[12]", "this net is unconditional; type net=cdcgan."),
    ("callbacks.samples.labels=[]", "expected labels such as [3,7]"),
    ("callbacks.quality.neighbours=1000", "neighbours=1000: expected fewer than 1000"),
    ("callbacks.quality.inception_weights=nowhere", "there is no such file"),
]


def check_message(said: str, code: object, message: str, folder: Path) -> None:
    """Check that a mistake got its message, exit code 2 and no traceback, and that nothing is left behind."""
    assert code == 2
    assert said in message.partition("error:")[2]
    assert "Traceback" not in message
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(("typed", "said"), GANS, ids=[typed for typed, _ in GANS])
def test_a_gans_mistake_gets_one_clear_message(
    typed: str, said: str, train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        train("experiment=dcgan_mnist", "data=embedded", "logger=none", typed)
    check_message(said, exit_.value.code, capsys.readouterr().err, tmp_path)


DANNS = [
    ("net.dropout=2", "net.dropout=2: expected a share from 0 to below 1, such as 0.2."),
    ("datamodule.batch_size=100000", "the source domain, 5,000 digits of MNIST, has 3600 training images"),
    ("datamodule.validation_fraction=2", "datamodule.validation_fraction=2: expected a fraction in (0, 1)"),
    ("datamodule.labeled=both", "datamodule.labeled=both: expected one of source, target."),
    ("datamodule.num_classes=7", "found 10 classes in both domains; type datamodule.num_classes=10."),
    ("datamodule.image_size=8", "net=dann_mnist needs at least 16 pixels; type datamodule.image_size=28."),
    ("module.batch_norm=separate", "the net has no batch norm; type net.batch_norm=true"),
    ("module.domain_hidden=[0]", "module.domain_hidden=[0]: expected widths of 1 or more, such as [100]."),
    ("reversal.gamma=0", "reversal.gamma=0: expected a number above 0, or null for a constant weight."),
    ("callbacks.features.method=umap", "callbacks.features.method=umap: expected one of pca, tsne."),
    ("callbacks=default", "there is no val/acc to choose a checkpoint by. Leave callbacks= out."),
    ("module=classifier", "module.reversal: Classifier takes no argument 'reversal'"),
    ("datamodule=digits", "missing 1 required keyword-only argument: 'augment'"),
    ("weights=imagenet", "There are no ImageNet weights for dann_mnist. Type weights=random."),
    ("net=dcgan", "for example experiment=dcgan_mnist"),
    ("trainer.max_epochs=-1", "trainer.max_epochs=-1: the training would not end"),
    ("trainer.max_epochs=-1 trainer.max_time=00:00:10:00", "lambda depends on the length of the run"),
    ("module=pseudo_label module.rounds=0", "module.rounds=0: expected 1 or more."),
    ("module=pseudo_label module.rounds=1000", "20 epochs are too few for 1001 rounds. Type module.rounds=19 or"),
    ("module=pseudo_label module.threshold=2", "module.threshold=2: expected a probability from 0 to 1, such as 0.95."),
    (
        "module=pseudo_label module.start=nowhere",
        "weights=nowhere: expected random, imagenet, embedded, a run directory",
    ),
    ("scheduler.alpha=-1", "alpha=-1: expected 0 or more"),
    ("optimizer.lr=-1", "learning rate"),
]


@pytest.mark.parametrize(("typed", "said"), DANNS, ids=[typed for typed, _ in DANNS])
def test_a_mistake_between_domains_gets_one_clear_message(
    typed: str, said: str, train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        train("experiment=dann_mnistm", "data=embedded", "logger=none", *typed.split(" "))
    check_message(said, exit_.value.code, capsys.readouterr().err, tmp_path)


def test_the_dataset_is_missing_and_there_is_no_network(
    train: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("LABS_OFFLINE", "1")
    with pytest.raises(SystemExit) as exit_:
        train("experiment=cub_scratch", f"paths.data='{tmp_path / 'data'}'")
    message = capsys.readouterr().err
    assert exit_.value.code == 2
    for part in ("images.tgz", str(tmp_path / "data"), "data=embedded", "2a6d2246"):
        assert part in message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    "arguments",
    [
        ("weights=embedded", "paths.data=/dev/null/x"),
        ("experiment=cub_scratch", "data=embedded", "paths.data=/dev/null/x"),
        ("experiment=cub_scratch", "paths.data=/dev/null/x"),
        ("-m", "weights=random", "seed=0,1", "hydra.sweep.dir=/dev/null/x"),
    ],
)
def test_a_place_where_nothing_can_be_made_is_named(
    arguments: tuple[str, ...], train: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        train(*arguments)
    check_message("Not a directory. Type another folder", exit_.value.code, capsys.readouterr().err, tmp_path)


def test_a_run_whose_directory_is_removed_says_so(
    train: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rest of the command line is still answered, and nobody is told to go on with what is gone."""
    monkeypatch.setattr("labs.callbacks.reseed.Reseed.on_train_epoch_start", lambda *_: shutil.rmtree(tmp_path / "run"))
    with pytest.raises(SystemExit) as exit_:
        train("weights=random", "hydra.run.dir=run", "trainer.max_epochs=1", "logger=none")
    message = capsys.readouterr().err
    assert exit_.value.code == 2
    assert ": No such file or directory. Type another folder" in message, message
    assert "Traceback" not in message
    assert "go on with" not in message


def test_a_fault_of_ours_keeps_its_traceback(train: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from labs.modules.classifier import Classifier

    monkeypatch.setattr(Classifier, "training_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train("weights=random", "trainer.max_epochs=1")
