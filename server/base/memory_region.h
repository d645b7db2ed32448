// Memory that is taken from the system in one piece and given back with it.
#ifndef TIMBRE_SERVER_BASE_MEMORY_REGION_H_
#define TIMBRE_SERVER_BASE_MEMORY_REGION_H_

#include <cstddef>
#include <memory_resource>

namespace timbre {

// What an open voice holds, as one mapping: however many voices come and go,
// the heap has no holes of theirs, and closing one gives all of it back.
// Vectors are to be given their room once: what they let go is not used again.
// Not thread-safe but for const functions.
class MemoryRegion final : public std::pmr::memory_resource {
 public:
  // Room for `bytes`, which take memory once they are written. What has no room
  // comes from the heap.
  explicit MemoryRegion(size_t bytes);
  ~MemoryRegion() override;
  MemoryRegion(const MemoryRegion&) = delete;
  MemoryRegion& operator=(const MemoryRegion&) = delete;

  // What was allocated last ends at `end`: the rest of it is for others.
  void EndAt(const void* end);

  // Room that was asked for beyond the region's.
  size_t heap_bytes() const { return heap_bytes_; }

 private:
  void* do_allocate(size_t bytes, size_t alignment) override;
  void do_deallocate(void* p, size_t bytes, size_t alignment) override;
  bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }

  char* data_ = nullptr;  // null: nothing could be mapped
  size_t size_ = 0;
  size_t used_ = 0;
  size_t heap_bytes_ = 0;
};

// munmap(2), a few MiB at a time: page faults of other threads wait for each.
void UnmapInSlices(char* data, size_t bytes);

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_MEMORY_REGION_H_
