#include "tests/bench/peak.h"

#include <chrono>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace timbre::bench {
namespace {

constexpr int kSteps = 20'000'000;
volatile int keep = 0;  // what is computed is used

#if defined(__x86_64__)

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
      .count();
}

__attribute__((target("avx512f,avx512bw,avx512vnni"))) double Int8() {
  __m512i sums[8];
  for (int i = 0; i < 8; ++i) sums[i] = _mm512_set1_epi32(i);  // all different
  __m512i a = _mm512_set1_epi8(3);
  const __m512i b = _mm512_set1_epi8(5);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kSteps; ++i) {
#pragma GCC unroll 8
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, a, b);
    __asm__ volatile("" : "+v"(a));
  }
  const double seconds = SecondsSince(start);
  for (const __m512i& sum : sums) keep = keep + _mm512_reduce_add_epi32(sum);
  return 8.0 * 64 * kSteps / seconds;
}

__attribute__((target("avx512f,fma"))) double Float() {
  __m512 sums[8];
  for (int i = 0; i < 8; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));
  __m512 a = _mm512_set1_ps(0.5F);
  const __m512 b = _mm512_set1_ps(0.25F);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kSteps; ++i) {
#pragma GCC unroll 8
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(a, b, sum);
    __asm__ volatile("" : "+v"(a));
  }
  const double seconds = SecondsSince(start);
  for (const __m512& sum : sums) {
    keep = keep + static_cast<int>(_mm512_reduce_add_ps(sum));
  }
  return 8.0 * 32 * kSteps / seconds;
}

__attribute__((target("avx512f"))) void ReadLines(const char* memory,
                                                  size_t bytes) {
  __m512i any = _mm512_setzero_si512();
  for (size_t i = 0; i + 64 <= bytes; i += 64) {
    any = _mm512_or_si512(any, _mm512_loadu_si512(memory + i));
  }
  keep = keep + _mm512_reduce_add_epi32(any);
}

bool HasAvx512() { return __builtin_cpu_supports("avx512f") != 0; }
bool HasVnni() { return __builtin_cpu_supports("avx512vnni") != 0; }

#else

double Int8() { return 0; }
double Float() { return 0; }
void ReadLines(const char*, size_t) {}
bool HasAvx512() { return false; }
bool HasVnni() { return false; }

#endif

}  // namespace

double Int8MacsPerSecond() { return HasVnni() ? Int8() : 0; }

double FloatFlopsPerSecond() { return HasAvx512() ? Float() : 0; }

void Read(const char* memory, size_t bytes) {
  if (HasAvx512()) return ReadLines(memory, bytes);
  uint64_t any = 0;
  for (size_t i = 0; i + 8 <= bytes; i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, memory + i, sizeof(word));
    any |= word;
  }
  keep = keep + static_cast<int>(any);
}

}  // namespace timbre::bench
