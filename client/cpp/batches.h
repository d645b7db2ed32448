// How frames travel: cut into messages, as bytes. Not for use outside of this
// folder.
#ifndef TIMBRE_CLIENT_CPP_BATCHES_H_
#define TIMBRE_CLIENT_CPP_BATCHES_H_

#include <grpcpp/client_context.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "client/cpp/matrix.h"
#include "client/cpp/results.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre::client {

inline constexpr uint64_t kMessageBytes = 1 << 20;
inline constexpr uint64_t kAnyRows = UINT64_MAX;

// Names the speaker for proxies, where it can: headers are ASCII, so a name
// that the server will refuse anyway is left out.
void NameSpeaker(const std::string& speaker, grpc::ClientContext& context);

// What a Blend mixes, where it is several voices.
void NameVoices(const std::vector<WeightedVoice>& voices,
                v1::BlendRequest& request);

// Rows [first, first + count) of `frames`, as float32.
void FillFrames(const FrameMatrix& frames, uint64_t first, uint64_t count,
                v1::Frames& message);

// Appends the elements of `message` to `out`; false if they are neither
// float32 nor float16.
bool AppendFrames(const v1::Frames& message, std::vector<float>& out);

template <typename T>
void AppendBytes(const std::string& bytes, std::vector<T>& out) {
  const size_t before = out.size();
  out.resize(before + bytes.size() / sizeof(T));
  std::memcpy(out.data() + before, bytes.data(),
              (out.size() - before) * sizeof(T));
}

// The messages that `frames` are cut into; at least one, also without rows.
// `frames` must outlive it.
class Batches {
 public:
  Batches(const FrameMatrix& frames, uint64_t max_rows)
      : frames_(frames),
        rows_per_message_(std::clamp<uint64_t>(
            kMessageBytes / (sizeof(float) * std::max(1U, frames.columns)), 1,
            max_rows)) {}

  // Fills in the next one; false at the end. `rows` says which [first, first +
  // count) they were.
  struct Rows {
    uint64_t first = 0;
    uint64_t count = 0;
  };
  bool Next(v1::Frames& message, Rows* rows = nullptr) {
    if (begun_ && next_ == frames_.rows) return false;
    begun_ = true;
    const uint64_t count = std::min(rows_per_message_, frames_.rows - next_);
    FillFrames(frames_, next_, count, message);
    if (rows != nullptr) *rows = {next_, count};
    next_ += count;
    return true;
  }

 private:
  const FrameMatrix& frames_;
  const uint64_t rows_per_message_;
  uint64_t next_ = 0;
  bool begun_ = false;
};

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_CPP_BATCHES_H_
