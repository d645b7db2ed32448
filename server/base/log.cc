#include "server/base/log.h"

#include <poll.h>
#include <pthread.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "server/base/log_limiter.h"
#include "server/base/monotonic_clock.h"
#include "server/base/mutex.h"

namespace timbre {
namespace {

constexpr size_t kWaitingLines = 1024;
constexpr double kBurst = 100;
constexpr double kLinesPerSecond = 10;

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

std::string ToLine(spdlog::level::level_enum level, absl::string_view event,
                   const nlohmann::json& fields) {
  nlohmann::ordered_json line = {
      {"time", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(),
                                absl::UTCTimeZone())},
      {"level", std::string(spdlog::level::to_string_view(level).data())},
      {"event", std::string(event)}};
  for (const auto& [key, value] : fields.items()) line[key] = value;
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// A log that cannot be written has nowhere to say so.
void WriteLine(std::string line) {
  line.push_back('\n');
  absl::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {  // somebody made it non-blocking
      pollfd ready{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
      if (::poll(&ready, 1, -1) > 0) continue;
    }
    if (written <= 0) return;
    rest.remove_prefix(static_cast<size_t>(written));
  }
}

// Writes on the logger's own thread, and knows how far it is. Thread-safe.
class CountingSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // Lines that the queue has dropped; before the first line.
  void CountDropped(std::function<uint64_t()> dropped) {
    dropped_ = std::move(dropped);
  }

  // A line is about to be queued.
  void Expect() { expected_.fetch_add(1); }

  bool WaitUntilWritten(absl::Duration timeout) {
    const auto deadline =
        std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(timeout);
    MutexLock lock(done_mutex_);
    while (written_ + dropped_() < expected_.load()) {
      if (lock.WaitUntil(done_, deadline) == std::cv_status::timeout) {
        return written_ + dropped_() >= expected_.load();
      }
    }
    return true;
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const uint64_t dropped = dropped_();
    if (dropped != said_) {
      WriteLine(ToLine(spdlog::level::warn, "log_lines_dropped",
                       {{"lines", dropped - said_}}));
      said_ = dropped;
    }
    WriteLine({message.payload.data(), message.payload.size()});
    {
      const MutexLock lock(done_mutex_);
      ++written_;
    }
    done_.notify_all();
  }
  void flush_() override {}

 private:
  std::function<uint64_t()> dropped_;
  uint64_t said_ = 0;  // of the dropped ones; the writing thread's
  std::atomic<uint64_t> expected_{0};
  Mutex done_mutex_;
  std::condition_variable done_;
  uint64_t written_ ABSL_GUARDED_BY(done_mutex_) = 0;
};

// Lives to the very end of the process, whose last lines it writes: the thread
// may hang in write(2) and is never joined.
struct Logger {
  std::shared_ptr<CountingSink> sink = std::make_shared<CountingSink>();
  std::shared_ptr<spdlog::details::thread_pool> queue =
      std::make_shared<spdlog::details::thread_pool>(
          kWaitingLines, 1, [] { pthread_setname_np(pthread_self(), "log"); });
  std::shared_ptr<spdlog::async_logger> logger =
      std::make_shared<spdlog::async_logger>(
          "timbre", sink, queue, spdlog::async_overflow_policy::overrun_oldest);
  LogLimiter limiter{kBurst, kLinesPerSecond};

  Logger() {
    sink->CountDropped([queue = queue.get()] {
      return static_cast<uint64_t>(queue->overrun_counter());
    });
  }
};

Logger& TheLogger() {
  static auto* const made = new Logger;
  return *made;
}

}  // namespace

void Log(LogLevel level, absl::string_view event,
         const nlohmann::json& fields) {
  Logger& log = TheLogger();
  const auto spdlog_level = ToSpdlog(level);
  if (!log.logger->should_log(spdlog_level)) return;
  nlohmann::json all = fields;
  if (level != LogLevel::kDebug) {
    const auto suppressed = log.limiter.Admit(event, MonotonicNow());
    if (!suppressed) return;
    if (*suppressed > 0) all["suppressed"] = *suppressed;
  }
  log.sink->Expect();
  log.logger->log(spdlog_level, ToLine(spdlog_level, event, all));
}

void SetLogLevel(LogLevel level) {
  TheLogger().logger->set_level(ToSpdlog(level));
}

bool FlushLog(absl::Duration timeout) {
  return TheLogger().sink->WaitUntilWritten(timeout);
}

uint64_t LogLinesLost() {
  Logger& log = TheLogger();
  return log.queue->overrun_counter() + log.limiter.refused();
}

}  // namespace timbre
