#include "server/app/signals.h"

#include <fcntl.h>
#include <pthread.h>

#include <initializer_list>

#include "server/base/file_system.h"

namespace timbre {
namespace {

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
  pthread_sigmask(SIG_BLOCK, &ending_, nullptr);
}

int Signals::WaitForEnd() const {
  int signal = 0;
  sigwait(&ending_, &signal);
  return signal;
}

}  // namespace timbre
