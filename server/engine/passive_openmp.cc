#include "server/engine/passive_openmp.h"

#include <limits.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace timbre {

void RestartWithPassiveOpenMp(char** argv) {
  constexpr char kPolicy[] = "OMP_WAIT_POLICY";
  // No other thread is there yet to change the environment.
  // NOLINTBEGIN(concurrency-mt-unsafe)
  if (std::getenv(kPolicy) != nullptr) return;
  if (setenv(kPolicy, "passive", 0) != 0) return;
  // NOLINTEND(concurrency-mt-unsafe)
  // By its own path: the process keeps its name in ps.
  std::array<char, PATH_MAX> path{};
  if (readlink("/proc/self/exe", path.data(), path.size() - 1) <= 0) return;
  execv(path.data(), argv);
}

}  // namespace timbre
