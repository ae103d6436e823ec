#include "log_writer.hpp"
#include "shard_impl.hpp"

#include "troupe/shard_log.hpp"

#include <utility>
#include <vector>

namespace troupe {

/// One replica: what is appended is committed, so one transaction appends, applies and commits. Entries that
/// nobody needs are applied without ever being written.
class local_log final : public shard_log {
public:
  local_log(shard& s, handler on_applied) : writer_(*s.impl_->env), on_applied_(std::move(on_applied)) {}

  error append(std::span<const proposal> proposals) override {
    if (proposals.empty())
      return {};
    if (auto err = log_writer::validate(proposals))
      return err;
    if (auto err = writer_.admit(log_writer::needed(proposals), log_writer::publishes(proposals)))
      return err;
    outcomes_.clear();
    auto err = writer_.commit([&](lmdb_txn& txn) { write(txn, proposals); });
    if (err)
      return err;
    writer_.env().last_time = to_unix_ms(outcomes_.back().time);
    for (const auto& outcome : outcomes_)
      on_applied_(ticket_++, outcome);
    return {};
  }

  error admission(std::uint64_t bytes) const override { return writer_.admission(bytes); }

private:
  void write(lmdb_txn& txn, std::span<const proposal> proposals) {
    const auto& db = writer_.env().db();
    applier apply(txn, db, writer_.env().keys());
    for (const auto& p : proposals) {
      const auto header = apply.next_header(p.time);
      auto [answer, keep, rewritten] = apply.apply(header, p.body);
      if (keep)
        put_entry(txn, db, header, rewritten ? *rewritten : p.body);
      outcomes_.push_back(std::move(answer));
    }
    apply.finish();
  }

  log_writer writer_;
  handler on_applied_;
  std::uint64_t ticket_ = 0;
  std::vector<applied> outcomes_;
};

std::unique_ptr<shard_log> make_local_log(shard& s, shard_log::handler on_applied) {
  return std::make_unique<local_log>(s, std::move(on_applied));
}

} // namespace troupe
