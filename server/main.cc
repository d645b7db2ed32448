// timbred: flags -> Config -> App, and a signal that ends it.
#include <pthread.h>

#include <csignal>
#include <cstdio>
#include <string>

#include "server/app/app.h"
#include "server/app/flags.h"
#include "server/base/log.h"

namespace {

int Fail(const absl::Status& status) {
  timbre::Log(timbre::LogLevel::kError, "not_started",
              {{"error", std::string(status.message())}});
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  // Blocked in every thread, taken by sigwait below: draining happens in main,
  // not in a signal handler.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  const auto config = timbre::ParseFlags(argc, argv);
  if (!config.ok()) return Fail(config.status());
  const auto app = timbre::App::Start(*config);
  if (!app.ok()) return Fail(app.status());
  int signal = 0;
  sigwait(&signals, &signal);
  (*app)->Drain();
  return 0;
}
