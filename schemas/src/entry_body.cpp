#include "entry_body.hpp"

#include "definition_codec.hpp"
#include "flat.hpp"

#include "troupe/units.hpp"

#include "entry.capnp.h"

#include <type_traits>

namespace troupe::flat {

namespace {

using flat::extra_words;
using flat::read;
using flat::write;

error damaged(const char* why) { return {errc::corrupt, std::string("the entry is damaged: ") + why}; }

capnp::uint count_of(const auto& values) { return static_cast<capnp::uint>(values.size()); }

// -- words behind the root struct
// -------------------------------------------------------------------------------------

std::size_t extra_words(const settle_entry& e) {
  auto words = list_words<schema::SettleSection>(e.sections.size());
  for (const auto& section : e.sections)
    words += list_words<schema::SettleRange>(section.ranges.size());
  return words;
}

std::size_t id_list_words(std::size_t count) { return padded(count * sizeof(std::uint32_t)) / word; }

std::size_t extra_words(const define_entry& e) {
  auto words = list_words<schema::Topic>(e.topics.size()) + list_words<schema::Group>(e.groups.size()) +
               id_list_words(e.removed_topics.size()) + id_list_words(e.removed_groups.size());
  for (const auto& topic : e.topics)
    words += extra_words(topic);
  for (const auto& group : e.groups)
    words += extra_words(group);
  return words;
}

std::size_t extra_words(const trim_entry&) { return 0; }
std::size_t extra_words(const drop_queue_entry&) { return 0; }
std::size_t extra_words(const reset_entry&) { return 0; }

// -- writing
// ----------------------------------------------------------------------------------------------------------

void write(const settle_section& section, schema::SettleSection::Builder to) {
  to.setGroup(section.group.value);
  to.setQueue(section.queue.value);
  to.setGeneration(section.gen.value);
  to.setLane(section.lane);
  auto ranges = to.initRanges(count_of(section.ranges));
  for (capnp::uint i = 0; i < ranges.size(); ++i) {
    const auto& range = section.ranges[i];
    ranges[i].setFirst(range.first.value);
    ranges[i].setCount(range.count);
    ranges[i].setAction(static_cast<std::uint8_t>(range.action));
    ranges[i].setAttempts(range.attempts);
    ranges[i].setRetryAt(to_unix_ms(range.retry_at));
  }
}

void write(const settle_entry& e, schema::Settle::Builder to) {
  auto sections = to.initSections(count_of(e.sections));
  for (capnp::uint i = 0; i < sections.size(); ++i)
    write(e.sections[i], sections[i]);
}

void write(const define_entry& e, schema::Define::Builder to) {
  auto topics = to.initTopics(count_of(e.topics));
  for (capnp::uint i = 0; i < topics.size(); ++i)
    write(e.topics[i], topics[i]);
  auto groups = to.initGroups(count_of(e.groups));
  for (capnp::uint i = 0; i < groups.size(); ++i)
    write(e.groups[i], groups[i]);
  auto removed_topics = to.initRemovedTopics(count_of(e.removed_topics));
  for (capnp::uint i = 0; i < removed_topics.size(); ++i)
    removed_topics.set(i, e.removed_topics[i].value);
  auto removed_groups = to.initRemovedGroups(count_of(e.removed_groups));
  for (capnp::uint i = 0; i < removed_groups.size(); ++i)
    removed_groups.set(i, e.removed_groups[i].value);
}

void write(const trim_entry& e, schema::Trim::Builder to) {
  to.setQueue(e.queue.value);
  to.setFirst(e.first.value);
}

void write(const drop_queue_entry& e, schema::DropQueue::Builder to) {
  to.setQueue(e.queue.value);
  to.setGroup(e.group.value);
}

void write(const reset_entry& e, schema::Reset::Builder to) {
  to.setGroup(e.group.value);
  to.setQueue(e.queue.value);
  to.setLane(e.lane);
  to.setTo(e.to.value);
}

// -- reading
// ----------------------------------------------------------------------------------------------------------

result<settle_range> read(schema::SettleRange::Reader from) {
  if (from.getAction() > static_cast<std::uint8_t>(settle_action::expired))
    return error{errc::unknown_version, "the entry settles with an action that this program does not know",
                 "read it with the version of the program that wrote it"};
  if (from.getCount() == 0 || from.getFirst() + from.getCount() < from.getFirst())
    return damaged("a settled range is empty or leaves the queue");
  if (from.getRetryAt() < 0 || from.getRetryAt() > to_unix_ms(max_time))
    return damaged("a retry's time is not between 1970 and 9999");
  return settle_range{queue_offset{from.getFirst()}, from.getCount(),
                      static_cast<settle_action>(from.getAction()), from.getAttempts(),
                      from_unix_ms(from.getRetryAt())};
}

result<entry_body> read(schema::Settle::Reader from) {
  settle_entry e;
  for (auto s : from.getSections()) {
    settle_section section{
        group_id{s.getGroup()}, queue_id{s.getQueue()}, s.getLane(), generation{s.getGeneration()}, {}};
    section.ranges.reserve(s.getRanges().size());
    for (auto r : s.getRanges()) {
      auto range = read(r);
      if (!range)
        return range.error();
      section.ranges.push_back(*range);
    }
    e.sections.push_back(std::move(section));
  }
  return entry_body{std::move(e)};
}

result<entry_body> read(schema::Define::Reader from) {
  define_entry e;
  for (auto t : from.getTopics()) {
    auto topic = read(t);
    if (!topic)
      return topic.error();
    e.topics.push_back(std::move(*topic));
  }
  for (auto g : from.getGroups()) {
    auto group = read(g);
    if (!group)
      return group.error();
    e.groups.push_back(std::move(*group));
  }
  for (auto id : from.getRemovedTopics())
    e.removed_topics.emplace_back(id);
  for (auto id : from.getRemovedGroups())
    e.removed_groups.emplace_back(id);
  return entry_body{std::move(e)};
}

result<entry_body> read(schema::Trim::Reader from) {
  return entry_body{trim_entry{queue_id{from.getQueue()}, queue_offset{from.getFirst()}}};
}

result<entry_body> read(schema::DropQueue::Reader from) {
  return entry_body{drop_queue_entry{queue_id{from.getQueue()}, group_id{from.getGroup()}}};
}

result<entry_body> read(schema::Reset::Reader from) {
  return entry_body{reset_entry{group_id{from.getGroup()}, queue_id{from.getQueue()}, from.getLane(),
                                queue_offset{from.getTo()}}};
}

// -- which value has which root
// -----------------------------------------------------------------------------------------

template <class Value> struct root_of;
template <> struct root_of<settle_entry> : std::type_identity<schema::Settle> {};
template <> struct root_of<define_entry> : std::type_identity<schema::Define> {};
template <> struct root_of<trim_entry> : std::type_identity<schema::Trim> {};
template <> struct root_of<drop_queue_entry> : std::type_identity<schema::DropQueue> {};
template <> struct root_of<reset_entry> : std::type_identity<schema::Reset> {};

template <class Value>
concept has_root = requires {
  typename root_of<Value>::type;
};

template <class Root> result<entry_body> read_root(std::span<const char> bytes) {
  return flat::read<Root>(bytes, "entry", [](typename Root::Reader root) { return read(root); });
}

} // namespace

std::size_t body_size(const entry_body& body) {
  return std::visit(
      []<class Value>(const Value& value) -> std::size_t {
        if constexpr (has_root<Value>)
          return (1 + capnp::sizeInWords<typename root_of<Value>::type>() + extra_words(value)) * word;
        else
          return 0;
      },
      body);
}

void write_body(const entry_body& body, std::span<char> out) {
  std::visit(
      [out]<class Value>(const Value& value) {
        if constexpr (has_root<Value>) {
          auto all = words(out);
          capnp::FlatMessageBuilder message(kj::arrayPtr(all.data(), all.size()));
          write(value, message.initRoot<typename root_of<Value>::type>());
          message.requireFilled();
        }
      },
      body);
}

result<entry_body> read_body(entry_kind kind, std::span<const char> bytes) {
  switch (kind) {
  case entry_kind::noop:
    if (!bytes.empty())
      return damaged("a no-op has a body");
    return entry_body{};
  case entry_kind::settle:
    return read_root<schema::Settle>(bytes);
  case entry_kind::define:
    return read_root<schema::Define>(bytes);
  case entry_kind::trim:
    return read_root<schema::Trim>(bytes);
  case entry_kind::drop_queue:
    return read_root<schema::DropQueue>(bytes);
  case entry_kind::reset:
    return read_root<schema::Reset>(bytes);
  default:
    return damaged("its kind has no such body");
  }
}

} // namespace troupe::flat
