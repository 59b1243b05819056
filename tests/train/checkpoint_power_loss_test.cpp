// SPDX-License-Identifier: MIT
// R13: the power fails before any call of a save. What was synced is there; of what was not, any part may be
// missing, zero or noise (the six damages of Lucene's MockDirectoryWrapper), and a rename or removal without
// a sync of the directory may or may not have happened.
#include <doctest/doctest.h>

#include <fstream>
#include <set>

#include "stofm/core/random.hpp"
#include "stofm/train/checkpoint.hpp"
#include "tests/support/paths.hpp"

namespace fs = std::filesystem;
using namespace stofm;
using namespace stofm::train;

namespace {

Checkpoint make_checkpoint(std::int64_t step) {
  Checkpoint checkpoint;
  checkpoint.step = step;
  checkpoint.state = {{"drawn", step * 3}};
  Tensor<float> w(Shape{4000});
  for (std::int64_t i = 0; i < w.numel(); ++i) w.data()[i] = static_cast<float>(i + step);
  checkpoint.tensors.emplace("parameters/w", w);
  return checkpoint;
}
bool is_as_written(const Checkpoint& c) {
  const Tensor<float>& w = c.tensors.at("parameters/w");
  bool same = c.state.at("drawn") == c.step * 3;
  for (std::int64_t i = 0; i < w.numel(); ++i) same = same && w.data()[i] == static_cast<float>(i + c.step);
  return same;
}

/// What is on the disk at one moment, and what of it is not yet safe there.
struct Moment {
  std::map<std::string, std::string> files;         ///< name -> content
  std::set<std::string> unsynced;                   ///< of those, files whose content has not been synced
  std::map<std::string, std::string> synced_names;  ///< name -> content as of the last sync of the directory
};

/// Writes down the directory before every call of the io layer, and follows what has been synced.
class Recorder {
 public:
  explicit Recorder(const fs::path& directory) {
    state() = {};
    state().directory = directory;
    state().synced_names = listing();
    io::io_fault_hook().store(&Recorder::before);
  }
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;
  ~Recorder() { io::io_fault_hook().store(nullptr); }

  static std::vector<Moment>& moments() { return state().moments; }

 private:
  struct State {
    fs::path directory;
    std::vector<Moment> moments;
    std::set<std::string> safe;  // contents that have been synced
    std::map<std::string, std::string> synced_names;
    bool syncing = false;
    std::int64_t syncs = 0;
  };
  static State& state() {
    static State value;
    return value;
  }
  static std::map<std::string, std::string> listing() {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(state().directory)) {
      if (entry.path().filename() == "lock") continue;
      std::ifstream in(entry.path(), std::ios::binary);
      files[entry.path().filename().string()] = std::string(std::istreambuf_iterator<char>(in), {});
    }
    return files;
  }
  static io::IoFault before(io::IoCall call) {
    State& now = state();
    const auto files = listing();
    if (now.syncing) {  // the call before this one was a sync: the first is that of the file, the next of the
                        // directory
      if (now.syncs % 2 == 1)
        for (const auto& [name, content] : files) now.safe.insert(content);
      else
        now.synced_names = files;
    }
    if (now.moments.empty())
      for (const auto& [name, content] : files) now.safe.insert(content);
    Moment moment{files, {}, now.synced_names};
    for (const auto& [name, content] : files)
      if (!now.safe.contains(content)) moment.unsynced.insert(name);
    now.moments.push_back(std::move(moment));
    now.syncing = call == io::IoCall::sync;
    if (now.syncing) ++now.syncs;
    return {};
  }
};

enum class Damage { deleted, emptied, cut, zeroed, partly_zeroed, noise };

std::string damaged(std::string content, Damage damage, Random& random) {
  const std::size_t n = content.size(), at = n == 0 ? 0 : static_cast<std::size_t>(random.below(n));
  if (damage == Damage::emptied) return {};
  if (damage == Damage::cut) return content.substr(0, at);
  if (damage == Damage::zeroed) return std::string(n, '\0');
  if (damage == Damage::partly_zeroed)
    std::fill(content.begin() + static_cast<std::ptrdiff_t>(at), content.end(), '\0');
  if (damage == Damage::noise)
    for (std::size_t i = at; i < n; ++i) content[i] = static_cast<char>(random.below(256));
  return content;
}

}  // namespace

TEST_CASE("R13: after a power failure at any moment of a save, a whole checkpoint is the newest") {
  const test::ScratchDir dir;
  std::vector<Moment> moments;
  {
    CheckpointDirectory checkpoints(dir / "c", {.keep = 2});
    (void)checkpoints.save(make_checkpoint(1));
    (void)checkpoints.save(make_checkpoint(2));
    const Recorder recorder(dir / "c");
    (void)checkpoints.save(make_checkpoint(3));
    moments = Recorder::moments();
  }
  CHECK(moments.size() >= 6);
  Random random(11);
  std::int64_t old = 0, fresh = 0, unsafe = 0, tried = 0;
  for (std::size_t m = 0; m < moments.size(); ++m)
    for (const Damage damage : {Damage::deleted, Damage::emptied, Damage::cut, Damage::zeroed,
                                Damage::partly_zeroed, Damage::noise})
      for (const bool names_lost : {false, true}) {
        const Moment& moment = moments[m];
        const fs::path after = dir / concat("after-", tried++);
        fs::create_directory(after);
        std::map<std::string, std::string> files = names_lost ? moment.synced_names : moment.files;
        for (auto& [name, content] : files) {
          if (moment.unsynced.contains(name)) {
            ++unsafe;
            if (damage == Damage::deleted) continue;
            content = damaged(content, damage, random);
          }
          std::ofstream(after / name, std::ios::binary) << content;
        }
        CAPTURE(m);
        CheckpointDirectory checkpoints(after, {.keep = 2});
        const auto point = checkpoints.load_newest();
        REQUIRE(point);
        CHECK(is_as_written(point->checkpoint));
        CHECK(point->checkpoint.step >= 2);
        ++(point->checkpoint.step == 3 ? fresh : old);
        fs::remove_all(after);
      }
  CHECK(unsafe > 0);  // some moments had something to lose
  CHECK(old > 0);
  CHECK(fresh > 0);
  MESSAGE(moments.size() << " moments, " << old << " times the old checkpoint, " << fresh
                         << " times the new one");
}
