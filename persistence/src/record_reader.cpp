#include "record_reader.hpp"

#include <algorithm>

namespace troupe {

result<record_view> view_record(const queue_row& row, std::span<const char> entry) {
  auto header = decode_header(entry);
  if (!header)
    return header.error();
  if (header->kind != entry_kind::append || header->index != row.index || header->queue != row.queue)
    return error{errc::corrupt, "the index row points at an entry of another kind, index or queue"};
  auto directory = decode_directory(*header, entry);
  if (!directory)
    return directory.error();
  record_view view{*header, {}};
  std::uint64_t count = 0;
  for (const auto& b : *directory) {
    if (b.header.count == 0 || b.first_ordinal < row.first_ordinal ||
        b.first_ordinal - row.first_ordinal >= row.count)
      continue;
    if (std::uint64_t{b.at} + b.header.size > entry.size())
      return error{errc::corrupt, "a batch reaches over the end of its entry"};
    view.places.push_back({b, queue_offset{row.base.value + (b.first_ordinal - row.first_ordinal)}});
    count += b.header.count;
  }
  if (count != row.count)
    return error{errc::corrupt, "the index row counts " + std::to_string(row.count) +
                                    " messages, the entry has " + std::to_string(count)};
  return view;
}

std::uint64_t read_record(shard_id shard, const queue_row& row, std::span<const char> entry,
                          queue_offset from, std::uint64_t max_bytes, read_result& out) {
  const auto view = view_record(row, entry);
  if (!view) {
    out.damaged.push_back(
        {shard, row.index, row.queue, std::max(row.base, from), row.next(), view.error().reason});
    out.next = row.next();
    return std::max<std::uint64_t>(row.bytes, 1);
  }
  auto next_of = [](const record_view::place& p) {
    return queue_offset{p.base.value + p.batch.header.count};
  };
  const auto& places = view->places;
  const auto begin = std::ranges::find_if(places, [&](const auto& p) { return next_of(p) > from; });
  if (begin == places.end())
    return 0;
  std::uint64_t bytes = begin->batch.header.size;
  auto end = begin + 1;
  for (; end != places.end() && bytes + end->batch.header.size <= max_bytes; ++end)
    bytes += end->batch.header.size;
  const auto first = begin->batch.at;
  const auto last = (end - 1)->batch.at + (end - 1)->batch.header.size;
  const auto copy = block::copy_of(entry.subspan(first, last - first));
  for (auto p = begin; p != end; ++p) {
    auto data = copy.slice(p->batch.at - first, p->batch.header.size);
    if (crc32c(data.bytes()) == p->batch.header.crc)
      out.batches.push_back(
          {p->batch.header, p->base, row.index, p->batch.first_ordinal, view->header.time, std::move(data)});
    else
      out.damaged.push_back(
          {shard, row.index, row.queue, p->base, next_of(*p), "the batch's checksum is wrong"});
  }
  out.next = next_of(*(end - 1));
  return bytes;
}

} // namespace troupe
