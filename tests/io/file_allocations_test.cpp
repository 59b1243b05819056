// SPDX-License-Identifier: MIT
// R09: whichever allocation fails while a file is read or written, there is an Error of exit code 5, nothing
// leaks, and the next attempt works.
#include <doctest/doctest.h>

#include <fstream>

#include "stofm/io/csv_writer.hpp"
#include "stofm/io/json.hpp"
#include "stofm/io/npy.hpp"
#include "stofm/io/safetensors.hpp"
#include "stofm/io/spatial_csv.hpp"
#include "tests/support/heap_count.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/refusal.hpp"

using namespace stofm;
using namespace stofm::io;
using stofm::test::heap_count;
using stofm::test::ScratchDir;

namespace {
/// Fails allocation 1, 2, ... of `work` until it passes; returns how many there were. `sticky`: and all later
/// ones; then std::bad_alloc may come out where there is no memory even for the message.
template <class Work>
std::size_t fail_every_allocation(Work&& work, bool sticky) {
  auto& heap = heap_count();
  work();  // what is allocated once per process
  for (std::size_t k = 1;; ++k) {
    const std::size_t before = heap.now;
    bool failed = false, right = false;
    heap.restart();
    heap.sticky = sticky;
    heap.fail_at = k;
    try {
      work();
      right = true;
    } catch (const ResourceError&) {
      failed = right = true;
    } catch (const std::bad_alloc&) {
      failed = true;
      right = sticky;
    } catch (...) {
      failed = true;
    }
    heap.fail_at = 0;
    const bool reached = heap.calls >= k;
    if (!right) FAIL_CHECK("allocation " << k << " gives another exception");
    if (heap.now != before) FAIL_CHECK("allocation " << k << " leaks " << heap.now - before << " bytes");
    if (!reached) return k - 1;
    if (!failed && !sticky) continue;  // some libraries try again with less
  }
}
}  // namespace

TEST_CASE("R09: every allocation of reading and writing fails once, and for good") {
  const ScratchDir dir;
  const auto tensor = Tensor<double>::from({2, 2}, {1, 2, 3, 4});
  const std::vector<SafetensorsEntry> entries = {safetensors_entry("a", tensor),
                                                 safetensors_entry("b", tensor)};
  write_safetensors(dir / "w.safetensors", entries, {{"key", "value"}});
  write_npy(dir / "a.npy", tensor.transpose(0, 1));
  std::ofstream(dir / "c.csv") << "cell,spatial_1,spatial_2\na,1,2\nb,3,4\n";
  const std::vector<std::string> cells = {"b", "a"};
  const std::string text = R"({"a": [1, 2.5, "a string longer than fifteen bytes"], "b\u0041": {"c": null}})";
  // What the arguments need is allocated here, outside the library.
  const std::filesystem::path weights = dir / "w.safetensors", array = dir / "a.npy", csv = dir / "c.csv";
  const std::map<std::string, std::string> metadata = {{"key", "value"}};
  const std::string json_name = "c.json";
  std::size_t points = 0;
  for (const bool sticky : {false, true}) {
    points += fail_every_allocation(
        [&] {
          const auto file = SafetensorsFile::open(weights);
          (void)file.read<float>("a");
          (void)file.read<double>("b");
          (void)file.read_bytes("a");
        },
        sticky);
    points += fail_every_allocation([&] { (void)NpyFile::open(array).read<float>(); }, sticky);
    points += fail_every_allocation([&] { (void)read_csv(csv); }, sticky);
    const auto before = stofm::test::listing(dir.path());
    points += fail_every_allocation(
        [&] { write_safetensors(weights, entries, metadata, {.overwrite = true}); }, sticky);
    CHECK(stofm::test::listing(dir.path()) == before);
  }
  // nlohmann::json allocates in its destructor, which may not fail: checked is the parser, once for each
  // allocation.
  points += fail_every_allocation(
      [&] {
        const auto document = parse_json(text, json_name);
        heap_count().fail_at = 0;
      },
      false);
  MESSAGE(points << " fault points");
  CHECK(points > 150);
}
