// Messages of the contract out of the input, as the transport hands them over.
#ifndef TIMBRE_TESTS_FUZZ_MESSAGES_H_
#define TIMBRE_TESTS_FUZZ_MESSAGES_H_

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>
#include <google/protobuf/stubs/logging.h>
#include <grpcpp/support/byte_buffer.h>

#include <array>
#include <string>

#include "server/service/transport/message_codec.h"
#include "tests/fuzz/fuzzing.h"
#include "tests/fuzz/refusals.h"

namespace timbre::fuzz {

// Maps in a fixed order, so that equal messages are equal bytes, NaN and all.
inline std::string Canonical(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream output(&stream);
    output.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&output);
  }
  return bytes;
}

// In two slices, as HTTP/2 may cut it anywhere.
inline grpc::ByteBuffer Cut(const std::string& bytes, size_t at) {
  at = std::min(at, bytes.size());
  const std::array<grpc::Slice, 2> slices = {
      grpc::Slice(bytes.data(), at),
      grpc::Slice(bytes.data() + at, bytes.size() - at)};
  return {slices.data(), slices.size()};
}

// The input's next message, in `message`; false if it was refused.
template <typename Message>
bool NextMessage(Bytes& bytes, Message& message) {
  constexpr size_t kLimit = 60'000;
  const size_t cut = bytes.Take<uint8_t>();
  const std::string sent = bytes.Piece();
  grpc::ByteBuffer buffer = Cut(sent, cut);
  Message expected;
  const google::protobuf::LogSilencer silent;  // about text that is no UTF-8
  const bool parses = expected.ParseFromString(sent);
  const absl::Status status = ParseMessage(buffer, message, kLimit);
  if (status.ok()) {
    Require(parses && Canonical(message) == Canonical(expected),
            "a message is what protobuf says");
    grpc::ByteBuffer again = SerializeMessage(message);
    Message second;
    Require(ParseMessage(again, second).ok() &&
                Canonical(second) == Canonical(message),
            "a message survives the round trip");
    return true;
  }
  Require(!DetailsOf(status).reason.empty(), "a refusal has a reason");
  if (status.code() == absl::StatusCode::kResourceExhausted) {
    RequireReadable(status.message());
  } else {
    RequireNamesField(status);
  }
  return false;
}

}  // namespace timbre::fuzz

#endif  // TIMBRE_TESTS_FUZZ_MESSAGES_H_
