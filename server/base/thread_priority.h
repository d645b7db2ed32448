// What a thread may take from others of this process. All of it is relative to
// what the process was given (nice, chrt): its first thread keeps that.
#ifndef TIMBRE_SERVER_BASE_THREAD_PRIORITY_H_
#define TIMBRE_SERVER_BASE_THREAD_PRIORITY_H_

#include <cstdint>

namespace timbre {

enum class ThreadPriority : uint8_t {
  // Before the other threads of the machine too, where the process may
  // (CAP_SYS_NICE, RLIMIT_NICE); else as kUrgent. For what measures others
  // beside them.
  kForemost,
  // Answers within a millisecond: when it wakes it does not wait for the end
  // of another thread's time slice (a slice of 0.1 ms of its own, on Linux 6.12
  // and newer).
  kUrgent,
  kNormal,
  // Some milliseconds do not matter: never displaces others when it wakes.
  kDeferred,
  // Runs where nothing else does (SCHED_IDLE); see GiveWay. Hold no lock that
  // others wait for.
  kBackground,
};

// Of the calling thread, and of the threads that it starts. Does what the
// system allows without privileges, silently.
void SetThreadPriority(ThreadPriority priority);

// Whether this process may have threads that are kForemost.
bool MayBeForemost();

// Lets another thread have this CPU, if one waits for it, where this one had it
// for 0.05 ms: call it often in work that takes longer beside searches. Kernels
// that preempt lazily (6.12 and newer), or pack threads on few CPUs of a
// virtual machine, let a thread that has just woken wait for the next tick, up
// to 4 ms, even behind SCHED_IDLE.
void GiveWay();

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_THREAD_PRIORITY_H_
