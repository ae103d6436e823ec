#include "settle_body.hpp"

#include "definition_codec.hpp"

#include "troupe/message.hpp"

namespace troupe::flat {

namespace {

settle_range read(schema::SettleRange::Reader from) {
  settle_range range{queue_offset{from.getFirst()}, from.getCount(),
                     static_cast<settle_action>(from.getAction()), from.getAttempts(),
                     from_unix_ms(from.getRetryAt())};
  // A dead letter without a reason is from before there were any.
  if (range.action == settle_action::dead && from.getReason() != 0)
    range.reason = static_cast<dead_reason>(from.getReason());
  if (from.hasDetail()) {
    const auto detail = from.getDetail();
    range.detail.assign(detail.begin(), detail.size());
  }
  return range;
}

} // namespace

std::size_t extra_words(const settle_section& section) {
  auto words = list_words<schema::SettleRange>(section.ranges.size());
  for (const auto& range : section.ranges)
    words += range.detail.empty() ? 0 : text_words(range.detail.size());
  return words;
}

void write(const settle_section& section, schema::SettleSection::Builder to) {
  to.setGroup(section.group.value);
  to.setQueue(section.queue.value);
  to.setGeneration(section.gen.value);
  to.setLane(section.lane);
  auto ranges = to.initRanges(static_cast<capnp::uint>(section.ranges.size()));
  for (capnp::uint i = 0; i < ranges.size(); ++i) {
    const auto& range = section.ranges[i];
    ranges[i].setFirst(range.first.value);
    ranges[i].setCount(range.count);
    ranges[i].setAction(static_cast<std::uint8_t>(range.action));
    ranges[i].setAttempts(range.attempts);
    ranges[i].setRetryAt(to_unix_ms(range.retry_at));
    if (range.action == settle_action::dead)
      ranges[i].setReason(static_cast<std::uint8_t>(range.reason));
    if (!range.detail.empty())
      ranges[i].setDetail(kj::StringPtr(range.detail.c_str(), range.detail.size()));
  }
}

objection check(const settle_range& range) {
  if (range.action > settle_action::expired)
    return not_known("a settle action");
  if (range.count == 0 || range.first.value + range.count < range.first.value)
    return impossible("a settled range is empty or leaves the queue");
  if (!is_stored_time(range.retry_at))
    return impossible("a retry's time is not between 1970 and 9999");
  if (range.action != settle_action::dead)
    return range.detail.empty() ? objection{} : impossible("what is no dead letter has the text of one");
  if (range.reason > dead_reason::unsettled)
    return not_known("a reason of a dead letter");
  if (range.reason < dead_reason::attempts || range.count > max_dead_range)
    return impossible("dead letters have no reason or are too many");
  if (range.detail.size() > max_dead_detail || !is_utf8(range.detail))
    return impossible("the text of a dead letter is too long or not UTF-8");
  return {};
}

result<settle_section> read(schema::SettleSection::Reader from) {
  settle_section section{group_id{from.getGroup()},
                         queue_id{from.getQueue()},
                         from.getLane(),
                         generation{from.getGeneration()},
                         {}};
  section.ranges.reserve(from.getRanges().size());
  for (auto r : from.getRanges()) {
    section.ranges.push_back(read(r));
    if (auto o = check(section.ranges.back()))
      return after_reading("the entry", o);
  }
  return section;
}

} // namespace troupe::flat
