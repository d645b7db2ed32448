// CPU time of the calling thread.
#ifndef TIMBRE_SERVER_BASE_THREAD_TIME_H_
#define TIMBRE_SERVER_BASE_THREAD_TIME_H_

#include <time.h>

namespace timbre {

// Seconds since some moment; what others do meanwhile does not count.
inline double ThreadSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) +
         1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_THREAD_TIME_H_
