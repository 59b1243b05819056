// SPDX-License-Identifier: MIT
// Prepared slices on disk: what comes back is what went in, or nothing.
#include "stofm/train/slice_cache.hpp"

#include <doctest/doctest.h>

#include <iterator>

#include "tests/support/file_bytes.hpp"
#include "tests/train/corpus_fixture.hpp"

namespace {

using namespace stofm;
using stofm::test::bytes_of;
using stofm::test::write_bytes;

train::PreparedSlice prepared(bool tokens = false) {
  train::PrepareOptions options;
  options.embed.split = 40;
  options.keep_tokens = tokens;
  auto slice = train::prepare_slice(test::slice_at(test::scattered(110)), test::tiny_features(), options);
  slice.name = "s";
  slice.hash = std::string(64, 'a');
  slice.notices.push_back({"STOFM-W1", "a \"notice\" of mine\n", 3});
  return slice;
}

}  // namespace

TEST_CASE("an entry comes back bitwise, with and without tokens") {
  for (const bool tokens : {false, true}) {
    const test::ScratchDir dir;
    const train::SliceCache cache(dir / "cache" / "below");
    const auto slice = prepared(tokens);
    Notices notices;
    CHECK(!cache.load(slice.hash, notices));
    CHECK(!cache.summary(slice.hash, notices));
    cache.store(slice, notices);
    CHECK(notices.empty());
    const auto back = cache.load(slice.hash, notices);
    REQUIRE(back);
    CHECK(test::same_slice(slice, *back));
    CHECK(back->notices.back().text == slice.notices.back().text);
    const auto summary = cache.summary(slice.hash, notices);
    REQUIRE(summary);
    CHECK(summary->cells == 110);
    CHECK(summary->bytes == slice.bytes());
    CHECK(static_cast<std::int64_t>(summary->piece_sizes.size()) == slice.pieces());
    CHECK(notices.empty());
    cache.store(slice, notices);  // once more: replaced
    CHECK(notices.empty());
    CHECK(bytes_of(cache.path_of(slice.hash)).size() > 1000);
  }
}

TEST_CASE("damaged, cut, foreign and misnamed entries are reported and never taken") {
  const test::ScratchDir dir;
  const train::SliceCache cache(dir / "cache");
  const auto slice = prepared(true);
  Notices notices;
  cache.store(slice, notices);
  const auto path = cache.path_of(slice.hash);
  const std::string good = bytes_of(path);
  const auto refused = [&](const std::string& bytes) {
    write_bytes(path, bytes);
    Notices found;
    const auto back = cache.load(slice.hash, found);
    if (back)
      return test::same_slice(slice, *back) && found.empty();  // a flip in the padding changes nothing
    return test::has_notice(found, "STOFM-W4520");
  };
  for (std::size_t at = 0; at < good.size(); at += 97) {
    CAPTURE(at);
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << (at % 8)));
    CHECK(refused(bad));
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{5}, good.size() / 2, good.size() - 1}) {
    CAPTURE(size);
    write_bytes(path, good.substr(0, size));
    Notices found;
    CHECK(!cache.load(slice.hash, found));
    CHECK(test::has_notice(found, "STOFM-W4520"));
  }
  const std::string other(64, 'b');
  write_bytes(cache.path_of(other), good);
  Notices found;
  CHECK(!cache.load(other, found));
  CHECK(!cache.summary(other, found));
  CHECK(found.size() == 2);
  write_bytes(path, good);
  CHECK(cache.load(slice.hash, notices));
}

TEST_CASE("a cache that can not be written costs a notice, one that can not be made is an error") {
  const test::ScratchDir dir;
  const train::SliceCache cache(dir / "cache");
  std::filesystem::remove_all(dir / "cache");
  write_bytes(dir / "cache", "a file now");
  Notices notices;
  cache.store(prepared(), notices);
  CHECK(test::has_notice(notices, "STOFM-W4521"));
  CHECK_THROWS_AS(train::SliceCache(dir / "cache"), UsageError);
  CHECK_THROWS_AS(train::SliceCache(dir / "cache" / "below"), UsageError);
}

TEST_CASE("keys differ where content would") {
  const auto features = test::tiny_features();
  const train::PrepareOptions options;
  const std::string key = train::slice_key("f", features, options);
  CHECK(key.size() == 64);
  CHECK(key == train::slice_key("f", test::tiny_features(), options));
  CHECK(key != train::slice_key("g", features, options));
  CHECK(key != train::slice_key("f", test::tiny_features(9), options));
  CHECK(key != train::slice_key("f", features, options, "other reader"));
  for (int i = 0; i < 8; ++i) {
    train::PrepareOptions other;
    if (i == 0) other.keep_tokens = true;
    if (i == 1) other.embed.split = 999;
    if (i == 2) other.embed.alpha = 0.3;
    if (i == 3) other.embed.resolution = 2;
    if (i == 4) other.embed.clustering = pipeline::ClusterMethod::kmeans;
    if (i == 5) other.embed.geometry = pipeline::Geometry::stable;
    if (i == 6) other.embed.max_tokens = 9;
    if (i == 7) other.embed.merge_slivers = true;
    CAPTURE(i);
    CHECK(key != train::slice_key("f", features, other));
  }
}
