# SPDX-License-Identifier: MIT
"""What is heard of a long computation: a callback of the user, a bar of tqdm, or a line on a terminal."""
import contextlib
import sys

_STAGES = {"cells": "cell encoder", "pieces": "SE(2) encoder"}


class _Bars:
    """One bar of tqdm a stage."""

    def __init__(self, tqdm, always):
        self._tqdm, self._disable = tqdm, False if always else None
        self._stage, self._bar = None, None

    def __call__(self, stage, done, total, unit):
        if stage != self._stage:
            self.close()
            self._stage = stage
            self._bar = self._tqdm(total=total or None, desc=_STAGES.get(stage, stage), unit=" " + unit,
                                   disable=self._disable)
        self._bar.update(done - self._bar.n)

    def close(self):
        if self._bar is not None:
            self._bar.close()
        self._stage, self._bar = None, None


class _Line:
    """One line that is written over."""

    def __init__(self):
        self._width = 0

    def __call__(self, stage, done, total, unit):
        text = f"{_STAGES.get(stage, stage)}: {done:,} of {total:,} {unit}"
        sys.stderr.write("\r" + text.ljust(self._width))
        sys.stderr.flush()
        self._width = len(text)

    def close(self):
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
        self._width = 0


@contextlib.contextmanager
def heard(progress):
    """The callback for ``progress``: a function, True, False, or None (a bar or a line where someone looks)."""
    if callable(progress):
        yield progress
        return
    shown = None
    if progress is None or progress is True:
        try:
            from tqdm.auto import tqdm
            shown = _Bars(tqdm, always=progress is True)
        except ImportError:
            if progress is True or sys.stderr.isatty():
                shown = _Line()
    try:
        yield shown
    finally:
        if shown is not None:
            shown.close()
