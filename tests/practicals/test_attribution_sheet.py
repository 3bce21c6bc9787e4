"""Maps in the closing table and in the report, also where a file is missing or damaged."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from reporting.fake_runs import rows, write_run

from labs.practicals.attribution import SHEET
from labs.practicals.attribution.table_of_maps import draw_table_of_maps

HEAD = "\t".join(
    ("image", "label", "answer", "confidence", "target", "spearman", "ssim", "deletion", "random_deletion", "insertion",
     "random_insertion", "fails")
)  # fmt: skip
CAT = "cat\t\tEgyptian cat\t0.55\tEgyptian cat\t0.4\t0.2\t0.02\t0.03\t0.4\t0.1\t"
DOG = "dog\t\tcost $5 dog\t0.9\tcost $5 dog\t0.8\t0.2\t0.05\t0.03\t0.4\t0.1\trandom weights give a similar map"


def leave(folder: Path, *lines: str) -> Path:
    """Leave what a run of maps does."""
    write_run(folder, "saliency_squeezenet", practical="attribution", metrics={"test/passed": 0.5}, counts={"test": 2})
    (folder / "maps.tsv").write_text("\n".join([HEAD, *lines, ""]))
    for kind in ("inputs", "maps"):
        (folder / "images" / kind).mkdir(parents=True)
        for name in ("cat", "dog"):
            Image.new("RGB", (16, 16), "red").save(folder / "images" / kind / f"{name}.png")
    return folder


def test_the_closing_table_has_a_line_for_each_image(tmp_path: Path) -> None:
    run = leave(tmp_path / "run", CAT, DOG)
    table = SHEET.results({"metrics": {}}, run)
    assert table[1:] == [
        ["cat", "Egyptian cat 55 %", "0.40", "0.02", "0.03", "passes"],
        ["dog", "cost $5 dog 90 %", "0.80", "0.05", "0.03", "fails"],
    ]
    (run / "maps.tsv").unlink()
    assert SHEET.results({"metrics": {"test/passed": 0.5}}, run)[1] == ["test/passed", "0.5"]


def test_the_report_shows_the_maps_of_every_row(tmp_path: Path) -> None:
    leave(tmp_path / "one", CAT, DOG)
    found = rows(tmp_path)
    assert (draw_table_of_maps(found, "Maps") or b"").startswith(b"\x89PNG")


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    run = leave(tmp_path / "one", CAT)
    found = rows(tmp_path)
    for content in ("", "image\ttarget\ncat\tx\n", f"{HEAD}\n{CAT.replace('0.02', 'much')}\n"):
        (run / "maps.tsv").write_text(content)
        assert draw_table_of_maps(found, "Maps") is None
