// SPDX-License-Identifier: MIT
// A large .h5ad streamed, and streamed and tokenised: time and peak memory. The file is
// named by STOFM_BENCH_SLICE; make one with
//     python3 bench/pipeline/make_tiled_slice.py examples/data/xenium_mousebrain_4261.h5ad big.h5ad 1000000
//     --nnz 100
// Baseline: reading the rows and nothing else.
#include <benchmark/benchmark.h>

#if __has_include(<hdf5.h>)
#include <sys/resource.h>

#include <cstdlib>

#include "stofm/io/file.hpp"
#include "stofm/io/h5ad_reader.hpp"
#include "stofm/pipeline/embed_cells.hpp"
#include "stofm/pipeline/gene_mapping.hpp"

using namespace stofm;
using namespace stofm::pipeline;

namespace {

enum class Work { read, tokenize };

double peak_mebibytes(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

void stream(benchmark::State& state, Work work) {
  const char* path = std::getenv("STOFM_BENCH_SLICE");
  if (path == nullptr) {
    state.SkipWithError("set STOFM_BENCH_SLICE to an .h5ad file");
    return;
  }
  const std::string genes = std::string(STOFM_SOURCE_DIR) + "/weights_tools/genes/";
  const auto table = GeneTable::parse(io::File::open(genes + "genes.tsv").read_all(1 << 26));
  const auto mouse_map =
      MouseMap::parse(io::File::open(genes + "mouse_to_human.tsv").read_all(1 << 26), table);
  GeneMappingOptions options;
  options.refuse_below = 0;
  std::int64_t cells = 0, counts = 0;
  for (auto _ : state) {
    const auto slice = io::read_h5ad(path);
    cells = slice.cells;
    counts = 0;
    if (work == Work::read) {
      for (std::int64_t begin = 0; begin < slice.cells; begin += 4096)
        counts += slice.read_counts(begin, std::min(slice.cells, begin + 4096)).offsets.back();
    } else {
      const auto mapping = map_genes(slice, table, mouse_map, options);
      for_token_blocks(slice, mapping, {},
                       [&](const TokenizedCells& block) { counts += block.offsets.back(); });
    }
  }
  state.counters["cells/s"] =
      benchmark::Counter(static_cast<double>(cells), benchmark::Counter::kIsIterationInvariantRate);
  state.counters["entries"] = static_cast<double>(counts);
  state.counters["peak_MiB"] = peak_mebibytes(RUSAGE_SELF);
  state.counters["reader_peak_MiB"] = peak_mebibytes(RUSAGE_CHILDREN);
}
BENCHMARK_CAPTURE(stream, read, Work::read)->Iterations(1)->Unit(benchmark::kSecond)->UseRealTime();
BENCHMARK_CAPTURE(stream, tokenize, Work::tokenize)->Iterations(1)->Unit(benchmark::kSecond)->UseRealTime();

}  // namespace
#endif

BENCHMARK_MAIN();
