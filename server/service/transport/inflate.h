// Messages that clients compress.
//
// gRPC would inflate a message whole before it looks at its size; told not to,
// it hands over the compressed bytes.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_INFLATE_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_INFLATE_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstddef>

#include "absl/status/status.h"

namespace timbre {

// Whether `bytes`, as they were received, are compressed.
bool IsCompressed(grpc::ByteBuffer& bytes);

// Puts what `bytes` hold in their place, if they are compressed (gzip,
// deflate). RESOURCE_EXHAUSTED if that is more than `max_bytes`: no more than
// those, and a bit, are inflated. INVALID_ARGUMENT if they are damaged.
// Thread-safe; takes some nanoseconds a byte.
absl::Status Inflate(grpc::ByteBuffer& bytes, size_t max_bytes);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_INFLATE_H_
