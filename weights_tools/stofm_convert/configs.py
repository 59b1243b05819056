# SPDX-License-Identifier: MIT
"""The two configurations: which keys, which ranges, and the names and shapes of the tensors they imply."""

import difflib
import math

from .errors import USAGE, ConvertError, quoted

# Keys of any Hugging Face configuration that say nothing about what is computed here.
GENERIC_KEYS = frozenset("""
    _attn_implementation_autoset _name_or_path add_cross_attention architectures attn_implementation auto_map
    bad_words_ids base_model_pp_plan base_model_tp_plan begin_suppress_tokens bos_token_id chunk_size_feed_forward
    classifier_dropout cross_attention_hidden_size custom_pipelines decoder_start_token_id directionality
    diversity_penalty do_sample dtype early_stopping encoder_no_repeat_ngram_size eos_token_id
    exponential_decay_length_penalty finetuning_task forced_bos_token_id forced_eos_token_id gradient_checkpointing
    id2label initializer_range is_composition is_decoder is_encoder_decoder label2id length_penalty max_length
    min_length model_type name_or_path no_repeat_ngram_size num_beam_groups num_beams num_labels
    num_return_sequences output_attentions output_hidden_states output_scores pad_token_id pooler_fc_size
    pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head pooler_type prefix problem_type
    pruned_heads quantization_config remove_invalid_values repetition_penalty return_dict return_dict_in_generate
    sep_token_id suppress_tokens task_specific_params temperature tf_legacy_loss tie_encoder_decoder
    tie_word_embeddings tokenizer_class top_k top_p torch_dtype torchscript transformers_version typical_p
    use_bfloat16 use_cache use_return_dict""".split())

INT, FLAG, TEXT, RATE, REAL = "an integer", "true or false", "a text", "a rate in [0, 1)", "a number above 0"
SE2 = {  # key: (type, least, largest)
    "num_hidden_layers": (INT, 1, 1024), "embedding_dim": (INT, 1, 1 << 20), "ffn_embedding_dim": (INT, 1, 1 << 20),
    "num_attention_heads": (INT, 1, 1 << 16), "gaussian_hidden_dim": (INT, 1, 1 << 20), "input_dim": (INT, 1, 1 << 20),
    "pre_layernorm": (FLAG,), "activation_fn": (TEXT,)}
SE2_OPTIONAL = {"dropout": (RATE,), "attention_dropout": (RATE,), "activation_dropout": (RATE,), "layerdrop": (RATE,),
                "hidden_size": (INT, 1, 1 << 20), "bias": (FLAG,), "norm_type_id": (INT, 0, 3), "cls_type_id": (INT, 0, 3),
                "hyper_type_id": (INT, 0, 3), "pad_type_id": (INT, 0, 3)}
SE2_IGNORED = frozenset("""apply_init embed_scale encoder_normalize_before freeze_embeddings kdim num_trans_layers_to_freeze
    q_noise qn_block_size self_attention traceable vdim""".split())
BERT = {"num_hidden_layers": (INT, 1, 1024), "hidden_size": (INT, 1, 1 << 20), "intermediate_size": (INT, 1, 1 << 20),
        "num_attention_heads": (INT, 1, 1 << 16), "vocab_size": (INT, 3, 1 << 30),
        "max_position_embeddings": (INT, 1, 1 << 20), "hidden_act": (TEXT,)}
BERT_OPTIONAL = {"type_vocab_size": (INT, 1, 1 << 16), "layer_norm_eps": (REAL,), "hidden_dropout_prob": (RATE,),
                 "attention_probs_dropout_prob": (RATE,), "position_embedding_type": (TEXT,)}


def check_config(config, file, what, required, optional, ignored):
    """Keys and ranges. \\throws ConvertError with the JSON pointer"""
    def fail(pointer, found, expected, remedy="Correct the configuration; it must be the one of these weights."):
        return ConvertError(3651, file, pointer, found, expected, remedy, USAGE)

    missing = [key for key in required if key not in config]
    known = set(required) | set(optional) | ignored | GENERIC_KEYS
    unknown = [key for key in config if key not in known]
    if unknown and len(missing) <= 1:      # a misspelt key explains one missing key; more are another kind of file
        near = difflib.get_close_matches(unknown[0][:100], missing or sorted(known - GENERIC_KEYS), 1, 0.5)
        raise fail("/" + quoted(unknown[0])[1:-1], "an unknown key", "a key of %s configuration" % what,
                   "Did you mean %s?" % near[0] if near else "Remove it, if it does not change the model.")
    if missing:
        raise fail("", "no " + ", ".join(missing), "the keys of %s configuration" % what,
                   "Give the config.json that belongs to these weights.")
    for key, rule in {**required, **optional}.items():
        if key in config:
            check_value(config[key], rule, fail, "/" + key)


