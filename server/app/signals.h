// Which signals end the server, and which do nothing.
#ifndef TIMBRE_SERVER_APP_SIGNALS_H_
#define TIMBRE_SERVER_APP_SIGNALS_H_

#include <csignal>
#include <thread>

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

  // While it lives, such a signal ends the process at once: for the start, in
  // which a disk may keep it waiting for long and nothing is promised yet.
  class EndAtOnce {
   public:
    explicit EndAtOnce(const Signals& signals);
    ~EndAtOnce();
    EndAtOnce(const EndAtOnce&) = delete;
    EndAtOnce& operator=(const EndAtOnce&) = delete;

   private:
    std::thread thread_;
  };

 private:
  sigset_t ending_;
};

}  // namespace timbre

#endif  // TIMBRE_SERVER_APP_SIGNALS_H_
