// Drives a fuzz target (libFuzzer's entry point) as an ordinary, deterministic program: first every corpus
// file as it is, then mutations of them and random bytes. The same seed gives the same inputs on every
// machine.

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using bytes = std::vector<std::uint8_t>;

struct options {
  std::uint64_t runs = 0;
  std::uint64_t seed = 1;
  std::uint64_t max_len = 4096;
  std::vector<std::filesystem::path> corpus;
};

/// splitmix64 (Steele, Lea, Flood 2014). The standard library's distributions differ between implementations.
class generator {
public:
  explicit generator(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  /// From 0 to `bound` - 1; `bound` > 0. The slight bias does not matter here.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }

private:
  std::uint64_t state_;
};

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return value;
}

std::optional<options> parse(int argc, char** argv) {
  options result;
  for (int i = 1; i < argc; ++i) {
    std::string_view arg = argv[i];
    if (arg.substr(0, 2) != "--") {
      result.corpus.emplace_back(arg);
      continue;
    }
    auto value = i + 1 < argc ? parse_number(argv[++i]) : std::nullopt;
    if (!value)
      return std::nullopt;
    if (arg == "--runs")
      result.runs = *value;
    else if (arg == "--seed")
      result.seed = *value;
    else if (arg == "--max-len")
      result.max_len = *value;
    else
      return std::nullopt;
  }
  return result;
}

std::optional<bytes> read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in)
    return std::nullopt;
  return bytes(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
}

/// Reads files and, recursively, folders, in sorted order: a folder's own order is not the same everywhere.
bool read_corpus(const std::vector<std::filesystem::path>& roots, std::vector<bytes>& inputs) {
  std::vector<std::filesystem::path> files;
  for (const auto& root : roots) {
    if (!std::filesystem::is_directory(root)) {
      files.push_back(root);
      continue;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
      if (entry.is_regular_file())
        files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    auto content = read_file(file);
    if (!content) {
      std::cerr << "cannot read " << file << '\n';
      return false;
    }
    inputs.push_back(std::move(*content));
  }
  return true;
}

bytes random_input(generator& random, std::uint64_t max_len) {
  // Half of them short, where most of a decoder's edges are.
  auto limit = random.below(2) == 0 ? std::min<std::uint64_t>(max_len, 64) : max_len;
  bytes result(random.below(limit + 1));
  for (auto& byte : result)
    byte = static_cast<std::uint8_t>(random.next());
  return result;
}

void write_little_endian(bytes& input, std::uint64_t position, std::uint64_t value, std::uint64_t width) {
  for (std::uint64_t i = 0; i < width && position + i < input.size(); ++i)
    input[position + i] = static_cast<std::uint8_t>(value >> (8 * i));
}

/// One small change. Numbers at the edges of their range are what breaks length and offset checks.
void mutate_once(generator& random, bytes& input) {
  static constexpr std::uint64_t edges[] = {
      0,          1,          2,           7,           8,
      0x7f,       0x80,       0xff,        0xffff,      0x7fffffff,
      0x80000000, 0xffffffff, 0x100000000, 1ull << 63u, std::numeric_limits<std::uint64_t>::max()};
  if (input.empty()) {
    input.push_back(static_cast<std::uint8_t>(random.next()));
    return;
  }
  auto position = random.below(input.size());
  switch (random.below(6)) {
  case 0:
    input[position] ^= static_cast<std::uint8_t>(1u << random.below(8));
    break;
  case 1:
    input[position] = static_cast<std::uint8_t>(random.next());
    break;
  case 2:
    write_little_endian(input, position & ~std::uint64_t{3}, edges[random.below(std::size(edges))],
                        random.below(2) ? 4 : 8);
    break;
  case 3: // cut the end off
    input.resize(position);
    break;
  case 4: { // repeat a part
    auto length = std::min<std::uint64_t>(1 + random.below(32), input.size() - position);
    bytes part(input.begin() + static_cast<std::ptrdiff_t>(position),
               input.begin() + static_cast<std::ptrdiff_t>(position + length));
    input.insert(input.begin() + static_cast<std::ptrdiff_t>(position), part.begin(), part.end());
    break;
  }
  default: { // leave a part out
    auto length = std::min<std::uint64_t>(1 + random.below(32), input.size() - position);
    input.erase(input.begin() + static_cast<std::ptrdiff_t>(position),
                input.begin() + static_cast<std::ptrdiff_t>(position + length));
  }
  }
}

bytes next_input(generator& random, const std::vector<bytes>& corpus, std::uint64_t max_len) {
  if (corpus.empty() || random.below(8) == 0)
    return random_input(random, max_len);
  bytes input = corpus[random.below(corpus.size())];
  for (auto changes = 1 + random.below(4); changes > 0; --changes)
    mutate_once(random, input);
  return input;
}

void run_one(const bytes& input) {
  // Without slack behind the last byte, so that a sanitizer sees a read beyond the end.
  bytes exact(input);
  exact.shrink_to_fit();
  (void)LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

} // namespace

int main(int argc, char** argv) {
  auto opts = parse(argc, argv);
  if (!opts) {
    std::cerr << "usage: " << argv[0] << " [--runs N] [--seed S] [--max-len L] [FILE|DIR]...\n";
    return 2;
  }
  std::vector<bytes> corpus;
  if (!read_corpus(opts->corpus, corpus))
    return 2;
  // Flushed before the first input: when that one crashes, the seed is already known.
  std::cout << "seed " << opts->seed << ", " << corpus.size() << " corpus inputs, " << opts->runs
            << " generated" << std::endl;

  for (const auto& input : corpus)
    run_one(input);
  generator random(opts->seed);
  for (std::uint64_t i = 0; i < opts->runs; ++i) {
    auto input = next_input(random, corpus, opts->max_len);
    if (input.size() > opts->max_len)
      input.resize(opts->max_len);
    run_one(input);
  }
  std::cout << "done\n";
  return 0;
}
