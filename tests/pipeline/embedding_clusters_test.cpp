// SPDX-License-Identifier: MIT
// Clusters of an embedding: the blobs that are there, numbered by size, the same at any thread count.
#include "stofm/pipeline/embedding_clusters.hpp"

#include <doctest/doctest.h>

#include "stofm/core/parallel.hpp"
#include "stofm/core/random.hpp"

using namespace stofm;

namespace {
/// Blob b has 40 (b + 1) rows around a place of its own; returned with the blob of each row, mixed.
Tensor<float> blobs(std::int64_t count, std::vector<std::int64_t>& blob) {
  blob.clear();
  for (std::int64_t b = 0; b < count; ++b)
    for (std::int64_t i = 0; i < 40 * (b + 1); ++i) blob.push_back(b);
  Random random(8);
  for (std::size_t i = blob.size(); i > 1; --i) std::swap(blob[i - 1], blob[random.below(i)]);
  Tensor<float> rows({static_cast<std::int64_t>(blob.size()), 12});
  for (std::int64_t i = 0; i < rows.dim(0); ++i)
    for (std::int64_t c = 0; c < 12; ++c) {
      const bool own = c == blob[static_cast<std::size_t>(i)];
      rows(i, c) = static_cast<float>((own ? 10 : 0) + 0.1 * random.normal());
    }
  return rows;
}
}  // namespace

TEST_CASE("blobs are found, the largest is number 0") {
  std::vector<std::int64_t> blob;
  const auto rows = blobs(5, blob);
  const auto found = pipeline::cluster_embedding(rows.view(), {.clusters = 5});
  CHECK(found.clusters == 5);
  CHECK(found.method == "k-means of the embedding, k = 5");
  for (std::size_t i = 0; i < blob.size(); ++i) REQUIRE(found.labels[i] == 4 - blob[i]);
}

TEST_CASE("the same labels at any number of threads, for a seed") {
  std::vector<std::int64_t> blob;
  const auto rows = blobs(9, blob);
  const int before = thread_count();
  std::vector<std::int32_t> one;
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    const auto found = pipeline::cluster_embedding(rows.view());
    if (threads == 1) one = found.labels;
    CHECK(found.labels == one);
  }
  set_thread_count(before);
}

TEST_CASE("few cells, equal cells: fewer clusters, none empty (D02 D03)") {
  CHECK(pipeline::embedding_cluster_count(1) == 1);
  CHECK(pipeline::embedding_cluster_count(59) == 5);
  CHECK(pipeline::embedding_cluster_count(1000000) == 10);
  for (const std::int64_t n : {1, 2, 30}) {
    const auto found = pipeline::cluster_embedding(Tensor<float>::full({n, 3}, 2.0F).view(), {.clusters = 4});
    CHECK(found.clusters == 1);
    CHECK(found.labels == std::vector<std::int32_t>(static_cast<std::size_t>(n), 0));
  }
  std::vector<std::int64_t> blob;
  const auto rows = blobs(4, blob);
  const auto found = pipeline::cluster_embedding(rows.view());
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(found.clusters), 0);
  for (const std::int32_t label : found.labels) ++sizes.at(static_cast<std::size_t>(label));
  CHECK(std::is_sorted(sizes.rbegin(), sizes.rend()));
  CHECK(sizes.back() > 0);
}
