"""Stages: order, overlap, bounds, errors, and an end from outside."""

import threading
from collections.abc import Iterable, Iterator

import pytest

from centermask.video.line import Line
from tests.video.made import stages

LONG = 20
"""Seconds after which something that should have happened long ago will not."""


def test_order_is_kept_and_all_comes_through() -> None:
    with Line(limit=2) as line:
        first = line.stage(range(200))
        second = line.stage(one + 1 for one in first)
        assert list(second) == list(range(1, 201))


def test_no_items_are_ordinary() -> None:
    with Line(limit=2) as line:
        stage = line.stage(())
        assert list(stage) == []
        assert list(stage) == []


def test_a_stage_works_on_while_the_next_one_is_busy() -> None:
    third_made = threading.Event()

    def make() -> Iterator[int]:
        for i in range(4):
            if i == 2:
                third_made.set()
            yield i

    def use(items: Iterable[int]) -> Iterator[int]:
        for item in items:
            assert third_made.wait(LONG)  # one after the other, the third would never be made before the first is used
            yield item

    with Line(limit=4) as line:
        assert list(line.stage(use(line.stage(make())))) == [0, 1, 2, 3]


def test_three_stages_are_at_work_at_once() -> None:
    together = threading.Barrier(3)

    def meet(items: Iterable[int], at: int) -> Iterator[int]:
        for item in items:
            if item == at:
                together.wait(LONG)
            yield item

    with Line(limit=2) as line:
        stage = line.stage(meet(line.stage(meet(line.stage(meet(range(9), 4)), 2)), 0))
        assert list(stage) == list(range(9))


def test_no_more_wait_than_the_limit() -> None:
    made, full = [], threading.Event()

    def make() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            if len(made) == 4:
                full.set()
            yield i

    with Line(limit=3) as line:
        stage = line.stage(make())
        assert full.wait(LONG)
        for taken, _ in enumerate(stage, start=1):
            assert len(made) <= taken + 3 + 1  # those that wait, and the one that is made


def test_the_newest_push_out_the_oldest_where_nothing_waits() -> None:
    ended = threading.Event()

    def make() -> Iterator[int]:
        yield from range(50)
        ended.set()

    with Line(limit=3) as line:
        stage = line.stage(make(), newest=True)
        assert ended.wait(LONG)
        assert list(stage) == [47, 48, 49]
        assert stage.dropped == 47


def test_an_error_comes_behind_what_was_made_before_it() -> None:
    def make() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("at the third")

    with Line(limit=8) as line:
        stage = line.stage(one for one in line.stage(make()))
        assert [next(stage), next(stage)] == [1, 2]
        with pytest.raises(ValueError, match="at the third"):
            next(stage)


def test_an_error_of_the_last_stage_ends_all_threads_and_closes_all_generators() -> None:
    closed = []

    def endless(items: Iterable[int] | None, name: str) -> Iterator[int]:
        try:
            i = 0
            while True:
                yield i if items is None else next(iter(items))
                i += 1
        finally:
            closed.append(name)

    def fail(items: Iterable[int]) -> Iterator[int]:
        for item in items:
            if item == 5:
                raise OSError("full")
            yield item

    before = stages()
    with pytest.raises(OSError, match="full"), Line(limit=2) as line:
        list(line.stage(fail(line.stage(endless(line.stage(endless(None, "first")), "second")))))
    assert stages() <= before
    assert sorted(closed) == ["first", "second"]


def test_leaving_the_block_early_ends_all_threads() -> None:
    before = stages()
    with Line(limit=1) as line:
        stage = line.stage(one for one in line.stage(iter(range(10**9))))
        assert next(stage) == 0
    assert stages() <= before


def test_ctrl_c_does_not_wait_for_a_stage_that_notices_nothing() -> None:
    before, silent, heard = stages(), threading.Event(), threading.Event()

    def listen() -> Iterator[int]:
        yield 0
        silent.wait(LONG)
        heard.set()

    def press(item: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Line(limit=1) as line:
        press(next(line.stage(listen())))
    assert not heard.is_set()
    silent.set()
    for thread in stages() - before:
        thread.join(LONG)
    assert stages() <= before


def test_any_other_error_waits_for_the_threads() -> None:
    before, closed = stages(), []

    def busy() -> Iterator[int]:
        try:
            yield from range(9)
        finally:
            closed.append(threading.Event().wait(0.05))

    with pytest.raises(ZeroDivisionError), Line(limit=1) as line:
        1 // next(line.stage(busy()))
    assert closed == [False]
    assert stages() <= before
