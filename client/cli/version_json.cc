#include "client/cli/version_json.h"

#include <google/protobuf/util/json_util.h>

#include "absl/time/time.h"

namespace timbre::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

void MakeNumbers(const Descriptor& descriptor, nlohmann::json& object);

void MakeNumber(const FieldDescriptor& field, nlohmann::json& value) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT64:
      // protobuf wrote it in decimal, which is how JSON writes numbers.
      if (value.is_string()) {
        value = nlohmann::json::parse(value.get<std::string>(), nullptr, false);
      }
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      MakeNumbers(*field.message_type(), value);
      break;
    default:
      break;
  }
}

// protobuf writes 64-bit numbers as strings, for JavaScript's sake.
void MakeNumbers(const Descriptor& descriptor, nlohmann::json& object) {
  if (!object.is_object()) return;  // timestamps and durations are strings
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    const auto value = object.find(field.name());
    if (value == object.end()) continue;
    if (!field.is_repeated()) {
      MakeNumber(field, *value);
      continue;
    }
    const FieldDescriptor& element =
        field.is_map() ? *field.message_type()->map_value() : field;
    for (nlohmann::json& item : *value) MakeNumber(element, item);
  }
}

}  // namespace

nlohmann::json ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  const auto status =
      google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!status.ok()) return nullptr;
  auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  MakeNumbers(*message.GetDescriptor(), json);
  return json;
}

std::string MetricText(v1::Metric metric) {
  switch (metric) {
    case v1::METRIC_INNER_PRODUCT:
      return "inner product";
    case v1::METRIC_COSINE:
      return "cosine";
    default:
      return "L2";
  }
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC",
                          absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

}  // namespace timbre::cli
