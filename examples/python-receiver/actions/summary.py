import sqlite3

import coattail
import pandas as pd


@coattail.action
def summary(input, context):
    """What the measurements say of each station."""
    db = sqlite3.connect(context.instance / "climate.db")
    frame = pd.read_sql("SELECT * FROM climate", db)
    db.close()
    # A frame is sent as a list of its rows, and what is missing in it as null.
    return frame.groupby("station")["temperature"].agg(["count", "mean", "min", "max"]).reset_index()
