# SPDX-License-Identifier: MIT
"""The command line of convert.py."""

import argparse
import math
import os
import sys

from . import configs, genes
from .bundle import CREATED_BY, GENES, MOUSE, check_output, json_text, open_bundle, write_bundle
from .errors import DATA, RESOURCE, USAGE, ConvertError, Notices, quoted
from .json_text import read_json
from .model_weights import UNUSED, materialise, select
from .safetensors_file import read_safetensors
from .source import FileSource, read_whole
from .torch_file import read_torch

SE2_FILES = ("se2transformer.pth", "model.safetensors", "pytorch_model.bin")
BERT_FILES = ("model.safetensors", "pytorch_model.bin")
TABLES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "genes")
EXAMPLES = """\
CHECKPOINT_DIR is laid out as the authors publish it:
  config.json  se2transformer.pth                      the SE(2) Transformer (or pytorch_model.bin, model.safetensors)
  cell_encoder/cell_bert/{config.json, model.safetensors | pytorch_model.bin}
  cell_encoder/cell_proj.bin                           the cell encoder (also directly in CHECKPOINT_DIR)

examples:
  convert.py ckpt -o stofm.safetensors --name stofm-v1 --licence MIT
  convert.py --se2 ckpt -o se2.safetensors             one half alone
  convert.py --cell-encoder ckpt/cell_encoder -o cell.safetensors --no-genes
  convert.py ckpt -o stofm.safetensors --genes-pickle token_dictionary.pkl gene_median_dictionary.pkl
  convert.py --info stofm.safetensors

exit codes: 0 done, 2 usage or configuration, 3 bad file, 4 bad data, 5 memory or disk
No file is ever unpickled by Python's pickle, and PyTorch is not needed."""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise ConvertError(3600, "", "command line", message, "", "See convert.py --help.", USAGE)


def parser():
    p = Parser(prog="convert.py", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXAMPLES, allow_abbrev=False,
               description="Convert a SToFM checkpoint into one bundle that the stofm program reads.")
    p.add_argument("checkpoint", nargs="?", metavar="CHECKPOINT_DIR", help="directory with either or both halves")
    p.add_argument("-o", "--output", metavar="FILE", help="bundle to write, e.g. stofm.safetensors")
    p.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    p.add_argument("--se2", metavar="DIR", help="directory of the SE(2) Transformer")
    p.add_argument("--cell-encoder", metavar="DIR", help="directory with cell_bert/ and cell_proj.bin")
    p.add_argument("--name", help="name of the model (default: name of the directory)")
    p.add_argument("--licence", default="not stated", help="licence of the weights, as their authors state it")
    p.add_argument("--genes", metavar="TSV", help="gene table (default: genes/genes.tsv beside convert.py)")
    p.add_argument("--mouse-map", metavar="TSV", help="mouse-to-human map (default: genes/mouse_to_human.tsv)")
    p.add_argument("--genes-pickle", nargs=2, metavar=("TOKENS", "MEDIANS"), help="Geneformer's two dictionaries instead")
    p.add_argument("--gene-names-pickle", metavar="NAMES", help="Geneformer's symbol dictionary, for the symbols")
    p.add_argument("--mouse-map-pickle", metavar="MAP", help="mouse-to-human dictionary as a pickle instead")
    p.add_argument("--no-genes", action="store_true", help="leave the tables out: the bundle verifies, but embeds no slice")
    p.add_argument("--allow-nonfinite", action="store_true", help="accept NaN and infinity in weights")
    p.add_argument("--strict", action="store_true", help="every notice is an error")
    p.add_argument("--info", metavar="BUNDLE", help="verify and describe a bundle, write nothing")
    return p


def first_file(folder, names):
    found = [name for name in names if os.path.lexists(os.path.join(folder, name))]
    return (os.path.join(folder, found[0]) if found else None), found[1:]


class Inputs:
    """The files of one conversion."""

    def __init__(self, args):
        self.se2 = self.cell = None
        for folder in (args.checkpoint, args.se2, args.cell_encoder):
            if folder is not None and not os.path.isdir(folder):
                raise ConvertError(3601, folder, "", "no such directory" if not os.path.exists(folder) else "a file",
                                   "a checkpoint directory", "Give the directory that holds config.json and the weights.", USAGE)
        if args.se2 or (args.checkpoint and first_file(args.checkpoint, SE2_FILES)[0]):
            self.se2 = args.se2 or args.checkpoint
        if args.cell_encoder:
            self.cell = args.cell_encoder
        elif args.checkpoint:
            for folder in (os.path.join(args.checkpoint, "cell_encoder"), args.checkpoint):
                if os.path.isdir(os.path.join(folder, "cell_bert")):
                    self.cell = folder
                    break
        if self.se2 is None and self.cell is None:
            raise ConvertError(3601, args.checkpoint or "", "", "neither se2transformer.pth nor cell_bert/",
                               "a checkpoint directory", "See convert.py --help for the layout.", USAGE)


