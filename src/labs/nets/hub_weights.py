"""Weights of the Hugging Face hub, pinned: which commit and which bytes are written down once, then never change.

A name such as `timm/resnet18d.ra2_in1k` stands for a branch, whose file may change. On first use the hub is asked for
the commit it stands at and for the file's SHA-256; both are kept beside the weights. From then on that very file is
meant, it is verified whenever it is used, and no network is needed. A file that the user has put into the folder, as
`timm-resnet18d.ra2_in1k.safetensors`, is taken as it is: its bytes are then what the name means.
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
from labs.nets.weight_files import weights_folder
from labs.storage.archive import digest_of
from labs.storage.files import read_json, write_text

SECONDS = 10.0  # without an answer, after which the hub cannot be asked


class HubFile(NamedTuple):
    """A file of the hub, down to its bytes."""

    repo: str  # such as `timm/resnet18d.ra2_in1k`
    commit: str  # empty for a file that the user has put into the folder
    file: str  # its name there, such as `model.safetensors`
    sha256: str
    size: int | None

    folder: Path  # where it lies or goes

    def __str__(self) -> str:
        return f"{self.repo}{f' at commit {self.commit}' if self.commit else ''}, sha256 {self.sha256}"

    def path(self) -> Path:
        """Return where the file lies, verified; download it if it is not there.

        Raises:
            LabsError: it cannot be downloaded, or has other bytes.
        """
        from labs.storage.fetch import Archive, fetch

        stem, suffix = self.repo.replace("/", "-"), Path(self.file).suffix
        name = f"{stem}-{self.sha256[:8]}{suffix}" if self.commit else f"{stem}{suffix}"
        urls = (_url(self.repo, self.file, self.commit),) if self.commit else ()
        return fetch(Archive(name=name, urls=urls, sha256=self.sha256, size=self.size), self.folder)


def pinned(repo: str, file: str, revision: str | None, typed: str | None) -> HubFile:
    """Return what a file of the hub is: as it lies in the folder of weights, or else as the hub says now.

    Args:
        repo: of the hub.
        file: its name there.
        revision: branch, tag or commit; None for the main branch.
        typed: the folder, as in `labs.nets.weight_files.weights_folder`.

    Raises:
        LabsError: nothing is there, and the hub cannot be asked, does not have the file, or states no SHA-256.
    """
    stem = repo.replace("/", "-")
    note_name = f"{stem}@{urllib.parse.quote(revision or 'main', safe='')}.json"
    own_name = f"{stem}{Path(file).suffix}"
    folder = weights_folder(typed, [note_name] if revision else [note_name, own_name])
    note, own = folder / note_name, folder / own_name
    try:
        known = HubFile(**read_json(note), folder=folder)
        if (known.repo, known.file) == (repo, file) and re.fullmatch("[0-9a-f]{64}", known.sha256):
            return known
    except (OSError, ValueError, TypeError):  # absent, torn or foreign
        pass
    if own.is_file() and not revision:
        return HubFile(repo, "", file, digest_of(own, "sha256"), own.stat().st_size, folder)
    try:
        found = HubFile(*_ask(repo, file, revision or "main"), folder=folder)
    except LookupError as error:
        by_hand = "" if revision else f", or put its {file} by hand at {own}"
        raise LabsError(
            f"The weights {repo} were never fetched into {folder}, and {error}. Type weights=random, fetch them once "
            f"with a network{by_hand}; net=squeezenet and net=efficientnet_lite0 have ImageNet's weights without one."
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    facts = {name: value for name, value in found._asdict().items() if name != "folder"}
    write_text(note, json.dumps(facts, indent=1) + "\n")
    return found


def _url(repo: str, file: str, revision: str) -> str:
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"  # the variable that the hub's client reads
    return f"{endpoint.rstrip('/')}/{repo}/resolve/{urllib.parse.quote(revision, safe='')}/{file}"


def _ask(repo: str, file: str, revision: str) -> tuple[str, str, str, str, int | None]:
    """Ask the hub what a file is, as a `HubFile` has it; LookupError says why it cannot be known."""
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
    return repo, commit, file, digest, int(size) if size.isdecimal() else None


class _WithinTheHub(urllib.request.HTTPRedirectHandler):
    """Follow redirects to other names of a repository, not the one to the server of the bytes."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        """Return the request that follows a redirect; None ends there, with an HTTPError."""
        relative = not urllib.parse.urlsplit(headers.get("Location", "")).netloc
        return urllib.request.Request(newurl, method="HEAD", headers=dict(req.headers)) if relative else None
