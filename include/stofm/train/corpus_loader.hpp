// SPDX-License-Identifier: MIT
#pragma once
/// \file
/// Batches of masked pieces, made ahead of time by background threads.
///
///     stofm::train::CorpusLoader loader(corpus, sampler, {.masking_seed = 1});
///     stofm::train::TrainingBatch batch = loader.next();      // waits only while nothing is ready
///     save(loader.position());                                // of what was handed out, not of what lies
///     ready
///
/// What a batch holds is a pure function of (corpus, sampler options, seed, position): threads and read-ahead
/// change nothing. Draws are keyed by (seed, epoch, slice, piece), so they do not depend on the number of
/// ranks either.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "stofm/train/corpus.hpp"
#include "stofm/train/masking.hpp"

namespace stofm::train {

/// Draws of a training epoch, or the fixed ones of validation (the same in every epoch).
enum class MaskDraws { each_epoch, fixed };

struct LoaderOptions {
  MaskingOptions masking{};
  MaskDraws draws = MaskDraws::each_epoch;
  std::uint64_t masking_seed = 0;
  int threads = 1;          ///< background threads; 0: pieces are made when asked for, on the caller's thread
  std::int64_t ahead = 16;  ///< pieces that may lie ready, at least a batch (about 5 MB each at 1,000 cells)
  bool flip_signs = false;  ///< columns of the features change sign, drawn for each visit of a piece
  bool keep_slices = false;  ///< hand out slice and nodes of a piece too (training the cell encoder jointly)

  /// \throws UsageError for values out of range.
  void validate() const {
    masking.validate();
    if (threads < 0 || threads > 256 || ahead < 1)
      throw UsageError({"STOFM-4550", "", "loader", concat(threads, " threads, ", ahead, " pieces ahead"),
                        "0 to 256 threads, 1 piece or more", "Check the options."});
  }
};

/// A piece with its masks.
struct LoadedPiece {
  PieceRef ref{};
  TrainingSample sample{};
  std::shared_ptr<const PreparedSlice> slice{};  ///< with keep_slices
  std::vector<std::int64_t> node_cells{};        ///< with keep_slices: [N] row of the slice, -1: no cell
};

struct TrainingBatch {
  std::vector<LoadedPiece> pieces{};  ///< this rank's, skipped ones included
  SamplerPosition begin{}, end{};     ///< of the global batch

  std::int64_t usable() const {
    return std::count_if(pieces.begin(), pieces.end(), [](const auto& p) { return p.sample.usable(); });
  }
};

/// The draws for a piece. *Source* our own choice.
inline RandomKey masking_key(const PieceRef& ref, MaskDraws draws, std::uint64_t seed) {
  const RandomKey key{.seed = seed,
                      .stream = draws == MaskDraws::fixed ? 0x66697865U : 0x6d61736bU,
                      .step = draws == MaskDraws::fixed ? 0U : static_cast<std::uint64_t>(ref.epoch)};
  return key.child(static_cast<std::uint64_t>(ref.slice)).child(static_cast<std::uint64_t>(ref.piece));
}

namespace detail {
/// Changes the sign of about half of the columns of `features`, as `key` draws.
inline void flip_column_signs(Tensor<float>& features, const RandomKey& key) {
  const std::int64_t width = features.dim(1);
  std::vector<float> sign(static_cast<std::size_t>(width));
  Random random = key.child(0x666c6970).generator();
  for (float& one : sign) one = random.uniform() < 0.5 ? -1.0F : 1.0F;
  for (std::int64_t i = 0; i < features.dim(0); ++i)
    for (std::int64_t c = 0; c < width; ++c)
      features.data()[i * width + c] *= sign[static_cast<std::size_t>(c)];
}
}  // namespace detail

/// Makes one piece. \throws as Corpus::slice and mask_sub_slice, the latter with the name of the slice.
inline LoadedPiece load_piece(Corpus& corpus, const PieceRef& ref, const LoaderOptions& options) {
  const std::shared_ptr<const PreparedSlice> slice = corpus.slice(ref.slice);
  const pipeline::SubSlice sub = slice->sub_slice(ref.piece);
  LoadedPiece loaded;
  loaded.ref = ref;
  try {
    const RandomKey key = masking_key(ref, options.draws, options.masking_seed);
    const MaskingDraws draws = draw_masks(sub.nodes() - sub.first_cell(), key, options.masking);
    Tensor<float> features = slice->node_features(sub, ref.piece);
    if (options.flip_signs) detail::flip_column_signs(features, key);
    loaded.sample = mask_sub_slice(sub, features, draws, options.masking);
  } catch (const Error& e) {
    detail::rethrow_named(e, slice->name);
  }
  if (options.keep_slices) {
    loaded.slice = slice;
    loaded.node_cells = sub.node_cells;
  }
  return loaded;
}

/// A stream of batches. `next`, `position` and `restore` belong to one thread; the corpus must outlive it.
class CorpusLoader {
 public:
  /// \throws UsageError as LoaderOptions::validate.
  CorpusLoader(Corpus& corpus, CorpusSampler sampler, const LoaderOptions& options = {});
  CorpusLoader(const CorpusLoader&) = delete;
  CorpusLoader& operator=(const CorpusLoader&) = delete;
  ~CorpusLoader() { stop(); }

