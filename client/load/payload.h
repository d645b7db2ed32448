// Requests, serialised once and sent many times without being copied.
#ifndef TIMBRE_CLIENT_LOAD_PAYLOAD_H_
#define TIMBRE_CLIENT_LOAD_PAYLOAD_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <vector>

#include "client/cpp/matrix.h"
#include "client/load/group.h"

namespace timbre::load {

// The messages of one group: speech of a voice that nobody built, cut into
// `variants` blocks. Constant after construction: thread-safe.
class Payload {
 public:
  Payload(const Group& group, uint32_t dimension, uint32_t variants);

  uint32_t variants() const { return static_cast<uint32_t>(slices_.size()); }
  // Names the voice and the parameters: a stream's first message.
  grpc::ByteBuffer First(uint32_t stream, uint32_t variant) const;
  grpc::ByteBuffer Later(uint32_t variant) const;
  // The frames of `variant`, [frames, dimension].
  const client::FrameMatrix& Frames(uint32_t variant) const {
    return frames_[variant];
  }

 private:
  std::vector<client::FrameMatrix> frames_;  // by variant
  std::vector<grpc::Slice> slices_;          // by variant
  std::vector<grpc::Slice> headers_;         // by stream
};

}  // namespace timbre::load

#endif  // TIMBRE_CLIENT_LOAD_PAYLOAD_H_
