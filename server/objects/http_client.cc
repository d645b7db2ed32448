#include "server/objects/http_client.h"

#include <curl/curl.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/monotonic_clock.h"
#include "server/base/semaphore.h"

namespace timbre {
namespace {

// Between two looks at who still waits.
constexpr absl::Duration kLookEvery = absl::Milliseconds(20);
constexpr int64_t kMaxPollMilliseconds = 1000;
// What an error may have to say.
constexpr size_t kMaxErrorBytes = 64 << 10;

void InitCurlOnce() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

}  // namespace

// One request, on its way; the body of its answer.
struct HttpClient::Transfer {
  ~Transfer() {
    curl_easy_cleanup(easy);
    curl_slist_free_all(header_list);
  }

  // Once, by the client's thread.
  void Prepare(const Options& options);
  void AddHeader(const std::string& line) {
    header_list = curl_slist_append(header_list, line.c_str());
  }
  // Whether anything was sent: until then it cannot have been acted on.
  bool WasSent() const {
    long bytes = 0;
    if (easy != nullptr) curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &bytes);
    return bytes > 0;
  }
  absl::Status NoAnswer(absl::string_view why) const {
    const std::string text =
        absl::StrCat(request.url.substr(0, request.url.find('?')), ": ", why);
    return WasSent() ? absl::UnknownError(text) : absl::UnavailableError(text);
  }
  absl::Status StatusOf(int code) const {
    return NoAnswer(*error != '\0'
                        ? error
                        : curl_easy_strerror(static_cast<CURLcode>(code)));
  }
  // Why it is to be given up, if it is.
  std::optional<absl::Status> WhyGiveUp(absl::Time now);
  absl::Time overdue() const {
    return easy == nullptr
               ? patience.deadline  // it waits for its place
               : std::min(patience.deadline, moved + request.stall_timeout);
  }

  static size_t OnHeader(char* data, size_t size, size_t count, void* self);
  static size_t OnBody(char* data, size_t size, size_t count, void* self);
  static int OnProgress(void* self, curl_off_t, curl_off_t received, curl_off_t,
                        curl_off_t sent);

  HttpRequest request;
  Patience patience;
  Done done;
  HttpAnswer answer;
  bool too_large = false;
  CURL* easy = nullptr;
  curl_slist* header_list = nullptr;
  char error[CURL_ERROR_SIZE] = "";
  curl_off_t bytes_moved = 0;
  absl::Time moved = MonotonicNow();
};

size_t HttpClient::Transfer::OnHeader(char* data, size_t size, size_t count,
                                      void* self) {
  auto& headers = static_cast<Transfer*>(self)->answer.headers;
  const absl::string_view line(data, size * count);
  // Of "100 Continue" before.
  if (line.substr(0, 5) == "HTTP/") headers.clear();
  const size_t colon = line.find(':');
  if (colon != absl::string_view::npos) {
    headers[absl::AsciiStrToLower(line.substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
  }
  return size * count;
}

size_t HttpClient::Transfer::OnBody(char* data, size_t size, size_t count,
                                    void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const size_t bytes = size * count;
  std::string& body = transfer.answer.body;
  long status = 0;
  curl_easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &status);
  const size_t most =
      status < 300 ? transfer.request.max_answer_bytes : kMaxErrorBytes;
  if (body.size() + bytes > most) {
    transfer.too_large = true;
    return 0;
  }
  body.append(data, bytes);
  return bytes;
}

int HttpClient::Transfer::OnProgress(void* self, curl_off_t,
                                     curl_off_t received, curl_off_t,
                                     curl_off_t sent) {
  auto& transfer = *static_cast<Transfer*>(self);
  if (received + sent != transfer.bytes_moved) {
    transfer.bytes_moved = received + sent;
    transfer.moved = MonotonicNow();
  }
  return 0;
}

void HttpClient::Transfer::Prepare(const Options& options) {
  easy = curl_easy_init();
  curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  // Else whoever gives up a name that is being resolved waits for that.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  // libcurl repeats by itself what a kept connection did not answer.
  curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, request.once ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                   static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  if (!options.ca_file.empty()) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca_file.c_str());
  }
  for (const auto& [name, value] : request.headers) {
    AddHeader(absl::StrCat(name, ": ", value));
  }
  if (request.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (request.method == "PUT" || request.method == "POST") {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
    AddHeader("expect:");  // a round trip that large bodies would wait for
    if (!request.headers.contains("content-type")) AddHeader("content-type:");
  }
  curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, header_list);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, &OnProgress);
  curl_easy_setopt(easy, CURLOPT_XFERINFODATA, this);
  curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L << 10);
  curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
  // The deadline's own is exact; this one ends a connection attempt that a
  // later request would wait for.
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 10'000L);
  moved = MonotonicNow();
}

std::optional<absl::Status> HttpClient::Transfer::WhyGiveUp(absl::Time now) {
  if (patience.cancelled != nullptr && patience.cancelled()) {
    return absl::CancelledError("nobody waits for it any more");
  }
  if (now < overdue()) return std::nullopt;
  return NoAnswer("no answer in time");
}

void HttpClient::MultiFree::operator()(void* multi) const {
  curl_multi_cleanup(static_cast<CURLM*>(multi));
}

absl::StatusOr<std::unique_ptr<HttpClient>> HttpClient::Create(
    Options options) {
  InitCurlOnce();
  CURLM* const multi = curl_multi_init();
  if (multi == nullptr) return absl::InternalError("curl_multi_init failed");
  curl_multi_setopt(multi, CURLMOPT_PIPELINING,
                    static_cast<long>(CURLPIPE_NOTHING));
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS,
                    static_cast<long>(options.max_requests));
  std::unique_ptr<HttpClient> client(new HttpClient(std::move(options), multi));
  return client;
}

