"""Weights of the Hugging Face hub, pinned: which commit and which bytes are written down once, then never change.

A name such as `timm/resnet18d.ra2_in1k` stands for a branch, whose file may change. On first use the hub is asked for
the commit it stands at and for the file's SHA-256; both are kept beside the weights. From then on that very file is
meant, it is verified whenever it is used, and no network is needed.
"""

import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from labs import LabsError
from labs.storage.files import read_json, write_text

SECONDS = 10.0  # without an answer, after which the hub cannot be asked


class HubFile(NamedTuple):
    """A file of the hub, down to its bytes."""

    repo: str  # such as `timm/resnet18d.ra2_in1k`
    commit: str
    file: str  # its name there, such as `model.safetensors`
    sha256: str
    size: int | None

    def __str__(self) -> str:
        return f"{self.repo} at commit {self.commit}, sha256 {self.sha256}"

    def path(self, folder: Path) -> Path:
        """Return where the file lies, verified; download it if it is not there.

        Raises:
            LabsError: it cannot be downloaded, or has other bytes.
        """
        from labs.storage.fetch import Archive, fetch

        name = f"{self.repo.replace('/', '-')}-{self.sha256[:8]}{Path(self.file).suffix}"
        url = _url(self.repo, self.file, self.commit)
        return fetch(Archive(name=name, urls=(url,), sha256=self.sha256, size=self.size), folder)


def pinned(repo: str, file: str, revision: str | None, folder: Path) -> HubFile:
    """Return what a file of the hub is: as it was written down in `folder`, or else as the hub says now.

    Args:
        repo: of the hub.
        file: its name there.
        revision: branch, tag or commit; None for the main branch.
        folder: of the weights.

    Raises:
        LabsError: nothing is written down, and the hub cannot be asked, does not have the file, or states no SHA-256.
    """
    revision = revision or "main"
    note = folder / f"{repo.replace('/', '-')}@{urllib.parse.quote(revision, safe='')}.json"
    try:
        known = HubFile(**read_json(note))
        if (known.repo, known.file) == (repo, file) and re.fullmatch("[0-9a-f]{64}", known.sha256):
            return known
    except (OSError, ValueError, TypeError):  # absent, torn or foreign
        pass
    try:
        found = _ask(repo, file, revision)
    except LookupError as error:
        raise LabsError(
            f"The weights {repo} were never fetched into {folder}, and {error}. Type weights=random, or fetch them "
            "once with a network; net=squeezenet and net=efficientnet_lite0 have ImageNet's weights without one."
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    write_text(note, json.dumps(found._asdict(), indent=1) + "\n")
    return found


def _url(repo: str, file: str, revision: str) -> str:
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"  # the variable that the hub's client reads
    return f"{endpoint.rstrip('/')}/{repo}/resolve/{urllib.parse.quote(revision, safe='')}/{file}"


def _ask(repo: str, file: str, revision: str) -> HubFile:
    """Ask the hub what a file is; LookupError says why it cannot be known."""
    offline = [name for name in ("LABS_OFFLINE", "HF_HUB_OFFLINE") if os.environ.get(name, "0") not in ("", "0")]
    if offline:
        raise LookupError(f"{offline[0]} forbids to ask the hub")
    headers: Any
    try:
        request = urllib.request.Request(_url(repo, file, revision), method="HEAD", headers={"User-Agent": "labs"})
        with urllib.request.build_opener(_WithinTheHub).open(request, timeout=SECONDS) as response:
            headers = response.headers
    except urllib.error.HTTPError as error:  # a redirect to the bytes, too, whose headers say what they are
        error.close()
        headers = error.headers
        if error.code >= 400:
            raise LookupError(f"the hub answers {error.code} for {file} at {revision}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        raise LookupError(f"the hub cannot be asked ({reason})") from error
    commit, digest = headers.get("X-Repo-Commit", ""), headers.get("X-Linked-Etag", "").strip('"')
    if not re.fullmatch("[0-9a-f]{40}", commit) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise LookupError(f"the hub states no commit or no SHA-256 of {file}")
    size = headers.get("X-Linked-Size", "")
    return HubFile(repo, commit, file, digest, int(size) if size.isdecimal() else None)


class _WithinTheHub(urllib.request.HTTPRedirectHandler):
    """Follow redirects to other names of a repository, not the one to the server of the bytes."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        """Return the request that follows a redirect; None ends there, with an HTTPError."""
        relative = not urllib.parse.urlsplit(headers.get("Location", "")).netloc
        return urllib.request.Request(newurl, method="HEAD", headers=dict(req.headers)) if relative else None
