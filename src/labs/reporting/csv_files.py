"""The tables as CSV for further work: full precision, in the units of metrics.json (accuracies in [0, 1])."""

import csv
import io
from collections.abc import Sequence

from labs.reporting.escape import csv_cells
from labs.reporting.row import Row
from labs.reporting.tables import Table


def to_csv(tables: Sequence[Table]) -> str:
    """Write all tables as one CSV, one line per row."""
    keys = list(dict.fromkeys(column.key for table in tables for column in table.columns))
    fields = ["practical", "data", "row", "experiment", "labels", "status", "n", "seeds", "mark", "p_value"]
    for key in keys:
        fields += [key, *(f"{key} {part}" for part in ("std", "low", "high", "interval", "published"))]
    output = io.StringIO()
    writer = csv.DictWriter(output, [*fields, "published in", "commands", "notes"], lineterminator="\n")
    writer.writerow(csv_cells({name: name for name in writer.fieldnames}))  # names of metrics are a run's own
    for table in tables:
        writer.writerows(csv_cells(_csv_row(table, row)) for row in table.rows)
    return output.getvalue()


def runs_to_csv(tables: Sequence[Table]) -> str:
    """Write every run of all tables, one per line: its ranked metric with Wilson's interval and McNemar's p-value."""
    fields = ["practical", "data", "row", "labels", "seed", "status", "best_epoch", "epochs", "seconds", "metric"]
    output = io.StringIO()
    fields[5:5] = ["fold"] * any(line.run.fold is not None for table in tables for line in table.lines)
    fields += ["value", "low", "high", "interval", "mcnemar_p", "directory", "command", "error"]
    writer = csv.DictWriter(output, fields, lineterminator="\n")
    writer.writerow(csv_cells({name: name for name in writer.fieldnames}))  # names of metrics are a run's own
    for table in tables:
        for line in table.lines:
            run, estimate = line.run, line.estimate
            writer.writerow(csv_cells({
                "practical": table.practical, "data": table.data, "row": line.row.name,
                "labels": ", ".join(line.row.labels), "seed": run.seed, "status": line.status,
                **({} if run.fold is None else {"fold": run.fold}),
                "best_epoch": run.best_epoch, "epochs": run.epochs, "seconds": run.seconds,
                "metric": table.ranked.key if table.ranked else "",
                "value": estimate and estimate.mean, "low": estimate and estimate.low,
                "high": estimate and estimate.high, "interval": estimate and estimate.interval,
                "mcnemar_p": line.p_value, "directory": run.place, "command": run.command, "error": run.error,
            }))  # fmt: skip
    return output.getvalue()


def _csv_row(table: Table, row: Row) -> dict[str, object]:
    line: dict[str, object] = {
        "practical": table.practical,
        "data": table.data,
        "row": row.name,
        "experiment": row.experiment,
        "labels": ", ".join(row.labels),
        "status": row.status,
        "n": len(row.runs),
        "seeds": " ".join(map(str, row.seeds)),
        "mark": row.mark,
        "p_value": row.p_value,
        "published in": table.published.source if row.published and table.published else "",
        "commands": " && ".join(run.command for run in row.runs or row.others),
        "notes": "; ".join([*([f"an earlier run in {table.earlier_in}"] if table.earlier_in else []), *row.notes]),
    }
    for column in table.columns:
        estimate = row.estimates.get(column.key)
        if estimate is not None:
            values = (estimate.mean, estimate.std, estimate.low, estimate.high, estimate.interval)
            names = (column.key, *(f"{column.key} {part}" for part in ("std", "low", "high", "interval")))
            line.update(zip(names, values, strict=True))
        if row.published and column.key in row.published.values:
            line[f"{column.key} published"] = row.published.values[column.key]
    return line
