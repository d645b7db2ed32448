#include "server/kernels/avx512vbmi/avx512vbmi.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "server/kernels/avx512/target.h"

namespace timbre::avx512vbmi {
namespace {

// Byte 4 c + t of an octet is byte t of code c's word: digits 8 o + t (low
// bits) and 8 o + 4 + t (high bits). vpermb sees 64 table bytes, the rows of
// four digits: row t begins at 16 t.
TIMBRE_AVX512_VBMI inline __m512i RowStarts() {
  return _mm512_set1_epi32(0x30201000);
}

// (codes & 15) | row start, in one instruction.
TIMBRE_AVX512_VBMI inline __m512i Indices(__m512i codes) {
  constexpr int kAndOr = 0xEA;  // (a & b) | c
  return _mm512_ternarylogic_epi32(codes, _mm512_set1_epi8(15), RowStarts(),
                                   kAndOr);
}

// kBlocks blocks at once: they share the loads of the tables, and their sums
// are independent chains.
template <size_t kBlocks>
TIMBRE_AVX512_VBMI inline void Scan(const uint8_t* tables,
                                    const uint8_t* blocks, size_t octets,
                                    uint16_t* sums) {
  const __m512i ones = _mm512_set1_epi8(1);
  __m512i low_sums[kBlocks] = {};
  __m512i high_sums[kBlocks] = {};
  for (size_t octet = 0; octet < octets; ++octet, tables += 2 * kOctetBytes) {
    const __m512i low = _mm512_loadu_si512(tables);
    const __m512i high = _mm512_loadu_si512(tables + kOctetBytes);
#pragma GCC unroll 4
    for (size_t b = 0; b < kBlocks; ++b) {
      const __m512i codes =
          _mm512_loadu_si512(blocks + (b * octets + octet) * kOctetBytes);
      low_sums[b] = _mm512_dpbusd_epi32(
          low_sums[b], _mm512_permutexvar_epi8(Indices(codes), low), ones);
      high_sums[b] = _mm512_dpbusd_epi32(
          high_sums[b],
          _mm512_permutexvar_epi8(Indices(_mm512_srli_epi16(codes, 4)), high),
          ones);
    }
  }
  for (size_t b = 0; b < kBlocks; ++b) {
    _mm256_storeu_si256(
        reinterpret_cast<__m256i*>(sums + b * kCodesPerBlock),
        _mm512_cvtepi32_epi16(_mm512_add_epi32(low_sums[b], high_sums[b])));
  }
}

}  // namespace

void ArrangeCodes(uint8_t* /*blocks*/, size_t /*bytes*/) {}

TIMBRE_AVX512_VBMI void ScanCodes(const uint8_t* tables, const uint8_t* blocks,
                                  size_t count, size_t octets, uint16_t* sums) {
  const size_t block_bytes = octets * kOctetBytes;
  size_t i = 0;
  for (; i + 4 <= count; i += 4) {
    Scan<4>(tables, blocks + i * block_bytes, octets,
            sums + i * kCodesPerBlock);
  }
  if (i + 2 <= count) {
    Scan<2>(tables, blocks + i * block_bytes, octets,
            sums + i * kCodesPerBlock);
    i += 2;
  }
  if (i < count) {
    Scan<1>(tables, blocks + i * block_bytes, octets,
            sums + i * kCodesPerBlock);
  }
}

}  // namespace timbre::avx512vbmi

#endif  // defined(__x86_64__)
