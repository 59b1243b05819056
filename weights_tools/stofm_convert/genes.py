# SPDX-License-Identifier: MIT
"""Gene tables: the two texts of a bundle, checked, or made from Geneformer's pickles by the restricted reader."""

import math
import re

from .errors import DATA, ConvertError, quoted
from .pickle_machine import PickleMachine
from .source import read_whole

MAX_TABLE = 64 << 20
GENES_HEADER = ["ensembl_id", "symbols", "token", "median"]
MOUSE_HEADER = ["mouse_ensembl_id", "human_ensembl_id"]
SPECIAL = {"<pad>": 0, "<mask>": 1}


def fail(file, where, found, expected, remedy="Correct the gene table."):
    return ConvertError(3681, file, where, found, expected, remedy, DATA)


def rows(raw, file, header):
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        raise fail(file, "byte %d" % e.start, "invalid UTF-8", "UTF-8 text") from None
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    if not lines or lines[0].split("\t") != header:
        raise fail(file, "line 1", quoted(lines[0]) if lines else "nothing", "the tab-separated header " + " ".join(header))
    for i, line in enumerate(lines[1:], 2):
        fields = line.rstrip("\r").split("\t")
        if len(fields) != len(header):
            raise fail(file, "line %d" % i, "%d fields" % len(fields), "%d" % len(header))
        yield i, fields


def check_genes(raw, file):
    """Number of embedding rows that the table needs: pad, mask, one for a gene, <cls>. Rows J10, J11."""
    ids, tokens, special = {}, {}, {}
    for i, (gene, _, token, median) in rows(raw, file, GENES_HEADER):
        where = "line %d (%s)" % (i, quoted(gene, 40))
        if gene in SPECIAL or gene == "<cls>":
            special[gene] = token
            continue
        if not gene or gene in ids:
            raise fail(file, where, "the gene twice, first in line %d" % ids[gene] if gene else "no id", "unique ids")
        if not re.fullmatch("[0-9]{1,10}", token) or not 2 <= int(token) < 1 << 31:
            raise fail(file, where, "token " + quoted(token, 40), "an id from 2 to 2^31-1 (0 is <pad>, 1 is <mask>)")
        if int(token) in tokens:
            raise fail(file, where, "token %s, also of line %d" % (token, tokens[int(token)]), "unique tokens")
        try:
            value = float(median) if re.fullmatch(r"[0-9.eE+-]{1,40}", median) else math.nan
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise fail(file, where, "median " + quoted(median, 40), "a number above 0")
        ids[gene], tokens[int(token)] = i, i
    if not ids:
        raise fail(file, "", "no genes", "at least one")
    if max(tokens) != len(tokens) + 1:
        gap = next(t for t in range(2, len(tokens) + 3) if t not in tokens)
        raise fail(file, "token %d" % gap, "no gene for it", "ids 2 to %d without a gap" % (len(tokens) + 1))
    if special:
        for name, value in {**SPECIAL, "<cls>": len(tokens) + 2}.items():
            if special.get(name) != str(value):
                raise fail(file, name, "token %s" % quoted(special[name], 40) if name in special else "no such row",
                           "token %d" % value)
    return len(tokens) + 3, ids


def check_mouse(raw, file, genes, notices):
    """Rows J13: unknown targets and many-to-one entries are counted, not refused."""
    seen, targets, unknown = {}, {}, 0
    for i, (mouse, human) in rows(raw, file, MOUSE_HEADER):
        if not mouse or not human or mouse in seen:
            raise fail(file, "line %d" % i, "an empty or repeated id " + quoted(mouse, 40), "unique mouse ids",
                       "Correct the mouse-to-human map.")
        seen[mouse] = i
        targets[human] = targets.get(human, 0) + 1
        unknown += human not in genes
    shared = sum(n for n in targets.values() if n > 1)
    if shared:
        notices.add(3683, "%s: %d mouse ids share a human id with another (their tokens can occur twice)" % (file, shared))
    if unknown:
        notices.add(3684, "%s: %d of %d entries lead to ids that are not in the gene table" % (file, unknown, len(seen)))


def read_plain_pickle(path, what):
    """A dict of str -> number or str, by the machine that runs nothing (row P27)."""
    raw = read_whole(path, MAX_TABLE, what)
    value = PickleMachine(raw, str(path), "", plain=True).load()
    if not isinstance(value, dict) or not value or not all(isinstance(k, str) for k in value):
        raise fail(path, what, "a %s" % type(value).__name__, "a dict with text keys", "Give Geneformer's dictionary file.")
    return value


def plain_field(text, path, where):
    if not isinstance(text, str) or not text or not text.isprintable():
        raise fail(path, where, quoted(str(text), 40), "printable text")
    return text


def genes_from_pickles(tokens_path, medians_path, names_path=None):
    """The text of genes.tsv from Geneformer's token and median dictionaries (and, for the symbols, its name dictionary)."""
    tokens = read_plain_pickle(tokens_path, "token dictionary")
    medians = read_plain_pickle(medians_path, "median dictionary")
    symbols = {}
    for symbol, gene in (read_plain_pickle(names_path, "gene names") if names_path else {}).items():
        symbols.setdefault(plain_field(gene, names_path, quoted(symbol, 40)), []).append(
            plain_field(symbol, names_path, "symbol"))
    for name, value in tokens.items():
        if type(value) is not int:
            raise fail(tokens_path, quoted(name, 40), "a token that is no integer", "an integer")
    for name, value in SPECIAL.items():
        if tokens.get(name) != value:
            raise fail(tokens_path, name, "token %s" % tokens.get(name), "%d" % value, "Give Geneformer V1's token dictionary.")
    genes = {k: v for k, v in tokens.items() if not (k.startswith("<") and k.endswith(">"))}
    for name in set(tokens) - set(genes) - set(SPECIAL):
        if name != "<cls>" or tokens[name] != len(genes) + 2:
            raise fail(tokens_path, quoted(name, 40), "token %d" % tokens[name],
                       "no special token but <pad> 0, <mask> 1 and <cls> %d" % (len(genes) + 2),
                       "Give Geneformer V1's token dictionary.")
    lines = ["\t".join(GENES_HEADER)]
    for gene, token in sorted(genes.items(), key=lambda item: item[1]):
        median = medians.get(gene)
        if type(median) not in (int, float) or not 0 < median < math.inf:
            raise fail(medians_path, quoted(gene, 40), "median %s" % str(median)[:40], "a number above 0",
                       "Give the median dictionary of the same Geneformer version.")
        lines.append("%s\t%s\t%d\t%r" % (plain_field(gene, tokens_path, "gene"), min(symbols.get(gene, [""])),
                                         token, median))
    return ("\n".join(lines) + "\n").encode()


def mouse_from_pickle(path):
    """The text of mouse_to_human.tsv from a pickled dict."""
    mapping = read_plain_pickle(path, "mouse-to-human dictionary")
    lines = ["\t".join(MOUSE_HEADER)]
    for mouse, human in mapping.items():
        lines.append("%s\t%s" % (plain_field(mouse, path, "key"), plain_field(human, path, quoted(mouse, 40))))
    return ("\n".join(lines) + "\n").encode()
