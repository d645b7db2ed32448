// Messages to bytes and back.
#ifndef TIMBRE_SERVER_SERVICE_MESSAGE_CODEC_H_
#define TIMBRE_SERVER_SERVICE_MESSAGE_CODEC_H_

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include "absl/status/status.h"

namespace timbre {

// Parses `bytes`, which are consumed. INVALID_ARGUMENT, naming the field where
// a string is not UTF-8, if they are not a message of this type. Thread-safe.
absl::Status ParseMessage(grpc::ByteBuffer& bytes,
                          google::protobuf::Message& message);

grpc::ByteBuffer SerializeMessage(const google::protobuf::Message& message);

}  // namespace timbre

#endif  // TIMBRE_SERVER_SERVICE_MESSAGE_CODEC_H_
