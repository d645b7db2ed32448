// Messages of the contract for people and for scripts.
#ifndef TIMBRE_CLIENT_CLI_VERSION_JSON_H_
#define TIMBRE_CLIENT_CLI_VERSION_JSON_H_

#include <nlohmann/json.hpp>
#include <string>

#include "timbre/v1/retrieval.pb.h"

namespace timbre::cli {

// protobuf's JSON with the field names of the proto, all numbers as numbers.
nlohmann::json ToJson(const google::protobuf::Message& message);

std::string MetricText(v1::Metric metric);
std::string TimeText(const google::protobuf::Timestamp& time);

}  // namespace timbre::cli

#endif  // TIMBRE_CLIENT_CLI_VERSION_JSON_H_
