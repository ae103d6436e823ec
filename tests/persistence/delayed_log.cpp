#include "delayed_log.hpp"

#include "log_writer.hpp"
#include "shard_impl.hpp"

#include <algorithm>
#include <deque>
#include <vector>

namespace troupe {

struct delayed_log::impl {
  /// An entry in the log that waits to be applied.
  struct waiting {
    log_index index;
    timestamp time{};
    /// The commit that appended it.
    std::uint64_t commit = 0;
    proposal asked;
  };

  impl(environment& e, handler h, behaviour b)
      : writer(e), on_applied(std::move(h)), how(b), random(b.seed) {}

  /// Entries that an earlier run appended and did not apply.
  void recover() {
    const auto& db = writer.env().db();
    const lmdb_txn txn(writer.env().handle(), MDB_RDONLY);
    const auto applied = decode_state(txn.get(db.meta, meta_state).value()).applied;
    lmdb_cursor log(txn, db.log);
    for (bool more = log.seek(key_of(log_index{applied.value + 1})); more; more = log.next()) {
      const auto bytes = block::copy_of(log.value());
      const auto header = decode_header(bytes.bytes());
      if (!header)
        throw storage_error{MDB_CORRUPTED, "recovering entries"};
      auto body = decode_body(*header, bytes);
      if (!body)
        throw storage_error{MDB_CORRUPTED, "recovering entries"};
      pending.push_back({header->index, header->time, commits, {header->time, *std::move(body)}});
    }
  }

  error truncate() {
    if (pending.empty())
      return {};
    const auto n = 1 + random.below(pending.size());
    auto err = writer.commit([&](lmdb_txn& txn) {
      for (std::size_t i = pending.size() - n; i < pending.size(); ++i)
        txn.erase(writer.env().db().log, key_of(pending[i].index));
    });
    if (err)
      return err;
    std::vector<proposal> again;
    for (std::size_t i = pending.size() - n; i < pending.size(); ++i)
      again.push_back(std::move(pending[i].asked));
    again.insert(again.end(), std::make_move_iterator(truncated.begin()),
                 std::make_move_iterator(truncated.end()));
    truncated = std::move(again);
    pending.erase(pending.end() - static_cast<std::ptrdiff_t>(n), pending.end());
    return {};
  }

  /// Appends and applies what is due, in one commit.
  error write(std::span<const proposal> proposals, std::uint64_t delay) {
    ++commits;
    std::vector<waiting> added;
    std::vector<applied> outcomes;
    auto err = writer.commit([&](lmdb_txn& txn) {
      const auto& db = writer.env().db();
      applier apply(txn, db, writer.env().keys());
      auto header = apply.next_header(timestamp{});
      if (!pending.empty()) {
        header.index = log_index{pending.back().index.value + 1};
        header.time = pending.back().time;
      }
      for (const auto& p : proposals) {
        header.time = std::max(header.time, p.time);
        put_entry(txn, db, header, p.body);
        added.push_back({header.index, header.time, commits, p});
        header.index = log_index{header.index.value + 1};
      }
      auto apply_one = [&](const waiting& w) {
        const auto bytes = block::copy_of(txn.get(db.log, key_of(w.index)).value());
        const auto h = decode_header(bytes.bytes());
        const auto body = h ? decode_body(*h, bytes) : result<entry_body>(h.error());
        if (!body)
          throw storage_error{MDB_CORRUPTED, "applying an entry"};
        auto [answer, keep, rewritten] = apply.apply(*h, *body);
        if (!keep)
          txn.erase(db.log, key_of(w.index));
        else if (rewritten)
          replace_entry(txn, db, *h, *rewritten);
        outcomes.push_back(std::move(answer));
      };
      for (const auto& w : pending)
        if (w.commit + delay <= commits)
          apply_one(w);
      if (delay == 0)
        for (const auto& w : added)
          apply_one(w);
      apply.finish();
    });
    if (err)
      return err;
    pending.insert(pending.end(), std::make_move_iterator(added.begin()),
                   std::make_move_iterator(added.end()));
    for (const auto& outcome : outcomes) {
      pending.pop_front();
      writer.env().last_time = to_unix_ms(outcome.time);
      on_applied(ticket++, outcome);
    }
    return {};
  }

  log_writer writer;
  handler on_applied;
  behaviour how;
  test::random_source random;
  std::deque<waiting> pending;
  std::vector<proposal> truncated;
  std::uint64_t commits = 0;
  std::uint64_t ticket = 0;
};

delayed_log::delayed_log(shard& s, handler on_applied, behaviour b)
    : impl_(std::make_unique<impl>(*s.impl_->env, std::move(on_applied), b)) {
  impl_->recover();
}

delayed_log::~delayed_log() = default;

error delayed_log::append(std::span<const proposal> proposals) {
  if (proposals.empty())
    return {};
  if (auto err = log_writer::validate(proposals))
    return err;
  auto& i = *impl_;
  if (auto err = i.writer.admit(log_writer::needed(proposals), log_writer::publishes(proposals)))
    return err;
  // What was truncated is older, so it goes first.
  if (auto err = resend())
    return err;
  if (auto err = i.write(proposals, i.how.delay))
    return err;
  return i.how.truncate_one_in && i.random.one_in(i.how.truncate_one_in) ? i.truncate() : error{};
}

error delayed_log::admission(std::uint64_t bytes) const { return impl_->writer.admission(bytes); }

error delayed_log::resend() {
  if (impl_->truncated.empty())
    return {};
  if (auto err = impl_->write(impl_->truncated, impl_->how.delay))
    return err;
  impl_->truncated.clear();
  return {};
}

error delayed_log::settle_down() {
  if (auto err = resend())
    return err;
  return impl_->pending.empty() ? error{} : impl_->write({}, 0);
}

std::size_t delayed_log::unapplied() const { return impl_->pending.size(); }

} // namespace troupe
