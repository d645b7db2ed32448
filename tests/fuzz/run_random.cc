// Feeds a fuzz target the same inputs every time: what ctest runs where there
// is no libFuzzer.
//
//   X_fuzz [RUNS] [DIRECTORY...]   every file of the directories, then RUNS
//                                  inputs made of them: changed, cut, joined;
//                                  without directories random bytes
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;
using Random = std::mt19937_64;

std::vector<Input> FilesIn(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.is_regular_file()) paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Input> inputs;
  for (const auto& path : paths) {
    std::ifstream stream(path, std::ios::binary);
    inputs.emplace_back(std::istreambuf_iterator<char>(stream),
                        std::istreambuf_iterator<char>());
  }
  return inputs;
}

Input Noise(Random& random, int run) {
  Input bytes(random() % 20000);
  // Few different bytes make ties and zeros.
  const uint64_t values = run % 3 == 0 ? 3 : 256;
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() % values);
  return bytes;
}

Input Changed(const std::vector<Input>& inputs, Random& random) {
  Input bytes = inputs[random() % inputs.size()];
  for (uint64_t change = random() % 4 + 1; change > 0; --change) {
    if (bytes.empty()) break;
    const auto at = static_cast<std::ptrdiff_t>(random() % bytes.size());
    const Input& other = inputs[random() % inputs.size()];
    switch (random() % 6) {
      case 0:
        bytes.resize(static_cast<size_t>(at));
        break;
      case 1:  // numbers at the ends of their ranges
        bytes[static_cast<size_t>(at)] = random() % 2 == 0 ? 0 : 0xff;
        break;
      case 2:
        bytes.insert(bytes.begin() + at, other.begin(),
                     other.begin() + static_cast<std::ptrdiff_t>(
                                         random() % (other.size() + 1)));
        break;
      default:
        bytes[static_cast<size_t>(at)] ^=
            static_cast<uint8_t>(1U << random() % 8);
        break;
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  const int runs = argc > 1 ? std::atoi(argv[1]) : 5000;
  std::vector<Input> inputs;
  for (int i = 2; i < argc; ++i) {
    const auto files = FilesIn(argv[i]);
    inputs.insert(inputs.end(), files.begin(), files.end());
  }
  if (argc > 2 && inputs.empty()) {
    std::cerr << "no inputs\n";
    return 1;
  }
  for (const Input& input : inputs) {
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  Random random(1);
  for (int run = 0; run < runs; ++run) {
    const Input input =
        inputs.empty() ? Noise(random, run) : Changed(inputs, random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::cout << inputs.size() << " files, " << runs << " inputs\n";
  return 0;
}
