// The one door through which faiss's exceptions leave: as a Status.
#ifndef TIMBRE_SERVER_ENGINE_FAISS_GUARD_H_
#define TIMBRE_SERVER_ENGINE_FAISS_GUARD_H_

#include <faiss/impl/FaissException.h>

#include <exception>
#include <new>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/errors.h"

namespace timbre {

// Thrown through faiss to stop it when a build is cancelled.
struct BuildCancelled : std::exception {
  const char* what() const noexcept override { return "build cancelled"; }
};

// Runs `call`; what it throws becomes an error of `code` that starts with
// `what`.
template <typename Call>
absl::Status GuardFaiss(absl::StatusCode code, absl::string_view what,
                        Call&& call) {
  try {
    call();
    return absl::OkStatus();
  } catch (const BuildCancelled&) {
    return absl::CancelledError("the build was cancelled");
  } catch (const std::bad_alloc&) {
    return MakeError(absl::StatusCode::kResourceExhausted, "OUT_OF_MEMORY",
                     absl::StrCat(what, ": out of memory"));
  } catch (const std::exception& error) {
    return MakeError(code, "FAISS_ERROR",
                     absl::StrCat(what, ": ", error.what()));
  }
}

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_FAISS_GUARD_H_
