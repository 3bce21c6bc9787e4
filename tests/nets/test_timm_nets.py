"""Nets of timm: any name, a head for our classes, and weights whose commit and bytes are written down."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import timm
import torch
from recipes import described
from safetensors.torch import save
from torch import nn

from labs import LabsError
from labs.callbacks.freeze import Freeze
from labs.functional.normalization import IMAGENET
from labs.inspection.fixed_front import fixed_cuts
from labs.inspection.summary import summarize
from labs.nets.folding import fold_normalization
from labs.nets.hub_weights import pinned
from labs.nets.timm_nets import build_net
from labs.nets.torchvision_nets import head_name

COMMIT = "0123456789" * 4
NAME = "convnext_atto.d2_in1k"


class Hub:
    """What the hub answers: by path, bytes and how often they were sent."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.commit = COMMIT
        self.requests: list[str] = []

    def handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                hub.requests.append(f"{self.command} {self.path}")
                if self.path.startswith("/bytes/"):
                    body = hub.files.get(self.path.removeprefix("/bytes/"), b"")
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                    return
                repo, _, rest = self.path.lstrip("/").partition("/resolve/")
                body = hub.files.get(f"{repo}/{rest.partition('/')[2]}", b"")
                self.send_response(302 if body else 404)
                if body:
                    host, port = self.server.server_address[:2]
                    self.send_header("Location", f"http://{host!s}:{port}/bytes/{repo}/{rest.partition('/')[2]}")
                    self.send_header("X-Repo-Commit", hub.commit)
                    self.send_header("X-Linked-Etag", f'"{hashlib.sha256(body).hexdigest()}"')
                    self.send_header("X-Linked-Size", str(len(body)))
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_HEAD = do_GET = _answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Serve a hub on 127.0.0.1."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), hub.handler())
    thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.delenv("LABS_OFFLINE", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def trained() -> dict[str, torch.Tensor]:
    """Weights of a small net with 1,000 classes."""
    torch.manual_seed(0)
    return timm.create_model("convnext_atto").state_dict()


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18d", 64), (NAME, 64), ("vit_tiny_patch16_224", 64), ("mixer_s32_224", 64), ("regnetx_002", 64),
     ("mobilenetv3_small_050", 64), ("tf_efficientnet_lite0", 64)],
)  # fmt: skip
def test_a_net_answers_freezes_is_summarized_and_cut(name: str, size: int) -> None:
    net = build_net(name=name, num_classes=7, image_size=size)
    head = net.get_submodule(head_name(net))
    assert isinstance(head, nn.Linear)
    assert head.out_features == 7
    summary = summarize(net, (3, size, size))
    assert summary.exact
    assert summary.row(head_name(net)).output_shape == (7,)
    freeze = Freeze(patterns=["backbone"])
    freeze.apply(net.train(), epoch=0)
    assert {n.rpartition(".")[0] for n, p in net.named_parameters() if p.requires_grad} == {head_name(net)}
    cuts, blocker = fixed_cuts(net, torch.zeros(1, 3, size, size), lambda n: n.startswith(f"{head_name(net)}."))
    assert blocker == f"{head_name(net)}.weight is trainable."
    prefix, suffix = cuts[-1].parts()
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        torch.testing.assert_close(suffix(prefix(images)), net.eval()(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet18dd"}, r"net\.name=resnet18dd: timm [\d.]+ has no such net \(did you mean resnet18d\?\)"),
        ({"name": "convnext_atto.d3_in1k"}, r"did you mean d2_in1k\?\); the tags of convnext_atto are: d2_in1k\."),
        ({"name": "levit_128s"}, "several heads"),
        (
            {"name": "mixer_s32_224", "weights": "imagenet"},
            r"no weights for net\.name=mixer.*Type weights=random",
        ),
        ({"name": "xcit_nano_12_p16_224", "image_size": 100}, r"100x100 pixels; type datamodule\.image_size=224"),
        ({"name": "resnet18d", "num_classes": 1}, "at least 2 classes"),
        ({"name": "resnet18d", "weights": "imagnet"}, r"did you mean imagenet\?"),
    ],
)
def test_mistakes_are_explained(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(LabsError, match=message):
        build_net(**{"num_classes": 7, **arguments})


def test_weights_are_pinned_verified_and_used_offline(
    hub: Hub, trained: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = save(trained)
    hub.files[f"timm/{NAME}/model.safetensors"] = body
    settings: dict[str, Any] = {"name": "convnext_atto", "num_classes": 7, "weights": "imagenet"}
    net = build_net(**settings, weights_folder=str(tmp_path))
    assert all(torch.equal(t, trained[n]) for n, t in net.state_dict().items() if not n.startswith("head.fc."))
    assert hub.requests[0] == f"HEAD /timm/{NAME}/resolve/main/model.safetensors"
    assert hub.requests[1] == f"GET /timm/{NAME}/resolve/{COMMIT}/model.safetensors", "the commit, not the branch"
    note = json.loads((tmp_path / f"timm-{NAME}@main.json").read_text())
    assert (note["commit"], note["sha256"]) == (COMMIT, hashlib.sha256(body).hexdigest())

    hub.commit, asked = "f" * 40, len(hub.requests)
    monkeypatch.setenv("LABS_OFFLINE", "1")
    whole = build_net(**{**settings, "num_classes": 1000}, weights_folder=str(tmp_path), keep_head=True)
    assert torch.equal(whole.state_dict()["head.fc.weight"], trained["head.fc.weight"])
    fresh = build_net(**{**settings, "num_classes": 1000}, weights_folder=str(tmp_path))
    assert not torch.equal(fresh.state_dict()["head.fc.weight"], trained["head.fc.weight"])
    assert len(hub.requests) == asked

    file = next(tmp_path.glob("*.safetensors"))
    file.write_bytes(body[:-1] + b"!")
    with pytest.raises(LabsError, match="is not the expected file"):
        build_net(**settings, weights_folder=str(tmp_path))


def test_commit_and_bytes_are_part_of_a_recipe(hub: Hub, trained: dict[str, torch.Tensor], tmp_path: Path) -> None:
    hub.files[f"timm/{NAME}/model.safetensors"] = save(trained)
    words = ("experiment=cub_full", "data=embedded", "net=timm", "weights=imagenet", "module.net.name=convnext_atto")
    first = described(*words, f"module.net.weights_folder={tmp_path}/a")
    assert COMMIT in first.text
    hub.commit = "f" * 40
    assert described(*words, f"module.net.weights_folder={tmp_path}/a").key == first.key, "as it was written down"
    assert described(*words, f"module.net.weights_folder={tmp_path}/b").key != first.key
    assert first.facts["start_labels"] == ["ImageNet weights"]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, r"the hub answers 404 for model\.safetensors at main\. Type weights=random"),
        ({"LABS_OFFLINE": "1"}, "LABS_OFFLINE does not allow downloads"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, r"the hub cannot be reached \(.*refused.*\)\. Type weights=random"),
    ],
)
def test_without_the_hub_it_says_what_to_type(
    environment: dict[str, str], said: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LabsError, match=said) as caught:
        pinned("timm/resnet18d.ra2_in1k", "model.safetensors", None, str(tmp_path))
    assert f"copy its model.safetensors to {tmp_path}/timm-resnet18d.ra2_in1k.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_weights_that_the_user_brings_are_what_a_name_means(
    trained: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the folder of weights, or in torch's own cache where the folder has them not."""
    monkeypatch.setenv("LABS_OFFLINE", "1")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    folder, cache = tmp_path / "mine", tmp_path / "hub" / "checkpoints"
    settings: dict[str, Any] = {"name": "convnext_atto", "num_classes": 7, "weights": "imagenet"}
    words = ("experiment=cub_full", "data=embedded", "net=timm", "weights=imagenet", "module.net.name=convnext_atto")
    keys = []
    for place, factor in ((cache, 1), (folder, 2)):
        place.mkdir(parents=True)
        content = {name: tensor * factor for name, tensor in trained.items()}
        (place / f"timm-{NAME}.safetensors").write_bytes(save(content))
        net = build_net(**settings, weights_folder=str(folder))
        assert torch.equal(net.state_dict()["stem.0.bias"], content["stem.0.bias"])
        keys.append(described(*words, f"paths.weights={folder}").key)
    assert keys[0] != keys[1], "other bytes are another recipe"


@pytest.mark.parametrize("bias", [True, False])
def test_a_folded_normalization_is_the_same_net(bias: bool) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, bias=bias), nn.BatchNorm2d(4), nn.ReLU()).double().eval()
    images = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    mean, std = (torch.tensor(values, dtype=torch.float64).view(3, 1, 1) for values in IMAGENET[1:])
    with torch.no_grad():
        expected = net((images - 0.5) / 0.25)
        assert fold_normalization(net, "0", (0.5,) * 3, (0.25,) * 3)
        torch.testing.assert_close(net((images - mean) / std), expected)


def test_what_cannot_be_folded_stays_as_it_was() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU())
    before = net[0].weight.clone()  # type: ignore[operator]
    assert not fold_normalization(net, "0", (0.5,) * 3, (0.5,) * 3)
    assert torch.equal(net[0].weight, before)  # type: ignore[arg-type]


def test_timm_is_imported_only_where_it_is_used() -> None:
    names = "labs.cli, labs.cli.check, labs.cli.describe, labs.nets.timm_nets, labs.nets.torchvision_nets"
    code = f"import sys, {names}, labs.modules.classifier; sys.exit('timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
