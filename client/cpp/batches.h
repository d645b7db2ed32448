// How frames travel: cut into messages, as bytes. Not for use outside of this
// folder.
#ifndef TIMBRE_CLIENT_CPP_BATCHES_H_
#define TIMBRE_CLIENT_CPP_BATCHES_H_

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "client/cpp/matrix.h"
#include "timbre/v1/retrieval.pb.h"

namespace timbre::client {

inline constexpr uint64_t kMessageBytes = 1 << 20;
inline constexpr uint64_t kAnyRows = UINT64_MAX;

// A context that names the speaker for proxies, where it can: headers are
// ASCII, so a name that the server will refuse anyway is left out.
std::unique_ptr<grpc::ClientContext> NewContext(const std::string& speaker);

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

// Runs `first, rows -> bool` over the messages that `frames` are cut into,
// until it says false; at least once, also without rows.
template <typename Send>
void ForEachMessage(const FrameMatrix& frames, uint64_t max_rows, Send send) {
  const uint64_t rows_per_message = std::clamp<uint64_t>(
      kMessageBytes / (sizeof(float) * std::max(1U, frames.columns)), 1,
      max_rows);
  uint64_t first = 0;
  do {
    const uint64_t rows = std::min(rows_per_message, frames.rows - first);
    if (!send(first, rows)) return;
    first += rows;
  } while (first < frames.rows);
}

}  // namespace timbre::client

#endif  // TIMBRE_CLIENT_CPP_BATCHES_H_
