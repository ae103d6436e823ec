#include "publish_window.hpp"

#include <algorithm>

namespace troupe {

publish_window::verdict publish_window::judge(const batch_header& header, std::uint64_t cost) {
  if (auto it = producers_.find(header.producer); it != producers_.end()) {
    auto& account = it->second;
    if (account.refused) {
      const auto& [epoch, sequence] = *account.refused;
      if (header.epoch == epoch && header.sequence > sequence)
        return {errc::gap, sequence,
                "batch " + std::to_string(sequence.value) + " was refused (send again from there)"};
      if (header.epoch >= epoch)
        account.refused.reset();
    }
    if (account.batches >= limits_.batches)
      return {errc::overloaded,
              {},
              std::to_string(account.batches) + " batches of this producer wait for the disk (limit " +
                  std::to_string(limits_.batches) + ")"};
  }
  if (bytes_ > 0 && bytes_ + cost > limits_.bytes)
    return {errc::overloaded,
            {},
            std::to_string(bytes_) + " bytes of this queue wait for the disk (limit " +
                std::to_string(limits_.bytes) + ")"};
  return {};
}

void publish_window::entered(const batch_header& header, std::uint64_t cost) {
  ++producers_[header.producer].batches;
  bytes_ += cost;
}

void publish_window::refused(const batch_header& header) {
  // Such a batch never was one of the producer's: nothing has to come again.
  if (header.producer.value == 0 || header.epoch.value == 0 || header.sequence.value == 0)
    return;
  if (producers_.size() >= limits_.producers)
    forget_idle();
  auto& account = producers_[header.producer];
  // The first refused one of the newest epoch is what must come again.
  if (!account.refused || account.refused->epoch < header.epoch ||
      (account.refused->epoch == header.epoch && header.sequence < account.refused->sequence))
    account.refused = {header.epoch, header.sequence};
}

void publish_window::answered(producer_id producer) {
  auto it = producers_.find(producer);
  if (it == producers_.end())
    return;
  auto& account = it->second;
  account.batches -= std::min(account.batches, 1u);
  if (account.batches == 0 && !account.refused)
    producers_.erase(it);
}

void publish_window::answered_bytes(std::uint64_t cost) { bytes_ -= std::min(bytes_, cost); }

/// Producers that came to an end after a refusal: nobody tells us, so they go when there are too many.
/// Whoever is forgotten though it lives has its gap found by apply().
void publish_window::forget_idle() {
  std::erase_if(producers_, [](const auto& entry) { return entry.second.batches == 0; });
}

} // namespace troupe
