// civetweb, the HTTP server inside prometheus-cpp, gives its threads 100 kB of
// stack, thread-local storage included, and offers no way to ask for more; its
// error pages (any path but /metrics, any malformed request) overflow it and
// end the process. This definition stands before libc's for every library of
// the process and makes no stack smaller than 1 MiB.
#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <cstddef>

extern "C" __attribute__((visibility("default"))) int pthread_attr_setstacksize(
    pthread_attr_t* attributes, size_t bytes) noexcept {
  using Function = int (*)(pthread_attr_t*, size_t);
  static const auto libc =
      reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_attr_setstacksize"));
  constexpr size_t kMinimum = 1 << 20;
  return libc(attributes, std::max(bytes, kMinimum));
}
