#include "server/service/transport/message_codec.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/common.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"
#include "server/base/status_macros.h"
#include "server/service/transport/inflate.h"

namespace timbre {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr int kMaxDepth = 16;
// ReadFrames may list 100,000 ids one by one.
constexpr int kMaxFields = 110'000;
constexpr uint32_t kMaxStringBytes = 1 << 20;

// Walks over a message without building it: large bytes fields are stepped
// over, everything else is counted, strings are checked.
class Scanner {
 public:
  explicit Scanner(CodedInputStream& input) : input_(input) {}

  // The current message, up to the input's limit. `path` names it.
  absl::Status Scan(const Descriptor& descriptor, const std::string& path,
                    int depth) {
    while (true) {
      const uint32_t tag = input_.ReadTag();
      if (tag == 0) {
        return input_.ConsumedEntireMessage() ? absl::OkStatus() : Broken();
      }
      if (++fields_ > kMaxFields) {
        return MakeError(
            absl::StatusCode::kResourceExhausted, "TOO_MANY_FIELDS",
            absl::StrCat("request: more than ", kMaxFields, " fields"));
      }
      TIMBRE_RETURN_IF_ERROR(ScanField(descriptor, path, depth, tag));
    }
  }

 private:
  static absl::Status Broken() { return absl::InvalidArgumentError(""); }

  absl::Status ScanField(const Descriptor& descriptor, const std::string& path,
                         int depth, uint32_t tag) {
    const FieldDescriptor* const field =
        descriptor.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    const bool delimited = WireFormatLite::GetTagWireType(tag) ==
                           WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
    const bool inner = field != nullptr && delimited &&
                       field->type() == FieldDescriptor::TYPE_MESSAGE;
    const bool text = field != nullptr && delimited &&
                      field->type() == FieldDescriptor::TYPE_STRING;
    // Nothing that proto3 writes: inside one, fields would go uncounted.
    if (WireFormatLite::GetTagWireType(tag) ==
        WireFormatLite::WIRETYPE_START_GROUP) {
      return Broken();
    }
    if (!inner && !text) {
      return WireFormatLite::SkipField(&input_, tag) ? absl::OkStatus()
                                                     : Broken();
    }
    uint32_t bytes = 0;
    if (!input_.ReadVarint32(&bytes) || depth == kMaxDepth) return Broken();
    const std::string name =
        path.empty() ? field->name() : absl::StrCat(path, ".", field->name());
    if (text) return ScanString(name, bytes);
    const auto limit = input_.PushLimit(static_cast<int>(bytes));
    TIMBRE_RETURN_IF_ERROR(Scan(*field->message_type(), name, depth + 1));
    input_.PopLimit(limit);
    return absl::OkStatus();
  }

  absl::Status ScanString(const std::string& name, uint32_t bytes) {
    if (bytes > kMaxStringBytes) {
      return InvalidField(name, absl::StrCat(bytes, " bytes"),
                          absl::StrCat("at most ", kMaxStringBytes, " bytes"));
    }
    std::string text;
    if (!input_.ReadString(&text, static_cast<int>(bytes))) return Broken();
    if (!google::protobuf::internal::IsStructurallyValidUTF8(
            text.data(), static_cast<int>(text.size()))) {
      return InvalidField(name, "a string that is not UTF-8", "valid UTF-8");
    }
    return absl::OkStatus();
  }

  CodedInputStream& input_;
  int fields_ = 0;
};

absl::Status NotAMessage(size_t bytes, const Descriptor& descriptor) {
  return InvalidField("request", absl::StrCat(bytes, " bytes"),
                      absl::StrCat("a serialized ", descriptor.full_name()));
}

}  // namespace

absl::Status ParseMessage(grpc::ByteBuffer& bytes,
                          google::protobuf::Message& message,
                          size_t max_bytes) {
  TIMBRE_RETURN_IF_ERROR(Inflate(bytes, max_bytes));
  const size_t size = bytes.Length();
  const Descriptor& descriptor = *message.GetDescriptor();
  if (size > max_bytes) {
    return MakeErrorWithDetails(
        absl::StatusCode::kResourceExhausted,
        absl::StrCat("request: ", size, " bytes are not accepted; must be at ",
                     "most ", max_bytes, " bytes"),
        {.reason = "MESSAGE_TOO_LARGE",
         .field = "request",
         .retry_after = std::nullopt});
  }
  {
    grpc::ByteBuffer copy = bytes;  // shares the slices; reading consumes it
    grpc::ProtoBufferReader reader(&copy);
    CodedInputStream input(&reader);
    const absl::Status scanned = Scanner(input).Scan(descriptor, "", 0);
    if (!scanned.ok()) {
      return scanned.message().empty() ? NotAMessage(size, descriptor)
                                       : scanned;
    }
  }
  grpc::ProtoBufferReader reader(&bytes);
  if (reader.status().ok() && message.ParseFromZeroCopyStream(&reader)) {
    return absl::OkStatus();
  }
  return NotAMessage(size, descriptor);
}

grpc::ByteBuffer SerializeMessage(const google::protobuf::Message& message) {
  grpc::ByteBuffer bytes;
  bool owned = false;
  grpc::GenericSerialize<grpc::ProtoBufferWriter, google::protobuf::Message>(
      message, &bytes, &owned);
  return bytes;
}

}  // namespace timbre
