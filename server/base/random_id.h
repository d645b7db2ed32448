// Names that nobody else has.
#ifndef TIMBRE_SERVER_BASE_RANDOM_ID_H_
#define TIMBRE_SERVER_BASE_RANDOM_ID_H_

#include <string>

namespace timbre {

// 16 bytes of the system's randomness, raw and as 32 lower-case digits. Never
// the same twice, on whatever machine. Thread-safe.
std::string RandomBytes();
std::string RandomId();

}  // namespace timbre

#endif  // TIMBRE_SERVER_BASE_RANDOM_ID_H_
