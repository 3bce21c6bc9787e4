"""Pinned weights from the Hugging Face hub: commit and checksum are recorded at the first use and then stay the same.

A name such as `timm/resnet18d.ra2_in1k` refers to a branch, whose file may change. At the first use, the hub returns
the current commit and the file's SHA-256, which are saved with the weights. From then on the name means exactly this
file; it is verified at every use, and no network is needed. A file that the user has put into the folder, such as
`timm-resnet18d.ra2_in1k.safetensors`, is used as it is.
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

SECONDS = 10.0  # timeout of requests to the hub


class HubFile(NamedTuple):
    """A file of the hub, identified by its checksum."""

    repo: str  # such as `timm/resnet18d.ra2_in1k`
    commit: str  # empty for a file that the user has put into the folder
    file: str  # file name on the hub, such as `model.safetensors`
    sha256: str
    size: int | None

    folder: Path  # local folder of the file

    def __str__(self) -> str:
        return f"{self.repo}{f' at commit {self.commit}' if self.commit else ''}, sha256 {self.sha256}"

    def path(self) -> Path:
        """Return the local path of the verified file, and download it if needed.

        Raises:
            LabsError: If the file cannot be downloaded, or if its checksum is wrong.
        """
        from labs.storage.fetch import Archive, fetch

        stem, suffix = self.repo.replace("/", "-"), Path(self.file).suffix
        name = f"{stem}-{self.sha256[:8]}{suffix}" if self.commit else f"{stem}{suffix}"
        urls = (_url(self.repo, self.file, self.commit),) if self.commit else ()
        own = bool(os.environ.get("HF_ENDPOINT"))  # whoever names a mirror may name one inside a campus
        archive = Archive(name=name, urls=urls, sha256=self.sha256, size=self.size)
        return fetch(archive, self.folder, allow_private=own)


def pinned(repo: str, file: str, revision: str | None, typed: str | None) -> HubFile:
    """Return a pinned file of the hub, from the folder of weights if it is known there, else from the hub.

    Args:
        repo: Repository on the hub.
        file: File name in the repository.
        revision: Branch, tag or commit. None: the main branch.
        typed: The folder, as in `labs.nets.weight_files.weights_folder`.

    Raises:
        LabsError: If the file is not known and the hub does not answer, does not have it, or gives no SHA-256.
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
        by_hand = "" if revision else f", or copy its {file} to {own}"
        raise LabsError(
            f"The weights {repo} are not in {folder}, and {error}. Type weights=random, or run the command once with a "
            f"network{by_hand}. The nets net=squeezenet and net=efficientnet_lite0 have ImageNet weights without one."
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    facts = {name: value for name, value in found._asdict().items() if name != "folder"}
    write_text(note, json.dumps(facts, indent=1) + "\n")
    return found


def _url(repo: str, file: str, revision: str) -> str:
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"  # the variable that the hub's client reads
    return f"{endpoint.rstrip('/')}/{repo}/resolve/{urllib.parse.quote(revision, safe='')}/{file}"


def _ask(repo: str, file: str, revision: str) -> tuple[str, str, str, str, int | None]:
    """Ask the hub for the fields of a `HubFile`; a LookupError gives the reason if that is not possible."""
    offline = [name for name in ("LABS_OFFLINE", "HF_HUB_OFFLINE") if os.environ.get(name, "0") not in ("", "0")]
    if offline:
        raise LookupError(f"{offline[0]} does not allow downloads from the hub")
    headers: Any
    try:
        request = urllib.request.Request(_url(repo, file, revision), method="HEAD", headers={"User-Agent": "labs"})
        with urllib.request.build_opener(_WithinTheHub).open(request, timeout=SECONDS) as response:
            headers = response.headers
    except urllib.error.HTTPError as error:  # also a redirect to the file, whose headers have the checksum
        error.close()
        headers = error.headers
        if error.code >= 400:
            raise LookupError(f"the hub answers {error.code} for {file} at {revision}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        raise LookupError(f"the hub cannot be reached ({reason})") from error
    commit, digest = headers.get("X-Repo-Commit", ""), headers.get("X-Linked-Etag", "").strip('"')
    if not re.fullmatch("[0-9a-f]{40}", commit) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise LookupError(f"the hub gives no commit or no SHA-256 of {file}")
    size = headers.get("X-Linked-Size", "")
    return repo, commit, file, digest, int(size) if size.isdecimal() else None


class _WithinTheHub(urllib.request.HTTPRedirectHandler):
    """Follow redirects to another name of a repository, but not to the file server."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Any:
        """Return the request that follows a redirect, or None to stop with an HTTPError."""
        relative = not urllib.parse.urlsplit(headers.get("Location", "")).netloc
        return urllib.request.Request(newurl, method="HEAD", headers=dict(req.headers)) if relative else None
