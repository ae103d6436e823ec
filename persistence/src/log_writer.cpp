#include "log_writer.hpp"

#include "firsts_row.hpp"

#include <algorithm>
#include <unordered_map>

namespace troupe {

namespace {

constexpr std::uint64_t page = 4096;
/// What a transaction copies besides its entries: a path of pages in each table, and the free list.
constexpr std::uint64_t transaction_pages = 32;
/// A chunk of settled offsets all of which wait for another attempt.
constexpr std::uint64_t retry_pages = 4;
/// A dead letter besides its text: its row, its count, its pin, in pages that are half full.
constexpr std::uint64_t dead_bytes = 2 * 80;
/// Messages that a redrive or purge lists share pages of `dead` and `pins`, seldom one of the log.
constexpr std::uint64_t listed_a_page = 2;
/// Buckets that messages due within 40 days may lie in: 52 of days, 320 of minutes, 320 of seconds.
constexpr std::uint64_t timer_buckets = 700;
/// Delayed messages of which a page that is half full holds the rows.
constexpr std::uint64_t timers_a_page = 200;
/// A message between two repeats: a batch and a run of its own, half of the time.
constexpr std::uint64_t repeat_bytes = 120;
/// Whose some half messages are, with a name of ordinary length, and when they are looked at.
constexpr std::uint64_t span_bytes = 100;
/// Below this much room nothing is admitted: a transaction and a small entry.
constexpr std::uint64_t admission_pages = 64;
/// Room that must come back before a disk that was full is tried again.
constexpr std::uint64_t retry_room = 1u << 20;
/// A file that must grow takes this part of the reserve beyond the need of the moment (8 MiB of 64).
constexpr std::uint64_t growth_divisor = 8;

/// What may stand in no log.
error check_append(const append_entry& e) {
  if (e.queue.value == 0 || e.batches.empty())
    return {errc::invalid_argument, "an append entry needs a queue and at least one batch"};
  return {};
}

/// Pages for the rows of delayed messages: each has its bucket, of which there are so many.
std::uint64_t timer_pages(std::uint64_t messages) {
  return std::min(messages, timer_buckets) + messages / timers_a_page;
}

/// Pages for the delayed messages of all appends: those of one queue share their buckets.
std::uint64_t timer_pages(std::span<const proposal> proposals) {
  std::unordered_map<queue_id, std::uint64_t> delayed;
  for (const auto& p : proposals)
    if (const auto* e = std::get_if<append_entry>(&p.body))
      for (const auto& b : e->batches)
        if (b.header.kind == batch_kind::delayed)
          delayed[e->queue] += b.header.count;
  std::uint64_t pages = 0;
  for (const auto& [queue, messages] : delayed)
    pages += timer_pages(messages);
  return pages;
}

/// Pages for the half messages of an append: two bits each, and whose they are, with a row in `checks`, in
/// pages that are half full; and a path of pages in two tables.
std::uint64_t half_pages(const append_entry& e) {
  std::uint64_t bytes = 0;
  for (const auto& b : e.batches)
    if (b.header.kind == batch_kind::transactional)
      bytes += 2 * (span_bytes + b.header.count / 4);
  return bytes ? 4 + bytes / page : 0;
}

/// What a step of a transaction takes.
std::uint64_t step_pages(const decide_entry& e) {
  std::uint64_t messages = e.elsewhere.size();
  for (const auto& some : e.queues)
    messages += some.messages.size();
  // Messages share rows, seldom one alone; each queue has a path of pages, and so has a guard.
  return 16 + 4 * e.queues.size() + encoded_size(e) / page + messages / listed_a_page +
         (e.guard ? 8 + e.guard->ranges.size() : 0);
}
std::uint64_t step_pages(const begin_entry&) { return 8; }
std::uint64_t step_pages(const seal_entry& e) { return 8 + 2 * encoded_size(e) / page; }
std::uint64_t step_pages(const confirm_entry&) { return 8; }
std::uint64_t step_pages(const checked_entry& e) { return 8 + 3 * e.places.size(); }
std::uint64_t step_pages(const forget_transactions_entry&) { return applier::rows_a_step + 16; }

template <class Body>
concept is_step = requires(const Body& e) {
  step_pages(e);
};

std::uint64_t pages_of(const entry_body& body) {
  if (const auto* e = std::get_if<append_entry>(&body); e && e->window.count() > 0) {
    // Beside what any append takes: its keys, and what it costs to take repeats out, each with a run of its
    // own.
    std::uint64_t messages = 0;
    for (const auto& b : e->batches)
      messages += b.header.count;
    return (encoded_size(body) + messages * (firsts_row::item + repeat_bytes) + page - 1) / page + 4 +
           e->batches.size() / 8 + half_pages(*e);
  }
  if (const auto* e = std::get_if<append_entry>(&body))
    return (encoded_size(body) + 16 + page - 1) / page + 2 + e->batches.size() / 8 + half_pages(*e);
  if (const auto* e = std::get_if<settle_entry>(&body)) {
    std::uint64_t pages = e->sections.size();
    for (const auto& section : e->sections)
      for (const auto& range : section.ranges) {
        // Of what is done a bit is kept, of a retry a row.
        const auto chunks = 1 + range.count / settled_row::chunk;
        pages += range.action == settle_action::retry ? 1 + chunks * retry_pages : 1 + chunks / 16;
        if (range.action == settle_action::dead)
          pages += 2 + range.count * (dead_bytes + 2 * range.detail.size()) / page;
      }
    return pages;
  }
  if (const auto* e = std::get_if<redrive_entry>(&body))
    return 8 + encoded_size(body) / page + e->messages.size() / listed_a_page;
  if (const auto* e = std::get_if<purge_entry>(&body))
    return 8 + e->messages.size() / listed_a_page;
  // What fires leaves rows that lie together; a split brings as many as it has messages at most.
  if (const auto* e = std::get_if<fire_entry>(&body))
    return 8 + encoded_size(body) / page + e->rows.size() / listed_a_page;
  if (const auto* e = std::get_if<split_entry>(&body))
    return 8 + timer_pages(e->messages);
  if (std::holds_alternative<cancel_entry>(body))
    return 8;
  if (std::holds_alternative<evict_entry>(body)) // each producer in a page of its own
    return applier::rows_a_step + 32;
  return std::visit(
      []<class Body>(const Body& e) -> std::uint64_t {
        if constexpr (is_step<Body>)
          return step_pages(e);
        else
          return 4;
      },
      body);
}

} // namespace

log_writer::log_writer(environment& env) : env_(env) {
  failed_ = guarded([&]() -> error {
    measure();
    return {};
  });
}

error log_writer::validate(std::span<const proposal> proposals) {
  std::uint64_t bytes = 0;
  for (const auto& p : proposals) {
    if (auto err = troupe::validate(p))
      return err;
    if (const auto* append = std::get_if<append_entry>(&p.body))
      if (auto err = check_append(*append))
        return err;
    bytes += encoded_size(p.body);
  }
  if (bytes > max_bytes)
    return {errc::too_large,
            "a commit of " + std::to_string(bytes) + " bytes exceeds " + std::to_string(max_bytes),
            "make it smaller: shorter filters, fewer topics or members of a group"};
  return {};
}

std::uint64_t log_writer::needed(std::span<const proposal> proposals) {
  std::uint64_t pages = transaction_pages + timer_pages(proposals);
  for (const auto& p : proposals)
    pages += pages_of(p.body);
  return pages * page;
}

bool log_writer::publishes(std::span<const proposal> proposals) {
  // A transaction that begins is new work as well; all else that it takes may use the reserve.
  return std::ranges::any_of(proposals, [](const proposal& p) {
    return std::holds_alternative<append_entry>(p.body) || std::holds_alternative<begin_entry>(p.body);
  });
}

error log_writer::refuse(const char* which, std::uint64_t limit) const {
  return {errc::no_space,
          "shard " + std::to_string(env_.options().id.value) + " has no room for new messages: " + which +
              " of " + std::to_string(limit) + " bytes, " + std::to_string(usage_.used) + " used, " +
              std::to_string(env_.options().reserve) + " reserved",
          "shorten the retention of topics, raise the disk budget, or free space on the disk; publishing "
          "resumes by itself",
          std::chrono::seconds{1}};
}

error log_writer::admission(std::uint64_t bytes) const {
  if (failed_)
    return failed_;
  const auto& o = env_.options();
  const std::uint64_t least = admission_pages * page + bytes;
  if (o.budget && usage_.used + least > o.budget - o.reserve)
    return refuse("the disk budget", o.budget);
  if (full_at_ && usage_.used + retry_room > full_at_ && env_.available() < retry_room)
    return refuse("the file system is full at a file", file_);
  const std::uint64_t wanted = usage_.used + o.reserve + least;
  if (wanted > file_ && env_.available() < wanted - file_)
    return refuse("the file system is full at a file", file_);
  return {};
}

error log_writer::admit(std::uint64_t bytes, bool publishing) {
  if (failed_)
    return failed_;
  const auto& o = env_.options();
  const std::uint64_t reserve = publishing ? o.reserve : 0;
  if (o.budget && usage_.used + bytes > o.budget - reserve)
    return refuse("the disk budget", o.budget);
  if (!publishing)
    return {};
  if (auto err = admission())
    return err;
  full_at_ = 0; // another try
  auto err = guarded([&] { return make_room(bytes); });
  if (err && err.code != errc::no_space)
    fail(err);
  return err;
}

error log_writer::make_room(std::uint64_t bytes) {
  const auto& o = env_.options();
  // What must be there, free or behind the tables' last page; and what spares LMDB from lengthening the file
  // itself.
  const std::uint64_t least = usage_.used + o.reserve + bytes;
  const std::uint64_t wanted = std::max(least, usage_.high + bytes);
  if (wanted <= file_)
    return {};
  const std::uint64_t ahead = wanted + o.reserve / growth_divisor;
  // A file system may give all of a step or nothing: what admission() counted on must not fail for its sake.
  error err;
  for (auto size : {o.budget ? std::max(std::min(ahead, o.budget), least) : ahead, wanted, least})
    if (err = env_.allocate(size); err.code != errc::no_space)
      break;
  file_ = env_.file_size();
  return err.code == errc::no_space ? refuse("the file system is full at a file", file_) : err;
}

void log_writer::fail(error& err) {
  err.code = errc::storage_failed;
  failed_ = err;
}

error log_writer::commit(const std::function<void(lmdb_txn&)>& work) {
  if (failed_)
    return failed_;
  auto err = guarded([&]() -> error {
    lmdb_txn txn(env_.handle(), 0);
    work(txn);
    txn.commit();
    return {};
  });
  if (err) // what was added may not be there, what was taken out may
    env_.keys().clear();
  env_.key_memory = env_.keys().bytes();
  if (err.code == errc::storage_failed && disk_is_full())
    err = refuse("the file system is full at a file", env_.file_size());
  // A commit whose very last write failed, the meta page's, ends the environment, for whatever reason it
  // failed.
  if (err.code == errc::no_space)
    if (auto ended = guarded([&] { return measure(), error{}; }))
      err = std::move(ended);
  if (err.code == errc::no_space)
    full_at_ = std::max<std::uint64_t>(usage_.used, 1);
  else if (err.code == errc::storage_failed || err.code == errc::corrupt)
    fail(err);
  if (err)
    return err;
  // The commit is done: a failure to measure it must not look like a failed commit.
  failed_ = guarded([&]() -> error {
    measure();
    return {};
  });
  return {};
}

bool log_writer::disk_is_full() {
  // LMDB reports a write that the file system cut short as an I/O error, so ask the file system itself.
  const auto err = guarded([&] { return env_.allocate(env_.file_size() + retry_room); });
  return err.code == errc::no_space;
}

void log_writer::measure() {
  const lmdb_txn txn(env_.handle(), MDB_RDONLY);
  usage_ = env_.usage(txn.get());
  file_ = env_.file_size();
}

void put_entry(lmdb_txn& txn, const tables& t, const entry_header& header, const entry_body& body) {
  encode(header, body, txn.reserve(t.log, key_of(header.index), encoded_size(body), MDB_APPEND));
}

void replace_entry(lmdb_txn& txn, const tables& t, const entry_header& header, const entry_body& body) {
  encode(header, body, txn.reserve(t.log, key_of(header.index), encoded_size(body)));
}

} // namespace troupe
