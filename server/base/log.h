// Structured logs: one JSON object a line on standard error.
#ifndef TIMBRE_SERVER_BASE_LOG_H_
#define TIMBRE_SERVER_BASE_LOG_H_

#include <nlohmann/json.hpp>

#include "absl/strings/string_view.h"

namespace timbre {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// {"time": ..., "level": ..., "event": `event`, ...fields}. `event` is a fixed
// snake_case word, what varies goes into `fields`; strings that are not UTF-8
// are mended. Thread-safe.
void Log(LogLevel level, absl::string_view event,
         const nlohmann::json& fields = nlohmann::json::object());

// Lines below this are dropped; kInfo by default.
void SetLogLevel(LogLevel level);

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_LOG_H_
