#include "server/base/memory_region.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>

#include "server/base/aligned_vector.h"
#include "server/base/huge_page.h"

namespace timbre {
namespace {

TEST(MemoryRegion, VectorsLieOneAfterTheOtherAtCacheLines) {
  MemoryRegion region(1 << 20);
  const AlignedVector<char> first(100, 'a', &region);
  const AlignedVector<uint32_t> second(10, 7U, &region);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first.data()) % 64, 0U);
  EXPECT_EQ(reinterpret_cast<const char*>(second.data()), first.data() + 128);
  EXPECT_EQ(region.heap_bytes(), 0U);
}

TEST(MemoryRegion, ALargeOneBeginsAtAHugePage) {
  MemoryRegion region(3 * kHugePageBytes);
  const AlignedVector<char> all(3 * kHugePageBytes, 'a', &region);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(all.data()) % kHugePageBytes, 0U);
  EXPECT_EQ(region.heap_bytes(), 0U);
}

TEST(MemoryRegion, WhatHasNoRoomComesFromTheHeapAndGoesBackToIt) {
  MemoryRegion region(4096);
  {
    AlignedVector<char> some(4000, 'a', &region);
    const AlignedVector<char> more(4000, 'b', &region);
    EXPECT_EQ(region.heap_bytes(), 4000U);
    some.resize(10'000, 'c');
    EXPECT_EQ(region.heap_bytes(), 14'000U);
    EXPECT_EQ(some[3999], 'a');
    EXPECT_EQ(some[9999], 'c');
  }
  EXPECT_EQ(region.heap_bytes(), 0U);
}

TEST(MemoryRegion, WhatWasAllocatedLastMayEndEarlier) {
  MemoryRegion region(4096);
  AlignedVector<char> some(&region);
  some.reserve(4000);
  some.resize(100);
  region.EndAt(some.data() + some.size());
  const AlignedVector<char> more(3000, 'b', &region);
  EXPECT_EQ(more.data(), some.data() + 128);
  EXPECT_EQ(region.heap_bytes(), 0U);
}

TEST(MemoryRegion, AVectorTakesItsMemoryAlongAndCopiesAreOfTheHeap) {
  MemoryRegion region(4096);
  AlignedVector<int> in(10, 1, &region);
  const int* const data = in.data();
  AlignedVector<int> copy(in);
  EXPECT_EQ(copy.get_allocator().memory(), nullptr);
  copy = std::move(in);
  EXPECT_EQ(copy.data(), data);
  EXPECT_EQ(copy.get_allocator().memory(), &region);
}

}  // namespace
}  // namespace timbre
