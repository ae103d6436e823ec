#include "entry_body.hpp"

#include "definition_codec.hpp"
#include "entry_layout.hpp"
#include "flat.hpp"
#include "settle_body.hpp"
#include "timer_bodies.hpp"
#include "transaction_bodies.hpp"

#include "entry.capnp.h"

#include "troupe/message.hpp"

#include <algorithm>
#include <concepts>
#include <functional>
#include <limits>
#include <string>
#include <type_traits>

namespace troupe::flat {

namespace {

using flat::check;
using flat::extra_words;
using flat::read;
using flat::read_timer_body;
using flat::read_transaction_body;
using flat::write;

error damaged(const char* why) { return after_reading("the entry", impossible(why)); }

capnp::uint count_of(const auto& values) { return static_cast<capnp::uint>(values.size()); }

// -- words behind the root struct --

std::size_t extra_words(const settle_entry& e) {
  auto words = list_words<schema::SettleSection>(e.sections.size());
  for (const auto& section : e.sections)
    words += extra_words(section);
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
std::size_t extra_words(const redrive_entry& e) {
  return list_words<schema::MessagePlace>(e.messages.size());
}
std::size_t extra_words(const purge_entry& e) { return list_words<schema::MessagePlace>(e.messages.size()); }
std::size_t extra_words(const evict_entry&) { return 0; }
std::size_t extra_words(const forget_keys_entry&) { return 0; }

// -- writing --

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

/// A redrive or a purge.
template <class Listing, class Builder> void write_listing(const Listing& e, Builder to) {
  to.setGroup(e.group.value);
  to.setQueue(e.queue.value);
  auto messages = to.initMessages(count_of(e.messages));
  for (capnp::uint i = 0; i < messages.size(); ++i)
    write(e.messages[i], messages[i]);
}

void write(const redrive_entry& e, schema::Redrive::Builder to) { write_listing(e, to); }
void write(const purge_entry& e, schema::Purge::Builder to) { write_listing(e, to); }

void write(const evict_entry& e, schema::Evict::Builder to) {
  to.setBefore(to_unix_ms(e.before));
  to.setKeep(e.keep);
}

void write(const forget_keys_entry& e, schema::ForgetKeys::Builder to) {
  to.setQueue(e.queue.value);
  to.setBefore(to_unix_ms(e.before));
}

// -- checking --

/// Of a redrive or a purge.
objection check(std::span<const message_place> messages) {
  if (messages.empty() || messages.size() > max_listed_messages)
    return impossible("it lists no messages or too many");
  if (std::ranges::adjacent_find(messages, std::greater_equal{}) != messages.end())
    return impossible("the messages that it lists do not ascend");
  return {};
}

objection check(const evict_entry& e) {
  return is_stored_time(e.before) ? objection{} : impossible("its time is not between 1970 and 9999");
}

objection check(const forget_keys_entry& e) {
  return is_stored_time(e.before) ? objection{} : impossible("its time is not between 1970 and 9999");
}

objection check(const append_entry& e) {
  std::uint64_t length = entry_header::size, messages = 0;
  for (const auto& b : e.batches) {
    if (auto o = check(b.header))
      return o;
    if (b.header.size != b.data.size)
      return impossible("a batch has " + std::to_string(b.data.size) + " bytes, its header says " +
                        std::to_string(b.header.size));
    length += entry_layout::record::size + b.header.size;
    messages += b.header.count;
  }
  constexpr std::uint64_t most = std::numeric_limits<std::uint32_t>::max();
  if (e.window.count() < 0 || static_cast<std::uint64_t>(e.window.count()) > most)
    return impossible("its window for repeats is too long");
  if (!e.ordinals.empty() && e.ordinals.size() != e.batches.size())
    return impossible("it has not one ordinal for each batch");
  std::uint64_t ordinal = 0;
  for (std::size_t i = 0; i < e.ordinals.size(); ++i) {
    if (e.ordinals[i] < ordinal)
      return impossible("the ordinals of its messages do not ascend");
    messages = ordinal = std::uint64_t{e.ordinals[i]} + e.batches[i].header.count;
  }
  return length > most || messages > most ? impossible("it is too long") : objection{};
}

template <class Values> objection first_objection(const Values& values) {
  for (const auto& value : values)
    if (auto o = check(value))
      return o;
  return {};
}

// -- reading --

result<entry_body> read(schema::Settle::Reader from) {
  settle_entry e;
  for (auto section : from.getSections()) {
    auto one = read(section);
    if (!one)
      return one.error();
    e.sections.push_back(std::move(*one));
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

result<entry_body> read(schema::ForgetKeys::Reader from) {
  const forget_keys_entry e{queue_id{from.getQueue()}, from_unix_ms(from.getBefore())};
  if (auto o = check(e))
    return after_reading("the entry", o);
  return entry_body{e};
}

template <class Listing> result<entry_body> read_listing(auto from) {
  Listing e{group_id{from.getGroup()}, queue_id{from.getQueue()}, {}};
  e.messages.reserve(from.getMessages().size());
  for (auto m : from.getMessages())
    e.messages.push_back(read(m));
  if (auto o = check(e.messages))
    return after_reading("the entry", o);
  return entry_body{std::move(e)};
}

result<entry_body> read(schema::Redrive::Reader from) { return read_listing<redrive_entry>(from); }
result<entry_body> read(schema::Purge::Reader from) { return read_listing<purge_entry>(from); }
result<entry_body> read(schema::Fire::Reader from) { return read_timer_body(from); }
result<entry_body> read(schema::Split::Reader from) { return read_timer_body(from); }
result<entry_body> read(schema::Cancel::Reader from) { return read_timer_body(from); }

result<entry_body> read(schema::Transaction::Reader from) { return read_transaction_body(from); }

result<entry_body> read(schema::Evict::Reader from) {
  const evict_entry e{from_unix_ms(from.getBefore()), from.getKeep()};
  if (auto o = check(e))
    return after_reading("the entry", o);
  return entry_body{e};
}

// -- which value has which root --

template <class Value> struct root_of;
template <> struct root_of<settle_entry> : std::type_identity<schema::Settle> {};
template <> struct root_of<define_entry> : std::type_identity<schema::Define> {};
template <> struct root_of<trim_entry> : std::type_identity<schema::Trim> {};
template <> struct root_of<drop_queue_entry> : std::type_identity<schema::DropQueue> {};
template <> struct root_of<reset_entry> : std::type_identity<schema::Reset> {};
template <> struct root_of<redrive_entry> : std::type_identity<schema::Redrive> {};
template <> struct root_of<purge_entry> : std::type_identity<schema::Purge> {};
template <> struct root_of<fire_entry> : std::type_identity<schema::Fire> {};
template <> struct root_of<split_entry> : std::type_identity<schema::Split> {};
template <> struct root_of<cancel_entry> : std::type_identity<schema::Cancel> {};
template <> struct root_of<evict_entry> : std::type_identity<schema::Evict> {};
template <> struct root_of<forget_keys_entry> : std::type_identity<schema::ForgetKeys> {};
template <> struct root_of<begin_entry> : std::type_identity<schema::Transaction> {};
template <> struct root_of<seal_entry> : std::type_identity<schema::Transaction> {};
template <> struct root_of<decide_entry> : std::type_identity<schema::Transaction> {};
template <> struct root_of<confirm_entry> : std::type_identity<schema::Transaction> {};
template <> struct root_of<checked_entry> : std::type_identity<schema::Transaction> {};
template <> struct root_of<forget_transactions_entry> : std::type_identity<schema::Transaction> {};

template <class Value>
concept has_root = requires {
  typename root_of<Value>::type;
};

/// Whose value as a whole is looked at.
template <class Value>
concept has_check = requires(const Value& value) {
  { check(value) } -> std::same_as<objection>;
};

template <class Root> result<entry_body> read_root(std::span<const char> bytes) {
  return flat::read<Root>(bytes, "entry", [](typename Root::Reader root) { return read(root); });
}

} // namespace

objection check(const batch_header& header) {
  if (header.kind > batch_kind::transactional)
    return not_known("a batch of kind " + std::to_string(static_cast<unsigned>(header.kind)));
  if (header.size % word != 0 || header.size > max_batch_size || header.count > max_batch_count)
    return impossible("a batch has an impossible size or count");
  return {};
}

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

objection check_body(const entry_body& body) {
  if (const auto* settle = std::get_if<settle_entry>(&body))
    for (const auto& section : settle->sections)
      if (auto o = first_objection(section.ranges))
        return o;
  if (const auto* define = std::get_if<define_entry>(&body)) {
    if (auto o = first_objection(define->topics))
      return o;
    return first_objection(define->groups);
  }
  if (const auto* redrive = std::get_if<redrive_entry>(&body))
    return check(redrive->messages);
  if (const auto* purge = std::get_if<purge_entry>(&body))
    return check(purge->messages);
  return std::visit(
      []<class Value>(const Value& value) -> objection {
        if constexpr (has_check<Value>)
          return check(value);
        else
          return {};
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
  case entry_kind::redrive:
    return read_root<schema::Redrive>(bytes);
  case entry_kind::purge:
    return read_root<schema::Purge>(bytes);
  case entry_kind::fire:
    return read_root<schema::Fire>(bytes);
  case entry_kind::split:
    return read_root<schema::Split>(bytes);
  case entry_kind::cancel:
    return read_root<schema::Cancel>(bytes);
  case entry_kind::evict:
    return read_root<schema::Evict>(bytes);
  case entry_kind::forget_keys:
    return read_root<schema::ForgetKeys>(bytes);
  case entry_kind::transaction:
    return read_root<schema::Transaction>(bytes);
  default:
    return damaged("its kind has no such body");
  }
}

} // namespace troupe::flat
