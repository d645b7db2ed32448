#include "server/base/random_id.h"

#include <cstdint>
#include <cstring>
#include <random>

#include "absl/strings/escaping.h"

namespace timbre {

std::string RandomBytes() {
  std::random_device random;
  std::string bytes(16, '\0');
  for (size_t i = 0; i < bytes.size(); i += sizeof(uint32_t)) {
    const uint32_t word = random();
    memcpy(bytes.data() + i, &word, sizeof(word));
  }
  return bytes;
}

std::string RandomId() { return absl::BytesToHexString(RandomBytes()); }

}  // namespace timbre
