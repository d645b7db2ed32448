// A vector whose elements begin at a cache line: a load of a whole line never
// touches two. Large ones are offered huge pages: a search reads lists all over
// them, and most of its address translations would miss.
#ifndef TIMBRE_SERVER_BASE_ALIGNED_VECTOR_H_
#define TIMBRE_SERVER_BASE_ALIGNED_VECTOR_H_

#include <sys/mman.h>

#include <cstddef>
#include <new>
#include <vector>

#include "server/base/huge_page.h"

namespace timbre {

template <typename T>
struct AlignedAllocator {
  using value_type = T;
  static constexpr size_t kCacheLine = 64;

  AlignedAllocator() = default;
  template <typename U>
  explicit AlignedAllocator(const AlignedAllocator<U>&) {}

  T* allocate(size_t n) {
    void* const p = ::operator new(n * sizeof(T), AlignmentOf(n));
    // Advice: where it is not taken, pages are small.
    if (IsLarge(n)) madvise(p, n * sizeof(T), MADV_HUGEPAGE);
    return static_cast<T*>(p);
  }
  void deallocate(T* p, size_t n) { ::operator delete(p, AlignmentOf(n)); }

  template <typename U>
  bool operator==(const AlignedAllocator<U>&) const {
    return true;
  }

 private:
  static bool IsLarge(size_t n) { return n * sizeof(T) >= kHugePageBytes; }
  static std::align_val_t AlignmentOf(size_t n) {
    return std::align_val_t{IsLarge(n) ? kHugePageBytes : kCacheLine};
  }
};

template <typename T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_ALIGNED_VECTOR_H_
