// Structured logs: one JSON object a line on standard error.
#ifndef TIMBRE_SERVER_BASE_LOG_H_
#define TIMBRE_SERVER_BASE_LOG_H_

#include <cstdint>
#include <nlohmann/json.hpp>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace timbre {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// {"time": ..., "level": ..., "event": `event`, ...fields}. `event` is a fixed
// snake_case word, what varies goes into `fields`; strings that are not UTF-8
// are mended. Thread-safe.
//
// Never waits for whoever reads the log: a thread of its own writes the lines.
// If nobody reads, the oldest of 1,024 lines that wait are dropped, and the
// next line that is written is "log_lines_dropped" with their number. Of one
// event, kDebug apart, at most 100 lines in a row and then 10 a second are
// taken, since clients can provoke them; the next one that is taken says how
// many were "suppressed".
void Log(LogLevel level, absl::string_view event,
         const nlohmann::json& fields = nlohmann::json::object());

// Lines below this are not logged; kInfo by default.
void SetLogLevel(LogLevel level);

// Waits until what was logged before is written, or dropped; at most `timeout`.
// Before the process ends. Whether it is.
bool FlushLog(absl::Duration timeout);

// Lines that were dropped or suppressed since the start.
uint64_t LogLinesLost();

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_LOG_H_
