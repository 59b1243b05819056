// SPDX-License-Identifier: MIT
/// One training step of the SE(2) Transformer at the published size (random weights): forward, both losses,
/// backward, clipping, AdamW; and its parts. The sub-slice and the labels are those of the PyTorch peer:
/// about 80,000 different distances, 15 % of the cells masked, every listed pair of them labelled.
/// `--memory N` runs N steps without the harness and prints one JSON line with the time and the peak memory.
#include <benchmark/benchmark.h>
#include <sys/resource.h>
#include <time.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <ranges>
#include <string>

#include "stofm/model/pretraining_heads.hpp"
#include "stofm/nn/adamw.hpp"
#include "tests/model/random_model.hpp"

namespace {

using namespace stofm;

constexpr std::int64_t virtual_cells = 49;

model::Se2Config published() {
  model::Se2Config config;
  config.input_dim = config.embedding_dim = config.ffn_embedding_dim = 256;
  config.num_attention_heads = 8;
  config.num_hidden_layers = 4;
  config.gaussian_hidden_dim = 128;
  return config;
}

struct Workload {
  test::RandomSubSlice slice;
  std::vector<std::int64_t> nodes, rows, columns;
  Tensor<float> cell_targets;
  std::vector<float> pair_targets;
};

/// Labels as in the peer: 15 % of the cells; rows of `pair_targets` are theirs, distances of `far_distance`
/// unlabelled.
const Workload& workload(std::int64_t nodes) {
  static std::map<std::int64_t, Workload> made;
  const auto found = made.find(nodes);
  if (found != made.end()) return found->second;
  Workload w;
  w.slice = test::random_sub_slice(nodes, virtual_cells, 256, 1, 49);
  const std::int64_t first = virtual_cells + 1, cells = nodes - first, labelled = cells * 15 / 100;
  Random random(5);
  std::vector<std::int64_t> order;
  for (std::int64_t i = first; i < nodes; ++i) order.push_back(i);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  w.nodes.assign(order.begin(), order.begin() + labelled);
  w.cell_targets = Tensor<float>({labelled, 256});
  for (std::int64_t i = 0; i < labelled; ++i)
    std::copy_n(w.slice.embeddings.data() + w.nodes[static_cast<std::size_t>(i)] * 256, 256,
                w.cell_targets.data() + i * 256);
  const PairDistances& d = w.slice.distances;
  std::vector<std::int64_t> sorted(w.nodes);
  std::sort(sorted.begin(), sorted.end());
  for (const std::int64_t i : sorted)
    for (auto e = d.row_offsets[static_cast<std::size_t>(i)];
         e < d.row_offsets[static_cast<std::size_t>(i) + 1]; ++e) {
      const auto at = static_cast<std::size_t>(e);
      if (d.columns[at] < first || d.values[at] == far_distance) continue;
      w.rows.push_back(i);
      w.columns.push_back(d.columns[at]);
      w.pair_targets.push_back(d.values[at]);
    }
  return made.emplace(nodes, std::move(w)).first->second;
}

/// A model, its optimizer, and one step of both.
class Training {
 public:
  explicit Training(std::int64_t nodes)
      : work_(workload(nodes)),
        set_(parameters()),
        trainer_(published(), set_),
        heads_(published(), set_),
        optimizer_(set_, {.learning_rate = 1e-4}) {}

  /// \returns the loss
  float step(bool with_optimizer = true) {
    set_.zero_grad();
    autograd::Tape<float> tape;
    const auto loss = forward(tape);
    tape.backward(loss);
    if (with_optimizer) optimizer_.step(1e-4, nn::clip_coefficient(nn::global_norm(set_), 1.0));
    return loss.value().data()[0];
  }
  autograd::Variable<float> forward(autograd::Tape<float>& tape) {
    ++steps_;
    const auto output =
        trainer_.forward(tape, autograd::constant(work_.slice.embeddings), work_.slice.distances,
                         work_.slice.types, {.dropout = true, .key = {1, 0, steps_}});
    const auto cells = heads_.masked_cell_loss(tape, output.last_hidden, work_.nodes, work_.cell_targets);
    const auto pairs = heads_.pair_distance_loss(tape, output, work_.rows, work_.columns, work_.pair_targets);
    return model::combined_loss(cells, cells.count, pairs, pairs.count);
  }
  /// The distance bias alone, forward and backward.
  void bias() {
    set_.zero_grad();
    autograd::Tape<float> tape;
    const auto values = model::train_distance_bias<float>(tape, set_, work_.slice.distances).values;
    tape.backward(values, values.value());
  }
  void optimizer() { optimizer_.step(1e-4, nn::clip_coefficient(nn::global_norm(set_), 1.0)); }
  const Workload& work() const { return work_; }

