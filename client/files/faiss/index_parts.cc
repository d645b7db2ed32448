#include "client/files/faiss/index_parts.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <vector>

#include "client/files/npy.h"

namespace timbre::client {
namespace {

constexpr uint32_t kMaxDimension = 65536;
constexpr uint64_t kMaxBits = 16;  // of a product quantizer's digit
constexpr uint64_t kAnyCode = ~uint64_t{0};
constexpr int32_t kMaxBeam = 1'000'000;

void CheckDimension(ByteCursor& file, int64_t dimension) {
  file.Need(dimension >= 1 && dimension <= kMaxDimension,
            absl::StrCat("its dimension is ", dimension));
}

bool IsMetric(int32_t metric) {
  constexpr int32_t kMetrics[] = {0, 1, 2, 3, 4, 20, 21, 22};
  return std::find(std::begin(kMetrics), std::end(kMetrics), metric) !=
         std::end(kMetrics);
}

// What each node of a graph has room for.
struct Levels {
  FileArray<int32_t> of_node;
  FileArray<int32_t> room;  // of all levels below
};

void CheckLevels(ByteCursor& file, const Levels& levels,
                 const FileArray<uint64_t>& offsets, uint64_t neighbors) {
  const uint64_t count = levels.room.size();
  file.Need(count >= 2 && count <= 256 && levels.room[0] == 0,
            "its graph has no levels");
  for (uint64_t i = 1; i < count && file.ok(); ++i) {
    file.Need(levels.room[i] >= levels.room[i - 1],
              "the levels of its graph do not fit each other");
  }
  const uint64_t nodes = levels.of_node.size();
  file.Need(offsets.size() == nodes + 1 && offsets[0] == 0,
            "its graph is not of its rows");
  for (uint64_t i = 0; i < nodes && file.ok(); ++i) {
    const int32_t level = levels.of_node[i];
    file.Need(level >= 1 && static_cast<uint64_t>(level) < count,
              "a node of its graph is on no level");
    if (!file.ok()) return;
    file.Need(offsets[i + 1] - offsets[i] ==
                  static_cast<uint64_t>(levels.room[level]),
              "the parts of its graph do not fit each other");
  }
  file.Need(file.ok() && offsets[nodes] == neighbors,
            "the parts of its graph do not fit each other");
}

void CheckNeighbors(ByteCursor& file, const Levels& levels,
                    const FileArray<int32_t>& neighbors) {
  const auto nodes = static_cast<int64_t>(levels.of_node.size());
  uint64_t next = 0;
  for (int64_t node = 0; node < nodes; ++node) {
    for (int32_t level = 0; level < levels.of_node[node]; ++level) {
      const int32_t room = levels.room[level + 1] - levels.room[level];
      for (int32_t i = 0; i < room; ++i) {
        const int32_t other = neighbors[next++];
        file.Need(other == -1 || (other >= 0 && other < nodes &&
                                  levels.of_node[other] > level),
                  "its graph leads to a node that is not there");
        if (!file.ok()) return;
      }
    }
  }
}

std::vector<uint64_t> ReadListSizes(ByteCursor& file, uint64_t nlist) {
  // Every list has a centroid in the file, which was read before.
  std::vector<uint64_t> sizes(file.ok() ? nlist : 0);
  const auto kind = file.Read<uint32_t>();
  const auto numbers = file.ReadArray<uint64_t>();
  if (kind == Letters("full")) {
    file.Need(numbers.size() == nlist, "its lists are not as many as it says");
    for (uint64_t i = 0; i < sizes.size() && file.ok(); ++i) {
      sizes[i] = numbers[i];
    }
    return sizes;
  }
  file.Need(kind == Letters("sprs") && numbers.size() % 2 == 0,
            "its lists have no sizes");
  for (uint64_t i = 0; i + 1 < numbers.size() && file.ok(); i += 2) {
    file.Need(numbers[i] < nlist, "it names a list that is not there");
    if (file.ok()) sizes[numbers[i]] = numbers[i + 1];
  }
  return sizes;
}

}  // namespace

IndexHead ReadHead(ByteCursor& file) {
  const auto dimension = file.Read<int32_t>();
  const auto rows = file.Read<int64_t>();
  file.Take(2, sizeof(int64_t));  // unused
  const bool trained = file.ReadFlag();
  const auto metric = file.Read<int32_t>();
  if (metric > 1) file.Take(1, sizeof(float));
  CheckDimension(file, dimension);
  file.Need(rows >= 0, absl::StrCat("it has ", rows, " rows"));
  file.Need(trained, "it was never trained");
  file.Need(IsMetric(metric), absl::StrCat("its metric is ", metric));
  return {static_cast<uint64_t>(rows), static_cast<uint32_t>(dimension)};
}

void CheckNumbers(ByteCursor& file, const FileArray<float>& numbers) {
  bool good = true;
  for (uint64_t i = 0; i < numbers.size(); ++i) {
    good = good && std::abs(numbers[i]) <= kMaxMagnitude;  // NaN is not
  }
  file.Need(good, "one of its numbers is NaN, infinite or above 1e15");
}

uint64_t CheckProductQuantizer(ByteCursor& file, uint32_t dimension,
                               uint64_t* digits, uint64_t* bits) {
  const auto own_dimension = file.Read<uint64_t>();
  *digits = file.Read<uint64_t>();
  *bits = file.Read<uint64_t>();
  file.Need(own_dimension == dimension,
            "its quantizer is of another dimension");
  file.Need(*digits >= 1 && *digits <= dimension && dimension % *digits == 0,
            absl::StrCat("its codes have ", *digits, " digits"));
  file.Need(*bits >= 1 && *bits <= kMaxBits,
            absl::StrCat("its digits have ", *bits, " bits"));
  if (!file.ok()) return 0;
  const auto centroids = file.ReadArray<float>();
  file.Need(centroids.size() == uint64_t{dimension} << *bits,
            "its quantizer has another number of centroids");
  CheckNumbers(file, centroids);
  return file.ok() ? (*digits * *bits + 7) / 8 : 0;
}

uint64_t CheckScalarQuantizer(ByteCursor& file, uint32_t dimension) {
  enum Type { k8, k4, k8Uniform, k4Uniform, kHalf, k8Direct, k6, kTypes };
  constexpr uint64_t kBits[kTypes] = {8, 4, 8, 4, 16, 8, 6};
  const auto type = file.Read<int32_t>();
  const auto range = file.Read<int32_t>();
  file.Take(1, sizeof(float));  // of the range
  const auto own_dimension = file.Read<uint64_t>();
  const auto code_bytes = file.Read<uint64_t>();
  const auto trained = file.ReadArray<float>();
  file.Need(type >= 0 && type < kTypes && range >= 0 && range <= 3,
            absl::StrCat("its scalar quantizer is of type ", type));
  file.Need(own_dimension == dimension,
            "its quantizer is of another dimension");
  if (!file.ok()) return 0;
  const uint64_t numbers = type == kHalf || type == k8Direct ? 0
                           : type == k8Uniform || type == k4Uniform
                               ? 2
                               : uint64_t{2} * dimension;
  file.Need(trained.size() == numbers, "its quantizer is not trained");
  CheckNumbers(file, trained);
  const uint64_t expected = (kBits[type] * dimension + 7) / 8;
  file.Need(code_bytes == expected,
            absl::StrCat("its codes have ", code_bytes, " bytes"));
  return file.ok() ? expected : 0;
}

void CheckGraph(ByteCursor& file, uint64_t rows) {
  file.ReadArray<double>();  // how likely each level is
  Levels levels;
  levels.room = file.ReadArray<int32_t>();
  levels.of_node = file.ReadArray<int32_t>();
  const auto offsets = file.ReadArray<uint64_t>();
  const auto neighbors = file.ReadArray<int32_t>();
  const auto entry = file.Read<int32_t>();
  const auto top = file.Read<int32_t>();
  const auto build_beam = file.Read<int32_t>();
  const auto beam = file.Read<int32_t>();
  const auto upper_beam = file.Read<int32_t>();
  file.Need(levels.of_node.size() == rows, "its graph is not of its rows");
  file.Need(beam >= 1 && beam <= kMaxBeam && build_beam >= 0 &&
                build_beam <= kMaxBeam && upper_beam == 1,
            "its graph cannot be searched");
  CheckLevels(file, levels, offsets, neighbors.size());
  if (file.ok()) CheckNeighbors(file, levels, neighbors);
  if (!file.ok() || rows == 0) return;
  file.Need(entry >= 0 && static_cast<uint64_t>(entry) < rows,
            "its graph begins nowhere");
  if (!file.ok()) return;
  file.Need(top >= 0 && top < levels.of_node[entry],
            "its graph begins nowhere");
}

void CheckDirectMap(ByteCursor& file, uint64_t rows) {
  enum Kind { kNone, kArray, kTable };
  const auto kind = file.Read<char>();
  const auto places = file.ReadArray<int64_t>();
  file.Need(kind >= kNone && kind <= kTable, "its direct map is of no kind");
  file.Need(places.size() == (kind == kArray ? rows : 0),
            "its direct map is not of its rows");
  if (kind == kTable) {
    struct Pair {
      int64_t id;
      int64_t place;
    };
    file.Need(file.ReadArray<Pair>().size() <= rows,
              "its direct map is not of its rows");
  }
}

void CheckLists(ByteCursor& file, uint64_t nlist, uint64_t rows,
                uint64_t code_bytes, ListsOf what) {
  file.Need(file.Read<uint32_t>() == Letters("ilar"),
            "its lists are not in the file, or of an unknown kind");
  const auto own_nlist = file.Read<uint64_t>();
  const auto own_code_bytes = file.Read<uint64_t>();
  file.Need(own_nlist == nlist && own_code_bytes == code_bytes,
            "its lists are of another index");
  const std::vector<uint64_t> sizes = ReadListSizes(file, nlist);
  uint64_t sum = 0;
  for (const uint64_t size : sizes) {
    const absl::string_view codes = file.Take(size, code_bytes);
    if (what == ListsOf::kFrames) CheckNumbers(file, FileArray<float>(codes));
    file.Take(size, sizeof(int64_t));  // ids
    if (!file.ok()) return;
    sum += size;
  }
  file.Need(sum == rows,
            absl::StrCat("its lists hold ", sum, " rows of ", rows));
}

void CheckBlockLists(ByteCursor& file, uint64_t nlist, uint64_t rows,
                     uint64_t code_bytes, uint64_t block_codes,
                     uint64_t block_bytes) {
  file.Need(file.Read<uint32_t>() == Letters("ilbl"),
            "its lists are not in the file, or of an unknown kind");
  const auto own_nlist = file.Read<uint64_t>();
  const auto own_code_bytes = file.Read<uint64_t>();
  const auto own_block_codes = file.Read<uint64_t>();
  const auto own_block_bytes = file.Read<uint64_t>();
  file.Need(own_nlist == nlist && own_block_codes == block_codes &&
                own_block_bytes == block_bytes &&
                (own_code_bytes == code_bytes || own_code_bytes == kAnyCode),
            "its lists are of another index");
  uint64_t sum = 0;
  for (uint64_t list = 0; list < nlist && file.ok(); ++list) {
    const uint64_t size = file.ReadArray<int64_t>().size();
    const auto blocks = file.ReadArray<uint8_t>();
    file.Need(
        blocks.size() == (size + block_codes - 1) / block_codes * block_bytes,
        "a list has more rows than codes");
    sum += size;
  }
  file.Need(sum == rows,
            absl::StrCat("its lists hold ", sum, " rows of ", rows));
}

Transform CheckTransform(ByteCursor& file) {
  const auto kind = file.Read<uint32_t>();
  const bool new_pca = kind == Letters("Pcam");
  const bool pca =
      new_pca || kind == Letters("PcAm") || kind == Letters("PCAm");
  const bool linear = pca || kind == Letters("rrot") || kind == Letters("LTra");
  FileArray<float> matrix;
  FileArray<float> bias;
  FileArray<float> mean;
  FileArray<int32_t> map;
  bool has_bias = false;
  if (pca) {
    file.Take(new_pca ? 2 : 1, sizeof(float));  // eigen_power, epsilon
    file.ReadFlag();                            // random_rotation
    if (kind != Letters("PCAm")) file.Take(1, sizeof(int32_t));
    for (int i = 0; i < 3; ++i) file.ReadArray<float>();  // what trained it
  }
  if (linear) {
    has_bias = file.ReadFlag();
    matrix = file.ReadArray<float>();
    bias = file.ReadArray<float>();
  } else if (kind == Letters("VNrm")) {
    // faiss throws at any other, and forgets the memory that it had taken.
    file.Need(file.Read<float>() == 2, "its transform has a norm other than 2");
  } else if (kind == Letters("VCnt")) {
    mean = file.ReadArray<float>();
  } else {
    file.Need(kind == Letters("RmDT"), "it has a transform of unknown kind");
    map = file.ReadArray<int32_t>();
  }
  for (const auto& numbers : {matrix, bias, mean}) CheckNumbers(file, numbers);
  const auto from = file.Read<int32_t>();
  const auto to = file.Read<int32_t>();
  file.Need(file.ReadFlag(), "its transform was never trained");
  CheckDimension(file, from);
  CheckDimension(file, to);
  if (!file.ok()) return {};
  const Transform transform{static_cast<uint32_t>(from),
                            static_cast<uint32_t>(to)};
  if (linear) {
    file.Need(matrix.size() == uint64_t{transform.from} * transform.to &&
                  (!has_bias || bias.size() == transform.to),
              "its transform has another size than it says");
    return transform;
  }
  if (kind == Letters("RmDT")) {
    file.Need(map.size() == transform.to, "its transform has no dimensions");
    for (uint64_t i = 0; i < map.size() && file.ok(); ++i) {
      file.Need(map[i] >= -1 && map[i] < from,
                "its transform chooses a dimension that is not there");
    }
    return transform;
  }
  file.Need(
      from == to && (kind != Letters("VCnt") || mean.size() == transform.from),
      "its transform has another size than it says");
  return transform;
}

}  // namespace timbre::client
