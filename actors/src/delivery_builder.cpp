#include "delivery_builder.hpp"

#include "batched_message.hpp"

#include <algorithm>

namespace troupe {

namespace {

/// The messages of a batch, of which a filter sees one and the subscription all.
class opened_batch final : public batch_view {
public:
  opened_batch(const batch_reader& batch, const filter& wanted, std::optional<timestamp> wall)
      : batch_(batch), subject_(batch), wanted_(wanted), wall_(wall) {}

  message_fate judge(std::uint32_t position, std::uint16_t attempts) override {
    subject_.move_to(position, attempts);
    if (!wanted_.everything() && !wanted_.matches(subject_))
      return message_fate::skip;
    const auto expires = wall_ ? batch_.meta(position).expires : timestamp{};
    return expires != timestamp{} && expires <= *wall_ ? message_fate::expire : message_fate::deliver;
  }
  std::uint32_t order_key(std::uint32_t position) override { return batch_.meta(position).order_key_hash; }

private:
  const batch_reader& batch_;
  batched_message subject_;
  const filter& wanted_;
  const std::optional<timestamp> wall_;
};

} // namespace

/// How many messages of the batch still fit, if all its messages are of one size: nobody looks at them here.
std::uint32_t delivery_builder::room(const batch_header& b) const {
  const std::uint64_t each = std::max<std::uint64_t>(1, b.size / std::max(1u, b.count));
  const auto by_bytes = (bounds_.bytes - std::min<std::uint64_t>(bytes_, bounds_.bytes)) / each;
  const auto least = messages_ == 0 ? 1u : 0u;
  return std::max(least, static_cast<std::uint32_t>(std::min<std::uint64_t>(
                             bounds_.messages - messages_, std::max<std::uint64_t>(by_bytes, least))));
}

/// How many of n messages of the batch can go out without breaking the upper bound. What is less than half of
/// a batch travels without the rest of it.
std::uint32_t delivery_builder::fitting(const batch_header& b, std::uint32_t n) const {
  const auto left = bounds_.most_bytes - std::min(packed_, bounds_.most_bytes);
  if (frame_size::of(b, b.count) <= left)
    return n;
  n = std::min(n, (b.count - 1) / 2);
  const auto each = frame_size::of(b, n) / std::max(n, 1u) + 1;
  n = static_cast<std::uint32_t>(std::min<std::uint64_t>(n, left / each));
  return frame_size::of(b, n) <= left ? n : 0;
}

error delivery_builder::add(const stored_batch& b) {
  auto most = fitting(b.header, room(b.header));
  if (most == 0 && messages_ == 0 && bounds_.any_size)
    most = 1;
  if (most == 0) {
    stopped_ = true;
    too_large_ = messages_ == 0 ? packed_ + frame_size::of(b.header, b.header.count) : 0;
    return {};
  }
  std::uint32_t taken = 0;
  runs_.clear();
  // What somebody redrove is worth delivering whatever its age.
  const bool mortal = wishes_.wall && b.only_for.value == 0 && may_expire(b.data.bytes());
  if (wishes_.wanted.everything() && !core_.needs_keys() && !mortal) {
    taken = core_.take(b.base, b.header.count, most, nullptr, runs_);
  } else {
    auto reader = batch_reader::open(b.header, b.data);
    if (!reader)
      return reader.error();
    opened_batch view{*reader, wishes_.wanted, mortal ? wishes_.wall : std::nullopt};
    taken = core_.take(b.base, b.header.count, most, &view, runs_);
  }
  if (taken == 0)
    return {};
  messages_ += taken;
  bytes_ += std::uint64_t{b.header.size} * taken / b.header.count;
  add_segments(b);
  return {};
}

/// One segment per number of attempts: almost always one. A single run needs no list of positions. Where
/// order matters, a segment ends when the number changes.
void delivery_builder::add_segments(const stored_batch& b) {
  if (!core_.in_order())
    std::stable_sort(runs_.begin(), runs_.end(),
                     [](const auto& x, const auto& y) { return x.attempts < y.attempts; });
  const auto position = [&](queue_offset at) { return static_cast<std::uint32_t>(at.value - b.base.value); };
  for (auto run = runs_.begin(); run != runs_.end();) {
    const auto end =
        std::find_if(run, runs_.end(), [&](const auto& r) { return r.attempts != run->attempts; });
    delivery_segment s{.header = b.header,
                       .base = b.base,
                       .index = b.index,
                       .first_ordinal = b.first_ordinal,
                       .stored = b.stored,
                       .attempts = run->attempts,
                       .from = position(run->first),
                       .to = position(run->next),
                       .data = b.data};
    // Each may carry all of a small batch.
    std::uint32_t count = 0;
    for (auto r = run; r != end; ++r)
      count += position(r->next) - position(r->first);
    packed_ += frame_size::of(b.header, count);
    if (end - run > 1)
      for (auto r = run; r != end; ++r)
        for (auto p = position(r->first); p < position(r->next); ++p)
          s.picked.push_back(p);
    segments_.push_back(std::move(s));
    run = end;
  }
}

} // namespace troupe
