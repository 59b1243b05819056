# SPDX-License-Identifier: MIT
"""What weights_tools/start_bundle.py and pack_demo.py write does what their openings say."""
import math
import os
import sys
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "weights_tools"))
import pack_demo as pd  # noqa: E402
import start_bundle as sb  # noqa: E402

C = 24
SE2 = {"embedding_dim": 2 * C, "ffn_embedding_dim": 48, "num_attention_heads": 6, "gaussian_hidden_dim": 64, "num_hidden_layers": 4,
       "input_dim": C}


def layer_norm(x):
    return (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)


def some_slices(rng, cells=300, vocabulary=90):
    """Token lists of two slices with some genes in common: (tokens, offsets, weights)."""
    found = []
    for genes in (np.arange(2, 40), np.arange(30, 70)):
        rows = [np.concatenate([[vocabulary - 1], rng.permutation(genes)[:rng.integers(5, 30)]]) for _ in range(cells)]
        tokens, offsets = np.concatenate(rows), np.cumsum([0] + [len(row) for row in rows])
        found.append((tokens, offsets, sb.rank_weights(tokens, offsets)))
    return found


class StartBundle(unittest.TestCase):
    def test_weights_follow_the_rank_and_leave_cls_out(self):
        found = sb.rank_weights(np.array([9, 3, 4, 9, 4]), np.array([0, 3, 5]))
        first = np.array([1 / 11, 1 / 12])
        self.assertTrue(np.allclose(found, [0, *(first / first.sum()), 0, 1]))

    def test_moments_are_those_of_the_dense_matrix(self):
        tokens, offsets, weight = some_slices(np.random.default_rng(0))[0]
        genes = np.unique(tokens)[:-1]
        place = np.full(90, -1)
        place[genes] = np.arange(len(genes))
        dense = np.zeros((len(offsets) - 1, 90))
        dense[np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), tokens] = weight
        mean, covariance = sb.slice_moments(tokens, offsets, weight, place, len(genes), block=77)
        self.assertTrue(np.allclose(mean, dense[:, genes].mean(axis=0)))
        self.assertTrue(np.allclose(covariance, np.cov(dense[:, genes].T, bias=True)))

    def test_gene_vectors_keep_the_principal_components_of_every_slice(self):
        rng = np.random.default_rng(1)
        slices = some_slices(rng)
        vectors, fitted = sb.gene_vectors(slices, 90, C, 80, rng)
        self.assertEqual(sorted(fitted), list(range(2, 70)))
        self.assertLess(np.abs(vectors.sum(axis=1)).max(), 1e-9)
        for tokens, offsets, weight in slices:
            dense = np.zeros((len(offsets) - 1, 90))
            dense[np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)), tokens] = weight
            centred = dense - dense.mean(axis=0)
            left, values, _ = np.linalg.svd(centred, full_matrices=False)
            scores = left[:, :6] * values[:6]
            features = centred @ vectors
            rest = scores - features @ np.linalg.lstsq(features, scores, rcond=None)[0]
            self.assertLess(np.sum(rest ** 2) / np.sum(scores ** 2), 0.1)
            self.assertLess(np.linalg.norm(dense.mean(axis=0) @ vectors), 0.3 * np.linalg.norm(features, axis=1).mean())

    def test_the_bundle_lists_the_genes_that_were_fitted(self):
        table = b"ensembl_id\tsymbols\ttoken\tmedian\nG4\tC\t4\t1\nG2\tA\t2\t1\nG3\t\t3\t1\n"
        self.assertEqual(sb.learnt_text(table, np.array([2, 4])), b"G4\nG2\n")
        self.assertEqual(sb.learnt_text(table, []), b"")

    def test_the_cell_encoder_is_a_bag_of_genes_weighted_by_rank(self):
        rng = np.random.default_rng(2)
        vectors = rng.standard_normal((50, C))
        tensors = sb.cell_encoder(vectors, 49)
        get = lambda name: tensors["cell_encoder/bert/" + name]  # noqa: E731
        tokens, heads = np.array([49, 7, 12, 30, 5]), sb.HEADS
        words = get("embeddings.word_embeddings.weight")
        self.assertTrue(np.allclose(np.linalg.norm(words[1:49], axis=1), 1))
        self.assertLess(np.abs(words.sum(axis=1)).max(), 1e-9)
        x = layer_norm(words[tokens] + get("embeddings.position_embeddings.weight")[:5])
        q = get("encoder.layer.0.attention.self.query.bias")
        k = x @ get("encoder.layer.0.attention.self.key.weight").T
        v = x @ get("encoder.layer.0.attention.self.value.weight").T
        width, bag = x.shape[1] // heads, []
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            score = (k[1:, part] @ q[part]) / math.sqrt(width)
            weight = np.exp(score - score[0])
            self.assertTrue(np.allclose(weight, 11 / (11 + np.arange(4)), rtol=1e-3), weight)
            self.assertLess(np.abs(v[0, part]).max(), 1e-12)
            bag.append(weight @ v[1:, part])
        residual = x[0] + get("encoder.layer.0.attention.output.dense.bias")
        self.assertLess(np.abs(residual).max(), 1e-9)
        found = tensors["cell_encoder/proj.weight"] @ layer_norm(np.concatenate(bag))
        want = (11 / (11 + np.arange(4))) @ vectors[tokens[1:]]
        self.assertGreater(found @ want / np.linalg.norm(found) / np.linalg.norm(want), 1 - 1e-6)

    def test_a_masked_cell_cancels_and_the_head_adds_both_halves(self):
        tensors = sb.se2_transformer(SE2, 24.0, 6.0, 0.5, np.random.default_rng(3))
        node = tensors["se2/embedding_layer.weight"]
        self.assertLess(np.abs(node @ np.full(C, -100.0)).max(), 1e-9)
        self.assertFalse(np.any(node[C:]))
        x = np.random.default_rng(4).standard_normal((9, 2 * C))
        y = np.maximum(x @ tensors["se2/lm_head.0.weight"].T + tensors["se2/lm_head.0.bias"], 0)
        self.assertTrue(np.allclose(y @ tensors["se2/lm_head.2.weight"].T + tensors["se2/lm_head.2.bias"], x[:, :C] + x[:, C:]))
        for layer in range(4):
            v, out = (tensors["se2/encoder.layers.%d.self_attn.%s.weight" % (layer, name)] for name in ("v_proj", "out_proj"))
            want = np.zeros((2 * C, 2 * C))
            want[C:, :C] = 0.5 * np.eye(C)
            self.assertTrue(np.allclose(out @ v, want))

    def test_the_bias_falls_with_distance_at_each_heads_own_length(self):
        t = sb.local_bias(SE2, 24.0, 6.0)
        d = np.array([0.3, 1.0, 2.0, 5.0, 12.0, 100.0])[:, None]
        means, widths = t["gaussian.means.weight"], t["gaussian.stds.weight"]
        psi = np.exp(-(((d - means) / widths) ** 2) / 2) / (math.sqrt(2 * math.pi) * widths)
        found = np.maximum(psi @ t["gaussian.proj.0.weight"].T, 0) @ t["gaussian.proj.2.weight"].T
        for h in range(6):
            want = 6 * np.exp(-((d[:, 0] / sb.LENGTHS[h % 4]) ** 2))
            self.assertLess(np.abs(found[:, h] - want).max(), 0.3, h)
        self.assertTrue(np.all(found[-1] == 0))


