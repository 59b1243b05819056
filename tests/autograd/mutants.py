#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Are the tests sharp? Each mutant is one wrong expression, most of them in gradients; some test has to fail for it.

All mutants are compiled into one set of test programs, each behind a switch that the environment variable STOFM_MUTANT
turns on, so that the whole check is one build and many short runs. Not a part of CI.

Usage: mutants.py SOURCE_DIR [COMPILER [FLAG ...]]
"""
import os
import pathlib
import subprocess
import sys
import tempfile

A, O, B = "autograd/rules/", "ops/", "backend/cpu/"
# (header, right expression, wrong expression[, which occurrence]): signs, dropped terms, transposed factors.
MUTANTS = [
    (A + "elementwise.hpp", "T(-1)", "T(1)"),
    (A + "elementwise.hpp", "ops::mul(grad_y, right)", "ops::mul(grad_y, left)"),
    (A + "elementwise.hpp", "ops::mul(grad_y, left)", "ops::mul(grad_y, right)"),
    (A + "elementwise.hpp", "ops::mul(grad_y, left)", "ops::scale(ops::mul(grad_y, left), T(-1))"),
    (A + "elementwise.hpp", "ops::scale(grad_y, factor)", "ops::scale(grad_y, -factor)"),
    (A + "elementwise.hpp", "ops::scale(grad_y, factor)", "grad_y.clone()"),
    (A + "elementwise.hpp", "into.add(1, grad_y)", "(void)0"),
    (A + "elementwise.hpp", "into.add(0, grad_y)", "(void)0", 0),
    (A + "elementwise.hpp", "into.add(0, grad_y)", "(void)0", 1),
    (A + "elementwise.hpp", "into.add(0, grad_y)", "(void)0", 2),
    (A + "elementwise.hpp", "ops::add_column_sums_into<T>(into.accumulator(1).view(), grad_y.view())", "(void)0"),
    (A + "matmul.hpp", "ops::linear(grad_y, right)", "ops::scale(ops::linear(grad_y, right), T(-1))"),
    (A + "matmul.hpp", "ops::linear(grad_y, right)", "Tensor<T>::zeros(left.shape())"),
    (A + "matmul.hpp", "ops::add_transposed_product_into<T>(into.accumulator(1).view(), left.view(), grad_y.view())", "(void)0"),
    (A + "linear.hpp", "into.add_owned(0, std::move(grad_x))", "(void)0"),
    (A + "linear.hpp", "ops::add_transposed_product_into<T>(into.accumulator(1).view(), grad_y.view(), rows.view())", "(void)0"),
    (A + "linear.hpp", "ops::add_column_sums_into<T>(into.accumulator(2).view(), grad_y.view())", "(void)0"),
    (A + "softmax.hpp", "ops::softmax_gradient(grad_y, y)", "ops::log_softmax_gradient(grad_y, y)"),
    (A + "softmax.hpp", "ops::log_softmax_gradient(grad_y, y)", "ops::softmax_gradient(grad_y, y)"),
    (A + "layer_norm.hpp", "into.add(0, grad_z)", "(void)0"),
    (A + "layer_norm.hpp", "into.add(1, grad_z)", "(void)0"),
    (A + "layer_norm.hpp", "into.wanted(0) ? 0 : 1", "std::size_t{0}"),
    (A + "views.hpp", "grad_y.transpose(a, b)", "grad_y.clone().reshape(grad_y.transpose(a, b).shape())"),
    (A + "views.hpp", "sum += value", "sum = value"),
    (A + "views.hpp", "into.accumulator(0).slice(dimension, begin, end)",
     "into.accumulator(0).slice(dimension, 0, end - begin)"),
    (A + "views.hpp", "grad_y.slice(dimension, i == 0 ? 0 : ends[i - 1], ends[i])",
     "grad_y.slice(dimension, 0, i == 0 ? ends[0] : ends[i] - ends[i - 1])"),
    (A + "reduce.hpp", "static_cast<double>(*grad_y.data()) * factor", "static_cast<double>(*grad_y.data())"),
    (A + "reduce.hpp", "grad_y.data()[i]", "grad_y.data()[0]"),
    (A + "losses.hpp", "static_cast<double>(*grad_y.data()) * factor", "static_cast<double>(*grad_y.data())"),
    (A + "losses.hpp", "static_cast<double>(*grad_y.data()) * factor", "factor"),
    (A + "losses.hpp", "d *= T(2)", "d *= T(1)"),
    (A + "losses.hpp", "-a_factor", "a_factor"),
    (A + "losses.hpp", "static_cast<double>(a[j]) * a_factor * cosine", "static_cast<double>(a[j]) * a_factor"),
    (A + "losses.hpp", "static_cast<double>(b[j]) * b_factor", "static_cast<double>(b[j])"),
    (A + "losses.hpp", "count += weight_of(i)", "count += 1.0"),
    (A + "losses.hpp", "static_cast<double>(m)", "1.0"),
    (A + "varlen_attention.hpp", "into.add_owned(0, std::move(grad_q))", "(void)0"),
    (A + "varlen_attention.hpp", "into.add_owned(1, std::move(grad_all))", "into.add_owned(1, all.clone())"),
    (O + "softmax.hpp", "static_cast<double>(grad) - sum", "static_cast<double>(grad) + sum"),
    (O + "softmax.hpp", "static_cast<double>(grad) - sum", "static_cast<double>(grad)"),
    (O + "softmax.hpp", "static_cast<double>(grad) * static_cast<double>(value)", "static_cast<double>(grad)"),
    (O + "softmax.hpp", "std::exp(static_cast<double>(value)) * sum", "static_cast<double>(value) * sum"),
    (O + "softmax.hpp", "std::exp(static_cast<double>(value)) * sum", "std::exp(static_cast<double>(value))"),
    (O + "softmax.hpp", "value == masked", "false", 0),
    (O + "l2_normalize.hpp", "static_cast<double>(in.row(i)[j]) * along", "0.0"),
    (O + "l2_normalize.hpp", "product * factor * factor", "product * factor"),
    (O + "l2_normalize.hpp", "product * factor * factor", "-product * factor * factor"),
    (O + "l2_normalize.hpp", "squares == 0 ? 0.0 : 1.0 / std::sqrt(squares)", "1.0 / std::sqrt(squares)"),
    (B + "activation.hpp", "x > T(0)", "x >= T(0)"),
    (B + "activation.hpp", "x > T(0)", "grad_y > T(0)"),
    (B + "activation.hpp", "T(-0.5) * x * x", "T(-0.5) * x"),
    (B + "activation.hpp", "x * density", "density"),
    (B + "activation.hpp", "T(0.39894228040143267794)", "T(0.3989)"),
    (B + "layer_norm.hpp", "h[j] * mean_gh", "mean_gh"),
    (B + "layer_norm.hpp", "h[j] * mean_gh", "0.0"),
    (B + "layer_norm.hpp", "static_cast<double>(grad_y[j]) * h[j]", "static_cast<double>(grad_y[j])"),
    (B + "layer_norm.hpp", "mean_g /= count", "mean_g = 0"),
    (B + "layer_norm.hpp", "squares / count + eps", "squares / count"),
    (B + "layer_norm.hpp", "x[j] + residual[j]", "x[j]"),
    (B + "cross_entropy.hpp", "gradient[target] -= static_cast<T>(weight)", "gradient[target] -= static_cast<T>(1)"),
    (B + "cross_entropy.hpp", "gradient[target] -= static_cast<T>(weight)", "gradient[0] -= static_cast<T>(weight)"),
    (B + "scatter_rows.hpp", "to[j] += from[j]", "to[j] = from[j]"),
    (B + "column_sums.hpp", "static_cast<double>(sums[begin + j]) + total[j]", "total[j]"),
    (B + "linear_gradient.hpp", "left.data + first", "left.data"),
    (B + "varlen_attention.hpp", "s_row[j] - d", "s_row[j]"),
    (B + "varlen_attention.hpp", "s_row[j] - d", "s_row[j] + d"),
    (B + "varlen_attention.hpp", "a.scale * p_row[j] * (s", "p_row[j] * (s"),
    (B + "varlen_attention.hpp", "a.scale * p_row[j] * (s", "a.scale * (s"),
    (B + "varlen_attention.hpp", "grad_value.noalias() += p.transpose() * grad", "grad_value.noalias() += s.transpose() * grad"),
    (B + "varlen_attention.hpp", "grad_key.noalias() += s.transpose() * query", "grad_key.noalias() += s.transpose() * grad"),
    (B + "varlen_attention.hpp", "grad_key.noalias() += s.transpose() * query", "grad_key.noalias() = s.transpose() * query"),
    (B + "avx512/attention_gradient.hpp", "_mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, s + j), shift)", "_mm512_maskz_loadu_ps(lanes, s + j)"),
    (B + "avx512/layer_norm.hpp", "_mm512_sub_ps(g, mean_one)", "g"),
    (B + "avx512/activation.hpp", "grad = _mm512_mul_ps(grad, one_or_zero)", "(void)0"),
    ("autograd/tape.hpp", "node.owned = grad.is_contiguous()", "node.owned = false"),
    ("autograd/tape.hpp", "node.grad = node.grad.clone()", "(void)0"),
    ("autograd/tape.hpp", "walked_ = !options.keep_graph", "walked_ = false"),
    ("autograd/tape.hpp", "node.parameter->version() != node.version", "false"),
    ("autograd/recompute.hpp", "into.add_owned(i, inner.grad(leaves[i]))", "(void)0"),
    ("cluster/mini_batch_kmeans.hpp", "std::find(counts.begin(), counts.end(), 0)", "counts.end()"),
    ("cluster/nearest_centre.hpp", "other < centre", "other > centre"),
    ("cluster/leiden_levels.hpp", "part = refine(rows, degrees, factor, cluster, orders, parts)",
     "part = cluster, parts = compact(part, degrees.size())"),
    ("cluster/leiden_levels.hpp", "origin[c] != before[i]", "false"),
    ("cluster/leiden_levels.hpp", "part[i] = node_of_closed[c];", "part[i] = 0;"),
    ("cluster/leiden.hpp", "result.labels[static_cast<std::size_t>(order[k])] = labels[k]", "result.labels[k] = labels[k]"),
    ("cluster/leiden.hpp", "!move_nodes(rows, degrees, factor, labels, orders)", "true"),
    ("cluster/leiden_refine.hpp", "!well_connected(i)", "false"),
    ("cluster/leiden_refine.hpp", "outward_[i] - 2 * around_.of(best)", "outward_[i]"),
    ("nn/clip_gradients.hpp", "coefficient < 1.0", "true"),
    ("model/distance_bias/bias_table_builder.hpp", "table.measured_error_ <= options_.accepted * table.range_", "true"),
]
EQUIVALENT = {"node.owned = false"}  # one more copy, the same result: shows that a survivor is reported
TESTS = ["autograd/elementwise_rules", "autograd/row_rules", "autograd/losses", "autograd/sequence_rules", "autograd/tape",
         "ops/gradient_ops", "ops/linear_gradient", "ops/varlen_attention_gradient",
         "cluster/mini_batch_kmeans", "cluster/leiden", "cluster/leiden_walk", "nn/optimizer", "model/distance_bias"]
SWITCH = "#include <cstdlib>\ninline int stofm_mutant() {\n  static const int on = std::getenv(\"STOFM_MUTANT\") == nullptr ? -1 : " \
         "std::atoi(std::getenv(\"STOFM_MUTANT\"));\n  return on;\n}\n"


def is_statement(text):
    return text == "(void)0" or " += " in text or " = " in text or " -= " in text or " *= " in text or " /= " in text


def place(source, header, spots):
    """Puts all mutants of one header in, the last ones first; those of one spot share it."""
    for (start, end), mutants in sorted(spots.items(), reverse=True):
        right = source[start:end]
        code = right
        if is_statement(right) or any(is_statement(wrong) for _, wrong in mutants):
            chain = "".join(f"if (::stofm_mutant() == {i}) {{ {wrong}; }} else " for i, wrong in mutants)
            code = chain + "{ " + right + "; }"
            end += source[end] == ";"
        else:
            for i, wrong in mutants:
                code = f"(::stofm_mutant() == {i} ? ({wrong}) : ({code}))"
        source = source[:start] + code + source[end:]
    return source


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    command = sys.argv[2:] or ["g++", "-std=c++20", "-O1", "-isystem", "/usr/include/eigen3", "-pthread"]
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "switch.hpp").write_text(SWITCH)
        headers = {}
        for index, (header, right, wrong, *which) in enumerate(MUTANTS):
            source = (root / "include/stofm" / header).read_text()
            start = -1
            for _ in range((which[0] if which else 0) + 1):
                start = source.find(right, start + 1)
            while start >= 0 and source[source.rfind("\n", 0, start) + 1:].lstrip().startswith("//"):
                start = source.find(right, start + 1)
            if start < 0:
                sys.exit(f"{header} has no {right!r} any more: change the list of mutants")
            headers.setdefault(header, {}).setdefault((start, start + len(right)), []).append((index, wrong))
        for path in (root / "include").rglob("*.hpp"):
            relative = path.relative_to(root / "include")
            text = path.read_text()
            if relative.as_posix().removeprefix("stofm/") in headers:
                text = place(text, relative, headers[relative.as_posix().removeprefix("stofm/")])
            (folder / relative).parent.mkdir(parents=True, exist_ok=True)
            (folder / relative).write_text(text)
        flags = [*command, "-include", str(folder / "switch.hpp"), f"-I{folder}", f"-I{root}", f'-DSTOFM_SOURCE_DIR="{root}"']
        subprocess.run([*flags, "-c", str(root / "tests/support/main.cpp"), "-o", str(folder / "main.o")], check=True)
        programs = []
        for test in TESTS:
            program = folder / test.replace("/", "_")
            subprocess.run([*flags, str(root / "tests" / (test + "_test.cpp")), str(folder / "main.o"), "-o", str(program)], check=True)
            programs.append(program)
        survivors = []
        for index in range(-1, len(MUTANTS)):
            environment = dict(os.environ, STOFM_MUTANT=str(index))
            caught = None
            for program in programs:
                try:
                    if subprocess.run([program], env=environment, capture_output=True, timeout=120).returncode != 0:
                        caught = program.name
                        break
                except subprocess.TimeoutExpired:
                    caught = program.name
                    break
            if index < 0:
                if caught:
                    sys.exit(f"{caught} fails without a mutant")
                continue
            header, right, wrong = MUTANTS[index][:3]
            print(f"{index:3d} {'caught by ' + caught if caught else 'SURVIVED':32s} {header}: {right} -> {wrong}", flush=True)
            if not caught and wrong not in EQUIVALENT:
                survivors.append(index)
    print(f"{len(MUTANTS) - len(EQUIVALENT)} mutants, {len(survivors)} survived {survivors if survivors else ''}")
    return 1 if survivors else 0


sys.exit(main())
