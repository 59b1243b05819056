# SPDX-License-Identifier: MIT
"""A pickle interpreter that can not run anything: it yields plain values and tensor descriptors only.

The values are None, bool, int, float, str, tuple, list, dict and TensorRef. A global is one of 13 names that the
machine itself gives a meaning to; nothing is ever imported or called. The opcodes are those that torch.save writes
(protocol 2); `plain=True` reads tables of numbers and strings instead: no globals, no persistent ids, protocols 2-5.
Every count is compared with a cap before memory is taken. Nothing recurses on the input.
"""

import struct

from .errors import ConvertError, quoted

MAX_OPS = 1_000_000
MAX_DEPTH = 256
MAX_MEMO = 65_536
MAX_STRING = 1 << 20
MAX_NODES = 1_000_000
MAX_RANK = 8

# class name of a storage -> (safetensors dtype, bytes per element)
STORAGES = {
    "FloatStorage": ("F32", 4), "DoubleStorage": ("F64", 8), "HalfStorage": ("F16", 2), "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8), "IntStorage": ("I32", 4), "ShortStorage": ("I16", 2), "CharStorage": ("I8", 1),
    "ByteStorage": ("U8", 1), "BoolStorage": ("BOOL", 1)}
ORDERED_DICT = "collections.OrderedDict"
REBUILD_TENSOR = "torch._utils._rebuild_tensor_v2"
REBUILD_PARAMETER = "torch._utils._rebuild_parameter"
GLOBALS = frozenset([ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER] + ["torch." + name for name in STORAGES])

SPECIAL_KINDS = (("_rebuild_sparse", "a sparse tensor"), ("_rebuild_qtensor", "a quantized tensor"),
                 ("torch.Q", "a quantized tensor"), ("torch.per_", "a quantized tensor"),
                 ("_rebuild_meta", "a meta tensor"), ("_rebuild_device_tensor", "a device tensor"),
                 ("torch.Complex", "a complex tensor"), ("_rebuild_wrapper_subclass", "a tensor subclass"),
                 ("_rebuild_nested", "a nested tensor"))


class Global:
    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name


class StorageRef:
    __slots__ = ("key", "dtype", "item_size", "numel")

    def __init__(self, key, dtype, item_size, numel):
        self.key, self.dtype, self.item_size, self.numel = key, dtype, item_size, numel


class TensorRef:
    """A strided range of a storage; sizes and strides in elements."""
    __slots__ = ("storage", "offset", "shape", "strides")

    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    @property
    def numel(self):
        n = 1
        for d in self.shape:
            n *= d
        return n


class StateDict(dict):
    """What collections.OrderedDict() becomes: the only object that may take a BUILD (torch's `_metadata`)."""


class _Mark:
    pass


PROTO, STOP = 0x80, ord(".")
MARK = _Mark()
NAMES = {
    "(": "MARK", ".": "STOP", "0": "POP", "1": "POP_MARK", "2": "DUP", "F": "FLOAT", "I": "INT", "J": "BININT",
    "K": "BININT1", "L": "LONG", "M": "BININT2", "N": "NONE", "P": "PERSID", "Q": "BINPERSID", "R": "REDUCE",
    "S": "STRING", "T": "BINSTRING", "U": "SHORT_BINSTRING", "V": "UNICODE", "X": "BINUNICODE", "a": "APPEND",
    "b": "BUILD", "c": "GLOBAL", "d": "DICT", "}": "EMPTY_DICT", "e": "APPENDS", "g": "GET", "h": "BINGET",
    "i": "INST", "j": "LONG_BINGET", "l": "LIST", "]": "EMPTY_LIST", "o": "OBJ", "p": "PUT", "q": "BINPUT",
    "r": "LONG_BINPUT", "s": "SETITEM", "t": "TUPLE", ")": "EMPTY_TUPLE", "u": "SETITEMS", "G": "BINFLOAT",
    "\x80": "PROTO", "\x81": "NEWOBJ", "\x82": "EXT1", "\x83": "EXT2", "\x84": "EXT4", "\x85": "TUPLE1",
    "\x86": "TUPLE2", "\x87": "TUPLE3", "\x88": "NEWTRUE", "\x89": "NEWFALSE", "\x8a": "LONG1", "\x8b": "LONG4",
    "B": "BINBYTES", "C": "SHORT_BINBYTES", "\x8c": "SHORT_BINUNICODE", "\x8d": "BINUNICODE8", "\x8e": "BINBYTES8",
    "\x8f": "EMPTY_SET", "\x90": "ADDITEMS", "\x91": "FROZENSET", "\x92": "NEWOBJ_EX", "\x93": "STACK_GLOBAL",
    "\x94": "MEMOIZE", "\x95": "FRAME", "\x96": "BYTEARRAY8", "\x97": "NEXT_BUFFER", "\x98": "READONLY_BUFFER"}
