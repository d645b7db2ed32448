// Feeds a fuzz target the same random inputs every time: what ctest runs where
// there is no libFuzzer.
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  const int runs = argc > 1 ? std::atoi(argv[1]) : 5000;
  std::mt19937_64 random(1);
  for (int run = 0; run < runs; ++run) {
    std::vector<uint8_t> bytes(random() % 20000);
    // Few different bytes make ties and zeros.
    const uint64_t values = run % 3 == 0 ? 3 : 256;
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() % values);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::cout << runs << " inputs\n";
  return 0;
}
