#include "bulk_sender.hpp"

#include "json.hpp"
#include "text.hpp"

#include <vector>

namespace troupe::cli {

namespace {

/// After so many, people are told only how many there were.
constexpr std::uint64_t failures_shown = 10;

/// True when the next message would fare the same.
bool concerns_all(errc code) {
  return code != errc::none && code != errc::invalid_argument && code != errc::too_large;
}

} // namespace

bulk_sender::bulk_sender(send_function send, output& out, bulk_options options)
    : send_(std::move(send)), out_(out), options_(std::move(options)), reporter_([this] { report_all(); }) {}

bulk_sender::~bulk_sender() { finish(); }

bool bulk_sender::push(message m, std::uint64_t number) {
  std::uint64_t position = 0;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return slots_.size() < window || hopeless_; });
    if (hopeless_)
      return false;
    position = first_ + slots_.size();
    slots_.push_back({number, std::nullopt});
    ++totals_.sent;
    totals_.bytes += m.body.size();
  }
  send_(std::move(m), [this, position](const result<receipt>& r) { answer(position, r); });
  return true;
}

void bulk_sender::finish() {
  {
    std::lock_guard lock(mutex_);
    finished_ = true;
  }
  changed_.notify_all();
  if (reporter_.joinable())
    reporter_.join();
}

bulk_sender::totals bulk_sender::so_far() const {
  std::lock_guard lock(mutex_);
  return totals_;
}

void bulk_sender::answer(std::uint64_t position, const result<receipt>& r) {
  bool head = false;
  {
    std::lock_guard lock(mutex_);
    slots_[position - first_].answer = r;
    head = position == first_;
    hopeless_ = hopeless_ || (!r && concerns_all(r.error().code));
  }
  if (head)
    changed_.notify_all();
}

void bulk_sender::report_all() {
  std::vector<slot> ready;
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return slots_.empty() ? finished_ : slots_.front().answer.has_value(); });
    if (slots_.empty())
      return;
    while (!slots_.empty() && slots_.front().answer) {
      ready.push_back(std::move(slots_.front()));
      slots_.pop_front();
      ++first_;
    }
    lock.unlock();
    changed_.notify_all();
    for (const auto& s : ready)
      report(s);
    ready.clear();
    bool closed = static_cast<bool>(out_.flush());
    lock.lock();
    hopeless_ = hopeless_ || closed;
  }
}

void bulk_sender::report(const slot& s) {
  const auto& r = *s.answer;
  bool show = false;
  {
    std::lock_guard lock(mutex_);
    if (r) {
      ++totals_.accepted;
      totals_.duplicates += r->duplicate;
    } else {
      show = ++totals_.failed <= failures_shown;
      if (totals_.failed == 1)
        totals_.first_failure = r.error();
    }
  }
  if (!r && (show || out_.json_lines))
    out_.failure("sending message " + grouped(s.number) + " to '" + options_.topic + "'", r.error(),
                 {{"message", s.number}});
  if (!r || options_.quiet || !out_.json_lines)
    return;
  auto line = options_.one_way ? json{{"topic", options_.topic}, {"durability", "one-way"}}
                               : to_json(*r, to_string(options_.durability));
  if (!options_.state.empty())
    line["state"] = options_.state;
  out_.line(line);
}

} // namespace troupe::cli
