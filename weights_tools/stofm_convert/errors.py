# SPDX-License-Identifier: MIT
"""The error contract: every refusal is one line that names the file, the place, and the remedy."""

USAGE, FILE, DATA, RESOURCE = 2, 3, 4, 5   # exit codes, as in the C++ programs


def quoted(content, limit=200):
    """File content made safe to print: control and non-ASCII bytes as \\xNN, at most `limit` bytes of it."""
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else bytes(content)
    shown = "".join(
        "\\" + chr(b) if b in b'"\\' else chr(b) if 0x20 <= b < 0x7F else "\\x%02x" % b for b in data[:limit])
    return '"' + shown + ('"...' if len(data) > limit else '"')


class ConvertError(Exception):
    """What the converter raises on purpose, and the only thing it raises for a bad input."""

    def __init__(self, code, file, where, found, expected, remedy, kind=FILE):
        self.code, self.file, self.where = "STOFM-%d" % code, str(file), where
        self.found, self.expected, self.remedy, self.exit_code = found, expected, remedy, kind
        super().__init__(str(self))

    def __str__(self):
        head = ": ".join(part for part in (self.file, self.where) if part)
        statement = ", ".join(
            word + part for word, part in (("found ", self.found), ("expected ", self.expected)) if part)
        text = ": ".join(part for part in (head, statement) if part)
        line = "%s. %s [%s]" % (text, self.remedy, self.code) if self.remedy else "%s [%s]" % (text, self.code)
        return "".join(c if c.isprintable() else "\\x%02x" % ord(c) if ord(c) < 256 else "?" for c in line)


class Notices:
    """Things accepted on purpose that the user should hear of once."""

    def __init__(self):
        self.items = []

    def add(self, code, text):
        self.items.append(("STOFM-W%d" % code, text))
