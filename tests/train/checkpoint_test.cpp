// SPDX-License-Identifier: MIT
// Checkpoints: round trip, damage of every kind (R12), the lock (R14), resume with other options (R23).
#include "stofm/train/checkpoint.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <fstream>

#include "tests/support/file_bytes.hpp"
#include "tests/support/paths.hpp"
#include "tests/support/refusal.hpp"

namespace fs = std::filesystem;
using namespace stofm;
using namespace stofm::train;
using stofm::test::bytes_of;
using stofm::test::write_bytes;

namespace {

Checkpoint make_checkpoint(std::int64_t step, float value = 1.0F) {
  Checkpoint checkpoint;
  checkpoint.step = step;
  checkpoint.config = {{"learning_rate", 0.1}, {"model", {{"layers", 2}, {"name", "a \"b\"\n"}}}};
  checkpoint.data_sha256 = std::string(64, 'a');
  checkpoint.state = {{"sampler", {{"epoch", 3}, {"position", 17}}}, {"smoothed_loss", 0.1 + 0.2}};
  Tensor<float> w(Shape{3, 5}), m(Shape{7});
  for (std::int64_t i = 0; i < 15; ++i) w.data()[i] = value / static_cast<float>(i + 3);
  for (std::int64_t i = 0; i < 7; ++i) m.data()[i] = -value * static_cast<float>(step + i);
  checkpoint.tensors.emplace("parameters/w", w);
  checkpoint.tensors.emplace("optimizer/w/m", m);
  return checkpoint;
}

void check_equal(const Checkpoint& a, const Checkpoint& b) {
  CHECK(a.step == b.step);
  CHECK(a.config == b.config);
  CHECK(a.state == b.state);
  CHECK(a.data_sha256 == b.data_sha256);
  REQUIRE(a.tensors.size() == b.tensors.size());
  for (const auto& [name, tensor] : a.tensors) {
    const Tensor<float>& other = b.tensors.at(name);
    REQUIRE(tensor.shape() == other.shape());
    if (tensor.numel() > 0)
      CHECK(std::memcmp(tensor.data(), other.data(), static_cast<std::size_t>(tensor.numel()) * 4) == 0);
  }
}

}  // namespace

TEST_CASE("a checkpoint comes back to the bit, and the same one gives the same bytes") {
  const test::ScratchDir dir;
  Checkpoint checkpoint = make_checkpoint(42);
  checkpoint.tensors.emplace("parameters/empty", Tensor<float>(Shape{0, 4}));
  checkpoint.tensors.at("optimizer/w/m").data()[3] = -0.0F;
  checkpoint.tensors.at("optimizer/w/m").data()[4] = std::numeric_limits<float>::denorm_min();
  write_checkpoint(dir / "a", checkpoint);
  write_checkpoint(dir / "b", checkpoint);
  check_equal(checkpoint, read_checkpoint(dir / "a"));
  CHECK(bytes_of(dir / "a") == bytes_of(dir / "b"));
  CHECK(tensors_below(checkpoint, "optimizer/").contains("w/m"));
}

TEST_CASE("R12: each single flipped bit of a checkpoint is found") {
  const test::ScratchDir dir;
  write_checkpoint(dir / "a", make_checkpoint(42));
  const std::string whole = bytes_of(dir / "a");
  std::fstream file(dir / "a", std::ios::binary | std::ios::in | std::ios::out);
  std::int64_t refused = 0, checksums = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      const char flipped = static_cast<char>(whole[i] ^ (1 << bit));
      file.seekp(static_cast<std::streamoff>(i)).put(flipped).flush();
      try {
        (void)read_checkpoint(dir / "a");
        FAIL_CHECK("accepted with bit " << bit << " of byte " << i << " flipped");
      } catch (const FileError& error) {
        ++refused;
        if (error.code() == "STOFM-3803") ++checksums;
      }
    }
    file.seekp(static_cast<std::streamoff>(i)).put(whole[i]).flush();
  }
  CHECK(refused == static_cast<std::int64_t>(whole.size()) * 8);
  CHECK(checksums > 22 * 4 * 8);  // the payload at least is found by its hashes
}

TEST_CASE("R12: a checkpoint that was cut, zeroed, emptied or lengthened is refused") {
  const test::ScratchDir dir;
  write_checkpoint(dir / "a", make_checkpoint(42));
  const std::string whole = bytes_of(dir / "a");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_bytes(dir / "a", whole.substr(0, size));
    CHECK_THROWS_AS((void)read_checkpoint(dir / "a"), FileError);
  }
  write_bytes(dir / "a", std::string(whole.size(), '\0'));
  CHECK_THROWS_AS((void)read_checkpoint(dir / "a"), FileError);
  write_bytes(dir / "a", whole + '\0');
  CHECK_THROWS_AS((void)read_checkpoint(dir / "a"), FileError);
  std::string tail = whole;
  std::fill(tail.end() - 40, tail.end(), '\0');
  write_bytes(dir / "a", tail);
  test::check_refused(dir / "a", {"STOFM-3803", "checksum of tensor", "checksum", "older"},
                      [&] { (void)read_checkpoint(dir / "a"); });
}