class PackDemo(unittest.TestCase):
    def test_bfloat16_rounds_to_nearest_even(self):
        bits = np.array([0x3F800000, 0x3F808000, 0x3F818000, 0x3F808001, 0xBF80FFFF], dtype="<u4")
        self.assertEqual(pd.bfloat16(bits.view("<f4")).tolist(), [0x3F80, 0x3F80, 0x3F82, 0x3F81, 0xBF81])

    def test_what_is_kept_gives_the_tables_again(self):
        rng = np.random.default_rng(5)
        tensors = {name: np.asarray(value, dtype="<f4") for name, value in sb.cell_encoder(rng.standard_normal((50, C)), 49).items()}
        kept = pd.packed({**tensors, "se2/x": np.ones(3, "<f4")}, np.array([4, 7]))
        words, places = tensors[pd.WORDS], tensors[pd.PLACES]
        self.assertTrue(np.array_equal(kept["words/rows"][1], words[[4, 7], :C + sb.FILLER]))
        self.assertTrue(np.array_equal(kept["places/columns"][1], places[:, -sb.PLACE:]))
        self.assertEqual(kept["se2/x"][0], "BF16")
        self.assertNotIn(pd.WORDS, kept)
        tensors[pd.WORDS] = words + 1
        with self.assertRaises(SystemExit):
            pd.packed(tensors, np.array([4]))


if __name__ == "__main__":
    unittest.main()