def existing(path, expected):
    if path is None or not os.path.exists(path):
        raise ConvertError(3601, expected, "", "no such file", "a part of the checkpoint",
                           "Download it from where the checkpoint comes from.")
    return path


class Conversion:
    def __init__(self, args):
        self.args, self.notices, self.lines = args, Notices(), []
        self.tensors, self.texts, self.metadata, self.sources, self.files = {}, {}, {}, [], []

    def use(self, path):
        self.files.append(path)
        return path

    def take(self, path, label, shapes, optional, config_file, prefix, unused=None):
        with FileSource(path) as source:
            read = read_safetensors(source)[0] if path.endswith(".safetensors") else read_torch(source)
            self.sources.append({"bytes": source.size, "file": label, "sha256": source.sha256()})
            self.lines.append("%s: %d tensors" % (path, len(read)))
            chosen = select(read, shapes, optional, path, config_file, self.notices, self.lines, unused)
            made = materialise(chosen, prefix, path, self.notices, self.args.allow_nonfinite)
        self.lines.append("  -> %s*: %d tensors, %d parameters" % (prefix, len(made), sum(a.size for a in made.values())))
        self.tensors.update(made)

    def config(self, path, label, check):
        path = self.use(existing(path, path))
        config = read_json(path)
        check(config, path)
        with FileSource(path) as source:
            self.sources.append({"bytes": source.size, "file": label, "sha256": source.sha256()})
        return config

    def pick(self, folder, names):
        path, others = first_file(folder, names)
        path = self.use(existing(path, os.path.join(folder, names[0])))
        if others:
            self.lines.append("%s: taken; not read: %s" % (path, ", ".join(others)))
        return path

    def convert_se2(self, folder):
        config_file = os.path.join(folder, "config.json")
        config = self.config(config_file, "config.json", configs.check_se2)
        shapes, optional = configs.se2_tensors(config)
        path = self.pick(folder, SE2_FILES)
        self.take(path, os.path.basename(path), shapes, optional, config_file, "se2/")
        self.metadata["se2_config"] = json_text(config)
        return config

    def convert_cell(self, folder):
        bert = os.path.join(folder, "cell_bert")
        config_file = os.path.join(bert, "config.json")
        config = self.config(config_file, "cell_bert/config.json", configs.check_bert)
        shapes, optional = configs.bert_tensors(config)
        path = self.pick(bert, BERT_FILES)
        self.take(path, "cell_bert/" + os.path.basename(path), shapes, optional, config_file, "cell_encoder/bert/", UNUSED)
        path = self.use(existing(os.path.join(folder, "cell_proj.bin"), os.path.join(folder, "cell_proj.bin")))
        with FileSource(path) as source:
            listed = read_torch(source)
        rows = [w.shape[0] for name, w in listed.items() if name.split(".")[-1] == "bias" and len(w.shape) == 1]
        size = (rows[0] if rows and rows[0] > 0 else 1, "projection")
        self.take(path, "cell_proj.bin", {"weight": (size, (config["hidden_size"], "hidden_size")), "bias": (size,)}, [],
                  config_file, "cell_encoder/proj.")
        self.metadata["cell_encoder_config"] = json_text(config)
        return config, size[0]

    def gene_tables(self, vocabulary, config_file):
        a = self.args
        if a.genes_pickle:
            file, raw = a.genes_pickle[0], genes.genes_from_pickles(*a.genes_pickle, a.gene_names_pickle)
        else:
            file = a.genes or os.path.join(TABLES, "genes.tsv")
            raw = read_whole(file, genes.MAX_TABLE, "a gene table")
        needed, ids = genes.check_genes(raw, file)
        if needed != vocabulary:
            raise ConvertError(3682, file, "vocabulary", "%d genes: %d tokens with <pad>, <mask> and <cls>" % (len(ids), needed),
                               "the %d embedding rows of %s" % (vocabulary, config_file),
                               "Give the gene table of this model with --genes, or --no-genes to convert the weights alone.", DATA)
        if a.mouse_map_pickle:
            mouse_file, mouse = a.mouse_map_pickle, genes.mouse_from_pickle(a.mouse_map_pickle)
        else:
            mouse_file = a.mouse_map or os.path.join(TABLES, "mouse_to_human.tsv")
            mouse = read_whole(mouse_file, genes.MAX_TABLE, "a mouse-to-human map")
        genes.check_mouse(mouse, mouse_file, ids, self.notices)
        self.texts[GENES], self.texts[MOUSE] = raw, mouse
        self.lines.append("%s: %d genes; %s" % (file, len(ids), mouse_file))

    def run(self):
        a = self.args
        if a.output is None:
            raise ConvertError(3600, "", "command line", "no output", "-o FILE", "See convert.py --help.", USAGE)
        if a.no_genes and (a.genes or a.mouse_map or a.genes_pickle or a.mouse_map_pickle or a.gene_names_pickle):
            raise ConvertError(3600, "", "command line", "--no-genes beside a gene table", "one of them", "Drop one.", USAGE)
        if (a.genes and a.genes_pickle) or (a.mouse_map and a.mouse_map_pickle):
            raise ConvertError(3600, "", "command line", "a table both as TSV and as pickle", "one of them", "Drop one.", USAGE)
        if a.gene_names_pickle and not a.genes_pickle:
            raise ConvertError(3600, "", "command line", "--gene-names-pickle alone", "--genes-pickle beside it", "Add it.", USAGE)
        inputs = Inputs(a)
        candidates = [os.path.join(root, f) for top in (inputs.se2, inputs.cell, inputs.cell and inputs.cell + "/cell_bert")
                      if top for root in [top] for f in SE2_FILES + ("config.json", "cell_proj.bin")]
        tables = [a.genes, a.mouse_map, a.gene_names_pickle, a.mouse_map_pickle] + list(a.genes_pickle or [])
        check_output(a.output, [f for f in candidates + tables if f and os.path.exists(f)], a.overwrite)
        se2 = self.convert_se2(inputs.se2) if inputs.se2 else None
        if inputs.cell:
            bert, width = self.convert_cell(inputs.cell)
            if se2 and se2["input_dim"] != width:
                raise ConvertError(3665, os.path.join(inputs.cell, "cell_proj.bin"), "tensor weight",
                                   "a projection to %d" % width, "the input_dim %d of the SE(2) Transformer" % se2["input_dim"],
                                   "Give two halves of one model.")
            if a.no_genes:
                self.notices.add(3685, "no gene tables: this bundle can be verified but can not embed a slice")
            else:
                self.gene_tables(bert["vocab_size"], os.path.join(inputs.cell, "cell_bert", "config.json"))
        else:
            self.notices.add(3686, "no cell encoder: this bundle embeds precomputed cell embeddings only")
        if a.strict and self.notices.items:
            code, text = self.notices.items[0]
            raise ConvertError(3699, "", "strict mode", text + " (" + code + ")", "nothing to remark", "Run without --strict.", DATA)
        top = inputs.se2 or inputs.cell
        name = a.name or os.path.basename(os.path.abspath(a.checkpoint or top))
        self.metadata["model_info"] = json_text({"created_by": CREATED_BY, "licence": a.licence, "name": name,
                                                 "sources": self.sources, "training": "converted"})
        write_bundle(a.output, self.tensors, self.texts, self.metadata, a.overwrite)
        self.lines.append("%s: %d tensors, %d parameters, %d bytes" % (
            a.output, len(self.tensors) + len(self.texts), sum(t.size for t in self.tensors.values()),
            os.path.getsize(a.output)))


