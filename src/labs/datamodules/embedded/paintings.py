"""The embedded substitute for WikiArt: drawn paintings, in the layout of the downloaded dataset.

Beside the images are the list of addresses and the manifest. As in the real dataset, some addresses are dead. Every
picture is a function of (seed, class, number) only.
"""

import csv
import hashlib
from pathlib import Path

import numpy as np

from labs.datamodules.embedded.other_hands import OTHER_HANDS
from labs.datamodules.embedded.painting_hands import HANDS, HANDS_VERSION, paint
from labs.datamodules.embedded.painting_motifs import MOTIFS, MOTIFS_VERSION
from labs.storage.bars import image_bar
from labs.storage.manifest import Row, Wanted, write_manifest
from labs.storage.whole_folder import whole_folder

PAINTINGS_VERSION = f"{HANDS_VERSION}.{MOTIFS_VERSION}"
TEST_SHARE = 0.3  # of each class
DEAD = 20  # every 20th address is dead


def write_paintings(root: Path, *, group: str, images_per_class: int, seed: int = 0, progress: bool = True) -> None:
    """Write `root/wikiart.csv`, `root/images/` and `root/manifest.tsv`; the folder is complete or missing.

    Args:
        root: the folder to create; its parent exists.
        group: `downstream` (the practical's hands) or `upstream` (other hands, for pretraining); each paints any motif.
        images_per_class: images per class, including those at dead addresses.
        seed: random seed of the pictures.
        progress: whether to show a progress bar.
    """
    hands = HANDS if group == "downstream" else OTHER_HANDS
    lines, rows = [], []
    with whole_folder(root) as partial:
        (partial / "images").mkdir()
        with image_bar(progress) as bar:
            task = bar.add_task("drawing paintings", total=len(hands) * images_per_class)
            for label, (name, hand) in enumerate(hands.items()):
                for number in range(images_per_class):
                    rng = np.random.default_rng([seed, group == "upstream", label, number])
                    motif = str(rng.choice(list(MOTIFS)))
                    image_id = hashlib.sha256(f"{group} {label} {number}".encode()).hexdigest()[:24]
                    url = f"http://uploads{number % 9}.paintings.invalid/images/{name}/{motif}-{number}.jpg"
                    split = "test" if number < TEST_SHARE * images_per_class else "train"
                    lines.append((image_id, url, url, label, split))
                    file = Wanted(url, f"images/{image_id}.jpg")
                    if number % DEAD == DEAD - 1:
                        rows.append(Row.of(file, why="404 Not Found"))
                    else:
                        path = partial / file.name
                        paint(hand, motif, rng).save(path, quality=90)
                        digest = hashlib.sha256(path.read_bytes()).hexdigest()
                        rows.append(Row.of(file, sha256=digest, length=path.stat().st_size))
                    bar.advance(task)
        with (partial / "wikiart.csv").open("w", encoding="utf-8", newline="") as table:
            writer = csv.writer(table)
            writer.writerow(("image_id", "page_url", "image_url", "label", "_split"))
            writer.writerows(lines)
        write_manifest(partial, rows)
