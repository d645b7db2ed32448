// The fastest that a core can multiply and read, measured.
#ifndef TIMBRE_TESTS_BENCH_PEAK_H_
#define TIMBRE_TESTS_BENCH_PEAK_H_

#include <cstddef>

namespace timbre::bench {

// int8 multiplications (each with its addition) per second in registers; 0
// without AVX-512 VNNI.
double Int8MacsPerSecond();
// float32 operations per second, two a fused multiply-add; 0 without AVX-512.
double FloatFlopsPerSecond();
// Loads every cache line.
void Read(const char* memory, size_t bytes);

}  // namespace timbre::bench

#endif  // TIMBRE_TESTS_BENCH_PEAK_H_
