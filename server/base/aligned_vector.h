// A vector whose elements begin at a cache line: a load of a whole line never
// touches two. Large ones are offered huge pages: a search reads lists all over
// them, and most of its address translations would miss. Those that are made
// with a memory resource (memory_region.h) lie there.
#ifndef TIMBRE_SERVER_BASE_ALIGNED_VECTOR_H_
#define TIMBRE_SERVER_BASE_ALIGNED_VECTOR_H_

#include <sys/mman.h>

#include <cstddef>
#include <memory_resource>
#include <new>
#include <type_traits>
#include <vector>

#include "server/base/huge_page.h"

namespace timbre {

template <typename T>
struct AlignedAllocator {
  using value_type = T;
  static constexpr size_t kCacheLine = 64;

  using propagate_on_container_move_assignment = std::true_type;
  using propagate_on_container_swap = std::true_type;

  AlignedAllocator() = default;
  // Null: the heap.
  // NOLINTNEXTLINE(google-explicit-constructor)
  AlignedAllocator(std::pmr::memory_resource* memory) : memory_(memory) {}
  template <typename U>
  explicit AlignedAllocator(const AlignedAllocator<U>& other)
      : memory_(other.memory()) {}

  std::pmr::memory_resource* memory() const { return memory_; }
  // Copies are the heap's.
  AlignedAllocator select_on_container_copy_construction() const { return {}; }

  T* allocate(size_t n) {
    if (memory_ != nullptr) {
      return static_cast<T*>(memory_->allocate(n * sizeof(T), kCacheLine));
    }
    void* const p = ::operator new(n * sizeof(T), AlignmentOf(n));
    // Advice: where it is not taken, pages are small.
    if (IsLarge(n)) madvise(p, n * sizeof(T), MADV_HUGEPAGE);
    return static_cast<T*>(p);
  }
  void deallocate(T* p, size_t n) {
    if (memory_ != nullptr) {
      return memory_->deallocate(p, n * sizeof(T), kCacheLine);
    }
    ::operator delete(p, AlignmentOf(n));
  }

  template <typename U>
  bool operator==(const AlignedAllocator<U>& other) const {
    return memory_ == other.memory();
  }

 private:
  static bool IsLarge(size_t n) { return n * sizeof(T) >= kHugePageBytes; }
  static std::align_val_t AlignmentOf(size_t n) {
    return std::align_val_t{IsLarge(n) ? kHugePageBytes : kCacheLine};
  }

  std::pmr::memory_resource* memory_ = nullptr;
};

template <typename T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_ALIGNED_VECTOR_H_
