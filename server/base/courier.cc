#include "server/base/courier.h"

#include <pthread.h>

#include <memory>
#include <utility>

namespace timbre {

Courier::Courier(const std::string& name)
    : thread_([this, name] { Run(name); }) {}

Courier::~Courier() {
  Stop();
  for (Letter* letter = Collect(); letter != nullptr;) {
    const std::unique_ptr<Letter> owned(letter);
    letter = letter->next;
  }
}

void Courier::Post(Task task) {
  auto* const letter = new Letter{std::move(task), box_.load()};
  while (!box_.compare_exchange_weak(letter->next, letter)) {
  }
  posted_.Post();
}

void Courier::Stop() {
  if (!thread_.joinable()) return;
  Post(nullptr);
  thread_.join();
}

Courier::Letter* Courier::Collect() {
  Letter* newest = box_.exchange(nullptr);
  Letter* oldest = nullptr;
  while (newest != nullptr) {
    Letter* const next = std::exchange(newest->next, oldest);
    oldest = std::exchange(newest, next);
  }
  return oldest;
}

void Courier::Run(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
  bool last = false;
  while (!last) {
    posted_.Wait();
    for (Letter* letter = Collect(); letter != nullptr;) {
      const std::unique_ptr<Letter> owned(letter);
      letter = letter->next;
      if (owned->task != nullptr) {
        owned->task();
      } else {
        last = true;
      }
    }
  }
}

}  // namespace timbre
