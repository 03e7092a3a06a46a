"""Values of other libraries, with the real libraries."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from coattail._json import NotJson, encode


def sent(value: Any) -> Any:
    return json.loads(encode(value, "the result"))


FRAME = pd.DataFrame(
    {
        "host": ["anna", None],
        "time": pd.to_datetime(["2026-01-02T03:04:05Z", None]),
        "load": [0.5, float("nan")],
        "count": pd.array([1, None], dtype="Int64"),
    }
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            [np.int64(1), np.float32(0.5), np.float64("nan"), np.bool_(True), np.str_("x")],
            [1, 0.5, None, True, "x"],
        ),
        ({np.int64(1): np.arange(3)}, {"1": [0, 1, 2]}),
        (np.array([[1.5, float("nan")]]), [[1.5, None]]),
        (np.datetime64("2026-01-02T03:04:05.5", "ns"), "2026-01-02T03:04:05.500000"),
        (np.array(["2026-01-02", "NaT"], "M8[ns]"), ["2026-01-02T00:00:00", None]),
        (np.timedelta64(1500, "ms"), 1.5),
    ],
)
def test_of_numpy(value: Any, expected: Any) -> None:
    assert sent(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            FRAME,
            [
                {"host": "anna", "time": "2026-01-02T03:04:05+00:00", "load": 0.5, "count": 1},
                {"host": None, "time": None, "load": None, "count": None},
            ],
        ),
        (FRAME["load"], {"0": 0.5, "1": None}),
        (FRAME[["load"]].mean(), {"load": 0.5}),
        (pd.Series([1], index=pd.to_datetime(["2026-01-02"])), {"2026-01-02T00:00:00": 1}),
        (FRAME["load"].index, [0, 1]),
        ([pd.NA, pd.NaT, pd.Timestamp("2026-01-02", tz="UTC"), pd.Timedelta("90s")],
         [None, None, "2026-01-02T00:00:00+00:00", 90.0]),
        (pd.Categorical(["a", "b"]), ["a", "b"]),
    ],
)  # fmt: skip
def test_of_pandas(value: Any, expected: Any) -> None:
    assert sent(value) == expected


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns of one name"),
        (pd.Series([1, 2], index=["a", "a"]), r"not unique; series\.tolist\(\)"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "keys must be"),
        (np.array([1 + 2j]), "contains a complex"),
        (np.array([float("inf")]), "an infinity"),
        (pl.LazyFrame({"a": [1]}), "contains a LazyFrame"),
    ],
)
def test_what_would_lose_something_is_refused(value: Any, part: str) -> None:
    with pytest.raises(NotJson, match=part):
        encode(value, "the result")


def test_of_polars() -> None:
    frame = pl.DataFrame(
        {"when": [datetime(2026, 1, 2), None], "day": [date(2026, 1, 2), None], "x": [0.5, None]}
    )
    assert sent({"frame": frame, "series": frame["x"]}) == {
        "frame": [
            {"when": "2026-01-02T00:00:00", "day": "2026-01-02", "x": 0.5},
            {"when": None, "day": None, "x": None},
        ],
        "series": [0.5, None],
    }
