// Which signals end the server, and which do nothing.
#ifndef TIMBRE_SERVER_APP_SIGNALS_H_
#define TIMBRE_SERVER_APP_SIGNALS_H_

#include <csignal>

namespace timbre {

// SIGTERM, SIGINT, SIGXCPU, and SIGHUP if the process was started at a
// terminal, which may close: they end the server, well. Without a terminal
// SIGHUP does nothing, as SIGQUIT, SIGUSR1, SIGUSR2 and the timers' signals:
// their default would end the process, and tools that rotate logs or ask for
// stacks send them. SIGXFSZ and SIGPIPE do nothing, so that the write that
// caused them fails with an error. What was ignored when the process started
// (nohup) stays so.
class Signals {
 public:
  // Before any other thread is started: those inherit the mask.
  Signals();
  // Waits for one that ends the server.
  int WaitForEnd() const;

 private:
  sigset_t ending_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_APP_SIGNALS_H_