TORCH_OPS = frozenset("(.JKMNQRXabc}eh]jqrst)uG\x80\x85\x86\x87\x88\x89\x8a")
PLAIN_OPS = (TORCH_OPS - frozenset("Qbc" "R")) | frozenset("0\x8c\x8d\x94\x95")


class PickleMachine:
    """Reads one pickle. `file` and `entry` name it in messages."""

    def __init__(self, data, file, entry, plain=False):
        self.data, self.file, self.entry, self.plain = data, file, entry, plain
        self.handlers = PLAIN_HANDLERS if plain else TORCH_HANDLERS
        self.at = self.start = 0
        self.code = None                # of the opcode being read; None at the end of the stream
        self.stack, self.memo, self.storages = [], {}, {}

    @property
    def op(self):
        return "end" if self.code is None else NAMES.get(chr(self.code), "0x%02x" % self.code)

    def fail(self, code, found, expected, remedy="Save the file again; this one is damaged or not a state dict."):
        where = "%s at pickle offset %d (%s)" % (self.entry, self.start, self.op) if self.entry else \
            "pickle offset %d (%s)" % (self.start, self.op)
        return ConvertError(code, self.file, where, found, expected, remedy)

    # Reading the stream.
    def take(self, count):
        if count > len(self.data) - self.at:
            raise self.fail(3621, "truncated at byte %d: %d bytes left" % (len(self.data), len(self.data) - self.at),
                            "%d" % count, "Truncated? Download or save the file again.")
        self.at += count
        return self.data[self.at - count:self.at]

    def line(self):
        end = self.data.find(b"\n", self.at, self.at + 1024)
        if end < 0:
            raise self.fail(3621, "no end of line within 1024 bytes: truncated at byte %d" % len(self.data), "a name",
                            "Truncated? Download or save the file again.")
        text = self.data[self.at:end]
        self.at = end + 1
        return text

    def text(self, count):
        if count > MAX_STRING:
            raise self.fail(3624, "a string of %d bytes" % count, "at most %d" % MAX_STRING)
        raw = self.take(count)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self.fail(3624, "the string " + quoted(raw), "UTF-8") from None

    # The stack.
    def pop(self):
        if not self.stack or self.stack[-1] is MARK:
            raise self.fail(3622, "an empty stack" if not self.stack else "a mark on the stack", "a value: underflow")
        return self.stack.pop()

    def top(self):
        value = self.pop()
        self.stack.append(value)
        return value

    def pop_to_mark(self):
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i] is MARK:
                items = self.stack[i + 1:]
                del self.stack[i:]
                return items
        raise self.fail(3622, "no mark on the stack", "one: underflow")

    def put(self, index):
        if index >= MAX_MEMO:
            raise self.fail(3623, "memo index %d" % index, "below %d" % MAX_MEMO)
        self.memo[index] = self.top()

    def get(self, index):
        if index not in self.memo:
            raise self.fail(3623, "memo index %d, never set" % index, "one that was set")
        self.stack.append(self.memo[index])

    def set_items(self, target, items):
        if not isinstance(target, dict):
            raise self.fail(3625, "an item set on a %s" % kind_of(target), "a dict")
        if len(items) % 2:
            raise self.fail(3625, "%d keys and values" % len(items), "an even number")
        for key, value in zip(items[::2], items[1::2]):
            if type(key) not in (str, int):
                raise self.fail(3625, "a %s as dict key" % kind_of(key), "str or int")
            if key in target:
                raise self.fail(3625, "the key %s twice" % quoted(str(key)), "unique keys")
            target[key] = value

    def append(self, target, items):
        if type(target) is not list:
            raise self.fail(3625, "an append to a %s" % kind_of(target), "a list")
        target.extend(items)

    # The whole.
    def load(self):
        """The value of the pickle. \\throws ConvertError for anything else than plain values and tensors."""
        data, handlers, end, ops = self.data, self.handlers, len(self.data), 0
        while True:
            self.start = at = self.at
            if at >= end:
                self.code = None
                raise self.fail(3621, "truncated at byte %d: no STOP" % end, "a whole pickle",
                                "Truncated? Download or save the file again.")
            self.code = code = data[at]
            self.at = at + 1
            ops += 1
            if ops > MAX_OPS:
                raise self.fail(3626, "more than %d opcodes" % MAX_OPS, "fewer")
            if (at == 0) != (code == PROTO):
                raise self.fail(3627, "opcode %s" % self.op, "PROTO as the first opcode and nowhere else",
                                "Save with torch.save's default protocol (2).")
            if code == STOP:
                break
            handler = handlers[code]
            if handler is None:
                raise self.fail(3627, "opcode %s" % self.op, "an opcode of a state dict written by torch.save"
                                if not self.plain else "an opcode of a plain dict",
                                "Save model.state_dict() with torch.save's default protocol (2)." if not self.plain
                                else "Save it as a plain dict of str, int and float.")
            handler(self)
        result = self.pop()
        if self.stack:
            raise self.fail(3628, "%d more values under the result" % len(self.stack), "one value")
        if self.at != len(self.data):
            raise self.fail(3628, "%d bytes after STOP" % (len(self.data) - self.at), "none")
        self.check_tree(result)
        return result

    def check_tree(self, root):
        """Depth, cycles and expanded size of what is reachable, without recursion."""
        sizes, depths, active = {}, {}, set()
        work = [(root, False)]
        while work:
            node, done = work.pop()
            if not isinstance(node, (tuple, list, dict)):
                continue
            me = id(node)
            children = node.values() if isinstance(node, dict) else node
            if done:
                active.discard(me)
                sizes[me] = 1 + sum(sizes.get(id(c), 1) for c in children)
                depths[me] = 1 + max((depths.get(id(c), 0) for c in children), default=0)
                if depths[me] > MAX_DEPTH:
                    raise self.fail(3626, "containers nested %d deep" % depths[me], "at most %d" % MAX_DEPTH)
                if sizes[me] > MAX_NODES:
                    raise self.fail(3626, "a structure of more than %d nodes when expanded" % MAX_NODES, "fewer")
                continue
            if me in active:
                raise self.fail(3626, "a container that contains itself", "a tree")
            if me in sizes:
                continue
            active.add(me)
            work.append((node, True))
            for c in children:
                if isinstance(c, (tuple, list, dict)):
                    if id(c) in active:
                        raise self.fail(3626, "a container that contains itself", "a tree")
                    work.append((c, False))

    # Opcodes with a meaning of their own.
    def op_proto(self):
        version = self.take(1)[0]
        if not (2 <= version <= 5 if self.plain else version == 2):
            raise self.fail(3627, "pickle protocol %d" % version, "2 to 5" if self.plain else "2",
                            "Save with torch.save's default protocol.")

    def op_frame(self):
        length = struct.unpack("<Q", self.take(8))[0]
        if length > len(self.data) - self.at:
            raise self.fail(3621, "a frame of %d bytes" % length, "at most the %d left" % (len(self.data) - self.at),
                            "Truncated? Download the file again.")

    def op_global(self):
        module, name = self.line(), self.line()
        full = (module + b"." + name).decode("latin-1")
        if full not in GLOBALS:
            for part, kind in SPECIAL_KINDS:
                if part in full:
                    raise self.fail(3631, "%s (global %s)" % (kind, quoted(full)), "dense real tensors",
                                    "Convert the tensor with .dequantize(), .to_dense() or .float() and save again.")
            raise self.fail(3620, "the global " + quoted(full), "one of the 13 that a state dict needs (nothing was run)",
                            "Save model.state_dict(), not the model or an optimizer; and do not trust this file.")
        self.stack.append(Global(full))

    def op_persistent_id(self):
        pid = self.pop()
        if type(pid) is not tuple or len(pid) != 5 or pid[0] != "storage":
            raise self.fail(3629, "a persistent id that is a %s" % kind_of(pid), "('storage', class, key, place, numel)")
        _, cls, key, place, numel = pid
        if not isinstance(cls, Global) or cls.name[6:] not in STORAGES:
            raise self.fail(3629, "a storage class that is a %s" % kind_of(cls), "one of torch's storages")
        if type(key) is not str or not (key.isascii() and key.isdigit() and len(key) <= 20):
            raise self.fail(3629, "the storage key " + (quoted(key) if type(key) is str else kind_of(key)), "a number as text")
        if type(place) is not str or place.split(":")[0] not in ("cpu", "cuda", "mps", "xpu", "xla", "hpu"):
            raise self.fail(3631, "a storage on " + (quoted(place) if type(place) is str else kind_of(place)),
                            "one with content", "Move the model to the CPU and save its state_dict() again.")
        if type(numel) is not int or not 0 <= numel < 1 << 62:
            raise self.fail(3630, "storage %s with numel %s" % (key, short(numel)), "a count >= 0")
        dtype, item = STORAGES[cls.name[6:]]
        known = self.storages.get(key)
        if known is not None and (known.dtype, known.numel) != (dtype, numel):
            raise self.fail(3630, "storage %s as %s[%d] and as %s[%d]" % (key, known.dtype, known.numel, dtype, numel),
                            "one type and size for a storage")
        if known is None:
            known = self.storages[key] = StorageRef(key, dtype, item, numel)
        self.stack.append(known)

    def op_reduce(self):
        args, function = self.pop(), self.pop()
        if not isinstance(function, Global) or type(args) is not tuple:
            raise self.fail(3625, "a call of a %s with a %s" % (kind_of(function), kind_of(args)),
                            "one of the 13 globals with a tuple")
        if function.name == ORDERED_DICT:
            if args not in ((), ([],)):
                raise self.fail(3625, "OrderedDict with %d arguments" % len(args), "none")
            self.stack.append(StateDict())
        elif function.name == REBUILD_TENSOR:
            self.stack.append(self.rebuild_tensor(args))
        elif function.name == REBUILD_PARAMETER:
            if len(args) != 3 or not isinstance(args[0], TensorRef) or type(args[1]) is not bool or \
                    not no_hooks(args[2]):
                raise self.fail(3630, "_rebuild_parameter with other arguments", "(tensor, requires_grad, no hooks)")
            self.stack.append(args[0])
        else:
            raise self.fail(3625, "a call of " + function.name, "a rebuild function")

    def rebuild_tensor(self, args):
        if len(args) not in (6, 7) or not isinstance(args[0], StorageRef):
            raise self.fail(3630, "_rebuild_tensor_v2 with other arguments", "(storage, offset, size, stride, grad, hooks)")
        storage, offset, shape, strides, grad, hooks = args[:6]
        if type(grad) is not bool or not no_hooks(hooks):
            raise self.fail(3630, "a tensor with hooks", "none", "Save model.state_dict().")
        if len(args) == 7 and not (args[6] is None or (isinstance(args[6], dict) and not args[6])):
            raise self.fail(3631, "a tensor with metadata (negated or conjugated view)", "a plain tensor",
                            "Call .resolve_neg().resolve_conj().contiguous() and save again.")
        if type(shape) is not tuple or type(strides) is not tuple or len(shape) != len(strides):
            raise self.fail(3630, "size and stride of different kinds or lengths", "two tuples of one length")
        if len(shape) > MAX_RANK:
            raise self.fail(3630, "rank %d" % len(shape), "at most %d" % MAX_RANK)
        if any(type(v) is not int for v in (offset,) + shape + strides):
            raise self.fail(3630, "an offset, size or stride that is no integer", "integers")
        if offset < 0 or min(shape + strides, default=0) < 0:
            raise self.fail(3630, "offset %s, size %s, stride %s" % (short(offset), short(shape), short(strides)),
                            "nothing negative")
        numel, last, span = 1, offset, storage.item_size
        for size, stride in zip(shape, strides):
            numel, last, span = numel * size, last + (size - 1) * stride, span * max(size, 1)
        if not numel and span >= 1 << 62:     # a zero must not hide an absurd other size
            raise self.fail(3630, "size %s" % short(shape), "sizes whose product is below 2^62")
        if numel > storage.numel:
            raise self.fail(3630, "size %s with stride %s: %s elements" % (short(shape), short(strides), short(numel)),
                            "at most the %d of its storage (expanded tensors are refused)" % storage.numel,
                            "Call .contiguous() and save again.")
        if numel and any(n > 1 and s == 0 for n, s in zip(shape, strides)):
            raise self.fail(3630, "stride 0 (an expanded tensor)", "strides above 0", "Call .contiguous() and save again.")
        if (numel and last >= storage.numel) or offset > storage.numel:
            raise self.fail(3630, "offset %s, size %s, stride %s: last element %s"
                            % (short(offset), short(shape), short(strides), short(last)),
                            "below the %d elements of storage %s" % (storage.numel, storage.key))
        return TensorRef(storage, offset, shape, strides)

    def op_build(self):
        state, target = self.pop(), self.top()
        if type(target) is not StateDict or type(state) is not dict or set(state) - {"_metadata"}:
            raise self.fail(3627, "opcode BUILD on a %s" % kind_of(target), "only torch's _metadata on an OrderedDict",
                            "Save model.state_dict(), not the model.")

    def op_tuple(self, count=None):
        items = self.pop_to_mark() if count is None else [self.pop() for _ in range(count)][::-1]
        self.stack.append(tuple(items))

    def op_long1(self):
        count = self.take(1)[0]
        if count > 8:
            raise self.fail(3624, "an integer of %d bytes" % count, "at most 8")
        self.stack.append(int.from_bytes(self.take(count), "little", signed=True))

    def op_set_item(self):
        value, key = self.pop(), self.pop()
        self.set_items(self.top(), [key, value])

    def op_set_items(self):
        items = self.pop_to_mark()
        self.set_items(self.top(), items)

    def op_append(self):
        value = self.pop()
        self.append(self.top(), [value])

    def op_appends(self):
        items = self.pop_to_mark()
        self.append(self.top(), items)

    def push(self, value):
        self.stack.append(value)

    def number(self, layout):
        self.stack.append(struct.unpack(layout, self.take(struct.calcsize(layout)))[0])

    def length(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    HANDLERS = {
        "\x80": op_proto, "\x95": op_frame, "c": op_global, "Q": op_persistent_id, "R": op_reduce, "b": op_build,
        "(": lambda m: m.push(MARK), "N": lambda m: m.push(None), "\x88": lambda m: m.push(True),
        "\x89": lambda m: m.push(False), "}": lambda m: m.push({}), "]": lambda m: m.push([]),
        ")": lambda m: m.push(()), "t": op_tuple, "\x85": lambda m: m.op_tuple(1), "\x86": lambda m: m.op_tuple(2),
        "\x87": lambda m: m.op_tuple(3), "J": lambda m: m.number("<i"), "K": lambda m: m.number("<B"),
        "M": lambda m: m.number("<H"), "G": lambda m: m.number(">d"), "\x8a": op_long1,
        "X": lambda m: m.push(m.text(m.length("<I"))), "\x8c": lambda m: m.push(m.text(m.length("<B"))),
        "\x8d": lambda m: m.push(m.text(m.length("<Q"))), "q": lambda m: m.put(m.length("<B")),
        "r": lambda m: m.put(m.length("<I")), "h": lambda m: m.get(m.length("<B")),
        "j": lambda m: m.get(m.length("<I")), "\x94": lambda m: m.put(len(m.memo)), "s": op_set_item,
        "u": op_set_items, "a": op_append, "e": op_appends, "0": lambda m: m.pop()}


TORCH_HANDLERS, PLAIN_HANDLERS = ([PickleMachine.HANDLERS[chr(code)] if chr(code) in ops and chr(code) != "." else None
                                   for code in range(256)] for ops in (TORCH_OPS, PLAIN_OPS))


def no_hooks(value):
    return isinstance(value, dict) and not value


def short(value):
    """Digits of a possibly enormous integer or tuple, cut."""
    if isinstance(value, int) and value.bit_length() > 200:
        return "a number of %d bits" % value.bit_length()
    if isinstance(value, tuple):
        return "(" + ", ".join(short(v) for v in value[:9]) + ")"
    return str(value)[:80]


def kind_of(value):
    if isinstance(value, Global):
        return "global " + value.name
    return {TensorRef: "tensor", StorageRef: "storage", StateDict: "OrderedDict", type(None): "None"}.get(
        type(value), type(value).__name__)
