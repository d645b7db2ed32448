// timbred: flags -> Config -> App, and a signal that ends it.
#include <cstdlib>
#include <string>

#include "absl/time/time.h"
#include "server/app/app.h"
#include "server/app/exit_limit.h"
#include "server/app/flags.h"
#include "server/app/signals.h"
#include "server/base/log.h"
#include "server/base/process.h"

TIMBRE_OPEN_STANDARD_DESCRIPTORS_FIRST;

namespace {

constexpr absl::Duration kBeyondDrain = absl::Seconds(10);
constexpr absl::Duration kLastLines = absl::Seconds(1);

int Fail(const absl::Status& status) {
  timbre::Log(timbre::LogLevel::kError, "not_started",
              {{"error", std::string(status.message())}});
  timbre::FlushLog(kLastLines);
  return 1;
}

// What was acknowledged is on the disk, as after any other end.
void CutOff() {
  timbre::Log(timbre::LogLevel::kError, "not_drained");
  timbre::FlushLog(kLastLines);
  std::_Exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  timbre::RaiseDescriptorLimit();
  const timbre::Signals signals;

  const auto config = timbre::ParseFlags(argc, argv);
  if (!config.ok()) return Fail(config.status());
  auto app = [&] {
    const timbre::Signals::EndAtOnce end_at_once(signals);
    return timbre::App::Start(*config);
  }();
  if (!app.ok()) return Fail(app.status());
  signals.WaitForEnd();
  const timbre::ExitLimit limit(config->drain_timeout + kBeyondDrain, CutOff);
  (*app)->Drain();
  app->reset();
  timbre::FlushLog(kLastLines);
  return 0;
}
