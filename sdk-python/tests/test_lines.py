from __future__ import annotations

import os
import threading

import pytest

from coattail._lines import Framer, Lines, LineWriter, TooLong


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_are_the_same_however_they_are_cut(size: int) -> None:
    data = b'{"a":1}\n\n  \n{"b":\xc3\xa4}\r\nlast'
    framer = Framer()
    got = [line for at in range(0, len(data), size) for line in framer.feed(data[at : at + size])]
    assert got == [b'{"a":1}', b'{"b":\xc3\xa4}\r']


@pytest.mark.parametrize("size", [1, 5, 100])
def test_a_line_that_is_too_long_is_dropped_but_for_its_head(size: int) -> None:
    data = b"12345678\n123456789\nok\n" + b"x" * 50 + b"\nok\n"
    framer = Framer(limit=8)
    got = [line for at in range(0, len(data), size) for line in framer.feed(data[at : at + size])]
    assert [type(line) for line in got] == [bytes, TooLong, bytes, TooLong, bytes]
    assert got[0] == b"12345678"
    assert isinstance(got[1], TooLong)
    assert got[1].head.startswith(b"12345678")


def test_what_is_held_of_a_long_line_is_bounded() -> None:
    framer = Framer(limit=100)
    for _ in range(1000):
        assert list(framer.feed(b"x" * 1000)) == []
    (line,) = framer.feed(b"\n")
    assert isinstance(line, TooLong)
    assert len(line.head) <= 4096


def test_lines_of_many_threads_are_whole() -> None:
    reader, writer = os.pipe()
    send = LineWriter(writer)
    lines = [bytes([65 + n]) * 20_000 for n in range(8)]

    def send_five(line: bytes) -> None:
        for _ in range(5):
            send(line)

    threads = [threading.Thread(target=send_five, args=(line,)) for line in lines]
    for thread in threads:
        thread.start()

    stream = Lines(reader)
    got = [stream.read() for _ in range(40)]
    for thread in threads:
        thread.join()
    send.abandon()
    assert sorted(got) == sorted(lines * 5)  # type: ignore[type-var]


def test_a_line_from_within_a_write_does_not_cut_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    send = LineWriter(writer)
    write, calls = os.write, []

    def by_halves(fd: int, data: bytes) -> int:
        calls.append(1)
        if len(calls) == 1:
            send(b"inner")
        return write(fd, data[:3])

    monkeypatch.setattr(os, "write", by_halves)
    send(b"outer")
    monkeypatch.undo()
    assert os.read(reader, 100) == b"outer\ninner\n"
    send.abandon()
    os.close(reader)


def test_a_reader_that_is_gone_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    send = LineWriter(writer)
    send(b"x")
    send(b"y")
    os.close(writer)
