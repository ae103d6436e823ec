#include "publish_check.hpp"

#include "troupe/batch.hpp"
#include "troupe/retention.hpp"
#include "troupe/timer_buckets.hpp"
#include "troupe/units.hpp"

namespace troupe {

namespace {

error above(const std::string& what, std::uint64_t is, std::uint64_t limit, std::string hint) {
  return {errc::too_large, what + " is " + std::to_string(is) + "; the limit is " + std::to_string(limit),
          std::move(hint)};
}

/// Half messages lie together, with a check that they wait for and a pin.
constexpr std::uint32_t half_rows(std::uint32_t messages) { return 3 + messages / 1024; }

error invalid(std::string why) {
  return {errc::invalid_argument, std::move(why), "use a client library of this version"};
}

/// As check_content(), of a delayed batch.
result<std::uint32_t> check_times(const batch_reader& reader, const publish_rules& rules) {
  timer_row_estimate rows(rules.now);
  for (std::uint32_t i = 0; i < reader.count(); ++i) {
    const auto due = reader.due(i);
    if (due == timestamp{})
      return invalid("message " + std::to_string(i) + " of a delayed batch has no time");
    if (due > rules.now + rules.max_delay + clock_guard::tolerance)
      return error{errc::invalid_argument,
                   "message " + std::to_string(i) + " of the batch is due in " +
                       format_duration(std::chrono::ceil<std::chrono::seconds>(due - rules.now)) +
                       "; the limit of this node is " + format_duration(rules.max_delay) + " (--max-delay)",
                   "choose an earlier time, or raise the limit"};
    rows.add(due);
  }
  return rows.rows();
}

/// As check_content(), of a batch of half messages: who decides about them was read with the batch.
result<std::uint32_t> check_halves(const batch_reader& reader) {
  const auto& half = reader.half();
  if (half.group.empty() && !half.transaction.known())
    return invalid("a transactional batch names no producer group and no transaction");
  if (!half.group.empty())
    if (auto wrong = validate_group_name(half.group))
      return wrong;
  for (std::uint32_t i = 0; i < reader.count(); ++i)
    if (reader.due(i) != timestamp{})
      return error{errc::invalid_argument,
                   "message " + std::to_string(i) + " of a transactional batch is delayed",
                   "a message is delayed or part of a transaction, not both"};
  return half_rows(reader.count());
}

} // namespace

error check_header(const publish& p) {
  const auto& h = p.header;
  if (p.wanted > durability::one_way)
    return invalid("durability " + std::to_string(static_cast<unsigned>(p.wanted)) + " is unknown");
  if (h.kind > batch_kind::transactional)
    return invalid("batch kind " + std::to_string(static_cast<unsigned>(h.kind)) + " is unknown");
  if (h.kind == batch_kind::transactional && p.wanted != durability::durable)
    return invalid("a transactional batch is not to be durable");
  if (h.lane != 0) // reserved: a lane is a queue of its own
    return invalid("lane " + std::to_string(h.lane) + " is not 0");
  if (h.producer.value == 0 || h.epoch.value == 0 || h.sequence.value == 0)
    return invalid("producer, epoch and sequence of a batch are numbers from 1");
  if (h.count > max_batch_count)
    return above("the number of messages in the batch", h.count, max_batch_count, "send smaller batches");
  if (h.size > max_batch_size)
    return above("the batch's size in bytes", h.size, max_batch_size, "send smaller batches");
  // Empty is the one that stands in for a batch refused for good; batch_reader compares count and size.
  if (h.size != p.data.size || h.size % 8 != 0)
    return {errc::corrupt,
            "the batch says it has " + std::to_string(h.size) + " bytes, but " + std::to_string(p.data.size) +
                " came",
            "send it again"};
  return {};
}

result<std::uint32_t> check_content(publish& p, const publish_rules& rules) {
  auto reader = batch_reader::open(p.header, p.data);
  if (!reader)
    return reader.error();
  p.data = reader->data();
  // A body is no longer than its batch, so for most batches nobody needs to look.
  for (std::uint32_t i = 0; p.header.size > rules.max_message && i < reader->count(); ++i)
    if (const auto n = reader->body(i).size(); n > rules.max_message)
      return above("the body of message " + std::to_string(i) + " in the batch", n, rules.max_message,
                   "send a smaller message, or raise the topic's max_message");
  switch (p.header.kind) {
  case batch_kind::delayed:
    return check_times(*reader, rules);
  case batch_kind::transactional:
    return check_halves(*reader);
  default:
    return 0u;
  }
}

} // namespace troupe