TEST_CASE("R12: a newer version and files of other kinds are named for what they are") {
  const test::ScratchDir dir;
  write_checkpoint(dir / "a", make_checkpoint(1));
  std::string bytes = bytes_of(dir / "a");
  bytes.replace(bytes.find("format_version\":\"1"), 18, "format_version\":\"2");
  write_bytes(dir / "a", bytes);
  test::check_refused(dir / "a", {"STOFM-3802", "format_version", "\"2\"", "version"},
                      [&] { (void)read_checkpoint(dir / "a"); });
  io::write_safetensors(dir / "b", {io::safetensors_entry("w", Tensor<float>(Shape{3}))});
  test::check_refused(dir / "b", {"STOFM-3801", "__metadata__", "format", "checkpoint"},
                      [&] { (void)read_checkpoint(dir / "b"); });
  io::write_safetensors(dir / "c", {io::safetensors_entry("w", Tensor<float>(Shape{3}))},
                        {{"format", "stofm-bundle"}});
  test::check_refused(dir / "c", {"STOFM-3801", "format", "stofm-bundle", "checkpoint"},
                      [&] { (void)read_checkpoint(dir / "c"); });
}

TEST_CASE("The newest few checkpoints are kept, never fewer than two") {
  const test::ScratchDir dir;
  CHECK_THROWS_AS(CheckpointDirectory(dir / "c", {.keep = 1}), UsageError);
  CheckpointDirectory checkpoints(dir / "c", {.keep = 2});
  write_bytes(dir / "c" / "notes.txt", "mine");
  write_bytes(dir / "c" / "step-x.safetensors", "mine");
  for (std::int64_t step = 1; step <= 5; ++step) (void)checkpoints.save(make_checkpoint(step));
  (void)checkpoints.save(make_checkpoint(5, 2.0F));  // again: replaced, nothing pruned
  const auto entries = checkpoints.list();
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].step == 4);
  CHECK(entries[1].step == 5);
  CHECK(fs::exists(dir / "c" / "notes.txt"));
  CHECK(fs::exists(dir / "c" / "step-x.safetensors"));
  check_equal(checkpoints.load_newest()->checkpoint, make_checkpoint(5, 2.0F));
}

TEST_CASE(
    "R12: a damaged newest checkpoint names the next older good one, which is taken only if asked for") {
  const test::ScratchDir dir;
  CheckpointDirectory checkpoints(dir / "c", {.keep = 4});
  CHECK_FALSE(checkpoints.load_newest());
  for (const std::int64_t step : {10, 20, 30, 40}) (void)checkpoints.save(make_checkpoint(step));
  for (const char* name : {"step-00000030.safetensors", "step-00000040.safetensors"}) {
    std::string bytes = bytes_of(dir / "c" / name);
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    write_bytes(dir / "c" / name, bytes);
  }
  test::check_refused(
      dir / "c" / "step-00000040.safetensors",
      {"STOFM-3803", "checksum of tensor", "step-00000020.safetensors", "load_newest(use_older)"},
      [&] { (void)checkpoints.load_newest(); });
  const auto point = checkpoints.load_newest(true);
  REQUIRE(point);
  CHECK(point->checkpoint.step == 20);
  CHECK(point->notices.size() == 2);
  CHECK(point->notices.front().code == "STOFM-W3801");
  CHECK(fs::exists(dir / "c" / "step-00000040.safetensors.damaged"));
  CHECK(checkpoints.list().back().step == 20);
  CHECK(checkpoints.load_newest()->checkpoint.step == 20);  // the damaged ones stand aside now

  for (const auto& entry : checkpoints.list()) write_bytes(entry.path, "");
  test::check_refused(dir / "c" / "step-00000020.safetensors",
                      {"STOFM-3101", "byte 0", "whole", "start anew"},
                      [&] { (void)checkpoints.load_newest(true); });
}

