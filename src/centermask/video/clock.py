"""Time stamps of frames, mended where a file has none or wrong ones."""

from fractions import Fraction

GAP = 3600.0
"""Seconds between two frames beyond which a stamp is taken for broken."""


class Clock:
    """Seconds since the first frame, for each frame more than for the one before.

    A stamp is kept as it is, however uneven the steps are. One that is missing, goes back or leaps by more than an hour
    becomes one step after the last, and those after it go on from there.

    >>> clock = Clock(Fraction(10))
    >>> [float(clock.seconds(stamp)) for stamp in (5.0, 5.25, None, 5.5, 1.0, 1.25)]
    [0.0, 0.25, 0.35, 0.5, 0.6, 0.85]
    """

    def __init__(self, rate: Fraction) -> None:
        self._step = float(1 / rate)
        self._last: float | None = None
        self._offset = 0.0

    def seconds(self, stamp: float | None) -> float:
        """The time of the next frame whose own stamp, in seconds, is ``stamp``."""
        if self._last is None:
            self._last, self._offset = 0.0, stamp or 0.0
            return 0.0
        following = self._last + self._step
        if stamp is None:
            self._last = following
        elif self._last < stamp - self._offset <= self._last + GAP:
            self._last = stamp - self._offset
        else:
            self._offset = stamp - following
            self._last = following
        return self._last
