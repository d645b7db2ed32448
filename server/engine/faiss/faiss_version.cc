#include "server/engine/faiss/faiss_version.h"

#include <faiss/Index.h>

#include "absl/strings/str_cat.h"

namespace timbre {

std::string FaissVersion() {
  return absl::StrCat(FAISS_VERSION_MAJOR, ".", FAISS_VERSION_MINOR, ".",
                      FAISS_VERSION_PATCH);
}

}  // namespace timbre
