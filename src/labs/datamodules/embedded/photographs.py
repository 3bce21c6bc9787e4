"""Photographs and textures in the wheels of scikit-image and scikit-learn, with their credits and licenses.

Titles, credits and licenses are from the docstrings of `skimage/data/_fetchers.py` (scikit-image 0.26) and from
`sklearn/datasets/images/README.txt` (scikit-learn 1.9). Pictures without a stated license are not included.
"""

from pathlib import Path
from typing import NamedTuple

from labs.storage.packages import PackageFile

WHEELS = {"skimage": "scikit-image", "sklearn": "scikit-learn"}  # import name: package to install
CC0, CC_BY, PUBLIC_DOMAIN = "CC0", "CC BY 2.0", "public domain"


class Photograph(NamedTuple):
    """One picture, and the credits to show with it."""

    name: str  # typed on the command line
    package: str  # import name
    file: str  # inside the package
    title: str
    credit: str
    license: str

    @property
    def path(self) -> Path:
        """The file, found without importing its package.

        Raises:
            LabsError: the package is not installed, or its version does not have the file.
        """
        file = PackageFile(self.package, WHEELS[self.package], self.file)
        return file.path(f"the embedded picture {self.name}")

    @property
    def credit_line(self) -> str:
        """Title, author and license in one line, to show with the picture."""
        return f"{self.name}: {self.title}; {self.credit} ({self.license}, from {WHEELS[self.package]})"


_FLICKR = "flickr.com/photos/"
_ALL = (
    Photograph("astronaut", "skimage", "data/astronaut.png", "Eileen Collins", "NASA Great Images", PUBLIC_DOMAIN),
    Photograph("brick", "skimage", "data/brick.png", "brick wall, grey", "CC0Textures, Bricks25", CC0),
    Photograph("camera", "skimage", "data/camera.png", "man with a camera, grey", "Lav Varshney", CC0),
    Photograph("chelsea", "skimage", "data/chelsea.png", "Chelsea the cat", "Stefan van der Walt", CC0),
    Photograph(
        "china", "sklearn", "datasets/images/china.jpg", "Chinese palace", f"{_FLICKR}danielbuechele/6061409035", CC_BY
    ),
    Photograph(
        "coffee", "skimage", "data/coffee.png", "cup of coffee", "Rachel Michetti, courtesy of Pikolo Espresso Bar", CC0
    ),
    # The README names danielbuechele here, too, but it links to vultilion's page.
    Photograph("flower", "sklearn", "datasets/images/flower.jpg", "flower", f"{_FLICKR}vultilion/6056698931", CC_BY),
    Photograph("grass", "skimage", "data/grass.png", "grass, grey", "linolafett (DeviantArt), Grass 01", CC0),
    Photograph("gravel", "skimage", "data/gravel.png", "gravel, grey", "CC0Textures, Gravel04", CC0),
    Photograph("hubble", "skimage", "data/hubble_deep_field.jpg", "eXtreme Deep Field", "NASA, Hubble", PUBLIC_DOMAIN),
    Photograph(
        "ihc",
        "skimage",
        "data/ihc.png",
        "colonic glands, immunohistochemical stain",
        "Center for Microscopy and Molecular Imaging",
        "no known copyright restrictions",
    ),
    Photograph("retina", "skimage", "data/retina.jpg", "fundus of a left eye", "Mikael Häggström", CC0),
    Photograph("rocket", "skimage", "data/rocket.jpg", "launch of DSCOVR on Falcon 9", "SpaceX", PUBLIC_DOMAIN),
)
PHOTOGRAPHS: dict[str, Photograph] = {photograph.name: photograph for photograph in _ALL}
