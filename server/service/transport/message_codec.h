// Messages to bytes and back.
#ifndef TIMBRE_SERVER_SERVICE_TRANSPORT_MESSAGE_CODEC_H_
#define TIMBRE_SERVER_SERVICE_TRANSPORT_MESSAGE_CODEC_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"

namespace timbre {

// Parses `bytes`, compressed or not, which are consumed. INVALID_ARGUMENT,
// naming the field where a string is not UTF-8, if they are not a message of
// this type. RESOURCE_EXHAUSTED if they are more than `max_bytes`, or hold more
// fields than a message of the contract has use for: parsed, such a message
// would grow to many times its size. Thread-safe.
absl::Status ParseMessage(grpc::ByteBuffer& bytes,
                          google::protobuf::Message& message,
                          size_t max_bytes = SIZE_MAX);

grpc::ByteBuffer SerializeMessage(const google::protobuf::Message& message);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_TRANSPORT_MESSAGE_CODEC_H_
