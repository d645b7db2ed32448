#include "server/base/process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <initializer_list>

namespace timbre {

void OpenStandardDescriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // syscall(2): sanitizers wrap fcntl and open, and are not ready either.
    if (::syscall(SYS_fcntl, fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number: `fd`, since those below are open.
    ::syscall(SYS_openat, AT_FDCWD, "/dev/null",
              fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
  }
}

void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // as it was where that is not allowed
}

}  // namespace timbre
