"""Keeps the measurements that peers publish, and draws them.

`board.csv` in the instance's folder is the table, `board.html` the page made from it. A publication is in
the table once, however often it is delivered. The table is written before the page: whoever is killed
in between finds the row at the next attempt and only draws the page again.
"""

import csv
import html
import math
import os
import tempfile
import threading
from datetime import datetime, timezone
from pathlib import Path

import coattail

#: Rows kept: a week of one measurement every five minutes. Older ones go.
MAX_ROWS = 2016
#: Rows shown in the page's table, the newest first.
SHOWN_ROWS = 50
#: Hosts with a line of their own in a chart: the colours that can be told apart.
MAX_LINES = 6
#: Characters kept of a text that somebody else wrote.
MAX_TEXT = 120

#: Where each column of the table is found in a measurement.
NUMBERS = {
    "disk_percent": ("disk", "used_percent"),
    "disk_used": ("disk", "used_bytes"),
    "disk_total": ("disk", "total_bytes"),
    "load_1": ("load", "one"),
    "load_5": ("load", "five"),
    "load_15": ("load", "fifteen"),
    "score": ("score",),
}
COLUMNS = ["publication", "time", "host", "status", *NUMBERS]

#: Several subscriptions may deliver at once, and there is one table.
table = threading.Lock()


@coattail.receiver
def board(data, context):
    """Add a measurement to the board."""
    if not isinstance(data, dict) or all(dig(data, *path) is None for path in NUMBERS.values()):
        raise coattail.Reject("no measurement: expected an object with disk, load or score")
    row = to_row(data, context.publication)
    with table:
        rows = read_table(context.instance / "board.csv")
        if any(known["publication"] == row["publication"] for known in rows):
            context.log.info("%s is on the board already", row["publication"])
        else:
            rows = [*rows, row][-MAX_ROWS:]
            write_table(context.instance / "board.csv", rows)
            context.log.info("measurement of %s added, %d rows", row["host"], len(rows))
        replace(context.instance / "board.html", page(rows))


# The table


def to_row(data, publication):
    """Take what is there; what is missing, or is not what it should be, stays empty."""
    row = {
        "publication": publication.id,
        "time": to_time(data.get("time"), publication.time),
        "host": to_text(data.get("host")) or publication.issuer[:12],
        "status": to_text(data.get("status")),
    }
    return row | {name: to_number(dig(data, *path)) for name, path in NUMBERS.items()}


def dig(value, *path):
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def to_text(value):
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return "".join(sign if sign.isprintable() else " " for sign in str(value)[:MAX_TEXT]).strip()


