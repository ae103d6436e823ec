#include "complaint.hpp"
#include "verifier.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace troupe {

namespace {

/// Of which a list is read at a time.
constexpr std::uint64_t list_step = 1u << 20;

std::string of_group(group_id group) { return " of group " + std::to_string(group.value); }

} // namespace

void verifier::check_list(queue_id queue, const queue_run& run, std::span<const char> entry) {
  const auto list = view_listing(queue, run, entry);
  if (!list)
    return report_run(queue, run, list.error().reason);
  if (list->header.time != run.time)
    report_run(queue, run, "the entry's time is not the index's");
  if (run.bytes != bytes_of_list(run.count, list->bytes) || run.lane != 0)
    report_run(queue, run, "its bytes or lane are not those of a list");
  if (run.shared)
    ++held_[run.index];
  for (const auto& message : std::span(list->messages).subspan(run.first_ordinal, run.count)) {
    ++held_[message.index];
    if (message.index >= run.index)
      report_run(queue, run, "it lists a message that is newer than itself");
  }
  read_result read;
  for (queue_offset from = run.base; from < run.next(); from = read.next) {
    read.batches.clear();
    read_listed(messages_, {env_.options().id, queue, run, entry}, from, list_step, read);
    if (read.next <= from)
      return report_run(queue, run, "the list ends too early");
  }
  found_.insert(found_.end(), read.damaged.begin(), read.damaged.end());
}

void verifier::check_dead(std::span<const char> key, std::span<const char> value) {
  const auto queue = queue_of(key);
  const auto place = place_of(key);
  ++held_[place.index];
  const auto row = decode_dead(value);
  if (row.offset >= next_of(queue) || row.died > state_.time)
    report(place.index, queue,
           "a dead letter" + of_group(group_of(key)) + " lies behind the queue or the log");
  if (auto err = messages_.check(queue, place))
    report(place.index, queue, "a dead letter" + of_group(group_of(key)) + ": " + err.reason);
}

void verifier::check_dead() {
  std::optional<std::pair<queue_id, group_id>> pair;
  std::uint64_t counted = 0, said = 0;
  auto finish = [&] {
    if (pair && counted != said)
      report({}, pair->first,
             "there are " + std::to_string(counted) + " dead letters" + of_group(pair->second) +
                 ", the count says " + std::to_string(said));
  };
  lmdb_cursor rows(txn_, env_.db().dead);
  for (bool more = rows.first(); more; more = rows.next()) {
    const auto why = complaint([&] {
      const std::pair of{queue_of(rows.key()), group_of(rows.key())};
      if (pair != of) {
        finish();
        pair = of;
        counted = said = 0;
      }
      if (rows.key().size() == std::tuple_size_v<dead_count_key>) {
        said = decode_count(rows.value());
      } else {
        ++counted;
        check_dead(rows.key(), rows.value());
      }
    });
    if (!why.empty())
      report({}, pair ? pair->first : queue_id{}, why);
  }
  finish();
}

void verifier::check_pins() {
  auto expected = held_.begin();
  auto check = [&](log_index index, std::uint64_t pins, std::uint64_t holders) {
    if (pins != holders)
      report(index, {},
             std::to_string(holders) + " hold the entry, it is pinned " + std::to_string(pins) + " times");
  };
  lmdb_cursor rows(txn_, env_.db().pins);
  for (bool more = rows.first(); more; more = rows.next()) {
    const auto why = complaint([&] {
      const auto index = index_of(rows.key());
      for (; expected != held_.end() && expected->first < index; ++expected)
        check(expected->first, 0, expected->second);
      const bool held = expected != held_.end() && expected->first == index;
      check(index, decode_pins(rows.value()), held ? (expected++)->second : 0);
      if (!txn_.get(env_.db().log, key_of(index)))
        report(index, {}, "the entry is pinned, but missing");
    });
    if (!why.empty())
      report({}, {}, why);
  }
  for (; expected != held_.end(); ++expected)
    check(expected->first, 0, expected->second);
}

} // namespace troupe
