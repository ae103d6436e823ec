#include "timer_bodies.hpp"

#include "definition_codec.hpp"

#include "troupe/units.hpp"

#include <algorithm>
#include <functional>

namespace troupe::flat {

namespace {

void write(const timer_row_place& row, schema::TimerRow::Builder to) {
  to.setStart(to_unix_ms(row.bucket.start));
  to.setLevel(static_cast<std::uint8_t>(row.bucket.level));
  to.setIndex(row.index.value);
  to.setChunk(row.chunk);
}

timer_row_place read(schema::TimerRow::Reader from) {
  return {{from_unix_ms(from.getStart()), static_cast<timer_level>(from.getLevel())},
          log_index{from.getIndex()},
          from.getChunk()};
}

objection check(const timer_bucket& bucket) {
  if (bucket.level > timer_level::seconds)
    return not_known("a level of buckets of delayed messages");
  if (!is_stored_time(bucket.start) || bucket_at(bucket.level, bucket.start) != bucket)
    return impossible("no bucket of delayed messages begins then");
  return {};
}

} // namespace

void write(const message_place& message, schema::MessagePlace::Builder to) {
  to.setIndex(message.index.value);
  to.setOrdinal(message.ordinal);
}

message_place read(schema::MessagePlace::Reader from) {
  return {log_index{from.getIndex()}, from.getOrdinal()};
}

std::size_t extra_words(const fire_entry& e) {
  return list_words<schema::TimerRow>(e.rows.size()) + list_words<schema::MessagePlace>(e.messages.size());
}
std::size_t extra_words(const split_entry&) { return 0; }
std::size_t extra_words(const cancel_entry&) {
  return capnp::sizeInWords<schema::TimerRow>() + capnp::sizeInWords<schema::MessagePlace>();
}

void write(const fire_entry& e, schema::Fire::Builder to) {
  to.setQueue(e.queue.value);
  to.setMessageBytes(e.message_bytes);
  auto rows = to.initRows(static_cast<capnp::uint>(e.rows.size()));
  for (capnp::uint i = 0; i < rows.size(); ++i)
    write(e.rows[i], rows[i]);
  auto messages = to.initMessages(static_cast<capnp::uint>(e.messages.size()));
  for (capnp::uint i = 0; i < messages.size(); ++i)
    write(e.messages[i], messages[i]);
}

void write(const split_entry& e, schema::Split::Builder to) {
  to.setStart(to_unix_ms(e.bucket.start));
  to.setLevel(static_cast<std::uint8_t>(e.bucket.level));
  to.setMessages(e.messages);
}

void write(const cancel_entry& e, schema::Cancel::Builder to) {
  to.setQueue(e.queue.value);
  write(e.row, to.initRow());
  write(e.message, to.initMessage());
}

objection check(const cancel_entry& e) { return check(e.row.bucket); }

objection check(const fire_entry& e) {
  if (e.messages.empty() || e.messages.size() > max_listed_messages || e.rows.empty() ||
      e.rows.size() > max_listed_messages)
    return impossible("it fires no delayed messages or too many");
  for (const auto& row : e.rows)
    if (auto o = check(row.bucket))
      return o;
  if (std::ranges::adjacent_find(e.rows, std::greater_equal{}) != e.rows.end())
    return impossible("the rows of the messages that it fires do not ascend");
  return {};
}

objection check(const split_entry& e) {
  if (e.bucket.level == timer_level::seconds)
    return impossible("it splits a bucket of the finest level");
  if (e.messages == 0 || e.messages > max_split_messages)
    return impossible("it moves no delayed messages or too many");
  return check(e.bucket);
}

result<entry_body> read_timer_body(schema::Fire::Reader from) {
  fire_entry e{queue_id{from.getQueue()}, from.getMessageBytes(), {}, {}};
  e.rows.reserve(from.getRows().size());
  for (auto row : from.getRows())
    e.rows.push_back(read(row));
  e.messages.reserve(from.getMessages().size());
  for (auto message : from.getMessages())
    e.messages.push_back(read(message));
  if (auto o = check(e))
    return after_reading("the entry", o);
  return entry_body{std::move(e)};
}

result<entry_body> read_timer_body(schema::Split::Reader from) {
  const split_entry e{{from_unix_ms(from.getStart()), static_cast<timer_level>(from.getLevel())},
                      from.getMessages()};
  if (auto o = check(e))
    return after_reading("the entry", o);
  return entry_body{e};
}

result<entry_body> read_timer_body(schema::Cancel::Reader from) {
  const cancel_entry e{queue_id{from.getQueue()}, read(from.getRow()), read(from.getMessage())};
  if (auto o = check(e))
    return after_reading("the entry", o);
  return entry_body{e};
}

} // namespace troupe::flat
