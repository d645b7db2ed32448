#include "server/kernels/kernels.h"

#include "server/kernels/tables.h"

namespace timbre {
namespace {

std::vector<const KernelTable*> Supported() {
  std::vector<const KernelTable*> tables;
#if defined(__x86_64__)
  // The compiler's built-in asks CPUID and XGETBV: the operating system must
  // save the registers too.
  const bool avx2 = __builtin_cpu_supports("avx2") &&
                    __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (avx512) tables.push_back(&kAvx512Kernels);
  if (avx2) tables.push_back(&kAvx2Kernels);
#endif
  tables.push_back(&kPortableKernels);
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
