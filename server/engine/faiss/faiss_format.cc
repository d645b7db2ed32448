#include "server/engine/faiss/faiss_format.h"

#include <cstring>

namespace timbre::faiss_format {
namespace {

class Writer {
 public:
  explicit Writer(absl::string_view fourcc) { Append(fourcc); }

  template <typename T>
  Writer& Put(T value) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    out_.append(bytes, sizeof(T));
    return *this;
  }

  // faiss's write_index_header; `1 << 20` is its placeholder.
  Writer& IndexHeader(const Shape& shape) {
    const int32_t metric = shape.metric == Metric::kL2 ? 1 : 0;
    return Put(static_cast<int32_t>(shape.dimension))
        .Put(static_cast<int64_t>(shape.rows))
        .Put(int64_t{1} << 20)
        .Put(int64_t{1} << 20)
        .Put(uint8_t{1})  // trained
        .Put(metric);
  }

  // nlist, nprobe, the coarse quantizer, and a direct map that there is not.
  Writer& IvfHeader(const Shape& shape, uint32_t nlist, uint32_t nprobe,
                    const float* centroids) {
    const Shape quantizer{nlist, shape.dimension, shape.metric};
    return IndexHeader(shape)
        .Put(uint64_t{nlist})
        .Put(uint64_t{nprobe})
        .Append(FlatHeader(quantizer))
        .Floats({centroids, size_t{nlist} * shape.dimension})
        .Put(uint8_t{0})
        .Put(uint64_t{0});
  }

  Writer& Floats(std::span<const float> floats) {
    return Append(
        {reinterpret_cast<const char*>(floats.data()), floats.size_bytes()});
  }

  Writer& Append(absl::string_view bytes) {
    out_.append(bytes.data(), bytes.size());
    return *this;
  }

  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

}  // namespace

std::string NormalizingHeader(const Shape& shape) {
  const auto d = static_cast<int32_t>(shape.dimension);
  return Writer("IxPT")
      .IndexHeader(shape)
      .Put(int32_t{1})  // transforms
      .Append("VNrm")
      .Put(2.0F)  // the norm
      .Put(d)
      .Put(d)
      .Put(uint8_t{1})  // trained
      .Take();
}

std::string RefineHeader(const Shape& shape) {
  return Writer("IxRF").IndexHeader(shape).Take();
}

std::string RefineTrailer(float k_factor) {
  return Writer("").Put(k_factor).Take();
}

std::string FlatHeader(const Shape& shape) {
  return Writer(shape.metric == Metric::kL2 ? "IxF2" : "IxFI")
      .IndexHeader(shape)
      .Put(shape.rows * shape.dimension)  // floats
      .Take();
}

std::string HalfHeader(const Shape& shape) {
  constexpr int32_t kFp16 = 4;  // ScalarQuantizer::QT_fp16
  const uint64_t code_bytes = uint64_t{2} * shape.dimension;
  return Writer("IxSQ")
      .IndexHeader(shape)
      .Put(kFp16)
      .Put(int32_t{0})  // range statistics: min and max, unused
      .Put(0.0F)
      .Put(uint64_t{shape.dimension})
      .Put(code_bytes)
      .Put(uint64_t{0})  // trained values
      .Put(shape.rows * code_bytes)
      .Take();
}

std::string IvfFlatHeader(const Shape& shape, uint32_t nlist, uint32_t nprobe,
                          const float* centroids, const uint64_t* sizes) {
  const absl::string_view lengths(reinterpret_cast<const char*>(sizes),
                                  sizeof(uint64_t) * nlist);
  return Writer("IwFl")
      .IvfHeader(shape, nlist, nprobe, centroids)
      .Append("ilar")
      .Put(uint64_t{nlist})
      .Put(uint64_t{sizeof(float)} * shape.dimension)
      .Append("full")
      .Put(uint64_t{nlist})
      .Append(lengths)
      .Take();
}

std::string IvfPqHeader(const Shape& shape, const CodedShape& coded,
                        std::span<const float> centroids,
                        std::span<const float> codebooks) {
  return Writer("IwPf")
      .IvfHeader(shape, coded.nlist, coded.nprobe, centroids.data())
      .Put(uint8_t{0})                      // no residuals
      .Put(uint64_t{(coded.pq_m + 1) / 2})  // bytes of a code
      .Put(static_cast<int32_t>(kBlockCodes))
      .Put(uint64_t{BlockDigits(coded.pq_m)})
      .Put(int32_t{0})   // how faiss searches: as it likes
      .Put(uint64_t{0})  // the same
      .Put(uint64_t{shape.dimension})
      .Put(uint64_t{coded.pq_m})
      .Put(uint64_t{4})  // bits of a digit
      .Put(uint64_t{codebooks.size()})
      .Floats(codebooks)
      .Append("ilbl")
      .Put(uint64_t{coded.nlist})
      .Put(~uint64_t{0})  // bytes of a code: not used
      .Put(uint64_t{kBlockCodes})
      .Put(uint64_t{BlockBytes(coded.pq_m)})
      .Take();
}

}  // namespace timbre::faiss_format
