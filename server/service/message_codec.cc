#include "server/service/message_codec.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/wrappers.pb.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/errors.h"

namespace timbre {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::UnknownField;
using google::protobuf::UnknownFieldSet;

// protobuf's own judgement: a bytes field read as a string field.
bool IsUtf8(const std::string& text) {
  google::protobuf::BytesValue bytes;
  bytes.set_value(text);
  return google::protobuf::StringValue().ParseFromString(
      bytes.SerializeAsString());
}

// The path of the first string that is not UTF-8, or empty. protobuf says only
// that parsing failed; read without a schema, the fields are all there.
std::string FindBadString(const UnknownFieldSet& fields,
                          const Descriptor& descriptor,
                          const std::string& prefix) {
  for (int i = 0; i < fields.field_count(); ++i) {
    const UnknownField& field = fields.field(i);
    const FieldDescriptor* const known =
        descriptor.FindFieldByNumber(field.number());
    if (known == nullptr ||
        field.type() != UnknownField::TYPE_LENGTH_DELIMITED) {
      continue;
    }
    const std::string path = prefix.empty()
                                 ? known->name()
                                 : absl::StrCat(prefix, ".", known->name());
    if (known->type() == FieldDescriptor::TYPE_STRING) {
      if (!IsUtf8(field.length_delimited())) return path;
    } else if (known->type() == FieldDescriptor::TYPE_MESSAGE) {
      UnknownFieldSet inner;
      if (!inner.ParseFromString(field.length_delimited())) continue;
      std::string found = FindBadString(inner, *known->message_type(), path);
      if (!found.empty()) return found;
    }
  }
  return "";
}

absl::Status ExplainFailure(const grpc::ByteBuffer& bytes,
                            const google::protobuf::Message& message) {
  std::vector<grpc::Slice> slices;
  std::string text;
  if (bytes.Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices) {
      text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  UnknownFieldSet fields;
  if (fields.ParseFromString(text)) {
    const std::string field =
        FindBadString(fields, *message.GetDescriptor(), "");
    if (!field.empty()) {
      return InvalidField(field, "a string that is not UTF-8", "valid UTF-8");
    }
  }
  return InvalidField(
      "request", absl::StrCat(text.size(), " bytes"),
      absl::StrCat("a serialized ", message.GetDescriptor()->full_name()));
}

}  // namespace

absl::Status ParseMessage(grpc::ByteBuffer& bytes,
                          google::protobuf::Message& message) {
  grpc::ByteBuffer copy = bytes;  // shares the slices; parsing consumes `bytes`
  grpc::ProtoBufferReader reader(&bytes);
  if (reader.status().ok() && message.ParseFromZeroCopyStream(&reader)) {
    return absl::OkStatus();
  }
  return ExplainFailure(copy, message);
}

grpc::ByteBuffer SerializeMessage(const google::protobuf::Message& message) {
  grpc::ByteBuffer bytes;
  bool owned = false;
  grpc::GenericSerialize<grpc::ProtoBufferWriter, google::protobuf::Message>(
      message, &bytes, &owned);
  return bytes;
}

}  // namespace timbre
