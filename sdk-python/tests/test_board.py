"""The board of the demo, through the runner."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from .daemon import ROOT, Daemon

BOARD = ROOT.parent / "examples" / "demo" / "receivers" / "board.py"
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>{style}\u202e"


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(BOARD, tmp_path) as daemon:
        assert daemon.initialize("receiver")["result"]["description"] == "Add a measurement to the board."
        yield daemon


def measurement(**fields: Any) -> dict[str, Any]:
    return {
        "host": "anna",
        "time": "2026-01-02T03:04:05Z",
        "disk": {"used_percent": 42.5, "used_bytes": 425, "total_bytes": 1000},
        "load": {"one": 0.5, "five": 0.4, "fifteen": 0.3},
        "status": "ok",
        "score": 97,
    } | fields


def rows(daemon: Daemon) -> list[dict[str, str]]:
    with (daemon.instance / "board.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class Page(HTMLParser):
    """The tags and the texts of a page; fails where tags are not balanced."""

    VOID = ("meta", "path", "circle", "polyline")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page(daemon: Daemon) -> Page:
    return Page((daemon.instance / "board.html").read_text(encoding="utf-8"))


def test_measurements_are_kept_and_drawn(board: Daemon) -> None:
    for n in range(3):
        data = measurement(time=1_767_323_045 + 60 * n, load={"one": n})
        assert board.receive(data, f"p-{n}")["result"] == {}
    assert [row["load_1"] for row in rows(board)] == ["0.0", "1.0", "2.0"]
    assert rows(board)[0]["time"] == "2026-01-02T03:04:05+00:00"
    drawn = page(board)
    assert drawn.tags.count("svg") == 2
    assert drawn.tags.count("polyline") == 2
    assert drawn.tags.count("circle") == 6
    assert "script" not in drawn.tags
    assert sorted(path.name for path in board.instance.iterdir()) == ["board.csv", "board.html"]


def test_a_redelivery_adds_no_row_and_draws_the_page_again(board: Daemon) -> None:
    board.receive(measurement(), "p-1")
    before = (board.instance / "board.csv").read_bytes()
    (board.instance / "board.html").unlink()
    assert board.receive(measurement(), "p-1")["result"] == {}
    assert (board.instance / "board.csv").read_bytes() == before
    assert "anna" in page(board).texts


def test_what_others_write_stays_text(board: Daemon) -> None:
    board.receive(measurement(host=HOSTILE, status=HOSTILE, time=HOSTILE), "p-1")
    board.receive(measurement(host='=HYPERLINK("x")', status="{count}"), "p-2")
    drawn = page(board)
    assert not {"script", "img"} & set(drawn.tags)
    assert "onerror" not in drawn.attributes
    assert any("<script>alert(1)</script>" in text for text in drawn.texts)
    assert "\u202e" not in "".join(drawn.texts)
    assert rows(board)[1]["host"].startswith("'=")
    assert '=HYPERLINK("x")' in drawn.texts


@pytest.mark.parametrize(
    "data",
    [
        {"load": {"one": 1}},
        {"disk": {"used_percent": 10}, "load": None, "host": None, "time": None, "status": {"a": 1}},
        {"score": 10**400, "disk": [], "time": 1e300},
        {"score": -5, "load": {"one": -1}, "disk": {"used_percent": 250}, "time": "yesterday"},
        {"score": 1, "load": {"one": 1e308}},
        {"score": True, "host": 7},
    ],
)
def test_what_is_missing_or_odd_is_left_out(board: Daemon, data: Any) -> None:
    assert board.receive(data)["result"] == {}
    assert page(board).tags.count("tr") == 2
    assert rows(board)[0]["time"]


@pytest.mark.parametrize("data", [None, [], "x", {}, {"host": "anna"}, {"disk": {"unknown": 1}}])
def test_what_is_no_measurement_is_rejected(board: Daemon, data: Any) -> None:
    assert board.receive(data)["error"]["code"] == 20
    assert list(board.instance.iterdir()) == []