  /// The next batch. \throws what load_piece threw for its first bad piece; the position is then past the
  /// batch.
  TrainingBatch next();
  /// Where the next batch begins: to be saved with a checkpoint made now.
  SamplerPosition position() const { return position_; }
  /// Goes on from there; what lay ready is dropped. \throws UsageError as CorpusSampler::restore.
  void restore(const SamplerPosition& position);

  const CorpusSampler& sampler() const { return sampler_; }
  /// Skipped pieces among those handed out (rows D37 and D38).
  const SkippedSamples& skipped() const { return skipped_; }
  /// Seconds that next() has waited so far, and batches for which it did.
  double wait_seconds() const { return wait_seconds_; }
  std::int64_t waits() const { return waits_; }

 private:
  struct Task {
    PieceRef ref{};
    bool begun = false, done = false;
    LoadedPiece piece{};
    std::exception_ptr error{};
  };
  struct Batch {
    std::vector<std::shared_ptr<Task>> tasks{};
    SamplerPosition begin{}, end{};
  };

  void start();
  void stop();
  void work();
  void fill();
  std::shared_ptr<Task> claim();
  void run(Task& task) const;

  Corpus& corpus_;
  CorpusSampler sampler_;  ///< ahead of position_ by what lies ready
  LoaderOptions options_;
  SamplerPosition position_;
  SkippedSamples skipped_;
  double wait_seconds_ = 0;
  std::int64_t waits_ = 0;

  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_, done_;
  std::deque<Batch> ready_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

inline CorpusLoader::CorpusLoader(Corpus& corpus, CorpusSampler sampler, const LoaderOptions& options)
    : corpus_(corpus), sampler_(std::move(sampler)), options_(options), position_(sampler_.position()) {
  options_.validate();
  start();
}

/// Draws batches until enough pieces lie ready. The lock is held, or no thread runs.
inline void CorpusLoader::fill() {
  const std::int64_t size = sampler_.options().batch;
  while (ready_.empty() || static_cast<std::int64_t>(ready_.size() + 1) * size <= options_.ahead) {
    Batch batch;
    batch.begin = sampler_.position();
    for (const PieceRef& ref : sampler_.next()) {
      batch.tasks.push_back(std::make_shared<Task>());
      batch.tasks.back()->ref = ref;
    }
    batch.end = sampler_.position();
    ready_.push_back(std::move(batch));
  }
}

/// The first task that nobody has begun; the lock is held.
inline std::shared_ptr<CorpusLoader::Task> CorpusLoader::claim() {
  for (const Batch& batch : ready_)
    for (const auto& task : batch.tasks)
      if (!task->begun) {
        task->begun = true;
        return task;
      }
  return nullptr;
}

inline void CorpusLoader::run(Task& task) const {
  try {
    task.piece = load_piece(corpus_, task.ref, options_);
  } catch (...) {
    task.error = std::current_exception();
  }
}

inline void CorpusLoader::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    std::shared_ptr<Task> task;
    wake_.wait(lock, [&] { return stopping_ || (task = claim()) != nullptr; });
    if (stopping_) return;
    lock.unlock();
    run(*task);
    lock.lock();
    task->done = true;
    done_.notify_all();
  }
}

inline void CorpusLoader::start() {
  fill();
  for (int t = 0; t < options_.threads; ++t) {
    try {
      threads_.emplace_back([this] { work(); });
    } catch (const std::system_error&) {
      break;  // fewer, or none: next() does what they would have done
    }
  }
}

inline void CorpusLoader::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
  stopping_ = false;
}

inline TrainingBatch CorpusLoader::next() {
  std::unique_lock lock(mutex_);
  fill();
  Batch batch = std::move(ready_.front());
  ready_.pop_front();
  const auto all_done = [&batch] {
    return std::all_of(batch.tasks.begin(), batch.tasks.end(), [](const auto& task) { return task->done; });
  };
  if (!all_done()) {
    const auto begin = std::chrono::steady_clock::now();
    for (const auto& task : batch.tasks) {  // what nobody has begun is done here, rather than waited for
      if (std::exchange(task->begun, true)) continue;
      lock.unlock();
      run(*task);
      lock.lock();
      task->done = true;
    }
    done_.wait(lock, all_done);
    ++waits_;
    wait_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  fill();
  lock.unlock();
  wake_.notify_all();
  position_ = batch.end;
  TrainingBatch result{.pieces = {}, .begin = batch.begin, .end = batch.end};
  for (const auto& task : batch.tasks) {
    if (task->error) std::rethrow_exception(task->error);
    skipped_.add(task->piece.sample.state);
    result.pieces.push_back(std::move(task->piece));
  }
  return result;
}

inline void CorpusLoader::restore(const SamplerPosition& position) {
  CorpusSampler sampler = sampler_;
  sampler.restore(position);
  stop();
  ready_.clear();
  sampler_ = std::move(sampler);
  position_ = position;
  start();
}

}  // namespace stofm::train