def to_number(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    try:
        return repr(float(value)) if math.isfinite(value) else ""
    except OverflowError:
        return ""


def to_time(value, published):
    """Read ISO 8601, or seconds or milliseconds since 1970; else the time of the publication counts."""
    for candidate in (value, published):
        try:
            if isinstance(candidate, str):
                moment = datetime.fromisoformat(candidate.replace("Z", "+00:00"))
                moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
            else:
                # Seconds would have this many in the year 5138.
                seconds = candidate / 1000 if candidate > 1e11 else candidate
                moment = datetime.fromtimestamp(seconds, timezone.utc)
            return moment.astimezone(timezone.utc).isoformat(timespec="seconds")
        except (TypeError, ValueError, OverflowError, OSError):
            continue
    return datetime.fromtimestamp(0, timezone.utc).isoformat()


def read_table(path):
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [{name: unquote(row.get(name) or "") for name in COLUMNS} for row in csv.DictReader(file)]
    except FileNotFoundError:
        return []


def write_table(path, rows):
    lines = Lines()
    writer = csv.DictWriter(lines, COLUMNS)
    writer.writeheader()
    writer.writerows({name: quote(name, value) for name, value in row.items()} for row in rows)
    replace(path, "".join(lines))


class Lines(list):
    """What `csv` writes to."""

    write = list.append


def quote(name, text):
    """Keep a spreadsheet from taking somebody else's text for a formula."""
    return "'" + text if name not in NUMBERS and text.startswith(("=", "+", "-", "@", "'")) else text


def unquote(text):
    return text[1:] if text.startswith("'") else text


def replace(path, text):
    """Write a file so that it is there as a whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


# The page. Everything from a peer goes through `e`.


def e(value):
    return html.escape(str(value), quote=True)


def page(rows):
    rows = sorted(rows, key=lambda row: row["time"])
    latest = {row["host"]: row for row in rows}
    hosts = sorted(latest, key=lambda host: latest[host]["time"], reverse=True)
    colours = {host: f"c{at}" for at, host in enumerate(hosts[:MAX_LINES])}
    others = f"<span>and {len(hosts) - MAX_LINES} more in the table</span>" if len(hosts) > MAX_LINES else ""
    return PAGE.format(
        style=STYLE,
        count=len(rows),
        hosts=f"{len(hosts)} host{'s' * (len(hosts) != 1)}",
        updated=moment(rows[-1]["time"]) if rows else "never",
        cards="".join(card(latest[host], colours.get(host, "")) for host in hosts[: 2 * MAX_LINES]),
        legend="".join(f'<span><i class="{colours[host]}"></i>{e(host)}</span>' for host in colours) + others,
        load=chart("Load, one minute", rows, "load_1", colours, "", None),
        disk=chart("Disk used", rows, "disk_percent", colours, " %", 100.0),
        rows="".join(table_row(row) for row in reversed(rows[-SHOWN_ROWS:])),
        shown=min(len(rows), SHOWN_ROWS),
    )


def card(row, colour):
    meter = ""
    if row["disk_percent"]:
        full = min(max(float(row["disk_percent"]), 0), 100)
        size = f" of {size_of(row['disk_total'])}" if row["disk_total"] else ""
        high = 'class="high" ' if full >= 90 else ""
        meter = (
            f'<div class="meter"><b {high}style="width:{full:.1f}%"></b></div>'
            f"<small>disk {full:.0f} %{size}</small>"
        )
    return (
        f'<article><h2><i class="{colour}"></i>{e(row["host"])}{badge(row["status"])}</h2>'
        f'<p class="big">{number(row["load_1"], 2) or "–"}<small> load</small></p>{meter}'
        f"<small>{moment(row['time'])}</small></article>"
    )


def table_row(row):
    loads = " / ".join(number(row[name], 2) or "–" for name in ("load_1", "load_5", "load_15"))
    used = number(row["disk_percent"], 1)
    size = f"{size_of(row['disk_used'])} of {size_of(row['disk_total'])}" if row["disk_total"] else ""
    return (
        f"<tr><td>{moment(row['time'])}</td><td>{e(row['host'])}</td><td>{loads}</td>"
        f"<td>{used + ' %' if used else '–'}</td><td>{size or '–'}</td>"
        f"<td>{badge(row['status']) or '–'}</td><td>{number(row['score'], 1) or '–'}</td></tr>\n"
    )


def badge(status):
    if not status:
        return ""
    kind = next((kind for kind, words in STATUSES.items() if status.lower() in words), "")
    return f'<em class="{kind}">{e(status)}</em>'


def moment(iso):
    return f'<time datetime="{e(iso)}">{e(iso[:16].replace("T", " "))}</time>'


def number(text, digits):
    return f"{float(text):.{digits}f}" if text else ""


def size_of(text):
    size = float(text or 0)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1024 or unit == "TiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("the last unit returns")


# The charts


def chart(title, rows, column, colours, unit, top):
    """Draw one column over time as SVG, a line for each host."""
    points = [
        (seconds(row), float(row[column]), row) for row in rows if row[column] and row["host"] in colours
    ]
    if not points:
        return f'<figure><figcaption>{e(title)}</figcaption><p class="none">nothing yet</p></figure>'
    start, end = points[0][0], max(points[-1][0], points[0][0] + 1)
    top = top or ceiling(max(value for _, value, _ in points))

    def x(second):
        return LEFT + (second - start) / (end - start) * (WIDTH - LEFT - RIGHT)

    def y(value):
        return HEIGHT - BOTTOM - min(max(value / top, 0), 1) * (HEIGHT - BOTTOM - TOP)

    parts = []
    for step in range(5):
        value = top * step / 4
        parts.append(f'<path class="grid" d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}{unit}</text>')
    for share, anchor in ((0, "start"), (0.5, "middle"), (1, "end")):
        second = start + (end - start) * share
        text = datetime.fromtimestamp(second, timezone.utc).strftime("%d %b %H:%M")
        parts.append(f'<text x="{x(second):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{text}</text>')
    for host, colour in colours.items():
        own = [(x(second), y(value), row) for second, value, row in points if row["host"] == host]
        line = " ".join(f"{left:.1f},{up:.1f}" for left, up, _ in own)
        parts.append(f'<polyline class="line {colour}" points="{line}"/>')
        for left, up, row in own:
            hint = f"{e(host)}, {e(row['time'][:16].replace('T', ' '))}: {number(row[column], 2)}{unit}"
            parts.append(
                f'<circle class="{colour}" cx="{left:.1f}" cy="{up:.1f}" r="3"><title>{hint}</title></circle>'
            )
    return (
        f"<figure><figcaption>{e(title)}</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{e(title)} over time">{"".join(parts)}</svg></figure>'
    )


def seconds(row):
    return datetime.fromisoformat(row["time"]).timestamp()


def ceiling(value):
    """Return a round number that is not below the value, for the top of an axis."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 4, 6, 8, 10, 20) if power * step >= value)


WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 240, 56, 16, 12, 28
STATUSES = {
    "good": ("ok", "good", "healthy", "up", "green"),
    "warn": ("warn", "warning", "degraded", "yellow"),
    "bad": ("critical", "crit", "bad", "error", "down", "red", "fail", "failed"),
}

STYLE = """
:root { color-scheme: light dark; --page:#f6f7f9; --card:#fff; --ink:#1b2430; --soft:#5d6b7c; --rule:#e1e6ec;
  --good:#17794a; --warn:#9a6200; --bad:#b3261e;
  --c0:#2563c9; --c1:#c2410c; --c2:#0f766e; --c3:#9333b8; --c4:#8a6d00; --c5:#be185d; }
@media (prefers-color-scheme: dark) { :root { --page:#11161d; --card:#1a212b; --ink:#e6ebf1; --soft:#98a6b6;
  --rule:#2b3542; --good:#5fd39a; --warn:#f0b753; --bad:#ff8a80;
  --c0:#74a9ff; --c1:#ff9a62; --c2:#4fd1c0; --c3:#d68bf5; --c4:#e3c54a; --c5:#ff86b6; } }
* { box-sizing: border-box; margin: 0; }
body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; padding: 2rem 1rem; }
main { max-width: 76rem; margin: auto; display: grid; gap: 1.25rem; }
h1 { font-size: 1.5rem; letter-spacing: -.01em; } header p, small, .none { color: var(--soft); }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); }
.charts { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); }
article, figure, .table { background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 1rem; }
article small { display: block; } h2 { font-size: 1rem; display: flex; gap: .5rem; align-items: center;
  overflow-wrap: anywhere; } h2 em { margin-left: auto; }
.big { font-size: 1.9rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.big small { display: inline; font-size: .9rem; font-weight: 400; }
.meter { height: 6px; border-radius: 3px; background: var(--rule); overflow: hidden; margin: .25rem 0; }
.meter b { display: block; height: 100%; background: var(--good); } .meter b.high { background: var(--bad); }
figcaption { font-weight: 600; margin-bottom: .5rem; } svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font-size: 12px; } .grid { stroke: var(--rule); fill: none; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; color: var(--soft); overflow-wrap: anywhere; }
i { width: .7rem; height: .7rem; border-radius: 50%; display: inline-block; flex: none; margin-right: .4rem; }
h2 i { margin: 0; } i:not([class^=c]) { background: var(--rule); }
em { font-style: normal; font-size: .8rem; font-weight: 600; padding: 0 .55rem; border-radius: 1rem;
  border: 1px solid currentColor; color: var(--soft); overflow-wrap: anywhere; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); }
.table { overflow-x: auto; } table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; margin-bottom: .5rem; }
th { text-align: left; color: var(--soft); font-weight: 500; } td, th { padding: .4rem .9rem .4rem 0;
  border-bottom: 1px solid var(--rule); white-space: nowrap; } tr:last-child td { border-bottom: 0; }
""" + "\n".join(
    f"i.c{n} {{ background: var(--c{n}); }} .line.c{n} {{ stroke: var(--c{n}); }} circle.c{n} {{ fill: var(--c{n}); }}"
    for n in range(MAX_LINES)
)

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta http-equiv="refresh" content="30">
<title>Board</title>
<style>{style}</style>
</head>
<body>
<main>
<header><h1>Board</h1><p>{count} measurements of {hosts}, the last at {updated} UTC</p></header>
<section class="cards">{cards}</section>
<section class="charts">{load}{disk}</section>
<div class="legend">{legend}</div>
<div class="table"><table>
<caption>The last {shown}</caption>
<thead><tr><th>Time (UTC)</th><th>Host</th><th>Load 1 / 5 / 15 min</th><th>Disk</th><th>Used</th><th>Status</th><th>Score</th></tr></thead>
<tbody>
{rows}</tbody>
</table></div>
</main>
</body>
</html>
"""
