"""The learning rate: by hand, and what must hold for every run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from centermask.train.schedule import MAX_WARMUP, lr_factor, peak_lr

schedules = st.sampled_from(["cosine", "step"])


def test_peaks_follow_the_batch() -> None:
    assert peak_lr("sgd", 16, None) == pytest.approx(0.01)
    assert peak_lr("sgd", 4, None) == pytest.approx(0.0025)
    assert peak_lr("adamw", 16, None) == pytest.approx(4e-4)
    assert peak_lr("adamw", 4, None) == pytest.approx(2e-4)
    assert peak_lr("adamw", 64, 1e-3) == pytest.approx(2e-3)


def test_a_given_rate_of_zero_is_taken_at_its_word() -> None:
    assert peak_lr("adamw", 16, 0.0) == 0


def test_cosine_by_hand() -> None:
    # 110 steps, ten of warm-up; then a half wave over a hundred.
    factors = [lr_factor(step, 110, "cosine", 10 / 110) for step in range(110)]
    assert factors[:10] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert [factors[step] for step in (10, 60)] == pytest.approx([1.0, 0.5])
    assert 0 < factors[-1] < 1e-3


def test_steps_by_hand() -> None:
    factors = [lr_factor(step, 270, "step", 0.0) for step in range(270)]
    assert factors == pytest.approx([1.0] * 210 + [0.1] * 40 + [0.01] * 20)


@given(st.integers(1, 100_000), schedules, st.floats(0, 1))
def test_the_rate_rises_to_its_peak_and_never_rises_again(steps: int, schedule: str, warmup: float) -> None:
    rise = min(MAX_WARMUP, max(1, round(warmup * steps)))
    places = sorted({0, 1, rise - 1, rise, steps // 2, steps * 7 // 9, steps - 1} & set(range(steps)))
    factors = [lr_factor(step, steps, schedule, warmup) for step in places]
    assert all(0 < factor <= 1 for factor in factors)
    before = [factor for step, factor in zip(places, factors, strict=True) if step < rise]
    after = [factor for step, factor in zip(places, factors, strict=True) if step >= rise - 1]
    assert before == sorted(before)
    assert after == sorted(after, reverse=True)
    if rise <= steps:
        assert lr_factor(rise - 1, steps, schedule, warmup) == 1


@given(st.integers(1, 1000), schedules)
def test_a_run_of_any_length_starts_at_once(steps: int, schedule: str) -> None:
    assert lr_factor(0, steps, schedule, 0.0) == 1
