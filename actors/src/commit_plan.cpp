#include "commit_plan.hpp"

#include <unordered_map>
#include <utility>

namespace troupe {

namespace {

/// What a batch takes in its record besides its bytes.
constexpr std::uint32_t directory_entry = 64;
/// Offsets per chunk of the `settled` table.
constexpr std::uint32_t settled_chunk = 1024;

std::uint32_t size_in_record(const batch& b) { return b.data.size + directory_entry; }

/// Rows that a dead letter touches: its own, its pin, and the number of them.
constexpr std::uint32_t dead_rows = 3;

/// Rows that a section touches at most: a run of n offsets lies in n / 1024 + 2 chunks, and the floor is one
/// more.
std::uint32_t rows_of(const settle_section& section) {
  std::uint32_t rows = 1;
  for (const auto& r : section.ranges) {
    rows += r.count / settled_chunk + 2;
    if (r.action == settle_action::dead)
      rows += r.count * dead_rows;
  }
  return rows;
}

/// Rows that a check moves: the one that is due, and the one that it is due for.
constexpr std::uint32_t check_rows = 3;
/// Transactions that one step forgets at most.
constexpr std::uint32_t forgotten_rows = 1024;

/// Rows that a decision touches at most: of each message that of its half messages, their check and their
/// pin, of each queue its new run, at home the transaction.
std::uint32_t rows_of(const decide_entry& decide) {
  auto rows = static_cast<std::uint32_t>(decide.home ? 3 : 1);
  for (const auto& q : decide.queues) {
    log_index last;
    for (const auto& m : q.messages)
      rows += std::exchange(last, m.index) != m.index ? 3 : 0;
    ++rows;
  }
  if (decide.guard)
    rows += rows_of(*decide.guard);
  return rows;
}

/// Rows that another entry touches at most, of those that touch many.
std::uint32_t rows_of(const entry_body& body) {
  if (const auto* fire = std::get_if<fire_entry>(&body))
    return static_cast<std::uint32_t>(fire->rows.size()) + 1;
  if (const auto* split = std::get_if<split_entry>(&body))
    return split->messages;
  if (const auto* decide = std::get_if<decide_entry>(&body))
    return rows_of(*decide);
  if (const auto* checked = std::get_if<checked_entry>(&body))
    return static_cast<std::uint32_t>(checked->places.size()) * check_rows;
  if (std::holds_alternative<forget_transactions_entry>(body))
    return forgotten_rows;
  return 1;
}

std::uint64_t bytes_of(const settle_section& section) {
  std::uint64_t bytes = 64 + section.ranges.size() * sizeof(settle_range);
  for (const auto& r : section.ranges)
    bytes += r.detail.size();
  return bytes;
}

} // namespace

commit_call commit_call::split_appends() {
  commit_call rest;
  commit_call appends;
  for (std::size_t i = 0; i < proposals.size(); ++i) {
    const bool is_append = std::holds_alternative<std::vector<append_origin>>(origins[i]);
    auto& into = is_append ? appends : rest;
    into.proposals.push_back(std::move(proposals[i]));
    into.origins.push_back(std::move(origins[i]));
  }
  *this = std::move(rest);
  return appends;
}

void commit_plan::add(append_request r, bool held) {
  bytes_ += r.data.data.size;
  room_ += room_of(r);
  held_ += held ? 1 : 0;
  appends_.push_back({std::move(r), held});
}

void commit_plan::add(settle_request r) { settles_.push_back(std::move(r)); }

void commit_plan::add(entry_body body, std::uint64_t key) { others_.push_back({std::move(body), key}); }

commit_call commit_plan::take(timestamp now) {
  commit_call call;
  budget used;
  // What is larger than a commit may be goes alone, and first: there would always be settles before it.
  if (!others_.empty() && encoded_size(others_.front().body) > limits_.bytes)
    take_others(call, used);
  take_settles(call, used);
  take_others(call, used);
  take_appends(call, used);
  for (auto& p : call.proposals)
    p.time = now;
  return call;
}

bool commit_plan::fits(const budget& used, std::uint64_t bytes, std::uint32_t rows) const {
  return used.rows == 0 || (used.bytes + bytes <= limits_.bytes && used.rows + rows <= limits_.rows);
}

void commit_plan::take_settles(commit_call& call, budget& used) {
  settle_entry entry;
  std::vector<settle_request> origins;
  while (!settles_.empty()) {
    auto& r = settles_.front();
    const auto bytes = bytes_of(r.section);
    const auto rows = rows_of(r.section);
    if (!fits(used, bytes, rows))
      break;
    used.bytes += bytes;
    used.rows += rows;
    entry.sections.push_back(std::move(r.section));
    origins.push_back(std::move(r));
    settles_.pop_front();
  }
  if (origins.empty())
    return;
  call.proposals.push_back({.time = {}, .body = std::move(entry)});
  call.origins.emplace_back(std::move(origins));
}

void commit_plan::take_others(commit_call& call, budget& used) {
  while (!others_.empty()) {
    auto& o = others_.front();
    const auto bytes = encoded_size(o.body);
    const auto rows = rows_of(o.body);
    if (!fits(used, bytes, rows))
      return;
    used.bytes += bytes;
    used.rows += rows;
    call.proposals.push_back({.time = {}, .body = std::move(o.body)});
    call.origins.emplace_back(o.key);
    others_.pop_front();
  }
}

void commit_plan::take_appends(commit_call& call, budget& used) {
  struct record {
    std::size_t at = 0;
    std::uint64_t bytes = 0;
    milliseconds window{0};
  };
  // The last record of each queue in this call: the only one that a further batch may join, or order would be
  // lost.
  std::unordered_map<queue_id, record> open;
  while (!appends_.empty()) {
    auto& [r, held] = appends_.front();
    const auto bytes = size_in_record(r.data);
    auto [it, is_new] = open.try_emplace(r.queue);
    const bool joins = !is_new && it->second.bytes + bytes <= limits_.record && it->second.window == r.window;
    const auto rows = r.timer_rows + (joins ? 0 : 1);
    if (!fits(used, bytes, rows))
      return;
    if (!joins) {
      it->second = {call.proposals.size(), 0, r.window};
      call.proposals.push_back(
          {.time = {}, .body = append_entry{.queue = r.queue, .batches = {}, .window = r.window}});
      call.origins.emplace_back(std::vector<append_origin>{});
    }
    used.rows += rows;
    it->second.bytes += bytes;
    used.bytes += bytes;
    bytes_ -= r.data.data.size;
    room_ -= room_of(r);
    held_ -= held ? 1 : 0;
    std::get<append_entry>(call.proposals[it->second.at].body).batches.push_back(std::move(r.data));
    std::get<std::vector<append_origin>>(call.origins[it->second.at])
        .push_back({r.wanted, held, std::move(r.producer), std::move(r.queue_handle)});
    appends_.pop_front();
  }
}

} // namespace troupe
