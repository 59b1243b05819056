# SPDX-License-Identifier: MIT
"""What weights_tools/start_bundle.py writes does what its opening says."""
import math
import os
import sys
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "weights_tools"))
import start_bundle as sb  # noqa: E402

SE2 = {"embedding_dim": 32, "ffn_embedding_dim": 64, "num_attention_heads": 8, "gaussian_hidden_dim": 64, "num_hidden_layers": 2,
       "input_dim": 32}


def layer_norm(x):
    return (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)


class StartBundle(unittest.TestCase):
    def test_mean_weights_follow_the_rank_and_leave_cls_out(self):
        tokens, offsets = np.array([9, 3, 4, 9, 4]), np.array([0, 3, 5])
        found = sb.mean_weights(tokens, offsets, 2.0, 10)
        e = np.exp(-np.arange(3) / 2.0)
        first, second = e / e.sum(), e[:2] / e[:2].sum()
        self.assertAlmostEqual(found[3], first[1] / 2)
        self.assertAlmostEqual(found[4], (first[2] + second[1]) / 2)
        self.assertEqual(found[9], 0)

    def test_gene_vectors_have_one_length_zero_sum_and_no_mean(self):
        rng = np.random.default_rng(1)
        means = [np.abs(rng.standard_normal(400)) * (rng.random(400) < 0.3) for _ in range(3)]
        vectors = sb.gene_vectors(400, 12, means, rng)
        self.assertTrue(np.allclose(np.linalg.norm(vectors, axis=1), 1))
        self.assertLess(np.abs(vectors.sum(axis=1)).max(), 1e-3)
        for mean in means:
            self.assertLess(np.linalg.norm(mean @ vectors), 1e-2 * np.linalg.norm(mean))

    def test_the_cell_encoder_is_a_bag_of_genes_weighted_by_rank(self):
        hidden, rng = 64, np.random.default_rng(2)
        tensors = sb.cell_encoder(50, 49, hidden, [[] for _ in sb.TAUS], rng)
        get = lambda name: tensors["cell_encoder/bert/" + name]  # noqa: E731
        tokens = np.array([49, 7, 12, 30, 5])
        x = layer_norm(get("embeddings.word_embeddings.weight")[tokens] + get("embeddings.position_embeddings.weight")[:5])
        q = get("encoder.layer.0.attention.self.query.bias")
        k = x @ get("encoder.layer.0.attention.self.key.weight").T
        v = x @ get("encoder.layer.0.attention.self.value.weight").T
        width, bag = hidden // len(sb.TAUS), []
        for h, tau in enumerate(sb.TAUS):
            part = slice(h * width, (h + 1) * width)
            score = (k[1:, part] @ q[part]) / math.sqrt(width)
            weight = np.exp(score - score[0])
            self.assertTrue(np.allclose(weight, np.exp(-np.arange(4) / tau), rtol=1e-3), (tau, weight))
            self.assertLess(np.abs(v[0, part]).max(), 1e-12)
            bag.append(weight @ v[1:, part])
        residual = x[0] + get("encoder.layer.0.attention.output.dense.bias")
        self.assertLess(np.abs(residual).max(), 1e-9)
        self.assertTrue(np.array_equal(tensors["cell_encoder/proj.weight"], np.eye(hidden)))

    def test_a_masked_cell_cancels_and_the_head_is_the_identity(self):
        tensors = sb.se2_transformer(SE2, 24.0, 6.0, 0.45, np.random.default_rng(3))
        node = tensors["se2/embedding_layer.weight"]
        self.assertLess(np.abs(node @ np.full(32, -100.0)).max(), 1e-9)
        x = np.random.default_rng(4).standard_normal((9, 32))
        y = np.maximum(x @ tensors["se2/lm_head.0.weight"].T + tensors["se2/lm_head.0.bias"], 0)
        self.assertTrue(np.allclose(y @ tensors["se2/lm_head.2.weight"].T + tensors["se2/lm_head.2.bias"], x))
        v, out = (tensors["se2/encoder.layers.1.self_attn." + name + ".weight"] for name in ("v_proj", "out_proj"))
        self.assertTrue(np.allclose(out @ v, 0.45 * np.eye(32)))

    def test_the_bias_falls_with_distance_at_each_heads_own_length(self):
        t = sb.local_bias(SE2, 24.0, 6.0)
        d = np.array([0.3, 1.0, 2.0, 5.0, 12.0, 100.0])[:, None]
        means, widths = t["gaussian.means.weight"], t["gaussian.stds.weight"]
        psi = np.exp(-(((d - means) / widths) ** 2) / 2) / (math.sqrt(2 * math.pi) * widths)
        found = np.maximum(psi @ t["gaussian.proj.0.weight"].T, 0) @ t["gaussian.proj.2.weight"].T
        for h in range(8):
            want = 6 * np.exp(-((d[:, 0] / sb.LENGTHS[h % 4]) ** 2))
            self.assertLess(np.abs(found[:, h] - want).max(), 0.3, h)
        self.assertTrue(np.all(found[-1] == 0))


if __name__ == "__main__":
    unittest.main()
