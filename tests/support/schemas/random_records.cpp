#include "schemas/random_records.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace troupe::test {

namespace {

timestamp random_time(random_source& random) {
  // Most close together, as in real batches; some far apart.
  auto base = std::int64_t{1'700'000'000'000};
  if (random.one_in(50))
    return from_unix_ms(static_cast<std::int64_t>(random.below(253'402'300'800'000)));
  return from_unix_ms(base + static_cast<std::int64_t>(random.below(100'000)));
}

std::size_t random_length(random_source& random, std::size_t most) {
  return random.one_in(2) ? random.below(std::min<std::size_t>(most, 8) + 1) : random.below(most + 1);
}

void check(bool ok, const char* what) {
  if (!ok)
    throw std::logic_error(what);
}

settle_range random_range(random_source& random) {
  settle_range range{queue_offset{random.next() >> 1},
                     static_cast<std::uint32_t>(random.between(1, 1u << 20)),
                     static_cast<settle_action>(random.below(5)), static_cast<std::uint16_t>(random.next()),
                     random_time(random)};
  if (range.action == settle_action::dead) {
    range.count = static_cast<std::uint32_t>(random.between(1, max_dead_range));
    range.reason = static_cast<dead_reason>(random.between(1, 4));
    range.detail = dead_detail(random.bytes(random.one_in(3) ? 0 : random.below(2000)));
  }
  return range;
}

half_of random_half(random_source& random) {
  half_of half;
  if (random.one_in(2))
    half.transaction = {shard_id{static_cast<std::uint16_t>(random.next())}, log_index{random.next() | 1}};
  if (!half.transaction.known() || random.one_in(2))
    half.group = random.letters(random.between(1, max_transaction_name));
  return half;
}

std::vector<message_place> random_places(random_source& random) {
  std::vector<message_place> places(random.between(1, random.one_in(20) ? max_listed_messages : 20));
  message_place at{log_index{random.below(1u << 30)}, 0};
  for (auto& place : places) {
    if (random.one_in(2))
      at = {log_index{at.index.value + random.between(1, 1u << 30)}, 0};
    at.ordinal += static_cast<std::uint32_t>(random.between(1, 100));
    place = at;
  }
  return places;
}

settle_entry random_settle(random_source& random) {
  settle_entry e;
  e.sections.resize(random.below(5));
  for (auto& s : e.sections) {
    s = {group_id{static_cast<std::uint32_t>(random.next())},
         queue_id{static_cast<std::uint32_t>(random.next())},
         static_cast<std::uint8_t>(random.next()),
         generation{random.next()},
         {}};
    for (auto n = random.below(20); n > 0; --n)
      s.ranges.push_back(random_range(random));
  }
  return e;
}

define_entry random_define(random_source& random) {
  define_entry e;
  for (auto n = random.below(4); n > 0; --n)
    e.topics.push_back(random_topic(random));
  for (auto n = random.below(4); n > 0; --n)
    e.groups.push_back(random_group(random));
  for (auto n = random.below(4); n > 0; --n)
    e.removed_topics.emplace_back(static_cast<std::uint32_t>(random.next()));
  for (auto n = random.below(4); n > 0; --n)
    e.removed_groups.emplace_back(static_cast<std::uint32_t>(random.next()));
  return e;
}

append_entry random_append(random_source& random) {
  append_entry e{queue_id{static_cast<std::uint32_t>(random.next())}, {}};
  for (auto n = random.below(5); n > 0; --n) {
    auto b = random.one_in(3) ? build(random_messages(random, 10), random_half(random))
                              : build(random_messages(random, 10));
    b.header.producer = producer_id{random.next()};
    b.header.epoch = producer_epoch{static_cast<std::uint32_t>(random.next())};
    b.header.sequence = batch_sequence{random.next()};
    b.header.lane = static_cast<std::uint8_t>(random.below(10));
    b.header.kind = static_cast<batch_kind>(random.below(3));
    e.batches.push_back(std::move(b));
  }
  return e;
}

std::vector<message_id> random_ids(random_source& random, std::size_t least) {
  std::vector<message_id> ids(random.between(least, random.one_in(20) ? max_listed_messages : 20));
  for (auto& id : ids)
    id = {shard_id{static_cast<std::uint16_t>(random.next())}, log_index{random.next()},
          static_cast<std::uint32_t>(random.next())};
  return ids;
}

transaction_id random_transaction(random_source& random) {
  return {shard_id{static_cast<std::uint16_t>(random.next())}, log_index{random.next() | 1}};
}

decide_entry random_decision(random_source& random) {
  decide_entry e;
  if (random.one_in(2))
    e.transaction = random_transaction(random);
  e.home = e.transaction.known() && random.one_in(2);
  e.commit = random.one_in(2);
  std::size_t left = max_listed_messages;
  queue_id queue;
  for (auto n = random.between(e.home ? 0 : 1, 4); n > 0 && left > 0; --n) {
    queue.value += static_cast<std::uint32_t>(random.between(1, 1000));
    auto places = random_places(random);
    if (places.size() > left)
      places.resize(left);
    left -= places.size();
    e.queues.push_back({queue, static_cast<std::uint32_t>(random.next()), std::move(places)});
  }
  if (!e.home)
    return e;
  e.elsewhere = random_ids(random, 0);
  e.next_check = random_time(random);
  if (e.commit && random.one_in(2)) {
    e.guard = settle_section{group_id{static_cast<std::uint32_t>(random.next())},
                             queue_id{static_cast<std::uint32_t>(random.next())},
                             0,
                             generation{random.next()},
                             {}};
    for (auto n = random.between(1, 5); n > 0; --n)
      e.guard->ranges.push_back({queue_offset{random.next() >> 1},
                                 static_cast<std::uint32_t>(random.between(1, 1u << 20)),
                                 settle_action::ack,
                                 0,
                                 {}});
  }
  return e;
}

/// The checksum lies in the 4 bytes at `crc_at` and covers [from, to) with itself as zeros.
void reseal(std::span<char> bytes, std::size_t crc_at, std::size_t from, std::size_t to) {
  std::memset(bytes.data() + crc_at, 0, 4);
  auto crc = crc32c(bytes.subspan(from, to - from));
  std::memcpy(bytes.data() + crc_at, &crc, 4);
}

} // namespace

message random_message(random_source& random) {
  message m;
  m.body = random.bytes(1 + random_length(random, random.one_in(100) ? 20'000 : 200));
  if (random.one_in(2))
    m.tag = random.letters(random_length(random, 255));
  if (random.one_in(2))
    m.order_key = random.bytes(random_length(random, 255));
  for (auto n = random.one_in(3) ? random.below(4) : 0; n > 0; --n)
    m.keys.push_back(random.bytes(1 + random_length(random, 100)));
  for (auto n = random.one_in(3) ? random.below(4) : 0; n > 0; --n)
    m.properties.emplace_back(random.letters(1 + random.below(10)), random.bytes(random_length(random, 300)));
  m.priority = static_cast<std::uint8_t>(random.below(10));
  m.born = random_time(random);
  if (random.one_in(10))
    m.ttl = milliseconds{random.between(1, 100ull * 365 * 24 * 3600 * 1000)};
  if (random.one_in(10))
    m.deliver_at = from_unix_ms(1 + to_unix_ms(random_time(random)) / 2);
  return m;
}

std::vector<message> random_messages(random_source& random, std::size_t most) {
  std::vector<message> out(random.below(most + 1));
  for (auto& m : out)
    m = random_message(random);
  return out;
}

topic_definition random_topic(random_source& random) {
  topic_definition t;
  t.id = topic_id{static_cast<std::uint32_t>(random.between(1, 1u << 30))};
  t.name = random.letters(random.between(1, 127));
  t.options = {.queues = 0,
               .priorities = static_cast<std::uint8_t>(random.between(1, 10)),
               .retention = milliseconds{random.below(1u << 31)},
               .retention_bytes = random.next(),
               .max_message = static_cast<std::uint32_t>(random.between(1, 4u << 20)),
               .dedupe_window = milliseconds{random.one_in(2) ? 0 : random.below(1ull << 32)}};
  for (auto n = random.between(1, 4); n > 0; --n) {
    const auto added = static_cast<std::uint32_t>(random.between(1, 256));
    t.queues.push_back(
        {queue_id{static_cast<std::uint32_t>(random.between(1, 1u << 30))}, added * t.options.priorities});
    t.options.queues += added;
  }
  t.created = random_time(random);
  t.version = random.next();
  return t;
}

namespace {

milliseconds random_pause(random_source& random) {
  return milliseconds{random.between(10, 24 * 3600 * 1000)};
}

retry_schedule random_retry(random_source& random) {
  retry_schedule retry{.steps = {}, .jitter = static_cast<std::uint8_t>(random.below(51))};
  for (auto n = random.below(65); n > 0; --n)
    retry.steps.push_back(random_pause(random));
  if (retry.steps.empty()) {
    retry.initial = random_pause(random);
    retry.maximum = std::max(retry.initial, random_pause(random));
    retry.factor = static_cast<std::uint32_t>(random.between(110, 10'000));
  }
  return retry;
}

} // namespace

group_definition random_group(random_source& random) {
  group_definition g;
  g.id = group_id{static_cast<std::uint32_t>(random.between(1, 1u << 30))};
  g.name = random.letters(random.between(1, 120));
  g.options = {.mode = static_cast<group_mode>(random.below(3)),
               .lease = milliseconds{random.below(1u << 31)},
               .retry = random_retry(random),
               .max_unsettled = static_cast<std::uint32_t>(random.next()),
               .max_attempts = static_cast<std::uint16_t>(random.next()),
               .on_exhausted = static_cast<exhausted_action>(random.below(3)),
               .dead_letter_retention = milliseconds{random.below(1u << 31)},
               .order_by = static_cast<group_order>(random.below(2)),
               .order_batch = static_cast<std::uint32_t>(random.next()),
               .max_unsettled_bytes = random.next(),
               .low_share = static_cast<std::uint16_t>(random.next()),
               .on_expired = static_cast<expired_action>(random.below(2))};
  for (auto n = random.below(4); n > 0; --n)
    g.subscriptions.push_back({topic_id{static_cast<std::uint32_t>(random.between(1, 1u << 30))},
                               random.letters(random.below(40)),
                               {static_cast<start_position::kind>(random.below(3)), random_time(random)}});
  g.paused = random.one_in(2);
  g.parent = group_id{static_cast<std::uint32_t>(random.below(1u << 30))};
  g.seen = random_time(random);
  g.created = random_time(random);
  g.version = random.next();
  return g;
}

timer_row_place random_row(random_source& random) {
  const auto level = timer_levels[random.below(timer_levels.size())];
  return {bucket_at(level, random_time(random)), log_index{random.next()},
          static_cast<std::uint16_t>(random.next())};
}

entry_body random_body(random_source& random, std::size_t alternative) {
  switch (alternative) {
  case 1:
    return random_append(random);
  case 2:
    return random_settle(random);
  case 3:
    return random_define(random);
  case 4:
    return trim_entry{queue_id{static_cast<std::uint32_t>(random.next())}, queue_offset{random.next()}};
  case 5:
    return drop_queue_entry{queue_id{static_cast<std::uint32_t>(random.next())},
                            group_id{static_cast<std::uint32_t>(random.next())}};
  case 6:
    return reset_entry{group_id{static_cast<std::uint32_t>(random.next())},
                       queue_id{static_cast<std::uint32_t>(random.next())},
                       static_cast<std::uint8_t>(random.next()), queue_offset{random.next()}};
  case 7:
    return redrive_entry{group_id{static_cast<std::uint32_t>(random.next())},
                         queue_id{static_cast<std::uint32_t>(random.next())}, random_places(random)};
  case 8:
    return purge_entry{group_id{static_cast<std::uint32_t>(random.next())},
                       queue_id{static_cast<std::uint32_t>(random.next())}, random_places(random)};
  case 9: {
    fire_entry e{queue_id{static_cast<std::uint32_t>(random.next())},
                 static_cast<std::uint32_t>(random.next()),
                 {},
                 random_places(random)};
    for (auto n = random.between(1, 30); n > 0; --n)
      e.rows.push_back(random_row(random));
    std::ranges::sort(e.rows);
    e.rows.erase(std::unique(e.rows.begin(), e.rows.end()), e.rows.end());
    return e;
  }
  case 10: {
    const auto level = random.one_in(2) ? timer_level::days : timer_level::minutes;
    return split_entry{bucket_at(level, random_time(random)),
                       static_cast<std::uint32_t>(random.between(1, max_split_messages))};
  }
  case 11:
    return cancel_entry{queue_id{static_cast<std::uint32_t>(random.next())}, random_row(random),
                        random_places(random).front()};
  case 12:
    return evict_entry{from_unix_ms(static_cast<std::int64_t>(random.below(253'402'300'800'000))),
                       random.next()};
  case 13:
    return forget_keys_entry{queue_id{static_cast<std::uint32_t>(random.next())},
                             from_unix_ms(static_cast<std::int64_t>(random.below(253'402'300'800'000)))};
  case 14:
    return begin_entry{random.letters(random.below(max_transaction_name + 1)),
                       random.letters(random.below(max_transaction_name + 1)), random_time(random)};
  case 15:
    return seal_entry{log_index{random.next() | 1}, random_time(random), random_ids(random, 1)};
  case 16:
    return random_decision(random);
  case 17:
    return confirm_entry{log_index{random.next() | 1}, shard_id{static_cast<std::uint16_t>(random.next())}};
  case 18: {
    checked_entry e;
    for (auto n = random.between(1, 20); n > 0; --n)
      e.places.push_back({{queue_id{static_cast<std::uint32_t>(random.next())}, log_index{random.next() | 1},
                           static_cast<std::uint32_t>(random.next())},
                          random_time(random)});
    return e;
  }
  case 19:
    return forget_transactions_entry{random_time(random)};
  default:
    return {};
  }
}

batch build(std::span<const message> messages) {
  batch_builder builder;
  for (const auto& m : messages)
    builder.add(m);
  return builder.finish();
}

batch build(std::span<const message> messages, const half_of& half) {
  batch_builder builder;
  for (const auto& m : messages)
    builder.add(m);
  return builder.finish({half.group, half.transaction});
}

block encode_entry(const entry_body& body, entry_header header) {
  // Filled with rubbish first: encode() must write every byte.
  std::string rubbish(encoded_size(body), '\x5a');
  writable_copy memory(rubbish);
  encode(header, body, memory.bytes());
  return memory.as_block();
}

writable_copy::writable_copy(std::span<const char> bytes, std::size_t shift)
    : memory_(new char[bytes.size() + shift]), shift_(shift), size_(bytes.size()) {
  if (!bytes.empty())
    std::memcpy(memory_.get() + shift, bytes.data(), bytes.size());
}

block writable_copy::as_block() const {
  return {std::shared_ptr<const char>(memory_, memory_.get() + shift_), static_cast<std::uint32_t>(size_)};
}

void reseal_entry(std::span<char> entry) {
  constexpr std::size_t crc_at = 44, covered_at = 48;
  if (entry.size() < entry_header::size)
    return;
  std::uint32_t covered = 0;
  std::memcpy(&covered, entry.data() + covered_at, 4);
  if (covered >= entry_header::size && covered <= entry.size())
    reseal(entry, crc_at, 0, covered);
}

void reseal_definition(std::span<char> value) {
  if (value.size() < 8)
    return;
  auto crc = crc32c(value.subspan(4));
  std::memcpy(value.data(), &crc, 4);
}

void walk(const batch_reader& reader) {
  const auto& block = reader.data();
  auto inside = [&](std::string_view view) {
    check(view.empty() ||
              (view.data() >= block.data.get() && view.data() + view.size() <= block.data.get() + block.size),
          "a view lies outside its block");
    // Touches the bytes, so that a sanitizer sees them.
    (void)crc32c(view);
  };
  inside(reader.half().group);
  for (std::uint32_t i = 0; i < reader.count(); ++i) {
    auto view = reader.at(i);
    auto meta = reader.meta(i);
    for (auto part : {view.body, view.tag, view.order_key, reader.tag(i), reader.body(i)})
      inside(part);
    for (auto key : view.keys)
      inside(key);
    for (auto [name, value] : view.properties) {
      inside(name);
      inside(value);
    }
    std::uint32_t cursor = 0;
    for (auto key : view.keys)
      check(reader.next_key(i, cursor) == key, "two ways to read a key differ");
    check(!reader.next_key(i, cursor), "there is a key too many");
    for (const auto& [name, value] : view.properties) {
      // Of two with one name, which validate() refuses, the first one.
      const auto first = std::find_if(view.properties.begin(), view.properties.end(),
                                      [&, &n = name](const auto& p) { return p.first == n; });
      check(reader.property(i, name) == first->second, "two ways to read a property differ");
    }
    check(reader.tag(i) == view.tag && reader.body(i) == view.body && meta.born == view.born &&
              meta.priority == view.priority,
          "two ways to read a message differ");
    check((meta.expires == timestamp{}) == !view.ttl, "expiry and time to live differ");
    check(!view.ttl || may_expire(block.bytes()), "a look at the batch misses a time to live");
    (void)view.materialize();
  }
}

} // namespace troupe::test