def info(path):
    """The lines of --info."""
    with FileSource(path) as source:
        weights, parsed = open_bundle(source)
        about = parsed.get("model_info", {})
        lines = ["%s: stofm bundle, %d bytes, sha256 of all %d tensors verified" % (path, source.size, len(weights))]
    for key in ("name", "licence", "training", "created_by"):
        lines.append("  %s: %s" % (key, quoted(str(about.get(key, "")))[1:-1]))
    for item in about.get("sources", []) if isinstance(about.get("sources"), list) else []:
        if isinstance(item, dict):
            lines.append("  from %s, sha256 %s" % (quoted(str(item.get("file")))[1:-1], quoted(str(item.get("sha256")))[1:-1]))
    for half in ("se2", "cell_encoder"):
        inside = [w for name, w in weights.items() if name.startswith(half + "/")]
        size = sum(math.prod(w.shape) for w in inside)
        lines.append("  %s: %s" % (half, "%d tensors, %d parameters" % (len(inside), size) if inside else "absent"))
    for table in (GENES, MOUSE):
        lines.append("  %s: %s" % (table, "%d bytes" % weights[table].shape[0] if table in weights else "absent"))
    return lines


def main(argv=None):
    """Exit code. Summary on stdout, notices and the one error line on stderr."""
    try:
        args = parser().parse_args(argv)
        if args.info:
            if args.checkpoint or args.output:
                raise ConvertError(3600, "", "command line", "--info beside a conversion", "--info BUNDLE alone", "Drop one.", USAGE)
            print("\n".join(info(args.info)))
            return 0
        conversion = Conversion(args)
        conversion.run()
        print("\n".join(conversion.lines))
        for code, text in conversion.notices.items:
            print("notice: %s [%s]" % (text, code), file=sys.stderr)
        return 0
    except ConvertError as e:
        print("convert.py: %s" % e, file=sys.stderr)
        return e.exit_code
    except MemoryError:
        print("convert.py: not enough memory. Close other programs or use a larger machine. [STOFM-3698]", file=sys.stderr)
        return RESOURCE
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")
        return 0
    except KeyboardInterrupt:
        return 130
