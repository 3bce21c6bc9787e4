"""Where pictures begin: in images, or in noise."""

from pathlib import Path

import pytest
from class_pictures import data, fit, module

from labs import LabsError

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*LeafSpec")


def test_without_images_there_is_nothing_to_count() -> None:
    served = data()
    served.setup("fit")
    assert (served.names, served.credits, served.facts()["counts"]) == ([], [], {})
    assert len(served.train_dataloader()) == len(served.test_dataloader()) == 1


def test_images_are_read_with_their_credits(tmp_path: Path) -> None:
    one = fit(module(), tmp_path, images="gravel")
    facts = one.trainer.datamodule.facts()
    assert facts["images"] == ["gravel"]
    assert facts["counts"] == {}
    assert facts["labels"] == ["embedded data"]
    assert facts["credits"][0].startswith("gravel: ")


def test_an_image_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LabsError, match=r"datamodule.images=gravle: .* \(did you mean gravel\?\)"):
        fit(module(), tmp_path, images="gravle")
