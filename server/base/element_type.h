// How a frame's numbers are stored or sent.
#ifndef TIMBRE_SERVER_BASE_ELEMENT_TYPE_H_
#define TIMBRE_SERVER_BASE_ELEMENT_TYPE_H_

#include <cstddef>
#include <cstdint>

namespace timbre {

enum class ElementType : uint8_t { kFloat32, kFloat16 };

constexpr size_t BytesPerElement(ElementType type) {
  return type == ElementType::kFloat16 ? 2 : 4;
}

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_ELEMENT_TYPE_H_