 private:
  static model::NamedTensors<float> parameters() {
    auto all = model::initial_parameters(published(), {.seed = 1});
    all.merge(model::initial_head_parameters(published(), {.seed = 1}));
    return all;
  }
  const Workload& work_;
  autograd::ParameterSet<float> set_;
  model::Se2Trainer<float> trainer_;
  model::PretrainingHeads<float> heads_;
  nn::AdamW<float> optimizer_;
  std::uint64_t steps_ = 0;
};

bool use_level(benchmark::State& state, CpuKernels level) {
  if (!has_cpu_kernels(level)) {
    state.SkipWithError("this machine lacks these kernels");
    return false;
  }
  set_cpu_kernels(level);
  return true;
}

template <class Body>
void measure(benchmark::State& state, CpuKernels level, Body body) {
  if (!use_level(state, level)) return;
  Training training(state.range(0));
  body(training);
  for (auto _ : state) body(training);
  state.counters["labelled_pairs"] = static_cast<double>(training.work().pair_targets.size());
  state.counters["listed_pairs"] = static_cast<double>(training.work().slice.distances.entries());
}

void register_all() {
  for (const CpuKernels level : std::views::reverse(cpu_kernel_levels())) {
    const std::string name(to_string(level));
    const auto add = [&](const std::string& part, auto body) {
      benchmark::RegisterBenchmark(("model/" + part + "/" + name + "/L:4/E:256/H:8/N").c_str(),
                                   [=](benchmark::State& state) { measure(state, level, body); })
          ->Arg(1050)
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    };
    add("train_step", [](Training& training) { benchmark::DoNotOptimize(training.step()); });
    add("train_forward", [](Training& training) {
      autograd::Tape<float> tape;
      benchmark::DoNotOptimize(training.forward(tape).value().data());
    });
    add("train_distance_bias", [](Training& training) { training.bias(); });
    add("optimizer", [](Training& training) { training.optimizer(); });
  }
  benchmark::RegisterBenchmark("model/distinct_distances/N",
                               [](benchmark::State& state) {
                                 const auto& distances = workload(state.range(0)).slice.distances;
                                 for (auto _ : state) {
                                   const auto distinct = model::distinct_distances(distances);
                                   benchmark::DoNotOptimize(distinct.entries.data());
                                   state.counters["distinct"] = static_cast<double>(distinct.size());
                                 }
                               })
      ->Arg(1050)
      ->Unit(benchmark::kMillisecond)
      ->UseRealTime();
}

/// Processor time of this process so far, all threads.
double processor_ms() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return 1e3 * static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_nsec);
}

/// One JSON line: median and least time of a step, processor time of all threads per step, peak memory.
int memory_run(std::int64_t steps) {
  Training training(1050);
  std::vector<double> ms;
  float loss = training.step();
  const double before = processor_ms();
  for (std::int64_t i = 0; i < steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    loss = training.step();
    ms.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
  }
  const double processor = (processor_ms() - before) / static_cast<double>(steps);
  std::sort(ms.begin(), ms.end());
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  std::printf(
      "{\"what\": \"train step\", \"median_ms\": %.3f, \"min_ms\": %.3f, \"processor_ms\": %.3f, "
      "\"peak_bytes\": %lld, \"loss\": %g}\n",
      ms[ms.size() / 2], ms[0], processor, static_cast<long long>(usage.ru_maxrss) * 1024,
      static_cast<double>(loss));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::strcmp(argv[1], "--memory") == 0)
    return memory_run((std::max<std::int64_t>)(1, std::atoll(argv[2])));
  register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
