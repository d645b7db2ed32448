// Which faiss this binary was built with.
#ifndef TIMBRE_SERVER_ENGINE_FAISS_FAISS_VERSION_H_
#define TIMBRE_SERVER_ENGINE_FAISS_FAISS_VERSION_H_

#include <string>

namespace timbre {

std::string FaissVersion();  // "1.7.3"

}  // namespace timbre

#endif  // TIMBRE_SERVER_ENGINE_FAISS_FAISS_VERSION_H_