def check_value(value, rule, fail, pointer):
    kind = rule[0]
    shown = quoted(str(value), 60) if isinstance(value, (str, list, dict)) else str(value)[:60]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == INT:
        if not isinstance(value, int) or isinstance(value, bool) or not rule[1] <= value <= rule[2]:
            raise fail(pointer, shown, "an integer from %d to %d" % rule[1:])
    elif kind == FLAG and not isinstance(value, bool) or kind == TEXT and not isinstance(value, str):
        raise fail(pointer, shown, kind)
    elif kind == RATE and not (number and 0 <= value < 1) or kind == REAL and not (number and 0 < value < 1e30):
        raise fail(pointer, shown, kind)


def divisible(config, file, size, heads):
    if config[size] % config[heads]:
        raise ConvertError(3651, file, "/" + size, "%d with %d heads" % (config[size], config[heads]),
                           "a multiple of " + heads, "Give the config.json that belongs to these weights.", USAGE)


def one_of(config, file, key, choices, default=None):
    if config.get(key, default) not in choices:
        raise ConvertError(3651, file, "/" + key, quoted(str(config[key]), 60), "one of " + ", ".join(map(str, choices)),
                           "Other values are not computed by this program.", USAGE)


def check_se2(config, file):
    check_config(config, file, "an SE(2) Transformer", SE2, SE2_OPTIONAL, SE2_IGNORED)
    divisible(config, file, "embedding_dim", "num_attention_heads")
    one_of(config, file, "activation_fn", ("gelu", "relu"))
    one_of(config, file, "bias", (True,), True)
    one_of(config, file, "hidden_size", (config["embedding_dim"],), config["embedding_dim"])
    for key, value in (("norm_type_id", 0), ("cls_type_id", 1), ("hyper_type_id", 2), ("pad_type_id", 3)):
        one_of(config, file, key, (value,), value)


def check_bert(config, file):
    check_config(config, file, "a BERT cell encoder", BERT, BERT_OPTIONAL, frozenset())
    divisible(config, file, "hidden_size", "num_attention_heads")
    one_of(config, file, "hidden_act", ("relu", "gelu"))
    one_of(config, file, "position_embedding_type", ("absolute",), "absolute")
    one_of(config, file, "is_decoder", (False,), False)
    one_of(config, file, "add_cross_attention", (False,), False)


class Tensors:
    """Names and shapes that a model must have; `shapes[name]` = [(size, config key or why)]."""

    def __init__(self):
        self.shapes = {}

    def add(self, name, *dims):
        self.shapes[name] = dims

    def linear(self, name, rows, columns):
        self.add(name + ".weight", rows, columns)
        self.add(name + ".bias", rows)

    def norm(self, name, size):
        self.add(name + ".weight", size)
        self.add(name + ".bias", size)


def se2_tensors(config):
    """(required, optional groups): the names as the authors' SToFMModel has them."""
    dim = lambda key: (config[key], key)
    e, f, h, k, one = dim("embedding_dim"), dim("ffn_embedding_dim"), dim("num_attention_heads"), \
        dim("gaussian_hidden_dim"), (1, "always 1")
    t = Tensors()
    t.linear("embedding_layer", e, dim("input_dim"))
    t.add("token_type_embeddings.weight", (4, "always 4"), e)
    t.linear("gaussian.linear", one, one)
    t.add("gaussian.means.weight", one, k)
    t.add("gaussian.stds.weight", one, k)
    t.linear("gaussian.proj.0", k, k)
    t.linear("gaussian.proj.2", h, k)
    for i in range(config["num_hidden_layers"]):
        layer = "encoder.layers.%d." % i
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            t.linear(layer + "self_attn." + name, e, e)
        t.norm(layer + "self_attn_layer_norm", e)
        t.linear(layer + "fc1", f, e)
        t.linear(layer + "fc2", e, f)
        t.norm(layer + "final_layer_norm", e)
    lm, pair, last = Tensors(), Tensors(), Tensors()
    lm.linear("lm_head.0", e, e)
    lm.linear("lm_head.2", e, e)
    pair.linear("pair_head.0", h, h)
    pair.linear("pair_head.2", one, h)
    last.norm("encoder.final_layer_norm", e)
    return t.shapes, [lm.shapes, pair.shapes] + ([last.shapes] if config["pre_layernorm"] else [])


def bert_tensors(config):
    dim = lambda key: (config[key], key)
    h, m = dim("hidden_size"), dim("intermediate_size")
    t = Tensors()
    t.add("embeddings.word_embeddings.weight", dim("vocab_size"), h)
    t.add("embeddings.position_embeddings.weight", dim("max_position_embeddings"), h)
    t.add("embeddings.token_type_embeddings.weight", (config.get("type_vocab_size", 2), "type_vocab_size"), h)
    t.norm("embeddings.LayerNorm", h)
    for i in range(config["num_hidden_layers"]):
        layer = "encoder.layer.%d." % i
        for name in ("query", "key", "value"):
            t.linear(layer + "attention.self." + name, h, h)
        t.linear(layer + "attention.output.dense", h, h)
        t.norm(layer + "attention.output.LayerNorm", h)
        t.linear(layer + "intermediate.dense", m, h)
        t.linear(layer + "output.dense", h, m)
        t.norm(layer + "output.LayerNorm", h)
    return t.shapes, []


def parameters(shapes):
    return sum(math.prod(size for size, _ in dims) for dims in shapes.values())