TEST_CASE("Start-up removes temporary files of checkpoints and nothing else") {
  const test::ScratchDir dir;
  { CheckpointDirectory(dir / "c").save(make_checkpoint(1)); }
  for (const char* name :
       {"step-00000002.safetensors.tmp.12.0", "step-00000002.safetensors.tmp.12.0.txt", "a.tmp.1.0",
        "step-00000002.safetensors.tmp.12", "step-00000002.safetensors.damaged"})
    write_bytes(dir / "c" / name, "x");
  const CheckpointDirectory checkpoints(dir / "c");
  CHECK_FALSE(fs::exists(dir / "c" / "step-00000002.safetensors.tmp.12.0"));
  CHECK(fs::exists(dir / "c" / "step-00000002.safetensors.tmp.12.0.txt"));
  CHECK(fs::exists(dir / "c" / "step-00000002.safetensors.tmp.12"));
  CHECK(fs::exists(dir / "c" / "step-00000002.safetensors.damaged"));
  CHECK(fs::exists(dir / "c" / "a.tmp.1.0"));
  CHECK(checkpoints.list().size() == 1);
}

TEST_CASE("R14: a second run in a directory is refused with process and host") {
  const test::ScratchDir dir;
  {
    const CheckpointDirectory first(dir / "c");
    test::check_refused(
        dir / "c" / "lock",
        {"STOFM-3811", "lock", concat("process ", ::getpid(), " on host \"", train::detail::host_name()),
         "another directory"},
        [&] { const CheckpointDirectory second(dir / "c"); });
  }
  CHECK_FALSE(fs::exists(dir / "c" / "lock"));
  const CheckpointDirectory again(dir / "c");
}

TEST_CASE("R14: the lock of a killed run is taken over, one of another host is not") {
  const test::ScratchDir dir;
  fs::create_directory(dir / "c");
  const pid_t child = ::fork();
  if (child == 0) {
    const DirectoryLock lock(dir / "c" / "lock");
    ::_exit(0);  // as a kill: no destructor
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(fs::exists(dir / "c" / "lock"));
  { const CheckpointDirectory taken(dir / "c"); }
  write_bytes(dir / "c" / "lock", "pid 77 host elsewhere\n");
  test::check_refused(dir / "c" / "lock",
                      {"STOFM-3811", "lock", "process 77 on host \"elsewhere\"", "remove this file"},
                      [&] { const CheckpointDirectory refused(dir / "c"); });
}

TEST_CASE("A lock that is a link or somebody's file is refused and stays as it is") {
  const test::ScratchDir dir;
  fs::create_directory(dir / "c");
  const auto open = [&] { const CheckpointDirectory refused(dir / "c"); };
  const auto text_of = [](const fs::path& path) { return io::File::open(path).read_all(1000); };
  write_bytes(dir / "c" / "lock", "what is this");
  test::check_refused(dir / "c" / "lock", {"STOFM-3813", "lock", "no lock", "rename"}, open);
  CHECK(text_of(dir / "c" / "lock") == "what is this");
  fs::remove(dir / "c" / "lock");
  write_bytes(dir / "victim", "precious");
  fs::create_symlink(dir / "victim", dir / "c" / "lock");
  test::check_refused(dir / "c" / "lock", {"STOFM-3813", "lock", "a link", "rename"}, open);
  fs::remove(dir / "c" / "lock");
  write_bytes(dir / "victim", "pid 77 host elsewhere\n");
  fs::create_hard_link(dir / "victim", dir / "c" / "lock");
  test::check_refused(dir / "c" / "lock", {"STOFM-3813", "lock", "other names", "rename"}, open);
  CHECK(text_of(dir / "victim") == "pid 77 host elsewhere\n");
  fs::remove(dir / "c" / "lock");
  fs::create_symlink(dir / "victim", dir / "c" / "step-00000001.safetensors");
  CheckpointDirectory checkpoints(dir / "c");
  CHECK_THROWS_WITH_AS(checkpoints.save(make_checkpoint(1)), doctest::Contains("STOFM-3015"), UsageError);
  CHECK(text_of(dir / "victim") == "pid 77 host elsewhere\n");
}

TEST_CASE("R23: resume with other options or data lists what changed") {
  const ResumePoint resume{make_checkpoint(3), "x.safetensors", {}};
  CHECK(check_same_run(resume, resume.checkpoint.config, resume.checkpoint.data_sha256).empty());
  nlohmann::json other = resume.checkpoint.config;
  other["learning_rate"] = 0.2;
  other["model"].erase("layers");
  other["seed"] = 1;
  try {
    (void)check_same_run(resume, other, std::string(64, 'b'));
    FAIL_CHECK("accepted");
  } catch (const UsageError& error) {
    const std::string text = error.what();
    CAPTURE(text);
    CHECK(error.code() == "STOFM-3804");
    for (const char* word : {"data (", "learning_rate 0.1 -> 0.2", "model.layers 2 -> (none)",
                             "seed (none) -> 1", "check_same_run(force)"})
      CHECK(text.find(word) != std::string::npos);
    CHECK(text.find("model.name") == std::string::npos);
  }
  CHECK(check_same_run(resume, other, "", true).front().code == "STOFM-W3803");
}
