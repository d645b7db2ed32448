#include "server/app/signals.h"

#include <fcntl.h>
#include <pthread.h>

#include <cstdlib>
#include <initializer_list>

#include "absl/time/time.h"
#include "server/base/file_system.h"
#include "server/base/log.h"

namespace timbre {
namespace {

// Ends the wait of EndAtOnce; ignored elsewhere.
constexpr int kOver = SIGUSR1;
constexpr absl::Duration kLastLines = absl::Seconds(1);

bool HasTerminal() {
  return FileDescriptor(::open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC))
      .valid();
}

bool Ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 &&
         action.sa_handler == SIG_IGN;
}

}  // namespace

Signals::Signals() {
  for (const int signal : {SIGPIPE, SIGXFSZ, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM,
                           SIGVTALRM, SIGPROF, SIGIO}) {
    std::signal(signal, SIG_IGN);
  }
  if (!HasTerminal()) std::signal(SIGHUP, SIG_IGN);
  sigemptyset(&ending_);
  for (const int signal : {SIGTERM, SIGINT, SIGXCPU, SIGHUP}) {
    // One that is blocked is taken though it is ignored.
    if (!Ignored(signal)) sigaddset(&ending_, signal);
  }
  sigset_t blocked = ending_;
  sigaddset(&blocked, kOver);  // before EndAtOnce waits for it
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
}

Signals::EndAtOnce::EndAtOnce(const Signals& signals)
    : thread_([waited_for = signals.ending_]() mutable {
        sigaddset(&waited_for, kOver);
        int signal = 0;
        sigwait(&waited_for, &signal);
        if (signal == kOver) return;
        Log(LogLevel::kInfo, "stopped", {{"signal", signal}});
        FlushLog(kLastLines);
        std::_Exit(0);
      }) {}

Signals::EndAtOnce::~EndAtOnce() {
  pthread_kill(thread_.native_handle(), kOver);
  thread_.join();
}

int Signals::WaitForEnd() const {
  int signal = 0;
  sigwait(&ending_, &signal);
  return signal;
}

}  // namespace timbre
