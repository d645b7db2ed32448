#include "server/base/memory_region.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <new>

#include "server/base/huge_page.h"

namespace timbre {
namespace {

constexpr size_t kSliceBytes = size_t{8} << 20;

size_t RoundUp(size_t n, size_t to) { return (n + to - 1) / to * to; }

// Of `bytes`, at a multiple of `alignment`; both are multiples of a page.
char* Map(size_t bytes, size_t alignment, size_t page) {
  const size_t room = bytes + alignment - page;
  void* const p = mmap(nullptr, room, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  const auto begin = reinterpret_cast<uintptr_t>(p);
  const size_t before = RoundUp(begin, alignment) - begin;
  char* const data = static_cast<char*>(p) + before;
  if (before > 0) munmap(p, before);
  if (room > before + bytes) munmap(data + bytes, room - before - bytes);
  return data;
}

}  // namespace

MemoryRegion::MemoryRegion(size_t bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t size = RoundUp(std::max<size_t>(bytes, 1), page);
  const bool large = size >= kHugePageBytes;
  data_ = Map(size, large ? kHugePageBytes : page, page);
  if (data_ == nullptr) return;
  size_ = size;
  // Advice: where it is not taken, pages are small.
  if (large) madvise(data_, size_, MADV_HUGEPAGE);
}

MemoryRegion::~MemoryRegion() {
  if (data_ != nullptr) UnmapInSlices(data_, size_);
}

void MemoryRegion::EndAt(const void* end) {
  const char* const p = static_cast<const char*>(end);
  if (data_ == nullptr || p < data_ || p > data_ + used_) return;
  used_ = static_cast<size_t>(p - data_);
}

void* MemoryRegion::do_allocate(size_t bytes, size_t alignment) {
  const size_t begin = RoundUp(used_, alignment);
  if (begin > size_ || bytes > size_ - begin) {
    heap_bytes_ += bytes;
    return ::operator new (bytes, std::align_val_t{alignment});
  }
  used_ = begin + bytes;
  return data_ + begin;
}

void MemoryRegion::do_deallocate(void* p, size_t bytes, size_t alignment) {
  const char* const begin = static_cast<char*>(p);
  if (data_ != nullptr && begin >= data_ && begin < data_ + size_) return;
  heap_bytes_ -= bytes;
  ::operator delete (p, std::align_val_t{alignment});
}

void UnmapInSlices(char* data, size_t bytes) {
  // From the end, so that what is left stays one mapping.
  while (bytes > 0) {
    const size_t rest = bytes % kSliceBytes;
    const size_t slice = rest != 0 ? rest : kSliceBytes;
    bytes -= slice;
    munmap(data + bytes, slice);
  }
}

}  // namespace timbre
