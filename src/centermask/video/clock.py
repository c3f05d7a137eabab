"""Time stamps of frames, mended where a file has none or wrong ones."""

from fractions import Fraction

GAP = 3600.0
"""Seconds between two frames beyond which a stamp is taken for broken."""
SLACK = 0.5
"""Seconds that sound may go back without being taken for a part that begins anew."""
NEAR = 10.0
"""Seconds between the end of one part's sound and that of its pictures, at most."""
KEPT = 8
"""Breaks of the pictures that are remembered for their sound, which is read a little later."""


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
        self.offsets: tuple[float, ...] = (0.0,)
        """What the last stamps were too large by, in seconds: another number behind each break. It is replaced, never
        changed, so that another thread may read it."""

    def seconds(self, stamp: float | None) -> float:
        """The time of the next frame whose own stamp, in seconds, is ``stamp``."""
        if self._last is None:
            self._last, self.offsets = 0.0, (stamp or 0.0,)
            return 0.0
        following = self._last + self._step
        if stamp is None:
            self._last = following
        elif self._last < stamp - self.offsets[-1] <= self._last + GAP:
            self._last = stamp - self.offsets[-1]
        else:
            self.offsets = (*self.offsets[1 - KEPT :], stamp - following)
            self._last = following
        return self._last


class SoundClock:
    """The times of sound that keeps to the clock of some pictures: mended where theirs are, and by as much.

    A file that was put together of several begins its clock anew with each part. The sound of a part may end before or
    after its pictures; so when its stamps break, it waits until the pictures' have broken, too.

    >>> pictures = Clock(Fraction(1))
    >>> [pictures.seconds(stamp) for stamp in (5.0, 6.0, 7.0)]
    [0.0, 1.0, 2.0]
    >>> sound = SoundClock(pictures)
    >>> sound.seconds(5.0, reached=0.0)
    0.0
    >>> sound.go_on(2.5)                          # the first part ends
    >>> print(sound.seconds(5.0, reached=2.0))
    None
    >>> pictures.seconds(5.0)
    3.0
    >>> sound.seconds(5.0, reached=3.0)
    3.0

    Args:
        pictures: Their clock, already at the first one.
    """

    def __init__(self, pictures: Clock) -> None:
        self._pictures = pictures
        self._offset = pictures.offsets[0]
        self._end: float | None = None

    def seconds(self, stamp: float, *, reached: float) -> float | None:
        """The time of the next sound, whose own stamp, in seconds, is ``stamp``; None if it has to wait.

        Args:
            stamp: Seconds.
            reached: How far the pictures are. If they are far beyond, and their stamps did not break, the sound goes on
                where it ended.
        """
        if self._end is None or -SLACK <= stamp - self._offset - self._end <= GAP:
            return stamp - self._offset
        leap = stamp - self._offset - self._end
        leaps = [offset - self._offset for offset in self._pictures.offsets]
        same = [one for one in leaps if abs(leap - one) < min(abs(one), NEAR)]  # one that explains most of it
        if same:
            self._offset += min(same, key=lambda one: abs(leap - one))
        elif reached > self._end + NEAR:
            self._offset += leap
        else:
            return None
        return stamp - self._offset

    def go_on(self, end: float) -> None:
        """The last sound that was asked for has its place, and ends at ``end``."""
        self._end = end
