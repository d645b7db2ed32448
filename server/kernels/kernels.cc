#include "server/kernels/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "server/kernels/avx2/avx2.h"
#include "server/kernels/avx512/avx512.h"
#include "server/kernels/avx512vbmi/avx512vbmi.h"
#include "server/kernels/avx512vnni/avx512vnni.h"
#include "server/kernels/portable/portable.h"

namespace timbre {
namespace {

// Every function of namespace `ns`.
#define TIMBRE_KERNELS_OF(ns)                                                \
  .dot = &ns::Dot, .squared_l2 = &ns::SquaredL2, .dot_half = &ns::DotHalf,   \
  .squared_l2_half = &ns::SquaredL2Half, .half_to_float = &ns::HalfToFloats, \
  .float_to_half = &ns::FloatToHalves, .mix_rows = &ns::MixRows,             \
  .mix_rows_half = &ns::MixRowsHalf, .quantize = &ns::Quantize,              \
  .score_lists = &ns::ScoreLists, .project = &ns::Project,                   \
  .kth_smallest = &ns::KthSmallest, .collect = &ns::Collect,                 \
  .strided_minima = &ns::StridedMinima, .rank = &ns::Rank,                   \
  .fill_tables = &ns::FillTables, .nearest_entries = &ns::NearestEntries,    \
  .arrange_codes = &portable::ArrangeCodes, .scan_codes = &ns::ScanCodes

constexpr KernelTable kPortable = {.name = "portable",
                                   TIMBRE_KERNELS_OF(portable)};

#if defined(__x86_64__)

constexpr KernelTable kAvx2 = {.name = "avx2", TIMBRE_KERNELS_OF(avx2)};
constexpr KernelTable kAvx512 = {.name = "avx512", TIMBRE_KERNELS_OF(avx512)};

constexpr KernelTable Vnni() {
  KernelTable table = kAvx512;
  table.name = "avx512vnni";
  table.score_lists = &avx512vnni::ScoreLists;
  table.project = &avx512vnni::Project;
  return table;
}
constexpr KernelTable kAvx512Vnni = Vnni();

constexpr KernelTable Vbmi() {
  KernelTable table = kAvx512Vnni;
  table.name = "avx512vbmi";
  table.arrange_codes = &avx512vbmi::ArrangeCodes;
  table.scan_codes = &avx512vbmi::ScanCodes;
  return table;
}
constexpr KernelTable kAvx512Vbmi = Vbmi();

#endif  // defined(__x86_64__)

#if defined(__x86_64__)
// clang 14's built-in does not know this one.
bool HasF16c() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

std::vector<const KernelTable*> Supported() {
  std::vector<const KernelTable*> tables;
#if defined(__x86_64__)
  // The compiler's built-in asks CPUID and XGETBV: the operating system must
  // save the registers too.
  const bool avx2 = __builtin_cpu_supports("avx2") &&
                    __builtin_cpu_supports("fma") && HasF16c();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  const bool vbmi = vnni && __builtin_cpu_supports("avx512vbmi");
  if (vbmi) tables.push_back(&kAvx512Vbmi);
  if (vnni) tables.push_back(&kAvx512Vnni);
  if (avx512) tables.push_back(&kAvx512);
  if (avx2) tables.push_back(&kAvx2);
#endif
  tables.push_back(&kPortable);
  return tables;
}

}  // namespace

const std::vector<const KernelTable*>& SupportedKernels() {
  static const auto* const tables =
      new std::vector<const KernelTable*>(Supported());
  return *tables;
}

const KernelTable& BestKernels() { return *SupportedKernels().front(); }

const KernelTable* FindKernels(absl::string_view name) {
  for (const KernelTable* table : SupportedKernels()) {
    if (table->name == name) return table;
  }
  return nullptr;
}

}  // namespace timbre
