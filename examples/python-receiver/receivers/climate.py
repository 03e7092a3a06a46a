import sqlite3
from typing import TypedDict

import coattail
import matplotlib.pyplot as plt
import pandas as pd

plt.switch_backend("Agg")  # Nobody looks at a window of a daemon.


class Measurement(TypedDict):
    time: str
    station: str
    temperature: float | None
    humidity: float | None


@coattail.receiver
def climate(data: Measurement, context):
    """Keep a measurement, and draw them all."""
    db = sqlite3.connect(context.instance / "climate.db")
    with db:
        db.execute("CREATE TABLE IF NOT EXISTS climate (id PRIMARY KEY, time, station, temperature, humidity)")
        # A publication comes at least once; its id is the same each time.
        row = {"id": context.publication.id, **data}
        db.execute("INSERT OR IGNORE INTO climate VALUES (:id, :time, :station, :temperature, :humidity)", row)
    frame = pd.read_sql("SELECT * FROM climate", db, parse_dates=["time"])
    db.close()
    draw(frame, context.instance / "climate.png")
    context.log.info("%d measurements of %d stations", len(frame), frame["station"].nunique())


def draw(frame, file):
    figure, axes = plt.subplots(2, sharex=True, figsize=(8, 5), layout="constrained")
    for axis, column, unit in zip(axes, ["temperature", "humidity"], ["°C", "%"], strict=True):
        frame.pivot(index="time", columns="station", values=column).plot(ax=axis, ylabel=f"{column} in {unit}")
    # Whoever looks at the picture sees the old one or the new one.
    draft = file.with_suffix(".draft")
    figure.savefig(draft, format="png")
    draft.replace(file)
    plt.close(figure)
