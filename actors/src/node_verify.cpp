#include "troupe/data_directory.hpp"
#include "troupe/node.hpp"
#include "troupe/shard.hpp"

namespace troupe {

result<verify_report> verify_data(const std::filesystem::path& data,
                                  const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  auto files = data_directory::open_existing(data);
  if (!files)
    return files.error();
  verify_report report;
  report.shards = files->shards();
  std::vector<std::unique_ptr<shard>> shards;
  for (std::uint16_t n = 0; n < report.shards; ++n) {
    shard_options options;
    options.id = shard_id{n};
    options.shards = report.shards;
    auto opened = shard::open(files->path(), options);
    if (!opened)
      return opened.error();
    report.entries += (*opened)->stats().entries;
    shards.push_back(std::move(*opened));
  }
  std::uint64_t before = 0;
  for (const auto& part : shards) {
    auto damaged = part->verify([&](std::uint64_t done, std::uint64_t) {
      if (progress)
        progress(before + done, report.entries);
    });
    for (const auto& d : damaged)
      report.findings.push_back(to_string(d));
    before += part->stats().entries;
  }
  return report;
}

} // namespace troupe
