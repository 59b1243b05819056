# SPDX-License-Identifier: MIT
"""Errors and warnings. Codes are those of the library and the program; remedies name arguments, not options."""
import re


class Error(Exception):
    """What the library refuses.

    Attributes
    ----------
    code : str
        Stable, ``"STOFM-3529"``.
    file, where, found, expected, remedy : str
        The parts of the message; empty where there is nothing to say.
    exit_code : int
        What the program would exit with: 2 usage, 3 file, 4 data, 5 memory or disk, 6 device.
    """

    exit_code = 1

    def __init__(self, code, file="", where="", found="", expected="", remedy=""):
        self.code, self.file, self.where, self.found, self.expected = code, file, where, found, expected
        self.remedy = arguments_of_options(remedy)
        super().__init__(self._text())

    def __reduce__(self):
        return type(self), (self.code, self.file, self.where, self.found, self.expected, self.remedy)

    def _text(self):
        statement = ", ".join(text for text in (self.found and "found " + self.found,
                                                self.expected and "expected " + self.expected) if text)
        text = ": ".join(part for part in (self.file, self.where, statement) if part)
        if self.remedy:
            text += (". " if text else "") + self.remedy
        return f"{text} [{self.code}]"


class UsageError(Error, ValueError):
    """A wrong argument."""

    exit_code = 2


class FileError(Error, ValueError):
    """A file, or an array, is not what it should be."""

    exit_code = 3


class DataError(Error, ValueError):
    """Content that can not be computed with."""

    exit_code = 4


class ResourceError(Error, RuntimeError):
    """Not enough memory or disk."""

    exit_code = 5


class DeviceError(Error, RuntimeError):
    """No such device, or it failed."""

    exit_code = 6


class StofmWarning(UserWarning):
    """Something that was accepted on purpose, with its code at the end: ``[STOFM-W3550]``."""


_KINDS = {kind.exit_code: kind for kind in (UsageError, FileError, DataError, ResourceError, DeviceError)}

# Fields of the library's options, as it names them in messages, that are called otherwise here.
_ARGUMENTS = {"refuse_below": "min_coverage", "kind": "use"}
_FLAGS = {"use_raw", "overlay", "merge_slivers"}
_PHRASES = (  # what a caller of Python does otherwise
    (" or H5adReadOptions::symbol_key", ""),
    (" with H5adReadOptions::drop_no_library", ""),
    (" H5adReadOptions::drop_no_library (some cells have no value)", ""),
    (" (H5adReadOptions::drop_bad_coords)", ""),
    ("H5adReadOptions::only = in_tissue leaves", 'adata[adata.obs["in_tissue"] == 1] leaves'),
    ("EmbedOptions::target = cells_only embeds", "embed(cells_only=True) embeds"),
)


def arguments_of_options(text):
    """A sentence with fields of the library's options as arguments: ``H5adReadOptions::layer = counts`` is
    ``layer="counts"``."""
    for field, phrase in _PHRASES:
        text = text.replace(field, phrase)

    def argument(match):
        field, value = match.group(1), match.group(2)
        name = _ARGUMENTS.get(field, field)
        if value is None:
            return name + ("=True" if field in _FLAGS else "")
        stop = value[len(value.rstrip(".,;")):]
        value = value[:len(value) - len(stop)].strip("'\"")
        number = re.fullmatch(r"[0-9.e+-]+", value)
        return f"{name}={value}{stop}" if number else f'{name}="{value}"{stop}'

    return re.sub(r"\b[A-Z]\w*Options::(\w+)(?: = ('[^']*'|\"[^\"]*\"|[^\s()]+))?", argument, text)


def from_parts(kind, code, file, where, found, expected, remedy):
    """The error of a refusal of the library."""
    return _KINDS.get(kind, Error)(code, file, where, found, expected, remedy)
