"""Faces in the report: made-up runs whose accuracies and roughness are chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
from reporting.fake_runs import rows, write_run

from labs.practicals import sheet_of
from labs.practicals.facescrub import mean_roughness
from labs.practicals.facescrub.observations import observations
from labs.reporting.find import find_runs
from labs.reporting.published import load_published
from labs.reporting.write import write_report

SHEET = sheet_of("facescrub")


def recognize(
    folder: Path,
    experiment: str,
    accuracy: float,
    *,
    seed: int = 0,
    optimizer: str = "adam",
    rough: float | None = None,
    weights: str = "random",
) -> Path:
    directory = write_run(
        folder / f"{experiment}-{optimizer}-{seed}",
        experiment,
        seed=seed,
        test_acc=accuracy,
        practical="facescrub",
        choices={"net": "mlp", "optimizer": optimizer, "scheduler": "none", "weights": weights},
    )
    if rough is not None:
        lines = ["unit\troughness\tclass\tcontribution", f"0\t{rough - 0.1}\tAda\t0.3", f"1\t{rough + 0.1}\t\t"]
        (directory / "hidden_units.tsv").write_text("".join(f"{line}\n" for line in lines))
    return directory


def test_the_observations_of_the_handout_are_judged_over_seeds(tmp_path: Path) -> None:
    for seed in range(3):
        noise = 0.004 * seed
        recognize(tmp_path, "facescrub_mlp", 0.85 + noise, seed=seed, rough=2.0 + noise)
        recognize(tmp_path, "facescrub_mlp", 0.84 + noise, seed=seed, optimizer="adam_l2", rough=1.2 + noise)
        recognize(tmp_path, "facescrub_conv4", 0.97 + noise, seed=seed, weights="pretrained")
        recognize(tmp_path, "facescrub_finetune", 0.97 - noise, seed=seed, weights="pretrained")
    activations, fine_tuned, smooth = observations(rows(tmp_path))
    assert "than one on pixels: holds (3 of 3 seeds): test accuracy (%) 97.4 against 85.4." in activations
    assert "than fixed activations: undecided (0 of 3 seeds)" in fine_tuned
    assert smooth == (
        "An L2 penalty makes the weights of 300 hidden units smoother: holds (3 of 3 seeds): roughness 1.2 against 2."
    )


def test_the_report_has_the_range_of_the_handout_and_the_roughness(tmp_path: Path) -> None:
    recognize(tmp_path / "runs", "facescrub_mlp", 0.85, rough=2.0)
    write_report([tmp_path / "runs"], tmp_path / "report")
    text = (tmp_path / "report" / "table.md").read_text(encoding="utf-8")
    assert "80-85%" in text
    assert "2.00" in text
    published = load_published(SHEET)
    assert published is not None
    assert published.rows[0].values == {"test/acc": 0.8}


@pytest.mark.parametrize("content", [None, "", "unit\tother\n1\t2\n", "unit\troughness\n1\n", "unit\troughness\n"])
def test_a_run_without_hidden_units_has_no_roughness(tmp_path: Path, content: str | None) -> None:
    directory = recognize(tmp_path, "facescrub_conv4", 0.9)
    if content is not None:
        (directory / "hidden_units.tsv").write_text(content)
    (run,) = find_runs([tmp_path])
    assert mean_roughness(run) is None