HttpClient::HttpClient(Options options, void* multi)
    : options_(std::move(options)), multi_(multi), thread_([this] { Run(); }) {}

HttpClient::~HttpClient() {
  {
    const MutexLock lock(mutex_);
    stopping_ = true;
  }
  curl_multi_wakeup(multi_.get());
  thread_.join();
}

void HttpClient::Start(HttpRequest request, Patience patience, Done done) {
  auto transfer = std::make_unique<Transfer>();
  transfer->request = std::move(request);
  transfer->patience = std::move(patience);
  transfer->done = std::move(done);
  {
    const MutexLock lock(mutex_);
    waiting_.push_back(std::move(transfer));
  }
  curl_multi_wakeup(multi_.get());
}

absl::StatusOr<HttpAnswer> HttpClient::Send(HttpRequest request,
                                            const Patience& patience) {
  absl::StatusOr<HttpAnswer> answer;
  Semaphore done;
  Start(std::move(request), patience, [&](absl::StatusOr<HttpAnswer> got) {
    answer = std::move(got);
    done.Post();
  });
  done.Wait();
  return answer;
}

void HttpClient::BeginSome() {
  while (running_.size() < options_.max_requests) {
    {
      const MutexLock lock(mutex_);
      if (waiting_.empty()) return;
      running_.splice(running_.end(), waiting_, waiting_.begin());
    }
    Transfer& transfer = *running_.back();
    transfer.Prepare(options_);
    curl_multi_add_handle(multi_.get(), transfer.easy);
  }
}

void HttpClient::Finish(Transfer* transfer, int code) {
  curl_multi_remove_handle(multi_.get(), transfer->easy);
  const auto at =
      std::find_if(running_.begin(), running_.end(),
                   [&](const auto& other) { return other.get() == transfer; });
  const std::unique_ptr<Transfer> owned = std::move(*at);
  running_.erase(at);
  long status = 0;
  curl_easy_getinfo(owned->easy, CURLINFO_RESPONSE_CODE, &status);
  owned->answer.status = static_cast<int>(status);
  if (owned->too_large) {
    owned->done(absl::OutOfRangeError(
        absl::StrCat("the answer has more than ",
                     owned->request.max_answer_bytes, " bytes")));
  } else if (code != CURLE_OK) {
    owned->done(owned->StatusOf(code));
  } else {
    owned->done(std::move(owned->answer));
  }
}

void HttpClient::FinishSome() {
  int left = 0;
  while (const CURLMsg* const message =
             curl_multi_info_read(multi_.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode code = message->data.result;
    void* transfer = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
    Finish(static_cast<Transfer*>(transfer), code);
  }
}

void HttpClient::GiveUpSome() {
  const absl::Time now = MonotonicNow();
  std::list<std::unique_ptr<Transfer>> over;
  std::vector<absl::Status> why;
  const auto look = [&](std::list<std::unique_ptr<Transfer>>& from) {
    for (auto it = from.begin(); it != from.end();) {
      const auto at = it++;
      auto status = (*at)->WhyGiveUp(now);
      if (!status) continue;
      if ((*at)->easy != nullptr) {
        curl_multi_remove_handle(multi_.get(), (*at)->easy);
      }
      why.push_back(*std::move(status));
      over.splice(over.end(), from, at);
    }
  };
  look(running_);
  {
    const MutexLock lock(mutex_);
    look(waiting_);
  }
  auto status = why.begin();
  for (const auto& transfer : over) transfer->done(*std::move(status++));
}

std::chrono::milliseconds HttpClient::UntilNextLook() const {
  absl::Duration wait = absl::Milliseconds(kMaxPollMilliseconds);
  const absl::Time now = MonotonicNow();
  for (const auto& transfer : running_) {
    wait = std::min(wait, transfer->overdue() - now);
    if (transfer->patience.cancelled != nullptr) {
      wait = std::min(wait, kLookEvery);
    }
  }
  return std::max(absl::ToChronoMilliseconds(wait),
                  std::chrono::milliseconds(0)) +
         std::chrono::milliseconds(1);
}

void HttpClient::Run() {
  pthread_setname_np(pthread_self(), "store");
  absl::Time last_look = MonotonicNow();
  while (true) {
    BeginSome();
    int running = 0;
    curl_multi_perform(multi_.get(), &running);
    FinishSome();
    const absl::Time now = MonotonicNow();
    std::chrono::milliseconds wait = UntilNextLook();
    if (now - last_look >= kLookEvery || wait.count() <= 1) {
      GiveUpSome();
      last_look = now;
    }
    {
      const MutexLock lock(mutex_);
      if (stopping_) break;
      // A place may have come free.
      if (!waiting_.empty()) {
        if (running_.size() < options_.max_requests) continue;
        wait = std::min(wait, absl::ToChronoMilliseconds(kLookEvery));
      }
    }
    curl_multi_poll(multi_.get(), nullptr, 0, static_cast<int>(wait.count()),
                    nullptr);
  }
  const MutexLock lock(mutex_);
  running_.splice(running_.end(), waiting_);
  for (const auto& transfer : running_) {
    if (transfer->easy != nullptr) {
      curl_multi_remove_handle(multi_.get(), transfer->easy);
    }
    transfer->done(absl::CancelledError("the server stops"));
  }
  running_.clear();
}

}  // namespace timbre
