#include "verifier.hpp"

#include "complaint.hpp"
#include "queue_index.hpp"
#include "record_reader.hpp"

#include <algorithm>

namespace troupe {

namespace {

constexpr std::uint64_t progress_step = 1024;

} // namespace

verifier::verifier(const environment& env, const lmdb_txn& txn, std::vector<damage>& found)
    : env_(env), txn_(txn), found_(found), messages_(txn, env.db()) {
  const auto value = txn.get(env.db().meta, meta_state);
  if (!value)
    throw storage_error{MDB_CORRUPTED, "looking for the log's state"};
  state_ = decode_state(*value);
  entries_ = env.usage(txn.get()).entries;
}

void verifier::run(const progress_handler& progress) {
  check_queues(progress);
  check_dead();
  check_timers();
  check_transactions();
  check_pins();
  check_entries();
  check_producers();
  check_ages();
  check_firsts();
  check_subscriptions();
  check_settled();
  check_definitions();
  check_pages();
}

void verifier::report(log_index index, queue_id queue, std::string what) {
  found_.push_back({env_.options().id, index, queue, {}, {}, std::move(what)});
}

void verifier::report_run(queue_id queue, const queue_run& run, std::string what) {
  found_.push_back({env_.options().id, run.index, queue, run.base, run.next(), std::move(what)});
}

queue_offset verifier::next_of(queue_id queue) const {
  const auto found = next_.find(queue);
  return found == next_.end() ? queue_offset{} : found->second;
}

void verifier::check_queues(const progress_handler& progress) {
  lmdb_cursor tails(txn_, env_.db().tails);
  for (bool more = tails.first(); more; more = tails.next()) {
    const auto queue = queue_of(tails.key());
    if (auto why = complaint([&] { check_queue(queue, progress); }); !why.empty())
      report({}, queue, why);
  }
  lmdb_cursor rows(txn_, env_.db().queues);
  for (bool more = rows.first(); more; more = rows.seek(end_key(queue_of(rows.key()))))
    if (!txn_.get(env_.db().tails, key_of(queue_of(rows.key()))))
      report({}, queue_of(rows.key()), "the end of the queue's index is missing");
  if (progress)
    progress(entries_, entries_);
  std::ranges::sort(referenced_);
}

void verifier::check_queue(queue_id queue, const progress_handler& progress) {
  queue_index index(txn_, env_.db(), queue);
  next_[queue] = index.next();
  std::optional<queue_run> before;
  for (auto run = index.front(); run; run = index.after()) {
    check_run(queue, *run, before ? &*before : nullptr);
    if (!before || before->index != run->index)
      referenced_.push_back(run->index);
    check_record(queue, *run);
    before = run;
    if (progress && referenced_.size() % progress_step == 0)
      progress(std::min<std::uint64_t>(referenced_.size(), entries_), entries_);
  }
  if (before && before->next() != index.next())
    report_run(queue, *before, "the offsets behind it are missing");
}

void verifier::check_run(queue_id queue, const queue_run& run, const queue_run* before) {
  if (run.index > state_.applied || run.time > state_.time)
    report_run(queue, run, "the index is newer than the log");
  if (!before)
    return;
  if (run.base != before->next())
    report_run(queue, run, "the offsets before it are missing");
  if (run.end_bytes != before->end_bytes + run.bytes)
    report_run(queue, run, "the sum of bytes is wrong");
  if (run.time < before->time)
    report_run(queue, run, "its time lies before that of the run before it");
  const bool after =
      run.index > before->index ||
      (run.index == before->index && run.first_ordinal >= before->first_ordinal + before->count);
  if (!after)
    report_run(queue, run, "it points before the run before it");
}

void verifier::check_record(queue_id queue, const queue_run& run) {
  const auto entry = txn_.get(env_.db().log, key_of(run.index));
  if (!entry)
    return report_run(queue, run, "the entry is missing");
  if (run.lists)
    return check_list(queue, run, *entry);
  read_result read;
  std::uint64_t bytes = 0;
  for (queue_offset from = run.base; from < run.next(); from = read.next) {
    read_record({env_.options().id, queue, run, *entry}, from, run.bytes, read);
    if (read.next <= from)
      return report_run(queue, run, "the record ends too early");
  }
  for (const auto& b : read.batches) {
    bytes += b.header.size;
    if (b.stored != run.time)
      report_run(queue, run, "the entry's time is not the index's");
    if (auto opened = batch_reader::open(b.header, b.data); !opened)
      found_.push_back({env_.options().id, run.index, queue, b.base,
                        queue_offset{b.base.value + b.header.count},
                        "the batch cannot be read: " + opened.error().reason});
  }
  if (read.damaged.empty() && bytes != run.bytes)
    report_run(queue, run, "the batches' bytes are not the index's");
  found_.insert(found_.end(), read.damaged.begin(), read.damaged.end());
}

void verifier::check_entries() {
  lmdb_cursor log(txn_, env_.db().log);
  for (bool more = log.first(); more; more = log.next()) {
    const auto index = index_of(log.key());
    const auto header = decode_header(log.value());
    if (index > state_.applied) { // not applied yet: only a replica's log has such
      if (!header)
        report(index, {}, header.error().reason);
      continue;
    }
    const bool needed = std::ranges::binary_search(referenced_, index);
    if (!needed && !held_.contains(index))
      report(index, header ? header->queue : queue_id{}, "nothing points at the entry");
    else if (header && header->index != index)
      report(index, header->queue, "the entry lies under another's index");
  }
}

void verifier::check_subscriptions() {
  lmdb_cursor rows(txn_, env_.db().subscriptions);
  for (bool more = rows.first(); more; more = rows.next()) {
    const auto why = complaint([&] {
      const auto [gen, floor] = decode_subscription(rows.value());
      if (gen.value == 0 || floor > next_of(queue_of(rows.key())))
        report({}, queue_of(rows.key()),
               "the subscription of group " + std::to_string(group_of(rows.key()).value) +
                   " is out of range");
    });
    if (!why.empty())
      report({}, queue_id{}, why);
  }
}

void verifier::check_settled() {
  lmdb_cursor rows(txn_, env_.db().settled);
  for (bool more = rows.first(); more; more = rows.next()) {
    const auto why = complaint([&] {
      const auto queue = queue_of(rows.key());
      const auto group = group_of(rows.key());
      const auto chunk = chunk_of(rows.key());
      const auto row = decode_settled(rows.value());
      const auto value = txn_.get(env_.db().subscriptions, key_of(queue, group, lane_of(rows.key())));
      const auto floor = value ? decode_subscription(*value).second.value : ~std::uint64_t{0};
      const auto start = chunk * settled_row::chunk;
      const auto next = next_of(queue).value;
      // Nothing may be recorded at or behind the queue's end, everything must be below the last open
      // position.
      bool sane = chunk >= floor / settled_row::chunk && start < next;
      if (sane) {
        const auto end = static_cast<std::uint32_t>(std::min(next - start, settled_row::chunk));
        sane = (end == settled_row::chunk || row.empty_from(end)) &&
               !row.empty_from(floor > start ? static_cast<std::uint32_t>(floor - start) : 0);
      }
      sane = sane && std::ranges::none_of(row.retries, [&](const retry_row& r) { return row.settled(r.at); });
      if (!sane)
        report({}, queue,
               "settled offsets of group " + std::to_string(group.value) + " from " + std::to_string(start) +
                   " on contradict its subscription");
    });
    if (!why.empty())
      report({}, queue_id{}, why);
  }
}

void verifier::check_definitions() {
  ids_row ids;
  if (const auto value = txn_.get(env_.db().meta, meta_ids))
    ids = decode_ids(*value);
  lmdb_cursor rows(txn_, env_.db().definitions);
  for (bool more = rows.first(); more; more = rows.next()) {
    const auto key = rows.key();
    if (key.size() == std::tuple_size_v<definition_key> && key[0] == 't') {
      const auto topic = decode_topic(rows.value());
      if (!topic)
        report({}, {}, "a topic's definition: " + topic.error().reason);
      else if (!std::ranges::equal(key, key_of(topic->id)) || topic->id > ids.topic)
        report({}, {}, "topic " + topic->name + " has an id that was never given");
    } else if (key.size() == std::tuple_size_v<definition_key> && key[0] == 'g') {
      const auto group = decode_group(rows.value());
      if (!group)
        report({}, {}, "a group's definition: " + group.error().reason);
      else if (!std::ranges::equal(key, key_of(group->id)) || group->id > ids.group)
        report({}, {}, "group " + group->name + " has an id that was never given");
    } else {
      report({}, {}, "a definition of an unknown kind");
    }
  }
}

void verifier::check_pages() {
  const auto usage = env_.usage(txn_.get());
  MDB_stat stat{};
  check(mdb_stat(txn_.get(), env_.db().log, &stat), "asking for the page size");
  std::uint64_t free = 0;
  lmdb_cursor rows(txn_, 0); // LMDB's free list: each row begins with its number of pages
  for (bool more = rows.first(); more; more = rows.next())
    free += rows.value().size() < sizeof(std::uint64_t) ? 0 : load_le<std::uint64_t>(rows.value().data());
  if (usage.used + free * stat.ms_psize != usage.high)
    report({}, {},
           "of " + std::to_string(usage.high) + " bytes of pages " + std::to_string(usage.used) +
               " are in use and " + std::to_string(free * stat.ms_psize) +
               " are free: some are lost or used twice");
}

} // namespace troupe
